//! A policy that may only change an action a little.

use burn::module::{AutodiffModule, Module};
use burn::tensor::{Device, Tensor};

use super::sides::{plain_device, same_side};
use super::trunk::Sizes;
use super::{Activation, InitError, Layers, Trunk};
use crate::nn::{Network, Piece};
use crate::observation::EncoderInput;
use crate::random::{Init, Random};

/// ξ(s, a): an action that is at most `limit` away from the one it is given, element by element, and within [-1, 1]
/// (Fujimoto et al. 2019, <https://arxiv.org/abs/1812.02900>, Φ there).
///
/// ```
/// use yarak::prelude::*;
///
/// let device = ComputeDevice::cpu().plain();
/// let init = &mut Random::<Init>::new(Seed(0));
/// let network = Perturbation::new(&[64, 64], 0.05, 3, 1, &device, init)?;
/// let action = Tensor::<2>::from_floats([[0.5]], &device);
/// let moved = network.perturb(Tensor::zeros([1, 3], &device), action).into_scalar::<f32>();
/// assert!((moved - 0.5).abs() <= 0.05);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Module, Debug)]
pub struct Perturbation {
    trunk: Trunk,
    #[module(skip)]
    limit: f32,
}

impl Perturbation {
    /// A network for observations such as `input` and actions of `action` elements. `layers` is an encoder, a list of widths,
    /// or [`Layers`].
    ///
    /// # Errors
    /// When the encoder cannot be made for such observations.
    pub fn new(
        layers: impl Into<Layers>,
        limit: f32,
        input: impl Into<EncoderInput>,
        action: usize,
        device: &Device,
        init: &mut Random<Init>,
    ) -> Result<Self, InitError> {
        let sizes = Sizes {
            members: 1,
            input: &input.into(),
            beside: action,
            outputs: action,
            output: Activation::Tanh,
        };
        let tracked = plain_device(device).autodiff();
        let trunk = Trunk::new(layers.into(), sizes, &tracked, init)?;
        let network = Perturbation { trunk, limit };
        Ok(if device.is_autodiff() {
            network
        } else {
            network.valid()
        })
    }

    /// The changed actions `[batch, action]` for observations `[batch, observation]` and actions `[batch, action]`.
    pub fn perturb(&self, observation: Tensor<2>, action: Tensor<2>) -> Tensor<2> {
        let out = self.trunk.forward(observation, Some(action.clone()));
        moved(action, out.squeeze_dim::<2>(0), self.limit)
    }
}

/// The actions, moved by outputs in [-1, 1] times the limit.
fn moved(action: Tensor<2>, out: Tensor<2>, limit: f32) -> Tensor<2> {
    let (action, change) = same_side(action, out * limit);
    (action + change).clamp(-1.0, 1.0)
}

impl Network for Perturbation {
    fn values_per_row(&self) -> usize {
        self.trunk.values_per_row()
    }

    fn pieces(&self, path: &str) -> Vec<Piece> {
        match path.strip_prefix("trunk.") {
            Some(path) => self.trunk.pieces(path),
            None => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::*;

    #[test]
    fn actions_move_by_no_more_than_the_limit_and_never_out_of_their_range() {
        let device = ComputeDevice::cpu().plain();
        let action = Tensor::<2>::from_floats([[-1.0], [0.5], [0.98]], &device);
        let moved = moved(action, Tensor::ones([3, 1], &device), 0.05);
        let moved: Vec<f32> = moved.into_data().into_vec().unwrap();
        for (moved, expected) in moved.iter().zip([-0.95, 0.55, 1.0]) {
            assert!((moved - expected).abs() < 1e-6, "{moved}");
        }
    }
}
