//! Networks and losses.
//!
//! [`Mlp`] is a multi-layer perceptron with an ensemble dimension whose parameters are one flat buffer. [`Policy`] and
//! [`QEnsemble`] are what algorithms hold; [`losses`] are what they descend, [`measures`] what is
//! worth knowing besides. Any module of Burn's layers can stand beside them.

pub mod cpu;
mod dropout;
mod fused;
pub mod losses;
pub mod measures;
mod mlp;
mod policy;
mod q_ensemble;
mod reference;
mod settings;
mod stop_gradient;
mod threads;

pub use cpu::{Activation, MlpShape};
pub use mlp::Mlp;
pub use policy::Policy;
pub use q_ensemble::{QEnsemble, ValueBounds};
pub use settings::MlpSettings;
pub use stop_gradient::StopGradient;
pub use threads::{set_threads, threads};

pub(crate) use fused::{contiguous, floats};
pub(crate) use threads::{give_buffer, with_kernels};
