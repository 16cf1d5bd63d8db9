//! Arrow's files of record batches (<https://arrow.apache.org/docs/format/Columnar.html#ipc-file-format>), as Minari writes them.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_ipc::convert::try_fb_to_schema;
use arrow_ipc::reader::FileDecoder;
use arrow_ipc::{Block, root_as_footer, root_as_message};
use arrow_schema::{DataType, Schema, SchemaRef};

use super::columns::Leaf;
use super::{damaged, opened, refused, unreadable};
use crate::data::hdf5::FileError;

const SIGNATURE: [u8; 6] = *b"ARROW1";
/// The length of the description at the end, and the signature.
const END: u64 = 10;
/// A signature, padded.
const START: u64 = 8;
/// A description is not larger than this.
const MOST_FOOTER_BYTES: u64 = 64 << 20;
/// What a message begins with: a mark, and its length.
const MESSAGE: usize = 8;
const MARK: [u8; 4] = [0xff; 4];

/// An Arrow file whose description was read.
pub(super) struct Table<'a> {
    path: &'a Path,
    file: File,
    bytes: u64,
    schema: SchemaRef,
    blocks: Vec<Block>,
}

impl<'a> Table<'a> {
    /// # Errors
    /// [`FileError::Table`] for what is no Arrow file, or cut off.
    pub(super) fn open(path: &'a Path) -> Result<Self, FileError> {
        let io = unreadable(path);
        let (mut file, bytes) = opened(path)?;
        let none = || {
            refused(
                path,
                "is no file of Arrow's, or cut off: write it again, or copy it again",
            )
        };
        if bytes < START + END {
            return Err(none());
        }
        let (mut start, mut end) = ([0; SIGNATURE.len()], [0; END as usize]);
        file.read_exact(&mut start).map_err(&io)?;
        file.seek(SeekFrom::End(-(END as i64))).map_err(&io)?;
        file.read_exact(&mut end).map_err(&io)?;
        let length = u64::from(u32::from_le_bytes([end[0], end[1], end[2], end[3]]));
        let fits = length <= MOST_FOOTER_BYTES.min(bytes - START - END);
        if start != SIGNATURE || !end.ends_with(&SIGNATURE) || !fits {
            return Err(none());
        }
        let mut footer = vec![0; length as usize];
        file.seek(SeekFrom::Start(bytes - END - length))
            .map_err(&io)?;
        file.read_exact(&mut footer).map_err(&io)?;
        let footer = root_as_footer(&footer).map_err(|error| damaged(path, &error))?;
        let schema = footer.schema().ok_or_else(none)?;
        let schema = Arc::new(try_fb_to_schema(schema).map_err(|error| damaged(path, &error))?);
        if let Some(name) = unread(&schema) {
            return Err(refused(
                path,
                format!(
                    "has the column `{name}`, which is of a type that is not read: write numbers, truth values, texts or lists of them"
                ),
            ));
        }
        Ok(Self {
            path,
            file,
            bytes,
            schema,
            blocks: footer.recordBatches().iter().flatten().copied().collect(),
        })
    }

    /// The columns and their types.
    pub(super) fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    /// The rows of all batches.
    ///
    /// # Errors
    /// [`FileError::Table`] for batches that are not in the file.
    pub(super) fn rows(&mut self) -> Result<usize, FileError> {
        let mut rows = 0u64;
        for at in 0..self.blocks.len() {
            let (_, batch_rows) = self.batch(at, true)?;
            rows = rows.saturating_add(batch_rows);
        }
        // Every number of rows was held against the bytes of its batch.
        Ok(rows as usize)
    }

    /// Reads the rows of some columns, a batch at a time, each with the number of its first row.
    ///
    /// # Errors
    /// [`FileError::Table`] for what cannot be read, and what is given back.
    pub(super) fn read(
        mut self,
        wanted: &[&Leaf],
        mut take: impl FnMut(usize, &RecordBatch) -> Result<(), FileError>,
    ) -> Result<(), FileError> {
        let fields = self.schema.fields().iter().enumerate();
        let columns = fields
            .filter(|(_, field)| wanted.iter().any(|leaf| leaf.names[0] == *field.name()))
            .map(|(at, _)| at)
            .collect();
        let mut first = 0;
        let decoder = FileDecoder::new(self.schema.clone(), arrow_ipc::MetadataVersion::V5)
            .with_projection(columns);
        for at in 0..self.blocks.len() {
            let (buffer, _) = self.batch(at, false)?;
            let read = decoder.read_record_batch(&self.blocks[at], &buffer.into());
            let batch = read.map_err(|error| damaged(self.path, &error))?;
            let Some(batch) = batch else { continue };
            take(first, &batch)?;
            first += batch.num_rows();
        }
        Ok(())
    }

    /// The bytes of a batch, or of its description alone, and its rows, once what it declares was found to be in the file.
    fn batch(&mut self, at: usize, only_described: bool) -> Result<(Vec<u8>, u64), FileError> {
        let path = self.path;
        let wrong = |what: &str| {
            refused(
                path,
                format!("declares {what}: it is damaged; write it again, or copy it again"),
            )
        };
        let io = unreadable(path);
        let block = self.blocks[at];
        let [start, described, body] = [
            block.offset(),
            i64::from(block.metaDataLength()),
            block.bodyLength(),
        ]
        .map(|it| u64::try_from(it).unwrap_or(u64::MAX));
        let length = described.saturating_add(body);
        if start.saturating_add(length) > self.bytes || described < MESSAGE as u64 {
            return Err(wrong("a batch of rows outside the file"));
        }
        let taken = match only_described {
            true => described,
            false => length,
        };
        let mut bytes = vec![0; taken as usize];
        self.file.seek(SeekFrom::Start(start)).map_err(&io)?;
        self.file.read_exact(&mut bytes).map_err(&io)?;
        if !bytes.starts_with(&MARK) {
            return Err(wrong("a batch of rows where there is none"));
        }
        let message = root_as_message(&bytes[MESSAGE..described as usize])
            .map_err(|error| damaged(path, &error))?;
        let batch = message
            .header_as_record_batch()
            .filter(|_| message.version() == arrow_ipc::MetadataVersion::V5)
            .ok_or_else(|| wrong("a batch of rows where there is none"))?;
        if batch.compression().is_some() {
            return Err(refused(
                path,
                "is compressed, which is not read: write it without, as Minari does",
            ));
        }
        let is_in = |offset: i64, length: i64| {
            let ends = u64::try_from(offset).ok().zip(u64::try_from(length).ok());
            ends.and_then(|(offset, length)| offset.checked_add(length))
                .is_some_and(|end| end <= body)
        };
        // A row has a bit of something.
        let fits = |rows: i64| u64::try_from(rows).is_ok_and(|rows| rows / 8 <= body);
        let nodes = batch.nodes();
        let are_nodes_fit = nodes
            .iter()
            .flatten()
            .all(|node| fits(node.length()) && (0..=node.length()).contains(&node.null_count()));
        let are_buffers_in = batch
            .buffers()
            .iter()
            .flatten()
            .all(|buffer| is_in(buffer.offset(), buffer.length()));
        if !fits(batch.length()) || !are_nodes_fit || !are_buffers_in {
            return Err(wrong("more than a batch of rows has bytes for"));
        }
        let rows = batch.length().unsigned_abs();
        Ok((bytes, rows))
    }
}

/// A column of a type that the reader is not asked to read.
fn unread(schema: &Schema) -> Option<&str> {
    let mut fields = schema.fields().iter();
    fields
        .find(|field| !is_read(field.data_type(), 0))
        .map(|field| field.name().as_str())
}

fn is_read(data_type: &DataType, depth: usize) -> bool {
    const DEEPEST: usize = 32;
    use DataType as T;
    depth < DEEPEST
        && match data_type {
            T::Struct(fields) => fields
                .iter()
                .all(|field| is_read(field.data_type(), depth + 1)),
            T::List(field) | T::LargeList(field) => is_read(field.data_type(), depth + 1),
            // Nothing in each row would have rows without bytes.
            T::FixedSizeList(field, length) => *length > 0 && is_read(field.data_type(), depth + 1),
            T::Utf8 | T::LargeUtf8 | T::Binary | T::LargeBinary | T::Boolean | T::Null => true,
            other => other.is_primitive(),
        }
}
