//! Systems without an order between them: which ones, where they are, and about what they conflict.

use std::collections::HashMap;

use bevy_ecs::component::ComponentId;
use bevy_ecs::prelude::*;
use bevy_ecs::schedule::{
    ConflictingSystems, Schedule, ScheduleLabel, SystemKey, SystemWithAccess,
};

use super::graph::{Touched, resource_name, short_path, touched};
use super::order::short_name;
use super::{ScheduleError, SlotOrder, Unordered};

/// What is wrong with each pair of systems that conflict and have no order between them. The schedule is one that Bevy could build
/// but for these.
pub(super) fn explained<S: ScheduleLabel>(
    world: &World,
    schedule: &Schedule,
    conflicts: &ConflictingSystems,
) -> Vec<ScheduleError> {
    let order = world.resource::<SlotOrder<S>>();
    let slot_of = |key: SystemKey| {
        let mut slots = order.slots().iter();
        let slot = slots.find(|slot| {
            let inside = schedule.graph().systems_in_set(slot.set);
            inside.is_ok_and(|keys| keys.contains(&key))
        });
        slot.map(|slot| slot.name.clone())
    };
    let systems: HashMap<SystemKey, &SystemWithAccess> = match schedule.systems_with_access() {
        Ok(systems) => systems.collect(),
        Err(_) => HashMap::new(),
    };
    let name_of = |key: SystemKey| {
        let system = systems.get(&key);
        system.map_or_else(String::new, |it| {
            short_path(&it.system().name().to_string())
        })
    };
    let writes = |key: SystemKey, id| match systems.get(&key).map(|it| touched(it)) {
        Some(Touched::Resources { writes, .. }) => writes.contains(&id),
        _ => true,
    };
    let mut errors = Vec::new();
    for (one, other, about) in conflicts.iter() {
        let named = |keep: &dyn Fn(&ComponentId) -> bool| -> Vec<String> {
            let kept = about.iter().filter(|id| keep(id));
            let mut names: Vec<String> = kept.filter_map(|id| resource_name(world, *id)).collect();
            names.sort();
            names.dedup();
            names
        };
        let error = match (slot_of(*one), slot_of(*other)) {
            (Some(slot), Some(_)) => {
                let mut steps = [name_of(*one), name_of(*other)];
                steps.sort();
                ScheduleError::NoOrder(Box::new(Unordered {
                    schedule: short_name::<S>(),
                    slot,
                    steps,
                    about: named(&|_| true),
                    both_write: named(&|id| writes(*one, *id) && writes(*other, *id)),
                }))
            }
            (first, _) => ScheduleError::InNoSlot {
                schedule: short_name::<S>(),
                step: name_of(if first.is_none() { *one } else { *other }),
            },
        };
        if !errors.contains(&error) {
            errors.push(error);
        }
    }
    errors
}
