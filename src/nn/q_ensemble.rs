//! Action values.

use bevy_reflect::Reflect;
use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::{Activation, Mlp, MlpSettings};
use crate::nn::{Network, Piece};
use crate::random::{Dropout, Init, Random};

/// The range that action values are squashed into: `(ub+lb)/2 + (ub-lb)/2 * tanh(x)`.
#[derive(Clone, Copy, Debug, PartialEq, Reflect)]
pub struct ValueBounds {
    /// The smallest value.
    pub low: f32,
    /// The largest value.
    pub high: f32,
}

/// An ensemble of independent action-value networks Q(s, a): perceptrons over the observation and the action side by side.
#[derive(Module, Debug)]
pub struct QEnsemble {
    trunk: Mlp,
    #[module(skip)]
    bounds: Option<ValueBounds>,
}

impl QEnsemble {
    /// `members` networks for observations and actions of the given widths, with the given hidden layers: their widths, or
    /// [`MlpSettings`].
    pub fn new(
        members: usize,
        observation: usize,
        action: usize,
        hidden: impl Into<MlpSettings>,
        bounds: Option<ValueBounds>,
        device: &Device,
        init: &mut Random<Init>,
    ) -> Self {
        let hidden = hidden.into();
        let shape = hidden.shape(members, observation + action, 1, Activation::Identity);
        QEnsemble {
            trunk: Mlp::new(shape, device, init).with_dropout(hidden.dropout),
            bounds,
        }
    }

    /// The values `[members, batch]` for observations `[batch, observation]` and actions `[batch, action]`.
    pub fn q(&self, observation: Tensor<2>, action: Tensor<2>) -> Tensor<2> {
        let q = self.trunk.forward(side_by_side(observation, action));
        self.bounded(q.squeeze_dim::<2>(2))
    }

    /// The values of a training step: where the networks have dropout, they drop. See [`Mlp::forward_dropping`].
    pub fn q_dropping(
        &self,
        observation: Tensor<2>,
        action: Tensor<2>,
        dropout: &mut Random<Dropout>,
    ) -> Tensor<2> {
        let input = side_by_side(observation, action);
        let q = self.trunk.forward_dropping(input, dropout);
        self.bounded(q.squeeze_dim::<2>(2))
    }

    /// The values `[batch]` of the first member. The others cost nothing.
    pub fn q1(&self, observation: Tensor<2>, action: Tensor<2>) -> Tensor<1> {
        let q = self.trunk.forward_first(side_by_side(observation, action));
        self.bounded(q.squeeze_dim::<1>(1))
    }

    fn bounded<const D: usize>(&self, q: Tensor<D>) -> Tensor<D> {
        match self.bounds {
            None => q,
            Some(ValueBounds { low, high }) => q.tanh() * ((high - low) / 2.0) + (high + low) / 2.0,
        }
    }

    /// The perceptrons underneath.
    pub fn trunk(&self) -> &Mlp {
        &self.trunk
    }
}

impl Network for QEnsemble {
    fn members(&self) -> usize {
        self.trunk.shape().members
    }

    fn pieces(&self, path: &str) -> Vec<Piece> {
        self.trunk.pieces(path)
    }
}

/// What the networks read, `[batch, observation + action]`. An action that is recorded takes the observation with it.
pub(super) fn side_by_side(observation: Tensor<2>, action: Tensor<2>) -> Tensor<2> {
    let observation = if action.device().is_autodiff() && !observation.device().is_autodiff() {
        Tensor::from_inner(observation)
    } else {
        observation
    };
    Tensor::cat(vec![observation, action], 1)
}
