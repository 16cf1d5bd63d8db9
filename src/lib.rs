//! yarak
#![deny(missing_docs)]

extern crate self as yarak;

pub mod checkpoint;
pub mod cli;
pub mod data;
pub mod env;
pub mod evaluate;
pub mod learner;
pub mod nn;
#[path = "../plugins/mod.rs"]
pub mod plugins;
pub mod prelude;
pub mod report;
pub mod scene;
pub mod schedule;
