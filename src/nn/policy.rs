//! The policy network.

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::{Activation, Mlp, MlpShape};
use crate::learner::{Init, Network, Piece, Random};

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
    /// A policy from observations of width `observation` to actions of width `action`, with hidden layers of the given
    /// widths and ReLU.
    pub fn new(
        observation: usize,
        action: usize,
        layers: &[usize],
        device: &Device,
        init: &mut Random<Init>,
    ) -> Self {
        let mut sizes = vec![observation];
        sizes.extend(layers);
        sizes.push(action);
        let shape = MlpShape {
            members: 1,
            sizes,
            hidden: Activation::Relu,
            output: Activation::Tanh,
            layer_norm: None,
        };
        Policy {
            trunk: Mlp::new(shape, device, init),
        }
    }

    /// The actions π(s) `[batch, action]` in [-1, 1] for observations `[batch, observation]`.
    pub fn act(&self, observation: Tensor<2>) -> Tensor<2> {
        self.trunk.forward(observation).squeeze_dim::<2>(0)
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
