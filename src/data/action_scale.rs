//! Rescaling actions to `-1..=1`.
//!
//! The scale is fixed once, from the environment or the training data, and travels with the policy: whoever acts with it
//! applies the same numbers.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::normalizer::whole_rows;
use super::{Column, Transitions};

/// Maps each action element from `low..=high` to `-1..=1` and back, affinely and without clamping.
///
/// ```
/// use yarak::data::ActionScale;
///
/// let scale = ActionScale::from_bounds(vec![-2.0, 0.0], vec![2.0, 10.0])?;
/// let mut action = [1.0, 10.0];
/// scale.to_unit(&mut action)?;
/// assert_eq!(action, [0.5, 1.0]);
/// scale.from_unit(&mut action)?;
/// assert_eq!(action, [1.0, 10.0]);
/// # Ok::<(), yarak::data::ScaleError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Bounds")]
pub struct ActionScale {
    low: Vec<f32>,
    high: Vec<f32>,
}

/// What a file says, before [`ActionScale`]'s rules were checked.
#[derive(Deserialize)]
struct Bounds {
    low: Vec<f32>,
    high: Vec<f32>,
}

impl TryFrom<Bounds> for ActionScale {
    type Error = ScaleError;

    fn try_from(Bounds { low, high }: Bounds) -> Result<Self, ScaleError> {
        Self::checked(low, high)
    }
}

impl ActionScale {
    /// From an action space's bounds, `[action]` each.
    ///
    /// # Errors
    ///
    /// Bounds of different lengths, or `low < high` and finite not holding for an element.
    pub fn from_bounds(low: Vec<f32>, high: Vec<f32>) -> Result<Self, ScaleError> {
        if let Some(element) = low.iter().zip(&high).position(|(low, high)| low == high) {
            return Err(ScaleError::Bounds {
                element,
                low: low[element],
                high: high[element],
            });
        }
        Self::checked(low, high)
    }

    /// Leaves actions of `width` elements as they are: for discrete actions, and for boxes without bounds.
    pub fn identity(width: usize) -> Self {
        Self {
            low: vec![-1.0; width],
            high: vec![1.0; width],
        }
    }

    /// From the least and the greatest value of each element of the data.
    ///
    /// An element that never changes maps to 0, and every value maps back to it.
    ///
    /// # Errors
    ///
    /// A column without rows or with a value that is not finite.
    pub fn from_data(actions: &Column) -> Result<Self, ScaleError> {
        let mut low = vec![f32::INFINITY; actions.width];
        let mut high = vec![f32::NEG_INFINITY; actions.width];
        for row in actions.values.chunks_exact(actions.width.max(1)) {
            for (element, &value) in row.iter().enumerate() {
                if value.is_nan() {
                    return Err(ScaleError::Bounds {
                        element,
                        low: value,
                        high: value,
                    });
                }
                low[element] = low[element].min(value);
                high[element] = high[element].max(value);
            }
        }
        Self::checked(low, high)
    }

    fn checked(low: Vec<f32>, high: Vec<f32>) -> Result<Self, ScaleError> {
        if low.len() != high.len() {
            return Err(ScaleError::Width {
                expected: low.len(),
                found: high.len(),
            });
        }
        for (element, (&low, &high)) in low.iter().zip(&high).enumerate() {
            if !(low.is_finite() && high.is_finite() && low <= high) {
                return Err(ScaleError::Bounds { element, low, high });
            }
        }
        Ok(Self { low, high })
    }

    /// What maps to -1, `[action]`.
    pub fn low(&self) -> &[f32] {
        &self.low
    }

    /// What maps to 1, `[action]`.
    pub fn high(&self) -> &[f32] {
        &self.high
    }

    /// Maps the action column to `-1..=1`.
    ///
    /// # Errors
    ///
    /// Actions of another width; then nothing has changed.
    pub fn apply(&self, transitions: &mut Transitions) -> Result<(), ScaleError> {
        if transitions.action().width != self.low.len() {
            return Err(ScaleError::Width {
                expected: self.low.len(),
                found: transitions.action().width,
            });
        }
        self.to_unit(&mut transitions.parts_mut().action.values)
    }

    /// Maps one action, or several that lie one after the other, from `low..=high` to `-1..=1` in place.
    ///
    /// # Errors
    ///
    /// A length that is not a multiple of the scale's width.
    pub fn to_unit(&self, action: &mut [f32]) -> Result<(), ScaleError> {
        self.each(action, |value, low, high| {
            if low == high {
                0.0
            } else {
                (value - low) / (high - low) * 2.0 - 1.0
            }
        })
    }

    /// Maps one action, or several that lie one after the other, from `-1..=1` to `low..=high` in place.
    ///
    /// # Errors
    ///
    /// A length that is not a multiple of the scale's width.
    pub fn from_unit(&self, action: &mut [f32]) -> Result<(), ScaleError> {
        // This form hits both bounds exactly, which `low + share * (high - low)` does not.
        self.each(action, |value, low, high| {
            let share = (value + 1.0) / 2.0;
            low * (1.0 - share) + high * share
        })
    }

    fn each(
        &self,
        action: &mut [f32],
        map: impl Fn(f64, f64, f64) -> f64,
    ) -> Result<(), ScaleError> {
        if !whole_rows(action.len(), self.low.len()) {
            return Err(ScaleError::Width {
                expected: self.low.len(),
                found: action.len(),
            });
        }
        for row in action.chunks_exact_mut(self.low.len().max(1)) {
            for ((value, &low), &high) in row.iter_mut().zip(&self.low).zip(&self.high) {
                *value = map(f64::from(*value), f64::from(low), f64::from(high)) as f32;
            }
        }
        Ok(())
    }
}

/// A scale that does not fit what it is applied to, or that is none.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum ScaleError {
    /// Another number of elements.
    #[error(
        "the scale was made for rows of {expected} elements and was given {found}; fit it on data of the same space"
    )]
    Width {
        /// Elements that the scale knows.
        expected: usize,
        /// Elements given.
        found: usize,
    },
    /// A mean or a deviation that cannot be applied.
    #[error(
        "element {element} has mean {mean} and standard deviation {std}; both must be finite and the deviation at least 0: fit the normalizer again"
    )]
    Statistics {
        /// Which element of the observation.
        element: usize,
        /// Its mean.
        mean: f32,
        /// Its standard deviation.
        std: f32,
    },
    /// Bounds that span no range.
    #[error(
        "action element {element} ranges from {low} to {high}; both must be finite and the first below the second"
    )]
    Bounds {
        /// Which element of the action.
        element: usize,
        /// Its lower bound.
        low: f32,
        /// Its upper bound.
        high: f32,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Episode, EpisodeEnd, Parts};

    fn transitions() -> Transitions {
        Transitions::new(Parts {
            observation: Column {
                values: vec![1.0, 5.0, 3.0, 5.0],
                width: 2,
            },
            action: Column {
                values: vec![-2.0, 1.0],
                width: 1,
            },
            reward: vec![0.0; 2],
            next_observation: Column {
                values: vec![3.0, 5.0, 5.0, 6.0],
                width: 2,
            },
            terminated: vec![false; 2],
            episodes: vec![Episode {
                rows: 0..2,
                end: EpisodeEnd::Truncated,
            }],
        })
        .unwrap()
    }

    #[test]
    fn actions_reach_both_ends_exactly_and_come_back() {
        let scale = ActionScale::from_bounds(vec![-0.4, 0.1], vec![0.7, 1e7]).unwrap();
        let mut action = [-0.4, 1e7, 0.7, 0.1];
        scale.to_unit(&mut action).unwrap();
        assert_eq!(action, [-1.0, 1.0, 1.0, -1.0]);
        scale.from_unit(&mut action).unwrap();
        assert_eq!(action, [-0.4, 1e7, 0.7, 0.1]);
    }

    #[test]
    fn a_scale_from_data_spans_it_and_centres_what_never_changes() {
        let column = Column {
            values: vec![-2.0, 7.0, 1.0, 7.0],
            width: 2,
        };
        let scale = ActionScale::from_data(&column).unwrap();
        assert_eq!(
            (scale.low(), scale.high()),
            (&[-2.0, 7.0][..], &[1.0, 7.0][..])
        );
        let mut action = [-0.5, 7.0];
        scale.to_unit(&mut action).unwrap();
        assert_eq!(action, [0.0, 0.0]);
        scale.from_unit(&mut action).unwrap();
        assert_eq!(action, [-0.5, 7.0]);
    }

    #[test]
    fn a_scale_applies_to_the_actions_of_transitions() {
        let mut transitions = transitions();
        ActionScale::from_bounds(vec![-2.0], vec![2.0])
            .unwrap()
            .apply(&mut transitions)
            .unwrap();
        assert_eq!(transitions.action().values, [-1.0, 0.5]);
    }

    #[test]
    fn bounds_that_span_no_range_are_refused() {
        for (low, high) in [
            (1.0, 1.0),
            (2.0, 1.0),
            (f32::NEG_INFINITY, 1.0),
            (0.0, f32::NAN),
        ] {
            assert!(matches!(
                ActionScale::from_bounds(vec![low], vec![high]),
                Err(ScaleError::Bounds { .. })
            ));
        }
        assert!(ActionScale::from_bounds(vec![0.0], vec![1.0, 2.0]).is_err());
        assert!(
            ActionScale::from_data(&Column {
                values: vec![],
                width: 1
            })
            .is_err()
        );
        assert!(
            ActionScale::from_data(&Column {
                values: vec![1.0, f32::NAN],
                width: 1
            })
            .is_err()
        );
        assert!(serde_json::from_str::<ActionScale>(r#"{"low":[1.0],"high":[0.0]}"#).is_err());
    }
}
