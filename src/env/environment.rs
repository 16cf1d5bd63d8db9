//! The interface of an environment: reset, step, and what a step answers.

use super::{Drawing, EnvironmentError, Snapshot, Space};

/// What a step returns next to the observation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepResult {
    /// The reward of this step, unscaled, in the task's own unit.
    pub reward: f64,
    /// The task is over: no return follows, so a learner must not bootstrap from the observation.
    pub terminated: bool,
    /// The episode was cut, by a time limit for instance, while the task would have gone on: a learner bootstraps from the
    /// observation, unless `terminated` is true as well (a task can end in the very step that meets the limit).
    pub truncated: bool,
}

impl StepResult {
    /// Whether the episode ended, in either way; the next call must be [`Environment::reset`].
    #[must_use]
    pub fn ended(&self) -> bool {
        self.terminated || self.truncated
    }
}

/// A world that an agent acts in, one step at a time (Gymnasium's `Env`).
///
/// The caller owns the memory of observations, so that nothing is allocated in [`step`](Self::step). After an error the
/// environment and the observation are as they were before the call.
///
/// For a task that is given by equations, implement [`Dynamics`](super::Dynamics) instead: seeding, checks and snapshots
/// come with [`Simulation`](super::Simulation).
///
/// ```
/// use yarak::env::{Environment, Pendulum, Simulation};
///
/// let mut pendulum = Simulation::new(Pendulum);
/// let mut observation = vec![0.0; pendulum.observation_space().size()];
/// pendulum.reset(Some(42), &mut observation)?;
/// let outcome = pendulum.step(&[1.0], &mut observation)?;
/// assert!(outcome.reward <= 0.0 && !outcome.ended());
/// # Ok::<(), yarak::env::EnvironmentError>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an environment",
    note = "a type that implements `Dynamics` becomes one with `Simulation::new(..)`; a name becomes one with `registry::make(..)`"
)]
pub trait Environment: Send {
    /// The name that the registry and the errors use, such as `Pendulum-v1`.
    fn name(&self) -> &str;

    /// What observations look like; `reset` and `step` write [`Space::size`] numbers.
    fn observation_space(&self) -> &Space;

    /// What actions look like; `step` reads [`Space::size`] numbers.
    fn action_space(&self) -> &Space;

    /// Starts an episode and writes its first observation, `[observation]`.
    ///
    /// With a seed, the generator starts afresh from it, as `numpy.random.default_rng(seed)` would. Without one, the
    /// generator goes on where it is, so that `reset(Some(seed))` followed by many `reset(None)` is one repeatable stream.
    ///
    /// # Errors
    /// [`EnvironmentError::Unseeded`] when no reset ever had a seed, [`EnvironmentError::ObservationLength`].
    fn reset(&mut self, seed: Option<u64>, observation: &mut [f32])
    -> Result<(), EnvironmentError>;

    /// Acts once and writes the next observation, `[observation]`.
    ///
    /// `action` is `[action]` numbers for a box, which may lie outside of its bounds where the task clips them, or one
    /// number for a discrete space: the index of the choice, from 0.
    ///
    /// # Errors
    /// [`EnvironmentError::ActionLength`], [`EnvironmentError::ActionNotFinite`], [`EnvironmentError::ActionIndex`] and
    /// [`EnvironmentError::ObservationLength`] for wrong arguments; [`EnvironmentError::NotReset`] and
    /// [`EnvironmentError::EpisodeOver`] when there is no running episode.
    fn step(
        &mut self,
        action: &[f32],
        observation: &mut [f32],
    ) -> Result<StepResult, EnvironmentError>;

    /// The exact state, generator included.
    fn snapshot(&self) -> Snapshot;

    /// Goes back to a state that [`snapshot`](Self::snapshot) took; what follows is equal to the bit.
    ///
    /// # Errors
    /// [`EnvironmentError::Snapshot`] when it was taken from another environment or was damaged.
    fn restore(&mut self, snapshot: &Snapshot) -> Result<(), EnvironmentError>;

    /// Whether the task was solved in this episode, as of the last step: `info["success"]` or `info["is_success"]` of Gymnasium. `None`,
    /// unless said otherwise: the environment does not say.
    fn is_success(&self) -> Option<bool> {
        None
    }

    /// What there is to see now, for [videos](crate::evaluate::video) of episodes. `None`, unless said otherwise: it cannot be
    /// drawn, or no episode was started.
    fn drawing(&self) -> Option<Drawing> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn either_end_ends_an_episode() {
        let outcome = |terminated, truncated| StepResult {
            reward: 0.0,
            terminated,
            truncated,
        };
        assert!(outcome(true, false).ended());
        assert!(outcome(false, true).ended());
        assert!(!outcome(false, false).ended());
    }
}
