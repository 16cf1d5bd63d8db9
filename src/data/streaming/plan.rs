//! The batches of one sweep through the file, and the rows that they need.

use std::ops::Range;

use rand_chacha::ChaCha8Rng;

use super::stored::{Rows, Stored};
use crate::data::frames::frames_of;
use crate::data::minibatches::draw_rows;
use crate::data::{Goals, LoadError};

/// What a batch is made of.
#[derive(Clone, Debug)]
pub struct Drawing {
    /// Rows in a batch.
    pub batch: usize,
    /// The steps that are folded into one, at least 1.
    pub n_step: usize,
    /// The observations that networks see side by side, at least 1.
    pub frames: usize,
    /// The goals that networks are given.
    pub goals: Option<Goals>,
}

impl Drawing {
    /// The row whose next observation a folded step ends with.
    pub(super) fn last(&self, stored: &Stored, row: usize) -> usize {
        let end = stored.episode_of(row).rows.end;
        row.saturating_add(self.n_step).min(end) - 1
    }

    /// The rows whose observations are seen at a row.
    pub(super) fn seen_at(&self, stored: &Stored, row: usize) -> impl Iterator<Item = usize> {
        frames_of(row, &stored.episode_of(row).rows, self.frames)
    }

    /// The rows whose observations are seen after the step of a row, in front of its next observation.
    pub(super) fn seen_before_next(
        &self,
        stored: &Stored,
        row: usize,
    ) -> impl Iterator<Item = usize> {
        frames_of(row, &stored.episode_of(row).rows, self.frames - 1)
    }

    /// The row whose next observation is the goal.
    pub(super) fn goal(&self, stored: &Stored, row: usize) -> Option<usize> {
        let goals = self.goals?;
        Some(goals.row(stored.episode_of(row)) as usize)
    }
}

/// Rows that are needed, ascending, each once.
#[derive(Default)]
pub(super) struct Needed {
    /// Of which the observation and the action are needed.
    pub(super) here: Vec<u32>,
    /// Of which the next observation is needed.
    pub(super) next: Vec<u32>,
}

/// The rows of the batches to come.
pub(super) struct Plan {
    /// The transitions of each batch, in the order in which they were drawn.
    pub(super) batches: Vec<Vec<u32>>,
    pub(super) needed: Needed,
}

/// A stretch of the needed rows, for one thread to read: places in [`Needed::here`] and in [`Needed::next`].
#[derive(Clone, Debug)]
pub(super) struct Job {
    pub(super) here: Range<usize>,
    pub(super) next: Range<usize>,
}

impl Plan {
    /// Draws batches ahead.
    pub(super) fn draw(
        stored: &Stored,
        training: &[u32],
        drawing: &Drawing,
        batches: usize,
        generator: &mut ChaCha8Rng,
    ) -> Self {
        let batches: Vec<Vec<u32>> = (0..batches)
            .map(|_| draw_rows(training, drawing.batch, generator))
            .collect();
        let mut needed = Needed::default();
        for row in batches.iter().flatten() {
            let row = *row as usize;
            let last = drawing.last(stored, row);
            // A recording's rows are at most `u32::MAX`, or nothing would have been drawn from them.
            let seen = drawing.seen_at(stored, row);
            let seen = seen.chain(drawing.seen_before_next(stored, last));
            needed.here.extend(seen.map(|row| row as u32));
            needed.next.push(last as u32);
            needed
                .next
                .extend(drawing.goal(stored, row).map(|goal| goal as u32));
        }
        for rows in [&mut needed.here, &mut needed.next] {
            rows.sort_unstable();
            rows.dedup();
            rows.shrink_to_fit();
        }
        Self { batches, needed }
    }

    /// The jobs that fetch everything, in the order of the file.
    pub(super) fn jobs(&self, span: usize) -> Vec<Job> {
        let Needed { here, next } = &self.needed;
        let mut jobs = Vec::new();
        let (mut first_here, mut first_next) = (0, 0);
        loop {
            let first = [here.get(first_here), next.get(first_next)];
            let Some(first) = first.into_iter().flatten().min() else {
                return jobs;
            };
            // A unit is never cut, so that none is read twice.
            let end = (*first as usize / span + 1) * span;
            let until = |rows: &[u32], start: usize| {
                start + rows[start..].partition_point(|row| (*row as usize) < end)
            };
            let job = Job {
                here: first_here..until(here, first_here),
                next: first_next..until(next, first_next),
            };
            (first_here, first_next) = (job.here.end, job.next.end);
            jobs.push(job);
        }
    }
}

/// The numbers of needed rows, in the order of [`Needed`].
#[derive(Default)]
pub(super) struct Values {
    pub(super) observation: Vec<f32>,
    pub(super) action: Vec<f32>,
    pub(super) next_observation: Vec<f32>,
}

/// A plan that was carried out: its batches can be taken, in their order.
pub(super) struct Window {
    pub(super) plan: Plan,
    pub(super) values: Values,
    /// The batch that comes next.
    pub(super) next: usize,
}

impl Window {
    /// The transitions of the batch that comes next.
    pub(super) fn rows(&self) -> Option<&[u32]> {
        self.plan.batches.get(self.next).map(Vec::as_slice)
    }

    /// The numbers of the batch that comes next.
    pub(super) fn take(&mut self, stored: &Stored, drawing: &Drawing) -> Result<Rows, LoadError> {
        let rows = self.rows().unwrap_or_default();
        let [observation, action] = stored.recording().widths();
        let (needed, values) = (&self.plan.needed, &self.values);
        let here = |row| numbers(&needed.here, &values.observation, observation, row);
        let next = |row| numbers(&needed.next, &values.next_observation, observation, row);
        let mut gathered = Rows::default();
        for row in rows.iter().map(|row| *row as usize) {
            for frame in drawing.seen_at(stored, row) {
                gathered.observation.extend_from_slice(here(frame));
            }
            let acted = numbers(&needed.here, &values.action, action, row);
            gathered.action.extend_from_slice(acted);
            let last = drawing.last(stored, row);
            for frame in drawing.seen_before_next(stored, last) {
                gathered.next_observation.extend_from_slice(here(frame));
            }
            gathered.next_observation.extend_from_slice(next(last));
            if let Some(goal) = drawing.goal(stored, row) {
                gathered.goal.extend_from_slice(next(goal));
            }
        }
        self.next += 1;
        stored.rescaled(gathered)
    }
}

/// The numbers of one of the needed rows. Every row of a batch was planned for, so that it is there.
fn numbers<'a>(needed: &[u32], values: &'a [f32], width: usize, row: usize) -> &'a [f32] {
    let at = needed.binary_search(&(row as u32));
    at.map_or(&[], |at| &values[at * width..(at + 1) * width])
}
