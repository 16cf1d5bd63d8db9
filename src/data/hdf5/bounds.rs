//! What a file says of the bounds of its observations and actions.

use super::space::Space;
use super::{DatasetFile, Key, Layout, LoadError, minari};

/// The bounds of actions that a file gives, `[action]` each.
#[derive(Clone, Debug, PartialEq)]
pub struct ActionBounds {
    /// Whose they are, such as an environment's name.
    pub of: String,
    /// The least; infinite where there is none.
    pub low: Vec<f32>,
    /// The greatest.
    pub high: Vec<f32>,
}

/// What a space says of parts that are joined.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::data) struct JoinedBounds {
    /// The least of each element; infinite where there is none.
    pub(in crate::data) low: Vec<f32>,
    /// The greatest.
    pub(in crate::data) high: Vec<f32>,
    /// Whether every part is a Box of the values' shape, of which the bounds are everything.
    pub(in crate::data) are_all: bool,
}

impl JoinedBounds {
    /// Whether any bound is finite.
    pub(in crate::data) fn is_bounded(&self) -> bool {
        self.low
            .iter()
            .chain(&self.high)
            .any(|bound| bound.is_finite())
    }
}

impl DatasetFile {
    /// What Minari's spaces say of observations and of actions; `None` where there are none.
    pub(in crate::data) fn space_bounds(&self) -> Result<[Option<JoinedBounds>; 2], LoadError> {
        if self.layout() != Layout::Minari {
            return Ok([None, None]);
        }
        let [observation, action] = minari::spaces(self.file())?;
        Ok([
            observation.map(|space| joined(&space, self.observation())),
            action.map(|space| joined(&space, self.action())),
        ])
    }

    /// The parts of observations and actions that Minari's spaces give another number of elements than their values have: how many the
    /// space says, and how many there are.
    ///
    /// # Errors
    ///
    /// Metadata that cannot be read.
    pub(in crate::data) fn other_widths(&self) -> Result<Vec<(&str, usize, usize)>, LoadError> {
        if self.layout() != Layout::Minari {
            return Ok(Vec::new());
        }
        let spaces = minari::spaces(self.file())?;
        let mut other = Vec::new();
        for (space, keys) in spaces.iter().zip([self.observation(), self.action()]) {
            for key in keys {
                let space = space.as_ref().and_then(|space| space.part(&key.name));
                // One bound may stand for all elements.
                if let Some(Space::Box { low, .. }) = space
                    && low.len() > 1
                    && low.len() != key.width()
                {
                    other.push((key.name.as_str(), low.len(), key.width()));
                }
            }
        }
        Ok(other)
    }

    /// The bounds of actions that the file itself gives: Minari's action space. `None` where it gives none: in other layouts, for
    /// discrete actions, and for a space without a finite bound.
    ///
    /// # Errors
    ///
    /// Metadata that cannot be read.
    ///
    /// ```
    /// # let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/layouts/minari/nested");
    /// use yarak::data::{Reading, DatasetFile};
    ///
    /// let dataset_file = DatasetFile::open(file, &Reading::default())?;
    /// if let Some(bounds) = dataset_file.action_bounds()? {
    ///     println!("{}: {:?} to {:?}", bounds.of, bounds.low, bounds.high);
    /// }
    /// # Ok::<(), yarak::data::LoadError>(())
    /// ```
    pub fn action_bounds(&self) -> Result<Option<ActionBounds>, LoadError> {
        if self.discrete_actions().is_some() {
            return Ok(None);
        }
        let [_, bounds] = self.space_bounds()?;
        Ok(bounds
            .filter(JoinedBounds::is_bounded)
            .map(|JoinedBounds { low, high, .. }| ActionBounds {
                of: "the file's action space".to_owned(),
                low,
                high,
            }))
    }
}

/// The bounds of all parts; none of one of which the space says something else than the values are.
fn joined(space: &Space, keys: &[Key]) -> JoinedBounds {
    let mut bounds = JoinedBounds {
        low: Vec::new(),
        high: Vec::new(),
        are_all: true,
    };
    for key in keys {
        let width = key.width();
        match space.part(&key.name) {
            Some(Space::Box { low, high, .. }) if low.len() == width && high.len() == width => {
                bounds.low.extend(low);
                bounds.high.extend(high);
            }
            _ => {
                bounds.low.extend(vec![f32::NEG_INFINITY; width]);
                bounds.high.extend(vec![f32::INFINITY; width]);
                bounds.are_all = false;
            }
        }
    }
    bounds
}
