//! With which keyword arguments an environment is made that is played in.

use bevy_ecs::prelude::*;

use crate::env::gymnasium;
use crate::env::gymnasium::PREFIX;
use crate::scene::{FieldProblems, Keywords};

/// The environment that a run learns in, and the keyword arguments that it was made with: evaluation in the same one takes the same.
#[derive(Resource, Clone, Debug, Default, PartialEq)]
pub struct MadeWith {
    /// The environment, by Gymnasium's name.
    pub env: String,
    /// The keyword arguments.
    pub kwargs: Keywords,
}

impl MadeWith {
    /// The keyword arguments for an environment: those that were given for it, or those of training where it is the same.
    pub fn keywords(world: &World, env: &str, given: Option<&Keywords>) -> Keywords {
        match (given, world.get_resource::<MadeWith>()) {
            (Some(given), _) => given.clone(),
            (None, Some(training)) if training.env == env => training.kwargs.clone(),
            _ => Keywords::default(),
        }
    }
}

/// Refuses keyword arguments for an environment that takes none, for [`Settings::check`](crate::scene::Settings::check).
pub(crate) fn check_keywords(env: &str, kwargs: &Keywords, problems: &mut FieldProblems) {
    if !kwargs.is_empty() && gymnasium::name_of(env).is_none() {
        problems.refuse(
            "kwargs",
            format!(
                "they are for `gymnasium.make`, and `{env}` is built in: leave them out, or name an environment of Python's Gymnasium, `{PREFIX}NAME`"
            ),
        );
    }
}
