//! Policies that every run has: the uniformly random one, and the run's own without exploration.

use bevy_app::{App, Plugin};
use bevy_ecs::prelude::*;
use bevy_reflect::Reflect;
use rand::RngExt;

use super::{Actions, Observations};
use crate::data::{Preprocessing, Spaces};
use crate::env::Space;
use crate::evaluate::{Acting, RolloutError};
use crate::learner::{AppRandomExt, ComputeDevice, Purpose, Random};
use crate::scene::Settings;
use crate::schedule::{Collect, CollectSystems, RunError};

/// Actions that explore.
pub struct Exploration;
impl Purpose for Exploration {
    const NAME: &'static str = "explore";
}

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

/// Uniformly random [`Actions`]: from [-1, 1] for each element of a box, from all choices of a discrete space.
pub fn act_randomly(
    spaces: Res<Spaces>,
    mut random: ResMut<Random<Exploration>>,
    mut actions: ResMut<Actions>,
) {
    let generator = random.generator();
    let actions = &mut actions.values;
    match &spaces.action {
        Space::Discrete { n } => {
            let n = *n as u32;
            actions.fill_with(|| generator.random_range(0..n.max(1)) as f32);
        }
        _ => actions.fill_with(|| generator.random_range(-1.0..=1.0)),
    }
}

/// [`Actions`] of the network that acts at evaluation, without exploration.
pub fn act_deterministically(world: &mut World) -> Result<(), BevyError> {
    let acting = *world
        .get_resource::<Acting>()
        .ok_or(RunError::new(RolloutError::NoPolicy))?;
    let device = world.resource::<ComputeDevice>().plain();
    let preprocessing = world
        .get_resource::<Preprocessing>()
        .ok_or(RunError::new(RolloutError::NoPreprocessing))?;
    let observations = world.resource::<Observations>();
    let observation = observations
        .preprocessed(preprocessing, &device)
        .map_err(RunError::new)?;
    let actions = acting
        .act(world, observation)
        .ok_or(RunError::new(RolloutError::NoPolicy))?;
    world.resource_mut::<Actions>().take(actions);
    Ok(())
}
