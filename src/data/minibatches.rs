//! Minibatches drawn from a dataset: uniformly, with replacement.

use std::path::Path;
use std::sync::{Mutex, OnceLock, PoisonError};

use bevy_app::{App, Plugin, PreStartup, Startup};
use bevy_ecs::prelude::*;
use burn::tensor::Device;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::dataset::load_dataset;
use super::gathering::{Shown, gather, matrix, vector, with_goals};
use super::n_step::{check as check_fold, fold_row};
use super::replay::{in_words, memory_of_the_machine};
use super::streaming::{Drawing, ReadAhead, Rows};
use super::{
    Batch, Bytes, Data, FoldError, Folded, Goals, LearnsChoices, LoadError, Preprocessing, Split,
    StoredData, fold,
};
use crate::learner::{AppRandomExt, ComputeDevice, Random, Sampling, Seed};
use crate::schedule::{Clock, InputError, Learn, LearnSystems, Validate, ValidateSystems};

/// Draws a [`Batch`] of the dataset in [`LearnSystems::Sample`]. An algorithm adds it with what its settings say.
#[derive(Clone, Debug)]
pub struct MinibatchPlugin {
    /// Rows in a minibatch, at least 1.
    pub batch: usize,
    /// Gradient steps in an epoch; `None`: rows / batch, rounded up.
    pub steps_per_epoch: Option<u64>,
    /// γ, from 0 to 1.
    pub discount: f32,
    /// How many rewards are folded into one, at least 1.
    pub n_step: usize,
    /// Whether a terminal step's reward counts as earned forever after: times 1 / (1 − γ).
    pub infinite_horizon: bool,
}

impl Default for MinibatchPlugin {
    /// 256 rows, one step, no discount: what imitates and does not bootstrap needs no more.
    fn default() -> Self {
        MinibatchPlugin {
            batch: 256,
            steps_per_epoch: None,
            discount: 0.0,
            n_step: 1,
            infinite_horizon: false,
        }
    }
}

impl Plugin for MinibatchPlugin {
    fn build(&self, app: &mut App) {
        let settings = self.clone();
        let build = move |data: Option<Res<Data>>,
                          stored: Option<Res<StoredData>>,
                          device: Res<ComputeDevice>,
                          goals: Option<Res<Goals>>,
                          preprocessing: Option<Res<Preprocessing>>,
                          learns_choices: Option<Res<LearnsChoices>>,
                          mut clock: ResMut<Clock>,
                          mut commands: Commands|
              -> Result<(), BevyError> {
            let goals = goals.map(|goals| *goals);
            let frames = preprocessing.map_or(1, |preprocessing| preprocessing.frames.max(1));
            let choices = match (&data, &stored) {
                (Some(data), _) => data.transitions.choices().map(|count| (&data.file, count)),
                (None, Some(stored)) => stored.choices.map(|count| (&stored.file, count)),
                (None, None) => None,
            };
            if let (Some((file, choices)), None) = (choices, learns_choices) {
                return Err(InputError::new(choices_refused(file, choices)).into());
            }
            let minibatches = match (&data, &stored) {
                (Some(data), _) => {
                    Minibatches::new(&settings, data, frames, goals).map_err(InputError::new)?
                }
                (None, Some(stored)) => {
                    Minibatches::ahead(&settings, stored, frames, goals).map_err(InputError::new)?
                }
                (None, None) => return Ok(()),
            };
            let rows = minibatches.source.split().training.len();
            clock.set_epoch(
                settings
                    .steps_per_epoch
                    .unwrap_or_else(|| rows.div_ceil(settings.batch.max(1)) as u64),
            );
            let [observation, action] = minibatches.source.widths();
            let given = frames + usize::from(goals.is_some());
            let observation = given * observation;
            fits_the_machine(settings.batch, observation, action).map_err(InputError::new)?;
            commands.insert_resource(Batch::empty(observation, action, &device.plain()));
            commands.insert_resource(minibatches);
            Ok(())
        };
        app.add_random::<Sampling>()
            .add_systems(PreStartup, find_data.after(load_dataset))
            .add_systems(Startup, build)
            .add_systems(Learn, draw_minibatch.in_set(LearnSystems::Sample))
            .add_systems(Validate, draw_held_out.in_set(ValidateSystems::Sample));
    }
}

/// Before any network is built, whose plugin would miss the data in words of its own.
fn find_data(
    data: Option<Res<Data>>,
    stored: Option<Res<StoredData>>,
    acting_only: Option<Res<Preprocessing>>,
) -> Result<(), BevyError> {
    // A policy that only acts brings its preprocessing and needs no data.
    match (data, stored, acting_only) {
        (None, None, None) => Err(InputError::new(NO_DATASET).into()),
        _ => Ok(()),
    }
}

const NO_DATASET: &str =
    "there is no data to learn from: add `Dataset(path: \"...\")` to the plugins";

/// Enough for so many bytes, with two digits: a scene's number.
fn in_gigabytes(enough: Bytes) -> String {
    // A little more, as a scene's number is rounded to 32 bits.
    let gigabytes = 1.01 * enough.0.max(1) as f64 / 1e9;
    let unit = 10f64.powf(gigabytes.log10().floor() - 1.0);
    let digits = (-unit.log10()).round().max(0.0) as usize;
    format!("{:.digits$}", (gigabytes / unit).ceil() * unit)
}

/// Refuses a batch that would take more memory than there is.
fn fits_the_machine(batch: usize, observation: usize, action: usize) -> Result<(), String> {
    let row = 4 * (2 * observation as u64 + action as u64 + 3);
    let bytes = row.saturating_mul(batch as u64);
    match memory_of_the_machine() {
        Some(machine) if bytes > machine => Err(format!(
            "a batch of {batch} rows takes {}, with {observation} numbers in what networks see, and this machine has {}: lower `batch` \
             or `Dataset.frames`",
            in_words(bytes),
            in_words(machine)
        )),
        _ => Ok(()),
    }
}

fn choices_refused(file: &Path, choices: usize) -> String {
    format!(
        "{}: an action is one of {choices} choices, and the algorithm learns vectors of real numbers; take data with such actions, or an algorithm of choices such as Dqn",
        file.display()
    )
}

/// The dataset as minibatches are drawn from it: in memory, or read from its file ahead of the learner, with the same bits.
#[derive(Resource)]
pub struct Minibatches {
    source: Source,
    batch: usize,
}

enum Source {
    InMemory {
        data: Data,
        folded: Folded,
        shown: Shown,
    },
    Ahead(Box<Ahead>),
}

/// Data that stay in their file.
struct Ahead {
    data: StoredData,
    read_ahead: Mutex<ReadAhead>,
    discount: f64,
    drawing: Drawing,
    /// What a terminal step's reward is multiplied by.
    forever: f64,
    /// The batch that is validated on, which is always the same.
    held_out: OnceLock<Rows>,
}

/// Why minibatches cannot be drawn from a file.
#[derive(Debug, thiserror::Error)]
enum AheadError {
    #[error(transparent)]
    Fold(#[from] FoldError),
    #[error(
        "`Dataset.memory` of {given} is too little: batches of {batch} rows of this file need {enough}; give at least \
         `memory: {gigabytes}`, or a smaller `batch`"
    )]
    Memory {
        given: Bytes,
        batch: usize,
        enough: Bytes,
        gigabytes: String,
    },
}

impl Minibatches {
    fn new(
        settings: &MinibatchPlugin,
        data: &Data,
        frames: usize,
        goals: Option<Goals>,
    ) -> Result<Self, FoldError> {
        let folded = fold(
            &data.transitions,
            f64::from(settings.discount),
            settings.n_step,
            settings.infinite_horizon,
        )?;
        Ok(Minibatches {
            source: Source::InMemory {
                folded,
                data: data.clone(),
                shown: Shown {
                    frames,
                    goals: goals.map(|goals| goals.rows(&data.transitions)),
                },
            },
            batch: settings.batch.max(1),
        })
    }

    fn ahead(
        settings: &MinibatchPlugin,
        data: &StoredData,
        frames: usize,
        goals: Option<Goals>,
    ) -> Result<Self, AheadError> {
        let (discount, n_step) = (f64::from(settings.discount), settings.n_step);
        let forever = check_fold(discount, n_step, settings.infinite_horizon)?;
        let batch = settings.batch.max(1);
        let drawing = Drawing {
            batch,
            n_step,
            frames,
            goals,
        };
        let read_ahead = ReadAhead::new(
            data.stored.clone(),
            data.split.clone(),
            drawing.clone(),
            data.memory,
        )
        .map_err(|enough| AheadError::Memory {
            given: data.memory,
            batch,
            enough,
            gigabytes: in_gigabytes(enough),
        })?;
        Ok(Minibatches {
            source: Source::Ahead(Box::new(Ahead {
                data: data.clone(),
                read_ahead: Mutex::new(read_ahead),
                discount,
                drawing,
                forever,
                held_out: OnceLock::new(),
            })),
            batch,
        })
    }

    /// Draws a minibatch of the training rows.
    ///
    /// # Errors
    /// Data that stay in their file cannot be read any more.
    pub fn draw(&self, generator: &mut ChaCha8Rng, device: &Device) -> Result<Batch, LoadError> {
        let before = generator.clone();
        let drawn = draw_rows(&self.source.split().training, self.batch, generator);
        match &self.source {
            Source::InMemory { .. } => {
                let rows: Vec<usize> = drawn.into_iter().map(|row| row as usize).collect();
                self.gather(&rows, device)
            }
            Source::Ahead(ahead) => {
                let mut threads = ahead
                    .read_ahead
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner);
                let rows = threads.take(&drawn, &before)?;
                drop(threads);
                let drawn: Vec<usize> = drawn.into_iter().map(|row| row as usize).collect();
                Ok(ahead.batch(&drawn, rows, device))
            }
        }
    }

    /// The batch of the given rows. Of data that stay in their file they are read at once, which takes a while.
    ///
    /// # Errors
    /// Data that stay in their file cannot be read any more.
    pub fn gather(&self, rows: &[usize], device: &Device) -> Result<Batch, LoadError> {
        match &self.source {
            Source::InMemory {
                data,
                folded,
                shown,
            } => Ok(gather(&data.transitions, folded, shown, rows, device)),
            Source::Ahead(ahead) => Ok(ahead.batch(rows, ahead.read(rows)?, device)),
        }
    }

    /// A batch of held-out rows, always those of the same stream, which is not the training's; `None` where there are none.
    fn held_out(&self, device: &Device) -> Result<Option<Batch>, LoadError> {
        let held_out = &self.source.split().held_out;
        if held_out.is_empty() {
            return Ok(None);
        }
        let mut random = Random::<Sampling>::forked(Seed(0), HELD_OUT_STREAM);
        let drawn = draw_rows(held_out, self.batch, random.generator());
        let drawn: Vec<usize> = drawn.into_iter().map(|row| row as usize).collect();
        let Source::Ahead(ahead) = &self.source else {
            return self.gather(&drawn, device).map(Some);
        };
        let rows = match ahead.held_out.get() {
            Some(rows) => rows.clone(),
            None => {
                let rows = ahead.read(&drawn)?;
                ahead.held_out.get_or_init(|| rows).clone()
            }
        };
        Ok(Some(ahead.batch(&drawn, rows, device)))
    }
}

impl Source {
    fn split(&self) -> &Split {
        match self {
            Source::InMemory { data, .. } => &data.split,
            Source::Ahead(ahead) => &ahead.data.split,
        }
    }

    fn widths(&self) -> [usize; 2] {
        match self {
            Source::InMemory { data, .. } => {
                let transitions = &data.transitions;
                [transitions.observation().width, transitions.action().width]
            }
            Source::Ahead(ahead) => ahead.data.stored.recording().widths(),
        }
    }
}

impl Ahead {
    fn folded(&self, row: usize) -> (f32, f32, u32) {
        let stored = &self.data.stored;
        fold_row(
            stored.reward(),
            stored.episode_of(row),
            row,
            self.discount,
            self.drawing.n_step,
            self.forever,
        )
    }

    fn read(&self, rows: &[usize]) -> Result<Rows, LoadError> {
        self.data.stored.read(rows, &self.drawing)
    }

    fn batch(&self, rows: &[usize], read: Rows, device: &Device) -> Batch {
        let stored = &self.data.stored;
        let observed = |values| with_goals(values, &read.goal, rows.len(), device);
        let folded: Vec<_> = rows.iter().map(|row| self.folded(*row)).collect();
        let terminal = |last: u32| f32::from(u8::from(stored.is_terminal(last as usize)));
        Batch {
            observation: observed(read.observation),
            action: matrix(read.action, rows.len(), device),
            reward: vector(folded.iter().map(|(reward, ..)| *reward), device),
            next_observation: observed(read.next_observation),
            bootstrap: vector(folded.iter().map(|(_, bootstrap, _)| *bootstrap), device),
            terminal: vector(folded.iter().map(|(.., last)| terminal(*last)), device),
        }
    }
}

/// Draws rows with replacement. Whoever reads ahead draws by the same function.
pub(super) fn draw_rows(rows: &[u32], count: usize, generator: &mut ChaCha8Rng) -> Vec<u32> {
    (0..count)
        .map(|_| rows[generator.random_range(0..rows.len() as u32) as usize])
        .collect()
}

/// Draws from the dataset. A run that learns from environments has none.
pub(super) fn draw_minibatch(
    minibatches: Option<Res<Minibatches>>,
    device: Res<ComputeDevice>,
    mut random: ResMut<Random<Sampling>>,
    mut batch: ResMut<Batch>,
) -> Result<(), BevyError> {
    if let Some(minibatches) = minibatches {
        *batch = minibatches.draw(random.generator(), &device.plain())?;
    }
    Ok(())
}

/// Puts held-out rows into [`Batch`].
fn draw_held_out(
    minibatches: Option<Res<Minibatches>>,
    device: Res<ComputeDevice>,
    mut batch: ResMut<Batch>,
) -> Result<(), BevyError> {
    let Some(minibatches) = minibatches else {
        return Ok(());
    };
    if let Some(held_out) = minibatches.held_out(&device.plain())? {
        *batch = held_out;
    }
    Ok(())
}

const HELD_OUT_STREAM: u64 = 1;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use burn::tensor::Tensor;

    use crate::data::{Column, End, Episode, GoalMode, Parts, Transitions, split_episodes};

    /// Episodes of 2 and 3 rows; observations are `[row, -row]` and next observations `[row + 0.5, 7]`.
    fn data() -> Data {
        let pairs = |pair: fn(f32) -> [f32; 2]| Column {
            values: (0..5).flat_map(|row| pair(row as f32)).collect(),
            width: 2,
        };
        let transitions = Transitions::new(Parts {
            observation: pairs(|row| [row, -row]),
            action: Column {
                values: vec![0.0; 5],
                width: 1,
            },
            reward: vec![1.0; 5],
            next_observation: pairs(|row| [row + 0.5, 7.0]),
            terminal: vec![false, true, false, false, false],
            episodes: [(0..2, End::Terminal), (2..5, End::Truncated)]
                .map(|(rows, end)| Episode { rows, end })
                .to_vec(),
        })
        .unwrap();
        Data {
            split: Arc::new(split_episodes(&transitions, 0.0, 0).unwrap()),
            transitions: Arc::new(transitions),
            file: "made_up.hdf5".into(),
        }
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

    #[test]
    fn a_batch_beyond_the_machines_memory_is_refused() {
        let refused = fits_the_machine(10_000_000, 3_000_000, 1).unwrap_err();
        assert!(refused.contains("10000000 rows") && refused.contains("Dataset.frames"));
        assert_eq!(fits_the_machine(256, 11, 3), Ok(()));
    }

    #[test]
    fn choices_are_refused_with_the_file() {
        let message = choices_refused(Path::new("made_up.hdf5"), 3);
        assert!(message.starts_with("made_up.hdf5: ") && message.contains("3 choices"));
    }
}
