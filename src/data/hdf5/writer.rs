//! The seam to the HDF5 library for writing: groups, tables of numbers, flags, texts and attributes of a new file.
//!
//! What is written is what h5py reads back as the same: float32, its own boolean type, 64-bit numbers and Unicode text, and
//! whatever type a copied dataset had.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use rust_hdf5::types::H5Type;
use rust_hdf5::{DatatypeMessage, H5Dataset, H5File, H5Group, HBool, Hdf5Error};

use super::FileError;
use super::dataset_file::WHOLE_NUMBERS;
use super::raw::Raw;

/// A new HDF5 file.
pub(in crate::data) struct Writer {
    handle: H5File,
    path: PathBuf,
    /// The groups that names with a `/` asked for.
    parents: RefCell<BTreeSet<String>>,
}

impl Writer {
    /// Begins a file; one that is there is emptied.
    pub(in crate::data) fn create(path: &Path) -> Result<Self, FileError> {
        let handle = H5File::create(path)
            .map_err(|error| unwritable(path, "the file's structure", error))?;
        Ok(Self {
            handle,
            path: path.to_owned(),
            parents: RefCell::default(),
        })
    }

    /// The top level.
    pub(in crate::data) fn root(&self) -> GroupWriter<'_> {
        GroupWriter {
            writer: self,
            group: self.handle.root_group(),
        }
    }

    /// Writes what is left and waits until it is on the disk.
    pub(in crate::data) fn close(self) -> Result<(), FileError> {
        let Self { handle, path, .. } = self;
        handle
            .close()
            .map_err(|error| unwritable(&path, "the file's structure", error))
    }
}

/// A group of a new file.
pub(in crate::data) struct GroupWriter<'a> {
    writer: &'a Writer,
    group: H5Group,
}

impl GroupWriter<'_> {
    /// A new group inside this one.
    pub(in crate::data) fn group(&self, name: &str) -> Result<Self, FileError> {
        let group = self
            .group
            .create_group(name)
            .map_err(|error| self.unwritable(name, error))?;
        Ok(Self {
            writer: self.writer,
            group,
        })
    }

    /// float32 of shape `[rows, width]`.
    pub(in crate::data) fn matrix(
        &self,
        name: &str,
        values: &[f32],
        width: usize,
    ) -> Result<(), FileError> {
        self.table(name, values, &[width])
    }

    /// float32 of shape `[rows, ...]`, with the shape of one row.
    pub(in crate::data) fn table(
        &self,
        name: &str,
        values: &[f32],
        row: &[usize],
    ) -> Result<(), FileError> {
        self.rows(name, values, row).map(|_| ())
    }

    /// Bytes of shape `[rows, ...]`, with the shape of one row, of numbers that are such.
    pub(in crate::data) fn bytes(
        &self,
        name: &str,
        values: &[f32],
        row: &[usize],
    ) -> Result<(), FileError> {
        let bytes: Vec<u8> = values.iter().map(|value| *value as u8).collect();
        self.rows(name, &bytes, row).map(|_| ())
    }

    /// Rows of any type, with the shape of one.
    fn rows<T: H5Type>(
        &self,
        name: &str,
        values: &[T],
        row: &[usize],
    ) -> Result<H5Dataset, FileError> {
        let rows = values.len().checked_div(row.iter().product()).unwrap_or(0);
        self.write(name, &[&[rows], row].concat(), values)
    }

    /// float32 of shape `[rows]`.
    pub(in crate::data) fn vector(&self, name: &str, values: &[f32]) -> Result<(), FileError> {
        self.write(name, &[values.len()], values).map(|_| ())
    }

    /// Whole numbers of 64 bits and shape `[rows]`, with attributes that are such numbers too.
    pub(in crate::data) fn wholes(
        &self,
        name: &str,
        values: &[i64],
        attributes: &[(&str, i64)],
    ) -> Result<(), FileError> {
        let dataset = self.write(name, &[values.len()], values)?;
        self.mark(name, &dataset, attributes)
    }

    /// Actions that are vectors of real numbers, or of whole ones, which is then said in an attribute: their type is float32 all the same,
    /// as whole numbers in a column alone are discrete actions.
    pub(in crate::data) fn actions(
        &self,
        values: &[f32],
        width: usize,
        are_whole: bool,
    ) -> Result<(), FileError> {
        let dataset = self.rows("actions", values, &[width])?;
        match are_whole {
            true => self.mark("actions", &dataset, &[(WHOLE_NUMBERS, 1)]),
            false => Ok(()),
        }
    }

    /// Attributes of a dataset that are whole numbers.
    fn mark(
        &self,
        name: &str,
        dataset: &H5Dataset,
        attributes: &[(&str, i64)],
    ) -> Result<(), FileError> {
        for (attribute, value) in attributes {
            dataset
                .new_attr::<i64>()
                .shape(())
                .create(attribute)
                .and_then(|attribute| attribute.write_numeric(value))
                .map_err(|error| self.unwritable(name, error))?;
        }
        Ok(())
    }

    /// Truth values of shape `[rows]`.
    pub(in crate::data) fn flags(
        &self,
        name: &str,
        values: impl IntoIterator<Item = bool>,
    ) -> Result<(), FileError> {
        let values: Vec<HBool> = values.into_iter().map(HBool::from).collect();
        self.write(name, &[values.len()], &values).map(|_| ())
    }

    /// A list of texts, in groups that are made where the name asks for them.
    pub(in crate::data) fn texts<T: AsRef<str>>(
        &self,
        name: &str,
        values: &[T],
    ) -> Result<(), FileError> {
        self.make_parents(name)?;
        let values: Vec<&str> = values.iter().map(AsRef::as_ref).collect();
        self.writer
            .handle
            .write_vlen_strings(&self.path(name), &values)
            .map(|_| ())
            .map_err(|error| self.unwritable(name, error))
    }

    /// A single text, which has no rows, in groups that are made where the name asks for them.
    pub(in crate::data) fn single_text(&self, name: &str, value: &str) -> Result<(), FileError> {
        let mut bytes = value.as_bytes().to_vec();
        // No text is of no length, and the last byte says that it is over.
        bytes.push(0);
        let size = u32::try_from(bytes.len()).map_err(|_| {
            let error = Hdf5Error::InvalidState("a text of more than 4 GiB".to_owned());
            self.unwritable(name, error)
        })?;
        self.raw(
            name,
            &Raw {
                datatype: DatatypeMessage::fixed_string_utf8(size),
                shape: Vec::new(),
                bytes,
            },
        )
    }

    /// A dataset as it was in another file, in groups that are made where the name asks for them.
    pub(in crate::data) fn raw(&self, name: &str, raw: &Raw) -> Result<(), FileError> {
        self.make_parents(name)?;
        let builder = self
            .writer
            .handle
            .new_dataset::<u8>()
            .datatype(raw.datatype.clone());
        let builder = match raw.shape.as_slice() {
            [] => builder.scalar(),
            shape => builder.shape(shape),
        };
        builder
            .create(&self.path(name))
            .and_then(|dataset| dataset.write_raw_bytes(&raw.bytes))
            .map_err(|error| self.unwritable(name, error))
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

    /// Datasets are made by their whole path, with the groups that are in it.
    fn write<T: H5Type>(
        &self,
        name: &str,
        shape: &[usize],
        values: &[T],
    ) -> Result<H5Dataset, FileError> {
        self.make_parents(name)?;
        self.writer
            .handle
            .new_dataset::<T>()
            .shape(shape)
            .create(&self.path(name))
            .and_then(|dataset| dataset.write_raw(values).map(|()| dataset))
            .map_err(|error| self.unwritable(name, error))
    }

    /// Makes the groups that are in a name and are not there yet.
    fn make_parents(&self, name: &str) -> Result<(), FileError> {
        for (at, _) in name.match_indices('/') {
            let parent = &name[..at];
            if self.writer.parents.borrow_mut().insert(self.path(parent)) {
                self.group
                    .create_group(parent)
                    .map_err(|error| self.unwritable(parent, error))?;
            }
        }
        Ok(())
    }

    /// The whole path of what is in this group.
    fn path(&self, name: &str) -> String {
        match self.group.name().trim_matches('/') {
            "" => name.to_owned(),
            group => format!("{group}/{name}"),
        }
    }

    fn unwritable(&self, name: &str, error: Hdf5Error) -> FileError {
        unwritable(&self.writer.path, &format!("`/{}`", self.path(name)), error)
    }
}

fn unwritable(file: &Path, place: &str, error: Hdf5Error) -> FileError {
    FileError::Unwritable {
        file: file.to_owned(),
        place: place.to_owned(),
        cause: error.to_string(),
    }
}
