//! The page of the two guides, held to the tests that it names.

use std::fs;
use std::path::Path;

use crate::ROOT;
use crate::named_tests::{count_tests, rows};

#[test]
fn the_page_on_reliability_names_tests_that_exist() {
    let page = fs::read_to_string(Path::new(ROOT).join("docs/reliability.md")).unwrap();
    let mut count = 0;
    for row in rows(&page) {
        let [_, tests, _, _] = row[..] else {
            panic!("not four cells: {row:?}");
        };
        assert!(count_tests(tests) >= 1, "no test: {row:?}");
        count += 1;
    }
    assert!(count >= 8, "{count} rows");
}

#[test]
fn the_page_of_the_guides_names_tests_that_exist() {
    let page = Path::new(ROOT).join("docs/guides.md");
    let page = fs::read_to_string(page).unwrap();
    let mut count = 0;
    for row in rows(&page) {
        let [_, place, tests] = row[..] else {
            panic!("not three cells: {row:?}");
        };
        let lacks = place.contains("Not here yet");
        assert!(count_tests(tests) >= 1 || lacks, "no test: {row:?}");
        count += 1;
    }
    assert!(count >= 80, "{count} rows");
}
