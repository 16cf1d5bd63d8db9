//! A minibatch.

use bevy_ecs::prelude::*;
use burn::tensor::{Device, Tensor};

/// The minibatch that the steps of [`Learn`](crate::schedule::Learn) read. Its tensors are plain: nothing is recorded.
///
/// Observations are normalised where the dataset says so, actions are scaled to [-1, 1], and rewards are folded over
/// `n_step` steps inside the episode, so that the target is always `reward + bootstrap * Q(next_observation, ..)`.
#[derive(Resource, Clone, Debug)]
pub struct Batch {
    /// s, `[batch, observation]`.
    pub observation: Tensor<2>,
    /// a in [-1, 1], `[batch, action]`.
    pub action: Tensor<2>,
    /// Σ γᵏ r over the steps that were folded, `[batch]`.
    pub reward: Tensor<1>,
    /// The state after those steps, `[batch, observation]`.
    pub next_observation: Tensor<2>,
    /// What the value of that state counts: γⁿ, or 0 where the episode terminated, `[batch]`.
    pub bootstrap: Tensor<1>,
    /// 1 where the episode terminated within those steps, else 0, `[batch]`.
    pub terminal: Tensor<1>,
}

impl Batch {
    /// A batch of no rows, before the first is drawn.
    pub fn empty(observation: usize, action: usize, device: &Device) -> Self {
        Batch {
            observation: Tensor::empty([0, observation], device),
            action: Tensor::empty([0, action], device),
            reward: Tensor::empty([0], device),
            next_observation: Tensor::empty([0, observation], device),
            bootstrap: Tensor::empty([0], device),
            terminal: Tensor::empty([0], device),
        }
    }

    /// How many rows.
    pub fn rows(&self) -> usize {
        self.observation.dims()[0]
    }
}
