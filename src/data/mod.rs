//! Recorded experience: reading it, checking it, cutting it and rescaling it.
//!
//! - [`load`] reads an HDF5 file of demonstrations, in whatever known [`Layout`] it is, into [`Transitions`].
//! - [`Transitions`] is the columns that learners sample from: observations, actions, rewards, next observations, terminals,
//!   and the episodes with how each of them ended. Terminal and truncated are different [`End`]s.
//! - [`fold`] folds multi-step returns, [`split_episodes`] holds out whole episodes, [`Normaliser`] and [`ActionScale`]
//!   rescale.
//! - [`check`] looks a file over, and says what is odd in it, with the places.
//! - [`convert`] writes them in other layouts.
//! - [`streaming`] leaves data in their file that are larger than memory.
//! - [`Summary`] is what `yarak data info` prints.
//!
//! Nothing here knows an algorithm or a tensor, and nothing is guessed: a file that leaves a question open is refused with
//! the place and what was expected there.

mod batch;
pub mod check;
pub mod convert;
mod dataset;
pub mod hdf5;
mod memory;
mod minibatches;
mod n_step;
mod normaliser;
mod split;
pub mod streaming;
mod summary;
mod transitions;

pub use batch::Batch;
pub use dataset::{
    Data, Dataset, DatasetError, Preprocessing, ScoredEpisode, SearchFolders, SharedDataset,
    Spaces, StoredData, preload,
};
pub use hdf5::{Layout, LoadError, load};
pub use memory::{Bytes, memory_needed};
pub use minibatches::{MinibatchPlugin, Minibatches};
pub use n_step::{FoldError, Folded, fold};
pub use normaliser::{ActionScale, Normaliser, ScaleError};
pub use split::{Split, SplitError, split_episodes};
pub use summary::{ColumnInFile, ElementRange, Ends, Spread, Summary};
pub use transitions::{Column, End, Episode, Parts, Transitions, TransitionsError};
