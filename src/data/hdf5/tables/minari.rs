//! Minari's folders in Arrow or Parquet (`minari/dataset/_storages/arrow_storage.py`): next to `metadata.json` a folder an episode, named
//! by its number, with one table of T + 1 rows.
//!
//! | column | what |
//! |---|---|
//! | `observations`, `actions` | a list of numbers a row, a number, or a structure: of a `Dict` by its names, of a `Tuple` by numbers |
//! | `rewards`, `terminations`, `truncations` | a number or truth value a row |
//! | `infos` (optional) | a structure of anything |
//!
//! What an episode has one less of than observations is padded by a last row, which is left out. It is listed as Minari's HDF5 files have
//! it: `episode_0/observations/b`, and `_index_0` for a `Tuple`'s first part, with the shapes of the space.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempPath;

use super::columns::Leaf;
use super::copy::{Copy, Table, count_rows};
use super::{counted, entries, json, refused};
use crate::data::hdf5::space::parse_json;
use crate::data::hdf5::{DatasetInfo, FileError};

/// Columns with T + 1 rows, and with one that is padded.
const COLUMNS: [&str; 6] = [
    "observations",
    "infos",
    "actions",
    "rewards",
    "terminations",
    "truncations",
];
const WITH_LAST: [&str; 2] = ["observations", "infos"];

pub(super) fn copied(
    description: &Path,
    format: &str,
) -> Result<(TempPath, Vec<DatasetInfo>), FileError> {
    let folder = description.parent().unwrap_or(Path::new(""));
    let metadata = json(description)?;
    let space = |name: &str| {
        let text = metadata[name].as_str()?;
        parse_json(text).ok()
    };
    let spaces = [
        ("observations", space("observation_space")),
        ("actions", space("action_space")),
    ];
    let space_of = |column: &str| {
        let mut spaces = spaces.iter();
        spaces.find_map(|(name, space)| space.as_ref().filter(|_| *name == column))
    };
    let episodes = episodes(folder)?;
    let tables: Vec<PathBuf> = episodes.iter().map(|(_, table)| table.clone()).collect();
    let rows = count_rows(description, &tables, format)?;
    let shape = |leaf: &Leaf| {
        let space = space_of(&leaf.names[0])?;
        shape(part(space, &leaf.names[1..]))
    };
    let mut copy = Copy::begin(description, rows, &shape)?;
    let mut of_episodes = Vec::new();
    for (number, path) in &episodes {
        let table = Table::open(path, format)?;
        let is_wanted = |name: &str| COLUMNS.contains(&name);
        of_episodes.push((
            number,
            path,
            copy.add(path, table, is_wanted, |_, _| Ok(()))?,
        ));
    }
    let mut datasets = Vec::new();
    for (number, path, table) in of_episodes {
        let steps = table.rows.checked_sub(1).ok_or_else(|| {
            refused(
                path,
                "has no row, and an episode has one more than steps: write it again",
            )
        })?;
        for leaf in &table.leaves {
            let rows = match WITH_LAST.contains(&leaf.names[0].as_str()) {
                true => table.rows,
                false => steps,
            };
            let name = listed(leaf, space_of(&leaf.names[0]));
            let path = format!("episode_{number}/{name}");
            datasets.push(copy.listed(leaf, path, table.first, rows));
        }
    }
    Ok((copy.end()?, datasets))
}

/// The episodes' numbers and tables, in order. Which numbers there must be is the layout's own affair.
fn episodes(folder: &Path) -> Result<Vec<(u64, PathBuf)>, FileError> {
    let mut found = Vec::new();
    for path in entries(folder)? {
        let name = path.file_name().and_then(|name| name.to_str());
        let number = name.and_then(|name| {
            let number: u64 = name.parse().ok()?;
            (number.to_string() == name).then_some(number)
        });
        let Some(number) = number.filter(|_| path.is_dir()) else {
            continue;
        };
        // As pyarrow's datasets leave them out.
        let is_table = |path: &PathBuf| {
            let name = path.file_name().and_then(|name| name.to_str());
            name.is_some_and(|name| name != "metadata.json" && !name.starts_with(['.', '_']))
        };
        let mut tables = entries(&path)?;
        tables.retain(is_table);
        match tables.as_slice() {
            [table] => found.push((number, table.clone())),
            [] => {
                return Err(refused(
                    &path,
                    "has no file with the episode: copy it again",
                ));
            }
            tables => {
                return Err(refused(
                    &path,
                    format!(
                        "has {}, and Minari writes one an episode: leave the others out",
                        counted(tables.len(), "file")
                    ),
                ));
            }
        }
    }
    found.sort();
    Ok(found)
}

/// A part of a space, by the names of the table: of a tuple's its number.
fn part<'a>(mut space: &'a Value, names: &[String]) -> &'a Value {
    for name in names {
        space = match &space["subspaces"] {
            Value::Array(parts) => match name.parse::<usize>() {
                Ok(at) => parts.get(at).unwrap_or(&Value::Null),
                Err(_) => &Value::Null,
            },
            parts => &parts[name.as_str()],
        };
    }
    space
}

/// The shape that a space gives.
fn shape(space: &Value) -> Option<Vec<usize>> {
    match space["type"].as_str()? {
        "Box" => {
            let lengths = space["shape"].as_array()?.iter();
            lengths
                .map(|length| usize::try_from(length.as_u64()?).ok())
                .collect()
        }
        _ => None,
    }
}

/// What a part is listed as: a tuple's are numbered as in Minari's HDF5 files.
fn listed(leaf: &Leaf, space: Option<&Value>) -> String {
    let mut path = leaf.names[0].clone();
    let mut space = space.unwrap_or(&Value::Null);
    for name in &leaf.names[1..] {
        path.push('/');
        if space["subspaces"].is_array() {
            path.push_str("_index_");
        }
        path.push_str(name);
        space = part(space, std::slice::from_ref(name));
    }
    path
}
