//! Learning from experience: the replay buffer and its part in a run.
//!
//! An off-policy algorithm adds [`ExperiencePlugin`]. In a scene with a [`Dataset`](super::Dataset) its minibatches come from
//! there, and in one with environments from a [`ReplayBuffer`]: its steps read the same [`Batch`](super::Batch) either way. On-policy
//! algorithms, which use what they collect once, need none of this.

mod buffer;
mod chunk;
mod on_device;
mod persist;
mod plugin;
mod weights;

pub use buffer::ReplayBuffer;
pub(crate) use plugin::Experience;
pub use plugin::{ExperiencePlugin, Replay, Replayed};
pub use weights::{RowWeights, WeightError};

pub(in crate::data) use plugin::LOWER_BATCH;
