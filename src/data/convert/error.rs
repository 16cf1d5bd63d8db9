//! Why nothing was converted.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::data::LoadError;
use crate::data::hdf5::FileError;

/// Why nothing was converted.
#[derive(Debug, Error)]
pub enum ConvertError {
    /// The file to convert.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The new file.
    #[error(transparent)]
    Write(#[from] FileError),
    /// Something is where the new file would.
    #[error("{}: there is something already; choose another name, or give --force to replace it", .path.display())]
    Exists {
        /// The place.
        path: PathBuf,
    },
    /// A folder with other things in it is where the new file would.
    #[error(
        "{}: --force replaces a file or a Minari dataset, and this folder holds `{}`, which is neither; choose another name",
        .path.display(), .holds.display()
    )]
    NotADataset {
        /// The place.
        path: PathBuf,
        /// What is no part of a dataset.
        holds: PathBuf,
    },
    /// A device, a pipe or a socket is where the new file would.
    #[error("{}: it is a device or a pipe, which is not replaced: name a file", .path.display())]
    Special {
        /// The place.
        path: PathBuf,
    },
    /// The place cannot be written.
    #[error("{}: it cannot be written; check that its folder exists and may be written to", .path.display())]
    Io {
        /// The place.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// A folder's name that is no dataset's name to Minari.
    #[error(
        "{}: Minari's names end in a version and have letters, digits, `_` and `-` before it; name the folder such as `{suggestion}`",
        .path.display()
    )]
    Name {
        /// The place.
        path: PathBuf,
        /// A name that would do.
        suggestion: String,
    },
    /// An environment whose actions are others.
    #[error(
        "{environment} has actions of {expected} elements, and those of the data have {found}; name the data's own environment"
    )]
    OtherActions {
        /// The environment.
        environment: String,
        /// Elements of its actions.
        expected: usize,
        /// Elements of the data's.
        found: usize,
    },
    /// An environment whose actions are of another kind, or fewer.
    #[error(
        "{environment} has {expected}, and the data have {found}; name the data's own environment"
    )]
    OtherKind {
        /// The environment.
        environment: String,
        /// Its actions.
        expected: String,
        /// The data's.
        found: String,
    },
    /// Rewards or ends that were never recorded, for which the new file would have zeros.
    #[error("{}: the file has no {missing}, and what is written has them: zeros in their place would look like recorded ones; write them into the file first", .file.display())]
    NotRecorded {
        /// The file.
        file: PathBuf,
        /// What is missing.
        missing: &'static str,
    },
    /// Actions that are one choice a step, which robomimic does not know.
    #[error(
        "an action is one of {discrete_actions} discrete actions, which robomimic does not have: it reads actions as [steps, elements] and its policies \
         give numbers from -1 to 1; convert to d4rl or minari"
    )]
    DiscreteActions {
        /// How many discrete actions there are.
        discrete_actions: usize,
    },
    /// Environments of which no layout keeps both.
    #[error(
        "{environment}: observations with names or in pictures are recorded in robomimic's layout, which has no discrete actions; wrap the \
         environment so that it shows one vector, or takes real numbers"
    )]
    Unrecordable {
        /// The environment.
        environment: String,
    },
    /// An episode that T + 1 observations cannot hold.
    #[error(
        "episode {episode}, row {row}: its next observation is not the observation of row {}, and Minari keeps one \
         observation for both; convert to robomimic or d4rl, which keep the two apart",
        row + 1
    )]
    DoesNotFollow {
        /// The episode, from 0.
        episode: usize,
        /// The row within the data, from 0.
        row: usize,
    },
    /// The new file does not read as what was written.
    #[error(
        "{}: what was written reads back differently ({what}), and it was thrown away; please report this, with the file that was read",
        .path.display()
    )]
    Differs {
        /// The place.
        path: PathBuf,
        /// What differs first.
        what: String,
    },
}
