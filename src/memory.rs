//! How much memory this process may take, so that what needs more is refused before it is taken.

use std::fs;
use std::path::Path;

use bevy_ecs::prelude::Resource;

/// The rows of a gradient step, and the setting that says how many.
#[derive(Resource, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RowsOfStep {
    pub rows: usize,
    pub setting: &'static str,
}

/// Why something is not begun.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{what} would take {}, and this process may take {}: {remedy}",
    in_words(*needed),
    in_words(*available)
)]
pub(crate) struct TooLarge {
    what: String,
    needed: u64,
    available: u64,
    remedy: &'static str,
}

/// Refuses what needs more than there can be; `remedy` names the settings to lower.
pub(crate) fn check(what: &str, needed: u64, remedy: &'static str) -> Result<(), TooLarge> {
    match available() {
        Some(available) if needed > available => Err(TooLarge {
            what: what.to_owned(),
            needed,
            available,
            remedy,
        }),
        _ => Ok(()),
    }
}

/// The most bytes that this process may take: the machine's memory, or less where its group or its shell allows less. `None` where it
/// is not known.
pub(crate) fn available() -> Option<u64> {
    let read = |path: &str| fs::read_to_string(path).ok();
    let machine = read("/proc/meminfo").and_then(|text| machine(&text));
    let shell = read("/proc/self/limits").and_then(|text| shell(&text));
    let group = read("/proc/self/cgroup").and_then(|text| group(&text));
    [machine, shell, group].into_iter().flatten().min()
}

/// The machine's, of `/proc/meminfo`.
fn machine(text: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.starts_with("MemTotal:"))?;
    let kibibytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    kibibytes.checked_mul(1024)
}

/// What `ulimit -v` and `ulimit -d` allow, of `/proc/self/limits`.
fn shell(text: &str) -> Option<u64> {
    let limits = ["Max address space", "Max data size"].iter();
    let limits = limits.filter_map(|name| {
        let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
        rest.split_whitespace().next()?.parse().ok()
    });
    limits.min()
}

/// What the control groups allow that the process is in, of `/proc/self/cgroup`.
fn group(text: &str) -> Option<u64> {
    let own = text.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let root = Path::new("/sys/fs/cgroup");
    let groups = Path::new(own).ancestors().map(|group| root.join(group));
    let limits = groups.filter_map(|group| {
        let text = fs::read_to_string(group.join("memory.max")).ok()?;
        text.trim().parse().ok()
    });
    limits.min()
}

/// An amount as people say it.
pub(crate) fn in_words(bytes: u64) -> String {
    let megabytes = bytes as f64 / 1e6;
    if megabytes < 1_000.0 {
        format!("{megabytes:.1} MB")
    } else {
        format!("{:.1} GB", megabytes / 1_000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_of_what_machine_and_shell_allow_is_what_there_is() {
        assert_eq!(
            machine("MemTotal:       2048 kB\nMemFree: 1 kB"),
            Some(2_097_152)
        );
        let limits = "Limit                     Soft Limit           Hard Limit           Units     \n\
                      Max data size             unlimited            unlimited            bytes     \n\
                      Max address space         16384000000          unlimited            bytes     \n";
        assert_eq!(shell(limits), Some(16_384_000_000));
        assert_eq!(
            shell("Max address space         unlimited  unlimited bytes"),
            None
        );
        assert!(available().is_none_or(|bytes| bytes > 1_000_000));
    }

    #[test]
    fn what_is_refused_is_named_with_both_figures_and_the_remedy() {
        let Some(available) = available() else { return };
        assert_eq!(check("a little", 1, "lower it"), Ok(()));
        let said = check("all of it", u64::MAX, "lower it")
            .unwrap_err()
            .to_string();
        let has = in_words(available);
        assert_eq!(
            said,
            format!(
                "all of it would take 18446744073.7 GB, and this process may take {has}: lower it"
            )
        );
    }
}
