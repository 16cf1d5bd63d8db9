//! A stretch of a replay buffer: some steps of all environments, in columns, and how they lie on disk.
//!
//! On disk the bytes of each column are sorted by their place in the number (all lowest bytes first), and what was observed
//! next is written as its difference from the following row's observation, which is nothing wherever an episode goes on.
//! Both are undone to the last bit; the rest is deflate. Elements of observations that are bytes in memory are bytes on disk.

use std::io::{self, Read, Write};

use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;

use crate::data::{Column, NotAByte, ObservationColumn, Packing, StepResults, StoredObservations};

/// Of observations that are numbers.
const MAGIC: &[u8; 8] = b"yarakRB1";
/// Of observations some of whose elements are bytes.
const MAGIC_OF_BYTES: &[u8; 8] = b"yarakRB2";

const TERMINATED: u8 = 1;
const TRUNCATED: u8 = 2;
const VALID: u8 = 4;

/// The sizes of a buffer's rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Widths {
    /// Environments that step together.
    pub environments: usize,
    /// How an observation lies in memory.
    pub observation: Packing,
    /// Elements of an action.
    pub action: usize,
}

impl Widths {
    /// The bytes of one row in memory.
    pub fn row_bytes(&self) -> u64 {
        2 * self.observation.row_bytes() as u64 + 4 * (self.action as u64 + 1) + 1
    }
}

/// Rows `[steps * environments]`, step after step.
#[derive(Clone, Debug, PartialEq)]
pub struct Chunk {
    widths: Widths,
    pub observation: ObservationColumn,
    pub action: Column,
    pub reward: Vec<f32>,
    pub next_observation: ObservationColumn,
    flags: Vec<u8>,
}

impl Chunk {
    /// No rows, with room for `rows`.
    pub fn with_capacity(widths: &Widths, rows: usize) -> Self {
        let observations = || ObservationColumn::with_capacity(&widths.observation, rows);
        Chunk {
            widths: widths.clone(),
            observation: observations(),
            action: Column {
                values: Vec::with_capacity(rows * widths.action),
                width: widths.action,
            },
            reward: Vec::with_capacity(rows),
            next_observation: observations(),
            flags: Vec::with_capacity(rows),
        }
    }

    /// Appends a step of all environments.
    ///
    /// # Errors
    /// An observation with a number in the place of a byte; nothing is appended then.
    pub fn push(&mut self, steps: &StepResults) -> Result<(), NotAByte> {
        let rows = self.rows();
        let observed = self.observation.extend(&steps.observation);
        let next = observed.and_then(|()| self.next_observation.extend(&steps.next_observation));
        if let Err(error) = next {
            self.observation.truncate(rows);
            self.next_observation.truncate(rows);
            return Err(error);
        }
        self.action.values.extend(&steps.action.values);
        self.reward.extend(&steps.reward);
        for row in 0..steps.rows() {
            let flag = |set: bool, flag: u8| if set { flag } else { 0 };
            self.flags.push(
                flag(steps.terminated[row], TERMINATED)
                    | flag(steps.truncated[row], TRUNCATED)
                    | flag(steps.valid[row], VALID),
            );
        }
        Ok(())
    }

    pub fn rows(&self) -> usize {
        self.reward.len()
    }

    pub fn terminated(&self, row: usize) -> bool {
        self.flags[row] & TERMINATED != 0
    }

    pub fn ended(&self, row: usize) -> bool {
        self.flags[row] & (TERMINATED | TRUNCATED) != 0
    }

    pub fn valid(&self, row: usize) -> bool {
        self.flags[row] & VALID != 0
    }

    /// Writes it, compressed: the same bytes for the same rows.
    pub fn encode(&self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(magic(&self.widths))?;
        for number in header(&self.widths, self.rows()) {
            out.write_all(&number.to_le_bytes())?;
        }
        let mut encoder = DeflateEncoder::new(out, Compression::fast());
        self.write_observations(&mut encoder, false)?;
        for column in [&self.action.values, &self.reward] {
            write_planes(&mut encoder, column.iter().map(|value| value.to_bits()))?;
        }
        self.write_observations(&mut encoder, true)?;
        encoder.write_all(&self.flags)?;
        encoder.finish()?;
        Ok(())
    }

    /// Writes the observations, or how the next observations differ from what most likely follows: the observation of the same
    /// environment's next row, and of its own where the chunk ends.
    fn write_observations(&self, out: &mut impl Write, next: bool) -> io::Result<()> {
        use StoredObservations::{Numbers, Packed};
        let ahead = self.widths.environments;
        match (
            self.observation.as_stored(),
            self.next_observation.as_stored(),
        ) {
            (Numbers(seen), Numbers(after)) => {
                let bits = seen.iter().map(|value| value.to_bits());
                match next {
                    false => write_planes(out, bits),
                    true => {
                        let ahead = ahead * self.observation.width();
                        let following = following(seen, ahead).map(|value| value.to_bits());
                        let pairs = after.iter().map(|value| value.to_bits()).zip(following);
                        write_planes(out, pairs.map(|(next, following)| next ^ following))
                    }
                }
            }
            (Packed(seen), Packed(after)) => {
                let packing = &self.widths.observation;
                match next {
                    false => write_packed(out, packing, seen),
                    true => {
                        let following = following(seen, ahead * packing.row_bytes());
                        let pairs = after.iter().zip(following);
                        let differences: Vec<u8> = pairs.map(|(next, it)| next ^ it).collect();
                        write_packed(out, packing, &differences)
                    }
                }
            }
            _ => unreachable!("both columns lie in memory alike"),
        }
    }

    /// Reads what [`encode`](Chunk::encode) has written; it must have `rows` rows of these widths.
    pub fn decode(bytes: &[u8], widths: &Widths, rows: usize) -> Result<Self, String> {
        let expected = header(widths, rows);
        let (found, rest) = bytes
            .split_at_checked(8 + 8 * expected.len())
            .ok_or("it is too short")?;
        if found[..8] != magic(widths)[..] {
            return Err("it does not begin as a part of such a replay buffer does: it is damaged, or of a version that kept such rows otherwise".to_owned());
        }
        for (bytes, expected) in found[8..].chunks_exact(8).zip(expected) {
            let mut number = [0; 8];
            number.copy_from_slice(bytes);
            let found = u64::from_le_bytes(number);
            if found != expected {
                return Err(format!("it says {found} where {expected} is expected"));
            }
        }
        let mut decoder = DeflateDecoder::new(rest);
        let wrong = |error: io::Error| format!("it cannot be decompressed: {error}");
        let read = |decoder: &mut DeflateDecoder<&[u8]>| -> io::Result<Self> {
            let packing = &widths.observation;
            let mut chunk = Chunk::with_capacity(widths, 0);
            let seen = read_observations(decoder, packing, rows)?;
            chunk.action.values = read_planes(decoder, rows * widths.action)?;
            chunk.reward = read_planes(decoder, rows)?;
            let mut after = read_observations(decoder, packing, rows)?;
            undo_differences(&mut after, &seen, widths);
            chunk.observation = ObservationColumn::of_stored(packing, seen);
            chunk.next_observation = ObservationColumn::of_stored(packing, after);
            chunk.flags = vec![0; rows];
            decoder.read_exact(&mut chunk.flags)?;
            Ok(chunk)
        };
        read(&mut decoder).map_err(wrong)
    }
}

fn magic(widths: &Widths) -> &'static [u8; 8] {
    match widths.observation.is_packed() {
        true => MAGIC_OF_BYTES,
        false => MAGIC,
    }
}

/// The sizes that are written in front of the rows: where some elements are bytes, those of an observation in memory too.
fn header(widths: &Widths, rows: usize) -> Vec<u64> {
    let packing = &widths.observation;
    let packed = packing.is_packed().then(|| packing.row_bytes());
    let sizes = [rows, widths.environments, packing.width(), widths.action];
    sizes
        .into_iter()
        .chain(packed)
        .map(|size| size as u64)
        .collect()
}

/// What most likely comes after each of the values: that which lies so far ahead, or itself where there is none.
fn following<T: Copy>(values: &[T], ahead: usize) -> impl Iterator<Item = T> + Clone + '_ {
    let last = values.len().saturating_sub(ahead);
    let (after, own) = (&values[values.len() - last..], &values[last..]);
    after.iter().chain(own).copied()
}

/// Makes differences from what most likely follows what was observed next.
fn undo_differences(next: &mut StoredObservations, seen: &StoredObservations, widths: &Widths) {
    use StoredObservations::{Numbers, Packed};
    let (packing, ahead) = (&widths.observation, widths.environments);
    match (next, seen) {
        (Numbers(next), Numbers(seen)) => {
            let following = following(seen, ahead * packing.width());
            for (value, following) in next.iter_mut().zip(following) {
                *value = f32::from_bits(value.to_bits() ^ following.to_bits());
            }
        }
        (Packed(next), Packed(seen)) => {
            let following = following(seen, ahead * packing.row_bytes());
            next.iter_mut()
                .zip(following)
                .for_each(|(byte, it)| *byte ^= it);
        }
        _ => unreachable!("both columns lie in memory alike"),
    }
}

/// The bytes of all rows that are like each other, one kind after the other.
fn write_packed(out: &mut impl Write, packing: &Packing, rows: &[u8]) -> io::Result<()> {
    let mut plane = Vec::new();
    for places in packing.planes() {
        plane.clear();
        for row in rows.chunks_exact(packing.row_bytes()) {
            plane.extend(places.clone().map(|place| row[place]));
        }
        out.write_all(&plane)?;
    }
    Ok(())
}

fn read_observations(
    input: &mut impl Read,
    packing: &Packing,
    rows: usize,
) -> io::Result<StoredObservations> {
    if !packing.is_packed() {
        let numbers = read_planes(input, rows * packing.width())?;
        return Ok(StoredObservations::Numbers(numbers));
    }
    let mut packed = vec![0; rows * packing.row_bytes()];
    for places in packing.planes() {
        let mut plane = vec![0; rows * places.len()];
        input.read_exact(&mut plane)?;
        let mut bytes = plane.into_iter();
        for row in packed.chunks_exact_mut(packing.row_bytes()) {
            for (place, byte) in places.clone().zip(&mut bytes) {
                row[place] = byte;
            }
        }
    }
    Ok(StoredObservations::Packed(packed))
}

/// The lowest bytes of all numbers, then the next ones, and so on.
fn write_planes(
    out: &mut impl Write,
    numbers: impl Iterator<Item = u32> + Clone,
) -> io::Result<()> {
    for byte in 0..4 {
        let plane: Vec<u8> = numbers
            .clone()
            .map(|number| number.to_le_bytes()[byte])
            .collect();
        out.write_all(&plane)?;
    }
    Ok(())
}

fn read_planes(input: &mut impl Read, numbers: usize) -> io::Result<Vec<f32>> {
    let mut bits = vec![0_u32; numbers];
    let mut plane = vec![0; numbers];
    for byte in 0..4 {
        input.read_exact(&mut plane)?;
        for (bits, part) in bits.iter_mut().zip(&plane) {
            *bits |= u32::from(*part) << (8 * byte);
        }
    }
    Ok(bits.into_iter().map(f32::from_bits).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::Space;
    use crate::observation::ObservationParts;

    /// Three numbers.
    fn vectors() -> Widths {
        Widths {
            environments: 2,
            observation: Packing::numbers(3),
            action: 1,
        }
    }

    /// A gray picture of 2 by 2 pixels, and three numbers.
    fn pictures() -> Widths {
        let space = Space::dict([
            ("camera", Space::picture([2, 2, 1])),
            ("state", Space::from_bounds(&[(-1.0, 1.0); 3])),
        ]);
        Widths {
            observation: Packing::of(&ObservationParts::of_space(&space)),
            ..vectors()
        }
    }

    fn chunk(widths: &Widths, steps: usize) -> Chunk {
        let mut chunk = Chunk::with_capacity(widths, 2 * steps);
        let width = widths.observation.width();
        let mut now = StepResults::new(2, width, 1);
        for step in 0..steps {
            for row in now.next_observation.values.chunks_exact_mut(width) {
                let (pixels, numbers) = row.split_at_mut(width - 3);
                for value in numbers {
                    *value = (*value + step as f32 * 0.37).sin();
                }
                for (place, value) in pixels.iter_mut().enumerate() {
                    *value = ((step * 5 + place) % 256) as f32;
                }
            }
            now.reward = vec![step as f32, -0.0];
            now.action.values = vec![f32::from_bits(0x7fc0_0001), f32::INFINITY];
            now.terminated = vec![step % 5 == 4, false];
            now.truncated = vec![false, step % 7 == 6];
            now.valid = vec![true, step % 3 != 0];
            chunk.push(&now).unwrap();
            now.observation = now.next_observation.clone();
        }
        chunk
    }

    fn bits(values: &[f32]) -> Vec<u32> {
        values.iter().map(|value| value.to_bits()).collect()
    }

    #[test]
    fn rows_come_back_from_disk_to_the_last_bit_and_smaller() {
        for (widths, row_bytes) in [(vectors(), 2 * 12 + 9), (pictures(), 2 * (4 + 12) + 9)] {
            assert_eq!(widths.row_bytes(), row_bytes);
            for steps in [0, 1, 2, 500] {
                let chunk = chunk(&widths, steps);
                let mut bytes = Vec::new();
                chunk.encode(&mut bytes).unwrap();
                let again = Chunk::decode(&bytes, &widths, 2 * steps).unwrap();
                let of = |column: &ObservationColumn| bits(&column.numbers());
                assert_eq!(of(&chunk.observation), of(&again.observation));
                assert_eq!(of(&chunk.next_observation), of(&again.next_observation));
                assert_eq!(again.observation.bytes(), chunk.observation.bytes());
                assert_eq!(bits(&chunk.action.values), bits(&again.action.values));
                assert_eq!(bits(&chunk.reward), bits(&again.reward));
                assert_eq!(chunk.flags, again.flags);
                if steps == 500 {
                    let plain = chunk.rows() as u64 * row_bytes;
                    assert!((bytes.len() as u64) < plain / 2, "{} {plain}", bytes.len());
                }
            }
        }
    }

    #[test]
    fn damaged_and_foreign_bytes_are_refused() {
        for widths in [vectors(), pictures()] {
            let mut bytes = Vec::new();
            chunk(&widths, 50).encode(&mut bytes).unwrap();
            assert!(Chunk::decode(&bytes, &widths, 100).is_ok());
            assert!(Chunk::decode(&bytes, &widths, 98).is_err());
            // The same elements, all of them numbers; and others.
            for width in [7, 4] {
                let other = Widths {
                    observation: Packing::numbers(width),
                    ..vectors()
                };
                assert!(Chunk::decode(&bytes, &other, 100).is_err());
            }
            assert!(Chunk::decode(&bytes[..bytes.len() / 2], &widths, 100).is_err());
            assert!(Chunk::decode(&bytes[..20], &widths, 100).is_err());
            bytes[0] ^= 1;
            assert!(Chunk::decode(&bytes, &widths, 100).is_err());
        }
    }
}
