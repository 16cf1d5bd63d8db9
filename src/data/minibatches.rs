//! Minibatches drawn from a dataset: uniformly, with replacement.

use bevy_app::{App, Plugin, PreStartup, Startup};
use bevy_ecs::prelude::*;
use burn::tensor::{Device, Tensor, TensorData};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::dataset::load_dataset;
use super::{Batch, Data, Folded, Goals, Preprocessing, Transitions, fold};
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
                          goals: Option<Res<Goals>>,
                          mut clock: ResMut<Clock>,
                          mut commands: Commands|
              -> Result<(), BevyError> {
            let Some(data) = data else {
                return Ok(());
            };
            if let Some(choices) = data.transitions.choices() {
                return Err(InputError::new(choices_refused(&data, choices)).into());
            }
            let mut minibatches = Minibatches::new(&settings, &data).map_err(InputError::new)?;
            minibatches.goals = goals.map(|goals| goals.rows(&data.transitions));
            clock.set_epoch(settings.steps_per_epoch.unwrap_or_else(|| {
                let rows = data.split.training.len();
                rows.div_ceil(settings.batch.max(1)) as u64
            }));
            let transitions = &data.transitions;
            let given = 1 + usize::from(minibatches.goals.is_some());
            let observation = given * transitions.observation().width;
            let action = transitions.action().width;
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

fn choices_refused(data: &Data, choices: usize) -> String {
    format!(
        "{}: an action is one of {choices} choices, and the algorithm learns vectors of real numbers; take data with such actions",
        data.file.display()
    )
}

/// The dataset as minibatches are drawn from it.
#[derive(Resource)]
pub struct Minibatches {
    data: Data,
    folded: Folded,
    /// For each row the row whose next observation is its goal, where networks are given goals.
    goals: Option<Vec<u32>>,
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
            goals: None,
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
        let observed = |column: &super::Column, at: &dyn Fn(&usize) -> usize| {
            let Some(goals) = &self.goals else {
                return matrix(column, &mut rows.iter().map(at));
            };
            let width = 2 * column.width;
            let mut values = Vec::with_capacity(rows.len() * width);
            for row in rows {
                values.extend_from_slice(column.row(at(row)));
                let goal = goals[*row] as usize;
                values.extend_from_slice(transitions.next_observation().row(goal));
            }
            Tensor::<2>::from_data(TensorData::new(values, [rows.len(), width]), device)
        };
        let vector = |value: &dyn Fn(&usize) -> f32| {
            let values: Vec<f32> = rows.iter().map(value).collect();
            let shape = [values.len()];
            Tensor::<1>::from_data(TensorData::new(values, shape), device)
        };
        Batch {
            observation: observed(transitions.observation(), &|row| *row),
            action: matrix(transitions.action(), &mut rows.iter().copied()),
            reward: vector(&|row| self.folded.reward[*row]),
            next_observation: observed(transitions.next_observation(), &last),
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::data::{Column, End, Episode, GoalMode, Parts, split_episodes};

    /// Episodes of 2 and 3 rows; observations are `[row, -row]` and next observations `[row + 0.5, 7]`.
    fn data(choices: Option<usize>) -> Data {
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
        .unwrap()
        .with_choices(choices);
        Data {
            split: Arc::new(split_episodes(&transitions, 0.0, 0).unwrap()),
            transitions: Arc::new(transitions),
            file: "made_up.hdf5".into(),
        }
    }

    #[test]
    fn a_goal_stands_behind_both_observations_and_is_its_own_episodes() {
        let data = data(None);
        let settings = MinibatchPlugin {
            n_step: 2,
            discount: 0.5,
            ..MinibatchPlugin::default()
        };
        let mut minibatches = Minibatches::new(&settings, &data).unwrap();
        let goals = Goals {
            mode: GoalMode::Last,
        };
        minibatches.goals = Some(goals.rows(&data.transitions));
        let batch = minibatches.gather(&[0, 1, 2], &ComputeDevice::cpu().plain());
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
    fn choices_are_refused_with_the_file() {
        let message = choices_refused(&data(Some(3)), 3);
        assert!(message.starts_with("made_up.hdf5: ") && message.contains("3 choices"));
    }
}
