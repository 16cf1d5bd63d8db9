//! Amounts of memory.

use std::fmt;

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
