//! Finding the episodes of a layout that keeps each in datasets of its own, and holding each against the first.

use std::thread;

use super::dataset_file::{Index, Key, Values};
use super::episodic::{Episodic, Next, Source};
use super::minari::discrete_actions;
use super::selection::MAX_COMPRESSION;
use super::space::Space;
use super::{DatasetInfo, DiscreteActions, Dtype, File, FileError, Layout, LoadError, Reading};
use crate::data::{Episode, EpisodeEnd, Recorded, TransitionsError};

/// How next observations are recorded, as an episode is added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NextRule {
    /// In datasets of their own.
    Recorded,
    /// Observations have one row more than actions.
    OneMore,
    /// Not at all: observations have as many rows as actions.
    Absent,
    /// The same, and the last row is kept with its own observation.
    Unfollowed,
}

impl NextRule {
    /// Where next observations are not recorded.
    pub(super) fn absent(reading: &Reading) -> Self {
        match reading.unfollowed {
            true => Self::Unfollowed,
            false => Self::Absent,
        }
    }
}

/// Collects the episodes of a file, and holds each against the first.
pub(super) struct EpisodeIndex<'a> {
    file: &'a File,
    layout: Layout,
    next: NextRule,
    path: Paths,
    values: Episodic,
    /// What actions choose from, where each is one of a few: each episode's are whole numbers then.
    discrete_actions: Option<DiscreteActions>,
    /// In transitions' rows.
    pub(super) episodes: Vec<Episode>,
    rows: usize,
}

/// The path of the named part of an episode's observation, next observation or action.
pub(super) type Paths = Box<dyn Fn(Part, &str, &str) -> String>;

/// A byte becomes four, and an observation is a next observation too.
const MOST_WIDENING: u64 = 8;

/// A part of an episode that has names below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Observation,
    NextObservation,
    Action,
}

impl<'a> EpisodeIndex<'a> {
    pub(super) fn new(
        file: &'a File,
        layout: Layout,
        next: NextRule,
        path: Paths,
        first: &str,
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
            starts: Vec::new(),
            steps: 0,
            lengths: Vec::new(),
        };
        Ok(Self {
            file,
            layout,
            next,
            path,
            values,
            discrete_actions: None,
            episodes: Vec::new(),
            rows: 0,
        })
    }

    pub(super) fn observation(&self) -> &[Key] {
        &self.values.observation
    }

    /// Finds whether an action is one of a few discrete ones, by its space or, where none is known, by its type.
    pub(super) fn find_discrete_actions(&mut self, space: Option<&Space>) -> Result<(), LoadError> {
        self.discrete_actions = discrete_actions(self.file, &self.values.action, space)?;
        Ok(())
    }

    /// Takes these numbers off these elements of observations, those at which their spaces start.
    pub(super) fn start_at(&mut self, starts: Vec<(usize, f32)>) {
        self.values.starts = starts;
    }

    /// Whether a dataset is recorded: by every episode or by none. One that some episodes lack is an error with its place.
    pub(super) fn is_recorded(
        &self,
        paths: impl Iterator<Item = String> + Clone,
    ) -> Result<bool, LoadError> {
        let absent = |path: &String| {
            self.file.listed(path).is_none()
                && matches!(self.file.dataset(path), Err(FileError::NoDataset { .. }))
        };
        let Some(lacking) = paths.clone().find(absent) else {
            return Ok(true);
        };
        if paths.clone().all(|path| absent(&path)) {
            return Ok(false);
        }
        dataset(
            self.file,
            self.layout,
            &lacking,
            "one number at each step, as other episodes have it",
        )
        .map(|_| true)
    }

    /// The steps of an episode: the rows of its actions. No more than transitions can have, so that sums of them do not overflow.
    pub(super) fn steps(&self, episode: &str) -> Result<usize, LoadError> {
        let key = &self.values.action[0];
        let path = (self.path)(Part::Action, episode, &key.name);
        let rows = dataset(self.file, self.layout, &path, "the actions")?.rows();
        if u32::try_from(rows).is_err() {
            return Err(LoadError::Transitions {
                file: self.file.path().to_owned(),
                source: TransitionsError::TooMany { rows },
            });
        }
        Ok(rows)
    }

    /// Checks datasets of one number a step, of so many steps, and reads them as flags; many of them over two threads.
    pub(super) fn flags(&self, wanted: &[(String, usize)]) -> Result<Vec<Vec<bool>>, LoadError> {
        /// Starting a thread takes longer than reading this many.
        const FEW: usize = 64;
        let layout = self.layout;
        let read = |file: &File, wanted: &[(String, usize)]| {
            wanted
                .iter()
                .map(|(path, steps)| {
                    vector(file, layout, path, *steps, "actions")?;
                    Ok(file.read(path, ..)?)
                })
                .collect::<Result<Vec<_>, LoadError>>()
        };
        if wanted.len() < FEW {
            return read(self.file, wanted);
        }
        let (first, second) = wanted.split_at(wanted.len() / 2);
        thread::scope(|scope| {
            let second = scope.spawn(|| self.file.with_other(|file| read(file, second)));
            let mut flags = read(self.file, first)?;
            match second.join() {
                Ok(more) => flags.extend(more??),
                Err(panic) => std::panic::resume_unwind(panic),
            }
            Ok(flags)
        })
    }

    /// Adds an episode. `terminals` are its terminal rows, in order; where none is the last, it ends with `end`.
    pub(super) fn add(
        &mut self,
        episode: &str,
        reward: Option<&str>,
        steps: usize,
        terminals: &[usize],
        end: EpisodeEnd,
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
                    let path = (self.path)(part, episode, &key.name);
                    // Choices may have been written as floats; each is looked at when it is read.
                    let is_choice = part == Part::Action && self.discrete_actions.is_some();
                    let must_be_whole = is_choice && !key.dtype.is_float();
                    self.part(key, &path, rows, rows > steps, must_be_whole)
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
            NextRule::Unfollowed => Next::FollowingButLast,
            NextRule::OneMore | NextRule::Absent => Next::Following,
        };
        if let Some(reward) = reward {
            vector(self.file, self.layout, reward, steps, "actions")?;
        }
        self.values.steps += steps;
        self.values.lengths.push((episode.to_owned(), steps));
        if rows == 0 {
            return Ok(());
        }
        let first = self.rows;
        self.rows += rows;
        self.values.sources.push(Source {
            name: episode.to_owned(),
            rows: first..self.rows,
            observation,
            next,
            action,
            reward: reward
                .map(|reward| self.file.index_of(reward))
                .transpose()?,
        });
        let mut start = first;
        for row in terminals.iter().map(|row| first + row) {
            self.episodes.push(Episode {
                rows: start..row + 1,
                end: EpisodeEnd::Terminated,
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
    fn part(
        &self,
        key: &Key,
        path: &str,
        rows: usize,
        after: bool,
        must_be_whole: bool,
    ) -> Result<usize, LoadError> {
        let info = dataset(
            self.file,
            self.layout,
            path,
            "a part of the first episode's observations; write it, or choose parts that are everywhere with `observations: [..]`",
        )?;
        if info.shape.get(1..) != Some(key.shape.as_slice())
            || (must_be_whole && info.dtype.is_float())
            || !info.dtype.is_numeric()
        {
            let kind = if must_be_whole {
                "whole numbers"
            } else {
                "numbers"
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

    /// The finished index, of a file that names no environment and holds nothing out; `recorded` and `columns` are its fields.
    ///
    /// Each dataset alone was found to be possible; but links can make many episodes of one, more than memory holds.
    pub(super) fn finish(self, recorded: usize, columns: Recorded) -> Result<Index, LoadError> {
        let width = |keys: &[Key]| keys.iter().map(|key| key.width() as u64).sum::<u64>();
        let numbers = 2 * width(&self.values.observation) + width(&self.values.action) + 1;
        let bytes = numbers.saturating_mul(4 * self.rows as u64);
        let limit = self
            .file
            .bytes()
            .saturating_mul(MAX_COMPRESSION * MOST_WIDENING);
        if bytes > limit {
            return Err(LoadError::File(FileError::Oversized {
                file: self.file.path().to_owned(),
                dataset: "all episodes together".to_owned(),
                what: format!("data of {bytes} bytes"),
                limit,
            }));
        }
        Ok(Index {
            observation: self.values.observation.clone(),
            action: self.values.action.clone(),
            episodes: self.episodes,
            recorded,
            columns,
            held_out: None,
            discrete_actions: self.discrete_actions,
            environment: None,
            values: Values::Episodic(self.values),
        })
    }
}

/// The dataset at a path that the layout needs.
pub(super) fn dataset<'a>(
    file: &'a File,
    layout: Layout,
    path: &str,
    expected: &str,
) -> Result<&'a DatasetInfo, LoadError> {
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
    if info.dtype == Dtype::Other("sequence") {
        return Err(LoadError::Image {
            file: file.path().to_owned(),
            dataset: path,
            what: "compressed pictures (bytes of varying length)".to_owned(),
            remedy: match layout {
                Layout::D3rlpy => "write vectors of numbers instead",
                _ => {
                    "choose the other observations with `observations: [...]`, or write vectors of numbers instead"
                }
            },
        });
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
    // Others allocate by its width.
    file.can_hold(info)?;
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
