//! A distribution over actions, of whatever head.

use burn::tensor::Tensor;

use super::{Categorical, DiagonalGaussian, GaussianMixture, SquashedNormal, repeat_rows};
use crate::random::{Purpose, Random};

/// A distribution over actions for each row of a batch.
///
/// Steps are written against what they need of it: its mode, draws, log-probabilities, its entropy. What a head does not have is a
/// mistake in the algorithm, and a panic that names the heads that have it.
#[derive(Clone, Debug)]
pub enum ActionDistribution {
    /// One action, `[batch, action]`: no distribution.
    Deterministic(Tensor<2>),
    /// A Gaussian, not squashed.
    Gaussian(DiagonalGaussian),
    /// A mixture of Gaussians.
    Mixture(GaussianMixture),
    /// A Gaussian squashed by a tanh.
    SquashedGaussian(SquashedNormal),
    /// Over discrete actions.
    Categorical(Categorical),
}

/// Actions that were drawn. Gradients flow from both into the distribution.
#[derive(Clone, Debug)]
pub struct SampledAction {
    /// The actions, `[batch, action]`.
    pub action: Tensor<2>,
    /// log π(a | s), `[batch]`.
    pub log_probability: Tensor<1>,
}

impl ActionDistribution {
    /// ln p(a) `[batch]` of actions `[batch, action]`, which are constants; summed over an action's elements.
    ///
    /// # Panics
    /// Where the head is deterministic: it has no density.
    pub fn log_probability(&self, action: Tensor<2>) -> Tensor<1> {
        match self {
            ActionDistribution::Deterministic(_) => no_density("log_probability"),
            ActionDistribution::Gaussian(gaussian) => gaussian.log_probability(action),
            ActionDistribution::Mixture(mixture) => mixture.log_probability(action),
            ActionDistribution::SquashedGaussian(squashed) => squashed.log_probability(action),
            ActionDistribution::Categorical(categorical) => categorical.log_probability(action),
        }
    }

    /// An action of each row, `[batch, action]`.
    pub fn sample<P: Purpose>(&self, random: &mut Random<P>) -> Tensor<2> {
        match self {
            ActionDistribution::Deterministic(action) => action.clone(),
            ActionDistribution::Gaussian(gaussian) => gaussian.sample(random),
            ActionDistribution::Mixture(mixture) => mixture.sample(random),
            ActionDistribution::SquashedGaussian(squashed) => squashed.draw(random).action,
            ActionDistribution::Categorical(categorical) => categorical.sample(random),
        }
    }

    /// An action of each row, with its log-probability.
    ///
    /// # Panics
    /// Where the head is deterministic.
    pub fn draw<P: Purpose>(&self, random: &mut Random<P>) -> SampledAction {
        match self {
            ActionDistribution::SquashedGaussian(squashed) => squashed.draw(random),
            _ => {
                let action = self.sample(random);
                SampledAction {
                    log_probability: self.log_probability(action.clone()),
                    action,
                }
            }
        }
    }

    /// The entropy of each row, `[batch]`.
    ///
    /// # Panics
    /// Where the head has none in closed form: all but a Gaussian and a categorical distribution.
    pub fn entropy(&self) -> Tensor<1> {
        match self {
            ActionDistribution::Gaussian(gaussian) => gaussian.entropy(),
            ActionDistribution::Categorical(categorical) => categorical.entropy(),
            ActionDistribution::Deterministic(_) => no_density("entropy"),
            ActionDistribution::Mixture(_) | ActionDistribution::SquashedGaussian(_) => panic!(
                "this head's entropy has no closed form: take the mean of `-log_probability` over draws, or the head `UnboundedGaussian`, `Gaussian` or `Categorical`"
            ),
        }
    }

    /// The action to take without noise, `[batch, action]`: the mean, that of a mixture's weightiest component, or the likeliest.
    pub fn mode(&self) -> Tensor<2> {
        match self {
            ActionDistribution::Deterministic(action) => action.clone(),
            ActionDistribution::Gaussian(gaussian) => gaussian.mode(),
            ActionDistribution::Mixture(mixture) => mixture.mode(),
            ActionDistribution::SquashedGaussian(squashed) => squashed.mode(),
            ActionDistribution::Categorical(categorical) => categorical.mode(),
        }
    }

    /// The same distributions, each row `n` times, one copy after the other: `[batch, ..]` to `[batch · n, ..]`.
    #[must_use]
    pub fn repeat_rows(&self, n: usize) -> Self {
        let each = |rows: &Tensor<2>| repeat_rows(rows.clone(), n);
        match self {
            ActionDistribution::Deterministic(action) => {
                ActionDistribution::Deterministic(each(action))
            }
            ActionDistribution::Gaussian(gaussian) => {
                ActionDistribution::Gaussian(DiagonalGaussian {
                    mean: each(&gaussian.mean),
                    std: each(&gaussian.std),
                })
            }
            ActionDistribution::Mixture(mixture) => {
                let [batch, modes, action] = mixture.mean.dims();
                let components = |values: &Tensor<3>| {
                    let flat = values.clone().reshape([batch, modes * action]);
                    repeat_rows(flat, n).reshape([batch * n, modes, action])
                };
                ActionDistribution::Mixture(GaussianMixture {
                    mean: components(&mixture.mean),
                    std: components(&mixture.std),
                    logits: each(&mixture.logits),
                })
            }
            ActionDistribution::SquashedGaussian(squashed) => {
                ActionDistribution::SquashedGaussian(SquashedNormal {
                    mean: each(&squashed.mean),
                    log_std: each(&squashed.log_std),
                })
            }
            ActionDistribution::Categorical(categorical) => {
                ActionDistribution::Categorical(Categorical {
                    log_probabilities: each(&categorical.log_probabilities),
                })
            }
        }
    }
}

fn no_density<T>(what: &str) -> T {
    panic!(
        "a deterministic actor has no density, so no `{what}`: give it another head, such as `SquashedGaussian`"
    )
}
