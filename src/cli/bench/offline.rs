//! Learners on random data: the workloads that their peers are measured with.

use std::sync::{Barrier, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use bevy_app::{App, Plugin, PreStartup, Startup};
use bevy_ecs::prelude::*;

use super::Aged;
use super::windows::{Windows, ages, check, grow};
use crate::checkpoint::{AppPersistExt, RestorePlugin, gather};
use crate::cli::error::CliError;
use crate::data::convert::write_recorded;
use crate::data::{
    ActionScale, Column, Data, Dataset, Episode, EpisodeEnd, MinibatchSettings, Minibatches,
    Normalizer, ObservationColumn, Parts, Preprocessing, Spaces, Transitions, split_episodes,
};
use crate::env::Space;
use crate::learner::{ComputeDevice, NetworkSettings, Noise, Random, Seed};
use crate::nn::{Cnn, Convolutions, EncoderSettings, Lstm, PolicyHead, Transformer, set_threads};
use crate::observation::{ObservationPart, ObservationParts, PartKind};
use crate::plugins::{Bc, Td3Bc};
use crate::policy::Policy;
use crate::report::Reports;
use crate::schedule::{Clock, FacilitatorPlugin, Learn, SchedulePlugin};

const ROWS: usize = 1_000_000;
const OBSERVATION: usize = 11;
const ACTION: usize = 3;

/// One observation, a vector.
pub(super) const VECTOR: Observed = Observed::Vectors(1);

/// Multiplications and additions of one TD3+BC step on average: the target's forward passes, the critics' forward and
/// backward, and every other step the actor's, its critic's, and so on; counted by hand from the shapes above.
pub(super) fn flops_of_a_step() -> f64 {
    let batch = 256.0;
    let product = |sizes: [f64; 4]| {
        2.0 * batch * (sizes[0] * sizes[1] + sizes[1] * sizes[2] + sizes[2] * sizes[3])
    };
    let (obs, act) = (OBSERVATION as f64, ACTION as f64);
    let actor = product([obs, 256.0, 256.0, act]);
    let critic = product([obs + act, 256.0, 256.0, 1.0]);
    let first = |inputs: f64| 2.0 * batch * inputs * 256.0;
    // Forward; gradients of weights; gradients of inputs of all layers but the first.
    let trained = |network: f64, inputs: f64| 3.0 * network - first(inputs);
    let critic_step = actor + 2.0 * critic + 2.0 * trained(critic, obs + act);
    let through_critic = 2.0 * critic;
    critic_step + (trained(actor, obs) + through_critic) / 2.0
}

/// What a learner is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Observed {
    /// Vectors of 11 numbers, so many of them side by side.
    Vectors(usize),
    /// Pictures of 84x84 pixels in color.
    Pictures,
}

impl Observed {
    const SIDE: usize = 84;
    const COLORS: usize = 3;

    fn parts(self) -> ObservationParts {
        match self {
            Observed::Vectors(_) => ObservationParts::vector(OBSERVATION),
            Observed::Pictures => ObservationParts::new(vec![ObservationPart {
                name: "pixels".to_owned(),
                shape: vec![Self::SIDE, Self::SIDE, Self::COLORS],
                kind: PartKind::Byte,
            }]),
        }
    }

    fn frames(self) -> usize {
        match self {
            Observed::Vectors(frames) => frames,
            Observed::Pictures => 1,
        }
    }

    /// Pictures are so many that they outgrow the caches, and few enough for the memory of a laptop.
    fn rows(self) -> usize {
        match self {
            Observed::Vectors(_) => ROWS,
            Observed::Pictures => 2_000,
        }
    }

    fn draw(self, random: &mut Random<Noise>) -> Column {
        let width = self.parts().width();
        let count = self.rows() * width;
        let values = match self {
            Observed::Vectors(_) => random.normals(count),
            Observed::Pictures => {
                let bytes = random.uniforms(count, 0.0, 256.0);
                bytes.into_iter().map(f32::floor).collect()
            }
        };
        Column { values, width }
    }
}

/// Gradient steps a second of one learner on all threads, at each age.
pub(super) fn one_learner(
    algorithm: impl Plugin,
    observed: Observed,
    threads: usize,
    age: u64,
    windows: Windows,
) -> Result<Vec<Aged>, CliError> {
    set_threads(threads);
    let mut app = learner(&random_data(observed)?, 0, algorithm, observed)?;
    // A turn is short next to a window, whatever a step costs.
    let turn = if observed == VECTOR { 20 } else { 1 };
    let take = |world: &mut World| take_steps(world, turn);
    let mut aged = Vec::new();
    for age in ages(age) {
        grow(&mut app, age, take)?;
        let values = windows.rates(|| {
            let taken = take(app.world_mut());
            check().map(|()| taken)
        })?;
        aged.push(Aged { age, values });
    }
    Ok(aged)
}

/// Microseconds of a policy's call in each window; no two observations in a row are the same.
pub(super) fn calls_of_a_policy(windows: Windows) -> Result<Vec<f64>, CliError> {
    const DRAWN: usize = 1_000;
    let mut app = learner(&random_data(VECTOR)?, 0, Td3Bc::default(), VECTOR)?;
    app.persist::<Preprocessing>();
    let snapshot = gather(app.world(), 0)?;
    let mut policy = Policy::of(&snapshot).map_err(CliError::failed)?;
    let drawn = Random::<Noise>::new(Seed(0)).normals(DRAWN * OBSERVATION);
    let rates = windows.warm_rates(|| {
        for observation in drawn.chunks_exact(OBSERVATION) {
            let action = policy.act(observation).map_err(CliError::failed)?;
            std::hint::black_box(action);
        }
        Ok(DRAWN as f64)
    })?;
    Ok(rates.into_iter().map(|calls| 1e6 / calls).collect())
}

/// Gradient steps a second of four learners together, which share the threads: one thread each at a time.
pub(super) fn four_seeds(
    threads: usize,
    age: u64,
    windows: Windows,
) -> Result<Vec<Aged>, CliError> {
    const LEARNERS: u64 = 4;
    let data = random_data(VECTOR)?;
    let ages = ages(age);
    // A learner's tensors stay on its thread, so each thread builds and keeps its own share of the learners.
    let threads = threads.min(LEARNERS as usize);
    let barrier = Barrier::new(threads + 1);
    let steps = Mutex::new(0.0);
    let failed = Mutex::new(None);
    let take_share = |thread: usize| {
        set_threads(1);
        let mine = (0..LEARNERS).filter(|seed| *seed as usize % threads == thread);
        let apps = mine.map(|seed| learner(&data, seed, Td3Bc::default(), VECTOR));
        let apps: Result<Vec<App>, CliError> = apps.collect();
        let mut apps = apps.unwrap_or_else(|error| {
            *lock(&failed) = Some(error);
            Vec::new()
        });
        for age in &ages {
            for app in &mut apps {
                if let Err(error) = grow(app, *age, |world| take_steps(world, 20)) {
                    *lock(&failed) = Some(error);
                }
            }
            for _ in 0..windows.count {
                barrier.wait();
                let (started, mut taken) = (Instant::now(), 0.0);
                while started.elapsed() < windows.length {
                    for app in &mut apps {
                        taken += take_steps(app.world_mut(), 10);
                    }
                }
                *lock(&steps) += taken;
                barrier.wait();
            }
        }
    };
    let mut aged = Vec::new();
    thread::scope(|scope| {
        for thread in 0..threads {
            let take_share = &take_share;
            scope.spawn(move || take_share(thread));
        }
        for age in &ages {
            let mut values = Vec::new();
            for _ in 0..windows.count {
                barrier.wait();
                let started = Instant::now();
                barrier.wait();
                let taken = std::mem::take(&mut *lock(&steps));
                values.push(taken / started.elapsed().as_secs_f64());
            }
            aged.push(Aged { age: *age, values });
        }
    });
    match lock(&failed).take() {
        Some(error) => Err(error),
        None => Ok(aged),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes gradient steps, and returns how many.
fn take_steps(world: &mut World, steps: u64) -> f64 {
    for _ in 0..steps {
        let mut clock = world.resource_mut::<Clock>();
        clock.step += 1;
        clock.gradient_steps += 1;
        world.run_schedule(Learn);
    }
    steps as f64
}

/// The peers' workload: standard normal observations or random pictures, standard normal rewards, uniform actions, one row in a hundred
/// terminal.
pub(super) fn random_data(observed: Observed) -> Result<Data, CliError> {
    let transitions = random_transitions(observed)?;
    let split = split_episodes(&transitions, 0.0, 0).map_err(CliError::failed)?;
    Ok(Data::in_memory(transitions, split, "random"))
}

fn random_transitions(observed: Observed) -> Result<Transitions, CliError> {
    let mut random = Random::<Noise>::new(Seed(0));
    let rows = observed.rows();
    let terminated: Vec<bool> = random
        .uniforms(rows, 0.0, 1.0)
        .into_iter()
        .map(|draw| draw < 0.01)
        .collect();
    let mut episodes = Vec::new();
    let mut start = 0;
    for (row, terminated) in terminated.iter().enumerate() {
        if *terminated || row + 1 == rows {
            let end = if *terminated {
                EpisodeEnd::Terminated
            } else {
                EpisodeEnd::Unfinished
            };
            episodes.push(Episode {
                rows: start..row + 1,
                end,
            });
            start = row + 1;
        }
    }
    let column = |values, width| Column { values, width };
    let parts = observed.parts();
    let draw = |random: &mut Random<Noise>| {
        ObservationColumn::packed(observed.draw(random), &parts).map_err(CliError::failed)
    };
    Transitions::new(Parts {
        observation: draw(&mut random)?,
        action: column(random.uniforms(rows * ACTION, -1.0, 1.0), ACTION),
        reward: random.normals(rows),
        next_observation: draw(&mut random)?,
        terminated,
        episodes,
    })
    .map_err(CliError::failed)
}

/// robomimic's BC-RNN-GMM on low-dimensional observations: two layers of 400, windows of ten steps, a hundred of them.
pub(super) fn bc_rnn() -> Bc {
    let lstm = Lstm::default();
    Bc {
        head: Some(PolicyHead::Mixture),
        ..with_memory(lstm)
    }
}

/// Behavior cloning with a transformer, by regression: four blocks of eight heads, 256 wide, windows of ten steps, a hundred of them.
pub(super) fn bc_transformer() -> Bc {
    with_memory(Transformer {
        embedding: 256,
        layers: 4,
        ..Transformer::default()
    })
}

fn with_memory(encoder: impl Into<EncoderSettings>) -> Bc {
    Bc {
        minibatch: MinibatchSettings::of(100),
        actor: NetworkSettings {
            encoder: encoder.into(),
            head_sizes: Some(Vec::new()),
            ..NetworkSettings::default()
        },
        supervise_all_steps: true,
        ..Bc::default()
    }
}

/// Behavior cloning from pictures, with the convolutions of Nature's DQN.
pub(super) fn cnn() -> Bc {
    Bc {
        minibatch: MinibatchSettings::of(64),
        actor: NetworkSettings {
            encoder: Cnn {
                convolutions: Convolutions::Nature,
                features: 512,
                ..Cnn::default()
            }
            .into(),
            head_sizes: Some(Vec::new()),
            ..NetworkSettings::default()
        },
        ..Bc::default()
    }
}

/// The same learner, from pictures that stay in their file: gradient steps a second, and the share of the time that it waited for them.
pub(super) fn cnn_from_file(
    threads: usize,
    age: u64,
    windows: Windows,
) -> Result<(Aged, f64), CliError> {
    /// GB for batches to come: a fifth of what the rows are as numbers.
    const MEMORY: f32 = 0.07;
    set_threads(threads);
    let folder = tempfile::tempdir().map_err(CliError::failed)?;
    let path = folder.path().join("pictures.hdf5");
    let observed = Observed::Pictures;
    let spaces = Spaces {
        environment: "random".to_owned(),
        observation: Space::picture([Observed::SIDE, Observed::SIDE, Observed::COLORS]),
        action: Space::from_bounds(&[(-1.0, 1.0); ACTION]),
    };
    write_recorded(&random_transitions(observed)?, &spaces, &path, false)
        .map_err(CliError::failed)?;
    let mut app = bare(0);
    app.add_plugins(Dataset {
        path,
        memory: Some(MEMORY),
        ..Dataset::default()
    });
    let mut app = started(app, cnn())?;
    grow(&mut app, age, |world| take_steps(world, 1))?;
    let waited = |app: &App| app.world().resource::<Minibatches>().waited();
    let (begun, before) = (Instant::now(), waited(&app));
    let values = windows.rates(|| {
        let taken = take_steps(app.world_mut(), 1);
        check().map(|()| taken)
    })?;
    let share = (waited(&app) - before).as_secs_f64() / begun.elapsed().as_secs_f64();
    Ok((Aged { age, values }, share))
}

/// A learner before its first step.
fn learner(
    data: &Data,
    seed: u64,
    algorithm: impl Plugin,
    observed: Observed,
) -> Result<App, CliError> {
    let (frames, parts) = (observed.frames(), observed.parts());
    let width = parts.width();
    let scale = ActionScale::from_bounds(vec![-1.0; ACTION], vec![1.0; ACTION]);
    let mut app = bare(seed);
    app.insert_resource(data.clone())
        .insert_resource(Preprocessing {
            parts,
            observation: Normalizer::identity(frames * width),
            action: scale.map_err(CliError::failed)?,
            frames,
        });
    started(app, algorithm)
}

/// An app without data and algorithm.
fn bare(seed: u64) -> App {
    let mut app = App::new();
    app.add_plugins((
        SchedulePlugin,
        FacilitatorPlugin,
        RestorePlugin,
        Reports::default(),
    ))
    .insert_resource(Seed(seed))
    .insert_resource(ComputeDevice::cpu());
    app
}

fn started(mut app: App, algorithm: impl Plugin) -> Result<App, CliError> {
    app.add_plugins(algorithm);
    app.finish();
    app.cleanup();
    app.world_mut().run_schedule(PreStartup);
    app.world_mut().run_schedule(Startup);
    check().map(|()| app)
}
