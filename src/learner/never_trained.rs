//! Networks that a run was over too soon to train.

use bevy_app::App;
use bevy_ecs::prelude::*;

use super::{Optim, Role};
use crate::schedule::{Clock, Tick};

/// For each network what is to be said of it, if it was never trained.
#[derive(Resource, Default)]
struct Trained(Vec<fn(&World) -> Option<String>>);

/// Keeps an eye on role `R`.
pub(super) fn watch<R: Role>(app: &mut App) {
    let mut trained = app.world_mut().get_resource_or_init::<Trained>();
    trained.0.push(never_trained::<R>);
}

fn never_trained<R: Role>(world: &World) -> Option<String> {
    if world.get_resource::<Optim<R>>()?.updates() > 0 {
        return None;
    }
    let steps = world.get_resource::<Clock>()?.gradient_steps;
    let first = world.get_resource::<Tick<R>>()?.window.start_epoch;
    let why = match first {
        Some(first) => format!("the run ended before its `start_epoch`, {first}"),
        None => format!("no step of the run's {steps} updated it"),
    };
    (steps > 0).then(|| format!("`{}` was never trained: {why}", R::NAME))
}

/// What is to be said at the end of a run of the networks whose first epoch never came.
pub(crate) fn networks_never_trained(world: &World) -> Vec<String> {
    let trained = world.get_resource::<Trained>();
    let all = trained.into_iter().flat_map(|trained| &trained.0);
    all.filter_map(|said| said(world)).collect()
}
