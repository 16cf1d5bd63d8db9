//! What steps that learn from rounds of their own samples take for constants: advantages, and the probabilities of what was drawn.

use bevy_app::App;
use bevy_ecs::prelude::*;

use super::toy::Actions;
use super::{Mistake, Trial};
use crate::data::RolloutBatch;
use crate::schedule::{AppScheduleExt, Learn, LearnSystems};

/// The slot in which a minibatch is changed after it was drawn.
#[derive(SystemSet, Clone, Debug, PartialEq, Eq, Hash)]
struct Changed;

/// Changes every minibatch before a step learns from it.
fn change(app: &mut App, change: impl Fn(&mut RolloutBatch) + Clone + Send + Sync + 'static) {
    let system = move |mut batch: ResMut<RolloutBatch>| change(&mut batch);
    app.insert_after(Learn, LearnSystems::Sample, Changed, system);
}

impl Trial {
    /// The state values of that name learn from returns alone: their step is the same whichever actions were taken and however
    /// probable they were.
    ///
    /// It is not where the policy's loss reaches them, as it does in a loss that both networks descend when the advantage is
    /// computed from values in training and not detached.
    ///
    /// # Errors
    /// When the step depends on them.
    pub fn advantages_are_detached(&self, critic: &str) -> Result<(), Mistake> {
        let actions = self.actions;
        let as_drawn = self.descent(critic, |_| ())?;
        let otherwise = self.descent(critic, |app| {
            change(app, move |batch| {
                let opposite = batch.action.clone().neg();
                batch.action = match actions {
                    Actions::Continuous => opposite,
                    Actions::Discrete(n) => opposite + (n - 1) as f32,
                };
                // A ratio of 1.05: within PPO's clip.
                batch.log_probability = batch.log_probability.clone() - 0.05;
            });
        })?;
        if as_drawn == otherwise {
            return Ok(());
        }
        Err(Mistake::AdvantageNotDetached {
            network: critic.to_owned(),
        })
    }

    /// The policy of that name steps otherwise for advantages of -1 than for advantages of 1.
    ///
    /// It does not where a ratio of probabilities is taken of the policy in training and of itself, and the old one is not
    /// detached: the ratio is 1, and the two gradients cancel.
    ///
    /// # Errors
    /// When the step is the same.
    pub fn old_probabilities_are_detached(&self, actor: &str) -> Result<(), Mistake> {
        let step = |advantage: f32| {
            self.descent(actor, |app| {
                change(app, move |batch| {
                    batch.advantage = batch.value.full_like(advantage);
                    // Whoever computes advantages from returns finds the same.
                    batch.returns = batch.value.clone() + advantage;
                });
            })
        };
        let (up, down) = (step(1.0)?.concat(), step(-1.0)?.concat());
        let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|x| x * x).sum::<f64>();
        let size = norm(&mut up.iter().chain(&down).copied());
        let apart = norm(&mut up.iter().zip(&down).map(|(up, down)| up - down));
        if apart > 1e-8 * size {
            return Ok(());
        }
        Err(Mistake::OldProbabilityNotDetached {
            network: actor.to_owned(),
        })
    }
}
