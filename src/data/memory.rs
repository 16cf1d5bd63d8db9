//! How much memory a file's transitions take, told from what the file declares, before anything is allocated.

use std::fmt;

use super::Layout;
use super::hdf5::File;

/// Bytes, written as people say them: `112.0 MB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = self.0 as f64;
        match self.0 {
            0..1_000 => write!(f, "{} bytes", self.0),
            1_000..1_000_000 => write!(f, "{:.1} kB", size / 1e3),
            1_000_000..1_000_000_000 => write!(f, "{:.1} MB", size / 1e6),
            _ => write!(f, "{:.1} GB", size / 1e9),
        }
    }
}

/// What the transitions of a file take in memory: 4 bytes a number, 1 a flag.
///
/// ```
/// # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/d4rl/contiguous.hdf5");
/// use yarak::data::{Layout, hdf5::File, memory_needed};
///
/// let file = File::open(path)?;
/// let needed = memory_needed(&file, Layout::detect(&file)?);
/// // 60 rows of 3 observations, 3 next observations, 2 actions, a reward and two flags.
/// assert_eq!(needed.0, 60 * (4 * (3 + 3 + 2 + 1) + 2));
/// # Ok::<(), yarak::data::LoadError>(())
/// ```
pub fn memory_needed(file: &File, layout: Layout) -> Bytes {
    let elements = |path: &str| {
        let info = file.dataset(path).ok()?;
        let product = |n: u64, &length: &usize| n.saturating_mul(length as u64);
        Some((info.dtype.is_float(), info.shape.iter().fold(1, product)))
    };
    let mut bytes = 0u64;
    for info in file.datasets() {
        if layout.reads(&info.path)
            && let Some((is_float, elements)) = elements(&info.path)
        {
            bytes = bytes.saturating_add(elements.saturating_mul(if is_float { 4 } else { 1 }));
        }
    }
    // Where a file keeps no next observations, they are made of the observations.
    if elements("next_observations").is_none()
        && let Some((_, elements)) = elements("observations")
    {
        bytes = bytes.saturating_add(elements.saturating_mul(4));
    }
    Bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_written_as_people_say_them() {
        for (bytes, text) in [
            (999, "999 bytes"),
            (1_500, "1.5 kB"),
            (112_000_000, "112.0 MB"),
            (7_250_000_000, "7.2 GB"),
        ] {
            assert_eq!(Bytes(bytes).to_string(), text);
        }
    }
}
