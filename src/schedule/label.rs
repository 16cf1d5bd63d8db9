//! The schedules and their slots, by name.

use bevy_ecs::schedule::{ScheduleLabel, SystemSet};

use super::TrainingSchedule;

/// One step of every environment. Online only.
#[derive(ScheduleLabel, Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Collect;

/// The slots of [`Collect`].
#[derive(SystemSet, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CollectSystems {
    /// The policy chooses actions.
    Act,
    /// The environments take them.
    Step,
    /// What happened goes into the buffer.
    Record,
}

/// Once a round, between collecting, if anything is collected, and learning: on-policy returns, advantages and minibatches.
#[derive(ScheduleLabel, Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Prepare;

/// The slots of [`Prepare`].
#[derive(SystemSet, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PrepareSystems {
    /// Returns and advantages.
    Advantages,
    /// The round's rows, cut into minibatches.
    Shuffle,
}

/// One gradient step.
#[derive(ScheduleLabel, Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Learn;

/// The slots of [`Learn`], in the default order (which [`LearnOrder`](super::LearnOrder) holds as data).
#[derive(SystemSet, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LearnSystems {
    /// Counters rise. Users may add to it.
    First,
    /// A minibatch is drawn.
    Sample,
    /// The critic's gradient step.
    Critic,
    /// The actor's gradient step, delayed where the algorithm says so.
    Actor,
    /// Targets follow their networks.
    Targets,
    /// Learning rates move to the next step's values.
    Rates,
    /// Your own metrics: whatever is worth knowing about the step that was taken.
    Measure,
    /// Empty: for users.
    Last,
}

/// The losses on held-out rows, with nothing updated: once for each part of the rows ([`validate`](super::validate)).
#[derive(ScheduleLabel, Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Validate;

/// The slots of [`Validate`].
#[derive(SystemSet, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ValidateSystems {
    /// The held-out rows are put in place.
    Sample,
    /// The same losses as in training are computed and recorded under `validate/`.
    Losses,
    /// What else is worth knowing about the rows: how the policy acts on them, and your own metrics.
    Measure,
}

/// Episodes with the deterministic policy, on seeds of their own.
#[derive(ScheduleLabel, Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Evaluate;

/// The slots of [`Evaluate`].
#[derive(SystemSet, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EvaluateSystems {
    /// Statistics that move in training are held still.
    Freeze,
    /// Episodes are played.
    Play,
    /// Returns become scores.
    Score,
}

/// Metrics are read back from the device and written.
#[derive(ScheduleLabel, Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Report;

/// The slots of [`Report`].
#[derive(SystemSet, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReportSystems {
    /// Device scalars become numbers: the only place where they do.
    Read,
    /// Sinks write them.
    Write,
}

/// A checkpoint is made.
#[derive(ScheduleLabel, Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Save;

/// The slots of [`Save`].
#[derive(SystemSet, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SaveSystems {
    /// Everything that persists is copied to the host.
    Gather,
    /// The copy goes to the writer's thread.
    Write,
    /// Empty: for users. Old checkpoints are dropped by the writer, after the new one is safe.
    Prune,
}

/// Every slot of every schedule in the default order: the schedule, the slot, and what happens in it.
pub const SLOTS: [(TrainingSchedule, &str, &str); 24] = [
    (
        TrainingSchedule::Collect,
        "Act",
        "the policy chooses actions",
    ),
    (
        TrainingSchedule::Collect,
        "Step",
        "the environments take them",
    ),
    (
        TrainingSchedule::Collect,
        "Record",
        "what happened goes into the buffer",
    ),
    (
        TrainingSchedule::Prepare,
        "Advantages",
        "returns and advantages",
    ),
    (
        TrainingSchedule::Prepare,
        "Shuffle",
        "the round's rows, cut into minibatches",
    ),
    (TrainingSchedule::Learn, "First", "counters rise"),
    (TrainingSchedule::Learn, "Sample", "a minibatch is drawn"),
    (
        TrainingSchedule::Learn,
        "Critic",
        "the critic's gradient step",
    ),
    (
        TrainingSchedule::Learn,
        "Actor",
        "the actor's gradient step, delayed where the algorithm says so",
    ),
    (
        TrainingSchedule::Learn,
        "Targets",
        "targets follow their networks",
    ),
    (
        TrainingSchedule::Learn,
        "Rates",
        "learning rates move to the next step's values",
    ),
    (TrainingSchedule::Learn, "Measure", "your own metrics"),
    (TrainingSchedule::Learn, "Last", "empty: for you"),
    (
        TrainingSchedule::Validate,
        "Sample",
        "the held-out rows are put in place",
    ),
    (
        TrainingSchedule::Validate,
        "Losses",
        "the same losses as in training are recorded under `validate/`",
    ),
    (
        TrainingSchedule::Validate,
        "Measure",
        "how the policy acts on the rows, and your own metrics",
    ),
    (
        TrainingSchedule::Evaluate,
        "Freeze",
        "statistics that move in training are held still",
    ),
    (TrainingSchedule::Evaluate, "Play", "episodes are played"),
    (TrainingSchedule::Evaluate, "Score", "returns become scores"),
    (
        TrainingSchedule::Report,
        "Read",
        "metrics are read back from the device",
    ),
    (TrainingSchedule::Report, "Write", "sinks write them"),
    (
        TrainingSchedule::Save,
        "Gather",
        "everything that persists is copied to the host",
    ),
    (
        TrainingSchedule::Save,
        "Write",
        "the copy goes to the writer's thread",
    ),
    (TrainingSchedule::Save, "Prune", "empty: for you"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::SchedulePlugin;

    #[test]
    fn the_list_of_slots_is_the_order_that_the_schedules_have() {
        let mut app = bevy_app::App::new();
        app.add_plugins(SchedulePlugin);
        let listed: Vec<_> = SLOTS
            .map(|(schedule, slot, _)| (schedule, slot.to_owned()))
            .into();
        let there: Vec<_> = TrainingSchedule::ALL
            .into_iter()
            .flat_map(|schedule| {
                let slots = schedule.slots(app.world());
                slots.into_iter().map(move |slot| (schedule, slot))
            })
            .collect();
        assert_eq!(listed, there);
    }
}
