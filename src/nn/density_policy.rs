//! The policy network of those algorithms that learn the density of the data's actions.

use bevy_reflect::Reflect;
use burn::module::{AutodiffModule, Module, Param};
use burn::tensor::{Device, Tensor, activation};

use super::{Activation, DiagonalGaussian, GaussianMixture, Mlp, MlpSettings};
use crate::nn::{Network, Piece};
use crate::random::{Dropout, Init, Purpose, Random};
use crate::scene::Bounds;

/// The kind of distribution that a policy has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Reflect)]
pub enum PolicyHead {
    /// One Gaussian.
    Gaussian,
    /// A mixture of Gaussians.
    Mixture,
}

/// Where a Gaussian's deviation σ comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Reflect)]
pub enum Deviation {
    /// One learned ln σ for each element of the action, the same for every observation, which begins at `initial_std`.
    Learned,
    /// The network's output through softplus, scaled so that an output of 0 is `initial_std`.
    Softplus,
    /// e to the network's output.
    Exp,
    /// Always `initial_std`.
    Fixed,
}

/// A Gaussian head: mean tanh(x) of the network's output, and a deviation.
#[derive(Clone, Debug, PartialEq, Reflect)]
pub struct GaussianSettings {
    /// Where the deviation comes from.
    pub deviation: Deviation,
    /// The deviation at the beginning (`Exp`: 1, about).
    #[reflect(@Bounds::above(0.0))]
    pub initial_std: f32,
    /// The least deviation.
    #[reflect(@Bounds::above(0.0))]
    pub min_std: f32,
    /// The greatest deviation.
    #[reflect(@Bounds::above(0.0))]
    pub max_std: f32,
}

impl Default for GaussianSettings {
    /// robomimic's.
    fn default() -> Self {
        GaussianSettings {
            deviation: Deviation::Softplus,
            initial_std: 0.1,
            min_std: 0.01,
            max_std: 7.5,
        }
    }
}

/// A mixture head: means tanh(x), deviations softplus(y) + `min_std`, and weights softmax(z) of the network's outputs.
#[derive(Clone, Debug, PartialEq, Reflect)]
pub struct MixtureSettings {
    /// How many Gaussians.
    #[reflect(@Bounds::within(1.0, 1_000.0))]
    pub modes: usize,
    /// What is added to each deviation.
    #[reflect(@Bounds::above(0.0))]
    pub min_std: f32,
    /// Whether the deviations are exp(y) + `min_std` instead.
    pub exponential: bool,
}

impl Default for MixtureSettings {
    /// robomimic's.
    fn default() -> Self {
        MixtureSettings {
            modes: 5,
            min_std: 1e-4,
            exponential: false,
        }
    }
}

/// A head with its settings: what a [`DensityPolicy`] is built with.
#[derive(Clone, Debug, PartialEq)]
pub enum Head {
    /// One Gaussian.
    Gaussian(GaussianSettings),
    /// A mixture of Gaussians.
    Mixture(MixtureSettings),
}

impl PolicyHead {
    /// This head with the settings of its kind.
    pub fn with(self, gaussian: &GaussianSettings, mixture: &MixtureSettings) -> Head {
        match self {
            PolicyHead::Gaussian => Head::Gaussian(gaussian.clone()),
            PolicyHead::Mixture => Head::Mixture(mixture.clone()),
        }
    }
}

/// A distribution over actions for each row of a batch.
#[derive(Clone, Debug)]
pub enum ActionDistribution {
    /// One Gaussian.
    Gaussian(DiagonalGaussian),
    /// A mixture of Gaussians.
    Mixture(GaussianMixture),
}

impl ActionDistribution {
    /// ln p(a) `[batch]` of actions `[batch, action]`, which are constants.
    pub fn log_probability(&self, action: Tensor<2>) -> Tensor<1> {
        match self {
            ActionDistribution::Gaussian(gaussian) => gaussian.log_probability(action),
            ActionDistribution::Mixture(mixture) => mixture.log_probability(action),
        }
    }

    /// An action of each row, `[batch, action]`.
    pub fn sample<P: Purpose>(&self, random: &mut Random<P>) -> Tensor<2> {
        match self {
            ActionDistribution::Gaussian(gaussian) => gaussian.sample(random),
            ActionDistribution::Mixture(mixture) => mixture.sample(random),
        }
    }

    /// The action to take without noise, `[batch, action]`: the mean, or that of the mixture's weightiest component.
    pub fn mode(&self) -> Tensor<2> {
        match self {
            ActionDistribution::Gaussian(gaussian) => gaussian.mode(),
            ActionDistribution::Mixture(mixture) => mixture.mode(),
        }
    }
}

/// A policy with a distribution over actions: a multi-layer perceptron, and a head that reads its outputs. The means lie in
/// [-1, 1]; the distribution is not squashed.
///
/// ```
/// use yarak::prelude::*;
///
/// let device = ComputeDevice::cpu().plain();
/// let head = Head::Mixture(MixtureSettings::default());
/// let init = &mut Random::<Init>::new(Seed(0));
/// let policy = DensityPolicy::new(3, 2, &[64, 64], head, &device, init);
/// let distribution = policy.distribution(Tensor::zeros([10, 3], &device));
/// assert_eq!(distribution.log_probability(Tensor::zeros([10, 2], &device)).dims(), [10]);
/// assert_eq!(distribution.mode().dims(), [10, 2]);
/// ```
#[derive(Module, Debug)]
pub struct DensityPolicy {
    trunk: Mlp,
    log_std: Option<Param<Tensor<1>>>,
    #[module(skip)]
    head: Head,
    #[module(skip)]
    action: usize,
}

impl DensityPolicy {
    /// A policy from observations of width `observation` to actions of width `action`, with the given hidden
    /// layers: their widths, or [`MlpSettings`].
    pub fn new(
        observation: usize,
        action: usize,
        hidden: impl Into<MlpSettings>,
        head: Head,
        device: &Device,
        init: &mut Random<Init>,
    ) -> Self {
        let (outputs, log_std) = match &head {
            Head::Gaussian(settings) => match settings.deviation {
                Deviation::Softplus | Deviation::Exp => (2 * action, None),
                Deviation::Fixed => (action, None),
                Deviation::Learned => (action, Some(settings.initial_std.ln())),
            },
            Head::Mixture(settings) => (settings.modes * (2 * action + 1), None),
        };
        let hidden = hidden.into();
        let shape = hidden.shape(1, observation, outputs, Activation::Identity);
        // Built where gradients are recorded, so that the parameters know that they are to be trained.
        let recorded = if device.is_autodiff() {
            device.clone()
        } else {
            device.clone().autodiff()
        };
        let policy = DensityPolicy {
            trunk: Mlp::new(shape, &recorded, init).with_dropout(hidden.dropout),
            log_std: log_std
                .map(|log_std| Param::from_tensor(Tensor::full([action], log_std, &recorded))),
            head,
            action,
        };
        if device.is_autodiff() {
            policy
        } else {
            policy.valid()
        }
    }

    /// The distributions for observations `[batch, observation]`.
    pub fn distribution(&self, observation: Tensor<2>) -> ActionDistribution {
        self.distribution_of(self.trunk.forward(observation))
    }

    /// The distributions of a training step: where the policy has dropout, it drops. See [`Mlp::forward_dropping`].
    pub fn distribution_dropping(
        &self,
        observation: Tensor<2>,
        dropout: &mut Random<Dropout>,
    ) -> ActionDistribution {
        self.distribution_of(self.trunk.forward_dropping(observation, dropout))
    }

    /// The distributions of the perceptron's outputs `[1, batch, outputs]`.
    fn distribution_of(&self, out: Tensor<3>) -> ActionDistribution {
        let out = out.squeeze_dim::<2>(0);
        match &self.head {
            Head::Gaussian(settings) => {
                let mean = out.clone().narrow(1, 0, self.action).tanh();
                let std = self.deviation(settings, out, &mean);
                let std = std.clamp(settings.min_std, settings.max_std);
                ActionDistribution::Gaussian(DiagonalGaussian { mean, std })
            }
            Head::Mixture(settings) => {
                let (modes, each) = (settings.modes, settings.modes * self.action);
                let [batch, _] = out.dims();
                let components = |out: Tensor<2>| out.reshape([batch, modes, self.action]);
                let std = components(out.clone().narrow(1, each, each));
                let std = if settings.exponential {
                    std.exp()
                } else {
                    activation::softplus(std, 1.0)
                };
                ActionDistribution::Mixture(GaussianMixture {
                    mean: components(out.clone().narrow(1, 0, each)).tanh(),
                    std: std + settings.min_std,
                    logits: out.narrow(1, 2 * each, modes),
                })
            }
        }
    }

    /// The deviations before they are limited, `[batch, action]`.
    fn deviation(
        &self,
        settings: &GaussianSettings,
        out: Tensor<2>,
        mean: &Tensor<2>,
    ) -> Tensor<2> {
        match (settings.deviation, &self.log_std) {
            (Deviation::Learned, Some(log_std)) => {
                let std = log_std.val().exp().unsqueeze::<2>();
                std.repeat_dim(0, mean.dims()[0])
            }
            (Deviation::Softplus, _) => {
                let out = out.narrow(1, self.action, self.action);
                // softplus(0) is ln 2.
                activation::softplus(out, 1.0) * (settings.initial_std / 2.0_f32.ln())
            }
            (Deviation::Exp, _) => out.narrow(1, self.action, self.action).exp(),
            (Deviation::Fixed | Deviation::Learned, _) => mean.full_like(settings.initial_std),
        }
    }

    /// The perceptron underneath.
    pub fn trunk(&self) -> &Mlp {
        &self.trunk
    }

    /// The head.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Elements of an action.
    pub fn action_size(&self) -> usize {
        self.action
    }

    /// The actions without noise, `[batch, action]`, in [-1, 1].
    pub fn act(&self, observation: Tensor<2>) -> Tensor<2> {
        self.distribution(observation).mode()
    }
}

impl Network for DensityPolicy {
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

    fn deviations(settings: GaussianSettings) -> Vec<f32> {
        let device = ComputeDevice::cpu().plain();
        let init = &mut Random::<Init>::new(Seed(0));
        let policy = DensityPolicy::new(3, 2, &[4], Head::Gaussian(settings), &device, init);
        match policy.distribution(Tensor::zeros([2, 3], &device)) {
            ActionDistribution::Gaussian(gaussian) => numbers(gaussian.std),
            ActionDistribution::Mixture(_) => panic!("a Gaussian was asked for"),
        }
    }

    #[test]
    fn deviations_begin_where_the_settings_say_and_stay_within_their_limits() {
        let with = |deviation, initial_std, min_std, max_std| GaussianSettings {
            deviation,
            initial_std,
            min_std,
            max_std,
        };
        assert_eq!(deviations(with(Deviation::Fixed, 0.3, 0.1, 1.0)), [0.3; 4]);
        let learned = deviations(with(Deviation::Learned, 0.5, 0.1, 1.0));
        assert!(learned.iter().all(|std| (std - 0.5).abs() < 1e-6));
        let softplus = deviations(with(Deviation::Softplus, 0.3, 0.007, 7.5));
        assert!(
            softplus.iter().all(|std| (0.15..0.6).contains(std)),
            "{softplus:?}"
        );
        assert!(softplus[0] != softplus[1] && softplus[..2] == softplus[2..]);
        for kind in [
            Deviation::Learned,
            Deviation::Softplus,
            Deviation::Exp,
            Deviation::Fixed,
        ] {
            assert_eq!(deviations(with(kind, 0.3, 5.0, 6.0)), [5.0; 4], "{kind:?}");
            assert_eq!(
                deviations(with(kind, 0.3, 0.01, 0.02)),
                [0.02; 4],
                "{kind:?}"
            );
        }
    }

    #[test]
    fn a_learned_deviation_is_a_parameter_with_a_name_of_its_own() {
        let device = ComputeDevice::cpu().plain();
        let head = Head::Gaussian(GaussianSettings {
            deviation: Deviation::Learned,
            ..default()
        });
        let init = &mut Random::<Init>::new(Seed(0));
        let policy = DensityPolicy::new(3, 2, &[4], head, &device, init);
        assert_eq!(policy.num_params(), 3 * 4 + 4 + 4 * 2 + 2 + 2);
        assert!(policy.pieces("log_std").is_empty());
        let names: Vec<String> = policy
            .pieces("trunk.parameters")
            .into_iter()
            .map(|piece| piece.name)
            .collect();
        assert_eq!(names, ["0.weight", "0.bias", "1.weight", "1.bias"]);
    }
}
