//! State values.

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::{Activation, Mlp, MlpSettings, MlpShape};
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
    /// A network for observations of the given width, with the given hidden layers: their widths, or [`MlpSettings`].
    pub fn new(
        observation: usize,
        hidden: impl Into<MlpSettings>,
        device: &Device,
        init: &mut Random<Init>,
    ) -> Self {
        let shape = shape(observation, hidden);
        ValueFunction {
            trunk: Mlp::new(shape, device, init),
        }
    }

    /// The same with [orthogonal](Mlp::orthogonal) initial weights, the last layer's with gain 1.
    pub fn orthogonal(
        observation: usize,
        hidden: impl Into<MlpSettings>,
        device: &Device,
        init: &mut Random<Init>,
    ) -> Self {
        let shape = shape(observation, hidden);
        ValueFunction {
            trunk: Mlp::orthogonal(shape, 1.0, device, init),
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

fn shape(observation: usize, hidden: impl Into<MlpSettings>) -> MlpShape {
    let hidden = hidden.into();
    hidden.shape(1, observation, 1, Activation::Identity)
}

impl Network for ValueFunction {
    fn pieces(&self, path: &str) -> Vec<Piece> {
        self.trunk.pieces(path)
    }
}
