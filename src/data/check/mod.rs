//! Looking a file of demonstrations over before anything is trained on it: `yarak data check FILE [--json]`.
//!
//! A file that loads can still hold what nobody meant: actions beyond their bounds, rows that do not follow each other,
//! ends that contradict each other, an element that never changes. Each finding has its places and a [`Severity`]; only an
//! [`Severity::Error`] makes training wrong.

mod actions;
mod declared;
mod episodes;
mod finding;
pub(in crate::data) mod numbers;
pub(in crate::data) mod precision;
mod repetition;

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

pub use super::hdf5::ActionBounds;
pub use finding::{Finding, Kind, MOST_PLACES, Place, Severity};

use super::hdf5::File;
use super::{DatasetFile, Layout, LoadError, Reading};
use precision::Precision;

/// Everything that was found in a file. `Display` is a page to read; `Serialize` is the same for a script.
///
/// ```
/// # let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/d4rl/nan.hdf5");
/// let check = yarak::data::check::Check::of(file, None);
/// assert_eq!(check.errors(), 1);
/// println!("{check}");
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Check {
    /// The file.
    pub file: PathBuf,
    /// Its layout, where it has one.
    pub layout: Option<Layout>,
    /// How many episodes it gives, where it can be read.
    pub episodes: Option<usize>,
    /// How many transitions it gives, where it can be read.
    pub transitions: Option<usize>,
    /// What was found, errors first.
    pub findings: Vec<Finding>,
}

impl Check {
    /// Looks a file over. Whatever is wrong with it is a finding, never an error of the check.
    ///
    /// Without `bounds`, actions are held against those that the file gives ([`DatasetFile::action_bounds`]), or else those of the
    /// environment that it names, if that is built in.
    pub fn of(path: impl AsRef<Path>, bounds: Option<&ActionBounds>) -> Self {
        let mut check = Self {
            file: path.as_ref().to_owned(),
            layout: None,
            episodes: None,
            transitions: None,
            findings: Vec::new(),
        };
        if let Err(error) = check.look(path.as_ref(), bounds) {
            check.unreadable(&error);
        }
        check.findings.sort_by_key(|finding| finding.severity);
        check
    }

    fn look(&mut self, path: &Path, bounds: Option<&ActionBounds>) -> Result<(), LoadError> {
        let dataset_file = match DatasetFile::open(path, &Reading::default()) {
            Ok(dataset_file) => dataset_file,
            Err(error) => {
                // What is wrong with numbers is said even where the rest cannot be made sense of.
                if let Ok(file) = File::open(path)
                    && let Ok(layout) = Layout::detect(&file)
                {
                    self.layout = Some(layout);
                    self.findings.extend(numbers::look(&file, layout)?);
                }
                return Err(error);
            }
        };
        let layout = dataset_file.layout();
        self.layout = Some(layout);
        self.findings
            .extend(numbers::look(dataset_file.file(), layout)?);
        self.findings.extend(episodes::look_at_ends(&dataset_file)?);
        self.findings.extend(declared::look(&dataset_file));
        let transitions = dataset_file.read()?;
        self.episodes = Some(transitions.episodes().len());
        self.transitions = Some(transitions.len());
        let own = dataset_file.action_bounds()?;
        self.findings.extend(actions::look(
            &dataset_file,
            &transitions,
            bounds.or(own.as_ref()),
        ));
        self.findings.extend(episodes::look(&transitions));
        self.findings
            .extend(repetition::look(&dataset_file, &transitions));
        let precision = Precision::of(&dataset_file)?;
        self.findings.extend(precision.findings());
        self.findings.extend(numbers::look_for_constants(
            &dataset_file,
            &transitions,
            &precision,
        ));
        self.findings.extend(numbers::look_for_large(&transitions));
        Ok(())
    }

    /// An error of the reader, unless it speaks of what was found already.
    fn unreadable(&mut self, error: &LoadError) {
        if matches!(error, LoadError::NotFinite { .. }) && self.errors() > 0 {
            self.findings.push(Finding::new(
                Severity::Note,
                Kind::Unreadable,
                "episodes and actions were not looked at: the numbers that are not finite come first",
            ));
            return;
        }
        let message = crate::schedule::with_causes(error);
        self.findings
            .push(Finding::new(Severity::Error, Kind::Unreadable, message).once(Place::default()));
    }

    /// How many kinds of errors there are.
    pub fn errors(&self) -> usize {
        self.of_severity(Severity::Error)
    }

    fn of_severity(&self, severity: Severity) -> usize {
        self.findings
            .iter()
            .filter(|finding| finding.severity == severity)
            .count()
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(layout) = self.layout {
            write!(f, ": {layout} layout")?;
        }
        if let (Some(episodes), Some(transitions)) = (self.episodes, self.transitions) {
            write!(f, ", {episodes} episodes, {transitions} transitions")?;
        }
        writeln!(f)?;
        for finding in &self.findings {
            write!(f, "{finding}")?;
        }
        let counted = |count: usize, word: &str| match count {
            1 => format!("1 {word}"),
            count => format!("{count} {word}s"),
        };
        if self.findings.is_empty() {
            return writeln!(f, "  nothing to complain of");
        }
        writeln!(
            f,
            "{}, {}, {}",
            counted(self.errors(), "error"),
            counted(self.of_severity(Severity::Warning), "warning"),
            counted(self.of_severity(Severity::Note), "note"),
        )
    }
}
