//! What the whole promises, held against the program as a user runs it.

mod command_line;
mod determinism;
mod invariants;
mod layouts;
mod offline_family;
mod online;
mod program;
mod resume;
mod scenes;
mod trainer;
