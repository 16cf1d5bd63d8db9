//! A dataset's rows as the networks of a run see them that was trained already: with its frames, its goals and its scaling.

use std::path::Path;
use std::sync::Arc;

use super::pipeline::{InMemory, Pipeline};
use super::{
    DatasetFile, Episode, Folding, Gathered, Goals, LoadError, Preprocessing, Reading, ScaleError,
};
use crate::memory::{self, TooLarge};
use crate::observation::ObservationParts;

/// All rows of a file, in memory.
pub(crate) struct RowsAsSeen {
    rows: InMemory,
    pipeline: Pipeline,
    preprocessing: Preprocessing,
    actions: ValuedActions,
}

/// What of a row's action networks value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ValuedActions {
    /// Nothing: they value states.
    None,
    /// Real numbers.
    Continuous,
    /// One of so many.
    Discrete(usize),
}

/// Why a file's rows are none that the networks can see.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RowsError {
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
    #[error(
        "{file}: an observation has {found}, and the run learned from {expected}; name data of the task that it learned"
    )]
    Observations {
        file: String,
        found: ObservationParts,
        expected: ObservationParts,
    },
    #[error("{file}: {found}, and the run {expected}; name data of the task that it learned")]
    Actions {
        file: String,
        found: String,
        expected: String,
    },
}

impl RowsAsSeen {
    /// Reads all rows of a file. `reading` is the run's own, but that no filter leaves anything out.
    ///
    /// # Errors
    /// When the file cannot be read, takes more memory than there is, or is of another task.
    pub fn read(
        path: &Path,
        reading: &Reading,
        preprocessing: &Preprocessing,
        goals: Option<Goals>,
        actions: ValuedActions,
    ) -> Result<Self, RowsError> {
        let reading = Reading {
            filter: None,
            validation_filter: None,
            ..reading.clone()
        };
        let mut file = DatasetFile::open(path, &reading)?;
        // In the order in which networks see them, where the file has more parts, or another order.
        let names = preprocessing.parts.iter().map(|part| part.name.clone());
        let observations: Vec<String> = names.collect();
        let there = file.parts();
        if there.iter().len() > 1
            && let Ok(chosen) = there.chosen(&observations)
            && chosen != there
        {
            let chosen = Reading {
                observations,
                ..reading
            };
            file = DatasetFile::open(path, &chosen)?;
        }
        let name = path.display().to_string();
        if file.parts().width() != preprocessing.parts.width() {
            return Err(RowsError::Observations {
                file: name,
                found: file.parts(),
                expected: preprocessing.parts.clone(),
            });
        }
        let what = format!("{name}: its transitions");
        memory::check(&what, file.memory_needed().0, "name a part of them")?;
        let transitions = file.read()?;
        let found = match transitions.discrete_actions() {
            Some(n) => format!("an action is one of {n} discrete actions"),
            None => format!("an action is {} real number(s)", transitions.action().width),
        };
        let [_, width] = preprocessing.widths();
        let (fits, expected) = match (actions, transitions.discrete_actions()) {
            (ValuedActions::None, _) => (true, String::new()),
            (ValuedActions::Discrete(n), found) => (
                found.is_some_and(|found| found <= n),
                format!("chose among {n} discrete actions"),
            ),
            (ValuedActions::Continuous, found) => (
                found.is_none() && transitions.action().width == width,
                format!("acted with {width} real number(s)"),
            ),
        };
        if !fits {
            return Err(RowsError::Actions {
                file: name,
                found,
                expected,
            });
        }
        let pipeline = Pipeline {
            folding: Folding {
                discount: 0.0,
                n_step: 1,
                infinite_horizon: false,
            },
            frames: preprocessing.frames,
            from_row: false,
            goals,
            past_actions: false,
            chunk: 1,
        };
        Ok(RowsAsSeen {
            rows: InMemory::new(Arc::new(transitions), None),
            pipeline,
            preprocessing: preprocessing.clone(),
            actions,
        })
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.rows.transitions.len()
    }

    /// The episodes, in the order of their rows.
    pub fn episodes(&self) -> &[Episode] {
        self.rows.transitions.episodes()
    }

    /// What each row earned, as the file has it.
    pub fn reward(&self) -> &[f32] {
        self.rows.transitions.reward()
    }

    /// Whether they were recorded, or are zeros in their place.
    pub fn has_rewards(&self) -> bool {
        self.rows.transitions.recorded().rewards
    }

    /// Rows with observations as networks see them, and actions in [-1, 1] or as indices.
    ///
    /// # Errors
    /// When the preprocessing cannot be applied.
    pub fn gather(&self, rows: &[usize]) -> Result<Gathered, ScaleError> {
        let (observation, action) = (&self.preprocessing.observation, &self.preprocessing.action);
        let transitions = &self.rows.transitions;
        let widths = [
            transitions.observation().width(),
            transitions.action().width,
        ];
        let mut gathered = self.pipeline.gather(&self.rows, &self.rows, widths, rows);
        observation.apply_to_row(&mut gathered.observation.values)?;
        if self.actions == ValuedActions::Continuous {
            action.to_unit(&mut gathered.action.values)?;
        }
        Ok(gathered)
    }
}
