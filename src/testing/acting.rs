//! A toy task that a policy learns from its own actions.

use bevy_ecs::prelude::*;

use super::{Mistake, Trial, toy};
use crate::collect::{
    Action, AppEnvironmentExt, Ended, EnvironmentRow, Observation, OwnEnvironments, Restart, Reward,
};
use crate::data::Data;
use crate::env::Space;
use crate::learner::{Noise, Random, Seed};
use crate::schedule::{Clock, Outcome, Training};

const ENVIRONMENTS: usize = 32;

/// Where each environment's observations come from.
#[derive(Component)]
struct Draws(Random<Noise>);

/// An action earns the less the further it is from the right one, and ends its episode.
fn step(
    actions: Res<toy::Actions>,
    mut agents: Query<(&Action, &Observation, &mut Reward, &mut Ended)>,
) {
    for (action, seen, mut reward, mut ended) in &mut agents {
        let off = actions.number(action.0[0]) - toy::right(&seen.0);
        reward.0 = -f64::from(off * off);
        ended.terminated = true;
    }
}

fn restart(mut agents: Query<(&Restart, &mut Draws, &mut Observation)>) {
    for (restart, mut draws, mut seen) in &mut agents {
        if restart.0 {
            seen.0.set(&draws.0.uniforms(2, -1.0, 1.0));
        }
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
        let mut app = self.app(toy::imitation(self.actions), |app| {
            app.world_mut().remove_resource::<Data>();
            app.add_plugins(OwnEnvironments {
                name: "the toy task".to_owned(),
                observation: Space::from_bounds(&[(-1.0, 1.0); 2]),
                action: self.actions.space(),
                num_envs: ENVIRONMENTS,
                ..OwnEnvironments::default()
            })
            .steps_environments(step, restart);
            let agents = (0..ENVIRONMENTS).map(|row| {
                let draws = Random::forked(Seed(13), row as u64);
                (EnvironmentRow { row }, Draws(draws))
            });
            app.world_mut().spawn_batch(agents.collect::<Vec<_>>());
        })?;
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
