//! Everything that an algorithm or an app needs, in one `use`.
//!
//! Bevy's and Burn's crates come along by name, because Bevy's derives write paths such as `bevy_ecs::...`: so a crate that
//! depends on yarak alone can derive `Resource` and `Reflect`.

pub use bevy_app::prelude::*;
pub use bevy_app::{self, AppExit, ScheduleRunnerPlugin};
pub use bevy_ecs::prelude::*;
pub use bevy_ecs::{self, system::SystemParam};
pub use bevy_reflect::prelude::*;
pub use bevy_reflect::{self};
pub use burn::module::Module;
pub use burn::tensor::{Device, Tensor, TensorData};
pub use burn::{self};
pub use serde;

pub use crate::app::{ConcludePlugin, RunPlugin, YarakPlugins};
pub use crate::checkpoint::{
    AppPersistExt, CheckpointError, Checkpoints, Persist, ResumeFrom, Snapshot, gather, restore,
};
pub use crate::data::{
    Batch, Data, Dataset, Dones, End, Episode, GoalMode, GoalPlugin, Goals, MinibatchPlugin,
    Minibatches, Preprocessing, Rule, StoredData, Transitions,
};
pub use crate::evaluate::{Act, Acting, AppActingExt, Episodes, Rollouts, Validation};
pub use crate::learner::{
    Actor, AppLearnerExt, AppRandomExt, AppTargetExt, ComputeDevice, Critic, Descent, DeviceError,
    Init, Learner, LearnerError, Learning, LearningRate, Net, Network, Noise, Optim, Optimizer,
    Purpose, Random, Rate, Role, Sampling, Seed, Target, TargetUpdate, Tracking,
};
pub use crate::nn::{
    Activation, Mlp, MlpShape, Policy, QEnsemble, StopGradient, ValueBounds, losses,
};
pub use crate::plugins::{Bc, Td3Bc, bc, td3_bc};
pub use crate::report::{
    ConsolePlugin, JsonLinesPlugin, Metrics, Reported, Reports, RunDirectory, TensorBoard,
};
pub use crate::scene::{AppSceneExt, Bounds, FieldProblems, PluginKind, Settings};
pub use crate::schedule::{
    AppCadenceExt, AppScheduleExt, AppStepExt, Cadence, Clock, Collect, CollectSystems, Evaluate,
    EvaluateSystems, FacilitatorPlugin, Failure, InputError, Learn, LearnOrder, LearnSystems,
    NamedEdit, Outcome, Prepare, PrepareSystems, Report, ReportSystems, RunError, Save,
    SaveSystems, ScheduleError, ScheduleErrors, SchedulePlugin, StepRegistry, Tick, TickPlugin,
    TimeBudget, Training, Validate, ValidateSystems, Window, after, between, every, take_failure,
    training,
};

/// The default value of a type, where its name would be noise: `Window { start_epoch: Some(2), ..default() }`.
pub fn default<T: Default>() -> T {
    T::default()
}
