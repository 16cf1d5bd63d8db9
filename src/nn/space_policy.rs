//! The policy of those algorithms that learn from their own draws: over choices or over numbers, as the action space is.

use burn::module::{AutodiffModule, Module, Param};
use burn::tensor::{Device, Tensor};

use super::{Activation, Categorical, DiagonalGaussian, Mlp, MlpSettings};
use crate::nn::{Network, Piece};
use crate::random::{Dropout, Init, Random};

/// What a [`SpacePolicy`] draws from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActionKind {
    /// One of so many choices: the action is an index, `[batch, 1]`.
    Choices(usize),
    /// So many numbers: `[batch, numbers]`.
    Numbers(usize),
}

/// A stochastic policy over an action space: a multi-layer perceptron whose outputs are the logits of a categorical
/// distribution, or the means of a Gaussian with one learned ln σ for each element of the action, the same for every
/// observation. The Gaussian is not squashed: environments clip.
///
/// ```
/// use yarak::prelude::*;
///
/// let device = ComputeDevice::cpu().plain();
/// let init = &mut Random::<Init>::new(Seed(0));
/// let policy = SpacePolicy::new(4, ActionKind::Choices(2), &[64, 64], 0.0, &device, init);
/// let distribution = policy.distribution(Tensor::ones([10, 4], &device));
/// // A fresh policy has hardly any preference.
/// let entropy: f32 = distribution.entropy().mean().into_scalar();
/// assert!((entropy - 2.0_f32.ln()).abs() < 0.01);
/// ```
#[derive(Module, Debug)]
pub struct SpacePolicy {
    trunk: Mlp,
    log_std: Option<Param<Tensor<1>>>,
}

/// A distribution over actions for each row of a batch.
#[derive(Clone, Debug)]
pub enum SpaceDistribution {
    /// Over choices.
    Choices(Categorical),
    /// Over numbers.
    Numbers(DiagonalGaussian),
}

impl SpacePolicy {
    /// A policy for observations of width `observation`, with the given hidden layers, their widths or [`MlpSettings`], and
    /// orthogonal initial weights. Numbers have deviation e to the `log_std` at the beginning.
    pub fn new(
        observation: usize,
        action: ActionKind,
        hidden: impl Into<MlpSettings>,
        log_std: f32,
        device: &Device,
        init: &mut Random<Init>,
    ) -> Self {
        let (outputs, log_std) = match action {
            ActionKind::Choices(n) => (n, None),
            ActionKind::Numbers(width) => (width, Some(vec![log_std; width])),
        };
        let hidden = hidden.into();
        let shape = hidden.shape(1, observation, outputs, Activation::Identity);
        // Built where gradients are recorded, so that the parameters know that they are to be trained.
        let recorded = if device.is_autodiff() {
            device.clone()
        } else {
            device.clone().autodiff()
        };
        let policy = SpacePolicy {
            trunk: Mlp::orthogonal(shape, 0.01, &recorded, init).with_dropout(hidden.dropout),
            log_std: log_std
                .map(|log_std| Param::from_tensor(Tensor::from_floats(&log_std[..], &recorded))),
        };
        if device.is_autodiff() {
            policy
        } else {
            policy.valid()
        }
    }

    /// What it draws from.
    pub fn kind(&self) -> ActionKind {
        let outputs = self.trunk.shape().outputs();
        match self.log_std {
            None => ActionKind::Choices(outputs),
            Some(_) => ActionKind::Numbers(outputs),
        }
    }

    /// The distributions for observations `[batch, observation]`.
    pub fn distribution(&self, observation: Tensor<2>) -> SpaceDistribution {
        self.distribution_of(self.outputs(observation))
    }

    /// The distributions of a training step: where the policy has dropout, it drops. See [`Mlp::forward_dropping`].
    pub fn distribution_dropping(
        &self,
        observation: Tensor<2>,
        dropout: &mut Random<Dropout>,
    ) -> SpaceDistribution {
        let out = self.trunk.forward_dropping(observation, dropout);
        self.distribution_of(out.squeeze_dim::<2>(0))
    }

    /// The distributions of the perceptron's outputs `[batch, outputs]`.
    fn distribution_of(&self, out: Tensor<2>) -> SpaceDistribution {
        match self.log_std() {
            None => SpaceDistribution::Choices(Categorical::of_logits(out)),
            Some(log_std) => {
                let std = log_std.exp().unsqueeze::<2>();
                let std = std.repeat_dim(0, out.dims()[0]);
                SpaceDistribution::Numbers(DiagonalGaussian { mean: out, std })
            }
        }
    }

    /// What the distributions are made of, `[batch, outputs]`: logits, or means.
    pub fn outputs(&self, observation: Tensor<2>) -> Tensor<2> {
        self.trunk.forward(observation).squeeze_dim::<2>(0)
    }

    /// ln σ of each element of the action, `[action]`; `None` over choices.
    pub fn log_std(&self) -> Option<Tensor<1>> {
        self.log_std.as_ref().map(Param::val)
    }

    /// The perceptron underneath.
    pub fn trunk(&self) -> &Mlp {
        &self.trunk
    }

    /// The actions without noise, `[batch, action]`: the likeliest choice, or the mean, clipped to [-1, 1].
    pub fn act(&self, observation: Tensor<2>) -> Tensor<2> {
        let outputs = self.outputs(observation);
        match self.kind() {
            ActionKind::Choices(_) => outputs.argmax(1).float(),
            ActionKind::Numbers(_) => outputs.clamp(-1.0, 1.0),
        }
    }
}

impl SpaceDistribution {
    /// ln p(a) `[batch]` of actions `[batch, action]`, which are constants; summed over an action's elements.
    pub fn log_probability(&self, action: Tensor<2>) -> Tensor<1> {
        match self {
            SpaceDistribution::Choices(categorical) => categorical.log_probability(action),
            SpaceDistribution::Numbers(gaussian) => gaussian.log_probability(action),
        }
    }

    /// The entropy of each row, `[batch]`.
    pub fn entropy(&self) -> Tensor<1> {
        match self {
            SpaceDistribution::Choices(categorical) => categorical.entropy(),
            SpaceDistribution::Numbers(gaussian) => gaussian.entropy(),
        }
    }
}

impl Network for SpacePolicy {
    fn pieces(&self, path: &str) -> Vec<Piece> {
        if path.ends_with("log_std") {
            return Vec::new();
        }
        self.trunk.pieces(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::*;

    fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
        tensor.into_data().into_vec().unwrap()
    }

    #[test]
    fn the_deterministic_action_is_the_likeliest_choice_or_the_mean_within_the_bounds() {
        let device = ComputeDevice::cpu().plain();
        let policy = |action| {
            let init = &mut Random::<Init>::new(Seed(3));
            SpacePolicy::new(4, action, &[8], 0.0, &device, init)
        };
        let rows = Random::<Noise>::new(Seed(3)).normals(40);
        let rows = Tensor::<2>::from_data(TensorData::new(rows, [10, 4]), &device) * 1e3;
        let choices = policy(ActionKind::Choices(3));
        let outputs = numbers(choices.outputs(rows.clone()));
        for (choice, logits) in numbers(choices.act(rows.clone()))
            .iter()
            .zip(outputs.chunks(3))
        {
            assert!(
                logits
                    .iter()
                    .all(|logit| *logit <= logits[*choice as usize])
            );
        }
        let plain = policy(ActionKind::Numbers(3));
        let action = numbers(plain.act(rows.clone()));
        let outputs = numbers(plain.outputs(rows));
        for (action, mean) in action.iter().zip(&outputs) {
            assert_eq!(*action, mean.clamp(-1.0, 1.0));
        }
        assert!(outputs.iter().any(|mean| mean.abs() > 1.0));
    }

    #[test]
    fn orthogonal_networks_drop_in_training_steps_where_their_settings_say_so_and_nowhere_else() {
        let device = ComputeDevice::cpu().plain();
        let hidden = |dropout| MlpSettings {
            layers: vec![32],
            dropout,
            ..default()
        };
        let rows = || Tensor::<2>::ones([4, 3], &device);
        for rate in [0.0, 0.5] {
            let init = &mut Random::<Init>::new(Seed(3));
            let action = ActionKind::Choices(3);
            let policy = SpacePolicy::new(3, action, hidden(rate), 0.0, &device, init);
            let values = ValueFunction::orthogonal(3, hidden(rate), &device, init);
            let dropout = &mut Random::<Dropout>::new(Seed(3));
            let entropy = numbers(policy.distribution(rows()).entropy());
            let dropped = numbers(policy.distribution_dropping(rows(), dropout).entropy());
            assert_eq!(dropped == entropy, rate == 0.0);
            assert_eq!(numbers(policy.distribution(rows()).entropy()), entropy);
            let v = numbers(values.v(rows()));
            assert_eq!(
                numbers(values.v_dropping(rows(), dropout)) == v,
                rate == 0.0
            );
            assert_eq!(numbers(values.v(rows())), v);
        }
    }
}
