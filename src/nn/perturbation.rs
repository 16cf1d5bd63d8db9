//! A policy that may only change an action a little.

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::q_ensemble::side_by_side;
use super::{Activation, Mlp, MlpSettings};
use crate::nn::{Network, Piece};
use crate::random::{Dropout, Init, Random};

/// ξ(s, a): an action that is at most `limit` away from the one it is given, element by element, and within [-1, 1]
/// (Fujimoto et al. 2019, <https://arxiv.org/abs/1812.02900>, Φ there).
///
/// ```
/// use yarak::prelude::*;
///
/// let device = ComputeDevice::cpu().plain();
/// let init = &mut Random::<Init>::new(Seed(0));
/// let network = Perturbation::new(3, 1, &[64, 64], 0.05, &device, init);
/// let action = Tensor::<2>::from_floats([[0.5]], &device);
/// let moved = network.perturb(Tensor::zeros([1, 3], &device), action).into_scalar::<f32>();
/// assert!((moved - 0.5).abs() <= 0.05);
/// ```
#[derive(Module, Debug)]
pub struct Perturbation {
    trunk: Mlp,
    #[module(skip)]
    limit: f32,
}

impl Perturbation {
    /// A network for observations and actions of the given widths, with the given hidden layers: their widths, or
    /// [`MlpSettings`].
    pub fn new(
        observation: usize,
        action: usize,
        hidden: impl Into<MlpSettings>,
        limit: f32,
        device: &Device,
        init: &mut Random<Init>,
    ) -> Self {
        let hidden = hidden.into();
        let shape = hidden.shape(1, observation + action, action, Activation::Tanh);
        Perturbation {
            trunk: Mlp::new(shape, device, init).with_dropout(hidden.dropout),
            limit,
        }
    }

    /// The changed actions `[batch, action]` for observations `[batch, observation]` and actions `[batch, action]`.
    pub fn perturb(&self, observation: Tensor<2>, action: Tensor<2>) -> Tensor<2> {
        let input = side_by_side(observation, action.clone());
        self.moved(action, self.trunk.forward(input))
    }

    /// The same in a training step: where the network has dropout, it drops. See [`Mlp::forward_dropping`].
    pub fn perturb_dropping(
        &self,
        observation: Tensor<2>,
        action: Tensor<2>,
        dropout: &mut Random<Dropout>,
    ) -> Tensor<2> {
        let input = side_by_side(observation, action.clone());
        self.moved(action, self.trunk.forward_dropping(input, dropout))
    }

    /// The actions, moved by the perceptron's outputs `[1, batch, action]`.
    fn moved(&self, action: Tensor<2>, out: Tensor<3>) -> Tensor<2> {
        let change = out.squeeze_dim::<2>(0) * self.limit;
        let action = if change.device().is_autodiff() && !action.device().is_autodiff() {
            Tensor::from_inner(action)
        } else {
            action
        };
        (action + change).clamp(-1.0, 1.0)
    }
}

impl Network for Perturbation {
    fn pieces(&self, path: &str) -> Vec<Piece> {
        self.trunk.pieces(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::*;

    #[test]
    fn actions_move_by_no_more_than_the_limit_and_never_out_of_their_range() {
        let device = ComputeDevice::cpu().plain();
        let shape = MlpShape {
            sizes: vec![2, 1],
            output: Activation::Tanh,
            ..default()
        };
        // tanh(100) = 1: the whole limit, upwards.
        let network = Perturbation {
            trunk: Mlp::from_values(shape, vec![0.0, 0.0, 100.0], &device),
            limit: 0.05,
        };
        let action = Tensor::<2>::from_floats([[-1.0], [0.5], [0.98]], &device);
        let moved = network.perturb(Tensor::zeros([3, 1], &device), action);
        let moved: Vec<f32> = moved.into_data().into_vec().unwrap();
        for (moved, expected) in moved.iter().zip([-0.95, 0.55, 1.0]) {
            assert!((moved - expected).abs() < 1e-6, "{moved}");
        }
    }
}
