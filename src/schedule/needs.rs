//! What steps need and nothing brings, found before the first step runs.
//!
//! Bevy knows what each system reads and writes. So an order in which a step reads what no earlier step has written, or in which
//! a step was put where its plugin is not, is refused when the app is finished.

use std::any::TypeId;
use std::collections::HashSet;

use bevy_app::App;
use bevy_ecs::component::ComponentId;
use bevy_ecs::prelude::*;
use bevy_ecs::schedule::{InternedScheduleLabel, Schedules, SystemKey};

use super::graph::{Touched, learn_systems, resource_name, touched};
use super::{Learn, ScheduleError, TrainingSchedule};

/// The resources that have no value before a step of [`Learn`] writes one.
#[derive(Resource, Default)]
struct WrittenByLearn(Vec<TypeId>);

/// Says that `R` is filled by a step of [`Learn`], such as a minibatch by the step that draws it: an order in which another
/// step reads it first is refused.
pub(crate) fn written_before_read<R: Resource>(app: &mut App) {
    let mut written = app.world_mut().get_resource_or_init::<WrittenByLearn>();
    if !written.0.contains(&TypeId::of::<R>()) {
        written.0.push(TypeId::of::<R>());
    }
}

/// The systems that came by name: which schedule, which system, the step's name, and the number of the edit.
#[derive(Resource, Default)]
pub(super) struct NamedSteps(Vec<(InternedScheduleLabel, SystemKey, String, usize)>);

impl NamedSteps {
    pub(super) fn note(
        &mut self,
        label: InternedScheduleLabel,
        key: SystemKey,
        step: &str,
        number: usize,
    ) {
        self.0.push((label, key, step.to_owned(), number));
    }
}

/// What the systems of the app's schedules touch as its plugins added them, before any edit.
pub(super) fn touched_by_plugins(world: &mut World) -> HashSet<ComponentId> {
    let mut all = HashSet::new();
    for label in TrainingSchedule::ALL.map(TrainingSchedule::label) {
        if !world.resource::<Schedules>().contains(label) {
            continue;
        }
        world.schedule_scope(label, |world, schedule| {
            let systems = &mut schedule.graph_mut().systems;
            systems.initialize(world);
            let keys: Vec<SystemKey> = systems.iter().map(|(key, ..)| key).collect();
            for system in keys.into_iter().filter_map(|key| systems.get(key)) {
                if let Touched::Resources { reads, writes } = touched(system) {
                    all.extend(reads.into_iter().chain(writes));
                }
            }
        });
    }
    all
}

/// What is missing in the finished schedules.
pub(super) fn check(world: &World, by_plugins: &HashSet<ComponentId>) -> Vec<ScheduleError> {
    let mut errors = not_brought(world, by_plugins);
    errors.extend(read_before_written(world));
    errors
}

/// Steps that were put by name where what they need is not.
fn not_brought(world: &World, by_plugins: &HashSet<ComponentId>) -> Vec<ScheduleError> {
    let Some(named) = world.get_resource::<NamedSteps>() else {
        return Vec::new();
    };
    let schedules = world.resource::<Schedules>();
    let mut errors = Vec::new();
    for (label, key, step, number) in &named.0 {
        let Some(Ok(mut systems)) = schedules.get(*label).map(|it| it.systems_with_access()) else {
            continue;
        };
        // Of one that a later edit took out again, nothing is asked.
        let Some((_, system)) = systems.find(|(there, _)| there == key) else {
            continue;
        };
        let Touched::Resources { reads, writes } = touched(system) else {
            continue;
        };
        let missing = reads.into_iter().chain(writes).filter(|id| {
            !world.contains_resource_by_id(*id)
                && !by_plugins.contains(id)
                && comes_with_a_plugin(world, *id)
        });
        let mut missing: Vec<String> = missing
            .filter_map(|id| Some(format!("`{}`", resource_name(world, id)?)))
            .collect();
        missing.sort();
        missing.dedup();
        if !missing.is_empty() {
            let error = ScheduleError::NotBrought {
                step: step.clone(),
                resources: listed(&missing),
            };
            errors.push(error.of_edit(*number));
        }
    }
    errors
}

/// Whether a resource is one that nothing but a plugin's own steps would use: its settings, or what belongs to a role or a random
/// stream, such as `Net<Critic>`. Others may be there by the first step without any of the schedules using them.
fn comes_with_a_plugin(world: &World, id: ComponentId) -> bool {
    let Some(name) = world.components().get_name(id) else {
        return false;
    };
    let name = name.to_string();
    name.starts_with("yarak::plugins::") || (name.starts_with("yarak::") && name.contains('<'))
}

/// Steps of [`Learn`] that read what is written later or not at all.
fn read_before_written(world: &World) -> Vec<ScheduleError> {
    let Some(written) = world.get_resource::<WrittenByLearn>() else {
        return Vec::new();
    };
    let systems = learn_systems(world);
    let mut errors = Vec::new();
    for id in &written.0 {
        let Some(id) = world.components().get_id(*id) else {
            continue;
        };
        // Somebody put a value there by hand.
        if world.contains_resource_by_id(id) {
            continue;
        }
        let writer = systems.iter().position(|system| match &system.touched {
            Touched::World => true,
            Touched::Resources { writes, .. } => writes.contains(&id),
        });
        let reader = systems.iter().position(|system| match &system.touched {
            Touched::World => false,
            Touched::Resources { reads, .. } => reads.contains(&id),
        });
        let Some(reader) = reader.filter(|reader| writer.is_none_or(|writer| writer > *reader))
        else {
            continue;
        };
        let slot_of = |place: usize| systems[place].slot.clone();
        errors.push(ScheduleError::ReadBeforeWritten {
            schedule: super::order::short_name::<Learn>(),
            slot: slot_of(reader).unwrap_or_else(|| "none".to_owned()),
            reader: systems[reader].name.clone(),
            resource: resource_name(world, id).unwrap_or_default(),
            writer: writer.and_then(slot_of),
        });
    }
    errors
}

fn listed(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}
