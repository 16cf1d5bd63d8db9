//! `Hopper-v5`, `Walker2d-v5` and `HalfCheetah-v5`: planar walkers in MuJoCo, by Gymnasium's definitions.
//!
//! MuJoCo's library is loaded at run time, so that yarak is built, and everything else in it runs, without it. It is looked for
//! once a process, in this order:
//!
//! 1. the file, or the folder, that `MUJOCO_LIB` names, and then nowhere else;
//! 2. Python's package `mujoco`, of the interpreter that `YARAK_PYTHON` names or else of `python3`;
//! 3. the system: its loader's paths, `$CONDA_PREFIX/lib`, `~/.mujoco/*/lib`.
//!
//! So `pip install mujoco` is all that it takes. [`MujocoError::NoLibrary`] lists every place that was tried.
//!
//! States, rewards, ends and first states are Gymnasium's to the last bit where the library's version is the same one
//! (`tests/environments/mujoco.rs`); between versions of MuJoCo trajectories differ, so the version is in a run's manifest, next to
//! every score, and in each snapshot, which another version refuses.
//!
//! | name | observation | action | ends by itself |
//! |---|---|---|---|
//! | `Hopper-v5` | 11: positions but the first, velocities up to 10 | 3 motors | the torso falls or leans, or anything is far too fast |
//! | `Walker2d-v5` | 17, the same | 6 motors | the torso falls, leans or flies |
//! | `HalfCheetah-v5` | 17, velocities unbounded | 6 motors | never |
//!
//! The reward is the forward speed in m/s, plus 1 for a step survived where an episode can end, minus the motors' cost.
//!
//! # Where to look
//! - `binding`: the functions of the library, and all `unsafe` code; `library`: where it is looked for.
//! - `task`: what differs between the three; `walker`: the [`Environment`]; `drawing`: what they look like, `limbs`: where
//!   their positions put them.

mod binding;
mod drawing;
mod error;
mod library;
mod limbs;
mod task;
mod version;
mod walker;

pub use error::{LoadError, MujocoError, Tried};
pub use library::version;
pub use version::Version;

use super::{Environment, EnvironmentError, Space};
use task::{HALF_CHEETAH, HOPPER, WALKER};
use walker::Walker;

pub(super) fn hopper() -> Result<impl Environment, EnvironmentError> {
    Walker::new(&HOPPER)
}

pub(super) fn walker2d() -> Result<impl Environment, EnvironmentError> {
    Walker::new(&WALKER)
}

pub(super) fn half_cheetah() -> Result<impl Environment, EnvironmentError> {
    Walker::new(&HALF_CHEETAH)
}

/// What a walker sees and does, which is known without the library.
pub(super) fn spaces(name: &str) -> Option<(Space, Space)> {
    [&HOPPER, &WALKER, &HALF_CHEETAH]
        .into_iter()
        .find(|task| task.name == name)
        .map(|task| (task.observation_space(), task.action_space()))
}
