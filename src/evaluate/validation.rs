//! Losses on held-out rows.

use bevy_app::{App, Plugin, Startup};
use bevy_ecs::prelude::*;
use bevy_reflect::Reflect;
use burn::tensor::Tensor;

use super::Acting;
use crate::data::{Batch, Data, Preprocessing, RolloutBatch, ValidatedParts};
use crate::learner::{Actor, Net, Noise, Random, Seed};
use crate::nn::{ActionDistribution, ActorNetwork, losses};
use crate::report::Metrics;
use crate::scene::{Bounds, Settings};
use crate::schedule::{
    AppCadenceExt, AppMetricsExt, InputError, Period, Validate, ValidateSystems,
};

/// Computes the losses on held-out rows (`Dataset(validation: ..)`) every so many steps, with nothing updated.
///
/// It goes over all held-out rows, a minibatch at a time, and reports the means over the rows: the algorithm's losses as
/// `validate/actor/loss`, `validate/critic/loss` and so on, `validate/reward` (folded over `n_step` steps, where rows are), and of the
/// policy
///
/// - `validate/action_error`, the mean squared difference of its actions and the data's, both from −1 to 1, or for discrete actions
///   `validate/action_agreement`, the share of rows in which it chooses what the data have;
/// - `validate/log_probability` of the data's actions and `validate/entropy`, where its actor has a density.
///
/// What an algorithm normalizes within a minibatch, TD3+BC's λ or advantages, it normalizes within each of these minibatches.
#[derive(Clone, Debug, Resource, Reflect)]
pub struct Validation {
    /// Steps or epochs between two validations.
    pub every: Period,
    /// Minibatches that are looked at, spread over the held-out rows. None: all.
    #[reflect(@Bounds::at_least(1.0))]
    pub batches: Option<u64>,
}

impl Default for Validation {
    fn default() -> Self {
        Validation {
            every: Period::Steps(1_000),
            batches: None,
        }
    }
}

impl Settings for Validation {}

impl Plugin for Validation {
    fn build(&self, app: &mut App) {
        app.insert_resource(self.clone())
            .insert_resource(ValidatedParts(self.batches))
            .run_every(Validate, self.every)
            .makes_metrics("validate/")
            .add_systems(Startup, need_held_out_rows)
            .add_systems(Validate, measure_policy.in_set(ValidateSystems::Measure));
    }
}

/// Refuses to validate on nothing before the first step is taken.
fn need_held_out_rows(
    data: Option<Res<Data>>,
    acting_only: Option<Res<Preprocessing>>,
) -> Result<(), BevyError> {
    match data {
        Some(data) if data.split.held_out.is_empty() => {
            Err(InputError::new(NOTHING_HELD_OUT).into())
        }
        None if acting_only.is_none() => Err(InputError::new(NO_DATA_HELD_OUT).into()),
        _ => Ok(()),
    }
}

/// Why a run without data cannot be validated.
pub(crate) const NO_DATA_HELD_OUT: &str = "`Validation` computes losses on rows that a `Dataset` holds out, and this run learns from environments: `Evaluation` scores it on episodes that it never saw; take `Validation` out of the scene's plugins";

const NOTHING_HELD_OUT: &str = "there are no rows to validate on: hold some episodes out with `Dataset(validation: 0.1)`, or take `Validation` out of the scene's plugins";

/// How the policy acts on the rows.
fn measure_policy(world: &mut World) {
    let Some((observation, action, first_row)) = rows(world) else {
        return;
    };
    let mut measured = Vec::new();
    let acting = world.get_resource::<Acting>().copied();
    if let Some(chosen) = acting.and_then(|acting| acting.predict(world, observation.clone())) {
        let discrete = world.resource::<Data>().discrete_actions().is_some();
        measured.push(if discrete {
            let agrees = chosen.equal(action.clone()).float().mean();
            ("validate/action_agreement", agrees)
        } else {
            ("validate/action_error", losses::mse(chosen, action.clone()))
        });
    }
    if let Some(actor) = world.get_resource::<Net<Actor>>() {
        measured.extend(of_density(actor, observation, action, first_row));
    }
    let mut metrics = world.resource_mut::<Metrics>();
    for (name, value) in measured {
        metrics.record(name, value);
    }
}

/// What networks saw and what was done, of whatever batch there is, and the number of its first row, 0 of a rollout; `None` before one
/// is.
fn rows(world: &World) -> Option<(Tensor<2>, Tensor<2>, u64)> {
    let (observation, action, first_row) = match world.get_resource::<Batch>() {
        Some(batch) => {
            let first_row = batch.row_ids.first().copied().unwrap_or_default();
            (&batch.observation, &batch.action, first_row)
        }
        None => {
            let batch = world.get_resource::<RolloutBatch>()?;
            (&batch.observation, &batch.action, 0)
        }
    };
    let is_there = observation.dims()[0] > 0;
    is_there.then(|| (observation.clone(), action.clone(), first_row as u64))
}

/// The likelihood of the data's actions, and the policy's entropy: from draws of a stream of its own where it has no closed form.
fn of_density(
    actor: &ActorNetwork,
    observation: Tensor<2>,
    action: Tensor<2>,
    first_row: u64,
) -> Vec<(&'static str, Tensor<1>)> {
    let policy = actor.distribution(observation);
    let entropy = match &policy {
        ActionDistribution::Deterministic(_) => return Vec::new(),
        ActionDistribution::Gaussian(_) | ActionDistribution::Categorical(_) => policy.entropy(),
        ActionDistribution::Mixture(_) | ActionDistribution::SquashedGaussian(_) => {
            let mut noise = Random::<Noise>::forked(Seed(first_row), ENTROPY_STREAM);
            policy.draw(&mut noise).log_probability.neg()
        }
    };
    let likelihood = policy.log_probability(action).mean();
    vec![
        ("validate/log_probability", likelihood),
        ("validate/entropy", entropy.mean()),
    ]
}

const ENTROPY_STREAM: u64 = 3;
