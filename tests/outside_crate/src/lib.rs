//! The example `custom_algorithm`, compiled where nothing but yarak is at hand.

#[allow(dead_code)] // Its `main` is the example's, not this library's.
#[path = "../../../examples/custom_algorithm.rs"]
mod custom_algorithm;

pub use custom_algorithm::PercentileBc;
