//! The batches of one sweep through the file, and the rows that they need.

use std::ops::Range;

use rand_chacha::ChaCha8Rng;

use super::stored::Stored;
use crate::data::minibatches::draw_rows;
use crate::data::pipeline::{Needed, Numbers, Pipeline};
use crate::data::{Gathered, LoadError, NotAByte, ObservationColumn, Packing, Transitions};

/// What a batch is made of.
#[derive(Clone, Copy, Debug)]
pub(in crate::data) struct Drawing {
    /// Rows in a batch.
    pub batch: usize,
    /// What is taken of them.
    pub pipeline: Pipeline,
}

/// The rows of the batches to come.
pub(super) struct Plan {
    /// The transitions of each batch, in the order in which they were drawn.
    pub(super) batches: Vec<Vec<u32>>,
    /// Ascending, each once.
    pub(super) needed: Needed,
}

/// A stretch of the needed rows, for one thread to read: places in each list of [`Needed`].
#[derive(Clone, Debug)]
pub(super) struct Job {
    pub(super) observation: Range<usize>,
    pub(super) action: Range<usize>,
    pub(super) next_observation: Range<usize>,
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
        let batches = (0..batches)
            .map(|_| draw_rows(training, drawing.batch, generator))
            .collect();
        Self::of(stored, batches, &drawing.pipeline)
    }

    /// What these batches need.
    pub(super) fn of(stored: &Stored, batches: Vec<Vec<u32>>, pipeline: &Pipeline) -> Self {
        let mut needed = Needed::default();
        for row in batches.iter().flatten() {
            pipeline.needs(stored, *row as usize, &mut needed);
        }
        for rows in [
            &mut needed.observation,
            &mut needed.action,
            &mut needed.next_observation,
        ] {
            rows.sort_unstable();
            rows.dedup();
            rows.shrink_to_fit();
        }
        Self { batches, needed }
    }

    /// The jobs that fetch everything, in the order of the file.
    pub(super) fn jobs(&self, span: usize) -> Vec<Job> {
        let Needed {
            observation,
            action,
            next_observation,
        } = &self.needed;
        let lists = [observation, action, next_observation];
        let mut first = [0; 3];
        let mut jobs = Vec::new();
        loop {
            let heads = lists
                .iter()
                .zip(first)
                .filter_map(|(list, at)| list.get(at));
            let Some(least) = heads.min() else {
                return jobs;
            };
            // A unit is never cut, so that none is read twice.
            let end = (*least as usize / span + 1) * span;
            let mut until = |index: usize| {
                let (rows, start) = (lists[index], first[index]);
                let count = rows[start..].partition_point(|row| (*row as usize) < end);
                first[index] += count;
                start..start + count
            };
            jobs.push(Job {
                observation: until(0),
                action: until(1),
                next_observation: until(2),
            });
        }
    }
}

/// The numbers of needed rows, in the order of [`Needed`].
pub(super) struct Values {
    pub(super) observation: ObservationColumn,
    pub(super) action: Vec<f32>,
    pub(super) next_observation: ObservationColumn,
}

impl Values {
    /// No rows.
    pub(super) fn none(packing: &Packing) -> Self {
        Values {
            observation: ObservationColumn::with_capacity(packing, 0),
            action: Vec::new(),
            next_observation: ObservationColumn::with_capacity(packing, 0),
        }
    }

    /// Room for all that a plan needs, with actions of such a width.
    pub(super) fn of(plan: &Plan, packing: &Packing, action: usize) -> Self {
        let needed = &plan.needed;
        Values {
            observation: ObservationColumn::zeros(packing, needed.observation.len()),
            action: vec![0.0; needed.action.len() * action],
            next_observation: ObservationColumn::zeros(packing, needed.next_observation.len()),
        }
    }

    /// Puts in what a job has read.
    pub(super) fn put(&mut self, job: &Job, read: &Values, action: usize) {
        self.observation.put(&job.observation, &read.observation);
        let places = job.action.start * action..job.action.end * action;
        self.action[places].copy_from_slice(&read.action);
        self.next_observation
            .put(&job.next_observation, &read.next_observation);
    }

    /// Takes the given rows of a stretch that was read.
    ///
    /// # Errors
    /// A number in a part of bytes that is none.
    pub(super) fn take(
        &mut self,
        read: &Transitions,
        start: usize,
        [observation, action, next_observation]: [&[u32]; 3],
    ) -> Result<(), NotAByte> {
        let at = |row: &u32| *row as usize - start;
        for row in observation {
            self.observation.push(&read.observation().row(at(row)))?;
        }
        for row in action {
            self.action.extend_from_slice(read.action().row(at(row)));
        }
        for row in next_observation {
            let next = read.next_observation();
            self.next_observation.push(&next.row(at(row)))?;
        }
        Ok(())
    }
}

/// A plan that was carried out: its batches can be taken, in their order.
pub(super) struct Sweep {
    pub(super) plan: Plan,
    pub(super) values: Values,
    pub(super) widths: [usize; 2],
    /// The batch that comes next.
    pub(super) next: usize,
}

impl Sweep {
    /// The transitions of the batch that comes next.
    pub(super) fn rows(&self) -> Option<&[u32]> {
        self.plan.batches.get(self.next).map(Vec::as_slice)
    }

    /// The numbers of the batch that comes next.
    pub(super) fn take(
        &mut self,
        stored: &Stored,
        pipeline: &Pipeline,
    ) -> Result<Gathered, LoadError> {
        let batch = self.rows().unwrap_or_default();
        let rows: Vec<usize> = batch.iter().map(|row| *row as usize).collect();
        let planned = Planned {
            needed: &self.plan.needed,
            values: &self.values,
            action: self.widths[1],
        };
        let gathered = pipeline.gather(stored, &planned, self.widths, &rows);
        self.next += 1;
        stored.rescaled(gathered)
    }
}

/// Numbers of needed rows.
struct Planned<'a> {
    needed: &'a Needed,
    values: &'a Values,
    /// Elements of an action.
    action: usize,
}

impl Numbers for Planned<'_> {
    fn add_observation(&self, row: usize, to: &mut Vec<f32>) {
        if let Some(at) = place(&self.needed.observation, row) {
            self.values.observation.add_to(at, to);
        }
    }

    fn action(&self, row: usize) -> &[f32] {
        place(&self.needed.action, row).map_or(&[], |at| {
            &self.values.action[at * self.action..(at + 1) * self.action]
        })
    }

    fn add_next_observation(&self, row: usize, to: &mut Vec<f32>) {
        if let Some(at) = place(&self.needed.next_observation, row) {
            self.values.next_observation.add_to(at, to);
        }
    }
}

/// The place of one of the needed rows. Every row of a batch was planned for, so that it is there.
fn place(needed: &[u32], row: usize) -> Option<usize> {
    needed.binary_search(&(row as u32)).ok()
}
