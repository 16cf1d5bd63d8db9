//! NumPy's archives of arrays, `.npz`, copied into a temporary HDF5 file, where rows can be read from any place on.
//!
//! An array in an archive is deflated from its first byte to its last, so that nobody reads its middle alone. The copy takes a piece
//! of memory and the room of the unpacked arrays in the folder for temporary files (`TMPDIR`).
//!
//! - `zip` finds the members of an archive and unpacks them, `npy` reads what an array says of itself.

mod npy;
mod zip;

use std::collections::HashSet;
use std::fs;
use std::io::Read;
use std::path::Path;

use rust_hdf5::types::H5Type;
use rust_hdf5::{DatatypeMessage, H5Dataset, H5File, HBool, Hdf5Error};
use tempfile::TempPath;

use super::copies::{temporary, unwritable};
use super::{Dtype, FileError};
use npy::Array;
use zip::{Contents, Member};

/// About how many bytes are unpacked at once.
const PIECE_BYTES: usize = 4 << 20;

/// Whether a regular file begins as an archive does.
pub(super) fn is_it(path: &Path) -> bool {
    let begins_so = || {
        let mut start = [0; zip::SIGNATURE.len()];
        fs::File::open(path)?.read_exact(&mut start)?;
        Ok::<_, std::io::Error>(start == zip::SIGNATURE)
    };
    path.is_file() && begins_so().unwrap_or(false)
}

/// Copies all arrays of an archive into a temporary HDF5 file, a dataset each.
///
/// # Errors
/// [`FileError::Archive`] for what is no array of numbers or truth values, or not what the archive declares;
/// [`FileError::Unwritable`] where there is no room for the copy.
pub(super) fn plain_copy(path: &Path) -> Result<TempPath, FileError> {
    let refused = |cause: String| FileError::Archive {
        file: path.to_owned(),
        cause,
    };
    let no_copy = |error: Hdf5Error| unwritable(path, error.to_string());
    let io = |source| FileError::Io {
        file: path.to_owned(),
        source,
    };
    let mut file = fs::File::open(path).map_err(io)?;
    let length = file.metadata().map_err(io)?.len();
    let members = zip::members(&mut file, length).map_err(refused)?;
    let mut names = HashSet::new();
    if let Some(twice) = members.iter().find(|member| !names.insert(&member.name)) {
        let name = &twice.name;
        return Err(refused(format!(
            "has two members `{name}`: leave one of them out"
        )));
    }
    let copy = temporary(path)?;
    let to = H5File::create(&copy).map_err(no_copy)?;
    for member in members {
        let of_member = |cause| refused(format!("has the member `{}`, which {cause}", member.name));
        let contents = Contents::of(&mut file, &member).map_err(of_member)?;
        match copy_array(contents, &member, &to) {
            Ok(()) => {}
            Err(CopyError::Member(cause)) => return Err(of_member(cause)),
            Err(CopyError::Copy(error)) => return Err(no_copy(error)),
        }
    }
    to.close().map_err(no_copy)?;
    Ok(copy)
}

/// What keeps an array from being copied.
enum CopyError {
    /// The array, in words.
    Member(String),
    /// The file that it is copied to.
    Copy(Hdf5Error),
}

impl From<String> for CopyError {
    fn from(cause: String) -> Self {
        CopyError::Member(cause)
    }
}

impl From<std::io::Error> for CopyError {
    fn from(error: std::io::Error) -> Self {
        CopyError::Member(format!("cannot be unpacked: {error}"))
    }
}

fn copy_array(mut contents: Contents<'_>, member: &Member, to: &H5File) -> Result<(), CopyError> {
    let name = member.name.strip_suffix(".npy");
    let name = name.filter(|name| !name.is_empty() && !name.contains('/'));
    let name = name.ok_or("is no array of NumPy's: leave it out of the archive".to_owned())?;
    let mut start = [0; npy::START];
    contents.fill(&mut start)?;
    let mut length = [0; 4];
    let length_bytes = npy::length_bytes(start);
    contents.fill(&mut length[..length_bytes])?;
    let mut text = vec![0; npy::text_bytes(start, length)?];
    contents.fill(&mut text)?;
    let header_bytes = (npy::START + length_bytes + text.len()) as u64;
    let array = Array::parse(&String::from_utf8_lossy(&text))?;
    if array
        .bytes()
        .map(|bytes| bytes.saturating_add(header_bytes))
        != Some(member.length)
    {
        return Err(CopyError::Member(format!(
            "declares the shape {:?} of {}, and the archive {} bytes of it",
            array.shape, array.dtype, member.length
        )));
    }
    match array.dtype {
        // Half floats have no type in Rust; their bytes are those of a whole number.
        Dtype::Float16 => copy_values(
            &mut contents,
            &array,
            name,
            to,
            Some(DatatypeMessage::f16_type()),
            u16::from_le_bytes,
        ),
        Dtype::Float32 => copy_values(&mut contents, &array, name, to, None, f32::from_le_bytes),
        Dtype::Float64 => copy_values(&mut contents, &array, name, to, None, f64::from_le_bytes),
        Dtype::Bool => copy_values(&mut contents, &array, name, to, None, |[byte]| {
            HBool::from(byte != 0)
        }),
        Dtype::Integer { bits, signed } => match (bits, signed) {
            (8, true) => copy_values(&mut contents, &array, name, to, None, i8::from_le_bytes),
            (8, false) => copy_values(&mut contents, &array, name, to, None, u8::from_le_bytes),
            (16, true) => copy_values(&mut contents, &array, name, to, None, i16::from_le_bytes),
            (16, false) => copy_values(&mut contents, &array, name, to, None, u16::from_le_bytes),
            (32, true) => copy_values(&mut contents, &array, name, to, None, i32::from_le_bytes),
            (32, false) => copy_values(&mut contents, &array, name, to, None, u32::from_le_bytes),
            (_, true) => copy_values(&mut contents, &array, name, to, None, i64::from_le_bytes),
            (_, false) => copy_values(&mut contents, &array, name, to, None, u64::from_le_bytes),
        },
        Dtype::Text | Dtype::Other(_) => {
            return Err(CopyError::Member("is no array of numbers".to_owned()));
        }
    }?;
    match contents.ends_whole() {
        true => Ok(()),
        false => Err(CopyError::Member(
            "is not what its checksum says: it is damaged".to_owned(),
        )),
    }
}

/// Copies the values piece by piece, each made of its `N` bytes in the order of this machine.
fn copy_values<const N: usize, T: H5Type + Copy>(
    contents: &mut Contents<'_>,
    array: &Array,
    name: &str,
    to: &H5File,
    stored: Option<DatatypeMessage>,
    value: impl Fn([u8; N]) -> T,
) -> Result<(), CopyError> {
    let mut builder = to.new_dataset::<T>();
    if let Some(stored) = stored {
        builder = builder.datatype(stored);
    }
    let builder = match array.shape.as_slice() {
        [] => builder.scalar(),
        shape => builder.shape(shape),
    };
    let dataset = builder.create(name).map_err(CopyError::Copy)?;
    let width: usize = array.shape.iter().skip(1).product();
    let rows = array.shape.first().copied().unwrap_or(1);
    if rows == 0 || width == 0 {
        return Ok(());
    }
    let piece = (PIECE_BYTES / (width * N)).clamp(1, rows);
    let (mut bytes, mut values) = (Vec::new(), Vec::new());
    for first in (0..rows).step_by(piece) {
        let count = piece.min(rows - first);
        bytes.resize(count * width * N, 0);
        contents.fill(&mut bytes)?;
        let (elements, _) = bytes.as_chunks_mut::<N>();
        if array.is_big_endian {
            elements.iter_mut().for_each(|element| element.reverse());
        }
        values.clear();
        values.extend(elements.iter().map(|element| value(*element)));
        write_rows(&dataset, &array.shape, first, count, &values).map_err(CopyError::Copy)?;
    }
    Ok(())
}

fn write_rows<T: H5Type>(
    dataset: &H5Dataset,
    shape: &[usize],
    first: usize,
    count: usize,
    values: &[T],
) -> Result<(), Hdf5Error> {
    if shape.is_empty() {
        return dataset.write_raw(values);
    }
    let mut starts = vec![0; shape.len()];
    let mut counts = shape.to_vec();
    (starts[0], counts[0]) = (first, count);
    dataset.write_slice(&starts, &counts, values)
}
