//! Minibatches drawn from a dataset: uniformly, with replacement.

use bevy_app::{App, Plugin, PreStartup, Startup};
use bevy_ecs::prelude::*;
use burn::tensor::{Device, Tensor, TensorData};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::dataset::load_dataset;
use super::{Batch, Data, Folded, Preprocessing, Transitions, fold};
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
                          device: Res<ComputeDevice>,
                          mut clock: ResMut<Clock>,
                          mut commands: Commands|
              -> Result<(), BevyError> {
            let Some(data) = data else {
                return Ok(());
            };
            let minibatches = Minibatches::new(&settings, &data).map_err(InputError::new)?;
            clock.set_epoch(settings.steps_per_epoch.unwrap_or_else(|| {
                let rows = data.split.training.len();
                rows.div_ceil(settings.batch.max(1)) as u64
            }));
            let transitions = &data.transitions;
            let (observation, action) =
                (transitions.observation().width, transitions.action().width);
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
    acting_only: Option<Res<Preprocessing>>,
) -> Result<(), BevyError> {
    // A policy that only acts brings its preprocessing and needs no data.
    match (data, acting_only) {
        (None, None) => Err(InputError::new(NO_DATASET).into()),
        _ => Ok(()),
    }
}

const NO_DATASET: &str =
    "there is no data to learn from: add `Dataset(path: \"...\")` to the plugins";

/// The dataset as minibatches are drawn from it.
#[derive(Resource)]
pub struct Minibatches {
    data: Data,
    folded: Folded,
    batch: usize,
}

impl Minibatches {
    fn new(settings: &MinibatchPlugin, data: &Data) -> Result<Self, super::FoldError> {
        Ok(Minibatches {
            folded: fold(
                &data.transitions,
                f64::from(settings.discount),
                settings.n_step,
                settings.infinite_horizon,
            )?,
            data: data.clone(),
            batch: settings.batch.max(1),
        })
    }

    /// Draws a minibatch of the training rows.
    pub fn draw(&self, generator: &mut ChaCha8Rng, device: &Device) -> Batch {
        self.draw_from(&self.data.split.training, generator, device)
    }

    fn draw_from(&self, rows: &[u32], generator: &mut ChaCha8Rng, device: &Device) -> Batch {
        let drawn: Vec<usize> = (0..self.batch)
            .map(|_| rows[generator.random_range(0..rows.len() as u32) as usize] as usize)
            .collect();
        self.gather(&drawn, device)
    }

    /// The batch of the given rows.
    pub fn gather(&self, rows: &[usize], device: &Device) -> Batch {
        let transitions: &Transitions = &self.data.transitions;
        let last = |row: &usize| self.folded.last[*row] as usize;
        let matrix = |column: &super::Column, rows: &mut dyn Iterator<Item = usize>| {
            let mut values = Vec::with_capacity(self.batch * column.width);
            rows.for_each(|row| values.extend_from_slice(column.row(row)));
            let shape = [values.len() / column.width.max(1), column.width];
            Tensor::<2>::from_data(TensorData::new(values, shape), device)
        };
        let vector = |value: &dyn Fn(&usize) -> f32| {
            let values: Vec<f32> = rows.iter().map(value).collect();
            let shape = [values.len()];
            Tensor::<1>::from_data(TensorData::new(values, shape), device)
        };
        Batch {
            observation: matrix(transitions.observation(), &mut rows.iter().copied()),
            action: matrix(transitions.action(), &mut rows.iter().copied()),
            reward: vector(&|row| self.folded.reward[*row]),
            next_observation: matrix(transitions.next_observation(), &mut rows.iter().map(last)),
            bootstrap: vector(&|row| self.folded.bootstrap[*row]),
            terminal: vector(&|row| f32::from(u8::from(transitions.terminal()[last(row)]))),
        }
    }
}

fn draw_minibatch(
    minibatches: Res<Minibatches>,
    device: Res<ComputeDevice>,
    mut random: ResMut<Random<Sampling>>,
    mut batch: ResMut<Batch>,
) {
    *batch = minibatches.draw(random.generator(), &device.plain());
}

/// Puts held-out rows into [`Batch`], always those of the same stream, which is not the training's.
fn draw_held_out(
    minibatches: Res<Minibatches>,
    device: Res<ComputeDevice>,
    mut batch: ResMut<Batch>,
) {
    let rows = &minibatches.data.split.held_out;
    if !rows.is_empty() {
        let mut random = Random::<Sampling>::forked(Seed(0), HELD_OUT_STREAM);
        *batch = minibatches.draw_from(rows, random.generator(), &device.plain());
    }
}

const HELD_OUT_STREAM: u64 = 1;
