//! What an observation consists of.
//!
//! An observation travels as one row of numbers, whatever it is made of: a vector, a picture, a dictionary of both. What lies where in
//! the row is said once, by [`ObservationParts`], and goes along with data, environments, checkpoints and policies. An encoder is told
//! by an [`EncoderInput`], which knows of several observations side by side as well.

mod input;
mod parts;
mod picture;

pub use input::EncoderInput;
pub use parts::{ObservationPart, ObservationParts, PartKind};
pub use picture::Picture;
