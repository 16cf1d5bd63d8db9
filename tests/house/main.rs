//! The repository itself: what its sources never have, and what its examples and pages promise to strangers.

mod from_outside;
mod invariants;
mod new_project;
mod tutorial;

/// The package's root.
const ROOT: &str = env!("CARGO_MANIFEST_DIR");
