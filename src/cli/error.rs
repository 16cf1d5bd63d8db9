//! What a subcommand ends with when it does not do what was asked.

use std::error::Error;
use std::fmt;

use crate::checkpoint::{CheckpointError, RunFolderError};
use crate::scene::{Problem, Problems};
use crate::schedule::{Failure, with_causes};

/// A message for the user, and whose mistake it was.
#[derive(Debug)]
pub struct CliError {
    message: String,
    status: u8,
    is_of_the_moment: bool,
}

impl CliError {
    /// The user's input was wrong.
    pub fn input(message: impl fmt::Display) -> Self {
        CliError {
            message: format!("error: {message}"),
            status: 2,
            is_of_the_moment: false,
        }
    }

    /// The same, of what may be well again later, with nothing of the run's own changed.
    pub fn of_the_moment(message: impl fmt::Display) -> Self {
        CliError {
            is_of_the_moment: true,
            ..CliError::input(message)
        }
    }

    /// The same, in words that name its places.
    pub fn as_said(message: String) -> Self {
        CliError {
            message,
            status: 2,
            is_of_the_moment: false,
        }
    }

    /// Something went wrong on the way.
    pub fn failed(message: impl fmt::Display) -> Self {
        CliError {
            message: format!("error: {message}"),
            status: 1,
            is_of_the_moment: false,
        }
    }

    /// An error with its causes, and whose mistake it was.
    pub fn of(users_mistake: bool, error: &dyn Error) -> Self {
        let message = with_causes(error);
        if users_mistake {
            CliError::input(message)
        } else {
            CliError::failed(message)
        }
    }

    /// Whether it may be well again later, as it is nothing of the run's own.
    pub fn is_of_the_moment(&self) -> bool {
        self.is_of_the_moment
    }

    /// The exit status.
    pub fn status(&self) -> u8 {
        self.status
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<Problems> for CliError {
    fn from(problems: Problems) -> Self {
        // Each problem says `error:` at its own place.
        CliError::as_said(problems.to_string())
    }
}

impl From<Problem> for CliError {
    fn from(problem: Problem) -> Self {
        Problems::from(problem).into()
    }
}

impl From<Failure> for CliError {
    fn from(failure: Failure) -> Self {
        let status = failure.exit_status();
        CliError {
            message: format!("error: {failure}"),
            status,
            is_of_the_moment: false,
        }
    }
}

impl From<CheckpointError> for CliError {
    fn from(error: CheckpointError) -> Self {
        CliError::of(error.is_users_mistake(), &error)
    }
}

impl From<RunFolderError> for CliError {
    fn from(error: RunFolderError) -> Self {
        CliError::of(error.is_users_mistake(), &error)
    }
}
