//! A distribution over a few discrete actions.

use burn::tensor::{Tensor, TensorData, activation};

use super::StopGradient;
use crate::random::{Purpose, Random};
use crate::transfer::upload;

/// A categorical distribution over n discrete actions for each row of a batch.
///
/// ```
/// use yarak::prelude::*;
///
/// let device = ComputeDevice::cpu().plain();
/// let categorical = Categorical::of_logits(Tensor::from_floats([[0.0, 0.0], [0.0, 3.0_f32.ln()]], &device));
/// let log_p = categorical.log_probability(Tensor::from_floats([[0.0], [1.0]], &device));
/// let log_p: Vec<f32> = log_p.into_data().to_vec().unwrap();
/// assert!((log_p[0] - 0.5_f32.ln()).abs() < 1e-6 && (log_p[1] - 0.75_f32.ln()).abs() < 1e-6);
/// ```
#[derive(Clone, Debug)]
pub struct Categorical {
    /// ln p of each choice, `[batch, actions]`.
    pub log_probabilities: Tensor<2>,
}

impl Categorical {
    /// p = softmax of the logits `[batch, actions]`.
    pub fn of_logits(logits: Tensor<2>) -> Self {
        Categorical {
            log_probabilities: activation::log_softmax(logits, 1),
        }
    }

    /// ln p `[batch]` of the discrete actions `[batch, 1]`, which are indices from 0 as numbers, and constants.
    pub fn log_probability(&self, choice: Tensor<2>) -> Tensor<1> {
        let choice = choice.constant_of(&self.log_probabilities).int();
        let chosen = self.log_probabilities.clone().gather(1, choice);
        chosen.squeeze_dim::<1>(1)
    }

    /// A choice of each row by its probability, as an index `[batch, 1]`.
    pub fn sample<P: Purpose>(&self, random: &mut Random<P>) -> Tensor<2> {
        let noisy = with_gumbel(self.log_probabilities.clone(), random);
        noisy.argmax(1).float()
    }

    /// −Σ p ln p, `[batch]`.
    pub fn entropy(&self) -> Tensor<1> {
        let log_p = self.log_probabilities.clone();
        let each = log_p.clone().exp() * log_p;
        each.sum_dim(1).squeeze_dim::<1>(1).neg()
    }

    /// The most probable choice of each row, as an index `[batch, 1]`.
    pub fn mode(&self) -> Tensor<2> {
        self.log_probabilities.clone().argmax(1).float()
    }
}

/// Logits `[batch, n]` with Gumbel noise: the place of a row's greatest is drawn by the weights that the logits are the logarithms of
/// (Gumbel 1954).
pub(super) fn with_gumbel<P: Purpose>(logits: Tensor<2>, random: &mut Random<P>) -> Tensor<2> {
    let [batch, n] = logits.dims();
    let uniforms = random.uniforms(batch * n, f32::MIN_POSITIVE, 1.0);
    let uniforms = TensorData::new(uniforms, [batch, n]);
    let uniforms = upload::<2>(uniforms, &logits.device());
    logits - uniforms.log().neg().log()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::*;

    fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
        tensor.into_data().into_vec().unwrap()
    }

    #[test]
    fn the_entropy_is_greatest_where_all_discrete_actions_are_alike_and_the_mode_is_the_likeliest()
    {
        let device = ComputeDevice::cpu().plain();
        let logits = Tensor::from_floats([[2.0, 2.0, 2.0], [100.0, 0.0, 0.0]], &device);
        let categorical = Categorical::of_logits(logits);
        let entropy = numbers(categorical.entropy());
        assert!((entropy[0] - 3.0_f32.ln()).abs() < 1e-6);
        assert!(entropy[1].abs() < 1e-30);
        assert_eq!(numbers(categorical.mode())[1], 0.0);
    }

    #[test]
    fn discrete_actions_are_drawn_by_their_probabilities() {
        let device = ComputeDevice::cpu().plain();
        let rows = 4_000;
        let logits = Tensor::<2>::from_floats([[0.0, 3.0_f32.ln()]], &device);
        let categorical = Categorical::of_logits(logits.repeat_dim(0, rows));
        let drawn = numbers(categorical.sample(&mut Random::<Noise>::new(Seed(0))));
        assert!(drawn.iter().all(|choice| [0.0, 1.0].contains(choice)));
        let second = drawn.iter().filter(|choice| **choice == 1.0).count();
        assert!((2_900..3_100).contains(&second), "{second} of {rows}");
    }

    #[test]
    fn gradients_of_the_log_probability_and_of_the_entropy_are_those_of_the_formulas() {
        let device = ComputeDevice::cpu().autodiff();
        let plain = ComputeDevice::cpu().plain();
        let logits =
            Tensor::<2>::from_floats([[0.0, 1.0_f32.ln(), 2.0_f32.ln()]], &device).require_grad();
        let categorical = || Categorical::of_logits(logits.clone());
        let p = [0.25, 0.25, 0.5];
        // d ln p_2 / d logit_j = 1(j = 2) − p_j.
        let choice = Tensor::from_floats([[2.0]], &plain);
        let gradients = categorical().log_probability(choice).sum().backward();
        let found = numbers(logits.grad(&gradients).unwrap());
        for (j, found) in found.iter().enumerate() {
            let expected = f32::from(u8::from(j == 2)) - p[j];
            assert!((found - expected).abs() < 1e-6, "{j}: {found}");
        }
        // d H / d logit_j = −p_j (ln p_j + H).
        let entropy: f32 = p.iter().map(|p| -p * p.ln()).sum();
        let gradients = categorical().entropy().sum().backward();
        let found = numbers(logits.grad(&gradients).unwrap());
        for (p, found) in p.iter().zip(found) {
            assert!((found + p * (p.ln() + entropy)).abs() < 1e-6, "{found}");
        }
    }
}
