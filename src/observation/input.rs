//! What an encoder is given.

use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::{ObservationParts, Picture};

/// What lies where in the rows of numbers that an encoder is given: the parts of an observation, and how many observations lie side by
/// side.
///
/// ```
/// use yarak::prelude::*;
/// use yarak::observation::{EncoderInput, ObservationParts};
///
/// let space = Space::dict([
///     ("camera", Space::picture([32, 32, 3])),
///     ("state", Space::from_bounds(&[(-1.0, 1.0); 4])),
/// ]);
/// let two_frames = EncoderInput::new(ObservationParts::of_space(&space), 2);
/// assert_eq!(two_frames.width(), 2 * (32 * 32 * 3 + 4));
/// assert_eq!(two_frames.places("state"), [3072..3076, 6148..6152]);
/// let camera = two_frames.only(&["camera"]).picture().unwrap();
/// assert_eq!((camera.height, camera.width, camera.channels, camera.frames), (32, 32, 3, 2));
///
/// // Where there is one vector, its width will do.
/// assert_eq!(EncoderInput::from(11).width(), 11);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EncoderInput {
    parts: ObservationParts,
    frames: usize,
    /// Whether the last of them is a goal.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    has_goal: bool,
}

impl EncoderInput {
    /// `frames` observations of these parts side by side, oldest first. A goal counts as one more, behind them.
    pub fn new(parts: ObservationParts, frames: usize) -> Self {
        EncoderInput {
            parts,
            frames,
            has_goal: false,
        }
    }

    /// The same where the last of the observations side by side is a goal.
    #[must_use]
    pub fn with_goal(self, has_goal: bool) -> Self {
        EncoderInput { has_goal, ..self }
    }

    /// The parts of one of the observations.
    pub fn parts(&self) -> &ObservationParts {
        &self.parts
    }

    /// How many observations lie side by side, a goal among them.
    pub fn frames(&self) -> usize {
        self.frames
    }

    /// Whether the last of them is a goal.
    pub fn has_goal(&self) -> bool {
        self.has_goal
    }

    /// How many steps of an episode are seen: the observations side by side without the goal.
    pub fn steps(&self) -> usize {
        self.frames.saturating_sub(usize::from(self.has_goal))
    }

    /// What is seen at one of those steps: its observation, and the goal behind it where there is one.
    #[must_use]
    pub fn of_one_step(&self) -> Self {
        EncoderInput {
            frames: 1 + usize::from(self.has_goal),
            ..self.clone()
        }
    }

    /// Numbers in a row.
    pub fn width(&self) -> usize {
        self.frames * self.parts.width()
    }

    /// The same of an input that a file declares: `None` where there are more than can be counted.
    pub(crate) fn checked_width(&self) -> Option<usize> {
        let mut each = self.parts.iter().map(|part| {
            let mut sizes = part.shape.iter();
            sizes.try_fold(1_usize, |all, size| all.checked_mul(*size))
        });
        let one = each.try_fold(0_usize, |all, width| all.checked_add(width?))?;
        one.checked_mul(self.frames)
    }

    /// The input that has these parts alone, in the order in which they lie. Names that no part has are left out.
    #[must_use]
    pub fn only(&self, names: &[impl AsRef<str>]) -> Self {
        let is_named = |name: &str| names.iter().any(|wanted| wanted.as_ref() == name);
        let parts = self.parts.iter().filter(|part| is_named(&part.name));
        EncoderInput {
            parts: ObservationParts::new(parts.cloned().collect()),
            ..self.clone()
        }
    }

    /// Where a part lies in a row: one range for each of the observations side by side. Empty where there is no such part.
    pub fn places(&self, name: &str) -> Vec<Range<usize>> {
        let Some(place) = self.parts.place_of(name) else {
            return Vec::new();
        };
        let width = self.parts.width();
        let frames = 0..self.frames;
        let moved = frames.map(|frame| place.start + frame * width..place.end + frame * width);
        moved.collect()
    }

    /// The picture that all of it is; `None` where there are other parts, or none.
    pub fn picture(&self) -> Option<Picture> {
        let mut parts = self.parts.iter();
        let (part, None) = (parts.next()?, parts.next()) else {
            return None;
        };
        Picture::of_part(part, self.frames)
    }

    /// The names of the parts that are pictures.
    pub fn pictures(&self) -> Vec<String> {
        let pictures = self.parts.iter();
        let pictures = pictures.filter(|part| Picture::of_part(part, 1).is_some());
        pictures.map(|part| part.name.clone()).collect()
    }
}

impl From<usize> for EncoderInput {
    /// One vector of so many numbers.
    fn from(width: usize) -> Self {
        EncoderInput::new(ObservationParts::vector(width), 1)
    }
}

impl From<&EncoderInput> for EncoderInput {
    fn from(input: &EncoderInput) -> Self {
        input.clone()
    }
}

impl fmt::Display for EncoderInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parts.fmt(f)?;
        match self.frames {
            1 => Ok(()),
            frames => write!(f, ", {frames} frames side by side"),
        }
    }
}
