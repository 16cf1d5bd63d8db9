//! Files that the reader here refuses, read by the HDF5 C library: their values, copied into a temporary file without filters. It is there
//! with the feature `libhdf5`.
//!
//! The library takes a file as it comes: it is for files of one's own.

use std::path::Path;

use hdf5_metno::dataset::Layout;
use hdf5_metno::types::{
    FixedAscii, FixedUnicode, FloatSize, IntSize, TypeDescriptor, VarLenAscii, VarLenUnicode,
};
use hdf5_metno::{
    Container, Extents, File, Group, H5Type, IndexType, IterationOrder, LinkType, LocationType,
};
use tempfile::TempPath;

use super::FileError;
use super::copies::{temporary, unwritable};
use super::selection::MAX_COMPRESSION;
use crate::memory;

/// Groups within groups that are looked into.
const DEEPEST: usize = 32;

/// Copies the numbers and texts of a file, with their groups and attributes, into a temporary file in the folder for such, which goes
/// when it is dropped. What is neither, such as a table, stays out. Links into other files are not followed, and virtual datasets are
/// read from wherever they say.
///
/// # Errors
/// [`FileError::Damaged`], [`FileError::Unwritable`], with what the library says.
pub(super) fn plain_copy(path: &Path) -> Result<TempPath, FileError> {
    let copy = temporary(path)?;
    let from = File::open(path).map_err(|error| damaged(path, "the file's structure", &error))?;
    let to = File::create(&copy).map_err(|error| unwritable(path, error.to_string()))?;
    copy_group(path, &from, &to, 0)?;
    to.close()
        .map_err(|error| unwritable(path, error.to_string()))?;
    Ok(copy)
}

fn damaged(path: &Path, place: &str, error: &hdf5_metno::Error) -> FileError {
    FileError::Damaged {
        file: path.to_owned(),
        place: place.to_owned(),
        cause: error.to_string(),
    }
}

fn copy_group(path: &Path, from: &Group, to: &Group, depth: usize) -> Result<(), FileError> {
    let at = |place: &str| format!("`{}/{place}`", from.name().trim_end_matches('/'));
    if depth > DEEPEST {
        return Err(FileError::Damaged {
            file: path.to_owned(),
            place: at(""),
            cause: format!("groups lie more than {DEEPEST} deep, or in a circle"),
        });
    }
    copy_attributes(path, from, to)?;
    let links = from.links(IndexType::Name, IterationOrder::Increasing);
    for (name, link) in links.map_err(|error| damaged(path, &at(""), &error))? {
        let wrong = |error: hdf5_metno::Error| damaged(path, &at(&name), &error);
        // A soft link to what is not there is nothing.
        let kind = match link.link_type {
            LinkType::External => continue,
            LinkType::Hard => from.loc_type_by_name(&name).map_err(wrong)?,
            LinkType::Soft => match from.loc_type_by_name(&name) {
                Ok(kind) => kind,
                Err(_) => continue,
            },
        };
        match kind {
            LocationType::Group => {
                let inner = from.group(&name).map_err(wrong)?;
                let copy = to.create_group(&name).map_err(wrong)?;
                copy_group(path, &inner, &copy, depth + 1)?;
            }
            LocationType::Dataset => {
                let dataset = from.dataset(&name).map_err(wrong)?;
                check_size(path, &dataset)?;
                let mut place = Dataset {
                    group: to,
                    name: &name,
                    made: None,
                };
                copy_values(&dataset, &mut place).map_err(wrong)?;
                if let Some(copy) = place.made {
                    copy_attributes(path, &dataset, &copy)?;
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// Refuses what a sound file cannot hold, or the memory. A virtual dataset's values are in other files.
fn check_size(path: &Path, dataset: &hdf5_metno::Dataset) -> Result<(), FileError> {
    let element = dataset.dtype().map_or(8, |it| it.size());
    let bytes = (dataset.size() as u64).saturating_mul(element as u64);
    let file = std::fs::metadata(path).map_or(0, |it| it.len());
    let limit = match dataset.layout() {
        Layout::Virtual => u64::MAX,
        _ => file.saturating_mul(MAX_COMPRESSION),
    };
    let limit = limit.min(memory::available().unwrap_or(u64::MAX) / 2);
    if bytes <= limit {
        return Ok(());
    }
    Err(FileError::Oversized {
        file: path.to_owned(),
        dataset: dataset.name(),
        what: format!("data of {bytes} bytes"),
        limit,
    })
}

fn copy_attributes(
    path: &Path,
    from: &hdf5_metno::Location,
    to: &hdf5_metno::Location,
) -> Result<(), FileError> {
    let place = format!("the attributes of `{}`", from.name());
    let copy = || -> hdf5_metno::Result<()> {
        for name in from.attr_names()? {
            let attribute = from.attr(&name)?;
            copy_values(
                &attribute,
                &mut Attribute {
                    of: to,
                    name: &name,
                },
            )?;
        }
        Ok(())
    };
    copy().map_err(|error| damaged(path, &place, &error))
}

/// Where values are written to.
trait Place {
    fn write<T: H5Type>(&mut self, extents: Extents, values: &[T]) -> hdf5_metno::Result<()>;
}

struct Dataset<'a> {
    group: &'a Group,
    name: &'a str,
    made: Option<hdf5_metno::Dataset>,
}

impl Place for Dataset<'_> {
    fn write<T: H5Type>(&mut self, extents: Extents, values: &[T]) -> hdf5_metno::Result<()> {
        let made = self
            .group
            .new_dataset::<T>()
            .shape(extents)
            .create(self.name)?;
        if !values.is_empty() {
            made.write_raw(values)?;
        }
        self.made = Some(made);
        Ok(())
    }
}

struct Attribute<'a> {
    of: &'a hdf5_metno::Location,
    name: &'a str,
}

impl Place for Attribute<'_> {
    fn write<T: H5Type>(&mut self, extents: Extents, values: &[T]) -> hdf5_metno::Result<()> {
        let made = self.of.new_attr::<T>().shape(extents).create(self.name)?;
        if values.is_empty() {
            return Ok(());
        }
        made.write_raw(values)
    }
}

/// Copies values of a type that is read here; others stay out.
fn copy_values(from: &Container, to: &mut impl Place) -> hdf5_metno::Result<()> {
    use TypeDescriptor as Type;
    let Ok(descriptor) = from.dtype()?.to_descriptor() else {
        // Half floats have no type here; the library makes them whole, and refuses what is none.
        let _ = copy::<f32>(from, to);
        return Ok(());
    };
    match descriptor {
        Type::Integer(IntSize::U1) => copy::<i8>(from, to),
        Type::Integer(IntSize::U2) => copy::<i16>(from, to),
        Type::Integer(IntSize::U4) => copy::<i32>(from, to),
        Type::Integer(IntSize::U8) => copy::<i64>(from, to),
        Type::Unsigned(IntSize::U1) => copy::<u8>(from, to),
        Type::Unsigned(IntSize::U2) => copy::<u16>(from, to),
        Type::Unsigned(IntSize::U4) => copy::<u32>(from, to),
        Type::Unsigned(IntSize::U8) => copy::<u64>(from, to),
        Type::Float(FloatSize::U4) => copy::<f32>(from, to),
        Type::Float(FloatSize::U8) => copy::<f64>(from, to),
        Type::Boolean => copy::<bool>(from, to),
        Type::VarLenAscii => copy::<VarLenAscii>(from, to),
        Type::VarLenUnicode => copy::<VarLenUnicode>(from, to),
        // Texts of a fixed length are padded to one of these.
        Type::FixedAscii(0..=32) => copy::<FixedAscii<32>>(from, to),
        Type::FixedAscii(33..=1024) => copy::<FixedAscii<1024>>(from, to),
        Type::FixedUnicode(0..=32) => copy::<FixedUnicode<32>>(from, to),
        Type::FixedUnicode(33..=1024) => copy::<FixedUnicode<1024>>(from, to),
        _ => Ok(()),
    }
}

fn copy<T: H5Type>(from: &Container, to: &mut impl Place) -> hdf5_metno::Result<()> {
    let extents = match from.space()?.extents()? {
        // As long as it is now.
        Extents::Simple(simple) => Extents::from(simple.dims()),
        other => other,
    };
    let values = match extents {
        Extents::Null => Vec::new(),
        _ => from.read_raw::<T>()?,
    };
    to.write(extents, &values)
}
