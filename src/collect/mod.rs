//! Environments as entities, and what passes between them and an algorithm in [`Collect`](crate::schedule::Collect).

mod rows;

pub use rows::{Actions, Observations, Steps};
