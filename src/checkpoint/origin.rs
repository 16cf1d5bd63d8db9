//! Where and when a run takes place: the time, the machine, the revision of the code around it.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::digest::open_regular;

/// The time now in UTC, as in RFC 3339: `2026-03-01T12:30:00Z`.
pub(super) fn now() -> String {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    rfc3339(since.as_secs())
}

/// Seconds since 1970 as a date and time in UTC. The date is Howard Hinnant's `civil_from_days`
/// (<https://howardhinnant.github.io/date_algorithms.html>), whose years begin in March so that leap days come last.
fn rfc3339(seconds: u64) -> String {
    let (days, second) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = 400 * era + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// This machine's name, if it has one.
pub(super) fn host() -> String {
    read_short(Path::new("/proc/sys/kernel/hostname"))
        .or_else(|| std::env::var("HOSTNAME").ok())
        .or_else(|| std::env::var("COMPUTERNAME").ok())
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "this machine".to_owned())
}

/// The processor, as in `AMD EPYC 9654, 2 threads`; the architecture where its name is not told.
pub(super) fn cpu() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info
        .lines()
        .find(|line| line.starts_with("model name"))
        .and_then(|line| line.split_once(':'));
    let model = model.map_or(std::env::consts::ARCH, |(_, model)| model.trim());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    format!(
        "{model}, {threads} thread{}",
        if threads == 1 { "" } else { "s" }
    )
}

/// What the processor has of the instructions that kernels are chosen by.
pub(super) fn features() -> Vec<String> {
    let mut found = Vec::new();
    #[cfg(target_arch = "x86_64")]
    for (name, there) in [
        ("avx", is_x86_feature_detected!("avx")),
        ("avx2", is_x86_feature_detected!("avx2")),
        ("fma", is_x86_feature_detected!("fma")),
        ("avx512f", is_x86_feature_detected!("avx512f")),
        ("avx512bw", is_x86_feature_detected!("avx512bw")),
        ("avx512dq", is_x86_feature_detected!("avx512dq")),
        ("avx512vl", is_x86_feature_detected!("avx512vl")),
    ] {
        found.extend(there.then(|| name.to_owned()));
    }
    #[cfg(target_arch = "aarch64")]
    found.push("neon".to_owned());
    found
}

/// The commit that is checked out in the Git repository around `folder`, in hexadecimal; nothing outside of one, before
/// its first commit, or where its references are kept in a form other than files.
///
/// Git's files are read as they are, so that neither the program `git` nor a library is needed. Changes that are not
/// committed do not show.
///
/// ```
/// let folder = tempfile::tempdir()?;
/// assert_eq!(yarak::checkpoint::git_revision(folder.path()), None);
///
/// let revision = "0123456789abcdef0123456789abcdef01234567";
/// std::fs::create_dir_all(folder.path().join(".git/refs/heads"))?;
/// std::fs::write(folder.path().join(".git/HEAD"), "ref: refs/heads/main\n")?;
/// std::fs::write(folder.path().join(".git/refs/heads/main"), format!("{revision}\n"))?;
/// assert_eq!(yarak::checkpoint::git_revision(folder.path()).as_deref(), Some(revision));
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn git_revision(folder: &Path) -> Option<String> {
    let folder = folder.canonicalize().ok()?;
    let git = folder.ancestors().find_map(git_folder)?;
    let head = read_short(&git.join("HEAD"))?;
    let Some(reference) = head.trim().strip_prefix("ref: ") else {
        return revision(&head);
    };
    // A further work tree has its own HEAD, and the branches of the first.
    let shared = match read_short(&git.join("commondir")) {
        Some(path) => git.join(path.trim()),
        None => git.clone(),
    };
    // The name comes from a file: it must not lead elsewhere.
    if !reference.starts_with("refs/")
        || reference
            .split('/')
            .any(|part| part.is_empty() || part == "..")
    {
        return None;
    }
    let loose = |git: &Path| {
        read_short(&git.join(reference))
            .as_deref()
            .and_then(revision)
    };
    loose(&git)
        .or_else(|| loose(&shared))
        .or_else(|| packed(&shared, reference))
}

/// The folder with Git's files for the work tree `folder`: `.git`, or what a file of that name points at.
fn git_folder(folder: &Path) -> Option<PathBuf> {
    let git = folder.join(".git");
    if git.is_dir() {
        return Some(git);
    }
    let pointer = read_short(&git)?;
    Some(folder.join(pointer.strip_prefix("gitdir: ")?.trim()))
}

/// Looks a branch up in `packed-refs`, whose lines are `<revision> <reference>`.
fn packed(git: &Path, reference: &str) -> Option<String> {
    const LIMIT: u64 = 64 << 20;
    let mut text = String::new();
    open_regular(&git.join("packed-refs"))
        .ok()?
        .take(LIMIT)
        .read_to_string(&mut text)
        .ok()?;
    let line = text.lines().find(|line| {
        line.split_once(' ')
            .is_some_and(|(_, name)| name == reference)
    })?;
    revision(line.split_once(' ')?.0)
}

/// `text` if it is a commit's SHA-1 or SHA-256.
fn revision(text: &str) -> Option<String> {
    let text = text.trim();
    let hexadecimal = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    (hexadecimal && [40, 64].contains(&text.len())).then(|| text.to_owned())
}

/// A file of a line or two.
fn read_short(path: &Path) -> Option<String> {
    const LIMIT: u64 = 4096;
    let mut text = String::new();
    open_regular(path)
        .ok()?
        .take(LIMIT)
        .read_to_string(&mut text)
        .ok()?;
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = "0123456789abcdef0123456789abcdef01234567";
    const SECOND: &str = "89abcdef0123456789abcdef0123456789abcdef";

    fn write(path: PathBuf, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_709_164_800, "2024-02-29T00:00:00Z"),
            (1_735_689_599, "2024-12-31T23:59:59Z"),
            (1_735_689_600, "2025-01-01T00:00:00Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(rfc3339(seconds), text);
        }
    }

    #[test]
    fn a_branch_is_found_loose_or_packed_and_loose_is_newer() {
        let folder = tempfile::tempdir().unwrap();
        let git = folder.path().join(".git");
        write(git.join("HEAD"), "ref: refs/heads/topic/one\n");
        assert_eq!(git_revision(folder.path()), None, "no commit yet");
        write(
            git.join("packed-refs"),
            &format!("# pack-refs with: peeled\n{FIRST} refs/heads/topic/one\n^{SECOND}\n"),
        );
        assert_eq!(git_revision(folder.path()).unwrap(), FIRST);
        write(git.join("refs/heads/topic/one"), SECOND);
        let inner = folder.path().join("src/inner");
        fs::create_dir_all(&inner).unwrap();
        assert_eq!(git_revision(&inner).unwrap(), SECOND);
        write(git.join("HEAD"), FIRST);
        assert_eq!(git_revision(folder.path()).unwrap(), FIRST, "detached");
    }

    #[test]
    fn a_further_work_tree_has_its_own_head_and_shared_branches() {
        let folder = tempfile::tempdir().unwrap();
        let git = folder.path().join("main/.git");
        write(git.join("refs/heads/topic"), FIRST);
        write(git.join("worktrees/w/HEAD"), "ref: refs/heads/topic\n");
        write(git.join("worktrees/w/commondir"), "../..\n");
        write(
            folder.path().join("w/.git"),
            "gitdir: ../main/.git/worktrees/w\n",
        );
        assert_eq!(git_revision(&folder.path().join("w")).unwrap(), FIRST);
    }

    #[test]
    fn a_head_that_is_no_revision_is_none() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path().join("secret"), FIRST);
        for head in [
            "",
            "ref: ",
            "ref: ../../secret",
            "ref: refs/../../secret",
            "ref: /etc/hostname",
            "abc",
            "zz",
        ] {
            write(folder.path().join(".git/HEAD"), head);
            assert_eq!(git_revision(folder.path()), None, "{head}");
        }
    }

    #[test]
    fn the_machine_is_described() {
        assert!(cpu().contains("thread"));
        assert!(!host().is_empty() && host().trim() == host());
        assert!(now().starts_with("20") && now().ends_with('Z'));
    }
}
