//! The replay buffer in a run.

use bevy_app::{App, Plugin, Startup};
use bevy_ecs::prelude::*;
use bevy_ecs::system::SystemParam;
use bevy_reflect::Reflect;
use burn::tensor::TensorData;

use super::ReplayBuffer;
use super::on_device::Shown;
use crate::checkpoint::{AppPersistExt, ResumeFrom};
use crate::data::minibatches::draw_minibatch;
use crate::data::pipeline::Pipeline;
use crate::data::{
    Batch, Data, Gathered, Goals, MinibatchPlugin, OffPolicySettings, Preprocessing, ScaleError,
    Seen, Spaces, StepResults,
};
use crate::memory::{self, RowsOfStep, in_words};
use crate::nn::ComputeDevice;
use crate::observation::ObservationParts;
use crate::random::Exploration;
use crate::random::{AppRandomExt, Random, Sampling};
use crate::report::console::Console;
use crate::scene::{Bounds, Settings};
use crate::schedule::{
    Cadence, Clock, Collect, CollectSystems, InputError, Learn, LearnSystems, LearningStarts,
};
use crate::transfer::{MOST_BYTES, is_far, upload};

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
pub struct Experience(ExperiencePlugin);

impl Experience {
    /// Whether a buffer will ever hold a minibatch.
    ///
    /// # Errors
    /// In words, with both numbers, where it will not.
    pub(crate) fn holds_a_minibatch(&self, replay: &Replay) -> Result<(), String> {
        let (capacity, batch_size) = (replay.capacity, self.0.minibatch.batch_size);
        match capacity < batch_size {
            false => Ok(()),
            true => Err(format!(
                "a replay buffer of {capacity} steps never has the {batch_size} rows of a minibatch: raise `Replay.capacity`, or lower `batch_size`"
            )),
        }
    }
}

impl Plugin for ExperiencePlugin {
    fn build(&self, app: &mut App) {
        // What is learned while environments run is learned of whole windows.
        app.add_plugins(MinibatchPlugin {
            resets_at_horizon: false,
            ..self.minibatch.clone()
        })
        .insert_resource(Experience(self.clone()))
        .add_random::<Exploration>()
        .persist::<ReplayBuffer>()
        .add_systems(Startup, build_buffer)
        .add_systems(Collect, record_steps.in_set(CollectSystems::Record))
        .add_systems(
            Learn,
            draw_replayed
                .run_if(resource_exists::<ReplayBuffer>)
                .after(draw_minibatch)
                .in_set(LearnSystems::Sample),
        );
    }
}

/// What a run may learn from.
type Sources<'w> = (
    Option<Res<'w, Replay>>,
    Option<Res<'w, Data>>,
    Option<Res<'w, StepResults>>,
    Option<Res<'w, Seen>>,
    Option<Res<'w, Preprocessing>>,
);

/// Where there are environments and no dataset: the buffer, and the cadence of collecting and learning.
fn build_buffer(
    experience: Res<Experience>,
    (replay, data, steps, seen, preprocessing): Sources,
    console: Option<Res<Console>>,
    resumed: Option<Res<ResumeFrom>>,
    device: Res<ComputeDevice>,
    mut clock: ResMut<Clock>,
    mut commands: Commands,
) -> Result<(), BevyError> {
    let (None, Some(steps), Some(preprocessing)) = (data, steps, preprocessing) else {
        return Ok(());
    };
    // A run that is over collects nothing more: its policy only acts.
    if resumed.is_some_and(|resumed| resumed.is_over(clock.steps)) {
        return Ok(());
    }
    let replay = replay.map_or_else(Replay::default, |replay| replay.clone());
    experience
        .holds_a_minibatch(&replay)
        .map_err(InputError::new)?;
    let capacity = replay.capacity;
    let (shown, action) = (steps.observation.width, steps.action.width);
    let observation = seen.map_or(shown, |seen| seen.observed_width());
    let parts = match preprocessing.parts.width() == observation {
        true => preprocessing.parts.clone(),
        false => ObservationParts::vector(observation),
    };
    let bytes = ReplayBuffer::bytes(capacity, steps.rows(), &parts, action);
    let buffer = format!(
        "replay buffer: {capacity} transitions of {} environment(s)",
        steps.rows()
    );
    memory::check(&buffer, bytes, "lower `Replay.capacity`").map_err(InputError::new)?;
    let says = format!("{buffer}, {} in memory once it is full", in_words(bytes));
    if let Some(console) = console {
        console.message(&says);
    }
    let plugin = &experience.0;
    clock.set_epoch(plugin.minibatch.steps_per_epoch.unwrap_or(STEPS_PER_EPOCH));
    commands.insert_resource(Cadence {
        collect: plugin.off_policy.train_freq.max(1),
        learn: plugin.off_policy.gradient_steps,
    });
    commands.insert_resource(LearningStarts(plugin.off_policy.learning_starts));
    let inputs = preprocessing.widths()[0];
    commands.insert_resource(RowsOfStep {
        rows: plugin.minibatch.batch_size,
        setting: LOWER_BATCH,
    });
    commands.insert_resource(Batch::empty(inputs, action, &device.plain()));
    let mut buffer = ReplayBuffer::new(capacity, steps.rows(), observation, action)
        .with_frames(preprocessing.frames)
        .with_parts(&parts);
    if is_far(&device.plain()) && buffer.bytes_on_device() <= MOST_BYTES {
        buffer.keep_on(&device.plain());
    }
    commands.insert_resource(buffer);
    Ok(())
}

fn record_steps(
    steps: Option<Res<StepResults>>,
    seen: Option<Res<Seen>>,
    (buffer, spaces): (Option<ResMut<ReplayBuffer>>, Option<Res<Spaces>>),
) -> Result<(), BevyError> {
    let (Some(steps), Some(mut buffer)) = (steps, buffer) else {
        return Ok(());
    };
    let recorded = match seen {
        Some(seen) => buffer.push(&seen.observed(&steps)),
        None => buffer.push(&steps),
    };
    recorded.map_err(|error| {
        let environment = spaces.map_or("the environment".to_owned(), |it| it.environment.clone());
        InputError::new(format!("{environment}: {error}; {SHOW_BYTES}"))
    })?;
    buffer.write_to_device();
    Ok(())
}

/// What a step of your own in [`LearnSystems::Sample`] needs to learn from the replay buffer in its own way: draw rows, take their
/// numbers, change them, and make them the [`Batch`].
///
/// ```
/// use yarak::prelude::*;
/// use yarak::data::Replayed;
///
/// /// Draws rows of the newest tenth alone.
/// fn draw_the_newest(mut replayed: Replayed) -> Result {
///     let range = replayed.buffer.range();
///     let first = range.end - range.len().div_ceil(10);
///     let rows: Vec<usize> = replayed.buffer.rows().filter(|row| *row >= first).collect();
///     let n = replayed.batch_size();
///     let drawn = replayed.random.indices(n, rows.len());
///     let drawn: Vec<usize> = drawn.into_iter().map(|index| rows[index]).collect();
///     let gathered = replayed.gather(&drawn);
///     Ok(replayed.learn_from(gathered)?)
/// }
///
/// let mut app = App::new();
/// app.add_plugins((YarakPlugins, Environments::default(), Td3::default()))
///     .replace(Learn, LearnSystems::Sample, draw_the_newest);
/// ```
#[derive(SystemParam)]
pub struct Replayed<'w> {
    /// What can be drawn.
    pub buffer: Res<'w, ReplayBuffer>,
    /// The random stream of minibatches.
    pub random: ResMut<'w, Random<Sampling>>,
    experience: Res<'w, Experience>,
    preprocessing: Res<'w, Preprocessing>,
    goals: Option<Res<'w, Goals>>,
    device: Res<'w, ComputeDevice>,
    batch: ResMut<'w, Batch>,
}

impl Replayed<'_> {
    /// How many rows a minibatch has.
    pub fn batch_size(&self) -> usize {
        self.experience.0.minibatch.batch_size
    }

    /// Draws a minibatch's rows uniformly, with replacement.
    ///
    /// # Errors
    /// When there are none yet.
    pub fn draw(&mut self) -> Result<Vec<usize>, InputError> {
        let rows = self.batch_size();
        let drawn = self.buffer.draw(rows, self.random.generator());
        drawn.ok_or_else(|| InputError::new(NOTHING))
    }

    /// The numbers of rows, raw, with their rewards folded.
    ///
    /// # Panics
    /// Like indexing a slice, where a row is none of the buffer's.
    pub fn gather(&self, rows: &[usize]) -> Gathered {
        let buffer = &*self.buffer;
        let pipeline = self.pipeline();
        pipeline.gather(buffer, buffer, buffer.widths(), rows)
    }

    fn pipeline(&self) -> Pipeline {
        let minibatch = &self.experience.0.minibatch;
        Pipeline {
            folding: minibatch.folding(),
            frames: self.preprocessing.frames,
            from_row: false,
            goals: self.goals.as_deref().copied(),
            past_actions: minibatch.past_actions,
            chunk: minibatch.chunk.prediction_horizon,
        }
    }

    /// Makes the numbers the [`Batch`], normalized.
    ///
    /// # Errors
    /// When the preprocessing was made for observations of another width.
    pub fn learn_from(&mut self, gathered: Gathered) -> Result<(), ScaleError> {
        let normalizer = &self.preprocessing.observation;
        *self.batch = gathered.into_batch(Some(normalizer), &self.device.plain())?;
        Ok(())
    }

    /// Makes rows the [`Batch`] as they are; `weight` is [`Batch::weight`]. The same as `gather` and `learn_from`, but on a card, where
    /// the buffer's rows lie on it, they are gathered there.
    ///
    /// # Errors
    /// As [`learn_from`](Self::learn_from).
    ///
    /// # Panics
    /// As [`gather`](Self::gather).
    pub fn learn_from_rows(
        &mut self,
        rows: &[usize],
        weight: Option<Vec<f32>>,
    ) -> Result<(), ScaleError> {
        let device = self.device.plain();
        if let Some(mut kept) = self.buffer.on(&device) {
            let there = self.buffer.range();
            if let Some(row) = rows.iter().find(|row| !there.contains(row)) {
                panic!("row {row} is none of the replay buffer's, which has {there:?}");
            }
            let mut batch = kept.gather(&self.buffer, &self.shown(), rows)?;
            let upload = |weight| upload(TensorData::new(weight, [rows.len()]), &device);
            batch.weight = weight.map(upload);
            *self.batch = batch;
            return Ok(());
        }
        let mut gathered = self.gather(rows);
        gathered.weight = weight;
        self.learn_from(gathered)
    }

    fn shown(&self) -> Shown<'_> {
        Shown {
            pipeline: self.pipeline(),
            normalizer: &self.preprocessing.observation,
            gradient_steps: self.experience.0.off_policy.gradient_steps,
        }
    }

    /// The same for rows that were drawn just now.
    fn learn_from_drawn(&mut self, rows: &[usize]) -> Result<(), ScaleError> {
        let Some(mut kept) = self.buffer.on(&self.device.plain()) else {
            return self.learn_from_rows(rows, None);
        };
        let mut after = self.random.generator().clone();
        let more = |n| self.buffer.draw(n, &mut after).unwrap_or_default();
        *self.batch = kept.take(&self.buffer, &self.shown(), rows, more)?;
        Ok(())
    }
}

/// Draws from the buffer. A run that learns from a dataset has none.
fn draw_replayed(mut replayed: Replayed) -> Result<(), BevyError> {
    let rows = replayed.draw()?;
    replayed.learn_from_drawn(&rows)?;
    Ok(())
}

/// What to do about a gradient step for which there is no memory.
pub(in crate::data) const LOWER_BATCH: &str = "lower `batch_size`, or the networks' `hidden_sizes`";

/// What to do about an environment that shows something else.
const SHOW_BYTES: &str = "let it show such numbers (of dtype `uint8`), or give its observation space other bounds than 0 and 255";

const NOTHING: &str =
    "the replay buffer has no transition to learn from yet: raise `learning_starts`";
