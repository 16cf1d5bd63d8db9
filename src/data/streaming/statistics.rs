//! Rewards, means, deviations and extremes of data that are swept through and never held, with the bits that they have when
//! they are.

use crate::data::hdf5::File;
use crate::data::{Column, LoadError, Normaliser, Recording, Split, Transitions};

/// What a sweep finds out.
pub(super) struct Statistics {
    pub(super) reward: Vec<f32>,
    /// Of the observations that are trained on.
    pub(super) observation: Normaliser,
    /// Two rows: the least and the greatest actions.
    pub(super) extremes: Column,
}

/// Sweeps once, and once more for the deviation where observations are normalised. Reading looks at every number.
pub(super) fn of(
    recording: &Recording,
    file: &File,
    span: usize,
    split: &Split,
    normalise: bool,
) -> Result<Statistics, LoadError> {
    let [observation, action] = recording.widths();
    let mut reward = Vec::with_capacity(recording.len());
    let mut low = vec![f32::INFINITY; action];
    let mut high = vec![f32::NEG_INFINITY; action];
    let mut first = |block: &Transitions| {
        reward.extend_from_slice(block.reward());
        for row in block.action().values.chunks_exact(action.max(1)) {
            for (element, &value) in row.iter().enumerate() {
                low[element] = low[element].min(value);
                high[element] = high[element].max(value);
            }
        }
    };
    let observation = if normalise {
        let mut sweeps = 0;
        Normaliser::fit_by(observation, split.training.len(), |consume| {
            sweeps += 1;
            let mut training = split.training.as_slice();
            each(recording, file, span, |start, block| {
                if sweeps == 1 {
                    first(block);
                }
                let count = training.partition_point(|row| (*row as usize) < start + block.len());
                let (here, rest) = training.split_at(count);
                training = rest;
                for row in here {
                    consume(block.observation().row(*row as usize - start));
                }
            })
        })?
    } else {
        each(recording, file, span, |_, block| first(block))?;
        Normaliser::identity(observation)
    };
    Ok(Statistics {
        reward,
        observation,
        extremes: Column {
            values: [low, high].concat(),
            width: action,
        },
    })
}

/// Gives all transitions, a span at a time, each with the number of its first.
fn each(
    recording: &Recording,
    file: &File,
    span: usize,
    mut consume: impl FnMut(usize, &Transitions),
) -> Result<(), LoadError> {
    for start in (0..recording.len()).step_by(span) {
        let end = recording.len().min(start + span);
        consume(start, &recording.read_rows_with(file, start..end)?);
    }
    Ok(())
}
