//! What observations and actions look like.

use std::ops::Range;

use super::EnvironmentError;

/// The set that observations or actions are from (Gymnasium's `Box`, `Discrete` and `Dict`).
///
/// Elements travel as flat `f32` slices of [`size`](Self::size) numbers; an element of a discrete space is its index as one number,
/// and an element of a dictionary is its entries' elements, one after the other.
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
///
/// let both = Space::dict([("torque", torque), ("push", push)]);
/// assert_eq!(both.size(), 2);
/// // Entries stand in the order of their names, as in Gymnasium.
/// assert!(both.contains(&[1.0, -2.0]));
/// assert_eq!(both.place_of("torque"), Some(1..2));
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
    /// One of `n` discrete actions, `0..n`.
    Discrete {
        /// How many discrete actions there are.
        n: usize,
    },
    /// Named spaces, in the order of their names.
    Dict {
        /// The names and their spaces.
        entries: Vec<(String, Space)>,
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

    /// A picture: bytes from 0 to 255 of this shape, `[height, width, channels]` or `[channels, height, width]`.
    #[must_use]
    pub fn picture(shape: [usize; 3]) -> Self {
        let size = shape.iter().product();
        Self::Box {
            low: vec![0.0; size],
            high: vec![255.0; size],
            shape: shape.to_vec(),
        }
    }

    /// A dictionary of spaces.
    #[must_use]
    pub fn dict<N: Into<String>>(entries: impl IntoIterator<Item = (N, Space)>) -> Self {
        let entries = entries.into_iter();
        let mut entries: Vec<_> = entries.map(|(name, space)| (name.into(), space)).collect();
        entries.sort_by(|one, other| one.0.cmp(&other.0));
        Self::Dict { entries }
    }

    /// Where the elements of a dictionary's entry lie; `None` where there is no such entry.
    #[must_use]
    pub fn place_of(&self, name: &str) -> Option<Range<usize>> {
        let Self::Dict { entries } = self else {
            return None;
        };
        let index = entries.iter().position(|(there, _)| there == name)?;
        let start = entries[..index].iter().map(|(_, space)| space.size()).sum();
        Some(start..start + entries[index].1.size())
    }

    /// How many numbers an element takes: the product of a box's shape, 1 for a discrete space, the sum of a dictionary's.
    #[must_use]
    pub fn size(&self) -> usize {
        match self {
            Self::Box { low, .. } => low.len(),
            Self::Discrete { .. } => 1,
            Self::Dict { entries } => entries.iter().map(|(_, space)| space.size()).sum(),
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
            Self::Dict { entries } => {
                let mut rest = element;
                let all = entries.iter().all(|(_, space)| {
                    rest.split_at_checked(space.size())
                        .is_some_and(|(own, after)| {
                            rest = after;
                            space.contains(own)
                        })
                });
                all && rest.is_empty()
            }
        }
    }

    /// Moves an action of a box that lies beyond its bounds onto them. Other actions stay as they are.
    ///
    /// ```
    /// use yarak::env::Space;
    ///
    /// let mut action = [-0.7, 3.0];
    /// Space::from_bounds(&[(0.0, f32::INFINITY), (-1.0, 1.0)]).clip(&mut action);
    /// assert_eq!(action, [0.0, 1.0]);
    /// ```
    pub fn clip(&self, action: &mut [f32]) {
        if let Self::Box { low, high, .. } = self {
            for (value, (low, high)) in action.iter_mut().zip(low.iter().zip(high)) {
                *value = value.max(*low).min(*high);
            }
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
        if let Self::Dict { entries } = self {
            let mut rest = action;
            for (name, space) in entries {
                let (own, after) = rest.split_at(space.size());
                space.check_action(&format!("{environment}, `{name}`"), own)?;
                rest = after;
            }
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
                    discrete_actions: n,
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
                    discrete_actions: 3
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
    fn dictionary_lays_its_entries_in_a_row_and_checks_each() {
        let space = Space::dict([
            ("wheel", Space::from_bounds(&[(-1.0, 1.0), (0.0, 2.0)])),
            ("gear", Space::Discrete { n: 3 }),
            ("arm", Space::dict([("grip", Space::Discrete { n: 2 })])),
        ]);
        assert_eq!(space.size(), 4);
        assert_eq!(space.place_of("arm"), Some(0..1));
        assert_eq!(space.place_of("gear"), Some(1..2));
        assert_eq!(space.place_of("wheel"), Some(2..4));
        assert_eq!(space.place_of("grip"), None);
        assert!(space.contains(&[1.0, 2.0, -1.0, 2.0]));
        for wrong in [
            &[2.0, 2.0, -1.0, 2.0][..],
            &[1.0, 3.0, -1.0, 2.0],
            &[1.0, 2.0, -1.0, 2.5],
            &[1.0, 2.0, -1.0],
            &[1.0, 2.0, -1.0, 2.0, 0.0],
        ] {
            assert!(!space.contains(wrong), "{wrong:?}");
        }
        let error = space.check_action("Here", &[1.0, 3.0, 0.0, 0.0]);
        let message = error.unwrap_err().to_string();
        assert!(
            message.contains("Here, `gear`: 3 is not an action"),
            "{message}"
        );
        assert!(
            space.check_action("Here", &[0.0, 0.0, 9.0, -9.0]).is_ok(),
            "tasks clip"
        );
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
