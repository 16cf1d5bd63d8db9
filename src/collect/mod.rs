//! Environments as entities, and what passes between them and an algorithm in [`Collect`](crate::schedule::Collect).
//!
//! One environment is one entity; stepping is systems; a Bevy app's own world can be the environment. One run of `Collect`
//! is one step of all environments:
//!
//! 1. [`CollectSystems::Act`](crate::schedule::CollectSystems::Act): the algorithm reads [`Observations`], asks its policy
//!    once for all of them, and writes [`Actions`].
//! 2. [`CollectSystems::Step`](crate::schedule::CollectSystems::Step), in the order of [`EnvironmentSystems`]:
//!     1. `ScatterActions`: each entity gets its row, rescaled to the bounds of the action space, clipped, and rounded where it takes whole numbers;
//!     2. `Step`: each environment moves;
//!     3. `TimeLimit`: long episodes are cut, and the step's result is kept in [`StepResults`];
//!     4. `Autoreset`: new episodes begin;
//!     5. `Gather`: [`Observations`] show what there is to see now.
//! 3. [`CollectSystems::Record`](crate::schedule::CollectSystems::Record): buffers take [`StepResults`].
//!
//! In a scene it is `Environments(env: "CartPole-v1", num_envs: 8)`. An app with entities of its own adds [`OwnEnvironments`],
//! and [`OwnEvaluation`] to see what the policy is worth in them.
//!
//! ```
//! use yarak::prelude::*;
//! use yarak::collect::{ActRandomly, FinishedEpisodes};
//!
//! let mut app = App::new();
//! app.add_plugins((
//!     YarakPlugins,
//!     Environments { env: "CartPole-v1".into(), num_envs: 8, ..default() },
//!     ActRandomly {},
//! ));
//! app.finish();
//! app.world_mut().run_schedule(PostStartup);
//! let mut ended = 0;
//! for _ in 0..100 {
//!     app.world_mut().run_schedule(Collect);
//!     ended += app.world().resource::<FinishedEpisodes>().0.len();
//! }
//! // Random pushes drop the pole after some twenty steps.
//! assert!((16..80).contains(&ended), "{ended}");
//! ```

mod acting;
mod any_environment;
#[cfg(test)]
mod collect_tests;
mod dataset_recorder;
mod dynamics;
mod entity;
mod environments;
mod error;
mod exploring;
mod gymnasium_environments;
mod own_evaluation;
mod persist;
mod plugin;
mod rows;
mod sampled_actions;
mod scaling;
mod seen;
mod small_vector;
mod statistics;
mod systems;
mod workers;

pub(crate) use any_environment::seed_environments;

pub use crate::data::{SampledActions, Seen, StepResults};
pub use crate::random::Exploration;
pub use acting::{ActRandomly, act_deterministically, act_randomly};
pub use dataset_recorder::{DatasetRecorder, DatasetRecorderPlugin};
pub use dynamics::{Equations, EquationsExt, Generator, State};
pub use entity::{
    Action, Ended, EnvironmentRow, EpisodeStatistics, Observation, Restart, Reward, StepCount,
};
pub use environments::{Environments, GymnasiumWorkers};
pub use error::CollectError;
pub use exploring::Exploring;
pub(crate) use gymnasium_environments::seed_bridged;
pub use own_evaluation::{Evaluating, OwnEvaluation};
pub use persist::AppPersistEnvironmentsExt;
pub use plugin::{
    AppEnvironmentExt, Autoreset, EnvironmentSystems, EpisodeTimeLimit, FinishedEpisode,
    FinishedEpisodes, OwnEnvironments, RowsThere,
};
pub use rows::{Actions, Observations};
pub use scaling::{ClipActions, RescaleActions, RoundActions};
pub use small_vector::SmallVector;

pub(crate) use statistics::StandingStill;
pub use statistics::{
    NormalizeObservations, NormalizeReturns, ObservationMoments, ReturnMoments, RunningMoments,
};
pub use systems::{gather_observations, keep_steps, limit_time, scatter_actions};
