//! What goes from a run's checkpoints: the old ones, and what processes that died have left.

use std::collections::BTreeSet;
use std::path::Path;

use super::CheckpointError;
use super::disk::{Disk, is_draft};
use super::step_folder::{BEST, LATEST, REPLACED, names_in, step_folder_name, step_of, steps_in};

const PRUNED: &str = ".pruned-";

/// After `step` was saved: removes all but the last `keep` and those of the steps in `stays`: the best, whatever has become of the file
/// that names it, and those that are kept for good.
///
/// Steps after `step` go too. A run's steps rise, so they are from a course that the run has left by being taken back.
pub(super) fn prune(
    disk: &mut dyn Disk,
    checkpoints: &Path,
    step: u64,
    keep: usize,
    stays: &BTreeSet<u64>,
) -> Result<(), CheckpointError> {
    let steps = steps_in(checkpoints)?;
    let left_behind = steps.iter().filter(|&&other| other > step);
    let old = steps.iter().filter(|&&other| other <= step).skip(keep);
    for &other in left_behind.chain(old) {
        if stays.contains(&other) {
            continue;
        }
        let name = step_folder_name(other);
        // Renamed first, so that half a checkpoint never is under a checkpoint's name.
        let (folder, going) = (
            checkpoints.join(&name),
            checkpoints.join(format!("{PRUNED}{name}")),
        );
        disk.remove(&going)
            .and_then(|()| disk.rename(&folder, &going))
            .and_then(|()| disk.remove(&going))
            .map_err(CheckpointError::io("remove the old checkpoint", &folder))?;
    }
    Ok(())
}

/// Clears what processes that died have left, and nothing else. Only for whoever holds the folder's lock.
pub(super) fn tidy(disk: &mut dyn Disk, checkpoints: &Path) -> Result<(), CheckpointError> {
    for name in names_in(checkpoints)? {
        let path = checkpoints.join(&name);
        let of_a_step = |prefix: &str| {
            let step_folder = name.strip_prefix(prefix)?;
            step_of(step_folder).map(|_| checkpoints.join(step_folder))
        };
        let tidied = if let Some(step_folder) = of_a_step(REPLACED) {
            match step_folder.symlink_metadata() {
                Ok(_) => disk.remove(&path),
                Err(_) => disk.rename(&path, &step_folder),
            }
        } else if of_a_step(PRUNED).is_some() || is_draft(&name, is_ours) {
            disk.remove(&path)
        } else {
            continue;
        };
        tidied.map_err(CheckpointError::io("clear what a dead process left", &path))?;
    }
    Ok(())
}

/// What a save prepares under another name.
fn is_ours(name: &str) -> bool {
    [LATEST, BEST].contains(&name) || step_of(name).is_some()
}

#[cfg(test)]
#[path = "crash_tests.rs"]
pub(super) mod crash_tests;

#[cfg(test)]
mod tests {
    use super::super::Snapshot;
    use super::super::disk::RealDisk;
    use super::super::step_folder::{pointed, write_checkpoint};
    use super::*;
    use std::fs;

    fn save(folder: &Path, step: u64, is_best: bool, keep: usize) {
        let may = &|| Ok(());
        write_checkpoint(&mut RealDisk, folder, &Snapshot::new(step), is_best, may).unwrap();
        let best = pointed(folder, BEST).unwrap();
        let best = best.and_then(|name| step_of(&name));
        prune(
            &mut RealDisk,
            folder,
            step,
            keep,
            &best.into_iter().collect(),
        )
        .unwrap();
    }

    #[test]
    fn the_last_few_and_the_best_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        for step in 1..=6 {
            save(folder.path(), step, step == 2, 2);
        }
        assert_eq!(steps_in(folder.path()).unwrap(), [6, 5, 2]);
        assert_eq!(
            pointed(folder.path(), LATEST).unwrap().unwrap(),
            step_folder_name(6)
        );
        assert_eq!(
            pointed(folder.path(), BEST).unwrap().unwrap(),
            step_folder_name(2)
        );
    }

    #[test]
    fn a_run_taken_back_keeps_its_new_checkpoints_and_drops_the_course_it_left() {
        let folder = tempfile::tempdir().unwrap();
        for step in [10, 20, 30, 40] {
            save(folder.path(), step, step == 30, 3);
        }
        save(folder.path(), 25, false, 3);
        assert_eq!(steps_in(folder.path()).unwrap(), [30, 25, 20]);
    }

    #[test]
    fn what_dead_processes_left_is_cleared_and_a_checkpoint_moved_aside_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        save(folder.path(), 1, false, 1);
        save(folder.path(), 2, false, 2);
        for left in [
            ".writing-999-step_000000003/actor",
            ".pruned-step_000000000/actor",
            ".replaced-step_000000002/actor",
        ] {
            fs::create_dir_all(folder.path().join(left)).unwrap();
        }
        fs::write(folder.path().join(".writing-999-latest"), "step").unwrap();
        fs::rename(
            folder.path().join("step_000000001"),
            folder.path().join(".replaced-step_000000001"),
        )
        .unwrap();
        // The user's own, whatever they are called.
        let mine = [
            ".pruned-by-hand",
            ".replaced-later",
            ".writing-a-thesis",
            ".writing-1-thesis",
            "notes",
        ];
        for name in mine {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        tidy(&mut RealDisk, folder.path()).unwrap();
        let mut names = names_in(folder.path()).unwrap();
        names.sort();
        let mut expected = [&mine[..], &["latest", "step_000000001", "step_000000002"]].concat();
        expected.sort_unstable();
        assert_eq!(names, expected);
    }
}
