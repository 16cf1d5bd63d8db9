//! What was measured to be fastest on which processor. The bits are the same either way.

use super::lanes::Lanes;

/// How dense products are cut into tiles, and whether their factors are copied before tiles read them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tiling {
    /// Rows of a tile at most.
    pub(crate) rows: usize,
    /// Whether columns of the right factor, and a left factor that lies transposed, are copied side by side. Where the right factor is
    /// larger than the second cache they always are.
    pub(crate) packs: bool,
    /// Tiles below which that costs more than it saves.
    pub(crate) worth_packing: usize,
}

/// Measured at 256x256x256 on one core, GFLOP/s. Intel (Sapphire Rapids): 140 with 8 rows and nothing packed, 162 packed, 163 with
/// 12 rows as well (transposed 119, 151, 158). AMD (Zen 4): 116 of at most 117 with 8 rows and nothing packed. AMD without AVX-512
/// (Zen 3, medians of a dozen turns and more): 52 with nothing packed, 71 packed (transposed 54 and 58); packed, three tiles are slower.
#[inline(always)]
pub(crate) fn tiling<L: Lanes>() -> Tiling {
    let wide_intel = L::WIDTH == 16 && is_intel();
    // A tile's sixteen columns are then one cache line a row, and rows that lie a power of two apart fall onto few places of the cache.
    let eight = L::WIDTH == 8;
    Tiling {
        rows: if wide_intel { L::ROWS } else { L::ROWS.min(8) },
        packs: wide_intel || eight,
        worth_packing: if eight { 4 } else { 3 },
    }
}

/// Whether the processor says that it is Intel's.
#[cfg(all(target_arch = "x86_64", not(miri)))]
fn is_intel() -> bool {
    use std::sync::atomic::{AtomicU8, Ordering};

    // 0 until it was asked; then 1 for no, 2 for yes. Asking takes a virtual machine microseconds.
    static ANSWER: AtomicU8 = AtomicU8::new(0);
    match ANSWER.load(Ordering::Relaxed) {
        0 => {
            let vendor = std::arch::x86_64::__cpuid(0);
            let name = [vendor.ebx, vendor.edx, vendor.ecx].map(u32::to_le_bytes);
            let is_intel = name.as_flattened() == b"GenuineIntel";
            ANSWER.store(1 + u8::from(is_intel), Ordering::Relaxed);
            is_intel
        }
        answer => answer == 2,
    }
}

#[cfg(not(all(target_arch = "x86_64", not(miri))))]
fn is_intel() -> bool {
    false
}
