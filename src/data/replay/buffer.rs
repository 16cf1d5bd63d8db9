//! The rows of a replay buffer, in memory and in checkpoints.

use std::collections::VecDeque;
use std::sync::Arc;

use bevy_ecs::prelude::*;
use burn::tensor::{Device, Tensor, TensorData};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::chunk::{Chunk, Widths};
use crate::checkpoint::{Blob, CheckpointError, Persist, Snapshot};
use crate::data::Steps;
use crate::data::{Batch, Preprocessing, ScaleError};

/// The most rows that lie in one piece: what a checkpoint copies and writes again at each save is less than this.
const PIECE: usize = 16_384;

/// The last transitions of all environments, raw, as a ring: the oldest step of all environments goes when a new one comes.
///
/// Each environment is a column of its own, so that the rewards of following rows can be folded, never past an episode's
/// end. Rows lie in pieces that do not change once they are full, which is what lets a checkpoint write only what is new.
#[derive(Resource, Debug)]
pub struct ReplayBuffer {
    widths: Widths,
    /// Steps of all environments that are kept.
    capacity: u64,
    /// Steps of all environments in a piece.
    piece_steps: u64,
    /// The pieces that are full, oldest first.
    full: VecDeque<Full>,
    /// The number of the first of them, counted from the beginning of the run.
    first: u64,
    /// The piece that is being filled.
    tail: Chunk,
    /// Steps of all environments that were ever recorded.
    taken: u64,
    /// Rows that are steps, among those that are kept.
    valid: u64,
}

#[derive(Debug)]
struct Full {
    rows: Arc<Chunk>,
    blob: Blob,
}

impl Full {
    fn new(rows: Arc<Chunk>, restored: Option<&Blob>) -> Self {
        let written = rows.clone();
        let make = move |out: &mut dyn std::io::Write| written.encode(out);
        let blob = match restored {
            Some(blob) => blob.made_by(make),
            None => Blob::new(make),
        };
        Full { rows, blob }
    }
}

/// How many steps of all environments are kept, and how many make a piece.
fn lengths(capacity: usize, environments: usize) -> (usize, usize) {
    let capacity = capacity.div_ceil(environments).max(1);
    // A piece goes as a whole, so that a small buffer has small ones.
    let piece = (PIECE / environments).min(capacity.div_ceil(8)).max(1);
    (capacity, piece)
}

/// How rewards are folded into a target; as in [`fold`](crate::data::fold).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Folding {
    /// γ, from 0 to 1.
    pub discount: f64,
    /// Rewards that are folded into one, at least 1.
    pub n_step: usize,
    /// Whether a terminal step's reward counts as earned forever after.
    pub infinite_horizon: bool,
}

/// A row: a step of one environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplayRow {
    /// The step, counted from the beginning of the run.
    pub step: u64,
    /// The environment.
    pub environment: usize,
}

impl ReplayBuffer {
    /// An empty buffer for `capacity` transitions of so many environments, rounded up to whole steps of all of them.
    pub fn new(capacity: usize, environments: usize, observation: usize, action: usize) -> Self {
        let environments = environments.max(1);
        let widths = Widths {
            environments,
            observation,
            action,
        };
        let (capacity, piece_steps) = lengths(capacity, environments);
        ReplayBuffer {
            widths,
            capacity: capacity as u64,
            piece_steps: piece_steps as u64,
            full: VecDeque::new(),
            first: 0,
            tail: Chunk::with_capacity(widths, piece_steps * environments),
            taken: 0,
            valid: 0,
        }
    }

    /// The bytes that it takes once it is full.
    pub fn bytes(capacity: usize, environments: usize, observation: usize, action: usize) -> u64 {
        let widths = Widths {
            environments: environments.max(1),
            observation,
            action,
        };
        let (capacity, piece_steps) = lengths(capacity, widths.environments);
        // The oldest piece goes only when the last of its rows is too old.
        let steps = capacity.saturating_add(piece_steps) as u64;
        let rows = steps.saturating_mul(widths.environments as u64);
        rows.saturating_mul(widths.row_bytes())
    }

    /// Transitions that can be drawn.
    pub fn len(&self) -> u64 {
        self.valid
    }

    /// Whether nothing can be drawn.
    pub fn is_empty(&self) -> bool {
        self.valid == 0
    }

    /// The oldest step that is kept.
    fn oldest(&self) -> u64 {
        self.taken.saturating_sub(self.capacity)
    }

    /// The piece that holds a step that is kept, and the row of its first environment there.
    fn place(&self, step: u64) -> (&Chunk, usize) {
        let piece = step / self.piece_steps - self.first;
        let rows = match self.full.get(piece as usize) {
            Some(full) => &*full.rows,
            None => &self.tail,
        };
        let row = (step % self.piece_steps) as usize * self.widths.environments;
        (rows, row)
    }

    fn valid_in(&self, step: u64) -> u64 {
        let (rows, first) = self.place(step);
        (first..first + self.widths.environments)
            .filter(|row| rows.valid(*row))
            .count() as u64
    }

    /// Records a step of all environments.
    pub fn push(&mut self, steps: &Steps) {
        if self.taken >= self.capacity {
            self.valid -= self.valid_in(self.oldest());
        }
        self.tail.push(steps);
        self.taken += 1;
        self.valid += self.valid_in(self.taken - 1);
        if self.taken.is_multiple_of(self.piece_steps) {
            let room = self.piece_steps as usize * self.widths.environments;
            let fresh = Chunk::with_capacity(self.widths, room);
            let rows = Arc::new(std::mem::replace(&mut self.tail, fresh));
            self.full.push_back(Full::new(rows, None));
        }
        while !self.full.is_empty() && (self.first + 1) * self.piece_steps <= self.oldest() {
            self.full.pop_front();
            self.first += 1;
        }
    }

    /// Draws `n` rows uniformly, with replacement; `None` where there is nothing to draw.
    pub fn draw(&self, n: usize, generator: &mut ChaCha8Rng) -> Option<Vec<ReplayRow>> {
        if self.is_empty() {
            return None;
        }
        let environments = self.widths.environments as u64;
        let oldest = self.oldest();
        let rows = (self.taken - oldest) * environments;
        let mut drawn = Vec::with_capacity(n);
        while drawn.len() < n {
            let row = generator.random_range(0..rows);
            let (step, environment) = (oldest + row / environments, (row % environments) as usize);
            let (piece, first) = self.place(step);
            // A row in which an environment only began its next episode is no transition.
            if piece.valid(first + environment) {
                drawn.push(ReplayRow { step, environment });
            }
        }
        Some(drawn)
    }

    /// The batch of the given rows: observations preprocessed, rewards folded.
    ///
    /// A fold stops at an episode's end, and at the newest row, whose next observation is bootstrapped from.
    ///
    /// # Errors
    /// When the preprocessing was made for observations of another width.
    pub fn gather(
        &self,
        rows: &[ReplayRow],
        folding: &Folding,
        preprocessing: &Preprocessing,
        device: &Device,
    ) -> Result<Batch, ScaleError> {
        let n = rows.len();
        let Widths {
            observation: observation_width,
            action: action_width,
            ..
        } = self.widths;
        let mut observation = Vec::with_capacity(n * observation_width);
        let mut next_observation = Vec::with_capacity(n * observation_width);
        let mut action = Vec::with_capacity(n * action_width);
        let mut reward = Vec::with_capacity(n);
        let mut bootstrap = Vec::with_capacity(n);
        let mut terminal = Vec::with_capacity(n);
        let forever = if folding.infinite_horizon {
            1.0 / (1.0 - folding.discount)
        } else {
            1.0
        };
        for row in rows {
            let (piece, first) = self.place(row.step);
            let at = first + row.environment;
            observation.extend_from_slice(piece.observation.row(at));
            action.extend_from_slice(piece.action.row(at));
            let (mut piece, mut at, mut step) = (piece, at, row.step);
            let (mut sum, mut factor, mut folded) = (0.0, 1.0, 1);
            loop {
                let terminated = piece.terminated(at);
                let own = if terminated { forever } else { 1.0 };
                sum += factor * own * f64::from(piece.reward[at]);
                factor *= folding.discount;
                if terminated {
                    factor = 0.0;
                }
                if piece.ended(at) || folded >= folding.n_step || step + 1 >= self.taken {
                    break;
                }
                let (next_piece, next_first) = self.place(step + 1);
                if !next_piece.valid(next_first + row.environment) {
                    break;
                }
                (piece, at) = (next_piece, next_first + row.environment);
                step += 1;
                folded += 1;
            }
            next_observation.extend_from_slice(piece.next_observation.row(at));
            reward.push(sum as f32);
            bootstrap.push(factor as f32);
            terminal.push(f32::from(u8::from(piece.terminated(at))));
        }
        preprocessing.observation.apply_to_row(&mut observation)?;
        preprocessing
            .observation
            .apply_to_row(&mut next_observation)?;
        let matrix = |values: Vec<f32>, width: usize| {
            Tensor::<2>::from_data(TensorData::new(values, [n, width]), device)
        };
        let vector =
            |values: Vec<f32>| Tensor::<1>::from_data(TensorData::new(values, [n]), device);
        Ok(Batch {
            observation: matrix(observation, observation_width),
            action: matrix(action, action_width),
            reward: vector(reward),
            next_observation: matrix(next_observation, observation_width),
            bootstrap: vector(bootstrap),
            terminal: vector(terminal),
        })
    }
}

/// What is saved beside the rows.
#[derive(Serialize, Deserialize, PartialEq, Debug)]
struct ReplayState {
    capacity: u64,
    piece_steps: u64,
    environments: usize,
    observation: usize,
    action: usize,
    first: u64,
    taken: u64,
}

impl ReplayBuffer {
    fn state(&self) -> ReplayState {
        ReplayState {
            capacity: self.capacity,
            piece_steps: self.piece_steps,
            environments: self.widths.environments,
            observation: self.widths.observation,
            action: self.widths.action,
            first: self.first,
            taken: self.taken,
        }
    }
}

fn piece_name(number: u64) -> String {
    format!("replay.{number:09}")
}

const TAIL: &str = "replay.tail";

impl Persist for ReplayBuffer {
    fn save(&self, snapshot: &mut Snapshot) -> Result<(), CheckpointError> {
        snapshot.put_state("replay", &self.state())?;
        for (number, full) in (self.first..).zip(&self.full) {
            snapshot.put_blob(&piece_name(number), full.blob.clone())?;
        }
        let tail = self.tail.clone();
        snapshot.put_blob(TAIL, Blob::new(move |out| tail.encode(out)))
    }

    fn load(&mut self, snapshot: &Snapshot, _: &World) -> Result<(), CheckpointError> {
        let state: ReplayState = snapshot.state("replay")?;
        let expected = ReplayState {
            first: state.first,
            taken: state.taken,
            ..self.state()
        };
        if state != expected {
            let what = format!("it has {state:?}, and this run {expected:?}");
            return Err(CheckpointError::unusable("the replay buffer", what));
        }
        let decode = |name: &str, rows: u64| -> Result<(Arc<Chunk>, Blob), CheckpointError> {
            let blob = snapshot.blob(name)?;
            let rows = usize::try_from(rows).unwrap_or(usize::MAX);
            let chunk = Chunk::decode(&blob.read()?, self.widths, rows)
                .map_err(|what| CheckpointError::unusable(&blob.origin(), what))?;
            Ok((Arc::new(chunk), blob.clone()))
        };
        let rows_of = |steps: u64| steps * self.widths.environments as u64;
        let pieces = state.taken / self.piece_steps;
        let mut full = VecDeque::new();
        for number in state.first..pieces {
            let (rows, blob) = decode(&piece_name(number), rows_of(self.piece_steps))?;
            full.push_back(Full::new(rows, Some(&blob)));
        }
        let (tail, _) = decode(TAIL, rows_of(state.taken % self.piece_steps))?;
        self.tail = Arc::unwrap_or_clone(tail);
        (self.full, self.first, self.taken) = (full, state.first, state.taken);
        self.valid = (self.oldest()..self.taken)
            .map(|step| self.valid_in(step))
            .sum();
        Ok(())
    }
}

#[cfg(test)]
#[path = "buffer_tests.rs"]
mod tests;
