//! What can be wrong with a schedule, found before its first step.

use bevy_ecs::prelude::Resource;

/// What can be wrong with an edit or with the schedule that results.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// A name that is no slot of the schedule.
    #[error("`{schedule}` has no slot `{slot}`; its slots are, in order: {valid}")]
    UnknownSlot {
        /// The schedule.
        schedule: String,
        /// The name that was asked for.
        slot: String,
        /// The valid names.
        valid: String,
    },
    /// A replacement or a removal found nothing in its slot.
    #[error(
        "nothing to {edit} in slot `{slot}` of `{schedule}`: no system is there. Slots with systems: {filled}. \
         To put a step into an empty slot, use `add_systems({schedule}, step.in_set({slot}))`"
    )]
    NothingThere {
        /// `replace` or `remove`.
        edit: &'static str,
        /// The schedule.
        schedule: String,
        /// The empty slot.
        slot: String,
        /// The slots that have systems.
        filled: String,
    },
    /// A new slot has the name of one that is there.
    #[error("`{schedule}` has a slot `{slot}` already; name the new one otherwise")]
    SlotExists {
        /// The schedule.
        schedule: String,
        /// The name that is taken.
        slot: String,
    },
    /// A slot was to be moved before or after itself.
    #[error(
        "slot `{slot}` of `{schedule}` cannot be moved before or after itself; name another slot as the anchor"
    )]
    MovedToItself {
        /// The schedule.
        schedule: String,
        /// The slot.
        slot: String,
    },
    /// A step that nobody registered.
    #[error("there is no step `{step}`; registered steps: {valid}")]
    UnknownStep {
        /// The name that was asked for.
        step: String,
        /// The registered names.
        valid: String,
    },
    /// A step was given a period in a schedule that is not run once a gradient step.
    #[error("`{schedule}` does not run once a gradient step: only steps of `Learn` have a period")]
    NoPeriod {
        /// The schedule.
        schedule: String,
    },
    /// A slot was to run under the conditions of another, which has none.
    #[error("slot `{slot}` of `{schedule}` has no conditions that another could share")]
    NoConditions {
        /// The schedule.
        schedule: String,
        /// The slot.
        slot: String,
    },
    /// A step that learns was put where the number of times that it runs depends on when a run is stopped.
    #[error(
        "the step `{step}` changes {resources}, and `{schedule}` also runs where a run is stopped or ends: a resumed run would learn otherwise; put it into `Learn`"
    )]
    LearnsOutside {
        /// The step.
        step: String,
        /// The schedule.
        schedule: String,
        /// What it changes.
        resources: String,
    },
    /// A step reads what no step before it has written.
    #[error(
        "`{reader}` in slot `{slot}` of `{schedule}` reads `{resource}`, and {}",
        match writer {
            Some(writer) => format!("slot `{writer}`, which writes it, runs later: move that slot to the front"),
            None => "nothing in the schedule writes it: put a step that does before it".to_owned(),
        }
    )]
    ReadBeforeWritten {
        /// The schedule.
        schedule: String,
        /// The slot of the step that reads.
        slot: String,
        /// The step that reads.
        reader: String,
        /// The resource.
        resource: String,
        /// The slot of a later step that writes it.
        writer: Option<String>,
    },
    /// No step writes what the schedule's conditions count on.
    #[error(
        "no step of `{schedule}` writes `{resource}`, so nothing that counts on it would ever run: leave the step in slot `First` that does"
    )]
    NeverWritten {
        /// The schedule.
        schedule: String,
        /// The resource.
        resource: String,
    },
    /// A step that was inserted by name needs resources that no plugin of the app brings.
    #[error("the step `{step}` needs {resources}, and no plugin here brings that")]
    NotBrought {
        /// The step.
        step: String,
        /// The resources, such as `` `Net<Critic>` and `Dqn` ``.
        resources: String,
    },
    /// A system is in no slot, and conflicts with others, so nothing says when it runs.
    #[error(
        "`{step}` is in `{schedule}` in no slot, so nothing says when it runs: add it with `.in_set({schedule}Systems::..)`"
    )]
    InNoSlot {
        /// The schedule.
        schedule: String,
        /// The system.
        step: String,
    },
    /// Two systems of a slot have no order between them.
    #[error(transparent)]
    NoOrder(Box<Unordered>),
    /// Bevy could not build the schedule, such as for a cycle in its order.
    #[error(
        "`{schedule}` cannot be built: {cause}\nhelp: put the systems into different slots (`.in_set(..)`) or order them with `.before(..)` / `.after(..)`"
    )]
    Build {
        /// The schedule.
        schedule: String,
        /// Bevy's words, which name the systems.
        cause: String,
    },
    /// A plugin could not prepare what it stands for, such as an environment that did not start.
    #[error("{cause}")]
    Prepare {
        /// The plugin's words.
        cause: String,
    },
    /// What went wrong with an edit by name.
    #[error("{error}")]
    OfEdit {
        /// Its [`NamedEdit::number`](super::NamedEdit::number).
        number: usize,
        /// What went wrong.
        error: Box<ScheduleError>,
    },
}

/// Two systems of a slot that use the same resource, which one of them changes, and have no order between them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{}` and `{}` are both in slot `{slot}` of `{schedule}` and share {}, and nothing says which runs first: put one of them into another slot, or order the two with `.after(..)`",
    steps[0], steps[1], shared(about)
)]
pub struct Unordered {
    /// The schedule.
    pub schedule: String,
    /// The slot.
    pub slot: String,
    /// The two systems.
    pub steps: [String; 2],
    /// What they share, such as `Net<Actor>`. Empty: one of them takes the whole world.
    pub about: Vec<String>,
    /// What of it both change.
    pub both_write: Vec<String>,
}

fn shared(about: &[String]) -> String {
    match about {
        [] => "the whole world".to_owned(),
        names => names
            .iter()
            .map(|name| format!("`{name}`"))
            .collect::<Vec<_>>()
            .join(", "),
    }
}

impl ScheduleError {
    /// Says which edit by name it is about.
    pub(super) fn of_edit(self, number: usize) -> Self {
        ScheduleError::OfEdit {
            number,
            error: Box::new(self),
        }
    }
}

/// What went wrong when the schedules were finished. A run with any of these does not start.
#[derive(Resource, Default, Debug)]
pub struct ScheduleErrors(pub Vec<ScheduleError>);
