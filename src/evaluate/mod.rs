//! How good the policy is: episodes with the deterministic policy, on seeds of their own.
//!
//! Evaluation never touches the training's random streams or the networks, so a run with it and a run without it learn the
//! same, bit for bit.

mod acting;
mod evaluation;
mod validation;
pub mod video;

pub use acting::{Act, Acting, AppActingExt};
pub use evaluation::{
    EVALUATION_METRICS, Episodes, Evaluation, EvaluationError, Score, play, reference_scores, watch,
};
pub use validation::Validation;
pub(crate) use validation::{NO_LOSSES, has_losses};
