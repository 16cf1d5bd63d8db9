//! Why a run cannot go into a folder, each with its remedy.

use std::io;
use std::path::{Path, PathBuf};

use super::plain_file::LINK;
use super::{CheckpointError, Skipped};

/// Why a run's folder was not opened. Nothing in it was overwritten.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunFolderError {
    /// There is something in the folder, and the run was not asked to go on from it.
    #[error("{}: the run's folder is not empty; go on from its last checkpoint with `--resume auto`, or choose another folder with `--run DIR`", path.display())]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// The folder holds something that no run has written.
    #[error("{}: not a run's folder: it has {stranger:?} and no scene.ron; choose another folder with `--run DIR`", path.display())]
    NotARun {
        /// The folder.
        path: PathBuf,
        /// One thing in it.
        stranger: String,
    },
    /// The path leads to a file.
    #[error("{}: a run needs a folder, and this is a file; choose another folder with `--run DIR`", path.display())]
    NotAFolder {
        /// The path.
        path: PathBuf,
    },
    /// Another process trains there.
    #[error("{}: {holder} is already training into this folder; wait for it, stop it, or choose another folder with `--run DIR`", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
        /// The other process, as far as it is known.
        holder: String,
    },
    /// The run was started with other settings.
    #[error("{}: the scene has changed since the run was started, in more than `steps`:\n  {}\nrestore these, or start another run with `--run DIR`", path.display(), differences.join("\n  "))]
    SceneChanged {
        /// The file with the settings that the run was started with.
        path: PathBuf,
        /// What has changed, a line each.
        differences: Vec<String>,
    },
    /// The settings that the run was started with cannot be compared.
    #[error("{}: the scene that the run was started with cannot be read: {why}; restore the file, or start another run with `--run DIR`", path.display())]
    SceneUnreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// What was named after `--resume` is no checkpoint.
    #[error("{}: no such checkpoint, neither as a path nor in {}; {}", asked.display(), checkpoints.display(), offer(available))]
    NoSuchCheckpoint {
        /// What was named.
        asked: PathBuf,
        /// Where it was looked for.
        checkpoints: PathBuf,
        /// The checkpoints that the run has.
        available: Vec<String>,
    },
    /// A checkpoint of one run was to be continued in the folder of another.
    #[error("{}: this folder holds a run already, and {} is not one of its step folders; choose an empty folder with `--run DIR`", path.display(), checkpoint.display())]
    HoldsAnotherRun {
        /// The run's folder.
        path: PathBuf,
        /// The checkpoint.
        checkpoint: PathBuf,
    },
    /// The run has had checkpoints, and none of them loads.
    #[error("{}: none of the run's checkpoints loads, so it cannot go on, and starting over would leave behind {}{}\nput the files back from a copy, or say `--resume restart` to start over: what is there is then set aside and not deleted", path.display(), what_there_is(*reported), why(skipped))]
    NothingLoads {
        /// The folder.
        path: PathBuf,
        /// The step of the last line in its `metrics.jsonl`, where it has one.
        reported: Option<u64>,
        /// Each checkpoint with what is wrong with it.
        skipped: Vec<Skipped>,
    },
    /// `--resume restart` where a checkpoint loads.
    #[error("{}: the run can go on from {checkpoint}: say `--resume auto`; to start over, choose another folder with `--run DIR`", path.display())]
    StillLoads {
        /// The folder.
        path: PathBuf,
        /// The checkpoint's name.
        checkpoint: String,
    },
    /// The settings that the run was started with are lost.
    #[error("{}: there is a run in this folder, and its scene.ron is gone, so nobody knows whether it was started with these settings; put scene.ron back, or start another run with `--run DIR`", path.display())]
    SceneMissing {
        /// The folder.
        path: PathBuf,
    },
    /// A link in place of one of the run's own files.
    #[error("{}: {LINK}: neither to read nor to write; put what it names in its place, or remove it", path.display())]
    Link {
        /// The link.
        path: PathBuf,
    },
    /// The folder was deleted under the run.
    #[error("{}: this run's folder, or the lock in it, was deleted while the run was training, which has ended with that", path.display())]
    Gone {
        /// The folder.
        path: PathBuf,
    },
    /// Another process trains there as well, on a file system without locks.
    #[error("{}: {holder} has begun to train into this folder, on a file system without locks; this run has ended and has written nothing since: stop one of the two, or choose another folder with `--run DIR`", path.display())]
    TakenOver {
        /// The folder.
        path: PathBuf,
        /// The other process, as far as it is known.
        holder: String,
    },
    /// The checkpoint does not load.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The operating system refused.
    #[error("{}: could not {action}; check that the disk has room and that this user may read and write there", path.display())]
    Io {
        /// What was tried, as a verb with its object.
        action: &'static str,
        /// The file or folder it was tried on.
        path: PathBuf,
        /// The operating system's answer.
        source: io::Error,
    },
}

impl RunFolderError {
    /// Whether the user's input was wrong (exit status 2) rather than the system (exit status 1).
    pub fn is_users_mistake(&self) -> bool {
        match self {
            Self::Checkpoint(error) => error.is_users_mistake(),
            Self::Io { .. } | Self::Gone { .. } | Self::TakenOver { .. } => false,
            _ => true,
        }
    }

    /// Turns an I/O error into one that says what was tried on what.
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io {
            action,
            path: path.to_path_buf(),
            source,
        }
    }
}

/// What a restart would not go on from.
fn what_there_is(reported: Option<u64>) -> String {
    match reported {
        Some(step) => format!("the {step} steps that metrics.jsonl reports"),
        None => "all that it has learned".to_owned(),
    }
}

fn why(skipped: &[Skipped]) -> String {
    if skipped.is_empty() {
        return ": there are none any more, or its scene has no `Checkpoints`".to_owned();
    }
    let lines = skipped
        .iter()
        .map(|it| format!("\n  {}: {}", it.path.display(), it.reason));
    lines.collect()
}

fn offer(available: &[String]) -> String {
    match available {
        [] => "the run has none, so start it with `--resume never`".to_owned(),
        names => format!("the run has {}", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_not_empty_is_refused_with_both_remedies() {
        let message = RunFolderError::NotEmpty {
            path: "runs/a".into(),
        }
        .to_string();
        assert!(
            message.contains("--resume auto") && message.contains("--run "),
            "{message}"
        );
    }

    #[test]
    fn only_the_systems_refusals_are_not_the_users_mistakes() {
        let io = || io::Error::from(io::ErrorKind::PermissionDenied);
        assert!(!RunFolderError::io("list", Path::new("a"))(io()).is_users_mistake());
        assert!(
            !RunFolderError::Checkpoint(CheckpointError::io("read", Path::new("a"))(io()))
                .is_users_mistake()
        );
        let damaged = CheckpointError::damaged(Path::new("a"), "b", "c");
        assert!(RunFolderError::Checkpoint(damaged).is_users_mistake());
        assert!(RunFolderError::NotAFolder { path: "a".into() }.is_users_mistake());
    }
}
