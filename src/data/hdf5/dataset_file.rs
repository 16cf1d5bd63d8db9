//! A file of demonstrations whose layout, columns and episodes are known, and whose values are read when they are asked for.

use std::ops::Range;
use std::path::{Path, PathBuf};

use super::d4rl::D4rlRows;
use super::episodic::Episodic;
use super::table_folder::TableFolder;
use super::{DiscreteActions, Dtype, File, FileError, Layout, LoadError, Reading, minari};
use crate::data::{
    Bytes, Column, Episode, EpisodeEnd, NotAByte, ObservationColumn, Packing, Parts, Recorded,
    Transitions,
};
use crate::observation::ObservationParts;

/// A file of demonstrations, opened: its layout, the parts of its observations and actions, its episodes and how they end.
/// Values are read by [`read`](Self::read), or a range of transitions at a time by [`read_rows`](Self::read_rows), which is
/// how data larger than memory are used.
///
/// ```
/// # let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/d4rl/contiguous.hdf5");
/// use yarak::data::{Reading, DatasetFile};
///
/// let dataset_file = DatasetFile::open(file, &Reading::default())?;
/// println!("{} transitions in {} episodes", dataset_file.len(), dataset_file.episodes().len());
/// let whole = dataset_file.read()?;
/// let part = dataset_file.read_rows(10..20)?;
/// assert_eq!(part.observation().row(0), whole.observation().row(10));
/// # Ok::<(), yarak::data::LoadError>(())
/// ```
pub struct DatasetFile {
    file: File,
    layout: Layout,
    pub(super) index: Index,
}

/// One named part of an observation or an action. Parts are joined in order, each flattened row by row.
#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    /// Its name in the file: `observations` for a D4RL file, `achieved_goal` or `_index_0` for a part of a space.
    pub name: String,
    /// The shape at one step; empty for a single number.
    pub shape: Vec<usize>,
    /// The type in the file.
    pub dtype: Dtype,
}

impl Key {
    /// How many elements it has at one step.
    pub fn width(&self) -> usize {
        self.shape.iter().product()
    }
}

/// The attribute of the actions of a file that yarak wrote, 1 where these floats are whole numbers.
pub(in crate::data) const WHOLE_NUMBERS: &str = "whole_numbers";

/// About how many bytes of observations are read at once where they do not stay numbers.
const SPAN_BYTES: usize = 64 << 20;

/// What a layout finds out about a file before it reads its values.
pub(super) struct Index {
    pub(super) observation: Vec<Key>,
    pub(super) action: Vec<Key>,
    /// In transitions' rows.
    pub(super) episodes: Vec<Episode>,
    /// How many episodes are recorded, before some were split at terminals or left out.
    pub(super) recorded: usize,
    /// Which columns are recorded besides observations and actions.
    pub(super) columns: Recorded,
    /// For each episode, whether it is held out; `None` where nothing says so.
    pub(super) held_out: Option<Vec<bool>>,
    pub(super) discrete_actions: Option<DiscreteActions>,
    pub(super) environment: Option<String>,
    pub(super) values: Values,
}

/// Where the values are.
pub(super) enum Values {
    D4rl(D4rlRows),
    Episodic(Episodic),
}

/// The values of a range of transitions.
pub(super) struct Block {
    pub(super) observation: Vec<f32>,
    pub(super) action: Vec<f32>,
    pub(super) reward: Vec<f32>,
    pub(super) next_observation: Vec<f32>,
}

impl DatasetFile {
    /// Opens a file, or a folder that Minari or LeRobot wrote, in whichever known layout it is, and finds its episodes.
    ///
    /// # Errors
    ///
    /// A file that cannot be read, whose layout is unknown, or that breaks its layout's rules; always with the place.
    pub fn open(path: impl AsRef<Path>, reading: &Reading) -> Result<Self, LoadError> {
        let file = File::open(data_file(path.as_ref())?)?;
        let layout = Layout::detect(&file)?;
        Self::of(file, layout, reading)
    }

    /// Finds the episodes of an open file.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn of(file: File, layout: Layout, reading: &Reading) -> Result<Self, LoadError> {
        reading.check(&file, layout)?;
        let index = layout.index(&file, reading)?;
        Ok(Self {
            file,
            layout,
            index,
        })
    }

    /// The same file for another thread, without finding the episodes again.
    ///
    /// # Errors
    ///
    /// As [`File::reopen`].
    pub fn file_for_thread(&self) -> Result<File, LoadError> {
        Ok(self.file.reopen()?)
    }

    /// The file.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Its layout.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// The number of transitions.
    #[expect(
        clippy::len_without_is_empty,
        reason = "a recording without transitions is refused"
    )]
    pub fn len(&self) -> usize {
        self.index
            .episodes
            .last()
            .map_or(0, |episode| episode.rows.end)
    }

    /// Elements of an observation and of an action.
    pub fn widths(&self) -> [usize; 2] {
        [&self.index.observation, &self.index.action]
            .map(|keys| keys.iter().map(Key::width).sum::<usize>())
    }

    /// What all transitions take in memory: 4 bytes a number, 1 a flag, and 1 an element of observations that the file has as bytes, such
    /// as a picture's. It is computed from shapes, before anything is allocated.
    pub fn memory_needed(&self) -> Bytes {
        let [_, action] = self.widths();
        let observation = self.packing().row_bytes() as u64;
        let row = 2 * observation + 4 * (action as u64 + 1) + 1;
        Bytes(row.saturating_mul(self.len() as u64))
    }

    /// How rows of observations lie in memory.
    pub(in crate::data) fn packing(&self) -> Packing {
        match self.counts_from_other_starts() {
            // What is taken off a byte may leave none.
            true => Packing::numbers(self.widths()[0]),
            false => Packing::of(&self.parts()),
        }
    }

    /// That a number is in the place of a byte.
    pub(in crate::data) fn not_a_byte(&self, source: NotAByte) -> LoadError {
        LoadError::NotAByte {
            file: self.file.path().to_owned(),
            source,
        }
    }

    /// The episodes, in transitions' rows, in order.
    pub fn episodes(&self) -> &[Episode] {
        &self.index.episodes
    }

    /// How many episodes the file records. [`episodes`](Self::episodes) are fewer where one has no transition, and more
    /// where a demonstration goes on after a terminal.
    pub fn recorded_episodes(&self) -> usize {
        self.index.recorded
    }

    /// Whether the file records rewards and ends.
    pub fn recorded(&self) -> Recorded {
        self.index.columns
    }

    /// How many steps the file records. [`len`](Self::len) is less where the last ones of episodes are no transitions, because what
    /// followed them was not recorded.
    pub fn recorded_steps(&self) -> usize {
        match &self.index.values {
            Values::D4rl(values) => values.rows,
            Values::Episodic(values) => values.steps,
        }
    }

    /// Whether some elements of observations are of spaces that start at another number than 0, from which they are counted here.
    pub(in crate::data) fn counts_from_other_starts(&self) -> bool {
        match &self.index.values {
            Values::D4rl(_) => false,
            Values::Episodic(values) => !values.starts.is_empty(),
        }
    }

    /// The name and the recorded steps of each episode, in layouts that keep each in datasets of its own.
    pub(in crate::data) fn steps_of_episodes(&self) -> &[(String, usize)] {
        match &self.index.values {
            Values::D4rl(_) => &[],
            Values::Episodic(values) => &values.lengths,
        }
    }

    /// For each episode whether the file holds it out for validation; `None` where no filter key was asked for.
    pub fn held_out(&self) -> Option<&[bool]> {
        self.index.held_out.as_deref()
    }

    /// The parts of an observation, in the order in which they are joined.
    pub fn observation(&self) -> &[Key] {
        &self.index.observation
    }

    /// What an observation consists of, as networks are told.
    pub fn parts(&self) -> ObservationParts {
        ObservationParts::of_keys(self.observation())
    }

    /// The parts of an action, in the order in which they are joined.
    pub fn action(&self) -> &[Key] {
        &self.index.action
    }

    /// Whether all of an action was recorded as whole numbers or truth values, or as floats that are said to be whole numbers.
    pub(in crate::data) fn has_whole_actions(&self) -> bool {
        let is_whole = |key: &Key| matches!(key.dtype, Dtype::Integer { .. } | Dtype::Bool);
        let said = || {
            let first = match &self.index.values {
                Values::D4rl(_) => "",
                Values::Episodic(values) => values.sources.first().map_or("", |it| &it.name),
            };
            let actions = self.layout.column_path(first, "actions");
            self.file.whole_attribute(&actions, WHOLE_NUMBERS)
        };
        self.action().iter().all(is_whole) || matches!(said(), Ok(Some(1)))
    }

    /// What an action chooses from, where it is one choice.
    pub fn discrete_actions(&self) -> Option<DiscreteActions> {
        self.index.discrete_actions
    }

    /// What the file says of its environment, as it says it (a name, or JSON).
    pub fn environment(&self) -> Option<&str> {
        self.index.environment.as_deref()
    }

    /// The filter keys of a robomimic file, which name some of its demonstrations; none in other layouts.
    ///
    /// # Errors
    ///
    /// A damaged file.
    pub fn filter_keys(&self) -> Result<Vec<String>, LoadError> {
        match self.layout {
            Layout::Robomimic => super::robomimic::filter_keys(&self.file),
            _ => Ok(Vec::new()),
        }
    }

    /// Reads all transitions.
    ///
    /// # Errors
    ///
    /// Values that cannot be read or are not finite, with the place in the file.
    pub fn read(&self) -> Result<Transitions, LoadError> {
        let packing = self.packing();
        match packing.is_packed() {
            true => self.read_packed(&packing),
            false => self.read_rows(0..self.len()),
        }
    }

    /// Reads all transitions, a span at a time: what is read are numbers, which become bytes.
    fn read_packed(&self, packing: &Packing) -> Result<Transitions, LoadError> {
        let rows = self.len();
        let span = (SPAN_BYTES / (8 * packing.width())).max(1);
        let column = || ObservationColumn::with_capacity(packing, rows);
        let (mut observation, mut next_observation) = (column(), column());
        let (mut action, mut reward) = (Vec::new(), Vec::with_capacity(rows));
        let mut discrete_actions = None;
        for start in (0..rows).step_by(span) {
            let read = self.read_rows(start..rows.min(start + span))?;
            discrete_actions = discrete_actions.max(read.discrete_actions());
            let parts = read.into_parts();
            for (all, read) in [
                (&mut observation, parts.observation),
                (&mut next_observation, parts.next_observation),
            ] {
                let read = read.into_column();
                all.extend(&read).map_err(|error| self.not_a_byte(error))?;
            }
            action.extend(parts.action.values);
            reward.extend(parts.reward);
        }
        let episodes = self.episodes().to_vec();
        let action = Column {
            values: action,
            width: self.widths()[1],
        };
        self.transitions(observation, action, reward, next_observation, episodes)
            .map(|transitions| transitions.with_discrete_actions(discrete_actions))
    }

    /// Reads a range of transitions, as numbers. An episode that goes on after the range is [`EpisodeEnd::Unfinished`] there.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read), or a range that is empty or passes the last transition.
    pub fn read_rows(&self, rows: Range<usize>) -> Result<Transitions, LoadError> {
        self.read_rows_with(&self.file, rows)
    }

    /// [`read_rows`](Self::read_rows) through a handle of the calling thread's own, from
    /// [`file_for_thread`](Self::file_for_thread).
    ///
    /// # Errors
    ///
    /// As [`read_rows`](Self::read_rows).
    pub fn read_rows_with(
        &self,
        file: &File,
        rows: Range<usize>,
    ) -> Result<Transitions, LoadError> {
        if rows.start > rows.end || rows.end > self.len() {
            return Err(LoadError::File(FileError::Rows {
                file: self.file.path().to_owned(),
                dataset: "transitions".to_owned(),
                start: rows.start,
                end: rows.end,
                rows: self.len(),
            }));
        }
        let block = match &self.index.values {
            Values::D4rl(values) => values.read(file, &self.index.episodes, rows.clone())?,
            Values::Episodic(values) => values.read(file, rows.clone())?,
        };
        let width = |keys: &[Key]| keys.iter().map(Key::width).sum::<usize>();
        let (observation, action) = (width(&self.index.observation), width(&self.index.action));
        let mut actions = block.action;
        let discrete_actions = self
            .index
            .discrete_actions
            .map(|discrete_actions| {
                discrete_actions.number(&self.file, &self.index.action[0].name, &mut actions)
            })
            .transpose()?;
        let episodes: Vec<Episode> = overlapping(&self.index.episodes, &rows)
            .map(|(episode, part)| Episode {
                end: if part.end == episode.rows.end {
                    episode.end
                } else {
                    EpisodeEnd::Unfinished
                },
                rows: part.start - rows.start..part.end - rows.start,
            })
            .collect();
        let column = |values, width| Column { values, width };
        self.transitions(
            column(block.observation, observation).into(),
            column(actions, action),
            block.reward,
            column(block.next_observation, observation).into(),
            episodes,
        )
        .map(|transitions| transitions.with_discrete_actions(discrete_actions))
    }

    fn transitions(
        &self,
        observation: ObservationColumn,
        action: Column,
        reward: Vec<f32>,
        next_observation: ObservationColumn,
        episodes: Vec<Episode>,
    ) -> Result<Transitions, LoadError> {
        let mut terminated = vec![false; reward.len()];
        for episode in &episodes {
            terminated[episode.rows.end - 1] = episode.end == EpisodeEnd::Terminated;
        }
        Transitions::from_finite(Parts {
            observation,
            action,
            reward,
            next_observation,
            terminated,
            episodes,
        })
        .map(|transitions| transitions.with_recorded(self.index.columns))
        .map_err(|source| LoadError::Transitions {
            file: self.file.path().to_owned(),
            source,
        })
    }

    /// Reads the actions alone, with a row for each transition, as numbers of the file.
    pub(in crate::data) fn read_actions(&self) -> Result<Column, LoadError> {
        match &self.index.values {
            Values::D4rl(values) => values.read_column(&self.file, "actions"),
            Values::Episodic(values) => values.read_actions(&self.file),
        }
    }

    /// Reads any dataset that has a value for each step, such as `infos/qpos`, as a column with a row for each transition.
    ///
    /// # Errors
    ///
    /// No such dataset in an episode, or one of another length.
    pub fn read_column(&self, name: &str) -> Result<Column, LoadError> {
        match &self.index.values {
            Values::D4rl(values) => values.read_column(&self.file, name),
            Values::Episodic(values) => values.read_column(&self.file, self.layout, name),
        }
    }
}

/// The episodes that have rows in a range, each with those rows.
pub(super) fn overlapping<'a>(
    episodes: &'a [Episode],
    rows: &Range<usize>,
) -> impl Iterator<Item = (&'a Episode, Range<usize>)> {
    let rows = rows.clone();
    let first = episodes.partition_point(|episode| episode.rows.end <= rows.start);
    episodes[first..]
        .iter()
        .map(move |episode| {
            let part = episode.rows.start.max(rows.start)..episode.rows.end.min(rows.end);
            (episode, part)
        })
        .take_while(|(_, part)| part.start < part.end)
}

/// The file that holds the values, or describes where they are: the one named, or the one in a folder that Minari or LeRobot wrote.
pub(super) fn data_file(path: &Path) -> Result<PathBuf, LoadError> {
    let is_table = path.is_file()
        && path.extension().is_some_and(|it| {
            ["arrow", "feather", "parquet"]
                .iter()
                .any(|table| it == *table)
        });
    let of_tables = match TableFolder::at(path)? {
        Some(folder) => Some((folder.format.clone(), folder.description())),
        None if is_table => Some(("a table in Parquet or Arrow".to_owned(), path.to_owned())),
        None => None,
    };
    match of_tables {
        Some((format, _)) if !cfg!(feature = "parquet") => {
            return Err(LoadError::Tables {
                path: path.to_owned(),
                format,
            });
        }
        Some(_) if is_table => {
            return Err(LoadError::OneTable {
                path: path.to_owned(),
            });
        }
        Some((_, description)) => return Ok(description),
        None => {}
    }
    if !path.is_dir() {
        return Ok(path.to_owned());
    }
    for folder in [path.to_owned(), path.join("data")] {
        let file = folder.join("main_data.hdf5");
        if file.is_file() {
            return Ok(file);
        }
        if let Some(format) = minari::storage_format(&folder)?
            && format != "hdf5"
        {
            return Err(LoadError::Storage {
                path: path.to_owned(),
                format,
            });
        }
    }
    Err(LoadError::Folder {
        folder: path.to_owned(),
    })
}
