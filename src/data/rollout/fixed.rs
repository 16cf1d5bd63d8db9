//! A fixed rollout: rows to learn from, without an environment.

use std::sync::Arc;

use bevy_app::{App, Plugin};

use super::RolloutBuffer;
use super::buffer::Given;
use crate::data::pipeline::{InMemory, Pipeline};
use crate::data::{
    ActionScale, Column, EpisodeEnd, Folding, Normalizer, Preprocessing, Spaces, Split, Transitions,
};
use crate::env::Space;
use crate::schedule::InputError;

/// A fixed rollout: rows to learn from, with or without what is usually computed of them: on-policy algorithms then train without an
/// environment, one round of the same rows after the other. Rows for the next round come in with
/// `app.insert_resource(RolloutBuffer::fixed(rows)?)`.
///
/// Actions are as the policy would give them: numbers in [-1, 1], or the indices of discrete actions. Observations are as networks see them.
///
/// ```
/// use yarak::prelude::*;
/// use yarak::data::{Column, FixedRollout};
/// use yarak::schedule::{FacilitatorPlugin, Outcome, SchedulePlugin};
///
/// let column = |values: &[f32], width| Column { values: values.to_vec(), width };
/// let rows = FixedRollout {
///     advantage: Some(vec![1.0, -1.0]),
///     ..FixedRollout::new(column(&[0.1, 0.2, 0.3, 0.4], 2), column(&[0.0, 1.0], 1), vec![1.0, 0.0])
/// };
/// let mut app = App::new();
/// app.add_plugins((SchedulePlugin, FacilitatorPlugin))
///     .init_resource::<Metrics>()
///     .insert_resource(ComputeDevice::cpu())
///     .add_plugins(rows.of_discrete_actions(2))
///     .add_plugins(Reinforce::default());
/// app.world_mut().resource_mut::<Clock>().steps = 3;
/// app.finish();
/// app.update();
/// assert_eq!(app.world().resource::<Training>().outcome, Some(Outcome::Finished));
/// ```
#[derive(Clone, Debug)]
pub struct FixedRollout {
    /// s, `[rows, observation]`.
    pub observation: Column,
    /// a, `[rows, action]`.
    pub action: Column,
    /// r, `[rows]`.
    pub reward: Vec<f32>,
    /// The rows after which nothing follows, `[rows]`. `None`: only the last.
    pub terminated: Option<Vec<bool>>,
    /// The rows after which another episode follows although the task went on, `[rows]`: all of them where rows have nothing to do
    /// with each other. `None`: nowhere.
    pub truncated: Option<Vec<bool>>,
    /// s', `[rows, observation]`: what truncated rows are bootstrapped from, and the last.
    pub next_observation: Option<Column>,
    /// ln π(a|s) of the policy that chose, `[rows]`. `None`: the learner's own, when a round is prepared.
    pub log_probability: Option<Vec<f32>>,
    /// V(s), `[rows]`. `None`: the critic's, when a round is prepared.
    pub value: Option<Vec<f32>>,
    /// A(s, a), `[rows]`. `None`: estimated from rewards and values.
    pub advantage: Option<Vec<f32>>,
    /// What V(s) is to become, `[rows]`. `None`: A + V.
    pub returns: Option<Vec<f32>>,
}

/// Why these rows are no rollout.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FixedRolloutError {
    /// A column has another length.
    #[error(
        "the given `{column}` has {found} row(s), and `observation` {expected}: give one for each"
    )]
    Rows {
        /// The column.
        column: &'static str,
        /// The rows of the observations.
        expected: usize,
        /// The rows of the column.
        found: usize,
    },
    /// The next observations are of another width than the observations.
    #[error("the given `next_observation` has {found} column(s), and `observation` {expected}")]
    Width {
        /// The columns of the observations.
        expected: usize,
        /// The columns of the next observations.
        found: usize,
    },
    /// A number is none to learn from.
    #[error("the given `{column}` has a NaN or an infinity in row {row}")]
    NotFinite {
        /// The column.
        column: &'static str,
        /// The row.
        row: usize,
    },
    /// An action is none of the discrete actions.
    #[error(
        "the given `action` of row {row} is none of {discrete_actions} discrete actions, which are counted from 0, one column"
    )]
    NoSuchAction {
        /// The row.
        row: usize,
        /// How many discrete actions there are.
        discrete_actions: usize,
    },
    /// Somewhere there is no next value.
    #[error(
        "row {0} ends no episode, and what comes after it is not given: give `next_observation`, or the `advantage` of each row"
    )]
    NoNext(usize),
}

impl FixedRollout {
    /// Rows of one episode that ends with the last.
    pub fn new(observation: Column, action: Column, reward: Vec<f32>) -> Self {
        FixedRollout {
            observation,
            action,
            reward,
            terminated: None,
            truncated: None,
            next_observation: None,
            log_probability: None,
            value: None,
            advantage: None,
            returns: None,
        }
    }

    /// Whether every action is one of `discrete_actions`.
    fn check_discrete_actions(&self, discrete_actions: usize) -> Result<(), FixedRolloutError> {
        let is_none = |value: &f32| !(0..discrete_actions).any(|choice| choice as f32 == *value);
        let row = match self.action.width {
            1 => self.action.values.iter().position(is_none),
            _ => Some(0),
        };
        row.map_or(Ok(()), |row| {
            Err(FixedRolloutError::NoSuchAction {
                row,
                discrete_actions,
            })
        })
    }

    /// Whether everything is a finite number.
    fn check_finite(&self) -> Result<(), FixedRolloutError> {
        let vector = |values: &Option<Vec<f32>>| values.clone().unwrap_or_default();
        let next = self.next_observation.as_ref();
        for (column, values, width) in [
            (
                "observation",
                self.observation.values.clone(),
                self.observation.width,
            ),
            ("action", self.action.values.clone(), self.action.width),
            ("reward", self.reward.clone(), 1),
            (
                "next_observation",
                next.map_or_else(Vec::new, |next| next.values.clone()),
                self.observation.width,
            ),
            ("log_probability", vector(&self.log_probability), 1),
            ("value", vector(&self.value), 1),
            ("advantage", vector(&self.advantage), 1),
            ("returns", vector(&self.returns), 1),
        ] {
            if let Some(place) = values.iter().position(|value| !value.is_finite()) {
                let row = place / width.max(1);
                return Err(FixedRolloutError::NotFinite { column, row });
            }
        }
        Ok(())
    }

    /// A plugin that trains on them, with `n` discrete actions.
    pub fn of_discrete_actions(self, n: usize) -> FixedRolloutPlugin {
        FixedRolloutPlugin {
            rows: self,
            discrete_actions: Some(n),
        }
    }

    /// A plugin that trains on them, whose actions are numbers.
    pub fn of_numbers(self) -> FixedRolloutPlugin {
        FixedRolloutPlugin {
            rows: self,
            discrete_actions: None,
        }
    }
}

/// Lets an on-policy algorithm train on [`FixedRollout`]. Add it before the algorithm.
#[derive(Clone, Debug)]
pub struct FixedRolloutPlugin {
    rows: FixedRollout,
    discrete_actions: Option<usize>,
}

impl Plugin for FixedRolloutPlugin {
    fn build(&self, app: &mut App) {
        let (observation, action) = (self.rows.observation.width, self.rows.action.width);
        app.insert_resource(Preprocessing::new(
            Normalizer::identity(observation),
            ActionScale::identity(action),
        ));
        if let Some(n) = self.discrete_actions {
            app.insert_resource(Spaces {
                environment: "a fixed rollout".to_owned(),
                observation: Space::from_bounds(&vec![(f32::MIN, f32::MAX); observation]),
                action: Space::Discrete { n },
            });
        }
        let discrete_actions = self
            .discrete_actions
            .map_or(Ok(()), |n| self.rows.check_discrete_actions(n));
        match discrete_actions.and_then(|()| RolloutBuffer::fixed(&self.rows)) {
            Ok(rollout) => {
                app.insert_resource(rollout);
            }
            Err(error) => {
                let refuse = move || -> bevy_ecs::error::Result {
                    Err(InputError::new(error.clone()).into())
                };
                app.add_systems(bevy_app::PreStartup, refuse);
            }
        }
    }
}

impl RolloutBuffer {
    /// The given rows as one round of one environment.
    ///
    /// # Errors
    /// Columns of different lengths, or a row that would be bootstrapped from a next observation that is not given.
    pub fn fixed(rows: &FixedRollout) -> Result<Self, FixedRolloutError> {
        let n = rows.observation.rows();
        let mut lengths = vec![
            ("action", rows.action.rows()),
            ("reward", rows.reward.len()),
        ];
        let flags = [
            ("terminated", &rows.terminated),
            ("truncated", &rows.truncated),
        ];
        lengths.extend(
            flags
                .iter()
                .filter_map(|(name, it)| Some((*name, it.as_ref()?.len()))),
        );
        let next = rows
            .next_observation
            .as_ref()
            .map(|next| ("next_observation", next.rows()));
        lengths.extend(next);
        let vectors = [
            ("log_probability", &rows.log_probability),
            ("value", &rows.value),
            ("advantage", &rows.advantage),
            ("returns", &rows.returns),
        ];
        lengths.extend(
            vectors
                .iter()
                .filter_map(|(name, it)| Some((*name, it.as_ref()?.len()))),
        );
        if let Some((column, found)) = lengths.into_iter().find(|(_, found)| *found != n) {
            return Err(FixedRolloutError::Rows {
                column,
                expected: n,
                found,
            });
        }
        if let Some(next) = &rows.next_observation
            && next.width != rows.observation.width
        {
            return Err(FixedRolloutError::Width {
                expected: rows.observation.width,
                found: next.width,
            });
        }
        rows.check_finite()?;
        let mut rollout = RolloutBuffer::new(n, 1, rows.observation.width, rows.action.width);
        rollout.taken = n;
        rollout
            .observation
            .values
            .clone_from(&rows.observation.values);
        rollout.action.values.clone_from(&rows.action.values);
        rollout.reward.clone_from(&rows.reward);
        rollout.valid.fill(true);
        let is = |flags: &Option<Vec<bool>>, row: usize| flags.as_ref().is_some_and(|it| it[row]);
        for row in 0..n {
            let last = row + 1 == n;
            let terminated = match &rows.terminated {
                Some(terminated) => terminated[row],
                None => last && !is(&rows.truncated, row),
            };
            rollout.terminated[row] = terminated;
            rollout.ended[row] = terminated || is(&rows.truncated, row);
            if terminated || !(last || rollout.ended[row]) {
                continue;
            }
            match &rows.next_observation {
                Some(next) => {
                    rollout.cut(row, next.row(row));
                }
                None if rows.advantage.is_some() => {}
                None => return Err(FixedRolloutError::NoNext(row)),
            }
        }
        for (given, to) in [
            (&rows.log_probability, &mut rollout.log_probability),
            (&rows.value, &mut rollout.value),
            (&rows.advantage, &mut rollout.advantage),
            (&rows.returns, &mut rollout.returns),
        ] {
            if let Some(given) = given {
                to.clone_from(given);
            }
        }
        rollout.given = Given {
            log_probability: rows.log_probability.is_some(),
            value: rows.value.is_some(),
            advantage: rows.advantage.is_some(),
            returns: rows.returns.is_some(),
        };
        Ok(rollout)
    }

    /// The training rows of recorded experience as one round of one environment, with so many frames side by side. What its
    /// policy's log-probabilities were is not known: they are the learner's own when the round is prepared.
    pub fn of_data(transitions: &Arc<Transitions>, split: &Split, frames: usize) -> Self {
        let (observation, action) = (transitions.observation(), transitions.action());
        let rows = transitions.len();
        let order = InMemory::new(transitions.clone(), None);
        let pipeline = Pipeline {
            // Rewards are summed when the round is prepared.
            folding: Folding {
                discount: 0.0,
                n_step: 1,
                infinite_horizon: false,
            },
            frames,
            from_row: false,
            goals: None,
            past_actions: false,
            chunk: 1,
        };
        let mut rollout = RolloutBuffer::new(rows, 1, frames * observation.width(), action.width);
        rollout.taken = rows;
        rollout.has_held_out = !split.held_out.is_empty();
        rollout.observation.values = pipeline.seen_at(&order, &order, 0..rows);
        rollout.action.values.clone_from(&action.values);
        rollout.reward.copy_from_slice(transitions.reward());
        rollout.terminated.copy_from_slice(transitions.terminated());
        for row in &split.training {
            rollout.valid[*row as usize] = true;
        }
        for episode in transitions.episodes() {
            let last = episode.rows.end - 1;
            rollout.ended[last] = true;
            if episode.end != EpisodeEnd::Terminated {
                let after = pipeline.seen_after(&order, &order, last);
                rollout.cut(last, &after);
            }
        }
        rollout
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Episode, Parts};

    #[test]
    fn rounds_of_data_show_the_frames_of_each_row_and_of_what_followed_a_cut() {
        let column = |add: f32| Column {
            values: (0..4).map(|row| row as f32 + add).collect(),
            width: 1,
        };
        // A terminal episode of one row, and three rows that were cut.
        let transitions = Transitions::new(Parts {
            observation: column(0.0).into(),
            action: column(0.0),
            reward: vec![0.0; 4],
            next_observation: column(0.5).into(),
            terminated: vec![true, false, false, false],
            episodes: [
                (0..1, EpisodeEnd::Terminated),
                (1..4, EpisodeEnd::Truncated),
            ]
            .map(|(rows, end)| Episode { rows, end })
            .to_vec(),
        });
        let transitions = Arc::new(transitions.unwrap());
        let split = Split {
            training: vec![0, 1, 2, 3],
            held_out: Vec::new(),
        };
        let rollout = RolloutBuffer::of_data(&transitions, &split, 2);
        assert_eq!(
            rollout.observation.values,
            [0.0, 0.0, 1.0, 1.0, 1.0, 2.0, 2.0, 3.0]
        );
        assert_eq!(rollout.final_observation.values, [3.0, 3.5]);
        assert_eq!(rollout.cut, [3]);
        let rollout = RolloutBuffer::of_data(&transitions, &split, 1);
        assert_eq!(rollout.observation.values, [0.0, 1.0, 2.0, 3.0]);
        assert_eq!(rollout.final_observation.values, [3.5]);
    }
}
