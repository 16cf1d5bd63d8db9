//! Which of a run's checkpoints are kept for good.

use std::collections::BTreeSet;

use bevy_ecs::prelude::*;

use super::{CheckpointError, Persist, Snapshot};

/// The steps of the checkpoints that are kept for good, because [`Checkpoints::also_at`](super::Checkpoints) lists them. Each snapshot
/// knows those before it and itself, so that neither a resumed run nor one that lists others lets them go.
#[derive(Resource, Default)]
pub(super) struct Kept(BTreeSet<u64>);

const KEPT: &str = "kept";

impl Kept {
    pub fn keep(&mut self, step: u64) {
        self.0.insert(step);
    }

    /// Those that a snapshot knows.
    ///
    /// # Errors
    /// When its state holds something else under that name.
    pub fn of(snapshot: &Snapshot) -> Result<BTreeSet<u64>, CheckpointError> {
        match snapshot.state.contains_key(KEPT) {
            true => snapshot.state(KEPT),
            false => Ok(BTreeSet::new()),
        }
    }
}

impl Persist for Kept {
    fn save(&self, snapshot: &mut Snapshot) -> Result<(), CheckpointError> {
        match self.0.is_empty() {
            true => Ok(()),
            false => snapshot.put_state(KEPT, &self.0),
        }
    }

    fn load(&mut self, snapshot: &Snapshot, _: &World) -> Result<(), CheckpointError> {
        self.0 = Self::of(snapshot)?;
        Ok(())
    }
}
