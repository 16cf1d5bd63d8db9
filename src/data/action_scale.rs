//! Rescaling actions to `-1..=1`.
//!
//! The scale is fixed once, from the environment or the training data, and travels with the policy: whoever acts with it
//! applies the same numbers.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::normalizer::whole_rows;
use super::{Column, Transitions};
use crate::env::Space;

/// Maps each action element from `low..=high` to `-1..=1` and back, affinely and without clamping, each by its own bounds.
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
    /// Whether actions are whole numbers.
    #[serde(default, skip_serializing_if = "is_false")]
    integer: bool,
    /// What actions are clipped to where `low` and `high` do not say it: the bounds of the space, `[action, 2]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    clip: Vec<(f32, f32)>,
}

/// What a file says, before [`ActionScale`]'s rules were checked.
#[derive(Deserialize)]
struct Bounds {
    low: Vec<f32>,
    high: Vec<f32>,
    #[serde(default)]
    integer: bool,
    #[serde(default)]
    clip: Vec<(f32, f32)>,
}

fn is_false(value: &bool) -> bool {
    !value
}

impl TryFrom<Bounds> for ActionScale {
    type Error = ScaleError;

    fn try_from(bounds: Bounds) -> Result<Self, ScaleError> {
        let scale = Self::checked(bounds.low, bounds.high)?;
        if !bounds.clip.is_empty() && bounds.clip.len() != scale.low.len() {
            return Err(ScaleError::Width {
                expected: scale.low.len(),
                found: bounds.clip.len(),
            });
        }
        Ok(Self {
            integer: bounds.integer,
            clip: bounds.clip,
            ..scale
        })
    }
}

/// A range within a space that has no two finite bounds.
fn example(low: f32, high: f32) -> (f32, f32) {
    match (is_bound(low), is_bound(high)) {
        (true, _) => (low, low + 1.0),
        (false, true) => (high - 1.0, high),
        (false, false) => (-1.0, 1.0),
    }
}

/// Whether a bound is one: float32's greatest number is as good as none.
fn is_bound(bound: f32) -> bool {
    bound.abs() < f32::MAX
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

    /// Each element of a box by its own bounds, or by what `given` says: a range for each element of the action, or one range for those
    /// without two finite bounds (for all, where all have them). An element whose bounds are one number is that number. Discrete actions, and the entries
    /// of a dictionary, stay as they are.
    ///
    /// ```
    /// use yarak::data::ActionScale;
    /// use yarak::env::Space;
    ///
    /// let space = Space::from_bounds(&[(100.0, 200.0), (0.0, f32::INFINITY)]);
    /// let error = ActionScale::of_space(&space, &[]).unwrap_err().to_string();
    /// assert!(error.contains("action element 1 ranges from 0 to inf"));
    /// let scale = ActionScale::of_space(&space, &[(0.0, 5.0)])?;
    /// let mut action = [0.0, 0.0];
    /// scale.from_unit(&mut action)?;
    /// assert_eq!(action, [150.0, 2.5]);
    /// # Ok::<(), yarak::data::ScaleError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ScaleError::Unbounded`], [`ScaleError::Beyond`], and another number of ranges than elements.
    pub fn of_space(space: &Space, given: &[(f32, f32)]) -> Result<Self, ScaleError> {
        let Space::Box { low, high, .. } = space else {
            return Ok(Self::identity(space.size()));
        };
        if given.len() > 1 && given.len() != low.len() {
            return Err(ScaleError::Given {
                expected: low.len(),
                found: given.len(),
            });
        }
        let mut bounds = Vec::with_capacity(low.len());
        let all_are = low.iter().chain(high).all(|bound| is_bound(*bound));
        for (element, (&low, &high)) in low.iter().zip(high).enumerate() {
            let is_bounded = is_bound(low) && is_bound(high);
            let range = match given {
                [] => None,
                [one] => (all_are || !is_bounded).then_some(*one),
                each => each.get(element).copied(),
            };
            bounds.push(match range {
                None if is_bounded => (low, high),
                None => return Err(ScaleError::Unbounded { element, low, high }),
                Some(range) if low <= range.0 && range.1 <= high => range,
                Some(range) => {
                    return Err(ScaleError::Beyond {
                        element,
                        low,
                        high,
                        range,
                    });
                }
            });
        }
        let (low, high) = bounds.into_iter().unzip();
        Self::checked(low, high)
    }

    /// This scale where a box has no two finite bounds, and the box's own elsewhere.
    ///
    /// # Errors
    ///
    /// A space of another width, and an element whose scale lies beyond its one finite bound.
    pub(crate) fn where_unbounded(&self, space: &Space) -> Result<Self, ScaleError> {
        let Space::Box { low, high, .. } = space else {
            return Ok(self.clone());
        };
        let mut given: Vec<(f32, f32)> = self
            .low
            .iter()
            .copied()
            .zip(self.high.iter().copied())
            .collect();
        for (range, (&low, &high)) in given.iter_mut().zip(low.iter().zip(high)) {
            if is_bound(low) && is_bound(high) {
                *range = (low, high);
            } else {
                *range = (range.0.max(low).min(high), range.1.max(low).min(high));
            }
        }
        match given[..] {
            // One range would be one for all elements without bounds, which is the same.
            [] => Ok(Self::identity(0)),
            _ => Self::of_space(space, &given),
        }
    }

    /// Leaves actions of `width` elements as they are: for discrete actions, and for boxes without bounds.
    pub fn identity(width: usize) -> Self {
        Self {
            low: vec![-1.0; width],
            high: vec![1.0; width],
            integer: false,
            clip: Vec::new(),
        }
    }

    /// The same for actions that are whole numbers: [`from_unit`](Self::from_unit) rounds to the nearest one.
    #[must_use]
    pub fn rounded(self) -> Self {
        Self {
            integer: true,
            ..self
        }
    }

    /// The same for actions that never leave a box, whatever their scale.
    #[must_use]
    pub fn clipped_to(self, space: &Space) -> Self {
        let Space::Box { low, high, .. } = space else {
            return self;
        };
        // What is saved has no place for infinities.
        let finite = |bound: &f32| bound.clamp(f32::MIN, f32::MAX);
        let bounds = low.iter().zip(high);
        Self {
            clip: bounds
                .map(|(low, high)| (finite(low), finite(high)))
                .collect(),
            ..self
        }
    }

    /// Whether actions are whole numbers.
    pub fn is_rounded(&self) -> bool {
        self.integer
    }

    /// What actions are clipped to where it is not what they are scaled by, `[action, 2]`; empty where they are not.
    pub(crate) fn clipped(&self) -> &[(f32, f32)] {
        &self.clip
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
        Ok(Self {
            low,
            high,
            integer: false,
            clip: Vec::new(),
        })
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

    /// Maps one action, or several that lie one after the other, from `-1..=1` to `low..=high` in place. Whole numbers are rounded to
    /// the nearest.
    ///
    /// # Errors
    ///
    /// A length that is not a multiple of the scale's width.
    pub fn from_unit(&self, action: &mut [f32]) -> Result<(), ScaleError> {
        // This form hits both bounds exactly, which `low + share * (high - low)` does not.
        let integer = self.integer;
        self.each(action, |value, low, high| {
            let share = (value + 1.0) / 2.0;
            let value = low * (1.0 - share) + high * share;
            if !integer {
                return value;
            }
            // The whole numbers within the bounds, which need not be whole themselves.
            let (least, most) = (low.ceil(), high.floor());
            let nearest = f64::from((value as f32).round());
            let nearest = match (0.0..=1.0).contains(&share) && least <= most {
                true => nearest.clamp(least, most),
                false => nearest,
            };
            // Without the 0 that is below 0.
            nearest + 0.0
        })?;
        for row in action.chunks_exact_mut(self.clip.len().max(1)) {
            for (value, (low, high)) in row.iter_mut().zip(&self.clip) {
                *value = value.max(*low).min(*high);
            }
        }
        Ok(())
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
    /// Rows of other lengths, which are those of a policy whose memory resets.
    #[error(
        "the policy's memory resets, so that each environment shows it another number of steps: act with `collect::act_deterministically`, which acts on each"
    )]
    Resets,
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
    /// An element without two finite bounds.
    #[error(
        "action element {element} ranges from {low} to {high}, so nothing says what -1 and 1 stand for: give the range that it is to be \
         learned in, as in `Environments(action_bounds: [({:?}, {:?})])`, or take the policy's numbers from -1 to 1 as they are with \
         `rescale_actions: false`",
        example(*low, *high).0, example(*low, *high).1
    )]
    Unbounded {
        /// Which element of the action.
        element: usize,
        /// Its lower bound.
        low: f32,
        /// Its upper bound.
        high: f32,
    },
    /// A range that the space does not have.
    #[error(
        "`action_bounds` say that action element {element} ranges from {} to {}, and its space is from {low} to {high}: give a range within it",
        range.0, range.1
    )]
    Beyond {
        /// Which element of the action.
        element: usize,
        /// The space's lower bound.
        low: f32,
        /// The space's upper bound.
        high: f32,
        /// The range that was given.
        range: (f32, f32),
    },
    /// Another number of ranges than elements.
    #[error(
        "`action_bounds` has {found} ranges, and an action has {expected} element(s): give one for each, or a single one for those without bounds"
    )]
    Given {
        /// The elements of an action.
        expected: usize,
        /// The ranges given.
        found: usize,
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
            }
            .into(),
            action: Column {
                values: vec![-2.0, 1.0],
                width: 1,
            },
            reward: vec![0.0; 2],
            next_observation: Column {
                values: vec![3.0, 5.0, 5.0, 6.0],
                width: 2,
            }
            .into(),
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
    fn each_element_of_a_space_is_scaled_by_its_own_bounds_alone() {
        let inf = f32::INFINITY;
        let space = Space::from_bounds(&[(100.0, 200.0), (0.5, 0.5), (0.0, 10.0)]);
        let scale = ActionScale::of_space(&space, &[]).unwrap();
        for (unit, expected) in [
            ([-1.0, -1.0, -1.0], [100.0, 0.5, 0.0]),
            ([0.0, 0.3, 0.0], [150.0, 0.5, 5.0]),
            ([1.0, 1.0, 1.0], [200.0, 0.5, 10.0]),
        ] {
            let mut action = unit;
            scale.from_unit(&mut action).unwrap();
            assert_eq!(action, expected);
        }
        for (bounds, element) in [
            ([(-inf, inf), (0.0, 1.0)], 0),
            ([(0.0, 1.0), (0.0, inf)], 1),
            ([(-inf, 0.0), (0.0, inf)], 0),
            ([(0.0, 1.0), (f32::MIN, f32::MAX)], 1),
        ] {
            let refused = ActionScale::of_space(&Space::from_bounds(&bounds), &[]).unwrap_err();
            let said = refused.to_string();
            assert!(
                said.contains(&format!("action element {element} ranges")),
                "{said}"
            );
            assert!(said.contains("action_bounds"), "{said}");
        }
    }

    #[test]
    fn a_given_range_serves_elements_without_bounds_and_stays_within_the_space() {
        let inf = f32::INFINITY;
        let space = Space::from_bounds(&[(0.0, 10.0), (0.0, inf), (-inf, inf)]);
        let one = ActionScale::of_space(&space, &[(0.0, 4.0)]).unwrap();
        assert_eq!(
            (one.low(), one.high()),
            (&[0.0; 3][..], &[10.0, 4.0, 4.0][..])
        );
        let each = [(2.0, 3.0), (1.0, 2.0), (-5.0, 5.0)];
        let each = ActionScale::of_space(&space, &each).unwrap();
        assert_eq!(each.low(), [2.0, 1.0, -5.0]);
        let said = |given: &[(f32, f32)]| {
            let refused = ActionScale::of_space(&space, given);
            refused.unwrap_err().to_string()
        };
        assert!(said(&[(-1.0, 1.0)]).contains("element 1 ranges from -1 to 1"));
        assert!(said(&[(0.0, 1.0), (0.0, 1.0)]).contains("2 ranges"));
        assert!(said(&[(1.0, 0.0)]).contains("element 1 ranges from 1 to 0"));
    }

    #[test]
    fn whole_numbers_are_rounded_to_the_nearest_so_that_each_is_reached() {
        let space = Space::from_bounds(&[(-2.0, 2.0)]);
        let scale = ActionScale::of_space(&space, &[]).unwrap().rounded();
        for (unit, expected) in [
            (-1.0, -2.0),
            (-0.76, -2.0),
            (-0.74, -1.0),
            (-0.1, 0.0),
            (0.3, 1.0),
            (0.99, 2.0),
        ] {
            let mut action = [unit];
            scale.from_unit(&mut action).unwrap();
            assert_eq!(action, [expected], "{unit}");
        }
        let bit = ActionScale::of_space(&Space::from_bounds(&[(0.0, 1.0)]), &[]);
        let mut actions = [-0.9, 0.9];
        bit.unwrap().rounded().from_unit(&mut actions).unwrap();
        assert_eq!(actions, [0.0, 1.0]);
        // Bounds that are no whole numbers are not left.
        let between = ActionScale::from_bounds(vec![-1.5], vec![1.5]);
        let mut actions = [-1.0, 0.2, 1.0];
        between.unwrap().rounded().from_unit(&mut actions).unwrap();
        assert_eq!(actions, [-1.0, 0.0, 1.0]);
    }

    #[test]
    fn what_is_not_scaled_is_clipped_to_the_space_and_says_so_when_it_is_saved() {
        let space = Space::from_bounds(&[(0.0, f32::INFINITY), (-0.5, 0.5)]);
        let scale = ActionScale::identity(2).clipped_to(&space);
        let saved = serde_json::to_string(&scale).unwrap();
        let read: ActionScale = serde_json::from_str(&saved).unwrap();
        assert_eq!(read, scale);
        let mut action = [-0.7, 0.7];
        read.from_unit(&mut action).unwrap();
        assert_eq!(action, [0.0, 0.5]);
        let plain = serde_json::to_string(&ActionScale::identity(1)).unwrap();
        assert_eq!(plain, r#"{"low":[-1.0],"high":[1.0]}"#);
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
