//! The rows of a replay buffer, in memory and in checkpoints.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::iter::StepBy;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use bevy_ecs::prelude::*;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::chunk::{Chunk, Widths};
use super::on_device::OnDevice;
use crate::checkpoint::Blob;
use crate::data::pipeline::{Numbers, Order};
use crate::data::{EpisodeEnd, NotAByte, Packing, StepResults};
use crate::observation::ObservationParts;

/// The most rows that lie in one piece: what a checkpoint copies and writes again at each save is less than this.
const PIECE: usize = 16_384;

/// The last transitions of all environments, raw, as a ring: the oldest step of all environments goes when a new one comes.
///
/// A row is a step of one environment. Rows are counted from the beginning of the run: the row of environment `e` in the run's
/// step `t` is `t * environments + e`, and it keeps its number for as long as it is there. Each environment is a column of its own,
/// so that the rewards of following rows can be folded, never past an episode's end. Rows lie in pieces that do not change once
/// they are full, which is what lets a checkpoint write only what is new. Pictures are bytes, in memory and in checkpoints
/// ([`with_parts`](Self::with_parts)).
///
/// ```
/// use yarak::prelude::*;
/// use yarak::data::{EpisodeEnd, ReplayBuffer};
///
/// // Two environments, whose second ends an episode in the run's step 1.
/// let mut buffer = ReplayBuffer::new(100, 2, 1, 1);
/// for step in 0..3 {
///     let mut steps = StepResults::new(2, 1, 1);
///     steps.valid = vec![true; 2];
///     steps.terminated[1] = step == 1;
///     buffer.push(&steps)?;
/// }
/// assert_eq!(buffer.rows().collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5]);
/// assert_eq!((buffer.after(1), buffer.after(3), buffer.before(5)), (Some(3), None, None));
/// assert_eq!((buffer.end(3), buffer.end(5)), (Some(EpisodeEnd::Terminated), None));
/// assert_eq!(buffer.episode_of(4).collect::<Vec<_>>(), [0, 2, 4]);
/// # Ok::<(), yarak::data::NotAByte>(())
/// ```
#[derive(Resource, Debug)]
pub struct ReplayBuffer {
    pub(super) widths: Widths,
    /// Steps of all environments that are kept.
    pub(super) capacity: u64,
    /// Observations that networks see side by side: so many steps less one are kept besides, for the oldest row to show.
    pub(super) frames: u64,
    /// Steps of all environments in a piece.
    pub(super) piece_steps: u64,
    /// The pieces that are full, oldest first.
    pub(super) full: VecDeque<Full>,
    /// The number of the first of them, counted from the beginning of the run.
    pub(super) first: u64,
    /// The piece that is being filled.
    pub(super) tail: Chunk,
    /// Steps of all environments that were ever recorded.
    pub(super) taken: u64,
    /// Rows that are steps, among those that are kept.
    pub(super) valid: u64,
    /// For each environment its kept rows that are no steps or that end an episode, ascending.
    cuts: Vec<VecDeque<usize>>,
    /// The rows that lie on the run's device as well.
    pub(super) on_device: Option<Mutex<OnDevice>>,
}

#[derive(Debug)]
pub(super) struct Full {
    pub rows: Arc<Chunk>,
    pub blob: Blob,
}

impl Full {
    pub fn new(rows: Arc<Chunk>, restored: Option<&Blob>) -> Self {
        let written = rows.clone();
        let make = move |out: &mut dyn std::io::Write| written.encode(out);
        let blob = match restored {
            Some(blob) => blob.made_by(make),
            None => Blob::new(make),
        };
        Full { rows, blob }
    }
}

/// How many steps of all environments are kept, and how many make a piece.
fn lengths(capacity: usize, environments: usize) -> (usize, usize) {
    let capacity = capacity.div_ceil(environments).max(1);
    // A piece goes as a whole, so that a small buffer has small ones.
    let piece = (PIECE / environments).min(capacity.div_ceil(8)).max(1);
    (capacity, piece)
}

impl ReplayBuffer {
    /// An empty buffer for `capacity` transitions of so many environments, rounded up to whole steps of all of them.
    pub fn new(capacity: usize, environments: usize, observation: usize, action: usize) -> Self {
        let environments = environments.max(1);
        let widths = Widths {
            environments,
            observation: Packing::numbers(observation),
            action,
        };
        let (capacity, piece_steps) = lengths(capacity, environments);
        ReplayBuffer {
            tail: Chunk::with_capacity(&widths, 0),
            widths,
            capacity: capacity as u64,
            frames: 1,
            piece_steps: piece_steps as u64,
            full: VecDeque::new(),
            first: 0,
            taken: 0,
            valid: 0,
            cuts: vec![VecDeque::new(); environments],
            on_device: None,
        }
    }

    /// Keeps what the oldest row shows where networks see so many observations side by side. For an empty buffer.
    #[must_use]
    pub fn with_frames(mut self, frames: usize) -> Self {
        self.frames = frames.max(1) as u64;
        self
    }

    /// Keeps the elements of parts that are bytes as bytes, a quarter of the memory. For an empty buffer whose observations consist of these
    /// parts; parts of another width change nothing.
    #[must_use]
    pub fn with_parts(mut self, parts: &ObservationParts) -> Self {
        if parts.width() == self.widths.observation.width() {
            self.widths.observation = Packing::of(parts);
        }
        self
    }

    /// The bytes that a buffer takes once it is full. A row is two observations, an action and a reward, 4 bytes a number and 1 an element
    /// of a part that is bytes, and 1 byte for how the step ended.
    pub fn bytes(
        capacity: usize,
        environments: usize,
        parts: &ObservationParts,
        action: usize,
    ) -> u64 {
        let widths = Widths {
            environments: environments.max(1),
            observation: Packing::of(parts),
            action,
        };
        let (capacity, piece_steps) = lengths(capacity, widths.environments);
        // The oldest piece goes only when the last of its rows is too old.
        let steps = capacity.saturating_add(piece_steps) as u64;
        let rows = steps.saturating_mul(widths.environments as u64);
        rows.saturating_mul(widths.row_bytes())
    }

    /// Transitions that can be drawn.
    pub fn len(&self) -> u64 {
        self.valid
    }

    /// Whether nothing can be drawn.
    pub fn is_empty(&self) -> bool {
        self.valid == 0
    }

    /// How many rows have a number at once, whether they are steps or not.
    pub fn capacity(&self) -> usize {
        self.capacity as usize * self.widths.environments
    }

    /// How many environments: rows of one are so many apart.
    pub fn environments(&self) -> usize {
        self.widths.environments
    }

    /// The numbers of all rows that are kept, those among them that are no steps too: where an environment only began its next
    /// episode.
    pub fn range(&self) -> Range<usize> {
        let environments = self.widths.environments as u64;
        (self.oldest() * environments) as usize..(self.taken * environments) as usize
    }

    /// The rows that can be drawn, oldest first.
    pub fn rows(&self) -> impl Iterator<Item = usize> + '_ {
        self.range().filter(|row| self.is_step(*row))
    }

    /// Whether a row is there and can be drawn.
    pub fn contains(&self, row: usize) -> bool {
        self.range().contains(&row) && self.is_step(row)
    }

    /// The row before in the same episode; `None` where it begins, or is not there any more.
    pub fn before(&self, row: usize) -> Option<usize> {
        let before = row.checked_sub(self.widths.environments)?;
        let oldest = self.oldest().saturating_sub(self.frames - 1);
        let is_there = before as u64 >= oldest * self.widths.environments as u64;
        (is_there && self.is_step(before) && self.end(before).is_none()).then_some(before)
    }

    /// The row after in the same episode; `None` where it ended, was broken off, or has not gone on yet.
    pub fn after(&self, row: usize) -> Option<usize> {
        let after = row + self.widths.environments;
        let goes_on = after < self.range().end && self.end(row).is_none();
        (goes_on && self.is_step(after)).then_some(after)
    }

    /// How the episode ended with this row; `None` where it goes on.
    pub fn end(&self, row: usize) -> Option<EpisodeEnd> {
        let (piece, at) = self.place(row);
        match (piece.ended(at), piece.terminated(at)) {
            (false, _) => None,
            (true, true) => Some(EpisodeEnd::Terminated),
            (true, false) => Some(EpisodeEnd::Truncated),
        }
    }

    /// The rows of a row's episode that are there, oldest first: all of it, but for rows that went already or are to come.
    ///
    /// # Panics
    /// Like indexing a slice, where `row` is none of [`rows`](Self::rows).
    pub fn episode_of(&self, row: usize) -> StepBy<Range<usize>> {
        let environments = self.widths.environments;
        let environment = row % environments;
        let cuts = &self.cuts[environment];
        let first = match cuts.partition_point(|cut| *cut < row) {
            0 => self.range().start + environment,
            at => cuts[at - 1] + environments,
        };
        (first..self.last(row) + 1).step_by(environments)
    }

    /// What was observed, `[observation]`, raw.
    ///
    /// # Panics
    /// Like indexing a slice, where `row` is not within the [`range`](Self::range).
    pub fn observation(&self, row: usize) -> Cow<'_, [f32]> {
        let (piece, at) = self.place(row);
        piece.observation.row(at)
    }

    /// What was observed after the step, `[observation]`, raw: where the episode ended, its true last observation.
    ///
    /// # Panics
    /// As [`observation`](Self::observation).
    pub fn next_observation(&self, row: usize) -> Cow<'_, [f32]> {
        let (piece, at) = self.place(row);
        piece.next_observation.row(at)
    }

    /// What was done, `[action]`, as the policy gave it.
    ///
    /// # Panics
    /// As [`observation`](Self::observation).
    pub fn action(&self, row: usize) -> &[f32] {
        let (piece, at) = self.place(row);
        piece.action.row(at)
    }

    /// What it earned.
    ///
    /// # Panics
    /// As [`observation`](Self::observation).
    pub fn reward(&self, row: usize) -> f32 {
        let (piece, at) = self.place(row);
        piece.reward[at]
    }

    /// The widths of observations and of actions.
    pub(in crate::data) fn widths(&self) -> [usize; 2] {
        [self.widths.observation.width(), self.widths.action]
    }

    /// The last row of its episode that is there.
    fn last(&self, row: usize) -> usize {
        let environments = self.widths.environments;
        let cuts = &self.cuts[row % environments];
        match cuts.get(cuts.partition_point(|cut| *cut < row)) {
            Some(cut) if self.is_step(*cut) => *cut,
            Some(cut) => cut - environments,
            None => self.range().end - environments + row % environments,
        }
    }

    /// The oldest step that is kept.
    pub(super) fn oldest(&self) -> u64 {
        self.taken.saturating_sub(self.capacity)
    }

    /// The piece that holds a row, and its place there.
    #[inline]
    fn place(&self, row: usize) -> (&Chunk, usize) {
        let rows = self.piece_steps as usize * self.widths.environments;
        let (piece, at) = (row / rows, row % rows);
        match self.full.get(piece - self.first as usize) {
            Some(full) => (&full.rows, at),
            None => (&self.tail, at),
        }
    }

    /// Whether a row is a step, and not one in which an environment only began its next episode.
    fn is_step(&self, row: usize) -> bool {
        let (piece, at) = self.place(row);
        piece.valid(at)
    }

    fn rows_of(&self, step: u64) -> Range<usize> {
        let first = step as usize * self.widths.environments;
        first..first + self.widths.environments
    }

    fn valid_in(&self, step: u64) -> u64 {
        self.rows_of(step).filter(|row| self.is_step(*row)).count() as u64
    }

    /// Notes where episodes end in a step of all environments.
    fn note_cuts(&mut self, step: u64) {
        for (environment, row) in self.rows_of(step).enumerate() {
            if !self.is_step(row) || self.end(row).is_some() {
                self.cuts[environment].push_back(row);
            }
        }
    }

    /// Records a step of all environments.
    ///
    /// # Errors
    /// An observation with a number in a part that is bytes; then nothing is recorded.
    pub fn push(&mut self, steps: &StepResults) -> Result<(), NotAByte> {
        if self.tail.rows() == 0 {
            let room = self.piece_steps as usize * self.widths.environments;
            self.tail = Chunk::with_capacity(&self.widths, room);
        }
        self.tail.push(steps)?;
        if self.taken >= self.capacity {
            let oldest = self.oldest();
            self.valid -= self.valid_in(oldest);
            let rows_of_oldest = self.rows_of(oldest);
            for (cuts, row) in self.cuts.iter_mut().zip(rows_of_oldest) {
                if cuts.front() == Some(&row) {
                    cuts.pop_front();
                }
            }
        }
        self.taken += 1;
        self.valid += self.valid_in(self.taken - 1);
        self.note_cuts(self.taken - 1);
        if self.taken.is_multiple_of(self.piece_steps) {
            let fresh = Chunk::with_capacity(&self.widths, 0);
            let rows = Arc::new(std::mem::replace(&mut self.tail, fresh));
            self.full.push_back(Full::new(rows, None));
        }
        let shown = self.oldest().saturating_sub(self.frames - 1);
        while !self.full.is_empty() && (self.first + 1) * self.piece_steps <= shown {
            self.full.pop_front();
            self.first += 1;
        }
        Ok(())
    }

    /// Counts again what is computed of the rows.
    pub(super) fn count(&mut self) {
        let steps = self.oldest()..self.taken;
        self.valid = steps.clone().map(|step| self.valid_in(step)).sum();
        self.cuts.iter_mut().for_each(VecDeque::clear);
        steps.for_each(|step| self.note_cuts(step));
    }

    /// Draws `n` rows uniformly, with replacement; `None` where there is nothing to draw.
    pub fn draw(&self, n: usize, generator: &mut ChaCha8Rng) -> Option<Vec<usize>> {
        if self.is_empty() {
            return None;
        }
        let range = self.range();
        let mut drawn = Vec::with_capacity(n);
        while drawn.len() < n {
            let row = range.start + generator.random_range(0..range.len() as u64) as usize;
            // A row in which an environment only began its next episode is no transition.
            if self.is_step(row) {
                drawn.push(row);
            }
        }
        Some(drawn)
    }
}

impl Order for ReplayBuffer {
    fn before(&self, row: usize) -> Option<usize> {
        self.before(row)
    }

    fn after(&self, row: usize) -> Option<usize> {
        self.after(row)
    }

    fn end(&self, row: usize) -> Option<EpisodeEnd> {
        self.end(row)
    }

    fn last(&self, row: usize) -> usize {
        self.last(row)
    }

    fn reward(&self, row: usize) -> f32 {
        self.reward(row)
    }
}

impl Numbers for ReplayBuffer {
    fn add_observation(&self, row: usize, to: &mut Vec<f32>) {
        let (piece, at) = self.place(row);
        piece.observation.add_to(at, to);
    }

    fn action(&self, row: usize) -> &[f32] {
        self.action(row)
    }

    fn add_next_observation(&self, row: usize, to: &mut Vec<f32>) {
        let (piece, at) = self.place(row);
        piece.next_observation.add_to(at, to);
    }
}

#[cfg(test)]
#[path = "buffer_tests.rs"]
mod tests;
