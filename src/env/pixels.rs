//! An environment that is seen and not measured.

use super::raster::Picture;
use super::{Drawing, Environment, EnvironmentError, Snapshot, Space, StepResult};

/// An environment whose observation is a picture of it, gray, `[size, size, 1]`, of bytes from 0 to 255 (as Gymnasium's
/// `AddRenderObservation` has it).
///
/// One picture shows no velocity: let networks see several [frames](crate::data::ExperiencePlugin).
///
/// ```
/// use yarak::env::{Environment, Pendulum, Pixels, Simulation};
///
/// let mut pendulum = Pixels::new("MyPendulum-v0", Simulation::new(Pendulum), 32)?;
/// let mut picture = [0.0; 32 * 32];
/// pendulum.reset(Some(0), &mut picture)?;
/// // The ground is black, and a rod is there.
/// assert_eq!(picture[0], 0.0);
/// assert!(picture.iter().any(|pixel| *pixel > 100.0));
/// # Ok::<(), yarak::env::EnvironmentError>(())
/// ```
pub struct Pixels<E> {
    name: String,
    inner: E,
    size: usize,
    space: Space,
    /// What `inner` observes, which nobody sees.
    measured: Vec<f32>,
}

impl<E: Environment> Pixels<E> {
    /// Pictures of `inner`, so many pixels high and wide, as an environment of this name.
    ///
    /// # Errors
    /// [`EnvironmentError::NotDrawn`] where `inner` cannot be drawn.
    pub fn new(
        name: impl Into<String>,
        mut inner: E,
        size: usize,
    ) -> Result<Self, EnvironmentError> {
        let mut measured = vec![0.0; inner.observation_space().size()];
        let before = inner.snapshot();
        // Only what was reset can be drawn.
        inner.reset(Some(0), &mut measured)?;
        if inner.drawing().is_none() {
            return Err(EnvironmentError::NotDrawn {
                environment: inner.name().to_owned(),
            });
        }
        inner.restore(&before)?;
        Ok(Pixels {
            name: name.into(),
            space: Space::picture([size, size, 1]),
            inner,
            size,
            measured,
        })
    }

    fn draw(&self, observation: &mut [f32]) {
        // It was drawn when it was made.
        if let Some(drawing) = self.inner.drawing() {
            let picture = Picture::square(&drawing, self.size, [0; 3]);
            let grays = picture.pixels.iter().map(|color| gray(*color));
            observation
                .iter_mut()
                .zip(grays)
                .for_each(|(to, it)| *to = it);
        }
    }
}

/// How bright a color is (ITU-R BT.601), a whole number.
fn gray([red, green, blue]: [u8; 3]) -> f32 {
    let [red, green, blue] = [red, green, blue].map(u32::from);
    ((299 * red + 587 * green + 114 * blue + 500) / 1000) as f32
}

impl<E: Environment> Environment for Pixels<E> {
    fn name(&self) -> &str {
        &self.name
    }

    fn observation_space(&self) -> &Space {
        &self.space
    }

    fn action_space(&self) -> &Space {
        self.inner.action_space()
    }

    fn reset(
        &mut self,
        seed: Option<u64>,
        observation: &mut [f32],
    ) -> Result<(), EnvironmentError> {
        self.space.check_observation(&self.name, observation)?;
        self.inner.reset(seed, &mut self.measured)?;
        self.draw(observation);
        Ok(())
    }

    fn step(
        &mut self,
        action: &[f32],
        observation: &mut [f32],
    ) -> Result<StepResult, EnvironmentError> {
        self.space.check_observation(&self.name, observation)?;
        let result = self.inner.step(action, &mut self.measured)?;
        self.draw(observation);
        Ok(result)
    }

    fn snapshot(&self) -> Snapshot {
        self.inner.snapshot()
    }

    fn restore(&mut self, snapshot: &Snapshot) -> Result<(), EnvironmentError> {
        self.inner.restore(snapshot)
    }

    fn is_success(&self) -> Option<bool> {
        self.inner.is_success()
    }

    fn drawing(&self) -> Option<Drawing> {
        self.inner.drawing()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Pendulum, Simulation, registry};
    use super::*;

    #[test]
    fn the_picture_is_that_of_the_state() {
        let mut pixels = Pixels::new("P", Simulation::new(Pendulum), 16).unwrap();
        let mut same = Simulation::new(Pendulum);
        let (mut picture, mut measured) = ([0.0; 256], [0.0; 3]);
        assert!(pixels.reset(None, &mut picture).is_err(), "no seed yet");
        pixels.reset(Some(3), &mut picture).unwrap();
        same.reset(Some(3), &mut measured).unwrap();
        for _ in 0..20 {
            // The brighter half is where the rod points to.
            let [mut right, mut up] = [0.0, 0.0];
            for (index, pixel) in picture.iter().enumerate() {
                right += pixel * ((index % 16) as f32 - 7.5);
                up -= pixel * ((index / 16) as f32 - 7.5);
            }
            let length = right.hypot(up);
            assert!((up / length - measured[0]).abs() < 0.1);
            assert!((-right / length - measured[1]).abs() < 0.1);
            let one = pixels.step(&[1.0], &mut picture).unwrap();
            assert_eq!(one, same.step(&[1.0], &mut measured).unwrap());
        }
        assert!(picture.iter().all(|pixel| pixel.fract() == 0.0));
        assert!(pixels.observation_space().contains(&picture));
        let wrong = pixels.step(&[1.0], &mut [0.0; 3]);
        assert!(matches!(
            wrong,
            Err(EnvironmentError::ObservationLength { .. })
        ));
    }

    #[test]
    fn those_of_the_registry_go_on_from_a_snapshot() {
        for name in ["PendulumPixels-v1", "CartPolePixels-v1"] {
            let mut one = registry::make(name).unwrap();
            let mut other = registry::make(name).unwrap();
            let mut seen = vec![0.0; one.observation_space().size()];
            let mut alike = seen.clone();
            one.reset(Some(1), &mut seen).unwrap();
            one.step(&[1.0], &mut seen).unwrap();
            other.restore(&one.snapshot()).unwrap();
            one.step(&[0.0], &mut seen).unwrap();
            other.step(&[0.0], &mut alike).unwrap();
            assert_eq!(seen, alike);
        }
    }
}
