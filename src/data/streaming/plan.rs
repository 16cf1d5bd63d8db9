//! The batches of one sweep through the file, and the rows of each table that they need.

use std::ops::Range;

use rand_chacha::ChaCha8Rng;

use super::stored::{Rows, Stored, Table, Vector};
use crate::data::LoadError;
use crate::data::minibatches::draw_rows;

/// How the batches are drawn.
#[derive(Clone)]
pub(super) struct Drawing {
    /// Rows in a batch.
    pub(super) batch: usize,
    /// The steps that are folded into one, at least 1.
    pub(super) n_step: usize,
}

/// The rows of the batches to come.
pub(super) struct Plan {
    /// The transitions of each batch, in the order in which they were drawn.
    pub(super) batches: Vec<Vec<u32>>,
    /// For each table the rows that are needed, ascending, each once.
    pub(super) needed: Vec<Vec<usize>>,
}

/// A stretch of one table's needed rows, for one thread to read.
#[derive(Clone, Debug)]
pub(super) struct Job {
    pub(super) table: usize,
    /// Places in the table's needed rows.
    pub(super) places: Range<usize>,
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
        let mut needed = vec![Vec::new(); stored.tables().len()];
        for row in batches.iter().flatten() {
            let row = *row as usize;
            for (row, vector) in [
                (row, Vector::Observation),
                (row, Vector::Action),
                (last(stored, row, drawing.n_step), Vector::NextObservation),
            ] {
                let (table, at) = stored.place(row, vector);
                needed[table].push(at);
            }
        }
        for rows in &mut needed {
            rows.sort_unstable();
            rows.dedup();
        }
        Self { batches, needed }
    }

    /// The jobs that fetch everything, in the order of the file.
    pub(super) fn jobs(&self, tables: &[Table]) -> Vec<Job> {
        let mut jobs = Vec::new();
        for (index, (needed, table)) in self.needed.iter().zip(tables).enumerate() {
            let mut start = 0;
            while let Some(first) = needed.get(start) {
                // A unit is never cut, so that none is decoded twice.
                let end = (first / table.span + 1) * table.span;
                let count = needed[start..].partition_point(|row| *row < end);
                jobs.push(Job {
                    table: index,
                    places: start..start + count,
                });
                start += count;
            }
        }
        jobs
    }
}

/// The row whose next observation a folded step ends with.
pub(super) fn last(stored: &Stored, row: usize, n_step: usize) -> usize {
    row.saturating_add(n_step)
        .min(stored.episode_of(row).rows.end)
        - 1
}

/// A plan that was carried out: its batches can be taken, in their order.
pub(super) struct Window {
    pub(super) plan: Plan,
    /// For each table the needed rows, one after the other.
    pub(super) values: Vec<Vec<f32>>,
    /// The batch that comes next.
    pub(super) next: usize,
}

impl Window {
    /// The transitions of the batch that comes next.
    pub(super) fn rows(&self) -> Option<&[u32]> {
        self.plan.batches.get(self.next).map(Vec::as_slice)
    }

    /// The numbers of the batch that comes next.
    pub(super) fn take(&mut self, stored: &Stored, n_step: usize) -> Result<Rows, LoadError> {
        let rows = self.rows().unwrap_or_default();
        let [observation, action] = stored.widths();
        let gather = |width: usize, vector: Vector| {
            let mut values = Vec::with_capacity(rows.len() * width);
            for row in rows {
                let row = match vector {
                    Vector::NextObservation => last(stored, *row as usize, n_step),
                    _ => *row as usize,
                };
                let (table, at) = stored.place(row, vector);
                // Every row of a batch was planned for, so that it is there.
                if let Ok(at) = self.plan.needed[table].binary_search(&at) {
                    values.extend_from_slice(&self.values[table][at * width..(at + 1) * width]);
                }
            }
            values
        };
        let gathered = Rows {
            observation: gather(observation, Vector::Observation),
            action: gather(action, Vector::Action),
            next_observation: gather(observation, Vector::NextObservation),
        };
        self.next += 1;
        stored.rescaled(gathered)
    }
}
