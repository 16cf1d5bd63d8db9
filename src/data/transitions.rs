//! Recorded experience: columns of numbers, one row per transition, and the episodes that the rows belong to.
//!
//! [`Transitions`] is what offline learners sample from and what every file layout is turned into. It is plain data without
//! interior mutability, so several learners on several threads read one copy behind an [`Arc`](std::sync::Arc). It is not a
//! replay buffer: nothing is ever appended.

use std::hint::black_box;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::huge_pages::move_to_huge_pages;
use super::{ObservationColumn, Recorded, TransitionsError};

/// Why an episode has no further transition. Only a terminal stops the bootstrap.
///
/// "Terminal" and "truncated" are Gymnasium's `terminated` and `truncated`
/// (Pardo et al. 2018, "Time Limits in Reinforcement Learning", <https://arxiv.org/abs/1712.00378>).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EpisodeEnd {
    /// The last transition entered a terminal state: there is no next state, and no return after it.
    Terminated,
    /// Something outside the task cut the episode off, most often a time limit: the state after it still has a value.
    Truncated,
    /// The file stops in the middle of the episode. Its last next observation is as true as any other.
    Unfinished,
}

/// A run of consecutive rows that one policy experienced in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Episode {
    /// The rows of this episode; never empty.
    pub rows: Range<usize>,
    /// How it ended.
    pub end: EpisodeEnd,
}

/// A table of `f32` with one row per transition, row after row: shape `[rows, width]`.
///
/// ```
/// use yarak::data::Column;
///
/// let column = Column { values: vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0], width: 3 };
/// assert_eq!(column.rows(), 2);
/// assert_eq!(column.row(1), [4.0, 5.0, 6.0]);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// All elements, `rows * width` of them.
    pub values: Vec<f32>,
    /// Elements in one row.
    pub width: usize,
}

impl Column {
    /// `rows` rows of `width` zeros.
    pub fn zeros(rows: usize, width: usize) -> Self {
        Self {
            values: vec![0.0; rows * width],
            width,
        }
    }

    /// The number of whole rows; 0 where the width is 0.
    pub fn rows(&self) -> usize {
        self.values.len().checked_div(self.width).unwrap_or(0)
    }

    /// Row `index`, `width` elements.
    ///
    /// # Panics
    ///
    /// Like indexing a slice, where `index` is not below [`rows`](Self::rows).
    #[inline]
    pub fn row(&self, index: usize) -> &[f32] {
        &self.values[index * self.width..(index + 1) * self.width]
    }

    /// Row `index`, `width` elements, to be written.
    ///
    /// # Panics
    ///
    /// Like indexing a slice, where `index` is not below [`rows`](Self::rows).
    #[inline]
    pub fn row_mut(&mut self, index: usize) -> &mut [f32] {
        &mut self.values[index * self.width..(index + 1) * self.width]
    }

    /// Reads both ends of a row, so that the next read finds it in the cache.
    #[inline]
    pub(super) fn touch(&self, row: usize) {
        touch_row(&self.values, self.width, row);
    }

    /// The elements of several rows, one row after the other.
    pub(super) fn rows_between(&self, rows: Range<usize>) -> &[f32] {
        &self.values[rows.start * self.width..rows.end * self.width]
    }
}

/// Reads both ends of a row of `width` values.
#[inline]
pub(super) fn touch_row<T: Copy>(values: &[T], width: usize, row: usize) {
    let row = &values[row * width..(row + 1) * width];
    black_box((row.first().copied(), row.last().copied()));
}

/// What a [`Transitions`] is made of, before it is checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Parts {
    /// What was observed, `[N, observation]`; of a [`Column`] by `into()`.
    pub observation: ObservationColumn,
    /// What was done, `[N, action]`.
    pub action: Column,
    /// What it earned, `[N]`.
    pub reward: Vec<f32>,
    /// What was observed next, `[N, observation]`; never used where `terminated` is true.
    pub next_observation: ObservationColumn,
    /// Whether the step entered a terminal state, `[N]`.
    pub terminated: Vec<bool>,
    /// The rows cut into episodes, in order, without gaps.
    pub episodes: Vec<Episode>,
}

/// Transitions `(s, a, r, s', terminated)` in columns, `N` rows, with the episodes that they form.
///
/// What the constructor checked holds for the value's whole life: all columns have `N` rows, every number is finite, the
/// episodes cover the rows `0..N` in order without gaps or overlaps, and a row is terminal exactly where a
/// [`EpisodeEnd::Terminated`] episode ends.
///
/// ```
/// use yarak::data::{Column, EpisodeEnd, Episode, Parts, Transitions};
///
/// let transitions = Transitions::new(Parts {
///     observation: Column { values: vec![0.0, 1.0], width: 1 }.into(),
///     action: Column { values: vec![0.5, -0.5], width: 1 },
///     reward: vec![1.0, 2.0],
///     next_observation: Column { values: vec![1.0, 2.0], width: 1 }.into(),
///     terminated: vec![false, false],
///     episodes: vec![Episode { rows: 0..2, end: EpisodeEnd::Truncated }],
/// })?;
/// assert_eq!(transitions.len(), 2);
/// assert_eq!(*transitions.next_observation().row(0), [1.0]);
/// assert_eq!(transitions.returns(), [3.0]);
/// # Ok::<(), yarak::data::TransitionsError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Transitions {
    parts: Parts,
    discrete_actions: Option<usize>,
    recorded: Recorded,
    /// What the world, or the file, calls the first of them.
    first_action: i64,
    has_whole_actions: bool,
}

impl Transitions {
    /// Checks the parts and takes them.
    ///
    /// # Errors
    ///
    /// The first rule of [`Transitions`] that does not hold, with its place.
    pub fn new(parts: Parts) -> Result<Self, TransitionsError> {
        let Parts {
            observation,
            action,
            reward,
            next_observation,
            ..
        } = &parts;
        let of = |values: &[f32], width: usize| {
            let at = first_not_finite(values).filter(|_| width > 0)?;
            Some((at / width, at % width, values[at]))
        };
        for (column, odd) in [
            ("observation", observation.find(first_not_finite)),
            ("action", of(&action.values, action.width)),
            ("reward", of(reward, 1)),
            ("next_observation", next_observation.find(first_not_finite)),
        ] {
            if let Some((row, element, value)) = odd {
                return Err(TransitionsError::NotFinite {
                    column,
                    row,
                    element,
                    value,
                });
            }
        }
        Self::from_finite(parts)
    }

    /// [`new`](Self::new) for a reader that has already found every number finite (and could say where in the file one was
    /// not), so that large files are not walked twice.
    pub(crate) fn from_finite(parts: Parts) -> Result<Self, TransitionsError> {
        let rows = parts.reward.len();
        if rows == 0 {
            return Err(TransitionsError::Empty);
        }
        if u32::try_from(rows).is_err() {
            return Err(TransitionsError::TooMany { rows });
        }
        let of = |column: &ObservationColumn| (column.elements(), column.width());
        for (column, (values, width)) in [
            ("observation", of(&parts.observation)),
            ("action", (parts.action.values.len(), parts.action.width)),
            ("next_observation", of(&parts.next_observation)),
        ] {
            if width == 0 || values % width != 0 {
                return Err(TransitionsError::Width {
                    column,
                    width,
                    values,
                });
            }
            if values / width != rows {
                return Err(TransitionsError::Rows {
                    column,
                    found: values / width,
                    expected: rows,
                });
            }
        }
        if parts.terminated.len() != rows {
            return Err(TransitionsError::Rows {
                column: "terminated",
                found: parts.terminated.len(),
                expected: rows,
            });
        }
        if parts.next_observation.width() != parts.observation.width() {
            return Err(TransitionsError::ObservationWidths {
                observation: parts.observation.width(),
                next_observation: parts.next_observation.width(),
            });
        }
        check_episodes(&parts.episodes, &parts.terminated)?;
        Ok(Self {
            parts,
            discrete_actions: None,
            recorded: Recorded::ALL,
            first_action: 0,
            has_whole_actions: false,
        })
    }

    /// Says that an action is one of so many discrete actions, a whole number from 0; `None`: a vector of real numbers.
    #[must_use]
    pub fn with_discrete_actions(mut self, discrete_actions: Option<usize>) -> Self {
        self.discrete_actions = discrete_actions;
        self
    }

    /// Says which of rewards and ends were recorded, and are not zeros in the place of what nobody knows.
    #[must_use]
    pub fn with_recorded(mut self, recorded: Recorded) -> Self {
        self.recorded = recorded;
        self
    }

    /// Whether rewards and ends were recorded; both are for transitions that are made up.
    pub fn recorded(&self) -> Recorded {
        self.recorded
    }

    /// Says what the world calls its first discrete action: whoever writes them down writes its own numbers.
    #[must_use]
    pub fn with_first_action(mut self, first: i64) -> Self {
        self.first_action = first;
        self
    }

    /// What the world calls its first discrete action, which is 0 here.
    pub fn first_action(&self) -> i64 {
        self.first_action
    }

    /// Says that the numbers of actions that are vectors are whole: whoever writes them down writes that, too.
    #[must_use]
    pub fn with_whole_actions(mut self, are_whole: bool) -> Self {
        self.has_whole_actions = are_whole;
        self
    }

    /// Whether the numbers of actions are said to be whole. Of transitions from a file the file says it.
    pub fn has_whole_actions(&self) -> bool {
        self.has_whole_actions
    }

    /// The episode that a row belongs to.
    ///
    /// # Panics
    /// Like indexing a slice, where `row` is no row of the transitions.
    pub fn episode_of(&self, row: usize) -> &Episode {
        let episodes = self.episodes();
        &episodes[episodes.partition_point(|episode| episode.rows.end <= row)]
    }

    /// Number of discrete actions; `None` where actions are vectors of real numbers.
    pub fn discrete_actions(&self) -> Option<usize> {
        self.discrete_actions
    }

    /// Takes the columns out again, to build other transitions from them.
    pub fn into_parts(self) -> Parts {
        self.parts
    }

    /// The number of rows, `N`; at least 1.
    #[expect(
        clippy::len_without_is_empty,
        reason = "no value of this type is empty"
    )]
    pub fn len(&self) -> usize {
        self.parts.reward.len()
    }

    /// See [`move_to_huge_pages`]: the columns of which rows are drawn at random.
    pub(super) fn move_to_huge_pages(&self) {
        self.parts.observation.move_to_huge_pages();
        self.parts.next_observation.move_to_huge_pages();
        move_to_huge_pages(&self.parts.action.values);
    }

    /// Reads a little of each of those columns' row, so that the next read finds them in the cache.
    pub(super) fn touch(&self, row: usize) {
        self.parts.observation.touch(row);
        self.parts.action.touch(row);
        self.parts.next_observation.touch(row);
    }

    /// What was observed, `[N, observation]`.
    pub fn observation(&self) -> &ObservationColumn {
        &self.parts.observation
    }

    /// What was done, `[N, action]`.
    pub fn action(&self) -> &Column {
        &self.parts.action
    }

    /// What it earned, `[N]`.
    pub fn reward(&self) -> &[f32] {
        &self.parts.reward
    }

    /// What was observed next, `[N, observation]`. A terminal row's is finite and never to be used.
    pub fn next_observation(&self) -> &ObservationColumn {
        &self.parts.next_observation
    }

    /// Whether the step entered a terminal state, `[N]`.
    pub fn terminated(&self) -> &[bool] {
        &self.parts.terminated
    }

    /// The episodes, in the order of their rows.
    pub fn episodes(&self) -> &[Episode] {
        &self.parts.episodes
    }

    /// The undiscounted sum of rewards of each episode, `[episodes]`, added up in `f64`.
    pub fn returns(&self) -> Vec<f64> {
        let sum = |episode: &Episode| {
            self.parts.reward[episode.rows.clone()]
                .iter()
                .map(|&r| f64::from(r))
                .sum()
        };
        self.parts.episodes.iter().map(sum).collect()
    }

    /// For the sibling modules that rescale values in place; they keep them finite.
    pub(super) fn parts_mut(&mut self) -> &mut Parts {
        &mut self.parts
    }
}

/// The index of the first NaN or infinity.
pub(super) fn first_not_finite(values: &[f32]) -> Option<usize> {
    // Blocks, because a search that can stop at any element cannot be vectorized, and this runs over whole files.
    const BLOCK: usize = 1024;
    let block = values
        .chunks(BLOCK)
        .position(|block| !block.iter().fold(true, |fine, v| fine & v.is_finite()))?;
    let start = block * BLOCK;
    values[start..]
        .iter()
        .position(|v| !v.is_finite())
        .map(|offset| start + offset)
}

fn check_episodes(episodes: &[Episode], terminated: &[bool]) -> Result<(), TransitionsError> {
    let mut next = 0;
    for (index, Episode { rows, end }) in episodes.iter().enumerate() {
        if rows.start != next || rows.end <= rows.start || rows.end > terminated.len() {
            return Err(TransitionsError::Episodes {
                index,
                start: rows.start,
                end: rows.end,
                expected: next,
            });
        }
        let last = rows.end - 1;
        if let Some(offset) = terminated[rows.start..last].iter().position(|&t| t) {
            return Err(TransitionsError::TerminalInside {
                index,
                row: rows.start + offset,
            });
        }
        if terminated[last] != (*end == EpisodeEnd::Terminated) {
            return Err(TransitionsError::End {
                index,
                row: last,
                end: *end,
                terminated: terminated[last],
            });
        }
        next = rows.end;
    }
    if next != terminated.len() {
        return Err(TransitionsError::Uncovered {
            covered: next,
            rows: terminated.len(),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Five rows of two numbers, counted from `first` on.
    fn pairs(first: u8) -> ObservationColumn {
        let column = Column {
            values: (first..first + 10).map(f32::from).collect(),
            width: 2,
        };
        column.into()
    }

    /// The same after a change of the numbers.
    fn changed(column: ObservationColumn, change: impl FnOnce(&mut Vec<f32>)) -> ObservationColumn {
        let mut column = column.into_column();
        change(&mut column.values);
        column.into()
    }

    fn parts() -> Parts {
        Parts {
            observation: pairs(0),
            action: Column {
                values: vec![0.0; 5],
                width: 1,
            },
            reward: vec![1.0, 2.0, 3.0, 4.0, 5.0],
            next_observation: pairs(2),
            terminated: vec![false, false, true, false, false],
            episodes: vec![
                Episode {
                    rows: 0..3,
                    end: EpisodeEnd::Terminated,
                },
                Episode {
                    rows: 3..5,
                    end: EpisodeEnd::Truncated,
                },
            ],
        }
    }

    fn refused(change: impl FnOnce(&mut Parts)) -> TransitionsError {
        let mut parts = parts();
        change(&mut parts);
        Transitions::new(parts).unwrap_err()
    }

    #[test]
    fn rows_and_returns_are_those_given() {
        let transitions = Transitions::new(parts()).unwrap();
        assert_eq!(transitions.len(), 5);
        assert_eq!(*transitions.observation().row(2), [4.0, 5.0]);
        assert_eq!(transitions.returns(), [6.0, 9.0]);
        assert_eq!(transitions.into_parts(), parts());
    }

    #[test]
    fn columns_of_other_lengths_are_refused_by_name() {
        assert_eq!(
            refused(|p| p.action.values.push(0.0)),
            TransitionsError::Rows {
                column: "action",
                found: 6,
                expected: 5
            }
        );
        assert_eq!(
            refused(|p| p.observation = changed(pairs(0), |values| values.truncate(9))),
            TransitionsError::Width {
                column: "observation",
                width: 2,
                values: 9
            }
        );
        assert_eq!(
            refused(|p| p.action.width = 0),
            TransitionsError::Width {
                column: "action",
                width: 0,
                values: 5
            }
        );
        assert_eq!(
            refused(|p| p.terminated.truncate(4)),
            TransitionsError::Rows {
                column: "terminated",
                found: 4,
                expected: 5
            }
        );
        assert!(matches!(
            refused(|p| p.next_observation = Column::zeros(5, 1).into()),
            TransitionsError::ObservationWidths {
                observation: 2,
                next_observation: 1
            }
        ));
    }

    #[test]
    fn nan_and_infinity_are_refused_with_their_place() {
        let error =
            refused(|p| p.next_observation = changed(pairs(2), |values| values[7] = f32::NAN));
        assert!(matches!(
            error,
            TransitionsError::NotFinite {
                column: "next_observation",
                row: 3,
                element: 1,
                ..
            }
        ));
        let error = refused(|p| p.reward[4] = f32::NEG_INFINITY);
        assert_eq!(
            error.to_string(),
            "column `reward`, row 4, element 0 is -inf; drop or repair this row, learning needs finite numbers"
        );
    }

    #[test]
    fn the_first_of_many_odd_values_is_found_across_blocks() {
        let mut values = vec![0.0; 5000];
        assert_eq!(first_not_finite(&values), None);
        values[4999] = f32::INFINITY;
        values[3071] = f32::NAN;
        assert_eq!(first_not_finite(&values), Some(3071));
    }

    #[test]
    fn episodes_must_partition_the_rows() {
        assert!(matches!(
            refused(|p| p.episodes[1].rows = 4..5),
            TransitionsError::Episodes {
                index: 1,
                expected: 3,
                ..
            }
        ));
        assert!(matches!(
            refused(|p| p.episodes[1].rows = 2..5),
            TransitionsError::Episodes { index: 1, .. }
        ));
        assert!(matches!(
            refused(|p| p.episodes[1].rows = 3..6),
            TransitionsError::Episodes { index: 1, .. }
        ));
        assert!(matches!(
            refused(|p| p.episodes[1].rows = 3..3),
            TransitionsError::Episodes { index: 1, .. }
        ));
        assert_eq!(
            refused(|p| p.episodes.truncate(1)),
            TransitionsError::Uncovered {
                covered: 3,
                rows: 5
            }
        );
    }

    #[test]
    fn a_terminal_row_and_a_terminal_end_are_the_same_thing() {
        assert_eq!(
            refused(|p| p.terminated[0] = true),
            TransitionsError::TerminalInside { index: 0, row: 0 }
        );
        assert!(matches!(
            refused(|p| p.terminated[2] = false),
            TransitionsError::End {
                index: 0,
                row: 2,
                ..
            }
        ));
        assert!(matches!(
            refused(|p| p.terminated[4] = true),
            TransitionsError::End {
                index: 1,
                row: 4,
                ..
            }
        ));
    }

    #[test]
    fn nothing_is_refused_as_nothing() {
        let error = refused(|p| {
            *p = Parts {
                observation: Column::zeros(0, 1).into(),
                action: Column::zeros(0, 1),
                reward: vec![],
                next_observation: Column::zeros(0, 1).into(),
                terminated: vec![],
                episodes: vec![],
            }
        });
        assert_eq!(error, TransitionsError::Empty);
    }

    #[test]
    fn learners_on_several_threads_may_share_it() {
        fn shared<T: Send + Sync>() {}
        shared::<std::sync::Arc<Transitions>>();
    }
}
