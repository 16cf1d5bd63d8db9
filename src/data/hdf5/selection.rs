//! Reading a range of rows, once what the file declares was found to be possible.

use std::ops::Range;

use rust_hdf5::types::H5Type;
use rust_hdf5::{H5Dataset, Hdf5Error, StorageLayout};

use super::element::{Dtype, Element, Unfit};
use super::error::FileError;
use super::file::File;
use super::listing::DatasetInfo;
use crate::data::huge_pages::zeros;

/// The most bytes that the rows of one reading may take in memory: 32 GiB.
const MAX_READ_BYTES: u64 = 32 << 30;
/// The most bytes that one chunk may take in memory: 1 GiB.
const MAX_CHUNK_BYTES: u64 = 1 << 30;
/// No known filter shrinks data more than this: deflate's limit (zlib's technical details, <https://zlib.net/zlib_tech.html>).
pub(super) const MAX_COMPRESSION: u64 = 1032;
/// Values are converted in pieces of about this many bytes, so that a conversion needs little memory next to its result.
const CONVERSION_BYTES: usize = 4 << 20;

/// A range of rows of one dataset that is fit to be read.
pub(super) struct Selection<'a> {
    file: &'a File,
    info: &'a DatasetInfo,
    source: H5Dataset,
    rows: Range<usize>,
    /// The row of the stored dataset at which this one begins.
    first: usize,
    /// Elements in one row.
    width: usize,
    /// Rows of one chunk, 1 where the data are not chunked.
    chunk_rows: usize,
    /// About how many bytes are converted at once.
    piece_bytes: usize,
}

impl<'a> Selection<'a> {
    /// Refuses data in other files, unknown filters and declared sizes that the file cannot hold.
    pub(super) fn new(
        file: &'a File,
        info: &'a DatasetInfo,
        source: H5Dataset,
        rows: Range<usize>,
    ) -> Result<Self, FileError> {
        let damaged = |error| file.damaged(info, error);
        let elsewhere = |how: String| FileError::Elsewhere {
            file: file.path().to_owned(),
            dataset: info.path.clone(),
            how,
        };
        // Each question costs the library a search for the dataset's name, and a file may have thousands: only contiguous data
        // can lie in another file, and only chunked data can be filtered.
        let layout = source.storage_layout().map_err(damaged)?;
        if layout == StorageLayout::Virtual {
            return Err(elsewhere(
                "is virtual: its data are in other datasets".to_owned(),
            ));
        }
        if layout != StorageLayout::Chunked
            && let Some(segment) = source.external_files().map_err(damaged)?.first()
        {
            return Err(elsewhere(format!(
                "keeps its data in another file, `{}`",
                segment.name
            )));
        }
        let filters = match layout {
            StorageLayout::Chunked => source.filters().map_err(damaged)?,
            _ => Vec::new(),
        };
        if let Some(filter) = filters.iter().find_map(|filter| unknown_filter(filter.id)) {
            return Err(FileError::Filter {
                file: file.path().to_owned(),
                dataset: info.path.clone(),
                filter,
            });
        }
        let room = if filters.is_empty() {
            file.bytes()
        } else {
            file.bytes().saturating_mul(MAX_COMPRESSION)
        };
        let within = |what: &str, bytes: u64, limit: u64| {
            if bytes <= limit {
                return Ok(());
            }
            let what = match bytes {
                u64::MAX => format!("{what} beyond all bounds"),
                bytes => format!("{what} of {bytes} bytes"),
            };
            Err(FileError::Oversized {
                file: file.path().to_owned(),
                dataset: info.path.clone(),
                what,
                limit,
            })
        };
        within("data", info.declared_bytes(), room)?;
        let all = info.rows().max(1) as u64;
        let read = (info.bytes() / all).saturating_mul(rows.len() as u64);
        within("rows to be read at once", read, MAX_READ_BYTES)?;
        let mut chunk_rows = 1;
        if let Some(chunk) = source.chunk_dims() {
            if chunk.len() != info.shape.len() || chunk.contains(&0) {
                return Err(damaged(Hdf5Error::InvalidState(format!(
                    "chunks of shape {chunk:?} do not divide data of shape {:?}",
                    info.shape
                ))));
            }
            let bytes = chunk.iter().fold(info.element_bytes as u64, |product, &n| {
                product.saturating_mul(n as u64)
            });
            within("chunks", bytes, room.min(MAX_CHUNK_BYTES))?;
            // Every chunk has an entry of several bytes in the file's index, which is read as a whole.
            let chunks = info.shape.iter().zip(&chunk).fold(1u64, |n, (&all, &one)| {
                n.saturating_mul(all.div_ceil(one) as u64)
            });
            within("an index of chunks", chunks, file.bytes())?;
            chunk_rows = chunk.first().copied().unwrap_or(1);
        }
        // All axes were found to be small enough above.
        let width = info.width().unwrap_or(0);
        Ok(Self {
            file,
            info,
            source,
            rows,
            first: info.slice.as_ref().map_or(0, |slice| slice.first),
            width,
            chunk_rows,
            piece_bytes: CONVERSION_BYTES,
        })
    }

    /// Reads and converts the rows.
    pub(super) fn read<T: Element>(&self) -> Result<Vec<T>, FileError> {
        match self.info.dtype {
            Dtype::Float16 => self.read_by(
                |source, starts, counts| source.read_numeric_slice_as(starts, counts),
                T::from_f32s,
            ),
            Dtype::Float32 => self.read_by(
                |source, starts, counts| match starts {
                    [] => source.read_raw(),
                    starts => {
                        let mut values = zeros(counts.iter().product());
                        source.read_slice_into(&mut values, starts, counts)?;
                        Ok(values)
                    }
                },
                T::from_f32s,
            ),
            Dtype::Float64 => self.read_as(T::from_f64s),
            Dtype::Bool => self.read_as(T::from_integers::<u8>),
            Dtype::Integer {
                bits: 8,
                signed: true,
            } => self.read_as(T::from_integers::<i8>),
            Dtype::Integer {
                bits: 8,
                signed: false,
            } => self.read_as(T::from_integers::<u8>),
            Dtype::Integer {
                bits: 16,
                signed: true,
            } => self.read_as(T::from_integers::<i16>),
            Dtype::Integer {
                bits: 16,
                signed: false,
            } => self.read_as(T::from_integers::<u16>),
            Dtype::Integer {
                bits: 32,
                signed: true,
            } => self.read_as(T::from_integers::<i32>),
            Dtype::Integer {
                bits: 32,
                signed: false,
            } => self.read_as(T::from_integers::<u32>),
            Dtype::Integer { signed: true, .. } => self.read_as(T::from_integers::<i64>),
            Dtype::Integer { signed: false, .. } => self.read_as(T::from_integers::<u64>),
            Dtype::Text | Dtype::Other(_) => Err(FileError::Conversion {
                file: self.file.path().to_owned(),
                dataset: self.info.path.clone(),
                dtype: self.info.dtype,
                wanted: T::NAME,
            }),
        }
    }

    /// Reads the rows into `out`, which has room for exactly them, without a copy where the file holds `float32`.
    pub(super) fn read_into(&self, out: &mut [f32]) -> Result<(), FileError> {
        let direct = self.info.dtype == Dtype::Float32 && !self.info.shape.is_empty();
        if !direct || out.len() != self.rows.len() * self.width {
            let values = self.read::<f32>()?;
            if values.len() != out.len() {
                return Err(self.file.damaged(
                    self.info,
                    Hdf5Error::InvalidState(format!(
                        "{} values were read and {} expected",
                        values.len(),
                        out.len()
                    )),
                ));
            }
            out.copy_from_slice(&values);
            return Ok(());
        }
        if out.is_empty() {
            return Ok(());
        }
        let mut starts = vec![0; self.info.shape.len()];
        let mut counts = self.info.shape.clone();
        (starts[0], counts[0]) = (self.first + self.rows.start, self.rows.len());
        self.source
            .read_slice_into(out, &starts, &counts)
            .map_err(|error| self.file.damaged(self.info, error))
    }

    /// Reads all bytes as they are, whatever the rows.
    pub(super) fn bytes(&self) -> Result<Vec<u8>, Hdf5Error> {
        if self.info.slice.is_none() {
            return self.source.read_raw_bytes();
        }
        let starts = [&[self.first], vec![0; self.info.shape.len() - 1].as_slice()].concat();
        let counts = &self.info.shape;
        Ok(match self.info.element_bytes {
            1 => self.source.read_slice::<u8>(&starts, counts)?,
            2 => flat(self.source.read_slice(&starts, counts)?, u16::to_le_bytes),
            4 => flat(self.source.read_slice(&starts, counts)?, u32::to_le_bytes),
            _ => flat(self.source.read_slice(&starts, counts)?, u64::to_le_bytes),
        })
    }

    /// Reads all texts, whatever the rows.
    pub(super) fn texts(&self) -> Result<Vec<String>, Hdf5Error> {
        self.source.read_strings()
    }

    fn read_as<S: H5Type, T: Element>(
        &self,
        convert: impl Fn(Vec<S>) -> Result<Vec<T>, Unfit>,
    ) -> Result<Vec<T>, FileError> {
        self.read_by(
            |source, starts, counts| match starts {
                // A single value has no rows to slice.
                [] => source.read_raw(),
                starts => source.read_slice(starts, counts),
            },
            convert,
        )
    }

    fn read_by<S, T: Element>(
        &self,
        read: impl Fn(&H5Dataset, &[usize], &[usize]) -> Result<Vec<S>, Hdf5Error>,
        convert: impl Fn(Vec<S>) -> Result<Vec<T>, Unfit>,
    ) -> Result<Vec<T>, FileError> {
        let count = self.rows.len();
        if count == 0 || self.width == 0 {
            return Ok(Vec::new());
        }
        let piece = if T::AS_IS.as_ref() == Some(&self.info.dtype) || self.info.shape.is_empty() {
            count
        } else {
            // Whole chunks, so that none is decoded twice.
            let rows = (self.piece_bytes / (self.width * self.info.element_bytes).max(1)).max(1);
            rows.div_ceil(self.chunk_rows)
                .saturating_mul(self.chunk_rows)
                .min(count)
        };
        let mut starts = vec![0; self.info.shape.len()];
        let mut counts = self.info.shape.clone();
        let mut values = Vec::new();
        for start in self.rows.clone().step_by(piece) {
            let rows = piece.min(self.rows.end - start);
            if let (Some(first), Some(length)) = (starts.first_mut(), counts.first_mut()) {
                (*first, *length) = (self.first + start, rows);
            }
            let stored = read(&self.source, &starts, &counts)
                .map_err(|error| self.file.damaged(self.info, error))?;
            let converted = convert(stored).map_err(|Unfit { index, value }| FileError::Value {
                file: self.file.path().to_owned(),
                dataset: self.info.path.clone(),
                row: start + index / self.width,
                column: index % self.width,
                value,
                wanted: T::NAME,
            })?;
            if rows == count {
                return Ok(converted);
            }
            if values.is_empty() {
                values.reserve_exact(count * self.width);
            }
            values.extend_from_slice(&converted);
        }
        Ok(values)
    }
}

/// The bytes of numbers, as the copy of a table has them.
fn flat<T, const N: usize>(values: Vec<T>, bytes: impl Fn(T) -> [u8; N]) -> Vec<u8> {
    values.into_iter().flat_map(bytes).collect()
}

/// The name of a filter that the library cannot undo; `None` for those that it can.
pub(super) fn unknown_filter(id: u16) -> Option<String> {
    let name = match id {
        // deflate, shuffle, fletcher32, szip, nbit, scaleoffset; lzf.
        1..=6 | 32000 => return None,
        307 => "bzip2",
        32001 | 32026 => "blosc",
        32004 => "lz4",
        32008 => "bitshuffle",
        32013 => "zfp",
        32015 => "zstd",
        _ => "an uncommon filter",
    };
    Some(format!("{name} (HDF5 filter {id})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixture(name: &str) -> File {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/d4rl");
        File::open(folder.join(name)).unwrap()
    }

    #[test]
    fn conversion_in_pieces_gives_what_conversion_at_once_gives() {
        let file = fixture("float64.hdf5");
        let info = file.dataset("observations").unwrap();
        let source = || file.source(info).unwrap();
        let whole: Vec<f32> = Selection::new(&file, info, source(), 0..60)
            .unwrap()
            .read()
            .unwrap();
        let rows = 7..53;
        let mut selection = Selection::new(&file, info, source(), rows.clone()).unwrap();
        for piece_bytes in [1, 24 * 5, 24 * 45, 24 * 46, usize::MAX] {
            selection.piece_bytes = piece_bytes;
            assert_eq!(
                selection.read::<f32>().unwrap(),
                whole[rows.start * 3..rows.end * 3],
                "{piece_bytes}"
            );
        }
    }

    #[test]
    fn a_value_that_does_not_fit_is_named_by_its_place_in_the_whole_dataset() {
        let file = fixture("flag_of_two.hdf5");
        for rows in [0..60, 9..10, 4..60] {
            let error = file.read::<bool>("terminals", rows).unwrap_err();
            assert!(
                matches!(error, FileError::Value { row: 9, column: 0, ref value, .. } if value == "2"),
                "{error}"
            );
        }
        assert!(file.read::<bool>("terminals", 10..).is_ok());
    }

    #[test]
    fn unknown_filters_are_named_and_known_ones_are_not() {
        assert_eq!(unknown_filter(1), None);
        assert_eq!(unknown_filter(32000), None);
        assert_eq!(unknown_filter(32015).unwrap(), "zstd (HDF5 filter 32015)");
    }
}
