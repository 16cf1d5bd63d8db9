//! The parts of observations in files and environments.

use std::ops::Range;

use super::Key;
use super::hdf5::Dtype;
use crate::env::Space;
use crate::observation::{ObservationPart, ObservationParts, PartKind, Picture};

impl ObservationParts {
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
        ObservationParts::new(parts.collect())
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
            Space::Dict { entries } => ObservationParts::new(
                entries
                    .iter()
                    .map(|(name, space)| part(name, space))
                    .collect(),
            ),
            space => ObservationParts::new(vec![part("", space)]),
        }
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
        match Vec::from_iter(self.iter()).as_slice() {
            // Trained on what an environment like it shows as one vector.
            [one] if one.name.is_empty() && one.width() == shown.width() => {
                Ok(std::iter::once(0..shown.width()).collect())
            }
            parts => parts.iter().map(|part| place(part)).collect(),
        }
    }
}

/// What of an observation is looked at by itself: each number of a vector, and all pixels of a picture together.
pub(super) struct Measured {
    /// The part's name, where there are several or it is a picture.
    pub part: Option<String>,
    /// Which number of the part; `None`: all pixels of a picture.
    pub element: Option<usize>,
    /// Where it lies in an observation.
    pub place: Range<usize>,
}

/// All of an observation, in order.
pub(super) fn measured(parts: &ObservationParts) -> Vec<Measured> {
    let several = parts.iter().len() > 1;
    let (mut all, mut start) = (Vec::new(), 0);
    for part in parts.iter() {
        let is_picture = Picture::of_part(part, 1).is_some();
        let name = (several || is_picture).then(|| part.name.clone());
        let of = |element, place| Measured {
            part: name.clone(),
            element,
            place,
        };
        match is_picture {
            true => all.push(of(None, start..start + part.width())),
            false => {
                let elements = 0..part.width();
                let places = elements.map(|at| of(Some(at), start + at..start + at + 1));
                all.extend(places);
            }
        }
        start += part.width();
    }
    all
}

/// Bytes of a picture, as Gymnasium's image spaces have them.
fn is_picture(low: &[f32], high: &[f32], shape: &[usize]) -> bool {
    matches!(shape.len(), 2 | 3)
        && low.iter().all(|low| *low == 0.0)
        && high.iter().all(|high| *high == 255.0)
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
        let space = Space::picture([2, 2, 3]);
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
