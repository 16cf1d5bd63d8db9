//! How far a policy has moved in an epoch, for rounds that end when it has moved far enough.

use bevy_ecs::prelude::*;
use burn::tensor::{Tensor, TensorData};

use super::RolloutBuffer;
use crate::checkpoint::{CheckpointError, Persist, Snapshot};
use crate::nn::ComputeDevice;
use crate::transfer::{download, upload};

/// The KL divergence of the policy from the one that drew the round's actions, over the minibatches of the epoch. It is read back
/// between epochs, and only where there is a target.
#[derive(Resource, Debug)]
pub struct Divergence {
    target: Option<f32>,
    /// The sum over minibatches, `[1]`.
    sum: Option<Tensor<1>>,
    minibatches: u32,
}

impl Divergence {
    pub(super) fn new(target: Option<f32>) -> Self {
        Divergence {
            target,
            sum: None,
            minibatches: 0,
        }
    }

    /// Takes a minibatch's divergence `[1]` in.
    pub fn add(&mut self, divergence: Tensor<1>) {
        if self.target.is_some() {
            let divergence = divergence.no_grad();
            self.sum = Some(match self.sum.take() {
                Some(sum) => sum + divergence,
                None => divergence,
            });
            self.minibatches += 1;
        }
    }

    /// A new epoch begins, and nothing of the one before counts for it.
    pub(super) fn begin(&mut self) {
        (self.sum, self.minibatches) = (None, 0);
    }

    /// Whether the mean of the epoch is above the target. An epoch begins.
    fn is_reached(&mut self) -> bool {
        let minibatches = self.minibatches as f32;
        let sum = self.sum.take();
        self.begin();
        match (self.target, sum) {
            (Some(target), Some(sum)) => download(sum)[0] > target * minibatches,
            _ => false,
        }
    }
}

const KEY: &str = "divergence";

/// A run may be cut in the middle of an epoch.
impl Persist for Divergence {
    fn save(&self, snapshot: &mut Snapshot) -> Result<(), CheckpointError> {
        match &self.sum {
            Some(sum) => snapshot.put_state(KEY, &(download(sum.clone())[0], self.minibatches)),
            None => Ok(()),
        }
    }

    fn load(&mut self, snapshot: &Snapshot, world: &World) -> Result<(), CheckpointError> {
        self.begin();
        if snapshot.state.contains_key(KEY) {
            let (sum, minibatches): (f32, u32) = snapshot.state(KEY)?;
            let device = world.resource::<ComputeDevice>().plain();
            self.sum = Some(upload(TensorData::from([sum]), &device));
            self.minibatches = minibatches;
        }
        Ok(())
    }
}

/// Between epochs: a round is over where there is nothing to learn from, or the policy has moved far enough.
pub(super) fn are_enough(world: &mut World) -> bool {
    let reached = world.resource_mut::<Divergence>().is_reached();
    let Some(mut rollout) = world.get_resource_mut::<RolloutBuffer>() else {
        return false;
    };
    if reached {
        rollout.finish();
    }
    reached || rollout.valid_rows() == 0
}
