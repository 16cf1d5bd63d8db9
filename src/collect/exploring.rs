//! What a step that acts in the environments needs.

use bevy_ecs::prelude::*;
use bevy_ecs::system::SystemParam;
use burn::tensor::Tensor;

use super::rows::preprocessed;
use super::{Actions, Exploration, Observations, Seen};
use crate::data::{Preprocessing, ScaleError};
use crate::learner::{ComputeDevice, Random};
use crate::schedule::{Clock, LearningStarts};

/// Everything that a step in [`CollectSystems::Act`](crate::schedule::CollectSystems::Act) needs besides its policy: what the
/// environments show, the random stream of exploration, and where the actions go.
///
/// ```
/// use yarak::prelude::*;
///
/// /// The policy's actions with some noise.
/// fn explore(actor: Res<Net<Actor>>, mut exploring: Exploring) -> Result {
///     let action = actor.act(exploring.observation()?);
///     exploring.actions.take(action);
///     let draws = exploring.random.normals(exploring.actions.values.len());
///     for (action, draw) in exploring.actions.values.iter_mut().zip(draws) {
///         *action = (*action + 0.1 * draw).clamp(-1.0, 1.0);
///     }
///     Ok(())
/// }
/// ```
#[derive(SystemParam)]
pub struct Exploring<'w> {
    observations: Res<'w, Observations>,
    seen: Option<Res<'w, Seen>>,
    preprocessing: Res<'w, Preprocessing>,
    device: Res<'w, ComputeDevice>,
    clock: Option<Res<'w, Clock>>,
    starts: Option<Res<'w, LearningStarts>>,
    /// The random stream.
    pub random: ResMut<'w, Random<Exploration>>,
    /// What the environments are to do.
    pub actions: ResMut<'w, Actions>,
}

impl Exploring<'_> {
    /// What networks see of the environments, `[environments, observation]`.
    ///
    /// # Errors
    /// When the preprocessing was made for observations of another width, or the policy's memory
    /// [resets](crate::nn::Horizon::Resetting).
    pub fn observation(&self) -> Result<Tensor<2>, ScaleError> {
        let rows = match &self.seen {
            Some(seen) if seen.resets() => return Err(ScaleError::Resets),
            Some(seen) => &seen.now,
            None => &**self.observations,
        };
        preprocessed(rows, &self.preprocessing.observation, &self.device.plain())
    }

    /// Whether the run only collects as yet, with actions at random: up to step `learning_starts` of its
    /// [`OffPolicySettings`](crate::data::OffPolicySettings).
    pub fn is_warming_up(&self) -> bool {
        match (&self.clock, &self.starts) {
            (Some(clock), Some(starts)) => clock.step <= starts.0,
            // Outside of a run.
            _ => false,
        }
    }

    /// Uniform actions in [-1, 1], for boxes.
    pub fn act_uniformly(&mut self) {
        let n = self.actions.values.len();
        self.actions.values = self.random.uniforms(n, -1.0, 1.0);
    }
}
