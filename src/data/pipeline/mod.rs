//! From rows to what networks see, written once: rows → n-step fold → frames → goal → normalizing → [`Batch`].
//!
//! Where rows lie is somebody else's: in memory, in a file that is read ahead, in a replay buffer. Each says which rows follow
//! each other ([`Order`]) and gives their numbers ([`Numbers`]); [`Pipeline`] does the rest, the same for all of them. A policy that
//! acts sees the same through a [`FrameStack`].
//!
//! - [`Order`], [`fold`]: episodes, and multi-step returns that stop at their ends.
//! - [`FrameStack`], [`Windows`]: the last observations of an episode, and sequences of it.
//! - `chunks`: the actions that a row has where a policy predicts several.
//! - [`Goals`]: what an episode came to, given to the networks beforehand.
//! - [`Gathered`]: the numbers of drawn rows, which a step of your own may change; [`Batch`]: the same as tensors.

mod batch;
mod chunks;
mod frames;
mod gathered;
mod gathering;
mod goals;
mod held_out_goals;
mod n_step;
mod order;
mod places;
mod sight;
mod windows;

pub use batch::Batch;
pub use frames::FrameStack;
pub use gathered::Gathered;
pub use goals::{GoalMode, GoalPlugin, Goals};
pub use held_out_goals::HeldOutGoals;
pub(crate) use held_out_goals::find_held_out_goals;
pub use n_step::{FoldError, Folded, Folding, fold};
pub use sight::{EpisodeGoal, ViewError};
pub use windows::{Window, Windows};

pub(crate) use sight::{Sight, View};

pub(in crate::data) use batch::suspicious_rows;
pub(in crate::data) use gathering::{Needed, Numbers, Pipeline};
pub(in crate::data) use order::{InMemory, Order, ends, row_after, row_before};
pub(in crate::data) use places::Places;
