//! Recorded experience: reading it, checking it, cutting it and rescaling it.
//!
//! - [`load`] reads an HDF5 file of demonstrations, in whatever known [`Layout`] it is, into [`Transitions`]. [`DatasetFile`] is
//!   the same file opened, with its columns and episodes known and its values read when they are asked for; [`Reading`] says
//!   what is read, and as what.
//! - [`Transitions`] is the columns that learners sample from: observations, actions, rewards, next observations, terminals,
//!   and the episodes with how each of them ended. Terminal and truncated are different [`EpisodeEnd`]s.
//! - [`fold`] folds multi-step returns, [`split_episodes`] and [`split_by`] hold out whole episodes, [`Windows`] cuts padded
//!   sequences, [`FrameStack`] is an episode's last observations, [`Goals`] are what an episode came to, [`Normalizer`] and [`ActionScale`] rescale.
//! - [`ActionChunk`] is how many actions a policy predicts at once, [`ActionChunks`] are those that it is executing.
//! - [`check`] looks a file over, and says what is odd in it, with the places.
//! - [`convert`] writes transitions in other layouts.
//! - [`streaming`] leaves data in their file that are larger than memory.
//! - [`Replay`] keeps the experience of environments in a [`ReplayBuffer`], and [`ExperiencePlugin`] lets an algorithm learn from it.
//! - [`RolloutBuffer`] holds what a policy's own samples gave in a round, and [`RolloutPlugin`] lets an algorithm learn from it.
//! - [`Summary`] is what `yarak data info` prints, [`DatasetPicture`] what `yarak data plot` draws.
//!
//! Nothing here knows an algorithm or a tensor, and nothing is guessed: a file that leaves a question open is refused with
//! the place and what was expected there.

mod action_chunk;
mod action_scale;
mod beyond_bounds;
pub mod check;
pub mod convert;
mod dataset;
pub mod hdf5;
mod held_out;
mod huge_pages;
mod learns_from;
mod loaded;
mod memory;
mod minibatch_settings;
mod minibatches;
mod normalizer;
mod observation_column;
mod packing;
mod parts;
mod picture;
pub(crate) mod pipeline;
mod recorded;
mod replay;
mod rollout;
mod rows_as_seen;
mod seen;
mod split;
mod steps;
pub mod streaming;
mod summary;
mod table;
mod transitions;
mod transitions_error;

pub use action_chunk::{ActionChunk, ActionChunks, ChunkExecution};
pub use action_scale::{ActionScale, ScaleError};
pub use dataset::{
    Dataset, DatasetError, DiscreteActionsOnly, Preprocessing, SearchFolders, SharedDataset,
    Spaces, missing_file, preload,
};
pub(crate) use dataset::{
    DifferentFrames, GivenPreprocessing, WholeActions, load_dataset, warning_of_actions,
};
pub use hdf5::{DatasetFile, DiscreteActions, Dones, Key, Layout, LoadError, Reading, Rule, load};
pub(crate) use held_out::ValidatedParts;
pub use learns_from::{AlgorithmName, AppLearnsFromExt, LearnsFrom};
pub use loaded::{Data, DataRows, ScoredEpisode, StoredRows};
pub use memory::Bytes;
pub use minibatch_settings::{MinibatchSettings, OffPolicySettings};
pub(crate) use minibatches::ResetsAtHorizon;
pub use minibatches::{MinibatchPlugin, Minibatches};
pub use normalizer::Normalizer;
pub use observation_column::ObservationColumn;
pub(in crate::data) use observation_column::StoredObservations;
pub use packing::NotAByte;
pub(in crate::data) use packing::Packing;
pub use picture::DatasetPicture;
pub use pipeline::{
    Batch, EpisodeGoal, FoldError, Folded, Folding, FrameStack, Gathered, GoalMode, GoalPlugin,
    Goals, HeldOutGoals, ViewError, Window, Windows, fold,
};
pub use recorded::Recorded;
pub(crate) use replay::Experience;
pub use replay::{ExperiencePlugin, Replay, ReplayBuffer, Replayed, RowWeights, WeightError};
pub use rollout::{
    Divergence, Experienced, FixedRollout, FixedRolloutError, FixedRolloutPlugin, RolloutBatch,
    RolloutBuffer, RolloutPlugin, SampledActions, generalized_advantages,
};
pub(crate) use rows_as_seen::{RowsAsSeen, ValuedActions};
pub use seen::Seen;
pub use split::{Split, SplitError, split_by, split_episodes};
pub use steps::StepResults;
pub use summary::{ColumnInFile, ElementRange, Ends, Spread, Summary};
pub use transitions::{Column, Episode, EpisodeEnd, Parts, Transitions};
pub use transitions_error::TransitionsError;
