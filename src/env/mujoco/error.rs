//! What can go wrong between here and MuJoCo, each with its remedy.

use std::fmt::Write as _;

use super::version::Version;

/// Why one library was not taken.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum LoadError {
    /// The system's loader refused.
    #[error("it does not load: {reason}")]
    NotLoaded {
        /// What the loader said.
        reason: String,
    },
    /// It lacks a function.
    #[error("it has no `{name}`: {reason}")]
    Symbol {
        /// The function.
        name: String,
        /// What the loader said.
        reason: String,
    },
    /// It does not say its version in three numbers.
    #[error("its version `{text}` is not three numbers")]
    Version {
        /// What it said.
        text: String,
    },
    /// Its functions are other ones.
    #[error("it is MuJoCo {version}; {} or newer is needed", Version::OLDEST)]
    TooOld {
        /// Its version.
        version: Version,
    },
    /// There is no library to load.
    #[error("{why}")]
    NotThere {
        /// In which way.
        why: String,
    },
}

impl LoadError {
    pub(super) fn not_loaded(error: &libloading::Error) -> Self {
        LoadError::NotLoaded {
            reason: reason(error),
        }
    }
}

/// What the loader of the system said, which is in the cause.
pub(super) fn reason(error: &libloading::Error) -> String {
    use std::error::Error;
    error
        .source()
        .map_or_else(|| error.to_string(), ToString::to_string)
}

/// A place where the library was looked for, and why it was not taken.
#[derive(Clone, Debug, PartialEq)]
pub struct Tried {
    /// A variable, a command or a path.
    pub place: String,
    /// What was found there.
    pub error: LoadError,
}

/// Why an environment of MuJoCo cannot be made.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum MujocoError {
    /// The library was not found, or none that was found loads.
    #[error(
        "MuJoCo's library is not there; tried{}\n  it comes with `{install}`; elsewhere, name the file in MUJOCO_LIB",
        list(tried)
    )]
    NoLibrary {
        /// Every place, in the order in which they were tried.
        tried: Vec<Tried>,
        /// The command that helps.
        install: String,
    },
    /// The library does not compile the model of the task.
    #[error(
        "MuJoCo {version} does not take yarak's model of {task}: {reason}; a version from 3.0 to 4.0 does"
    )]
    Model {
        /// The environment.
        task: String,
        /// The library's version.
        version: Version,
        /// What it said.
        reason: String,
    },
}

fn list(tried: &[Tried]) -> String {
    let mut lines = String::new();
    for Tried { place, error } in tried {
        let _ = write!(lines, "\n  {place}: {error}");
    }
    lines
}
