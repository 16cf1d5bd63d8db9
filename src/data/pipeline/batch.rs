//! A minibatch.

use bevy_ecs::prelude::*;
use burn::tensor::{Device, Tensor};

/// The minibatch that the steps of [`Learn`](crate::schedule::Learn) read. Its tensors are plain: nothing is tracked.
///
/// Observations are normalized where the dataset says so, actions are scaled to [-1, 1], and rewards are folded over
/// `n_step` steps inside the episode, so that the target is always `reward + bootstrap * Q(next_observation, ..)`.
#[derive(Resource, Clone, Debug)]
pub struct Batch {
    /// Which rows were drawn, `[batch]`: of the dataset, or of the replay buffer, which counts all that were ever recorded
    /// ([`ReplayBuffer`](crate::data::ReplayBuffer)).
    pub row_ids: Vec<usize>,
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
    pub terminated: Tensor<1>,
    /// a', what was done in that state, in [-1, 1], `[batch, action]`; zeros where [`has_next_action`](Self::has_next_action) is 0.
    pub next_action: Tensor<2>,
    /// 1 where a' is known, `[batch]`; 0 where the episode ended with those steps, in either way, and where the next step is not
    /// recorded yet.
    pub has_next_action: Tensor<1>,
    /// What each row counts in a critic's loss, `[batch]`, where rows are not drawn alike and importance sampling evens that out: the
    /// mean of a loss ℓ is that of `weight * ℓ` (Schaul et al. 2016, <https://arxiv.org/abs/1511.05952>). Every shipped critic heeds it;
    /// actors and state values do not, as in the paper. `None`: all count the same.
    pub weight: Option<Tensor<1>>,
}

impl Batch {
    /// A batch of no rows, before the first is drawn.
    pub fn empty(observation: usize, action: usize, device: &Device) -> Self {
        let matrix = |width| Tensor::empty([0, width], device);
        let vector = || Tensor::empty([0], device);
        Batch {
            row_ids: Vec::new(),
            observation: matrix(observation),
            action: matrix(action),
            reward: vector(),
            next_observation: matrix(observation),
            bootstrap: vector(),
            terminated: vector(),
            next_action: matrix(action),
            has_next_action: vector(),
            weight: None,
        }
    }

    /// How many rows.
    pub fn rows(&self) -> usize {
        self.observation.dims()[0]
    }
}
