//! The planar walkers' definitions: what differs between them, and nothing that they share.

use std::sync::{Arc, Mutex, PoisonError};

use super::binding::{CompiledModel, Simulated};
use super::error::MujocoError;
use super::library::engine;
use super::limbs::{self, Limb};
use crate::env::Space;

/// How an episode of a task starts, is rewarded and ends: Gymnasium's definition, version 5.
pub(super) struct Task {
    /// Gymnasium's name.
    pub name: &'static str,
    /// The model, in MJCF.
    pub model: &'static str,
    /// What the model looks like.
    pub limbs: &'static [Limb],
    /// Steps of the physics in one of the environment.
    pub frames: u32,
    /// Seconds in a step of the physics; the model says the same.
    time_step: f64,
    /// Joints. The first three are the torso's: forwards, up, and its angle.
    pub joints: usize,
    /// Motors.
    pub motors: usize,
    /// The share of the sum of squared actions that is taken off the reward.
    pub control_cost: f32,
    /// First positions are this far from the model's, in either direction.
    pub noise: f64,
    /// How first velocities are drawn.
    pub first_velocities: FirstVelocities,
    /// Velocities are shown up to this.
    pub velocity_limit: f64,
    /// What earns the reward of a step survived, and ends the episode when it is left; `None`: nothing does.
    pub healthy: Option<Healthy>,
    compiled: Mutex<Option<Arc<CompiledModel>>>,
}

/// How first velocities are drawn, all of them with the noise of the positions.
#[derive(Clone, Copy)]
pub(super) enum FirstVelocities {
    Uniform,
    Normal,
}

/// Open ranges.
pub(super) struct Healthy {
    /// Of the torso's height.
    height: (f64, f64),
    /// Of the torso's angle.
    angle: (f64, f64),
    /// Of everything but the first two positions.
    state: (f64, f64),
}

const ANY: (f64, f64) = (f64::NEG_INFINITY, f64::INFINITY);

pub(super) static HOPPER: Task = Task {
    name: "Hopper-v5",
    model: include_str!("../../../assets/mujoco/hopper.xml"),
    limbs: &limbs::HOPPER,
    frames: 4,
    time_step: 0.002,
    joints: 6,
    motors: 3,
    control_cost: 1e-3,
    noise: 5e-3,
    first_velocities: FirstVelocities::Uniform,
    velocity_limit: 10.0,
    healthy: Some(Healthy {
        height: (0.7, f64::INFINITY),
        angle: (-0.2, 0.2),
        state: (-100.0, 100.0),
    }),
    compiled: Mutex::new(None),
};

pub(super) static WALKER: Task = Task {
    name: "Walker2d-v5",
    model: include_str!("../../../assets/mujoco/walker2d.xml"),
    limbs: &limbs::WALKER,
    frames: 4,
    time_step: 0.002,
    joints: 9,
    motors: 6,
    control_cost: 1e-3,
    noise: 5e-3,
    first_velocities: FirstVelocities::Uniform,
    velocity_limit: 10.0,
    healthy: Some(Healthy {
        height: (0.8, 2.0),
        angle: (-1.0, 1.0),
        state: ANY,
    }),
    compiled: Mutex::new(None),
};

pub(super) static HALF_CHEETAH: Task = Task {
    name: "HalfCheetah-v5",
    model: include_str!("../../../assets/mujoco/half_cheetah.xml"),
    limbs: &limbs::HALF_CHEETAH,
    frames: 5,
    time_step: 0.01,
    joints: 9,
    motors: 6,
    control_cost: 0.1,
    noise: 0.1,
    first_velocities: FirstVelocities::Normal,
    velocity_limit: f64::INFINITY,
    healthy: None,
    compiled: Mutex::new(None),
};

impl Task {
    /// Positions without the first, which no policy needs, and velocities.
    pub fn observation_space(&self) -> Space {
        Space::from_bounds(&vec![ANY_SINGLE; 2 * self.joints - 1])
    }

    /// A share of each motor's torque, forwards or backwards.
    pub fn action_space(&self) -> Space {
        Space::from_bounds(&vec![(-1.0, 1.0); self.motors])
    }

    /// Seconds in a step of the environment.
    pub fn seconds(&self) -> f64 {
        self.time_step * f64::from(self.frames)
    }

    /// Whether this state may go on; NaN may not.
    pub fn is_healthy(&self, positions: &[f64], velocities: &[f64]) -> bool {
        let Some(healthy) = &self.healthy else {
            return true;
        };
        let within = |range: (f64, f64), value: f64| range.0 < value && value < range.1;
        within(healthy.height, positions[1])
            && within(healthy.angle, positions[2])
            && (healthy.state == ANY
                || positions[2..]
                    .iter()
                    .chain(velocities)
                    .all(|value| within(healthy.state, *value)))
    }

    /// The model, compiled once a process.
    pub fn compile(&self) -> Result<Arc<CompiledModel>, MujocoError> {
        let engine = engine()?;
        let mut compiled = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(model) = &*compiled {
            return Ok(model.clone());
        }
        let version = engine.version();
        let refused = |reason| MujocoError::Model {
            task: self.name.to_owned(),
            version,
            reason,
        };
        let model = with_file(self.model, |file| {
            CompiledModel::compile(engine.clone(), file)
        });
        let model = Arc::new(model.map_err(refused)?);
        self.check(&model).map_err(refused)?;
        *compiled = Some(model.clone());
        Ok(model)
    }

    /// A newer library may cut its state in another way, and one may compute in single precision: better refused than wrong.
    fn check(&self, model: &Arc<CompiledModel>) -> Result<(), String> {
        let parts = model.engine().parts();
        let expected = [
            ("positions", parts.position, self.joints),
            ("velocities", parts.velocity, self.joints),
            ("controls", parts.control, self.motors),
            (
                "numbers in its state",
                parts.everything,
                1 + 3 * self.joints + self.motors,
            ),
        ];
        for (what, part, expected) in expected {
            let found = model.size(part);
            if found != expected {
                return Err(format!("it has {found} {what} and not {expected}"));
            }
        }
        let Some(mut simulated) = Simulated::new(model.clone()) else {
            return Err("there is no memory for its state".to_owned());
        };
        let (there, mut back) = (vec![1.5; self.joints], vec![f64::NAN; self.joints]);
        simulated.set(parts.position, &there);
        simulated.get(parts.position, &mut back);
        if there != back {
            return Err("it was built for single precision".to_owned());
        }
        Ok(())
    }
}

const ANY_SINGLE: (f32, f32) = (f32::NEG_INFINITY, f32::INFINITY);

/// Reads `text` as a file: how models are given as text differs between MuJoCo's versions, and files do not.
fn with_file<T>(
    text: &str,
    read: impl FnOnce(&std::path::Path) -> Result<T, String>,
) -> Result<T, String> {
    let written = |error: std::io::Error| format!("its model cannot be written: {error}");
    let mut builder = tempfile::Builder::new();
    let mut file = builder.suffix(".xml").tempfile().map_err(written)?;
    std::io::Write::write_all(&mut file, text.as_bytes()).map_err(written)?;
    read(file.path())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bound_of_health_ends_the_episode_and_is_open() {
        let standing = [0.0, 1.25, 0.0, 0.0, 0.0, 0.0];
        let healthy = |change: &dyn Fn(&mut [f64], &mut [f64])| {
            let (mut positions, mut velocities) = (standing, [0.0; 6]);
            change(&mut positions, &mut velocities);
            HOPPER.is_healthy(&positions, &velocities)
        };
        assert!(healthy(&|_, _| {}));
        assert!(healthy(&|positions, _| positions[0] = 1e6));
        assert!(
            healthy(&|positions, _| positions[1] = 99.0),
            "height has no upper end"
        );
        assert!(!healthy(&|positions, _| positions[1] = 0.7));
        assert!(!healthy(&|positions, _| positions[2] = 0.2));
        assert!(!healthy(&|positions, _| positions[2] = -0.2));
        assert!(!healthy(&|positions, _| positions[5] = -100.0));
        assert!(!healthy(&|_, velocities| velocities[0] = 100.0));
        assert!(!healthy(&|_, velocities| velocities[5] = f64::NAN));

        let mut tall = [0.0; 9];
        tall[1] = 2.0;
        assert!(!WALKER.is_healthy(&tall, &[0.0; 9]));
        tall[1] = 1.99;
        assert!(WALKER.is_healthy(&tall, &[1e3; 9]), "velocities are free");
        assert!(HALF_CHEETAH.is_healthy(&[-9.0; 9], &[1e3; 9]));
    }
}
