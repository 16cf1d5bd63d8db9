//! Reordering and replacing single steps of anybody's algorithm, from outside.
//!
//! Edits are queued and applied once, when the app is finished: Bevy cannot take an ordering back, and removing a system
//! builds the schedule. What goes wrong then waits in [`ScheduleErrors`], which stops a run before its first step.

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;

use bevy_app::App;
use bevy_ecs::prelude::*;
use bevy_ecs::schedule::{
    InternedSystemSet, IntoScheduleConfigs, LogLevel, Schedule, ScheduleBuildError,
    ScheduleBuildWarning, ScheduleCleanupPolicy, ScheduleConfigs, ScheduleLabel, Schedules,
};
use bevy_ecs::system::ScheduleSystem;

use super::graph::ConditionNames;
use super::order::short_name;
use super::{
    Learn, NamedEdit, ScheduleError, Slot, SlotOrder, build_settings, conflict, named_edit,
};

pub(super) type ApplyEdit = Box<dyn FnOnce(&mut World) -> Result<(), ScheduleError>>;

/// Edits to the order come first, then edits to the systems, each in the order in which they were asked for.
/// Bevy's system configurations are not `Send`, so this is non-send data.
#[derive(Default)]
pub(crate) struct ScheduleEdits {
    pub(super) order: Vec<ApplyEdit>,
    pub(super) systems: Vec<ApplyEdit>,
}

/// Edits to schedules, on an [`App`].
///
/// ```
/// use yarak::prelude::*;
/// use yarak::schedule::SchedulePlugin;
///
/// #[derive(Resource, Default)]
/// struct Said(Vec<&'static str>);
/// fn say(word: &'static str) -> impl Fn(ResMut<Said>) {
///     move |mut said| said.0.push(word)
/// }
/// #[derive(SystemSet, Clone, Debug, PartialEq, Eq, Hash)]
/// struct Temperature;
///
/// let mut app = App::new();
/// app.add_plugins(SchedulePlugin)
///     .init_resource::<Said>()
///     .add_systems(Learn, (
///         say("critic").in_set(LearnSystems::Critic),
///         say("actor").in_set(LearnSystems::Actor),
///         say("targets").in_set(LearnSystems::Targets),
///     ))
///     .replace(Learn, LearnSystems::Actor, say("another actor"))
///     .insert_after(Learn, LearnSystems::Actor, Temperature, say("temperature"))
///     .move_before(Learn, LearnSystems::Targets, LearnSystems::Critic);
/// app.finish();
/// app.world_mut().run_schedule(Learn);
/// assert_eq!(app.world().resource::<Said>().0, ["targets", "critic", "another actor", "temperature"]);
/// ```
pub trait AppScheduleExt {
    /// Puts other systems into a slot in place of those that are there. Order and run conditions of the slot stay.
    fn replace<S: ScheduleLabel + Clone, M>(
        &mut self,
        schedule: S,
        slot: impl SystemSet,
        systems: impl IntoScheduleConfigs<ScheduleSystem, M>,
    ) -> &mut Self;

    /// Adds a new slot directly after `anchor`, with systems in it.
    fn insert_after<S: ScheduleLabel + Clone, M>(
        &mut self,
        schedule: S,
        anchor: impl SystemSet,
        slot: impl SystemSet,
        systems: impl IntoScheduleConfigs<ScheduleSystem, M>,
    ) -> &mut Self;

    /// Adds a new slot directly before `anchor`, with systems in it.
    fn insert_before<S: ScheduleLabel + Clone, M>(
        &mut self,
        schedule: S,
        anchor: impl SystemSet,
        slot: impl SystemSet,
        systems: impl IntoScheduleConfigs<ScheduleSystem, M>,
    ) -> &mut Self;

    /// Moves a slot with its systems and conditions directly before another.
    fn move_before<S: ScheduleLabel + Clone>(
        &mut self,
        schedule: S,
        slot: impl SystemSet,
        anchor: impl SystemSet,
    ) -> &mut Self;

    /// Moves a slot with its systems and conditions directly after another.
    fn move_after<S: ScheduleLabel + Clone>(
        &mut self,
        schedule: S,
        slot: impl SystemSet,
        anchor: impl SystemSet,
    ) -> &mut Self;

    /// Drops the systems that are in a slot. The slot stays, empty.
    fn remove<S: ScheduleLabel + Clone>(&mut self, schedule: S, slot: impl SystemSet) -> &mut Self;

    /// The same edits with schedules, slots and steps by their names, as scenes have them.
    fn edit_by_name(&mut self, edit: NamedEdit) -> &mut Self;
}

impl AppScheduleExt for App {
    fn replace<S: ScheduleLabel + Clone, M>(
        &mut self,
        schedule: S,
        slot: impl SystemSet,
        systems: impl IntoScheduleConfigs<ScheduleSystem, M>,
    ) -> &mut Self {
        let slot = Slot::new(slot);
        let systems = systems.into_configs();
        queue_of(self).systems.push(Box::new(move |world| {
            with_schedule(world, schedule, |world, label: S, schedule| {
                take_systems(world, &label, schedule, &slot, "replace")?;
                schedule.add_systems(systems.in_set(slot.set));
                Ok(())
            })
        }));
        self
    }

    fn insert_after<S: ScheduleLabel + Clone, M>(
        &mut self,
        schedule: S,
        anchor: impl SystemSet,
        slot: impl SystemSet,
        systems: impl IntoScheduleConfigs<ScheduleSystem, M>,
    ) -> &mut Self {
        let (anchor, slot) = (Slot::new(anchor), Slot::new(slot));
        let fill = add_to_slot(schedule, slot.set, systems.into_configs());
        insert::<S>(self, move |order| order.insert_after(&anchor, slot), fill)
    }

    fn insert_before<S: ScheduleLabel + Clone, M>(
        &mut self,
        schedule: S,
        anchor: impl SystemSet,
        slot: impl SystemSet,
        systems: impl IntoScheduleConfigs<ScheduleSystem, M>,
    ) -> &mut Self {
        let (anchor, slot) = (Slot::new(anchor), Slot::new(slot));
        let fill = add_to_slot(schedule, slot.set, systems.into_configs());
        insert::<S>(self, move |order| order.insert_before(&anchor, slot), fill)
    }

    fn move_before<S: ScheduleLabel + Clone>(
        &mut self,
        _: S,
        slot: impl SystemSet,
        anchor: impl SystemSet,
    ) -> &mut Self {
        let (slot, anchor) = (Slot::new(slot), Slot::new(anchor));
        edit_order::<S>(self, move |order| order.move_before(&slot, &anchor))
    }

    fn move_after<S: ScheduleLabel + Clone>(
        &mut self,
        _: S,
        slot: impl SystemSet,
        anchor: impl SystemSet,
    ) -> &mut Self {
        let (slot, anchor) = (Slot::new(slot), Slot::new(anchor));
        edit_order::<S>(self, move |order| order.move_after(&slot, &anchor))
    }

    fn remove<S: ScheduleLabel + Clone>(&mut self, schedule: S, slot: impl SystemSet) -> &mut Self {
        let slot = Slot::new(slot);
        queue_of(self).systems.push(Box::new(move |world| {
            with_schedule(world, schedule, |world, label: S, schedule| {
                take_systems(world, &label, schedule, &slot, "remove")
            })
        }));
        self
    }

    fn edit_by_name(&mut self, edit: NamedEdit) -> &mut Self {
        named_edit::queue(self, edit);
        self
    }
}

/// Puts a system behind every slot of [`Learn`], those included that were inserted before this call. `make` is given the
/// slot's name.
pub(crate) fn after_every_slot<M, System>(app: &mut App, make: impl Fn(&str) -> System + 'static)
where
    System: IntoScheduleConfigs<ScheduleSystem, M> + 'static,
{
    edit_order::<Learn>(app, move |order| {
        let slots = order.slots().to_vec();
        slots
            .iter()
            .try_for_each(|slot| order.insert_after(slot, Slot::new(Behind(slot.name.clone()))))
    });
    queue_of(app).systems.push(Box::new(move |world| {
        let slots = sets_of::<Learn>(world);
        let watched = slots.iter().filter_map(|slot| {
            let name = format!("{slot:?}");
            name.strip_prefix(BEHIND).map(|name| (*slot, make(name)))
        });
        let watched: Vec<_> = watched.collect();
        with_schedule(world, Learn, |_, _: Learn, schedule| {
            for (slot, system) in watched {
                schedule.add_systems(system.in_set(slot));
            }
            Ok(())
        })
    }));
}

/// The slot behind another.
#[derive(SystemSet, Clone, PartialEq, Eq, Hash)]
struct Behind(String);

const BEHIND: &str = "behind ";

impl fmt::Debug for Behind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{BEHIND}{}", self.0)
    }
}

pub(super) fn queue_of(app: &mut App) -> Mut<'_, ScheduleEdits> {
    app.init_non_send::<ScheduleEdits>();
    app.world_mut().non_send_mut::<ScheduleEdits>()
}

pub(super) fn edit_order<S: ScheduleLabel + Clone>(
    app: &mut App,
    edit: impl FnOnce(&mut SlotOrder<S>) -> Result<(), ScheduleError> + 'static,
) -> &mut App {
    queue_of(app)
        .order
        .push(Box::new(move |world| edit(&mut *order_of::<S>(world)?)));
    app
}

/// Queues a new slot and what fills it. A slot that finds no place stays empty: without an order its systems would
/// conflict with all others, and that message would hide the one about the place.
pub(super) fn insert<S: ScheduleLabel + Clone>(
    app: &mut App,
    place: impl FnOnce(&mut SlotOrder<S>) -> Result<(), ScheduleError> + 'static,
    fill: ApplyEdit,
) -> &mut App {
    let placed = Rc::new(Cell::new(false));
    let is_placed = placed.clone();
    queue_of(app).systems.push(Box::new(
        move |world| {
            if is_placed.get() { fill(world) } else { Ok(()) }
        },
    ));
    edit_order::<S>(app, move |order| {
        place(order)?;
        placed.set(true);
        Ok(())
    })
}

fn add_to_slot<S: ScheduleLabel + Clone>(
    label: S,
    set: InternedSystemSet,
    systems: ScheduleConfigs<ScheduleSystem>,
) -> ApplyEdit {
    Box::new(move |world| {
        with_schedule(world, label, |_, _: S, schedule| {
            schedule.add_systems(systems.in_set(set));
            Ok(())
        })
    })
}

fn order_of<S: ScheduleLabel + Clone>(
    world: &mut World,
) -> Result<Mut<'_, SlotOrder<S>>, ScheduleError> {
    world
        .get_resource_mut::<SlotOrder<S>>()
        .ok_or_else(|| ScheduleError::UnknownSlot {
            schedule: short_name::<S>(),
            slot: "any".to_owned(),
            valid: "none (not one of yarak's schedules)".to_owned(),
        })
}

pub(super) fn with_schedule<S: ScheduleLabel + Clone, T>(
    world: &mut World,
    label: S,
    edit: impl FnOnce(&mut World, S, &mut Schedule) -> Result<T, ScheduleError>,
) -> Result<T, ScheduleError> {
    order_of::<S>(world)?;
    world.schedule_scope(label.clone(), |world, schedule| {
        edit(world, label, schedule)
    })
}

/// Removes the systems of a slot; an error when the slot is unknown or empty.
pub(super) fn take_systems<S: ScheduleLabel + Clone>(
    world: &mut World,
    label: &S,
    schedule: &mut Schedule,
    slot: &Slot,
    edit: &'static str,
) -> Result<(), ScheduleError> {
    order_of::<S>(world)?.named(&slot.name)?;
    note_conditions(world, label, schedule);
    // The default policy takes the set away as well, and adding to it afterwards panics.
    let removed = schedule
        .remove_systems_in_set(slot.set, world, ScheduleCleanupPolicy::RemoveSystemsOnly)
        .unwrap_or(0);
    if removed > 0 {
        return Ok(());
    }
    // What earlier edits took away counts as empty once the schedule is built again.
    let _ = schedule.initialize(world);
    let order = order_of::<S>(world)?;
    let filled: Vec<&str> = order
        .slots()
        .iter()
        .filter(|slot| {
            schedule
                .graph()
                .systems_in_set(slot.set)
                .is_ok_and(|systems| !systems.is_empty())
        })
        .map(|slot| slot.name.as_str())
        .collect();
    Err(ScheduleError::NothingThere {
        edit,
        schedule: short_name::<S>(),
        slot: slot.name.clone(),
        filled: if filled.is_empty() {
            "none".to_owned()
        } else {
            filled.join(", ")
        },
    })
}

/// Applies the queued edits: first those of the order, so that named slots are there when systems go into them.
pub(super) fn apply(world: &mut World) -> Vec<ScheduleError> {
    let edits = std::mem::take(&mut *world.non_send_mut::<ScheduleEdits>());
    edits
        .order
        .into_iter()
        .chain(edits.systems)
        .filter_map(|edit| edit(world).err())
        .collect()
}

/// Turns the order into Bevy's ordering and builds the schedule, with conflicts of unordered systems as errors.
pub(super) fn order_and_build<S: ScheduleLabel + Clone>(
    world: &mut World,
    label: S,
    errors: &mut Vec<ScheduleError>,
) {
    let slots = sets_of::<S>(world);
    if !world.resource::<Schedules>().contains(label.clone()) {
        return;
    }
    world.schedule_scope(label.clone(), |world, schedule| {
        for pair in slots.windows(2) {
            schedule.configure_sets((pair[0], pair[1]).chain());
        }
        schedule.set_build_settings(build_settings(LogLevel::Error));
        note_conditions(world, &label, schedule);
        let Err(error) = schedule.initialize(world) else {
            return;
        };
        let cause = error.to_string(schedule.graph(), world).trim().to_owned();
        if let ScheduleBuildError::Elevated(ScheduleBuildWarning::Ambiguity(found)) = error {
            // Without the check it can be built, and then it is known which system is in which slot.
            schedule.set_build_settings(build_settings(LogLevel::Ignore));
            if schedule.initialize(world).is_ok() {
                errors.extend(conflict::explained::<S>(world, schedule, &found.0));
                return;
            }
        }
        errors.push(ScheduleError::Build {
            schedule: short_name::<S>(),
            cause,
        });
    });
}

/// Keeps the names of the conditions for drawing: Bevy moves them out of reach when a schedule is built.
fn note_conditions<S: ScheduleLabel + Clone>(world: &mut World, label: &S, schedule: &Schedule) {
    let slots = sets_of::<S>(world);
    world
        .get_resource_or_init::<ConditionNames>()
        .note(label.intern(), &slots, schedule.graph());
}

fn sets_of<S: ScheduleLabel + Clone>(world: &World) -> Vec<InternedSystemSet> {
    let order = world.resource::<SlotOrder<S>>();
    order.slots().iter().map(|slot| slot.set).collect()
}
