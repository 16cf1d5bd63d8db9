//! The seam to the HDF5 library for writing: groups, tables of numbers, flags and attributes of a new file.
//!
//! What is written is what h5py reads back as the same: float32, its own boolean type, 64-bit numbers and Unicode text.

use std::path::{Path, PathBuf};

use rust_hdf5::types::H5Type;
use rust_hdf5::{H5File, H5Group, HBool, Hdf5Error};

use super::FileError;

/// A new HDF5 file.
pub(in crate::data) struct Writer {
    handle: H5File,
    path: PathBuf,
}

impl Writer {
    /// Begins a file; one that stands there is emptied.
    pub(in crate::data) fn create(path: &Path) -> Result<Self, FileError> {
        let handle = H5File::create(path)
            .map_err(|error| unwritable(path, "the file's structure", error))?;
        Ok(Self {
            handle,
            path: path.to_owned(),
        })
    }

    /// The top level.
    pub(in crate::data) fn root(&self) -> GroupWriter<'_> {
        GroupWriter {
            group: self.handle.root_group(),
            path: &self.path,
        }
    }

    /// Writes what is left and waits until it is on the disk.
    pub(in crate::data) fn close(self) -> Result<(), FileError> {
        let Self { handle, path } = self;
        handle
            .close()
            .map_err(|error| unwritable(&path, "the file's structure", error))
    }
}

/// A group of a new file.
pub(in crate::data) struct GroupWriter<'a> {
    group: H5Group,
    path: &'a Path,
}

impl GroupWriter<'_> {
    /// A new group inside this one.
    pub(in crate::data) fn group(&self, name: &str) -> Result<Self, FileError> {
        let group = self
            .group
            .create_group(name)
            .map_err(|error| self.unwritable(name, error))?;
        Ok(Self {
            group,
            path: self.path,
        })
    }

    /// float32 of shape `[rows, width]`.
    pub(in crate::data) fn matrix(
        &self,
        name: &str,
        values: &[f32],
        width: usize,
    ) -> Result<(), FileError> {
        let rows = values.len().checked_div(width).unwrap_or(0);
        self.write(name, &[rows, width], values)
    }

    /// float32 of shape `[rows]`.
    pub(in crate::data) fn vector(&self, name: &str, values: &[f32]) -> Result<(), FileError> {
        self.write(name, &[values.len()], values)
    }

    /// Truth values of shape `[rows]`.
    pub(in crate::data) fn flags(
        &self,
        name: &str,
        values: impl IntoIterator<Item = bool>,
    ) -> Result<(), FileError> {
        let values: Vec<HBool> = values.into_iter().map(HBool::from).collect();
        self.write(name, &[values.len()], &values)
    }

    /// An attribute that is a whole number.
    pub(in crate::data) fn number(&self, name: &str, value: usize) -> Result<(), FileError> {
        self.group
            .set_attr_numeric(name, &(value as i64))
            .map_err(|error| self.unwritable(name, error))
    }

    /// An attribute that is a text.
    pub(in crate::data) fn text(&self, name: &str, value: &str) -> Result<(), FileError> {
        self.group
            .set_attr_string(name, value)
            .map_err(|error| self.unwritable(name, error))
    }

    fn write<T: H5Type>(&self, name: &str, shape: &[usize], values: &[T]) -> Result<(), FileError> {
        self.group
            .new_dataset::<T>()
            .shape(shape)
            .create(name)
            .and_then(|dataset| dataset.write_raw(values))
            .map_err(|error| self.unwritable(name, error))
    }

    fn unwritable(&self, name: &str, error: Hdf5Error) -> FileError {
        let group = self.group.name().trim_end_matches('/');
        unwritable(self.path, &format!("`{group}/{name}`"), error)
    }
}

fn unwritable(file: &Path, place: &str, error: Hdf5Error) -> FileError {
    FileError::Unwritable {
        file: file.to_owned(),
        place: place.to_owned(),
        cause: error.to_string(),
    }
}
