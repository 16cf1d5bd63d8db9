//! Seeds on a command line: numbers, and ranges of them.

use std::ops::Range;

/// The most seeds that `0..N` stands for.
const MOST_SEEDS: u64 = 4_096;

/// A seed, or those from one up to and without another: `7`, `0..64`.
pub fn seeds_of(text: &str) -> Result<Range<u64>, String> {
    let number = |text: &str| {
        let read = text.trim().parse::<u64>();
        read.map_err(|_| format!("{text:?} is no seed: write whole numbers, or `0..64`"))
    };
    let Some((first, end)) = text.split_once("..") else {
        let seed = number(text)?;
        let end = seed.checked_add(1);
        return end
            .map(|end| seed..end)
            .ok_or_else(|| format!("{seed} is no seed here: the greatest is {}", u64::MAX - 1));
    };
    let (first, end) = (number(first)?, number(end)?);
    match end.saturating_sub(first) {
        0 => Err(format!(
            "`{text}` has no seed: the first must be below the second"
        )),
        1..=MOST_SEEDS => Ok(first..end),
        many => Err(format!(
            "`{text}` are {many} seeds: give {MOST_SEEDS} at most"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_numbers_and_ranges_of_them() {
        assert_eq!(seeds_of("7"), Ok(7..8));
        assert_eq!(seeds_of("2..5"), Ok(2..5));
        for odd in [
            "",
            "..",
            "5..5",
            "6..5",
            "0..-1",
            "x",
            "0..1000000",
            "18446744073709551615",
        ] {
            assert!(seeds_of(odd).is_err(), "{odd}");
        }
    }
}
