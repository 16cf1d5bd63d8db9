//! What can go wrong with a checkpoint, each with its place and its remedy.

use std::io;
use std::path::{Path, PathBuf};

/// Why a checkpoint could not be gathered, written, read or restored.
///
/// A message names the checkpoint, the file and the tensor or key, and says what to do; the operating system's or the
/// parser's own words are the [`source`](std::error::Error::source).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
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
    /// A tensor file's name that is not safe as a file name everywhere.
    #[error(
        "{file:?} cannot name a tensor file: use 1 to 100 letters, digits, `_`, `-` and `.`, the first a letter or a digit"
    )]
    BadFileName {
        /// The refused name.
        file: String,
    },
    /// `__metadata__` is what safetensors calls its own notes.
    #[error(
        "{file}: a tensor cannot be called `__metadata__`, safetensors keeps that name for itself; choose another"
    )]
    BadTensorName {
        /// The tensor file.
        file: String,
    },
    /// The values given for a tensor do not fill its shape.
    #[error(
        "{checkpoint}: tensor `{tensor}` of `{file}` was given {values} values for shape {shape:?}; give as many as the shape's product"
    )]
    ShapeNotFilled {
        /// The snapshot that was being gathered.
        checkpoint: String,
        /// The tensor file.
        file: String,
        /// The tensor.
        tensor: String,
        /// The shape given.
        shape: Vec<usize>,
        /// How many values were given.
        values: usize,
    },
    /// Two parts of the program saved under one name, so one of them would be lost.
    #[error("{checkpoint}: {what} was put twice; give each part that persists a name of its own")]
    PutTwice {
        /// The snapshot that was being gathered.
        checkpoint: String,
        /// The tensor or key.
        what: String,
    },
    /// What was gathered has a value that is not finite: the run has diverged, and the checkpoints before it are better.
    #[error(
        "{checkpoint}: tensor `{tensor}` of `{file}` holds {value} at {index}: training has diverged, and this is not saved; the checkpoints before it are kept. Lower the learning rate, set `max_gradient_norm` or `value_bounds`, or look at the data with `yarak data check`{}",
        suspects.as_ref().map_or(String::new(), |it| format!("\n{it}"))
    )]
    NotFinite {
        /// The snapshot that was being gathered.
        checkpoint: String,
        /// The tensor file: the network.
        file: String,
        /// The tensor.
        tensor: String,
        /// Which of its values, row-major.
        index: usize,
        /// The value.
        value: f32,
        /// What in the last batch may be the cause, where that shows.
        suspects: Option<String>,
    },
    /// Somebody has deleted the folder, or the lock in it, while the run was going on.
    #[error("{}: this was deleted while the run went on, which has ended with that; what was in memory is saved there again, so see that it is not deleted a second time, and go on with `--resume auto`", folder.display())]
    Gone {
        /// The folder.
        folder: PathBuf,
    },
    /// Somebody else has taken the folder over, on a file system that has no locks.
    #[error("{}: {holder} has begun to write here, on a file system without locks; this run has ended and has written nothing since: stop one of the two, or choose another folder with --run", folder.display())]
    TakenOver {
        /// The folder.
        folder: PathBuf,
        /// The other process, as far as it is known.
        holder: String,
    },
    /// A tensor file holds more, or more tensors, than a reader would accept.
    #[error(
        "{checkpoint}: {what} takes {bytes} bytes, and at most {limit} are read back; split it over several files"
    )]
    TooLarge {
        /// The checkpoint.
        checkpoint: String,
        /// What is too large.
        what: String,
        /// Its size in bytes.
        bytes: u64,
        /// The largest size that is read, in bytes.
        limit: u64,
    },
    /// A run with another number of environments.
    #[error(
        "the checkpoint has {found} environment(s) in `{key}`, and the run {expected}; resume it with the scene that it was saved by"
    )]
    OtherEnvironments {
        /// The state's key.
        key: String,
        /// Environments in the checkpoint.
        found: usize,
        /// Environments in the run.
        expected: usize,
    },
    /// A part of the run refused what was saved of it.
    #[error("{what} cannot be restored; resume the run with the scene that it was saved by")]
    Refused {
        /// The part.
        what: String,
        /// Its own words.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The checkpoint has no such tensor file.
    #[error(
        "{checkpoint}: no tensor file `{file}` (it has {}); was it saved by a run of another scene?",
        list(present)
    )]
    MissingFile {
        /// The checkpoint.
        checkpoint: String,
        /// The tensor file asked for.
        file: String,
        /// The tensor files that it has.
        present: Vec<String>,
    },
    /// The tensor file has no such tensor.
    #[error(
        "{checkpoint}: `{file}` has no tensor `{tensor}` (it has {}); was it saved by a run of another scene?",
        list(present)
    )]
    MissingTensor {
        /// The checkpoint.
        checkpoint: String,
        /// The tensor file.
        file: String,
        /// The tensor asked for.
        tensor: String,
        /// The tensors that it has.
        present: Vec<String>,
    },
    /// The tensor has another shape than the network that it is for.
    #[error(
        "{checkpoint}: tensor `{tensor}` of `{file}` has shape {found:?} where {expected:?} is expected; set the network's layers as they were when it was saved"
    )]
    WrongShape {
        /// The checkpoint.
        checkpoint: String,
        /// The tensor file.
        file: String,
        /// The tensor.
        tensor: String,
        /// The shape asked for.
        expected: Vec<usize>,
        /// The shape saved.
        found: Vec<usize>,
    },
    /// The checkpoint has no state under this key.
    #[error(
        "{checkpoint}: no state `{key}` (it has {}); was it saved by a run of another scene?",
        list(present)
    )]
    MissingState {
        /// The checkpoint.
        checkpoint: String,
        /// The key asked for.
        key: String,
        /// The keys that it has.
        present: Vec<String>,
    },
    /// The state under this key is of another type.
    #[error(
        "{checkpoint}: state `{key}` is not a `{expected}`; load it with the version of yarak that saved it"
    )]
    WrongState {
        /// The checkpoint.
        checkpoint: String,
        /// The key.
        key: String,
        /// The Rust type asked for.
        expected: &'static str,
        /// Where and how the text differs.
        source: Box<ron::error::SpannedError>,
    },
    /// A value that RON cannot express.
    #[error(
        "{checkpoint}: state `{key}` cannot be written as RON; keep to structs, enums, maps, lists and numbers"
    )]
    UnwritableState {
        /// The snapshot that was being gathered.
        checkpoint: String,
        /// The key.
        key: String,
        /// The serializer's words.
        source: Box<ron::Error>,
    },
    /// The folder is not a finished checkpoint.
    #[error(
        "{}: not a checkpoint: there is no file `checksums.ron` in it; name a folder like checkpoints/step_000020000", folder.display()
    )]
    NotACheckpoint {
        /// The folder.
        folder: PathBuf,
    },
    /// A later yarak wrote it.
    #[error("{}: the checkpoint has format {found}, and this yarak reads {known}; load it with a newer yarak", folder.display())]
    NewerFormat {
        /// The checkpoint.
        folder: PathBuf,
        /// Its format.
        found: u32,
        /// The format that this program reads.
        known: u32,
    },
    /// The checkpoint's bytes are not those that were written.
    #[error("{}: `{file}` is damaged: {what}; resume from another checkpoint of the run", folder.display())]
    Damaged {
        /// The checkpoint.
        folder: PathBuf,
        /// The file in it.
        file: String,
        /// What is wrong with it.
        what: String,
    },
    /// What was saved is sound and does not fit this run.
    #[error(
        "{place}: {what}; go on with the scene that it was saved by, or from another checkpoint"
    )]
    Unusable {
        /// The file or the part of the run.
        place: String,
        /// What does not fit.
        what: String,
    },
    /// `keep: 0` would delete every checkpoint.
    #[error("{}: keeping 0 checkpoints would leave none to resume from; keep 1 or more", folder.display())]
    KeepsNothing {
        /// The checkpoints' folder.
        folder: PathBuf,
    },
    /// Somebody else writes checkpoints into this folder.
    #[error("{}: {holder} already writes checkpoints here; wait for it, stop it, or choose another folder with --run", folder.display())]
    InUse {
        /// The checkpoints' folder.
        folder: PathBuf,
        /// The other process, as far as it is known.
        holder: String,
    },
    /// The thread that writes checkpoints ended before its time.
    #[error("{}: the thread that writes checkpoints has died, which is a fault in yarak; resume from the last checkpoint and report it", folder.display())]
    WriterDied {
        /// The checkpoints' folder.
        folder: PathBuf,
    },
}

impl CheckpointError {
    /// Whether the user's input was wrong (exit status 2) rather than the system or the program (exit status 1).
    pub fn is_users_mistake(&self) -> bool {
        match self {
            Self::MissingFile { .. }
            | Self::MissingTensor { .. }
            | Self::WrongShape { .. }
            | Self::MissingState { .. }
            | Self::WrongState { .. }
            | Self::NotACheckpoint { .. }
            | Self::NewerFormat { .. }
            | Self::Damaged { .. }
            | Self::Unusable { .. }
            | Self::KeepsNothing { .. }
            | Self::InUse { .. }
            | Self::OtherEnvironments { .. }
            | Self::Refused { .. } => true,
            Self::Io { .. }
            | Self::BadFileName { .. }
            | Self::BadTensorName { .. }
            | Self::ShapeNotFilled { .. }
            | Self::PutTwice { .. }
            | Self::TooLarge { .. }
            | Self::UnwritableState { .. }
            | Self::NotFinite { .. }
            | Self::Gone { .. }
            | Self::TakenOver { .. }
            | Self::WriterDied { .. } => false,
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

    /// What a resource found in a checkpoint and cannot take over; `place` is the file or the part of the run.
    pub fn unusable(place: &str, what: impl ToString) -> Self {
        Self::Unusable {
            place: place.to_owned(),
            what: what.to_string(),
        }
    }

    /// A file of the checkpoint whose bytes are wrong.
    pub(super) fn damaged(folder: &Path, file: &str, what: impl ToString) -> Self {
        Self::Damaged {
            folder: folder.to_path_buf(),
            file: file.to_owned(),
            what: what.to_string(),
        }
    }
}

/// The first few names, so that a message about a large network stays one that can be read.
fn list(names: &[String]) -> String {
    const SHOWN: usize = 8;
    if names.is_empty() {
        return "none".to_owned();
    }
    let mut text = names
        .iter()
        .take(SHOWN)
        .map(|name| format!("`{name}`"))
        .collect::<Vec<_>>()
        .join(", ");
    if names.len() > SHOWN {
        text += &format!(" and {} more", names.len() - SHOWN);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_about_a_large_file_lists_only_a_few_names() {
        let names: Vec<String> = (0..100).map(|index| format!("layer_{index}")).collect();
        let text = list(&names);
        assert!(
            text.starts_with("`layer_0`, `layer_1`") && text.ends_with("and 92 more"),
            "{text}"
        );
    }

    #[test]
    fn the_systems_failure_is_not_the_users_mistake() {
        let error = CheckpointError::io("write the file", Path::new("a"))(
            io::ErrorKind::StorageFull.into(),
        );
        assert!(!error.is_users_mistake());
        assert!(CheckpointError::damaged(Path::new("a"), "b", "c").is_users_mistake());
    }
}
