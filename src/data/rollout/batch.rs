//! A minibatch of a rollout.

use bevy_ecs::prelude::*;
use burn::tensor::{Device, Tensor};

/// The minibatch of the round's [`RolloutBuffer`](super::RolloutBuffer) that the steps of [`Learn`](crate::schedule::Learn) read. Its tensors
/// are plain: advantages, returns and old values are constants of every loss.
#[derive(Resource, Clone, Debug)]
pub struct RolloutBatch {
    /// s as the policy saw it, `[batch, observation]`.
    pub observation: Tensor<2>,
    /// a, `[batch, action]`: numbers as they were drawn, or one column with the index of the choice.
    pub action: Tensor<2>,
    /// ln π(a|s) when the action was chosen, `[batch]`.
    pub log_probability: Tensor<1>,
    /// V(s) when the round was prepared, `[batch]`.
    pub value: Tensor<1>,
    /// A(s, a), `[batch]`.
    pub advantage: Tensor<1>,
    /// What V(s) is to become, `[batch]`.
    pub returns: Tensor<1>,
}

impl RolloutBatch {
    /// A minibatch of no rows, before the first is drawn.
    pub fn empty(observation: usize, action: usize, device: &Device) -> Self {
        let vector = || Tensor::empty([0], device);
        RolloutBatch {
            observation: Tensor::empty([0, observation], device),
            action: Tensor::empty([0, action], device),
            log_probability: vector(),
            value: vector(),
            advantage: vector(),
            returns: vector(),
        }
    }

    /// Some of the rows, one after the other.
    pub(super) fn part(&self, rows: std::ops::Range<usize>) -> Self {
        let vector = |column: &Tensor<1>| column.clone().slice([rows.clone()]);
        let matrix = |column: &Tensor<2>| column.clone().slice([rows.clone()]);
        RolloutBatch {
            observation: matrix(&self.observation),
            action: matrix(&self.action),
            log_probability: vector(&self.log_probability),
            value: vector(&self.value),
            advantage: vector(&self.advantage),
            returns: vector(&self.returns),
        }
    }

    /// How many rows.
    pub fn rows(&self) -> usize {
        self.observation.dims()[0]
    }
}
