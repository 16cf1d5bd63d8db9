//! Transitions that stay in their file.

use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use super::plan::{Job, Plan, Sweep, Values};
use super::statistics::{self, Statistics};
use crate::data::beyond_bounds::Beyond;
use crate::data::check::numbers::Large;
use crate::data::hdf5::File;
use crate::data::pipeline::{Order, Pipeline, ends, row_after, row_before};
use crate::data::{
    ActionScale, Bytes, Column, DatasetFile, Episode, EpisodeEnd, Gathered, LoadError, Normalizer,
    Packing, Split,
};

/// Transitions that stay in their file; their rewards and episodes are in memory.
pub struct Stored {
    dataset_file: DatasetFile,
    /// For reading at once; threads that read ahead have handles of their own.
    file: Mutex<File>,
    /// What the file was when it was opened.
    stamp: Stamp,
    reading: Reading,
    packing: Packing,
    reward: Vec<f32>,
    /// How the episode ends at each row.
    ends: Vec<Option<EpisodeEnd>>,
    /// Applied to what is read, once they are known.
    scales: Option<(Normalizer, ActionScale)>,
}

/// What a sweep through a file gives.
pub(in crate::data) struct Swept {
    pub stored: Stored,
    /// Of the observations that are trained on.
    pub observation: Normalizer,
    /// Two rows: the least and the greatest actions.
    pub extremes: Column,
    /// The first number in an observation that learning cannot compute with.
    pub large: Option<Large>,
}

/// How much is read at once. It changes how fast rows come, and nothing in what they are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    /// Rows that are read together even where not all of them are needed: what lies between two rows that are nearer than
    /// that, or in one chunk, costs less than asking twice.
    pub(super) unit: usize,
    /// The most rows that a thread reads at once: whole units.
    pub(super) span: usize,
    /// Whether chunks have to be decoded before any row of them is there.
    pub(super) is_encoded: bool,
}

/// What changes with a file's content, as far as the system says.
#[derive(Debug, PartialEq)]
struct Stamp(u64, Option<SystemTime>);

impl Stamp {
    fn of(dataset_file: &DatasetFile) -> Result<Self, LoadError> {
        let path = dataset_file.file().path();
        let metadata = std::fs::metadata(path).map_err(|_| changed(dataset_file))?;
        Ok(Self(metadata.len(), metadata.modified().ok()))
    }
}

impl Stored {
    /// Sweeps through a recording: rewards, the statistics of what is trained on, and every number looked at. `memory` is what
    /// all of it may take, `beyond` is shown every action.
    ///
    /// # Errors
    /// Values that cannot be read or are not finite, with their place.
    pub(in crate::data) fn sweep(
        dataset_file: DatasetFile,
        memory: Bytes,
        split: &Split,
        normalize: bool,
        beyond: Option<&mut Beyond>,
    ) -> Result<Swept, LoadError> {
        let stamp = Stamp::of(&dataset_file)?;
        let file = dataset_file.file_for_thread()?;
        let reading = Reading::within(memory, &dataset_file)?;
        let Statistics {
            reward,
            observation,
            extremes,
            large,
        } = statistics::of(&dataset_file, &file, reading.span, split, normalize, beyond)?;
        let stored = Self {
            ends: ends(dataset_file.episodes()),
            packing: dataset_file.packing(),
            dataset_file,
            file: Mutex::new(file),
            stamp,
            reading,
            reward,
            scales: None,
        };
        Ok(Swept {
            stored,
            observation,
            extremes,
            large,
        })
    }

    /// The number of transitions, at least 1.
    #[expect(
        clippy::len_without_is_empty,
        reason = "no value of this type is empty"
    )]
    pub fn len(&self) -> usize {
        self.reward.len()
    }

    /// Where the transitions are.
    pub fn dataset_file(&self) -> &DatasetFile {
        &self.dataset_file
    }

    /// What each transition earned, `[N]`.
    pub fn reward(&self) -> &[f32] {
        &self.reward
    }

    /// The episodes, in the order of their rows.
    pub fn episodes(&self) -> &[Episode] {
        self.dataset_file.episodes()
    }

    /// What stays in memory, however little may be taken.
    pub fn resident(&self) -> Bytes {
        let rows = 5 * self.len() as u64;
        Bytes(rows + size_of_val(self.episodes()) as u64)
    }

    /// The scales that are applied to what is read from now on.
    pub(in crate::data) fn rescale(&mut self, observation: Normalizer, action: ActionScale) {
        self.scales = Some((observation, action));
    }

    /// How observations wait for their batch.
    pub(super) fn packing(&self) -> &Packing {
        &self.packing
    }

    pub(super) fn reading(&self) -> Reading {
        self.reading
    }

    /// Refuses to go on with a file that was changed: the library reads what was cut off as zeros.
    pub(super) fn unchanged(&self) -> Result<(), LoadError> {
        match Stamp::of(&self.dataset_file)? == self.stamp {
            true => Ok(()),
            false => Err(changed(&self.dataset_file)),
        }
    }

    /// The numbers of some transitions, read at once.
    ///
    /// # Errors
    /// The file has changed or cannot be read any more.
    pub(in crate::data) fn read(
        &self,
        rows: &[usize],
        pipeline: &Pipeline,
    ) -> Result<Gathered, LoadError> {
        self.unchanged()?;
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        // A recording's rows are at most `u32::MAX`.
        let batch = rows.iter().map(|row| *row as u32).collect();
        let plan = Plan::of(self, vec![batch], pipeline);
        let widths = self.dataset_file.widths();
        let mut values = Values::of(&plan, &self.packing, widths[1]);
        for job in plan.jobs(self.reading.span) {
            let read = self.fetch(&file, &plan, &job)?;
            values.put(&job, &read, widths[1]);
        }
        let mut window = Sweep {
            plan,
            values,
            widths,
            next: 0,
        };
        window.take(self, pipeline)
    }

    /// Reads the rows of a job, in stretches of neighboring units.
    pub(super) fn fetch(&self, file: &File, plan: &Plan, job: &Job) -> Result<Values, LoadError> {
        let needed = &plan.needed;
        let mut lists = [
            &needed.observation[job.observation.clone()],
            &needed.action[job.action.clone()],
            &needed.next_observation[job.next_observation.clone()],
        ];
        let mut rows = lists.concat();
        rows.sort_unstable();
        let unit = self.reading.unit;
        let neighbors = |a: &u32, b: &u32| *b as usize / unit - *a as usize / unit <= 1;
        let mut values = Values::none(&self.packing);
        for rows in rows.chunk_by(neighbors) {
            let (Some(first), Some(last)) = (rows.first(), rows.last()) else {
                continue;
            };
            let (start, end) = (*first as usize, *last as usize + 1);
            let read = self.dataset_file.read_rows_with(file, start..end)?;
            let taken = lists.each_mut().map(|list| {
                let count = list.partition_point(|row| row <= last);
                let (taken, rest) = list.split_at(count);
                *list = rest;
                taken
            });
            values
                .take(&read, start, taken)
                .map_err(|source| self.dataset_file.not_a_byte(source))?;
        }
        Ok(values)
    }

    /// What was read, as networks see it.
    pub(super) fn rescaled(&self, mut rows: Gathered) -> Result<Gathered, LoadError> {
        let Some((observation, action)) = &self.scales else {
            return Ok(rows);
        };
        let after = &mut rows.next_observation.values;
        let past = rows
            .past_action
            .as_mut()
            .map_or(&mut [][..], |it| &mut it.values);
        observation
            .apply_to_row(&mut rows.observation.values)
            .and_then(|()| observation.apply_to_row(after))
            .and_then(|()| action.to_unit(&mut rows.action.values))
            .and_then(|()| action.to_unit(&mut rows.next_action.values))
            .and_then(|()| action.to_unit(past))
            .map_err(|_| changed(&self.dataset_file))?;
        // What is not known is not scaled either.
        for (row, known) in rows.has_next_action.iter().enumerate() {
            if !known {
                rows.next_action.row_mut(row).fill(0.0);
            }
        }
        Ok(rows)
    }
}

impl Order for Stored {
    fn before(&self, row: usize) -> Option<usize> {
        row_before(&self.ends, row)
    }

    fn after(&self, row: usize) -> Option<usize> {
        row_after(&self.ends, row)
    }

    fn end(&self, row: usize) -> Option<EpisodeEnd> {
        self.ends[row]
    }

    fn last(&self, row: usize) -> usize {
        let episodes = self.episodes();
        episodes[episodes.partition_point(|episode| episode.rows.end <= row)]
            .rows
            .end
            - 1
    }

    fn reward(&self, row: usize) -> f32 {
        self.reward[row]
    }
}

impl Reading {
    fn within(memory: Bytes, dataset_file: &DatasetFile) -> Result<Self, LoadError> {
        let [observation, action] = dataset_file.widths();
        let row = 4 * (2 * observation + action + 1);
        let span = (memory.0 / 64).clamp(4 << 10, 2 << 20) as usize;
        let stretch = (span / 16).min(32 << 10);
        // The first dataset of observations stands for all: writers choose chunks for all of a kind in the same way.
        let layout = dataset_file.layout();
        let file = dataset_file.file();
        let mut chunk = None;
        for info in file.datasets() {
            let is_number = info.dtype.is_numeric();
            if is_number && info.path.contains("obs") && layout.reads(&info.path) {
                chunk = file.chunk_rows(&info.path)?;
                break;
            }
        }
        let unit = chunk.unwrap_or(stretch / row).max(1);
        Ok(Self {
            unit,
            span: (span / row).max(1).div_ceil(unit).saturating_mul(unit),
            is_encoded: chunk.is_some(),
        })
    }
}

fn changed(dataset_file: &DatasetFile) -> LoadError {
    LoadError::Changed {
        file: dataset_file.file().path().to_owned(),
    }
}
