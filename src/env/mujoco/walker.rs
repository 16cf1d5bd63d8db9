//! A planar walker as an environment: seeding, stepping, rewards, snapshots.

use super::binding::{Parts, Simulated};
use super::drawing::drawing;
use super::task::{FirstVelocities, Task};
use crate::env::{
    Drawing, Environment, EnvironmentError, NumpyRandom, Snapshot, Space, StepResult,
};

/// One planar walker, simulated by MuJoCo.
pub(super) struct Walker {
    task: &'static Task,
    simulated: Simulated,
    parts: Parts,
    observation_space: Space,
    action_space: Space,
    generator: Option<NumpyRandom>,
    /// The model's own positions, around which episodes start.
    rest: Vec<f64>,
    positions: Vec<f64>,
    velocities: Vec<f64>,
    controls: Vec<f64>,
    episode: Option<Episode>,
}

struct Episode {
    steps: u64,
    over: bool,
}

impl Walker {
    /// A walker that waits for its first, seeded reset.
    pub fn new(task: &'static Task) -> Result<Self, EnvironmentError> {
        let model = task.compile()?;
        let parts = model.engine().parts();
        let version = model.engine().version();
        let simulated = Simulated::new(model).ok_or_else(|| super::MujocoError::Model {
            task: task.name.to_owned(),
            version,
            reason: "there is no memory for its state".to_owned(),
        })?;
        let mut rest = vec![0.0; task.joints];
        simulated.get(parts.position, &mut rest);
        Ok(Walker {
            task,
            simulated,
            parts,
            observation_space: task.observation_space(),
            action_space: task.action_space(),
            generator: None,
            positions: rest.clone(),
            rest,
            velocities: vec![0.0; task.joints],
            controls: vec![0.0; task.motors],
            episode: None,
        })
    }

    fn read(&mut self) {
        self.simulated.get(self.parts.position, &mut self.positions);
        self.simulated
            .get(self.parts.velocity, &mut self.velocities);
    }

    fn observe(&self, observation: &mut [f32]) {
        let (limit, shown) = (self.task.velocity_limit, &self.positions[1..]);
        let velocities = self.velocities.iter();
        let values = shown
            .iter()
            .copied()
            .chain(velocities.map(|velocity| velocity.clamp(-limit, limit)));
        for (to, value) in observation.iter_mut().zip(values) {
            *to = value as f32;
        }
    }

    /// Everything that the next step depends on, the library's version first: another one goes on in another way.
    fn state(&self) -> Vec<f64> {
        let model = self.simulated.model();
        let mut state = vec![0.0; 1 + model.size(self.parts.everything)];
        state[0] = model.engine().version().as_number();
        self.simulated.get(self.parts.everything, &mut state[1..]);
        state
    }
}

impl Environment for Walker {
    fn name(&self) -> &str {
        self.task.name
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
        let name = self.task.name;
        self.observation_space
            .check_observation(name, observation)?;
        if let Some(seed) = seed {
            self.generator = Some(NumpyRandom::new(seed));
        }
        let Some(generator) = &mut self.generator else {
            return Err(EnvironmentError::Unseeded {
                environment: name.to_owned(),
            });
        };
        let noise = self.task.noise;
        for (position, rest) in self.positions.iter_mut().zip(&self.rest) {
            *position = rest + generator.uniform(-noise, noise);
        }
        for velocity in &mut self.velocities {
            *velocity = match self.task.first_velocities {
                FirstVelocities::Uniform => generator.uniform(-noise, noise),
                FirstVelocities::Normal => noise * generator.standard_normal(),
            };
        }
        self.simulated.reset();
        self.simulated.set(self.parts.position, &self.positions);
        self.simulated.set(self.parts.velocity, &self.velocities);
        // The solver of the first step starts from what this finds.
        self.simulated.forward();
        self.observe(observation);
        self.episode = Some(Episode {
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
        let task = self.task;
        self.action_space.check_action(task.name, action)?;
        self.observation_space
            .check_observation(task.name, observation)?;
        match &mut self.episode {
            None => {
                return Err(EnvironmentError::NotReset {
                    environment: task.name.to_owned(),
                });
            }
            Some(episode) if episode.over => {
                return Err(EnvironmentError::EpisodeOver {
                    environment: task.name.to_owned(),
                });
            }
            Some(episode) => episode.steps += 1,
        }
        let before = self.positions[0];
        for (control, action) in self.controls.iter_mut().zip(action) {
            *control = f64::from(*action);
        }
        self.simulated.set(self.parts.control, &self.controls);
        for _ in 0..task.frames {
            self.simulated.step();
        }
        self.read();
        self.observe(observation);

        let speed = (self.positions[0] - before) / task.seconds();
        let healthy = task.is_healthy(&self.positions, &self.velocities);
        let survived = f64::from(u8::from(task.healthy.is_some() && healthy));
        // NumPy adds and scales the squares of single numbers in single precision (NEP 50).
        let squares: f32 = action.iter().map(|action| action * action).sum();
        let cost = f64::from(task.control_cost * squares);
        if let Some(episode) = &mut self.episode {
            episode.over = !healthy;
        }
        Ok(StepResult {
            reward: speed + survived - cost,
            terminated: !healthy,
            truncated: false,
        })
    }

    fn drawing(&self) -> Option<Drawing> {
        self.episode.as_ref()?;
        let task = self.task;
        Some(drawing(task.limbs, &self.positions, task.seconds()))
    }

    fn snapshot(&self) -> Snapshot {
        let episode = self.episode.as_ref();
        Snapshot {
            environment: self.task.name.to_owned(),
            generator: self.generator.clone(),
            state: episode.map_or(Vec::new(), |_| self.state()),
            steps: episode.map_or(0, |episode| episode.steps),
            over: episode.is_some_and(|episode| episode.over),
        }
    }

    fn restore(&mut self, snapshot: &Snapshot) -> Result<(), EnvironmentError> {
        let refuse = |problem: String| {
            Err(EnvironmentError::Snapshot {
                environment: self.task.name.to_owned(),
                problem,
            })
        };
        if snapshot.environment != self.task.name {
            return refuse(format!("it was taken from `{}`", snapshot.environment));
        }
        if let Some(value) = snapshot.state.iter().find(|value| !value.is_finite()) {
            return refuse(format!("its state holds {value}"));
        }
        let model = self.simulated.model();
        let version = model.engine().version();
        let expected = 1 + model.size(self.parts.everything);
        let episode = match &snapshot.state[..] {
            [] => None,
            [taken_with, ..] if *taken_with != version.as_number() => {
                let number = *taken_with as u64;
                let [major, minor, patch] =
                    [number / 1_000_000, number / 1_000 % 1_000, number % 1_000];
                return refuse(format!(
                    "it was taken with MuJoCo {major}.{minor}.{patch}, and this is {version}, which would go on differently; `pip install mujoco=={major}.{minor}.{patch}`, or name that library in MUJOCO_LIB"
                ));
            }
            state if state.len() != expected => {
                return refuse(format!(
                    "its state has {} numbers and not {expected}",
                    state.len()
                ));
            }
            [_, everything @ ..] => {
                self.simulated.reset();
                self.simulated.set(self.parts.everything, everything);
                self.read();
                Some(Episode {
                    steps: snapshot.steps,
                    over: snapshot.over,
                })
            }
        };
        self.generator.clone_from(&snapshot.generator);
        self.episode = episode;
        Ok(())
    }
}
