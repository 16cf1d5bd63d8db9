//! What every kind of environment shares: the sets, the resources, the bookkeeping of episodes.

use std::num::NonZeroU64;

use bevy_app::{App, Plugin, PostStartup, PreStartup};
use bevy_ecs::prelude::*;
use bevy_ecs::schedule::IntoScheduleConfigs;
use bevy_ecs::system::ScheduleSystem;
use bevy_reflect::Reflect;

use super::entity::{
    Ended, EnvironmentRow, EpisodeStatistics, Observation, Restart, Reward, StepCount,
};
use super::persist::{AppPersistEnvironmentsExt, EMPTY_ROWS, load_empty_rows, save_empty_rows};
use super::scaling::{ClipActions, RescaleActions, RoundActions};
use super::seen::{Asked, look_on, see_first, see_on};
use super::systems::{gather_observations, keep_steps, limit_time, scatter_actions};
use super::{Actions, CollectError, Observations, Seen, StepResults};
use crate::checkpoint::{AppPersistExt, RestoreSystems, ResumeFrom};
use crate::data::{
    ActionScale, Dataset, EpisodeGoal, Normalizer, Preprocessing, ScaleError, Spaces, WholeActions,
    load_dataset,
};
use crate::env::Space;
use crate::report::Metrics;
use crate::schedule::{
    AppMetricsExt, Cadence, Collect, CollectSystems, InputError, ScheduleError, ScheduleErrors,
    StepsPerCollect,
};

/// What happens inside [`CollectSystems::Step`], in this order.
#[derive(SystemSet, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EnvironmentSystems {
    /// Each entity gets its row of the policy's actions, rescaled and clipped.
    ScatterActions,
    /// Each environment takes one step: its [`Action`](super::Action) is read, its [`Observation`](super::Observation),
    /// [`Reward`] and [`Ended`] are written.
    Step,
    /// Episodes that are too long are cut, and the step's result is kept in [`StepResults`].
    TimeLimit,
    /// Episodes begin where [`Restart`] says so.
    Autoreset,
    /// What there is to see now becomes [`Observations`].
    Gather,
}

/// When an environment whose episode ended begins the next one.
#[derive(Resource, Clone, Copy, Debug, Default, PartialEq, Eq, Reflect)]
pub enum Autoreset {
    /// In the step that ended it: every row is a step, and the true last observation is in [`StepResults`].
    #[default]
    SameStep,
    /// In the step after, which does nothing else (as Gymnasium's vector environments do by default): its row is
    /// marked as not valid, and no buffer keeps it.
    NextStep,
}

/// Which rows had an entity in the last step, `[environments]`.
#[derive(Resource, Clone, Debug, Default, PartialEq, Eq)]
pub struct RowsThere(pub Vec<bool>);

/// What the world calls its first discrete action, which is 0 here.
#[derive(Resource, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct FirstAction(pub i64);

/// Steps after which an episode is cut; `None` for no limit.
#[derive(Resource, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EpisodeTimeLimit(pub Option<NonZeroU64>);

/// An episode that ended in this run of [`Collect`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FinishedEpisode {
    /// Whose it was.
    pub row: usize,
    /// The sum of its raw rewards.
    pub total_reward: f64,
    /// Its steps.
    pub length: u64,
}

/// The episodes that ended in this run of [`Collect`].
#[derive(Resource, Clone, Debug, Default)]
pub struct FinishedEpisodes(pub Vec<FinishedEpisode>);

/// Entities of your own app as environments: spaces, the number of entities, and when their episodes end and begin.
///
/// The app spawns an entity with an [`EnvironmentRow`] for each row before the run begins. Entities may come and go after that: a row
/// without one is no step and nothing is learned from it, and a new entity takes the row of one that is gone. The app adds its step and its restart with
/// [`steps_environments`](AppEnvironmentExt::steps_environments). Everything else, from handing out actions to counting
/// returns, is done here.
///
/// ```
/// use yarak::prelude::*;
/// use yarak::collect::{Action, Actions, Ended, EnvironmentRow, Observation, Observations, OwnEnvironments, Restart, Reward};
/// use yarak::schedule::{FacilitatorPlugin, SchedulePlugin};
///
/// /// A frog on a line who wants to be at 10.
/// #[derive(Component, Default)]
/// struct Frog(f32);
///
/// fn hop(mut frogs: Query<(&mut Frog, &Action, &mut Observation, &mut Reward, &mut Ended)>) {
///     for (mut frog, action, mut observation, mut reward, mut ended) in &mut frogs {
///         frog.0 += action.0[0];
///         observation.0.set(&[frog.0]);
///         reward.0 = -f64::from((frog.0 - 10.0).abs());
///         ended.terminated = frog.0 >= 10.0;
///     }
/// }
///
/// fn start_over(mut frogs: Query<(&Restart, &mut Frog, &mut Observation)>) {
///     for (restart, mut frog, mut observation) in &mut frogs {
///         if restart.0 {
///             frog.0 = 0.0;
///             observation.0.set(&[0.0]);
///         }
///     }
/// }
///
/// let mut app = App::new();
/// app.add_plugins((
///     SchedulePlugin,
///     FacilitatorPlugin,
///     OwnEnvironments {
///         name: "Frogs".into(),
///         observation: Space::from_bounds(&[(0.0, 12.0)]),
///         action: Space::from_bounds(&[(0.0, 2.0)]),
///         num_envs: 2,
///         ..default()
///     },
/// ))
/// .init_resource::<Metrics>()
/// .steps_environments(hop, start_over);
/// for row in 0..2 {
///     app.world_mut().spawn((EnvironmentRow { row }, Frog::default()));
/// }
/// app.finish();
/// app.world_mut().run_schedule(PostStartup);
///
/// // Two steps, the first frog as far as it can and the second not at all.
/// app.world_mut().resource_mut::<Actions>().values = vec![1.0, -1.0];
/// app.world_mut().run_schedule(Collect);
/// app.world_mut().run_schedule(Collect);
/// assert_eq!(app.world().resource::<Observations>().values, [4.0, 0.0]);
/// assert_eq!(app.world().resource::<StepResults>().reward, [-6.0, -10.0]);
/// ```
#[derive(Clone, Debug)]
pub struct OwnEnvironments {
    /// The name that messages use.
    pub name: String,
    /// What observations look like.
    pub observation: Space,
    /// What actions look like.
    pub action: Space,
    /// How many entities there are.
    pub num_envs: usize,
    /// Steps after which an episode is cut. None: never.
    pub time_limit: Option<NonZeroU64>,
    /// When the next episode begins.
    pub autoreset: Autoreset,
    /// The observations of the episode that a network sees side by side, oldest first.
    pub frame_stack: usize,
    /// The parts of a dictionary of observations that are learned from, in the order in which they are joined. Empty: all of them,
    /// but for the goal.
    pub observations: Vec<String>,
    /// The goal of episodes, for an algorithm whose networks are given goals.
    pub goal: Option<EpisodeGoal>,
    /// Whether actions in [-1, 1] are mapped to the bounds of a box, element by element. An element without two finite bounds is
    /// refused, unless [`action_bounds`](Self::action_bounds) say its range.
    pub rescale_actions: bool,
    /// Whether actions beyond the bounds of a box are clipped.
    pub clip_actions: bool,
    /// What -1 and 1 stand for: a range for each element of the action, or one for those without two finite bounds. Empty: the bounds
    /// of the box.
    pub action_bounds: Vec<(f32, f32)>,
    /// Whether the elements of a box of actions are whole numbers, to which they are rounded: what is recorded and learned from is
    /// what the world got.
    pub integer_actions: bool,
    /// What the world calls its first discrete action. Here they are counted from 0; in a dataset that is written they have the
    /// world's own numbers.
    pub first_action: i64,
}

impl Default for OwnEnvironments {
    /// One environment, which sees one number and moves one.
    fn default() -> Self {
        OwnEnvironments {
            name: "own environment".to_owned(),
            observation: Space::from_bounds(&[(-1.0, 1.0)]),
            action: Space::from_bounds(&[(-1.0, 1.0)]),
            num_envs: 1,
            time_limit: None,
            autoreset: Autoreset::SameStep,
            frame_stack: 1,
            observations: Vec::new(),
            goal: None,
            rescale_actions: true,
            clip_actions: true,
            action_bounds: Vec::new(),
            integer_actions: false,
            first_action: 0,
        }
    }
}

impl Plugin for OwnEnvironments {
    fn build(&self, app: &mut App) {
        use EnvironmentSystems as E;
        app.makes_metrics("rollout/");
        let (observation, action) = (self.observation.size(), self.action.size());
        let asked = Asked {
            parts: self.observations.clone(),
            goal: self.goal.clone(),
        };
        let world = app.world_mut();
        // A checkpoint that acts, or data, may have said already how observations and actions are scaled.
        if !world.contains_resource::<Preprocessing>() {
            let frames = self.frame_stack.max(1);
            // A part that is not there is reported before the first step.
            let parts = asked.parts(&self.observation).unwrap_or_default();
            let normalizer = Normalizer::identity(frames * parts.width());
            world.insert_resource(Preprocessing {
                parts,
                frames,
                // An action that has no scale is reported before the first step.
                ..Preprocessing::new(
                    normalizer,
                    self.action_scale()
                        .unwrap_or_else(|_| ActionScale::identity(action)),
                )
            });
        }
        let mut cadence = world.get_resource_or_init::<Cadence>();
        cadence.collect = cadence.collect.max(1);
        app.insert_resource(Spaces {
            environment: self.name.clone(),
            observation: self.observation.clone(),
            action: self.action.clone(),
        })
        .insert_resource(WholeActions(self.integer_actions))
        .insert_resource(StepsPerCollect(self.num_envs as u64))
        .insert_resource(self.autoreset)
        .insert_resource(EpisodeTimeLimit(self.time_limit))
        .insert_resource(Observations::new(self.num_envs, observation))
        .insert_resource(Actions::new(self.num_envs, action))
        .insert_resource(StepResults::new(self.num_envs, observation, action))
        .insert_resource(asked)
        .init_resource::<FinishedEpisodes>()
        .init_resource::<RowsThere>()
        .persist_with(EMPTY_ROWS, save_empty_rows, load_empty_rows)
        .persist::<Preprocessing>()
        .persist::<Seen>()
        .persist_component::<Observation>()
        .persist_component::<Reward>()
        .persist_component::<Ended>()
        .persist_component::<Restart>()
        .persist_component::<StepCount>()
        .persist_component::<EpisodeStatistics>()
        .configure_sets(
            Collect,
            (
                E::ScatterActions,
                E::Step,
                E::TimeLimit,
                E::Autoreset,
                E::Gather,
            )
                .chain()
                .in_set(CollectSystems::Step),
        )
        .configure_sets(
            PostStartup,
            (E::ScatterActions, E::Autoreset, RestoreSystems, E::Gather).chain(),
        )
        .add_systems(
            PostStartup,
            (
                check_rows.in_set(E::ScatterActions),
                (gather_observations, see_first).chain().in_set(E::Gather),
            ),
        )
        .add_systems(PreStartup, look_on.after(load_dataset))
        .add_systems(
            Collect,
            (
                scatter_actions.in_set(E::ScatterActions),
                (limit_time, keep_steps).chain().in_set(E::TimeLimit),
                (gather_observations, see_on.run_if(resource_exists::<Seen>))
                    .chain()
                    .in_set(E::Gather),
                record_episodes.in_set(CollectSystems::Record),
            ),
        );
        app.insert_resource(FirstAction(self.first_action));
        if self.rescale_actions {
            app.add_plugins(RescaleActions);
        }
        if self.clip_actions {
            app.add_plugins(ClipActions);
        }
        if self.integer_actions {
            app.add_plugins(RoundActions);
        }
    }

    /// Once everything is added: whether every element of an action has a scale. Data, or a checkpoint that acts, bring one.
    fn finish(&self, app: &mut App) {
        if app.world().contains_resource::<Dataset>()
            || app.world().contains_resource::<ResumeFrom>()
        {
            return;
        }
        if let Err(error) = self.action_scale() {
            let cause = format!("{}: {error}", self.name);
            let mut errors = app.world_mut().get_resource_or_init::<ScheduleErrors>();
            errors.0.push(ScheduleError::Prepare { cause });
        }
    }
}

impl OwnEnvironments {
    /// How the policy's actions become the world's: what is collected, evaluated and exported shares it.
    fn action_scale(&self) -> Result<ActionScale, ScaleError> {
        let scale = match (self.rescale_actions, self.clip_actions) {
            (true, _) => ActionScale::of_space(&self.action, &self.action_bounds)?,
            (false, true) => ActionScale::identity(self.action.size()).clipped_to(&self.action),
            (false, false) => ActionScale::identity(self.action.size()),
        };
        Ok(match self.integer_actions {
            true => scale.rounded(),
            false => scale,
        })
    }
}

/// Adds the two systems that make an environment of entities.
pub trait AppEnvironmentExt {
    /// `step` moves every entity by one step; `restart` puts those whose [`Restart`] says so into a first state. `restart` also
    /// runs once before the run begins.
    fn steps_environments<M, N>(
        &mut self,
        step: impl IntoScheduleConfigs<ScheduleSystem, M>,
        restart: impl IntoScheduleConfigs<ScheduleSystem, N> + Clone,
    ) -> &mut Self;
}

impl AppEnvironmentExt for App {
    fn steps_environments<M, N>(
        &mut self,
        step: impl IntoScheduleConfigs<ScheduleSystem, M>,
        restart: impl IntoScheduleConfigs<ScheduleSystem, N> + Clone,
    ) -> &mut Self {
        self.add_systems(
            PostStartup,
            restart.clone().in_set(EnvironmentSystems::Autoreset),
        )
        .add_systems(
            Collect,
            (
                step.in_set(EnvironmentSystems::Step),
                restart.in_set(EnvironmentSystems::Autoreset),
            ),
        )
    }
}

/// Each row must be somebody's, or the policy would act for nobody.
fn check_rows(
    observations: Res<Observations>,
    agents: Query<&EnvironmentRow>,
) -> Result<(), BevyError> {
    let expected = observations.rows();
    let mut there = vec![false; expected];
    for agent in &agents {
        if let Some(there) = there.get_mut(agent.row) {
            *there = true;
        }
    }
    let row = there.iter().position(|there| !there);
    let found = agents.iter().len();
    if row.is_some() || found != expected {
        return Err(InputError::new(CollectError::Rows {
            expected,
            found,
            row,
        })
        .into());
    }
    Ok(())
}

/// Reports the raw returns of the episodes that ended.
fn record_episodes(finished: Res<FinishedEpisodes>, mut metrics: ResMut<Metrics>) {
    let finished = &finished.0;
    let returns = finished.iter().map(|episode| episode.total_reward);
    let lengths = finished.iter().map(|episode| episode.length as f64);
    metrics.record_sum("rollout/episodic_return", returns.sum(), finished.len());
    metrics.record_sum("rollout/episodic_length", lengths.sum(), finished.len());
}
