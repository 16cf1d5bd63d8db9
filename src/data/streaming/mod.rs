//! Data larger than memory: transitions that stay in their file, from which minibatches are read ahead of the learner.
//!
//! A sampler with replacement may ask for any row, and a file is read well from front to back alone. So the memory that a
//! run may take holds not a part of the data but *the rows of the batches to come*: the sampler's stream is run ahead, the
//! rows that its next batches need are sorted and read in one sweep through the file, and while the learner takes those
//! batches the next sweep is under way. So a batch has the bits that it has when the data are in memory, whatever the
//! threads do; and a resumed run goes on exactly, because nothing but the sampler's place is remembered.
//!
//! - [`Stored`]: a recording that stays in its file; rewards and episodes are in memory.
//! - `plan`: the batches of one sweep and the rows that they need.
//! - `read_ahead`: the thread that plans and the threads that read.

mod plan;
mod read_ahead;
mod statistics;
mod stored;

pub use stored::Stored;

pub(in crate::data) use plan::Drawing;
pub(in crate::data) use read_ahead::ReadAhead;
pub(in crate::data) use stored::Swept;
