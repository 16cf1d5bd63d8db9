//! Evaluation in an app's own world.
//!
//! An evaluation has entities of its own, which are there while it plays. Those that the run learns in are disabled meanwhile, so that
//! no query of the app's finds them: a step that reads and writes the components of its entities alone moves none of them.

use bevy_app::{App, Plugin, PreStartup};
use bevy_ecs::entity_disabling::Disabled;
use bevy_ecs::prelude::*;

use super::acting::act_deterministically;
use super::entity::{EnvironmentRow, EpisodeStatistics, StepCount};
use super::plugin::{EnvironmentSystems, FinishedEpisodes, RowsThere};
use super::{Actions, Observations, Seen, StepResults};
use crate::data::ActionChunks;
use crate::evaluate::{Episodes, Score, check_acting, record_returns};
use crate::random::Seed;
use crate::report::Metrics;
use crate::report::console::Console;
use crate::schedule::{
    AppCadenceExt, AppMetricsExt, Clock, Collect, CollectSystems, DueLeft, Evaluate,
    EvaluateSystems, InputError, Period, RunError, stop_requested, take_failure,
};

/// Plays episodes with the deterministic policy in entities of the app's own, every so many steps, and reports their returns. It is to
/// [`OwnEnvironments`](super::OwnEnvironments) what [`Evaluation`](crate::evaluate::Evaluation) is to environments with a name.
///
/// The entities are spawned for each evaluation and despawned behind it, so that every evaluation plays the same episodes. Those that
/// the run learns in are disabled while it plays, with their children: the app's step and restart move the others alone. A run with it
/// and one without learn the same, bit for bit, where what an environment does is in its own components; a resource that the app's step
/// changes, such as a generator for all of them, is changed by an evaluation as well. [`Evaluating`] is there while it plays.
///
/// ```
/// use yarak::prelude::*;
/// use yarak::collect::OwnEvaluation;
///
/// /// A frog on a line, and where it begins.
/// #[derive(Component)]
/// struct Frog { at: f32, first: f32 }
///
/// /// A frog for an episode with that seed.
/// fn frog(mut entity: EntityWorldMut, seed: u64) {
///     let first = (seed % 10) as f32;
///     entity.insert(Frog { at: first, first });
/// }
///
/// let mut app = App::new();
/// app.add_plugins((YarakPlugins, OwnEvaluation { episodes: 5, ..OwnEvaluation::of(frog) }));
/// ```
#[derive(Clone, Debug, Resource)]
pub struct OwnEvaluation {
    /// Steps or epochs between two evaluations.
    pub every: Period,
    /// Episodes at each evaluation, at least 1, side by side.
    pub episodes: usize,
    /// The first episode's seed, counted from the run's seed; the others count on from it.
    pub seed: u64,
    /// Steps after which an episode is cut, where the app's world has not ended it.
    pub time_limit: u64,
    /// Makes an entity, which has its [`EnvironmentRow`] already, an environment of the app's: inserts the components of one that
    /// begins an episode with that seed.
    pub spawn: fn(EntityWorldMut, u64),
}

impl OwnEvaluation {
    /// Ten episodes every 5,000 steps, in entities that `spawn` makes.
    pub fn of(spawn: fn(EntityWorldMut, u64)) -> Self {
        OwnEvaluation {
            every: Period::Steps(5_000),
            episodes: 10,
            seed: 100,
            time_limit: 30_000,
            spawn,
        }
    }
}

/// There while an evaluation plays in the app's own world: [`Collect`] then runs for its entities, and slots `Act` and `Record` do not.
#[derive(Resource, Clone, Copy, Debug)]
pub struct Evaluating {
    /// Whether the first observations are there. Before, entities are only put into a first state.
    has_begun: bool,
}

/// Whether [`Collect`] runs for the environments that are learned in.
pub(super) fn is_training(evaluating: Option<Res<Evaluating>>) -> bool {
    evaluating.is_none()
}

/// Whether episodes have begun.
fn has_begun(evaluating: Option<Res<Evaluating>>) -> bool {
    evaluating.is_none_or(|it| it.has_begun)
}

impl Plugin for OwnEvaluation {
    fn build(&self, app: &mut App) {
        use EnvironmentSystems as E;
        app.insert_resource(self.clone())
            .init_resource::<Episodes>()
            .run_every(Evaluate, self.every)
            .makes_metrics("evaluate/")
            .add_systems(PreStartup, check_acting)
            .configure_sets(
                Collect,
                (
                    CollectSystems::Act.run_if(is_training),
                    CollectSystems::Record.run_if(is_training),
                    E::ScatterActions.run_if(has_begun),
                    E::Step.run_if(has_begun),
                    E::TimeLimit.run_if(has_begun),
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

/// What of the world belongs to the environments that are learned in.
struct Training {
    entities: Vec<Entity>,
    observations: Observations,
    actions: Actions,
    steps: StepResults,
    finished: FinishedEpisodes,
    there: RowsThere,
    seen: Option<Seen>,
    chunks: Option<ActionChunks>,
}

impl Training {
    /// Puts it aside, with room for `rows` episodes in its place.
    fn put_aside(world: &mut World, rows: usize) -> Self {
        let mut agents = world.query::<(&EnvironmentRow, Entity)>();
        let mut entities: Vec<(usize, Entity)> = agents
            .iter(world)
            .map(|(agent, entity)| (agent.row, entity))
            .collect();
        entities.sort_unstable();
        for (_, entity) in &entities {
            let mut entity = world.entity_mut(*entity);
            entity.insert_recursive::<Children>(Disabled);
        }
        let observation = world.resource::<Observations>().width;
        let action = world.resource::<Actions>().width;
        let chunks = world.get_resource_mut::<ActionChunks>();
        let chunks = chunks.map(|mut chunks| {
            let of_episodes = chunks.anew(rows);
            std::mem::replace(&mut *chunks, of_episodes)
        });
        let seen = world.remove_resource::<Seen>();
        if let Some(seen) = &seen {
            world.insert_resource(seen.anew(rows));
        }
        Training {
            entities: entities.into_iter().map(|(_, entity)| entity).collect(),
            observations: swap(world, Observations::new(rows, observation)),
            actions: swap(world, Actions::new(rows, action)),
            steps: swap(world, StepResults::new(rows, observation, action)),
            finished: swap(world, FinishedEpisodes::default()),
            there: swap(world, RowsThere::default()),
            seen,
            chunks,
        }
    }

    fn put_back(self, world: &mut World) {
        let mut played = world.query_filtered::<Entity, With<EnvironmentRow>>();
        let played: Vec<Entity> = played.iter(world).collect();
        for entity in played {
            world.despawn(entity);
        }
        // In the order of their rows, so that queries find them in it.
        for entity in self.entities {
            if let Ok(mut entity) = world.get_entity_mut(entity) {
                entity.remove_recursive::<Children, Disabled>();
            }
        }
        swap(world, self.observations);
        swap(world, self.actions);
        swap(world, self.steps);
        swap(world, self.finished);
        swap(world, self.there);
        if let Some(chunks) = self.chunks {
            swap(world, chunks);
        }
        match self.seen {
            Some(seen) => world.insert_resource(seen),
            None => drop(world.remove_resource::<Seen>()),
        }
    }
}

/// Puts a resource into the place of one that is there.
fn swap<R: Resource<Mutability = bevy_ecs::component::Mutable>>(world: &mut World, value: R) -> R {
    std::mem::replace(&mut *world.resource_mut::<R>(), value)
}

fn play_episodes(world: &mut World) -> Result<(), BevyError> {
    let settings = world.resource::<OwnEvaluation>().clone();
    let episodes = settings.episodes.max(1);
    let training = Training::put_aside(world, episodes);
    world.insert_resource(Evaluating { has_begun: false });
    let played = play(world, &settings, episodes);
    world.remove_resource::<Evaluating>();
    training.put_back(world);
    let scores = played?;
    let step = world.resource::<Clock>().step;
    let cut = scores.iter().filter(|score| score.is_cut).count();
    let console = world.get_resource::<Console>();
    if scores.is_empty() {
        // The facilitator saves the run, which plays them when it goes on.
        world.resource_mut::<DueLeft>().0 = true;
    } else if let (1.., Some(console)) = (cut, console) {
        console.message(&format!(
            "warning: {cut} of {} episodes of the evaluation at step {step} were cut after {} steps (`OwnEvaluation::time_limit`): the app's world did not end them",
            scores.len(),
            settings.time_limit
        ));
    }
    world.resource_mut::<Episodes>().0 = scores;
    Ok(())
}

/// The scores of all episodes; none where the run was asked to stop before they were over.
fn play(
    world: &mut World,
    settings: &OwnEvaluation,
    episodes: usize,
) -> Result<Vec<Score>, BevyError> {
    let first = world.resource::<Seed>().0.wrapping_add(settings.seed);
    for row in 0..episodes {
        let entity = world.spawn(EnvironmentRow { row });
        (settings.spawn)(entity, first.wrapping_add(row as u64));
    }
    collect(world)?;
    world.resource_mut::<Evaluating>().has_begun = true;
    let mut scores: Vec<Option<Score>> = vec![None; episodes];
    for _ in 0..settings.time_limit {
        if stop_requested() {
            return Ok(Vec::new());
        }
        act_deterministically(world)?;
        collect(world)?;
        for episode in &world.resource::<FinishedEpisodes>().0 {
            if let Some(score @ None) = scores.get_mut(episode.row) {
                *score = Some(Score {
                    total_reward: episode.total_reward,
                    length: episode.length,
                    is_cut: false,
                    success: None,
                });
            }
        }
        if scores.iter().all(Option::is_some) {
            break;
        }
    }
    let mut running = world.query::<(&EnvironmentRow, &EpisodeStatistics, &StepCount)>();
    for (agent, statistics, count) in running.iter(world) {
        if let Some(score @ None) = scores.get_mut(agent.row) {
            *score = Some(Score {
                total_reward: statistics.total_reward,
                length: count.0,
                is_cut: true,
                success: None,
            });
        }
    }
    Ok(scores.into_iter().flatten().collect())
}

/// A step of the evaluation's environments; the failure of one of its systems.
fn collect(world: &mut World) -> Result<(), BevyError> {
    world.run_schedule(Collect);
    match take_failure() {
        Some(failure) if failure.input => Err(InputError::new(failure).into()),
        Some(failure) => Err(RunError::new(failure).into()),
        None => Ok(()),
    }
}

fn record_scores(episodes: Res<Episodes>, mut metrics: ResMut<Metrics>) {
    record_returns(&episodes, &mut metrics);
}
