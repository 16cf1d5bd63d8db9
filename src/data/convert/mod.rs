//! Rewriting a file of demonstrations in another layout: `yarak data convert IN OUT --to d4rl|robomimic|minari`.
//!
//! The new file is written beside its place, read back and compared with what was to be written, and only then moved
//! there: an interruption leaves nothing half-written, and what stood there before is replaced only where that was asked for.
//!
//! - [`d4rl`] and [`robomimic`] are single files; [`minari`] is a folder, as Minari keeps its datasets.

pub mod d4rl;
pub mod minari;
pub mod robomimic;

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::hdf5::FileError;
use super::{End, LoadError, Transitions, load};

/// A layout that files can be converted to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// One dataset per column at the top level.
    D4rl,
    /// A group per demonstration under `data/`.
    Robomimic,
    /// A folder with `data/main_data.hdf5` and `data/metadata.json`, as Minari 0.5 keeps it.
    Minari,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::D4rl => "D4RL",
            Self::Robomimic => "robomimic",
            Self::Minari => "Minari",
        })
    }
}

/// The environment that data are of, for layouts that name it.
#[derive(Clone, Debug, PartialEq)]
pub struct Origin {
    /// Its name, such as `Pendulum-v1`.
    pub environment: String,
    /// The least of each action element, `[action]`; infinite where there is no bound.
    pub action_low: Vec<f32>,
    /// The greatest of each action element, `[action]`.
    pub action_high: Vec<f32>,
}

/// What was written.
#[derive(Clone, Debug, PartialEq)]
pub struct Converted {
    /// The file or folder.
    pub path: PathBuf,
    /// Its layout.
    pub target: Target,
    /// How many episodes.
    pub episodes: usize,
    /// How many transitions.
    pub transitions: usize,
    /// What the new layout cannot say, or says in another way.
    pub notes: Vec<String>,
}

impl fmt::Display for Converted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{}: {} layout, {} episodes, {} transitions, read back and compared",
            self.path.display(),
            self.target,
            self.episodes,
            self.transitions
        )?;
        for note in &self.notes {
            writeln!(f, "  note: {note}")?;
        }
        Ok(())
    }
}

/// Why nothing was converted.
#[derive(Debug, Error)]
pub enum ConvertError {
    /// The file to convert.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The new file.
    #[error(transparent)]
    Write(#[from] FileError),
    /// Something stands where the new file would.
    #[error("{}: there is something already; choose another name, or give --force to replace it", .path.display())]
    Exists {
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
    /// Actions that are one choice a step, which are written as such nowhere yet.
    #[error(
        "an action is one of {choices} choices; only actions that are vectors of real numbers are converted"
    )]
    Choices {
        /// How many choices there are.
        choices: usize,
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
        what: &'static str,
    },
}

/// Writes transitions in another layout.
///
/// `force` replaces what stands at `to`. For Minari `to` is the dataset's folder, whose name is the dataset's.
///
/// # Errors
///
/// What stands at `to` already, a place that cannot be written, and transitions that the layout cannot hold.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let out = folder.path().join("copy.hdf5");
/// # let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/d4rl/contiguous.hdf5");
/// use yarak::data::convert::{Target, write};
///
/// let transitions = yarak::data::load(file)?;
/// let written = write(&transitions, &out, Target::Robomimic, None, false)?;
/// assert_eq!(written.transitions, transitions.len());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn write(
    transitions: &Transitions,
    to: &Path,
    target: Target,
    origin: Option<&Origin>,
    force: bool,
) -> Result<Converted, ConvertError> {
    let io = |source| ConvertError::Io {
        path: to.to_owned(),
        source,
    };
    if fs::symlink_metadata(to).is_ok() && !force {
        return Err(ConvertError::Exists {
            path: to.to_owned(),
        });
    }
    if let Some(origin) = origin
        && origin.action_low.len() != transitions.action().width
    {
        return Err(ConvertError::OtherActions {
            environment: origin.environment.clone(),
            expected: origin.action_low.len(),
            found: transitions.action().width,
        });
    }
    if let Some(choices) = transitions.choices() {
        return Err(ConvertError::Choices { choices });
    }
    let folder = match to.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let begun = tempfile::Builder::new()
        .prefix(".yarak-convert-")
        .tempdir_in(folder)
        .map_err(io)?;
    let fresh = begun.path().join(to.file_name().unwrap_or(to.as_os_str()));
    let notes = match target {
        Target::D4rl => d4rl::write(transitions, &fresh)?,
        Target::Robomimic => robomimic::write(transitions, &fresh, origin)?,
        Target::Minari => minari::write(transitions, &fresh, to, origin)?,
    };
    compare(transitions, &fresh, to)?;
    put(&fresh, to, begun.path(), force)?;
    Ok(Converted {
        path: to.to_owned(),
        target,
        episodes: transitions.episodes().len(),
        transitions: transitions.len(),
        notes,
    })
}

/// Moves what was written to its place. What stood there is moved aside first and deleted last.
fn put(fresh: &Path, to: &Path, begun: &Path, force: bool) -> Result<(), ConvertError> {
    let io = |source| ConvertError::Io {
        path: to.to_owned(),
        source,
    };
    let aside = begun.join("replaced");
    let there = fs::symlink_metadata(to);
    if there.is_ok() && !force {
        return Err(ConvertError::Exists {
            path: to.to_owned(),
        });
    }
    // A folder takes no file's place, nor another folder's.
    let in_the_way = there.is_ok_and(|there| there.is_dir()) || fresh.is_dir();
    let moved = in_the_way && fs::rename(to, &aside).is_ok();
    fs::rename(fresh, to).map_err(|source| {
        if moved {
            // What was there before must not be lost with the folder that it was moved to.
            let _ = fs::rename(&aside, to);
        }
        io(source)
    })
}

/// Reads back what was written.
fn compare(transitions: &Transitions, fresh: &Path, to: &Path) -> Result<(), ConvertError> {
    let back = load(fresh)?;
    let same = |a: &[f32], b: &[f32]| {
        a.iter()
            .map(|v| v.to_bits())
            .eq(b.iter().map(|v| v.to_bits()))
    };
    let (observation, next) = (transitions.observation(), transitions.next_observation());
    let checks = [
        (
            "observations",
            same(&back.observation().values, &observation.values),
        ),
        (
            "next observations",
            same(&back.next_observation().values, &next.values),
        ),
        (
            "actions",
            same(&back.action().values, &transitions.action().values),
        ),
        ("rewards", same(back.reward(), transitions.reward())),
        ("terminals", back.terminal() == transitions.terminal()),
        (
            "episodes",
            back.episodes()
                .iter()
                .map(|episode| &episode.rows)
                .eq(transitions.episodes().iter().map(|episode| &episode.rows)),
        ),
    ];
    match checks.into_iter().find(|(_, same)| !same) {
        None => Ok(()),
        Some((what, _)) => Err(ConvertError::Differs {
            path: to.to_owned(),
            what,
        }),
    }
}

/// How many episodes end in this way.
fn count(transitions: &Transitions, end: End) -> usize {
    transitions
        .episodes()
        .iter()
        .filter(|episode| episode.end == end)
        .count()
}
