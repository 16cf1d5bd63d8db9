//! Minibatches drawn from a dataset: uniformly, with replacement.

mod drawing;
mod on_device;
mod sampling;

pub use drawing::Minibatches;
pub use sampling::MinibatchPlugin;
pub(crate) use sampling::ResetsAtHorizon;

pub(in crate::data) use drawing::draw_rows;
pub(in crate::data) use sampling::draw_minibatch;
