//! The data of a run, wherever they lie.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use bevy_ecs::prelude::*;

use super::streaming::Stored;
use super::{Bytes, Episode, Recorded, Split, Transitions};

/// The transitions that a run learns from, preprocessed, and which of them are held out. Learners of one process that read the
/// same file in the same way share one copy.
///
/// Rewards and episodes are in memory always; observations and actions too, unless they would take more than
/// [`Dataset::memory`](super::Dataset::memory). Minibatches are drawn in the same way either way.
#[derive(Resource, Clone)]
pub struct Data {
    /// Where the rows are.
    pub rows: DataRows,
    /// Which rows are trained on and which are held out.
    pub split: Arc<Split>,
    /// Where they came from.
    pub file: PathBuf,
}

/// Where the rows of [`Data`] are.
#[derive(Clone)]
pub enum DataRows {
    /// All of them are in memory.
    InMemory(Arc<Transitions>),
    /// They stay in their file, and are read ahead of the learner.
    InFile(StoredRows),
}

/// Transitions that stay in their file because they would take more memory than they may.
#[derive(Clone)]
pub struct StoredRows {
    /// The transitions, preprocessed as they are read.
    pub stored: Arc<Stored>,
    /// Number of discrete actions; `None` where actions are vectors of real numbers.
    pub discrete_actions: Option<usize>,
    /// The most memory that they may take.
    pub memory: Bytes,
}

/// A whole episode of the training data.
#[derive(Clone, Debug, PartialEq)]
pub struct ScoredEpisode {
    /// Its rows in [`Data`].
    pub rows: Range<usize>,
    /// The undiscounted sum of its rewards.
    pub total_reward: f64,
}

impl Data {
    /// Transitions in memory, of a file or made up.
    pub fn in_memory(
        transitions: impl Into<Arc<Transitions>>,
        split: impl Into<Arc<Split>>,
        file: impl Into<PathBuf>,
    ) -> Self {
        Data {
            rows: DataRows::InMemory(transitions.into()),
            split: split.into(),
            file: file.into(),
        }
    }

    /// All transitions; `None` where they stay in their file.
    pub fn transitions(&self) -> Option<&Arc<Transitions>> {
        match &self.rows {
            DataRows::InMemory(transitions) => Some(transitions),
            DataRows::InFile(_) => None,
        }
    }

    /// The widths of observations and of actions.
    pub fn widths(&self) -> [usize; 2] {
        match &self.rows {
            DataRows::InMemory(rows) => [rows.observation().width(), rows.action().width],
            DataRows::InFile(rows) => rows.stored.dataset_file().widths(),
        }
    }

    /// Number of discrete actions; `None` where actions are vectors of real numbers.
    pub fn discrete_actions(&self) -> Option<usize> {
        match &self.rows {
            DataRows::InMemory(rows) => rows.discrete_actions(),
            DataRows::InFile(rows) => rows.discrete_actions,
        }
    }

    /// Whether rewards and ends were recorded.
    pub fn recorded(&self) -> Recorded {
        match &self.rows {
            DataRows::InMemory(rows) => rows.recorded(),
            DataRows::InFile(rows) => rows.stored.dataset_file().recorded(),
        }
    }

    /// The episodes, in the order of their rows.
    pub fn episodes(&self) -> &[Episode] {
        match &self.rows {
            DataRows::InMemory(rows) => rows.episodes(),
            DataRows::InFile(rows) => rows.stored.episodes(),
        }
    }

    /// What each row earned, `[N]`.
    pub fn reward(&self) -> &[f32] {
        match &self.rows {
            DataRows::InMemory(rows) => rows.reward(),
            DataRows::InFile(rows) => rows.stored.reward(),
        }
    }

    /// The episodes that are trained on, in the order of the file, with their returns.
    pub fn training_episodes(&self) -> Vec<ScoredEpisode> {
        let (reward, held_out) = (self.reward(), &self.split.held_out);
        // Whole episodes are held out, so the first row stands for all.
        let trained_on =
            |rows: &Range<usize>| held_out.binary_search(&(rows.start as u32)).is_err();
        let episodes = self.episodes().iter().map(|episode| episode.rows.clone());
        let scored = episodes.filter(trained_on).map(|rows| ScoredEpisode {
            total_reward: reward[rows.clone()].iter().map(|it| f64::from(*it)).sum(),
            rows,
        });
        scored.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Column, EpisodeEnd, Parts};

    #[test]
    fn held_out_episodes_are_not_among_those_that_are_trained_on() {
        let column = |values: Vec<f32>| Column { values, width: 1 };
        let transitions = Transitions::new(Parts {
            observation: column(vec![0.0; 6]).into(),
            action: column(vec![0.0; 6]),
            reward: vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
            next_observation: column(vec![0.0; 6]).into(),
            terminated: vec![false; 6],
            episodes: [0..1, 1..3, 3..6]
                .map(|rows| Episode {
                    rows,
                    end: EpisodeEnd::Truncated,
                })
                .to_vec(),
        });
        let split = Split {
            training: vec![0, 3, 4, 5],
            held_out: vec![1, 2],
        };
        let data = Data::in_memory(transitions.unwrap(), split, "");
        let found = data.training_episodes();
        assert_eq!(
            found
                .iter()
                .map(|it| (it.rows.clone(), it.total_reward))
                .collect::<Vec<_>>(),
            [(0..1, 1.0), (3..6, 15.0)]
        );
    }
}
