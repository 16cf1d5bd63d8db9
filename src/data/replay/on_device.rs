//! The rows of a replay buffer on the device of the run: they are written there as they come, and minibatches are gathered there.
//!
//! The host has them too. Checkpoints, episodes, folded rewards and steps that change numbers are made of the host's.

use std::sync::{Mutex, MutexGuard, PoisonError};

use burn::tensor::{Device, Int, Tensor};

use super::ReplayBuffer;
use crate::data::pipeline::{Pipeline, Places};
use crate::data::{Batch, Normalizer, ScaleError};
use crate::transfer::{Ahead, upload_integers_together, upload_together};

/// The most bytes that one copy has, where many rows are missing: after a resume.
const MOST_BYTES_OF_A_COPY: u64 = 1 << 26;

/// A ring of rows, raw.
#[derive(Debug)]
pub(super) struct OnDevice {
    device: Device,
    /// A row's place is its number modulo this.
    rows: usize,
    /// Observations, actions and next observations, `[rows, width]` each. Of actions there is one row more, of zeros: one that is not
    /// known.
    columns: Vec<Tensor<2>>,
    /// Steps of all environments that were ever recorded, as far as they are here.
    written: u64,
    /// Minibatches of steps to come. They are gathered together, so that a step's own is a view of them.
    ahead: Ahead<usize, Batch>,
    /// What they were made of besides their rows: all that was recorded, and the scale of observations.
    made_of: (u64, Option<Scale>),
}

/// The mean of each observed element, and what it is divided by.
type Scale = [Vec<f32>; 2];

/// How rows become what networks see.
pub(super) struct Shown<'a> {
    pub pipeline: Pipeline,
    pub normalizer: &'a Normalizer,
    /// Gradient steps from one step of the environments to the next.
    pub gradient_steps: u64,
}

impl ReplayBuffer {
    /// Keeps rows on this device as well from now on. For a buffer that has its frames.
    pub(super) fn keep_on(&mut self, device: &Device) {
        let rows = self.rows_on_device();
        let [observation, action] = self.widths();
        let zeros = |rows, width| Tensor::zeros([rows, width], device);
        let columns = vec![
            zeros(rows, observation),
            zeros(rows + 1, action),
            zeros(rows, observation),
        ];
        self.on_device = Some(Mutex::new(OnDevice {
            device: device.clone(),
            rows,
            columns,
            written: 0,
            ahead: Ahead::default(),
            made_of: (0, None),
        }));
    }

    /// The bytes that it takes on a device, where pictures are numbers.
    pub(super) fn bytes_on_device(&self) -> u64 {
        let [observation, action] = self.widths();
        let row = 2 * observation + action;
        4 * (self.rows_on_device() as u64).saturating_mul(row as u64)
    }

    /// The rows that can be drawn, and those that the oldest of them shows besides.
    fn rows_on_device(&self) -> usize {
        (self.capacity + self.frames - 1) as usize * self.widths.environments
    }

    /// Writes what was recorded and is not on the device yet; nothing where none keeps rows.
    pub(super) fn write_to_device(&self) {
        if let Some(kept) = &self.on_device {
            lock(kept).follow(self);
        }
    }

    /// Rows were put in place of all that were there.
    pub(super) fn forget_on_device(&mut self) {
        if let Some(kept) = &mut self.on_device {
            let kept = kept.get_mut().unwrap_or_else(PoisonError::into_inner);
            kept.written = 0;
            kept.ahead = Ahead::default();
        }
    }

    /// The rows that lie on this device, if they do.
    pub(super) fn on(&self, device: &Device) -> Option<MutexGuard<'_, OnDevice>> {
        let kept = lock(self.on_device.as_ref()?);
        (kept.device == *device).then_some(kept)
    }
}

fn lock(kept: &Mutex<OnDevice>) -> MutexGuard<'_, OnDevice> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

impl OnDevice {
    /// Writes the steps that are not here yet: one copy for those that lie one after the other.
    fn follow(&mut self, buffer: &ReplayBuffer) {
        let environments = buffer.environments();
        let kept = (self.rows / environments) as u64;
        let [observation, action] = buffer.widths();
        let bytes = 4 * environments * (2 * observation + action);
        let at_once = (MOST_BYTES_OF_A_COPY / bytes.max(1) as u64).max(1);
        let mut step = self.written.max(buffer.taken.saturating_sub(kept));
        while step < buffer.taken {
            let place = step % kept;
            let steps = (buffer.taken - step).min(kept - place).min(at_once);
            let first = step as usize * environments;
            let rows = first..first + steps as usize * environments;
            self.write(buffer, rows, place as usize * environments);
            step += steps;
        }
        self.written = buffer.taken;
    }

    fn write(&mut self, buffer: &ReplayBuffer, rows: std::ops::Range<usize>, place: usize) {
        let n = rows.len();
        let [mut observations, mut actions, mut next_observations] = [(); 3].map(|()| Vec::new());
        for row in rows {
            observations.extend_from_slice(&buffer.observation(row));
            actions.extend_from_slice(buffer.action(row));
            next_observations.extend_from_slice(&buffer.next_observation(row));
        }
        let [observation, action] = buffer.widths();
        let new = upload_together(
            [
                (observations, [n, observation]),
                (actions, [n, action]),
                (next_observations, [n, observation]),
            ],
            &self.device,
        );
        // Nobody else has the columns, so that they are written in place.
        let columns = std::mem::take(&mut self.columns).into_iter();
        let place = place..place + n;
        let written = columns
            .zip(new)
            .map(|(column, new)| column.slice_assign([place.clone()], new));
        self.columns = written.collect();
    }

    /// The minibatch of drawn rows; `more` are those that will be drawn after them, so many.
    ///
    /// # Errors
    /// As [`gather`](Self::gather).
    pub fn take(
        &mut self,
        buffer: &ReplayBuffer,
        shown: &Shown,
        drawn: &[usize],
        more: impl FnOnce(usize) -> Vec<usize>,
    ) -> Result<Batch, ScaleError> {
        self.follow(buffer);
        let made_of = (self.written, shown.scale(buffer)?);
        if self.made_of != made_of {
            let [observation, action] = buffer.widths();
            let Pipeline { chunk, .. } = shown.pipeline;
            let shown_of_a_row =
                2 * shown.pipeline.side_by_side() * observation + (chunk + 2) * action;
            self.ahead = Ahead::beginning_with(shown.gradient_steps).each_of(4 * shown_of_a_row);
            self.made_of = made_of;
        }
        let mut ahead = std::mem::take(&mut self.ahead);
        let make = |rows: &[usize]| self.gather(buffer, shown, rows);
        let taken = ahead.take(drawn, more, make).map(|(block, place)| {
            block.map(
                drawn.to_vec(),
                |column| column.slice([place.clone()]),
                |column| column.slice([place.clone()]),
            )
        });
        self.ahead = ahead;
        taken
    }

    /// The batch of any rows.
    ///
    /// # Errors
    /// When the normalizer was made for observations of another width.
    pub fn gather(
        &mut self,
        buffer: &ReplayBuffer,
        shown: &Shown,
        rows: &[usize],
    ) -> Result<Batch, ScaleError> {
        self.follow(buffer);
        let places = shown.pipeline.places(buffer, rows);
        Ok(self.collect(shown, places, shown.scale(buffer)?, rows))
    }

    /// The numbers, by their places: those alone are copied to the device, and what was computed of rewards.
    fn collect(
        &self,
        shown: &Shown,
        places: Places,
        scale: Option<Scale>,
        rows: &[usize],
    ) -> Batch {
        let n = rows.len();
        let Places {
            seen,
            seen_after,
            last,
            goal,
            acted,
            next,
            ..
        } = places;
        // Rows of what lies in a device's memory are far below 2³¹.
        let at = |rows: Vec<usize>| rows.iter().map(|row| (row % self.rows) as i32).collect();
        let is_known = next.iter().map(Option::is_some).collect();
        let unknown = self.rows as i32;
        let next = next
            .iter()
            .map(|row| row.map_or(unknown, |row| (row % self.rows) as i32));
        let [seen, seen_after, last, goal, acted, next] = upload_integers_together(
            [
                at(seen),
                at(seen_after),
                at(last),
                at(goal),
                at(acted),
                next.collect(),
            ],
            &self.device,
        );
        let flags = |flags: Vec<bool>| {
            let numbers = flags.into_iter().map(|it| f32::from(u8::from(it)));
            (numbers.collect(), [n, 1])
        };
        let [mean, deviation] = scale.clone().unwrap_or_default();
        let row = |values: Vec<f32>| {
            let width = values.len();
            (values, [1, width])
        };
        let [reward, bootstrap, terminated, is_known, mean, deviation] = upload_together(
            [
                (places.reward, [n, 1]),
                (places.bootstrap, [n, 1]),
                flags(places.terminated),
                flags(is_known),
                row(mean),
                row(deviation),
            ],
            &self.device,
        );
        let scaled = |column: Tensor<2>| match scale {
            Some(_) => (column - mean.clone()) / deviation.clone(),
            None => column,
        };
        let [observations, actions, next_observations] = [0, 1, 2].map(|it| &self.columns[it]);
        let select = |column: &Tensor<2>, rows: &Tensor<1, Int>| {
            let width = column.dims()[1] * rows.dims()[0] / n.max(1);
            column.clone().select(0, rows.clone()).reshape([n, width])
        };
        let goal = || {
            let goals = shown.pipeline.goals;
            goals.map(|_| select(next_observations, &goal))
        };
        let before = match shown.pipeline.frames {
            1 => None,
            _ => Some(select(observations, &seen_after)),
        };
        let now = std::iter::once(select(observations, &seen)).chain(goal());
        let after = select(next_observations, &last);
        let after = before.into_iter().chain([after]).chain(goal());
        let flat = |column: Tensor<2>| column.squeeze_dim::<1>(1);
        Batch {
            learners: 1,
            row_ids: rows.to_vec(),
            observation: scaled(side_by_side(now.collect())),
            action: select(actions, &acted),
            reward: flat(reward),
            next_observation: scaled(side_by_side(after.collect())),
            bootstrap: flat(bootstrap),
            terminated: flat(terminated),
            next_action: select(actions, &next),
            has_next_action: flat(is_known),
            weight: None,
            past_action: (shown.pipeline.past_actions).then(|| select(actions, &seen)),
        }
    }
}

/// Columns as one.
fn side_by_side(mut columns: Vec<Tensor<2>>) -> Tensor<2> {
    match columns.len() {
        1 => columns.remove(0),
        _ => Tensor::cat(columns, 1),
    }
}

impl Shown<'_> {
    /// What observations are scaled by; `None` where they stay as they are.
    fn scale(&self, buffer: &ReplayBuffer) -> Result<Option<Scale>, ScaleError> {
        let [observation, _] = buffer.widths();
        self.normalizer
            .numbers(self.pipeline.side_by_side() * observation)
    }
}

#[cfg(test)]
#[path = "on_device_tests.rs"]
mod tests;
