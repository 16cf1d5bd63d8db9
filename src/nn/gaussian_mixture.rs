//! A mixture of Gaussians, over actions.

use burn::tensor::{Tensor, activation};

use super::StopGradient;
use super::categorical::with_gumbel;
use super::gaussian::log_density;
use crate::random::{Purpose, Random};

/// A mixture of Gaussians with diagonal covariances: what imitates demonstrators who do one thing or another, and never
/// the mean of both.
///
/// ```
/// use yarak::prelude::*;
/// use yarak::nn::GaussianMixture;
///
/// let device = ComputeDevice::cpu().plain();
/// let mixture = GaussianMixture {
///     mean: Tensor::from_floats([[[-0.5], [0.5]]], &device),
///     std: Tensor::from_floats([[[0.1], [0.1]]], &device),
///     logits: Tensor::from_floats([[0.0, 1.0]], &device),
/// };
/// assert_eq!(mixture.mode().into_scalar::<f32>(), 0.5);
/// let random = &mut Random::<Noise>::new(Seed(0));
/// let drawn = mixture.low_noise().sample(random).into_scalar::<f32>();
/// assert!((drawn.abs() - 0.5).abs() < 1e-3);
/// ```
#[derive(Clone, Debug)]
pub struct GaussianMixture {
    /// The components' μ, `[batch, modes, action]`.
    pub mean: Tensor<3>,
    /// The components' σ, `[batch, modes, action]`, above 0.
    pub std: Tensor<3>,
    /// The logarithms of the components' weights up to a constant, `[batch, modes]`.
    pub logits: Tensor<2>,
}

/// The deviation of [`GaussianMixture::low_noise`].
const LOW_NOISE: f32 = 1e-4;

impl GaussianMixture {
    /// ln p(a) = ln Σ wₖ N(a | μₖ, σₖ), `[batch]`, for actions `[batch, action]`. The actions are constants.
    ///
    /// Weights and densities are never left out of their logarithms, so that an action far from every component has a
    /// finite value and a gradient.
    pub fn log_probability(&self, action: Tensor<2>) -> Tensor<1> {
        let action = action.unsqueeze_dim::<3>(1).constant_of(&self.mean);
        let each = log_density(self.mean.clone(), self.std.clone(), action).squeeze_dim::<2>(2);
        log_sum_exp(each + activation::log_softmax(self.logits.clone(), 1))
    }

    /// An action of each row, `[batch, action]`: a component by its weight, then a draw from it.
    pub fn sample<P: Purpose>(&self, random: &mut Random<P>) -> Tensor<2> {
        let chosen = with_gumbel(self.logits.clone(), random);
        let mean = self.of_component(self.mean.clone(), chosen.clone());
        let std = self.of_component(self.std.clone(), chosen);
        mean.clone() + std * random.normal_like(&mean)
    }

    /// The mean of the component with the greatest weight of each row, `[batch, action]`.
    pub fn mode(&self) -> Tensor<2> {
        self.of_component(self.mean.clone(), self.logits.clone())
    }

    /// The same mixture with deviations of 1e-4: its samples are one of the means, almost. robomimic acts like this.
    #[must_use]
    pub fn low_noise(&self) -> Self {
        GaussianMixture {
            std: self.std.full_like(LOW_NOISE),
            ..self.clone()
        }
    }

    /// `values` of the component where `scores` `[batch, modes]` is greatest.
    fn of_component(&self, values: Tensor<3>, scores: Tensor<2>) -> Tensor<2> {
        let [_, _, action] = values.dims();
        let index = scores.argmax(1).unsqueeze_dim::<3>(2).repeat_dim(2, action);
        values.gather(1, index).squeeze_dim::<2>(1)
    }
}

/// ln Σ exp(x) over the second dimension, with the greatest term taken out: `[batch, n]` to `[batch]`.
///
/// ```
/// use yarak::prelude::*;
///
/// let x = Tensor::<2>::from_floats([[1000.0, 1000.0]], &ComputeDevice::cpu().plain());
/// assert!((log_sum_exp(x).into_scalar::<f32>() - 1000.6931).abs() < 1e-3);
/// ```
pub fn log_sum_exp(x: Tensor<2>) -> Tensor<1> {
    // The same for any constant: the greatest term is one, and gets no gradient of its own.
    let greatest = x.clone().detach().max_dim(1);
    let sum = (x - greatest.clone()).exp().sum_dim(1);
    (sum.log() + greatest).squeeze_dim::<1>(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::GaussianMixture;
    use crate::prelude::*;

    fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
        tensor.into_data().into_vec().unwrap()
    }

    fn two_components(device: &Device) -> GaussianMixture {
        GaussianMixture {
            mean: Tensor::from_floats([[[-1.0], [1.0]]], device),
            std: Tensor::from_floats([[[0.5], [2.0]]], device),
            logits: Tensor::from_floats([[0.0, 3.0_f32.ln()]], device),
        }
    }

    #[test]
    fn log_probabilities_weigh_the_components() {
        let mixture = two_components(&ComputeDevice::cpu().plain());
        let action = Tensor::from_floats([[0.0]], &ComputeDevice::cpu().plain());
        let found = mixture.log_probability(action).into_scalar::<f32>();
        // ln(1/4 N(0 | -1, 1/2) + 3/4 N(0 | 1, 2)) = ln(0.25 * 0.10798193 + 0.75 * 0.17603266).
        assert!((found + 1.838_725_4).abs() < 1e-6, "{found}");
    }

    #[test]
    fn an_action_far_from_every_component_has_a_finite_log_probability_and_gradient() {
        let device = ComputeDevice::cpu().autodiff();
        let mean = Tensor::<3>::from_floats([[[-0.5], [0.5]]], &device).require_grad();
        let mixture = GaussianMixture {
            mean: mean.clone(),
            std: Tensor::from_floats([[[1e-2], [1e-2]]], &device),
            logits: Tensor::from_floats([[200.0, -200.0]], &device),
        };
        let action = Tensor::from_floats([[1.0]], &ComputeDevice::cpu().plain());
        let log_p = mixture.log_probability(action);
        let gradients = log_p.clone().sum().backward();
        // Densities of e^-11250 and weights of e^-400 vanish in 32 bits; their logarithms do not.
        // Of both: -(1.5 / 0.01)^2 / 2, and -(0.5 / 0.01)^2 / 2 - 400; each - ln 0.01 - ln(2 pi) / 2.
        let found = log_p.into_scalar::<f32>();
        assert!((found + 1_646.313_8).abs() < 1e-3, "{found}");
        let gradient = numbers(mean.grad(&gradients).unwrap());
        assert_eq!(gradient[0], 0.0);
        assert!((gradient[1] - 5_000.0).abs() < 0.1, "{gradient:?}");
    }

    #[test]
    fn low_noise_keeps_means_and_weights_and_narrows_every_component() {
        let device = ComputeDevice::cpu().plain();
        let mixture = two_components(&device);
        let narrow = mixture.low_noise();
        assert_eq!(numbers(narrow.std.clone()), [1e-4, 1e-4]);
        assert_eq!(numbers(narrow.mean.clone()), numbers(mixture.mean));
        let at_mean = Tensor::from_floats([[1.0]], &device);
        // ln 3/4 - ln 1e-4 - ln(2 pi) / 2.
        let found = narrow.log_probability(at_mean).into_scalar::<f32>();
        assert!((found - 8.003_72).abs() < 1e-4, "{found}");
    }

    #[test]
    fn components_are_drawn_by_their_weights() {
        let device = ComputeDevice::cpu().plain();
        let rows = 4_000;
        let one = two_components(&device).low_noise();
        let mixture = GaussianMixture {
            mean: one.mean.repeat_dim(0, rows),
            std: one.std.repeat_dim(0, rows),
            logits: one.logits.repeat_dim(0, rows),
        };
        let drawn = numbers(mixture.sample(&mut Random::<Noise>::new(Seed(0))));
        assert!(drawn.iter().all(|x| (x.abs() - 1.0).abs() < 1e-3));
        let right = drawn.iter().filter(|x| **x > 0.0).count();
        assert!((2_900..3_100).contains(&right), "{right} of {rows}");
    }
}
