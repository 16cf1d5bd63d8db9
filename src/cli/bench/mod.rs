//! `yarak bench`: what this machine reaches, by a workload that peers can be measured with.

mod empty_schedule;
mod gemm;
mod offline;
mod online;
mod stepping;
mod windows;

use std::time::Duration;

use bevy_app::{AppExit, Plugin};
use clap::{Args, ValueEnum};
use serde_json::json;

use self::windows::Windows;
use super::error::CliError;
use super::{print, threads_or_all};
use crate::env::registry;
use crate::nn::set_threads;
use crate::plugins::{Diffusion, Td3Bc};
use crate::terminal::message;

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
    /// Gradient steps that a learner has taken when it is measured; it is measured young as well
    #[arg(long, value_name = "STEPS", default_value_t = 20_000)]
    age: u64,
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
    /// Behavior cloning with an LSTM and a mixture, robomimic's BC-RNN-GMM: gradient steps a second (100 windows of 10 steps, two layers of
    /// 400, 5 modes, every step supervised)
    BcRnn,
    /// Behavior cloning with a transformer: gradient steps a second (100 windows of 10 steps, four blocks of 8 heads, 256 wide, a tenth
    /// dropped, every step supervised)
    BcTransformer,
    /// Diffusion Policy: gradient steps a second (256 chunks of 16 actions, a perceptron of 512-512-512, averaged weights)
    Diffusion,
    /// Behavior cloning from pictures: gradient steps a second (64 pictures of 84x84 pixels in color, DQN's convolutions, 512 features)
    Cnn,
    /// The same from a file that is larger than the memory it may take: also the share of the time that the learner waited for it
    CnnFromFile,
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
    /// The first layer of a critic: a float32 256x14x256 product on one thread, GFLOP a second
    GemmThin,
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

const PENDULUM: &str = "Pendulum-v1";
const HOPPER: &str = "Hopper-v5";

/// What was measured of one workload.
struct Figure {
    name: &'static str,
    unit: &'static str,
    threads: usize,
    values: Vec<Aged>,
    /// The share of the time that a learner waited for its data, where they are read meanwhile.
    waiting: Option<f64>,
}

/// A figure of each window, of a learner that had taken `age` gradient steps; 0 for what does not learn.
struct Aged {
    age: u64,
    values: Vec<f64>,
}

impl Aged {
    fn median(&self) -> f64 {
        let values = &self.values;
        (values[(values.len() - 1) / 2] + values[values.len() / 2]) / 2.0
    }

    fn range(&self) -> [f64; 2] {
        [self.values[0], self.values[self.values.len() - 1]]
    }
}

impl Bench {
    /// Measures.
    pub fn run(&self) -> Result<AppExit, CliError> {
        if !(self.seconds > 0.0 && self.seconds <= 3_600.0) {
            return Err(CliError::input("--seconds: more than 0 and at most 3600"));
        }
        let mut all = vec![
            Name::Gemm,
            Name::GemmThin,
            Name::Schedule,
            Name::Cartpole,
            Name::Policy,
            Name::Td3Bc,
            Name::Td3BcFourSeeds,
            Name::BcRnn,
            Name::BcTransformer,
            Name::Diffusion,
            Name::Cnn,
            Name::CnnFromFile,
            Name::Td3Pendulum,
            Name::SacPendulum,
            Name::CartpolePpo,
        ];
        let hoppers = [Name::Hopper, Name::HopperTd3, Name::HopperSac];
        if self.name.is_none_or(|name| hoppers.contains(&name)) {
            match registry::check(HOPPER) {
                Ok(()) => all.extend(hoppers),
                Err(error) if self.name.is_some() => return Err(CliError::input(error)),
                Err(error) => message(&format!("warning: the hopper is left out: {error}")),
            }
        }
        let names: Vec<Name> = match self.name {
            Some(name) => vec![name],
            None => all,
        };
        for name in names {
            let mut figure = self.measure(name)?;
            for aged in &mut figure.values {
                aged.values.sort_by(f64::total_cmp);
            }
            self.report(name, &figure)?;
        }
        Ok(AppExit::Success)
    }

    /// Prints a figure: a line, or an object, for each age.
    fn report(&self, name: Name, figure: &Figure) -> Result<(), CliError> {
        let learns = figure.values.iter().any(|aged| aged.age > 0);
        let roof = (name == Name::Td3Bc).then(|| gemm::gemm(ROOF, Duration::from_secs(1), 1)[0]);
        for aged in &figure.values {
            let (median, [min, max]) = (aged.median(), aged.range());
            let share = roof.map(|roof| {
                median * offline::flops_of_a_step() / 1e9 / roof / figure.threads as f64
            });
            if self.json {
                let mut object = json!({
                    "name": figure.name,
                    "unit": figure.unit,
                    "median": median,
                    "min": min,
                    "max": max,
                    "threads": figure.threads,
                });
                if learns {
                    object["age"] = json!(aged.age);
                }
                if matches!(name, Name::Cartpole | Name::Hopper) {
                    object["envs"] = json!(self.envs);
                }
                if matches!(name, Name::Hopper | Name::HopperTd3 | Name::HopperSac) {
                    object["library"] = json!(registry::library_of(HOPPER));
                }
                if let Some(share) = share {
                    object["share_of_gemm_roof"] = json!(share);
                }
                if let Some(waiting) = figure.waiting {
                    object["share_of_waiting"] = json!(waiting);
                }
                print(&object.to_string())?;
            } else {
                let age = if learns {
                    format!(" after {} gradient steps", aged.age)
                } else {
                    String::new()
                };
                let mut line = format!(
                    "{:<18} {median:>10.1} {}{age} (from {min:.1} to {max:.1}, {} thread(s))",
                    figure.name, figure.unit, figure.threads
                );
                if let Some(share) = share {
                    line.push_str(&format!(", {:.0}% of the GEMM roof", share * 100.0));
                }
                if let Some(waiting) = figure.waiting {
                    line.push_str(&format!(
                        ", {:.1}% of the time waited for data",
                        waiting * 100.0
                    ));
                }
                print(&line)?;
            }
        }
        Ok(())
    }

    fn measure(&self, name: Name) -> Result<Figure, CliError> {
        let threads = threads_or_all(self.threads);
        let windows = Windows {
            count: self.windows,
            length: Duration::from_secs_f64(self.seconds),
        };
        let ageless = |values| vec![Aged { age: 0, values }];
        let figure = |name, unit, threads, values| {
            Ok(Figure {
                name,
                unit,
                threads,
                values,
                waiting: None,
            })
        };
        match name {
            Name::Gemm => {
                let values = gemm::gemm(ROOF, windows.length, windows.count);
                figure("gemm", "GFLOP/s", 1, ageless(values))
            }
            Name::GemmThin => {
                let values = gemm::gemm([256, 14, 256], windows.length, windows.count);
                figure("gemm_thin", "GFLOP/s", 1, ageless(values))
            }
            Name::Schedule => {
                let values = empty_schedule::runs_of_an_empty_schedule(windows)?;
                figure("schedule", "runs/s", 1, ageless(values))
            }
            Name::Cartpole => {
                let values = stepping::stepping(
                    "CartPole-v1",
                    self.envs as usize,
                    |random, count| {
                        let draws = random.indices(count, 2);
                        draws.iter().map(|it| *it as f32).collect()
                    },
                    windows,
                )?;
                figure("cartpole", "environment steps/s", 1, ageless(values))
            }
            Name::Hopper => {
                set_threads(threads);
                let values = stepping::stepping(
                    HOPPER,
                    self.envs as usize,
                    |random, count| random.uniforms(3 * count, -1.0, 1.0),
                    windows,
                )?;
                let threads = threads.min(self.envs as usize);
                figure("hopper", "environment steps/s", threads, ageless(values))
            }
            Name::Policy => {
                let values = offline::calls_of_a_policy(windows)?;
                figure("policy", "us/call", 1, ageless(values))
            }
            Name::Td3Bc => {
                self.say_age("td3_bc");
                let values = offline::one_learner(
                    Td3Bc::default(),
                    offline::VECTOR,
                    threads,
                    self.age,
                    windows,
                )?;
                figure("td3_bc", "steps/s", threads, values)
            }
            Name::BcRnn => {
                let values =
                    offline::one_learner(offline::bc_rnn(), MEMORY, threads, SLOW, windows)?;
                figure("bc_rnn", "steps/s", threads, values)
            }
            Name::BcTransformer => {
                let bc = offline::bc_transformer();
                let values = offline::one_learner(bc, MEMORY, threads, SLOW, windows)?;
                figure("bc_transformer", "steps/s", threads, values)
            }
            Name::Diffusion => {
                let diffusion = Diffusion::default();
                let values =
                    offline::one_learner(diffusion, offline::VECTOR, threads, SLOW, windows)?;
                figure("diffusion", "steps/s", threads, values)
            }
            Name::Cnn => {
                let observed = offline::Observed::Pictures;
                let values =
                    offline::one_learner(offline::cnn(), observed, threads, SLOW, windows)?;
                figure("cnn", "steps/s", threads, values)
            }
            Name::CnnFromFile => {
                let (aged, waiting) = offline::cnn_from_file(threads, SLOW, windows)?;
                Ok(Figure {
                    waiting: Some(waiting),
                    ..figure("cnn_from_file", "steps/s", threads, vec![aged])?
                })
            }
            Name::Td3BcFourSeeds => {
                self.say_age("td3_bc_four_seeds");
                let values = offline::four_seeds(threads, self.age, windows)?;
                figure("td3_bc_four_seeds", "steps/s", threads, values)
            }
            Name::Td3Pendulum => {
                self.off_policy("td3_pendulum", PENDULUM, online::td3(), threads, windows)
            }
            Name::SacPendulum => {
                self.off_policy("sac_pendulum", PENDULUM, online::sac(), threads, windows)
            }
            Name::HopperTd3 => {
                self.off_policy("hopper_td3", HOPPER, online::td3(), threads, windows)
            }
            Name::HopperSac => {
                self.off_policy("hopper_sac", HOPPER, online::sac(), threads, windows)
            }
            Name::CartpolePpo => {
                let values = online::rounds_of_ppo(threads, self.age, windows)?;
                figure("cartpole_ppo", "environment steps/s", threads, values)
            }
        }
    }

    fn off_policy(
        &self,
        name: &'static str,
        env: &str,
        algorithm: impl Plugin,
        threads: usize,
        windows: Windows,
    ) -> Result<Figure, CliError> {
        self.say_age(name);
        Ok(Figure {
            name,
            unit: "steps/s",
            threads,
            values: online::off_policy(env, algorithm, threads, self.age, windows)?,
            waiting: None,
        })
    }

    /// Growing old takes a minute or more: it is said beforehand.
    fn say_age(&self, name: &str) {
        if self.age > windows::YOUNG {
            message(&format!(
                "{name}: takes {} gradient steps before it is measured",
                self.age
            ));
        }
    }
}

/// The steps that a learner with memory is shown.
const MEMORY: offline::Observed = offline::Observed::Vectors(10);

/// The age of learners whose step is so long that they take hours to grow old.
const SLOW: u64 = 10;

/// The product that the roof is measured with.
const ROOF: gemm::Shape = [256, 256, 256];
