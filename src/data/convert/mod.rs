//! Rewriting a file of demonstrations in another layout: `yarak data convert IN OUT --to d4rl|robomimic|minari`.
//!
//! The new file is written next to its place, read back and compared with what was to be written, and only then moved
//! there: an interruption leaves nothing half-written, and what was there before is replaced only where that was asked for.
//!
//! - [`d4rl`] and [`robomimic`] are single files; [`minari`] is a folder, as Minari keeps its datasets.
//! - What a file holds next to its transitions goes along where the new layout has a place for it, and is reported in
//!   [`Converted::left_behind`] where it has none.
//!
//! The transitions are in memory while they are written, and one column of what goes along at a time.

mod account;
mod attributes;
pub mod d4rl;
mod error;
mod extras;
pub mod minari;
pub mod robomimic;
mod spaces;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

pub use account::{Converted, LeftBehind};
pub use error::ConvertError;

use super::{
    DatasetFile, EpisodeEnd, Layout, LoadError, ObservationColumn, Reading, Spaces, Transitions,
};
use crate::checkpoint::is_special;
use crate::env::Space;
use crate::observation::ObservationParts;
use account::Account;
use extras::Extras;

/// A layout that files can be converted to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
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
    /// The least of each observation element, `[observation]`; infinite where there is no bound, and empty where observations are
    /// no vector of real numbers.
    pub observation_low: Vec<f32>,
    /// The greatest of each observation element, `[observation]`.
    pub observation_high: Vec<f32>,
    /// The least of each action element, `[action]`; infinite where there is no bound.
    pub action_low: Vec<f32>,
    /// The greatest of each action element, `[action]`.
    pub action_high: Vec<f32>,
    /// Number of discrete actions; `None` where actions are vectors of real numbers.
    pub discrete_actions: Option<usize>,
}

/// Writes a dataset file in another layout, with what its file holds next to the transitions.
///
/// `force` replaces what is at `to`. For Minari `to` is the dataset's folder, whose name is the dataset's.
///
/// # Errors
///
/// A file that cannot be read, what is at `to` already, a place that cannot be written, and transitions that the layout
/// cannot hold.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let out = folder.path().join("copy-v0");
/// # let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/d4rl/contiguous.hdf5");
/// use yarak::data::convert::{Target, convert};
/// use yarak::data::{Reading, DatasetFile};
///
/// let dataset_file = DatasetFile::open(file, &Reading::default())?;
/// let converted = convert(&dataset_file, &out, Target::Minari, None, false)?;
/// assert_eq!(converted.carried, ["`infos/qpos`", "`metadata/algorithm`"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn convert(
    dataset_file: &DatasetFile,
    to: &Path,
    target: Target,
    origin: Option<&Origin>,
    force: bool,
) -> Result<Converted, ConvertError> {
    refuse_what_stands(to, force)?;
    let mut account = Account::default();
    let extras = Extras::of(dataset_file, origin, &mut account)?;
    if let Some(missing) = dataset_file.recorded().missing() {
        return Err(ConvertError::NotRecorded {
            file: dataset_file.file().path().to_owned(),
            missing,
        });
    }
    let transitions = dataset_file.read()?;
    let (recorded, written) = (dataset_file.recorded_steps(), transitions.len());
    if written < recorded {
        account.note(format!(
            "{} of the {recorded} recorded steps are no transitions and were not written: what followed them was not recorded",
            recorded - written
        ));
    }
    if dataset_file.counts_from_other_starts() {
        account.note(
            "observations of discrete spaces are written as they are read: counted from 0, and not from the `start` of their space",
        );
    }
    let job = Job::new(&transitions, Some(&extras), origin)?;
    job.run(to, target, account, force)
}

/// Writes transitions in another layout.
///
/// `force` replaces what is at `to`. For Minari `to` is the dataset's folder, whose name is the dataset's.
///
/// # Errors
///
/// What is at `to` already, a place that cannot be written, and transitions that the layout cannot hold.
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
    refuse_what_stands(to, force)?;
    Job::new(transitions, None, origin)?.run(to, target, Account::default(), force)
}

/// Writes what was recorded in environments with these spaces, in the layout that keeps them: D4RL's where they are one vector,
/// robomimic's where they are pictures or have names.
///
/// # Errors
/// As [`write`](fn@write).
pub fn write_recorded(
    transitions: &Transitions,
    spaces: &Spaces,
    to: &Path,
    force: bool,
) -> Result<Converted, ConvertError> {
    let parts = ObservationParts::of_space(&spaces.observation);
    if is_vector(&parts) {
        return write(transitions, to, Target::D4rl, None, force);
    }
    refuse_what_stands(to, force)?;
    let job = Job {
        recorded: Some((&parts, &spaces.environment)),
        ..Job::new(transitions, None, None)?
    };
    job.run(to, Target::Robomimic, Account::default(), force)
}

/// Whether a file can keep what is recorded in environments with these spaces.
///
/// # Errors
/// [`ConvertError::Unrecordable`].
pub(crate) fn check_that_it_is_recordable(spaces: &Spaces) -> Result<(), ConvertError> {
    let is_discrete = matches!(spaces.action, Space::Discrete { .. });
    match is_discrete && !is_vector(&ObservationParts::of_space(&spaces.observation)) {
        false => Ok(()),
        true => Err(ConvertError::Unrecordable {
            environment: spaces.environment.clone(),
        }),
    }
}

fn is_vector(parts: &ObservationParts) -> bool {
    matches!(Vec::from_iter(parts.iter())[..], [part] if part.shape.len() == 1)
}

/// What is to be written.
struct Job<'a> {
    transitions: &'a Transitions,
    /// What goes along, where the transitions are a file's.
    extras: Option<&'a Extras<'a>>,
    /// The observation's parts and the environment, where the transitions are no file's and observations are no vector.
    recorded: Option<(&'a ObservationParts, &'a str)>,
    origin: Option<&'a Origin>,
    discrete_actions: Option<DiscreteActions>,
    /// Whether the numbers of actions are whole.
    whole_actions: bool,
}

/// Actions that are `first..first + count`.
#[derive(Clone, Copy)]
struct DiscreteActions {
    first: i64,
    count: usize,
}

impl DiscreteActions {
    /// The discrete actions as the file numbered them. The sum does not overflow: reading refuses numbers from 2²⁴ on.
    fn numbers(self, actions: &[f32]) -> Vec<i64> {
        actions
            .iter()
            .map(|action| *action as i64 + self.first)
            .collect()
    }
}

impl<'a> Job<'a> {
    /// Holds the data against the environment that they are said to be of.
    fn new(
        transitions: &'a Transitions,
        extras: Option<&'a Extras<'a>>,
        origin: Option<&'a Origin>,
    ) -> Result<Self, ConvertError> {
        let width = transitions.action().width;
        let mut count = transitions.discrete_actions();
        if let Some(origin) = origin {
            let kind = |discrete_actions: Option<usize>| match discrete_actions {
                Some(n) => format!("actions that are one of {n} discrete actions"),
                None => "actions that are real numbers".to_owned(),
            };
            match (origin.discrete_actions, count) {
                (None, None) if origin.action_low.len() != width => {
                    return Err(ConvertError::OtherActions {
                        environment: origin.environment.clone(),
                        expected: origin.action_low.len(),
                        found: width,
                    });
                }
                (None, None) => {}
                // Data that do not say how many discrete actions there are have as many as were taken.
                (Some(all), Some(taken)) if all >= taken => count = Some(all),
                (expected, found) => {
                    return Err(ConvertError::OtherKind {
                        environment: origin.environment.clone(),
                        expected: kind(expected),
                        found: kind(found),
                    });
                }
            }
        }
        let dataset_file = extras.map(|extras| extras.dataset_file);
        let first = dataset_file.and_then(|file| file.discrete_actions());
        let has_whole = dataset_file.is_some_and(|file| file.has_whole_actions());
        Ok(Self {
            transitions,
            extras,
            recorded: None,
            origin,
            whole_actions: has_whole || transitions.has_whole_actions(),
            discrete_actions: count.map(|count| DiscreteActions {
                first: first.map_or(transitions.first_action(), |discrete_actions| {
                    discrete_actions.first
                }),
                count,
            }),
        })
    }

    /// The environment's name.
    fn environment(&self) -> Option<&str> {
        match (self.origin, self.recorded) {
            (Some(origin), _) => Some(&origin.environment),
            (None, Some((_, environment))) => Some(environment),
            _ => self.extras.and_then(|extras| extras.environment.as_deref()),
        }
    }

    fn run(
        &self,
        to: &Path,
        target: Target,
        mut account: Account,
        force: bool,
    ) -> Result<Converted, ConvertError> {
        let io = |source| ConvertError::Io {
            path: to.to_owned(),
            source,
        };
        let folder = match to.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let begun = tempfile::Builder::new()
            .prefix(".yarak-convert-")
            .tempdir_in(folder)
            .map_err(io)?;
        let fresh = begun.path().join(to.file_name().unwrap_or(to.as_os_str()));
        match target {
            Target::D4rl => d4rl::write(self, &fresh, &mut account)?,
            Target::Robomimic => robomimic::write(self, &fresh, &mut account)?,
            Target::Minari => minari::write(self, &fresh, to, &mut account)?,
        }
        self.tell_of_the_environment(target, &mut account);
        self.compare(&fresh, to, target, &account)?;
        put(&fresh, to, begun.path(), force)?;
        account.left_behind.sort();
        Ok(Converted {
            path: to.to_owned(),
            target,
            episodes: self.transitions.episodes().len(),
            transitions: self.transitions.len(),
            carried: account.carried,
            left_behind: account.left_behind,
            notes: account.notes,
        })
    }

    /// What the file says of its environment, where that is not what was written.
    fn tell_of_the_environment(&self, target: Target, account: &mut Account) {
        let Some(extras) = self.extras else {
            return;
        };
        let layout = extras.dataset_file.layout();
        if let (Some(origin), Some(own)) = (self.origin, &extras.environment)
            && origin.environment != *own
        {
            account.note(format!(
                "the file names its environment {own}, and what was written {}, as --env says",
                origin.environment
            ));
        }
        let is_unchanged = target == Target::Robomimic && self.origin.is_none();
        if layout == Layout::Robomimic
            && extras.dataset_file.environment().is_some()
            && !is_unchanged
        {
            let why = match self.origin {
                None => "of robomimic's arguments of the environment its name alone has a place",
                Some(_) => "--env names the environment",
            };
            account.leave("data@env_args", why);
        }
    }

    /// Reads back what was written.
    fn compare(
        &self,
        fresh: &Path,
        to: &Path,
        target: Target,
        account: &Account,
    ) -> Result<(), ConvertError> {
        let differs = |what: String| ConvertError::Differs {
            path: to.to_owned(),
            what,
        };
        let dataset_file = DatasetFile::open(fresh, &Reading::default())?;
        let back = dataset_file.read()?;
        let transitions = self.transitions;
        let same = |a: &[f32], b: &[f32]| {
            a.iter()
                .map(|v| v.to_bits())
                .eq(b.iter().map(|v| v.to_bits()))
        };
        let same_rows = |a: &ObservationColumn, b: &ObservationColumn| {
            a.rows() == b.rows() && (0..a.rows()).all(|row| same(&a.row(row), &b.row(row)))
        };
        let (observation, next) = (transitions.observation(), transitions.next_observation());
        let checks = [
            ("observations", same_rows(back.observation(), observation)),
            (
                "next observations",
                match target {
                    // The following observation stands for it, where -0.0 and 0.0 are the same.
                    Target::Minari => back.next_observation() == next,
                    Target::D4rl | Target::Robomimic => same_rows(back.next_observation(), next),
                },
            ),
            (
                "actions",
                same(&back.action().values, &transitions.action().values),
            ),
            (
                "discrete actions",
                back.discrete_actions()
                    == self
                        .discrete_actions
                        .map(|discrete_actions| discrete_actions.count),
            ),
            (
                "whole numbers as actions",
                self.discrete_actions.is_some()
                    || dataset_file.has_whole_actions() == self.whole_actions,
            ),
            ("rewards", same(back.reward(), transitions.reward())),
            ("terminals", back.terminated() == transitions.terminated()),
            (
                "episodes",
                back.episodes()
                    .iter()
                    .map(|episode| &episode.rows)
                    .eq(transitions.episodes().iter().map(|episode| &episode.rows)),
            ),
        ];
        if let Some((what, _)) = checks.into_iter().find(|(_, same)| !same) {
            return Err(differs(what.to_owned()));
        }
        let Some(extras) = self.extras else {
            return Ok(());
        };
        for (from, place) in &account.columns {
            if extras.dataset_file.step_column(from)?.rows != dataset_file.step_column(place)?.rows
            {
                return Err(differs(format!("`{place}`")));
            }
        }
        Ok(())
    }
}

/// Nothing is replaced unasked, and no folder that holds anything but a Minari dataset.
fn refuse_what_stands(to: &Path, force: bool) -> Result<(), ConvertError> {
    let Ok(there) = fs::symlink_metadata(to) else {
        return Ok(());
    };
    let path = to.to_owned();
    if !force {
        return Err(ConvertError::Exists { path });
    }
    if is_special(to) {
        return Err(ConvertError::Special { path });
    }
    match there.is_dir().then(|| stranger_in(to)).flatten() {
        Some(holds) => Err(ConvertError::NotADataset { path, holds }),
        None => Ok(()),
    }
}

/// The first thing in a folder that is no part of a Minari dataset; `None` where there is none.
fn stranger_in(folder: &Path) -> Option<PathBuf> {
    let entries = |folder: &Path| -> Vec<PathBuf> {
        match fs::read_dir(folder) {
            Ok(entries) => entries
                .map(|entry| entry.map_or_else(|_| folder.to_owned(), |entry| entry.path()))
                .collect(),
            Err(_) => vec![folder.to_owned()],
        }
    };
    let data = folder.join("data");
    let mut strangers = entries(folder);
    strangers.retain(|path| *path != data || !path.is_dir());
    if data.is_dir() {
        let known = ["main_data.hdf5", "metadata.json"].map(|name| data.join(name));
        let others = entries(&data).into_iter();
        strangers.extend(others.filter(|path| !known.contains(path) || path.is_dir()));
    }
    strangers.into_iter().min()
}

/// Moves what was written to its place. What was there is moved aside first and deleted last.
fn put(fresh: &Path, to: &Path, begun: &Path, force: bool) -> Result<(), ConvertError> {
    let io = |source| ConvertError::Io {
        path: to.to_owned(),
        source,
    };
    let aside = begun.join("replaced");
    refuse_what_stands(to, force)?;
    let there = fs::symlink_metadata(to);
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

/// How many episodes end in this way.
fn count(transitions: &Transitions, end: EpisodeEnd) -> usize {
    transitions
        .episodes()
        .iter()
        .filter(|episode| episode.end == end)
        .count()
}
