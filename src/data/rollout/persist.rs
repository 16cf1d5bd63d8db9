//! How a rollout is saved: not at all between rounds, when nobody needs it any more, and whole in the middle of one.

use bevy_ecs::prelude::*;
use serde::{Deserialize, Serialize};

use super::RolloutBuffer;
use super::buffer::Given;
use crate::checkpoint::{CheckpointError, Persist, Snapshot};
use crate::data::Column;

const FILE: &str = "rollout";

/// What is saved next to the columns.
#[derive(Serialize, Deserialize)]
struct RolloutState {
    environments: usize,
    steps: usize,
    taken: usize,
    minibatches: usize,
    at: usize,
    given: Given,
    /// `None` between rounds.
    rows: Option<Rows>,
}

#[derive(Serialize, Deserialize)]
struct Rows {
    seen: bool,
    terminated: Vec<bool>,
    ended: Vec<bool>,
    valid: Vec<bool>,
    cut: Vec<u32>,
    order: Vec<u32>,
}

impl RolloutBuffer {
    /// Whether all minibatches of a full rollout were taken, and none of its rows are held out: the next thing that happens to it is
    /// that it is overwritten. A validation that was left, or an evaluation behind it, plays all of it again.
    fn is_over(&self) -> bool {
        let epochs = self.order.len().checked_div(self.valid_rows()).unwrap_or(0);
        let taken = self.taken == self.steps && self.at >= epochs * self.minibatches;
        taken && !self.has_held_out
    }

    fn columns(&mut self) -> [(&'static str, &mut Column); 3] {
        [
            ("observation", &mut self.observation),
            ("action", &mut self.action),
            ("final_observation", &mut self.final_observation),
        ]
    }

    fn vectors(&mut self) -> [(&'static str, &mut Vec<f32>); 6] {
        [
            ("log_probability", &mut self.log_probability),
            ("reward", &mut self.reward),
            ("value", &mut self.value),
            ("next_value", &mut self.next_value),
            ("advantage", &mut self.advantage),
            ("returns", &mut self.returns),
        ]
    }
}

impl Persist for RolloutBuffer {
    fn save(&self, snapshot: &mut Snapshot) -> Result<(), CheckpointError> {
        let rows = (!self.is_over()).then(|| Rows {
            seen: self.seen,
            terminated: self.terminated.clone(),
            ended: self.ended.clone(),
            valid: self.valid.clone(),
            cut: self.cut.clone(),
            order: self.order.clone(),
        });
        let whole = rows.is_some();
        let state = RolloutState {
            environments: self.environments,
            steps: self.steps,
            taken: self.taken,
            minibatches: self.minibatches,
            at: self.at,
            given: self.given,
            rows,
        };
        snapshot.put_state(FILE, &state)?;
        if !whole {
            return Ok(());
        }
        let mut copy = self.clone();
        for (name, column) in copy.columns() {
            let shape = [column.values.len() / column.width.max(1), column.width];
            snapshot.put_tensor(FILE, name, &shape, std::mem::take(&mut column.values))?;
        }
        for (name, values) in copy.vectors() {
            let shape = [values.len()];
            snapshot.put_tensor(FILE, name, &shape, std::mem::take(values))?;
        }
        Ok(())
    }

    fn load(&mut self, snapshot: &Snapshot, _: &World) -> Result<(), CheckpointError> {
        let state: RolloutState = snapshot.state(FILE)?;
        if (state.environments, state.steps) != (self.environments, self.steps) {
            let what = format!(
                "it has {} steps of {} environments, and this run {} of {}",
                state.steps, state.environments, self.steps, self.environments
            );
            return Err(CheckpointError::unusable("the rollout", what));
        }
        let mut read = self.clone();
        (read.taken, read.at) = (state.taken, state.at);
        read.minibatches = state.minibatches;
        read.given = state.given;
        read.order.clear();
        if let Some(rows) = state.rows {
            let cut = rows.cut.len();
            for (name, column) in read.columns() {
                let rows = match name {
                    "final_observation" => cut,
                    _ => column.values.len() / column.width.max(1),
                };
                let tensor = snapshot.tensor(FILE, name, &[rows, column.width])?;
                column.values.clone_from(&tensor.values);
            }
            for (name, values) in read.vectors() {
                let tensor = snapshot.tensor(FILE, name, &[values.len()])?;
                values.clone_from(&tensor.values);
            }
            let flags = [&rows.terminated, &rows.ended, &rows.valid];
            let n = self.steps * self.environments;
            let wrong = flags.iter().any(|flags| flags.len() != n)
                || rows
                    .cut
                    .iter()
                    .chain(&rows.order)
                    .any(|row| *row as usize >= n)
                || read.taken > read.steps;
            if wrong {
                let what = "its rows are not those of its steps".to_owned();
                return Err(CheckpointError::unusable("the rollout", what));
            }
            read.seen = rows.seen;
            (read.terminated, read.ended) = (rows.terminated, rows.ended);
            (read.valid, read.cut, read.order) = (rows.valid, rows.cut, rows.order);
        }
        *self = read;
        Ok(())
    }
}
