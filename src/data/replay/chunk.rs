//! A stretch of a replay buffer: some steps of all environments, in columns, and how they lie on disk.
//!
//! On disk the bytes of each column are sorted by their place in the number (all lowest bytes first), and what was observed
//! next is written as its difference from the following row's observation, which is nothing wherever an episode goes on.
//! Both are undone to the last bit; the rest is deflate.

use std::io::{self, Read, Write};

use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;

use crate::data::Column;
use crate::data::StepResults;

const MAGIC: &[u8; 8] = b"yarakRB1";

const TERMINATED: u8 = 1;
const TRUNCATED: u8 = 2;
const VALID: u8 = 4;

/// The sizes of a buffer's rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Widths {
    /// Environments that step together.
    pub environments: usize,
    /// Elements of an observation.
    pub observation: usize,
    /// Elements of an action.
    pub action: usize,
}

impl Widths {
    /// The bytes of one row in memory.
    pub fn row_bytes(&self) -> u64 {
        4 * (2 * self.observation as u64 + self.action as u64 + 1) + 1
    }
}

/// Rows `[steps * environments]`, step after step.
#[derive(Clone, Debug, PartialEq)]
pub struct Chunk {
    widths: Widths,
    pub observation: Column,
    pub action: Column,
    pub reward: Vec<f32>,
    pub next_observation: Column,
    flags: Vec<u8>,
}

impl Chunk {
    /// No rows, with room for `rows`.
    pub fn with_capacity(widths: Widths, rows: usize) -> Self {
        let column = |width: usize| Column {
            values: Vec::with_capacity(rows * width),
            width,
        };
        Chunk {
            widths,
            observation: column(widths.observation),
            action: column(widths.action),
            reward: Vec::with_capacity(rows),
            next_observation: column(widths.observation),
            flags: Vec::with_capacity(rows),
        }
    }

    /// Appends a step of all environments.
    pub fn push(&mut self, steps: &StepResults) {
        self.observation.values.extend(&steps.observation.values);
        self.action.values.extend(&steps.action.values);
        self.reward.extend(&steps.reward);
        let next = &steps.next_observation.values;
        self.next_observation.values.extend(next);
        for row in 0..steps.rows() {
            let flag = |set: bool, flag: u8| if set { flag } else { 0 };
            self.flags.push(
                flag(steps.terminated[row], TERMINATED)
                    | flag(steps.truncated[row], TRUNCATED)
                    | flag(steps.valid[row], VALID),
            );
        }
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
        out.write_all(MAGIC)?;
        for number in self.header() {
            out.write_all(&number.to_le_bytes())?;
        }
        let mut encoder = DeflateEncoder::new(out, Compression::fast());
        for column in [&self.observation.values, &self.action.values, &self.reward] {
            write_planes(&mut encoder, column.iter().map(|value| value.to_bits()))?;
        }
        let differences = self
            .next_observation
            .values
            .iter()
            .enumerate()
            .map(|(index, value)| value.to_bits() ^ self.following(index).to_bits());
        write_planes(&mut encoder, differences)?;
        encoder.write_all(&self.flags)?;
        encoder.finish()?;
        Ok(())
    }

    fn header(&self) -> [u64; 4] {
        let Widths {
            environments,
            observation,
            action,
        } = self.widths;
        [self.rows(), environments, observation, action].map(|number| number as u64)
    }

    /// What element `index` of the next observations most likely is: the observation of the same environment's next row,
    /// and of its own where the chunk ends.
    fn following(&self, index: usize) -> f32 {
        let values = &self.observation.values;
        let after = index + self.widths.environments * self.widths.observation;
        values.get(after).copied().unwrap_or(values[index])
    }

    /// Reads what [`encode`](Chunk::encode) has written; it must have `rows` rows of these widths.
    pub fn decode(bytes: &[u8], widths: Widths, rows: usize) -> Result<Self, String> {
        let mut chunk = Chunk::with_capacity(widths, rows);
        let header = bytes.get(..8 + 4 * 8).ok_or("it is too short")?;
        if header[..8] != MAGIC[..] {
            return Err("it does not begin as a part of a replay buffer does".to_owned());
        }
        let expected = [rows, widths.environments, widths.observation, widths.action];
        for (bytes, expected) in header[8..].chunks_exact(8).zip(expected) {
            let mut number = [0; 8];
            number.copy_from_slice(bytes);
            let found = u64::from_le_bytes(number);
            if found != expected as u64 {
                return Err(format!("it says {found} where {expected} is expected"));
            }
        }
        let mut decoder = DeflateDecoder::new(&bytes[8 + 4 * 8..]);
        let wrong = |error: io::Error| format!("it cannot be decompressed: {error}");
        for (column, width) in [
            (&mut chunk.observation.values, widths.observation),
            (&mut chunk.action.values, widths.action),
            (&mut chunk.reward, 1),
            (&mut chunk.next_observation.values, widths.observation),
        ] {
            *column = read_planes(&mut decoder, rows * width).map_err(wrong)?;
        }
        for index in 0..chunk.next_observation.values.len() {
            let following = chunk.following(index).to_bits();
            let value = &mut chunk.next_observation.values[index];
            *value = f32::from_bits(value.to_bits() ^ following);
        }
        chunk.flags = vec![0; rows];
        decoder.read_exact(&mut chunk.flags).map_err(wrong)?;
        Ok(chunk)
    }
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

    const WIDTHS: Widths = Widths {
        environments: 2,
        observation: 3,
        action: 1,
    };

    fn chunk(steps: usize) -> Chunk {
        let mut chunk = Chunk::with_capacity(WIDTHS, 2 * steps);
        let mut now = StepResults::new(2, 3, 1);
        for step in 0..steps {
            for value in &mut now.next_observation.values {
                *value = (*value + step as f32 * 0.37).sin();
            }
            now.reward = vec![step as f32, -0.0];
            now.action.values = vec![f32::from_bits(0x7fc0_0001), f32::INFINITY];
            now.terminated = vec![step % 5 == 4, false];
            now.truncated = vec![false, step % 7 == 6];
            now.valid = vec![true, step % 3 != 0];
            chunk.push(&now);
            now.observation = now.next_observation.clone();
        }
        chunk
    }

    fn bits(values: &[f32]) -> Vec<u32> {
        values.iter().map(|value| value.to_bits()).collect()
    }

    #[test]
    fn rows_come_back_from_disk_to_the_last_bit_and_smaller() {
        for steps in [0, 1, 2, 500] {
            let chunk = chunk(steps);
            let mut bytes = Vec::new();
            chunk.encode(&mut bytes).unwrap();
            let again = Chunk::decode(&bytes, WIDTHS, 2 * steps).unwrap();
            for (left, right) in [
                (&chunk.observation.values, &again.observation.values),
                (&chunk.action.values, &again.action.values),
                (&chunk.reward, &again.reward),
                (
                    &chunk.next_observation.values,
                    &again.next_observation.values,
                ),
            ] {
                assert_eq!(bits(left), bits(right));
            }
            assert_eq!(chunk.flags, again.flags);
            if steps == 500 {
                let plain = chunk.rows() as u64 * WIDTHS.row_bytes();
                assert!((bytes.len() as u64) < plain / 2, "{} {plain}", bytes.len());
            }
        }
    }

    #[test]
    fn damaged_and_foreign_bytes_are_refused() {
        let mut bytes = Vec::new();
        chunk(50).encode(&mut bytes).unwrap();
        assert!(Chunk::decode(&bytes, WIDTHS, 98).is_err());
        let other = Widths {
            observation: 4,
            ..WIDTHS
        };
        assert!(Chunk::decode(&bytes, other, 100).is_err());
        assert!(Chunk::decode(&bytes[..bytes.len() / 2], WIDTHS, 100).is_err());
        assert!(Chunk::decode(&bytes[..20], WIDTHS, 100).is_err());
        bytes[0] ^= 1;
        assert!(Chunk::decode(&bytes, WIDTHS, 100).is_err());
    }
}
