//! What observations and actions look like.

use super::EnvironmentError;

/// The set that observations or actions are from (Gymnasium's `Box` and `Discrete`).
///
/// Elements travel as flat `f32` slices of [`size`](Self::size) numbers; an element of a discrete space is its index as one number.
///
/// ```
/// use yarak::env::Space;
///
/// let torque = Space::from_bounds(&[(-2.0, 2.0)]);
/// assert_eq!(torque.size(), 1);
/// assert!(torque.contains(&[1.5]) && !torque.contains(&[2.5]));
///
/// let push = Space::Discrete { n: 2 };
/// assert!(push.contains(&[1.0]) && !push.contains(&[0.5]));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum Space {
    /// Real numbers between bounds, inclusive; a bound may be infinite.
    Box {
        /// The lower bound of every element, row-major, `[size]`.
        low: Vec<f32>,
        /// The upper bound of every element, row-major, `[size]`.
        high: Vec<f32>,
        /// The shape; its product is the size.
        shape: Vec<usize>,
    },
    /// One of `n` choices, `0..n`.
    Discrete {
        /// How many choices there are.
        n: usize,
    },
}

impl Space {
    /// A vector, one `(low, high)` an element.
    #[must_use]
    pub fn from_bounds(bounds: &[(f32, f32)]) -> Self {
        Self::Box {
            low: bounds.iter().map(|bound| bound.0).collect(),
            high: bounds.iter().map(|bound| bound.1).collect(),
            shape: vec![bounds.len()],
        }
    }

    /// How many numbers an element takes: the product of a box's shape, 1 for a discrete space.
    #[must_use]
    pub fn size(&self) -> usize {
        match self {
            Self::Box { low, .. } => low.len(),
            Self::Discrete { .. } => 1,
        }
    }

    /// Whether `element` has the right length, is finite and lies within the bounds.
    #[must_use]
    pub fn contains(&self, element: &[f32]) -> bool {
        match self {
            Self::Box { low, high, .. } => {
                element.len() == low.len()
                    && element
                        .iter()
                        .zip(low.iter().zip(high))
                        .all(|(x, (low, high))| x.is_finite() && low <= x && x <= high)
            }
            Self::Discrete { n } => match element {
                [index] => is_index(*index, *n),
                _ => false,
            },
        }
    }

    /// Checks an action for [`Environment::step`](super::Environment::step): the right length, finite, and for a discrete
    /// space a valid index. The bounds of a box are not checked, because tasks clip. `environment` is the name for the error.
    ///
    /// # Errors
    /// [`EnvironmentError::ActionLength`], [`EnvironmentError::ActionNotFinite`], [`EnvironmentError::ActionIndex`].
    pub fn check_action(&self, environment: &str, action: &[f32]) -> Result<(), EnvironmentError> {
        if action.len() != self.size() {
            return Err(EnvironmentError::ActionLength {
                environment: environment.to_owned(),
                expected: self.size(),
                found: action.len(),
            });
        }
        for (index, &value) in action.iter().enumerate() {
            if !value.is_finite() {
                return Err(EnvironmentError::ActionNotFinite {
                    environment: environment.to_owned(),
                    index,
                    value,
                });
            }
            if let Self::Discrete { n } = *self
                && !is_index(value, n)
            {
                return Err(EnvironmentError::ActionIndex {
                    environment: environment.to_owned(),
                    value,
                    choices: n,
                });
            }
        }
        Ok(())
    }

    /// Checks the length of a buffer for observations from this space. `environment` is the name for the error.
    ///
    /// # Errors
    /// [`EnvironmentError::ObservationLength`].
    pub fn check_observation(
        &self,
        environment: &str,
        observation: &[f32],
    ) -> Result<(), EnvironmentError> {
        if observation.len() == self.size() {
            return Ok(());
        }
        Err(EnvironmentError::ObservationLength {
            environment: environment.to_owned(),
            expected: self.size(),
            found: observation.len(),
        })
    }
}

fn is_index(value: f32, n: usize) -> bool {
    // `as` saturates, so that a NaN, a negative or a huge value cannot come back as itself.
    value >= 0.0 && (value as usize) < n && (value as usize) as f32 == value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_make_a_vector_with_their_shape() {
        let space = Space::from_bounds(&[(-1.0, 2.0), (-f32::INFINITY, f32::INFINITY)]);
        assert_eq!(
            space,
            Space::Box {
                low: vec![-1.0, -f32::INFINITY],
                high: vec![2.0, f32::INFINITY],
                shape: vec![2],
            }
        );
        assert_eq!(space.size(), 2);
    }

    #[test]
    fn box_contains_its_bounds_and_no_wrong_length_or_nan() {
        let space = Space::from_bounds(&[(-1.0, 1.0), (0.0, f32::INFINITY)]);
        assert!(space.contains(&[-1.0, 0.0]));
        assert!(space.contains(&[1.0, 1e30]));
        assert!(!space.contains(&[1.1, 0.0]));
        assert!(!space.contains(&[0.0]));
        assert!(!space.contains(&[f32::NAN, 0.0]));
        assert!(!space.contains(&[0.0, f32::INFINITY]));
    }

    #[test]
    fn discrete_takes_whole_numbers_below_n_only() {
        let space = Space::Discrete { n: 3 };
        for index in [0.0, 1.0, 2.0] {
            assert!(space.contains(&[index]));
            assert_eq!(space.check_action("Here", &[index]), Ok(()));
        }
        for value in [-1.0, 0.5, 3.0, 1e30] {
            assert!(!space.contains(&[value]));
            assert_eq!(
                space.check_action("Here", &[value]),
                Err(EnvironmentError::ActionIndex {
                    environment: "Here".to_owned(),
                    value,
                    choices: 3
                })
            );
        }
        assert!(!space.contains(&[f32::NAN]));
        assert!(!space.contains(&[]));
    }

    #[test]
    fn refused_action_names_the_environment_and_the_element() {
        let space = Space::from_bounds(&[(-1.0, 1.0), (-1.0, 1.0)]);
        assert_eq!(
            space.check_action("Here", &[5.0, -5.0]),
            Ok(()),
            "tasks clip"
        );
        let message = |action: &[f32]| space.check_action("Here", action).unwrap_err().to_string();
        assert!(message(&[0.0]).contains("Here: an action has 2 number(s), this one has 1"));
        assert!(message(&[0.0, f32::NAN]).contains("action[1] is NaN"));
        assert!(message(&[f32::INFINITY, 0.0]).contains("action[0] is inf"));
    }

    #[test]
    fn wrong_observation_buffer_is_refused() {
        let space = Space::from_bounds(&[(0.0, 1.0); 3]);
        assert_eq!(space.check_observation("Here", &[0.0; 3]), Ok(()));
        let message = space
            .check_observation("Here", &[0.0; 4])
            .unwrap_err()
            .to_string();
        assert!(message.contains("has 3 number(s), the buffer for it has 4"));
    }
}
