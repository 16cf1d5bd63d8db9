//! The names of yarak's schedules.

use std::fmt;

use bevy_ecs::prelude::World;
use bevy_ecs::schedule::{InternedScheduleLabel, ScheduleLabel};

use super::{Collect, Evaluate, Learn, Prepare, Report, Save, SlotOrder, Validate};

/// One of yarak's schedules, for whoever has its name and not its type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum TrainingSchedule {
    /// [`Collect`](super::Collect).
    Collect,
    /// [`Prepare`](super::Prepare).
    Prepare,
    /// [`Learn`](super::Learn).
    #[default]
    Learn,
    /// [`Validate`](super::Validate).
    Validate,
    /// [`Evaluate`](super::Evaluate).
    Evaluate,
    /// [`Report`](super::Report).
    Report,
    /// [`Save`](super::Save).
    Save,
}

impl TrainingSchedule {
    /// All of them, in the order in which they run.
    pub const ALL: [Self; 7] = [
        Self::Collect,
        Self::Prepare,
        Self::Learn,
        Self::Validate,
        Self::Evaluate,
        Self::Report,
        Self::Save,
    ];

    /// The schedule of that name.
    ///
    /// ```
    /// use yarak::schedule::TrainingSchedule;
    ///
    /// assert_eq!(TrainingSchedule::named("Evaluate"), Some(TrainingSchedule::Evaluate));
    /// assert_eq!(TrainingSchedule::named("Update"), None);
    /// ```
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|schedule| schedule.to_string() == name)
    }

    /// Its label.
    pub(super) fn label(self) -> InternedScheduleLabel {
        match self {
            Self::Collect => Collect.intern(),
            Self::Prepare => Prepare.intern(),
            Self::Learn => Learn.intern(),
            Self::Validate => Validate.intern(),
            Self::Evaluate => Evaluate.intern(),
            Self::Report => Report.intern(),
            Self::Save => Save.intern(),
        }
    }

    /// The names of its slots in order; empty where the app has no such schedule.
    pub fn slots(self, world: &World) -> Vec<String> {
        match self {
            Self::Collect => slots_of::<Collect>(world),
            Self::Prepare => slots_of::<Prepare>(world),
            Self::Learn => slots_of::<Learn>(world),
            Self::Validate => slots_of::<Validate>(world),
            Self::Evaluate => slots_of::<Evaluate>(world),
            Self::Report => slots_of::<Report>(world),
            Self::Save => slots_of::<Save>(world),
        }
    }
}

impl fmt::Display for TrainingSchedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{self:?}"))
    }
}

fn slots_of<S: Send + Sync + 'static>(world: &World) -> Vec<String> {
    let order = world.get_resource::<SlotOrder<S>>();
    order.map_or(Vec::new(), |order| {
        order.names().map(str::to_owned).collect()
    })
}
