//! The page on dependencies and `unsafe`, held to `Cargo.toml` and to the sources.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::ROOT;
use crate::named_tests::rows;
use crate::sources::sources;

fn page() -> String {
    fs::read_to_string(Path::new(ROOT).join("docs/supply_chain.md")).unwrap()
}

/// A table's rows by what their first cell names.
fn table(heading: &str) -> BTreeMap<String, Vec<String>> {
    let page = page();
    let section = page.split("\n## ").find(|it| it.starts_with(heading));
    let rows = rows(section.unwrap_or_else(|| panic!("no section {heading}")));
    rows.map(|cells| {
        let cells: Vec<String> = cells.into_iter().map(str::to_owned).collect();
        (cells[0].trim_matches('`').to_owned(), cells)
    })
    .collect()
}

#[test]
fn each_direct_dependency_has_its_reason() {
    let manifest = fs::read_to_string(Path::new(ROOT).join("Cargo.toml")).unwrap();
    let mut is_dependencies = false;
    let mut declared = BTreeSet::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            is_dependencies = line.ends_with("dependencies]");
        } else if let (true, Some((name, _))) = (is_dependencies, line.split_once('=')) {
            let name = name.trim();
            if !name.starts_with('#') {
                declared.insert(name.to_owned());
            }
        }
    }
    assert!(declared.len() > 20, "{declared:?}");
    let listed: BTreeSet<String> = table("Direct dependencies").into_keys().collect();
    assert_eq!(listed, declared);
}

#[test]
fn each_file_with_unsafe_code_is_listed_with_its_reason() {
    let is_unsafe = |(_, line): &&(usize, String)| {
        let mut words = line.split(|it: char| !(it.is_alphanumeric() || it == '_'));
        words.any(|word| word == "unsafe")
    };
    let mut found = BTreeMap::new();
    for source in sources(&["src", "plugins"]) {
        let count = source.code.iter().filter(is_unsafe).count();
        // A list of Rust's keywords is no code.
        if count > 0 && source.path != "src/cli/new.rs" {
            found.insert(source.path, count.to_string());
        }
    }
    let listed: BTreeMap<String, String> = table("`unsafe`")
        .into_iter()
        .map(|(file, cells)| (file, cells[1].clone()))
        .collect();
    assert_eq!(listed, found);
}
