//! What a scene says of its environments.

use std::num::NonZeroU64;

use bevy_app::{App, Plugin, Startup};
use bevy_ecs::prelude::*;
use bevy_reflect::Reflect;

use super::dynamics::{Equations, EquationsExt};
use super::plugin::{Autoreset, OwnEnvironments};
use super::{CollectError, boxed, workers};
use crate::env::registry;
use crate::env::{Acrobot, CartPole, MountainCar, MountainCarContinuous, Pendulum};
use crate::learner::Seed;
use crate::nn::threads;
use crate::scene::{Bounds, FieldProblems, Settings};
use crate::schedule::InputError;

/// Environments to learn in, one entity each; a policy acts in all of them at once.
#[derive(Clone, Debug, Resource, Reflect)]
pub struct Environments {
    /// The environment, by Gymnasium's name.
    pub env: String,
    /// How many run side by side. One step of all of them counts as so many steps.
    #[reflect(@Bounds::within(1.0, 1_000_000.0))]
    pub count: usize,
    /// The first environment's seed, counted from the run's seed; the others count on from it.
    pub seed: u64,
    /// When the next episode begins: in the step that ended one, or in the step after.
    pub autoreset: Autoreset,
    /// Steps after which an episode is cut. None: as the environment is registered.
    #[reflect(@Bounds::at_least(1.0))]
    pub time_limit: Option<u64>,
    /// Whether the policy's actions in [−1, 1] are mapped to the bounds of the action space.
    pub rescale_actions: bool,
    /// Whether actions beyond the bounds of the action space are clipped.
    pub clip_actions: bool,
}

impl Default for Environments {
    fn default() -> Self {
        Environments {
            env: "Pendulum-v1".to_owned(),
            count: 1,
            seed: 0,
            autoreset: Autoreset::SameStep,
            time_limit: None,
            rescale_actions: true,
            clip_actions: true,
        }
    }
}

impl Settings for Environments {
    fn check(&self, problems: &mut FieldProblems) {
        if let Err(error) = registry::specification(&self.env) {
            problems.refuse("env", error.to_string());
        }
    }
}

impl Plugin for Environments {
    fn build(&self, app: &mut App) {
        // A scene was checked; in an app, whoever comes first and misses the environments says so.
        let Ok(known) = registry::specification(&self.env) else {
            return;
        };
        let first = app.world_mut().get_resource_or_init::<Seed>().0;
        let seed = first.wrapping_add(self.seed);
        let limit = self.time_limit.and_then(NonZeroU64::new);
        app.insert_resource(self.clone())
            .add_plugins(OwnEnvironments {
                name: self.env.clone(),
                observation: known.observation_space,
                action: known.action_space,
                count: self.count,
                time_limit: Some(limit.unwrap_or(known.time_limit)),
                autoreset: self.autoreset,
                rescale_actions: self.rescale_actions,
                clip_actions: self.clip_actions,
            });
        match BUILT_IN.iter().find(|(name, _)| *name == self.env) {
            Some((_, spawn)) => spawn(app, self.count, seed),
            None => {
                let made = (0..self.count).map(|_| registry::make(&self.env));
                let environments = match made.collect::<Result<Vec<_>, _>>() {
                    Ok(environments) => environments,
                    Err(error) => {
                        // What it needs is not on this machine.
                        app.add_systems(Startup, move || -> Result<(), BevyError> {
                            Err(InputError::new(CollectError::from(error.clone())).into())
                        });
                        return;
                    }
                };
                match threads().min(self.count) {
                    0 | 1 => boxed::spawn(app, environments, seed),
                    threads => workers::spawn(app, environments, seed, threads),
                }
            }
        }
    }
}

type Spawn = fn(&mut App, usize, u64);

/// The environments that are given by equations.
pub(super) const BUILT_IN: [(&str, Spawn); 5] = [
    ("Acrobot-v1", spawn::<Acrobot>),
    ("CartPole-v1", spawn::<CartPole>),
    ("MountainCar-v0", spawn::<MountainCar>),
    ("MountainCarContinuous-v0", spawn::<MountainCarContinuous>),
    ("Pendulum-v1", spawn::<Pendulum>),
];

fn spawn<D: Equations + Default>(app: &mut App, count: usize, seed: u64) {
    app.spawn_environments(D::default(), count, seed);
}
