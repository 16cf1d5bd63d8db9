//! The rows of a round, with what is computed of them.

use bevy_ecs::prelude::*;
use burn::tensor::{Device, Tensor, TensorData};
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::advantage::{Experienced, generalized_advantages};
use super::batch::RolloutBatch;
use crate::data::{Column, Preprocessing, ScaleError};
use crate::data::{SampledActions, StepResults};
use crate::transfer::{download, upload, upload_together};

/// The experience of one round, `[steps, environments]` rows: all environments' first steps, then all their
/// second ones, and so on. Each round overwrites the one before.
///
/// It passes through the schedules in this order:
/// 1. `Collect`, `Act`: [`see`](RolloutBuffer::see) keeps what the policy saw and how probable its actions were.
/// 2. `Collect`, `Record`: [`record`](RolloutBuffer::record) keeps what came of it.
/// 3. `Prepare`, `Advantages`: [`evaluate`](RolloutBuffer::evaluate) and [`estimate`](RolloutBuffer::estimate), or
///    [`sum_rewards`](RolloutBuffer::sum_rewards).
/// 4. `Prepare`, `Shuffle`: [`shuffle`](RolloutBuffer::shuffle).
/// 5. `Learn`, `Sample`: [`next_minibatch`](RolloutBuffer::next_minibatch).
#[derive(Resource, Clone, Debug, PartialEq)]
pub struct RolloutBuffer {
    /// How many environments: the row after `i` in time is `i + environments`.
    pub(super) environments: usize,
    /// Steps of all environments in a round.
    pub(super) steps: usize,
    /// Steps of all environments that are there.
    pub(super) taken: usize,
    /// Whether what the policy saw in the step to come is there already.
    pub(super) seen: bool,
    /// Whether what it did is there as well.
    pub(super) drawn: bool,
    /// What the policy saw, `[rows, observation]`: preprocessed.
    pub(super) observation: Column,
    /// What it did, `[rows, action]`.
    pub(super) action: Column,
    /// ln π(a|s) when it did, `[rows]`.
    pub(super) log_probability: Vec<f32>,
    /// `[rows]`
    pub(super) reward: Vec<f32>,
    /// `[rows]`
    pub(super) terminated: Vec<bool>,
    /// Whether the episode ended with this row, in either way; `[rows]`
    pub(super) ended: Vec<bool>,
    /// Whether the row is a step to learn from; `[rows]`
    pub(super) valid: Vec<bool>,
    /// The rows whose next observation is not the observation of the row after.
    pub(super) cut: Vec<u32>,
    /// Those next observations, `[cut, observation]`: preprocessed.
    pub(super) final_observation: Column,
    /// V(s), `[rows]`.
    pub(super) value: Vec<f32>,
    /// V(s'), 0 after a terminal step; `[rows]`
    pub(super) next_value: Vec<f32>,
    /// A(s, a), `[rows]`.
    pub(super) advantage: Vec<f32>,
    /// What V(s) is to become, `[rows]`.
    pub(super) returns: Vec<f32>,
    /// What came with the rows and is not computed.
    pub(super) given: Given,
    /// The rows in the order of the minibatches, epoch after epoch.
    pub(super) order: Vec<u32>,
    /// Minibatches in an epoch.
    pub(super) minibatches: usize,
    /// Minibatches that were taken in this round.
    pub(super) at: usize,
    /// Whether some rows are held out, and looked at when all others were learned from.
    pub(super) has_held_out: bool,
}

/// What came with the rows of a rollout, and is not computed when the round is prepared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Given {
    pub log_probability: bool,
    pub value: bool,
    pub advantage: bool,
    pub returns: bool,
}

impl RolloutBuffer {
    /// An empty rollout of so many steps of so many environments.
    pub fn new(steps: usize, environments: usize, observation: usize, action: usize) -> Self {
        let rows = steps * environments;
        RolloutBuffer {
            environments,
            steps,
            taken: 0,
            seen: false,
            drawn: false,
            observation: Column::zeros(rows, observation),
            action: Column::zeros(rows, action),
            log_probability: vec![0.0; rows],
            reward: vec![0.0; rows],
            terminated: vec![false; rows],
            ended: vec![false; rows],
            valid: vec![false; rows],
            cut: Vec::new(),
            final_observation: Column::zeros(0, observation),
            value: vec![0.0; rows],
            next_value: vec![0.0; rows],
            advantage: vec![0.0; rows],
            returns: vec![0.0; rows],
            given: Given::default(),
            order: Vec::new(),
            minibatches: 1,
            at: 0,
            has_held_out: false,
        }
    }

    /// Rows that are there, whether they are steps or not.
    pub fn rows(&self) -> usize {
        self.taken * self.environments
    }

    /// Rows to learn from.
    pub fn valid_rows(&self) -> usize {
        let valid = &self.valid[..self.rows()];
        valid.iter().filter(|valid| **valid).count()
    }

    /// The advantages A(s, a), `[rows]`, as they were estimated: a minibatch may normalize its own.
    pub fn advantage(&self) -> &[f32] {
        &self.advantage[..self.rows()]
    }

    /// What the values V(s) are to become, `[rows]`.
    pub fn returns(&self) -> &[f32] {
        &self.returns[..self.rows()]
    }

    /// The values V(s) of the critic when the round was prepared, `[rows]`.
    pub fn value(&self) -> &[f32] {
        &self.value[..self.rows()]
    }

    /// The mean reward of the given rows.
    pub(super) fn mean_reward(&self, rows: &[u32]) -> f64 {
        let reward = |row: &u32| f64::from(self.reward[*row as usize]);
        rows.iter().map(reward).sum::<f64>() / rows.len() as f64
    }

    /// The rows of the step to come. A full rollout begins anew.
    fn next_rows(&mut self) -> std::ops::Range<usize> {
        if self.taken == self.steps {
            self.taken = 0;
            self.cut.clear();
            self.final_observation.values.clear();
        }
        if self.taken == 0 {
            self.given.log_probability = true;
        }
        let first = self.rows();
        first..first + self.environments
    }

    /// Keeps what the policy saw and how probable its actions were. Without it [`record`](RolloutBuffer::record) takes the environments'
    /// observations, and the log-probabilities are the policy's when the round is prepared.
    pub fn see(&mut self, drawn: &SampledActions) {
        let rows = self.next_rows();
        let width = self.observation.width;
        let seen = &mut self.observation.values[rows.start * width..rows.end * width];
        seen.copy_from_slice(&drawn.observation);
        self.log_probability[rows.clone()].copy_from_slice(&drawn.log_probability);
        // The log-probabilities are those of these actions, whatever the environments make of them.
        let width = self.action.width;
        self.drawn = drawn.action.len() == rows.len() * width;
        if self.drawn {
            self.action.values[rows.start * width..rows.end * width].copy_from_slice(&drawn.action);
        }
        self.seen = true;
    }

    /// Keeps the result of a step of all environments.
    ///
    /// # Errors
    /// When the preprocessing was made for observations of another width.
    pub fn record(
        &mut self,
        steps: &StepResults,
        preprocessing: &Preprocessing,
    ) -> Result<(), ScaleError> {
        let seen = [&steps.observation, &steps.next_observation];
        self.record_seen(steps, seen, preprocessing)
    }

    /// The same where networks see more than an observation: what they saw before the step and after it, `[environments, observation]`
    /// each, raw.
    pub(super) fn record_seen(
        &mut self,
        steps: &StepResults,
        [before, after]: [&Column; 2],
        preprocessing: &Preprocessing,
    ) -> Result<(), ScaleError> {
        let rows = self.next_rows();
        let width = self.observation.width;
        if !self.seen {
            let seen = &mut self.observation.values[rows.start * width..rows.end * width];
            seen.copy_from_slice(&before.values);
            preprocessing.observation.apply_to_row(seen)?;
            self.given.log_probability = false;
        }
        self.seen = false;
        let width = self.action.width;
        if !std::mem::take(&mut self.drawn) {
            self.action.values[rows.start * width..rows.end * width]
                .copy_from_slice(&steps.action.values);
        }
        self.reward[rows.clone()].copy_from_slice(&steps.reward);
        self.terminated[rows.clone()].copy_from_slice(&steps.terminated);
        self.valid[rows.clone()].copy_from_slice(&steps.valid);
        let last = self.taken + 1 == self.steps;
        for (environment, row) in rows.enumerate() {
            let (terminated, ended) = (steps.terminated[environment], steps.ended(environment));
            // Nothing that comes after counts for a row in which an episode only begins, either.
            self.ended[row] = ended || !steps.valid[environment];
            if !steps.valid[environment] && self.taken > 0 {
                self.cut_before(row);
            }
            // Only these have a next observation that no other row shows.
            if steps.valid[environment] && !terminated && (ended || last) {
                let place = self.cut(row, after.row(environment));
                let next = &mut self.final_observation.values[place];
                preprocessing.observation.apply_to_row(next)?;
            }
        }
        self.taken += 1;
        Ok(())
    }

    /// Where an environment failed in the middle of an episode, the row before `row` is the last of it.
    fn cut_before(&mut self, row: usize) {
        let before = row - self.environments;
        if self.valid[before] && !self.ended[before] {
            self.ended[before] = true;
            let width = self.observation.width;
            let next = self.observation.values[row * width..(row + 1) * width].to_vec();
            self.cut(before, &next);
        }
    }

    /// Keeps a row's next observation; its place in the column.
    pub(super) fn cut(&mut self, row: usize, next: &[f32]) -> std::ops::Range<usize> {
        let values = &mut self.final_observation.values;
        let start = values.len();
        values.extend_from_slice(next);
        self.cut.push(row as u32);
        start..values.len()
    }

    /// What the policy saw, `[rows, observation]`.
    pub fn observations(&self, device: &Device) -> Tensor<2> {
        let width = self.observation.width;
        let values = self.observation.values[..self.rows() * width].to_vec();
        upload(TensorData::new(values, [self.rows(), width]), device)
    }

    /// What it did, `[rows, action]`.
    pub fn actions(&self, device: &Device) -> Tensor<2> {
        let width = self.action.width;
        let values = self.action.values[..self.rows() * width].to_vec();
        upload(TensorData::new(values, [self.rows(), width]), device)
    }

    /// Asks for V(s) and V(s') of all rows, with one call: from observations `[n, observation]` to values `[n]`. After a terminal
    /// step V(s') is 0; where an episode was cut, or the round ends, it is the value of the true next observation. Values that
    /// came with the rows stay.
    pub fn evaluate(&mut self, device: &Device, values: impl FnOnce(Tensor<2>) -> Tensor<1>) {
        let (rows, width) = (self.rows(), self.observation.width);
        let mut all = Vec::with_capacity((rows + self.cut.len()) * width);
        all.extend_from_slice(&self.observation.values[..rows * width]);
        all.extend_from_slice(&self.final_observation.values);
        let shape = [rows + self.cut.len(), width];
        let values = download(values(upload(TensorData::new(all, shape), device)));
        let (value, of_cut) = values.split_at(rows);
        if !self.given.value {
            self.value[..rows].copy_from_slice(value);
        }
        for row in 0..rows {
            let after = row + self.environments;
            self.next_value[row] = match self.ended[row] || after >= rows {
                true => 0.0,
                false => self.value[after],
            };
        }
        for (row, value) in self.cut.iter().zip(of_cut) {
            self.next_value[*row as usize] = *value;
        }
    }

    /// Advantages by [GAE(λ)](generalized_advantages) and returns A + V, unless they came with the rows.
    /// [`evaluate`](RolloutBuffer::evaluate) comes first.
    pub fn estimate(&mut self, discount: f32, lambda: f32) {
        let rows = self.rows();
        if !self.given.advantage {
            let experienced = Experienced {
                environments: self.environments,
                reward: &self.reward[..rows],
                value: &self.value[..rows],
                next_value: &self.next_value[..rows],
                ended: &self.ended[..rows],
            };
            let advantage = &mut self.advantage[..rows];
            generalized_advantages(experienced, discount, lambda, advantage);
        }
        if !self.given.returns {
            let sums = self.advantage[..rows].iter().zip(&self.value[..rows]);
            let sums = sums.map(|(advantage, value)| advantage + value);
            self.returns
                .iter_mut()
                .zip(sums)
                .for_each(|(to, sum)| *to = sum);
        }
    }

    /// Without values: the advantage of a row is what its episode earned from it on, Σ γᵏ r. Rows of an episode that the round's
    /// end cuts are left out, for nobody knows what is to come.
    pub fn sum_rewards(&mut self, discount: f32) {
        let rows = self.rows();
        self.value[..rows].fill(0.0);
        self.next_value[..rows].fill(0.0);
        self.estimate(discount, 1.0);
        if self.given.advantage {
            return;
        }
        for environment in 0..self.environments {
            let own = (environment..rows).step_by(self.environments);
            for row in own.rev().take_while(|row| !self.ended[*row]) {
                self.valid[row] = false;
            }
        }
    }

    /// How much of the variance of the returns the values explain, 1 − Var(R − V) / Var(R), over the rows to learn from; `None`
    /// where the returns do not vary.
    pub fn explained_variance(&self) -> Option<f64> {
        let rows = || (0..self.rows()).filter(|row| self.valid[*row]);
        let n = rows().count() as f64;
        let variance = |of: &dyn Fn(usize) -> f64| {
            let mean = rows().map(of).sum::<f64>() / n;
            rows().map(|row| (of(row) - mean).powi(2)).sum::<f64>() / n
        };
        let returns = variance(&|row| f64::from(self.returns[row]));
        let left = variance(&|row| f64::from(self.returns[row]) - f64::from(self.value[row]));
        (returns > 0.0).then(|| 1.0 - left / returns)
    }

    /// Takes these log-probabilities `[rows]`, unless they were kept when the actions were chosen, or came with the rows.
    pub fn fill_log_probabilities(&mut self, log_probability: impl FnOnce(&Self) -> Tensor<1>) {
        if !self.given.log_probability {
            let computed = download(log_probability(self));
            self.log_probability[..computed.len()].copy_from_slice(&computed);
        }
    }

    /// Draws the order of the rows to learn from, anew for each epoch, and begins with the first minibatch of the first.
    pub fn shuffle(&mut self, epochs: usize, minibatches: usize, generator: &mut ChaCha8Rng) {
        self.order.clear();
        let rows = self.rows();
        let valid = |row: &u32| self.valid[*row as usize];
        for _ in 0..epochs {
            let first = self.order.len();
            self.order.extend((0..rows as u32).filter(valid));
            self.order[first..].shuffle(generator);
        }
        self.minibatches = minibatches.max(1);
        self.at = 0;
    }

    /// The round is over, whatever minibatches are left.
    pub fn finish(&mut self) {
        self.at = usize::MAX;
    }

    /// The rows of the next minibatch: each epoch is cut into parts of equal length, give or take one row. After the last comes
    /// the first again. Empty where there is nothing to learn from.
    fn next_rows_to_learn(&mut self) -> &[u32] {
        if self.valid_rows() == 0 || self.order.is_empty() {
            return &[];
        }
        let at = self.next();
        self.at = at + 1;
        self.rows_of(at)
    }

    /// The number of the next minibatch in its round.
    pub(super) fn next(&self) -> usize {
        match self.at {
            usize::MAX => 0,
            at => at,
        }
    }

    /// The next minibatch was taken from elsewhere.
    pub(super) fn skip(&mut self) {
        self.at = self.next() + 1;
    }

    fn rows_of(&self, at: usize) -> &[u32] {
        let n = self.valid_rows();
        let (epoch, part) = (at / self.minibatches, at % self.minibatches);
        let first = epoch % (self.order.len() / n) * n;
        // Where there are fewer rows than minibatches, some rows come twice.
        let start = (part * n / self.minibatches).min(n - 1);
        let end = ((part + 1) * n / self.minibatches).max(start + 1);
        &self.order[first + start..first + end]
    }

    /// The next minibatch on `device`; its advantages are normalized to mean 0 and deviation 1 where `normalize` says so.
    pub fn next_minibatch(&mut self, normalize: bool, device: &Device) -> RolloutBatch {
        let rows: Vec<u32> = self.next_rows_to_learn().to_vec();
        self.minibatch(&rows, normalize, device)
    }

    /// The minibatch of the given rows, as they were when the round was prepared.
    pub(super) fn minibatch(&self, rows: &[u32], normalize: bool, device: &Device) -> RolloutBatch {
        self.minibatches_of([rows], normalize, device)
    }

    /// All minibatches of the round, one after the other, with the number of rows that each ends at; `None` where they are more bytes
    /// than `most`.
    pub(super) fn whole_round(
        &self,
        normalize: bool,
        device: &Device,
        most: u64,
    ) -> Option<(RolloutBatch, Vec<usize>)> {
        let n = self.valid_rows();
        let row = 4 * (self.observation.width + self.action.width + 4) as u64;
        if n == 0 || row * self.order.len() as u64 > most {
            return None;
        }
        let count = self.order.len() / n * self.minibatches;
        let parts = || (0..count).map(|at| self.rows_of(at));
        let mut ends: Vec<usize> = parts().map(<[u32]>::len).collect();
        let mut end = 0;
        for rows in &mut ends {
            end += *rows;
            *rows = end;
        }
        Some((self.minibatches_of(parts(), normalize, device), ends))
    }

    fn minibatches_of<'a>(
        &self,
        parts: impl IntoIterator<Item = &'a [u32]>,
        normalize: bool,
        device: &Device,
    ) -> RolloutBatch {
        let mut rows = Vec::new();
        let mut advantage = Vec::new();
        for part in parts {
            let from = advantage.len();
            advantage.extend(part.iter().map(|row| self.advantage[*row as usize]));
            // One alone has no deviation, and would be 0 whatever it is.
            if normalize && part.len() > 1 {
                standardize(&mut advantage[from..]);
            }
            rows.extend_from_slice(part);
        }
        let n = rows.len();
        let column = |column: &Column| {
            let mut values = Vec::with_capacity(n * column.width);
            for row in &rows {
                values.extend_from_slice(column.row(*row as usize));
            }
            (values, [n, column.width])
        };
        let vector = |values: Vec<f32>| (values, [n, 1]);
        let pick = |values: &[f32]| vector(rows.iter().map(|row| values[*row as usize]).collect());
        let [
            observation,
            action,
            log_probability,
            value,
            advantage,
            returns,
        ] = upload_together(
            [
                column(&self.observation),
                column(&self.action),
                pick(&self.log_probability),
                pick(&self.value),
                vector(advantage),
                pick(&self.returns),
            ],
            device,
        );
        let flat = |column: Tensor<2>| column.squeeze_dim::<1>(1);
        RolloutBatch {
            observation,
            action,
            log_probability: flat(log_probability),
            value: flat(value),
            advantage: flat(advantage),
            returns: flat(returns),
        }
    }
}

/// (x − mean) / (std + 1e-8), with the unbiased deviation. A single number has none, and becomes 0.
fn standardize(values: &mut [f32]) {
    let n = values.len() as f64;
    let mean = values.iter().map(|x| f64::from(*x)).sum::<f64>() / n;
    let squares = values.iter().map(|x| (f64::from(*x) - mean).powi(2));
    let variance = squares.sum::<f64>() / (n - 1.0).max(1.0);
    let scale = 1.0 / (variance.sqrt() + 1e-8);
    for value in values {
        *value = ((f64::from(*value) - mean) * scale) as f32;
    }
}

#[cfg(test)]
#[path = "buffer_tests.rs"]
mod tests;
