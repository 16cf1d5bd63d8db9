//! Policies that every run has: the uniformly random one, and the run's own without exploration.

use bevy_app::{App, Plugin};
use bevy_ecs::prelude::*;
use bevy_reflect::Reflect;
use burn::tensor::{Tensor, TensorData};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::rows::preprocessed;
use super::{Actions, Observations, Seen};
use crate::data::{ActionChunks, Column, Normalizer, Preprocessing, Spaces, StepResults};
use crate::env::Space;
use crate::evaluate::{Acting, EvaluationError};
use crate::learner::{AppRandomExt, ComputeDevice, Random};
use crate::random::Exploration;
use crate::scene::Settings;
use crate::schedule::{Collect, CollectSystems, RunError};
use crate::transfer::{download, upload_integers};

/// Acts uniformly at random: a baseline, and a policy for environments that nobody learns in yet.
#[derive(Clone, Debug, Default, Resource, Reflect)]
pub struct ActRandomly {}

impl Settings for ActRandomly {}

impl Plugin for ActRandomly {
    fn build(&self, app: &mut App) {
        app.add_random::<Exploration>()
            .add_systems(Collect, act_randomly.in_set(CollectSystems::Act));
    }
}

/// Uniformly random [`Actions`]: from [-1, 1] for each element of a box, from all discrete actions of a discrete space.
pub fn act_randomly(
    spaces: Res<Spaces>,
    mut random: ResMut<Random<Exploration>>,
    mut actions: ResMut<Actions>,
) {
    draw(&spaces.action, random.generator(), &mut actions.values);
}

/// Random elements of a space, as many as there is room for.
fn draw(space: &Space, generator: &mut ChaCha8Rng, actions: &mut [f32]) {
    match space {
        Space::Discrete { n } => {
            let n = (*n as u32).max(1);
            actions.fill_with(|| generator.random_range(0..n) as f32);
        }
        Space::Box { .. } => actions.fill_with(|| generator.random_range(-1.0..=1.0)),
        Space::Dict { entries } => {
            for mut row in actions.chunks_exact_mut(space.size().max(1)) {
                for (_, space) in entries {
                    let (own, rest) = row.split_at_mut(space.size());
                    draw(space, generator, own);
                    row = rest;
                }
            }
        }
    }
}

/// [`Actions`] of the network that acts at evaluation, without exploration.
pub fn act_deterministically(world: &mut World) -> Result<(), BevyError> {
    let Some(mut chunks) = world.remove_resource::<ActionChunks>() else {
        let actions = predict(world)?;
        world.resource_mut::<Actions>().take(actions);
        return Ok(());
    };
    let steps = world.resource::<StepResults>();
    let rows = steps.rows();
    if chunks.rows() != rows {
        chunks = chunks.anew(rows);
    }
    for row in 0..rows {
        if !steps.valid[row] || steps.ended(row) {
            chunks.begin(row);
        }
    }
    let actions = chunks.act(|| Ok::<Vec<f32>, BevyError>(download(predict(world)?)));
    world.insert_resource(chunks);
    let actions = actions?;
    let mut taken = world.resource_mut::<Actions>();
    taken.width = actions.len() / rows.max(1);
    taken.values = actions;
    Ok(())
}

/// What the network that acts says of what it sees now, `[environments, action]`, or whole chunks.
fn predict(world: &World) -> Result<Tensor<2>, BevyError> {
    let acting = *world
        .get_resource::<Acting>()
        .ok_or(RunError::new(EvaluationError::NoPolicy))?;
    let device = world.resource::<ComputeDevice>().plain();
    let preprocessing = world
        .get_resource::<Preprocessing>()
        .ok_or(RunError::new(EvaluationError::NoPreprocessing))?;
    let normalizer = &preprocessing.observation;
    let say = |rows: &Column, normalizer: &Normalizer| -> Result<Tensor<2>, BevyError> {
        let observation = preprocessed(rows, normalizer, &device).map_err(RunError::new)?;
        let predicted = acting.predict(world, observation);
        Ok(predicted.ok_or(RunError::new(EvaluationError::NoPolicy))?)
    };
    let seen = match world.get_resource::<Seen>() {
        None => return say(world.resource::<Observations>(), normalizer),
        Some(seen) if !seen.resets() => return say(&seen.now, normalizer),
        Some(seen) => seen,
    };
    let (mut said, mut place_of) = (Vec::new(), vec![0_i32; seen.now.rows()]);
    let mut place = 0;
    for (rows, seen) in seen.now_by_width() {
        said.push(say(&seen, &normalizer.resized(seen.width))?);
        for row in rows {
            place_of[row] = place;
            place += 1;
        }
    }
    let environments = place_of.len();
    let place_of = upload_integers::<1>(TensorData::new(place_of, [environments]), &device);
    Ok(Tensor::cat(said, 0).select(0, place_of))
}
