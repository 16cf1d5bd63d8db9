//! What passes between environments and algorithms in [`Collect`](crate::schedule::Collect): plain host memory, one row an
//! environment, so that a policy acts in all of them with one forward pass.

use std::ops::{Deref, DerefMut};

use bevy_ecs::prelude::*;
use burn::tensor::{Device, Tensor, TensorData};

use crate::data::{Column, Preprocessing, ScaleError};

/// What the environments show now, raw, `[environments, observation]`: after a reset, the new episode's first observation.
///
/// The algorithm's step in [`CollectSystems::Act`](crate::schedule::CollectSystems::Act) reads it and writes [`Actions`].
///
/// ```
/// use yarak::prelude::*;
///
/// let mut observations = Observations::new(2, 3);
/// observations.row_mut(1).copy_from_slice(&[1.0, 2.0, 3.0]);
/// assert_eq!(observations.row(0), [0.0; 3]);
/// assert_eq!(observations.values[3..], [1.0, 2.0, 3.0]);
/// ```
#[derive(Resource, Clone, Debug, PartialEq)]
pub struct Observations(Column);

impl Observations {
    /// Zeros for so many environments with observations of `width` elements.
    pub fn new(environments: usize, width: usize) -> Self {
        Observations(Column::zeros(environments, width))
    }

    /// What networks see of them, `[environments, observation]` on `device`, where they see them one by one and without a goal.
    ///
    /// # Errors
    /// When the preprocessing was made for observations of another width.
    pub fn preprocessed(
        &self,
        preprocessing: &Preprocessing,
        device: &Device,
    ) -> Result<Tensor<2>, ScaleError> {
        preprocessed(&self.0, preprocessing, device)
    }
}

/// What networks see of rows that are as wide.
pub(super) fn preprocessed(
    rows: &Column,
    preprocessing: &Preprocessing,
    device: &Device,
) -> Result<Tensor<2>, ScaleError> {
    let [expected, _] = preprocessing.widths();
    if expected != rows.width {
        return Err(ScaleError::Width {
            expected,
            found: rows.width,
        });
    }
    let mut values = rows.values.clone();
    preprocessing.observation.apply_to_row(&mut values)?;
    let shape = [values.len() / rows.width, rows.width];
    Ok(Tensor::from_data(TensorData::new(values, shape), device))
}

impl Deref for Observations {
    type Target = Column;

    fn deref(&self) -> &Column {
        &self.0
    }
}

impl DerefMut for Observations {
    fn deref_mut(&mut self) -> &mut Column {
        &mut self.0
    }
}

/// What the environments are to do, `[environments, action]`: numbers in [-1, 1] for a box, which are mapped to its bounds,
/// and one column with the index of the choice, from 0, for a discrete space.
///
/// ```
/// use yarak::prelude::*;
///
/// let device = ComputeDevice::cpu().plain();
/// let mut actions = Actions::new(2, 1);
/// actions.take(Tensor::from_floats([[0.5], [-1.0]], &device));
/// assert_eq!(actions.values, [0.5, -1.0]);
/// ```
#[derive(Resource, Clone, Debug, PartialEq)]
pub struct Actions(Column);

impl Actions {
    /// Zeros for so many environments with actions of `width` elements.
    pub fn new(environments: usize, width: usize) -> Self {
        Actions(Column::zeros(environments, width))
    }

    /// Takes a policy's actions `[environments, action]` over from the device.
    pub fn take(&mut self, actions: Tensor<2>) {
        self.0.width = actions.dims()[1];
        self.0.values = actions
            .into_data()
            .into_vec()
            .expect("yarak's tensors are of f32");
    }
}

impl Deref for Actions {
    type Target = Column;

    fn deref(&self) -> &Column {
        &self.0
    }
}

impl DerefMut for Actions {
    fn deref_mut(&mut self) -> &mut Column {
        &mut self.0
    }
}

/// The result of a step of all environments, `N` environments: read in
/// [`CollectSystems::Record`](crate::schedule::CollectSystems::Record) by replay and rollout buffers.
#[derive(Resource, Clone, Debug, PartialEq)]
pub struct StepResults {
    /// What was observed before, `[N, observation]`, raw.
    pub observation: Column,
    /// What was done, `[N, action]`, as the policy gave it in [`Actions`].
    pub action: Column,
    /// What it earned, `[N]`: raw, unless a plugin rescales it for the learner. Scores never come from here.
    pub reward: Vec<f32>,
    /// What was observed next, `[N, observation]`, raw: where the episode ended, its true last observation and not the next
    /// episode's first.
    pub next_observation: Column,
    /// Whether the task was over, `[N]`: nothing follows, so a learner does not bootstrap.
    pub terminated: Vec<bool>,
    /// Whether the episode was cut while the task would have gone on, `[N]`: a learner bootstraps, unless it terminated too.
    pub truncated: Vec<bool>,
    /// Whether the row is a step at all, `[N]`: false where an environment only started its next episode.
    pub valid: Vec<bool>,
}

impl StepResults {
    /// Zeros for so many environments.
    pub fn new(environments: usize, observation: usize, action: usize) -> Self {
        StepResults {
            observation: Column::zeros(environments, observation),
            action: Column::zeros(environments, action),
            reward: vec![0.0; environments],
            next_observation: Column::zeros(environments, observation),
            terminated: vec![false; environments],
            truncated: vec![false; environments],
            valid: vec![false; environments],
        }
    }

    /// How many environments.
    pub fn rows(&self) -> usize {
        self.reward.len()
    }

    /// Whether environment `row`'s episode ended with this step, in either way.
    pub fn ended(&self, row: usize) -> bool {
        self.terminated[row] || self.truncated[row]
    }
}
