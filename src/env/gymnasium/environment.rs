//! Environments of a worker, one at a time: for evaluation, and for whoever wants an [`Environment`].

use std::cell::RefCell;
use std::sync::{Arc, Mutex, PoisonError};

use super::{BridgeError, Worker, WorkerSettings, closing_time};
use crate::env::{Environment, EnvironmentError, Snapshot, Space, StepResult};

thread_local! {
    /// Workers that nobody uses just now. Starting Python takes a second, and an evaluation comes again and again, on its learner's
    /// thread. With the thread they go.
    static IDLE: RefCell<Idle> = const { RefCell::new(Idle(Vec::new())) };
}

struct Idle(Vec<Worker>);

impl Drop for Idle {
    fn drop(&mut self) {
        let until = closing_time();
        self.0.iter_mut().for_each(|worker| worker.leave(until));
    }
}

/// Lets this thread's idle workers close their environments and end.
pub(crate) fn close_idle() {
    drop(IDLE.replace(Idle(Vec::new())));
}

/// Workers of finished evaluations that are kept.
const KEPT: usize = 4;

/// A worker that several environments share; the last one gives it back.
#[derive(Debug)]
struct Shared(Mutex<Option<Worker>>);

impl Drop for Shared {
    fn drop(&mut self) {
        let worker = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(worker) = worker.take().filter(Worker::is_sound) {
            // Where the thread itself ends there is nobody to keep it for.
            let _ = IDLE.try_with(|idle| match idle.try_borrow_mut() {
                Ok(mut idle) if idle.0.len() < KEPT => idle.0.push(worker),
                _ => drop(worker),
            });
        }
    }
}

/// One environment of a Python process. Each step is a question and an answer, some twenty microseconds besides the step itself;
/// [`Environments`](crate::collect::Environments) asks for all of its environments at once.
#[derive(Debug)]
pub struct GymnasiumEnvironment {
    shared: Arc<Shared>,
    row: usize,
    name: String,
    observation: Space,
    action: Space,
    seeded: bool,
    episode: Option<bool>,
    steps: u64,
    success: Option<bool>,
}

/// The environments of a worker.
pub(super) fn share(settings: &WorkerSettings) -> Result<Vec<GymnasiumEnvironment>, BridgeError> {
    let found = {
        let take = |idle: &mut Idle| {
            let place = idle.0.iter().position(|it| it.settings() == settings);
            place.map(|place| idle.0.swap_remove(place))
        };
        IDLE.with_borrow_mut(take)
    };
    let worker = match found {
        Some(worker) => worker,
        None => {
            let started = Worker::start(std::slice::from_ref(settings))?.pop();
            started.ok_or_else(|| BridgeError::NotHere {
                environment: settings.environment(),
            })?
        }
    };
    let spaces = worker.spaces().clone();
    let shared = Arc::new(Shared(Mutex::new(Some(worker))));
    let environments = (0..settings.num_envs).map(|row| GymnasiumEnvironment {
        shared: shared.clone(),
        row,
        name: settings.environment(),
        observation: spaces.observation.clone(),
        action: spaces.action.clone(),
        seeded: false,
        episode: None,
        steps: 0,
        success: None,
    });
    Ok(environments.collect())
}

impl GymnasiumEnvironment {
    /// Asks and takes the one answer.
    fn ask(
        &self,
        observation: &mut [f32],
        question: impl FnOnce(&mut Worker) -> Result<(), BridgeError>,
    ) -> Result<(StepResult, Option<bool>), EnvironmentError> {
        let mut worker = self.shared.0.lock().unwrap_or_else(PoisonError::into_inner);
        let gone = || BridgeError::Died {
            environment: self.name.clone(),
            status: "it was ended after an error".to_owned(),
        };
        let worker = worker
            .as_mut()
            .filter(|it| it.is_sound())
            .ok_or_else(gone)?;
        question(worker)?;
        let mut outcome = None;
        worker.receive(|_, answer| {
            observation.copy_from_slice(answer.observation);
            let result = StepResult {
                reward: answer.reward,
                terminated: answer.terminated,
                truncated: answer.truncated,
            };
            outcome = Some((result, answer.success));
        })?;
        Ok(outcome.ok_or_else(gone)?)
    }
}

impl Environment for GymnasiumEnvironment {
    fn name(&self) -> &str {
        &self.name
    }

    fn observation_space(&self) -> &Space {
        &self.observation
    }

    fn action_space(&self) -> &Space {
        &self.action
    }

    fn reset(
        &mut self,
        seed: Option<u64>,
        observation: &mut [f32],
    ) -> Result<(), EnvironmentError> {
        self.observation
            .check_observation(&self.name, observation)?;
        if seed.is_none() && !self.seeded {
            return Err(EnvironmentError::Unseeded {
                environment: self.name.clone(),
            });
        }
        let row = self.row;
        self.ask(observation, |worker| {
            worker.ask_reset(std::iter::once((row, seed)))
        })?;
        (self.seeded, self.episode, self.steps) = (true, Some(false), 0);
        self.success = None;
        Ok(())
    }

    fn step(
        &mut self,
        action: &[f32],
        observation: &mut [f32],
    ) -> Result<StepResult, EnvironmentError> {
        self.action.check_action(&self.name, action)?;
        self.observation
            .check_observation(&self.name, observation)?;
        let environment = || self.name.clone();
        match self.episode {
            None => {
                return Err(EnvironmentError::NotReset {
                    environment: environment(),
                });
            }
            Some(true) => {
                return Err(EnvironmentError::EpisodeOver {
                    environment: environment(),
                });
            }
            Some(false) => {}
        }
        let row = self.row;
        let (outcome, success) = self.ask(observation, |worker| {
            worker.ask_step(std::iter::once((row, action)))
        })?;
        self.success = success;
        self.steps += 1;
        self.episode = Some(outcome.ended());
        Ok(outcome)
    }

    fn is_success(&self) -> Option<bool> {
        self.success
    }

    /// The name and the steps: what Python holds cannot be seen.
    fn snapshot(&self) -> Snapshot {
        Snapshot {
            environment: self.name.clone(),
            generator: None,
            state: Vec::new(),
            steps: self.steps,
            over: self.episode == Some(true),
        }
    }

    fn restore(&mut self, _: &Snapshot) -> Result<(), EnvironmentError> {
        Err(EnvironmentError::Snapshot {
            environment: self.name.clone(),
            problem: "the state of an environment in Python cannot be saved".to_owned(),
        })
    }
}
