//! A limit on the length of episodes, which truncates them and never terminates them.

use std::num::NonZeroU64;

use super::{Drawing, Environment, EnvironmentError, Snapshot, Space, StepResult};

/// An environment whose episodes are truncated after so many steps (Gymnasium's `TimeLimit`).
///
/// A step that both meets the limit and ends the task is terminated *and* truncated.
///
/// ```
/// use std::num::NonZeroU64;
/// use yarak::env::{Environment, Pendulum, Simulation, TimeLimit};
///
/// let three = NonZeroU64::new(3).unwrap();
/// let mut pendulum = TimeLimit::new(Simulation::new(Pendulum), three);
/// let mut observation = [0.0; 3];
/// pendulum.reset(Some(0), &mut observation)?;
/// assert!(!pendulum.step(&[0.0], &mut observation)?.truncated);
/// assert!(!pendulum.step(&[0.0], &mut observation)?.truncated);
/// assert!(pendulum.step(&[0.0], &mut observation)?.truncated);
/// # Ok::<(), yarak::env::EnvironmentError>(())
/// ```
#[derive(Clone, Debug)]
pub struct TimeLimit<E> {
    inner: E,
    limit: NonZeroU64,
    steps: u64,
    cut: bool,
}

impl<E: Environment> TimeLimit<E> {
    /// Truncates the episodes of `inner` after `limit` steps.
    #[must_use]
    pub fn new(inner: E, limit: NonZeroU64) -> Self {
        Self {
            inner,
            limit,
            steps: 0,
            cut: false,
        }
    }
}

impl<E: Environment> Environment for TimeLimit<E> {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn observation_space(&self) -> &Space {
        self.inner.observation_space()
    }

    fn action_space(&self) -> &Space {
        self.inner.action_space()
    }

    fn reset(
        &mut self,
        seed: Option<u64>,
        observation: &mut [f32],
    ) -> Result<(), EnvironmentError> {
        self.inner.reset(seed, observation)?;
        self.steps = 0;
        self.cut = false;
        Ok(())
    }

    fn step(
        &mut self,
        action: &[f32],
        observation: &mut [f32],
    ) -> Result<StepResult, EnvironmentError> {
        if self.cut {
            return Err(EnvironmentError::EpisodeOver {
                environment: self.name().to_owned(),
            });
        }
        let mut outcome = self.inner.step(action, observation)?;
        self.steps += 1;
        self.cut = self.steps >= self.limit.get();
        outcome.truncated |= self.cut;
        Ok(outcome)
    }

    fn snapshot(&self) -> Snapshot {
        let mut snapshot = self.inner.snapshot();
        snapshot.over |= self.cut;
        snapshot
    }

    fn is_success(&self) -> Option<bool> {
        self.inner.is_success()
    }

    fn drawing(&self) -> Option<Drawing> {
        self.inner.drawing()
    }

    fn restore(&mut self, snapshot: &Snapshot) -> Result<(), EnvironmentError> {
        self.inner.restore(snapshot)?;
        self.steps = snapshot.steps;
        self.cut = snapshot.over;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{CartPole, Pendulum, Simulation};
    use super::*;

    fn limited<D: super::super::Dynamics>(dynamics: D, limit: u64) -> TimeLimit<Simulation<D>> {
        TimeLimit::new(Simulation::new(dynamics), NonZeroU64::new(limit).unwrap())
    }

    #[test]
    fn limit_truncates_without_terminating_and_starts_again_at_reset() {
        let mut pendulum = limited(Pendulum, 4);
        let mut observation = [0.0; 3];
        pendulum.reset(Some(0), &mut observation).unwrap();
        for _ in 0..2 {
            for step in 1..=4 {
                let outcome = pendulum.step(&[1.0], &mut observation).unwrap();
                assert_eq!(outcome.truncated, step == 4);
                assert!(!outcome.terminated);
            }
            assert!(matches!(
                pendulum.step(&[1.0], &mut observation),
                Err(EnvironmentError::EpisodeOver { .. })
            ));
            pendulum.reset(None, &mut observation).unwrap();
        }
    }

    #[test]
    fn termination_in_the_last_step_is_both_ends() {
        let mut free = Simulation::new(CartPole);
        let mut observation = [0.0; 4];
        free.reset(Some(0), &mut observation).unwrap();
        let mut length = 1;
        while !free.step(&[0.0], &mut observation).unwrap().terminated {
            length += 1;
        }
        let mut cut = limited(CartPole, length);
        cut.reset(Some(0), &mut observation).unwrap();
        for _ in 1..length {
            assert!(!cut.step(&[0.0], &mut observation).unwrap().ended());
        }
        let last = cut.step(&[0.0], &mut observation).unwrap();
        assert!(last.terminated && last.truncated);
    }

    #[test]
    fn refused_step_does_not_count() {
        let mut pendulum = limited(Pendulum, 2);
        let mut observation = [0.0; 3];
        pendulum.reset(Some(0), &mut observation).unwrap();
        for _ in 0..5 {
            assert!(pendulum.step(&[f32::NAN], &mut observation).is_err());
        }
        assert!(!pendulum.step(&[0.0], &mut observation).unwrap().truncated);
        assert!(pendulum.step(&[0.0], &mut observation).unwrap().truncated);
    }

    #[test]
    fn restored_environment_keeps_its_remaining_steps_and_its_end() {
        let mut pendulum = limited(Pendulum, 3);
        let mut observation = [0.0; 3];
        pendulum.reset(Some(0), &mut observation).unwrap();
        pendulum.step(&[0.0], &mut observation).unwrap();
        let mut twin = limited(Pendulum, 3);
        twin.restore(&pendulum.snapshot()).unwrap();
        assert!(!twin.step(&[0.0], &mut observation).unwrap().truncated);
        assert!(twin.step(&[0.0], &mut observation).unwrap().truncated);

        let ended = twin.snapshot();
        assert!(ended.over);
        pendulum.restore(&ended).unwrap();
        assert!(matches!(
            pendulum.step(&[0.0], &mut observation),
            Err(EnvironmentError::EpisodeOver { .. })
        ));
        pendulum.reset(None, &mut observation).unwrap();
        pendulum.step(&[0.0], &mut observation).unwrap();
    }
}
