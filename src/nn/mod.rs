//! Networks and losses.
//!
//! A network is an encoder and a head. [`ActorNetwork`] and [`CriticNetwork`] are what algorithms hold, and any of them takes any
//! [`Encoder`]; [`losses`] are what they descend, [`measures`] what is worth knowing besides. With the first encoder, [`MlpSettings`],
//! a network is one [`Mlp`]: a multi-layer perceptron with an ensemble dimension whose parameters are one flat buffer. Any module of
//! Burn's layers can be an encoder, or are next to these networks in a role of its own.

mod action_vae;
mod actor;
mod attention;
#[cfg(any(feature = "cuda", feature = "vulkan"))]
mod card;
mod categorical;
mod convolution;
pub mod cpu;
mod critic;
pub mod denoising;
mod device;
mod distribution;
mod dropout;
mod encoder;
mod flat;
mod fused;
mod gaussian;
mod gaussian_mixture;
mod group_norm;
mod head;
mod layer_norm;
pub mod losses;
mod matrix_product;
mod max_pool;
pub mod measures;
mod mlp;
mod network;
mod orthogonal;
mod perturbation;
mod recurrence;
mod reference;
mod regression;
mod rows;
mod scalar;
mod settings;
mod sides;
mod squashed_gaussian;
mod stop_gradient;
mod threads;
mod trunk;

pub use action_vae::ActionVae;
pub use actor::ActorNetwork;
pub use categorical::Categorical;
pub use cpu::{Activation, MlpShape};
pub use critic::{CriticHead, CriticNetwork, ValueBounds};
pub use device::{ComputeDevice, DeviceError};
pub use distribution::{ActionDistribution, SampledAction};
pub(crate) use encoder::seeded_module;
pub use encoder::{
    AppEncoderExt, Cnn, Combined, Convolutions, Encoder, EncoderModule, EncoderSettings, Gru,
    Horizon, InitError, Lstm, PartEncoder, Pooling, Positions, ResNet18, Transform, Transformer,
    register_encoder,
};
pub use gaussian::DiagonalGaussian;
pub use gaussian_mixture::{GaussianMixture, log_sum_exp};
pub use head::{ActorHead, Deviation, GaussianSettings, MixtureSettings, PolicyHead};
pub use mlp::Mlp;
pub use network::{Network, Piece};
pub use perturbation::Perturbation;
pub use rows::repeat_rows;
pub use scalar::Scalar;
pub use settings::{HiddenLayers, MlpSettings};
pub use squashed_gaussian::SquashedNormal;
pub use stop_gradient::StopGradient;
pub use threads::{set_threads, threads};
pub use trunk::{Layers, Trunk, Weights};

pub(crate) use dropout::{DropoutStream, draw_from};
pub(crate) use flat::{AdamStep, FlatKernels, SUMMANDS, add_up};
pub(crate) use fused::{contiguous, floats};
pub(crate) use network::parameter_shapes;
pub(crate) use regression::Cost;
pub(crate) use threads::{give_buffer, with_kernels};
