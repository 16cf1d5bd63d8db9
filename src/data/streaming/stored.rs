//! Transitions that stay in their file.

use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use crate::data::hdf5::{File, FileError};
use crate::data::{ActionScale, Bytes, Column, End, Episode, Layout, LoadError, Normaliser, Split};

/// How much is read at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    /// About how many bytes of a dataset a thread reads at once.
    span: usize,
    /// Rows of a dataset without chunks are read in stretches of this many bytes: reading what lies between two rows that are
    /// nearer than that costs less than asking twice.
    stretch: usize,
}

impl Reading {
    /// Within so much memory. It changes how fast rows come, and nothing in what they are.
    fn within(memory: Bytes) -> Self {
        let span = (memory.0 / 64).clamp(4 << 10, 2 << 20) as usize;
        Self {
            span,
            stretch: (span / 16).min(32 << 10),
        }
    }
}

/// A dataset in the file.
#[derive(Clone, Debug)]
pub(super) struct Table {
    pub(super) path: String,
    /// Elements in a row.
    pub(super) width: usize,
    /// Rows in the dataset.
    pub(super) rows: usize,
    /// Rows that are read together: those of a chunk, or of a stretch.
    pub(super) unit: usize,
    /// Whether a chunk has to be decoded before any row of it is there.
    pub(super) is_encoded: bool,
    /// Rows that are read at once: whole units.
    pub(super) span: usize,
}

/// Where the rows of a segment begin in a dataset.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source {
    /// Which of the tables.
    pub(super) table: u32,
    /// The row there that belongs to the segment's first transition.
    pub(super) row: usize,
}

/// Transitions whose numbers lie one after the other in the file.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    /// The first transition.
    pub(super) first: usize,
    pub(super) observation: Source,
    pub(super) action: Source,
    pub(super) next_observation: Source,
}

/// What a layout says of a file, before anything but the scalars is read.
pub(super) struct Found {
    pub(super) tables: Vec<Table>,
    /// In the order of their transitions; the first begins at 0.
    pub(super) segments: Vec<Segment>,
    pub(super) reward: Vec<f32>,
    pub(super) episodes: Vec<Episode>,
    /// Elements of an observation and of an action.
    pub(super) widths: [usize; 2],
}

/// Which of a transition's three vectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Vector {
    Observation,
    Action,
    NextObservation,
}

/// Transitions that stay in their file; their rewards and episodes are in memory.
pub struct Stored {
    /// For reading at once; threads that read ahead have handles of their own.
    file: Mutex<File>,
    /// What the file was when it was opened.
    stamp: Stamp,
    found: Found,
    /// Applied to what is read, once they are known.
    scales: Option<(Normaliser, ActionScale)>,
}

/// What changes with a file's content, as far as the system tells.
#[derive(Debug, PartialEq)]
struct Stamp(u64, Option<SystemTime>);

impl Stamp {
    fn of(file: &File) -> Result<Self, LoadError> {
        let metadata = std::fs::metadata(file.path()).map_err(|_| LoadError::changed(file))?;
        Ok(Self(metadata.len(), metadata.modified().ok()))
    }
}

/// The numbers of some transitions, in the order in which they were asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Rows {
    /// `[rows, observation]`.
    pub observation: Vec<f32>,
    /// `[rows, action]`.
    pub action: Vec<f32>,
    /// `[rows, observation]`.
    pub next_observation: Vec<f32>,
}

impl Stored {
    /// Looks a file over: shapes, rewards, episodes. What is read later is not rescaled yet.
    pub(in crate::data) fn open(
        file: File,
        layout: Layout,
        memory: Bytes,
    ) -> Result<Self, LoadError> {
        let stamp = Stamp::of(&file)?;
        let found = super::layouts::find(&file, layout, Reading::within(memory))?;
        Ok(Self {
            file: Mutex::new(file),
            stamp,
            found,
            scales: None,
        })
    }

    /// The number of transitions, at least 1.
    #[expect(
        clippy::len_without_is_empty,
        reason = "no value of this type is empty"
    )]
    pub fn len(&self) -> usize {
        self.found.reward.len()
    }

    /// Elements of an observation and of an action.
    pub fn widths(&self) -> [usize; 2] {
        self.found.widths
    }

    /// What each transition earned, `[N]`.
    pub fn reward(&self) -> &[f32] {
        &self.found.reward
    }

    /// The episodes, in the order of their rows.
    pub fn episodes(&self) -> &[Episode] {
        &self.found.episodes
    }

    /// The episode that a transition belongs to.
    pub(in crate::data) fn episode_of(&self, row: usize) -> &Episode {
        let after = self
            .found
            .episodes
            .partition_point(|episode| episode.rows.start <= row);
        &self.found.episodes[after.saturating_sub(1)]
    }

    /// Whether the step entered a terminal state.
    pub(in crate::data) fn is_terminal(&self, row: usize) -> bool {
        let episode = self.episode_of(row);
        episode.end == End::Terminal && episode.rows.end == row + 1
    }

    /// What stays in memory, however little may be taken.
    pub fn resident(&self) -> Bytes {
        let rows = 4 * self.len() as u64;
        let episodes = size_of_val(self.episodes()) + size_of_val(&self.found.segments[..]);
        Bytes(rows + episodes as u64)
    }

    /// The scales that are applied to what is read from now on.
    pub(in crate::data) fn rescale(&mut self, observation: Normaliser, action: ActionScale) {
        self.scales = Some((observation, action));
    }

    /// The mean and deviation of the observations that are trained on, and the least and greatest actions of all, in sweeps
    /// through the file; every number is looked at, and one that is not finite is an error with its place.
    pub(in crate::data) fn statistics(
        &self,
        split: &Split,
        normalise: bool,
    ) -> Result<(Normaliser, Column), LoadError> {
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        super::statistics::of(&file, &self.found, split, normalise)
    }

    /// Refuses to go on with a file that was changed: the library reads what was cut off as zeros.
    pub(super) fn unchanged(&self) -> Result<(), LoadError> {
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        match Stamp::of(&file)? == self.stamp {
            true => Ok(()),
            false => Err(LoadError::changed(&file)),
        }
    }

    /// A handle for another thread.
    pub(super) fn reopen(&self) -> Result<File, FileError> {
        self.file
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .reopen()
    }

    pub(super) fn tables(&self) -> &[Table] {
        &self.found.tables
    }

    /// The table and the row in it where a vector of a transition lies.
    pub(super) fn place(&self, row: usize, vector: Vector) -> (usize, usize) {
        self.found.place(row, vector)
    }

    /// Reads some transitions at once: their observations and actions at `rows`, their next observations at `last`.
    ///
    /// # Errors
    /// The file has changed or cannot be read any more.
    pub fn read(&self, rows: &[usize], last: &[usize]) -> Result<Rows, LoadError> {
        self.unchanged()?;
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let read = |rows: &[usize], vector| {
            let mut values = Vec::new();
            for row in rows {
                let (table, at) = self.place(*row, vector);
                let table = &self.found.tables[table];
                values.extend(file.read::<f32>(&table.path, at..at + 1)?);
            }
            Ok::<_, FileError>(values)
        };
        self.rescaled(Rows {
            observation: read(rows, Vector::Observation)?,
            action: read(rows, Vector::Action)?,
            next_observation: read(last, Vector::NextObservation)?,
        })
    }

    /// What was read, as networks see it.
    pub(super) fn rescaled(&self, mut rows: Rows) -> Result<Rows, LoadError> {
        let Some((observation, action)) = &self.scales else {
            return Ok(rows);
        };
        let scaled = observation
            .apply_to_row(&mut rows.observation)
            .and_then(|()| observation.apply_to_row(&mut rows.next_observation))
            .and_then(|()| action.to_unit(&mut rows.action));
        match scaled {
            Ok(()) => Ok(rows),
            Err(_) => {
                let file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
                Err(LoadError::changed(&file))
            }
        }
    }
}

impl Found {
    pub(super) fn place(&self, row: usize, vector: Vector) -> (usize, usize) {
        let after = self
            .segments
            .partition_point(|segment| segment.first <= row);
        let segment = &self.segments[after.saturating_sub(1)];
        let source = match vector {
            Vector::Observation => segment.observation,
            Vector::Action => segment.action,
            Vector::NextObservation => segment.next_observation,
        };
        (source.table as usize, source.row + row - segment.first)
    }
}

impl Table {
    /// A dataset whose rows are read.
    pub(super) fn of(file: &File, path: &str, reading: Reading) -> Result<Self, FileError> {
        let info = file.dataset(path)?;
        let width = info.width().unwrap_or(0).max(1);
        let chunk = file.chunk_rows(path)?;
        let row_bytes = (width * info.element_bytes).max(1);
        let unit = chunk.unwrap_or((reading.stretch / row_bytes).max(1)).max(1);
        let span = (reading.span / (4 * width)).max(1);
        Ok(Self {
            path: info.path.clone(),
            width,
            rows: info.rows(),
            unit,
            is_encoded: chunk.is_some(),
            span: span.div_ceil(unit).saturating_mul(unit),
        })
    }
}
