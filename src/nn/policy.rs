//! The policy network.

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::{Activation, Mlp, MlpSettings};
use crate::nn::{Network, Piece};
use crate::random::{Dropout, Init, Random};

/// A deterministic policy: a multi-layer perceptron with a tanh at its end, so that actions lie in [-1, 1].
///
/// ```
/// use yarak::prelude::*;
///
/// let device = ComputeDevice::cpu();
/// let mut init = Random::<Init>::new(Seed(0));
/// let policy = Policy::new(3, 1, &[256, 256], &device.plain(), &mut init);
/// let action = policy.act(Tensor::zeros([10, 3], &device.plain()));
/// assert_eq!(action.dims(), [10, 1]);
/// ```
#[derive(Module, Debug)]
pub struct Policy {
    trunk: Mlp,
}

impl Policy {
    /// A policy from observations of width `observation` to actions of width `action`, with the given hidden layers: their
    /// widths, or [`MlpSettings`].
    pub fn new(
        observation: usize,
        action: usize,
        hidden: impl Into<MlpSettings>,
        device: &Device,
        init: &mut Random<Init>,
    ) -> Self {
        let hidden = hidden.into();
        let shape = hidden.shape(1, observation, action, Activation::Tanh);
        Policy {
            trunk: Mlp::new(shape, device, init).with_dropout(hidden.dropout),
        }
    }

    /// The actions π(s) `[batch, action]` in [-1, 1] for observations `[batch, observation]`.
    pub fn act(&self, observation: Tensor<2>) -> Tensor<2> {
        self.trunk.forward(observation).squeeze_dim::<2>(0)
    }

    /// The actions of a training step: where the policy has dropout, it drops. See [`Mlp::forward_dropping`].
    pub fn act_dropping(&self, observation: Tensor<2>, dropout: &mut Random<Dropout>) -> Tensor<2> {
        let actions = self.trunk.forward_dropping(observation, dropout);
        actions.squeeze_dim::<2>(0)
    }

    /// The perceptron underneath.
    pub fn trunk(&self) -> &Mlp {
        &self.trunk
    }
}

impl Network for Policy {
    fn pieces(&self, path: &str) -> Vec<Piece> {
        self.trunk.pieces(path)
    }
}
