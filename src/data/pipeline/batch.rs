//! A minibatch.

use bevy_ecs::prelude::*;
use burn::tensor::{Device, Tensor};

use crate::data::check::numbers::LARGE;
use crate::nn::losses;
use crate::random::{Purpose, Random, Seed};

/// The minibatch that the steps of [`Learn`](crate::schedule::Learn) read. Its tensors are plain: nothing is tracked.
///
/// Observations are normalized where the dataset says so, actions are scaled to [-1, 1], and rewards are folded over
/// `n_step` steps inside the episode, so that the target is always `reward + bootstrap * Q(next_observation, ..)`.
///
/// In a stack of learners the rows are those of each learner's minibatch, one learner's behind the other's. What couples rows, such as
/// the mean of a loss, is of each learner's own rows: [`mean`](Batch::mean) and its like.
#[derive(Resource, Clone, Debug)]
pub struct Batch {
    /// How many learners of a stack the rows are of, in equal parts; 1, where one learns alone.
    pub learners: usize,
    /// Which rows were drawn, `[batch]`: of the dataset, or of the replay buffer, which counts all that were ever recorded
    /// ([`ReplayBuffer`](crate::data::ReplayBuffer)).
    pub row_ids: Vec<usize>,
    /// s, `[batch, observation]`.
    pub observation: Tensor<2>,
    /// a in [-1, 1], `[batch, action]`. Where the policy predicts chunks ([`ActionChunk`](crate::data::ActionChunk)), a and the actions
    /// after it, `[batch, prediction_horizon * action]`; past the episode's end the last one is repeated.
    pub action: Tensor<2>,
    /// Σ γᵏ r over the steps that were folded, `[batch]`.
    pub reward: Tensor<1>,
    /// The state after those steps, `[batch, observation]`.
    pub next_observation: Tensor<2>,
    /// What the value of that state counts: γⁿ, or 0 where the episode terminated, `[batch]`.
    pub bootstrap: Tensor<1>,
    /// 1 where the episode terminated within those steps, else 0, `[batch]`.
    pub terminated: Tensor<1>,
    /// a', what was done in that state, in [-1, 1], `[batch, action]`; zeros where [`has_next_action`](Self::has_next_action) is 0.
    pub next_action: Tensor<2>,
    /// 1 where a' is known, `[batch]`; 0 where the episode ended with those steps, in either way, and where the next step is not
    /// recorded yet.
    pub has_next_action: Tensor<1>,
    /// What each row counts in a critic's loss, `[batch]`, where rows are not drawn alike and importance sampling evens that out: the
    /// mean of a loss ℓ is that of `weight * ℓ` (Schaul et al. 2016, <https://arxiv.org/abs/1511.05952>). Every shipped critic heeds it;
    /// actors and state values do not, as in the paper. `None`: all count the same.
    pub weight: Option<Tensor<1>>,
    /// What was done at each of the observations side by side, in [-1, 1], `[batch, frames * action]`, the oldest first: the last is
    /// [`action`](Self::action), and where the episode's first observation stands for those before it, its action does as well. `None`
    /// where [`MinibatchPlugin::past_actions`](crate::data::MinibatchPlugin::past_actions) does not ask for it.
    pub past_action: Option<Tensor<2>>,
}

impl Batch {
    /// A random stream for looking at these rows, in validation: the same every time that they come, another one for other rows, and
    /// none of training's.
    pub fn stream<P: Purpose>(&self) -> Random<P> {
        let first = self.row_ids.first().copied().unwrap_or_default();
        Random::forked(Seed(first as u64), VALIDATION_STREAM)
    }

    /// A batch of no rows, before the first is drawn.
    pub fn empty(observation: usize, action: usize, device: &Device) -> Self {
        let matrix = |width| Tensor::empty([0, width], device);
        let vector = || Tensor::empty([0], device);
        Batch {
            learners: 1,
            row_ids: Vec::new(),
            observation: matrix(observation),
            action: matrix(action),
            reward: vector(),
            next_observation: matrix(observation),
            bootstrap: vector(),
            terminated: vector(),
            next_action: matrix(action),
            has_next_action: vector(),
            weight: None,
            past_action: None,
        }
    }

    /// How many rows.
    pub fn rows(&self) -> usize {
        self.observation.dims()[0]
    }

    /// The mean of what is of each row, over the rows of each learner: `[learners]`, which is `[1]` where one learns alone. The first
    /// dimension of `of_rows` is the row.
    ///
    /// ```
    /// use yarak::prelude::*;
    ///
    /// let device = ComputeDevice::cpu().plain();
    /// let batch = Batch { learners: 2, ..Batch::empty(1, 1, &device) };
    /// let losses = Tensor::<1>::from_floats([1.0, 3.0, 5.0, 9.0], &device);
    /// assert_eq!(batch.mean(losses).into_data().into_vec::<f32>()?, [2.0, 7.0]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn mean<const D: usize>(&self, of_rows: Tensor<D>) -> Tensor<1> {
        if self.learners == 1 {
            return of_rows.mean();
        }
        let each = of_rows.shape().num_elements() / self.learners;
        let of_learners = of_rows.reshape([self.learners, each]);
        of_learners.mean_dim(1).squeeze_dim::<1>(1)
    }

    /// The mean squared error over the rows of each learner, `[learners]`. The target is a constant.
    ///
    /// # Panics
    /// When the shapes differ.
    pub fn mse<const D: usize>(&self, prediction: Tensor<D>, target: Tensor<D>) -> Tensor<1> {
        match self.learners {
            1 => losses::mse(prediction, target),
            _ => self.mean(losses::squared_error(prediction, target)),
        }
    }

    /// The sum of what the members of an ensemble have, such as their losses, over those of each learner: `[learners]`, which is `[1]`
    /// where one learns alone.
    pub fn sum_of_members(&self, of_members: Tensor<1>) -> Tensor<1> {
        if self.learners == 1 {
            return of_members.sum();
        }
        let members = of_members.dims()[0] / self.learners;
        let of_learners = of_members.reshape([self.learners, members]);
        of_learners.sum_dim(1).squeeze_dim::<1>(1)
    }

    /// The same columns after a change of each, for other rows.
    pub(in crate::data) fn map(
        &self,
        row_ids: Vec<usize>,
        matrix: impl Fn(Tensor<2>) -> Tensor<2>,
        vector: impl Fn(Tensor<1>) -> Tensor<1>,
    ) -> Self {
        Batch {
            learners: self.learners,
            row_ids,
            observation: matrix(self.observation.clone()),
            action: matrix(self.action.clone()),
            reward: vector(self.reward.clone()),
            next_observation: matrix(self.next_observation.clone()),
            bootstrap: vector(self.bootstrap.clone()),
            terminated: vector(self.terminated.clone()),
            next_action: matrix(self.next_action.clone()),
            has_next_action: vector(self.has_next_action.clone()),
            weight: self.weight.clone().map(vector),
            past_action: self.past_action.clone().map(matrix),
        }
    }
}

/// Training's streams have other numbers.
const VALIDATION_STREAM: u64 = 1;

/// The rows of the last batch that learning cannot compute with, in words; nothing where there are none.
pub(in crate::data) fn suspicious_rows(world: &World) -> Option<String> {
    const SHOWN: usize = 3;
    let batch = world.get_resource::<Batch>()?;
    let column = |values: &Tensor<1>| values.clone().unsqueeze_dim::<2>(1);
    let mut rows: Vec<String> = Vec::new();
    for row in 0..batch.rows() {
        let of_row = |name: &str, values: Tensor<2>| {
            let values = values
                .narrow(0, row, 1)
                .into_data()
                .into_vec::<f32>()
                .ok()?;
            let value = values
                .into_iter()
                .find(|it| it.is_nan() || it.abs() > LARGE)?;
            let of = batch
                .row_ids
                .get(row)
                .map_or(String::new(), |id| format!(", {id} of the data,"));
            Some(format!(
                "row {row} of the last batch{of} has {value:e} in its {name}"
            ))
        };
        let odd = of_row("observation", batch.observation.clone())
            .or_else(|| of_row("action", batch.action.clone()))
            .or_else(|| of_row("reward", column(&batch.reward)))
            .or_else(|| of_row("next observation", batch.next_observation.clone()));
        rows.extend(odd);
    }
    let more = rows.len().saturating_sub(SHOWN);
    rows.truncate(SHOWN);
    let more = if more > 0 {
        format!("\nand {more} more rows")
    } else {
        String::new()
    };
    (!rows.is_empty()).then(|| rows.join("\n") + &more)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rows_that_learning_cannot_compute_with_are_named() {
        let device = Device::flex();
        let mut batch = Batch::empty(2, 1, &device);
        let mut world = World::new();
        batch.row_ids = vec![40, 41, 42];
        batch.observation = Tensor::from_floats([[0.0, 1.0], [0.0, 1e38], [1.0, 1.0]], &device);
        batch.action = Tensor::zeros([3, 1], &device);
        batch.reward = Tensor::from_floats([0.0, 0.0, f32::NAN], &device);
        batch.next_observation = Tensor::zeros([3, 2], &device);
        world.insert_resource(batch);
        assert_eq!(
            suspicious_rows(&world).unwrap(),
            "row 1 of the last batch, 41 of the data, has 1e38 in its observation\nrow 2 of the last batch, 42 of the data, has NaN in its reward"
        );
        world.resource_mut::<Batch>().observation = Tensor::zeros([3, 2], &device);
        world.resource_mut::<Batch>().reward = Tensor::zeros([3], &device);
        assert_eq!(suspicious_rows(&world), None);
    }
}
