//! How often something is done in a run, or when.

use bevy_reflect::Reflect;

/// Steps or epochs between two times that something is done: in a scene `every: 5_000`, or `every: Epochs(50)`. At least 1. In a list
/// of times it is those from the beginning of the run.
///
/// ```
/// use yarak::prelude::*;
/// use yarak::schedule::Period;
///
/// let rarely = Evaluation { every: Period::Epochs(50), ..default() };
/// assert_eq!(rarely.every.to_string(), "Epochs(50)");
/// assert_eq!(Period::read("2_000"), Some(Period::Steps(2_000)));
/// assert_eq!(Period::read("Epochs(0)"), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Reflect)]
#[reflect(opaque)]
pub enum Period {
    /// Steps, as [`Clock::step`](crate::schedule::Clock::step) counts them.
    Steps(u64),
    /// Epochs, of [`Clock::steps_per_epoch`](crate::schedule::Clock::steps_per_epoch) gradient steps each.
    Epochs(u64),
}

impl Period {
    /// Reads it as a scene has it; `None` where the text is something else, or the number is 0.
    pub fn read(text: &str) -> Option<Self> {
        let text = text.trim();
        let inside = |name: &str| {
            let rest = text.strip_prefix(name)?.trim();
            Some(
                rest.strip_prefix('(')?
                    .strip_suffix(')')?
                    .trim()
                    .trim_end_matches(','),
            )
        };
        let (make, number): (fn(u64) -> Self, &str) = match (inside("Epochs"), inside("Steps")) {
            (Some(epochs), _) => (Self::Epochs, epochs),
            (_, Some(steps)) => (Self::Steps, steps),
            _ => (Self::Steps, text),
        };
        let number: u64 = number.replace('_', "").trim().parse().ok()?;
        (number > 0).then(|| make(number))
    }
}

impl From<u64> for Period {
    /// So many steps.
    fn from(steps: u64) -> Self {
        Period::Steps(steps)
    }
}

impl std::fmt::Display for Period {
    /// As a scene has it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Period::Steps(steps) => write!(f, "{steps}"),
            Period::Epochs(epochs) => write!(f, "Epochs({epochs})"),
        }
    }
}
