//! The layout of d3rlpy's `ReplayBuffer.dump` (Seno & Imai 2022, <https://jmlr.org/papers/v23/22-0017.html>), version 2.1: numbered
//! datasets at the top level.
//!
//! | dataset | shape | type |
//! |---|---|---|
//! | `num_episodes` | one number | whole number |
//! | `observations_N`, or `observations_N_0`, `observations_N_1` and so on | `[T, ...]` | numbers |
//! | `actions_N` | `[T, action]` | numbers, or whole numbers `[T, 1]` that are discrete actions |
//! | `rewards_N` (optional, all or none) | `[T, 1]` or `[T]` | numbers |
//! | `terminated_N` (optional, all or none) | one number | bool |
//!
//! **Ends.** An episode that is not terminated is truncated: d3rlpy writes no other end.
//!
//! **Next observations** are the following row's. The last row of a terminated episode gets its own observation, which is never
//! used; that of any other episode is not a transition, because what followed was not recorded. These are d3rlpy's own transitions.
//!
//! Files that d3rlpy 1 wrote have D4RL's datasets and are read as such, with `episode_terminals` for `timeouts`.

use super::dataset_file::Index;
use super::episode_index::{EpisodeIndex, NextRule, Part, dataset};
use super::{File, Layout, LoadError, Reading, names};
use crate::data::{EpisodeEnd, Recorded};

const COUNT: &str = "num_episodes";
const ACTIONS: &str = "actions_";

/// Whether the count and a part of an observation are where d3rlpy puts them.
pub(super) fn is_it(file: &File) -> bool {
    file.listed(COUNT).is_some()
        && ["observations_0", "observations_0_0", "actions_0"]
            .iter()
            .any(|path| file.listed(path).is_some())
}

pub(super) fn index(file: &File, reading: &Reading) -> Result<Index, LoadError> {
    let layout = Layout::D3rlpy;
    dataset(file, layout, COUNT, "the number of episodes")?;
    let declared = match file.read::<i64>(COUNT, ..)?[..] {
        [count] if count > 0 => count as u64,
        ref other => {
            return Err(LoadError::Form {
                file: file.path().to_owned(),
                dataset: COUNT.to_owned(),
                found: format!("{other:?}"),
                expected: "one number, at least 1".to_owned(),
            });
        }
    };
    let mut found = 0;
    for dataset in file.datasets() {
        if dataset.path.contains('/') || !dataset.path.starts_with(ACTIONS) {
            continue;
        }
        if names::number(&dataset.path, ACTIONS).is_none() {
            return Err(LoadError::EpisodeName {
                file: file.path().to_owned(),
                name: dataset.path.clone(),
                word: ACTIONS.to_owned(),
            });
        }
        found += 1;
    }
    if declared != found {
        return Err(LoadError::Count {
            file: file.path().to_owned(),
            what: "episodes",
            declared,
            found,
        });
    }
    let observation = if file.listed("observations_0").is_some() {
        vec!["observations".to_owned()]
    } else {
        (0..)
            .map(|part| format!("_index_{part}"))
            .take_while(|name| file.listed(&part_path("0", name)).is_some())
            .collect()
    };
    if observation.is_empty() {
        dataset(file, layout, "observations_0", "numbers at each step")?;
    }
    let path = Box::new(|part: Part, number: &str, name: &str| match part {
        Part::Action => format!("actions_{number}"),
        Part::Observation | Part::NextObservation => part_path(number, name),
    });
    let action = vec!["actions".to_owned()];
    let mut episode_index = EpisodeIndex::new(
        file,
        layout,
        NextRule::absent(reading),
        path,
        "0",
        [observation, action],
    )?;
    episode_index.find_discrete_actions(None)?;
    let reward = |number: u64| format!("rewards_{number}");
    let terminated = |number: u64| format!("terminated_{number}");
    let has_rewards = episode_index.is_recorded((0..declared).map(reward))?;
    let has_ends = episode_index.is_recorded((0..declared).map(terminated))?;
    for number in 0..declared {
        let name = number.to_string();
        let steps = episode_index.steps(&name)?;
        let path = terminated(number);
        let flag = match has_ends {
            true => file.read::<bool>(&path, ..)?,
            false => vec![false],
        };
        let terminated = match flag[..] {
            [terminated] => terminated && steps > 0,
            _ => {
                return Err(LoadError::Form {
                    file: file.path().to_owned(),
                    dataset: path,
                    found: "several values".to_owned(),
                    expected: "one truth value for the episode".to_owned(),
                });
            }
        };
        let terminals: &[usize] = if terminated { &[steps - 1] } else { &[] };
        let reward = has_rewards.then(|| reward(number));
        let end = EpisodeEnd::Truncated;
        episode_index.add(&name, reward.as_deref(), steps, terminals, end)?;
    }
    let columns = Recorded {
        rewards: has_rewards,
        ends: has_ends,
    };
    episode_index.finish(declared as usize, columns)
}

fn part_path(number: &str, name: &str) -> String {
    match name.strip_prefix("_index_") {
        Some(part) => format!("observations_{number}_{part}"),
        None => format!("{name}_{number}"),
    }
}
