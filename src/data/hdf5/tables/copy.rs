//! The copy: a temporary HDF5 file with a long dataset for each column of numbers, and what is listed of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::SchemaRef;
use rust_hdf5::types::H5Type;
use rust_hdf5::{DatatypeMessage, H5Dataset, H5File, HBool, Hdf5Error};
use tempfile::TempPath;

use super::super::copies::{temporary, unwritable};
use super::super::listing::Slice;
use super::super::{DatasetInfo, Dtype, FileError};
use super::columns::{Leaf, leaves, part, values};
use super::{arrow, counted, parquet, refused};

/// A table in one of the formats.
pub(super) enum Table<'a> {
    Parquet(Box<parquet::Table<'a>>),
    Arrow(Box<arrow::Table<'a>>),
}

impl<'a> Table<'a> {
    pub(super) fn open(path: &'a Path, format: &str) -> Result<Self, FileError> {
        Ok(match format {
            "arrow" => Self::Arrow(Box::new(arrow::Table::open(path)?)),
            _ => Self::Parquet(Box::new(parquet::Table::open(path)?)),
        })
    }

    fn schema(&self) -> SchemaRef {
        match self {
            Self::Parquet(table) => table.schema(),
            Self::Arrow(table) => table.schema(),
        }
    }

    pub(super) fn rows(&mut self) -> Result<usize, FileError> {
        match self {
            Self::Parquet(table) => table.rows(),
            Self::Arrow(table) => table.rows(),
        }
    }

    /// Everything in the columns that are asked for, by their names.
    pub(super) fn leaves(
        &self,
        path: &Path,
        is_wanted: impl Fn(&str) -> bool,
    ) -> Result<Vec<Leaf>, FileError> {
        let schema = self.schema();
        let mut found = Vec::new();
        for field in schema.fields() {
            if is_wanted(field.name()) {
                found.extend(leaves(field).map_err(|cause| refused(path, cause))?);
            }
        }
        let mut names: Vec<&Vec<String>> = found.iter().map(|leaf| &leaf.names).collect();
        names.sort();
        if let Some(twice) = names.windows(2).find(|it| it[0] == it[1]) {
            let name = twice[0].join("/");
            return Err(refused(
                path,
                format!("has two columns `{name}`: leave one of them out"),
            ));
        }
        Ok(found)
    }

    /// Shows every batch of some columns, those of them that are there.
    pub(super) fn look(
        self,
        path: &Path,
        names: &[&str],
        mut look: impl FnMut(&RecordBatch) -> Result<(), String>,
    ) -> Result<(), FileError> {
        let leaves = self.leaves(path, |name| names.contains(&name))?;
        let wanted: Vec<&Leaf> = leaves.iter().collect();
        self.read(&wanted, |_, batch| {
            look(batch).map_err(|cause| refused(path, cause))
        })
    }

    /// Reads columns and parts of columns, a batch at a time, each with the number of its first row.
    fn read(
        self,
        wanted: &[&Leaf],
        take: impl FnMut(usize, &RecordBatch) -> Result<(), FileError>,
    ) -> Result<(), FileError> {
        match self {
            Self::Parquet(table) => table.read(wanted, take),
            Self::Arrow(table) => table.read(wanted, take),
        }
    }
}

/// A column of all tables together.
struct Column {
    dataset: H5Dataset,
    name: Arc<str>,
    dtype: Dtype,
    /// At one row, as the tables have it.
    shape: Vec<usize>,
    /// At one row, as it is listed.
    listed: Vec<usize>,
}

/// What a column is expected to be, and is listed as: the shape at one row, where the dataset's description gives one.
pub(super) type Shape<'a> = &'a dyn Fn(&Leaf) -> Option<Vec<usize>>;

/// A copy that is being written.
pub(super) struct Copy<'a> {
    of: &'a Path,
    to: H5File,
    path: TempPath,
    /// Rows of all tables.
    rows: usize,
    written: usize,
    shape: Shape<'a>,
    /// By the names that lead to them.
    columns: BTreeMap<Vec<String>, Column>,
}

/// The rows that a table became.
pub(super) struct Copied {
    pub(super) first: usize,
    pub(super) rows: usize,
    pub(super) leaves: Vec<Leaf>,
}

impl<'a> Copy<'a> {
    /// Begins a copy of tables of so many rows together, for a dataset that is described at `of`.
    pub(super) fn begin(of: &'a Path, rows: usize, shape: Shape<'a>) -> Result<Self, FileError> {
        let path = temporary(of)?;
        let to = H5File::create(&path).map_err(|error| unwritable(of, error.to_string()))?;
        Ok(Self {
            of,
            to,
            path,
            rows,
            written: 0,
            shape,
            columns: BTreeMap::new(),
        })
    }

    /// Copies the columns of a table that are asked for. `look` is shown each batch with the number of its first row in the table.
    pub(super) fn add(
        &mut self,
        path: &Path,
        table: Table<'_>,
        is_wanted: impl Fn(&str) -> bool,
        mut look: impl FnMut(usize, &RecordBatch) -> Result<(), FileError>,
    ) -> Result<Copied, FileError> {
        let leaves = table.leaves(path, &is_wanted)?;
        let mut table = table;
        let (first, rows) = (self.written, table.rows()?);
        if first.checked_add(rows).is_none_or(|end| end > self.rows) {
            return Err(refused(path, "changed while it was read: leave it alone"));
        }
        let numbers: Vec<&Leaf> = leaves
            .iter()
            .filter(|leaf| leaf.dtype.is_numeric())
            .collect();
        table.read(&numbers, |row, batch| {
            look(row, batch)?;
            for leaf in &numbers {
                let wrong = |cause: String| {
                    refused(
                        path,
                        format!("has the column `{}`, which {cause}", leaf.path()),
                    )
                };
                let column = batch
                    .column_by_name(&leaf.names[0])
                    .ok_or_else(|| wrong("is not there".to_owned()))?;
                let array = part(column, &leaf.names[1..], row).map_err(wrong)?;
                let (array, shape) = values(&array, row).map_err(wrong)?;
                let rows = batch.num_rows();
                self.write(path, leaf, first + row, rows, &array, &shape, &wrong)?;
            }
            Ok(())
        })?;
        self.written += rows;
        Ok(Copied {
            first,
            rows,
            leaves,
        })
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "a place, what is written there, and how to say what is wrong with it"
    )]
    fn write(
        &mut self,
        path: &Path,
        leaf: &Leaf,
        first: usize,
        rows: usize,
        array: &ArrayRef,
        shape: &[usize],
        wrong: &dyn Fn(String) -> FileError,
    ) -> Result<(), FileError> {
        let width: usize = shape.iter().product();
        if rows == 0 || width == 0 {
            return match rows {
                0 => Ok(()),
                _ => Err(wrong("has no number in a row".to_owned())),
            };
        }
        if !self.columns.contains_key(&leaf.names) {
            let listed = match (self.shape)(leaf) {
                None => shape.to_vec(),
                Some(expected) if product(&expected) == Some(width) => expected,
                Some(expected) => {
                    let expected = match product(&expected) {
                        Some(width) => counted(width, "number"),
                        None => format!("the shape {expected:?}"),
                    };
                    return Err(wrong(format!(
                        "has {} in a row, and its description in {} says {expected}: one of them is another dataset's",
                        counted(width, "number"),
                        self.of.display()
                    )));
                }
            };
            let column = self.column(leaf, shape, listed);
            let column = column.map_err(|error| unwritable(self.of, error.to_string()))?;
            self.columns.insert(leaf.names.clone(), column);
        }
        let column = &self.columns[&leaf.names];
        if column.shape != shape {
            return Err(wrong(format!(
                "has {} in a row, and in earlier rows {}: every row needs as many",
                counted(width, "number"),
                product(&column.shape).unwrap_or(0),
            )));
        }
        if column.dtype != leaf.dtype {
            return Err(refused(
                path,
                format!(
                    "has {} in the column `{}`, and other tables of the dataset {}: write them with one type",
                    leaf.dtype,
                    leaf.path(),
                    column.dtype
                ),
            ));
        }
        put(column, first, rows, array).map_err(|error| unwritable(self.of, error.to_string()))
    }

    /// A new column of the copy.
    fn column(
        &self,
        leaf: &Leaf,
        shape: &[usize],
        listed: Vec<usize>,
    ) -> Result<Column, Hdf5Error> {
        let name: Arc<str> = format!("column_{}", self.columns.len()).into();
        let extents = [&[self.rows], listed.as_slice()].concat();
        let file = &self.to;
        let dataset = match leaf.dtype {
            // Half floats have no type in Rust; their bytes are those of a whole number.
            Dtype::Float16 => file
                .new_dataset::<u16>()
                .datatype(DatatypeMessage::f16_type())
                .shape(&extents)
                .create(&name),
            Dtype::Float32 => file.new_dataset::<f32>().shape(&extents).create(&name),
            Dtype::Float64 => file.new_dataset::<f64>().shape(&extents).create(&name),
            Dtype::Bool => file.new_dataset::<HBool>().shape(&extents).create(&name),
            Dtype::Integer { bits, signed } => match (bits, signed) {
                (8, true) => file.new_dataset::<i8>().shape(&extents).create(&name),
                (8, false) => file.new_dataset::<u8>().shape(&extents).create(&name),
                (16, true) => file.new_dataset::<i16>().shape(&extents).create(&name),
                (16, false) => file.new_dataset::<u16>().shape(&extents).create(&name),
                (32, true) => file.new_dataset::<i32>().shape(&extents).create(&name),
                (32, false) => file.new_dataset::<u32>().shape(&extents).create(&name),
                (_, true) => file.new_dataset::<i64>().shape(&extents).create(&name),
                (_, false) => file.new_dataset::<u64>().shape(&extents).create(&name),
            },
            Dtype::Text | Dtype::Other(_) => Err(Hdf5Error::TypeMismatch("no numbers".to_owned())),
        }?;
        Ok(Column {
            dataset,
            name,
            dtype: leaf.dtype,
            shape: shape.to_vec(),
            listed,
        })
    }

    /// What is listed of a column: so many of its rows from the first on, under a path. Of what was not copied its type alone.
    pub(super) fn listed(
        &self,
        leaf: &Leaf,
        path: String,
        first: usize,
        rows: usize,
    ) -> DatasetInfo {
        match self.columns.get(&leaf.names) {
            Some(column) => DatasetInfo {
                path,
                shape: [&[rows], column.listed.as_slice()].concat(),
                dtype: column.dtype,
                element_bytes: bytes_of(column.dtype),
                unreadable: None,
                slice: Some(Slice {
                    dataset: column.name.clone(),
                    first,
                }),
            },
            None => not_copied(path, rows, leaf.dtype),
        }
    }

    /// Finishes the copy.
    pub(super) fn end(self) -> Result<TempPath, FileError> {
        if self.written != self.rows {
            return Err(refused(
                self.of,
                "has tables that changed while they were read: leave them alone",
            ));
        }
        self.to
            .close()
            .map_err(|error| unwritable(self.of, error.to_string()))?;
        Ok(self.path)
    }
}

/// What is listed of values that are no numbers, which stay where they are.
pub(super) fn not_copied(path: String, rows: usize, dtype: Dtype) -> DatasetInfo {
    DatasetInfo {
        path,
        shape: vec![rows],
        dtype,
        element_bytes: bytes_of(dtype),
        unreadable: None,
        slice: None,
    }
}

/// The numbers of rows of all tables, and of all together.
pub(super) fn count_rows(of: &Path, tables: &[PathBuf], format: &str) -> Result<usize, FileError> {
    let mut rows = 0usize;
    for path in tables {
        rows = rows
            .checked_add(Table::open(path, format)?.rows()?)
            // The copy's rows are counted by the reader of transitions in 32 bits.
            .filter(|rows| u32::try_from(*rows).is_ok())
            .ok_or_else(|| refused(of, "has more than 4,294,967,295 rows: split it"))?;
    }
    Ok(rows)
}

fn product(shape: &[usize]) -> Option<usize> {
    shape
        .iter()
        .try_fold(1usize, |all, one| all.checked_mul(*one))
}

fn bytes_of(dtype: Dtype) -> usize {
    match dtype {
        Dtype::Float16 => 2,
        Dtype::Float32 => 4,
        Dtype::Float64 => 8,
        Dtype::Integer { bits, .. } => usize::from(bits / 8),
        Dtype::Bool | Dtype::Text | Dtype::Other(_) => 1,
    }
}

/// Writes rows of a column.
fn put(column: &Column, first: usize, rows: usize, array: &ArrayRef) -> Result<(), Hdf5Error> {
    match column.dtype {
        Dtype::Float16 => {
            let halves = array.as_primitive_opt::<Float16Type>().ok_or_else(other)?;
            let bits: Vec<u16> = halves.values().iter().map(|half| half.to_bits()).collect();
            rows_of(column, first, rows, &bits)
        }
        Dtype::Float32 => primitive::<Float32Type>(column, first, rows, array),
        Dtype::Float64 => primitive::<Float64Type>(column, first, rows, array),
        Dtype::Bool => {
            let flags = array.as_boolean_opt().ok_or_else(other)?;
            let flags: Vec<HBool> = flags.values().iter().map(HBool::from).collect();
            rows_of(column, first, rows, &flags)
        }
        Dtype::Integer { bits, signed } => match (bits, signed) {
            (8, true) => primitive::<Int8Type>(column, first, rows, array),
            (8, false) => primitive::<UInt8Type>(column, first, rows, array),
            (16, true) => primitive::<Int16Type>(column, first, rows, array),
            (16, false) => primitive::<UInt16Type>(column, first, rows, array),
            (32, true) => primitive::<Int32Type>(column, first, rows, array),
            (32, false) => primitive::<UInt32Type>(column, first, rows, array),
            (_, true) => primitive::<Int64Type>(column, first, rows, array),
            (_, false) => primitive::<UInt64Type>(column, first, rows, array),
        },
        Dtype::Text | Dtype::Other(_) => Err(other()),
    }
}

fn other() -> Hdf5Error {
    Hdf5Error::TypeMismatch("another type than the column's".to_owned())
}

fn primitive<T>(
    column: &Column,
    first: usize,
    rows: usize,
    array: &ArrayRef,
) -> Result<(), Hdf5Error>
where
    T: ArrowPrimitiveType<Native: H5Type>,
{
    let values = array.as_primitive_opt::<T>().ok_or_else(other)?;
    rows_of(column, first, rows, values.values())
}

fn rows_of<T: H5Type>(
    column: &Column,
    first: usize,
    rows: usize,
    values: &[T],
) -> Result<(), Hdf5Error> {
    let mut starts = vec![0; column.listed.len() + 1];
    let mut counts = [&[rows], column.listed.as_slice()].concat();
    (starts[0], counts[0]) = (first, rows);
    column.dataset.write_slice(&starts, &counts, values)
}
