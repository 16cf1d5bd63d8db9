//! How much memory this process may take, so that what needs more is refused before it is taken.

use std::cell::Cell;
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
    "{what} would take {}, and {whose} {}: {remedy}",
    in_words(*needed),
    in_words(*available)
)]
pub(crate) struct TooLarge {
    what: String,
    needed: u64,
    whose: &'static str,
    available: u64,
    remedy: &'static str,
}

/// Refuses what needs more than there can be; `remedy` names the settings to lower.
pub(crate) fn check(what: &str, needed: u64, remedy: &'static str) -> Result<(), TooLarge> {
    let refused = |whose, available, remedy| {
        Err(TooLarge {
            what: what.to_owned(),
            needed,
            whose,
            available,
            remedy,
        })
    };
    if let Some(left) = LEFT.get() {
        match left.checked_sub(needed) {
            Some(rest) => LEFT.set(Some(rest)),
            None => {
                let remedy =
                    "what it declares is not in it, so it is damaged or was made to do harm";
                return refused("its file has numbers for at most", left, remedy);
            }
        }
    }
    match available() {
        Some(available) if needed > available => {
            refused("this process may take", available, remedy)
        }
        _ => Ok(()),
    }
}

thread_local! {
    /// What may still be built of a file's description, in bytes; `None` where nothing is.
    static LEFT: Cell<Option<u64>> = const { Cell::new(None) };
}

/// Runs `build`, which makes what a file describes: all that is [checked](check) meanwhile may need `bytes` together, which is what the
/// file has numbers for. So a small file that declares something gigantic is refused before that is made.
pub(crate) fn within<T>(bytes: u64, build: impl FnOnce() -> T) -> T {
    struct Restore(Option<u64>);
    impl Drop for Restore {
        fn drop(&mut self) {
            LEFT.set(self.0);
        }
    }
    let _restore = Restore(LEFT.replace(Some(bytes)));
    build()
}

/// The most bytes that this process may take: the machine's memory, or less where its group or its shell allows less. `None` where it
/// is not known.
pub(crate) fn available() -> Option<u64> {
    let read = |path: &str| fs::read_to_string(path).ok();
    let machine = read("/proc/meminfo").and_then(|text| machine(&text));
    let shell = read("/proc/self/limits").and_then(|text| shell(&text));
    let group = read("/proc/self/cgroup").and_then(|text| group(&text, Path::new(GROUPS)));
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

/// Where control groups are mounted.
const GROUPS: &str = "/sys/fs/cgroup";

/// What the control groups allow that the process is in, of `/proc/self/cgroup` and the files below `root`: of the unified hierarchy,
/// and of the older one with a hierarchy for memory. A group without a limit says `max`, or a number beyond any machine.
fn group(text: &str, root: &Path) -> Option<u64> {
    let limits = text.lines().filter_map(|line| {
        let mut parts = line.splitn(3, ':');
        let (id, controllers, own) = (parts.next()?, parts.next()?, parts.next()?);
        let of_memory = controllers.split(',').any(|it| it == "memory");
        let (root, file) = match (id, of_memory) {
            ("0", _) => (root.to_path_buf(), "memory.max"),
            (_, true) => (root.join("memory"), "memory.limit_in_bytes"),
            _ => return None,
        };
        // The process counts towards each group around its own, too.
        let own = Path::new(own.trim_start_matches('/'));
        let limits = own.ancestors().filter_map(|group| {
            let text = fs::read_to_string(root.join(group).join(file)).ok()?;
            text.trim().parse::<u64>().ok()
        });
        limits.min()
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
    fn what_a_file_describes_may_need_no_more_than_it_has_all_together() {
        let built = within(100, || {
            check("a layer", 60, "")?;
            check("another layer", 40, "")?;
            check("one more", 1, "")
        });
        let said = built.unwrap_err().to_string();
        assert!(
            said.starts_with(
                "one more would take 0.0 MB, and its file has numbers for at most 0.0 MB"
            ),
            "{said}"
        );
        assert_eq!(check("a layer of its own", 101, ""), Ok(()));
    }

    #[test]
    fn the_limits_of_both_kinds_of_control_groups_count_those_around_the_own_included() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let of = |text: &str| group(text, root.path());
        let unified = "0::/user.slice/job\n";
        assert_eq!(of(unified), None);
        write("user.slice/job/memory.max", "max\n");
        assert_eq!(of(unified), None);
        write("user.slice/memory.max", "3000000000\n");
        assert_eq!(of(unified), Some(3_000_000_000));
        let older = "5:cpu,cpuacct:/job\n4:memory:/docker/abc\n";
        assert_eq!(of(older), None);
        // As a container sees its own group, at the root of what is mounted for it.
        write("memory/memory.limit_in_bytes", "2000000000\n");
        assert_eq!(of(older), Some(2_000_000_000));
        write("memory/docker/abc/memory.limit_in_bytes", "1000000000\n");
        assert_eq!(of(older), Some(1_000_000_000));
        assert_eq!(of(&format!("{older}{unified}")), Some(1_000_000_000));
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
