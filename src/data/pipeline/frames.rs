//! Stacked frames: what a network sees is the last few observations of its episode, side by side.
//!
//! The oldest comes first. Where an episode has begun too recently, its first observation stands for those before it, in data as
//! in environments (Mnih et al. 2015, <https://doi.org/10.1038/nature14236>; robomimic's `FrameStackWrapper`).

use smallvec::SmallVec;

use super::Order;

/// The rows whose observations are the frames of `row`: `[frames]`, oldest first.
pub(super) fn frames_of(order: &impl Order, row: usize, frames: usize) -> SmallVec<[usize; 4]> {
    let mut rows = SmallVec::new();
    let mut frame = row;
    for _ in 0..frames {
        rows.push(frame);
        frame = order.before(frame).unwrap_or(frame);
    }
    rows.reverse();
    rows
}

/// The frames of one episode that is played: what a policy trained with [`Dataset::frame_stack`](crate::data::Dataset::frame_stack) acts on.
///
/// ```
/// use yarak::data::FrameStack;
///
/// let mut stack = FrameStack::new(3);
/// stack.begin(&[1.0, 10.0]);
/// assert_eq!(stack.values(), [1.0, 10.0, 1.0, 10.0, 1.0, 10.0]);
/// stack.push(&[2.0, 20.0]);
/// assert_eq!(stack.values(), [1.0, 10.0, 1.0, 10.0, 2.0, 20.0]);
/// ```
///
/// A policy that [resets](crate::nn::Horizon::Resetting) is shown those since its last reset, the first of them alone at first:
///
/// ```
/// # use yarak::data::FrameStack;
/// let mut stack = FrameStack::new(2).resetting(true);
/// stack.begin(&[1.0, 10.0]);
/// assert_eq!(stack.values(), [1.0, 10.0]);
/// stack.push(&[2.0, 20.0]);
/// assert_eq!(stack.values(), [1.0, 10.0, 2.0, 20.0]);
/// stack.push(&[3.0, 30.0]);
/// assert_eq!(stack.values(), [3.0, 30.0]);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct FrameStack {
    frames: usize,
    resets: bool,
    values: Vec<f32>,
}

impl FrameStack {
    /// A stack of so many frames, at least 1, that waits for an episode.
    pub fn new(frames: usize) -> Self {
        FrameStack {
            frames: frames.max(1),
            resets: false,
            values: Vec::new(),
        }
    }

    /// The same, which if `resets` grows to so many frames, and then begins anew with the next observation.
    #[must_use]
    pub fn resetting(self, resets: bool) -> Self {
        FrameStack { resets, ..self }
    }

    /// Whether it begins anew.
    pub(crate) fn resets(&self) -> bool {
        self.resets
    }

    /// The most frames.
    pub(crate) fn frames(&self) -> usize {
        self.frames
    }

    /// An episode begins with this observation.
    pub fn begin(&mut self, observation: &[f32]) {
        self.values.clear();
        let times = if self.resets { 1 } else { self.frames };
        for _ in 0..times {
            self.values.extend_from_slice(observation);
        }
    }

    /// The observation after one more step of the episode, as wide as the first. Without a first it is one.
    pub fn push(&mut self, observation: &[f32]) {
        if self.resets {
            if self.values.len() >= self.frames * observation.len() {
                self.values.clear();
            }
            return self.values.extend_from_slice(observation);
        }
        let kept = (self.frames - 1) * observation.len();
        if self.values.len() != kept + observation.len() {
            return self.begin(observation);
        }
        self.values.copy_within(observation.len().., 0);
        self.values[kept..].copy_from_slice(observation);
    }

    /// Goes on from what [`values`](Self::values) gave.
    pub(super) fn restore(&mut self, values: &[f32]) {
        self.values = values.to_vec();
    }

    /// The frames, oldest first, `[frames * observation]`, or fewer of them since a reset; empty before the first episode.
    pub fn values(&self) -> &[f32] {
        &self.values
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::data::pipeline::InMemory;
    use crate::data::{Column, Episode, EpisodeEnd, Parts, Transitions, Windows};

    /// Episodes of 1, 2 and 4 rows.
    fn transitions() -> Arc<Transitions> {
        let column = Column {
            values: vec![0.0; 7],
            width: 1,
        };
        let transitions = Transitions::new(Parts {
            observation: column.clone().into(),
            action: column.clone(),
            reward: vec![0.0; 7],
            next_observation: column.into(),
            terminated: vec![false; 7],
            episodes: [0..1, 1..3, 3..7]
                .map(|rows| Episode {
                    rows,
                    end: EpisodeEnd::Truncated,
                })
                .to_vec(),
        });
        Arc::new(transitions.unwrap())
    }

    #[test]
    fn frames_of_a_row_are_those_of_its_window() {
        let transitions = transitions();
        let order = InMemory::new(transitions.clone(), None);
        for frames in 1..6 {
            let windows = Windows {
                frames,
                ..Windows::default()
            };
            for row in 0..7 {
                let found = frames_of(&order, row, frames);
                assert_eq!(found[..], windows.at(&transitions, row).rows);
            }
        }
    }

    #[test]
    fn a_stack_that_is_played_shows_what_the_same_episode_shows_in_data() {
        let order = InMemory::new(transitions(), None);
        let observations: Vec<[f32; 2]> = (0..7).map(|step| [step as f32, -1.0]).collect();
        for frames in 1..5 {
            let mut stack = FrameStack::new(frames);
            // Several episodes, so that nothing of the one before is left in the next.
            for rows in [0..1, 1..3, 3..7] {
                for row in rows.clone() {
                    match row == rows.start {
                        true => stack.begin(&observations[row]),
                        false => stack.push(&observations[row]),
                    }
                    let expected: Vec<f32> = frames_of(&order, row, frames)
                        .iter()
                        .flat_map(|row| observations[*row])
                        .collect();
                    assert_eq!(stack.values(), expected);
                }
            }
        }
    }
}
