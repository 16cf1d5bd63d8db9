//! The D4RL layout: one dataset per column at the top level (Fu et al. 2020, <https://arxiv.org/abs/2004.07219>).
//!
//! | dataset | shape | type |
//! |---|---|---|
//! | `observations` | `[N, observation]`, or `[N]` of one element | numbers |
//! | `actions` | `[N, action]`, or `[N]` of one element | numbers; whole numbers `[N]` or `[N, 1]` are discrete actions |
//! | `rewards` (optional) | `[N]` or `[N, 1]` | numbers |
//! | `terminals` (optional) | `[N]` or `[N, 1]` | bool, or 0 and 1 of any type |
//! | `timeouts` (optional) | like `terminals` | like `terminals` |
//! | `next_observations` (optional) | like `observations` | numbers |
//!
//! Everything else in the file, such as `infos/` and `metadata/`, is left alone. Where `terminals` is missing, Gymnasium's word
//! `terminations` or `terminated` stands for it; and for `timeouts` d3rlpy 1's `episode_terminals`, Gymnasium's `truncations` or
//! `truncated`, or `dones` or `done`, as what is over without being terminal was cut off. `dones` without `terminals` is refused: it
//! does not say which of the two an end is.
//!
//! **Choices.** How many there are, and the first one's number, D4RL says nowhere. The attributes `n` and `start` of `actions`, which
//! converted files have, say it in the words of Gymnasium's `Discrete`; without them discrete actions count from 0 to the greatest that was taken.
//!
//! **Ends.** A row of `terminals` ends its episode as terminal, a row of `timeouts` as truncated, and where both are set the
//! terminal wins. Without `timeouts` only terminals end episodes. The last episode of the file is unfinished unless its last
//! row ends it.
//!
//! **Next observations.** With `next_observations` every row is a transition, the last one of a truncated or unfinished
//! episode too. Without, a row's next observation is the following row's observation; a terminal row, whose next observation
//! is never used, gets its own observation in that place; and the last row of a truncated or unfinished episode is *not* a
//! transition, because what followed it was not recorded.
//!
//! **D4RL's own rule** ([`Rule::D4rl`](super::Rule)) gives row for row what D4RL's `qlearning_dataset` gives: a row that timed out is
//! left out, terminal or not, and so is the file's last row; every other row's next observation is the following row's observation,
//! even after a terminal. `next_observations` are not used. Without `timeouts`, a row times out that is the environment's last step.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::d4rl_rules::{episodes, qlearning_rows, without_last};
use super::dataset_file::{Block, Index, Key, Values, overlapping};
use super::{
    DatasetInfo, DiscreteActions, Dtype, File, FileError, Layout, LoadError, Reading, Rule,
};
use crate::data::huge_pages::zeros;
use crate::data::transitions::first_not_finite;
use crate::data::{Column, Episode, EpisodeEnd, Recorded};

/// Every dataset that this layout reads by D4RL's and d3rlpy 1's names, in the order in which they are listed. Where one of these is missing,
/// another of `TERMINALS` or `TIMEOUTS` is read in its place, and kept by a conversion all the same.
pub const COLUMNS: [&str; 7] = [
    "observations",
    "actions",
    "rewards",
    "terminals",
    "timeouts",
    "episode_terminals",
    "next_observations",
];

/// The names of the rows that end an episode as terminal, D4RL's own first.
pub(in crate::data) const TERMINALS: [&str; 3] = ["terminals", "terminations", "terminated"];

/// The names of the rows that end an episode as truncated, D4RL's own first.
pub(in crate::data) const TIMEOUTS: [&str; 6] = [
    "timeouts",
    "episode_terminals",
    "truncations",
    "truncated",
    "dones",
    "done",
];

const MATRIX: &str =
    "numbers of shape [N, columns], or [N] for one column, with at least one row and one column";
const VECTOR: &str = "numbers of shape [N] or [N, 1]";
pub(super) const FLAGS: &str = "bool, or 0 and 1 of any number type, of shape [N] or [N, 1]";

/// Whether at least two of the layout's four required names are at the top level.
pub(super) fn is_it(file: &File) -> bool {
    let required = COLUMNS[..4].iter();
    required.filter(|name| stands(file, name)).count() >= 2
}

/// Whether a dataset is there, whatever it is.
fn stands(file: &File, name: &str) -> bool {
    !matches!(file.dataset(name), Err(FileError::NoDataset { .. }))
}

pub(super) fn index(file: &File, reading: &Reading) -> Result<Index, LoadError> {
    let width = matrix_width(file, "observations")?;
    let discrete_actions = discrete_actions(file)?;
    let action = match discrete_actions {
        Some(_) => 1,
        None => matrix_width(file, "actions")?,
    };
    let has_rewards = is_there(file, "rewards")?;
    if has_rewards {
        vector(file, "rewards", VECTOR)?;
    }
    let terminals = flags(file, &TERMINALS)?;
    let timeouts = flags(file, &TIMEOUTS)?;
    if let (None, Some(dataset @ ("dones" | "done"))) = (terminals, timeouts) {
        return Err(LoadError::Dones {
            file: file.path().to_owned(),
            dataset: dataset.to_owned(),
        });
    }
    let has_next = reading.rule == Rule::Exact && is_there(file, "next_observations")?;
    if has_next {
        let found = matrix_width(file, "next_observations")?;
        if found != width {
            return Err(LoadError::Width {
                file: file.path().to_owned(),
                dataset: "next_observations".to_owned(),
                found,
                of: "observations".to_owned(),
                expected: width,
            });
        }
    }
    let rows = file.dataset("observations")?.rows();
    let columns = ["actions", "rewards", "next_observations"].into_iter();
    for dataset in columns.chain(terminals).chain(timeouts) {
        same_rows(file, dataset, rows)?;
    }
    let has_terminals = terminals.is_some();
    let terminals: Vec<bool> = match terminals {
        Some(dataset) => file.read(dataset, ..)?,
        None => {
            // What the file declares and cannot hold is nothing to allocate by.
            file.can_hold(file.dataset("observations")?)?;
            vec![false; rows]
        }
    };
    let timeouts: Option<Vec<bool>> = timeouts.map(|dataset| file.read(dataset, ..)).transpose()?;
    let (kept, next) = match reading.rule {
        Rule::Exact => {
            let timeouts = timeouts.unwrap_or_else(|| vec![false; rows]);
            let recorded = episodes(&terminals, &timeouts);
            match (has_next, reading.unfollowed) {
                (true, _) => (recorded, NextRule::Recorded),
                (false, true) => (recorded, NextRule::FollowingButLast),
                (false, false) => (without_last(recorded), NextRule::FollowingButTerminal),
            }
        }
        Rule::D4rl => {
            let limit = reading.max_episode_steps;
            if timeouts.is_none() && limit.is_none() {
                return Err(LoadError::NoStepLimit {
                    file: file.path().to_owned(),
                });
            }
            let kept = qlearning_rows(&terminals, timeouts.as_deref(), limit);
            (kept, NextRule::Following)
        }
    };
    let transitions = one_after_the_other(&kept);
    let key = |name: &str, width: usize| {
        let info = file.dataset(name)?;
        Ok::<_, LoadError>(vec![Key {
            name: name.to_owned(),
            shape: if info.shape.len() > 1 {
                vec![width]
            } else {
                Vec::new()
            },
            dtype: info.dtype,
        }])
    };
    Ok(Index {
        observation: key("observations", width)?,
        action: key("actions", action)?,
        recorded: transitions.len(),
        columns: Recorded {
            rewards: has_rewards,
            ends: has_terminals,
        },
        episodes: transitions,
        held_out: None,
        discrete_actions,
        environment: file.text_attribute("", "env")?,
        values: Values::D4rl(D4rlRows {
            kept: kept.into_iter().map(|episode| episode.rows).collect(),
            next,
            width,
            action,
            has_rewards,
            rows,
        }),
    })
}

/// The first of these datasets that is there, as it has to be.
fn flags(file: &File, names: &[&'static str]) -> Result<Option<&'static str>, LoadError> {
    let found = first_of(file, names);
    if let Some(name) = found {
        vector(file, name, FLAGS)?;
    }
    Ok(found)
}

/// The first of these datasets that is there, whatever it is.
pub(in crate::data) fn first_of(file: &File, names: &[&'static str]) -> Option<&'static str> {
    names.iter().find(|name| stands(file, name)).copied()
}

/// Episodes of so many rows each, in transitions' rows.
pub(super) fn one_after_the_other(kept: &[Episode]) -> Vec<Episode> {
    let mut first = 0;
    let moved = kept.iter().map(|episode| {
        let rows = first..first + episode.rows.len();
        first = rows.end;
        Episode {
            rows,
            end: episode.end,
        }
    });
    moved.collect()
}

/// Where the values of every transition are.
pub(super) struct D4rlRows {
    /// The file's rows of each episode's transitions.
    pub(super) kept: Vec<Range<usize>>,
    pub(super) next: NextRule,
    /// Columns of the observations.
    pub(super) width: usize,
    /// Columns of the actions.
    pub(super) action: usize,
    pub(super) has_rewards: bool,
    /// Rows of the file.
    pub(super) rows: usize,
}

/// Where next observations are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NextRule {
    /// In `next_observations`.
    Recorded,
    /// In the following row, but for a terminal row, which gets its own observation.
    FollowingButTerminal,
    /// In the following row, but for the last row of each episode, which gets its own observation.
    FollowingButLast,
    /// In the following row.
    Following,
}

impl D4rlRows {
    /// Reads a range of transitions: the rows of the file from the first to the last of them at once, without those between
    /// that are none.
    pub(super) fn read(
        &self,
        file: &File,
        episodes: &[Episode],
        rows: Range<usize>,
    ) -> Result<Block, LoadError> {
        let first = episodes.partition_point(|episode| episode.rows.end <= rows.start);
        // The file's rows, and whether nothing follows the last of them.
        let pieces: Vec<(Range<usize>, bool)> = overlapping(episodes, &rows)
            .zip(&self.kept[first..])
            .map(|((episode, part), kept)| {
                let offset = part.start - episode.rows.start;
                let start = kept.start + offset;
                let is_followed = match self.next {
                    NextRule::FollowingButTerminal => episode.end != EpisodeEnd::Terminated,
                    NextRule::FollowingButLast => false,
                    NextRule::Recorded | NextRule::Following => true,
                };
                let ends_here = part.end == episode.rows.end && !is_followed;
                (start..start + part.len(), ends_here)
            })
            .collect();
        let (Some((head, _)), Some((tail, _))) = (pieces.first(), pieces.last()) else {
            return Ok(Block {
                observation: Vec::new(),
                action: Vec::new(),
                reward: Vec::new(),
                next_observation: Vec::new(),
            });
        };
        let span = head.start..tail.end;
        let follows = self.next != NextRule::Recorded;
        let observed = span.start..(span.end + usize::from(follows)).min(self.rows);
        // The widest first, so that two threads finish together.
        let [observations, next_observations, actions, rewards] = read_columns(
            file,
            [
                Some(("observations", observed)),
                (!follows).then_some(("next_observations", span.clone())),
                Some(("actions", span.clone())),
                self.has_rewards.then(|| ("rewards", span.clone())),
            ],
        )?;
        let mut block = Block {
            observation: observations,
            action: actions,
            reward: if self.has_rewards {
                rewards
            } else {
                zeros(span.len())
            },
            next_observation: next_observations,
        };
        let kept: Vec<Range<usize>> = pieces
            .iter()
            .map(|(piece, _)| piece.start - span.start..piece.end - span.start)
            .collect();
        let width = self.width;
        if follows {
            let mut next = zeros(rows.len() * width);
            let values = &block.observation;
            let mut rest = &mut next[..];
            for (piece, (_, ends_here)) in kept.iter().zip(&pieces) {
                let (out, others) = rest.split_at_mut(piece.len() * width);
                rest = others;
                if *ends_here {
                    let (following, last) = out.split_at_mut((piece.len() - 1) * width);
                    following
                        .copy_from_slice(&values[(piece.start + 1) * width..piece.end * width]);
                    last.copy_from_slice(&values[(piece.end - 1) * width..piece.end * width]);
                } else {
                    out.copy_from_slice(
                        &values[(piece.start + 1) * width..(piece.end + 1) * width],
                    );
                }
            }
            block.next_observation = next;
        } else {
            keep(&mut block.next_observation, width, &kept);
        }
        keep(&mut block.observation, width, &kept);
        keep(&mut block.action, self.action, &kept);
        keep(&mut block.reward, 1, &kept);
        Ok(block)
    }

    /// Reads a dataset with a value for each row of the file, for each transition.
    pub(super) fn read_column(&self, file: &File, name: &str) -> Result<Column, LoadError> {
        let info = file.dataset(name)?;
        let width = info.width().unwrap_or(0);
        if info.rows() != self.rows || width == 0 || info.shape.is_empty() {
            return Err(LoadError::Form {
                file: file.path().to_owned(),
                dataset: name.to_owned(),
                found: format!("{} of shape {:?}", info.dtype, info.shape),
                expected: format!("numbers at each of {} rows", self.rows),
            });
        }
        let mut values = file.read::<f32>(name, ..)?;
        keep(&mut values, width, &self.kept);
        Ok(Column { values, width })
    }
}

/// Holds a dataset's rows, where it is there, against those of the observations.
pub(super) fn same_rows(file: &File, dataset: &str, rows: usize) -> Result<(), LoadError> {
    match file.dataset(dataset) {
        Ok(info) if info.rows() != rows => Err(LoadError::Rows {
            file: file.path().to_owned(),
            dataset: dataset.to_owned(),
            found: info.rows(),
            of: "observations".to_owned(),
            expected: rows,
            after: false,
        }),
        _ => Ok(()),
    }
}

/// Whether an optional dataset is there. One that is and cannot be reached is an error, never an absence.
fn is_there(file: &File, dataset: &str) -> Result<bool, LoadError> {
    match file.dataset(dataset) {
        Ok(_) => Ok(true),
        Err(FileError::NoDataset { .. }) => Ok(false),
        Err(error) => Err(LoadError::File(error)),
    }
}

/// The columns of a dataset of shape `[N, columns]`, or of one column `[N]`.
fn matrix_width(file: &File, dataset: &'static str) -> Result<usize, LoadError> {
    let shape = form(file, dataset, MATRIX, |shape| {
        matches!(shape.len(), 1 | 2) && !shape.contains(&0)
    })?;
    // Others allocate by it.
    file.can_hold(file.dataset(dataset)?)?;
    Ok(shape.get(1).copied().unwrap_or(1))
}

/// What actions choose from, where they are one whole number a row.
pub(super) fn discrete_actions(file: &File) -> Result<Option<DiscreteActions>, LoadError> {
    let Ok(info) = file.dataset("actions") else {
        return Ok(None);
    };
    let is_one = matches!(info.shape[..], [_] | [_, 1]);
    if !is_one || !matches!(info.dtype, Dtype::Integer { .. } | Dtype::Bool) {
        return Ok(None);
    }
    let count = file
        .whole_attribute("actions", "n")?
        .and_then(|n| usize::try_from(n).ok())
        .filter(|n| *n > 0)
        .or((info.dtype == Dtype::Bool).then_some(2));
    let first = file.whole_attribute("actions", "start")?.unwrap_or(0);
    DiscreteActions::declared(file, "actions", first, count).map(Some)
}

/// Checks a dataset of shape `[N]` or `[N, 1]`.
pub(super) fn vector(
    file: &File,
    dataset: &'static str,
    expected: &'static str,
) -> Result<(), LoadError> {
    form(file, dataset, expected, |shape| {
        matches!(shape, [_] | [_, 1])
    })
    .map(|_| ())
}

fn form<'a>(
    file: &'a File,
    dataset: &'static str,
    expected: &'static str,
    fits: impl Fn(&[usize]) -> bool,
) -> Result<&'a [usize], LoadError> {
    let info = file.dataset(dataset).map_err(|error| match error {
        FileError::NoDataset { file, found, .. } => LoadError::Missing {
            file,
            dataset: dataset.to_owned(),
            layout: Layout::D4rl,
            expected: expected.to_owned(),
            found,
        },
        error => LoadError::File(error),
    })?;
    if !info.dtype.is_numeric() || !fits(&info.shape) {
        let found = match &info.unreadable {
            Some(cause) => format!("unreadable ({cause})"),
            None => format!("{} of shape {:?}", info.dtype, info.shape),
        };
        return Err(LoadError::Form {
            file: file.path().to_owned(),
            dataset: dataset.to_owned(),
            found,
            expected: expected.to_owned(),
        });
    }
    Ok(&info.shape)
}

/// Reads rows of datasets as finite `f32`, on two threads with a handle each; one that is not wanted stays empty.
///
/// Which thread reads which dataset does not change a bit of what is read, and of several errors the first dataset's counts.
fn read_columns<const N: usize>(
    file: &File,
    wanted: [Option<(&'static str, Range<usize>)>; N],
) -> Result<[Vec<f32>; N], LoadError> {
    let next = AtomicUsize::new(0);
    let work = |file: &File| {
        let mut read = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(wanted) = wanted.get(index) else {
                return read;
            };
            read.push((
                index,
                wanted.clone().map_or_else(
                    || Ok(Vec::new()),
                    |(dataset, rows)| read_finite(file, dataset, rows),
                ),
            ));
        }
    };
    let mut results = if !file.is_worth_threads() {
        work(file)
    } else {
        thread::scope(|scope| {
            let other = scope.spawn(|| file.with_other(work));
            let mut results = work(file);
            match other.join() {
                Ok(more) => results.extend(more?),
                Err(panic) => std::panic::resume_unwind(panic),
            }
            Ok::<_, FileError>(results)
        })?
    };
    results.sort_by_key(|(index, _)| *index);
    let mut columns = [const { Vec::new() }; N];
    for (index, result) in results {
        columns[index] = result?;
    }
    Ok(columns)
}

fn read_finite(
    file: &File,
    dataset: &'static str,
    rows: Range<usize>,
) -> Result<Vec<f32>, LoadError> {
    let first = rows.start;
    let values: Vec<f32> = file.read(dataset, rows)?;
    not_finite(file, file.dataset(dataset)?, first, &values)?;
    Ok(values)
}

/// Refuses a NaN or an infinity among the rows from `first` on, with its place.
pub(super) fn not_finite(
    file: &File,
    info: &DatasetInfo,
    first: usize,
    values: &[f32],
) -> Result<(), LoadError> {
    let Some(at) = first_not_finite(values) else {
        return Ok(());
    };
    let width = info.width().unwrap_or(1).max(1);
    Err(LoadError::NotFinite {
        file: file.path().to_owned(),
        dataset: info.path.clone(),
        row: first + at / width,
        column: at % width,
        value: values[at],
    })
}

/// Keeps these rows, in order, in place.
fn keep<T: Copy>(values: &mut Vec<T>, width: usize, kept: &[Range<usize>]) {
    let mut length = 0;
    for rows in kept {
        let from = rows.start * width..rows.end * width;
        let count = from.len();
        if from.start != length {
            values.copy_within(from, length);
        }
        length += count;
    }
    values.truncate(length);
}
