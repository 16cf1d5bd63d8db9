//! Parquet files, of the codecs and encodings that pyarrow writes unless it is told otherwise.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::basic::Compression;
use parquet::file::metadata::ColumnChunkMetaData;

use super::super::selection::MAX_COMPRESSION;
use super::columns::Leaf;
use super::pages::{self, Chunk};
use super::{PIECE_BYTES, counted, damaged, opened, refused, unreadable};
use crate::data::hdf5::FileError;

const SIGNATURE: [u8; 4] = *b"PAR1";
/// The length of the description at the end, and the signature.
const END: u64 = 8;
/// The most bytes of a value.
const MOST_VALUE_BYTES: u64 = 8;

/// A Parquet file whose description was read.
pub(super) struct Table<'a> {
    path: &'a Path,
    bytes: u64,
    builder: ParquetRecordBatchReaderBuilder<File>,
    file: File,
}

impl<'a> Table<'a> {
    /// # Errors
    /// [`FileError::Table`] for what is no Parquet file, or cut off.
    pub(super) fn open(path: &'a Path) -> Result<Self, FileError> {
        let io = unreadable(path);
        let (mut file, bytes) = opened(path)?;
        let whole = ends(&mut file, bytes).map_err(&io)?;
        if !whole {
            return Err(refused(
                path,
                "is no Parquet file, or cut off: write it again, or copy it again",
            ));
        }
        // The types that Parquet itself has are enough; those of Arrow beside them are another description to be wrong.
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let copy = file.try_clone().map_err(&io)?;
        let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(copy, options)
            .map_err(|error| damaged(path, &error))?;
        Ok(Self {
            path,
            bytes,
            builder,
            file,
        })
    }

    /// The columns and their types.
    pub(super) fn schema(&self) -> SchemaRef {
        self.builder.schema().clone()
    }

    /// The rows that the file declares.
    ///
    /// # Errors
    /// [`FileError::Table`] where its groups of rows do not add up to them.
    pub(super) fn rows(&self) -> Result<usize, FileError> {
        let metadata = self.builder.metadata();
        let groups = metadata.row_groups().iter().map(|group| group.num_rows());
        let sum = groups
            .map(u64::try_from)
            .try_fold(0u64, |sum, rows| sum.checked_add(rows.ok()?));
        let declared = u64::try_from(metadata.file_metadata().num_rows()).ok();
        match (sum, declared) {
            (Some(sum), Some(declared)) if sum == declared => Ok(sum as usize),
            _ => Err(refused(
                self.path,
                "declares another number of rows than its groups of rows: write it again",
            )),
        }
    }

    /// Reads the rows of some columns and parts of columns, a batch at a time, each with the number of its first row.
    ///
    /// # Errors
    /// [`FileError::Table`] for what cannot be read, and what is given back.
    pub(super) fn read(
        mut self,
        wanted: &[&Leaf],
        mut take: impl FnMut(usize, &RecordBatch) -> Result<(), FileError>,
    ) -> Result<(), FileError> {
        let rows = self.rows()?;
        let schema = self.builder.parquet_schema();
        let columns: Vec<usize> = (0..schema.num_columns())
            .filter(|at| {
                let path = schema.column(*at).path().clone();
                wanted
                    .iter()
                    .any(|leaf| path.parts().starts_with(&leaf.names))
            })
            .collect();
        let row_bytes = self.vet(&columns, rows)?;
        let batch = (PIECE_BYTES as u64 / row_bytes.max(1)).clamp(1, 1 << 16) as usize;
        let schema = self.builder.parquet_schema();
        let mask = ProjectionMask::leaves(schema, columns);
        let builder = self.builder.with_projection(mask).with_batch_size(batch);
        let reader = builder
            .build()
            .map_err(|error| damaged(self.path, &error))?;
        let mut first = 0;
        for batch in reader {
            let batch = batch.map_err(|error| damaged(self.path, &error))?;
            take(first, &batch)?;
            first += batch.num_rows();
        }
        match first == rows {
            true => Ok(()),
            false => Err(refused(
                self.path,
                format!(
                    "declares {} and has {first}: write it again",
                    counted(rows, "row")
                ),
            )),
        }
    }

    /// Holds what the columns declare against the file's bytes; about how many bytes a row takes.
    fn vet(&mut self, columns: &[usize], rows: usize) -> Result<u64, FileError> {
        let metadata = self.builder.metadata().clone();
        let schema = self.builder.parquet_schema();
        let mut values = 0u64;
        for group in metadata.row_groups() {
            let group_rows = group.num_rows().unsigned_abs();
            for (leaf, column) in group.columns().iter().enumerate() {
                if !columns.contains(&leaf) {
                    continue;
                }
                let name = schema.get_column_root(leaf).name().to_owned();
                let found = chunk(column, self.bytes)
                    .and_then(|chunk| pages::count(&mut self.file, chunk))
                    .and_then(|count| match count.checked_rem(group_rows) {
                        _ if u64::try_from(column.num_values()) != Ok(count) => {
                            Err("declares another number of values than its pages".to_owned())
                        }
                        Some(0) | None => Ok(count),
                        Some(_) => Err(format!(
                            "has {count} numbers in {group_rows} rows: every row needs as many"
                        )),
                    });
                let count = found.map_err(|cause| {
                    refused(self.path, format!("has the column `{name}`, which {cause}"))
                })?;
                values = values.saturating_add(count);
            }
        }
        let bytes = values.saturating_mul(MOST_VALUE_BYTES);
        if bytes > self.bytes.saturating_mul(MAX_COMPRESSION) {
            return Err(refused(
                self.path,
                format!(
                    "declares {values} numbers in {} bytes, more than a sound file of this size holds: write it again",
                    self.bytes
                ),
            ));
        }
        Ok(bytes.div_ceil(rows.max(1) as u64))
    }
}

/// Whether a file begins and ends as a Parquet file does, with a description that fits in.
fn ends(file: &mut File, bytes: u64) -> io::Result<bool> {
    if bytes < END + SIGNATURE.len() as u64 {
        return Ok(false);
    }
    let (mut start, mut end) = ([0; 4], [0; END as usize]);
    file.read_exact(&mut start)?;
    file.seek(SeekFrom::End(-(END as i64)))?;
    file.read_exact(&mut end)?;
    let length = u32::from_le_bytes([end[0], end[1], end[2], end[3]]);
    let room = bytes - END - SIGNATURE.len() as u64;
    Ok(start == SIGNATURE && end.ends_with(&SIGNATURE) && u64::from(length) <= room)
}

/// Where the pages of a column are.
fn chunk(column: &ColumnChunkMetaData, file_bytes: u64) -> Result<Chunk, String> {
    let is_packed = match column.compression() {
        Compression::UNCOMPRESSED => false,
        Compression::SNAPPY => true,
        other => {
            let name = format!("{other:?}");
            let name = name.split('(').next().unwrap_or_default();
            return Err(format!(
                "is compressed by {name}, and only Snappy is read: write it with `compression=\"snappy\"`, as pyarrow does unless it is \
                 told otherwise"
            ));
        }
    };
    let start = match column.dictionary_page_offset() {
        Some(dictionary) => dictionary,
        None => column.data_page_offset(),
    };
    let outside = "declares pages outside the file";
    let (Ok(start), Ok(bytes)) = (
        u64::try_from(start),
        u64::try_from(column.compressed_size()),
    ) else {
        return Err(outside.to_owned());
    };
    match start.checked_add(bytes) {
        Some(end) if end <= file_bytes => Ok(Chunk {
            start,
            bytes,
            is_packed,
        }),
        _ => Err(outside.to_owned()),
    }
}
