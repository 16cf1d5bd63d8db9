//! The numbers in the columns of a table: which there are, by their types, and their values, without the lists around them.

use arrow_array::{Array, ArrayRef, FixedSizeListArray, ListArray, StructArray};
use arrow_schema::{DataType, Field};

use super::super::Dtype;
use super::counted;

/// Lists within lists, and names within names, that are looked into.
const DEEPEST: usize = 16;

/// Numbers in a table: a column, or a part of one that has names below it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Leaf {
    /// The names that lead to it, the column's first.
    pub(super) names: Vec<String>,
    /// The type of an element. What is neither a number nor a truth value is listed, and not copied.
    pub(super) dtype: Dtype,
}

impl Leaf {
    /// Its names in one.
    pub(super) fn path(&self) -> String {
        self.names.join("/")
    }
}

/// What is in a column.
///
/// # Errors
/// In words, names that cannot be told apart from others.
pub(super) fn leaves(field: &Field) -> Result<Vec<Leaf>, String> {
    let mut found = Vec::new();
    add(field, Vec::new(), &mut found)?;
    Ok(found)
}

fn add(field: &Field, mut names: Vec<String>, found: &mut Vec<Leaf>) -> Result<(), String> {
    let name = field.name();
    if name.is_empty() || name.contains('/') || names.len() > DEEPEST {
        return Err(format!(
            "has a part `{name}` in the column `{}`, which is no name here: rename it",
            names.join("/")
        ));
    }
    names.push(name.clone());
    match field.data_type() {
        DataType::Struct(fields) => {
            for field in fields {
                add(field, names.clone(), found)?;
            }
        }
        other => found.push(Leaf {
            names,
            dtype: element(other, 0),
        }),
    }
    Ok(())
}

/// The type of a column's elements, within lists of whatever depth.
fn element(data_type: &DataType, depth: usize) -> Dtype {
    let integer = |bits, signed| Dtype::Integer { bits, signed };
    match data_type {
        DataType::List(field) | DataType::FixedSizeList(field, _) if depth < DEEPEST => {
            match element(field.data_type(), depth + 1) {
                dtype if dtype.is_numeric() => dtype,
                _ => Dtype::Other("list"),
            }
        }
        DataType::Boolean => Dtype::Bool,
        DataType::Float16 => Dtype::Float16,
        DataType::Float32 => Dtype::Float32,
        DataType::Float64 => Dtype::Float64,
        DataType::Int8 => integer(8, true),
        DataType::Int16 => integer(16, true),
        DataType::Int32 => integer(32, true),
        DataType::Int64 => integer(64, true),
        DataType::UInt8 => integer(8, false),
        DataType::UInt16 => integer(16, false),
        DataType::UInt32 => integer(32, false),
        DataType::UInt64 => integer(64, false),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Dtype::Text,
        // What HDF5's pictures are, too: bytes of varying length.
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => Dtype::Other("sequence"),
        _ => Dtype::Other("no number"),
    }
}

/// A part of a column, by the names that lead to it from there. `first_row` is the number of its first row in the table.
///
/// # Errors
/// In words, a part that is not there, or is null in a row.
pub(super) fn part(
    column: &ArrayRef,
    names: &[String],
    first_row: usize,
) -> Result<ArrayRef, String> {
    let mut array = column.clone();
    for name in names {
        without_nulls(&array, 1, first_row)?;
        let parts = array.as_any().downcast_ref::<StructArray>();
        array = parts
            .and_then(|parts| parts.column_by_name(name))
            .ok_or_else(|| format!("has no part `{name}`"))?
            .clone();
    }
    Ok(array)
}

/// The numbers of an array without the lists around them, and the shape of one row. `first_row` is the number of its first row in the
/// table.
///
/// # Errors
/// In words, lists of different lengths, and nulls, with their row.
pub(super) fn values(array: &ArrayRef, first_row: usize) -> Result<(ArrayRef, Vec<usize>), String> {
    let rows = array.len();
    let (mut array, mut shape) = (array.clone(), Vec::new());
    // Elements of the innermost list for each row.
    let mut width = 1usize;
    loop {
        without_nulls(&array, width, first_row)?;
        let (inner, length) =
            if let Some(list) = array.as_any().downcast_ref::<FixedSizeListArray>() {
                let length = usize::try_from(list.value_length()).unwrap_or(0);
                let count = list.len().checked_mul(length).unwrap_or(usize::MAX);
                (within(list.values(), 0, count)?, length)
            } else if let Some(list) = array.as_any().downcast_ref::<ListArray>() {
                let lengths = list
                    .value_offsets()
                    .windows(2)
                    .map(|it| (it[1] - it[0]) as usize);
                let mut lengths = lengths.enumerate();
                let (_, length) = lengths.next().unwrap_or((0, 0));
                if let Some((at, other)) = lengths.find(|(_, it)| *it != length) {
                    return Err(format!(
                        "has {} in row {first_row} and {other} in row {}: every row needs as many",
                        counted(length, "number"),
                        first_row + at / width.max(1),
                    ));
                }
                let first = list.value_offsets().first().map_or(0, |it| *it as usize);
                (within(list.values(), first, list.len() * length)?, length)
            } else {
                break;
            };
        shape.push(length);
        width = width.saturating_mul(length);
        array = inner;
    }
    match rows.checked_mul(width) == Some(array.len()) {
        true => Ok((array, shape)),
        false => Err(format!(
            "has {} numbers in {rows} rows of {width}",
            array.len()
        )),
    }
}

/// A part of a list's values.
fn within(values: &ArrayRef, first: usize, count: usize) -> Result<ArrayRef, String> {
    match first.checked_add(count) {
        Some(end) if end <= values.len() => Ok(values.slice(first, count)),
        _ => Err("has lists beyond its numbers".to_owned()),
    }
}

/// Refuses a null, with its row.
fn without_nulls(array: &ArrayRef, width: usize, first_row: usize) -> Result<(), String> {
    let Some(nulls) = array.nulls().filter(|nulls| nulls.null_count() > 0) else {
        return Ok(());
    };
    let at = (0..nulls.len()).find(|at| nulls.is_null(*at)).unwrap_or(0);
    Err(format!(
        "is null in row {}: drop this row, or fill it in",
        first_row + at / width.max(1)
    ))
}
