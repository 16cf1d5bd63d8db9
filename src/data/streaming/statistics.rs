//! Rewards, means, deviations and extremes of data that are swept through and never held, with the bits that they have when
//! they are.

use crate::data::beyond_bounds::Beyond;
use crate::data::check::numbers::{Large, large_observation};
use crate::data::hdf5::File;
use crate::data::{Column, DatasetFile, LoadError, Normalizer, Split, Transitions};

/// What a sweep finds out.
pub(super) struct Statistics {
    pub(super) reward: Vec<f32>,
    /// Of the observations that are trained on.
    pub(super) observation: Normalizer,
    /// Two rows: the least and the greatest actions.
    pub(super) extremes: Column,
    /// The first number in an observation that learning cannot compute with.
    pub(super) large: Option<Large>,
}

/// Sweeps once, and once more for the deviation where observations are normalized. Reading looks at every number, and `beyond` at
/// every action.
pub(super) fn of(
    dataset_file: &DatasetFile,
    file: &File,
    span: usize,
    split: &Split,
    normalize: bool,
    mut beyond: Option<&mut Beyond>,
) -> Result<Statistics, LoadError> {
    let [observation, action] = dataset_file.widths();
    let mut reward = Vec::with_capacity(dataset_file.len());
    let mut low = vec![f32::INFINITY; action];
    let mut high = vec![f32::NEG_INFINITY; action];
    let mut large = None;
    let mut first = |start: usize, block: &Transitions| {
        reward.extend_from_slice(block.reward());
        if large.is_none() {
            let found = large_observation(block);
            large = found.map(|found| found.after(start));
        }
        if let Some(beyond) = &mut beyond {
            beyond.look(block.action());
        }
        for row in block.action().values.chunks_exact(action.max(1)) {
            for (element, &value) in row.iter().enumerate() {
                low[element] = low[element].min(value);
                high[element] = high[element].max(value);
            }
        }
    };
    let observation = if normalize {
        let mut sweeps = 0;
        Normalizer::fit_by(observation, split.training.len(), |consume| {
            sweeps += 1;
            let mut training = split.training.as_slice();
            each(dataset_file, file, span, |start, block| {
                if sweeps == 1 {
                    first(start, block);
                }
                let count = training.partition_point(|row| (*row as usize) < start + block.len());
                let (here, rest) = training.split_at(count);
                training = rest;
                for row in here {
                    consume(&block.observation().row(*row as usize - start));
                }
            })
        })?
    } else {
        each(dataset_file, file, span, first)?;
        Normalizer::identity(observation)
    };
    Ok(Statistics {
        reward,
        observation,
        extremes: Column {
            values: [low, high].concat(),
            width: action,
        },
        large,
    })
}

/// Gives all transitions, a span at a time, each with the number of its first.
fn each(
    dataset_file: &DatasetFile,
    file: &File,
    span: usize,
    mut consume: impl FnMut(usize, &Transitions),
) -> Result<(), LoadError> {
    for start in (0..dataset_file.len()).step_by(span) {
        let end = dataset_file.len().min(start + span);
        consume(start, &dataset_file.read_rows_with(file, start..end)?);
    }
    Ok(())
}
