//! The parts that an observation has, and in which order.

use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Serialize};

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
/// use yarak::observation::ObservationParts;
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

    /// The parts of these names, in their order.
    ///
    /// # Errors
    /// The first name that no part has, or that is there twice, in words.
    pub fn chosen(&self, names: &[impl AsRef<str>]) -> Result<Self, String> {
        let one = |name: &str| {
            let found = self.0.iter().find(|part| part.name == name);
            found
                .cloned()
                .ok_or_else(|| format!("there is no `{name}` among {self}"))
        };
        let twice = |at: &usize| {
            names[..*at]
                .iter()
                .any(|it| it.as_ref() == names[*at].as_ref())
        };
        if let Some(at) = (0..names.len()).find(twice) {
            return Err(format!("`{}` is named twice", names[at].as_ref()));
        }
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
