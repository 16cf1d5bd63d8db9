//! A bridge to Python: every environment that [Gymnasium](https://gymnasium.farama.org) can make, by the name
//! `gymnasium:NAME`, such as `gymnasium:Hopper-v5`, or `gymnasium:my_module:MyTask-v0` for one that a module of your own registers.
//!
//! A *worker* is a Python process with some environments of one kind. It is given its work over a socket of its own, in binary
//! frames, so that what an environment prints goes to standard error and comes between nothing. A Python exception arrives with its
//! traceback; a process that was killed, or that does not answer in time, is named. Which Python it is says the variable
//! `YARAK_PYTHON`; without it, `python3`.
//!
//! Python starts without the working directory on its path. A module that a name of the bridge imports is looked for on Python's path
//! first, and then in the working directory. A name in Rust code is imported without asking; of a scene, the app has to allow it
//! ([`ForeignCode`](crate::scene::ForeignCode)).
//!
//! Observations of dictionaries and tuples are flattened: the parts of a `Dict` in the order of their names' bytes, those of a `Tuple`
//! in their own, depth first; a choice is one number, counted from 0. Actions are a box or a choice; those of a box of whole numbers
//! are rounded to the nearest.
//!
//! The state of such an environment cannot be saved in general: [`Environment::snapshot`] of one is empty, `restore` an error, and
//! a resumed run begins new episodes. For environments that resume to the bit, use those that are built in.

mod environment;
mod error;
mod spaces;
#[cfg(unix)]
mod worker;
#[cfg(not(unix))]
#[path = "no_worker.rs"]
mod worker;

pub use environment::GymnasiumEnvironment;
pub(crate) use environment::close_idle;
pub use error::BridgeError;
pub(crate) use spaces::WorkerSpaces;
pub(crate) use worker::{Worker, closing_time};

use super::{Environment, EnvironmentError};
use crate::scene::Keywords;

/// What names of the bridge begin with.
pub const PREFIX: &str = "gymnasium:";

/// Gymnasium's name in a name of the bridge.
pub fn name_of(environment: &str) -> Option<&str> {
    environment
        .strip_prefix(PREFIX)
        .filter(|name| !name.is_empty())
}

/// The module that a name of the bridge imports, `my_module` of `gymnasium:my_module:MyTask-v0`; `None` of what Gymnasium has itself.
pub fn module_of(environment: &str) -> Option<&str> {
    let (module, _) = name_of(environment)?.split_once(':')?;
    Some(module)
}

/// What one environment answered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer<'a> {
    pub reward: f64,
    pub terminated: bool,
    pub truncated: bool,
    pub success: Option<bool>,
    pub observation: &'a [f32],
}

/// What a worker is to do.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkerSettings {
    /// Gymnasium's name.
    pub name: String,
    /// How many environments it holds, at least 1.
    pub num_envs: usize,
    /// The number of its first environment among those of all workers, for messages.
    pub first: usize,
    /// Steps after which an episode is cut. None: as the environment is registered.
    pub time_limit: Option<u64>,
    /// How long an answer may take, in seconds.
    pub seconds: f64,
    /// Keyword arguments of `gymnasium.make`.
    pub kwargs: Keywords,
}

impl WorkerSettings {
    /// So many environments of that name, as they are registered; a minute for an answer.
    pub fn new(name: &str, count: usize) -> Self {
        WorkerSettings {
            name: name.to_owned(),
            num_envs: count.max(1),
            first: 0,
            time_limit: None,
            seconds: 60.0,
            kwargs: Keywords::default(),
        }
    }

    /// The name that messages use.
    pub(crate) fn environment(&self) -> String {
        format!("{PREFIX}{}", self.name)
    }
}

/// So many environments of Gymnasium's name, in one process, stepped one at a time.
///
/// # Errors
/// Python does not start, lacks Gymnasium, or cannot make the environment.
pub fn make_each(
    name: &str,
    count: usize,
    kwargs: &Keywords,
) -> Result<Vec<Box<dyn Environment>>, EnvironmentError> {
    let environments = environment::share(&WorkerSettings {
        kwargs: kwargs.clone(),
        ..WorkerSettings::new(name, count)
    })?;
    Ok(environments
        .into_iter()
        .map(|it| Box::new(it) as Box<dyn Environment>)
        .collect())
}
