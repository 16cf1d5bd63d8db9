//! The dataset as minibatches are drawn from it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bevy_ecs::prelude::*;
use burn::tensor::Device;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::on_device::OnDevice;
use crate::data::pipeline::{InMemory, Pipeline};
use crate::data::streaming::{Drawing, ReadAhead, Stored};
use crate::data::{
    Batch, Bytes, Data, DataRows, FoldError, Folding, Gathered, Goals, LoadError, MinibatchPlugin,
    Split, StoredRows, fold,
};
use crate::random::{Random, Sampling};
use crate::transfer::{MOST_BYTES, is_far};

/// The dataset as minibatches are drawn from it: in memory, or read from its file ahead of the learner, with the same bits.
#[derive(Resource)]
pub struct Minibatches {
    source: Source,
    data: Data,
    pipeline: Pipeline,
    batch: usize,
    /// The rows that lie on the run's device, where that is not the processor.
    on_device: Option<Mutex<OnDevice>>,
}

enum Source {
    InMemory(InMemory),
    Ahead(Box<Ahead>),
}

/// Data that stay in their file.
struct Ahead {
    stored: Arc<Stored>,
    read_ahead: Mutex<ReadAhead>,
}

/// Why minibatches cannot be drawn.
#[derive(Debug, thiserror::Error)]
pub(super) enum DrawError {
    #[error(transparent)]
    Fold(#[from] FoldError),
    #[error(
        "`Dataset.memory` of {given} is too little: batches of {batch} rows of this file need {enough}; give at least \
         `memory: {gigabytes}`, or a smaller `batch_size`"
    )]
    Memory {
        given: Bytes,
        batch: usize,
        enough: Bytes,
        gigabytes: String,
    },
}

impl Minibatches {
    pub(super) fn new(
        settings: &MinibatchPlugin,
        data: &Data,
        frames: usize,
        goals: Option<Goals>,
    ) -> Result<Self, DrawError> {
        let folding = settings.folding();
        folding.check()?;
        let pipeline = Pipeline {
            folding,
            frames,
            from_row: settings.resets_at_horizon,
            goals,
            past_actions: settings.past_actions,
            chunk: settings.chunk.prediction_horizon.max(1),
        };
        let batch = settings.batch_size.max(1);
        let source = match &data.rows {
            DataRows::InMemory(transitions) => {
                let Folding {
                    discount,
                    n_step,
                    infinite_horizon,
                } = folding;
                let folded = fold(transitions, discount, n_step, infinite_horizon)?;
                let rows = InMemory::new(transitions.clone(), Some(folded));
                rows.move_to_huge_pages();
                Source::InMemory(rows)
            }
            DataRows::InFile(rows) => {
                let drawing = Drawing { batch, pipeline };
                Source::Ahead(Box::new(Ahead::new(rows, &data.split, drawing)?))
            }
        };
        Ok(Minibatches {
            source,
            data: data.clone(),
            pipeline,
            batch,
            on_device: None,
        })
    }

    /// Keeps the rows on the device of the run from now on, if that is far and they are not too many.
    ///
    /// # Errors
    /// Never, for data in memory.
    pub(super) fn keep_on(&mut self, device: &Device) -> Result<(), LoadError> {
        let Source::InMemory(data) = &self.source else {
            return Ok(());
        };
        let rows = data.transitions.len();
        let [seen, acted] = self.widths();
        let past = if self.pipeline.past_actions { seen } else { 0 };
        let bytes = 4 * (2 * (seen + acted) + past + 4) as u64 * rows as u64;
        if is_far(device) && bytes <= MOST_BYTES {
            let all = self.rows(&(0..rows).collect::<Vec<_>>())?;
            self.on_device = Some(Mutex::new(OnDevice::new(all, device)));
        }
        Ok(())
    }

    /// The rows that lie on this device, if they do.
    fn on(&self, device: &Device) -> Option<MutexGuard<'_, OnDevice>> {
        let kept = self.on_device.as_ref()?.lock();
        let kept = kept.unwrap_or_else(PoisonError::into_inner);
        kept.is_on(device).then_some(kept)
    }

    /// Draws a minibatch of the training rows: for each learner of a stack its own, from its own stream.
    ///
    /// # Errors
    /// Data that stay in their file cannot be read any more.
    pub fn draw(&self, random: &mut Random<Sampling>, device: &Device) -> Result<Batch, LoadError> {
        let learners = random.learners();
        let before = random.generators().next().cloned();
        let drawn = self.draw_for_each(&mut random.generators());
        if let Some(mut kept) = self.on(device) {
            let mut after: Vec<ChaCha8Rng> = random.generators().map(|it| it.clone()).collect();
            let more = |n: usize| {
                let minibatches = 0..n.div_ceil(drawn.len());
                let more = minibatches.flat_map(|_| self.draw_for_each(&mut after.iter_mut()));
                more.take(n).collect()
            };
            let batch = kept.take(&drawn, more);
            return Ok(Batch { learners, ..batch });
        }
        let gathered = match (&self.source, before) {
            (Source::Ahead(ahead), Some(before)) => {
                let threads = ahead.read_ahead.lock();
                let mut threads = threads.unwrap_or_else(PoisonError::into_inner);
                threads.take(&drawn, &before)?
            }
            _ => self.rows(&as_rows(&drawn))?,
        };
        let batch = gathered.into_tensors(device);
        Ok(Batch { learners, ..batch })
    }

    /// The rows of one minibatch for each generator.
    fn draw_for_each(&self, generators: &mut dyn Iterator<Item = &mut ChaCha8Rng>) -> Vec<u32> {
        let training = &self.data.split.training;
        generators
            .flat_map(|generator| draw_rows(training, self.batch, generator))
            .collect()
    }

    /// The batch of the given rows. Of data that stay in their file they are read at once, which takes a while.
    ///
    /// # Errors
    /// Data that stay in their file cannot be read any more.
    pub fn gather(&self, rows: &[usize], device: &Device) -> Result<Batch, LoadError> {
        if let Some(kept) = self.on(device) {
            let rows: Vec<u32> = rows.iter().map(|row| *row as u32).collect();
            return Ok(kept.gather(&rows));
        }
        Ok(self.rows(rows)?.into_tensors(device))
    }

    /// The numbers of the given rows, which may be changed before they become a batch: observations normalized and actions scaled
    /// already, so that [`Gathered::into_batch`] has no normalizer to apply.
    ///
    /// # Errors
    /// As [`gather`](Self::gather).
    pub fn rows(&self, rows: &[usize]) -> Result<Gathered, LoadError> {
        match &self.source {
            Source::InMemory(data) => {
                let widths = self.data.widths();
                Ok(self.pipeline.gather(data, data, widths, rows))
            }
            Source::Ahead(ahead) => ahead.stored.read(rows, &self.pipeline),
        }
    }

    /// For how long [`draw`](Self::draw) has waited for what was not read yet, of data that stay in their file.
    pub fn waited(&self) -> Duration {
        match &self.source {
            Source::InMemory(_) => Duration::ZERO,
            Source::Ahead(ahead) => {
                let threads = ahead.read_ahead.lock();
                threads.unwrap_or_else(PoisonError::into_inner).waited()
            }
        }
    }

    /// The rows that are held out, and how many of them a batch has.
    pub(super) fn held_out(&self) -> (&[u32], usize) {
        (&self.data.split.held_out, self.batch)
    }

    /// The widths of what networks see and of what they are to do, all actions of a chunk.
    pub(super) fn widths(&self) -> [usize; 2] {
        let [observation, action] = self.data.widths();
        let seen = self.pipeline.side_by_side() * observation;
        [seen, self.pipeline.chunk * action]
    }

    /// How many rows are trained on.
    pub(super) fn training_rows(&self) -> usize {
        self.data.split.training.len()
    }
}

impl Ahead {
    fn new(rows: &StoredRows, split: &Arc<Split>, drawing: Drawing) -> Result<Self, DrawError> {
        let batch = drawing.batch;
        let read_ahead = ReadAhead::new(rows.stored.clone(), split.clone(), drawing, rows.memory)
            .map_err(|enough| DrawError::Memory {
            given: rows.memory,
            batch,
            enough,
            gigabytes: in_gigabytes(enough),
        })?;
        Ok(Ahead {
            stored: rows.stored.clone(),
            read_ahead: Mutex::new(read_ahead),
        })
    }
}

/// Draws rows with replacement. Whoever reads ahead draws by the same function.
pub(in crate::data) fn draw_rows(
    rows: &[u32],
    count: usize,
    generator: &mut ChaCha8Rng,
) -> Vec<u32> {
    (0..count)
        .map(|_| rows[generator.random_range(0..rows.len() as u32) as usize])
        .collect()
}

pub(super) fn as_rows(drawn: &[u32]) -> Vec<usize> {
    drawn.iter().map(|row| *row as usize).collect()
}

/// Enough for so many bytes, with two digits: a scene's number.
fn in_gigabytes(enough: Bytes) -> String {
    // A little more, as a scene's number is rounded to 32 bits.
    let gigabytes = 1.01 * enough.0.max(1) as f64 / 1e9;
    let unit = 10f64.powf(gigabytes.log10().floor() - 1.0);
    let digits = (-unit.log10()).round().max(0.0) as usize;
    format!("{:.digits$}", (gigabytes / unit).ceil() * unit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Tensor;

    use crate::data::{Column, Episode, EpisodeEnd, GoalMode, Parts, Transitions, split_episodes};
    use crate::nn::ComputeDevice;

    /// Episodes of 2 and 3 rows; observations are `[row, -row]` and next observations `[row + 0.5, 7]`.
    fn data() -> Data {
        let pairs = |pair: fn(f32) -> [f32; 2]| Column {
            values: (0..5).flat_map(|row| pair(row as f32)).collect(),
            width: 2,
        };
        let transitions = Transitions::new(Parts {
            observation: pairs(|row| [row, -row]).into(),
            action: Column {
                values: vec![0.0; 5],
                width: 1,
            },
            reward: vec![1.0; 5],
            next_observation: pairs(|row| [row + 0.5, 7.0]).into(),
            terminated: vec![false, true, false, false, false],
            episodes: [
                (0..2, EpisodeEnd::Terminated),
                (2..5, EpisodeEnd::Truncated),
            ]
            .map(|(rows, end)| Episode { rows, end })
            .to_vec(),
        })
        .unwrap();
        let split = split_episodes(&transitions, 0.0, 0).unwrap();
        Data::in_memory(transitions, split, "made_up.hdf5")
    }

    #[test]
    fn a_goal_stands_behind_both_observations_and_is_its_own_episodes() {
        let data = data();
        let settings = MinibatchPlugin {
            n_step: 2,
            discount: 0.5,
            ..MinibatchPlugin::default()
        };
        let goals = Goals {
            mode: GoalMode::Last,
        };
        let minibatches = Minibatches::new(&settings, &data, 1, Some(goals)).unwrap();
        let device = ComputeDevice::cpu().plain();
        let batch = minibatches.gather(&[0, 1, 2], &device).unwrap();
        let values = |tensor: Tensor<2>| tensor.into_data().into_vec::<f32>().unwrap();
        assert_eq!(
            values(batch.observation),
            [
                0.0, -0.0, 1.5, 7.0, 1.0, -1.0, 1.5, 7.0, 2.0, -2.0, 4.5, 7.0
            ]
        );
        assert_eq!(
            values(batch.next_observation),
            [1.5, 7.0, 1.5, 7.0, 1.5, 7.0, 1.5, 7.0, 3.5, 7.0, 4.5, 7.0]
        );
    }

    #[test]
    fn what_is_enough_is_told_in_two_digits_and_never_too_little() {
        for (bytes, told) in [
            (41_400, "0.000042"),
            (1_000_000, "0.0011"),
            (1_010_000, "0.0011"),
            (999_999_999, "1.1"),
            (25_300_000_000, "26"),
            (1, "0.0000000011"),
        ] {
            let said = in_gigabytes(Bytes(bytes));
            assert_eq!(said, told, "{bytes}");
            assert!(f64::from(said.parse::<f32>().unwrap()) * 1e9 >= bytes as f64);
        }
    }
}
