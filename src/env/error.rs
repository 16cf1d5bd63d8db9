//! All that can go wrong with an environment, each with its remedy.

use super::gymnasium::BridgeError;

/// Why an environment refused a name, an action, a call or a snapshot.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum EnvironmentError {
    /// No environment has this name.
    #[error(
        "there is no environment `{name}`{}; known are: {}",
        nearest.map(|nearest| format!(", did you mean `{nearest}`?")).unwrap_or_default(),
        known.join(", ")
    )]
    Unknown {
        /// The name that was asked for.
        name: String,
        /// The most similar known name, where one is similar at all.
        nearest: Option<&'static str>,
        /// Every known name.
        known: Vec<&'static str>,
    },

    /// An environment of MuJoCo cannot be made here.
    #[cfg(feature = "mujoco")]
    #[error(transparent)]
    Mujoco(#[from] super::mujoco::MujocoError),

    /// The action has the wrong number of elements.
    #[error(
        "{environment}: an action has {expected} number(s), this one has {found}; make the policy's output fit the action space"
    )]
    ActionLength {
        /// The environment's name.
        environment: String,
        /// The size of the action space.
        expected: usize,
        /// The length of the action.
        found: usize,
    },

    /// An element of the action is NaN or infinite.
    #[error(
        "{environment}: action[{index}] is {value}; actions must be finite, so look for a diverged policy before the environment"
    )]
    ActionNotFinite {
        /// The environment's name.
        environment: String,
        /// Which element.
        index: usize,
        /// Its value.
        value: f32,
    },

    /// A discrete action is not a whole number in `0..n`.
    #[error(
        "{environment}: {value} is not an action; it takes the whole numbers from 0 to {}",
        discrete_actions.saturating_sub(1)
    )]
    ActionIndex {
        /// The environment's name.
        environment: String,
        /// The action.
        value: f32,
        /// How many actions there are.
        discrete_actions: usize,
    },

    /// The buffer for the observation has the wrong length.
    #[error(
        "{environment}: an observation has {expected} number(s), the buffer for it has {found}; allocate `observation_space().size()`"
    )]
    ObservationLength {
        /// The environment's name.
        environment: String,
        /// The size of the observation space.
        expected: usize,
        /// The length of the buffer.
        found: usize,
    },

    /// Reset without a seed before any reset had one.
    #[error(
        "{environment}: the first reset needs a seed, or the run could not be repeated; call reset(Some(seed), ..) once"
    )]
    Unseeded {
        /// The environment's name.
        environment: String,
    },

    /// Asked for pictures of what has no drawing.
    #[error("{environment}: it cannot be drawn; implement `drawing` for it")]
    NotDrawn {
        /// The environment's name.
        environment: String,
    },

    /// Names for elements of an observation that do not make it up.
    #[error(
        "{environment}: its parts are not all that is observed, one behind the other in the alphabetical order of their names"
    )]
    BadParts {
        /// The environment's name.
        environment: String,
    },

    /// Stepped before the first reset.
    #[error("{environment}: no episode was started; call reset before step")]
    NotReset {
        /// The environment's name.
        environment: String,
    },

    /// Stepped after the episode's end.
    #[error(
        "{environment}: the episode is over; call reset after a step that was terminated or truncated"
    )]
    EpisodeOver {
        /// The environment's name.
        environment: String,
    },

    /// Python at the other end of the bridge.
    #[error(transparent)]
    Bridge(#[from] BridgeError),

    /// A snapshot does not fit this environment.
    #[error(
        "{environment}: cannot restore this snapshot: {problem}; restore one that the same environment took"
    )]
    Snapshot {
        /// The environment's name.
        environment: String,
        /// What is wrong with it.
        problem: String,
    },
}
