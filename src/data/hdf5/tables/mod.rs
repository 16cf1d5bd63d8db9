//! Datasets in tables, copied into a temporary HDF5 file: Minari's in Arrow or Parquet, and the low-dimensional columns of LeRobot's.
//!
//! A column of all tables becomes one long dataset of the copy, and what is listed of it are its rows of each episode, as if each were
//! a dataset of its own. The copy takes a piece of memory at a time, and the room of the columns in the folder for temporary files
//! (`TMPDIR`). Tables are taken for a stranger's: what they declare is held against their bytes before anything is allocated by it.
//!
//! - `parquet` and `arrow` read one table each, `pages` looks over the pages of a Parquet file first.
//! - `columns` finds the numbers in a table's columns, `copy` writes them.
//! - `minari` and `lerobot` say which tables there are, and which rows of them are an episode's.

mod arrow;
mod columns;
mod copy;
mod lerobot;
mod minari;
mod pages;
mod parquet;

use std::fmt::Display;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempPath;

use super::space::parse_json;
use super::table_folder::{TableFolder, Tables};
use super::{DatasetInfo, FileError};

/// About how many bytes are copied at once.
const PIECE_BYTES: usize = 4 << 20;
/// More than any description of a dataset needs.
const MOST_JSON_BYTES: u64 = 64 << 20;

/// A dataset that was copied.
pub(super) struct Copied {
    pub(super) tables: Tables,
    pub(super) copy: TempPath,
    /// What is listed, in the order of paths.
    pub(super) datasets: Vec<DatasetInfo>,
}

/// Copies a dataset's columns of numbers and truth values.
///
/// # Errors
/// [`FileError::Table`] for what is damaged, or not what the dataset's description says; [`FileError::Unwritable`] where there is no
/// room for the copy.
pub(super) fn copied(folder: &TableFolder) -> Result<Copied, FileError> {
    let description = folder.description();
    let (copy, mut datasets) = match folder.tables {
        Tables::Minari => minari::copied(&description, &folder.format),
        Tables::Lerobot => lerobot::copied(&description),
    }?;
    datasets.sort_by(|a, b| a.path.cmp(&b.path));
    datasets
        .iter()
        .for_each(|info| crate::terminal::heed(&info.path));
    Ok(Copied {
        tables: folder.tables,
        copy,
        datasets,
    })
}

/// A table, or the description of a dataset, that is not as it should be.
fn refused(file: &Path, cause: impl Into<String>) -> FileError {
    FileError::Table {
        file: file.to_owned(),
        cause: cause.into(),
    }
}

/// A table's file, and how many bytes it has.
///
/// # Errors
/// What is no regular file.
fn opened(path: &Path) -> Result<(File, u64), FileError> {
    let file = File::open(path).map_err(unreadable(path))?;
    let kind = file.metadata().map_err(unreadable(path))?;
    match kind.is_file() {
        true => Ok((file, kind.len())),
        false => Err(refused(path, "is no regular file: copy it there")),
    }
}

/// What the operating system refuses of a file.
fn unreadable(file: &Path) -> impl Fn(io::Error) -> FileError {
    move |source| FileError::Io {
        file: file.to_owned(),
        source,
    }
}

/// A table that its reader cannot read.
fn damaged(path: &Path, error: &impl Display) -> FileError {
    refused(
        path,
        format!("cannot be read ({error}): it is damaged; write it again, or copy it again"),
    )
}

/// What a description says, with Python's infinities as `null`.
fn json(path: &Path) -> Result<Value, FileError> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| {
        file.take(MOST_JSON_BYTES).read_to_string(&mut text)?;
        Ok(())
    });
    read.map_err(unreadable(path))?;
    parse_json(&text).map_err(|cause| {
        refused(
            path,
            format!("is no description of a dataset ({cause}); copy it again"),
        )
    })
}

/// The entries of a folder, in the order of their names.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, FileError> {
    let io = unreadable(folder);
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(&io)? {
        found.push(entry.map_err(&io)?.path());
    }
    found.sort();
    Ok(found)
}

/// Counts in a message: `1 number`, `2 numbers`.
fn counted(count: usize, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        count => format!("{count} {what}s"),
    }
}
