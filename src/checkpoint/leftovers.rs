//! What a process that was killed left in a run's folder, outside of `checkpoints/`.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use super::disk::{Disk, is_draft};
use super::plain_file::is_plain_file;
use super::whole_file::DRAFT;

/// Programs that do not hold the lock, such as `yarak report`, write drafts too: what is younger may be at work.
const AGE: Duration = Duration::from_secs(600);

/// Clears drafts of files that were never finished, and nothing else. Only for whoever holds the folder's lock.
pub(super) fn sweep(disk: &mut dyn Disk, folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        let ours = |of: &str| ["scene.ron", "manifest.ron", "metrics.jsonl"].contains(&of);
        let of_events = |of: &str| of.starts_with("events.out.tfevents.");
        let is_old = || {
            let changed = entry.metadata().and_then(|it| it.modified()).ok();
            changed
                .and_then(|it| it.elapsed().ok())
                .is_some_and(|age| age > AGE)
        };
        let is_left = is_draft(&name, |of| ours(of) || of_events(of))
            || (name.starts_with(DRAFT) && is_old());
        if is_left && is_plain_file(&entry.path()) {
            disk.remove(&entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::disk::RealDisk;
    use super::*;
    use std::fs::File;
    use std::time::SystemTime;

    #[test]
    fn drafts_of_dead_processes_go_and_what_is_the_users_stays() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let gone = [
            ".writing-7-scene.ron",
            ".writing-7-metrics.jsonl",
            ".yarak-writing-Abc123",
        ];
        let kept = [
            ".yarak-writing-young1",
            ".writing-7-thesis.tex",
            ".writing-scene.ron",
            "log.txt",
        ];
        for name in gone.iter().chain(&kept) {
            fs::write(at(name), "").unwrap();
        }
        fs::create_dir(at(".writing-8-scene.ron")).unwrap();
        let hour_ago = SystemTime::now() - Duration::from_secs(3600);
        File::options()
            .write(true)
            .open(at(gone[2]))
            .unwrap()
            .set_modified(hour_ago)
            .unwrap();
        sweep(&mut RealDisk, folder.path()).unwrap();
        let there = |name: &&str| at(name).exists();
        assert!(!gone.iter().any(there));
        assert!(kept.iter().all(there) && at(".writing-8-scene.ron").is_dir());
    }
}
