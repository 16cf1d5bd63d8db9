//! What came of a conversion: what was written, what went with it, and what had to stay behind.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

use super::Target;
use crate::data::hdf5::Key;

/// What was written. `Display` is for people; `Serialize` is the same for a script.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Converted {
    /// The file or folder.
    pub path: PathBuf,
    /// Its layout.
    pub target: Target,
    /// How many episodes.
    pub episodes: usize,
    /// How many transitions.
    pub transitions: usize,
    /// What the file held next to its transitions, and went along, by its names there.
    pub carried: Vec<String>,
    /// What the file held and the new layout has no place for.
    pub left_behind: Vec<LeftBehind>,
    /// What the new layout says in another way.
    pub notes: Vec<String>,
}

/// Something that was in the file and is not in the new one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct LeftBehind {
    /// What it is, by its name in the file.
    pub what: String,
    /// Why it is not there.
    pub why: String,
}

impl fmt::Display for Converted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{}: {} layout, {} episodes, {} transitions, read back and compared",
            self.path.display(),
            self.target,
            self.episodes,
            self.transitions
        )?;
        if !self.carried.is_empty() {
            writeln!(f, "  with them: {}", self.carried.join(", "))?;
        }
        for LeftBehind { what, why } in &self.left_behind {
            writeln!(f, "  left behind: {what}: {why}")?;
        }
        for note in &self.notes {
            writeln!(f, "  note: {note}")?;
        }
        Ok(())
    }
}

/// What is written down of all this while a file is being written.
#[derive(Default)]
pub(super) struct Account {
    pub(super) carried: Vec<String>,
    pub(super) left_behind: Vec<LeftBehind>,
    pub(super) notes: Vec<String>,
    /// Columns of the file and their names in the new one, to be compared when they are read back.
    pub(super) columns: Vec<(String, String)>,
}

impl Account {
    pub(super) fn carry(&mut self, name: &str) {
        self.carried.push(format!("`{name}`"));
    }

    pub(super) fn leave(&mut self, what: &str, why: impl Into<String>) {
        self.left_behind.push(LeftBehind {
            what: format!("`{what}`"),
            why: why.into(),
        });
    }

    /// A column's values after the last steps of episodes.
    pub(super) fn leave_after(&mut self, column: &str) {
        self.left_behind.push(LeftBehind {
            what: format!("`{column}` after an episode's last step"),
            why: "the new layout has a row for each step and no more".to_owned(),
        });
    }

    /// That parts are written side by side in one column.
    pub(super) fn note_joined(&mut self, column: &str, parts: &[Key]) {
        if let [part] = parts
            && part.shape.len() < 2
        {
            return;
        }
        let parts: Vec<String> = parts
            .iter()
            .map(|part| match part.shape.as_slice() {
                [] | [_] => format!("`{}` ({})", part.name, part.width()),
                shape => format!("`{}` ({shape:?}, row by row)", part.name),
            })
            .collect();
        self.note(format!(
            "{column} are side by side in one row a step: {}",
            parts.join(", ")
        ));
    }

    pub(super) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }
}
