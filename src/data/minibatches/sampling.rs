//! Minibatches of the dataset in a run.

use std::path::Path;

use bevy_app::{App, Plugin, PreStartup, Startup};
use bevy_ecs::prelude::*;

use super::Minibatches;
use super::drawing::as_rows;
use crate::checkpoint::{AppPersistExt, Suspects};
use crate::data::dataset::load_dataset;
use crate::data::held_out::{Pass, ValidatedParts};
use crate::data::pipeline::suspicious_rows;
use crate::data::replay::LOWER_BATCH;
use crate::data::{
    ActionChunk, ActionChunks, Batch, Data, DiscreteActionsOnly, Folding, Goals, Preprocessing,
};
use crate::memory::{self, RowsOfStep, TooLarge};
use crate::nn::ComputeDevice;
use crate::random::{AppRandomExt, Random, Sampling};
use crate::report::Metrics;
use crate::schedule::{
    Clock, InputError, Learn, LearnSystems, PartsLeft, TakenElsewhere, Validate, ValidateSystems,
    written_before_read,
};

/// The policy's memory begins anew every `frame_stack` steps where it acts.
#[derive(Resource, Clone, Copy, Debug, Default)]
pub(crate) struct ResetsAtHorizon;

/// Draws a [`Batch`] of the dataset in [`LearnSystems::Sample`]. An algorithm adds it with what its settings say.
#[derive(Clone, Debug)]
pub struct MinibatchPlugin {
    /// Rows in a minibatch, at least 1.
    pub batch_size: usize,
    /// Gradient steps in an epoch; `None`: rows / batch_size, rounded up.
    pub steps_per_epoch: Option<u64>,
    /// γ, from 0 to 1.
    pub discount: f32,
    /// How many rewards are folded into one, at least 1.
    pub n_step: usize,
    /// Whether a terminal step's reward counts as earned forever after: times 1 / (1 − γ).
    pub infinite_horizon: bool,
    /// Whether what was done at each of the observations side by side is asked for: [`Batch::past_action`].
    pub past_actions: bool,
    /// Whether the policy's memory begins anew every `frame_stack` steps where it acts: then the observations side by side are those
    /// from the drawn row on, and what was done and earned is of the last of them. Where the episode ends, its last row stands for
    /// those after it. Evaluation and collecting show the policy what came since its last reset.
    /// [`Networks::actor`](crate::networks::Networks::actor) refuses [such an encoder](crate::nn::Encoder::resets_at_horizon)
    /// without it.
    pub resets_at_horizon: bool,
    /// How many actions the policy predicts at once, and how they are executed.
    pub chunk: ActionChunk,
}

impl Default for MinibatchPlugin {
    /// 256 rows, one step, no discount: what imitates and does not bootstrap needs no more.
    fn default() -> Self {
        MinibatchPlugin {
            batch_size: 256,
            steps_per_epoch: None,
            discount: 0.0,
            n_step: 1,
            infinite_horizon: false,
            past_actions: false,
            resets_at_horizon: false,
            chunk: ActionChunk::default(),
        }
    }
}

impl MinibatchPlugin {
    /// The same for a policy that predicts so many actions at once: [`Batch::action`] has all of them, and
    /// [`Networks::actor`](crate::networks::Networks::actor), evaluation and checkpoints know of it.
    #[must_use]
    pub fn in_chunks(self, chunk: ActionChunk) -> Self {
        MinibatchPlugin { chunk, ..self }
    }

    /// How its rewards are folded.
    pub fn folding(&self) -> Folding {
        Folding {
            discount: f64::from(self.discount),
            n_step: self.n_step,
            infinite_horizon: self.infinite_horizon,
        }
    }
}

impl Plugin for MinibatchPlugin {
    fn build(&self, app: &mut App) {
        let settings = self.clone();
        if !self.chunk.is_single() {
            app.insert_resource(self.chunk)
                .insert_resource(ActionChunks::new(self.chunk, 0))
                .persist::<ActionChunks>();
        }
        if self.resets_at_horizon {
            app.init_resource::<ResetsAtHorizon>();
        }
        let build = move |data: Option<Res<Data>>,
                          device: Res<ComputeDevice>,
                          goals: Option<Res<Goals>>,
                          preprocessing: Option<Res<Preprocessing>>,
                          discrete_only: Option<Res<DiscreteActionsOnly>>,
                          sampling: Res<Random<Sampling>>,
                          elsewhere: Option<Res<TakenElsewhere>>,
                          mut clock: ResMut<Clock>,
                          mut commands: Commands|
              -> Result<(), BevyError> {
            let Some(data) = data else {
                return Ok(());
            };
            if let (Some(discrete_actions), None) = (data.discrete_actions(), discrete_only) {
                return Err(InputError::new(discrete_actions_refused(
                    &data.file,
                    discrete_actions,
                ))
                .into());
            }
            if data.transitions().is_none() && sampling.learners() > 1 {
                return Err(InputError::new(NOT_STACKED).into());
            }
            let goals = goals.map(|goals| *goals);
            let frames = preprocessing.map_or(1, |preprocessing| preprocessing.frames.max(1));
            let mut minibatches =
                Minibatches::new(&settings, &data, frames, goals).map_err(InputError::new)?;
            // The stack that takes a learner's steps has the rows there, once for all of its learners.
            let is_taught = elsewhere.is_some() && sampling.learners() == 1;
            if !is_taught {
                minibatches.keep_on(&device.plain())?;
            }
            let rows = minibatches.training_rows();
            clock.set_epoch(
                settings
                    .steps_per_epoch
                    .unwrap_or_else(|| rows.div_ceil(settings.batch_size.max(1)) as u64),
            );
            let [observation, action] = minibatches.widths();
            let rows = settings.batch_size.saturating_mul(sampling.learners());
            fits_the_machine(rows, observation, action).map_err(InputError::new)?;
            commands.insert_resource(RowsOfStep {
                rows,
                setting: LOWER_BATCH,
            });
            commands.insert_resource(Batch::empty(observation, action, &device.plain()));
            commands.insert_resource(minibatches);
            Ok(())
        };
        written_before_read::<Batch>(app);
        app.insert_resource(Suspects(suspicious_rows));
        app.add_random::<Sampling>()
            .add_systems(PreStartup, find_data.after(load_dataset))
            .add_systems(Startup, build)
            .add_systems(Learn, draw_minibatch.in_set(LearnSystems::Sample))
            .init_resource::<ValidatedParts>()
            .init_resource::<Metrics>()
            .add_systems(Validate, take_held_out.in_set(ValidateSystems::Sample));
    }
}

/// Before any network is built, whose plugin would miss the data in words of its own.
fn find_data(
    data: Option<Res<Data>>,
    acting_only: Option<Res<Preprocessing>>,
) -> Result<(), BevyError> {
    // A policy that only acts brings its preprocessing and needs no data.
    match (data, acting_only) {
        (None, None) => Err(InputError::new(NO_DATASET).into()),
        _ => Ok(()),
    }
}

const NO_DATASET: &str =
    "there is no data to learn from: add `Dataset(path: \"...\")` to the plugins";

const NOT_STACKED: &str = "learners of one stack draw from data in memory, and these stay in their file: give `Dataset.memory` more, or train the seeds side by side, without `--stacked`";

/// Refuses a batch that would take more memory than there is.
fn fits_the_machine(batch: usize, observation: usize, action: usize) -> Result<(), TooLarge> {
    let row = 4 * (2 * (observation as u64 + action as u64) + 4);
    let what = format!("a batch of {batch} rows, with {observation} numbers in what networks see,");
    let needed = row.saturating_mul(batch as u64);
    memory::check(&what, needed, "lower `batch_size` or `Dataset.frame_stack`")
}

fn discrete_actions_refused(file: &Path, discrete_actions: usize) -> String {
    format!(
        "{}: an action is one of {discrete_actions} discrete actions, and the algorithm learns vectors of real numbers; take data with such actions, or an algorithm for discrete actions such as Dqn",
        file.display()
    )
}

/// Draws from the dataset. A run that learns from environments has none.
pub(in crate::data) fn draw_minibatch(
    minibatches: Option<Res<Minibatches>>,
    device: Res<ComputeDevice>,
    mut random: ResMut<Random<Sampling>>,
    mut batch: ResMut<Batch>,
) -> Result<(), BevyError> {
    if let Some(minibatches) = minibatches {
        *batch = minibatches.draw(&mut random, &device.plain())?;
    }
    Ok(())
}

/// Puts the next held-out rows into [`Batch`].
fn take_held_out(
    minibatches: Option<Res<Minibatches>>,
    device: Res<ComputeDevice>,
    (mut pass, parts): (Local<Pass>, Res<ValidatedParts>),
    mut batch: ResMut<Batch>,
    mut parts_left: ResMut<PartsLeft>,
    mut metrics: ResMut<Metrics>,
) -> Result<(), BevyError> {
    let Some(minibatches) = minibatches else {
        return Ok(());
    };
    let (rows, batch_size) = minibatches.held_out();
    if rows.is_empty() {
        return Ok(());
    }
    let (part, left) = pass.next_part(rows.len(), batch_size, *parts);
    parts_left.0 = left;
    *batch = minibatches.gather(&as_rows(&rows[part.clone()]), &device.plain())?;
    metrics.weigh_validation(part.len());
    metrics.record("validate/reward", batch.reward.clone().mean());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_beyond_the_machines_memory_is_refused() {
        let refused = fits_the_machine(10_000_000, 3_000_000, 1);
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains("10000000 rows") && refused.contains("Dataset.frame_stack"));
        assert_eq!(fits_the_machine(256, 11, 3), Ok(()));
    }

    #[test]
    fn discrete_actions_are_refused_with_the_file() {
        let message = discrete_actions_refused(Path::new("made_up.hdf5"), 3);
        assert!(message.starts_with("made_up.hdf5: ") && message.contains("3 discrete actions"));
    }
}
