//! How a row of observations lies in memory: a byte for each element of a picture, and four for each other number.

use std::iter::StepBy;
use std::ops::Range;
use std::sync::Arc;

use crate::observation::{ObservationParts, PartKind};

/// How a row of observations lies in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::data) struct Packing {
    /// Elements next to each other of one kind, in order; empty where none is a byte, and a row is its numbers.
    stretches: Arc<[Stretch]>,
    width: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stretch {
    kind: PartKind,
    width: usize,
}

impl Stretch {
    /// Bytes of it in a row.
    fn bytes(self) -> usize {
        match self.kind {
            PartKind::Byte => self.width,
            PartKind::Number => 4 * self.width,
        }
    }
}

impl Packing {
    /// A byte for each element of parts that are bytes, and four for each other number.
    pub fn of(parts: &ObservationParts) -> Self {
        let stretches = parts.iter().map(|part| Stretch {
            kind: part.kind,
            width: part.width(),
        });
        let has_bytes = parts.iter().any(|part| part.kind == PartKind::Byte);
        Packing {
            stretches: stretches.filter(|_| has_bytes).collect(),
            width: parts.width(),
        }
    }

    /// Four bytes for each of so many numbers.
    pub fn numbers(width: usize) -> Self {
        Packing {
            stretches: Arc::default(),
            width,
        }
    }

    /// Elements of a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Bytes of a row.
    pub fn row_bytes(&self) -> usize {
        match self.is_packed() {
            true => self.stretches.iter().map(|it| it.bytes()).sum(),
            false => 4 * self.width,
        }
    }

    /// Whether some elements take a byte.
    pub fn is_packed(&self) -> bool {
        !self.stretches.is_empty()
    }

    /// The bytes of a packed row that are like each other, a picture's and each place of a number's four: where they lie.
    pub fn planes(&self) -> impl Iterator<Item = StepBy<Range<usize>>> + '_ {
        let mut end = 0;
        self.stretches.iter().flat_map(move |stretch| {
            let start = end;
            end += stretch.bytes();
            let step = match stretch.kind {
                PartKind::Byte => 1,
                PartKind::Number => 4,
            };
            let end = end;
            (0..step).map(move |place| (start + place..end).step_by(step))
        })
    }

    /// Where the elements that are bytes lie in a row.
    pub fn byte_places(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        let mut end = 0;
        self.stretches.iter().filter_map(move |stretch| {
            let start = end;
            end += stretch.width;
            (stretch.kind == PartKind::Byte).then_some(start..end)
        })
    }

    /// Adds the bytes of a row. What is no byte and lies in the place of one is cut, which [`check`](Self::check) finds.
    pub fn pack(&self, row: &[f32], packed: &mut Vec<u8>) {
        let mut rest = row;
        for stretch in self.stretches.iter() {
            let (own, after) = rest.split_at(stretch.width);
            rest = after;
            match stretch.kind {
                PartKind::Byte => packed.extend(own.iter().map(|it| *it as u8)),
                PartKind::Number => packed.extend(own.iter().flat_map(|it| it.to_le_bytes())),
            }
        }
    }

    /// Whether nothing of a row was lost when it was packed, but for the sign of a zero.
    pub fn check(&self, row: &[f32], packed: &[u8]) -> Result<(), NotAByte> {
        let (mut element, mut place) = (0, 0);
        for stretch in self.stretches.iter() {
            if stretch.kind == PartKind::Byte {
                let numbers = &row[element..element + stretch.width];
                let mut pairs = numbers.iter().zip(&packed[place..]);
                if let Some(at) = pairs.position(|(number, byte)| f32::from(*byte) != *number) {
                    return Err(NotAByte {
                        element: element + at,
                        value: numbers[at],
                    });
                }
            }
            element += stretch.width;
            place += stretch.bytes();
        }
        Ok(())
    }

    /// An element of a packed row.
    pub fn element(&self, packed: &[u8], element: usize) -> f32 {
        let (mut first, mut place) = (0, 0);
        for stretch in self.stretches.iter() {
            let at = element - first;
            if at < stretch.width {
                return match stretch.kind {
                    PartKind::Byte => f32::from(packed[place + at]),
                    PartKind::Number => {
                        let number = packed[place + 4 * at..].first_chunk().copied();
                        f32::from_le_bytes(number.unwrap_or_default())
                    }
                };
            }
            first += stretch.width;
            place += stretch.bytes();
        }
        0.0
    }

    /// Adds the numbers of a packed row.
    pub fn unpack(&self, packed: &[u8], numbers: &mut Vec<f32>) {
        let mut rest = packed;
        for stretch in self.stretches.iter() {
            let (own, after) = rest.split_at(stretch.bytes());
            rest = after;
            match stretch.kind {
                PartKind::Byte => numbers.extend(own.iter().map(|it| f32::from(*it))),
                PartKind::Number => {
                    let (own, _) = own.as_chunks::<4>();
                    numbers.extend(own.iter().map(|it| f32::from_le_bytes(*it)));
                }
            }
        }
    }
}

/// A number in a part of bytes that is no whole number from 0 to 255.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error(
    "element {element} of an observation is {value}, in a part that is bytes: whole numbers from 0 to 255"
)]
pub struct NotAByte {
    /// The element of the observation.
    pub element: usize,
    /// What it is.
    pub value: f32,
}
