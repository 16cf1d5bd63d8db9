//! `yarak bench`: what this machine reaches, by a workload that peers can be measured with.

use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use bevy_app::{App, AppExit, Plugin, Plugins, PostStartup, Startup};
use bevy_ecs::prelude::*;
use bevy_ecs::schedule::ScheduleLabel;
use clap::{Args, ValueEnum};
use serde_json::json;

use super::error::CliError;
use super::print;
use crate::checkpoint::{AppPersistExt, RestorePlugin, gather};
use crate::collect::{Actions, Environments, Exploration};
use crate::data::{
    ActionScale, Column, Data, End, Episode, Normaliser, Parts, Preprocessing, Replay, Transitions,
    split_episodes,
};
use crate::env::registry;
use crate::learner::{ComputeDevice, LearningRate, Noise, Random, Seed};
use crate::nn::cpu::{Activation, Input, Kernels, MlpShape};
use crate::nn::set_threads;
use crate::plugins::{Ppo, Sac, Td3, Td3Bc};
use crate::policy::Policy;
use crate::report::{Metrics, Reports};
use crate::schedule::{
    Cadence, Clock, Collect, FacilitatorPlugin, Learn, Prepare, SchedulePlugin, StepsPerCollect,
    take_failure,
};

/// Measure what this machine reaches.
///
/// Each figure is the median of several windows, with the least and the greatest. A machine that does something else at the
/// same time gives other figures: compare only what was measured in one sitting, in turn.
#[derive(Args)]
pub struct Bench {
    /// One of these; all if not given
    name: Option<Name>,
    /// Threads, the learner's own included; all cores if not given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1024))]
    threads: Option<u64>,
    /// Environments that step together, for `cartpole` and `hopper`
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    envs: u64,
    /// Windows to measure
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=1000))]
    windows: u64,
    /// The least length of a window, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 3.0)]
    seconds: f64,
    /// Print one JSON object a figure
    #[arg(long)]
    json: bool,
}

/// What can be measured.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Name {
    /// One TD3+BC learner: gradient steps a second (1M transitions, 11 observations, 3 actions, batch 256, 256-256)
    Td3Bc,
    /// TD3 on Pendulum-v1: one environment step and one gradient step, a second (batch 256, 256-256)
    Td3Pendulum,
    /// SAC on Pendulum-v1: one environment step and one gradient step, a second (batch 256, 256-256)
    SacPendulum,
    /// PPO on CartPole-v1: environment steps a second, learning included (8 environments, rounds of 128 steps, 4 epochs of 4
    /// minibatches, 64-64 tanh)
    CartpolePpo,
    /// Four TD3+BC learners of other seeds on the same data: gradient steps a second, together
    Td3BcFourSeeds,
    /// The roof: a float32 256x256x256 product on one thread, GFLOP a second
    Gemm,
    /// A trained policy's call, from a raw observation to an action: microseconds on one thread (11 observations, 3 actions, 256-256)
    Policy,
    /// CartPole-v1 with random actions: environment steps a second, of `--envs` environments on one thread
    Cartpole,
    /// Hopper-v5 with random actions: environment steps a second, of `--envs` environments on all threads (needs MuJoCo)
    Hopper,
    /// TD3 on Hopper-v5: one environment step and one gradient step, a second (batch 256, 256-256; needs MuJoCo)
    HopperTd3,
    /// SAC on Hopper-v5: one environment step and one gradient step, a second (batch 256, 256-256; needs MuJoCo)
    HopperSac,
    /// An empty step: runs of a schedule with TD3+BC's slots and systems that do nothing, a second
    Schedule,
}

const ROWS: usize = 1_000_000;
const OBSERVATION: usize = 11;
const ACTION: usize = 3;

/// Multiplications and additions of one TD3+BC step on average: the target's forward passes, the critics' forward and
/// backward, and every other step the actor's, its critic's, and so on; counted by hand from the shapes above.
fn flops_of_a_step() -> f64 {
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

struct Figure {
    name: &'static str,
    unit: &'static str,
    threads: usize,
    values: Vec<f64>,
}

impl Bench {
    /// Measures.
    pub fn run(&self) -> Result<AppExit, CliError> {
        if !(self.seconds > 0.0 && self.seconds <= 3_600.0) {
            return Err(CliError::input("--seconds: more than 0 and at most 3600"));
        }
        let mut all = vec![
            Name::Gemm,
            Name::Schedule,
            Name::Cartpole,
            Name::Policy,
            Name::Td3Bc,
            Name::Td3BcFourSeeds,
            Name::Td3Pendulum,
            Name::SacPendulum,
            Name::CartpolePpo,
        ];
        let hoppers = [Name::Hopper, Name::HopperTd3, Name::HopperSac];
        if self.name.is_none_or(|name| hoppers.contains(&name)) {
            match registry::check(HOPPER) {
                Ok(()) => all.extend(hoppers),
                Err(error) if self.name.is_some() => return Err(CliError::input(error)),
                Err(error) => eprintln!("warning: the hopper is left out: {error}"),
            }
        }
        let names: Vec<Name> = match self.name {
            Some(name) => vec![name],
            None => all,
        };
        for name in names {
            let mut figure = self.measure(name)?;
            figure.values.sort_by(f64::total_cmp);
            let values = &figure.values;
            let (min, max) = (values[0], values[values.len() - 1]);
            let median = (values[(values.len() - 1) / 2] + values[values.len() / 2]) / 2.0;
            let roof = match name {
                Name::Td3Bc => {
                    Some(median * flops_of_a_step() / 1e9 / gemm(1.0, 1)[0] / figure.threads as f64)
                }
                _ => None,
            };
            if self.json {
                let mut object = json!({
                    "name": figure.name,
                    "unit": figure.unit,
                    "median": median,
                    "min": min,
                    "max": max,
                    "threads": figure.threads,
                });
                if matches!(name, Name::Cartpole | Name::Hopper) {
                    object["envs"] = json!(self.envs);
                }
                if hoppers.contains(&name) {
                    object["library"] = json!(registry::library_of(HOPPER));
                }
                if let Some(roof) = roof {
                    object["share_of_gemm_roof"] = json!(roof);
                }
                print(&object.to_string());
            } else {
                let mut line = format!(
                    "{:<18} {median:>10.1} {} (from {min:.1} to {max:.1}, {} thread(s))",
                    figure.name, figure.unit, figure.threads
                );
                if let Some(roof) = roof {
                    line.push_str(&format!(", {:.0}% of the GEMM roof", roof * 100.0));
                }
                print(&line);
            }
        }
        Ok(AppExit::Success)
    }

    fn measure(&self, name: Name) -> Result<Figure, CliError> {
        let cores = thread::available_parallelism().map_or(1, |cores| cores.get());
        let threads = self.threads.map_or(cores, |threads| threads as usize);
        let windows = self.windows as usize;
        Ok(match name {
            Name::Gemm => Figure {
                name: "gemm",
                unit: "GFLOP/s",
                threads: 1,
                values: gemm(self.seconds, windows),
            },
            Name::Schedule => Figure {
                name: "schedule",
                unit: "runs/s",
                threads: 1,
                values: self.windows_of(&mut empty_schedule(), 1_000),
            },
            Name::Cartpole => Figure {
                name: "cartpole",
                unit: "environment steps/s",
                threads: 1,
                values: self.stepping("CartPole-v1", |random, count| {
                    random
                        .indices(count, 2)
                        .iter()
                        .map(|it| *it as f32)
                        .collect()
                })?,
            },
            Name::Hopper => {
                set_threads(threads);
                Figure {
                    name: "hopper",
                    unit: "environment steps/s",
                    threads: threads.min(self.envs as usize),
                    values: self.stepping(HOPPER, |random, count| {
                        random.uniforms(3 * count, -1.0, 1.0)
                    })?,
                }
            }
            Name::Policy => Figure {
                name: "policy",
                unit: "us/call",
                threads: 1,
                values: self.calls()?,
            },
            Name::Td3Bc => {
                set_threads(threads);
                let mut app = learner(&random_data()?, 0)?;
                self.windows_of(&mut app, 10);
                Figure {
                    name: "td3_bc",
                    unit: "steps/s",
                    threads,
                    values: self.windows_of(&mut app, 20),
                }
            }
            Name::Td3Pendulum => self.online("td3_pendulum", PENDULUM, threads, td3())?,
            Name::SacPendulum => self.online("sac_pendulum", PENDULUM, threads, sac())?,
            Name::HopperTd3 => self.online("hopper_td3", HOPPER, threads, td3())?,
            Name::HopperSac => self.online("hopper_sac", HOPPER, threads, sac())?,
            Name::CartpolePpo => Figure {
                name: "cartpole_ppo",
                unit: "environment steps/s",
                threads,
                values: self.rounds_of_ppo(threads)?,
            },
            Name::Td3BcFourSeeds => Figure {
                name: "td3_bc_four_seeds",
                unit: "steps/s",
                threads,
                values: self.four_seeds(threads)?,
            },
        })
    }

    /// Steps a second over each window; the clock is read once every `chunk` steps.
    fn windows_of(&self, app: &mut App, chunk: u64) -> Vec<f64> {
        let least = Duration::from_secs_f64(self.seconds);
        let mut values = Vec::new();
        for _ in 0..self.windows {
            let (started, mut steps) = (Instant::now(), 0);
            while started.elapsed() < least {
                take_steps(app, chunk);
                steps += chunk;
            }
            values.push(steps as f64 / started.elapsed().as_secs_f64());
        }
        values
    }

    /// Microseconds of a policy's call in each window; no two observations in a row are the same.
    fn calls(&self) -> Result<Vec<f64>, CliError> {
        const DRAWN: usize = 1_000;
        let mut app = learner(&random_data()?, 0)?;
        app.persist::<Preprocessing>();
        let snapshot = gather(app.world(), 0)?;
        let mut policy = Policy::of(&snapshot).map_err(CliError::failed)?;
        let drawn = Random::<Noise>::new(Seed(0)).normals(DRAWN * OBSERVATION);
        let least = Duration::from_secs_f64(self.seconds);
        let mut values = Vec::new();
        for window in 0..=self.windows {
            let (started, mut calls) = (Instant::now(), 0);
            while started.elapsed() < least {
                for observation in drawn.chunks_exact(OBSERVATION) {
                    let action = policy.act(observation).map_err(CliError::failed)?;
                    std::hint::black_box(action);
                }
                calls += DRAWN;
            }
            // The first warms up.
            if window > 0 {
                values.push(started.elapsed().as_secs_f64() * 1e6 / calls as f64);
            }
        }
        Ok(values)
    }

    /// Environment steps a second over each window. The actions were drawn before, as peers draw them.
    fn stepping(
        &self,
        env: &str,
        draw: fn(&mut Random<Exploration>, usize) -> Vec<f32>,
    ) -> Result<Vec<f64>, CliError> {
        const DRAWN: usize = 100;
        let count = self.envs as usize;
        let mut app = stepped(env, count)?;
        let mut random = Random::<Exploration>::new(Seed(0));
        let drawn: Vec<Vec<f32>> = (0..DRAWN).map(|_| draw(&mut random, count)).collect();
        let world = app.world_mut();
        // The clock is read seldom, and the window ends soon after its time.
        let runs = 1 + if env == HOPPER { 500 } else { 10_000 } / count;
        let least = Duration::from_secs_f64(self.seconds);
        let mut values = Vec::new();
        for window in 0..=self.windows {
            let (started, mut steps) = (Instant::now(), 0);
            while started.elapsed() < least {
                for run in 0..runs {
                    let actions = &mut world.resource_mut::<Actions>().values;
                    actions.copy_from_slice(&drawn[run % DRAWN]);
                    world.run_schedule(Collect);
                }
                steps += runs * count;
            }
            // The first warms up.
            if window > 0 {
                values.push(steps as f64 / started.elapsed().as_secs_f64());
            }
        }
        match take_failure() {
            Some(failure) => Err(failure.into()),
            None => Ok(values),
        }
    }

    /// One environment, one gradient step for each of its steps, past the warm-up.
    fn online(
        &self,
        name: &'static str,
        env: &str,
        threads: usize,
        algorithm: impl Plugin,
    ) -> Result<Figure, CliError> {
        set_threads(threads);
        let environments = Environments {
            env: env.to_owned(),
            ..Environments::default()
        };
        let mut app = online_learner((environments, Replay::default(), algorithm))?;
        let least = Duration::from_secs_f64(self.seconds);
        take_rounds(&mut app, 2 * WARM_UP);
        let mut values = Vec::new();
        for _ in 0..self.windows {
            let (started, mut steps) = (Instant::now(), 0);
            while started.elapsed() < least {
                take_rounds(&mut app, 20);
                steps += 20;
            }
            values.push(steps as f64 / started.elapsed().as_secs_f64());
        }
        if let Some(failure) = take_failure() {
            return Err(failure.into());
        }
        Ok(Figure {
            name,
            unit: "steps/s",
            threads,
            values,
        })
    }

    /// Environment steps a second of whole rounds: acting, stepping, advantages and gradient steps. The settings are those of the
    /// peers' script.
    fn rounds_of_ppo(&self, threads: usize) -> Result<Vec<f64>, CliError> {
        set_threads(threads);
        let rate = LearningRate::Constant(2.5e-4);
        let mut ppo = Ppo {
            steps: 128,
            epochs: 4,
            minibatches: 4,
            value_clip: Some(0.2),
            entropy_coefficient: 0.01,
            ..Ppo::default()
        };
        (ppo.actor.learning_rate, ppo.critic.learning_rate) = (rate.clone(), rate);
        (ppo.actor.max_gradient_norm, ppo.critic.max_gradient_norm) = (Some(0.5), Some(0.5));
        let mut app = online_learner((
            Environments {
                env: "CartPole-v1".to_owned(),
                count: 8,
                ..Environments::default()
            },
            ppo,
        ))?;
        let world = app.world_mut();
        let cadence = *world.resource::<Cadence>();
        let each = world.resource::<StepsPerCollect>().0;
        let least = Duration::from_secs_f64(self.seconds);
        let mut values = Vec::new();
        for window in 0..=self.windows {
            let (started, mut steps) = (Instant::now(), 0);
            while started.elapsed() < least {
                for _ in 0..cadence.collect {
                    world.resource_mut::<Clock>().step += each;
                    world.run_schedule(Collect);
                }
                world.run_schedule(Prepare);
                for _ in 0..cadence.learn {
                    world.resource_mut::<Clock>().gradient_steps += 1;
                    world.run_schedule(Learn);
                }
                steps += cadence.collect * each;
            }
            // The first warms up.
            if window > 0 {
                values.push(steps as f64 / started.elapsed().as_secs_f64());
            }
        }
        match take_failure() {
            Some(failure) => Err(failure.into()),
            None => Ok(values),
        }
    }

    /// Four learners share the threads, one thread each at a time.
    fn four_seeds(&self, threads: usize) -> Result<Vec<f64>, CliError> {
        const LEARNERS: u64 = 4;
        let data = random_data()?;
        let least = Duration::from_secs_f64(self.seconds);
        // A learner's tensors stay on its thread, so each thread builds and keeps its own share of the learners.
        let threads = threads.min(LEARNERS as usize);
        let barrier = std::sync::Barrier::new(threads + 1);
        let counts = Mutex::new(vec![0_u64; self.windows as usize]);
        let failed = Mutex::new(None);
        let mut values = Vec::new();
        thread::scope(|scope| {
            for thread in 0..threads {
                let (data, barrier, counts, failed) = (&data, &barrier, &counts, &failed);
                scope.spawn(move || {
                    set_threads(1);
                    let mine = (0..LEARNERS).filter(|seed| *seed as usize % threads == thread);
                    let mut apps = Vec::new();
                    for seed in mine {
                        match learner(data, seed) {
                            Ok(app) => apps.push(app),
                            Err(error) => {
                                *lock(failed) = Some(error);
                            }
                        }
                    }
                    apps.iter_mut().for_each(|app| take_steps(app, 20));
                    for window in 0..self.windows as usize {
                        barrier.wait();
                        let (started, mut steps) = (Instant::now(), 0);
                        while started.elapsed() < least {
                            for app in &mut apps {
                                take_steps(app, 10);
                                steps += 10;
                            }
                        }
                        lock(counts)[window] += steps;
                        barrier.wait();
                    }
                });
            }
            for window in 0..self.windows as usize {
                barrier.wait();
                let started = Instant::now();
                barrier.wait();
                let seconds = started.elapsed().as_secs_f64();
                values.push(lock(&counts)[window] as f64 / seconds);
            }
        });
        match lock(&failed).take() {
            Some(error) => Err(error),
            None => Ok(values),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn take_steps(app: &mut App, steps: u64) {
    let world = app.world_mut();
    for _ in 0..steps {
        let mut clock = world.resource_mut::<Clock>();
        clock.step += 1;
        clock.gradient_steps += 1;
        world.run_schedule(Learn);
    }
}

/// Steps at random before the first gradient step, as the peers' script has it.
const WARM_UP: u64 = 200;

/// Steps of the environment, each with the gradient step that follows it once the run is warm.
fn take_rounds(app: &mut App, steps: u64) {
    let world = app.world_mut();
    for _ in 0..steps {
        world.resource_mut::<Clock>().step += 1;
        world.run_schedule(Collect);
        if world.resource::<Clock>().step > WARM_UP {
            world.resource_mut::<Clock>().gradient_steps += 1;
            world.run_schedule(Learn);
        }
    }
}

const PENDULUM: &str = "Pendulum-v1";
const HOPPER: &str = "Hopper-v5";

fn td3() -> Td3 {
    Td3 {
        warm_up: WARM_UP,
        ..Td3::default()
    }
}

fn sac() -> Sac {
    Sac {
        warm_up: WARM_UP,
        ..Sac::default()
    }
}

/// A learner in its environments, before its first step.
fn online_learner<M>(plugins: impl Plugins<M>) -> Result<App, CliError> {
    let mut app = App::new();
    app.add_plugins((
        SchedulePlugin,
        FacilitatorPlugin,
        RestorePlugin,
        Reports::default(),
    ))
    .insert_resource(Seed(0))
    .insert_resource(ComputeDevice::cpu())
    .add_plugins(plugins);
    app.world_mut().resource_mut::<Clock>().steps = u64::MAX;
    app.finish();
    app.cleanup();
    for schedule in [Startup.intern(), PostStartup.intern()] {
        app.world_mut().run_schedule(schedule);
    }
    match take_failure() {
        Some(failure) => Err(failure.into()),
        None => Ok(app),
    }
}

/// GFLOP a second of a 256x256x256 product with a bias, on this thread.
fn gemm(seconds: f64, windows: usize) -> Vec<f64> {
    const N: usize = 256;
    let shape = MlpShape {
        sizes: vec![N, N],
        output: Activation::Identity,
        ..MlpShape::default()
    };
    let mut kernels = Kernels::new(1);
    let mut random = Random::<Noise>::new(Seed(0));
    let parameters = random.normals(shape.parameters());
    let rows = random.normals(N * N);
    let mut out = vec![0.0; N * N];
    let mut values = Vec::new();
    for _ in 0..windows {
        let (started, mut products) = (Instant::now(), 0_u32);
        while started.elapsed().as_secs_f64() < seconds {
            for _ in 0..20 {
                let input = Input {
                    rows: &rows,
                    batch: N,
                    dropout: None,
                };
                kernels
                    .infer(&shape, &parameters, input, &mut out)
                    .expect("the sizes above agree");
            }
            products += 20;
        }
        let flops = f64::from(products) * 2.0 * (N * N * N) as f64;
        values.push(flops / started.elapsed().as_secs_f64() / 1e9);
    }
    values
}

/// The peers' workload: standard normal observations and rewards, uniform actions, one row in a hundred terminal.
fn random_data() -> Result<Data, CliError> {
    let mut random = Random::<Noise>::new(Seed(0));
    let terminal: Vec<bool> = random
        .uniforms(ROWS, 0.0, 1.0)
        .into_iter()
        .map(|draw| draw < 0.01)
        .collect();
    let mut episodes = Vec::new();
    let mut start = 0;
    for (row, terminal) in terminal.iter().enumerate() {
        if *terminal || row + 1 == ROWS {
            let end = if *terminal {
                End::Terminal
            } else {
                End::Unfinished
            };
            episodes.push(Episode {
                rows: start..row + 1,
                end,
            });
            start = row + 1;
        }
    }
    let column = |values, width| Column { values, width };
    let transitions = Transitions::new(Parts {
        observation: column(random.normals(ROWS * OBSERVATION), OBSERVATION),
        action: column(random.uniforms(ROWS * ACTION, -1.0, 1.0), ACTION),
        reward: random.normals(ROWS),
        next_observation: column(random.normals(ROWS * OBSERVATION), OBSERVATION),
        terminal,
        episodes,
    })
    .map_err(CliError::failed)?;
    let split = split_episodes(&transitions, 0.0, 0).map_err(CliError::failed)?;
    Ok(Data::in_memory(transitions, split, "random"))
}

/// A TD3+BC learner before its first step.
fn learner(data: &Data, seed: u64) -> Result<App, CliError> {
    let mut app = App::new();
    let scale = ActionScale::from_bounds(vec![-1.0; ACTION], vec![1.0; ACTION]);
    app.add_plugins((
        SchedulePlugin,
        FacilitatorPlugin,
        RestorePlugin,
        Reports::default(),
    ))
    .insert_resource(Seed(seed))
    .insert_resource(ComputeDevice::cpu())
    .insert_resource(data.clone())
    .insert_resource(Preprocessing::new(
        Normaliser::identity(OBSERVATION),
        scale.map_err(CliError::failed)?,
    ))
    .add_plugins(Td3Bc::default());
    app.finish();
    app.cleanup();
    app.world_mut().run_schedule(Startup);
    match take_failure() {
        Some(failure) => Err(failure.into()),
        None => Ok(app),
    }
}

/// Environments before their first step, as a run has them.
fn stepped(env: &str, count: usize) -> Result<App, CliError> {
    let mut app = App::new();
    app.add_plugins((SchedulePlugin, FacilitatorPlugin, Reports::default()))
        .add_plugins(Environments {
            env: env.to_owned(),
            count,
            ..Environments::default()
        });
    app.finish();
    app.cleanup();
    app.world_mut().run_schedule(PostStartup);
    match take_failure() {
        Some(failure) => Err(failure.into()),
        None => Ok(app),
    }
}

/// TD3+BC's schedule with a system in each slot that reads and writes a resource, and nothing else.
fn empty_schedule() -> App {
    use crate::schedule::LearnSystems as Slots;
    let touch = |clock: Res<Clock>, mut metrics: ResMut<Metrics>| {
        std::hint::black_box((&*clock, &mut *metrics));
    };
    let mut app = App::new();
    app.add_plugins((SchedulePlugin, FacilitatorPlugin, Reports::default()));
    for slot in [
        Slots::First,
        Slots::First,
        Slots::Sample,
        Slots::Critic,
        Slots::Actor,
        Slots::Targets,
        Slots::Rates,
        Slots::Rates,
        Slots::Rates,
        Slots::Rates,
    ] {
        app.add_systems(Learn, touch.in_set(slot));
    }
    app.finish();
    app.cleanup();
    app
}
