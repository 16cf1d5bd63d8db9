//! The folder of a sweep: what is in it, and where its trials' runs lie.
//!
//! ```text
//! sweep.ron        the sweep, as its file was
//! scene.ron        the scene with what the sweep sets in all trials
//! trials.json      the settings of each trial; written last, so that a folder with it is whole
//! trials/003/      trial number 3
//!   progress.json  what it came to at the end of each round, and what went wrong
//!   seed_0/        a run; so are fork_2/seed_0/ and the like, of `Pbt`
//! ```

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use super::file::SweepFile;
use super::progress::Progress;
use super::space::Setting;
use crate::checkpoint::{FolderLock, NotLocked, open_plain, replace_whole, write_whole};
use crate::scene::Problems;

const SWEEP: &str = "sweep.ron";
const SCENE: &str = "scene.ron";
const TRIALS: &str = "trials.json";
const PROGRESS: &str = "progress.json";

/// Bytes of one of these files that are read at most.
const LIMIT: u64 = 64 << 20;

/// A sweep's folder.
#[derive(Clone, Debug)]
pub(crate) struct SweepFolder(PathBuf);

/// Why a sweep's folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SweepError {
    /// There is something in the place of a new folder.
    #[error("{}: there is something already; choose another folder with --dir DIR, or go on with the sweep in it: yarak sweep run {}", .0.display(), .0.display())]
    Taken(PathBuf),
    /// It is not a sweep's folder.
    #[error("{}: there is no sweep in it; make one with `yarak sweep new SWEEP.ron`", .0.display())]
    NoSweep(PathBuf),
    /// One of its files is not what was written there.
    #[error("{}: {what}; put the file back from a copy, or make the sweep anew in another folder", path.display())]
    Damaged { path: PathBuf, what: String },
    /// The copy of the sweep's file has mistakes.
    #[error("{0}")]
    Problems(Problems),
    /// Another process is at it.
    #[error("{}: {holder} is at it; wait for it, or stop it", path.display())]
    InUse { path: PathBuf, holder: String },
    /// The operating system refused.
    #[error("{}: could not {action}; check that the disk has room and that this user may read and write there", path.display())]
    Io {
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
}

impl SweepError {
    /// Whether the user's input was wrong rather than the system.
    pub fn is_users_mistake(&self) -> bool {
        !matches!(self, Self::Io { .. })
    }

    fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io {
            action,
            path: path.to_path_buf(),
            source,
        }
    }
}

impl SweepFolder {
    /// Makes the folder of a new sweep.
    ///
    /// # Errors
    /// There is something already, or the disk refuses.
    pub fn make(
        path: &Path,
        sweep: &str,
        scene: &str,
        trials: &[Vec<Setting>],
    ) -> Result<Self, SweepError> {
        let folder = Self(path.to_path_buf());
        // What was begun and has no list of trials yet is nothing to lose.
        let is_begun = |name: &str| [SWEEP, SCENE].contains(&name);
        let mut names = fs::read_dir(path).into_iter().flatten().flatten();
        let is_taken = names.any(|entry| !is_begun(&entry.file_name().to_string_lossy()));
        if is_taken || fs::symlink_metadata(path).is_ok_and(|there| !there.is_dir()) {
            return Err(SweepError::Taken(path.to_path_buf()));
        }
        fs::create_dir_all(path).map_err(SweepError::io("make the folder", path))?;
        let listed = serde_json::json!({ "trials": trials });
        let listed = format!("{listed:#}\n");
        for (name, text) in [(SWEEP, sweep), (SCENE, scene), (TRIALS, &listed)] {
            let file = path.join(name);
            write_whole(&file, name != TRIALS, |out| out.write_all(text.as_bytes()))
                .map_err(SweepError::io("write the file", &file))?;
        }
        Ok(folder)
    }

    /// A folder that is there.
    ///
    /// # Errors
    /// There is no sweep in it.
    pub fn open(path: &Path) -> Result<Self, SweepError> {
        match open_plain(&path.join(TRIALS)) {
            Ok(_) => Ok(Self(path.to_path_buf())),
            Err(_) => Err(SweepError::NoSweep(path.to_path_buf())),
        }
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The scene of all trials.
    pub fn scene(&self) -> PathBuf {
        self.0.join(SCENE)
    }

    /// The sweep.
    ///
    /// # Errors
    /// It cannot be read any more.
    pub fn sweep(&self) -> Result<SweepFile, SweepError> {
        SweepFile::read(&self.0.join(SWEEP)).map_err(SweepError::Problems)
    }

    /// The settings of each trial.
    ///
    /// # Errors
    /// They cannot be read any more.
    pub fn trials(&self) -> Result<Vec<Vec<Setting>>, SweepError> {
        #[derive(serde::Deserialize)]
        struct Listed {
            trials: Vec<Vec<Setting>>,
        }
        let path = self.0.join(TRIALS);
        let listed: Option<Listed> = read_json(&path)?;
        Ok(listed
            .ok_or_else(|| SweepError::NoSweep(self.0.clone()))?
            .trials)
    }

    /// The folder of a trial in the sweep's.
    pub fn name_of(trial: usize) -> PathBuf {
        Path::new("trials").join(format!("{trial:03}"))
    }

    /// What the processes of a trial that a driver of this machine started have said.
    pub fn log_of(&self, trial: usize) -> PathBuf {
        self.0.join(Self::name_of(trial)).join("log.txt")
    }

    /// How far a trial is.
    ///
    /// # Errors
    /// Its file cannot be read.
    pub fn progress(&self, trial: usize) -> Result<Progress, SweepError> {
        let path = self.0.join(Self::name_of(trial)).join(PROGRESS);
        Ok(read_json(&path)?.unwrap_or_default())
    }

    /// Keeps how far a trial is. Only who holds it may.
    ///
    /// # Errors
    /// The disk refuses; the file is then as it was.
    pub fn keep(&self, trial: usize, progress: &Progress) -> Result<(), SweepError> {
        let path = self.0.join(Self::name_of(trial)).join(PROGRESS);
        let text = serde_json::to_string_pretty(progress).map_err(|error| SweepError::Damaged {
            path: path.clone(),
            what: error.to_string(),
        })?;
        replace_whole(&path, format!("{text}\n").as_bytes())
            .map_err(SweepError::io("write the file", &path))
    }

    /// Keeps other processes from a trial until it is dropped.
    ///
    /// # Errors
    /// Another has it.
    pub fn hold_trial(&self, trial: usize) -> Result<FolderLock, SweepError> {
        let path = self.0.join(Self::name_of(trial));
        fs::create_dir_all(&path).map_err(SweepError::io("make the folder", &path))?;
        hold(&path)
    }

    /// Keeps other drivers from the sweep until it is dropped.
    ///
    /// # Errors
    /// Another has it.
    pub fn hold(&self) -> Result<FolderLock, SweepError> {
        hold(&self.0)
    }
}

fn hold(path: &Path) -> Result<FolderLock, SweepError> {
    FolderLock::take(path).map_err(|refused| match refused {
        NotLocked::Held(holder) => SweepError::InUse {
            path: path.to_path_buf(),
            holder,
        },
        NotLocked::Io(error) => SweepError::io("lock the folder", path)(error),
    })
}

/// What a file has; nothing where there is none.
fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, SweepError> {
    let mut text = String::new();
    match open_plain(path).and_then(|file| file.take(LIMIT).read_to_string(&mut text)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        read => read.map_err(SweepError::io("read the file", path))?,
    };
    match serde_json::from_str(&text) {
        Ok(value) => Ok(Some(value)),
        Err(error) => Err(SweepError::Damaged {
            path: path.to_path_buf(),
            what: error.to_string(),
        }),
    }
}
