//! What an actor's outputs mean.

use bevy_reflect::Reflect;
use bevy_reflect::prelude::ReflectDefault;

use super::Activation;
use crate::scene::Bounds;

/// The kind of density that a policy has, in scenes.
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
#[reflect(Default)]
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
#[reflect(Default)]
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

impl PolicyHead {
    /// This head with the settings of its kind.
    pub fn with(self, gaussian: &GaussianSettings, mixture: &MixtureSettings) -> ActorHead {
        match self {
            PolicyHead::Gaussian => ActorHead::Gaussian(gaussian.clone()),
            PolicyHead::Mixture => ActorHead::Mixture(mixture.clone()),
        }
    }
}

/// The head of an actor: how its outputs become a distribution over actions.
#[derive(Clone, Debug, PartialEq)]
pub enum ActorHead {
    /// The action itself, through a tanh.
    Deterministic,
    /// A Gaussian whose mean lies in [-1, 1]; not squashed.
    Gaussian(GaussianSettings),
    /// A mixture of such Gaussians.
    Mixture(MixtureSettings),
    /// A Gaussian squashed by a tanh, whose mean and deviation are outputs (Haarnoja et al. 2018, appendix C,
    /// <https://arxiv.org/abs/1801.01290>).
    SquashedGaussian,
    /// A Gaussian whose mean is the output and unbounded, with one learned ln σ for each element of the action. Environments clip.
    UnboundedGaussian {
        /// ln σ at the beginning.
        log_std: f32,
    },
    /// A categorical distribution over discrete actions, by their logits.
    Categorical,
}

impl ActorHead {
    /// Outputs for actions of so many elements, or for so many discrete actions.
    pub(super) fn outputs(&self, action: usize) -> usize {
        match self {
            ActorHead::Gaussian(settings) => match settings.deviation {
                Deviation::Softplus | Deviation::Exp => 2 * action,
                Deviation::Fixed | Deviation::Learned => action,
            },
            ActorHead::Mixture(settings) => settings.modes * (2 * action + 1),
            // The means come first, then the logarithms of the deviations.
            ActorHead::SquashedGaussian => 2 * action,
            ActorHead::Deterministic
            | ActorHead::UnboundedGaussian { .. }
            | ActorHead::Categorical => action,
        }
    }

    /// The activation after the outputs.
    pub(super) fn activation(&self) -> Activation {
        match self {
            ActorHead::Deterministic => Activation::Tanh,
            _ => Activation::Identity,
        }
    }

    /// The first value of a learned ln σ, where there is one.
    pub(super) fn log_std(&self) -> Option<f32> {
        match self {
            ActorHead::UnboundedGaussian { log_std } => Some(*log_std),
            ActorHead::Gaussian(settings) if settings.deviation == Deviation::Learned => {
                Some(settings.initial_std.ln())
            }
            _ => None,
        }
    }
}
