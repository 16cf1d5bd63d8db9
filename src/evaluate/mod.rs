//! How good the policy is: episodes with the deterministic policy, on seeds of their own.
//!
//! Evaluation never touches the training's random streams or the networks, so a run with it and a run without it learn the
//! same, bit for bit.

mod acting;
pub mod recording;
mod rollouts;
mod validation;

pub use acting::{Act, Acting, AppActingExt};
pub use rollouts::{Episodes, RolloutError, Rollouts, Score, play, reference_scores, watch};
pub use validation::Validation;
