//! Observations in waiting: a picture's bytes stay bytes until the batch that they are of is put together, so that the memory of a
//! sweep holds four times as many of them.

use std::ops::Range;

use crate::observation::{ObservationParts, PartKind};

/// How observations wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Packing {
    /// Elements next to each other of one kind, in order; empty where none is a byte, and rows wait as they are.
    stretches: Vec<(usize, PartKind)>,
    width: usize,
}

/// Rows of observations in waiting, one after the other.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Rows {
    /// As they are.
    Numbers(Vec<f32>),
    /// A byte for each byte, and four for each other number.
    Packed(Vec<u8>),
}

impl Packing {
    pub fn of(parts: &ObservationParts) -> Self {
        let has_bytes = parts.iter().any(|part| part.kind == PartKind::Byte);
        let stretches = parts.iter().filter(|_| has_bytes);
        Packing {
            stretches: stretches.map(|part| (part.width(), part.kind)).collect(),
            width: parts.width(),
        }
    }

    /// Bytes of a row in waiting.
    pub fn row_bytes(&self) -> usize {
        match self.is_packed() {
            true => self.packed_bytes(),
            false => 4 * self.width,
        }
    }

    /// Whether rows wait in another form than they are read in.
    pub fn is_packed(&self) -> bool {
        !self.stretches.is_empty()
    }

    fn packed_bytes(&self) -> usize {
        let bytes = |(width, kind): &(usize, PartKind)| match kind {
            PartKind::Byte => *width,
            PartKind::Number => 4 * width,
        };
        self.stretches.iter().map(bytes).sum()
    }

    /// No rows.
    pub fn none(&self) -> Rows {
        match self.is_packed() {
            true => Rows::Packed(Vec::new()),
            false => Rows::Numbers(Vec::new()),
        }
    }

    /// Room for so many rows.
    pub fn room(&self, rows: usize) -> Rows {
        match self.is_packed() {
            true => Rows::Packed(vec![0; rows * self.packed_bytes()]),
            false => Rows::Numbers(vec![0.0; rows * self.width]),
        }
    }

    /// Adds a row at the end.
    pub fn push(&self, rows: &mut Rows, row: &[f32]) {
        match rows {
            Rows::Numbers(numbers) => numbers.extend_from_slice(row),
            Rows::Packed(packed) => {
                let mut rest = row;
                for (width, kind) in &self.stretches {
                    let (own, after) = rest.split_at(*width);
                    rest = after;
                    match kind {
                        // A file's `uint8`, read as it is: nothing is lost.
                        PartKind::Byte => packed.extend(own.iter().map(|it| *it as u8)),
                        PartKind::Number => {
                            packed.extend(own.iter().flat_map(|it| it.to_ne_bytes()));
                        }
                    }
                }
            }
        }
    }

    /// Puts rows in the places of others.
    pub fn put(&self, to: &mut Rows, places: &Range<usize>, from: &Rows) {
        match (to, from) {
            (Rows::Numbers(to), Rows::Numbers(from)) => {
                to[places.start * self.width..places.end * self.width].copy_from_slice(from);
            }
            (Rows::Packed(to), Rows::Packed(from)) => {
                let bytes = self.packed_bytes();
                to[places.start * bytes..places.end * bytes].copy_from_slice(from);
            }
            _ => unreachable!("one packing makes rows of one form"),
        }
    }

    /// Adds the row at a place to numbers.
    pub fn unpack(&self, rows: &Rows, place: usize, numbers: &mut Vec<f32>) {
        match rows {
            Rows::Numbers(rows) => {
                numbers.extend_from_slice(&rows[place * self.width..(place + 1) * self.width]);
            }
            Rows::Packed(packed) => {
                let bytes = self.packed_bytes();
                let mut rest = &packed[place * bytes..(place + 1) * bytes];
                for (width, kind) in &self.stretches {
                    let (own, after) = rest.split_at(match kind {
                        PartKind::Byte => *width,
                        PartKind::Number => 4 * width,
                    });
                    rest = after;
                    match kind {
                        PartKind::Byte => numbers.extend(own.iter().map(|it| f32::from(*it))),
                        PartKind::Number => {
                            let (own, _) = own.as_chunks::<4>();
                            numbers.extend(own.iter().map(|it| f32::from_ne_bytes(*it)));
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::Space;

    #[test]
    fn what_waits_comes_back_to_the_last_bit_and_a_byte_takes_a_byte() {
        let vector = Space::from_bounds(&[(-1.0, 1.0); 3]);
        let both = Space::dict([
            ("camera", Space::picture([4, 5, 3])),
            ("state", vector.clone()),
        ]);
        for (space, bytes) in [(both, 60 + 12), (vector, 12)] {
            let parts = ObservationParts::of_space(&space);
            let packing = Packing::of(&parts);
            assert_eq!(packing.row_bytes(), bytes);
            let width = parts.width();
            let row = |seed: usize| -> Vec<f32> {
                let pixels = (0..width - 3).map(|it| ((it * 7 + seed * 51) % 256) as f32);
                let state = [-0.0, f32::MIN_POSITIVE / 3.0, 0.1 + seed as f32];
                pixels.chain(state).collect()
            };
            let mut two = packing.none();
            packing.push(&mut two, &row(1));
            packing.push(&mut two, &row(2));
            let mut rows = packing.room(4);
            packing.put(&mut rows, &(1..3), &two);
            for (place, seed) in [(1, 1), (2, 2)] {
                let mut back = Vec::new();
                packing.unpack(&rows, place, &mut back);
                let bits = |row: &[f32]| row.iter().map(|it| it.to_bits()).collect::<Vec<_>>();
                assert_eq!(bits(&back), bits(&row(seed)));
            }
        }
    }
}
