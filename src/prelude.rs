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

pub use crate::app::{ConcludePlugin, RunPlugin, YarakPlugins};
pub use crate::checkpoint::{
    AppPersistExt, CheckpointError, Checkpoints, Persist, ResumeFrom, Snapshot, gather, restore,
};
pub use crate::collect::{
    ActRandomly, Action, Actions, AppEnvironmentExt, AppPersistEnvironmentsExt, Autoreset,
    CollectError, Ended, EnvironmentRow, EnvironmentSystems, Environments, EpisodeStatistics,
    EquationsExt, Exploration, Exploring, FinishedEpisode, FinishedEpisodes, GymnasiumWorkers,
    NormalizeObservations, NormalizeReturns, Observation, Observations, OwnEnvironments, Restart,
    Reward, SampledActions, SmallVector, State, StepCount, StepResults,
};
pub use crate::data::{
    AppLearnsFromExt, Batch, Column, Data, Dataset, DiscreteActionsOnly, Divergence, Dones,
    Episode, EpisodeEnd, EpisodeGoal, ExperiencePlugin, FixedRollout, FixedRolloutError,
    FixedRolloutPlugin, Folding, Gathered, GoalMode, GoalPlugin, Goals, LearnsFrom,
    MinibatchPlugin, MinibatchSettings, Minibatches, ObservationParts, OffPolicySettings,
    Preprocessing, Replay, ReplayBuffer, Replayed, RolloutBatch, RolloutBuffer, RolloutPlugin,
    RowWeights, Rule, Spaces, Transitions,
};
pub use crate::env::{Drawing, Dynamics, Environment, NumpyRandom, Shape, Space};
pub use crate::evaluate::{Act, Acting, AppActingExt, Episodes, Evaluation, Validation};
pub use crate::learner::{
    Actor, AppLearnerExt, AppRandomExt, AppTargetExt, ComputeDevice, Critic, CriticSettings,
    Descent, DeviceError, Dropout, DropoutDraws, EnsembleSettings, Init, LearnerError, Learning,
    Net, Network, NetworkSettings, Noise, Optim, Optimizer, OptimizerSettings, Purpose, Random,
    Rate, Role, Sampling, Schedule, Seed, Span, Target, TargetUpdate, Tracking, Value,
};
pub use crate::networks::{ActionSpaceError, AppTrainsOnExt, Networks, TrainsOn};
pub use crate::nn::{
    ActionDistribution, ActionVae, Activation, ActorHead, ActorNetwork, AppEncoderExt, Categorical,
    CriticHead, CriticNetwork, Deviation, DiagonalGaussian, Encoder, EncoderSettings,
    GaussianMixture, GaussianSettings, InitError, Layers, MixtureSettings, Mlp, MlpSettings,
    MlpShape, Perturbation, PolicyHead, SampledAction, Scalar, SquashedNormal, StopGradient, Trunk,
    ValueBounds, Weights, log_sum_exp, losses, measures, register_encoder, repeat_rows,
};
pub use crate::plugins::{
    A2c, Bc, Bcq, Cql, Ddpg, Dqn, Iql, Ppo, Reinforce, Sac, Td3, Td3Bc, a2c, bc, bcq, cql, ddpg,
    dqn, iql, on_policy, ppo, reinforce, sac, td3, td3_bc,
};
pub use crate::policy;
pub use crate::report::{
    ConsolePlugin, EarlyStopping, Goal, JsonLinesPlugin, Metrics, Reported, Reports, RunDirectory,
    TensorBoard,
};
pub use crate::scene::{AppSceneExt, Bounds, FieldProblems, PluginKind, Settings};
pub use crate::schedule::{
    AppCadenceExt, AppMetricsExt, AppScheduleExt, AppStepExt, Cadence, Clock, Collect,
    CollectSystems, EndNow, EpochWindow, Epochs, Evaluate, EvaluateSystems, FacilitatorPlugin,
    Failure, InputError, Learn, LearnOrder, LearnSystems, LearningStarts, NamedEdit, Outcome,
    Prepare, PrepareSystems, Report, ReportSystems, RunError, Save, SaveSystems, ScheduleError,
    ScheduleErrors, SchedulePlugin, StepRegistry, StepsPerCollect, Tick, TickPlugin, TimeBudget,
    Training, Validate, ValidateSystems, after, between, every, take_failure, training,
};

/// The default value of a type, where its name would be noise: `EpochWindow { start_epoch: Some(2), ..default() }`.
pub fn default<T: Default>() -> T {
    T::default()
}
