//! What a file says of the bounds of its actions.

use super::space::Space;
use super::{Key, Layout, LoadError, Recording, minari};

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

impl Recording {
    /// The bounds of actions that the file itself gives: Minari's action space. `None` where it gives none: in other layouts, for
    /// choices, and for a space without a finite bound.
    ///
    /// # Errors
    ///
    /// Metadata that cannot be read.
    ///
    /// ```
    /// # let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/layouts/minari/nested");
    /// use yarak::data::{Reading, Recording};
    ///
    /// let recording = Recording::open(file, &Reading::default())?;
    /// if let Some(bounds) = recording.action_bounds()? {
    ///     println!("{}: {:?} to {:?}", bounds.of, bounds.low, bounds.high);
    /// }
    /// # Ok::<(), yarak::data::LoadError>(())
    /// ```
    pub fn action_bounds(&self) -> Result<Option<ActionBounds>, LoadError> {
        if self.layout() != Layout::Minari || self.choices().is_some() {
            return Ok(None);
        }
        let Some(space) = minari::action_space(self.file())? else {
            return Ok(None);
        };
        let (mut low, mut high) = (Vec::new(), Vec::new());
        for key in self.action() {
            let [part_low, part_high] = part(&space, key);
            low.extend(part_low);
            high.extend(part_high);
        }
        let is_bounded = low.iter().chain(&high).any(|bound| bound.is_finite());
        Ok(is_bounded.then(|| ActionBounds {
            of: "the file's action space".to_owned(),
            low,
            high,
        }))
    }
}

/// The bounds of one part of an action; none where the space is another than the values are of.
fn part(space: &Space, key: &Key) -> [Vec<f32>; 2] {
    let width = key.width();
    match space.part(&key.name) {
        Some(Space::Box { low, high, .. }) if low.len() == width && high.len() == width => {
            [low.clone(), high.clone()]
        }
        _ => [vec![f32::NEG_INFINITY; width], vec![f32::INFINITY; width]],
    }
}
