//! Writing a new HDF5 file: groups, tables of numbers, flags, texts and attributes.
//!
//! What is written is what h5py reads back as the same: float32, its own boolean type, 64-bit numbers and Unicode text, and
//! whatever type a copied dataset had. Values go to the file as they come; groups are written last, in time that grows with
//! their number. The library's own writer looks through every group of the file for each thing that it adds to one.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use rust_hdf5::types::H5Type;
use rust_hdf5::{DatatypeMessage, HBool};

use super::FileError;
use super::format::{self, NODE_BYTES, SUPERBLOCK_BYTES};
use super::raw::Raw;

/// A new HDF5 file.
pub(in crate::data) struct Writer {
    sink: RefCell<Sink>,
    root: RefCell<Group>,
    path: PathBuf,
}

/// A group that is not written yet.
#[derive(Default)]
struct Group {
    entries: BTreeMap<String, Entry>,
    /// Header messages.
    attributes: Vec<Vec<u8>>,
}

enum Entry {
    Group(Group),
    /// The address of its header.
    Dataset(u64),
}

/// The file, written from its front to its end.
struct Sink {
    file: BufWriter<fs::File>,
    at: u64,
}

impl Sink {
    /// Writes at the end, and says where that was.
    fn append(&mut self, bytes: &[u8]) -> io::Result<u64> {
        self.append_all([bytes]).map(|(at, _)| at)
    }

    /// Writes one after the other, and says where, and how many bytes.
    fn append_all<T: AsRef<[u8]>>(
        &mut self,
        pieces: impl IntoIterator<Item = T>,
    ) -> io::Result<(u64, u64)> {
        let mut bytes = 0;
        for piece in pieces {
            self.file.write_all(piece.as_ref())?;
            bytes += piece.as_ref().len() as u64;
        }
        let padding = bytes.next_multiple_of(8) - bytes;
        self.file.write_all(&[0; 8][..padding as usize])?;
        let at = self.at;
        self.at += bytes + padding;
        Ok((at, bytes))
    }
}

impl Writer {
    /// Begins a file; one that stands there is emptied. Until it is closed it is no HDF5 file.
    pub(in crate::data) fn create(path: &Path) -> Result<Self, FileError> {
        let begin = || {
            let mut sink = Sink {
                file: BufWriter::with_capacity(1 << 20, fs::File::create(path)?),
                at: 0,
            };
            sink.append(&[0; SUPERBLOCK_BYTES as usize])?;
            Ok(sink)
        };
        Ok(Self {
            sink: RefCell::new(
                begin().map_err(|error| unwritable(path, "the file's structure", &error))?,
            ),
            root: RefCell::default(),
            path: path.to_owned(),
        })
    }

    /// The top level.
    pub(in crate::data) fn root(&self) -> GroupWriter<'_> {
        GroupWriter {
            writer: self,
            path: String::new(),
        }
    }

    /// Writes what is left and waits until it is on the disk.
    pub(in crate::data) fn close(self) -> Result<(), FileError> {
        let Self { sink, root, path } = self;
        let finish = || {
            let mut sink = sink.into_inner();
            let root = write_group(&mut sink, root.into_inner())?;
            let superblock = format::superblock(sink.at, root);
            sink.file.seek(SeekFrom::Start(0))?;
            sink.file.write_all(&superblock)?;
            sink.file.flush()?;
            sink.file.get_ref().sync_all()
        };
        finish().map_err(|error| unwritable(&path, "the file's structure", &error))
    }
}

/// Writes a group after everything in it, and says where its header is.
fn write_group(sink: &mut Sink, group: Group) -> io::Result<u64> {
    let (names, places) = format::names(group.entries.keys().map(String::as_str));
    let mut symbols = Vec::with_capacity(places.len());
    for (entry, place) in group.entries.into_values().zip(places) {
        let header = match entry {
            Entry::Group(group) => write_group(sink, group)?,
            Entry::Dataset(header) => header,
        };
        symbols.push((place, header));
    }
    let at = sink.append(&names)?;
    let heap = sink.append(&format::heap(names.len(), at))?;
    let mut children = Vec::new();
    for (last, table) in format::tables(&symbols) {
        children.push((last, sink.append(&table)?));
    }
    let mut level = 0;
    let tree = loop {
        let nodes = format::nodes(&children, level, sink.at);
        children.clear();
        for (last, node) in nodes {
            debug_assert_eq!(node.len(), NODE_BYTES);
            children.push((last, sink.append(&node)?));
        }
        match children[..] {
            [(_, root)] => break root,
            _ => level += 1,
        }
    };
    let mut messages = vec![format::group(tree, heap).ok_or_else(too_large)?];
    messages.extend(group.attributes);
    sink.append(&format::header(&messages))
}

fn too_large() -> io::Error {
    io::Error::other("it is larger than a header can hold, 64 KiB")
}

/// A group of a new file.
pub(in crate::data) struct GroupWriter<'a> {
    writer: &'a Writer,
    /// Without a `/` at either end; empty for the top level.
    path: String,
}

impl GroupWriter<'_> {
    /// A new group inside this one.
    pub(in crate::data) fn group(&self, name: &str) -> Result<Self, FileError> {
        self.insert(name, Entry::Group(Group::default()))
            .map_err(|error| self.unwritable(name, &error))?;
        Ok(Self {
            writer: self.writer,
            path: self.place(name),
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
        let rows = values.len().checked_div(row.iter().product()).unwrap_or(0);
        let shape = [&[rows], row].concat();
        let values = values.iter().map(|value| value.to_le_bytes());
        self.write(name, &f32::hdf5_type(), &shape, values, &[])
    }

    /// float32 of shape `[rows]`.
    pub(in crate::data) fn vector(&self, name: &str, values: &[f32]) -> Result<(), FileError> {
        self.table(name, values, &[])
    }

    /// Whole numbers of 64 bits and shape `[rows]`, with attributes that are such numbers too.
    pub(in crate::data) fn wholes(
        &self,
        name: &str,
        values: &[i64],
        attributes: &[(&str, i64)],
    ) -> Result<(), FileError> {
        let shape = [values.len()];
        let values = values.iter().map(|value| value.to_le_bytes());
        self.write(name, &i64::hdf5_type(), &shape, values, attributes)
    }

    /// Truth values of shape `[rows]`.
    pub(in crate::data) fn flags(
        &self,
        name: &str,
        values: impl IntoIterator<Item = bool>,
    ) -> Result<(), FileError> {
        let bytes: Vec<u8> = values.into_iter().map(u8::from).collect();
        self.write(name, &HBool::hdf5_type(), &[bytes.len()], [&bytes], &[])
    }

    /// A list of texts, in groups that are made where the name asks for them.
    pub(in crate::data) fn texts<T: AsRef<str>>(
        &self,
        name: &str,
        values: &[T],
    ) -> Result<(), FileError> {
        let values: Vec<&str> = values.iter().map(AsRef::as_ref).collect();
        let found = self
            .keep(&values)
            .map_err(|error| self.unwritable(name, &error))?;
        let datatype = DatatypeMessage::vlen_string_utf8();
        self.write(name, &datatype, &[values.len()], found, &[])
    }

    /// A single text, which has no rows, in groups that are made where the name asks for them.
    pub(in crate::data) fn single_text(&self, name: &str, value: &str) -> Result<(), FileError> {
        let found = self
            .keep(&[value])
            .map_err(|error| self.unwritable(name, &error))?;
        let datatype = DatatypeMessage::vlen_string_utf8();
        self.write(name, &datatype, &[], found, &[])
    }

    /// A dataset as it stood in another file, in groups that are made where the name asks for them.
    pub(in crate::data) fn raw(&self, name: &str, raw: &Raw) -> Result<(), FileError> {
        self.write(name, &raw.datatype, &raw.shape, [&raw.bytes], &[])
    }

    /// An attribute that is a whole number.
    pub(in crate::data) fn number(&self, name: &str, value: usize) -> Result<(), FileError> {
        self.attribute(name, &i64::hdf5_type(), &(value as i64).to_le_bytes())
            .map_err(|error| self.unwritable(name, &error))
    }

    /// An attribute that is a text.
    pub(in crate::data) fn text(&self, name: &str, value: &str) -> Result<(), FileError> {
        self.keep(&[value])
            .and_then(|found| {
                let datatype = DatatypeMessage::vlen_string_utf8();
                self.attribute(name, &datatype, &found.concat())
            })
            .map_err(|error| self.unwritable(name, &error))
    }

    /// Writes texts, and says for each by which bytes it is found.
    fn keep(&self, texts: &[&str]) -> io::Result<Vec<[u8; 16]>> {
        /// A collection numbers its texts with 16 bits.
        const MOST: usize = 4096;
        let mut sink = self.writer.sink.borrow_mut();
        let mut all = Vec::with_capacity(texts.len());
        for texts in texts.chunks(MOST) {
            let (bytes, found) = format::texts(texts, sink.at);
            sink.append(&bytes)?;
            all.extend(found);
        }
        Ok(all)
    }

    fn attribute(&self, name: &str, datatype: &DatatypeMessage, value: &[u8]) -> io::Result<()> {
        let message = format::attribute(name, datatype, value).ok_or_else(too_large)?;
        let mut root = self.writer.root.borrow_mut();
        descend(&mut root, &self.path)?.attributes.push(message);
        Ok(())
    }

    fn write<T: AsRef<[u8]>>(
        &self,
        name: &str,
        datatype: &DatatypeMessage,
        shape: &[usize],
        values: impl IntoIterator<Item = T>,
        attributes: &[(&str, i64)],
    ) -> Result<(), FileError> {
        let write = || {
            let mut sink = self.writer.sink.borrow_mut();
            let (at, bytes) = sink.append_all(values)?;
            let mut messages = format::dataset(datatype, shape, at, bytes).ok_or_else(too_large)?;
            for (name, value) in attributes {
                let value = value.to_le_bytes();
                messages.push(
                    format::attribute(name, &i64::hdf5_type(), &value).ok_or_else(too_large)?,
                );
            }
            let header = sink.append(&format::header(&messages))?;
            self.insert(name, Entry::Dataset(header))
        };
        write().map_err(|error| self.unwritable(name, &error))
    }

    /// Puts something in its place, in groups that are made where its name asks for them.
    fn insert(&self, name: &str, entry: Entry) -> io::Result<()> {
        let place = self.place(name);
        let (parent, name) = place.rsplit_once('/').unwrap_or(("", &place));
        let mut root = self.writer.root.borrow_mut();
        let entries = &mut descend(&mut root, parent)?.entries;
        if entries.contains_key(name) {
            return Err(io::Error::other("there is something of that name already"));
        }
        entries.insert(name.to_owned(), entry);
        Ok(())
    }

    /// The whole path of what is in this group.
    fn place(&self, name: &str) -> String {
        match self.path.as_str() {
            "" => name.to_owned(),
            group => format!("{group}/{name}"),
        }
    }

    fn unwritable(&self, name: &str, error: &io::Error) -> FileError {
        unwritable(
            &self.writer.path,
            &format!("`/{}`", self.place(name)),
            error,
        )
    }
}

/// The group at a path, made where it is not there.
fn descend<'a>(root: &'a mut Group, path: &str) -> io::Result<&'a mut Group> {
    let mut group = root;
    for name in path.split('/').filter(|name| !name.is_empty()) {
        let entry = group
            .entries
            .entry(name.to_owned())
            .or_insert_with(|| Entry::Group(Group::default()));
        group = match entry {
            Entry::Group(group) => group,
            Entry::Dataset(_) => return Err(io::Error::other("it would stand within a dataset")),
        };
    }
    Ok(group)
}

fn unwritable(file: &Path, place: &str, error: &io::Error) -> FileError {
    FileError::Unwritable {
        file: file.to_owned(),
        place: place.to_owned(),
        cause: error.to_string(),
    }
}
