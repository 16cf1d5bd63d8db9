//! The page of what is right or refused, held to the cases and the tests that it names.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::ROOT;

/// What stands between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn the_page_of_right_or_refused_names_every_case_and_tests_that_exist() {
    let page = Path::new(ROOT).join("docs/right_or_refused.md");
    let page = fs::read_to_string(page).unwrap();
    let rows = page.lines().filter(|line| line.starts_with("| "));
    let mut named = BTreeSet::new();
    // The first row has the titles.
    for row in rows.skip(1) {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").collect();
        let [_, cases, _, tests] = cells[..] else {
            panic!("not four cells: {row}");
        };
        named.extend(quoted(cases).map(str::to_owned));
        let mut source = String::new();
        let mut found = 0;
        for name in quoted(tests) {
            if name.contains('/') {
                source = fs::read_to_string(Path::new(ROOT).join(name)).unwrap();
            } else {
                let test = format!("#[test]\nfn {name}() {{");
                let lines: Vec<&str> = source.lines().map(str::trim).collect();
                assert!(lines.join("\n").contains(&test), "no test {name}: {row}");
                found += 1;
            }
        }
        assert!(found >= 1, "no test: {row}");
    }
    let mut cases = BTreeSet::new();
    for entry in fs::read_dir(Path::new(ROOT).join("tests/fixtures/cases")).unwrap() {
        let entry = entry.unwrap();
        if entry.path().join("expected.txt").is_file() {
            cases.insert(entry.file_name().into_string().unwrap());
        }
    }
    assert_eq!(named, cases);
}
