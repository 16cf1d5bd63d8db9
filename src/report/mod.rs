//! What a run reports: metrics and where they go.
//!
//! Steps record into [`Metrics`] as device scalars. Every so many steps [`Report`](crate::schedule::Report) reads them back,
//! once, into [`Reported`], and sinks write it: `metrics.jsonl`, TensorBoard's event files, the terminal. [`curves`] and
//! [`page`] make pictures of runs that were.

pub(crate) mod axis;
pub(crate) mod canvas;
pub mod console;
pub mod curves;
mod early_stopping;
mod frame;
pub(crate) mod histogram;
mod in_place;
pub mod json_lines;
mod lines;
mod metrics;
pub mod page;
mod progress_line;
mod reporting;
mod running_sum;
mod sinks;
pub mod tensorboard;

pub use crate::schedule::{Goal, Reported, RunDirectory};
pub use early_stopping::{EarlyStopping, Waiting};
pub use in_place::Gone;
pub use metrics::Metrics;
pub use reporting::{NotFinite, Reports};
pub use sinks::{ConsolePlugin, JsonLinesPlugin, TensorBoard, finish_progress, nothing_learned};
