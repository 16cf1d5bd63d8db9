//! Finding a run's checkpoint: the latest that loads, or the one that a path means.

use std::fmt;
use std::path::{Path, PathBuf};

use super::disk::{Disk, RealDisk};
use super::plain_file::{LINK, is_plain_file, is_plain_folder, link_is_at};
use super::step_folder::{
    BEST, CHECKSUMS, LATEST, REPLACED, names_in, point, pointed, step_folder_name, step_of,
    steps_in,
};
use super::{CheckpointError, Snapshot, load};

/// The newest checkpoint that loads, and what was passed over to find it.
#[derive(Debug)]
pub struct LatestGood {
    /// Its folder and contents; nothing where no checkpoint loads.
    pub found: Option<(PathBuf, Snapshot)>,
    /// The newer ones that do not load, for the user to be warned of.
    pub skipped: Vec<Skipped>,
}

/// A checkpoint that was passed over. Shown as a sentence.
#[derive(Debug)]
pub struct Skipped {
    /// The folder, or the file `latest`.
    pub path: PathBuf,
    /// Why it does not load.
    pub reason: CheckpointError,
}

impl fmt::Display for Skipped {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "passed over {}: {}",
            self.path.display(),
            self.reason
        )
    }
}

/// Loads the checkpoint that `latest` names or, where that does not load, the newest of the others that does.
///
/// ```
/// use yarak::checkpoint::{CheckpointWriter, Snapshot, latest_good};
///
/// let folder = tempfile::tempdir()?;
/// let writer = CheckpointWriter::start(folder.path(), 3)?;
/// writer.save(Snapshot::new(1_000), false)?;
/// writer.save(Snapshot::new(2_000), false)?;
/// writer.finish()?;
///
/// // The disk loses a file of the last one.
/// std::fs::remove_file(folder.path().join("step_000002000/state.ron"))?;
///
/// let LatestGood { found, skipped } = latest_good(folder.path())?;
/// assert_eq!(found.unwrap().1.step, 1_000);
/// assert!(skipped[0].to_string().contains("`state.ron` is damaged: it is missing"));
/// # use yarak::checkpoint::LatestGood;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// Only where the folder itself cannot be listed. A folder that does not exist holds no checkpoint.
pub fn latest_good(checkpoints: impl AsRef<Path>) -> Result<LatestGood, CheckpointError> {
    let checkpoints = checkpoints.as_ref();
    let mut skipped = Vec::new();
    let latest = pointed(checkpoints, LATEST).unwrap_or_else(|reason| {
        skipped.push(Skipped {
            path: checkpoints.join(LATEST),
            reason,
        });
        None
    });

    // A checkpoint that was moved aside counts as long as nothing has taken its place.
    let mut others: Vec<(u64, bool, String)> = Vec::new();
    for name in names_in(checkpoints)? {
        let in_place = !name.starts_with(REPLACED);
        if let Some(step) = step_of(name.strip_prefix(REPLACED).unwrap_or(&name)) {
            others.push((step, in_place, name));
        }
    }
    others.sort_unstable_by(|left, right| right.cmp(left));
    let others = others
        .into_iter()
        .map(|(_, _, name)| name)
        .filter(|name| Some(name) != latest.as_ref());

    for name in latest.iter().cloned().chain(others) {
        let folder = checkpoints.join(name);
        match no_link(checkpoints, &folder).and_then(|()| load(&folder)) {
            Ok(snapshot) => {
                return Ok(LatestGood {
                    found: Some((folder, snapshot)),
                    skipped,
                });
            }
            Err(reason) => skipped.push(Skipped {
                path: folder,
                reason,
            }),
        }
    }
    Ok(LatestGood {
        found: None,
        skipped,
    })
}

/// The step folder that `path` means: itself, or the one that it names if it is a file `latest` or `best`.
///
/// # Errors
/// [`CheckpointError::NotACheckpoint`] where `path` is neither.
pub fn follow(path: impl AsRef<Path>) -> Result<PathBuf, CheckpointError> {
    let path = path.as_ref();
    let pointer = path
        .file_name()
        .and_then(|name| name.to_str())
        .filter(|name| [LATEST, BEST].contains(name));
    let named = match (pointer, path.parent()) {
        (Some(pointer), Some(checkpoints)) if !is_plain_folder(path) => {
            pointed(checkpoints, pointer)?.map(|name| checkpoints.join(name))
        }
        _ => None,
    };
    if let (Some(folder), Some(checkpoints)) = (&named, path.parent()) {
        no_link(checkpoints, folder)?;
    }
    let folder = named.unwrap_or_else(|| path.to_path_buf());
    if is_plain_file(&folder.join(CHECKSUMS)) {
        Ok(folder)
    } else {
        Err(CheckpointError::NotACheckpoint { folder })
    }
}

/// The steps that a run has kept checkpoints of, newest first.
pub(crate) fn saved_steps(checkpoints: &Path) -> Result<Vec<u64>, CheckpointError> {
    steps_in(checkpoints)
}

/// Lets `best` name the first of these steps whose checkpoint loads, where it names none that is there. What was done, in words;
/// nothing where nothing was amiss.
///
/// # Errors
/// When the file cannot be written.
pub(crate) fn mend_best(
    checkpoints: impl AsRef<Path>,
    ranked: impl IntoIterator<Item = u64>,
) -> Result<Option<String>, CheckpointError> {
    let checkpoints = checkpoints.as_ref();
    let path = checkpoints.join(BEST);
    if follow(&path).is_ok() {
        return Ok(None);
    }
    let names = ranked.into_iter().map(step_folder_name);
    let loads = |name: &String| {
        let folder = checkpoints.join(name);
        is_plain_folder(&folder) && load(&folder).is_ok()
    };
    if let Some(name) = names.into_iter().find(loads) {
        point(&mut RealDisk, checkpoints, BEST, &name)?;
        let path = path.display();
        return Ok(Some(format!(
            "warning: {path} was missing or damaged, and names {name} again, the best that there is"
        )));
    }
    // A name of nothing would be followed into nothing.
    if is_plain_file(&path) {
        RealDisk
            .remove(&path)
            .map_err(CheckpointError::io("remove the damaged file", &path))?;
    }
    Ok(Some(format!(
        "warning: the run's best checkpoint is lost, and none that is left has been scored; {} will name the next one",
        path.display()
    )))
}

/// Refuses a link in place of one of a run's own folders; `inside` is the folder that it would lead out of.
pub(crate) fn no_link(inside: &Path, folder: &Path) -> Result<(), CheckpointError> {
    if !link_is_at(folder) {
        return Ok(());
    }
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    Err(CheckpointError::damaged(inside, &name, LINK))
}

/// The step folder that a run's folder or a path in it means: of a run the best if one is named so, else the latest.
pub(crate) fn resolve(path: &Path) -> Result<PathBuf, CheckpointError> {
    let checkpoints = path.join("checkpoints");
    no_link(path, &checkpoints)?;
    if !checkpoints.is_dir() {
        return follow(path);
    }
    let best = checkpoints.join(BEST);
    let pointer = if best.exists() { BEST } else { LATEST };
    follow(checkpoints.join(pointer))
}

#[cfg(test)]
mod tests {
    use super::super::disk::RealDisk;
    use super::super::step_folder::write_checkpoint;
    use super::*;
    use std::fs;

    fn saved(steps: &[u64]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for &step in steps {
            let mut snapshot = Snapshot::new(step);
            snapshot
                .put_tensor("actor", "weight", &[1], vec![step as f32])
                .unwrap();
            let may = &|| Ok(());
            write_checkpoint(&mut RealDisk, folder.path(), &snapshot, false, may).unwrap();
        }
        folder
    }

    #[test]
    fn broken_checkpoints_are_passed_over_and_reported() {
        let folder = saved(&[1, 2, 3, 4]);
        fs::write(folder.path().join("step_000000004/actor.safetensors"), "x").unwrap();
        fs::remove_file(folder.path().join("step_000000003/checksums.ron")).unwrap();
        fs::create_dir(folder.path().join("step_000000009")).unwrap();
        let LatestGood { found, skipped } = latest_good(folder.path()).unwrap();
        assert_eq!(found.unwrap().0, folder.path().join("step_000000002"));
        let paths: Vec<_> = skipped
            .iter()
            .map(|one| one.path.file_name().unwrap().to_str().unwrap())
            .collect();
        assert_eq!(
            paths,
            ["step_000000004", "step_000000009", "step_000000003"]
        );
        assert!(skipped[0].to_string().contains("actor.safetensors"));
    }

    #[test]
    fn latest_goes_before_a_higher_step_and_a_broken_latest_is_reported() {
        let folder = saved(&[30, 10]);
        assert_eq!(
            latest_good(folder.path()).unwrap().found.unwrap().1.step,
            10
        );
        fs::write(folder.path().join(LATEST), "../elsewhere").unwrap();
        let LatestGood { found, skipped } = latest_good(folder.path()).unwrap();
        assert_eq!(found.unwrap().1.step, 30);
        assert!(skipped[0].to_string().contains("latest"));
    }

    #[test]
    fn a_folder_that_is_empty_or_missing_has_no_checkpoint() {
        let folder = tempfile::tempdir().unwrap();
        for path in [folder.path().to_path_buf(), folder.path().join("nothing")] {
            let LatestGood { found, skipped } = latest_good(path).unwrap();
            assert!(found.is_none() && skipped.is_empty());
        }
    }

    #[test]
    fn a_checkpoint_of_a_run_that_had_diverged_is_passed_over() {
        let folder = saved(&[1]);
        let mut snapshot = Snapshot::new(2);
        let values = vec![1.0, f32::NAN];
        snapshot
            .put_tensor("actor", "weight", &[2], values)
            .unwrap();
        let may = &|| Ok(());
        write_checkpoint(&mut RealDisk, folder.path(), &snapshot, false, may).unwrap();
        let LatestGood { found, skipped } = latest_good(folder.path()).unwrap();
        assert_eq!(found.unwrap().1.step, 1);
        let said = skipped[0].to_string();
        assert!(
            said.contains("`weight` holds NaN, so the run had diverged"),
            "{said}"
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_link_is_no_checkpoint_and_no_pointer() {
        use std::os::unix::fs::symlink;
        let (folder, other) = (saved(&[1]), saved(&[7]));
        let at = |name: &str| folder.path().join(name);
        symlink(other.path().join("step_000000007"), at("step_000000007")).unwrap();
        let LatestGood { found, skipped } = latest_good(folder.path()).unwrap();
        assert_eq!(found.unwrap().1.step, 1);
        assert!(skipped.is_empty(), "`latest` goes first");
        fs::write(at(LATEST), "step_000000007\n").unwrap();
        let LatestGood { found, skipped } = latest_good(folder.path()).unwrap();
        assert_eq!(found.unwrap().1.step, 1);
        assert!(
            skipped[0].to_string().contains("is a link"),
            "{}",
            skipped[0]
        );
        assert!(matches!(
            follow(at(LATEST)),
            Err(CheckpointError::Damaged { .. })
        ));
        fs::remove_file(at(LATEST)).unwrap();
        symlink(other.path().join(LATEST), at(LATEST)).unwrap();
        assert!(matches!(
            follow(at(LATEST)),
            Err(CheckpointError::Damaged { .. })
        ));
        // And what a checkpoint consists of.
        let weights = at("step_000000001/actor.safetensors");
        fs::remove_file(&weights).unwrap();
        symlink(
            other.path().join("step_000000007/actor.safetensors"),
            &weights,
        )
        .unwrap();
        let error = load(at("step_000000001")).unwrap_err().to_string();
        assert!(
            error.contains("`actor.safetensors` is damaged: it is a link"),
            "{error}"
        );
    }

    #[test]
    fn the_files_latest_and_best_are_followed() {
        let folder = saved(&[1, 2]);
        assert_eq!(
            follow(folder.path().join(LATEST)).unwrap(),
            folder.path().join("step_000000002")
        );
        assert_eq!(
            follow(folder.path().join("step_000000001")).unwrap(),
            folder.path().join("step_000000001")
        );
        assert!(matches!(
            follow(folder.path().join(BEST)),
            Err(CheckpointError::NotACheckpoint { .. })
        ));
        assert!(matches!(
            follow(folder.path()),
            Err(CheckpointError::NotACheckpoint { .. })
        ));
    }
}
