//! What can go wrong while collecting.

use crate::data::ScaleError;
use crate::env::EnvironmentError;

/// Why environments cannot take a step together.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CollectError {
    /// An environment refused.
    #[error(transparent)]
    Environment(#[from] EnvironmentError),
    /// Actions of another width than the action space.
    #[error(
        "{environment}: the policy's actions have {found} column(s) and the action space {expected}; write `[environments, {expected}]` into `Actions`"
    )]
    ActionWidth {
        /// The environment.
        environment: String,
        /// The size of the action space.
        expected: usize,
        /// The columns given.
        found: usize,
    },
    /// An entity's observation of another width than the observation space.
    #[error(
        "environment {row}: its `Observation` has {found} element(s) and the observation space {expected}; its step and its restart must write {expected}"
    )]
    ObservationWidth {
        /// The environment.
        row: usize,
        /// The size of the observation space.
        expected: usize,
        /// The elements found.
        found: usize,
    },
    /// Rows that are not 0 to n, each once.
    #[error(
        "there are {expected} environments, and {found} entities with an `EnvironmentRow`{}; spawn one for each row from 0 to {}",
        row.map(|row| format!(", of which none has row {row}")).unwrap_or_default(),
        expected.saturating_sub(1)
    )]
    Rows {
        /// How many environments there are to be.
        expected: usize,
        /// How many entities there are.
        found: usize,
        /// The first row that nobody has.
        row: Option<usize>,
    },
    /// An entity beyond the rows.
    #[error(
        "an entity has `EnvironmentRow {{ row: {row} }}`, and there are {rows} environments, rows 0 to {}: give it the row of one that is gone, or raise `num_envs`",
        rows.saturating_sub(1)
    )]
    RowBeyond {
        /// The entity's row.
        row: usize,
        /// How many rows there are.
        rows: usize,
    },
    /// Two entities of one row.
    #[error(
        "two entities have `EnvironmentRow {{ row: {row} }}`: each row is one environment's, so despawn the former or give one of them another row"
    )]
    RowTwice {
        /// The row.
        row: usize,
    },
    /// A thread that steps environments panicked.
    #[error(
        "the thread that steps environments {first} to {last} is gone; its own message is above, and a run with --threads 1 says more"
    )]
    WorkerEnded {
        /// The first environment of the thread.
        first: usize,
        /// The last one.
        last: usize,
    },
    /// Actions that cannot be rescaled.
    #[error("{environment}: {error}")]
    Scale {
        /// The environment.
        environment: String,
        /// Why.
        error: ScaleError,
    },
}
