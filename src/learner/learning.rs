//! A network in training.

use std::ops::Deref;

use bevy_app::App;
use bevy_ecs::prelude::*;
use bevy_ecs::system::SystemParam;
use burn::tensor::Tensor;

use super::rate::{add_rule, look_at, move_rate};
use super::roles::check_targets;
use super::{
    AppRandomExt, DropoutDraws, Init, Net, Optim, OptimizerSettings, Rate, Role, Roles, parameters,
    step_memory, training,
};
use crate::checkpoint::AppPersistExt;
use crate::random::Stack;
use crate::report::Metrics;
use crate::schedule::{Learn, LearnSystems, Tick, TickPlugin};

/// What can go wrong in a gradient step: always a mistake in the algorithm.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum LearnerError {
    /// The loss was computed from plain tensors.
    #[error(
        "the loss of `{0}` records no gradient: compute it from `Learning<..>`, not from `Res<Net<..>>`, and not through `.no_grad()` or `.inner()`"
    )]
    NotRecorded(&'static str),
    /// The loss is recorded, and does not depend on this network.
    #[error(
        "the loss of `{0}` does not depend on its parameters: is it another network's loss, or was its output detached with `.stop_gradient()`?"
    )]
    NoGradient(&'static str),
    /// The loss is not one number.
    #[error(
        "the loss of `{role}` must be one number, and has {elements} elements: take its `.mean()` or `.sum()`"
    )]
    NotAScalar {
        /// The network.
        role: &'static str,
        /// How many numbers it is.
        elements: usize,
    },
    /// The loss is not one number for each learner of a stack.
    #[error(
        "the loss of `{role}` must be one number for each of the {learners} learners of the stack, and has {elements}: take `batch.mean(..)` over its rows, or leave `app.stacks()` out"
    )]
    NotOfEachLearner {
        /// The network.
        role: &'static str,
        /// How many numbers it is.
        elements: usize,
        /// How many learners there are.
        learners: usize,
    },
    /// A rule for a learning rate gave something that is none.
    #[error(
        "the learning rate of `{role}` is {value}: the rule that `sets_rate` was given must return a finite number that is not below 0"
    )]
    BadRate {
        /// The network.
        role: &'static str,
        /// What the rule gave.
        value: f64,
    },
    /// A rule for the rate of a network that nothing trains.
    #[error(
        "`sets_rate` was given a rule for `{0}`, and nothing here trains it: take the rule out, or an algorithm that says `add_learner` for it"
    )]
    NoRate(&'static str),
    /// A second rule for one rate.
    #[error("`sets_rate` was called twice for `{0}`, and one rule sets a rate: keep one")]
    TwoRules(&'static str),
}

/// The network of role `R` in training: use it as the network itself, then [`descend`](Learning::descend) the loss.
///
/// What it computes is tracked, and its dropout is on: here and nowhere else.
///
/// ```
/// use yarak::prelude::*;
///
/// fn imitate(batch: Res<Batch>, mut actor: Learning<Actor>, mut metrics: ResMut<Metrics>) -> Result {
///     let loss = losses::mse(actor.act(batch.observation.clone()), batch.action.clone());
///     metrics.record("actor/loss", loss.clone());
///     actor.descend(loss)?;
///     Ok(())
/// }
/// ```
#[derive(SystemParam)]
pub struct Learning<'w, R: Role> {
    net: ResMut<'w, Net<R>>,
    optim: ResMut<'w, Optim<R>>,
    rate: Res<'w, Rate<R>>,
    tick: Res<'w, Tick<R>>,
    dropout: Res<'w, DropoutDraws>,
}

/// What a gradient step was like.
pub struct Descent {
    /// The norm of each member's gradient before clipping, `[members]`.
    pub gradient_norm: Tensor<1>,
}

impl<R: Role> Learning<'_, R> {
    /// The same network for inference: nothing that it computes is recorded.
    pub fn plain(&self) -> &R::Network {
        &self.net
    }

    /// One step of the optimizer against the gradient of `loss`: one number, and in a stack one for each learner. Outside the network's
    /// epochs of training, which its [`OptimizerSettings`] say, the network stays as it is.
    ///
    /// # Errors
    /// When the loss is not one number, or does not depend on this network.
    pub fn descend(&mut self, loss: Tensor<1>) -> Result<Descent, LearnerError> {
        let (elements, learners) = (loss.dims()[0], self.optim.learners);
        if elements != learners {
            let role = R::NAME;
            return Err(match learners {
                1 => LearnerError::NotAScalar { role, elements },
                _ => LearnerError::NotOfEachLearner {
                    role,
                    elements,
                    learners,
                },
            });
        }
        if !loss.device().is_autodiff() {
            return Err(LearnerError::NotRecorded(R::NAME));
        }
        // No learner's loss depends on another's network, so that each has the gradient of its own loss.
        let loss = match learners {
            1 => loss,
            _ => loss.sum(),
        };
        let mut gradients = loss.backward();
        // The graph's copies of the parameters go before they are changed, so that they are changed in place.
        drop(loss);
        let gradients = parameters::gradients(self.net.recording(), &mut gradients);
        if gradients.iter().all(Option::is_none) {
            return Err(LearnerError::NoGradient(R::NAME));
        }
        if !self.tick.active {
            let gradient_norm = Optim::<R>::norm(&self.net, &gradients);
            return Ok(Descent { gradient_norm });
        }
        let rate = self.rate.current;
        let mut norm = None;
        self.net.change(|network| {
            let (network, gradient_norm) = self.optim.step(network, gradients, rate);
            norm = Some(gradient_norm);
            network
        });
        Ok(Descent {
            gradient_norm: norm.expect("`change` calls its argument once"),
        })
    }
}

impl<R: Role> Deref for Learning<'_, R> {
    type Target = R::Network;

    fn deref(&self) -> &R::Network {
        self.dropout.begin();
        self.net.recording()
    }
}

impl<R: Role> Drop for Learning<'_, R> {
    fn drop(&mut self) {
        training::end();
    }
}

/// Declares networks on an [`App`].
pub trait AppLearnerExt {
    /// Adds what trains role `R`: its [`Optim`], [`Rate`] and [`Tick`], the systems that move them, the streams of
    /// initial weights and of dropout, and their place in checkpoints. The network itself, [`Net<R>`], is inserted in `Startup`, when
    /// the sizes are known.
    fn add_learner<R: Role>(&mut self, optimizer: OptimizerSettings) -> &mut Self;

    /// The app's algorithm can learn in a stack: its networks are members of one network of several learners (`--stacked`), whose
    /// minibatches lie one behind the other in a batch. Its steps draw by the own methods of [`Random`](super::Random), compute row by
    /// row, and take means over rows by [`Batch::mean`](crate::data::Batch::mean).
    fn stacks(&mut self) -> &mut Self;

    /// Sets the learning rate of role `R` by a rule of your own, in the place of the schedule in its settings. The rule is a system that
    /// is given how many updates the network has taken, and returns the rate of the next one: a finite number that is not below 0.
    ///
    /// It runs before every gradient step, behind the counters, in a slot of its own with the role's name, such as `ActorRate`. So a run repeats and resumes bit for bit
    /// where what the rule reads does: its argument, counters, settings, and resources that persist.
    ///
    /// ```
    /// use yarak::prelude::*;
    /// use yarak::testing::{Mistake, Trial};
    ///
    /// /// 3e-4 / √(1 + n / 1000).
    /// fn rate(In(updates): In<u64>) -> f64 {
    ///     3e-4 / (1.0 + updates as f64 / 1_000.0).sqrt()
    /// }
    ///
    /// let bc = Bc { minibatch: MinibatchSettings::of(32), ..default() };
    /// let trial = Trial::of(bc).with(|app| {
    ///     app.sets_rate::<Actor, _>(rate);
    /// });
    /// trial.losses_are_finite()?;
    /// trial.resumes_exactly()?;
    /// # Ok::<(), Mistake>(())
    /// ```
    fn sets_rate<R: Role, M>(&mut self, rule: impl IntoSystem<In<u64>, f64, M>) -> &mut Self;
}

impl AppLearnerExt for App {
    fn add_learner<R: Role>(&mut self, optimizer: OptimizerSettings) -> &mut Self {
        let mut roles = self.world_mut().get_resource_or_init::<Roles>();
        roles.declare::<R>();
        look_at::<R>(self, &optimizer.learning_rate);
        let learners = Stack::learners_of(self.world());
        let optim = Optim::<R>::new(
            optimizer.rule,
            optimizer.weight_decay,
            optimizer.max_gradient_norm,
        );
        self.add_plugins(TickPlugin::<R>::new(optimizer.window()))
            .insert_resource(optim.of_learners(learners))
            .insert_resource(Rate::<R>::new(optimizer.learning_rate));
        check_targets(self);
        training::add_dropout(self);
        step_memory::weigh_network::<R>(self);
        self.add_random::<Init>()
            .add_systems(
                Learn,
                (record_rate::<R>, move_rate::<R>)
                    .chain()
                    .in_set(LearnSystems::Rates),
            )
            .persist::<Net<R>>()
            .persist::<Optim<R>>()
            .persist::<Tick<R>>()
            .persist::<Rate<R>>()
    }

    fn stacks(&mut self) -> &mut Self {
        self.insert_resource(Stacks)
    }

    fn sets_rate<R: Role, M>(&mut self, rule: impl IntoSystem<In<u64>, f64, M>) -> &mut Self {
        add_rule::<R, M>(self, rule);
        self
    }
}

/// The app's algorithm can learn in a stack.
#[derive(Resource)]
pub(crate) struct Stacks;

/// Records the rate of the step that was taken.
fn record_rate<R: Role>(rate: Res<Rate<R>>, mut metrics: ResMut<Metrics>) {
    metrics.record_latest(&format!("learning_rate/{}", R::NAME), rate.current);
}

#[cfg(test)]
mod tests {
    use crate::plugins::bc;
    use crate::prelude::*;
    use crate::schedule::take_failure;
    use crate::testing_data::tried_for;

    /// The step of behavior cloning with the mean over all rows.
    fn all_rows(batch: Res<Batch>, mut actor: Learning<Actor>) -> Result {
        let loss = bc::imitation_loss(&actor, &batch).mean();
        actor.descend(loss)?;
        Ok(())
    }

    #[test]
    fn a_stacks_loss_that_is_not_of_each_learner_is_refused_with_the_word_to_write() {
        let said = |seeds: &[u64]| {
            let algorithm = |app: &mut App| {
                app.add_plugins(Bc {
                    minibatch: MinibatchSettings::of(8),
                    ..default()
                })
                .replace(Learn, LearnSystems::Actor, all_rows);
            };
            let _ = tried_for(seeds, algorithm, 1);
            take_failure().map(|failure| failure.message)
        };
        assert_eq!(said(&[1]), None);
        let refused = said(&[1, 2]).unwrap();
        for part in ["for each of the 2 learners", "and has 1", "batch.mean(..)"] {
            assert!(refused.contains(part), "{refused}");
        }
    }
}
