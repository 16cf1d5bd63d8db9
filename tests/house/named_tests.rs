//! Tables of pages that name tests, held to the sources.

use std::fs;
use std::path::Path;

use crate::ROOT;

/// The cells of each row of a text's tables, without the titles.
pub fn rows(text: &str) -> impl Iterator<Item = Vec<&str>> {
    let following = text.lines().skip(1).chain([""]);
    text.lines()
        .zip(following)
        .filter(|(line, next)| line.starts_with("| ") && !next.starts_with("|-"))
        .map(|(line, _)| line.trim_matches('|').split(" | ").map(str::trim).collect())
}

/// What stands between backticks.
pub fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// How many tests a cell names, each behind the file that has it: `tests/data/d4rl.rs`: `a_test`, `another`.
#[track_caller]
pub fn count_tests(cell: &str) -> usize {
    let mut source = String::new();
    let mut count = 0;
    for name in quoted(cell) {
        if name.contains('/') {
            let text = fs::read_to_string(Path::new(ROOT).join(name)).unwrap();
            let lines: Vec<&str> = text.lines().map(str::trim).collect();
            source = lines.join("\n");
        } else {
            // Some return a `Result`.
            let test = format!("#[test]\nfn {name}() ");
            assert!(source.contains(&test), "no test {name}: {cell}");
            count += 1;
        }
    }
    count
}
