//! The folder of one run: whether a run may go there, and from where it goes on.
//!
//! Nothing is written before it is certain that the folder is the run's to write into, but the lock that makes it so.

use std::fs;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use bevy_ecs::prelude::Resource;

use super::disk::{Disk, RealDisk, WRITING, create_folders, replace_file};
use super::leftovers::sweep;
use super::lock::{FolderLock, LOCK, Lost, NotLocked};
use super::plain_file::{link_is_at, open_plain};
use super::prune::tidy;
use super::step_folder::{LATEST, SAVED, point, step_folder_name, step_of, steps_in};
use super::{CheckpointError, RunFolderError, Skipped, Snapshot, follow, latest_good, load};

const SCENE: &str = "scene.ron";
const MANIFEST: &str = "manifest.ron";
const METRICS: &str = "metrics.jsonl";
const LOG: &str = "log.txt";
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
    /// From the latest good checkpoint, or from the beginning where there never was one.
    Auto,
    /// From the beginning, in the folder of a run none of whose checkpoints loads any more. What is there is set aside.
    Restart,
    /// From this checkpoint: a step folder's path, or a name in the run's `checkpoints/` (`step_000020000`, `latest`,
    /// `best`). A folder called `auto`, `never` or `restart` is named as `./auto`.
    From(PathBuf),
}

impl FromStr for Resume {
    type Err = ParseResumeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "" => Err(ParseResumeError),
            "never" => Ok(Self::Never),
            "auto" => Ok(Self::Auto),
            "restart" => Ok(Self::Restart),
            checkpoint => Ok(Self::From(checkpoint.into())),
        }
    }
}

/// The value of `--resume` is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("--resume needs `auto`, `never`, `restart`, or a checkpoint such as step_000020000")]
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
    lock: Arc<FolderLock>,
    /// The resolved settings, for the file that keeps them.
    resolved_scene: Option<String>,
}

/// Whether a run's folder is still its own: for whoever writes into it while the run goes on.
#[derive(Resource, Clone, Debug)]
pub struct FolderGuard {
    path: PathBuf,
    lock: Arc<FolderLock>,
}

impl FolderGuard {
    /// Whether the lock is still there, and still this process's.
    ///
    /// # Errors
    /// [`RunFolderError::Gone`] and [`RunFolderError::TakenOver`].
    pub fn check(&self) -> Result<(), RunFolderError> {
        self.lock.check().map_err(|lost| match lost {
            Lost::Gone => RunFolderError::Gone {
                path: self.path.clone(),
            },
            Lost::TakenOver(holder) => RunFolderError::TakenOver {
                path: self.path.clone(),
                holder,
            },
        })
    }
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
    /// Where what an earlier start left is now, of a run that starts over.
    pub set_aside: Vec<PathBuf>,
}

impl Opened {
    /// What there is to warn of, a line each.
    pub fn warnings(&self) -> impl Iterator<Item = String> + '_ {
        let skipped = self.skipped.iter().map(|skipped| {
            let (path, reason) = (skipped.path.display(), &skipped.reason);
            format!("warning: {path} was skipped: {reason}")
        });
        let set_aside = self.set_aside.iter().map(|place| {
            format!(
                "warning: the run starts over, as it has no checkpoint to go on from; what an earlier start left is kept in {}",
                place.display()
            )
        });
        skipped.chain(set_aside)
    }
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
    /// Opens or makes the folder of a run with the settings `resolved_scene`, which a run that begins finds in its `scene.ron`. One
    /// that goes on keeps the file as it is until [`keep_scene`](Self::keep_scene).
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
        let compare = |run: &Path| compare_scenes(run, resolved_scene, &differences);
        let scene = Some(resolved_scene.to_owned());
        Self::open_on(&mut RealDisk, path.as_ref(), resume, scene, &compare)
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
        Self::open_on(&mut RealDisk, path.as_ref(), &resume, None, &|_| Ok(()))
    }

    /// The same on a disk that may fail.
    fn open_on(
        disk: &mut dyn Disk,
        path: &Path,
        resume: &Resume,
        resolved_scene: Option<String>,
        compare: &dyn Fn(&Path) -> Result<(), RunFolderError>,
    ) -> Result<Opened, RunFolderError> {
        refuse_links(path)?;
        let has_scene = resolved_scene.is_some();
        let checkpoints = path.join(CHECKPOINTS);
        let mut skipped = Vec::new();
        let mut set_aside = Vec::new();
        let (lock, start) = match resume {
            Resume::Never => {
                refuse_unless_empty(path)?;
                let lock = claim(disk, path)?;
                refuse_unless_empty(path)?;
                (lock, Start::Fresh)
            }
            Resume::Auto => {
                refuse_strangers(path, has_scene)?;
                let lock = claim(disk, path)?;
                compare(path)?;
                let start = latest_or_fresh(path, &mut skipped)?;
                if matches!(start, Start::Fresh) {
                    set_aside.extend(aside(disk, path, METRICS)?);
                }
                (lock, start)
            }
            Resume::Restart => {
                refuse_strangers(path, has_scene)?;
                let lock = claim(disk, path)?;
                compare(path)?;
                if let Some((checkpoint, _)) = latest_good(&checkpoints)?.found {
                    let name = checkpoint.file_name().unwrap_or_default();
                    return Err(RunFolderError::StillLoads {
                        path: path.to_path_buf(),
                        checkpoint: name.to_string_lossy().into_owned(),
                    });
                }
                // The checkpoints last: until they are aside, the run is one that has lost them.
                for name in [METRICS, CHECKPOINTS] {
                    set_aside.extend(aside(disk, path, name)?);
                }
                (lock, Start::Fresh)
            }
            Resume::From(asked) => {
                refuse_strangers(path, has_scene)?;
                let checkpoint = locate(path, asked)?;
                let (lock, snapshot) = match own_name(path, &checkpoint) {
                    Some(name) => {
                        let lock = claim(disk, path)?;
                        compare(path)?;
                        let snapshot = load(&checkpoint)?;
                        point(disk, &checkpoints, LATEST, &name)?;
                        (lock, snapshot)
                    }
                    None => {
                        refuse_another_run(path, &checkpoint)?;
                        if let Some(run) = run_of(&checkpoint) {
                            compare(run)?;
                        }
                        let snapshot = load(&checkpoint)?;
                        let lock = claim(disk, path)?;
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
                )
            }
        };
        if lock.is_certain() {
            sweep(disk, path)
                .map_err(RunFolderError::io("clear what a dead process left", path))?;
            // A run that has taken all of its steps writes no checkpoint more, which would clear them.
            tidy(disk, &checkpoints)?;
        }
        let folder = RunFolder {
            path: path.to_path_buf(),
            lock: Arc::new(lock),
            resolved_scene,
        };
        let begins = matches!(start, Start::Fresh);
        if begins || fs::symlink_metadata(folder.scene()).is_err() {
            folder.keep_scene_on(disk)?;
        }
        Ok(Opened {
            folder,
            start,
            skipped,
            set_aside,
        })
    }

    /// Writes the resolved settings into `scene.ron`: for a run that goes on, once it is known that it does.
    ///
    /// # Errors
    /// When the file cannot be written; the former one is then as it was.
    pub fn keep_scene(&self) -> Result<(), RunFolderError> {
        self.keep_scene_on(&mut RealDisk)
    }

    fn keep_scene_on(&self, disk: &mut dyn Disk) -> Result<(), RunFolderError> {
        let Some(scene) = &self.resolved_scene else {
            return Ok(());
        };
        let scene = scene.as_bytes();
        let mut there = Vec::new();
        let read = open_plain(&self.scene()).and_then(|mut file| file.read_to_end(&mut there));
        if read.is_ok() && there == scene {
            return Ok(());
        }
        replace_file(disk, &self.path, SCENE, scene)
            .map_err(RunFolderError::io("write scene.ron", &self.path))
    }

    /// Looks after the folder while the run goes on.
    pub fn guard(&self) -> FolderGuard {
        FolderGuard {
            path: self.path.clone(),
            lock: self.lock.clone(),
        }
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
        self.path.join(MANIFEST)
    }

    /// `metrics.jsonl`: an object for each report.
    pub fn metrics(&self) -> PathBuf {
        self.path.join(METRICS)
    }

    /// `log.txt`: what the run showed on the terminal.
    pub fn log(&self) -> PathBuf {
        self.path.join(LOG)
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
    [SCENE, MANIFEST, CHECKPOINTS, LOG, "scores.json"].contains(&name)
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
    let begun = [SCENE, MANIFEST, CHECKPOINTS, METRICS, LOG];
    let of_a_beginning =
        |name: &String| begun.contains(&&**name) || name.starts_with("events.out.tfevents");
    let no_report = !has_reports(path);
    // The lock of a writer that never wrote is no checkpoint.
    let no_checkpoint = contents(&path.join(CHECKPOINTS)).is_ok_and(|names| names.is_empty());
    names.iter().any(|name| name == SCENE)
        && names.iter().all(of_a_beginning)
        && no_report
        && no_checkpoint
}

/// Whether there is a line in its file of metrics.
fn has_reports(path: &Path) -> bool {
    fs::symlink_metadata(path.join(METRICS)).is_ok_and(|file| file.len() > 0)
}

/// Refuses links in place of what a run reads or writes by its name.
fn refuse_links(path: &Path) -> Result<(), RunFolderError> {
    let names = [
        LOCK,
        SCENE,
        MANIFEST,
        METRICS,
        LOG,
        CHECKPOINTS,
        "scores.json",
    ];
    let mut paths = names.iter().map(|name| path.join(name));
    match paths.find(|path| link_is_at(path)) {
        Some(path) => Err(RunFolderError::Link { path }),
        None => Ok(()),
    }
}

/// Gives what an earlier start left another name, with a number, in the same folder; the new path, where there was anything in it.
fn aside(
    disk: &mut dyn Disk,
    folder: &Path,
    name: &str,
) -> Result<Option<PathBuf>, RunFolderError> {
    let path = folder.join(name);
    let is_something = match name {
        METRICS => has_reports(folder),
        _ => !contents(&path)?.is_empty(),
    };
    if !is_something {
        return Ok(None);
    }
    let (stem, ending) = name
        .split_once('.')
        .map_or((name, String::new()), |(stem, ending)| {
            (stem, format!(".{ending}"))
        });
    let mut places = (1_u64..).map(|number| folder.join(format!("{stem}.{number}{ending}")));
    let Some(place) = places.find(|place| fs::symlink_metadata(place).is_err()) else {
        return Ok(None);
    };
    disk.rename(&path, &place)
        .and_then(|()| disk.sync_folder(folder))
        .map_err(RunFolderError::io(
            "set aside what an earlier start left",
            &path,
        ))?;
    Ok(Some(place))
}

fn refuse_strangers(path: &Path, has_scene: bool) -> Result<(), RunFolderError> {
    let names = contents(path)?;
    if names.iter().any(|name| name == SCENE) {
        return Ok(());
    }
    // Its settings are lost, unless it never had anything to show for them.
    let has_checkpoints = contents(&path.join(CHECKPOINTS)).is_ok_and(|names| !names.is_empty());
    let is_a_run = names.iter().all(|name| is_ours(name)) && (has_checkpoints || has_reports(path));
    if is_a_run && has_scene {
        return Err(RunFolderError::SceneMissing {
            path: path.to_path_buf(),
        });
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

fn claim(disk: &mut dyn Disk, path: &Path) -> Result<FolderLock, RunFolderError> {
    create_folders(disk, path).map_err(|error| match error.kind() {
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

/// The run's folder around a checkpoint that lies in one.
fn run_of(checkpoint: &Path) -> Option<&Path> {
    let checkpoints = checkpoint.parent()?;
    let run = checkpoints.parent()?;
    (checkpoints.ends_with(CHECKPOINTS) || run.join(SCENE).exists()).then_some(run)
}

/// Refuses settings that differ from those of the run in `run`. A folder without any is refused before, unless it holds no run yet.
fn compare_scenes(
    run: &Path,
    resolved_scene: &str,
    differences: &impl Fn(&str) -> Result<Vec<String>, String>,
) -> Result<(), RunFolderError> {
    const LIMIT: u64 = 16 << 20;
    let path = &run.join(SCENE);
    let unreadable = |why: String| RunFolderError::SceneUnreadable {
        path: path.clone(),
        why,
    };
    let mut former = String::new();
    match open_plain(path).and_then(|file| file.take(LIMIT).read_to_string(&mut former)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return refuse_strangers(run, true);
        }
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
        path: path.clone(),
        differences,
    })
}

/// The latest checkpoint that loads, or the beginning for a run that never had one. A run that has lost all of them does not silently
/// start over.
fn latest_or_fresh(path: &Path, skipped: &mut Vec<Skipped>) -> Result<Start, RunFolderError> {
    let checkpoints = path.join(CHECKPOINTS);
    let mut latest = latest_good(&checkpoints)?;
    if let Some((checkpoint, snapshot)) = latest.found {
        skipped.append(&mut latest.skipped);
        return Ok(Start::Resumed {
            checkpoint,
            snapshot,
        });
    }
    // A disk that does not answer now may have a good checkpoint.
    let unreachable = |skipped: &Skipped| matches!(skipped.reason, CheckpointError::Io { .. });
    if let Some(at) = latest.skipped.iter().position(unreachable) {
        return Err(latest.skipped.swap_remove(at).reason.into());
    }
    let had_some = fs::symlink_metadata(checkpoints.join(SAVED)).is_ok();
    // The folder is made before the first report, and a run without it has none to lose.
    let folder_is_gone = has_reports(path) && fs::symlink_metadata(&checkpoints).is_err();
    if !latest.skipped.is_empty() || had_some || folder_is_gone {
        return Err(RunFolderError::NothingLoads {
            path: path.to_path_buf(),
            reported: last_reported(path),
            skipped: latest.skipped,
        });
    }
    Ok(Start::Fresh)
}

/// The step of the last whole line of metrics.
fn last_reported(path: &Path) -> Option<u64> {
    #[derive(serde::Deserialize)]
    struct Line {
        step: u64,
    }
    let mut text = String::new();
    let mut file = open_plain(&path.join(METRICS)).ok()?;
    file.read_to_string(&mut text).ok()?;
    let mut lines = text.lines().rev();
    lines.find_map(|line| Some(serde_json::from_str::<Line>(line).ok()?.step))
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
