//! What tests on hostile files share: numbers to mutate by, and the bound of what reading may take.

use std::fs;

/// Numbers that look random and are the same on every run (Vigna's SplitMix64).
pub fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Asserts that the process never used more than half a gibibyte, on Linux. All tests of this program count, and none needs a
/// tenth of it.
#[track_caller]
pub fn assert_bounded_memory(after: &str) {
    let Some(peak) = peak_memory() else { return };
    assert!(peak < 512, "{peak} MiB were used, seen after {after}");
}

/// The most memory that this process ever used, in MiB.
fn peak_memory() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kibibytes >> 10)
}
