//! An environment from equations: the part that every simulated task shares.

use super::{Drawing, Environment, EnvironmentError, NumpyRandom, Snapshot, Space, StepResult};

/// The equations of a task: how it starts, how it moves, what is seen of it.
///
/// Implement it for a task whose whole state is a few numbers; [`Simulation`] adds seeding, checks and snapshots. Implement
/// [`Environment`] itself for a task with a world of its own, such as a physics engine.
///
/// ```
/// use yarak::env::{Dynamics, Environment, NumpyRandom, Simulation, Space};
///
/// /// A walker on a line who should stay near zero.
/// struct Walk;
///
/// impl Dynamics for Walk {
///     type State = [f64; 1];
///
///     fn name(&self) -> &str {
///         "Walk-v0"
///     }
///     fn observation_space(&self) -> Space {
///         Space::from_bounds(&[(-10.0, 10.0)])
///     }
///     fn action_space(&self) -> Space {
///         Space::Discrete { n: 2 }
///     }
///     fn begin(&self, generator: &mut NumpyRandom) -> [f64; 1] {
///         [generator.uniform(-1.0, 1.0)]
///     }
///     fn advance(&self, state: &mut [f64; 1], action: &[f32], _steps: u64) -> (f64, bool) {
///         state[0] += if action[0] == 1.0 { 1.0 } else { -1.0 };
///         (-state[0].abs(), state[0].abs() > 10.0)
///     }
///     fn observe(&self, state: &[f64; 1], observation: &mut [f32]) {
///         observation[0] = state[0] as f32;
///     }
/// }
///
/// let mut walk = Simulation::new(Walk);
/// let mut observation = [0.0];
/// walk.reset(Some(0), &mut observation)?;
/// assert!(!walk.step(&[1.0], &mut observation)?.ended());
/// # Ok::<(), yarak::env::EnvironmentError>(())
/// ```
pub trait Dynamics: Send {
    /// The physical state, an array of `f64`.
    type State: AsRef<[f64]> + AsMut<[f64]> + Clone + Default + Send;

    /// The name that errors and snapshots use, such as `Pendulum-v1`.
    fn name(&self) -> &str;

    /// What [`observe`](Self::observe) writes.
    fn observation_space(&self) -> Space;

    /// What [`advance`](Self::advance) reads.
    fn action_space(&self) -> Space;

    /// Draws the first state of an episode.
    fn begin(&self, generator: &mut NumpyRandom) -> Self::State;

    /// Moves the state by one step and returns the reward and whether the task is over.
    ///
    /// `action` has the length of the action space, is finite, and is a valid index for a discrete space; a box's bounds
    /// are for the task to clip. `steps` counts the steps that this episode has already taken.
    fn advance(&self, state: &mut Self::State, action: &[f32], steps: u64) -> (f64, bool);

    /// Moves several states by a step each, as [`advance`](Self::advance) would move every one of them, to the last bit. What is
    /// stepped in numbers overrides it where the equations can be computed side by side.
    ///
    /// All slices have one element a state, but `actions`, which has as many as the action space's size times that.
    fn advance_each(
        &self,
        states: &mut [Self::State],
        actions: &[f32],
        steps: &[u64],
        rewards: &mut [f64],
        terminated: &mut [bool],
    ) {
        let width = actions.len() / states.len().max(1);
        let actions = actions.chunks_exact(width.max(1));
        let answers = rewards.iter_mut().zip(terminated);
        for (((state, action), steps), (reward, terminated)) in
            states.iter_mut().zip(actions).zip(steps).zip(answers)
        {
            (*reward, *terminated) = self.advance(state, action, *steps);
        }
    }

    /// Writes what the agent sees of the state; `observation` has the length of the observation space.
    fn observe(&self, state: &Self::State, observation: &mut [f32]);

    /// What the state looks like, for [videos](crate::evaluate::video) of episodes. `None`, unless said otherwise.
    fn drawing(&self, _state: &Self::State) -> Option<Drawing> {
        None
    }
}

/// The [`Environment`] of some [`Dynamics`], without a time limit; [`TimeLimit`](super::TimeLimit) adds one.
///
/// ```
/// use yarak::env::{CartPole, Environment, EnvironmentError, Simulation};
///
/// let mut cart_pole = Simulation::new(CartPole);
/// let mut observation = [0.0; 4];
/// cart_pole.reset(Some(1), &mut observation)?;
/// assert!(matches!(
///     cart_pole.step(&[2.0], &mut observation),
///     Err(EnvironmentError::ActionIndex { .. })
/// ));
/// # Ok::<(), EnvironmentError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Simulation<D: Dynamics> {
    dynamics: D,
    observation_space: Space,
    action_space: Space,
    generator: Option<NumpyRandom>,
    episode: Option<Episode<D::State>>,
}

#[derive(Clone, Debug)]
struct Episode<S> {
    state: S,
    steps: u64,
    over: bool,
}

impl<D: Dynamics> Simulation<D> {
    /// An environment that waits for its first, seeded reset.
    #[must_use]
    pub fn new(dynamics: D) -> Self {
        Self {
            observation_space: dynamics.observation_space(),
            action_space: dynamics.action_space(),
            dynamics,
            generator: None,
            episode: None,
        }
    }
}

impl<D: Dynamics> Environment for Simulation<D> {
    fn name(&self) -> &str {
        self.dynamics.name()
    }

    fn observation_space(&self) -> &Space {
        &self.observation_space
    }

    fn action_space(&self) -> &Space {
        &self.action_space
    }

    fn reset(
        &mut self,
        seed: Option<u64>,
        observation: &mut [f32],
    ) -> Result<(), EnvironmentError> {
        self.observation_space
            .check_observation(self.dynamics.name(), observation)?;
        if let Some(seed) = seed {
            self.generator = Some(NumpyRandom::new(seed));
        }
        let Some(generator) = &mut self.generator else {
            return Err(EnvironmentError::Unseeded {
                environment: self.name().to_owned(),
            });
        };
        let state = self.dynamics.begin(generator);
        self.dynamics.observe(&state, observation);
        self.episode = Some(Episode {
            state,
            steps: 0,
            over: false,
        });
        Ok(())
    }

    fn step(
        &mut self,
        action: &[f32],
        observation: &mut [f32],
    ) -> Result<StepResult, EnvironmentError> {
        let name = self.dynamics.name();
        self.action_space.check_action(name, action)?;
        self.observation_space
            .check_observation(name, observation)?;
        let Some(episode) = &mut self.episode else {
            return Err(EnvironmentError::NotReset {
                environment: name.to_owned(),
            });
        };
        if episode.over {
            return Err(EnvironmentError::EpisodeOver {
                environment: name.to_owned(),
            });
        }
        let (reward, terminated) = self
            .dynamics
            .advance(&mut episode.state, action, episode.steps);
        self.dynamics.observe(&episode.state, observation);
        episode.steps += 1;
        episode.over = terminated;
        Ok(StepResult {
            reward,
            terminated,
            truncated: false,
        })
    }

    fn drawing(&self) -> Option<Drawing> {
        let episode = self.episode.as_ref()?;
        self.dynamics.drawing(&episode.state)
    }

    fn snapshot(&self) -> Snapshot {
        let episode = self.episode.as_ref();
        Snapshot {
            environment: self.name().to_owned(),
            generator: self.generator.clone(),
            state: episode.map_or(Vec::new(), |episode| episode.state.as_ref().to_vec()),
            steps: episode.map_or(0, |episode| episode.steps),
            over: episode.is_some_and(|episode| episode.over),
        }
    }

    fn restore(&mut self, snapshot: &Snapshot) -> Result<(), EnvironmentError> {
        let refuse = |problem: String| {
            Err(EnvironmentError::Snapshot {
                environment: self.dynamics.name().to_owned(),
                problem,
            })
        };
        if snapshot.environment != self.dynamics.name() {
            return refuse(format!("it was taken from `{}`", snapshot.environment));
        }
        if let Some(value) = snapshot.state.iter().find(|value| !value.is_finite()) {
            return refuse(format!("its state holds {value}"));
        }
        let mut state = D::State::default();
        let expected = state.as_ref().len();
        let episode = match snapshot.state.len() {
            0 => None,
            found if found == expected => {
                state.as_mut().copy_from_slice(&snapshot.state);
                Some(Episode {
                    state,
                    steps: snapshot.steps,
                    over: snapshot.over,
                })
            }
            found => return refuse(format!("its state has {found} numbers and not {expected}")),
        };
        self.generator.clone_from(&snapshot.generator);
        self.episode = episode;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{CartPole, Pendulum};
    use super::*;

    #[test]
    fn first_reset_needs_a_seed_and_later_ones_continue_the_stream() {
        let mut pendulum = Simulation::new(Pendulum);
        let mut observation = [0.0; 3];
        assert_eq!(
            pendulum.reset(None, &mut observation),
            Err(EnvironmentError::Unseeded {
                environment: "Pendulum-v1".to_owned()
            })
        );
        pendulum.reset(Some(9), &mut observation).unwrap();
        let first = pendulum.snapshot().state;
        pendulum.reset(None, &mut observation).unwrap();
        let second = pendulum.snapshot().state;
        assert_ne!(first, second);
        let mut generator = NumpyRandom::new(9);
        assert_eq!(first, Pendulum.begin(&mut generator));
        assert_eq!(second, Pendulum.begin(&mut generator));
    }

    #[test]
    fn refused_calls_leave_the_environment_as_it_was() {
        let mut pendulum = Simulation::new(Pendulum);
        let mut observation = [0.0; 3];
        assert!(matches!(
            pendulum.step(&[0.0], &mut observation),
            Err(EnvironmentError::NotReset { .. })
        ));
        pendulum.reset(Some(0), &mut observation).unwrap();
        let before = (pendulum.snapshot(), observation);
        assert!(pendulum.step(&[f32::NAN], &mut observation).is_err());
        assert!(pendulum.step(&[0.0, 0.0], &mut observation).is_err());
        assert!(pendulum.step(&[0.0], &mut [0.0; 2]).is_err());
        assert!(pendulum.reset(Some(1), &mut [0.0; 4]).is_err());
        assert_eq!((pendulum.snapshot(), observation), before);
    }

    #[test]
    fn stepping_after_a_termination_is_refused_until_the_next_reset() {
        let mut cart_pole = Simulation::new(CartPole);
        let mut observation = [0.0; 4];
        cart_pole.reset(Some(0), &mut observation).unwrap();
        while !cart_pole.step(&[1.0], &mut observation).unwrap().terminated {}
        assert_eq!(
            cart_pole.step(&[1.0], &mut observation),
            Err(EnvironmentError::EpisodeOver {
                environment: "CartPole-v1".to_owned()
            })
        );
        cart_pole.reset(None, &mut observation).unwrap();
        cart_pole.step(&[1.0], &mut observation).unwrap();
    }

    #[test]
    fn restored_twin_goes_on_to_the_bit_through_later_episodes() {
        let mut one = Simulation::new(CartPole);
        let (mut seen, mut twin_seen) = ([0.0; 4], [0.0; 4]);
        one.reset(Some(11), &mut seen).unwrap();
        for _ in 0..5 {
            one.step(&[0.0], &mut seen).unwrap();
        }
        let text = serde_json::to_string(&one.snapshot()).unwrap();
        let mut twin = Simulation::new(CartPole);
        twin.restore(&serde_json::from_str(&text).unwrap()).unwrap();
        for step in 0..100 {
            let action = [(step / 3 % 2) as f32];
            let outcome = one.step(&action, &mut seen).unwrap();
            assert_eq!(twin.step(&action, &mut twin_seen).unwrap(), outcome);
            assert_eq!(seen, twin_seen);
            if outcome.ended() {
                one.reset(None, &mut seen).unwrap();
                twin.reset(None, &mut twin_seen).unwrap();
            }
            assert_eq!(one.snapshot(), twin.snapshot());
        }
    }

    #[test]
    fn snapshot_before_any_reset_restores_the_waiting_environment() {
        let blank = Simulation::new(Pendulum).snapshot();
        let mut pendulum = Simulation::new(Pendulum);
        let mut observation = [0.0; 3];
        pendulum.reset(Some(0), &mut observation).unwrap();
        pendulum.restore(&blank).unwrap();
        assert!(matches!(
            pendulum.step(&[0.0], &mut observation),
            Err(EnvironmentError::NotReset { .. })
        ));
        assert!(matches!(
            pendulum.reset(None, &mut observation),
            Err(EnvironmentError::Unseeded { .. })
        ));
    }

    #[test]
    fn foreign_and_damaged_snapshots_are_refused() {
        let mut pendulum = Simulation::new(Pendulum);
        pendulum.reset(Some(0), &mut [0.0; 3]).unwrap();
        let good = pendulum.snapshot();
        let mut problem = |change: &dyn Fn(&mut Snapshot)| {
            let mut snapshot = good.clone();
            change(&mut snapshot);
            let message = pendulum.restore(&snapshot).unwrap_err().to_string();
            assert_eq!(pendulum.snapshot(), good, "nothing was restored");
            message
        };
        assert!(
            problem(&|snapshot| snapshot.environment = "CartPole-v1".to_owned())
                .contains("taken from `CartPole-v1`")
        );
        assert!(problem(&|snapshot| snapshot.state.push(0.0)).contains("3 numbers and not 2"));
        assert!(problem(&|snapshot| snapshot.state[0] = f64::NAN).contains("NaN"));
    }
}
