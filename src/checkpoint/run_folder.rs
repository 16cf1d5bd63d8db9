//! The folder of one run: whether a run may go there, and from where it goes on.
//!
//! Nothing is written before it is certain that the folder is the run's to write into, but the lock that makes it so.

use std::fs;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

use super::digest::open_regular;
use super::disk::{RealDisk, WRITING, create_folders, replace_file};
use super::lock::{FolderLock, LOCK, NotLocked};
use super::step_folder::{LATEST, point, step_folder_name, step_of, steps_in};
use super::{CheckpointError, RunFolderError, Skipped, Snapshot, follow, latest_good, load};

const SCENE: &str = "scene.ron";
const CHECKPOINTS: &str = "checkpoints";

/// From where a run starts: the value of `--resume`.
///
/// ```
/// use yarak::checkpoint::Resume;
///
/// assert_eq!("auto".parse(), Ok(Resume::Auto));
/// assert_eq!("step_000020000".parse(), Ok(Resume::From("step_000020000".into())));
/// assert!("".parse::<Resume>().is_err());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Resume {
    /// From the beginning, in a folder that is new or empty, or whose run ended before its first report and its first checkpoint.
    #[default]
    Never,
    /// From the latest good checkpoint, or from the beginning where there is none.
    Auto,
    /// From this checkpoint: a step folder's path, or a name in the run's `checkpoints/` (`step_000020000`, `latest`,
    /// `best`). A folder called `auto` or `never` is named as `./auto`.
    From(PathBuf),
}

impl FromStr for Resume {
    type Err = ParseResumeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "" => Err(ParseResumeError),
            "never" => Ok(Self::Never),
            "auto" => Ok(Self::Auto),
            checkpoint => Ok(Self::From(checkpoint.into())),
        }
    }
}

/// The value of `--resume` is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("--resume needs `auto`, `never`, or a checkpoint such as step_000020000")]
pub struct ParseResumeError;

/// Where a run goes when nothing else is said: `runs/`, and the scene's file name without its ending.
///
/// ```
/// use std::path::Path;
/// use yarak::checkpoint::default_run_folder;
///
/// assert_eq!(default_run_folder(Path::new("scenes/pendulum_td3_bc.ron")), Path::new("runs/pendulum_td3_bc"));
/// ```
pub fn default_run_folder(scene: &Path) -> PathBuf {
    Path::new("runs").join(scene.file_stem().unwrap_or("scene".as_ref()))
}

/// A run's folder, which no other process trains into until this is dropped.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    _lock: FolderLock,
}

/// A run's folder that was opened, and from where the run starts.
#[derive(Debug)]
pub struct Opened {
    /// The folder. Keep it as long as the run lasts: it holds the lock.
    pub folder: RunFolder,
    /// From where the run starts.
    pub start: Start,
    /// Newer checkpoints that do not load, for the user to be warned of.
    pub skipped: Vec<Skipped>,
}

/// From where a run starts.
#[derive(Debug)]
pub enum Start {
    /// From the beginning.
    Fresh,
    /// From a checkpoint. Whether its step is already the last one is for the caller to see.
    Resumed {
        /// The step folder.
        checkpoint: PathBuf,
        /// What was in it.
        snapshot: Snapshot,
    },
}

impl RunFolder {
    /// Opens or makes the folder of a run with the settings `resolved_scene`, and writes these into its `scene.ron`.
    ///
    /// `differences` compares the settings that the run was started with to the present ones, and gives a line for each
    /// that differs and that a resumed run may not change, or says why the former cannot be read.
    ///
    /// A run that resumes from an earlier one of its own checkpoints is taken back: `latest` names that one from now on,
    /// and the later ones go when the run next saves. A checkpoint of another run can be continued in an empty folder,
    /// with that run's settings.
    ///
    /// ```
    /// use yarak::checkpoint::{CheckpointWriter, Resume, RunFolder, RunFolderError, Snapshot, Start};
    ///
    /// let folder = tempfile::tempdir()?;
    /// let path = folder.path().join("runs/pendulum");
    /// let scene = "Scene(seed: 0)";
    /// let same = |_: &str| Ok(Vec::new());
    ///
    /// let run = RunFolder::open(&path, &Resume::Never, scene, same)?;
    /// assert!(matches!(run.start, Start::Fresh));
    /// let writer = CheckpointWriter::start(run.folder.checkpoints(), 3)?;
    /// writer.save(Snapshot::new(2_000), false)?;
    /// writer.finish()?;
    /// drop(run);
    ///
    /// let refused = RunFolder::open(&path, &Resume::Never, scene, same).unwrap_err();
    /// assert!(refused.is_users_mistake() && refused.to_string().contains("--resume auto"));
    ///
    /// let run = RunFolder::open(&path, &Resume::Auto, scene, same)?;
    /// assert!(matches!(run.start, Start::Resumed { snapshot, .. } if snapshot.step == 2_000));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// See [`RunFolderError`]; each says whether the user or the system has to mend it.
    pub fn open(
        path: impl AsRef<Path>,
        resume: &Resume,
        resolved_scene: &str,
        differences: impl Fn(&str) -> Result<Vec<String>, String>,
    ) -> Result<Opened, RunFolderError> {
        let path = path.as_ref();
        let compare = |scene: &Path| compare_scenes(scene, resolved_scene, &differences);
        let opened = Self::start(path, resume, &compare)?;
        replace_file(&mut RealDisk, path, SCENE, resolved_scene.as_bytes())
            .map_err(RunFolderError::io("write scene.ron", path))?;
        Ok(opened)
    }

    /// Opens or makes the folder of a run that has no scene, because an app is what it does: from its latest good checkpoint where it
    /// `resumes`, and where there is one.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_without_scene(
        path: impl AsRef<Path>,
        resumes: bool,
    ) -> Result<Opened, RunFolderError> {
        let resume = match resumes {
            true => Resume::Auto,
            false => Resume::Never,
        };
        Self::start(path.as_ref(), &resume, &|_| Ok(()))
    }

    fn start(
        path: &Path,
        resume: &Resume,
        compare: &dyn Fn(&Path) -> Result<(), RunFolderError>,
    ) -> Result<Opened, RunFolderError> {
        let (lock, start, skipped) = match resume {
            Resume::Never => {
                refuse_unless_empty(path)?;
                let lock = claim(path)?;
                refuse_unless_empty(path)?;
                (lock, Start::Fresh, Vec::new())
            }
            Resume::Auto => {
                refuse_strangers(path)?;
                let lock = claim(path)?;
                compare(&path.join(SCENE))?;
                let (start, skipped) = latest_or_fresh(&path.join(CHECKPOINTS))?;
                (lock, start, skipped)
            }
            Resume::From(asked) => {
                refuse_strangers(path)?;
                let checkpoint = locate(path, asked)?;
                let (lock, snapshot) = match own_name(path, &checkpoint) {
                    Some(name) => {
                        let lock = claim(path)?;
                        compare(&path.join(SCENE))?;
                        let snapshot = load(&checkpoint)?;
                        point(&mut RealDisk, &path.join(CHECKPOINTS), LATEST, &name)?;
                        (lock, snapshot)
                    }
                    None => {
                        refuse_another_run(path, &checkpoint)?;
                        if let Some(run) = checkpoint.parent().and_then(Path::parent) {
                            compare(&run.join(SCENE))?;
                        }
                        let snapshot = load(&checkpoint)?;
                        let lock = claim(path)?;
                        refuse_another_run(path, &checkpoint)?;
                        (lock, snapshot)
                    }
                };
                (
                    lock,
                    Start::Resumed {
                        checkpoint,
                        snapshot,
                    },
                    Vec::new(),
                )
            }
        };
        Ok(Opened {
            folder: RunFolder {
                path: path.to_path_buf(),
                _lock: lock,
            },
            start,
            skipped,
        })
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// `scene.ron`: the settings, resolved.
    pub fn scene(&self) -> PathBuf {
        self.path.join(SCENE)
    }

    /// `manifest.ron`: see [`Manifest`](super::Manifest).
    pub fn manifest(&self) -> PathBuf {
        self.path.join("manifest.ron")
    }

    /// `metrics.jsonl`: an object for each report.
    pub fn metrics(&self) -> PathBuf {
        self.path.join("metrics.jsonl")
    }

    /// `log.txt`: what the run showed on the terminal.
    pub fn log(&self) -> PathBuf {
        self.path.join("log.txt")
    }

    /// `checkpoints/`: for [`CheckpointWriter::start`](super::CheckpointWriter::start).
    pub fn checkpoints(&self) -> PathBuf {
        self.path.join(CHECKPOINTS)
    }
}

/// The names in the folder, but for the lock and unfinished files; none where there is no folder.
fn contents(path: &Path) -> Result<Vec<String>, RunFolderError> {
    let entries = match fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            return Err(RunFolderError::NotAFolder {
                path: path.to_path_buf(),
            });
        }
        entries => entries.map_err(RunFolderError::io("list the folder", path))?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry
            .map_err(RunFolderError::io("list the folder", path))?
            .file_name();
        let name = name.to_string_lossy();
        if name != LOCK && !name.starts_with(WRITING) {
            names.push(name.into_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// What a run writes, so that a folder with this alone is a run's even if its scene was lost.
fn is_ours(name: &str) -> bool {
    ["scene.ron", "manifest.ron", "checkpoints", "scores.json"].contains(&name)
        || ["metrics.", "report.", "events.out.tfevents", "seed_"]
            .iter()
            .any(|prefix| name.starts_with(prefix))
}

fn refuse_unless_empty(path: &Path) -> Result<(), RunFolderError> {
    let names = contents(path)?;
    if names.is_empty() || reached_nothing(path, &names) {
        Ok(())
    } else {
        Err(RunFolderError::NotEmpty {
            path: path.to_path_buf(),
        })
    }
}

/// Whether all there is was written by a run that ended before its first report and its first checkpoint, such as one whose
/// input was wrong: nothing is lost where the next one begins.
fn reached_nothing(path: &Path, names: &[String]) -> bool {
    let begun = [
        "scene.ron",
        "manifest.ron",
        "checkpoints",
        "metrics.jsonl",
        "log.txt",
    ];
    let of_a_beginning =
        |name: &String| begun.contains(&&**name) || name.starts_with("events.out.tfevents");
    let no_report = fs::metadata(path.join("metrics.jsonl")).map_or(true, |file| file.len() == 0);
    // The lock of a writer that never wrote is no checkpoint.
    let no_checkpoint = contents(&path.join(CHECKPOINTS)).is_ok_and(|names| names.is_empty());
    names.iter().any(|name| name == SCENE)
        && names.iter().all(of_a_beginning)
        && no_report
        && no_checkpoint
}

fn refuse_strangers(path: &Path) -> Result<(), RunFolderError> {
    let names = contents(path)?;
    if names.iter().any(|name| name == SCENE) {
        return Ok(());
    }
    match names.into_iter().find(|name| !is_ours(name)) {
        Some(stranger) => Err(RunFolderError::NotARun {
            path: path.to_path_buf(),
            stranger,
        }),
        None => Ok(()),
    }
}

fn refuse_another_run(path: &Path, checkpoint: &Path) -> Result<(), RunFolderError> {
    if contents(path)?.is_empty() {
        return Ok(());
    }
    Err(RunFolderError::HoldsAnotherRun {
        path: path.to_path_buf(),
        checkpoint: checkpoint.to_path_buf(),
    })
}

fn claim(path: &Path) -> Result<FolderLock, RunFolderError> {
    create_folders(&mut RealDisk, path).map_err(|error| match error.kind() {
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => RunFolderError::NotAFolder {
            path: path.to_path_buf(),
        },
        _ => RunFolderError::io("create the folder", path)(error),
    })?;
    FolderLock::take(path).map_err(|refused| match refused {
        NotLocked::Held(holder) => RunFolderError::InUse {
            path: path.to_path_buf(),
            holder,
        },
        NotLocked::Io(error) => RunFolderError::io("lock the folder", path)(error),
    })
}

fn compare_scenes(
    path: &Path,
    resolved_scene: &str,
    differences: &impl Fn(&str) -> Result<Vec<String>, String>,
) -> Result<(), RunFolderError> {
    const LIMIT: u64 = 16 << 20;
    let unreadable = |why: String| RunFolderError::SceneUnreadable {
        path: path.to_path_buf(),
        why,
    };
    let mut former = String::new();
    match open_regular(path).and_then(|file| file.take(LIMIT).read_to_string(&mut former)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            return Err(unreadable("it is not text".to_owned()));
        }
        read => read.map_err(RunFolderError::io("read the scene", path))?,
    };
    if former == resolved_scene {
        return Ok(());
    }
    let differences = differences(&former).map_err(unreadable)?;
    if differences.is_empty() {
        return Ok(());
    }
    Err(RunFolderError::SceneChanged {
        path: path.to_path_buf(),
        differences,
    })
}

fn latest_or_fresh(checkpoints: &Path) -> Result<(Start, Vec<Skipped>), RunFolderError> {
    let mut latest = latest_good(checkpoints)?;
    if let Some((checkpoint, snapshot)) = latest.found {
        return Ok((
            Start::Resumed {
                checkpoint,
                snapshot,
            },
            latest.skipped,
        ));
    }
    // A disk that does not answer now may have a good checkpoint: starting over would throw it away.
    match latest
        .skipped
        .iter()
        .position(|skipped| matches!(skipped.reason, CheckpointError::Io { .. }))
    {
        Some(unreachable) => Err(latest.skipped.swap_remove(unreachable).reason.into()),
        None => Ok((Start::Fresh, latest.skipped)),
    }
}

/// The step folder that was asked for: a name in the run's own `checkpoints/`, or else a path.
fn locate(path: &Path, asked: &Path) -> Result<PathBuf, RunFolderError> {
    let checkpoints = path.join(CHECKPOINTS);
    let mut parts = asked.components();
    let is_name = matches!(
        (parts.next(), parts.next()),
        (Some(Component::Normal(_)), None)
    );
    let in_run = is_name.then(|| checkpoints.join(asked));
    for candidate in in_run.iter().map(PathBuf::as_path).chain([asked]) {
        match follow(candidate) {
            Err(CheckpointError::NotACheckpoint { .. }) => {}
            found => return Ok(found?),
        }
    }
    let available = steps_in(&checkpoints)?
        .into_iter()
        .map(step_folder_name)
        .collect();
    Err(RunFolderError::NoSuchCheckpoint {
        asked: asked.to_path_buf(),
        checkpoints,
        available,
    })
}

/// The checkpoint's name if it is a step folder of the run at `path`.
fn own_name(path: &Path, checkpoint: &Path) -> Option<String> {
    let checkpoint = checkpoint.canonicalize().ok()?;
    let name = checkpoint
        .file_name()?
        .to_str()
        .filter(|name| step_of(name).is_some())?;
    (checkpoint.parent()? == path.join(CHECKPOINTS).canonicalize().ok()?).then(|| name.to_owned())
}

#[cfg(test)]
#[path = "run_folder_tests.rs"]
mod tests;
