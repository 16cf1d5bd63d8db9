//! The repository itself: what its sources never have, and what its examples and pages promise to strangers.

mod compiler;
mod from_outside;
mod guides;
mod invariants;
mod layers;
mod named_tests;
mod new_project;
mod right_or_refused;
mod sources;
mod supply_chain;
mod tutorial;

/// The package's root.
const ROOT: &str = env!("CARGO_MANIFEST_DIR");
