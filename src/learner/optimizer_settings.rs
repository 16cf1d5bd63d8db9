//! How a network is trained, as a scene chooses it.

use bevy_reflect::Reflect;
use bevy_reflect::prelude::ReflectDefault;

use super::{Optimizer, Schedule};
use crate::scene::{Bounds, FieldProblems};
use crate::schedule::EpochWindow;

/// How a network is trained: the `optimizer` of every network's settings, and what
/// [`add_learner`](super::AppLearnerExt::add_learner) takes.
///
/// ```
/// use yarak::prelude::*;
///
/// let plain = OptimizerSettings::default();
/// assert_eq!((plain.rule, plain.learning_rate), (Optimizer::adam(), Schedule::Constant(3e-4)));
/// assert_eq!(OptimizerSettings::at(1e-3).learning_rate, Schedule::Constant(1e-3));
/// ```
#[derive(Clone, Debug, PartialEq, Reflect)]
#[reflect(Default)]
pub struct OptimizerSettings {
    /// The rule that turns gradients into steps.
    pub rule: Optimizer,
    /// The learning rate, over the network's own updates and epochs.
    pub learning_rate: Schedule,
    /// Weight decay: decoupled for AdamW, in the gradient for the others.
    #[reflect(@Bounds::at_least(0.0))]
    pub weight_decay: f32,
    /// The norm that the gradient is clipped to, each critic's on its own. None: not clipped.
    #[reflect(@Bounds::above(0.0))]
    pub max_gradient_norm: Option<f32>,
    /// The first epoch of training, from 1. None: from the start.
    #[reflect(@Bounds::at_least(1.0))]
    pub start_epoch: Option<u64>,
    /// The first epoch without training. None: to the end.
    #[reflect(@Bounds::at_least(1.0))]
    pub end_epoch: Option<u64>,
}

impl Default for OptimizerSettings {
    /// Adam with 3e-4, without weight decay and clipping, in every epoch.
    fn default() -> Self {
        OptimizerSettings {
            rule: Optimizer::adam(),
            learning_rate: Schedule::Constant(3e-4),
            weight_decay: 0.0,
            max_gradient_norm: None,
            start_epoch: None,
            end_epoch: None,
        }
    }
}

impl OptimizerSettings {
    /// The defaults with another constant learning rate, at least 0.
    pub fn at(learning_rate: f64) -> Self {
        OptimizerSettings {
            learning_rate: Schedule::Constant(learning_rate),
            ..OptimizerSettings::default()
        }
    }

    /// The epochs in which the network is trained.
    pub fn window(&self) -> EpochWindow {
        EpochWindow {
            start_epoch: self.start_epoch,
            end_epoch: self.end_epoch,
        }
    }

    /// Refuses what contradicts itself, for [`Settings::check`](crate::scene::Settings::check); `field` is where these settings
    /// are, such as `actor.optimizer`.
    pub fn check(&self, field: &str, problems: &mut FieldProblems) {
        self.learning_rate
            .check(&format!("{field}.learning_rate"), problems);
        let start = self.start_epoch.unwrap_or(1);
        if self.end_epoch.is_some_and(|end| end <= start) {
            problems.refuse(
                format!("{field}.end_epoch"),
                "must be after `start_epoch`, or the network is never trained",
            );
        }
    }
}
