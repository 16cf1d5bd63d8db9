//! State values.

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::{Activation, Mlp, MlpSettings, MlpShape};
use crate::nn::{Network, Piece};
use crate::random::{Dropout, Init, Random};

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
        let hidden = hidden.into();
        ValueFunction {
            trunk: Mlp::new(shape(&hidden, observation), device, init).with_dropout(hidden.dropout),
        }
    }

    /// The same with [orthogonal](Mlp::orthogonal) initial weights, the last layer's with gain 1.
    pub fn orthogonal(
        observation: usize,
        hidden: impl Into<MlpSettings>,
        device: &Device,
        init: &mut Random<Init>,
    ) -> Self {
        let hidden = hidden.into();
        let trunk = Mlp::orthogonal(shape(&hidden, observation), 1.0, device, init);
        ValueFunction {
            trunk: trunk.with_dropout(hidden.dropout),
        }
    }

    /// The values `[batch]` for observations `[batch, observation]`.
    pub fn v(&self, observation: Tensor<2>) -> Tensor<1> {
        let v = self.trunk.forward(observation).squeeze_dim::<2>(0);
        v.squeeze_dim::<1>(1)
    }

    /// The values of a training step: where the network has dropout, it drops. See [`Mlp::forward_dropping`].
    pub fn v_dropping(&self, observation: Tensor<2>, dropout: &mut Random<Dropout>) -> Tensor<1> {
        let v = self.trunk.forward_dropping(observation, dropout);
        v.squeeze_dim::<2>(0).squeeze_dim::<1>(1)
    }

    /// The perceptron underneath.
    pub fn trunk(&self) -> &Mlp {
        &self.trunk
    }
}

fn shape(hidden: &MlpSettings, observation: usize) -> MlpShape {
    hidden.shape(1, observation, 1, Activation::Identity)
}

impl Network for ValueFunction {
    fn pieces(&self, path: &str) -> Vec<Piece> {
        self.trunk.pieces(path)
    }
}
