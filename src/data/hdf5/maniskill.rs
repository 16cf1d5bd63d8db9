//! ManiSkill's demonstrations: a group a trajectory (Tao et al. 2024, <https://arxiv.org/abs/2410.00425>), as its `RecordEpisode` and
//! `replay_trajectory` write them
//! (<https://maniskill.readthedocs.io/en/latest/user_guide/datasets/demos.html>).
//!
//! | dataset of `traj_N/` | shape | type |
//! |---|---|---|
//! | `obs` | `[T + 1, ...]`, or a group of such | numbers |
//! | `actions` | `[T, action]` | numbers |
//! | `rewards` (optional, all or none) | `[T]` or `[T, 1]` | numbers |
//! | `terminated`, `truncated` (optional, all or none) | `[T]` or `[T, 1]` | bool, or 0 and 1 of any type |
//!
//! Files without `obs`, as they are downloaded, are refused: replaying them records observations. The parts of a group come in the order
//! of their names' bytes. `env_states`, `success`, `fail` and the JSON file next to it are left alone.
//!
//! **Ends.** Each row of `terminated` is a terminal: a trajectory that goes on behind one becomes several episodes. What ends otherwise is
//! truncated where the last row of `truncated` is true, else unfinished. Every row is a transition: observations have one row more.
//!
//! Trajectories come in the order of their numbers, padded or not, which may have gaps.

use super::dataset_file::Index;
use super::episode_index::{EpisodeIndex, NextRule, Part};
use super::{File, Layout, LoadError, Reading, names};
use crate::data::{EpisodeEnd, Recorded};

/// What the names of trajectories begin with.
pub(super) const WORD: &str = "traj_";

/// Whether a dataset is where ManiSkill puts a trajectory's.
pub(super) fn is_it(file: &File) -> bool {
    let is_one = |path: &str| {
        let group = path.split_once('/');
        group.is_some_and(|(group, _)| names::episode(group, WORD).is_some())
    };
    file.datasets().iter().any(|dataset| is_one(&dataset.path))
}

pub(super) fn index(file: &File, reading: &Reading) -> Result<Index, LoadError> {
    let trajectories = names::episodes(file, "", WORD)?;
    let first = trajectories.first().map_or("traj_0", String::as_str);
    let place = format!("{first}/obs");
    let observation = names::below(file, &place);
    if observation == ["obs"] && file.listed(&place).is_none() {
        return Err(LoadError::Missing {
            file: file.path().to_owned(),
            dataset: place,
            layout: Layout::Maniskill,
            expected: "observations, which the demonstrations that ManiSkill hands out have not: record them with `python -m \
                       mani_skill.trajectory.replay_trajectory --traj-path FILE --obs-mode state --save-traj`"
                .to_owned(),
            found: file.contents(),
        });
    }
    let observation = names::choose(file, observation, &reading.observations)?;
    let action = names::below(file, &format!("{first}/actions"));
    let path = Box::new(|part: Part, episode: &str, name: &str| {
        let group = match part {
            Part::Action => "actions",
            Part::Observation | Part::NextObservation => "obs",
        };
        names::part_path(episode, group, name)
    });
    let mut episode_index = EpisodeIndex::new(
        file,
        Layout::Maniskill,
        NextRule::OneMore,
        path,
        first,
        [observation, action],
    )?;
    episode_index.find_discrete_actions(None)?;
    let mut steps = Vec::new();
    for name in &trajectories {
        steps.push(episode_index.steps(name)?);
    }
    let reward = |name: &String| format!("{name}/rewards");
    let has_rewards = episode_index.is_recorded(trajectories.iter().map(reward))?;
    let flags = |flag: &str| -> Result<Option<Vec<Vec<bool>>>, LoadError> {
        let wanted = trajectories.iter().zip(&steps);
        let wanted: Vec<(String, usize)> = wanted
            .map(|(name, steps)| (format!("{name}/{flag}"), *steps))
            .collect();
        match episode_index.is_recorded(wanted.iter().map(|(path, _)| path.clone()))? {
            true => episode_index.flags(&wanted).map(Some),
            false => Ok(None),
        }
    };
    let (terminated, truncated) = (flags("terminated")?, flags("truncated")?);
    for (place, (name, steps)) in trajectories.iter().zip(&steps).enumerate() {
        let of = |flags: &Option<Vec<Vec<bool>>>| match flags {
            Some(flags) => flags[place].clone(),
            None => Vec::new(),
        };
        let terminated = of(&terminated).into_iter().enumerate();
        let terminals: Vec<usize> = terminated
            .filter_map(|(row, is)| is.then_some(row))
            .collect();
        let end = match of(&truncated).last() {
            Some(true) => EpisodeEnd::Truncated,
            _ => EpisodeEnd::Unfinished,
        };
        let reward = has_rewards.then(|| reward(name));
        episode_index.add(name, reward.as_deref(), *steps, &terminals, end)?;
    }
    let columns = Recorded {
        rewards: has_rewards,
        ends: terminated.is_some(),
    };
    episode_index.finish(trajectories.len(), columns)
}
