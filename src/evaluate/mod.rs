//! How good the policy is: episodes with the deterministic policy, on seeds of their own.
//!
//! Evaluation never touches the training's random streams or the networks, so a run with it and a run without it learn the
//! same, bit for bit.

mod acting;
mod evaluation;
mod made_with;
mod seeds;
mod validation;
mod values;
pub mod video;

pub use acting::{Act, Acting, AppActingExt};
pub use evaluation::{
    EVALUATION_METRICS, Episodes, Evaluation, EvaluationError, Games, Score, Success, play,
    reference_scores, watch,
};
pub(crate) use evaluation::{check_acting, record_returns};
pub use made_with::MadeWith;
pub(crate) use made_with::check_keywords;
pub use seeds::TrainingSeeds;
pub(crate) use validation::NO_DATA_HELD_OUT;
pub use validation::Validation;
pub(crate) use values::{ValueColumn, value_columns, valued_actions};
