//! The batches of one sweep through the file, and the rows that they need.

use std::ops::Range;

use rand_chacha::ChaCha8Rng;

use super::stored::Stored;
use crate::data::minibatches::draw_rows;
use crate::data::pipeline::{Needed, Numbers, Pipeline};
use crate::data::{Gathered, LoadError, Transitions};

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
#[derive(Default)]
pub(super) struct Values {
    pub(super) observation: Vec<f32>,
    pub(super) action: Vec<f32>,
    pub(super) next_observation: Vec<f32>,
}

impl Values {
    /// Room for all that a plan needs.
    pub(super) fn of(plan: &Plan, [observation, action]: [usize; 2]) -> Self {
        let needed = &plan.needed;
        Values {
            observation: vec![0.0; needed.observation.len() * observation],
            action: vec![0.0; needed.action.len() * action],
            next_observation: vec![0.0; needed.next_observation.len() * observation],
        }
    }

    /// Puts in what a job has read.
    pub(super) fn put(&mut self, job: &Job, read: &Values, [observation, action]: [usize; 2]) {
        let put = |to: &mut [f32], places: &Range<usize>, width, from: &[f32]| {
            to[places.start * width..places.end * width].copy_from_slice(from);
        };
        let (to, from) = (&mut self.observation, &read.observation);
        put(to, &job.observation, observation, from);
        put(&mut self.action, &job.action, action, &read.action);
        let (to, from) = (&mut self.next_observation, &read.next_observation);
        put(to, &job.next_observation, observation, from);
    }

    /// Takes the given rows of a stretch that was read.
    pub(super) fn take(&mut self, read: &Transitions, start: usize, rows: [&[u32]; 3]) {
        let columns = [
            (&mut self.observation, read.observation()),
            (&mut self.action, read.action()),
            (&mut self.next_observation, read.next_observation()),
        ];
        for ((values, column), rows) in columns.into_iter().zip(rows) {
            for row in rows {
                values.extend_from_slice(column.row(*row as usize - start));
            }
        }
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
        let rows = self.rows().unwrap_or_default();
        let rows: Vec<usize> = rows.iter().map(|row| *row as usize).collect();
        let gathered = pipeline.gather(stored, &*self, self.widths, &rows);
        self.next += 1;
        stored.rescaled(gathered)
    }
}

impl Numbers for Sweep {
    fn observation(&self, row: usize) -> &[f32] {
        let needed = &self.plan.needed.observation;
        numbers(needed, &self.values.observation, self.widths[0], row)
    }

    fn action(&self, row: usize) -> &[f32] {
        let needed = &self.plan.needed.action;
        numbers(needed, &self.values.action, self.widths[1], row)
    }

    fn next_observation(&self, row: usize) -> &[f32] {
        let needed = &self.plan.needed.next_observation;
        numbers(needed, &self.values.next_observation, self.widths[0], row)
    }
}

/// The numbers of one of the needed rows. Every row of a batch was planned for, so that it is there.
fn numbers<'a>(needed: &[u32], values: &'a [f32], width: usize, row: usize) -> &'a [f32] {
    let at = needed.binary_search(&(row as u32));
    at.map_or(&[], |at| &values[at * width..(at + 1) * width])
}
