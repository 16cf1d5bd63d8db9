//! Networks that a run was over too soon to train.

use bevy_ecs::prelude::*;

use super::roles::Roles;
use super::{Optim, Role};
use crate::schedule::{Clock, Tick};

/// What is to be said of role `R`'s network, if it was never trained.
pub(super) fn never_trained<R: Role>(world: &World) -> Option<String> {
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
    let roles = world.get_resource::<Roles>();
    let all = roles.into_iter().flat_map(|roles| &roles.0);
    all.filter_map(|entry| (entry.never_trained)(world))
        .collect()
}
