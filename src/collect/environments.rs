//! What a scene says of its environments.

use std::num::NonZeroU64;

use bevy_app::{App, Plugin, Startup};
use bevy_ecs::prelude::*;
use bevy_reflect::Reflect;

use super::dynamics::{Equations, EquationsExt};
use super::plugin::{Autoreset, OwnEnvironments};
use super::{CollectError, any_environment, gymnasium_environments, workers};
use crate::data::{EpisodeGoal, Spaces};
use crate::env::gymnasium::{self, BridgeError, Worker, WorkerSettings, WorkerSpaces};
use crate::env::registry::{self, Engine};
use crate::env::{Acrobot, CartPole, MountainCar, MountainCarContinuous, Pendulum, Space};
use crate::evaluate::{MadeWith, TrainingSeeds, check_keywords};
use crate::learner::Seed;
use crate::memory::{self, TooLarge};
use crate::nn::threads;
use crate::scene::{Bounds, FieldProblems, ForeignCode, Keywords, Settings};
use crate::schedule::{InputError, ScheduleError, ScheduleErrors};

/// Environments to learn in, one entity each; a policy acts in all of them at once.
#[derive(Clone, Debug, Resource, Reflect)]
pub struct Environments {
    /// The environment, by Gymnasium's name.
    pub env: String,
    /// How many run side by side. One step of all of them counts as so many steps.
    #[reflect(@Bounds::within(1.0, 1_000_000.0))]
    pub num_envs: usize,
    /// The first environment's seed, counted from the run's seed; the others count on from it.
    pub seed: u64,
    /// When the next episode begins: in the step that ended one, or in the step after.
    pub autoreset: Autoreset,
    /// Steps after which an episode is cut. None: as the environment is registered.
    #[reflect(@Bounds::at_least(1.0))]
    pub time_limit: Option<u64>,
    /// The observations that a network sees side by side: those of the last so many steps of the episode, oldest first. Its first
    /// one stands for those before it.
    #[reflect(@Bounds::within(1.0, 1_000.0))]
    pub frame_stack: usize,
    /// The parts of a dictionary of observations that are learned from, in the order in which they are joined. Empty: all of them,
    /// but for the goal.
    pub observations: Vec<String>,
    /// The goal of episodes, for an algorithm whose networks are given goals (`goal_mode`).
    pub goal: Option<EpisodeGoal>,
    /// Whether the policy's actions in [−1, 1] are mapped to the bounds of the action space.
    pub rescale_actions: bool,
    /// Whether actions beyond the bounds of the action space are clipped.
    pub clip_actions: bool,
    /// What −1 and 1 of the policy's actions stand for: a range for each element of the action, or one for those without two finite
    /// bounds. Empty: the bounds of the action space, and an element without two finite ones is refused.
    pub action_bounds: Vec<(f32, f32)>,
    /// Keyword arguments of `gymnasium.make`, for an `env` of Python's Gymnasium.
    pub kwargs: Keywords,
    /// The Python processes, for an `env` of Python's Gymnasium such as `gymnasium:Hopper-v5`.
    pub gymnasium: GymnasiumWorkers,
}

/// The Python processes that Gymnasium's environments run in.
#[derive(Clone, Debug, Reflect)]
pub struct GymnasiumWorkers {
    /// Over how many processes the environments are spread.
    #[reflect(@Bounds::within(1.0, 1_024.0))]
    pub workers: usize,
    /// How long a step or a reset of all environments of a process may take, in seconds.
    #[reflect(@Bounds::above(0.0).up_to(86_400.0))]
    pub seconds: f64,
}

impl Default for GymnasiumWorkers {
    fn default() -> Self {
        GymnasiumWorkers {
            workers: 1,
            seconds: 60.0,
        }
    }
}

impl Default for Environments {
    fn default() -> Self {
        Environments {
            env: "Pendulum-v1".to_owned(),
            num_envs: 1,
            seed: 0,
            autoreset: Autoreset::SameStep,
            time_limit: None,
            frame_stack: 1,
            observations: Vec::new(),
            goal: None,
            rescale_actions: true,
            clip_actions: true,
            action_bounds: Vec::new(),
            kwargs: Keywords::default(),
            gymnasium: GymnasiumWorkers::default(),
        }
    }
}

impl Settings for Environments {
    fn check(&self, problems: &mut FieldProblems) {
        if let Err(error) = registry::check_name(&self.env) {
            problems.refuse("env", error.to_string());
        }
        if self.action_bounds.iter().any(|(low, high)| low >= high) {
            problems.refuse(
                "action_bounds",
                "the first number of a range must be below the second, as in [(-1.0, 1.0)]",
            );
        }
        if self.goal == Some(EpisodeGoal::HeldOut) {
            problems.refuse(
                "goal",
                "HeldOut is for `Evaluation`: what is held out is not trained on; give Fixed([..]) or Part(\"desired_goal\")",
            );
        }
        check_keywords(&self.env, &self.kwargs, problems);
    }

    fn imports(&self) -> Vec<(&'static str, String)> {
        let module = gymnasium::module_of(&self.env);
        module
            .map(|it| ("env", it.to_owned()))
            .into_iter()
            .collect()
    }
}

impl Plugin for Environments {
    fn build(&self, app: &mut App) {
        let seed = *app.world_mut().get_resource_or_init::<Seed>();
        app.insert_resource(self.training_seeds(seed));
        app.insert_resource(MadeWith {
            env: self.env.clone(),
            kwargs: self.kwargs.clone(),
        });
        if let Some(name) = gymnasium::name_of(&self.env) {
            if ForeignCode::is_untouched(app.world()) {
                self.build_unasked(app);
            } else if let Err(error) = self.build_bridged(app, name) {
                refuse(app, error.to_string());
            }
            return;
        }
        // A scene was checked; in an app, whoever comes first and misses the environments says so.
        let Ok(known) = registry::specification(&self.env) else {
            return;
        };
        let (observation, action) = (&known.observation_space, &known.action_space);
        if let Err(error) = self.fit_the_machine(observation, action) {
            refuse(app, error.to_string());
            return;
        }
        let first = app.world_mut().get_resource_or_init::<Seed>().0;
        let seed = first.wrapping_add(self.seed);
        let limit = self.time_limit.and_then(NonZeroU64::new);
        app.insert_resource(self.clone())
            .add_plugins(OwnEnvironments {
                name: self.env.clone(),
                observation: known.observation_space,
                action: known.action_space,
                num_envs: self.num_envs,
                time_limit: Some(limit.unwrap_or(known.time_limit)),
                autoreset: self.autoreset,
                frame_stack: self.frame_stack,
                observations: self.observations.clone(),
                goal: self.goal.clone(),
                rescale_actions: self.rescale_actions,
                clip_actions: self.clip_actions,
                action_bounds: self.action_bounds.clone(),
                ..OwnEnvironments::default()
            });
        match BUILT_IN.iter().find(|(name, _)| *name == self.env) {
            Some((_, spawn)) => spawn(app, self.num_envs, seed),
            None => {
                let is_left_alone =
                    known.engine == Engine::Mujoco && ForeignCode::is_untouched(app.world());
                let count = if is_left_alone { 0 } else { self.num_envs };
                let made = (0..count).map(|_| registry::make(&self.env));
                let environments = match made.collect::<Result<Vec<_>, _>>() {
                    Ok(environments) => environments,
                    Err(error) => {
                        // What it needs is not on this machine.
                        app.add_systems(Startup, move || -> Result<(), BevyError> {
                            Err(InputError::new(CollectError::from(error.clone())).into())
                        });
                        return;
                    }
                };
                match threads().min(self.num_envs) {
                    0 | 1 => any_environment::spawn(app, environments, seed),
                    threads => workers::spawn(app, environments, seed, threads),
                }
            }
        }
    }
}

impl Environments {
    /// The seeds that they begin from, in a run of this seed.
    pub fn training_seeds(&self, run: Seed) -> TrainingSeeds {
        TrainingSeeds {
            first: run.0.wrapping_add(self.seed),
            num_envs: self.num_envs as u64,
        }
    }

    /// Refuses so many that their rows alone are more than there is memory for.
    fn fit_the_machine(&self, observation: &Space, action: &Space) -> Result<(), TooLarge> {
        // What is seen before, now and next, as a row and as a component, and what is done.
        let row = 4 * (4 * observation.size() + 3 * action.size()) as u64;
        let what = format!("the rows of {} environments", self.num_envs);
        let needed = row.saturating_mul(self.num_envs as u64);
        memory::check(&what, needed, "lower `Environments.num_envs`")
    }

    /// The steps of environments of Python's Gymnasium, which is not asked for them: what they show and take stays unknown.
    fn build_unasked(&self, app: &mut App) {
        let known = app.world_mut().remove_resource::<Spaces>();
        app.insert_resource(self.clone())
            .add_plugins(OwnEnvironments {
                name: self.env.clone(),
                num_envs: self.num_envs,
                autoreset: self.autoreset,
                rescale_actions: self.rescale_actions,
                clip_actions: self.clip_actions,
                ..OwnEnvironments::default()
            });
        app.world_mut().remove_resource::<Spaces>();
        if let Some(known) = known {
            app.insert_resource(known);
        }
        gymnasium_environments::add_steps(app);
    }

    /// Environments of Python's Gymnasium, which cuts its episodes itself.
    fn build_bridged(&self, app: &mut App, name: &str) -> Result<(), BridgeError> {
        let settings = WorkerSettings {
            name: name.to_owned(),
            num_envs: self.num_envs,
            first: 0,
            time_limit: self.time_limit,
            seconds: self.gymnasium.seconds,
            kwargs: self.kwargs.clone(),
        };
        let workers = gymnasium_environments::spread(&settings, self.gymnasium.workers)?;
        let Some(WorkerSpaces {
            observation,
            action,
            integer_actions,
            first_action,
        }) = workers.first().map(Worker::spaces).cloned()
        else {
            return Ok(());
        };
        if let Err(error) = self.fit_the_machine(&observation, &action) {
            refuse(app, error.to_string());
            return Ok(());
        }
        let first = app.world_mut().get_resource_or_init::<Seed>().0;
        app.insert_resource(self.clone())
            .add_plugins(OwnEnvironments {
                name: self.env.clone(),
                observation,
                action,
                num_envs: self.num_envs,
                time_limit: None,
                autoreset: self.autoreset,
                frame_stack: self.frame_stack,
                observations: self.observations.clone(),
                goal: self.goal.clone(),
                rescale_actions: self.rescale_actions,
                clip_actions: self.clip_actions,
                action_bounds: self.action_bounds.clone(),
                integer_actions,
                first_action,
            });
        gymnasium_environments::spawn(app, workers, first.wrapping_add(self.seed));
        Ok(())
    }
}

/// Ends the run before it begins.
fn refuse(app: &mut App, cause: String) {
    let mut errors = app.world_mut().get_resource_or_init::<ScheduleErrors>();
    errors.0.push(ScheduleError::Prepare { cause });
}

type Spawn = fn(&mut App, usize, u64);

/// The environments that are given by equations.
pub(super) const BUILT_IN: [(&str, Spawn); 5] = [
    ("Acrobot-v1", spawn::<Acrobot>),
    ("CartPole-v1", spawn::<CartPole>),
    ("MountainCar-v0", spawn::<MountainCar>),
    ("MountainCarContinuous-v0", spawn::<MountainCarContinuous>),
    ("Pendulum-v1", spawn::<Pendulum>),
];

fn spawn<D: Equations + Default>(app: &mut App, count: usize, seed: u64) {
    app.spawn_environments(D::default(), count, seed);
}
