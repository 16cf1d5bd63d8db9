//! Networks and losses.
//!
//! [`Mlp`] is a multi-layer perceptron with an ensemble dimension whose parameters are one flat buffer. [`Policy`] and
//! [`QEnsemble`] are what algorithms hold; [`losses`] are what they descend, [`measures`] what is
//! worth knowing besides. Any module of Burn's layers can stand beside them.

mod action_vae;
mod categorical;
pub mod cpu;
mod density_policy;
mod device;
mod discrete_q;
mod dropout;
mod fused;
mod gaussian;
mod gaussian_mixture;
pub mod losses;
pub mod measures;
mod mlp;
mod network;
mod orthogonal;
mod perturbation;
mod policy;
mod q_ensemble;
mod reference;
mod rows;
mod scalar;
mod settings;
mod space_policy;
mod squashed_gaussian;
mod stop_gradient;
mod threads;
mod value_function;

pub use action_vae::ActionVae;
pub use categorical::Categorical;
pub use cpu::{Activation, MlpShape};
pub use density_policy::{
    ActionDistribution, DensityPolicy, Deviation, GaussianSettings, Head, MixtureSettings,
    PolicyHead,
};
pub use device::{ComputeDevice, DeviceError};
pub use discrete_q::DiscreteQ;
pub use gaussian::DiagonalGaussian;
pub use gaussian_mixture::{GaussianMixture, log_sum_exp};
pub use mlp::Mlp;
pub use network::{Network, Piece};
pub use perturbation::Perturbation;
pub use policy::Policy;
pub use q_ensemble::{QEnsemble, ValueBounds};
pub use rows::repeat_rows;
pub use scalar::Scalar;
pub use settings::MlpSettings;
pub use space_policy::{ActionKind, SpaceDistribution, SpacePolicy};
pub use squashed_gaussian::{DrawnAction, SquashedGaussian, SquashedNormal};
pub use stop_gradient::StopGradient;
pub use threads::{set_threads, threads};
pub use value_function::ValueFunction;

pub(crate) use fused::{contiguous, floats};
pub(crate) use threads::{give_buffer, with_kernels};
