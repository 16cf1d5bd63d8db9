//! What goes from a run's checkpoints: the old ones, and what processes that died have left.

use std::path::Path;

use super::CheckpointError;
use super::disk::{Disk, WRITING};
use super::step_folder::{BEST, LATEST, REPLACED, names_in, pointed, step_folder_name, steps_in};

const PRUNED: &str = ".pruned-";

/// After `step` was saved: removes all but the last `keep` and those that `latest` and `best` name.
///
/// Steps after `step` go too. A run's steps rise, so they are from a course that the run has left by being taken back.
pub(super) fn prune(
    disk: &mut dyn Disk,
    checkpoints: &Path,
    step: u64,
    keep: usize,
) -> Result<(), CheckpointError> {
    let named = [pointed(checkpoints, LATEST)?, pointed(checkpoints, BEST)?];
    let steps = steps_in(checkpoints)?;
    let left_behind = steps.iter().filter(|&&other| other > step);
    let old = steps.iter().filter(|&&other| other <= step).skip(keep);
    for &other in left_behind.chain(old) {
        let name = step_folder_name(other);
        if named.iter().flatten().any(|kept| *kept == name) {
            continue;
        }
        // Renamed first, so that half a checkpoint never is under a checkpoint's name.
        let (folder, going) = (
            checkpoints.join(&name),
            checkpoints.join(format!("{PRUNED}{name}")),
        );
        disk.rename(&folder, &going)
            .and_then(|()| disk.remove(&going))
            .map_err(CheckpointError::io("remove the old checkpoint", &folder))?;
    }
    Ok(())
}

/// Clears what processes that died have left. Only for whoever holds the folder's lock.
pub(super) fn tidy(disk: &mut dyn Disk, checkpoints: &Path) -> Result<(), CheckpointError> {
    for name in names_in(checkpoints)? {
        let path = checkpoints.join(&name);
        let tidied = match name.strip_prefix(REPLACED) {
            Some(step_folder) if !checkpoints.join(step_folder).exists() => {
                disk.rename(&path, &checkpoints.join(step_folder))
            }
            Some(_) => disk.remove(&path),
            None if name.starts_with(WRITING) || name.starts_with(PRUNED) => disk.remove(&path),
            None => continue,
        };
        tidied.map_err(CheckpointError::io("clear what a dead process left", &path))?;
    }
    Ok(())
}

#[cfg(test)]
#[path = "crash_tests.rs"]
mod crash_tests;

#[cfg(test)]
mod tests {
    use super::super::Snapshot;
    use super::super::disk::RealDisk;
    use super::super::step_folder::write_checkpoint;
    use super::*;
    use std::fs;

    fn save(folder: &Path, step: u64, is_best: bool, keep: usize) {
        write_checkpoint(&mut RealDisk, folder, &Snapshot::new(step), is_best).unwrap();
        prune(&mut RealDisk, folder, step, keep).unwrap();
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
        tidy(&mut RealDisk, folder.path()).unwrap();
        let mut names = names_in(folder.path()).unwrap();
        names.sort();
        assert_eq!(names, ["latest", "step_000000001", "step_000000002"]);
    }
}
