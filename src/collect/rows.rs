//! What passes between environments and algorithms in [`Collect`](crate::schedule::Collect): plain host memory, one row an
//! environment, so that a policy acts in all of them with one forward pass.

use std::ops::{Deref, DerefMut};

use bevy_ecs::prelude::*;
use burn::tensor::{Device, Tensor, TensorData};

use crate::data::{Column, Normalizer, Preprocessing, ScaleError};
use crate::transfer::{download, upload};

/// What the environments show now, raw, `[environments, observation]`: after a reset, the new episode's first observation.
///
/// The algorithm's step in [`CollectSystems::Act`](crate::schedule::CollectSystems::Act) reads it and writes [`Actions`].
///
/// ```
/// use yarak::prelude::*;
/// use yarak::collect::Observations;
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
        preprocessed(&self.0, &preprocessing.observation, device)
    }
}

/// What networks see of rows that are as wide.
pub(super) fn preprocessed(
    rows: &Column,
    normalizer: &Normalizer,
    device: &Device,
) -> Result<Tensor<2>, ScaleError> {
    let expected = normalizer.mean.len();
    if expected != rows.width {
        return Err(ScaleError::Width {
            expected,
            found: rows.width,
        });
    }
    let mut values = rows.values.clone();
    normalizer.apply_to_row(&mut values)?;
    let shape = [values.len() / rows.width, rows.width];
    Ok(upload(TensorData::new(values, shape), device))
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
/// use yarak::collect::Actions;
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
        self.0.values = download(actions);
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
