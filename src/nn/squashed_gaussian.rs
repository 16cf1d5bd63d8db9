//! A policy that draws its actions.

use std::f32::consts::{LN_2, PI};

use burn::module::Module;
use burn::tensor::activation::log_sigmoid;
use burn::tensor::{Device, Tensor};

use super::{Activation, Mlp, MlpSettings, StopGradient};
use crate::nn::{Network, Piece};
use crate::random::{Dropout, Init, Purpose, Random};

/// The least and the greatest logarithm of a deviation, as in SAC's code.
const LOG_STD: (f32, f32) = (-20.0, 2.0);

/// A stochastic policy: a normal distribution for each element of the action, squashed by a tanh, so that actions lie in
/// (-1, 1). Mean and deviation are one perceptron's outputs (Haarnoja et al. 2018, appendix C,
/// <https://arxiv.org/abs/1801.01290>).
///
/// ```
/// use yarak::prelude::*;
///
/// let device = ComputeDevice::cpu().plain();
/// let mut init = Random::<Init>::new(Seed(0));
/// let policy = SquashedGaussian::new(3, 1, &[256, 256], &device, &mut init);
/// let distribution = policy.distribution(Tensor::zeros([10, 3], &device));
/// let drawn = distribution.draw(&mut Random::<Noise>::new(Seed(0)));
/// assert_eq!(drawn.action.dims(), [10, 1]);
/// assert_eq!(drawn.log_probability.dims(), [10]);
/// assert_eq!(distribution.mode().dims(), [10, 1]);
/// ```
#[derive(Module, Debug)]
pub struct SquashedGaussian {
    trunk: Mlp,
}

impl SquashedGaussian {
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
        // The means come first, then the logarithms of the deviations.
        let shape = hidden.shape(1, observation, 2 * action, Activation::Identity);
        SquashedGaussian {
            trunk: Mlp::new(shape, device, init).with_dropout(hidden.dropout),
        }
    }

    /// The distributions of the actions for observations `[batch, observation]`.
    pub fn distribution(&self, observation: Tensor<2>) -> SquashedNormal {
        self.distribution_of(self.trunk.forward(observation))
    }

    /// The distributions of a training step: where the policy has dropout, it drops. See [`Mlp::forward_dropping`].
    pub fn distribution_dropping(
        &self,
        observation: Tensor<2>,
        dropout: &mut Random<Dropout>,
    ) -> SquashedNormal {
        self.distribution_of(self.trunk.forward_dropping(observation, dropout))
    }

    /// The distributions of the perceptron's outputs `[1, batch, outputs]`.
    fn distribution_of(&self, out: Tensor<3>) -> SquashedNormal {
        let out = out.squeeze_dim::<2>(0);
        let action = self.trunk.shape().outputs() / 2;
        SquashedNormal {
            mean: out.clone().narrow(1, 0, action),
            log_std: out.narrow(1, action, action).clamp(LOG_STD.0, LOG_STD.1),
        }
    }

    /// The perceptron underneath.
    pub fn trunk(&self) -> &Mlp {
        &self.trunk
    }
}

impl Network for SquashedGaussian {
    fn pieces(&self, path: &str) -> Vec<Piece> {
        self.trunk.pieces(path)
    }
}

/// tanh of a normal distribution with independent elements, `[batch, action]`.
#[derive(Clone, Debug)]
pub struct SquashedNormal {
    /// The normal distribution's means, before the tanh.
    pub mean: Tensor<2>,
    /// The logarithms of its deviations.
    pub log_std: Tensor<2>,
}

/// Actions with their probabilities. Gradients flow from both into the distribution.
#[derive(Clone, Debug)]
pub struct DrawnAction {
    /// The actions in (-1, 1), `[batch, action]`.
    pub action: Tensor<2>,
    /// log π(a | s), `[batch]`.
    pub log_probability: Tensor<1>,
}

impl SquashedNormal {
    /// tanh(mean), `[batch, action]`: what acts at evaluation.
    pub fn mode(&self) -> Tensor<2> {
        self.mean.clone().tanh()
    }

    /// Draws an action for each row: a = tanh(mean + std · ε) with ε from the standard normal distribution.
    pub fn draw<P: Purpose>(&self, random: &mut Random<P>) -> DrawnAction {
        self.with_noise(random.normal_like(&self.mean))
    }

    /// The actions that the standard normal draws `noise` `[batch, action]` lead to.
    pub fn with_noise(&self, noise: Tensor<2>) -> DrawnAction {
        let before_tanh = self.mean.clone() + self.log_std.clone().exp() * noise.clone();
        DrawnAction {
            log_probability: self.log_density(noise, before_tanh.clone()),
            action: before_tanh.tanh(),
        }
    }

    /// log π(a | s) of the given actions `[batch, action]`, as `[batch]`. Actions at ±1 are taken for those just inside,
    /// as their densities are infinite. The actions are constants.
    pub fn log_probability(&self, action: Tensor<2>) -> Tensor<1> {
        const EDGE: f32 = 1.0 - 1e-6;
        let action = action.clamp(-EDGE, EDGE);
        // atanh(a) = ln((1 + a) / (1 - a)) / 2
        let before_tanh = ((action.clone() + 1.0) / (action.neg() + 1.0)).log() * 0.5;
        let before_tanh = if self.mean.device().is_autodiff() {
            before_tanh.stop_gradient()
        } else {
            before_tanh.no_grad()
        };
        let noise = (before_tanh.clone() - self.mean.clone()) / self.log_std.clone().exp();
        self.log_density(noise, before_tanh)
    }

    /// The density of u = mean + std · ε under the normal distribution, less ln(1 - tanh²(u)), summed over the action's
    /// elements. ln(1 - tanh²(u)) = 2 (ln 2 - u + ln σ(2u)) loses no digits where the tanh saturates.
    fn log_density(&self, noise: Tensor<2>, before_tanh: Tensor<2>) -> Tensor<1> {
        let correction =
            (log_sigmoid(before_tanh.clone() * 2.0) - before_tanh + LN_2).mul_scalar(2.0);
        let normal = noise.square() * -0.5 - self.log_std.clone() - 0.5 * (2.0 * PI).ln();
        (normal - correction).sum_dim(1).squeeze_dim::<1>(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::*;

    fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
        tensor.into_data().into_vec().unwrap()
    }

    fn normal(mean: f32, log_std: f32) -> SquashedNormal {
        let device = ComputeDevice::cpu().plain();
        SquashedNormal {
            mean: Tensor::from_floats([[mean]], &device),
            log_std: Tensor::from_floats([[log_std]], &device),
        }
    }

    #[test]
    fn the_density_integrates_to_one() {
        for (mean, log_std) in [(0.0, 0.0), (0.8, -1.0), (-1.5, 0.3)] {
            let distribution = normal(mean, log_std);
            // The midpoint rule over 20,000 strips.
            let strips = 20_000;
            let actions: Vec<f32> = (0..strips)
                .map(|strip| (strip as f32 + 0.5) / strips as f32 * 2.0 - 1.0)
                .collect();
            let total: f64 = actions
                .iter()
                .map(|action| {
                    let action = Tensor::from_floats([[*action]], &ComputeDevice::cpu().plain());
                    f64::from(numbers(distribution.log_probability(action))[0]).exp()
                })
                .sum();
            let area = total * 2.0 / f64::from(strips);
            assert!((area - 1.0).abs() < 2e-3, "{mean} {log_std}: {area}");
        }
    }

    #[test]
    fn a_drawn_action_has_the_probability_that_it_is_found_to_have() {
        let device = ComputeDevice::cpu().plain();
        let mut init = Random::<Init>::new(Seed(1));
        let policy = SquashedGaussian::new(4, 3, &[16], &device, &mut init);
        let observation = TensorData::new(init.normals(32 * 4), [32, 4]);
        let distribution = policy.distribution(Tensor::from_data(observation, &device));
        let drawn = distribution.draw(&mut Random::<Noise>::new(Seed(2)));
        let found = numbers(distribution.log_probability(drawn.action));
        for (drawn, found) in numbers(drawn.log_probability).iter().zip(&found) {
            assert!((drawn - found).abs() < 2e-3, "{drawn} {found}");
        }
    }

    #[test]
    fn a_saturated_action_keeps_a_finite_probability_and_gradient() {
        let device = ComputeDevice::cpu().autodiff();
        let mean = Tensor::<2>::from_floats([[50.0], [-50.0]], &device).require_grad();
        let distribution = SquashedNormal {
            log_std: mean.zeros_like(),
            mean: mean.clone(),
        };
        let drawn = distribution.with_noise(mean.zeros_like());
        let log_probability = drawn.log_probability;
        // ln N(0) + 2 (|u| - ln 2), whose gradient by u is 2 sign(u).
        let expected = -0.918_938_5 + 2.0 * (50.0 - LN_2);
        for found in numbers(log_probability.clone()) {
            assert!((found - expected).abs() < 1e-4, "{found}");
        }
        let gradients = log_probability.sum().backward();
        assert_eq!(numbers(mean.grad(&gradients).unwrap()), [2.0, -2.0]);
    }

    #[test]
    fn probabilities_of_actions_at_the_edge_are_finite() {
        let device = ComputeDevice::cpu().plain();
        let edge = Tensor::from_floats([[1.0]], &device);
        assert!(numbers(normal(0.3, -20.0).log_probability(edge))[0].is_finite());
    }
}
