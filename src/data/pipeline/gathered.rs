//! The numbers of drawn rows, in host memory.

use burn::tensor::{Device, Tensor};

use super::Batch;
use crate::data::{Column, Normalizer, ScaleError};
use crate::transfer::upload_together;

/// The rows of a [`Batch`] to be, before they are normalized and become tensors. What a step of your own changes in them, a goal
/// that is put in another's place or a reward that is computed anew, the networks see.
///
/// ```
/// use yarak::prelude::*;
/// use yarak::data::Gathered;
///
/// let mut gathered = Gathered::new([2, 1]);
/// gathered.row_ids.push(7);
/// gathered.observation.values.extend([1.0, 2.0]);
/// gathered.next_observation.values.extend([3.0, 4.0]);
/// gathered.action.values.push(0.5);
/// gathered.next_action.values.push(0.0);
/// gathered.has_next_action.push(false);
/// gathered.reward.push(-1.0);
/// gathered.bootstrap.push(0.99);
/// gathered.terminated.push(false);
/// gathered.observation.row_mut(0)[1] = 20.0;
/// let batch = gathered.into_batch(None, &ComputeDevice::cpu().plain())?;
/// assert_eq!(batch.observation.into_data().into_vec::<f32>()?, [1.0, 20.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Gathered {
    /// Which rows, `[batch]`, as [`Batch::row_ids`].
    pub row_ids: Vec<usize>,
    /// What networks see at each row, `[batch, observation]`: its frames, oldest first, and behind them the goal where there are
    /// goals. Raw where it comes from environments, already normalized where it comes from a dataset.
    pub observation: Column,
    /// `[batch, action]`, in [-1, 1]; all actions of a chunk where the policy predicts chunks.
    pub action: Column,
    /// Σ γᵏ r over the steps that were folded, `[batch]`.
    pub reward: Vec<f32>,
    /// What networks see after those steps, `[batch, observation]`.
    pub next_observation: Column,
    /// γⁿ, or 0 where the episode terminated, `[batch]`.
    pub bootstrap: Vec<f32>,
    /// Whether the episode terminated within those steps, `[batch]`.
    pub terminated: Vec<bool>,
    /// What was done next, `[batch, action]`; zeros where it is not known.
    pub next_action: Column,
    /// Whether it is known, `[batch]`.
    pub has_next_action: Vec<bool>,
    /// What each row counts in a loss, `[batch]`; `None`: all the same.
    pub weight: Option<Vec<f32>>,
    /// What was done at each of the frames, `[batch, frames * action]`; `None`: nobody asked.
    pub past_action: Option<Column>,
}

impl Gathered {
    /// No rows, of these widths: of what networks see, and of actions.
    pub fn new(widths: [usize; 2]) -> Self {
        Self::with_capacity(widths, 0)
    }

    /// The same with room for so many rows.
    pub(super) fn with_capacity([observation, action]: [usize; 2], rows: usize) -> Self {
        let column = |width: usize| Column {
            values: Vec::with_capacity(rows * width),
            width,
        };
        Gathered {
            row_ids: Vec::with_capacity(rows),
            observation: column(observation),
            action: column(action),
            reward: Vec::with_capacity(rows),
            next_observation: column(observation),
            bootstrap: Vec::with_capacity(rows),
            terminated: Vec::with_capacity(rows),
            next_action: column(action),
            has_next_action: Vec::with_capacity(rows),
            weight: None,
            past_action: None,
        }
    }

    /// As tensors on `device`, the observations normalized where they are not yet.
    ///
    /// # Errors
    /// When the normalizer was made for observations of another width.
    pub fn into_batch(
        mut self,
        normalizer: Option<&Normalizer>,
        device: &Device,
    ) -> Result<Batch, ScaleError> {
        if let Some(normalizer) = normalizer {
            normalizer.apply_to_row(&mut self.observation.values)?;
            normalizer.apply_to_row(&mut self.next_observation.values)?;
        }
        Ok(self.into_tensors(device))
    }

    /// The same with nothing left to do.
    pub(in crate::data) fn into_tensors(self, device: &Device) -> Batch {
        let rows = self.row_ids.len();
        let vector = |values: Vec<f32>| (values, [rows, 1]);
        let flags = |flags: Vec<bool>| {
            let numbers = flags.into_iter().map(|it| f32::from(u8::from(it)));
            vector(numbers.collect())
        };
        let column = |column: Column| (column.values, [rows, column.width]);
        let (weight, past_action) = (self.weight.map(vector), self.past_action.map(column));
        let [
            observation,
            action,
            reward,
            next_observation,
            bootstrap,
            terminated,
            next_action,
            has_next_action,
        ] = upload_together(
            [
                column(self.observation),
                column(self.action),
                vector(self.reward),
                column(self.next_observation),
                vector(self.bootstrap),
                flags(self.terminated),
                column(self.next_action),
                flags(self.has_next_action),
            ],
            device,
        );
        let one = |column| {
            let [column] = upload_together([column], device);
            column
        };
        let flat = |column: Tensor<2>| column.squeeze_dim::<1>(1);
        Batch {
            learners: 1,
            row_ids: self.row_ids,
            observation,
            action,
            reward: flat(reward),
            next_observation,
            bootstrap: flat(bootstrap),
            terminated: flat(terminated),
            next_action,
            has_next_action: flat(has_next_action),
            weight: weight.map(one).map(flat),
            past_action: past_action.map(one),
        }
    }
}
