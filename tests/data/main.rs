//! Dataset files: read, refused, checked, converted, and left on the disk while they are learned from.

mod conversions;
mod converted_files;
mod converting;
mod d4rl;
mod data_tools;
mod episode_names;
mod findings;
#[path = "../../src/fuzzing_tests.rs"]
mod fuzzing;
mod hostile;
mod larger_than_memory;
mod layouts;
#[cfg(feature = "libhdf5")]
mod libhdf5;
mod made;
mod maniskill;
mod number_types;
mod reported_conversions;
mod tables;
mod without_rewards;
