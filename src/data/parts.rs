//! What an observation consists of: parts with names, shapes and types.

use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::Key;
use super::hdf5::Dtype;
use crate::env::Space;

/// One named part of an observation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservationPart {
    /// Its name: `observations` in a D4RL file, `robot0_eef_pos` in robomimic's, `achieved_goal` in Gymnasium's dictionaries. Empty
    /// where an environment shows one vector and gives it none.
    pub name: String,
    /// The shape of one observation of it: `[11]`, or `[84, 84, 3]`.
    pub shape: Vec<usize>,
    /// What its elements are.
    pub kind: PartKind,
}

/// What the elements of a part are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PartKind {
    /// Real numbers, which are normalized where a dataset says so.
    Number,
    /// Bytes from 0 to 255, such as a picture's, which are not.
    Byte,
}

/// The parts of an observation, in the order in which their elements lie side by side, each flattened row by row.
///
/// A flat vector is one part. So what a network sees is one row of numbers always, and this says what lies where in it.
///
/// ```
/// use yarak::prelude::*;
///
/// let parts = ObservationParts::of_space(&Space::dict([
///     ("achieved_goal", Space::from_bounds(&[(0.0, 1.0); 2])),
///     ("observation", Space::from_bounds(&[(0.0, 1.0); 4])),
/// ]));
/// assert_eq!(parts.to_string(), "`achieved_goal` [2] and `observation` [4]");
/// assert_eq!((parts.width(), parts.place_of("observation")), (6, Some(2..6)));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservationParts(Vec<ObservationPart>);

impl ObservationPart {
    /// How many elements it has.
    pub fn width(&self) -> usize {
        self.shape.iter().product()
    }
}

impl ObservationParts {
    /// These parts, in this order.
    pub fn new(parts: Vec<ObservationPart>) -> Self {
        ObservationParts(parts)
    }

    /// One vector of so many numbers, without a name.
    pub fn vector(width: usize) -> Self {
        ObservationParts(vec![ObservationPart {
            name: String::new(),
            shape: vec![width],
            kind: PartKind::Number,
        }])
    }

    /// What a file's columns are.
    pub fn of_keys(keys: &[Key]) -> Self {
        let parts = keys.iter().map(|key| ObservationPart {
            name: key.name.clone(),
            shape: key.shape.clone(),
            kind: match key.dtype {
                Dtype::Integer {
                    bits: 8,
                    signed: false,
                } => PartKind::Byte,
                _ => PartKind::Number,
            },
        });
        ObservationParts(parts.collect())
    }

    /// What an environment shows.
    pub fn of_space(space: &Space) -> Self {
        let part = |name: &str, space: &Space| ObservationPart {
            name: name.to_owned(),
            shape: match space {
                Space::Box { shape, .. } => shape.clone(),
                space => vec![space.size()],
            },
            kind: match space {
                Space::Box { low, high, shape } if is_picture(low, high, shape) => PartKind::Byte,
                _ => PartKind::Number,
            },
        };
        match space {
            Space::Dict { entries } => ObservationParts(
                entries
                    .iter()
                    .map(|(name, space)| part(name, space))
                    .collect(),
            ),
            space => ObservationParts(vec![part("", space)]),
        }
    }

    /// The parts of these names, in their order.
    ///
    /// # Errors
    /// The first name that no part has, in words.
    pub fn chosen(&self, names: &[impl AsRef<str>]) -> Result<Self, String> {
        let one = |name: &str| {
            let found = self.0.iter().find(|part| part.name == name);
            found
                .cloned()
                .ok_or_else(|| format!("there is no `{name}` among {self}"))
        };
        let parts = names.iter().map(|name| one(name.as_ref()));
        Ok(ObservationParts(parts.collect::<Result<_, _>>()?))
    }

    /// All parts but that of this name.
    #[must_use]
    pub fn without(&self, name: &str) -> Self {
        let parts = self.0.iter().filter(|part| part.name != name);
        ObservationParts(parts.cloned().collect())
    }

    /// The parts, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &ObservationPart> {
        self.0.iter()
    }

    /// Elements of all parts.
    pub fn width(&self) -> usize {
        self.0.iter().map(ObservationPart::width).sum()
    }

    /// Where the elements of a part lie; `None` where there is no such part.
    pub fn place_of(&self, name: &str) -> Option<Range<usize>> {
        let index = self.0.iter().position(|part| part.name == name)?;
        let start = self.0[..index].iter().map(ObservationPart::width).sum();
        Some(start..start + self.0[index].width())
    }

    /// Where the elements of these parts lie among an environment's: one range a part, in the order of the parts.
    ///
    /// An environment that shows one vector shows all of it.
    ///
    /// # Errors
    /// What is missing there, in words.
    pub fn places_in(&self, space: &Space) -> Result<Vec<Range<usize>>, String> {
        let shown = ObservationParts::of_space(space);
        if !matches!(space, Space::Dict { .. }) {
            return match self.width() == shown.width() {
                true => Ok(std::iter::once(0..shown.width()).collect()),
                false => Err(format!("it shows {shown}, and the network observes {self}")),
            };
        }
        let place = |part: &ObservationPart| match shown.place_of(&part.name) {
            Some(place) if place.len() == part.width() => Ok(place),
            Some(_) => Err(format!(
                "its `{}` is another: it shows {shown}, and the network observes {self}",
                part.name
            )),
            None => Err(format!(
                "it has no `{}`: it shows {shown}, and the network observes {self}",
                part.name
            )),
        };
        match self.0.as_slice() {
            // Trained on what an environment like it shows as one vector.
            [one] if one.name.is_empty() && one.width() == shown.width() => {
                Ok(std::iter::once(0..shown.width()).collect())
            }
            parts => parts.iter().map(place).collect(),
        }
    }
}

/// Bytes of a picture, as Gymnasium's image spaces have them.
fn is_picture(low: &[f32], high: &[f32], shape: &[usize]) -> bool {
    shape.len() == 3 && low.iter().all(|low| *low == 0.0) && high.iter().all(|high| *high == 255.0)
}

impl fmt::Display for ObservationParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, part) in self.0.iter().enumerate() {
            let joint = match index {
                0 => "",
                _ if index + 1 == self.0.len() => " and ",
                _ => ", ",
            };
            f.write_str(joint)?;
            match part.name.as_str() {
                "" => f.write_str("one vector ")?,
                name => write!(f, "`{name}` ")?,
            }
            if part.kind == PartKind::Byte {
                f.write_str("u8 ")?;
            }
            write!(f, "{:?}", part.shape)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn goal_space() -> Space {
        let part = |width| Space::from_bounds(&vec![(0.0, 1.0); width]);
        Space::dict([
            ("achieved_goal", part(2)),
            ("desired_goal", part(2)),
            ("observation", part(3)),
        ])
    }

    #[test]
    fn pictures_are_bytes_wherever_they_come_from() {
        let space = Space::Box {
            low: vec![0.0; 12],
            high: vec![255.0; 12],
            shape: vec![2, 2, 3],
        };
        let key = Key {
            name: "wrist".into(),
            shape: vec![2, 2, 3],
            dtype: Dtype::Integer {
                bits: 8,
                signed: false,
            },
        };
        let parts = ObservationParts::of_space(&Space::dict([("wrist", space)]));
        assert_eq!(parts, ObservationParts::of_keys(&[key]));
        assert_eq!(parts.to_string(), "`wrist` u8 [2, 2, 3]");
    }

    #[test]
    fn parts_are_found_by_their_names_whatever_their_order() {
        let part = |name: &str, width| ObservationPart {
            name: name.into(),
            shape: vec![width],
            kind: PartKind::Number,
        };
        let parts = ObservationParts::new(vec![part("observation", 3), part("achieved_goal", 2)]);
        assert_eq!(parts.places_in(&goal_space()), Ok(vec![4..7, 0..2]));
        let error = ObservationParts::new(vec![part("state", 3)]).places_in(&goal_space());
        let error = error.unwrap_err();
        assert!(
            error.contains("no `state`") && error.contains("`desired_goal` [2]"),
            "{error}"
        );
        let error = ObservationParts::new(vec![part("observation", 4)]).places_in(&goal_space());
        assert!(error.unwrap_err().contains("`observation` is another"));
    }

    #[test]
    fn one_vector_is_all_that_is_shown() {
        let space = Space::from_bounds(&[(0.0, 1.0); 3]);
        let of_file = ObservationParts::of_keys(&[Key {
            name: "observations".into(),
            shape: vec![3],
            dtype: Dtype::Float32,
        }]);
        assert_eq!(
            of_file.places_in(&space),
            Ok(std::iter::once(0..3).collect())
        );
        assert_eq!(
            ObservationParts::vector(7).places_in(&goal_space()),
            Ok(std::iter::once(0..7).collect())
        );
        let error = ObservationParts::vector(4).places_in(&space).unwrap_err();
        assert_eq!(
            error,
            "it shows one vector [3], and the network observes one vector [4]"
        );
    }
}
