//! Windows over an episode: stacked frames before a step and a sequence from it, padded at the episode's ends.
//!
//! The window of a step has `frames - 1` rows before it and `sequence` rows from it on. Where the episode does not have a row, its
//! nearest one takes its place and the mask is false there, as in robomimic's `SequenceDataset`. A window never reaches into
//! another episode, and a sum of rewards counts each row of the episode once.

use crate::data::{Episode, EpisodeEnd, Transitions};

/// The shape of windows.
///
/// ```
/// use yarak::data::{Column, EpisodeEnd, Episode, Parts, Transitions, Windows};
///
/// let column = Column { values: vec![0.0, 1.0, 2.0], width: 1 };
/// let transitions = Transitions::new(Parts {
///     observation: column.clone().into(),
///     action: column.clone(),
///     reward: vec![1.0, 10.0, 100.0],
///     next_observation: column.into(),
///     terminated: vec![false; 3],
///     episodes: vec![Episode { rows: 0..3, end: EpisodeEnd::Truncated }],
/// })?;
/// let windows = Windows { frames: 2, sequence: 3, ..Windows::default() };
/// let window = windows.at(&transitions, 1);
/// assert_eq!(window.rows, [0, 1, 2, 2]);
/// assert_eq!(window.mask, [true, true, true, false]);
/// assert_eq!(window.total_reward(&transitions), 110.0);
/// # Ok::<(), yarak::data::TransitionsError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    /// Rows up to the step and with it, at least 1; 0 counts as 1.
    pub frames: usize,
    /// Rows from the step on and with it, at least 1; 0 counts as 1.
    pub sequence: usize,
    /// Whether a step has a window although its episode has too few rows before it.
    pub pad_frames: bool,
    /// Whether a step has a window although its episode has too few rows after it.
    pub pad_sequence: bool,
}

impl Default for Windows {
    /// The step alone, padded where it is made longer.
    fn default() -> Self {
        Self {
            frames: 1,
            sequence: 1,
            pad_frames: true,
            pad_sequence: true,
        }
    }
}

/// The rows of one window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// Rows of the transitions, `[frames - 1 + sequence]`.
    pub rows: Vec<usize>,
    /// Whether the row is the episode's own there, and not its nearest one in its place.
    pub mask: Vec<bool>,
    /// Which of them is the step itself.
    pub step: usize,
}

impl Windows {
    /// The number of rows in a window.
    pub fn length(&self) -> usize {
        self.frames.max(1) - 1 + self.sequence.max(1)
    }

    /// The steps that have a window, in order.
    pub fn steps(&self, transitions: &Transitions) -> Vec<usize> {
        let before = if self.pad_frames {
            0
        } else {
            self.frames.max(1) - 1
        };
        let after = if self.pad_sequence {
            0
        } else {
            self.sequence.max(1) - 1
        };
        transitions
            .episodes()
            .iter()
            .flat_map(|episode| {
                let end = episode.rows.end.saturating_sub(after);
                episode.rows.start + before..end
            })
            .collect()
    }

    /// The window of a step, whichever [`steps`](Self::steps) there are.
    ///
    /// # Panics
    ///
    /// Like indexing a slice, where `step` is no row of the transitions.
    pub fn at(&self, transitions: &Transitions, step: usize) -> Window {
        let Episode { rows, .. } = transitions.episode_of(step);
        let before = self.frames.max(1) - 1;
        let places = (0..self.length()).map(|place| (step + place).checked_sub(before));
        let (rows, mask) = places
            .map(|place| match place {
                Some(row) => (row.clamp(rows.start, rows.end - 1), rows.contains(&row)),
                None => (rows.start, false),
            })
            .unzip();
        Window {
            rows,
            mask,
            step: before,
        }
    }
}

impl Window {
    /// The sum of the rewards from the step on, each row of the episode once, added up in `f64`.
    pub fn total_reward(&self, transitions: &Transitions) -> f64 {
        self.rows
            .iter()
            .zip(&self.mask)
            .skip(self.step)
            .filter(|(_, mask)| **mask)
            .map(|(row, _)| f64::from(transitions.reward()[*row]))
            .sum()
    }

    /// Whether the window reaches the end of an episode that ended so.
    pub fn reaches(&self, transitions: &Transitions, end: EpisodeEnd) -> bool {
        let last = self.rows.iter().copied().max().unwrap_or(0);
        let episode = transitions.episode_of(last);
        episode.end == end && episode.rows.end == last + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Column, Parts};

    /// Episodes of 1, 3 and 2 rows, each row's reward a power of ten.
    fn transitions(ends: [EpisodeEnd; 3]) -> Transitions {
        let column = Column {
            values: (0..6).map(|row| row as f32).collect(),
            width: 1,
        };
        let mut terminated = vec![false; 6];
        let episodes = [0..1, 1..4, 4..6]
            .into_iter()
            .zip(ends)
            .map(|(rows, end)| {
                terminated[rows.end - 1] = end == EpisodeEnd::Terminated;
                Episode { rows, end }
            })
            .collect();
        Transitions::new(Parts {
            observation: column.clone().into(),
            action: column.clone(),
            reward: (0..6).map(|row| 10_f32.powi(row)).collect(),
            next_observation: column.into(),
            terminated,
            episodes,
        })
        .unwrap()
    }

    const ENDS: [[EpisodeEnd; 3]; 2] = [
        [
            EpisodeEnd::Terminated,
            EpisodeEnd::Truncated,
            EpisodeEnd::Unfinished,
        ],
        [
            EpisodeEnd::Truncated,
            EpisodeEnd::Terminated,
            EpisodeEnd::Terminated,
        ],
    ];

    #[test]
    fn an_episode_of_one_row_is_padded_on_both_sides() {
        for ends in ENDS {
            let transitions = transitions(ends);
            let windows = Windows {
                frames: 3,
                sequence: 2,
                ..Windows::default()
            };
            let window = windows.at(&transitions, 0);
            assert_eq!(window.rows, [0, 0, 0, 0]);
            assert_eq!(window.mask, [false, false, true, false]);
            assert_eq!(window.total_reward(&transitions), 1.0);
            assert!(window.reaches(&transitions, ends[0]));
        }
    }

    #[test]
    fn an_episode_as_long_as_the_window_is_not_padded() {
        for ends in ENDS {
            let transitions = transitions(ends);
            let windows = Windows {
                sequence: 3,
                ..Windows::default()
            };
            let window = windows.at(&transitions, 1);
            assert_eq!((window.rows, window.mask), (vec![1, 2, 3], vec![true; 3]));
        }
    }

    #[test]
    fn no_window_and_no_sum_reaches_into_another_episode() {
        for ends in ENDS {
            let transitions = transitions(ends);
            let windows = Windows {
                frames: 4,
                sequence: 4,
                ..Windows::default()
            };
            let sums: Vec<f64> = (0..6)
                .map(|step| windows.at(&transitions, step).total_reward(&transitions))
                .collect();
            assert_eq!(sums, [1.0, 1_110.0, 1_100.0, 1_000.0, 110_000.0, 100_000.0]);
            let window = windows.at(&transitions, 4);
            assert_eq!(window.rows, [4, 4, 4, 4, 5, 5, 5]);
            assert!(
                !windows
                    .at(&transitions, 1)
                    .reaches(&transitions, EpisodeEnd::Unfinished)
            );
        }
    }

    #[test]
    fn without_padding_only_steps_with_a_whole_window_have_one() {
        let transitions = transitions(ENDS[0]);
        let windows = Windows {
            frames: 2,
            sequence: 2,
            pad_frames: false,
            pad_sequence: false,
        };
        assert_eq!(windows.steps(&transitions), [2]);
        let front = Windows {
            pad_frames: true,
            ..windows
        };
        assert_eq!(front.steps(&transitions), [1, 2, 4]);
        assert_eq!(Windows::default().steps(&transitions), [0, 1, 2, 3, 4, 5]);
        let all_whole = windows.at(&transitions, 2).mask;
        assert_eq!(all_whole, [true; 3]);
    }
}
