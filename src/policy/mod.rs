//! What was trained, as a product: a [`Policy`] loads a checkpoint and acts, in a crate, a Bevy app or a robot's loop that has none
//! of the training.
//!
//! It needs no scene, no plugin, no device and no schedule. Normalizing observations and scaling actions are inside: it takes
//! what the environment shows and answers in the environment's own unit. A call of a perceptron takes some microseconds on one core,
//! allocates nothing and makes no graph; its actions are those that `yarak eval` plays, bit for bit.
//!
//! ```
//! use yarak::policy::Policy;
//! # use yarak::prelude::{App, Checkpoints, Dataset, MinibatchSettings, PluginGroup, RunPlugin, Td3Bc, YarakPlugins, default};
//! # let folder = tempfile::tempdir()?;
//! # let run = folder.path().join("run");
//! # App::new()
//! #     .add_plugins((
//! #         YarakPlugins.set(RunPlugin { steps: 2, folder: Some(run.clone()), ..default() }),
//! #         Dataset { path: "assets/pendulum-medium-expert.hdf5".into(), ..default() },
//! #         Td3Bc { minibatch: MinibatchSettings::of(8), ..default() },
//! #         Checkpoints { every: 2.into(), ..default() },
//! #     ))
//! #     .run();
//!
//! // A run's folder, such as runs/pendulum_td3_bc, or a checkpoint in it.
//! let mut policy = Policy::load(run)?;
//! // Hanging down: cosine and sine of the angle, angular velocity.
//! let torque = policy.act(&[-1.0, 0.0, 0.0])?[0];
//! assert!(torque.abs() <= 2.0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! What the run's critics think is asked in the same way: [`Policy::q`] and [`Policy::v`].
//!
//! `yarak export RUN FILE` writes a policy as one file, which [`Policy::load`] takes as well, and [`Policy::from_bytes`] out of the program
//! itself: `Policy::from_bytes(include_bytes!("hopper.safetensors"))`.
//!
//! In a Bevy app it is a resource: `app.insert_resource(Policy::load("runs/hopper")?)`, and a system takes `ResMut<Policy>`.
//! `examples/act.rs` and `examples/act_in_bevy.rs` are whole programs, and `docs/policies.md` says which algorithms' policies load.
//!
//! A policy with an encoder of your own is loaded once the encoder is registered: [`register_encoder`](crate::nn::register_encoder).

mod architecture;
mod error;
mod file;
#[expect(clippy::module_inception, reason = "it is what the folder is for")]
mod policy;
mod sampled;
mod values;

pub use crate::nn::denoising;
pub use architecture::{ActionRule, Architecture, EncoderForm};
pub(crate) use architecture::{KEY, Saved, saved_discrete_actions};
pub use error::PolicyError;
pub use policy::Policy;
pub(crate) use sampled::sampled;
pub(crate) use values::{SavedValues, VALUES};
