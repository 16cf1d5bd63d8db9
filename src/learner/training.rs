//! Training mode: what is different in a network while it learns.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bevy_app::App;
use bevy_ecs::prelude::*;

use super::{Dropout, Random, RandomState};
use crate::checkpoint::{AppPersistExt, CheckpointError, Persist, Snapshot};
use crate::nn::{DropoutStream, draw_from};

/// The random stream of dropout. Networks draw from it while a [`Learning`](super::Learning) is asked for their outputs, each after
/// the other, and never otherwise.
#[derive(Resource)]
pub struct DropoutDraws(DropoutStream);

impl DropoutDraws {
    /// The stream's place.
    pub fn state(&self) -> RandomState {
        self.stream().state()
    }

    /// Changes the stream: gives it draws, for instance.
    pub fn change(&mut self, change: impl FnOnce(&mut Random<Dropout>)) {
        change(&mut self.stream());
    }

    /// From now on networks in training of this thread draw from this stream.
    pub(super) fn begin(&self) {
        draw_from(Some(&self.0));
    }

    fn stream(&self) -> MutexGuard<'_, Random<Dropout>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Networks in training of this thread drop nothing any more.
pub(super) fn end() {
    draw_from(None);
}

impl Persist for DropoutDraws {
    fn save(&self, snapshot: &mut Snapshot) -> Result<(), CheckpointError> {
        self.stream().save(snapshot)
    }

    fn load(&mut self, snapshot: &Snapshot, world: &World) -> Result<(), CheckpointError> {
        self.stream().load(snapshot, world)
    }
}

/// The stream, once for all networks of an app.
pub(super) fn add_dropout(app: &mut App) {
    if !app.world().contains_resource::<DropoutDraws>() {
        let stream = Arc::new(Mutex::new(Random::of_world(app.world_mut())));
        app.insert_resource(DropoutDraws(stream))
            .persist::<DropoutDraws>();
    }
}
