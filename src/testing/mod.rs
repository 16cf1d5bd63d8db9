//! Checks for your own plugin, one line each; yarak's own plugins use exactly these.
//!
//! A [`Trial`] runs a plugin on a small dataset that is made up, in a real app with the real schedules. Each check returns the
//! first [`Mistake`] that it finds, in words that name it and its remedy, so a test is a line:
//!
//! ```
//! use yarak::prelude::*;
//! use yarak::testing::{Mistake, Trial};
//!
//! fn small() -> Trial {
//!     let mut td3 = Td3Bc { minibatch: MinibatchSettings::of(32), ..default() };
//!     td3.actor.encoder.set_hidden_sizes(&[16]);
//!     td3.critic.encoder.set_hidden_sizes(&[16]);
//!     Trial::of(td3)
//! }
//!
//! // Each of these is a test's body.
//! small().networks_exist(&["actor", "critic"])?;
//! small().losses_are_finite()?;
//! small().changes(&[
//!     (LearnSystems::Critic, &["critic"]),
//!     (LearnSystems::Actor, &["actor"]),
//!     (LearnSystems::Targets, &["target_actor", "target_critic"]),
//! ])?;
//! small().one_writer_for_each_network()?;
//! small().targets_follow(0.005)?; // copies now and then: `targets_are_copied(every)`
//! small().targets_are_detached("critic")?;
//! small().terminals_stop_the_bootstrap("critic")?;
//! small().looking_changes_nothing()?;
//! small().same_seed_same_bits()?;
//! small().resumes_exactly()?;
//! # Ok::<(), Mistake>(())
//! ```
//!
//! A plugin that needs environments and a replay buffer is put on trial with [`Trial::in_environments`]. There are `learns_to_imitate`, `learns_from_rewards`, `learns_by_acting` for the whole; of an algorithm that learns from rounds of its own
//! draws, `advantages_are_detached` and `old_probabilities_are_detached`. [`Trial::on`] takes a device, and `agrees_with` and `travels_to`
//! compare it with another. Steps and parts from elsewhere come in with [`Trial::with`], as
//! they would in an app: `Trial::of(..).with(|app| { app.replace(Learn, LearnSystems::Actor, mine); })`. Actions are a number, or with
//! [`Trial::with_discrete_actions`] one of a few discrete actions.
//!
//! - `trial` builds the app and takes its steps; `toy` makes its data, `acting` a task to act in.
//! - `structure` looks at what is where: networks, slots, writers.
//! - `gradients` at what the steps do to parameters, `rounds` at what those do that learn from rounds; `repetition` at what must come
//!   out the same twice, `devices` at what must come out the same elsewhere.
//! - `mistake` is what they find.

mod acting;
mod devices;
mod gradients;
mod mistake;
mod repetition;
mod rounds;
mod structure;
mod toy;
mod trial;

pub use crate::transfer::{Crossed, crossed};
pub use mistake::Mistake;
pub use trial::Trial;
