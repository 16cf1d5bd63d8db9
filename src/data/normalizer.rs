//! Rescaling observations to mean 0 and deviation 1.
//!
//! It is fitted once, on the training data, and travels with the policy: whoever acts with it applies the same numbers.

use std::convert::Infallible;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::{Column, ObservationColumn, ScaleError, Transitions};
use crate::observation::{ObservationParts, PartKind};

/// Standardizes observations as TD3+BC does: `(s - mean) / (std + 0.001)` for each element (Fujimoto & Gu 2021, section 5.1,
/// <https://arxiv.org/abs/2106.06860>; 0.001 is their code's).
///
/// ```
/// use yarak::data::{Column, Normalizer};
///
/// let normalizer = Normalizer::fit(&Column { values: vec![1.0, 10.0, 3.0, 30.0], width: 2 });
/// assert_eq!(normalizer, Normalizer { mean: vec![2.0, 20.0], std: vec![1.0, 10.0] });
/// let mut observation = [3.0, 20.0];
/// normalizer.apply_to_row(&mut observation)?;
/// assert_eq!(observation, [1.0 / 1.001, 0.0]);
/// # Ok::<(), yarak::data::ScaleError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Normalizer {
    /// Mean of each element, `[observation]`.
    pub mean: Vec<f32>,
    /// Population standard deviation of each element, `[observation]`, at least 0; 1 of one that never changed.
    pub std: Vec<f32>,
}

impl Normalizer {
    /// Added to the deviation, so that an element that hardly changes does not divide by 0.
    pub const EPSILON: f32 = 1e-3;

    /// The mean and the population standard deviation of each element over all rows, computed in `f64`.
    ///
    /// The deviation of an element that never changes is taken as 1: where it moves after all, a network sees by how much, and not
    /// a thousand times that. A column without rows gives the [identity](Self::identity).
    pub fn fit(column: &Column) -> Self {
        let rows = column.rows();
        if rows == 0 {
            return Self::identity(column.width);
        }
        // Two passes: the shortcut through the sum of squares loses all digits where the mean is large.
        let mean = sum_rows(column, |_, value| value)
            .map(|sum| sum / rows as f64)
            .collect::<Vec<_>>();
        let std = sum_rows(column, |element, value| (value - mean[element]).powi(2))
            .map(|sum| deviation(sum, rows))
            .collect();
        Self {
            mean: mean.into_iter().map(|mean| mean as f32).collect(),
            std,
        }
    }

    /// [`fit`](Self::fit) on some rows of observations: statistics are those of what is trained on.
    pub(super) fn fit_rows(column: &ObservationColumn, rows: &[u32]) -> Self {
        let fitted = Self::fit_by::<Infallible>(column.width(), rows.len(), |consume| {
            rows.iter()
                .for_each(|row| consume(&column.row(*row as usize)));
            Ok(())
        });
        let Ok(fitted) = fitted;
        fitted
    }

    /// [`fit`](Self::fit) on rows that are not in memory: `each` gives them all, in the same order both times.
    pub(super) fn fit_by<E>(
        width: usize,
        rows: usize,
        mut each: impl FnMut(&mut dyn FnMut(&[f32])) -> Result<(), E>,
    ) -> Result<Self, E> {
        if rows == 0 {
            return Ok(Self::identity(width));
        }
        let mut mean = vec![0.0; width];
        each(&mut |row| add(&mut mean, row, |_, value| value))?;
        mean.iter_mut().for_each(|sum| *sum /= rows as f64);
        let mut variance = vec![0.0; width];
        each(&mut |row| {
            add(&mut variance, row, |element, value| {
                (value - mean[element]).powi(2)
            });
        })?;
        Ok(Self {
            mean: mean.iter().map(|mean| *mean as f32).collect(),
            std: variance.iter().map(|sum| deviation(*sum, rows)).collect(),
        })
    }

    /// Leaves every observation of `width` elements as it is, to the last bit.
    pub fn identity(width: usize) -> Self {
        Self {
            mean: vec![0.0; width],
            std: vec![1.0 - Self::EPSILON; width],
        }
    }

    /// Leaves the elements of parts that are bytes as they are: a picture is scaled where it is looked at.
    #[must_use]
    pub(crate) fn leaving_bytes(mut self, parts: &ObservationParts) -> Self {
        let mut at = 0;
        for part in parts.iter() {
            let place = at..at + part.width();
            at = place.end;
            if part.kind == PartKind::Byte {
                self.mean[place.clone()].fill(0.0);
                self.std[place].fill(1.0 - Self::EPSILON);
            }
        }
        self
    }

    /// Of these elements alone, in their order.
    #[must_use]
    pub(super) fn of_elements(&self, elements: &[Range<usize>]) -> Self {
        let of = |values: &[f32]| {
            let parts = elements.iter().map(|part| &values[part.clone()]);
            parts.flatten().copied().collect()
        };
        Self {
            mean: of(&self.mean),
            std: of(&self.std),
        }
    }

    /// For these elements and then those of another one.
    pub(super) fn extend(&mut self, other: &Self) {
        self.mean.extend_from_slice(&other.mean);
        self.std.extend_from_slice(&other.std);
    }

    /// For so many observations side by side, each standardized as one.
    #[must_use]
    pub fn repeated(&self, times: usize) -> Self {
        Self {
            mean: self.mean.repeat(times),
            std: self.std.repeat(times),
        }
    }

    /// For observations of another width, of which these are the first elements or a part of them: what there is of statistics,
    /// and then those of the first elements again.
    #[must_use]
    pub(crate) fn resized(&self, width: usize) -> Self {
        let of = |values: &[f32]| values.iter().cycle().take(width).copied().collect();
        Self {
            mean: of(&self.mean),
            std: of(&self.std),
        }
    }

    /// The raw numbers of standardized ones, which are the elements from `start` on.
    pub(super) fn undo(&self, start: usize, values: &mut [f32]) {
        let statistics = self.mean[start..].iter().zip(&self.std[start..]);
        for (value, (mean, std)) in values.iter_mut().zip(statistics) {
            *value = *value * (std + Self::EPSILON) + mean;
        }
    }

    /// Standardizes both observation columns.
    ///
    /// # Errors
    ///
    /// Observations of another width, or a result that is not finite; then nothing has changed.
    pub fn apply(&self, transitions: &mut Transitions) -> Result<(), ScaleError> {
        self.check(transitions.observation().width())?;
        let parts = transitions.parts_mut();
        for column in [&mut parts.observation, &mut parts.next_observation] {
            column.change(|place| self.leaves(place), |rows| self.scale(rows));
        }
        Ok(())
    }

    /// Whether elements stay as they are, to the last bit.
    fn leaves(&self, mut place: Range<usize>) -> bool {
        place.all(|at| self.mean[at] == 0.0 && self.std[at] == 1.0 - Self::EPSILON)
    }

    /// Standardizes one observation in place, or several that lie one after the other.
    ///
    /// # Errors
    ///
    /// A length that is not a multiple of the normalizer's width.
    pub fn apply_to_row(&self, observation: &mut [f32]) -> Result<(), ScaleError> {
        if !whole_rows(observation.len(), self.mean.len()) {
            return Err(ScaleError::Width {
                expected: self.mean.len(),
                found: observation.len(),
            });
        }
        self.check(self.mean.len())?;
        self.scale(observation);
        Ok(())
    }

    /// What each of `width` elements has taken off, and what it is divided by then; `None` where all stay as they are.
    ///
    /// # Errors
    ///
    /// As [`apply_to_row`](Self::apply_to_row).
    pub(super) fn numbers(&self, width: usize) -> Result<Option<[Vec<f32>; 2]>, ScaleError> {
        let expected = self.mean.len();
        if !whole_rows(width, expected) {
            return Err(ScaleError::Width {
                expected,
                found: width,
            });
        }
        self.check(expected)?;
        if *self == Self::identity(expected) {
            return Ok(None);
        }
        let Normalizer { mean, std } = self.repeated(width / expected);
        let divisors = std.into_iter().map(|std| std + Self::EPSILON);
        Ok(Some([mean, divisors.collect()]))
    }

    fn scale(&self, values: &mut [f32]) {
        for row in values.chunks_exact_mut(self.mean.len().max(1)) {
            for ((value, mean), std) in row.iter_mut().zip(&self.mean).zip(&self.std) {
                *value = (*value - mean) / (std + Self::EPSILON);
            }
        }
    }

    /// The fields are public and come back from files, so what the arithmetic relies on is looked at each time.
    fn check(&self, width: usize) -> Result<(), ScaleError> {
        if self.mean.len() != width || self.std.len() != width {
            return Err(ScaleError::Width {
                expected: self.mean.len().max(self.std.len()),
                found: width,
            });
        }
        for (element, (mean, std)) in self.mean.iter().zip(&self.std).enumerate() {
            if !mean.is_finite() || !std.is_finite() || *std < 0.0 {
                return Err(ScaleError::Statistics {
                    element,
                    mean: *mean,
                    std: *std,
                });
            }
        }
        Ok(())
    }
}

/// The sum over all rows of `term(element, value)` for each element.
fn sum_rows(column: &Column, term: impl Fn(usize, f64) -> f64) -> impl Iterator<Item = f64> {
    let mut sums = vec![0.0; column.width];
    for row in column.values.chunks_exact(column.width.max(1)) {
        add(&mut sums, row, &term);
    }
    sums.into_iter()
}

fn add(sums: &mut [f64], row: &[f32], term: impl Fn(usize, f64) -> f64) {
    for (element, (sum, &value)) in sums.iter_mut().zip(row).enumerate() {
        *sum += term(element, f64::from(value));
    }
}

/// The deviation of an element, from the sum of the squares.
fn deviation(squares: f64, rows: usize) -> f32 {
    match (squares / rows as f64).sqrt() as f32 {
        0.0 => 1.0,
        deviation => deviation,
    }
}

/// Whether `length` values make whole rows.
pub(super) fn whole_rows(length: usize, width: usize) -> bool {
    width > 0 && length.is_multiple_of(width)
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
    fn both_observation_columns_are_scaled_by_the_statistics_of_the_first() {
        let mut transitions = transitions();
        let normalizer = Normalizer::fit_rows(transitions.observation(), &[0, 1]);
        assert_eq!(
            normalizer,
            Normalizer {
                mean: vec![2.0, 5.0],
                std: vec![1.0, 1.0]
            }
        );
        normalizer.apply(&mut transitions).unwrap();
        let one = 1.0 / (1.0 + 1e-3);
        assert_eq!(*transitions.observation().numbers(), [-one, 0.0, one, 0.0]);
        assert_eq!(
            *transitions.next_observation().numbers(),
            [one, 0.0, 3.0 / (1.0 + 1e-3), one]
        );
    }

    #[test]
    fn an_element_that_never_changes_in_the_data_is_not_blown_up_where_it_moves() {
        let values = [0.1, 7.0].repeat(1_000);
        let fitted = Normalizer::fit(&Column { values, width: 2 });
        assert_eq!(fitted.std, [1.0, 1.0]);
        let mut moved = [0.6, 7.0];
        fitted.apply_to_row(&mut moved).unwrap();
        assert!(
            (moved[0] - 0.5).abs() < 1e-3 && moved[1] == 0.0,
            "{moved:?}"
        );
        let by_rows = Normalizer::fit_by::<()>(2, 1_000, |consume| {
            (0..1_000).for_each(|_| consume(&[0.1, 7.0]));
            Ok(())
        });
        assert_eq!(by_rows, Ok(fitted));
    }

    #[test]
    fn a_large_mean_does_not_swallow_the_deviation() {
        let values = (0..1_000).map(|i| 1e6 + (i % 2) as f32).collect();
        let normalizer = Normalizer::fit(&Column { values, width: 1 });
        assert_eq!(
            normalizer,
            Normalizer {
                mean: vec![1e6 + 0.5],
                std: vec![0.5]
            }
        );
    }

    #[test]
    fn the_identity_changes_no_bit() {
        let mut row = [0.1, -0.0, f32::MAX, f32::MIN_POSITIVE / 8.0, -123.456];
        let before = row.map(f32::to_bits);
        Normalizer::identity(5).apply_to_row(&mut row).unwrap();
        assert_eq!(row.map(f32::to_bits), before);
    }

    #[test]
    fn a_normalizer_survives_serialization_exactly() {
        let normalizer = Normalizer {
            mean: vec![0.1, -1e-30],
            std: vec![1.0 / 3.0, 0.0],
        };
        let text = serde_json::to_string(&normalizer).unwrap();
        assert_eq!(
            serde_json::from_str::<Normalizer>(&text).unwrap(),
            normalizer
        );
    }

    #[test]
    fn other_widths_and_broken_statistics_are_refused() {
        let normalizer = Normalizer::identity(3);
        assert_eq!(
            normalizer.apply(&mut transitions()),
            Err(ScaleError::Width {
                expected: 3,
                found: 2
            })
        );
        assert_eq!(
            normalizer.apply_to_row(&mut [0.0; 4]),
            Err(ScaleError::Width {
                expected: 3,
                found: 4
            })
        );
        assert!(normalizer.apply_to_row(&mut [0.0; 6]).is_ok());
        let broken = Normalizer {
            mean: vec![0.0],
            std: vec![f32::NAN],
        };
        assert!(matches!(
            broken.apply_to_row(&mut [0.0]),
            Err(ScaleError::Statistics { element: 0, .. })
        ));
    }
}
