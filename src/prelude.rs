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
pub use burn::tensor::{Device, Int, Tensor, TensorData};
pub use burn::{self};
pub use serde;

pub use crate::app::{RunPlugin, YarakPlugins};
pub use crate::checkpoint::{AppPersistExt as _, CheckpointError, Checkpoints, Persist, Snapshot};
pub use crate::collect::{
    AppEnvironmentExt as _, AppPersistEnvironmentsExt as _, Environments, EquationsExt as _,
    Exploring, StepResults,
};
pub use crate::data::{
    AppLearnsFromExt as _, Batch, Dataset, Divergence, GoalMode, GoalPlugin, LearnsFrom,
    MinibatchPlugin, MinibatchSettings, OffPolicySettings, Preprocessing, Replay, RolloutBatch,
    RolloutBuffer, RolloutPlugin,
};
pub use crate::env::{Environment, Space};
pub use crate::evaluate::{Act, AppActingExt as _, Evaluation, Validation};
pub use crate::learner::{
    Actor, AppLearnerExt as _, AppRandomExt as _, AppTargetExt as _, ComputeDevice, Critic,
    CriticSettings, EnsembleSettings, Init, Learning, Net, Network, NetworkSettings, Noise,
    Optimizer, OptimizerSettings, Purpose, Random, Role, Schedule, Seed, Span, Target,
    TargetUpdate, Tracking, Value,
};
pub use crate::networks::{AppTrainsOnExt as _, Networks, TrainsOn};
pub use crate::nn::{
    ActionDistribution, ActionVae, Activation, ActorHead, ActorNetwork, AppEncoderExt as _,
    Categorical, Cnn, Combined, CriticHead, CriticNetwork, Deviation, DiagonalGaussian, Encoder,
    EncoderSettings, GaussianSettings, Layers, MixtureSettings, Mlp, MlpSettings, Perturbation,
    PolicyHead, Scalar, StopGradient as _, Weights, log_sum_exp, losses, measures, repeat_rows,
};
pub use crate::observation::EncoderInput;
pub use crate::plugins::{
    A2c, Bc, Bcq, Cql, Ddpg, Dqn, Iql, Ppo, Reinforce, Sac, Td3, Td3Bc, on_policy, sac, td3,
};
pub use crate::policy;
pub use crate::report::{Metrics, Reports};
pub use crate::scene::{AppSceneExt as _, Bounds, FieldProblems, PluginKind, Settings};
pub use crate::schedule::{
    AppCadenceExt as _, AppMetricsExt as _, AppScheduleExt as _, AppStepExt as _, Clock, Collect,
    CollectSystems, InputError, Learn, LearnSystems, Prepare, PrepareSystems, Tick, Training,
    Validate, ValidateSystems, after, every, training,
};
pub use crate::{collect, data};

/// The default value of a type, where its name would be noise: `OptimizerSettings { start_epoch: Some(2), ..default() }`.
pub fn default<T: Default>() -> T {
    T::default()
}
