//! The components of an environment: what the steps of [`Collect`](crate::schedule::Collect) read and write.
//!
//! An entity with an [`EnvironmentRow`] is one environment. The other components come with it, so a Bevy app makes its own entities
//! environments by adding `EnvironmentRow { row }` to them, and a system that reads [`Action`] and writes [`Observation`], [`Reward`] and
//! [`Ended`]; [`OwnEnvironments`](super::OwnEnvironments) shows one.

use bevy_ecs::prelude::*;
use serde::{Deserialize, Serialize};

use super::SmallVector;

/// The row of an environment, which makes an entity one: its row in [`Observations`](super::Observations),
/// [`Actions`](super::Actions) and [`StepResults`](super::StepResults) never changes.
#[derive(Component, Clone, Copy, Debug, PartialEq, Eq)]
#[require(
    Action,
    Observation,
    Reward,
    Ended,
    Restart,
    StepCount,
    EpisodeStatistics
)]
pub struct EnvironmentRow {
    /// From 0 to the number of environments, each once.
    pub row: usize,
}

/// What it is to do, `[action]`, in the environment's own unit: rescaled and clipped already.
#[derive(Component, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Action(pub SmallVector);

/// What it sees, `[observation]`, raw.
#[derive(Component, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Observation(pub SmallVector);

/// What the step earned, in the task's own unit. It is 0 before each step.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Reward(pub f64);

/// Whether the step ended the episode, and in which way. Both are false before each step.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// The task is over: nothing follows.
    pub terminated: bool,
    /// The episode was cut while the task would have gone on.
    pub truncated: bool,
}

impl Ended {
    /// Whether the episode ended, in either way.
    pub fn in_either_way(self) -> bool {
        self.terminated || self.truncated
    }
}

/// Whether a new episode has to begin in [`EnvironmentSystems::Autoreset`](super::EnvironmentSystems::Autoreset): a system
/// there puts each entity that says so into a first state, and writes its first [`Observation`].
#[derive(Component, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restart(pub bool);

impl Default for Restart {
    /// A new environment begins its first episode.
    fn default() -> Self {
        Restart(true)
    }
}

/// Steps that the running episode has taken.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepCount(pub u64);

/// What an environment's episodes came to, always in raw rewards.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EpisodeStatistics {
    /// The sum of the running episode's rewards.
    pub total_reward: f64,
    /// Episodes that ended.
    pub episodes: u64,
    /// The sum of the last ended episode's rewards; 0 before there is one.
    pub last_return: f64,
    /// The last ended episode's steps.
    pub last_length: u64,
}
