//! The D4RL layout: one dataset per column at the top level (Fu et al. 2020, <https://arxiv.org/abs/2004.07219>).
//!
//! | dataset | shape | type |
//! |---|---|---|
//! | `observations` | `[N, observation]` | float |
//! | `actions` | `[N, action]` | float |
//! | `rewards` | `[N]` or `[N, 1]` | float |
//! | `terminals` | `[N]` or `[N, 1]` | bool, or 0 and 1 of any type |
//! | `timeouts` (optional) | like `terminals` | like `terminals` |
//! | `next_observations` (optional) | like `observations` | float |
//!
//! Everything else in the file, such as `infos/` and `metadata/`, is left alone.
//!
//! **Ends.** A row of `terminals` ends its episode as terminal, a row of `timeouts` as truncated, and where both are set the
//! terminal wins. Without `timeouts` only terminals end episodes. The last episode of the file is unfinished unless its last
//! row ends it.
//!
//! **Next observations.** With `next_observations` every row is a transition, the last one of a truncated or unfinished
//! episode too. Without, a row's next observation is the following row's observation; a terminal row, whose next observation
//! is never used, gets its own observation in that place; and the last row of a truncated or unfinished episode is *not* a
//! transition, because what followed it was not recorded.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::super::transitions::first_not_finite;
use super::super::{Column, End, Episode, Parts, Transitions};
use super::{File, FileError, Layout, LoadError};

/// Every dataset that this layout reads, in the order in which they are listed.
pub const COLUMNS: [&str; 6] = [
    "observations",
    "actions",
    "rewards",
    "terminals",
    "timeouts",
    "next_observations",
];

const MATRIX: &str =
    "float16, float32 or float64 of shape [N, columns] with at least one row and one column";
const VECTOR: &str = "float16, float32 or float64 of shape [N] or [N, 1]";
const FLAGS: &str = "bool, or 0 and 1 of any number type, of shape [N] or [N, 1]";

/// Files below this size are read by one thread: opening a second handle would take longer than it saves.
const TWO_THREADS_FROM_BYTES: u64 = 1 << 20;

/// Whether at least two of the layout's four required names stand at the top level.
pub(super) fn is_it(file: &File) -> bool {
    let stands =
        |dataset: &&&str| !matches!(file.dataset(dataset), Err(FileError::NoDataset { .. }));
    COLUMNS[..4].iter().filter(stands).count() >= 2
}

/// What a file in this layout has, once its shapes and types were looked at.
struct Form {
    observation_width: usize,
    action_width: usize,
    rows: usize,
    has_timeouts: bool,
    has_next: bool,
}

/// Looks at shapes and types, before anything is read.
fn look(file: &File) -> Result<Form, LoadError> {
    let observation_width = matrix_width(file, "observations")?;
    let action_width = matrix_width(file, "actions")?;
    vector(file, "rewards", VECTOR)?;
    vector(file, "terminals", FLAGS)?;
    let has_timeouts = is_there(file, "timeouts")?;
    if has_timeouts {
        vector(file, "timeouts", FLAGS)?;
    }
    let has_next = is_there(file, "next_observations")?;
    if has_next {
        let found = matrix_width(file, "next_observations")?;
        if found != observation_width {
            return Err(LoadError::NextWidth {
                file: file.path().to_owned(),
                found,
                expected: observation_width,
            });
        }
    }
    let rows = file.dataset("observations")?.rows();
    for dataset in COLUMNS {
        if let Ok(info) = file.dataset(dataset)
            && info.rows() != rows
        {
            return Err(LoadError::Rows {
                file: file.path().to_owned(),
                dataset,
                found: info.rows(),
                expected: rows,
            });
        }
    }
    Ok(Form {
        observation_width,
        action_width,
        rows,
        has_timeouts,
        has_next,
    })
}

/// Which rows are terminal and which time out.
fn read_ends(file: &File, form: &Form) -> Result<(Vec<bool>, Vec<bool>), LoadError> {
    let terminals: Vec<bool> = file.read("terminals", ..)?;
    let timeouts: Vec<bool> = if form.has_timeouts {
        file.read("timeouts", ..)?
    } else {
        vec![false; form.rows]
    };
    Ok((terminals, timeouts))
}

/// What is one number a row, and the episodes of the file's rows.
pub(in crate::data) struct Scalars {
    /// Elements of an observation and of an action.
    pub(in crate::data) widths: [usize; 2],
    pub(in crate::data) has_next: bool,
    pub(in crate::data) reward: Vec<f32>,
    pub(in crate::data) episodes: Vec<Episode>,
}

/// Reads rewards and ends alone, for data that stay in their file.
pub(in crate::data) fn read_scalars(file: &File) -> Result<Scalars, LoadError> {
    let form = look(file)?;
    let (terminals, timeouts) = read_ends(file, &form)?;
    Ok(Scalars {
        widths: [form.observation_width, form.action_width],
        has_next: form.has_next,
        reward: read_finite(file, "rewards")?,
        episodes: episodes(&terminals, &timeouts),
    })
}

/// Reads all transitions of a file in this layout.
///
/// # Errors
///
/// A dataset that is missing, of another shape, type or length than the table above says, or with a NaN or an infinity in it.
pub fn read(file: &File) -> Result<Transitions, LoadError> {
    let form = look(file)?;
    // The widest first, so that two threads finish together.
    let wanted = [
        Some("observations"),
        form.has_next.then_some("next_observations"),
        Some("actions"),
        Some("rewards"),
    ];
    let [observations, next_observations, actions, rewards] = read_columns(file, wanted)?;
    let (terminals, timeouts) = read_ends(file, &form)?;

    let mut parts = Parts {
        observation: Column {
            values: observations,
            width: form.observation_width,
        },
        action: Column {
            values: actions,
            width: form.action_width,
        },
        reward: rewards,
        next_observation: Column {
            values: next_observations,
            width: form.observation_width,
        },
        terminal: terminals,
        episodes: Vec::new(),
    };
    let recorded = episodes(&parts.terminal, &timeouts);
    if form.has_next {
        parts.episodes = recorded;
    } else {
        follow(&mut parts, &recorded);
    }
    Transitions::from_finite(parts).map_err(|source| LoadError::Transitions {
        file: file.path().to_owned(),
        source,
    })
}

/// Whether an optional dataset is there. One that is and cannot be reached is an error, never an absence.
fn is_there(file: &File, dataset: &str) -> Result<bool, LoadError> {
    match file.dataset(dataset) {
        Ok(_) => Ok(true),
        Err(FileError::NoDataset { .. }) => Ok(false),
        Err(error) => Err(LoadError::File(error)),
    }
}

/// The columns of a dataset of shape `[N, columns]` of floats.
fn matrix_width(file: &File, dataset: &'static str) -> Result<usize, LoadError> {
    let shape = form(file, dataset, MATRIX, |shape, is_float| {
        is_float && shape.len() == 2 && !shape.contains(&0)
    })?;
    Ok(shape[1])
}

/// Checks a dataset of shape `[N]` or `[N, 1]`.
fn vector(file: &File, dataset: &'static str, expected: &'static str) -> Result<(), LoadError> {
    let one_column = |shape: &[usize]| matches!(shape, [_] | [_, 1]);
    form(file, dataset, expected, |shape, is_float| {
        one_column(shape) && (is_float || expected == FLAGS)
    })
    .map(|_| ())
}

fn form<'a>(
    file: &'a File,
    dataset: &'static str,
    expected: &'static str,
    fits: impl Fn(&[usize], bool) -> bool,
) -> Result<&'a [usize], LoadError> {
    let info = file.dataset(dataset).map_err(|error| match error {
        FileError::NoDataset { file, found, .. } => LoadError::Missing {
            file,
            dataset,
            layout: Layout::D4rl,
            expected,
            found,
        },
        error => LoadError::File(error),
    })?;
    if !info.dtype.is_numeric() || !fits(&info.shape, info.dtype.is_float()) {
        let found = match &info.unreadable {
            Some(cause) => format!("unreadable ({cause})"),
            None => format!("{} of shape {:?}", info.dtype, info.shape),
        };
        return Err(LoadError::Form {
            file: file.path().to_owned(),
            dataset,
            found,
            expected,
        });
    }
    Ok(&info.shape)
}

/// Reads whole datasets as finite `f32`, on two threads with a handle each; one that is not wanted stays empty.
///
/// Which thread reads which dataset does not change a bit of what is read, and of several errors the first dataset's counts.
fn read_columns<const N: usize>(
    file: &File,
    wanted: [Option<&'static str>; N],
) -> Result<[Vec<f32>; N], LoadError> {
    let next = AtomicUsize::new(0);
    let work = |file: &File| {
        let mut read = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(dataset) = wanted.get(index) else {
                return read;
            };
            read.push((
                index,
                dataset.map_or_else(|| Ok(Vec::new()), |dataset| read_finite(file, dataset)),
            ));
        }
    };
    let mut results = if file.bytes() < TWO_THREADS_FROM_BYTES {
        work(file)
    } else {
        let second = file.reopen()?;
        thread::scope(|scope| {
            let other = scope.spawn(move || work(&second));
            let mut results = work(file);
            match other.join() {
                Ok(more) => results.extend(more),
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

fn read_finite(file: &File, dataset: &'static str) -> Result<Vec<f32>, LoadError> {
    let values: Vec<f32> = file.read(dataset, ..)?;
    let Some(at) = first_not_finite(&values) else {
        return Ok(values);
    };
    let width = file.dataset(dataset)?.width().unwrap_or(1).max(1);
    Err(LoadError::NotFinite {
        file: file.path().to_owned(),
        dataset: dataset.to_owned(),
        row: at / width,
        column: at % width,
        value: values[at],
    })
}

/// The episodes of the file's rows.
fn episodes(terminals: &[bool], timeouts: &[bool]) -> Vec<Episode> {
    let mut episodes = Vec::new();
    let mut start = 0;
    for (row, (&terminal, &timeout)) in terminals.iter().zip(timeouts).enumerate() {
        let end = match (terminal, timeout) {
            (true, _) => End::Terminal,
            (false, true) => End::Truncated,
            (false, false) if row + 1 == terminals.len() => End::Unfinished,
            (false, false) => continue,
        };
        episodes.push(Episode {
            rows: start..row + 1,
            end,
        });
        start = row + 1;
    }
    episodes
}

/// Takes each next observation from the following row, and drops the rows that nothing follows.
fn follow(parts: &mut Parts, recorded: &[Episode]) {
    let width = parts.observation.width;
    let mut next = Vec::with_capacity(parts.observation.values.len());
    let mut kept: Vec<Range<usize>> = Vec::with_capacity(recorded.len());
    let mut rows = 0;
    for Episode {
        rows: Range { start, end },
        end: how,
    } in recorded
    {
        let last = end - 1;
        let following = &parts.observation.values[(start + 1) * width..end * width];
        next.extend_from_slice(following);
        let end = if *how == End::Terminal {
            next.extend_from_slice(parts.observation.row(last));
            *end
        } else {
            last
        };
        if *start < end {
            let length = end - start;
            kept.push(*start..end);
            parts.episodes.push(Episode {
                rows: rows..rows + length,
                end: *how,
            });
            rows += length;
        }
    }
    parts.next_observation.values = next;
    keep(&mut parts.observation.values, width, &kept);
    keep(&mut parts.action.values, parts.action.width, &kept);
    keep(&mut parts.reward, 1, &kept);
    keep(&mut parts.terminal, 1, &kept);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminals_win_over_timeouts_and_the_last_row_ends_unfinished() {
        let flags = |text: &str| text.chars().map(|c| c == 'x').collect::<Vec<_>>();
        let found = episodes(&flags("..x...x."), &flags("..x.x..."));
        let ends: Vec<_> = found.iter().map(|e| (e.rows.clone(), e.end)).collect();
        assert_eq!(
            ends,
            [
                (0..3, End::Terminal),
                (3..5, End::Truncated),
                (5..7, End::Terminal),
                (7..8, End::Unfinished)
            ]
        );
    }

    /// Rows whose observation is their number.
    fn followed(terminals: &[bool], timeouts: &[bool]) -> Parts {
        let numbers: Vec<f32> = (0..terminals.len()).map(|row| row as f32).collect();
        let mut parts = Parts {
            observation: Column {
                values: numbers.clone(),
                width: 1,
            },
            action: Column {
                values: numbers.clone(),
                width: 1,
            },
            reward: numbers,
            next_observation: Column {
                values: vec![],
                width: 1,
            },
            terminal: terminals.to_vec(),
            episodes: vec![],
        };
        let recorded = episodes(&parts.terminal, timeouts);
        follow(&mut parts, &recorded);
        parts
    }

    #[test]
    fn without_next_observations_the_last_row_of_a_cut_off_episode_is_dropped() {
        let parts = followed(
            &[false, true, false, false, false, false],
            &[false, false, false, false, true, false],
        );
        assert_eq!(parts.observation.values, [0.0, 1.0, 2.0, 3.0]);
        assert_eq!(parts.next_observation.values, [1.0, 1.0, 3.0, 4.0]);
        assert_eq!(parts.reward, [0.0, 1.0, 2.0, 3.0]);
        assert_eq!(parts.terminal, [false, true, false, false]);
        // The last row was an episode of its own that nothing follows, so nothing is left of it.
        assert_eq!(
            parts.episodes,
            [
                Episode {
                    rows: 0..2,
                    end: End::Terminal
                },
                Episode {
                    rows: 2..4,
                    end: End::Truncated
                }
            ]
        );
        Transitions::new(parts).unwrap();
    }

    #[test]
    fn a_terminal_row_gets_its_own_observation_as_the_next() {
        let parts = followed(&[true, true], &[false, true]);
        assert_eq!(parts.next_observation.values, [0.0, 1.0]);
        assert_eq!(parts.episodes.len(), 2);
    }
}
