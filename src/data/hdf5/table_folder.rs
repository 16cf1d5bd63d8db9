//! Finding out that a folder is a dataset in tables: Minari's in Arrow or Parquet, or LeRobot's.

use std::fs;
use std::path::{Path, PathBuf};

use super::dataset_file::data_file;
use super::{LoadError, minari};

/// Whose tables these are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tables {
    /// A folder an episode, in Arrow or Parquet, next to `metadata.json`.
    Minari,
    /// Files of many episodes, in Parquet, described by `meta/info.json`.
    Lerobot,
}

/// A dataset in tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TableFolder {
    pub(super) tables: Tables,
    /// Minari's folder with `metadata.json`, LeRobot's with `meta/`.
    folder: PathBuf,
    /// `arrow` or `parquet`.
    pub(super) format: String,
}

const METADATA: &str = "metadata.json";
const INFO: &str = "meta/info.json";

impl TableFolder {
    /// The dataset at a path: a folder, or the description in it.
    ///
    /// # Errors
    /// Minari's metadata that cannot be read.
    pub(super) fn at(path: &Path) -> Result<Option<Self>, LoadError> {
        let lerobot = |folder: &Path| Self {
            tables: Tables::Lerobot,
            folder: folder.to_owned(),
            format: "parquet".to_owned(),
        };
        if path.is_dir() {
            for folder in [path.to_owned(), path.join("data")] {
                if let Some(found) = Self::of_minari(&folder)? {
                    return Ok(Some(found));
                }
            }
            return Ok(path.join(INFO).is_file().then(|| lerobot(path)));
        }
        if path.ends_with(METADATA) {
            return Self::of_minari(path.parent().unwrap_or(Path::new("")));
        }
        let is_info = path.ends_with(INFO) && path.is_file();
        let folder = path.parent().and_then(Path::parent);
        Ok(folder.filter(|_| is_info).map(lerobot))
    }

    fn of_minari(folder: &Path) -> Result<Option<Self>, LoadError> {
        if !folder.join(METADATA).is_file() {
            return Ok(None);
        }
        let format = minari::storage_format(folder)?;
        let format = format.filter(|it| ["arrow", "parquet"].contains(&it.as_str()));
        Ok(format.map(|format| Self {
            tables: Tables::Minari,
            folder: folder.to_owned(),
            format,
        }))
    }

    /// The file that describes the dataset, by which it is opened and named.
    pub(super) fn description(&self) -> PathBuf {
        self.folder.join(match self.tables {
            Tables::Minari => METADATA,
            Tables::Lerobot => INFO,
        })
    }
}

/// The files that a dataset consists of, in order: of one in tables its description and all of them, else the one with the values.
pub fn files_of(path: &Path) -> Vec<PathBuf> {
    let Ok(Some(folder)) = TableFolder::at(path) else {
        return vec![data_file(path).unwrap_or_else(|_| path.to_owned())];
    };
    let roots = match folder.tables {
        Tables::Minari => vec![folder.folder.clone()],
        Tables::Lerobot => ["data", "meta/episodes"]
            .map(|it| folder.folder.join(it))
            .to_vec(),
    };
    let mut files = vec![folder.description()];
    for root in roots {
        collect(&root, 1, &mut files);
    }
    files.sort();
    files.dedup();
    files
}

/// The files in a folder and in those so deep in it.
fn collect(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_file() {
            files.push(path);
        } else if depth > 0 && path.is_dir() {
            collect(&path, depth - 1, files);
        }
    }
}
