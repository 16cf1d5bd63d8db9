//! A Gaussian with a diagonal covariance, over actions.

use std::f32::consts::{E, TAU};

use burn::tensor::Tensor;

use super::StopGradient;
use crate::random::{Purpose, Random};

/// Independent Gaussians over the elements of an action, one such action for each row of a batch.
///
/// It is not squashed: an action outside [-1, 1] has a density, too, and data's actions at the very bounds have a finite one.
///
/// ```
/// use yarak::prelude::*;
///
/// let device = ComputeDevice::cpu().plain();
/// let gaussian = DiagonalGaussian {
///     mean: Tensor::from_floats([[0.0, 0.0]], &device),
///     std: Tensor::from_floats([[1.0, 1.0]], &device),
/// };
/// let log_p = gaussian.log_probability(Tensor::from_floats([[0.0, 1.0]], &device));
/// assert!((log_p.into_scalar::<f32>() + 2.3378770).abs() < 1e-6); // -ln(2 pi) - 1/2
/// ```
#[derive(Clone, Debug)]
pub struct DiagonalGaussian {
    /// μ, `[batch, action]`.
    pub mean: Tensor<2>,
    /// σ, `[batch, action]`, above 0.
    pub std: Tensor<2>,
}

impl DiagonalGaussian {
    /// ln p(a) `[batch]`, summed over the action's elements, for actions `[batch, action]`. The actions are constants.
    pub fn log_probability(&self, action: Tensor<2>) -> Tensor<1> {
        let action = action.constant_of(&self.mean);
        log_density(self.mean.clone(), self.std.clone(), action).squeeze_dim::<1>(1)
    }

    /// An action of each row, `[batch, action]`: μ + σ ε with ε from the stream. Gradients flow into μ and σ.
    pub fn sample<P: Purpose>(&self, random: &mut Random<P>) -> Tensor<2> {
        let noise = random.normal_like(&self.mean);
        self.mean.clone() + self.std.clone() * noise
    }

    /// The entropy `[batch]`, summed over the action's elements: Σ ½ ln(2πe) + ln σ.
    pub fn entropy(&self) -> Tensor<1> {
        let elements = self.std.dims()[1] as f32;
        let log_std = self.std.clone().log().sum_dim(1).squeeze_dim::<1>(1);
        log_std + 0.5 * elements * (TAU * E).ln()
    }

    /// The most probable action of each row, `[batch, action]`: μ.
    pub fn mode(&self) -> Tensor<2> {
        self.mean.clone()
    }
}

/// Σ ln N(x | mean, std) over the last dimension, which stays with length 1.
pub(super) fn log_density<const D: usize>(
    mean: Tensor<D>,
    std: Tensor<D>,
    x: Tensor<D>,
) -> Tensor<D> {
    let elements = x.dims()[D - 1] as f32;
    let z = (x - mean) / std.clone();
    let each = z.square() * -0.5 - std.log();
    each.sum_dim(D - 1) - 0.5 * elements * TAU.ln()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::*;

    fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
        tensor.into_data().into_vec().unwrap()
    }

    #[test]
    fn log_probabilities_are_summed_over_the_actions_elements() {
        let device = ComputeDevice::cpu().plain();
        let gaussian = DiagonalGaussian {
            mean: Tensor::from_floats([[0.5, -0.5], [0.0, 0.0]], &device),
            std: Tensor::from_floats([[0.5, 2.0], [1e-4, 1e-4]], &device),
        };
        let action = Tensor::from_floats([[1.0, 0.5], [0.0, 0.0]], &device);
        let found = numbers(gaussian.log_probability(action));
        // -ln 2pi - (1 / 2 + 1 / 8) - ln 0.5 - ln 2, and -ln 2pi - 2 ln 1e-4.
        for (found, expected) in found.iter().zip([-2.462_877, 16.582_804]) {
            assert!((found - expected).abs() < 2e-6 * 17.0, "{found}");
        }
    }

    #[test]
    fn gradients_of_the_log_probability_go_to_mean_and_deviation_and_never_to_the_action() {
        let device = ComputeDevice::cpu().autodiff();
        let mean = Tensor::<2>::from_floats([[0.5]], &device).require_grad();
        let std = Tensor::<2>::from_floats([[0.5]], &device).require_grad();
        let action = Tensor::<2>::from_floats([[1.5]], &device).require_grad();
        let gaussian = DiagonalGaussian {
            mean: mean.clone(),
            std: std.clone(),
        };
        let gradients = gaussian.log_probability(action.clone()).sum().backward();
        // (a - mu) / sigma^2 and (a - mu)^2 / sigma^3 - 1 / sigma.
        assert_eq!(numbers(mean.grad(&gradients).unwrap()), [4.0]);
        assert_eq!(numbers(std.grad(&gradients).unwrap()), [6.0]);
        assert!(action.grad(&gradients).is_none());
    }

    #[test]
    fn the_entropy_grows_with_the_logarithm_of_the_deviations_alone() {
        let device = ComputeDevice::cpu().plain();
        let gaussian = DiagonalGaussian {
            mean: Tensor::from_floats([[0.5, -0.5], [9.0, 9.0]], &device),
            std: Tensor::from_floats([[1.0, 1.0], [0.5, 4.0]], &device),
        };
        let found = numbers(gaussian.entropy());
        // ln(2 pi e), and ln 2 more.
        assert!((found[0] - 2.837_877).abs() < 1e-6, "{found:?}");
        assert!((found[1] - 3.531_024).abs() < 1e-6, "{found:?}");
    }

    #[test]
    fn samples_are_the_mean_and_the_deviation_times_the_draw() {
        let device = ComputeDevice::cpu().plain();
        let gaussian = DiagonalGaussian {
            mean: Tensor::from_floats([[1.0, -1.0]], &device),
            std: Tensor::from_floats([[0.5, 0.25]], &device),
        };
        let mut noise = Random::<Noise>::new(Seed(0));
        noise.give_normals([2.0, -4.0]);
        assert_eq!(numbers(gaussian.sample(&mut noise)), [2.0, -2.0]);
        assert_eq!(numbers(gaussian.mode()), [1.0, -1.0]);
    }
}
