//! What steps need and nothing brings, found before the first step runs.
//!
//! Bevy knows what each system reads and writes. So an order in which a step reads what no earlier step has written, or in which
//! a step was put where its plugin is not, is refused when the app is finished.

use std::any::TypeId;
use std::collections::HashSet;

use bevy_app::App;
use bevy_ecs::component::ComponentId;
use bevy_ecs::prelude::*;
use bevy_ecs::schedule::{InternedScheduleLabel, ScheduleLabel, Schedules, SystemKey};

use super::graph::{ConditionNames, PlacedSystem, Touched, placed_systems, resource_name, touched};
use super::{Learn, ScheduleError, SlotOrder, TrainingSchedule, Validate};

/// The resources that a schedule's own steps fill for its other steps.
#[derive(Resource, Default)]
struct Filled {
    /// In [`Learn`] and in [`Validate`], before a step there reads them.
    before_read: Vec<TypeId>,
    /// In [`Learn`], or nothing is learned.
    always: Vec<TypeId>,
}

/// Says that `R` is filled by a step of [`Learn`], and by one of [`Validate`] for its own steps, such as a minibatch by the step
/// that draws it: an order in which another step reads it first is refused.
pub(crate) fn written_before_read<R: Resource>(app: &mut App) {
    let mut filled = app.world_mut().get_resource_or_init::<Filled>();
    filled.before_read.push(TypeId::of::<R>());
}

/// Says that a step of [`Learn`] has to write `R`, such as a tick that conditions count on: an order without one is refused.
pub(super) fn written_always<R: Resource>(app: &mut App) {
    let mut filled = app.world_mut().get_resource_or_init::<Filled>();
    filled.always.push(TypeId::of::<R>());
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
    errors.extend(unfilled(world));
    errors
}

/// Steps that were put by name where what they need is not.
fn not_brought(world: &World, by_plugins: &HashSet<ComponentId>) -> Vec<ScheduleError> {
    let Some(named) = world.get_resource::<NamedSteps>() else {
        return Vec::new();
    };
    let schedules = world.resource::<Schedules>();
    let mut errors = Vec::new();
    let outside = [
        TrainingSchedule::Validate,
        TrainingSchedule::Evaluate,
        TrainingSchedule::Report,
        TrainingSchedule::Save,
    ];
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
        let schedule = outside.iter().find(|schedule| schedule.label() == *label);
        if let Some(schedule) = schedule {
            let learned = writes.iter().filter_map(|id| resource_name(world, *id));
            let learned = learned.filter(|name| {
                let mut kinds = ["Net<", "Target<", "Optim<", "Rate<", "Tick<", "Random<"].iter();
                kinds.any(|kind| name.starts_with(kind))
            });
            let mut learned: Vec<String> = learned.map(|name| format!("`{name}`")).collect();
            learned.sort();
            if !learned.is_empty() {
                let error = ScheduleError::LearnsOutside {
                    step: step.clone(),
                    schedule: schedule.to_string(),
                    resources: listed(&learned),
                };
                errors.push(error.of_edit(*number));
                continue;
            }
        }
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

/// Whether a resource is one that nothing but a plugin's own steps would use: its settings, its batch, or what belongs to a role or a
/// random stream, such as `Net<Critic>`. Others may be there by the first step without any of the schedules using them.
fn comes_with_a_plugin(world: &World, id: ComponentId) -> bool {
    let Some(name) = world.components().get_name(id) else {
        return false;
    };
    let name = name.to_string();
    let ours = name.strip_prefix("yarak::");
    ours.is_some_and(|name| {
        name.starts_with("plugins::") || name.contains('<') || name.ends_with("Batch")
    })
}

fn unfilled(world: &World) -> Vec<ScheduleError> {
    let Some(filled) = world.get_resource::<Filled>() else {
        return Vec::new();
    };
    let id_of = |id: &TypeId| world.components().get_id(*id);
    let (learn, validate) = (
        placed_systems(world, Learn),
        placed_systems(world, Validate),
    );
    let mut errors = Vec::new();
    for id in filled.before_read.iter().filter_map(id_of) {
        // Somebody put a value there by hand.
        if world.contains_resource_by_id(id) {
            continue;
        }
        for (schedule, systems) in [
            (TrainingSchedule::Learn, &learn),
            (TrainingSchedule::Validate, &validate),
        ] {
            let error = read_before_written(world, schedule, systems, id);
            errors.extend(error.filter(|error| !errors.contains(error)));
        }
    }
    for id in filled.always.iter().filter_map(id_of) {
        if !learn.iter().any(|system| writes(system, id)) {
            errors.push(ScheduleError::NeverWritten {
                schedule: TrainingSchedule::Learn.to_string(),
                resource: resource_name(world, id).unwrap_or_default(),
            });
            continue;
        }
        let error = read_before_written(world, TrainingSchedule::Learn, &learn, id);
        errors.extend(error.or_else(|| counted_before_written(world, &learn, id)));
    }
    errors
}

fn writes(system: &PlacedSystem, id: ComponentId) -> bool {
    match &system.touched {
        Touched::World => true,
        Touched::Resources { writes, .. } => writes.contains(&id),
    }
}

/// A slot whose conditions count on a tick that rises only later: they would hold a step late.
fn counted_before_written(
    world: &World,
    systems: &[PlacedSystem],
    id: ComponentId,
) -> Option<ScheduleError> {
    let resource = resource_name(world, id)?;
    let role = resource.strip_prefix("Tick<")?.strip_suffix('>')?;
    let writer = systems.iter().position(|system| writes(system, id))?;
    let names = world.get_resource::<ConditionNames>()?;
    let order = world.get_resource::<SlotOrder<Learn>>()?;
    let (condition, slot) = systems[..writer].iter().find_map(|system| {
        let slot = order.named(system.slot.as_deref()?).ok()?;
        let conditions = names.of_slot(Learn.intern(), slot.set).into_iter();
        let counts = |condition: &String| {
            condition.ends_with(&format!(" of {role}")) || *condition == format!("training {role}")
        };
        let condition = conditions.into_iter().find(counts)?;
        Some((condition, slot.name.clone()))
    })?;
    Some(ScheduleError::ReadBeforeWritten {
        schedule: TrainingSchedule::Learn.to_string(),
        slot,
        reader: condition,
        resource,
        writer: systems[writer].slot.clone(),
    })
}

fn read_before_written(
    world: &World,
    schedule: TrainingSchedule,
    systems: &[PlacedSystem],
    id: ComponentId,
) -> Option<ScheduleError> {
    let writer = systems.iter().position(|system| writes(system, id));
    let reader = systems.iter().position(|system| match &system.touched {
        Touched::World => false,
        Touched::Resources { reads, .. } => reads.contains(&id),
    });
    let reader = reader.filter(|reader| writer.is_none_or(|writer| writer > *reader))?;
    let slot_of = |place: usize| systems[place].slot.clone();
    Some(ScheduleError::ReadBeforeWritten {
        schedule: schedule.to_string(),
        slot: slot_of(reader).unwrap_or_else(|| "none".to_owned()),
        reader: systems[reader].name.clone(),
        resource: resource_name(world, id).unwrap_or_default(),
        writer: writer.and_then(slot_of),
    })
}

fn listed(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}
