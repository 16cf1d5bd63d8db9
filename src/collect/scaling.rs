//! What is done to a policy's actions before an environment takes them, each a plugin in
//! [`EnvironmentSystems::ScatterActions`].

use bevy_app::{App, Plugin};
use bevy_ecs::prelude::*;

use super::entity::Action;
use super::systems::scatter_actions;
use super::{CollectError, EnvironmentSystems};
use crate::data::{Preprocessing, Spaces};
use crate::env::Space;
use crate::schedule::Collect;

/// Maps actions in [-1, 1] to the bounds of the action space (Gymnasium's `RescaleAction`), by
/// [`Preprocessing::action`](crate::data::Preprocessing). A space without finite bounds, or of discrete actions, is left alone.
pub struct RescaleActions;

impl Plugin for RescaleActions {
    fn build(&self, app: &mut App) {
        let rescale = rescale_actions
            .in_set(EnvironmentSystems::ScatterActions)
            .after(scatter_actions);
        app.add_systems(Collect, rescale.run_if(acts_in_a_box));
    }
}

/// Clips actions to the bounds of the action space (Gymnasium's `ClipAction`), after they were rescaled.
pub struct ClipActions;

impl Plugin for ClipActions {
    fn build(&self, app: &mut App) {
        let clip = clip_actions
            .in_set(EnvironmentSystems::ScatterActions)
            .after(scatter_actions)
            .after(rescale_actions);
        app.add_systems(Collect, clip.run_if(acts_in_a_box));
    }
}

fn acts_in_a_box(spaces: Res<Spaces>) -> bool {
    matches!(spaces.action, Space::Box { .. })
}

fn rescale_actions(
    preprocessing: Res<Preprocessing>,
    spaces: Res<Spaces>,
    mut agents: Query<&mut Action>,
) -> Result<(), BevyError> {
    for mut action in &mut agents {
        let action = &mut action.bypass_change_detection().0;
        preprocessing
            .action
            .from_unit(action)
            .map_err(|error| CollectError::Scale {
                environment: spaces.environment.clone(),
                error,
            })?;
    }
    Ok(())
}

fn clip_actions(spaces: Res<Spaces>, mut agents: Query<&mut Action>) {
    let Space::Box { low, high, .. } = &spaces.action else {
        return;
    };
    for mut action in &mut agents {
        let action = &mut action.bypass_change_detection().0;
        for (value, (low, high)) in action.iter_mut().zip(low.iter().zip(high)) {
            *value = value.max(*low).min(*high);
        }
    }
}
