//! What algorithms ask of their minibatches, and when they learn while environments run.

use bevy_reflect::Reflect;

use super::{ActionChunk, ExperiencePlugin, MinibatchPlugin};
use crate::scene::Bounds;

/// Minibatches: the `minibatch` of every algorithm that draws rows.
///
/// ```
/// use yarak::prelude::*;
///
/// let folded = MinibatchSettings::default().plugin(0.99, 3, false);
/// assert_eq!((folded.batch_size, folded.discount, folded.n_step), (256, 0.99, 3));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Reflect)]
pub struct MinibatchSettings {
    /// Rows in a minibatch.
    #[reflect(@Bounds::within(1.0, 10_000_000.0))]
    pub batch_size: usize,
    /// Gradient steps in an epoch. None: rows / batch_size of a dataset, rounded up, and 1000 with environments.
    #[reflect(@Bounds::at_least(1.0))]
    pub steps_per_epoch: Option<u64>,
}

impl Default for MinibatchSettings {
    fn default() -> Self {
        MinibatchSettings::of(256)
    }
}

impl MinibatchSettings {
    /// Minibatches of so many rows.
    pub fn of(batch_size: usize) -> Self {
        MinibatchSettings {
            batch_size,
            steps_per_epoch: None,
        }
    }

    /// What draws them, with so many rewards folded into one; `infinite_horizon` is [`MinibatchPlugin`]'s.
    pub fn plugin(&self, discount: f32, n_step: usize, infinite_horizon: bool) -> MinibatchPlugin {
        MinibatchPlugin {
            batch_size: self.batch_size,
            steps_per_epoch: self.steps_per_epoch,
            discount,
            n_step,
            infinite_horizon,
            past_actions: false,
            resets_at_horizon: false,
            chunk: ActionChunk::default(),
        }
    }
}

/// When an algorithm learns while environments run: the `off_policy` of every algorithm that can.
///
/// ```
/// use yarak::prelude::*;
///
/// let off_policy = OffPolicySettings { learning_starts: 1_000, ..default() };
/// let experience = off_policy.plugin(MinibatchSettings::of(64).plugin(0.99, 1, false));
/// assert_eq!((experience.minibatch.batch_size, experience.off_policy.train_freq), (64, 1));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Reflect)]
pub struct OffPolicySettings {
    /// Environment steps with uniformly random actions, before anything is learned.
    pub learning_starts: u64,
    /// Steps of every environment between two updates.
    #[reflect(@Bounds::at_least(1.0))]
    pub train_freq: u64,
    /// Gradient steps in an update.
    #[reflect(@Bounds::at_least(1.0))]
    pub gradient_steps: u64,
}

impl Default for OffPolicySettings {
    /// A gradient step after each step of every environment, from step 10,000 on.
    fn default() -> Self {
        OffPolicySettings {
            learning_starts: 10_000,
            train_freq: 1,
            gradient_steps: 1,
        }
    }
}

impl OffPolicySettings {
    /// What learns from a dataset or from environments, with these minibatches.
    pub fn plugin(&self, minibatch: MinibatchPlugin) -> ExperiencePlugin {
        ExperiencePlugin {
            minibatch,
            off_policy: *self,
        }
    }
}
