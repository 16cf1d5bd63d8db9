//! Transitions that stay in their file.

use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use super::plan::Drawing;
use super::statistics::{self, Statistics};
use crate::data::hdf5::File;
use crate::data::{
    ActionScale, Bytes, Column, End, Episode, LoadError, Normaliser, Recording, Split,
};

/// Transitions that stay in their file; their rewards and episodes are in memory.
pub struct Stored {
    recording: Recording,
    /// For reading at once; threads that read ahead have handles of their own.
    file: Mutex<File>,
    /// What the file was when it was opened.
    stamp: Stamp,
    reading: Reading,
    reward: Vec<f32>,
    /// Applied to what is read, once they are known.
    scales: Option<(Normaliser, ActionScale)>,
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

/// What changes with a file's content, as far as the system tells.
#[derive(Debug, PartialEq)]
struct Stamp(u64, Option<SystemTime>);

impl Stamp {
    fn of(recording: &Recording) -> Result<Self, LoadError> {
        let path = recording.file().path();
        let metadata = std::fs::metadata(path).map_err(|_| changed(recording))?;
        Ok(Self(metadata.len(), metadata.modified().ok()))
    }
}

/// The numbers of some transitions, in the order in which they were asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rows {
    /// `[rows, frames * observation]`.
    pub observation: Vec<f32>,
    /// `[rows, action]`.
    pub action: Vec<f32>,
    /// `[rows, frames * observation]`, those after the steps that are folded into one.
    pub next_observation: Vec<f32>,
    /// `[rows, observation]`, and empty where networks are given no goals.
    pub goal: Vec<f32>,
}

impl Stored {
    /// Sweeps through a recording: rewards, the statistics of what is trained on, and every number looked at. `memory` is what
    /// all of it may take.
    ///
    /// # Errors
    /// Values that cannot be read or are not finite, with their place.
    pub(in crate::data) fn sweep(
        recording: Recording,
        memory: Bytes,
        split: &Split,
        normalise: bool,
    ) -> Result<(Self, Normaliser, Column), LoadError> {
        let stamp = Stamp::of(&recording)?;
        let file = recording.file_for_thread()?;
        let reading = Reading::within(memory, &recording)?;
        let Statistics {
            reward,
            observation,
            extremes,
        } = statistics::of(&recording, &file, reading.span, split, normalise)?;
        let stored = Self {
            recording,
            file: Mutex::new(file),
            stamp,
            reading,
            reward,
            scales: None,
        };
        Ok((stored, observation, extremes))
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
    pub fn recording(&self) -> &Recording {
        &self.recording
    }

    /// What each transition earned, `[N]`.
    pub fn reward(&self) -> &[f32] {
        &self.reward
    }

    /// The episodes, in the order of their rows.
    pub fn episodes(&self) -> &[Episode] {
        self.recording.episodes()
    }

    /// The episode that a transition belongs to.
    pub(in crate::data) fn episode_of(&self, row: usize) -> &Episode {
        let after = self
            .episodes()
            .partition_point(|episode| episode.rows.start <= row);
        &self.episodes()[after.saturating_sub(1)]
    }

    /// Whether the step entered a terminal state.
    pub(in crate::data) fn is_terminal(&self, row: usize) -> bool {
        let episode = self.episode_of(row);
        episode.end == End::Terminal && episode.rows.end == row + 1
    }

    /// What stays in memory, however little may be taken.
    pub fn resident(&self) -> Bytes {
        let rows = 4 * self.len() as u64;
        Bytes(rows + size_of_val(self.episodes()) as u64)
    }

    /// The scales that are applied to what is read from now on.
    pub(in crate::data) fn rescale(&mut self, observation: Normaliser, action: ActionScale) {
        self.scales = Some((observation, action));
    }

    pub(super) fn reading(&self) -> Reading {
        self.reading
    }

    /// Refuses to go on with a file that was changed: the library reads what was cut off as zeros.
    pub(super) fn unchanged(&self) -> Result<(), LoadError> {
        match Stamp::of(&self.recording)? == self.stamp {
            true => Ok(()),
            false => Err(changed(&self.recording)),
        }
    }

    /// Reads some transitions at once, one by one.
    ///
    /// # Errors
    /// The file has changed or cannot be read any more.
    pub fn read(&self, rows: &[usize], drawing: &Drawing) -> Result<Rows, LoadError> {
        self.unchanged()?;
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let mut read = Rows::default();
        let one = |row: usize| self.recording.read_rows_with(&file, row..row + 1);
        for row in rows {
            for frame in drawing.seen_at(self, *row) {
                read.observation.extend(&one(frame)?.observation().values);
            }
            read.action.extend(&one(*row)?.action().values);
            let last = drawing.last(self, *row);
            let next = &mut read.next_observation;
            for frame in drawing.seen_before_next(self, last) {
                next.extend(&one(frame)?.observation().values);
            }
            next.extend(&one(last)?.next_observation().values);
            if let Some(goal) = drawing.goal(self, *row) {
                read.goal.extend(&one(goal)?.next_observation().values);
            }
        }
        self.rescaled(read)
    }

    /// What was read, as networks see it.
    pub(super) fn rescaled(&self, mut rows: Rows) -> Result<Rows, LoadError> {
        let Some((observation, action)) = &self.scales else {
            return Ok(rows);
        };
        [
            &mut rows.observation,
            &mut rows.next_observation,
            &mut rows.goal,
        ]
        .into_iter()
        .try_for_each(|values| observation.apply_to_row(values))
        .and_then(|()| action.to_unit(&mut rows.action))
        .map_err(|_| changed(&self.recording))?;
        Ok(rows)
    }
}

impl Reading {
    fn within(memory: Bytes, recording: &Recording) -> Result<Self, LoadError> {
        let [observation, action] = recording.widths();
        let row = 4 * (2 * observation + action + 1);
        let span = (memory.0 / 64).clamp(4 << 10, 2 << 20) as usize;
        let stretch = (span / 16).min(32 << 10);
        // The first dataset of observations stands for all: writers choose chunks for all of a kind in the same way.
        let layout = recording.layout();
        let file = recording.file();
        let mut chunk = None;
        for info in file.datasets() {
            if info.path.contains("obs") && layout.reads(&info.path) {
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

fn changed(recording: &Recording) -> LoadError {
    LoadError::Changed {
        file: recording.file().path().to_owned(),
    }
}
