//! Environments of Python's Gymnasium, as entities: one question and one answer a worker for each step of all of its environments,
//! and workers that step side by side.
//!
//! What goes wrong in Python ends the run with a saved state: the step that it happened in counts for nobody (no row of it is
//! valid), the round is finished and saved, and then the run fails with what happened. A resumed run cannot find the environments as
//! they were, so it begins new episodes, and says so.

use bevy_app::{App, PostStartup};
use bevy_ecs::prelude::*;

use super::entity::{Action, Ended, EnvironmentRow, Observation, Restart, Reward};
use super::plugin::{AppEnvironmentExt, EnvironmentSystems};
use super::{CollectError, SmallVector};
use crate::checkpoint::{RestoreSystems, ResumeFrom};
use crate::env::EnvironmentError;
use crate::env::gymnasium::{Answer, BridgeError, Worker, closing_time};
use crate::evaluate::{Evaluation, TrainingSeeds};
use crate::schedule::{Clock, FailSaved, Failure, RunError, stop_requested, with_causes};
use crate::terminal::message;

/// The processes, each with the rows from its first one on.
#[derive(Resource)]
struct Workers {
    all: Vec<(usize, Worker)>,
    /// The seed of a row's next reset; `None` once it had one.
    seeds: Vec<Option<u64>>,
    /// Whether the run goes on from a checkpoint.
    resumes: bool,
    name: String,
}

impl Drop for Workers {
    fn drop(&mut self) {
        let until = closing_time();
        self.all
            .iter_mut()
            .for_each(|(_, worker)| worker.leave(until));
    }
}

/// What came of a step or a reset, a row an environment.
#[derive(Default)]
struct Scratch {
    actions: Vec<f32>,
    /// Whether a row takes part.
    asked: Vec<bool>,
    observations: Vec<f32>,
    outcomes: Vec<(f64, bool, bool)>,
}

/// Spawns the environments of these workers, the first seeded with `seed`, the second with `seed + 1` and so on.
pub(super) fn spawn(app: &mut App, workers: Vec<Worker>, seed: u64) {
    let mut all = Vec::new();
    let mut rows = 0;
    let mut width = 0;
    let mut name = String::new();
    for worker in workers {
        let first = rows;
        rows += worker.settings().num_envs;
        width = worker.spaces().observation.size();
        name = worker.settings().environment();
        all.push((first, worker));
    }
    let zeros = SmallVector::zeros(width);
    for row in 0..rows {
        let observation = Observation(zeros.clone());
        app.world_mut().spawn((EnvironmentRow { row }, observation));
    }
    app.insert_resource(Workers {
        all,
        seeds: (0..rows as u64)
            .map(|row| Some(seed.wrapping_add(row)))
            .collect(),
        resumes: false,
        name,
    });
    add_steps(app);
}

/// Their step and their restart.
pub(super) fn add_steps(app: &mut App) {
    app.init_resource::<FailSaved>()
        .steps_environments(step, restart)
        .add_systems(
            PostStartup,
            (
                see_whether_it_resumes.before(RestoreSystems),
                begin_anew
                    .after(RestoreSystems)
                    .before(EnvironmentSystems::Gather),
            ),
        );
}

/// Environments in Python draw from these seeds at their next reset: `seed`, `seed + 1` and so on.
pub(crate) fn seed_bridged(world: &mut World, seed: u64) {
    if let Some(mut workers) = world.get_resource_mut::<Workers>() {
        let rows = workers.seeds.len() as u64;
        workers.seeds = (0..rows).map(|row| Some(seed.wrapping_add(row))).collect();
    }
}

/// The workers for so many environments, spread over so many processes.
pub(super) fn spread(
    settings: &crate::env::gymnasium::WorkerSettings,
    processes: usize,
) -> Result<Vec<Worker>, BridgeError> {
    let processes = processes.clamp(1, settings.num_envs.max(1));
    let each: Vec<_> = (0..processes)
        .map(|process| {
            let to = |process| settings.num_envs * process / processes;
            crate::env::gymnasium::WorkerSettings {
                num_envs: to(process + 1) - to(process),
                first: to(process),
                ..settings.clone()
            }
        })
        .collect();
    Worker::start(&each)
}

impl Workers {
    /// Asks every worker, then takes every answer, so that they work at the same time.
    fn ask(
        &mut self,
        scratch: &mut Scratch,
        width: usize,
        question: impl Fn(&mut Worker, usize, &Scratch, &[Option<u64>]) -> Result<(), BridgeError>,
    ) -> Result<(), BridgeError> {
        for (first, worker) in &mut self.all {
            question(worker, *first, scratch, &self.seeds)?;
        }
        for (first, worker) in &mut self.all {
            worker.receive(|row, answer: Answer<'_>| {
                let row = *first + row;
                let place = row * width..(row + 1) * width;
                scratch.observations[place].copy_from_slice(answer.observation);
                scratch.outcomes[row] = (answer.reward, answer.terminated, answer.truncated);
            })?;
        }
        Ok(())
    }

    fn is_sound(&self) -> bool {
        self.all.iter().all(|(_, worker)| worker.is_sound())
    }

    fn observation_width(&self) -> usize {
        self.all
            .first()
            .map_or(0, |(_, worker)| worker.spaces().observation.size())
    }

    fn action_width(&self) -> usize {
        self.all
            .first()
            .map_or(0, |(_, worker)| worker.spaces().action.size())
    }

    /// First observations of the rows that are asked.
    fn reset(&mut self, scratch: &mut Scratch) -> Result<(), BridgeError> {
        let width = self.observation_width();
        scratch.observations.resize(self.seeds.len() * width, 0.0);
        scratch
            .outcomes
            .resize(self.seeds.len(), (0.0, false, false));
        self.ask(scratch, width, |worker, first, scratch, seeds| {
            let rows = 0..worker.settings().num_envs;
            let rows = rows.filter(|row| scratch.asked[first + row]);
            worker.ask_reset(rows.map(|row| (row, seeds[first + row])))
        })?;
        for (seed, asked) in self.seeds.iter_mut().zip(&scratch.asked) {
            if *asked {
                *seed = None;
            }
        }
        Ok(())
    }
}

/// The run ends with this, once what it has is saved. One that was asked to stop ends anyway.
fn fail(ending: &mut FailSaved, error: BridgeError) {
    if stop_requested() {
        return;
    }
    let error = CollectError::from(EnvironmentError::from(error));
    ending.0.get_or_insert(Failure {
        message: with_causes(&error),
        input: false,
    });
}

fn step(
    mut workers: ResMut<Workers>,
    mut ending: ResMut<FailSaved>,
    mut scratch: Local<Scratch>,
    mut agents: Query<(
        &EnvironmentRow,
        &Action,
        &mut Restart,
        &mut Observation,
        &mut Reward,
        &mut Ended,
    )>,
) {
    let (workers, scratch) = (&mut *workers, &mut *scratch);
    let (rows, width, action) = (
        workers.seeds.len(),
        workers.observation_width(),
        workers.action_width(),
    );
    scratch.actions.resize(rows * action, 0.0);
    scratch.asked.resize(rows, false);
    scratch.observations.resize(rows * width, 0.0);
    scratch.outcomes.resize(rows, (0.0, false, false));
    // A row may have nobody.
    scratch.asked.fill(false);
    for (agent, taken, restart, ..) in &agents {
        let place = agent.row * action..(agent.row + 1) * action;
        scratch.actions[place].copy_from_slice(&taken.0);
        scratch.asked[agent.row] = !restart.0;
    }
    let done = if workers.is_sound() {
        workers.ask(scratch, width, |worker, first, scratch, _| {
            let rows = 0..worker.settings().num_envs;
            let rows = rows.filter(|row| scratch.asked[first + row]);
            worker.ask_step(rows.map(|row| {
                let start = (first + row) * action;
                (row, &scratch.actions[start..start + action])
            }))
        })
    } else {
        // The run is about to end.
        Err(BridgeError::Died {
            environment: workers.name.clone(),
            status: "it was ended after an error".to_owned(),
        })
    };
    if let Err(error) = done {
        fail(&mut ending, error);
        scratch.asked.fill(false);
    }
    for (agent, _, mut restart, mut seen, mut reward, mut ended) in &mut agents {
        let row = agent.row;
        if !scratch.asked[row] {
            // Who took no step has nothing to learn from.
            restart.0 = true;
            continue;
        }
        seen.0
            .set(&scratch.observations[row * width..(row + 1) * width]);
        (reward.0, ended.terminated, ended.truncated) = scratch.outcomes[row];
    }
}

fn restart(
    mut workers: ResMut<Workers>,
    mut ending: ResMut<FailSaved>,
    clock: Res<Clock>,
    mut scratch: Local<Scratch>,
    mut agents: Query<(&EnvironmentRow, &Restart, &mut Observation)>,
) -> Result<(), BevyError> {
    let workers = &mut *workers;
    if !workers.is_sound() {
        return Ok(());
    }
    scratch.asked.clear();
    scratch.asked.resize(workers.seeds.len(), false);
    for (agent, restart, _) in &agents {
        scratch.asked[agent.row] = restart.0;
    }
    if let Err(error) = workers.reset(&mut scratch) {
        if clock.step == 0 && !stop_requested() {
            // There is nothing to save.
            return Err(RunError::new(EnvironmentError::from(error)).into());
        }
        fail(&mut ending, error);
        return Ok(());
    }
    let width = workers.observation_width();
    for (agent, _, mut seen) in &mut agents {
        let row = agent.row;
        if scratch.asked[row] {
            seen.0
                .set(&scratch.observations[row * width..(row + 1) * width]);
        }
    }
    Ok(())
}

fn see_whether_it_resumes(from: Option<Res<ResumeFrom>>, mut workers: ResMut<Workers>) {
    workers.resumes = from.is_some();
}

/// After a checkpoint was restored: the next step begins new episodes, from seeds that the run has not had. It is no step to
/// learn from, so that no return is summed over the cut.
fn begin_anew(
    mut workers: ResMut<Workers>,
    clock: Res<Clock>,
    mut agents: Query<(&mut Restart, &mut Ended)>,
    seed: Res<crate::learner::Seed>,
    (evaluation, training): (Option<Res<Evaluation>>, Option<Res<TrainingSeeds>>),
) {
    if !workers.resumes {
        return;
    }
    if clock.step < clock.steps {
        message(&format!(
            "warning: {}: what Python holds is not in the checkpoint, so the environments begin new episodes; the run will differ from one that was not cut",
            workers.name
        ));
    }
    // Beyond all that a run counts from its seed on, and apart from what it is evaluated on.
    let mut first = seed.0.wrapping_add((clock.step + 1) << 32);
    if let Some(evaluation) = evaluation {
        let training = training.as_deref();
        let played = TrainingSeeds {
            first: evaluation.first_seed(*seed, evaluation.episodes, training),
            num_envs: evaluation.episodes as u64,
        };
        first = played.apart_from(first, workers.seeds.len() as u64);
    }
    for (row, seed) in workers.seeds.iter_mut().enumerate() {
        *seed = Some(first.wrapping_add(row as u64));
    }
    for (mut restart, mut ended) in &mut agents {
        (restart.0, *ended) = (true, Ended::default());
    }
}
