//! What a file records next to observations and actions.

/// Whether rewards and ends were recorded. Where they were not, rewards are read as zeros and no step as terminal, which is right for
/// an algorithm that looks at neither and wrong for every other one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Whether every step has a reward.
    pub rewards: bool,
    /// Whether it is known which steps are terminal.
    pub ends: bool,
}

impl Recorded {
    /// Rewards and ends.
    pub const ALL: Self = Self {
        rewards: true,
        ends: true,
    };

    /// What is missing, in words: `rewards`, `ends of episodes`, or both; `None` where nothing is.
    pub fn missing(self) -> Option<&'static str> {
        match (self.rewards, self.ends) {
            (true, true) => None,
            (false, true) => Some("rewards"),
            (true, false) => Some("ends of episodes"),
            (false, false) => Some("rewards and no ends of episodes"),
        }
    }
}

impl Default for Recorded {
    fn default() -> Self {
        Self::ALL
    }
}
