//! Environments that are given by equations, as entities: no call through a pointer for each environment, no allocation in a
//! step, and several of them moved at once where their [`Dynamics`] know how.

use bevy_app::App;
use bevy_ecs::prelude::*;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::SmallVector;
use super::entity::{Action, Ended, EnvironmentRow, Observation, Restart, Reward, StepCount};
use super::persist::AppPersistEnvironmentsExt;
use super::plugin::AppEnvironmentExt;
use super::systems::due;
use crate::env::{Dynamics, NumpyRandom};

/// The physical state of an environment that is given by the equations `D`.
#[derive(Component, Debug, Serialize, Deserialize)]
#[serde(bound(
    serialize = "D::State: Serialize",
    deserialize = "D::State: DeserializeOwned"
))]
pub struct State<D: Dynamics>(pub D::State)
where
    D: 'static,
    D::State: Sync + 'static;

/// The environment's own random stream, `env/<row>`: first states are drawn from it, as Gymnasium's from `np_random`.
#[derive(Component, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Generator(pub NumpyRandom);

/// What [`EquationsExt::spawn_environments`] asks of equations.
pub trait Equations:
    Dynamics<State: Copy + Sync + Serialize + DeserializeOwned + 'static> + Sync + 'static
{
}

impl<D> Equations for D where
    D: Dynamics<State: Copy + Sync + Serialize + DeserializeOwned + 'static> + Sync + 'static
{
}

/// The equations that the environments of an app share.
#[derive(Resource)]
struct Shared<D>(D);

/// Environments of equations, on an [`App`].
pub trait EquationsExt {
    /// Spawns `count` environments of `dynamics`, the first seeded with `seed`, the second with `seed + 1` and so on, and adds
    /// the systems that step and restart them. [`OwnEnvironments`](super::OwnEnvironments) says everything else.
    fn spawn_environments<D: Equations>(
        &mut self,
        dynamics: D,
        count: usize,
        seed: u64,
    ) -> &mut Self;
}

impl EquationsExt for App {
    fn spawn_environments<D: Equations>(
        &mut self,
        dynamics: D,
        count: usize,
        seed: u64,
    ) -> &mut Self {
        let (observation, action) = (
            dynamics.observation_space().size(),
            dynamics.action_space().size(),
        );
        let spawned = (0..count).map(move |row| {
            (
                EnvironmentRow { row },
                State::<D>(D::State::default()),
                Generator(NumpyRandom::new(seed.wrapping_add(row as u64))),
                Observation(SmallVector::zeros(observation)),
                Action(SmallVector::zeros(action)),
            )
        });
        self.world_mut().spawn_batch(spawned);
        self.insert_resource(Shared(dynamics))
            .persist_component::<State<D>>()
            .persist_component::<Generator>()
            .steps_environments(step_dynamics::<D>, restart_dynamics::<D>)
    }
}

/// Rows that are moved together: enough for the widest vector units, few enough to stay in the nearest cache.
const CHUNK: usize = 64;

/// What a chunk of environments is moved in, kept between steps.
struct Scratch<S> {
    states: Vec<S>,
    actions: Vec<f32>,
    steps: [u64; CHUNK],
    rewards: [f64; CHUNK],
    terminated: [bool; CHUNK],
}

impl<S> Default for Scratch<S> {
    fn default() -> Self {
        Scratch {
            states: Vec::new(),
            actions: Vec::new(),
            steps: [0; CHUNK],
            rewards: [0.0; CHUNK],
            terminated: [false; CHUNK],
        }
    }
}

/// Moves every environment by one step, but for those that are to begin an episode.
#[expect(clippy::type_complexity, reason = "all components of an environment")]
fn step_dynamics<D: Equations>(
    equations: Res<Shared<D>>,
    mut scratch: Local<Scratch<D::State>>,
    mut agents: Query<(
        &mut State<D>,
        &Action,
        &StepCount,
        &Restart,
        &mut Observation,
        &mut Reward,
        &mut Ended,
    )>,
) -> Result<(), BevyError> {
    let dynamics = &equations.0;
    let scratch = &mut *scratch;
    for (mut states, actions, counts, restarts, mut observations, mut rewards, mut ends) in
        agents.contiguous_iter_mut()?
    {
        let states = states.bypass_change_detection().chunks_mut(CHUNK);
        let observations = observations.bypass_change_detection().chunks_mut(CHUNK);
        let rewards = rewards.bypass_change_detection().chunks_mut(CHUNK);
        let ends = ends.bypass_change_detection().chunks_mut(CHUNK);
        let (actions, counts) = (actions.chunks(CHUNK), counts.chunks(CHUNK));
        let written = states.zip(observations).zip(rewards).zip(ends);
        let read = actions.zip(counts).zip(restarts.chunks(CHUNK));
        for ((((states, observations), rewards), ends), ((actions, counts), restarts)) in
            written.zip(read)
        {
            scratch.states.clear();
            scratch.states.extend(states.iter().map(|state| state.0));
            scratch.actions.clear();
            for action in actions {
                match action.0[..] {
                    [one] => scratch.actions.push(one),
                    _ => scratch.actions.extend_from_slice(&action.0),
                }
            }
            let n = states.len();
            for (steps, count) in scratch.steps.iter_mut().zip(counts) {
                *steps = count.0;
            }
            dynamics.advance_each(
                &mut scratch.states,
                &scratch.actions,
                &scratch.steps[..n],
                &mut scratch.rewards[..n],
                &mut scratch.terminated[..n],
            );
            for i in 0..n {
                // What is to begin an episode has no step to take: what came of moving it is dropped.
                if !restarts[i].0 {
                    states[i].0 = scratch.states[i];
                    dynamics.observe(&states[i].0, &mut observations[i].0);
                    rewards[i].0 = scratch.rewards[i];
                    ends[i].terminated = scratch.terminated[i];
                }
            }
        }
    }
    Ok(())
}

/// Begins an episode where one is due.
fn restart_dynamics<D: Equations>(
    equations: Res<Shared<D>>,
    mut agents: Query<(&Restart, &mut State<D>, &mut Generator, &mut Observation)>,
) -> Result<(), BevyError> {
    let dynamics = &equations.0;
    for (restarts, mut states, mut generators, mut seen) in agents.contiguous_iter_mut()? {
        let states = states.bypass_change_detection();
        let generators = generators.bypass_change_detection();
        let seen = seen.bypass_change_detection();
        for i in due(restarts) {
            states[i].0 = dynamics.begin(&mut generators[i].0);
            dynamics.observe(&states[i].0, &mut seen[i].0);
        }
    }
    Ok(())
}
