//! Rollouts: what a policy's own draws brought in one round, and what is learned from once and then dropped.

mod advantage;
mod batch;
mod buffer;
mod divergence;
mod drawn;
mod given;
mod persist;
mod plugin;

pub use advantage::{Experienced, generalised_advantages};
pub use batch::RolloutBatch;
pub use buffer::Rollout;
pub use divergence::Divergence;
pub use drawn::DrawnActions;
pub use given::{GivenRows, GivenRowsError, GivenRowsPlugin};
pub use plugin::RolloutPlugin;
