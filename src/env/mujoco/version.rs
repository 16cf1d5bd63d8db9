//! MuJoCo's versions: trajectories are equal to the bit within one, and not from one to the next.

use std::fmt;

/// Major, minor, patch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub [u32; 3]);

impl Version {
    /// The first whose functions are those that `binding` calls.
    pub const OLDEST: Version = Version([3, 0, 0]);

    /// Reads `3.3.7`; what is behind the third number is left out.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.trim().splitn(3, '.').map(|part| {
            let digits = part.find(|c: char| !c.is_ascii_digit());
            part[..digits.unwrap_or(part.len())].parse().ok()
        });
        Some(Version([parts.next()??, parts.next()??, parts.next()??]))
    }

    /// One number for a state that is made of numbers.
    pub(super) fn as_number(self) -> f64 {
        let [major, minor, patch] = self.0.map(f64::from);
        major * 1e6 + minor * 1e3 + patch
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, patch] = self.0;
        write!(f, "{major}.{minor}.{patch}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_ordered_and_written() {
        let version = |text| Version::parse(text).unwrap();
        assert_eq!(version("3.3.7"), Version([3, 3, 7]));
        assert_eq!(version("3.10.0-dev"), Version([3, 10, 0]));
        assert!(version("3.10.0") > version("3.9.12"));
        assert_eq!(version("4.0.0").to_string(), "4.0.0");
        assert_eq!(version("3.10.2").as_number(), 3_010_002.0);
        for text in ["", "4", "4.0", "four.0.0", "4..0"] {
            assert_eq!(Version::parse(text), None, "{text}");
        }
    }
}
