//! Networks as resources, and the two things that happen to them: a gradient step and a target's tracking.
//!
//! Everything is typed by *role*, not by module: [`Net<Actor>`](Net), [`Optim<Critic>`](Optim), [`Rate<R>`], so that one
//! algorithm's step can be in another's slot. An algorithm declares its networks in `Plugin::build` with
//! [`AppLearnerExt::add_learner`], builds them in `Startup`, and its steps ask for
//!
//! - `Res<Net<R>>`: the network for inference: nothing it computes is recorded;
//! - the same, given something tracked: the network inside another one's loss; gradients flow through it and not into it;
//! - [`Learning<R>`]: the network in training, with [`descend`](Learning::descend);
//! - `Res<Target<R>>` and [`Tracking<R>`]: its slowly moving copy.
//!
//! This module and `nn/` are the only places that know Burn's modules and optimizers.

mod critic_settings;
mod learning;
mod net;
mod network_settings;
mod never_trained;
mod on_card;
mod on_cpu;
mod optimizer;
mod optimizer_settings;
mod parameters;
mod persist;
mod rate;
mod role;
mod roles;
mod schedule;
mod step_memory;
mod tracking;
mod training;
mod update;

pub use crate::nn::{ComputeDevice, DeviceError, Network, Piece};
pub(crate) use crate::random::Stack;
pub use crate::random::{
    AppRandomExt, Dropout, Init, Noise, Purpose, Random, RandomState, Sampling, Seed,
};
pub use critic_settings::{CriticSettings, EnsembleSettings};
pub(crate) use learning::Stacks;
pub use learning::{AppLearnerExt, Descent, LearnerError, Learning};
pub use net::{Net, Target};
pub use network_settings::NetworkSettings;
pub(crate) use never_trained::networks_never_trained;
pub use optimizer::{Optim, Optimizer};
pub use optimizer_settings::OptimizerSettings;
pub(crate) use persist::target_file;
pub use rate::Rate;
pub(crate) use rate::warnings_of_rates;
pub use role::{Actor, Critic, Role, Value};
pub(crate) use roles::{RoleEntry, Roles};
pub use schedule::{Schedule, Span};
pub use tracking::{AppTargetExt, TargetUpdate, Tracking};
pub use training::DropoutDraws;
