//! Minibatches drawn from a dataset: uniformly, with replacement.

mod drawing;
mod plugin;

pub use drawing::Minibatches;
pub use plugin::MinibatchPlugin;

pub(in crate::data) use drawing::draw_rows;
pub(in crate::data) use plugin::draw_minibatch;
