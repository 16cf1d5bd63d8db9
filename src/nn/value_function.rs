//! State values.

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::{Activation, Mlp, MlpShape};
use crate::learner::{Init, Network, Piece, Random};

/// A state-value network V(s): a perceptron over the observation.
///
/// ```
/// use yarak::prelude::*;
///
/// let device = ComputeDevice::cpu().plain();
/// let value = ValueFunction::new(3, &[64, 64], &device, &mut Random::<Init>::new(Seed(0)));
/// assert_eq!(value.v(Tensor::zeros([10, 3], &device)).dims(), [10]);
/// ```
#[derive(Module, Debug)]
pub struct ValueFunction {
    trunk: Mlp,
}

impl ValueFunction {
    /// A network for observations of the given width, with hidden layers of the given widths and ReLU.
    pub fn new(
        observation: usize,
        layers: &[usize],
        device: &Device,
        init: &mut Random<Init>,
    ) -> Self {
        let mut sizes = vec![observation];
        sizes.extend(layers);
        sizes.push(1);
        let shape = MlpShape {
            members: 1,
            sizes,
            hidden: Activation::Relu,
            output: Activation::Identity,
            layer_norm: None,
        };
        ValueFunction {
            trunk: Mlp::new(shape, device, init),
        }
    }

    /// The values `[batch]` for observations `[batch, observation]`.
    pub fn v(&self, observation: Tensor<2>) -> Tensor<1> {
        let v = self.trunk.forward(observation).squeeze_dim::<2>(0);
        v.squeeze_dim::<1>(1)
    }

    /// The perceptron underneath.
    pub fn trunk(&self) -> &Mlp {
        &self.trunk
    }
}

impl Network for ValueFunction {
    fn pieces(&self, path: &str) -> Vec<Piece> {
        self.trunk.pieces(path)
    }
}
