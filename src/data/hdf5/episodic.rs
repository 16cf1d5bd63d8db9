//! Layouts that keep each episode in datasets of its own, such as Minari's, robomimic's and d3rlpy's: thousands of small
//! datasets, which are found once, held against the first episode's, and read over threads with a handle each.

use std::ops::Range;
use std::thread;

use super::d4rl::not_finite;
use super::dataset_file::{Block, Key};
use super::episode_index::dataset;
use super::{File, Layout, LoadError};
use crate::data::Column;
use crate::data::huge_pages::zeros;

/// Where the values of every transition are.
pub(super) struct Episodic {
    pub(super) observation: Vec<Key>,
    pub(super) action: Vec<Key>,
    pub(super) sources: Vec<Source>,
    /// Elements of an observation, and what is taken off each: the number at which its space starts.
    pub(super) starts: Vec<(usize, f32)>,
    /// Steps that are recorded, some of which may be no transitions.
    pub(super) steps: usize,
    /// The name and the recorded steps of each episode.
    pub(super) lengths: Vec<(String, usize)>,
}

/// One episode's datasets, by their places in [`File::datasets`].
pub(super) struct Source {
    /// What names the episode's datasets.
    pub(super) name: String,
    /// The transitions that it gives.
    pub(super) rows: Range<usize>,
    pub(super) observation: Vec<usize>,
    pub(super) next: Next,
    pub(super) action: Vec<usize>,
    /// None where no rewards are recorded.
    pub(super) reward: Option<usize>,
}

/// Where an episode's next observations are.
pub(super) enum Next {
    /// In datasets of their own, row by row.
    Recorded(Vec<usize>),
    /// In the observations, one row further.
    Following,
    /// In the observations, one row further; nothing follows the last row, which is terminal or kept all the same, so it gets its own.
    FollowingButLast,
}

impl Episodic {
    /// Reads a range of transitions, over threads. Which thread reads what does not change a bit of what is read, and of
    /// several errors the first episode's counts.
    pub(super) fn read(&self, file: &File, rows: Range<usize>) -> Result<Block, LoadError> {
        let width = |keys: &[Key]| keys.iter().map(Key::width).sum::<usize>();
        let widths = [width(&self.observation), width(&self.action)];
        let count = rows.len();
        let mut block = Block {
            observation: zeros(count * widths[0]),
            action: zeros(count * widths[1]),
            reward: zeros(count),
            next_observation: zeros(count * widths[0]),
        };
        let first = self
            .sources
            .partition_point(|source| source.rows.end <= rows.start);
        let last = self
            .sources
            .partition_point(|source| source.rows.start < rows.end);
        let sources = self.sources.get(first..last).unwrap_or_default();
        let threads = if !file.is_worth_threads() {
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
                        file.with_other(|file| self.read_sources(file, sources, rows, share))?
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
            if let Some(reward) = source.reward {
                read_part(file, reward, local.clone(), out.reward)?;
            }
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
            self.count_from_zero(out.observation, width);
            self.count_from_zero(out.next_observation, width);
        }
        Ok(())
    }

    /// Takes the numbers at which spaces start off whole observations.
    fn count_from_zero(&self, observations: &mut [f32], width: usize) {
        if self.starts.is_empty() {
            return;
        }
        for row in observations.chunks_exact_mut(width) {
            for (element, start) in &self.starts {
                row[*element] -= start;
            }
        }
    }

    /// The actions of all transitions, without anything else.
    pub(super) fn read_actions(&self, file: &File) -> Result<Column, LoadError> {
        let width = self.action.iter().map(Key::width).sum::<usize>();
        let rows = self.sources.last().map_or(0, |source| source.rows.end);
        let mut values = zeros(rows * width);
        for source in &self.sources {
            let out = &mut values[source.rows.start * width..source.rows.end * width];
            read_parts(
                file,
                &source.action,
                &self.action,
                0..source.rows.len(),
                out,
            )?;
        }
        Ok(Column { values, width })
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
            let path = layout.column_path(&source.name, name);
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
