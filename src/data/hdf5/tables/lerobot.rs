//! LeRobot's folders of version 3 (`lerobot/datasets/lerobot_dataset.py`): `meta/info.json` with the features,
//! `meta/episodes/*/*.parquet` with a row an episode, and `data/*/*.parquet` with a row a frame, in the order of the files' names.
//!
//! | column | what |
//! |---|---|
//! | `observation.*`, `action` | numbers of the shape that the feature says |
//! | `episode_index`, `index`, `frame_index` | the frame's episode, its number in all, and in the episode |
//! | `next.reward`, `next.done` (optional) | a number, a truth value |
//!
//! A feature of the type `video` or `image` is listed and not copied. The files are those in the folder, as LeRobot's own loader finds
//! them: no path out of `info.json` is followed.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use serde_json::Value;
use tempfile::TempPath;

use super::super::Dtype;
use super::columns::{Leaf, values};
use super::copy::{Copy, Table, count_rows, not_copied};
use super::{counted, entries, json, refused};
use crate::data::hdf5::{DatasetInfo, FileError};

const FORMAT: &str = "parquet";
/// Columns by which rows become episodes.
const EPISODE: &str = "episode_index";
const INDEX: &str = "index";
const FRAME: &str = "frame_index";

/// What `info.json` says of one feature.
struct Feature {
    name: String,
    /// NumPy's name of its type, or `video`, `image` or `string`.
    dtype: String,
    shape: Option<Vec<usize>>,
}

impl Feature {
    /// Its kind where it is no table's column of numbers.
    fn kind(&self) -> Option<Dtype> {
        match self.dtype.as_str() {
            "video" => Some(Dtype::Other("video")),
            "image" => Some(Dtype::Other("image")),
            "string" => Some(Dtype::Text),
            _ => None,
        }
    }
}

pub(super) fn copied(description: &Path) -> Result<(TempPath, Vec<DatasetInfo>), FileError> {
    let folder = description
        .parent()
        .and_then(Path::parent)
        .unwrap_or(Path::new(""));
    let info = json(description)?;
    let version = info["codebase_version"].as_str().unwrap_or("no version");
    if !version.starts_with("v3.") {
        return Err(refused(
            description,
            format!(
                "is of LeRobot's layout {version}, and v3 is read: convert the dataset with LeRobot's own \
                 `lerobot.datasets.v30.convert_dataset_v21_to_v30`"
            ),
        ));
    }
    let features = features(description, &info)?;
    let tables = tables(&folder.join("data"))?;
    let rows = count_rows(description, &tables, FORMAT)?;
    let shape = |leaf: &Leaf| {
        let feature = features.iter().find(|it| it.name == leaf.names[0])?;
        match feature.shape.as_deref() {
            // One number is written without a list.
            Some([1]) => None,
            _ => feature.shape.clone(),
        }
    };
    let mut copy = Copy::begin(description, rows, &shape)?;
    let frames = RefCell::new(Frames::default());
    let mut leaves: Vec<Leaf> = Vec::new();
    for path in &tables {
        let is_wanted = |name: &str| {
            let feature = features.iter().find(|it| it.name == name);
            feature.is_some_and(|feature| feature.kind().is_none())
                || [EPISODE, INDEX, FRAME].contains(&name)
        };
        let table = Table::open(path, FORMAT)?;
        let has = table.leaves(path, |_| true)?;
        let lacks = |name: &str| !has.iter().any(|leaf| leaf.names[0] == name);
        let asked = features.iter().filter(|it| it.kind().is_none());
        let asked = asked.map(|it| it.name.as_str());
        if let Some(name) = asked.chain([EPISODE]).find(|name| lacks(name)) {
            return Err(refused(
                path,
                format!(
                    "has no column `{name}`, which info.json says it has: write it, or take the feature out of info.json"
                ),
            ));
        }
        if let Some(leaf) = has
            .iter()
            .find(|leaf| is_wanted(&leaf.names[0]) && !leaf.dtype.is_numeric())
        {
            return Err(refused(
                path,
                format!(
                    "has {} in the column `{}`, which info.json says is of numbers: one of them is another dataset's",
                    leaf.dtype,
                    leaf.path()
                ),
            ));
        }
        let first = frames.borrow().rows;
        let look = |row: usize, batch: &RecordBatch| {
            let mut frames = frames.borrow_mut();
            let looked = frames.look(first + row, batch);
            looked.map_err(|cause| refused(path, cause))
        };
        let table = copy.add(path, table, is_wanted, look)?;
        leaves = table.leaves;
    }
    let episodes = frames.into_inner().episodes;
    declared(description, &info, "total_frames", rows, "frames")?;
    declared(
        description,
        &info,
        "total_episodes",
        episodes.len(),
        "episodes",
    )?;
    hold_lengths(folder, &episodes)?;
    let mut datasets = Vec::new();
    let mut first = 0;
    for (number, length) in episodes.iter().enumerate() {
        let path = |name: &str| format!("episode_{number}/{name}");
        for leaf in &leaves {
            datasets.push(copy.listed(leaf, path(&leaf.path()), first, *length));
        }
        for feature in &features {
            if let Some(kind) = feature.kind() {
                datasets.push(not_copied(path(&feature.name), *length, kind));
            }
        }
        first += length;
    }
    Ok((copy.end()?, datasets))
}

/// The features of the dataset.
fn features(description: &Path, info: &Value) -> Result<Vec<Feature>, FileError> {
    let of = |(name, said): (&String, &Value)| {
        let lengths = said["shape"].as_array();
        let shape = lengths.and_then(|lengths| {
            let lengths = lengths.iter();
            lengths
                .map(|length| usize::try_from(length.as_u64()?).ok())
                .collect()
        });
        Feature {
            name: name.clone(),
            dtype: said["dtype"].as_str().unwrap_or_default().to_owned(),
            shape,
        }
    };
    let features = info["features"].as_object();
    let features: Vec<Feature> = features
        .ok_or_else(|| refused(description, "has no `features`: copy it again"))?
        .iter()
        .map(of)
        .collect();
    match features
        .iter()
        .find(|it| it.name.is_empty() || it.name.contains('/'))
    {
        Some(feature) => Err(refused(
            description,
            format!(
                "has a feature `{}`, and LeRobot's names have no `/`: rename it",
                feature.name
            ),
        )),
        None => Ok(features),
    }
}

/// The Parquet files below a folder, as LeRobot finds them: `*/*.parquet`, in the order of their names.
fn tables(folder: &Path) -> Result<Vec<PathBuf>, FileError> {
    let mut found = Vec::new();
    let none = || {
        refused(
            folder,
            "holds no Parquet file (`*/*.parquet`), as LeRobot's folders do: copy the dataset again, whole",
        )
    };
    if !folder.is_dir() {
        return Err(none());
    }
    for chunk in entries(folder)?.into_iter().filter(|path| path.is_dir()) {
        let mut files = entries(&chunk)?;
        files.retain(|path| path.extension().is_some_and(|it| it == "parquet"));
        found.extend(files);
    }
    match found.is_empty() {
        true => Err(none()),
        false => Ok(found),
    }
}

/// Holds a number that is declared against what is there.
fn declared(
    description: &Path,
    info: &Value,
    name: &str,
    found: usize,
    what: &str,
) -> Result<(), FileError> {
    match info[name].as_u64() {
        Some(declared) if declared != found as u64 => Err(refused(
            description,
            format!(
                "says `{name}`, {declared} {what}, and {found} are there: the dataset was not written to its end, or some of its files \
                 are missing"
            ),
        )),
        _ => Ok(()),
    }
}

/// Where episodes begin, found row by row.
#[derive(Default)]
struct Frames {
    /// The episodes' lengths, so far.
    episodes: Vec<usize>,
    /// Rows so far.
    rows: usize,
}

impl Frames {
    /// Looks at a batch that begins at this row of all.
    fn look(&mut self, first: usize, batch: &RecordBatch) -> Result<(), String> {
        self.rows = first;
        let numbers = |name: &str| column(batch, name);
        let episodes = numbers(EPISODE)?.ok_or_else(|| format!("has no column `{EPISODE}`"))?;
        let [indexes, frames] = [numbers(INDEX)?, numbers(FRAME)?];
        for (at, episode) in episodes.iter().enumerate() {
            let row = self.rows;
            let said = |name: &str, found: i64, expected: usize| {
                format!(
                    "has {found} in the column `{name}` at row {row} of all files, and {expected} follows there: its rows are not in \
                     order, or are of several datasets"
                )
            };
            let current = self.episodes.len();
            let is_next = *episode == current as i64;
            if !is_next && (current == 0 || *episode != current as i64 - 1) {
                return Err(said(EPISODE, *episode, current));
            }
            if is_next {
                self.episodes.push(0);
            }
            let Some(length) = self.episodes.last_mut() else {
                return Err(said(EPISODE, *episode, 0));
            };
            if let Some(found) = indexes.as_ref().map(|it| it[at])
                && found != row as i64
            {
                return Err(said(INDEX, found, row));
            }
            if let Some(found) = frames.as_ref().map(|it| it[at])
                && found != *length as i64
            {
                return Err(said(FRAME, found, *length));
            }
            *length += 1;
            self.rows += 1;
        }
        Ok(())
    }
}

/// A column of whole numbers, one a row; `None` where it is not there.
fn column(batch: &RecordBatch, name: &str) -> Result<Option<Vec<i64>>, String> {
    let Some(array) = batch.column_by_name(name) else {
        return Ok(None);
    };
    let wrong = |what: String| format!("has the column `{name}`, which {what}");
    let (array, _) = values(array, 0).map_err(wrong)?;
    match array.as_primitive_opt::<Int64Type>() {
        Some(numbers) if numbers.len() == batch.num_rows() => Ok(Some(numbers.values().to_vec())),
        _ => Err(wrong(
            "is not of whole numbers of 64 bits, one a row: write it so".to_owned(),
        )),
    }
}

/// Holds the episodes' lengths against what `meta/episodes` says of them, by which LeRobot finds an episode's rows.
fn hold_lengths(folder: &Path, episodes: &[usize]) -> Result<(), FileError> {
    let mut number = 0;
    let mut begin = 0;
    for path in tables(&folder.join("meta/episodes"))? {
        let table = Table::open(&path, FORMAT)?;
        let wanted = [EPISODE, "length", "dataset_from_index", "dataset_to_index"];
        table.look(&path, &wanted, |batch| {
            let [numbers, lengths, from, to] = wanted.map(|name| column(batch, name));
            let (numbers, lengths, from, to) = (numbers?, lengths?, from?, to?);
            for at in 0..batch.num_rows() {
                let Some(length) = episodes.get(number) else {
                    return Err(format!(
                        "has more episodes than the {} of the data: one of them is another dataset's",
                        episodes.len()
                    ));
                };
                for (name, said, found) in [
                    (EPISODE, &numbers, number),
                    ("length", &lengths, *length),
                    ("dataset_from_index", &from, begin),
                    ("dataset_to_index", &to, begin + length),
                ] {
                    if let Some(said) = said.as_ref().map(|it| it[at])
                        && said != found as i64
                    {
                        return Err(format!(
                            "says `{name}` of episode {number} is {said}, and by the data it is {found}: one of them is another dataset's"
                        ));
                    }
                }
                begin += length;
                number += 1;
            }
            Ok(())
        })?;
    }
    match number == episodes.len() {
        true => Ok(()),
        false => Err(refused(
            &folder.join("meta/episodes"),
            format!(
                "has {}, and the data {}: one of them is another dataset's",
                counted(number, "episode"),
                episodes.len()
            ),
        )),
    }
}
