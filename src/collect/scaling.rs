//! What is done to a policy's actions before an environment takes them, each a plugin in
//! [`EnvironmentSystems::ScatterActions`].

use bevy_app::{App, Plugin};
use bevy_ecs::prelude::*;

use super::entity::{Action, EnvironmentRow};
use super::systems::scatter_actions;
use super::{Actions, CollectError, EnvironmentSystems};
use crate::data::{Preprocessing, Spaces};
use crate::env::Space;
use crate::schedule::Collect;

/// Maps actions in [-1, 1] to the bounds of the action space, element by element (Gymnasium's `RescaleAction`), by
/// [`Preprocessing::action`](crate::data::Preprocessing). Discrete actions are left alone.
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

/// Rounds actions to whole numbers, after they were rescaled and clipped, and shows learners the actions that the environments get:
/// [`Actions`] become those, mapped back to [-1, 1].
pub struct RoundActions;

impl Plugin for RoundActions {
    fn build(&self, app: &mut App) {
        let round = round_actions
            .in_set(EnvironmentSystems::ScatterActions)
            .after(scatter_actions)
            .after(rescale_actions)
            .after(clip_actions);
        app.add_systems(Collect, round.run_if(acts_in_a_box));
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

fn round_actions(
    preprocessing: Res<Preprocessing>,
    spaces: Res<Spaces>,
    mut given: ResMut<Actions>,
    mut agents: Query<(&EnvironmentRow, &mut Action)>,
) -> Result<(), BevyError> {
    for (agent, mut action) in &mut agents {
        let action = &mut action.bypass_change_detection().0;
        for value in action.iter_mut() {
            *value = value.round() + 0.0;
        }
        let taken = given.row_mut(agent.row);
        taken.copy_from_slice(action);
        preprocessing
            .action
            .to_unit(taken)
            .map_err(|error| CollectError::Scale {
                environment: spaces.environment.clone(),
                error,
            })?;
    }
    Ok(())
}

fn clip_actions(spaces: Res<Spaces>, mut agents: Query<&mut Action>) {
    for mut action in &mut agents {
        spaces.action.clip(&mut action.bypass_change_detection().0);
    }
}
