//! Edits of schedules with everything by its name, as scenes have them.

use std::fmt;

use bevy_app::App;
use bevy_ecs::prelude::*;
use bevy_ecs::schedule::{
    InternedSystemSet, IntoScheduleConfigs, Schedule, ScheduleLabel, SystemKey,
};
use bevy_ecs::system::IntoSystem;

use super::edit::{ApplyEdit, edit_order, insert, queue_of, take_systems, with_schedule};
use super::graph::ConditionNames;
use super::needs::NamedSteps;
use super::order::short_name;
use super::{
    Clock, Collect, Evaluate, Learn, Prepare, Report, Save, ScheduleError, Slot, SlotOrder,
    StepRegistry, TrainingSchedule, Validate,
};

/// An edit of one of yarak's schedules with slots by name and steps by their registered names ([`StepRegistry`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedEdit {
    /// The schedule.
    pub schedule: TrainingSchedule,
    /// What is done.
    pub change: NamedChange,
    /// What [`ScheduleError::OfEdit`] calls the edit: its place in a list.
    pub number: usize,
}

/// What an edit does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NamedChange {
    /// The step takes over the slot.
    Replace {
        /// The slot.
        slot: String,
        /// The step.
        step: String,
    },
    /// A step goes into a new slot directly beside another.
    Insert {
        /// On which side.
        side: Side,
        /// Of which slot.
        anchor: String,
        /// What goes there.
        step: NewStep,
    },
    /// The slot goes directly beside another.
    Move {
        /// The slot.
        slot: String,
        /// On which side.
        side: Side,
        /// Of which slot.
        anchor: String,
    },
    /// The slot's systems are dropped.
    Remove {
        /// The slot.
        slot: String,
    },
}

/// A side of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Directly before it.
    Before,
    /// Directly after it.
    After,
}

/// A step for a new slot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewStep {
    /// The step's registered name.
    pub step: String,
    /// The new slot's name; the step's if not given.
    pub slot: Option<String>,
    /// Runs it on every n-th gradient step only. In [`Learn`] alone.
    pub every: Option<u64>,
    /// Runs it only when the conditions of this slot hold: with the actor's delay, say.
    pub when: Option<String>,
}

/// Queues an edit.
pub(super) fn queue(app: &mut App, edit: NamedEdit) {
    match edit.schedule {
        TrainingSchedule::Collect => queue_in(app, Collect, edit),
        TrainingSchedule::Prepare => queue_in(app, Prepare, edit),
        TrainingSchedule::Learn => queue_in(app, Learn, edit),
        TrainingSchedule::Validate => queue_in(app, Validate, edit),
        TrainingSchedule::Evaluate => queue_in(app, Evaluate, edit),
        TrainingSchedule::Report => queue_in(app, Report, edit),
        TrainingSchedule::Save => queue_in(app, Save, edit),
    }
}

fn queue_in<S: ScheduleLabel + Copy>(app: &mut App, label: S, edit: NamedEdit) {
    let NamedEdit {
        schedule,
        change,
        number,
    } = edit;
    let of_edit = move |error: ScheduleError| error.of_edit(number);
    match change {
        NamedChange::Move { slot, side, anchor } => {
            edit_order::<S>(app, move |order| {
                move_slot(order, &slot, side, &anchor).map_err(of_edit)
            });
        }
        NamedChange::Insert { side, anchor, step } => {
            if step.every.is_some() && schedule != TrainingSchedule::Learn {
                let schedule = schedule.to_string();
                let refused = ScheduleError::NoPeriod { schedule }.of_edit(number);
                queue_of(app).order.push(Box::new(|_| Err(refused)));
                return;
            }
            let name = step.slot.as_ref().unwrap_or(&step.step);
            let slot = Slot::new(NamedSlot(name.clone()));
            let set = slot.set;
            let place = move |order: &mut SlotOrder<S>| {
                let anchor = order.named(&anchor)?.clone();
                match side {
                    Side::Before => order.insert_before(&anchor, slot),
                    Side::After => order.insert_after(&anchor, slot),
                }
            };
            let (step_every, when) = (step.every, step.when.clone());
            let fill: ApplyEdit =
                Box::new(move |world| fill_slot(world, label, set, &step, number).map_err(of_edit));
            let every = step_every;
            insert::<S>(app, move |order| place(order).map_err(of_edit), fill);
            // Before another slot asks for this one's conditions.
            if let Some(every) = every {
                queue_of(app).order.push(Box::new(move |world| {
                    run_every(world, label, set, every).map_err(of_edit)
                }));
            }
            if let Some(when) = when {
                queue_of(app).order.push(Box::new(move |world| {
                    share_conditions(world, label, &when, set).map_err(of_edit)
                }));
            }
        }
        NamedChange::Remove { slot } => queue_of(app).systems.push(Box::new(move |world| {
            let empty = |world: &mut World| {
                let slot = world.resource::<SlotOrder<S>>().named(&slot)?.clone();
                with_schedule(world, label, |world, label, schedule| {
                    take_systems(world, &label, schedule, &slot, "remove")
                })
            };
            empty(world).map_err(of_edit)
        })),
        NamedChange::Replace { slot, step } => queue_of(app).systems.push(Box::new(move |world| {
            let replace = |world: &mut World| {
                let slot = world.resource::<SlotOrder<S>>().named(&slot)?.clone();
                with_schedule(world, label, |world, label, schedule| {
                    take_systems(world, &label, schedule, &slot, "replace")?;
                    add_step(world, label, schedule, slot.set, &step, number)
                })
            };
            replace(world).map_err(of_edit)
        })),
    }
}

fn move_slot<S: Send + Sync + 'static>(
    order: &mut SlotOrder<S>,
    slot: &str,
    side: Side,
    anchor: &str,
) -> Result<(), ScheduleError> {
    let (slot, anchor) = (order.named(slot)?.clone(), order.named(anchor)?.clone());
    match side {
        Side::Before => order.move_before(&slot, &anchor),
        Side::After => order.move_after(&slot, &anchor),
    }
}

fn fill_slot<S: ScheduleLabel + Copy>(
    world: &mut World,
    label: S,
    slot: InternedSystemSet,
    step: &NewStep,
    number: usize,
) -> Result<(), ScheduleError> {
    with_schedule(world, label, |world, label, schedule| {
        add_step(world, label, schedule, slot, &step.step, number)
    })
}

/// Lets a slot run on every n-th gradient step only.
fn run_every<S: ScheduleLabel + Copy>(
    world: &mut World,
    label: S,
    slot: InternedSystemSet,
    n: u64,
) -> Result<(), ScheduleError> {
    with_schedule(world, label, |_, _, schedule| {
        let holds = move |clock: Res<Clock>| clock.gradient_steps.checked_rem(n) == Some(0);
        let condition = IntoSystem::into_system(holds);
        schedule.configure_sets(slot.run_if(condition.with_name(format!("every({n}) of Learn"))));
        Ok(())
    })
}

/// Adds a registered step, and notes which systems came with it.
fn add_step<S: ScheduleLabel>(
    world: &mut World,
    label: S,
    schedule: &mut Schedule,
    slot: InternedSystemSet,
    step: &str,
    number: usize,
) -> Result<(), ScheduleError> {
    let keys = |schedule: &Schedule| -> Vec<SystemKey> {
        let systems = schedule.graph().systems.iter();
        systems.map(|(key, ..)| key).collect()
    };
    let before = keys(schedule);
    let steps = world.get_resource_or_init::<StepRegistry>().clone();
    steps.add_to(step, schedule, slot)?;
    let mut named = world.get_resource_or_init::<NamedSteps>();
    for key in keys(schedule) {
        if !before.contains(&key) {
            named.note(label.intern(), key, step, number);
        }
    }
    Ok(())
}

/// Lets a slot run only when the conditions of another hold. They are evaluated once for both, so they move to a set around the two.
fn share_conditions<S: ScheduleLabel + Copy>(
    world: &mut World,
    label: S,
    of: &str,
    slot: InternedSystemSet,
) -> Result<(), ScheduleError> {
    let of = world.resource::<SlotOrder<S>>().named(of)?.set;
    let is_there = world.resource::<SlotOrder<S>>().slots().iter();
    if !is_there.map(|there| there.set).any(|there| there == slot) {
        // It found no place, which was said.
        return Ok(());
    }
    with_schedule(world, label, |world, label, schedule| {
        let sets = &mut schedule.graph_mut().system_sets;
        // A condition is moved whole: before that, Bevy wants to have seen it where it was put.
        sets.initialize(world);
        let key = sets.get_key(of);
        let conditions = key.and_then(|key| sets.get_conditions_mut(key));
        let conditions = conditions.map(std::mem::take).unwrap_or_default();
        let names = world.get_resource_or_init::<ConditionNames>();
        if conditions.is_empty() && !names.shares(label.intern(), of) {
            return Err(ScheduleError::NoConditions {
                schedule: short_name::<S>(),
                slot: format!("{of:?}"),
            });
        }
        let around = Around(format!("{of:?}")).intern();
        let mut config = around.into_configs();
        for condition in conditions {
            config.run_if_dyn(condition.condition);
        }
        schedule.configure_sets(config);
        let mut names = world.get_resource_or_init::<ConditionNames>();
        for around in names.share(label.intern(), around, of, slot) {
            schedule.configure_sets((of.in_set(around), slot.in_set(around)));
        }
        Ok(())
    })
}

/// The slot of a step that a scene inserts.
#[derive(SystemSet, Clone, PartialEq, Eq, Hash)]
struct NamedSlot(String);

impl fmt::Debug for NamedSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A slot and those that share its conditions.
#[derive(SystemSet, Clone, Debug, PartialEq, Eq, Hash)]
struct Around(String);
