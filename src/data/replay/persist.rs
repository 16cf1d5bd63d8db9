//! A replay buffer in checkpoints: pieces that are full are written once, and shared by the checkpoints that hold them.

use std::collections::VecDeque;
use std::sync::Arc;

use bevy_ecs::prelude::*;
use serde::{Deserialize, Serialize};

use super::ReplayBuffer;
use super::buffer::Full;
use super::chunk::Chunk;
use crate::checkpoint::{Blob, CheckpointError, Persist, Snapshot};

/// What is saved next to the rows.
#[derive(Serialize, Deserialize, PartialEq, Debug)]
pub(super) struct ReplayState {
    capacity: u64,
    piece_steps: u64,
    frames: u64,
    environments: usize,
    observation: usize,
    action: usize,
    first: u64,
    taken: u64,
}

impl ReplayBuffer {
    pub(super) fn state(&self) -> ReplayState {
        ReplayState {
            capacity: self.capacity,
            piece_steps: self.piece_steps,
            frames: self.frames,
            environments: self.widths.environments,
            observation: self.widths.observation.width(),
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
        // Rows are found by their numbers from here on.
        let oldest = state.taken.saturating_sub(self.capacity);
        let rows = state.taken.checked_mul(self.widths.environments as u64);
        if state.first > oldest / self.piece_steps || rows.is_none() {
            let ReplayState { first, taken, .. } = state;
            let what = format!("of {taken} steps it has none before those of piece {first}");
            return Err(CheckpointError::unusable("the replay buffer", what));
        }
        let decode = |name: &str, rows: u64| -> Result<(Arc<Chunk>, Blob), CheckpointError> {
            let blob = snapshot.blob(name)?;
            let rows = usize::try_from(rows).unwrap_or(usize::MAX);
            let chunk = Chunk::decode(&blob.read()?, &self.widths, rows)
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
        self.count();
        self.forget_on_device();
        Ok(())
    }
}
