//! The sources as text, without tests and comments.

use std::fs;
use std::path::{Path, PathBuf};

use crate::ROOT;

/// A source file and the lines of it that are no tests and no comments, with their numbers.
pub struct Source {
    pub path: String,
    pub code: Vec<(usize, String)>,
}

impl Source {
    pub fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap();
        let mut code = Vec::new();
        let mut lines = text.lines().enumerate().peekable();
        while let Some((index, line)) = lines.next() {
            let trimmed = line.trim();
            // Tests are at the foot of the file; a module in a file of its own is passed over by `sources`.
            let tests_follow = lines.peek().is_some_and(|(_, next)| {
                next.trim().starts_with("mod ") && next.trim().ends_with('{')
            });
            if trimmed == "#[cfg(test)]" && tests_follow {
                break;
            }
            if !trimmed.starts_with("//") && !trimmed.is_empty() {
                let line = line.split(" // ").next().unwrap_or(line);
                code.push((index + 1, line.to_owned()));
            }
        }
        Source {
            path: path
                .strip_prefix(ROOT)
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned(),
            code,
        }
    }

    /// The places with one of `words` in them.
    pub fn places(&self, words: &[&str]) -> Vec<String> {
        let lines = self.code.iter();
        let found = lines.filter(|(_, line)| words.iter().any(|word| line.contains(word)));
        found
            .map(|(number, line)| format!("{}:{number}: {}", self.path, line.trim()))
            .collect()
    }
}

fn files_below(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files_below(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

/// The sources below the given folders and files, without those that exist for tests alone.
pub fn sources(places: &[&str]) -> Vec<Source> {
    let mut all = Vec::new();
    for place in ["src", "plugins"] {
        files_below(&Path::new(ROOT).join(place), &mut all);
    }
    let is_chosen = |path: &&PathBuf| {
        let root = Path::new(ROOT);
        places
            .iter()
            .any(|place| path.starts_with(root.join(place)))
    };
    let chosen = all.iter().filter(is_chosen);
    let chosen: Vec<Source> = chosen
        .filter(|path| !path.to_str().unwrap().ends_with(FOR_TESTS))
        .map(|path| Source::read(path))
        .collect();
    assert!(!chosen.is_empty(), "{places:?}");
    chosen
}

/// How the name of a file ends that exists for tests alone.
const FOR_TESTS: &str = "_tests.rs";

#[test]
fn files_for_tests_alone_are_named_so() {
    for source in sources(&["src", "plugins"]) {
        let lines: Vec<&str> = source.code.iter().map(|(_, line)| line.trim()).collect();
        for (at, _) in lines
            .iter()
            .enumerate()
            .filter(|(_, it)| **it == "#[cfg(test)]")
        {
            let path = lines[at + 1].strip_prefix("#[path = \"");
            let module = lines[at + 1]
                .strip_prefix("mod ")
                .and_then(|it| it.strip_suffix(';'));
            let file = match (path, module) {
                (Some(path), _) => path.trim_end_matches("\"]").to_owned(),
                (None, Some(name)) => format!("{name}.rs"),
                (None, None) => continue,
            };
            assert!(
                file.ends_with(FOR_TESTS),
                "{}: name {file} `.._tests.rs`",
                source.path
            );
        }
    }
}
