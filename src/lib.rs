//! **yarak**: reinforcement learning as a Bevy schedule.
//!
//! *Yarak* is the state of a trained hawk that is fit and keen to fly. Networks, optimizers, minibatches and learning rates are
//! ECS **resources**; the steps of an algorithm are ordered ECS **systems**; an algorithm is a **plugin** in one short file; a
//! run is a **RON scene** that lists plugins. There is one binary and no Python. Anyone can add an algorithm, and can reorder or
//! replace any single step of anybody's algorithm, from outside, in one call or in one line of a scene.
//!
//! This page is the first of the manual. [`README.md`](https://docs.rs/crate/yarak/latest/source/README.md) has the commands,
//! `ARCHITECTURE.md` the map of the code, `docs/` a page for each algorithm, and every item here its own example.
//!
//! # A first run
//!
//! From a terminal, a run is a scene:
//!
//! ```text
//! cargo run --release -- train scenes/pendulum_td3_bc.ron
//! ```
//!
//! In your own app it is a group of plugins. [`YarakPlugins`] brings the schedules and what drives them, [`Dataset`] the
//! data, [`Td3Bc`] the algorithm, [`Evaluation`] the evaluation. `run` returns when all steps are taken, with a status that says
//! how it went. An app that has a window already trains between its frames.
//!
//! ```
//! use yarak::prelude::*;
//!
//! let exit = App::new()
//!     .add_plugins((
//!         YarakPlugins.set(RunPlugin { steps: 4, ..default() }),
//!         Dataset { path: "assets/pendulum-medium-expert.hdf5".into(), ..default() },
//!         Td3Bc { minibatch: MinibatchSettings::of(64), ..default() },
//!         Evaluation { env: "Pendulum-v1".into(), every: 4.into(), episodes: 1, ..default() },
//!     ))
//!     .run();
//! assert!(exit.is_success());
//! ```
//!
//! # What runs when
//!
//! Bevy's `Main` stays as it is. yarak adds one schedule for each thing that happens in training, and a facilitator drives them
//! from `Update` ([`schedule`] has the details):
//!
//! 1. `PreStartup`, `Startup`, `PostStartup` (Bevy's): data is loaded, networks are built, a checkpoint is restored.
//! 2. [`Collect`]: one step of the environments. Online algorithms only.
//! 3. [`Prepare`]: once a round. Online only: returns, advantages, minibatches.
//! 4. [`Learn`]: one gradient step. Its slots are
//!     1. [`First`](schedule::LearnSystems::First): each network's counter, its [`Tick`], rises;
//!     2. [`Sample`](schedule::LearnSystems::Sample): a [`Batch`] is drawn;
//!     3. [`Critic`](schedule::LearnSystems::Critic): the critics' gradient step;
//!     4. [`Actor`](schedule::LearnSystems::Actor): the actor's, on those ticks that its run condition names;
//!     5. [`Targets`](schedule::LearnSystems::Targets): target networks follow;
//!     6. [`Rates`](schedule::LearnSystems::Rates): learning rates move on;
//!     7. [`Measure`](schedule::LearnSystems::Measure): your own metrics;
//!     8. [`Last`](schedule::LearnSystems::Last): empty, for users.
//! 5. [`Validate`]: every so many steps, the same losses on held-out rows, with nothing updated.
//! 6. [`Evaluate`]: every so many steps, episodes with the deterministic policy.
//! 7. [`Report`]: every so many steps, [`Metrics`] are read back from the device and written. Nothing else reads them.
//! 8. [`Save`]: every so many steps, everything that the run needs to go on is gathered, and a thread writes it.
//!
//! No schedule is nested in another, so what holds for a slot of one algorithm holds for all. The order of the slots is data,
//! [`LearnOrder`], until the app is finished. `yarak graph SCENE` prints what will run, with each system's reads, writes and
//! conditions. Two systems that conflict and have no order between them are an error that names both.
//!
//! # How an algorithm is written
//!
//! One struct: its fields are the settings, its [`Default`] is the paper's values, its doc comments are what `yarak scene
//! template` prints, and it is the plugin and the resource. The steps below it read as the paper does. Networks are resources
//! typed by *role*, `Net<Actor>`, so that one algorithm's step can be in another's slot: the step that follows is behavior
//! cloning, and it can take the actor's place in TD3+BC.
//!
//! ```
//! use yarak::prelude::*;
//!
//! /// Behavior cloning, as small as it gets.
//! #[derive(Clone, Debug, Default, Resource, Reflect)]
//! struct Imitation {
//!     /// What the policy makes of an observation before its head.
//!     encoder: EncoderSettings,
//! }
//!
//! impl Settings for Imitation {}
//!
//! impl Plugin for Imitation {
//!     fn build(&self, app: &mut App) {
//!         app.insert_resource(self.clone())
//!             .add_plugins(MinibatchPlugin::default())
//!             .add_learner::<Actor>(OptimizerSettings::default())
//!             .acts_with::<Actor>()
//!             .add_systems(Startup, build_policy)
//!             .add_systems(Learn, imitate.in_set(LearnSystems::Actor));
//!     }
//! }
//!
//! fn build_policy(settings: Res<Imitation>, mut networks: Networks) -> Result {
//!     let actor = networks.actor(settings.encoder.clone(), ActorHead::Deterministic)?;
//!     networks.insert::<Actor>(actor);
//!     Ok(())
//! }
//!
//! fn imitate(batch: Res<Batch>, mut actor: Learning<Actor>, mut metrics: ResMut<Metrics>) -> Result {
//!     let loss = losses::mse(actor.act(batch.observation.clone()), batch.action.clone());
//!     metrics.record("actor/loss", loss.clone());
//!     actor.descend(loss)?;
//!     Ok(())
//! }
//!
//! let exit = App::new()
//!     .add_plugins((
//!         YarakPlugins.set(RunPlugin { steps: 4, ..default() }),
//!         Dataset { path: "assets/pendulum-medium-expert.hdf5".into(), ..default() },
//!         Imitation { encoder: EncoderSettings::from(&[32]) },
//!     ))
//!     .run();
//! assert!(exit.is_success());
//! ```
//!
//! `add_learner` brings the optimizer, the learning rate and the counter of a role, and their place in checkpoints. A program
//! whose `main` says `yarak::cli::run(|app| { app.register_for_scenes::<Imitation>(); })` has the whole command line with it:
//! scenes that name it, templates, checks, resuming. `examples/custom_algorithm.rs` is that program, and [`plugins`] holds ours,
//! each in one file that imports the prelude alone.
//!
//! # How a step is replaced
//!
//! A slot has an order and run conditions; the step that is in it has neither, so another step takes both over.
//!
//! ```
//! use yarak::prelude::*;
//! use yarak::plugins::bc;
//! use yarak::schedule::LearnOrder;
//!
//! /// Your own slot.
//! #[derive(SystemSet, Clone, Debug, PartialEq, Eq, Hash)]
//! struct Probe;
//!
//! fn probe(batch: Res<Batch>, critic: Res<Net<Critic>>, mut metrics: ResMut<Metrics>) {
//!     let q = critic.q1(batch.observation.clone(), batch.action.clone());
//!     metrics.record("probe/q_of_data", q.mean());
//! }
//!
//! let mut app = App::new();
//! app.add_plugins((YarakPlugins, Dataset::default(), Td3Bc::default()))
//!     // Every second step, as before: the delay is the slot's.
//!     .replace(Learn, LearnSystems::Actor, bc::clone_behavior)
//!     .insert_after(Learn, LearnSystems::Critic, Probe, probe)
//!     .move_before(Learn, LearnSystems::Targets, LearnSystems::Critic);
//! app.finish();
//! let order: Vec<&str> = app.world().resource::<LearnOrder>().names().collect();
//! assert_eq!(order, ["First", "Sample", "Targets", "Critic", "Probe", "Actor", "Rates", "Measure", "Last"]);
//! ```
//!
//! In a scene it is a line, and nothing is compiled: `order: [ Replace(Actor, with: "bc::clone_behavior") ]`. A name that is no
//! slot, and a replacement where nothing was, are errors that list the valid names, before the first step.
//!
//! # Where things are
//!
//! - [`prelude`]: everything that an algorithm or an app needs. [`app`]: [`YarakPlugins`].
//! - [`schedule`]: labels, slots, their order, run conditions, edits, the drawing.
//! - [`learner`]: networks by role, optimizers, rates, targets. [`nn`]: networks, losses, devices. [`random`]: random streams.
//! - [`collect`]: environments as entities, and what passes between them and an algorithm.
//! - [`data`]: HDF5 files into transitions, normalizing, n-step, minibatches. [`env`](mod@env): environments.
//! - [`policy`]: what was trained, as a product: it loads a checkpoint and acts.
//! - [`evaluate`]: episodes and scores. [`checkpoint`]: what persists, and exact resume. [`report`]: metrics and where they go.
//! - [`testing`]: checks for your own plugin, a line each.
//! - [`scene`]: RON to plugins, with every mistake found before anything is allocated. [`cli`]: the program.
//! - [`plugins`]: the algorithms.
//!
//! # What to rely on
//!
//! A run that is cut and resumed equals the one that was not, bit for bit (same machine, same build, CPU). Only a terminal stops
//! the bootstrap: a time limit never does. A scene with an unknown key does not run. Nothing is read back from the device inside
//! [`Learn`]. Bad input is an error that names the place and the remedy. `ARCHITECTURE.md` names the test behind each of these.
//!
//! [`Batch`]: data::Batch
//! [`Collect`]: schedule::Collect
//! [`Dataset`]: data::Dataset
//! [`Evaluate`]: schedule::Evaluate
//! [`Learn`]: schedule::Learn
//! [`LearnOrder`]: schedule::LearnOrder
//! [`Metrics`]: report::Metrics
//! [`Prepare`]: schedule::Prepare
//! [`Report`]: schedule::Report
//! [`Evaluation`]: evaluate::Evaluation
//! [`Save`]: schedule::Save
//! [`Td3Bc`]: plugins::Td3Bc
//! [`Tick`]: schedule::Tick
//! [`Validate`]: schedule::Validate
//! [`YarakPlugins`]: app::YarakPlugins

#![deny(missing_docs)]

// Plugins are written as an outside crate writes them, `use yarak::prelude::*;`: so the crate knows itself by name.
extern crate self as yarak;

pub mod app;
pub mod checkpoint;
pub mod cli;
pub mod collect;
pub mod data;
pub mod env;
pub mod evaluate;
#[cfg(test)]
#[path = "fuzzing_tests.rs"]
mod fuzzing;
pub mod learner;
mod memory;
pub mod networks;
pub mod nn;
pub mod observation;
mod period;
#[path = "../plugins/mod.rs"]
pub mod plugins;
pub mod policy;
pub mod prelude;
mod pretrained;
pub mod random;
pub mod report;
pub mod scene;
pub mod schedule;
pub mod subnormals;
mod sweep;
mod terminal;
pub mod testing;
#[cfg(test)]
#[path = "testing_data_tests.rs"]
mod testing_data;
mod transfer;

/// The guide's programs, compiled and run as tests of the documentation.
#[cfg(doctest)]
#[doc = include_str!("../docs/custom_algorithm.md")]
struct CustomAlgorithm;

/// The first page's programs.
#[cfg(doctest)]
#[doc = include_str!("../docs/first_algorithm.md")]
struct FirstAlgorithm;

/// The cookbook's answers.
#[cfg(doctest)]
#[doc = include_str!("../docs/cookbook.md")]
struct Cookbook;

#[cfg(doctest)]
#[doc = include_str!("../docs/bevy_app.md")]
struct BevyApp;

#[cfg(doctest)]
#[doc = include_str!("../docs/encoders.md")]
struct Encoders;

#[cfg(doctest)]
#[doc = include_str!("../docs/gradients.md")]
struct Gradients;

pub use app::YarakPlugins;
pub use pretrained::{Pretrained, PretrainedError};
