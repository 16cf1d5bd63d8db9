//! Environments: the world that an agent acts in, in [Gymnasium](https://gymnasium.farama.org)'s words.
//!
//! An [`Environment`] is *reset* to the first observation of an episode and then *stepped* with one action at a time; every
//! step answers with the next observation and an [`StepResult`]: the reward, and whether the episode ended. An episode ends in
//! two ways that must never be confused. It is **terminated** when the task itself is over (the pole fell, the car reached
//! the flag): nothing follows, so the return beyond it is zero. It is **truncated** when somebody stopped watching (a
//! [`TimeLimit`]): the world would have gone on, so a learner still bootstraps from the last observation.
//!
//! A [`Space`] says what observations and actions look like: a box of real numbers, or one of `n` discrete actions.
//!
//! The classic control tasks are here, bit for bit as Gymnasium 1.4 with NumPy 2 computes them on Linux with glibc: same
//! seeds, same first states ([`NumpyRandom`]), same trajectories and rewards. A score measured here is a score measured there.
//!
//! | name | observation | action | ends by itself | time limit |
//! |---|---|---|---|---|
//! | `Acrobot-v1` | 6 | one of 3 | the tip swings above the bar | 500 |
//! | `CartPole-v1` | 4 | one of 2 | the pole or the cart leaves its range | 500 |
//! | `CartPoleNamed-v1` | 4, in named parts | one of 2 | as `CartPole-v1` | 500 |
//! | `CartPolePixels-v1` | 32 x 32 gray pixels | one of 2 | as `CartPole-v1` | 500 |
//! | `HalfCheetah-v5` | 17 | 6 | never | 1000 |
//! | `Hopper-v5` | 11 | 3 | it falls | 1000 |
//! | `MountainCar-v0` | 2 | one of 3 | the flag is reached | 200 |
//! | `MountainCarContinuous-v0` | 2 | 1 | the flag is reached | 999 |
//! | `Pendulum-v1` | 3 | 1 | never | 200 |
//! | `PendulumNamed-v1` | 3, in named parts | 1 | never | 200 |
//! | `PendulumPixels-v1` | 32 x 32 gray pixels | 1 | never | 200 |
//! | `ReachPixels-v1` | 32 x 32 gray pixels | 2 | the arm touches the spot | 50 |
//! | `Walker2d-v5` | 17 | 6 | it falls | 1000 |
//!
//! The three walkers among them are computed by MuJoCo's library, which is loaded at run time: see [`mujoco`].
//!
//! ```
//! use yarak::env::registry;
//!
//! let mut environment = registry::make("Pendulum-v1")?;
//! let mut observation = [0.0; 3];
//! environment.reset(Some(0), &mut observation)?;
//! let mut episode_return = 0.0;
//! loop {
//!     let outcome = environment.step(&[0.5], &mut observation)?;
//!     episode_return += outcome.reward;
//!     if outcome.ended() {
//!         assert!(outcome.truncated && !outcome.terminated);
//!         break;
//!     }
//! }
//! assert!(episode_return < 0.0);
//! # Ok::<(), yarak::env::EnvironmentError>(())
//! ```
//!
//! Three things differ from Gymnasium, all of them on purpose:
//! - the first reset needs a seed, because a run that cannot be repeated is a run that cannot be resumed;
//! - stepping after an episode's end is an error instead of undefined behavior;
//! - a NaN or infinite action is an error instead of a poisoned state.
//!
//! # Where to look
//! - [`Environment`] and [`StepResult`]: the interface; [`EnvironmentError`]: all that can go wrong.
//! - [`registry`]: environments by name, with their time limits and reference scores.
//! - [`mujoco`]: where MuJoCo's library is looked for.
//! - [`gymnasium`]: whatever Python's Gymnasium can make, by the name `gymnasium:NAME`.
//! - [`Dynamics`] and [`Simulation`]: write the equations of a task, get an environment.
//! - [`Drawing`]: what it looks like, for videos of episodes; [`Pixels`]: an environment whose observation is that;
//!   [`Named`]: one whose observation has named parts.
//! - [`Snapshot`]: the exact state of an environment, to stop a run and go on later.

mod acrobot;
mod cartpole;
mod drawing;
mod environment;
mod error;
pub mod gymnasium;
mod mountain_car;
mod mountain_car_continuous;
#[cfg(feature = "mujoco")]
pub mod mujoco;
mod named;
mod numpy_normal;
mod numpy_normal_tables;
mod numpy_power;
mod numpy_random;
mod pendulum;
mod pixels;
mod python;
pub(crate) mod raster;
mod reach;
pub mod registry;
mod simulation;
mod sine;
mod snapshot;
mod space;
mod time_limit;

pub use acrobot::Acrobot;
pub use cartpole::CartPole;
pub use drawing::{Color, Drawing, Shape};
pub use environment::{Environment, StepResult};
pub use error::EnvironmentError;
pub use mountain_car::MountainCar;
pub use mountain_car_continuous::MountainCarContinuous;
pub use named::Named;
pub use numpy_random::NumpyRandom;
pub use pendulum::Pendulum;
pub use pixels::Pixels;
pub use reach::Reach;
pub use simulation::{Dynamics, Simulation};
pub use snapshot::Snapshot;
pub use space::Space;
pub use time_limit::TimeLimit;
