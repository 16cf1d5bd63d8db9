//! What the whole promises, held against the program as a user runs it.

mod bevy_app;
mod collect;
mod command_line;
mod determinism;
mod discrete_actions;
mod frames;
mod layouts;
mod memory;
mod metric_names;
mod observations;
mod offline_family;
mod online;
mod order;
mod pictures;
mod policies;
mod report_page;
mod resume;
mod right_or_refused;
mod room;
mod scenes;
mod templates;
mod trainer;
mod video;
