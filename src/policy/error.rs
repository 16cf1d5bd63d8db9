//! Why a policy does not load, or does not act.

use std::io;
use std::path::PathBuf;

use crate::checkpoint::CheckpointError;
use crate::data::ScaleError;

/// Why a policy does not load, or refuses an observation.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// Nothing is there.
    #[error(
        "{}: there is no such run or checkpoint; name a run's folder, or a checkpoint in it such as checkpoints/step_000020000", path.display()
    )]
    NotThere {
        /// The path that was given.
        path: PathBuf,
    },
    /// The checkpoint does not load.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Nothing acted in the run that was saved, or a yarak saved it that did not describe policies yet.
    #[error(
        "{checkpoint}: it does not say which network acts; play it with `yarak eval`, or resume its run for a step with this version, which writes it down"
    )]
    NotDescribed {
        /// The checkpoint.
        checkpoint: String,
    },
    /// The run's policy is more than this type can be.
    #[error(
        "{checkpoint}: {why}; play it with `yarak eval` or in an app with its algorithm's plugin"
    )]
    NotPortable {
        /// The checkpoint.
        checkpoint: String,
        /// What it would take.
        why: String,
    },
    /// Parts of the checkpoint that do not fit each other.
    #[error(
        "{checkpoint}: {what}; its files are not those of one run: copy the whole folder again"
    )]
    Inconsistent {
        /// The checkpoint.
        checkpoint: String,
        /// What does not fit.
        what: String,
    },
    /// Its encoder is none that this program has.
    #[error("{checkpoint}: the policy cannot be made: {why}")]
    Encoder {
        /// The checkpoint.
        checkpoint: String,
        /// What is wrong.
        why: String,
    },
    /// A weight that is NaN or infinite.
    #[error(
        "{checkpoint}: the policy's network holds {value}, so the run has diverged; take an earlier checkpoint"
    )]
    NotFinite {
        /// The checkpoint.
        checkpoint: String,
        /// The value.
        value: f32,
    },
    /// A file that is no policy's.
    #[error(
        "{place}: not a policy: {what}; name a run, a checkpoint, or a file that `yarak export` wrote"
    )]
    NotAPolicy {
        /// The file.
        place: String,
        /// What is wrong with it.
        what: String,
    },
    /// There is something where a policy was to be written.
    #[error("{}: there is something already; choose another name, or give --force to replace it", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("{}: the policy's file cannot be read or written", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Statistics of observations that cannot be applied.
    #[error("{checkpoint}: its preprocessing is broken")]
    Preprocessing {
        /// The checkpoint.
        checkpoint: String,
        /// Why.
        source: ScaleError,
    },
    /// An observation of another length.
    #[error(
        "the policy takes observations of {expected} number(s), this one has {found}; give them in the order in which the environment of its training shows them"
    )]
    ObservationLength {
        /// What it was trained on.
        expected: usize,
        /// What it was given.
        found: usize,
    },
    /// Not the observations that a policy acts on whose memory resets.
    #[error(
        "the policy acts on the observations since its memory began anew, 1 to {most} of them with {one} number(s) each{}, and is given {found} number(s); `next_action` keeps them",
        if *takes_goal { " and the goal behind them" } else { "" }
    )]
    ObservationsSinceReset {
        /// The most observations.
        most: usize,
        /// Numbers in one.
        one: usize,
        /// Whether it acts towards a goal.
        takes_goal: bool,
        /// What it was given.
        found: usize,
    },
    /// An observation that is NaN or infinite. A sensor has failed, and whoever acts must not.
    #[error("observation[{index}] is {value}; the policy acts on finite numbers alone")]
    ObservationNotFinite {
        /// Which element.
        index: usize,
        /// Its value.
        value: f32,
    },
    /// A buffer for actions of another length.
    #[error(
        "{rows} observation(s) lead to {expected} number(s) of actions, and there is room for {found}"
    )]
    ActionLength {
        /// Observations given.
        rows: usize,
        /// Numbers that come out.
        expected: usize,
        /// Room given.
        found: usize,
    },
    /// An action of another length.
    #[error("an action has {expected} number(s), this one has {found}")]
    ActionOfLength {
        /// What it acts with.
        expected: usize,
        /// What was given.
        found: usize,
    },
    /// An action that is NaN or infinite.
    #[error("action[{index}] is {value}; actions are finite numbers")]
    ActionNotFinite {
        /// Which element.
        index: usize,
        /// Its value.
        value: f32,
    },
    /// No discrete action has this index.
    #[error("the action is {value}, and the actions are 0 to {last}")]
    NoSuchAction {
        /// What was given.
        value: f32,
        /// The greatest index.
        last: usize,
    },
    /// There are no values of actions.
    #[error("there is no Q of it: {why}")]
    NoActionValues {
        /// Why.
        why: String,
    },
    /// There are no values of states.
    #[error("there is no V of it: {why}")]
    NoStateValues {
        /// Why.
        why: String,
    },
    /// A choice was asked of a policy whose actions are real numbers.
    #[error("the policy's actions are {action} real number(s) and no choice; call `act`")]
    NotAChoice {
        /// The width of its actions.
        action: usize,
    },
}

impl PolicyError {
    /// Whether the user's input was wrong (exit status 2) rather than the system (exit status 1).
    pub fn is_users_mistake(&self) -> bool {
        match self {
            PolicyError::Checkpoint(error) => error.is_users_mistake(),
            PolicyError::Io { .. } => false,
            _ => true,
        }
    }
}
