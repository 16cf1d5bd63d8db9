//! Mutants of good inputs, which readers are held against: an error or a result is well, a panic is not.
//!
//! A fixed number of cases each time the tests run. `YARAK_FUZZ_SECONDS=600 cargo test --release TARGET -- --nocapture` goes on for so
//! long with cases that nobody has seen, and says how many there were. A test that panics names its case, and
//! `YARAK_FUZZ_CASE=N cargo test --release TARGET` runs that one alone.

// Each program of tests uses some of it.
#![allow(dead_code)]

use std::time::{Duration, Instant, SystemTime};

/// Numbers that look random and are the same on every run (Vigna's SplitMix64).
pub struct Numbers(pub u64);

impl Numbers {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 on, below `end`, which is at least 1.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// One of them.
    pub fn of<'a, T: ?Sized>(&mut self, them: &[&'a T]) -> &'a T {
        them[self.below(them.len())]
    }
}

/// Says which case it was, where a test panics in it.
struct Case<'a>(&'a str, u64);

impl Drop for Case<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}: this was YARAK_FUZZ_CASE={}", self.0, self.1);
        }
    }
}

/// Runs `case` with so many streams of numbers, or with as many as the environment says.
pub fn hold(target: &str, cases: u64, mut case: impl FnMut(&mut Numbers)) {
    let number = |name: &str| -> Option<u64> { std::env::var(name).ok()?.parse().ok() };
    let mut run = |seed: u64| {
        let _named = Case(target, seed);
        case(&mut Numbers(seed.wrapping_mul(0x2545_f491_4f6c_dd1d)));
    };
    if let Some(seed) = number("YARAK_FUZZ_CASE") {
        return run(seed);
    }
    let Some(seconds) = number("YARAK_FUZZ_SECONDS") else {
        return (0..cases).for_each(run);
    };
    let began = Instant::now();
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap();
    let first = now.as_secs() << 24;
    let mut count = 0;
    while began.elapsed() < Duration::from_secs(seconds) {
        run(first + count);
        count += 1;
    }
    println!("{target}: {count} cases in {seconds} s");
}

/// Some bytes of it cut off, copied over others, or changed; those of its first `front` more often, where structure is.
pub fn mutant(original: &[u8], front: usize, numbers: &mut Numbers) -> Vec<u8> {
    let mut bytes = original.to_vec();
    match numbers.below(8) {
        0 => bytes.truncate(numbers.below(original.len())),
        1 => {
            let length = 1 + numbers.below(original.len().min(64));
            let from = numbers.below(original.len() - length + 1);
            let to = numbers.below(original.len() - length + 1);
            bytes.copy_within(from..from + length, to);
        }
        kind => {
            let reach = match kind % 2 {
                0 => bytes.len(),
                _ => bytes.len().min(front),
            };
            for _ in 0..1 + numbers.below(4) {
                let at = numbers.below(reach);
                bytes[at] = match numbers.below(4) {
                    0 => 0,
                    1 => 0xff,
                    2 => bytes[at] ^ (1 << numbers.below(8)),
                    _ => numbers.next() as u8,
                };
            }
        }
    }
    bytes
}

/// What a text has in the place of something else, if it is a scene, JSON or RON.
const WORDS: [&str; 30] = [
    "",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ",",
    ":",
    "\"",
    "\\",
    "/*",
    "//",
    "-",
    "0",
    "-1",
    "1e400",
    "18446744073709551615",
    "9223372036854775808",
    "4611686018427387904",
    "1e-45",
    "NaN",
    "inf",
    "null",
    "None",
    "Some(",
    "true",
    "é",
    "\0",
    "\u{202e}",
];

/// A text with some of its words, numbers or marks changed, taken out, or doubled.
pub fn mutant_of_text(original: &str, numbers: &mut Numbers) -> String {
    let mut text = original.to_owned();
    for _ in 0..1 + numbers.below(3) {
        let ends: Vec<usize> = text
            .char_indices()
            .map(|(at, _)| at)
            .chain([text.len()])
            .collect();
        let from = numbers.below(ends.len());
        // Half of the time a whole word or number, which is where meaning is.
        let to = match numbers.below(2) {
            0 => (from + numbers.below(8)).min(ends.len() - 1),
            _ => {
                let is_word = |c: char| c.is_alphanumeric() || "._-+".contains(c);
                let rest = &text[ends[from]..];
                let length = rest.chars().take_while(|c| is_word(*c)).count();
                from + length
            }
        };
        let taken = text[ends[from]..ends[to]].to_owned();
        let put = match numbers.below(4) {
            0 => taken.repeat(2),
            1 => {
                let other = numbers.below(ends.len());
                let end = (other + 1 + numbers.below(12)).min(ends.len() - 1);
                text[ends[other.min(end)]..ends[end]].to_owned()
            }
            _ => numbers.of(&WORDS).to_owned(),
        };
        text.replace_range(ends[from]..ends[to], &put);
    }
    text
}
