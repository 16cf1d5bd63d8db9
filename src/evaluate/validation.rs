//! Losses on held-out rows.

use bevy_app::{App, Plugin, Startup};
use bevy_ecs::prelude::*;
use bevy_reflect::Reflect;

use crate::data::Data;
use crate::scene::Settings;
use crate::schedule::{
    AppCadenceExt, AppMetricsExt, InputError, Period, Validate, ValidateSystems, has_steps_after,
};

/// Computes the losses on held-out rows (`Dataset(validation: ..)`) every so many steps, with nothing updated.
#[derive(Clone, Debug, Resource, Reflect)]
pub struct Validation {
    /// Steps or epochs between two validations.
    pub every: Period,
}

impl Default for Validation {
    fn default() -> Self {
        Validation {
            every: Period::Steps(1_000),
        }
    }
}

impl Settings for Validation {}

impl Plugin for Validation {
    fn build(&self, app: &mut App) {
        app.insert_resource(self.clone())
            .run_every(Validate, self.every)
            .makes_metrics("validate/")
            .add_systems(Startup, (need_held_out_rows, need_losses));
    }
}

/// Refuses to validate on nothing before the first step is taken.
fn need_held_out_rows(data: Option<Res<Data>>) -> Result<(), BevyError> {
    if data.is_some_and(|data| data.split.held_out.is_empty()) {
        return Err(InputError::new(NOTHING_HELD_OUT).into());
    }
    Ok(())
}

/// Refuses to validate what computes no loss on held-out rows.
fn need_losses(world: &mut World) -> Result<(), BevyError> {
    if has_losses(world) {
        return Ok(());
    }
    Err(InputError::new(NO_LOSSES).into())
}

/// Whether a step of [`Validate`] does more than draw rows.
pub(crate) fn has_losses(world: &World) -> bool {
    has_steps_after(world, Validate, ValidateSystems::Sample)
}

/// Why an algorithm cannot be validated.
pub(crate) const NO_LOSSES: &str = "this algorithm computes no losses on held-out rows, so `Validation` would report nothing: take `Validation` out of the scene's plugins, and `validation` out of `Dataset`";

const NOTHING_HELD_OUT: &str = "there are no rows to validate on: hold some episodes out with `Dataset(validation: 0.1)`, or take `Validation` out of the scene's plugins";
