//! A Gaussian squashed by a tanh, over actions.

use std::f32::consts::{LN_2, PI};

use burn::tensor::Tensor;
use burn::tensor::activation::log_sigmoid;

use super::SampledAction;
use super::StopGradient;
use crate::random::{Purpose, Random};

/// tanh of a normal distribution with independent elements, `[batch, action]`.
#[derive(Clone, Debug)]
pub struct SquashedNormal {
    /// The normal distribution's means, before the tanh.
    pub mean: Tensor<2>,
    /// The logarithms of its deviations.
    pub log_std: Tensor<2>,
}

impl SquashedNormal {
    /// tanh(mean), `[batch, action]`: what acts at evaluation.
    pub fn mode(&self) -> Tensor<2> {
        self.mean.clone().tanh()
    }

    /// Draws an action for each row: a = tanh(mean + std · ε) with ε from the standard normal distribution.
    pub fn draw<P: Purpose>(&self, random: &mut Random<P>) -> SampledAction {
        self.with_noise(random.normal_like(&self.mean))
    }

    /// The actions that the standard normal draws `noise` `[batch, action]` lead to.
    pub fn with_noise(&self, noise: Tensor<2>) -> SampledAction {
        let before_tanh = self.mean.clone() + self.log_std.clone().exp() * noise.clone();
        SampledAction {
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
        let before_tanh = before_tanh.constant_of(&self.mean);
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
    use crate::nn::SquashedNormal;
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
        let parameters = |init: &mut Random<Init>| {
            Tensor::from_data(TensorData::new(init.normals(32 * 3), [32, 3]), &device)
        };
        let distribution = SquashedNormal {
            // Far from ±1, where an action in float32 no longer says what was drawn.
            mean: parameters(&mut init) * 0.2,
            log_std: parameters(&mut init) * 0.2 - 0.5,
        };
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
