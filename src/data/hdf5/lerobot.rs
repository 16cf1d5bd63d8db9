//! The layout of LeRobot's datasets of version 3 (<https://github.com/huggingface/lerobot>), whose low-dimensional columns are read with
//! the feature `parquet`.
//!
//! | column | shape | type |
//! |---|---|---|
//! | `observation.NAME`, or `observation` | `[T, ...]` | numbers |
//! | `action` | `[T, action]`, or `[T]` | numbers; whole numbers `[T]` are discrete actions |
//! | `next.reward` (optional) | `[T]` | numbers |
//! | `next.done` (optional) | `[T]` | bool, or 0 and 1 of any type |
//!
//! Each is listed once an episode, as `episode_0/action`. Observations are the chosen names, in the chosen order, and where none is chosen
//! all that are numbers, in the order of their names' bytes: videos and images are left in their files. Everything else, such as
//! `timestamp`, `task_index` and `next.success`, is left alone.
//!
//! **Ends.** [`Dones`](crate::data::Dones) says what `next.done` means, as for robomimic's files. LeRobot marks the last step of an episode, and its own
//! reinforcement learning takes each mark for a terminal. What ends without a terminal is truncated, and its last step is no transition,
//! because what followed was not recorded.

use super::dataset_file::Index;
use super::episode_index::{EpisodeIndex, NextRule};
use super::robomimic::terminals;
use super::table_folder::Tables;
use super::{Dtype, File, FileError, Layout, LoadError, Reading, names};
use crate::data::{EpisodeEnd, Recorded};

/// What the names of episodes begin with.
const WORD: &str = "episode_";
const OBSERVATION: &str = "observation";
const ACTION: &str = "action";

/// Whether it is a copy of LeRobot's tables.
pub(super) fn is_it(file: &File) -> bool {
    file.tables() == Some(Tables::Lerobot)
}

/// Whether a column is part of an observation.
pub(super) fn is_observation(name: &str) -> bool {
    let rest = name.strip_prefix(OBSERVATION);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

pub(super) fn index(file: &File, reading: &Reading) -> Result<Index, LoadError> {
    let episodes = names::episodes(file, "", WORD)?;
    let first = episodes.first().map_or("episode_0", String::as_str);
    let all = names::below(file, first);
    let observations: Vec<String> = all
        .into_iter()
        .filter(|name| is_observation(name))
        .collect();
    let kind = |name: &String| file.listed(&format!("{first}/{name}")).map(|it| it.dtype);
    let is_number = |name: &String| kind(name).is_some_and(|dtype| dtype.is_numeric());
    let chosen = match reading.observations.is_empty() {
        true => {
            let numbers: Vec<String> = observations
                .iter()
                .filter(|it| is_number(it))
                .cloned()
                .collect();
            // The first that is none is refused by its name.
            match numbers.is_empty() {
                true => observations.into_iter().take(1).collect(),
                false => numbers,
            }
        }
        false => names::choose(file, observations, &reading.observations)?,
    };
    if chosen.is_empty() {
        return Err(LoadError::Unknown {
            file: file.path().to_owned(),
            what: "feature",
            name: "observation.state".to_owned(),
            found: names::list(&names::below(file, first)),
        });
    }
    for name in &chosen {
        if let Some(Dtype::Other(kind @ ("video" | "image"))) = kind(name) {
            return Err(LoadError::Image {
                file: file.path().to_owned(),
                dataset: name.clone(),
                what: format!("{kind} frames"),
                remedy: "choose observations that are numbers with `observations: [...]`, such as `observation.state`",
            });
        }
    }
    let path = Box::new(|_, episode: &str, name: &str| format!("{episode}/{name}"));
    let parts = [chosen, vec![ACTION.to_owned()]];
    let mut episode_index = EpisodeIndex::new(
        file,
        Layout::Lerobot,
        NextRule::absent(reading),
        path,
        first,
        parts,
    )?;
    episode_index.find_discrete_actions(None)?;
    let [reward, done] = Layout::Lerobot.columns_of_rewards_and_ends();
    let mut wanted = Vec::new();
    for name in &episodes {
        wanted.push((format!("{name}/{done}"), episode_index.steps(name)?));
    }
    let is_there = |name: &str| match file.dataset(&format!("{first}/{name}")) {
        Ok(_) => Ok(true),
        Err(FileError::NoDataset { .. }) => Ok(false),
        Err(error) => Err(error),
    };
    let (has_rewards, has_dones) = (is_there(reward)?, is_there(done)?);
    let flags = match has_dones {
        true => episode_index.flags(&wanted)?,
        false => vec![Vec::new(); wanted.len()],
    };
    for ((name, (path, steps)), dones) in episodes.iter().zip(&wanted).zip(flags) {
        let terminals = terminals(file, reading.dones, path, *steps, &dones)?;
        let reward = has_rewards.then(|| format!("{name}/{reward}"));
        let end = EpisodeEnd::Truncated;
        episode_index.add(name, reward.as_deref(), *steps, &terminals, end)?;
    }
    let columns = Recorded {
        rewards: has_rewards,
        ends: has_dones || reading.dones != super::Dones::Terminated,
    };
    episode_index.finish(episodes.len(), columns)
}
