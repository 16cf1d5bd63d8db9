//! Episodes at evaluation.

use bevy_app::{App, Plugin, PostStartup, PreStartup};
use bevy_ecs::prelude::*;
use bevy_reflect::Reflect;
use burn::tensor::TensorData;

use super::{Acting, MadeWith, TrainingSeeds, check_keywords};
use crate::checkpoint::{AppPersistExt, RestoreSystems};
use crate::data::pipeline::{Sight, View, find_held_out_goals};
use crate::data::{
    ActionChunk, ActionChunks, Data, EpisodeGoal, FrameStack, Goals, HeldOutGoals, Preprocessing,
    ResetsAtHorizon, ScaleError, Spaces, ViewError, load_dataset,
};
use crate::env::gymnasium::{self, BridgeError};
use crate::env::registry::{self, ReferenceScores};
use crate::env::{Environment, EnvironmentError, StepResult};
use crate::learner::{ComputeDevice, Seed};
use crate::report::Metrics;
use crate::report::console::Console;
use crate::scene::{Bounds, Keywords, Settings};
use crate::schedule::{
    AppCadenceExt, AppMetricsExt, Clock, DueLeft, Evaluate, EvaluateSystems, FailSaved, Failure,
    InputError, Period, stop_requested, with_causes,
};
use crate::transfer::{download, upload};

/// Plays episodes with the deterministic policy every so many steps, and reports their returns.
#[derive(Clone, Debug, Resource, Reflect)]
pub struct Evaluation {
    /// The environment, by Gymnasium's name.
    pub env: String,
    /// Steps or epochs between two evaluations.
    pub every: Period,
    /// Episodes at each evaluation.
    #[reflect(@Bounds::within(1.0, 10000.0))]
    pub episodes: usize,
    /// The first episode's seed, counted from the run's seed. Every evaluation plays the same episodes. Where they would meet the
    /// seeds of the run's environments, they begin behind those.
    pub seed: u64,
    /// Steps after which an episode is cut, where the environment has not ended it.
    #[reflect(@Bounds::at_least(1.0))]
    pub time_limit: u64,
    /// Keyword arguments of `gymnasium.make`, for an `env` of Python's Gymnasium. None: those of `Environments`, where it is the same
    /// environment.
    pub kwargs: Option<Keywords>,
    /// What counts as success. None: what the environment says, Gymnasium's `info["success"]` or `info["is_success"]`.
    pub success: Option<Success>,
    /// Whether an episode ends as soon as it has succeeded.
    pub end_at_success: bool,
    /// Steps or epochs before the first evaluation; the end of `steps` or `epochs` is evaluated in any case. None: the first comes after
    /// `every`.
    pub warm_start: Option<Period>,
    /// Other environments of the same observations and actions that are played as well, whose scores have the environment's name in
    /// them: `evaluate/Hopper-v5/return`.
    pub also: Vec<String>,
    /// The goal of every episode, for an algorithm whose networks are given goals (`goal_mode`).
    pub goal: Option<EpisodeGoal>,
}

impl Default for Evaluation {
    fn default() -> Self {
        Evaluation {
            env: "Pendulum-v1".to_owned(),
            every: Period::Steps(5_000),
            episodes: 10,
            // As in the authors' TD3_BC, whose evaluation seeds with `seed + 100`.
            seed: 100,
            // Longer than the longest episodes of Gymnasium's own tasks, those of Atari's games.
            time_limit: 30_000,
            kwargs: None,
            success: None,
            end_at_success: false,
            warm_start: None,
            also: Vec::new(),
            goal: None,
        }
    }
}

/// What counts as success, where the environment does not say or something else is meant.
#[derive(Clone, Copy, Debug, PartialEq, Reflect)]
pub enum Success {
    /// The episode's return is at least so much.
    ReturnAtLeast(f64),
    /// The task ended the episode, as in `MountainCar-v0`, where reaching the goal does.
    Terminated,
    /// The episode came to a time limit, its environment's or `time_limit`, as in `CartPole-v1`, where falling ends it.
    Truncated,
}

impl Success {
    /// Whether an episode has succeeded that has the given return after a step with this result, where it may be cut.
    fn is_met(self, total_reward: f64, result: &StepResult, is_cut: bool) -> bool {
        match self {
            Success::ReturnAtLeast(least) => (result.ended() || is_cut) && total_reward >= least,
            Success::Terminated => result.terminated,
            Success::Truncated => result.truncated || is_cut,
        }
    }
}

/// Whether two environments are known to have other observations or actions. What worlds in Python have, they say when they are made.
fn is_another_task(one: &str, other: &str) -> bool {
    match [one, other].map(registry::specification) {
        [Ok(one), Ok(other)] => {
            one.observation_space != other.observation_space
                || one.action_space != other.action_space
        }
        _ => false,
    }
}

impl Settings for Evaluation {
    fn check(&self, problems: &mut crate::scene::FieldProblems) {
        if let Err(error) = registry::check_name(&self.env) {
            problems.refuse("env", error.to_string());
        }
        for (index, name) in self.also.iter().enumerate() {
            if let Err(error) = registry::check_name(name) {
                problems.refuse(format!("also[{index}]"), error.to_string());
            } else if name == &self.env || self.also[..index].contains(name) {
                problems.refuse(format!("also[{index}]"), "is played already");
            } else if is_another_task(&self.env, name) {
                let message = format!("has other observations or actions than {}", self.env);
                problems.refuse(format!("also[{index}]"), message);
            }
        }
        if self.end_at_success && matches!(self.success, Some(Success::ReturnAtLeast(_))) {
            problems.refuse(
                "end_at_success",
                "a return is known when the episode is over: give another `success`, or leave this out",
            );
        }
        if let Some(kwargs) = &self.kwargs {
            check_keywords(&self.env, kwargs, problems);
        }
    }

    fn imports(&self) -> Vec<(&'static str, String)> {
        let also = self.also.iter().map(|env| ("also", env));
        let named = std::iter::once(("env", &self.env)).chain(also);
        let modules = named.filter_map(|(field, env)| Some((field, gymnasium::module_of(env)?)));
        modules
            .map(|(field, module)| (field, module.to_owned()))
            .collect()
    }
}

impl Evaluation {
    /// The first episode's seed in a run of this seed, whose environments begin from `training`.
    pub fn first_seed(&self, run: Seed, episodes: usize, training: Option<&TrainingSeeds>) -> u64 {
        let wanted = run.0.wrapping_add(self.seed);
        training.map_or(wanted, |it| it.apart_from(wanted, episodes as u64))
    }

    /// So many episodes in an environment, its own or another one, from a seed on.
    pub fn games(&self, world: &World, env: &str, episodes: usize, first_seed: u64) -> Games {
        let kwargs = self.kwargs.as_ref().filter(|_| env == self.env);
        Games {
            env: env.to_owned(),
            kwargs: MadeWith::keywords(world, env, kwargs),
            episodes,
            first_seed,
            time_limit: self.time_limit,
            success: self.success,
            end_at_success: self.end_at_success,
        }
    }
}

impl Plugin for Evaluation {
    fn build(&self, app: &mut App) {
        // What is trained in says more than what is evaluated in.
        if !app.world().contains_resource::<Spaces>()
            && let Ok(known) = registry::specification(&self.env)
        {
            app.insert_resource(Spaces {
                environment: self.env.clone(),
                observation: known.observation_space,
                action: known.action_space,
            });
        }
        if self.goal == Some(EpisodeGoal::HeldOut) {
            app.init_resource::<HeldOutGoals>()
                .persist::<HeldOutGoals>()
                .add_systems(PostStartup, find_held_out_goals.before(RestoreSystems));
        }
        app.insert_resource(self.clone())
            .init_resource::<Episodes>()
            .run_every(Evaluate, self.every)
            .makes_metrics(EVALUATE)
            .add_systems(
                PreStartup,
                (
                    check_acting,
                    check_goal.after(load_dataset),
                    report_seeds,
                    report_success,
                ),
            )
            .add_systems(
                Evaluate,
                (
                    play_episodes.in_set(EvaluateSystems::Play),
                    record_scores.in_set(EvaluateSystems::Score),
                ),
            );
    }
}

/// What the names of an evaluation's metrics begin with.
const EVALUATE: &str = "evaluate/";

/// The metrics of an evaluation; the last but one where success is known, and the last in environments whose reference scores are.
pub const EVALUATION_METRICS: [&str; 6] = [
    "evaluate/return",
    "evaluate/return_std",
    "evaluate/return_standard_error",
    "evaluate/length",
    "evaluate/success_rate",
    "evaluate/normalized_score",
];

/// What an episode came to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    /// The sum of its raw rewards.
    pub total_reward: f64,
    /// Its steps.
    pub length: u64,
    /// Whether it was cut after [`Games::time_limit`] steps, and would have gone on.
    pub is_cut: bool,
    /// Whether it succeeded, in any of its steps; `None` where nobody says.
    pub success: Option<bool>,
}

/// What is played: episodes in new environments of a name.
#[derive(Clone, Debug, PartialEq)]
pub struct Games {
    /// The environment, by Gymnasium's name.
    pub env: String,
    /// Keyword arguments of `gymnasium.make`, where it is Python's.
    pub kwargs: Keywords,
    /// How many episodes, side by side.
    pub episodes: usize,
    /// The first one's seed; the others count on from it.
    pub first_seed: u64,
    /// Steps after which an episode is cut.
    pub time_limit: u64,
    /// What counts as success; `None`: what the environment says.
    pub success: Option<Success>,
    /// Whether an episode ends as soon as it has succeeded.
    pub end_at_success: bool,
}

impl Games {
    /// Episodes in an environment of a name, as an evaluation has them where nothing else is said.
    pub fn of(env: &str, episodes: usize, first_seed: u64) -> Self {
        Games {
            env: env.to_owned(),
            kwargs: Keywords::default(),
            episodes,
            first_seed,
            time_limit: Evaluation::default().time_limit,
            success: None,
            end_at_success: false,
        }
    }

    /// What there is to say where episodes were cut; `when` comes behind the word episodes.
    pub(crate) fn warn_of_cuts(&self, scores: &[Score], when: &str) -> Option<String> {
        let cut = scores.iter().filter(|score| score.is_cut).count();
        (cut > 0).then(|| {
            format!(
                "warning: {cut} of {} episodes{when} were cut after {} steps (`Evaluation.time_limit`): {} did not end them",
                self.episodes, self.time_limit, self.env
            )
        })
    }
}

/// The episodes of the last evaluation, in the order of their seeds.
#[derive(Resource, Clone, Debug, Default)]
pub struct Episodes(pub Vec<Score>);

impl Episodes {
    /// The mean return; `None` without episodes.
    pub fn mean_return(&self) -> Option<f64> {
        let n = self.0.len() as f64;
        (n > 0.0).then(|| self.0.iter().map(|score| score.total_reward).sum::<f64>() / n)
    }

    /// The population standard deviation of the returns; `None` without episodes.
    pub fn std_of_returns(&self) -> Option<f64> {
        let mean = self.mean_return()?;
        let squares = self
            .0
            .iter()
            .map(|score| (score.total_reward - mean).powi(2));
        Some((squares.sum::<f64>() / self.0.len() as f64).sqrt())
    }

    /// The share of the episodes that succeeded; `None` where of none is known whether it did.
    ///
    /// ```
    /// use yarak::evaluate::{Episodes, Score};
    ///
    /// let score = |success| Score { total_reward: 0.0, length: 1, is_cut: false, success };
    /// let episodes = Episodes(vec![score(Some(true)), score(Some(false)), score(Some(true)), score(Some(true))]);
    /// assert_eq!(episodes.success_rate(), Some(0.75));
    /// assert_eq!(Episodes(vec![score(None)]).success_rate(), None);
    /// ```
    pub fn success_rate(&self) -> Option<f64> {
        let known: Vec<bool> = self.0.iter().filter_map(|score| score.success).collect();
        let succeeded = known.iter().filter(|success| **success).count();
        (!known.is_empty()).then(|| succeeded as f64 / self.0.len() as f64)
    }

    /// The standard error of the mean return; `None` with fewer than two episodes, which say nothing of it.
    ///
    /// ```
    /// use yarak::evaluate::{Episodes, Score};
    ///
    /// let score = |total_reward| Score { total_reward, length: 1, is_cut: false, success: None };
    /// let episodes = Episodes(vec![score(1.0), score(2.0), score(3.0), score(4.0)]);
    /// // The sample deviation is sqrt(5/3), of four episodes:
    /// assert!((episodes.standard_error().unwrap() - (5.0_f64 / 3.0 / 4.0).sqrt()).abs() < 1e-15);
    /// assert_eq!(Episodes(vec![score(1.0)]).standard_error(), None);
    /// ```
    pub fn standard_error(&self) -> Option<f64> {
        let others = self.0.len().checked_sub(1).filter(|others| *others > 0)?;
        Some(self.std_of_returns()? / (others as f64).sqrt())
    }
}

/// Why an evaluation cannot be played.
#[derive(Debug, thiserror::Error)]
pub enum EvaluationError {
    /// The environment.
    #[error(transparent)]
    Environment(#[from] EnvironmentError),
    /// No algorithm said who acts.
    #[error(
        "nothing acts in this run: an algorithm says `app.acts_with::<Actor>()` and inserts its `Net<Actor>` in `Startup`"
    )]
    NoPolicy,
    /// Without data nobody said how observations and actions are scaled.
    #[error("there is no `Preprocessing`: add a `Dataset`, or insert the resource")]
    NoPreprocessing,
    /// A policy for another task than the environment.
    #[error(
        "{environment}: its actions have {expected} elements, and the policy was trained on data where they have {found}; evaluate it in the environment of its data"
    )]
    OtherTask {
        /// The environment.
        environment: String,
        /// The width in the environment.
        expected: usize,
        /// The width that the policy knows.
        found: usize,
    },
    /// A policy that cannot be shown what it is to see.
    #[error(transparent)]
    View(#[from] ViewError),
    /// The run was asked to stop.
    #[error("the evaluation was left, as the run was asked to stop")]
    Stopped,
    /// Scaling failed.
    #[error("{environment}: {error}")]
    Scale {
        /// The environment.
        environment: String,
        /// What is wrong.
        error: ScaleError,
    },
}

impl EvaluationError {
    /// Whether the run was asked to stop, and nothing is wrong.
    fn is_stopped(&self) -> bool {
        matches!(
            self,
            EvaluationError::Stopped
                | EvaluationError::Environment(EnvironmentError::Bridge(
                    BridgeError::Stopped { .. }
                ))
        )
    }
}

/// Before the first step: an algorithm says which network acts when it is added.
pub(crate) fn check_acting(acting: Option<Res<Acting>>) -> Result<(), BevyError> {
    match acting {
        Some(_) => Ok(()),
        None => Err(InputError::new(EvaluationError::NoPolicy).into()),
    }
}

/// A policy that needs a goal is given one, or the run ends before its first step.
fn check_goal(
    evaluation: Res<Evaluation>,
    (goals, held_out): (Option<Res<Goals>>, Option<Res<HeldOutGoals>>),
    data: Option<Res<Data>>,
    preprocessing: Option<Res<Preprocessing>>,
) -> Result<(), BevyError> {
    let (goal, asked) = (evaluation.goal.as_ref(), goals.is_some());
    let held_out = held_out.as_deref();
    // Those of the data are found once they are loaded and cut.
    let later = data.is_some_and(|data| !data.split.held_out.is_empty());
    if matches!(
        (goal, asked, later),
        (Some(EpisodeGoal::HeldOut), true, true)
    ) {
        return Ok(());
    }
    let known = registry::specification(&evaluation.env);
    let environment = evaluation.env.clone();
    match (known, preprocessing) {
        (Ok(known), Some(preprocessing)) if goal.is_some() && asked => {
            let (parts, space) = (&preprocessing.parts, &known.observation_space);
            View::of(parts, goal, held_out, asked, &environment, space).map_err(InputError::new)?;
        }
        _ if asked && goal.is_none() => {
            return Err(InputError::new(ViewError::Missing { environment }).into());
        }
        _ if goal.is_some() && !asked => {
            return Err(InputError::new(ViewError::Unasked { environment }).into());
        }
        // What the environment shows is known when it is played.
        _ => {}
    }
    Ok(())
}

/// Says where nothing will ever say what success is. A world in Python may.
fn report_success(evaluation: Res<Evaluation>, console: Option<Res<Console>>) {
    let is_known = evaluation.success.is_some() || gymnasium::name_of(&evaluation.env).is_some();
    if let (true, false, Some(console)) = (evaluation.end_at_success, is_known, console) {
        console.message(&format!(
            "warning: `end_at_success` does nothing: {} does not say what success is; give `success: Terminated`, say",
            evaluation.env
        ));
    }
}

/// Says where evaluation does not play the seeds that it was asked for.
fn report_seeds(
    evaluation: Res<Evaluation>,
    seed: Res<Seed>,
    training: Option<Res<TrainingSeeds>>,
    console: Option<Res<Console>>,
) {
    let Some(training) = training else { return };
    let wanted = evaluation.first_seed(*seed, evaluation.episodes, None);
    let first = evaluation.first_seed(*seed, evaluation.episodes, Some(&training));
    if let (true, Some(console)) = (first != wanted, console) {
        console.message(&format!(
            "evaluation plays the seeds from {first} on: those from {wanted} on meet the {} of the run's environments, from {} on",
            training.num_envs, training.first
        ));
    }
}

/// Whether no evaluation is wanted yet; the last one always is.
fn is_warming_up(settings: &Evaluation, clock: &Clock) -> bool {
    let begins = match settings.warm_start {
        None => return false,
        Some(Period::Steps(steps)) => clock.step >= steps,
        Some(Period::Epochs(epochs)) => {
            clock.gradient_steps >= epochs.saturating_mul(clock.steps_per_epoch)
        }
    };
    !begins && clock.step < clock.steps
}

fn play_episodes(world: &mut World) -> Result<(), BevyError> {
    let settings = world.resource::<Evaluation>().clone();
    if is_warming_up(&settings, world.resource::<Clock>()) {
        world.resource_mut::<Episodes>().0.clear();
        return Ok(());
    }
    let seed = *world.resource::<Seed>();
    let training = world.get_resource::<TrainingSeeds>();
    let (episodes, first) = (
        settings.episodes,
        settings.first_seed(seed, settings.episodes, training),
    );
    let games = settings.games(world, &settings.env, episodes, first);
    let played = play(world, &games);
    let scores = match played {
        // The facilitator saves the run, which plays them when it goes on.
        Err(error) if error.is_stopped() => {
            world.resource_mut::<Episodes>().0.clear();
            world.resource_mut::<DueLeft>().0 = true;
            return Ok(());
        }
        // What was learned has taken no harm.
        Err(EvaluationError::Environment(EnvironmentError::Bridge(error))) => {
            let message = with_causes(&error);
            let input = false;
            world.resource_mut::<FailSaved>().0 = Some(Failure { message, input });
            world.resource_mut::<Episodes>().0.clear();
            return Ok(());
        }
        scores => scores?,
    };
    let when = format!(
        " of the evaluation at step {}",
        world.resource::<Clock>().step
    );
    let warning = games.warn_of_cuts(&scores, &when);
    if let (Some(warning), Some(console)) = (warning, world.get_resource::<Console>()) {
        console.message(&warning);
    }
    world.resource_mut::<Episodes>().0 = scores;
    play_also(world, &settings, episodes, first)
}

/// Plays the other environments. What is wrong with one of them has done no harm to what was learned.
fn play_also(
    world: &mut World,
    settings: &Evaluation,
    episodes: usize,
    first: u64,
) -> Result<(), BevyError> {
    for env in &settings.also {
        let games = settings.games(world, env, episodes, first);
        let scores = match play(world, &games) {
            Ok(scores) => scores,
            Err(error) if error.is_stopped() => {
                world.resource_mut::<Episodes>().0.clear();
                world.resource_mut::<DueLeft>().0 = true;
                return Ok(());
            }
            Err(error) => {
                let message = format!("`Evaluation.also`: {}", with_causes(&error));
                let input = true;
                world.resource_mut::<FailSaved>().0 = Some(Failure { message, input });
                return Ok(());
            }
        };
        if let (Some(warning), Some(console)) = (
            games.warn_of_cuts(&scores, ""),
            world.get_resource::<Console>(),
        ) {
            console.message(&warning);
        }
        let mut metrics = world.resource_mut::<Metrics>();
        record(
            &format!("{EVALUATE}{env}/"),
            Some(env),
            &Episodes(scores),
            &mut metrics,
        );
    }
    Ok(())
}

/// Plays `episodes` episodes side by side, so that the policy sees them as one batch.
///
/// # Errors
/// When nothing acts, or the environment refuses.
pub fn play(world: &World, games: &Games) -> Result<Vec<Score>, EvaluationError> {
    watch(world, games, |_, _| {})
}

/// The same, and shows every moment of every episode to `look`: the episode's number, from 0, and its environment, after the reset
/// and after each step.
///
/// # Errors
/// As [`play`].
pub fn watch(
    world: &World,
    games: &Games,
    mut look: impl FnMut(usize, &dyn Environment),
) -> Result<Vec<Score>, EvaluationError> {
    let Games {
        env: environment,
        kwargs,
        episodes,
        first_seed,
        time_limit,
        success,
        end_at_success,
    } = games;
    let (episodes, first_seed) = (*episodes, *first_seed);
    let acting = *world
        .get_resource::<Acting>()
        .ok_or(EvaluationError::NoPolicy)?;
    let preprocessing = world
        .get_resource::<Preprocessing>()
        .ok_or(EvaluationError::NoPreprocessing)?;
    let evaluation = world.get_resource::<Evaluation>();
    let goal = evaluation.and_then(|evaluation| evaluation.goal.as_ref());
    let held_out = world.get_resource::<HeldOutGoals>();
    let has_goals = world.contains_resource::<Goals>();
    let device = world.resource::<ComputeDevice>().plain();
    let scale_error = |error| EvaluationError::Scale {
        environment: environment.to_owned(),
        error,
    };
    let mut environments: Vec<Box<dyn Environment>> = Vec::new();
    let mut observations: Vec<Vec<f32>> = Vec::new();
    let mut sights = Vec::new();
    let resets = world.contains_resource::<ResetsAtHorizon>();
    let frames = FrameStack::new(preprocessing.frames).resetting(resets);
    for (index, mut made) in registry::make_with(environment, episodes, kwargs)?
        .into_iter()
        .enumerate()
    {
        let [expected, found] = [made.action_space().size(), preprocessing.widths()[1]];
        if expected != found {
            return Err(EvaluationError::OtherTask {
                environment: environment.to_owned(),
                expected,
                found,
            });
        }
        let (parts, space) = (&preprocessing.parts, made.observation_space());
        let view = View::of(parts, goal, held_out, has_goals, environment, space)?;
        let mut observation = vec![0.0; made.observation_space().size()];
        if stop_requested() {
            return Err(EvaluationError::Stopped);
        }
        made.reset(
            Some(first_seed.wrapping_add(index as u64)),
            &mut observation,
        )?;
        look(index, &*made);
        let mut sight = Sight::new(frames.clone(), view, index, episodes);
        sight.begin(&observation);
        sights.push(sight);
        environments.push(made);
        observations.push(observation);
    }
    let mut scores = vec![
        Score {
            total_reward: 0.0,
            length: 0,
            is_cut: false,
            success: None,
        };
        episodes
    ];
    let mut playing = vec![true; episodes];
    let chunk = world.get_resource::<ActionChunk>().copied();
    let mut chunks = ActionChunks::new(chunk.unwrap_or_default(), episodes);
    while playing.contains(&true) {
        // Episodes that are over stay in the batch, so that an action never depends on how many others still play.
        let mut actions = chunks.act(|| {
            let mut rows: Vec<f32> = sights.iter().flat_map(Sight::values).collect();
            let shape = [episodes, rows.len() / episodes];
            let normalizer = &preprocessing.observation;
            let normalized = match resets {
                true => normalizer.resized(shape[1]).apply_to_row(&mut rows),
                false => normalizer.apply_to_row(&mut rows),
            };
            normalized.map_err(scale_error)?;
            let observation = upload(TensorData::new(rows, shape), &device);
            let predicted = acting
                .predict(world, observation)
                .ok_or(EvaluationError::NoPolicy)?;
            Ok::<Vec<f32>, EvaluationError>(download(predicted))
        })?;
        let width = actions.len() / episodes;
        preprocessing
            .action
            .from_unit(&mut actions)
            .map_err(scale_error)?;
        for index in 0..episodes {
            if !playing[index] {
                // So that as much is seen of it as of the others.
                sights[index].push(&observations[index]);
                continue;
            }
            if stop_requested() {
                return Err(EvaluationError::Stopped);
            }
            let action = &mut actions[index * width..(index + 1) * width];
            environments[index].action_space().clip(action);
            let outcome = environments[index].step(action, &mut observations[index])?;
            sights[index].push(&observations[index]);
            let score = &mut scores[index];
            score.total_reward += outcome.reward;
            score.length += 1;
            look(index, &*environments[index]);
            let is_cut = !outcome.ended() && score.length >= *time_limit;
            let is_met = |rule: &Success| rule.is_met(score.total_reward, &outcome, is_cut);
            let succeeds = success.as_ref().map(is_met);
            let succeeds = succeeds.or_else(|| environments[index].is_success());
            if score.success != Some(true) {
                score.success = succeeds.or(score.success);
            }
            let is_over = outcome.ended() || (*end_at_success && score.success == Some(true));
            score.is_cut = is_cut && !is_over;
            playing[index] = !is_over && !score.is_cut;
        }
    }
    Ok(scores)
}

fn record_scores(
    evaluation: Res<Evaluation>,
    episodes: Res<Episodes>,
    mut metrics: ResMut<Metrics>,
) {
    record(EVALUATE, Some(&evaluation.env), &episodes, &mut metrics);
}

/// Records what an evaluation's episodes came to in an environment without a name; nothing where there are none.
pub(crate) fn record_returns(episodes: &Episodes, metrics: &mut Metrics) {
    record(EVALUATE, None, episodes, metrics);
}

/// Records what episodes in an environment came to, under names that begin with `prefix`.
fn record(prefix: &str, env: Option<&str>, episodes: &Episodes, metrics: &mut Metrics) {
    let (Some(mean), Some(std)) = (episodes.mean_return(), episodes.std_of_returns()) else {
        return;
    };
    let mut put = |name: &str, value: f64| metrics.record_number(&format!("{prefix}{name}"), value);
    put("return", mean);
    put("return_std", std);
    if let Some(error) = episodes.standard_error() {
        put("return_standard_error", error);
    }
    let lengths: u64 = episodes.0.iter().map(|score| score.length).sum();
    put("length", lengths as f64 / episodes.0.len() as f64);
    if let Some(rate) = episodes.success_rate() {
        put("success_rate", rate);
    }
    if let Some(reference) = env.and_then(reference_scores) {
        put("normalized_score", reference.normalized(mean));
    }
}

/// The random and the expert score of an environment, where they are known.
pub fn reference_scores(environment: &str) -> Option<ReferenceScores> {
    registry::specification(environment)
        .ok()
        .and_then(|specification| specification.reference)
}
