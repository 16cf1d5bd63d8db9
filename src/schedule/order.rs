//! The order of a schedule's slots, as data.
//!
//! Bevy can add an ordering between sets and can never take one back. So the order is a list that users and scenes edit,
//! and it becomes an ordering once, when the app is finished.

use std::marker::PhantomData;

use bevy_ecs::prelude::Resource;
use bevy_ecs::schedule::{InternedSystemSet, SystemSet};

use super::{Learn, ScheduleError};

/// The order of the slots inside [`Learn`].
pub type LearnOrder = SlotOrder<Learn>;

/// A place in a schedule that systems are in: its set, and the name that messages and scenes use for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// The set.
    pub set: InternedSystemSet,
    /// The set's name: `Actor` for `LearnSystems::Actor`, the type's name for a set of your own.
    pub name: String,
}

impl Slot {
    /// The slot that a set stands for.
    pub fn new(set: impl SystemSet) -> Self {
        Slot {
            name: format!("{set:?}"),
            set: set.intern(),
        }
    }
}

/// The slots of schedule `S` in the order in which they run.
///
/// ```
/// use yarak::prelude::*;
/// use yarak::schedule::{LearnOrder, SchedulePlugin};
///
/// let mut app = App::new();
/// app.add_plugins(SchedulePlugin);
/// let order: Vec<&str> = app.world().resource::<LearnOrder>().names().collect();
/// assert_eq!(order, ["First", "Sample", "Critic", "Actor", "Targets", "Rates", "Measure", "Last"]);
/// ```
#[derive(Resource, Debug)]
pub struct SlotOrder<S: Send + Sync + 'static> {
    slots: Vec<Slot>,
    schedule: PhantomData<S>,
}

impl<S: Send + Sync + 'static> SlotOrder<S> {
    /// The given sets, in order.
    pub fn new<T: SystemSet>(sets: impl IntoIterator<Item = T>) -> Self {
        SlotOrder {
            slots: sets.into_iter().map(Slot::new).collect(),
            schedule: PhantomData,
        }
    }

    /// The slots in order.
    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// The slots' names in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.slots.iter().map(|slot| slot.name.as_str())
    }

    /// The slot of that name.
    ///
    /// # Errors
    /// [`ScheduleError::UnknownSlot`], which lists the valid names.
    pub fn named(&self, name: &str) -> Result<&Slot, ScheduleError> {
        self.slots
            .iter()
            .find(|slot| slot.name == name)
            .ok_or_else(|| self.unknown(name))
    }

    /// Puts a new slot directly after `anchor`.
    ///
    /// # Errors
    /// When there is no slot `anchor`, or the new one is in the order already.
    pub fn insert_after(&mut self, anchor: &Slot, slot: Slot) -> Result<(), ScheduleError> {
        let place = self.place(anchor)?;
        self.insert(place + 1, slot)
    }

    /// Puts a new slot directly before `anchor`.
    ///
    /// # Errors
    /// When there is no slot `anchor`, or the new one is in the order already.
    pub fn insert_before(&mut self, anchor: &Slot, slot: Slot) -> Result<(), ScheduleError> {
        let place = self.place(anchor)?;
        self.insert(place, slot)
    }

    /// Moves a slot directly before `anchor`.
    ///
    /// # Errors
    /// When one of the two is not a slot of this schedule, or both are the same.
    pub fn move_before(&mut self, slot: &Slot, anchor: &Slot) -> Result<(), ScheduleError> {
        let (from, _) = self.pair(slot, anchor)?;
        let moved = self.slots.remove(from);
        let to = self.place(anchor)?;
        self.slots.insert(to, moved);
        Ok(())
    }

    /// Moves a slot directly after `anchor`.
    ///
    /// # Errors
    /// When one of the two is not a slot of this schedule, or both are the same.
    pub fn move_after(&mut self, slot: &Slot, anchor: &Slot) -> Result<(), ScheduleError> {
        let (from, _) = self.pair(slot, anchor)?;
        let moved = self.slots.remove(from);
        let to = self.place(anchor)?;
        self.slots.insert(to + 1, moved);
        Ok(())
    }

    fn pair(&self, slot: &Slot, anchor: &Slot) -> Result<(usize, usize), ScheduleError> {
        if slot == anchor {
            return Err(ScheduleError::MovedToItself {
                schedule: self.schedule_name(),
                slot: slot.name.clone(),
            });
        }
        Ok((self.place(slot)?, self.place(anchor)?))
    }

    fn insert(&mut self, place: usize, slot: Slot) -> Result<(), ScheduleError> {
        if self.slots.iter().any(|there| there.name == slot.name) {
            return Err(ScheduleError::SlotExists {
                schedule: self.schedule_name(),
                slot: slot.name,
            });
        }
        self.slots.insert(place, slot);
        Ok(())
    }

    fn place(&self, slot: &Slot) -> Result<usize, ScheduleError> {
        self.slots
            .iter()
            .position(|there| there == slot)
            .ok_or_else(|| self.unknown(&slot.name))
    }

    fn unknown(&self, name: &str) -> ScheduleError {
        ScheduleError::UnknownSlot {
            schedule: self.schedule_name(),
            slot: name.to_owned(),
            valid: self.names().collect::<Vec<_>>().join(", "),
        }
    }

    fn schedule_name(&self) -> String {
        short_name::<S>()
    }
}

/// A type's name without its path.
pub(crate) fn short_name<T: ?Sized>() -> String {
    disqualified::ShortName::of::<T>().to_string()
}
