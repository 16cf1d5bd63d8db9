//! The roles that an app's algorithm has declared, for whoever looks at all of them: the checks of `yarak::testing`.

use bevy_app::{App, PostStartup};
use bevy_ecs::prelude::*;

use crate::checkpoint::{CheckpointError, Persist, Snapshot};
use crate::schedule::InputError;

use super::never_trained::never_trained;
use super::{Net, Network, Optim, Optimizer, Rate, Role, Schedule, Target};

/// All roles with a learner or a target.
#[derive(Resource, Default)]
pub(crate) struct Roles(pub Vec<RoleEntry>);

/// One of them.
#[derive(Clone, Copy)]
pub(crate) struct RoleEntry {
    /// Its name in metrics and checkpoints.
    pub name: &'static str,
    /// Its type's name, as in `Net<Actor>`.
    pub type_name: fn() -> String,
    /// Whether it has a target.
    pub has_target: bool,
    /// How many members its network has; `None` before it was built.
    pub members: fn(&World) -> Option<usize>,
    /// Whether its target was built.
    pub target_is_there: fn(&World) -> bool,
    /// Takes its network from a snapshot of another run, and its target, where it has one, as a copy.
    pub begin_as: fn(&mut World, &Snapshot) -> Result<(), CheckpointError>,
    /// Makes its steps plain gradient descent with that rate: what changes then is the gradient.
    pub descend_plainly: fn(&mut World, f64),
    /// What is to be said of its network at a run's end, if it was never trained.
    pub never_trained: fn(&World) -> Option<String>,
}

/// Refuses a target that was inserted and never declared: no checkpoint would hold it.
pub(super) fn check_targets(app: &mut App) {
    app.init_resource::<ChecksTargets>();
    let mut checks = app.world_mut().resource_mut::<ChecksTargets>();
    if !std::mem::replace(&mut checks.0, true) {
        app.add_systems(PostStartup, all_targets_are_declared);
    }
}

/// Whether the check was added.
#[derive(Resource, Default)]
struct ChecksTargets(bool);

fn all_targets_are_declared(world: &World) -> Result<(), BevyError> {
    let with_target = world.resource::<Roles>().0.iter();
    let with_target = with_target.filter(|entry| entry.has_target);
    let declared: Vec<String> = with_target
        .map(|entry| format!("Target<{}>", (entry.type_name)()))
        .collect();
    for (id, component) in world.components().iter_registered() {
        let name = component.name().to_string();
        if !name.starts_with("yarak::learner::tracking::Target<")
            || !world.contains_resource_by_id(id)
        {
            continue;
        }
        let target = disqualified::ShortName(&name).to_string();
        if !declared.contains(&target) {
            let role = target
                .strip_prefix("Target<")
                .and_then(|it| it.strip_suffix('>'));
            let role = role.unwrap_or(&target);
            return Err(InputError::new(format!(
                "`{target}` was inserted and never declared, so no checkpoint would hold it: the plugin says `app.add_target::<{role}>()`"
            ))
            .into());
        }
    }
    Ok(())
}

impl Roles {
    pub fn declare<R: Role>(&mut self) -> &mut RoleEntry {
        let place = self.0.iter().position(|entry| entry.name == R::NAME);
        let place = place.unwrap_or_else(|| {
            self.0.push(RoleEntry {
                name: R::NAME,
                type_name: || disqualified::ShortName::of::<R>().to_string(),
                has_target: false,
                members: |world| world.get_resource::<Net<R>>().map(|net| net.members()),
                target_is_there: |world| world.contains_resource::<Target<R>>(),
                begin_as: |world, snapshot| {
                    world.resource_scope(|world, mut net: Mut<Net<R>>| {
                        net.load(snapshot, world)?;
                        if world.contains_resource::<Target<R>>() {
                            world.insert_resource(Target::copy_of(&net));
                        }
                        Ok(())
                    })
                },
                descend_plainly: |world, rate| {
                    if let Some(mut optim) = world.get_resource_mut::<Optim<R>>() {
                        *optim = Optim::new(Optimizer::Sgd { momentum: None }, 0.0, None);
                    }
                    if let Some(mut current) = world.get_resource_mut::<Rate<R>>() {
                        *current = Rate::new(Schedule::Constant(rate));
                    }
                },
                never_trained: never_trained::<R>,
            });
            self.0.len() - 1
        });
        &mut self.0[place]
    }
}
