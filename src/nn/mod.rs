//! Networks and losses.
//!
//! [`Mlp`] is a multi-layer perceptron with an ensemble dimension whose parameters are one flat buffer. [`Policy`] and
//! [`QEnsemble`] are what algorithms hold; [`losses`] are what they descend. Any module of Burn's layers can stand beside them.

pub mod losses;
mod mlp;
mod policy;
mod q_ensemble;
mod shape;
mod stop_gradient;

pub use mlp::Mlp;
pub use policy::Policy;
pub use q_ensemble::{QEnsemble, ValueBounds};
pub use shape::{Activation, MlpShape};
pub use stop_gradient::StopGradient;
