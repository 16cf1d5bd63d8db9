//! HDF5 files of demonstrations, and the layouts that the field writes into them.
//!
//! [`File`] is the only code that touches an HDF5 library; a layout is a file beside it that says which datasets mean what.
//! To add a layout: a module with a `read` function, a variant of [`Layout`], and its mark in [`Layout::detect`].

pub mod d4rl;
mod element;
mod error;
mod file;
mod selection;
mod vetting;
mod writer;

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;
use thiserror::Error;

pub use element::{Dtype, Element};
pub use error::FileError;
pub use file::{DatasetInfo, File};
pub(in crate::data) use writer::Writer;

use super::{Transitions, TransitionsError};

/// Reads a file of demonstrations, in whichever known layout it is.
///
/// # Errors
///
/// A file that cannot be read, whose layout is unknown, or that breaks its layout's rules; always with the place.
///
/// ```
/// # let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/d4rl/contiguous.hdf5");
/// let transitions = yarak::data::load(file)?;
/// assert_eq!(transitions.observation().width, 3);
/// # Ok::<(), yarak::data::LoadError>(())
/// ```
pub fn load(path: impl AsRef<Path>) -> Result<Transitions, LoadError> {
    let file = File::open(path)?;
    Layout::detect(&file)?.read(&file)
}

/// A convention for the datasets in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Layout {
    /// One dataset per column at the top level; see [`d4rl`].
    D4rl,
}

impl Layout {
    /// Recognises a layout by the names at the file's top level.
    ///
    /// # Errors
    ///
    /// [`LoadError::UnknownLayout`], which lists what stands at the top level.
    pub fn detect(file: &File) -> Result<Self, LoadError> {
        if d4rl::is_it(file) {
            return Ok(Self::D4rl);
        }
        Err(LoadError::UnknownLayout {
            file: file.path().to_owned(),
            found: file.contents(),
        })
    }

    /// Reads all transitions of a file in this layout.
    ///
    /// # Errors
    ///
    /// Whatever breaks the layout's rules, with the place.
    pub fn read(self, file: &File) -> Result<Transitions, LoadError> {
        match self {
            Self::D4rl => d4rl::read(file),
        }
    }

    /// Whether training reads the dataset at `path`, as opposed to what merely accompanies it.
    pub fn reads(self, path: &str) -> bool {
        match self {
            Self::D4rl => d4rl::COLUMNS.contains(&path),
        }
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::D4rl => "D4RL",
        })
    }
}

/// A file that does not give transitions.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// No known layout.
    #[error(
        "{}: no known layout. D4RL has `observations`, `actions`, `rewards` and `terminals` at the top level; this file has {found}",
        .file.display()
    )]
    UnknownLayout {
        /// The file.
        file: PathBuf,
        /// What stands at its top level.
        found: String,
    },
    /// A dataset that the layout needs is not there.
    #[error("{}: there is no dataset `{dataset}`, which the {layout} layout needs: {expected}. The file has {found}", .file.display())]
    Missing {
        /// The file.
        file: PathBuf,
        /// The path inside the file.
        dataset: &'static str,
        /// The layout.
        layout: Layout,
        /// What was expected there.
        expected: &'static str,
        /// What stands at the file's top level.
        found: String,
    },
    /// A dataset of another shape or type than the layout's.
    #[error("{}: dataset `{dataset}` is {found}; expected {expected}", .file.display())]
    Form {
        /// The file.
        file: PathBuf,
        /// The path inside the file.
        dataset: &'static str,
        /// Its shape and type.
        found: String,
        /// What was expected there.
        expected: &'static str,
    },
    /// A dataset with another number of rows than the first.
    #[error(
        "{}: dataset `{dataset}` has {found} rows and `observations` has {expected}; every dataset needs one row per step",
        .file.display()
    )]
    Rows {
        /// The file.
        file: PathBuf,
        /// The path inside the file.
        dataset: &'static str,
        /// Its rows.
        found: usize,
        /// The rows of `observations`.
        expected: usize,
    },
    /// The two observation datasets differ in width.
    #[error(
        "{}: dataset `next_observations` has {found} columns and `observations` has {expected}; both describe the same space",
        .file.display()
    )]
    NextWidth {
        /// The file.
        file: PathBuf,
        /// Columns of `next_observations`.
        found: usize,
        /// Columns of `observations`.
        expected: usize,
    },
    /// A NaN or an infinity.
    #[error(
        "{}: dataset `{dataset}`, row {row}, column {column} is {value}; expected a finite number: drop or repair this row",
        .file.display()
    )]
    NotFinite {
        /// The file.
        file: PathBuf,
        /// The path inside the file.
        dataset: String,
        /// The row, from 0.
        row: usize,
        /// The column, from 0.
        column: usize,
        /// What stands there.
        value: f32,
    },
    /// Data that were read from the file before, and are not what they were.
    #[error("{}: the file is not what it was when this began; leave it alone while a run reads from it", .file.display())]
    Changed {
        /// The file.
        file: PathBuf,
    },
    /// No thread to read with.
    #[error(
        "no thread can be started to read the data with; look at the system's limits, such as `ulimit -u`"
    )]
    Threads {
        /// What the operating system says.
        source: std::io::Error,
    },
    /// The columns were read but hold no valid transitions.
    #[error("{}: the file gives no valid transitions", .file.display())]
    Transitions {
        /// The file.
        file: PathBuf,
        /// Why.
        source: TransitionsError,
    },
}

impl LoadError {
    pub(super) fn changed(file: &File) -> Self {
        Self::Changed {
            file: file.path().to_owned(),
        }
    }
}
