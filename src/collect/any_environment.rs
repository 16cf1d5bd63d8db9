//! Any [`Environment`] as an entity: one call through a pointer for each step of each environment. What has a world of its
//! own, such as a physics engine, hardly notices; equations have a faster way in [`dynamics`](super::dynamics).

use std::sync::{Mutex, PoisonError};

use bevy_app::App;
use bevy_ecs::prelude::*;

use super::entity::{Action, Ended, EnvironmentRow, Observation, Restart, Reward};
use super::plugin::AppEnvironmentExt;
use super::workers::Workers;
use super::{CollectError, SmallVector};
use crate::checkpoint::{AppPersistExt, CheckpointError, Snapshot};
use crate::env::{self, Environment, EnvironmentError};
use crate::schedule::RunError;

/// An environment behind a pointer, and the seed of its first reset until it had one.
#[derive(Component)]
pub(super) struct AnyEnvironment {
    // An environment may be sent to another thread, not shared: nobody ever waits for this lock.
    environment: Mutex<Box<dyn Environment>>,
    seed: Option<u64>,
}

impl AnyEnvironment {
    fn environment(&mut self) -> &mut dyn Environment {
        let inner = self.environment.get_mut();
        &mut **inner.unwrap_or_else(PoisonError::into_inner)
    }
}

/// Spawns the given environments, the first seeded with `seed`, the second with `seed + 1` and so on.
pub(super) fn spawn(app: &mut App, environments: Vec<Box<dyn Environment>>, seed: u64) {
    for (row, environment) in environments.into_iter().enumerate() {
        let observation = SmallVector::zeros(environment.observation_space().size());
        app.world_mut().spawn((
            EnvironmentRow { row },
            Observation(observation),
            AnyEnvironment {
                environment: Mutex::new(environment),
                seed: Some(seed.wrapping_add(row as u64)),
            },
        ));
    }
    app.persist_with(KEY, save, load)
        .steps_environments(step, restart);
}

fn step(
    mut agents: Query<(
        &mut AnyEnvironment,
        &Action,
        &Restart,
        &mut Observation,
        &mut Reward,
        &mut Ended,
    )>,
) -> Result<(), BevyError> {
    for (mut any_environment, action, restart, mut observation, mut reward, mut ended) in
        &mut agents
    {
        if restart.0 {
            continue;
        }
        let outcome = any_environment
            .environment()
            .step(&action.0, &mut observation.0)
            .map_err(|error| RunError::new(CollectError::from(error)))?;
        reward.0 = outcome.reward;
        ended.terminated = outcome.terminated;
        ended.truncated = outcome.truncated;
    }
    Ok(())
}

fn restart(
    mut agents: Query<(&Restart, &mut AnyEnvironment, &mut Observation)>,
) -> Result<(), BevyError> {
    for (restart, mut any_environment, mut observation) in &mut agents {
        if restart.0 {
            let seed = any_environment.seed.take();
            any_environment
                .environment()
                .reset(seed, &mut observation.0)
                .map_err(|error| RunError::new(CollectError::from(error)))?;
        }
    }
    Ok(())
}

/// Under which environments are saved, by this module and by `workers`.
pub(super) const KEY: &str = "environments/any";

/// Another number of environments was saved than there is.
pub(super) fn wrong_count(found: usize, expected: usize) -> CheckpointError {
    CheckpointError::OtherEnvironments {
        key: KEY.to_owned(),
        found,
        expected,
    }
}

/// An environment does not take the state that was saved.
pub(super) fn refused_row(row: usize, error: EnvironmentError) -> CheckpointError {
    CheckpointError::Refused {
        what: format!("environment {row}"),
        source: Box::new(error),
    }
}

/// Lets every environment begin its next episode from a seed, the first row's being `first`; those of equations have a
/// [`Generator`](super::Generator) of their own.
pub(crate) fn seed_environments(world: &mut World, first: u64) {
    let mut agents = world.query::<(&EnvironmentRow, &mut AnyEnvironment)>();
    for (agent, mut any_environment) in agents.iter_mut(world) {
        any_environment.seed = Some(first.wrapping_add(agent.row as u64));
    }
    if let Some(workers) = world.get_resource::<Workers>() {
        workers.seed(first);
    }
}

fn save(world: &World, snapshot: &mut Snapshot) -> Result<(), CheckpointError> {
    let Some(query) = world.try_query::<(&EnvironmentRow, &AnyEnvironment)>() else {
        return Ok(());
    };
    let mut rows: Vec<(usize, env::Snapshot)> = query
        .iter_manual(world)
        .map(|(agent, any_environment)| {
            let environment = any_environment.environment.lock();
            let environment = environment.unwrap_or_else(PoisonError::into_inner);
            (agent.row, environment.snapshot())
        })
        .collect();
    rows.sort_by_key(|(row, _)| *row);
    let states: Vec<env::Snapshot> = rows.into_iter().map(|(_, state)| state).collect();
    snapshot.put_state(KEY, &states)
}

fn load(world: &mut World, snapshot: &Snapshot) -> Result<(), CheckpointError> {
    let mut query = world.query::<(&EnvironmentRow, &mut AnyEnvironment)>();
    let mut rows: Vec<(usize, Mut<AnyEnvironment>)> = query
        .iter_mut(world)
        .map(|(agent, any_environment)| (agent.row, any_environment))
        .collect();
    rows.sort_by_key(|(row, _)| *row);
    let saved: Vec<env::Snapshot> = snapshot.state(KEY)?;
    if saved.len() != rows.len() {
        return Err(wrong_count(saved.len(), rows.len()));
    }
    for ((row, mut any_environment), state) in rows.into_iter().zip(saved) {
        any_environment
            .environment()
            .restore(&state)
            .map_err(|error| refused_row(row, error))?;
        any_environment.seed = None;
    }
    Ok(())
}
