//! An environment whose observation has named parts.

use std::ops::Range;

use super::{Drawing, Environment, EnvironmentError, Snapshot, Space, StepResult};

/// An environment whose numbers have names, so that networks can be shown some of them and not the others: a dictionary as
/// Gymnasium's, with the same elements in the same order.
///
/// ```
/// use yarak::env::{Environment, Named, Pendulum, Simulation};
///
/// let parts = [("angle", 0..2), ("velocity", 2..3)];
/// let mut pendulum = Named::new("MyPendulum-v0", Simulation::new(Pendulum), parts)?;
/// let mut observation = [0.0; 3];
/// pendulum.reset(Some(0), &mut observation)?;
/// assert_eq!(pendulum.observation_space().place_of("velocity"), Some(2..3));
/// # Ok::<(), yarak::env::EnvironmentError>(())
/// ```
pub struct Named<E> {
    name: String,
    inner: E,
    space: Space,
}

impl<E: Environment> Named<E> {
    /// `inner` with these names for its elements, as an environment of this name. The parts follow each other, in the alphabetical order
    /// of their names, and are all that is observed.
    ///
    /// # Errors
    /// [`EnvironmentError::BadParts`] where they are not.
    pub fn new<const N: usize>(
        name: impl Into<String>,
        inner: E,
        parts: [(&str, Range<usize>); N],
    ) -> Result<Self, EnvironmentError> {
        let name = name.into();
        let bounds = match inner.observation_space() {
            Space::Box { low, high, .. } => low.iter().copied().zip(high.iter().copied()).collect(),
            _ => Vec::new(),
        };
        let starts = parts.iter().map(|(_, place)| place.start);
        let ends = [0]
            .into_iter()
            .chain(parts.iter().map(|(_, place)| place.end));
        let follow = starts.eq(ends.clone().take(N)) && ends.last() == Some(bounds.len());
        if !follow || !parts.is_sorted_by(|one, next| one.0 < next.0) {
            return Err(EnvironmentError::BadParts { environment: name });
        }
        let spaces = parts.map(|(part, place)| (part, Space::from_bounds(&bounds[place])));
        Ok(Named {
            name,
            inner,
            space: Space::dict(spaces),
        })
    }
}

impl<E: Environment> Environment for Named<E> {
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
        self.inner.reset(seed, observation)
    }

    fn step(
        &mut self,
        action: &[f32],
        observation: &mut [f32],
    ) -> Result<StepResult, EnvironmentError> {
        self.inner.step(action, observation)
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
    fn those_of_the_registry_are_the_tasks_with_names() {
        for (name, named, parts) in [
            (
                "CartPole-v1",
                "CartPoleNamed-v1",
                &[
                    "cart_position",
                    "cart_velocity",
                    "pole_angle",
                    "pole_velocity",
                ][..],
            ),
            ("Pendulum-v1", "PendulumNamed-v1", &["angle", "velocity"]),
        ] {
            let [mut task, mut ours] = [name, named].map(|name| registry::make(name).unwrap());
            let width = task.observation_space().size();
            let (mut seen, mut shown) = (vec![0.0; width], vec![0.0; width]);
            task.reset(Some(3), &mut seen).unwrap();
            ours.reset(Some(3), &mut shown).unwrap();
            assert_eq!(seen, shown);
            let one = task.step(&[1.0], &mut seen).unwrap();
            assert_eq!(one, ours.step(&[1.0], &mut shown).unwrap());
            assert_eq!(seen, shown);
            let space = ours.observation_space();
            assert!(parts.iter().all(|part| space.place_of(part).is_some()));
        }
    }

    #[test]
    fn parts_that_leave_something_out_or_come_in_another_order_are_refused() {
        let refused = |parts: [(&str, Range<usize>); 2]| {
            let named = Named::new("P", Simulation::new(Pendulum), parts);
            matches!(named, Err(EnvironmentError::BadParts { .. }))
        };
        assert!(!refused([("angle", 0..2), ("velocity", 2..3)]));
        assert!(refused([("angle", 0..1), ("velocity", 2..3)]));
        assert!(refused([("angle", 0..1), ("velocity", 1..2)]));
        assert!(refused([("angle", 0..2), ("aim", 2..3)]));
    }
}
