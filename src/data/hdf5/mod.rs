//! HDF5 files of demonstrations, NumPy's archives and tables in Parquet and Arrow as such, and the layouts that the field writes into them.
//!
//! [`File`] is the only code that touches an HDF5 library; a layout is a file next to it that says which datasets mean what.
//! [`DatasetFile`] is an open file whose columns and episodes are known; [`Reading`] answers what a layout leaves open.
//! To add a layout: a module with an `is_it` and an `index` function, and a variant of [`Layout`].

mod bounds;
mod copies;
pub mod d3rlpy;
pub mod d4rl;
mod d4rl_rules;
mod dataset_file;
mod discrete_actions;
mod element;
mod environment;
mod episode_index;
mod episodic;
mod error;
mod file;
pub mod lerobot;
mod listing;
mod load_error;
pub mod maniskill;
pub mod minari;
mod names;
mod npz;
pub mod ogbench;
mod raw;
mod reading;
pub mod robomimic;
mod selection;
mod space;
mod stale_names;
mod step_column;
mod table_folder;
#[cfg(feature = "parquet")]
mod tables;
mod text;
#[cfg(feature = "libhdf5")]
mod unpacked;
mod vetting;
mod writer;

use std::fmt;
use std::path::Path;

use serde::Serialize;

pub use bounds::ActionBounds;
pub(in crate::data) use bounds::JoinedBounds;
pub(in crate::data) use dataset_file::WHOLE_NUMBERS;
pub use dataset_file::{DatasetFile, Key};
pub use discrete_actions::DiscreteActions;
pub use element::{Dtype, Element};
pub(in crate::data) use environment::UNKNOWN_ENVIRONMENT;
pub use error::FileError;
pub use file::File;
pub use listing::DatasetInfo;
pub use load_error::LoadError;
pub use reading::{Dones, Reading, Rule};
pub(in crate::data) use robomimic::{FILTER_KEY, VALIDATION_FILTER_KEY};
pub(in crate::data) use step_column::StepColumn;
pub use table_folder::files_of;
pub(in crate::data) use writer::{GroupWriter, Writer};

use super::Transitions;
use dataset_file::Index;

/// Reads all of a file of demonstrations, or of a folder that Minari or LeRobot wrote, in whichever known layout it is.
///
/// # Errors
///
/// A file that cannot be read, whose layout is unknown, or that breaks its layout's rules; always with the place.
///
/// ```
/// # let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/d4rl/contiguous.hdf5");
/// let transitions = yarak::data::load(file)?;
/// assert_eq!(transitions.observation().width(), 3);
/// # Ok::<(), yarak::data::LoadError>(())
/// ```
pub fn load(path: impl AsRef<Path>) -> Result<Transitions, LoadError> {
    DatasetFile::open(path, &Reading::default())?.read()
}

/// A convention for the datasets in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Layout {
    /// One dataset per column at the top level; see [`d4rl`].
    D4rl,
    /// A group an episode; see [`minari`].
    Minari,
    /// A group a demonstration, with named observations; see [`robomimic`].
    Robomimic,
    /// Numbered datasets at the top level; see [`d3rlpy`].
    D3rlpy,
    /// An archive of NumPy's with long columns; see [`ogbench`].
    Ogbench,
    /// LeRobot's tables of frames; see [`lerobot`].
    Lerobot,
    /// A group a trajectory; see [`maniskill`].
    Maniskill,
}

impl Layout {
    /// Recognizes a layout by the names in the file.
    ///
    /// # Errors
    ///
    /// [`LoadError::UnknownLayout`], which lists what is at the top level.
    pub fn detect(file: &File) -> Result<Self, LoadError> {
        // d3rlpy and OGBench before D4RL: the names of one are the beginnings of the other's, or some of them.
        for (layout, is_it) in [
            (Self::Lerobot, lerobot::is_it as fn(&File) -> bool),
            (Self::D3rlpy, d3rlpy::is_it),
            (Self::Robomimic, robomimic::is_it),
            (Self::Minari, minari::is_it),
            (Self::Maniskill, maniskill::is_it),
            (Self::Ogbench, ogbench::is_it),
            (Self::D4rl, d4rl::is_it),
        ] {
            if is_it(file) {
                return Ok(layout);
            }
        }
        Err(LoadError::UnknownLayout {
            file: file.path().to_owned(),
            found: file.contents_with_groups(),
        })
    }

    fn index(self, file: &File, reading: &Reading) -> Result<Index, LoadError> {
        match self {
            Self::D4rl => d4rl::index(file, reading),
            Self::Minari => minari::index(file, reading),
            Self::Robomimic => robomimic::index(file, reading),
            Self::D3rlpy => d3rlpy::index(file, reading),
            Self::Ogbench => ogbench::index(file),
            Self::Lerobot => lerobot::index(file, reading),
            Self::Maniskill => maniskill::index(file, reading),
        }
    }

    /// Whether training reads the dataset at `path`, as opposed to what merely accompanies it. Of named observations it says so
    /// of all that may be chosen.
    pub fn reads(self, path: &str) -> bool {
        match self {
            Self::D4rl => d4rl::COLUMNS.contains(&path),
            Self::Ogbench => ogbench::COLUMNS.contains(&path),
            Self::Minari => self.step_name(path).is_some_and(|name| {
                let part = name.split('/').next().unwrap_or_default();
                [
                    "observations",
                    "actions",
                    "rewards",
                    "terminations",
                    "truncations",
                ]
                .contains(&part)
            }),
            Self::Robomimic => self.step_name(path).is_some_and(|name| {
                let part = name.split('/').next().unwrap_or_default();
                ["obs", "next_obs", "actions", "rewards", "dones"].contains(&part)
            }),
            Self::Maniskill => self.step_name(path).is_some_and(|name| {
                let part = name.split('/').next().unwrap_or_default();
                ["obs", "actions", "rewards", "terminated", "truncated"].contains(&part)
            }),
            Self::D3rlpy => self.step_name(path).is_some(),
            Self::Lerobot => self.step_name(path).is_some_and(|name| {
                lerobot::is_observation(&name)
                    || ["action", "next.reward", "next.done"].contains(&name.as_str())
            }),
        }
    }

    /// Whether it keeps all steps one after the other in columns, and not each episode in datasets of its own.
    pub(in crate::data) fn has_long_columns(self) -> bool {
        matches!(self, Self::D4rl | Self::Ogbench)
    }

    /// What rewards and terminal steps are called in an episode.
    pub(in crate::data) fn columns_of_rewards_and_ends(self) -> [&'static str; 2] {
        match self {
            Self::D4rl => ["rewards", "terminals"],
            Self::Minari => ["rewards", "terminations"],
            Self::Robomimic => ["rewards", "dones"],
            Self::D3rlpy => ["rewards_N", "terminated_N"],
            Self::Ogbench => ["rewards", "masks"],
            Self::Lerobot => ["next.reward", "next.done"],
            Self::Maniskill => ["rewards", "terminated"],
        }
    }

    /// What a dataset's path says next to the episode's number, such as `obs/object` for `data/demo_3/obs/object`; `None` for
    /// what belongs to no episode.
    pub fn step_name(self, path: &str) -> Option<String> {
        match self {
            Self::D4rl | Self::Ogbench => None,
            Self::Minari | Self::Lerobot => {
                let (group, name) = path.split_once('/')?;
                names::episode(group, "episode_").map(|_| name.to_owned())
            }
            Self::Maniskill => {
                let (group, name) = path.split_once('/')?;
                names::episode(group, maniskill::WORD).map(|_| name.to_owned())
            }
            Self::Robomimic => {
                let (group, name) = path.strip_prefix("data/")?.split_once('/')?;
                names::episode(group, "demo_").map(|_| name.to_owned())
            }
            Self::D3rlpy => ["observations", "actions", "rewards", "terminated"]
                .into_iter()
                .find_map(|name| {
                    let rest = path.strip_prefix(name)?.strip_prefix('_')?;
                    let (number, part) = match rest.split_once('_') {
                        Some((number, part)) => (number, Some(part)),
                        None => (rest, None),
                    };
                    names::number(number, "")?;
                    Some(match part {
                        Some(part) => format!("{name}/_index_{part}"),
                        None => name.to_owned(),
                    })
                }),
        }
    }

    /// The path of an episode's dataset, the other way round from [`step_name`](Self::step_name). `episode` is the name of its
    /// group, or for d3rlpy its number.
    fn column_path(self, episode: &str, name: &str) -> String {
        match self {
            Self::D4rl | Self::Ogbench => name.to_owned(),
            Self::Minari | Self::Lerobot | Self::Maniskill => format!("{episode}/{name}"),
            Self::Robomimic => format!("data/{episode}/{name}"),
            Self::D3rlpy => match name.split_once("/_index_") {
                Some((name, part)) => format!("{name}_{episode}_{part}"),
                None => format!("{name}_{episode}"),
            },
        }
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::D4rl => "D4RL",
            Self::Minari => "Minari",
            Self::Robomimic => "robomimic",
            Self::D3rlpy => "d3rlpy",
            Self::Ogbench => "OGBench",
            Self::Lerobot => "LeRobot",
            Self::Maniskill => "ManiSkill",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_datasets_name_without_the_episode_leads_back_to_its_path() {
        for (layout, episode, path, name) in [
            (
                Layout::Minari,
                "episode_12",
                "episode_12/observations/a/b",
                "observations/a/b",
            ),
            (
                Layout::Robomimic,
                "demo_0012_aug",
                "data/demo_0012_aug/next_obs/object",
                "next_obs/object",
            ),
            (Layout::D3rlpy, "12", "actions_12", "actions"),
            (
                Layout::Lerobot,
                "episode_12",
                "episode_12/observation.state",
                "observation.state",
            ),
            (
                Layout::Maniskill,
                "traj_12",
                "traj_12/obs/agent/qpos",
                "obs/agent/qpos",
            ),
            (
                Layout::D3rlpy,
                "12",
                "observations_12_3",
                "observations/_index_3",
            ),
        ] {
            assert_eq!(layout.step_name(path).as_deref(), Some(name));
            assert_eq!(layout.column_path(episode, name), path);
            assert!(layout.reads(path));
        }
        assert!(!Layout::Minari.reads("episode_0/infos/x"));
        assert!(!Layout::Robomimic.reads("data/demo_0/states"));
        assert!(!Layout::Lerobot.reads("episode_0/observations"));
        assert!(!Layout::Maniskill.reads("traj_0/env_states/actors/cube"));
        assert!(!Layout::Robomimic.reads("mask/train"));
        assert!(!Layout::D3rlpy.reads("num_episodes"));
    }
}
