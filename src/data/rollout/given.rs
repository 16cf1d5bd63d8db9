//! Rollouts of rows that are given, without an environment.

use std::sync::Arc;

use bevy_app::{App, Plugin};

use super::Rollout;
use super::buffer::Given;
use crate::data::pipeline::{InMemory, Pipeline};
use crate::data::{
    ActionScale, Column, End, Folding, Normaliser, Preprocessing, Spaces, Split, Transitions,
};
use crate::env::Space;
use crate::schedule::InputError;

/// Rows to learn from that are given, with or without what is usually computed of them: on-policy algorithms then train without an
/// environment, one round of the same rows after the other. Rows for the next round come in with
/// `app.insert_resource(Rollout::given(rows)?)`.
///
/// Actions are as the policy would give them: numbers in [-1, 1], or the indices of choices. Observations are as networks see them.
///
/// ```
/// use yarak::prelude::*;
///
/// let column = |values: &[f32], width| Column { values: values.to_vec(), width };
/// let rows = GivenRows {
///     advantage: Some(vec![1.0, -1.0]),
///     ..GivenRows::new(column(&[0.1, 0.2, 0.3, 0.4], 2), column(&[0.0, 1.0], 1), vec![1.0, 0.0])
/// };
/// let mut app = App::new();
/// app.add_plugins((SchedulePlugin, FacilitatorPlugin))
///     .init_resource::<Metrics>()
///     .insert_resource(ComputeDevice::cpu())
///     .add_plugins(rows.of_choices(2))
///     .add_plugins(Reinforce::default());
/// app.world_mut().resource_mut::<Clock>().steps = 3;
/// app.finish();
/// app.update();
/// assert_eq!(app.world().resource::<Training>().outcome, Some(Outcome::Finished));
/// ```
#[derive(Clone, Debug)]
pub struct GivenRows {
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

/// Why given rows are no rollout.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GivenRowsError {
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
    /// An action is none of the choices.
    #[error(
        "the given `action` of row {row} is none of {choices} choices, which are counted from 0, one column"
    )]
    NoChoice {
        /// The row.
        row: usize,
        /// How many choices there are.
        choices: usize,
    },
    /// Somewhere there is no next value.
    #[error(
        "row {0} ends no episode, and what comes after it is not given: give `next_observation`, or the `advantage` of each row"
    )]
    NoNext(usize),
}

impl GivenRows {
    /// Rows of one episode that ends with the last.
    pub fn new(observation: Column, action: Column, reward: Vec<f32>) -> Self {
        GivenRows {
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

    /// Whether every action is one of `choices`.
    fn check_choices(&self, choices: usize) -> Result<(), GivenRowsError> {
        let is_none = |value: &f32| !(0..choices).any(|choice| choice as f32 == *value);
        let row = match self.action.width {
            1 => self.action.values.iter().position(is_none),
            _ => Some(0),
        };
        row.map_or(Ok(()), |row| Err(GivenRowsError::NoChoice { row, choices }))
    }

    /// Whether everything is a finite number.
    fn check_finite(&self) -> Result<(), GivenRowsError> {
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
                return Err(GivenRowsError::NotFinite { column, row });
            }
        }
        Ok(())
    }

    /// A plugin that trains on them, whose actions are choices among `n`.
    pub fn of_choices(self, n: usize) -> GivenRowsPlugin {
        GivenRowsPlugin {
            rows: self,
            choices: Some(n),
        }
    }

    /// A plugin that trains on them, whose actions are numbers.
    pub fn of_numbers(self) -> GivenRowsPlugin {
        GivenRowsPlugin {
            rows: self,
            choices: None,
        }
    }
}

/// Lets an on-policy algorithm train on [`GivenRows`]. Add it before the algorithm.
#[derive(Clone, Debug)]
pub struct GivenRowsPlugin {
    rows: GivenRows,
    choices: Option<usize>,
}

impl Plugin for GivenRowsPlugin {
    fn build(&self, app: &mut App) {
        let (observation, action) = (self.rows.observation.width, self.rows.action.width);
        app.insert_resource(Preprocessing::new(
            Normaliser::identity(observation),
            ActionScale::identity(action),
        ));
        if let Some(n) = self.choices {
            app.insert_resource(Spaces {
                environment: "the given rows".to_owned(),
                observation: Space::from_bounds(&vec![(f32::MIN, f32::MAX); observation]),
                action: Space::Discrete { n },
            });
        }
        let choices = self.choices.map_or(Ok(()), |n| self.rows.check_choices(n));
        match choices.and_then(|()| Rollout::given(&self.rows)) {
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

impl Rollout {
    /// The given rows as one round of one environment.
    ///
    /// # Errors
    /// Columns of different lengths, or a row that would be bootstrapped from a next observation that is not given.
    pub fn given(rows: &GivenRows) -> Result<Self, GivenRowsError> {
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
            return Err(GivenRowsError::Rows {
                column,
                expected: n,
                found,
            });
        }
        if let Some(next) = &rows.next_observation
            && next.width != rows.observation.width
        {
            return Err(GivenRowsError::Width {
                expected: rows.observation.width,
                found: next.width,
            });
        }
        rows.check_finite()?;
        let mut rollout = Rollout::new(n, 1, rows.observation.width, rows.action.width);
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
                None => return Err(GivenRowsError::NoNext(row)),
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
            goals: None,
        };
        let mut rollout = Rollout::new(rows, 1, frames * observation.width, action.width);
        rollout.taken = rows;
        rollout.observation.values = pipeline.seen_at(&order, &order, 0..rows);
        rollout.action.values.clone_from(&action.values);
        rollout.reward.copy_from_slice(transitions.reward());
        rollout.terminated.copy_from_slice(transitions.terminal());
        for row in &split.training {
            rollout.valid[*row as usize] = true;
        }
        for episode in transitions.episodes() {
            let last = episode.rows.end - 1;
            rollout.ended[last] = true;
            if episode.end != End::Terminal {
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
            observation: column(0.0),
            action: column(0.0),
            reward: vec![0.0; 4],
            next_observation: column(0.5),
            terminal: vec![true, false, false, false],
            episodes: [(0..1, End::Terminal), (1..4, End::Truncated)]
                .map(|(rows, end)| Episode { rows, end })
                .to_vec(),
        });
        let transitions = Arc::new(transitions.unwrap());
        let split = Split {
            training: vec![0, 1, 2, 3],
            held_out: Vec::new(),
        };
        let rollout = Rollout::of_data(&transitions, &split, 2);
        assert_eq!(
            rollout.observation.values,
            [0.0, 0.0, 1.0, 1.0, 1.0, 2.0, 2.0, 3.0]
        );
        assert_eq!(rollout.final_observation.values, [3.0, 3.5]);
        assert_eq!(rollout.cut, [3]);
        let rollout = Rollout::of_data(&transitions, &split, 1);
        assert_eq!(rollout.observation.values, [0.0, 1.0, 2.0, 3.0]);
        assert_eq!(rollout.final_observation.values, [3.5]);
    }
}
