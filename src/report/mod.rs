//! What a run reports: metrics and where they go.
//!
//! Steps record into [`Metrics`] as device scalars. Every so many steps [`Report`](crate::schedule::Report) reads them back,
//! once, into [`Reported`], and sinks write it: `metrics.jsonl`, TensorBoard's event files, the terminal. [`curves`] and
//! [`page`] make pictures of runs that were, [`dataset`] one of what is learned from.

mod axis;
mod canvas;
pub mod console;
pub mod curves;
pub mod dataset;
mod early_stopping;
mod experiment;
mod frame;
mod goal;
mod histogram;
pub mod json_lines;
mod metrics;
pub mod page;
mod progress_line;
mod reporting;
mod sinks;
pub mod tensorboard;

pub use early_stopping::{EarlyStopping, Waiting};
pub use goal::Goal;
pub use metrics::Metrics;
pub use reporting::{NotFinite, Reported, Reports};
pub use sinks::{ConsolePlugin, JsonLinesPlugin, RunDirectory, TensorBoard, finish_progress};
