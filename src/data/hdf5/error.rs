//! What can be wrong with an HDF5 file.

use std::path::PathBuf;

use thiserror::Error;

use super::Dtype;

/// What else there is to do about a file that the default reader refuses.
const WITH_FEATURE: &str = if cfg!(feature = "libhdf5") {
    ""
} else {
    ", or build yarak with `--features libhdf5`"
};

/// A file, or a dataset in it, that cannot be read.
#[derive(Debug, Error)]
pub enum FileError {
    /// No such file.
    #[error("{}: there is no such file; check the path", .file.display())]
    Missing {
        /// The path as given.
        file: PathBuf,
    },
    /// A directory, a pipe or a device.
    #[error("{}: this is not a regular file; name the HDF5 file itself", .file.display())]
    NotAFile {
        /// The path as given.
        file: PathBuf,
    },
    /// The operating system does not let it be read.
    #[error("{}: the file cannot be read; check its permissions and the disk", .file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// Something else than HDF5.
    #[error("{}: this is not an HDF5 file (its signature is missing), nor an archive of NumPy's (`.npz`); was it unpacked, or is it an error page saved by a download?", .file.display())]
    NotHdf5 {
        /// The file.
        file: PathBuf,
    },
    /// Shorter than it says.
    #[error("{}: the file is truncated: it needs {declared} bytes and has {found}; copy or download it again", .file.display())]
    Truncated {
        /// The file.
        file: PathBuf,
        /// Bytes that its first block declares.
        declared: u64,
        /// Bytes that it has.
        found: u64,
    },
    /// A virtual dataset somewhere in the file.
    #[error(
        "{}: the file holds a virtual dataset (declared at byte {offset}), which reads from other files; \
         copy its values into a plain dataset first, such as with h5py: `new[name] = old[name][()]`{}",
        .file.display(),
        WITH_FEATURE
    )]
    Virtual {
        /// The file.
        file: PathBuf,
        /// Where the declaration is.
        offset: u64,
    },
    /// A group from which links were deleted and whose list of links still shows it.
    #[error(
        "{}: names were deleted from a group ({trace}), and the HDF5 library that reads the file here cannot tell them from \
         those that are left; write the file anew, such as with `h5repack FILE NEW.hdf5`, or with h5py: \
         `for name in old: old.copy(name, new)`",
        .file.display()
    )]
    DeletedNames {
        /// The file.
        file: PathBuf,
        /// A deleted name, or where the gap is.
        trace: String,
    },
    /// An archive of NumPy's that is none of arrays of numbers, or damaged.
    #[error(
        "{}: the archive {cause}; write it again with `np.savez` or `np.savez_compressed`, arrays of numbers and truth values alone, \
         or copy it again",
        .file.display()
    )]
    Archive {
        /// The file.
        file: PathBuf,
        /// What it has, in words.
        cause: String,
    },
    /// A table in Parquet or Arrow, or the description of a dataset in such, that is damaged or not as it should be.
    #[error("{}: this {cause}", .file.display())]
    Table {
        /// The file or folder.
        file: PathBuf,
        /// What it is or has, in words, with what to do about it.
        cause: String,
    },
    /// Structure that makes no sense.
    #[error("{}: {place} cannot be read: {cause}; the file is damaged, or written in a way that `h5repack` would make readable", .file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// The dataset or attribute, or "the file's structure".
        place: String,
        /// What the reader says.
        cause: String,
    },
    /// A file that cannot be written.
    #[error("{}: {place} cannot be written: {cause}; check the free space and the permissions of its folder", .file.display())]
    Unwritable {
        /// The file.
        file: PathBuf,
        /// The dataset, group or attribute, or "the file's structure".
        place: String,
        /// What the writer says.
        cause: String,
    },
    /// No dataset of that name.
    #[error("{}: there is no dataset `{dataset}`; the file has {found}", .file.display())]
    NoDataset {
        /// The file.
        file: PathBuf,
        /// The path that was asked for.
        dataset: String,
        /// What is at the file's top level.
        found: String,
    },
    /// Data that lie in another file.
    #[error(
        "{}: dataset `{dataset}` {how}; no other file than the one named is ever read: copy the values into this file first",
        .file.display()
    )]
    Elsewhere {
        /// The file.
        file: PathBuf,
        /// The path inside the file.
        dataset: String,
        /// Where the data lie instead.
        how: String,
    },
    /// More data than the file can hold, or than is ever loaded.
    #[error(
        "{}: dataset `{dataset}` declares {what}, more than the {limit} bytes that a sound file of this size can hold; \
         the file is damaged, or this dataset was never written",
        .file.display()
    )]
    Oversized {
        /// The file.
        file: PathBuf,
        /// The path inside the file.
        dataset: String,
        /// What is too large.
        what: String,
        /// The most bytes allowed.
        limit: u64,
    },
    /// A compression that this build does not know.
    #[error(
        "{}: dataset `{dataset}` is stored with {filter}, which this build cannot read; \
         rewrite the file with `h5repack -f GZIP=4`{}",
        .file.display(),
        WITH_FEATURE
    )]
    Filter {
        /// The file.
        file: PathBuf,
        /// The path inside the file.
        dataset: String,
        /// The filter's name and number.
        filter: String,
    },
    /// Values that cannot become what was asked for.
    #[error("{}: dataset `{dataset}` holds {dtype}, which cannot be read as {wanted}; write it with another type", .file.display())]
    Conversion {
        /// The file.
        file: PathBuf,
        /// The path inside the file.
        dataset: String,
        /// What it holds.
        dtype: Dtype,
        /// What was asked for.
        wanted: &'static str,
    },
    /// A single value that does not fit.
    #[error("{}: dataset `{dataset}`, row {row}, column {column} is {value}, which is not a {wanted}; repair this value", .file.display())]
    Value {
        /// The file.
        file: PathBuf,
        /// The path inside the file.
        dataset: String,
        /// The row, from 0.
        row: usize,
        /// The element within the row, from 0.
        column: usize,
        /// What is there.
        value: String,
        /// What was asked for.
        wanted: &'static str,
    },
    /// Rows past the end.
    #[error("{}: rows {start}..{end} of dataset `{dataset}` were asked for, and it has {rows}; ask for rows that it has", .file.display())]
    Rows {
        /// The file.
        file: PathBuf,
        /// The path inside the file.
        dataset: String,
        /// First row asked for.
        start: usize,
        /// The row after the last asked for.
        end: usize,
        /// Rows that there are.
        rows: usize,
    },
}
