//! A toy world: the task of the toy data, in environments that a policy acts in.

use bevy_app::App;
use bevy_ecs::prelude::*;
use serde::{Deserialize, Serialize};

use super::trial::Source;
use super::{Mistake, Trial, toy};
use crate::collect::{
    Action, AppEnvironmentExt, AppPersistEnvironmentsExt, Ended, EnvironmentRow, Observation,
    OwnEnvironments, OwnEvaluation, Restart, Reward,
};
use crate::env::Space;
use crate::evaluate::Acting;
use crate::learner::{Noise, Random, Seed};
use crate::schedule::{Clock, Outcome, Training};

const ENVIRONMENTS: usize = 32;

/// Actions in an episode.
#[derive(Resource)]
struct EpisodeLength(u64);

/// One environment: which, what it has shown so far, and how long its episode is.
#[derive(Component, Serialize, Deserialize)]
struct Toy {
    number: u64,
    shown: u64,
    taken: u64,
}

impl Toy {
    fn new(number: u64) -> Self {
        let (shown, taken) = (0, 0);
        Toy {
            number,
            shown,
            taken,
        }
    }

    /// Shows something new, which follows from the number and how much was shown.
    fn show(&mut self, seen: &mut Observation) {
        self.shown += 1;
        let mut draws = Random::<Noise>::forked(Seed(13), (self.number << 32) | self.shown);
        seen.0.set(&draws.uniforms(2, -1.0, 1.0));
    }
}

/// An action earns the less the further it is from the right one.
fn step(
    actions: Res<toy::Actions>,
    length: Res<EpisodeLength>,
    mut toys: Query<(&Action, &mut Toy, &mut Observation, &mut Reward, &mut Ended)>,
) {
    for (action, mut toy, mut seen, mut reward, mut ended) in &mut toys {
        let off = actions.number(action.0[0]) - toy::right(&seen.0);
        reward.0 = -f64::from(off * off);
        toy.taken += 1;
        ended.terminated = toy.taken >= length.0;
        toy.show(&mut seen);
    }
}

fn restart(mut toys: Query<(&Restart, &mut Toy, &mut Observation)>) {
    for (restart, mut toy, mut seen) in &mut toys {
        if restart.0 {
            toy.taken = 0;
            toy.show(&mut seen);
        }
    }
}

fn spawn(mut entity: EntityWorldMut, seed: u64) {
    entity.insert(Toy::new(seed));
}

/// Makes the toy task the world of an app, with episodes of so many actions.
pub(super) fn add_world(app: &mut App, actions: toy::Actions, length: u64) {
    app.add_plugins(OwnEnvironments {
        name: "the toy task".to_owned(),
        observation: Space::from_bounds(&[(-1.0, 1.0); 2]),
        action: actions.space(),
        num_envs: ENVIRONMENTS,
        ..OwnEnvironments::default()
    })
    .insert_resource(EpisodeLength(length))
    .persist_component::<Toy>()
    .steps_environments(step, restart);
    let toys = (0..ENVIRONMENTS).map(|row| (EnvironmentRow { row }, Toy::new(row as u64)));
    app.world_mut().spawn_batch(toys.collect::<Vec<_>>());
}

/// Lets the policy, where there is one, be evaluated in that world.
pub(super) fn evaluate(app: &mut App) {
    if app.world().contains_resource::<Acting>() {
        app.add_plugins(OwnEvaluation {
            episodes: 3,
            ..OwnEvaluation::of(spawn)
        });
    }
}

impl Trial {
    /// In 32 environments whose episodes are one action long, with a reward that says how near to the right one it was, the policy
    /// comes to act well: after `steps` steps of the environments its mean squared distance from the right action is below a
    /// quarter of that of always choosing 0.
    ///
    /// # Errors
    /// When it does not.
    pub fn learns_by_acting(&self, steps: u64) -> Result<(), Mistake> {
        let mut app = self.app(Source::Environments { length: 1 }, |_| ())?;
        app.world_mut().resource_mut::<Clock>().steps = steps;
        loop {
            app.update();
            match app.world().resource::<Training>().outcome.clone() {
                None => {}
                Some(Outcome::Failed(failure)) => {
                    let (step, message) = (app.world().resource::<Clock>().step, failure.message);
                    return Err(Mistake::Step { step, message });
                }
                Some(_) => break,
            }
        }
        let (after, enough) = (toy::error(&app)?, 0.25 * toy::error_of_zero(self.actions));
        if after < enough {
            return Ok(());
        }
        let measured = format!(
            "the policy's mean squared distance from the right action is {after:.4}, and {enough:.4} would do"
        );
        Err(Mistake::NotLearned { steps, measured })
    }
}
