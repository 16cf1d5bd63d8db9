//! Datasets as they are in a file, bytes and type, to be copied into another file without a bit of change.

use rust_hdf5::DatatypeMessage;

use super::selection::Selection;
use super::{DatasetInfo, File, FileError};

/// All of a dataset of numbers, or some rows of several of one type and shape.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::data) struct Raw {
    pub(super) datatype: DatatypeMessage,
    /// Rows first; empty for a single value.
    pub(in crate::data) shape: Vec<usize>,
    pub(in crate::data) bytes: Vec<u8>,
}

impl Raw {
    /// Bytes of one row.
    pub(in crate::data) fn row_bytes(&self) -> usize {
        let width: usize = self.shape.iter().skip(1).product();
        width * self.datatype.element_size() as usize
    }

    /// The same with other rows.
    pub(in crate::data) fn with_rows(&self, bytes: Vec<u8>) -> Self {
        let mut shape = self.shape.clone();
        if let Some(rows) = shape.first_mut() {
            *rows = bytes.len().checked_div(self.row_bytes()).unwrap_or(0);
        }
        Self {
            datatype: self.datatype.clone(),
            shape,
            bytes,
        }
    }

    /// Whether rows of the one may be among those of the other.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        self.datatype == other.datatype && self.shape.get(1..) == other.shape.get(1..)
    }
}

impl File {
    /// Reads a dataset of numbers as it is.
    pub(in crate::data) fn read_raw(&self, info: &DatasetInfo) -> Result<Raw, FileError> {
        if !info.dtype.is_numeric() {
            return Err(FileError::Conversion {
                file: self.path().to_owned(),
                dataset: info.path.clone(),
                dtype: info.dtype,
                wanted: "numbers",
            });
        }
        let source = self.source(info)?;
        let damaged = |error| self.damaged(info, error);
        let datatype = source.datatype().map_err(damaged)?;
        // What the file declares is held against what it can hold first.
        let bytes = Selection::new(self, info, source, 0..info.rows())?
            .bytes()
            .map_err(damaged)?;
        let raw = Raw {
            datatype,
            shape: info.shape.clone(),
            bytes,
        };
        if raw.bytes.len() as u64 != info.bytes() {
            return Err(damaged(rust_hdf5::Hdf5Error::InvalidState(format!(
                "{} bytes were read and {} expected",
                raw.bytes.len(),
                info.bytes()
            ))));
        }
        Ok(raw)
    }
}
