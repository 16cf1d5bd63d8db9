//! Rollouts in a run.

use bevy_app::{App, Plugin, PreStartup, Startup};
use bevy_ecs::prelude::*;

use super::divergence::are_enough;
use super::{Divergence, RolloutBatch, RolloutBuffer};
use crate::checkpoint::{AppPersistExt, ResumeFrom};
use crate::data::dataset::load_dataset;
use crate::data::held_out::{Pass, ValidatedParts};
use crate::data::{Data, Preprocessing, Seen, StepResults};
use crate::memory::{self, RowsOfStep};
use crate::nn::ComputeDevice;
use crate::random::Exploration;
use crate::random::{AppRandomExt, Random, Sampling};
use crate::report::Metrics;
use crate::schedule::{
    Cadence, Clock, Collect, CollectSystems, Epochs, InputError, Learn, LearnSystems, PartsLeft,
    Prepare, PrepareSystems, Validate, ValidateSystems, written_before_read,
};
use crate::transfer::{MOST_BYTES, is_far};

/// Learns in rounds from a [`RolloutBuffer`]: of the experience of the run's environments, or of a fixed rollout
/// ([`FixedRollout`](super::FixedRollout)), or, where there is neither, of the run's data. An algorithm that learns from its own samples adds it with what its settings say, draws actions in
/// [`CollectSystems::Act`], and estimates advantages in [`PrepareSystems::Advantages`].
///
/// Without environments a round is the whole fixed rollout, or all training rows of the data.
#[derive(Clone, Debug)]
pub struct RolloutPlugin {
    /// Steps of every environment in a round, at least 1.
    pub steps: usize,
    /// How often a round's rows are learned from, at least 1.
    pub epochs: usize,
    /// The parts that the rows are cut into, a gradient step each; at least 1.
    pub minibatches: usize,
    /// Whether a minibatch's advantages are normalized to mean 0 and deviation 1.
    pub normalize_advantages: bool,
    /// The mean of the [`Divergence`] over an epoch's minibatches after which the round is over. `None`: all epochs are taken.
    pub target_kl: Option<f32>,
}

/// What [`RolloutPlugin`] says, at run time.
#[derive(Resource, Clone, Debug)]
struct Rounds(RolloutPlugin);

impl Plugin for RolloutPlugin {
    fn build(&self, app: &mut App) {
        written_before_read::<RolloutBatch>(app);
        app.insert_resource(Rounds(self.clone()))
            .insert_resource(Epochs {
                steps: self.minibatches as u64,
                are_enough,
            })
            .insert_resource(Divergence::new(self.target_kl))
            .add_random::<Exploration>()
            .add_random::<Sampling>()
            .persist::<RolloutBuffer>()
            .persist::<Divergence>()
            .add_systems(PreStartup, find_experience.after(load_dataset))
            .add_systems(Startup, build_rollout)
            .add_systems(Collect, record_rollout.in_set(CollectSystems::Record))
            .init_resource::<OnDevice>()
            .add_systems(
                Prepare,
                (shuffle_rollout, put_on_device)
                    .chain()
                    .in_set(PrepareSystems::Shuffle),
            )
            .init_resource::<ValidatedParts>()
            .init_resource::<Metrics>()
            .add_systems(Learn, draw_from_rollout.in_set(LearnSystems::Sample))
            .add_systems(Validate, take_held_out.in_set(ValidateSystems::Sample));
    }
}

/// Before any network is built, whose plugin would miss the environments in words of its own.
fn find_experience(
    data: Option<Res<Data>>,
    steps: Option<Res<StepResults>>,
    acting_only: Option<Res<Preprocessing>>,
) -> Result<(), BevyError> {
    if data
        .as_ref()
        .is_some_and(|data| data.transitions().is_none())
    {
        return Err(InputError::new(STORED).into());
    }
    match (data, steps, acting_only) {
        (None, None, None) => Err(InputError::new(NOTHING).into()),
        _ => Ok(()),
    }
}

const NOTHING: &str = "there is nothing to learn from: add `Environments(env: \"...\")` to the plugins, or `Dataset(path: \"...\")` \
    to learn from a fixed rollout";

const STORED: &str = "a round is all rows of the data, which `Dataset(memory: ..)` leaves in their file: raise `memory`, or leave it out";

fn build_rollout(
    rounds: Res<Rounds>,
    steps: Option<Res<StepResults>>,
    data: Option<Res<Data>>,
    (given, preprocessing): (Option<Res<RolloutBuffer>>, Option<Res<Preprocessing>>),
    resumed: Option<Res<ResumeFrom>>,
    device: Res<ComputeDevice>,
    mut clock: ResMut<Clock>,
    mut commands: Commands,
) -> Result<(), BevyError> {
    // A run that is over collects nothing more: its policy only acts.
    if resumed.is_some_and(|resumed| resumed.is_over(clock.steps)) {
        return Ok(());
    }
    let rounds = &rounds.0;
    let rollout = match (given, steps, data) {
        (Some(given), ..) => given.clone(),
        (None, Some(steps), _) => {
            let seen = preprocessing.map_or(steps.observation.width, |it| it.widths()[0]);
            let (rows, action) = (steps.rows(), steps.action.width);
            let all = (rounds.steps as u64).saturating_mul(rows as u64);
            let what = format!(
                "a rollout of {} steps of {rows} environment(s)",
                rounds.steps
            );
            let needed = all.saturating_mul(4 * (seen + action + 9) as u64);
            memory::check(&what, needed, "lower the rollout's `steps` or `num_envs`")
                .map_err(InputError::new)?;
            RolloutBuffer::new(rounds.steps.max(1), rows, seen, action)
        }
        (None, None, Some(data)) => {
            let Some(transitions) = data.transitions() else {
                return Ok(());
            };
            let frames = preprocessing.map_or(1, |it| it.frames.max(1));
            RolloutBuffer::of_data(transitions, &data.split, frames)
        }
        (None, None, None) => return Ok(()),
    };
    let online = rollout.rows() == 0;
    let rows = rollout.valid.len();
    if rows < rounds.minibatches {
        let minibatches = rounds.minibatches;
        return Err(InputError::new(format!(
            "{minibatches} minibatches cannot be made of the {rows} row(s) of a round: raise `steps`, or lower `minibatches`"
        ))
        .into());
    }
    commands.insert_resource(RowsOfStep {
        rows: rows / rounds.minibatches.max(1),
        setting: "raise `minibatches`, or lower the rollout's `steps`, `num_envs` or the networks' `hidden_sizes`",
    });
    let minibatches = rounds.minibatches as u64;
    match clock.epochs {
        // A run's length counts environment steps, and an epoch is a part of a round.
        Some(epochs) if online => {
            clock.steps_per_epoch = minibatches;
            let needed = epochs.div_ceil(rounds.epochs as u64);
            clock.steps = clock.steps.min(needed.saturating_mul(rows as u64));
        }
        _ => clock.set_epoch(minibatches),
    }
    commands.insert_resource(Cadence {
        collect: if online {
            rounds.steps.max(1) as u64
        } else {
            0
        },
        learn: (rounds.epochs * rounds.minibatches) as u64,
    });
    let widths = [rollout.observation.width, rollout.action.width];
    commands.insert_resource(RolloutBatch::empty(widths[0], widths[1], &device.plain()));
    commands.insert_resource(rollout);
    Ok(())
}

fn record_rollout(
    steps: Option<Res<StepResults>>,
    seen: Option<Res<Seen>>,
    preprocessing: Option<Res<Preprocessing>>,
    rollout: Option<ResMut<RolloutBuffer>>,
) -> Result<(), BevyError> {
    if let (Some(steps), Some(preprocessing), Some(mut rollout)) = (steps, preprocessing, rollout) {
        match seen {
            Some(seen) => {
                rollout.record_seen(&steps, [&seen.before, &seen.after], &preprocessing)?;
            }
            None => rollout.record(&steps, &preprocessing)?,
        }
    }
    Ok(())
}

fn shuffle_rollout(
    rounds: Res<Rounds>,
    rollout: Option<ResMut<RolloutBuffer>>,
    mut divergence: ResMut<Divergence>,
    mut random: ResMut<Random<Sampling>>,
) {
    divergence.begin();
    if let Some(mut rollout) = rollout {
        let (epochs, minibatches) = (rounds.0.epochs, rounds.0.minibatches);
        rollout.shuffle(epochs, minibatches, random.generator());
    }
}

/// The minibatches of the round on the run's device, where that is not the processor: they go there before the first is learned from.
#[derive(Resource, Default)]
struct OnDevice(Option<(RolloutBatch, Vec<usize>)>);

fn put_on_device(
    rounds: Res<Rounds>,
    device: Res<ComputeDevice>,
    rollout: Option<Res<RolloutBuffer>>,
    mut on_device: ResMut<OnDevice>,
) {
    let device = device.plain();
    on_device.0 = rollout.filter(|_| is_far(&device)).and_then(|rollout| {
        rollout.whole_round(rounds.0.normalize_advantages, &device, MOST_BYTES)
    });
}

fn draw_from_rollout(
    rounds: Res<Rounds>,
    device: Res<ComputeDevice>,
    on_device: Res<OnDevice>,
    mut rollout: ResMut<RolloutBuffer>,
    mut batch: ResMut<RolloutBatch>,
) {
    if let Some((all, ends)) = &on_device.0 {
        let at = rollout.next() % ends.len();
        let first = at.checked_sub(1).map_or(0, |before| ends[before]);
        *batch = all.part(first..ends[at]);
        rollout.skip();
        return;
    }
    *batch = rollout.next_minibatch(rounds.0.normalize_advantages, &device.plain());
}

/// Puts the next held-out rows of the data into [`RolloutBatch`], with the advantages and returns that they had when the round was
/// prepared.
fn take_held_out(
    rounds: Res<Rounds>,
    data: Option<Res<Data>>,
    device: Res<ComputeDevice>,
    rollout: Option<Res<RolloutBuffer>>,
    (mut pass, parts): (Local<Pass>, Res<ValidatedParts>),
    mut batch: ResMut<RolloutBatch>,
    mut parts_left: ResMut<PartsLeft>,
    mut metrics: ResMut<Metrics>,
) {
    let (Some(data), Some(rollout)) = (data, rollout) else {
        return;
    };
    let rows = &data.split.held_out;
    if rows.is_empty() {
        return;
    }
    let of_training = rollout.valid_rows().div_ceil(rounds.0.minibatches.max(1));
    let (part, left) = pass.next_part(rows.len(), of_training, *parts);
    parts_left.0 = left;
    let rows = &rows[part];
    *batch = rollout.minibatch(rows, rounds.0.normalize_advantages, &device.plain());
    metrics.weigh_validation(rows.len());
    metrics.record_number("validate/reward", rollout.mean_reward(rows));
}
