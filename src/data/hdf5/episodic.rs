//! Layouts that keep each episode in datasets of its own, such as Minari's, robomimic's and d3rlpy's: thousands of small
//! datasets, which are found once, held against the first episode's, and read over threads with a handle each.

use std::ops::Range;
use std::thread;

use super::d4rl::not_finite;
use super::recording::{Block, Key};
use super::{Dtype, File, FileError, Layout, LoadError};
use crate::data::{Column, End, Episode};

/// Where the values of every transition stand.
pub(super) struct Episodic {
    observation: Vec<Key>,
    action: Vec<Key>,
    sources: Vec<Source>,
}

/// One episode's datasets, by their places in [`File::datasets`].
struct Source {
    /// What names the episode's datasets.
    number: u64,
    /// The transitions that it gives.
    rows: Range<usize>,
    observation: Vec<usize>,
    next: Next,
    action: Vec<usize>,
    reward: usize,
}

/// Where an episode's next observations stand.
enum Next {
    /// In datasets of their own, row by row.
    Recorded(Vec<usize>),
    /// In the observations, one row further.
    Following,
    /// In the observations, one row further; nothing follows the last row, which is terminal, so it gets its own.
    FollowingButLast,
}

/// How next observations are recorded, as an episode is added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NextRule {
    /// In datasets of their own.
    Recorded,
    /// Observations have one row more than actions.
    OneMore,
    /// Not at all: observations have as many rows as actions.
    Absent,
}

/// Collects the episodes of a file, and holds each against the first.
pub(super) struct Assembly<'a> {
    file: &'a File,
    layout: Layout,
    next: NextRule,
    path: Paths,
    values: Episodic,
    /// In transitions' rows.
    pub(super) episodes: Vec<Episode>,
    rows: usize,
}

/// The path of the named part of an episode's observation, next observation or action.
pub(super) type Paths = Box<dyn Fn(Part, u64, &str) -> String>;

/// A part of an episode that has names below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Observation,
    NextObservation,
    Action,
}

impl<'a> Assembly<'a> {
    pub(super) fn new(
        file: &'a File,
        layout: Layout,
        next: NextRule,
        path: Paths,
        first: u64,
        [observation, action]: [Vec<String>; 2],
    ) -> Result<Self, LoadError> {
        let keys = |part, names: Vec<String>| {
            names
                .into_iter()
                .map(|name| key(file, layout, path(part, first, &name), name))
                .collect::<Result<Vec<_>, _>>()
        };
        let values = Episodic {
            observation: keys(Part::Observation, observation)?,
            action: keys(Part::Action, action)?,
            sources: Vec::new(),
        };
        Ok(Self {
            file,
            layout,
            next,
            path,
            values,
            episodes: Vec::new(),
            rows: 0,
        })
    }

    pub(super) fn action(&self) -> &[Key] {
        &self.values.action
    }

    /// The steps of an episode: the rows of its actions.
    pub(super) fn steps(&self, number: u64) -> Result<usize, LoadError> {
        let key = &self.values.action[0];
        let path = (self.path)(Part::Action, number, &key.name);
        Ok(dataset(self.file, self.layout, &path, "the actions")?.rows())
    }

    /// Checks a dataset of one number a step and reads it as flags.
    pub(super) fn flags(&self, path: &str, steps: usize) -> Result<Vec<bool>, LoadError> {
        vector(self.file, self.layout, path, steps, "actions")?;
        Ok(self.file.read(path, ..)?)
    }

    /// Adds an episode. `terminals` are its terminal rows, in order; where none is the last, it ends with `end`.
    pub(super) fn add(
        &mut self,
        number: u64,
        reward: &str,
        steps: usize,
        terminals: &[usize],
        end: End,
    ) -> Result<(), LoadError> {
        let ends_terminal = steps > 0 && terminals.last() == Some(&(steps - 1));
        let rows = match self.next {
            NextRule::Absent if !ends_terminal => steps.saturating_sub(1),
            _ => steps,
        };
        let observed = steps + usize::from(self.next == NextRule::OneMore);
        let find = |keys: &[Key], part: Part, rows: usize| {
            keys.iter()
                .map(|key| {
                    let path = (self.path)(part, number, &key.name);
                    self.part(key, &path, rows, rows > steps)
                })
                .collect::<Result<Vec<_>, _>>()
        };
        let observation = find(&self.values.observation, Part::Observation, observed)?;
        let action = find(&self.values.action, Part::Action, steps)?;
        let next = match self.next {
            NextRule::Recorded => Next::Recorded(find(
                &self.values.observation,
                Part::NextObservation,
                steps,
            )?),
            NextRule::Absent if ends_terminal => Next::FollowingButLast,
            NextRule::OneMore | NextRule::Absent => Next::Following,
        };
        vector(self.file, self.layout, reward, steps, "actions")?;
        if rows == 0 {
            return Ok(());
        }
        let first = self.rows;
        self.rows += rows;
        self.values.sources.push(Source {
            number,
            rows: first..self.rows,
            observation,
            next,
            action,
            reward: self.file.index_of(reward)?,
        });
        let mut start = first;
        for row in terminals.iter().map(|row| first + row) {
            self.episodes.push(Episode {
                rows: start..row + 1,
                end: End::Terminal,
            });
            start = row + 1;
        }
        if start < self.rows {
            self.episodes.push(Episode {
                rows: start..self.rows,
                end,
            });
        }
        Ok(())
    }

    /// The place of a dataset that has to be like the first episode's.
    fn part(&self, key: &Key, path: &str, rows: usize, after: bool) -> Result<usize, LoadError> {
        let info = dataset(
            self.file,
            self.layout,
            path,
            "a part that the first episode has",
        )?;
        let is_float = info.dtype.is_float();
        if info.shape.get(1..) != Some(key.shape.as_slice())
            || is_float != key.dtype.is_float()
            || !info.dtype.is_numeric()
        {
            let kind = if key.dtype.is_float() {
                "floating-point numbers"
            } else {
                "whole numbers"
            };
            return Err(LoadError::Form {
                file: self.file.path().to_owned(),
                dataset: path.to_owned(),
                found: format!("{} of shape {:?}", info.dtype, info.shape),
                expected: format!(
                    "{kind} of shape {:?} at each step, as in the first episode",
                    key.shape
                ),
            });
        }
        if info.rows() != rows {
            return Err(LoadError::Rows {
                file: self.file.path().to_owned(),
                dataset: path.to_owned(),
                found: info.rows(),
                of: "actions".to_owned(),
                expected: rows,
                after,
            });
        }
        Ok(self.file.index_of(path)?)
    }

    /// The finished index of values.
    pub(super) fn finish(self) -> (Vec<Episode>, Episodic) {
        (self.episodes, self.values)
    }
}

impl Episodic {
    pub(super) fn observation(&self) -> Vec<Key> {
        self.observation.clone()
    }

    pub(super) fn action(&self) -> Vec<Key> {
        self.action.clone()
    }

    /// Reads a range of transitions, over threads. Which thread reads what does not change a bit of what is read, and of
    /// several errors the first episode's counts.
    pub(super) fn read(&self, file: &File, rows: Range<usize>) -> Result<Block, LoadError> {
        let width = |keys: &[Key]| keys.iter().map(Key::width).sum::<usize>();
        let widths = [width(&self.observation), width(&self.action)];
        let count = rows.len();
        let mut block = Block {
            observation: vec![0.0; count * widths[0]],
            action: vec![0.0; count * widths[1]],
            reward: vec![0.0; count],
            next_observation: vec![0.0; count * widths[0]],
        };
        let first = self
            .sources
            .partition_point(|source| source.rows.end <= rows.start);
        let last = self
            .sources
            .partition_point(|source| source.rows.start < rows.end);
        let sources = self.sources.get(first..last).unwrap_or_default();
        let threads = if file.bytes() < super::file::TWO_HANDLES_FROM_BYTES {
            1
        } else {
            thread::available_parallelism()
                .map_or(1, usize::from)
                .min(MOST_THREADS)
        };
        let mut shares = Vec::new();
        let (mut sources, mut rest) = (sources, Share::of(&mut block, widths));
        let mut start = rows.start;
        for thread in 1..=threads {
            let until = rows.start + count * thread / threads;
            let taken = if thread == threads {
                sources.len()
            } else {
                sources.partition_point(|source| source.rows.end <= until)
            };
            let (share, left) = sources.split_at(taken);
            sources = left;
            let end = share
                .last()
                .map_or(start, |source| source.rows.end.min(rows.end));
            let (mine, others) = rest.split(end - start);
            rest = others;
            shares.push((share, start..end, mine));
            start = end;
        }
        let own = shares.remove(0);
        thread::scope(|scope| {
            let others: Vec<_> = shares
                .into_iter()
                .filter(|(sources, _, _)| !sources.is_empty())
                .map(|(sources, rows, share)| {
                    scope.spawn(move || {
                        let file = file.reopen()?;
                        self.read_sources(&file, sources, rows, share)
                    })
                })
                .collect();
            let mut result = self.read_sources(file, own.0, own.1, own.2);
            for other in others {
                let other = other
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                result = result.and(other);
            }
            result
        })?;
        Ok(block)
    }

    fn read_sources(
        &self,
        file: &File,
        sources: &[Source],
        rows: Range<usize>,
        mut share: Share<'_>,
    ) -> Result<(), LoadError> {
        let mut buffer = Vec::new();
        let width = share.widths[0];
        for source in sources {
            let first = source.rows.start.max(rows.start);
            let end = source.rows.end.min(rows.end);
            let count = end - first;
            let local = first - source.rows.start..end - source.rows.start;
            let (out, rest) = share.split(count);
            share = rest;
            read_parts(
                file,
                &source.action,
                &self.action,
                local.clone(),
                out.action,
            )?;
            read_part(file, source.reward, local.clone(), out.reward)?;
            let own_last =
                matches!(source.next, Next::FollowingButLast) && local.end == source.rows.len();
            match &source.next {
                Next::Recorded(next) => {
                    let keys = &self.observation;
                    read_parts(
                        file,
                        &source.observation,
                        keys,
                        local.clone(),
                        out.observation,
                    )?;
                    read_parts(file, next, keys, local, out.next_observation)?;
                }
                Next::Following | Next::FollowingButLast => {
                    // Both are rows of the same datasets, which are read once.
                    let rows = local.start..local.end + usize::from(!own_last);
                    buffer.resize(rows.len() * width, 0.0);
                    read_parts(
                        file,
                        &source.observation,
                        &self.observation,
                        rows,
                        &mut buffer,
                    )?;
                    out.observation.copy_from_slice(&buffer[..count * width]);
                    let following = &buffer[width..];
                    out.next_observation[..following.len()].copy_from_slice(following);
                    if own_last {
                        out.next_observation[following.len()..]
                            .copy_from_slice(&buffer[(count - 1) * width..]);
                    }
                }
            }
        }
        Ok(())
    }

    pub(super) fn read_column(
        &self,
        file: &File,
        layout: Layout,
        name: &str,
    ) -> Result<Column, LoadError> {
        let mut column = Column {
            values: Vec::new(),
            width: 1,
        };
        for (index, source) in self.sources.iter().enumerate() {
            let path = layout.column_path(source.number, name);
            let info = dataset(file, layout, &path, "a value for each step")?;
            let width = info.width().unwrap_or(0);
            if index == 0 {
                column.width = width;
            }
            if width != column.width || width == 0 || info.rows() < source.rows.len() {
                return Err(LoadError::Form {
                    file: file.path().to_owned(),
                    dataset: path,
                    found: format!("{} of shape {:?}", info.dtype, info.shape),
                    expected: format!(
                        "{} numbers at each of {} steps",
                        column.width,
                        source.rows.len()
                    ),
                });
            }
            column
                .values
                .extend(file.read::<f32>(&path, 0..source.rows.len())?);
        }
        Ok(column)
    }
}

/// More handles than this one would spend their time on opening the file.
const MOST_THREADS: usize = 8;

/// A run of rows of every column, to be filled by one thread.
struct Share<'a> {
    widths: [usize; 2],
    observation: &'a mut [f32],
    action: &'a mut [f32],
    reward: &'a mut [f32],
    next_observation: &'a mut [f32],
}

impl<'a> Share<'a> {
    fn of(block: &'a mut Block, widths: [usize; 2]) -> Self {
        Self {
            widths,
            observation: &mut block.observation,
            action: &mut block.action,
            reward: &mut block.reward,
            next_observation: &mut block.next_observation,
        }
    }

    /// The first `rows` rows, and the others.
    fn split(self, rows: usize) -> (Self, Self) {
        let [observation, action] = self.widths.map(|width| width * rows);
        let (first_observation, observation_rest) = self.observation.split_at_mut(observation);
        let (first_action, action_rest) = self.action.split_at_mut(action);
        let (first_reward, reward_rest) = self.reward.split_at_mut(rows);
        let (first_next, next_rest) = self.next_observation.split_at_mut(observation);
        let share = |observation, action, reward, next_observation| Self {
            widths: self.widths,
            observation,
            action,
            reward,
            next_observation,
        };
        (
            share(first_observation, first_action, first_reward, first_next),
            share(observation_rest, action_rest, reward_rest, next_rest),
        )
    }
}

/// Reads the parts of a column side by side.
fn read_parts(
    file: &File,
    datasets: &[usize],
    keys: &[Key],
    rows: Range<usize>,
    out: &mut [f32],
) -> Result<(), LoadError> {
    if let [dataset] = datasets {
        return read_part(file, *dataset, rows, out);
    }
    let total: usize = keys.iter().map(Key::width).sum();
    let mut from = 0;
    let mut part = Vec::new();
    for (dataset, key) in datasets.iter().zip(keys) {
        let width = key.width();
        part.resize(rows.len() * width, 0.0);
        read_part(file, *dataset, rows.clone(), &mut part)?;
        for (row, values) in out.chunks_exact_mut(total).zip(part.chunks_exact(width)) {
            row[from..from + width].copy_from_slice(values);
        }
        from += width;
    }
    Ok(())
}

fn read_part(
    file: &File,
    dataset: usize,
    rows: Range<usize>,
    out: &mut [f32],
) -> Result<(), LoadError> {
    let info = &file.datasets()[dataset];
    let first = rows.start;
    file.read_into(info, rows, out)?;
    not_finite(file, info, first, out)
}

/// The dataset at a path that the layout needs.
pub(super) fn dataset<'a>(
    file: &'a File,
    layout: Layout,
    path: &str,
    expected: &str,
) -> Result<&'a super::DatasetInfo, LoadError> {
    let info = file.dataset(path).map_err(|error| match error {
        FileError::NoDataset { file, found, .. } => LoadError::Missing {
            file,
            dataset: path.to_owned(),
            layout,
            expected: expected.to_owned(),
            found,
        },
        error => LoadError::File(error),
    })?;
    match &info.unreadable {
        Some(cause) => Err(LoadError::Form {
            file: file.path().to_owned(),
            dataset: path.to_owned(),
            found: format!("unreadable ({cause})"),
            expected: expected.to_owned(),
        }),
        None => Ok(info),
    }
}

/// A part as the first episode has it.
fn key(file: &File, layout: Layout, path: String, name: String) -> Result<Key, LoadError> {
    let info = dataset(file, layout, &path, "numbers at each step")?;
    let image = |what: String| LoadError::Image {
        file: file.path().to_owned(),
        dataset: path.clone(),
        what,
        remedy: match layout {
            Layout::D3rlpy => "write vectors of numbers instead",
            _ => {
                "choose the other observations with `observations: [...]`, or write vectors of numbers instead"
            }
        },
    };
    let byte = Dtype::Integer {
        bits: 8,
        signed: false,
    };
    match info.dtype {
        Dtype::Other("sequence") => {
            return Err(image(
                "compressed pictures (bytes of varying length)".to_owned(),
            ));
        }
        dtype if dtype == byte && info.shape.len() >= 3 => {
            return Err(image(format!(
                "pictures ({dtype} of shape {:?})",
                info.shape
            )));
        }
        _ => {}
    }
    let shape = info.shape.get(1..).unwrap_or_default().to_vec();
    if !info.dtype.is_numeric()
        || info.shape.is_empty()
        || shape.contains(&0)
        || info.width().is_none()
    {
        return Err(LoadError::Form {
            file: file.path().to_owned(),
            dataset: path,
            found: format!("{} of shape {:?}", info.dtype, info.shape),
            expected: "numbers at each step".to_owned(),
        });
    }
    Ok(Key {
        name,
        shape,
        dtype: info.dtype,
    })
}

/// Checks a dataset of one number a step: `[steps]` or `[steps, 1]`.
fn vector(
    file: &File,
    layout: Layout,
    path: &str,
    steps: usize,
    of: &str,
) -> Result<(), LoadError> {
    let info = dataset(file, layout, path, "one number at each step")?;
    if !info.dtype.is_numeric() || !matches!(info.shape[..], [_] | [_, 1]) {
        return Err(LoadError::Form {
            file: file.path().to_owned(),
            dataset: path.to_owned(),
            found: format!("{} of shape {:?}", info.dtype, info.shape),
            expected: "numbers of shape [N] or [N, 1]".to_owned(),
        });
    }
    if info.rows() != steps {
        return Err(LoadError::Rows {
            file: file.path().to_owned(),
            dataset: path.to_owned(),
            found: info.rows(),
            of: of.to_owned(),
            expected: steps,
            after: false,
        });
    }
    Ok(())
}
