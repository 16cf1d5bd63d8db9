//! Losses on held-out rows.

use bevy_app::{App, Plugin};
use bevy_ecs::prelude::*;
use bevy_reflect::Reflect;

use crate::scene::{Bounds, Settings};
use crate::schedule::{AppCadenceExt, Validate};

/// Computes the losses on held-out rows (`Dataset(validation: ..)`) every so many steps, with nothing updated.
#[derive(Clone, Debug, Resource, Reflect)]
pub struct Validation {
    /// Steps between two validations.
    #[reflect(@Bounds::at_least(1.0))]
    pub every: u64,
}

impl Default for Validation {
    fn default() -> Self {
        Validation { every: 1_000 }
    }
}

impl Settings for Validation {}

impl Plugin for Validation {
    fn build(&self, app: &mut App) {
        app.insert_resource(self.clone())
            .run_every(Validate, self.every);
    }
}
