//! What an algorithm learns from, so that data that lack it are refused before the first step.

use bevy_app::App;
use bevy_ecs::prelude::*;

use super::hdf5::Layout;
use super::{Dones, Recorded};

/// What of its data an algorithm learns from.
#[derive(Resource, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LearnsFrom {
    /// Observations and actions alone: it imitates, and looks at neither rewards nor terminal steps.
    Actions,
    /// Rewards, and which steps are terminal, too. What says nothing counts as this.
    #[default]
    Rewards,
}

/// The name of a run's algorithm, as its scene has it.
#[derive(Resource, Clone, Debug)]
pub struct AlgorithmName(pub String);

/// Says what an algorithm learns from.
pub trait AppLearnsFromExt {
    /// The app's algorithm learns from this. Data without rewards or ends are refused, unless it is [`LearnsFrom::Actions`].
    ///
    /// ```
    /// use yarak::prelude::*;
    ///
    /// struct Imitate;
    ///
    /// impl Plugin for Imitate {
    ///     fn build(&self, app: &mut App) {
    ///         app.learns_from(LearnsFrom::Actions);
    ///     }
    /// }
    /// ```
    fn learns_from(&mut self, what: LearnsFrom) -> &mut Self;
}

impl AppLearnsFromExt for App {
    fn learns_from(&mut self, what: LearnsFrom) -> &mut Self {
        self.insert_resource(what)
    }
}

/// What a run asks of its data.
#[derive(Clone, Debug)]
pub(super) struct Needs {
    pub(super) learns_from: LearnsFrom,
    /// Who learns, in words.
    pub(super) who: String,
}

impl Needs {
    pub(super) fn of(learns_from: Option<&LearnsFrom>, algorithm: Option<&AlgorithmName>) -> Self {
        Self {
            learns_from: learns_from.copied().unwrap_or_default(),
            who: algorithm.map_or("this algorithm".to_owned(), |name| format!("`{}`", name.0)),
        }
    }

    /// What is not recorded and would be learned from, and the ways out; `None` where nothing lacks.
    pub(super) fn lacking(
        &self,
        layout: Layout,
        recorded: Recorded,
        dones: Dones,
    ) -> Option<Lacking> {
        if self.learns_from == LearnsFrom::Actions {
            return None;
        }
        let [rewards, ends] = layout.columns_of_rewards_and_ends();
        let what = match (recorded.rewards, recorded.ends) {
            (true, true) => return None,
            (false, true) => format!("no rewards (`{rewards}`)"),
            (true, false) => format!("no terminal steps (`{ends}`)"),
            (false, false) => {
                format!("neither rewards (`{rewards}`) nor terminal steps (`{ends}`)")
            }
        };
        let write = match (recorded.rewards, recorded.ends) {
            _ if layout == Layout::Ogbench => {
                "write D4RL's columns: `rewards`, `terminals` where the task is over, and `timeouts` in the place of OGBench's `terminals`".to_owned()
            }
            (false, false) => format!("write `{rewards}` and `{ends}` into the file"),
            (false, true) => format!("write `{rewards}` into the file"),
            _ => format!("write `{ends}` into the file, false where nothing terminates"),
        };
        let say = match (layout, recorded.ends, dones) {
            (Layout::Robomimic | Layout::Lerobot, false, Dones::Terminated) if recorded.rewards => {
                ", or say how demonstrations end with `dones: EndOfDemonstration` (cut off) or `dones: Both` (terminal)"
            }
            _ => "",
        };
        Some(Lacking {
            who: self.who.clone(),
            what,
            remedy: format!(
                "take `Bc`, which learns from observations and actions alone, or {write}{say}"
            ),
        })
    }
}

/// Columns that an algorithm learns from and a file does not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the file records {what}, and {who} learns from them; {remedy}")]
pub struct Lacking {
    who: String,
    what: String,
    remedy: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lacking(rewards: bool, ends: bool, dones: Dones) -> Option<String> {
        let needs = Needs::of(None, Some(&AlgorithmName("Td3Bc".to_owned())));
        let lacking = needs.lacking(Layout::Robomimic, Recorded { rewards, ends }, dones);
        lacking.map(|lacking| lacking.to_string())
    }

    #[test]
    fn what_lacks_is_named_with_the_way_out() {
        assert_eq!(lacking(true, true, Dones::Terminated), None);
        let both = lacking(false, false, Dones::Terminated).unwrap();
        for word in ["`rewards`", "`dones`", "`Td3Bc`", "`Bc`"] {
            assert!(both.contains(word), "{both}");
        }
        let ends = lacking(true, false, Dones::Terminated).unwrap();
        assert!(
            ends.contains("EndOfDemonstration") && !ends.contains("`rewards`"),
            "{ends}"
        );
    }

    #[test]
    fn who_learns_from_actions_alone_lacks_nothing() {
        let needs = Needs::of(Some(&LearnsFrom::Actions), None);
        let nothing = Recorded {
            rewards: false,
            ends: false,
        };
        assert_eq!(
            needs.lacking(Layout::D4rl, nothing, Dones::Terminated),
            None
        );
    }
}
