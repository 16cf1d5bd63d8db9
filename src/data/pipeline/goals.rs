//! Goals: what an episode came to, given to the networks beforehand.

use bevy_app::{App, Plugin};
use bevy_ecs::prelude::*;
use bevy_reflect::Reflect;

use super::Order;
use crate::data::Transitions;

/// Where the goal of a transition comes from (robomimic's `goal_mode`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Reflect)]
pub enum GoalMode {
    /// The last observation of its episode, which is the next observation of the episode's last row.
    Last,
}

/// Appends a goal to every observation that networks see. An algorithm adds it with what its settings say; `None` adds nothing.
///
/// Networks are then built for inputs `[observation, goal]`, which [`Preprocessing::widths`](crate::data::Preprocessing::widths) counts,
/// and [`Batch`](super::Batch) has them. A goal is normalized as observations are. Where the policy acts, `goal` of
/// [`Evaluation`](crate::evaluate::Evaluation) and [`Environments`](crate::collect::Environments) says what it is to come to.
///
/// ```
/// use yarak::prelude::*;
/// use yarak::data::Goals;
///
/// let mut app = App::new();
/// app.add_plugins(GoalPlugin { mode: Some(GoalMode::Last) });
/// assert!(app.world().contains_resource::<Goals>());
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct GoalPlugin {
    /// Where goals come from.
    pub mode: Option<GoalMode>,
}

impl Plugin for GoalPlugin {
    fn build(&self, app: &mut App) {
        if let Some(mode) = self.mode {
            app.insert_resource(Goals { mode });
        }
    }
}

/// That networks are given goals.
#[derive(Resource, Clone, Copy, Debug, PartialEq)]
pub struct Goals {
    /// Where they come from.
    pub mode: GoalMode,
}

impl Goals {
    /// For each transition the row whose next observation is its goal, `[N]`.
    pub fn rows(self, transitions: &Transitions) -> Vec<u32> {
        let GoalMode::Last = self.mode;
        let last = transitions
            .episodes()
            .iter()
            // `Transitions` holds at most `u32::MAX` rows.
            .map(|episode| (episode.rows.len(), (episode.rows.end - 1) as u32));
        last.flat_map(|(rows, last)| std::iter::repeat_n(last, rows))
            .collect()
    }

    /// The row whose next observation is a row's goal.
    pub(super) fn row(self, order: &impl Order, row: usize) -> usize {
        let GoalMode::Last = self.mode;
        order.last(row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Column, Episode, EpisodeEnd, Parts};

    #[test]
    fn every_row_of_an_episode_has_its_last_row_as_goal() {
        let column = Column {
            values: vec![0.0; 6],
            width: 1,
        };
        let transitions = Transitions::new(Parts {
            observation: column.clone().into(),
            action: column.clone(),
            reward: vec![0.0; 6],
            next_observation: column.into(),
            terminated: vec![false, false, true, false, false, false],
            episodes: [
                (0..3, EpisodeEnd::Terminated),
                (3..4, EpisodeEnd::Truncated),
                (4..6, EpisodeEnd::Unfinished),
            ]
            .map(|(rows, end)| Episode { rows, end })
            .to_vec(),
        })
        .unwrap();
        let goals = Goals {
            mode: GoalMode::Last,
        };
        assert_eq!(goals.rows(&transitions), [2, 2, 2, 3, 5, 5]);
    }
}
