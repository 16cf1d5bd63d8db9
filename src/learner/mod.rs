//! Networks as resources, and the two things that happen to them: a gradient step and a target's tracking.
//!
//! Everything is typed by *role*, not by module: [`Net<Actor>`](Net), [`Optim<Critic>`](Optim), [`Rate<R>`], so that one
//! algorithm's step can stand in another's slot. An algorithm declares its networks in `Plugin::build` with
//! [`AppLearnerExt::add_learner`], builds them in `Startup`, and its steps ask for
//!
//! - `Res<Net<R>>`: the network for inference: nothing it computes is recorded;
//! - [`Net::frozen`]: the network inside another one's loss: gradients flow through it and not into it;
//! - [`Learning<R>`]: the network in training, with [`descend`](Learning::descend);
//! - `Res<Target<R>>` and [`Tracking<R>`]: its slowly moving copy.
//!
//! This module and `nn/` are the only places that know Burn's modules and optimizers.

mod annealed;
mod device;
mod learning;
mod net;
mod network_settings;
mod on_cpu;
mod optimizer;
mod parameters;
mod persist;
mod random;
mod rate;
mod role;
mod roles;
mod tracking;
mod training;
mod update;

pub use annealed::Annealed;
pub use device::{ComputeDevice, DeviceError};
pub use learning::{AppLearnerExt, Descent, Learner, LearnerError, Learning};
pub use net::{Net, Target};
pub use network_settings::NetworkSettings;
pub use optimizer::{Optim, Optimizer};
pub(crate) use parameters::parameter_shapes;
pub use random::{
    AppRandomExt, Dropout, Init, Noise, Purpose, Random, RandomState, Sampling, Seed,
};
pub use rate::{LearningRate, Rate};
pub use role::{Actor, Critic, Network, Piece, Role, Value};
pub(crate) use roles::Roles;
pub use tracking::{AppTargetExt, TargetUpdate, Tracking};
pub use training::DropoutDraws;
