//! The replay buffer in a run.

use bevy_app::{App, Plugin, Startup};
use bevy_ecs::prelude::*;
use bevy_reflect::Reflect;

use super::{Folding, ReplayBuffer};
use crate::checkpoint::{AppPersistExt, ResumeFrom};
use crate::collect::{Exploration, Steps};
use crate::data::minibatches::draw_minibatch;
use crate::data::{Batch, Data, MinibatchPlugin, OffPolicySettings, Preprocessing, StoredData};
use crate::learner::{AppRandomExt, ComputeDevice, Random, Sampling};
use crate::report::console::Console;
use crate::scene::{Bounds, Settings};
use crate::schedule::{
    Cadence, Clock, Collect, CollectSystems, InputError, Learn, LearnSystems, WarmUp,
};

/// Keeps the last transitions of the environments in memory, for algorithms that learn from them more than once.
#[derive(Clone, Debug, Resource, Reflect)]
pub struct Replay {
    /// Transitions that are kept. Then the oldest one goes for each that comes.
    #[reflect(@Bounds::within(1.0, 4_000_000_000.0))]
    pub capacity: usize,
}

impl Default for Replay {
    fn default() -> Self {
        Replay {
            capacity: 1_000_000,
        }
    }
}

impl Settings for Replay {}

impl Plugin for Replay {
    fn build(&self, app: &mut App) {
        app.insert_resource(self.clone());
    }
}

/// Draws a [`Batch`] in [`LearnSystems::Sample`] of whatever the run has: of its dataset, or of what its environments
/// brought, which it records. An algorithm that learns from any policy's experience adds it with what its settings say.
#[derive(Clone, Debug)]
pub struct ExperiencePlugin {
    /// The minibatches.
    pub minibatch: MinibatchPlugin,
    /// When it learns while environments run.
    pub off_policy: OffPolicySettings,
}

/// Gradient steps in an epoch where there is no dataset to count.
const STEPS_PER_EPOCH: u64 = 1_000;

/// What [`ExperiencePlugin`] says, at run time.
#[derive(Resource, Clone, Debug)]
struct Experience {
    plugin: ExperiencePlugin,
    folding: Folding,
}

impl Plugin for ExperiencePlugin {
    fn build(&self, app: &mut App) {
        let minibatch = &self.minibatch;
        app.add_plugins(minibatch.clone())
            .insert_resource(Experience {
                plugin: self.clone(),
                folding: Folding {
                    discount: f64::from(minibatch.discount),
                    n_step: minibatch.n_step,
                    infinite_horizon: minibatch.infinite_horizon,
                },
            })
            .add_random::<Exploration>()
            .persist::<ReplayBuffer>()
            .add_systems(Startup, build_buffer)
            .add_systems(Collect, record_steps.in_set(CollectSystems::Record))
            .add_systems(
                Learn,
                draw_replayed
                    .after(draw_minibatch)
                    .in_set(LearnSystems::Sample),
            );
    }
}

/// What a run may learn from.
type Sources<'w> = (
    Option<Res<'w, Replay>>,
    Option<Res<'w, Data>>,
    Option<Res<'w, StoredData>>,
    Option<Res<'w, Steps>>,
);

/// Where there are environments and no dataset: the buffer, and the cadence of collecting and learning.
fn build_buffer(
    experience: Res<Experience>,
    (replay, data, stored, steps): Sources,
    console: Option<Res<Console>>,
    resumed: Option<Res<ResumeFrom>>,
    device: Res<ComputeDevice>,
    mut clock: ResMut<Clock>,
    mut commands: Commands,
) -> Result<(), BevyError> {
    let (None, None, Some(steps)) = (data, stored, steps) else {
        return Ok(());
    };
    // A run that is over collects nothing more: its policy only acts.
    if resumed.is_some_and(|resumed| resumed.0.step >= clock.steps) {
        return Ok(());
    }
    let capacity = replay.map_or_else(Replay::default, |replay| replay.clone());
    let capacity = capacity.capacity;
    let (observation, action) = (steps.observation.width, steps.action.width);
    let bytes = ReplayBuffer::bytes(capacity, steps.rows(), observation, action);
    let says = format!(
        "replay buffer: {capacity} transitions of {} environment(s), {} in memory once it is full",
        steps.rows(),
        in_words(bytes)
    );
    if let Some(machine) = memory_of_the_machine()
        && bytes > machine
    {
        let has = in_words(machine);
        return Err(InputError::new(format!(
            "{says}, and this machine has {has}: lower `Replay.capacity`"
        ))
        .into());
    }
    if let Some(console) = console {
        console.message(&says);
    }
    let plugin = &experience.plugin;
    clock.set_epoch(plugin.minibatch.steps_per_epoch.unwrap_or(STEPS_PER_EPOCH));
    commands.insert_resource(Cadence {
        collect: plugin.off_policy.train_freq.max(1),
        learn: plugin.off_policy.gradient_steps,
    });
    commands.insert_resource(WarmUp(plugin.off_policy.learning_starts));
    commands.insert_resource(Batch::empty(observation, action, &device.plain()));
    let buffer = ReplayBuffer::new(capacity, steps.rows(), observation, action);
    commands.insert_resource(buffer);
    Ok(())
}

/// The machine's memory in bytes, where it tells.
pub(in crate::data) fn memory_of_the_machine() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("MemTotal:"))?;
    let kibibytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    kibibytes.checked_mul(1024)
}

pub(in crate::data) fn in_words(bytes: u64) -> String {
    let megabytes = bytes as f64 / 1e6;
    if megabytes < 1_000.0 {
        format!("{megabytes:.1} MB")
    } else {
        format!("{:.1} GB", megabytes / 1_000.0)
    }
}

fn record_steps(steps: Option<Res<Steps>>, buffer: Option<ResMut<ReplayBuffer>>) {
    if let (Some(steps), Some(mut buffer)) = (steps, buffer) {
        buffer.push(&steps);
    }
}

/// Draws from the buffer. A run that learns from a dataset has none.
fn draw_replayed(
    buffer: Option<Res<ReplayBuffer>>,
    experience: Res<Experience>,
    preprocessing: Res<Preprocessing>,
    device: Res<ComputeDevice>,
    mut random: ResMut<Random<Sampling>>,
    mut batch: ResMut<Batch>,
) -> Result<(), BevyError> {
    let Some(buffer) = buffer else {
        return Ok(());
    };
    let rows = experience.plugin.minibatch.batch;
    let rows = buffer
        .draw(rows, random.generator())
        .ok_or_else(|| InputError::new(NOTHING))?;
    *batch = buffer.gather(&rows, &experience.folding, &preprocessing, &device.plain())?;
    Ok(())
}

const NOTHING: &str =
    "the replay buffer has no transition to learn from yet: raise `learning_starts`";
