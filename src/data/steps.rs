//! What environments bring, a row for each of them.

use bevy_ecs::prelude::*;

use super::Column;

/// The result of a step of all environments, `N` environments: read in
/// [`CollectSystems::Record`](crate::schedule::CollectSystems::Record) by replay and rollout buffers.
#[derive(Resource, Clone, Debug, PartialEq)]
pub struct StepResults {
    /// What was observed before, `[N, observation]`, raw.
    pub observation: Column,
    /// What was done, `[N, action]`, as the policy gave it in [`Actions`](crate::collect::Actions).
    pub action: Column,
    /// What it earned, `[N]`: raw, unless a plugin rescales it for the learner. Scores never come from here.
    pub reward: Vec<f32>,
    /// What was observed next, `[N, observation]`, raw: where the episode ended, its true last observation and not the next
    /// episode's first.
    pub next_observation: Column,
    /// Whether the task was over, `[N]`: nothing follows, so a learner does not bootstrap.
    pub terminated: Vec<bool>,
    /// Whether the episode was cut while the task would have gone on, `[N]`: a learner bootstraps, unless it terminated too.
    pub truncated: Vec<bool>,
    /// Whether the row is a step at all, `[N]`: false where an environment only started its next episode.
    pub valid: Vec<bool>,
}

impl StepResults {
    /// Zeros for so many environments.
    pub fn new(environments: usize, observation: usize, action: usize) -> Self {
        StepResults {
            observation: Column::zeros(environments, observation),
            action: Column::zeros(environments, action),
            reward: vec![0.0; environments],
            next_observation: Column::zeros(environments, observation),
            terminated: vec![false; environments],
            truncated: vec![false; environments],
            valid: vec![false; environments],
        }
    }

    /// How many environments.
    pub fn rows(&self) -> usize {
        self.reward.len()
    }

    /// Whether environment `row`'s episode ended with this step, in either way.
    pub fn ended(&self, row: usize) -> bool {
        self.terminated[row] || self.truncated[row]
    }
}
