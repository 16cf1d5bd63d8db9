//! Rollouts: the experience of a policy's own samples in one round, learned from once and then dropped.

mod advantage;
mod batch;
mod buffer;
mod divergence;
mod drawn;
mod fixed;
mod persist;
mod plugin;

pub use advantage::{Experienced, generalized_advantages};
pub use batch::RolloutBatch;
pub use buffer::RolloutBuffer;
pub use divergence::Divergence;
pub use drawn::SampledActions;
pub use fixed::{FixedRollout, FixedRolloutError, FixedRolloutPlugin};
pub use plugin::RolloutPlugin;
