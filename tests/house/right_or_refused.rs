//! The page of what is right or refused, held to the cases and the tests that it names.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::ROOT;
use crate::named_tests::{count_tests, quoted, rows};

#[test]
fn the_page_of_right_or_refused_names_every_case_and_tests_that_exist() {
    let page = Path::new(ROOT).join("docs/right_or_refused.md");
    let page = fs::read_to_string(page).unwrap();
    let mut named = BTreeSet::new();
    for row in rows(&page) {
        let [_, cases, _, tests] = row[..] else {
            panic!("not four cells: {row:?}");
        };
        named.extend(quoted(cases).map(str::to_owned));
        assert!(count_tests(tests) >= 1, "no test: {row:?}");
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
