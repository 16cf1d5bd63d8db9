//! The one seam to the HDF5 library: opening, listing, and reading whole datasets or ranges of their rows.
//!
//! The file is taken for a stranger's. What it declares is held against what its bytes can hold before anything is
//! allocated, and no other file than the one named is ever opened.

use std::ops::{Bound, Range, RangeBounds};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use rust_hdf5::{H5Dataset, H5File, Hdf5Error, LinkClass};
use tempfile::TempPath;

use super::element::Element;
use super::error::FileError;
use super::listing::{DatasetInfo, describe_all};
use super::npz;
use super::selection::Selection;
#[cfg(feature = "libhdf5")]
use super::selection::unknown_filter;
#[cfg(feature = "parquet")]
use super::table_folder::TableFolder;
use super::table_folder::Tables;
#[cfg(feature = "parquet")]
use super::tables;
use super::vetting::{self, Vetted};
use crate::terminal::heed;

/// Soft links followed before they are taken for a circle; the HDF5 library's own limit.
const MAX_SOFT_LINKS: usize = 16;

/// An HDF5 file, open for reading.
///
/// A file is used by one thread at a time; for another thread, [`reopen`](Self::reopen) it, because one handle answers one
/// reader after the other.
///
/// ```
/// # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/d4rl/contiguous.hdf5");
/// use yarak::data::hdf5::File;
///
/// let file = File::open(path)?;
/// let observations = file.dataset("observations")?;
/// println!("{:?} of {}", observations.shape, observations.dtype);
/// let first: Vec<f32> = file.read("observations", 0..1)?;
/// let terminals: Vec<bool> = file.read("terminals", ..)?;
/// # assert_eq!(first.len(), 3);
/// # Ok::<(), yarak::data::hdf5::FileError>(())
/// ```
pub struct File {
    pub(super) handle: H5File,
    path: PathBuf,
    /// What is read: the file itself, or the copy of one that only the HDF5 C library could read.
    place: Place,
    bytes: u64,
    is_closed: bool,
    /// Whose tables it was copied from.
    tables: Option<Tables>,
    /// In the order of their paths.
    datasets: Arc<Vec<DatasetInfo>>,
    /// Handles that nobody uses just now: the second one of a larger file, and those that threads gave back.
    spares: Mutex<Vec<H5File>>,
    /// Whether it is one of several handles that read at the same time.
    is_one_of_several: bool,
}

/// Where the bytes are that are read.
#[derive(Clone)]
enum Place {
    TheFile,
    /// What an archive of NumPy's was unpacked to, or tables were copied to.
    Unpacked(Arc<TempPath>),
    #[cfg(feature = "libhdf5")]
    Copy(Arc<TempPath>),
}

/// Files from this size on get a second handle at once: opening walks over every group, and two threads walk at the same time.
const TWO_HANDLES_FROM_BYTES: u64 = 1 << 20;

impl Place {
    /// The path to read, for a file that was opened at this one.
    fn of<'a>(&'a self, path: &'a Path) -> &'a Path {
        match self {
            Place::TheFile => path,
            Place::Unpacked(copy) => copy,
            #[cfg(feature = "libhdf5")]
            Place::Copy(copy) => copy,
        }
    }
}

impl File {
    /// Opens a file and lists its datasets. An archive of NumPy's, `.npz`, is unpacked into a temporary file first, and so are Minari's and
    /// LeRobot's tables, which are opened by the file that describes them, with the feature `parquet`.
    ///
    /// # Errors
    ///
    /// What is missing, no regular file, no HDF5, truncated or damaged, and files that hold a virtual dataset.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, FileError> {
        let path = path.as_ref();
        if npz::is_it(path) {
            let copy = npz::plain_copy(path)?;
            return Self::open_at(path, Place::Unpacked(Arc::new(copy)));
        }
        #[cfg(feature = "parquet")]
        if let Ok(Some(folder)) = TableFolder::at(path) {
            let tables::Copied {
                tables,
                copy,
                datasets,
            } = tables::copied(&folder)?;
            let mut file = Self::open_at(path, Place::Unpacked(Arc::new(copy)))?;
            file.tables = Some(tables);
            file.datasets = Arc::new(datasets);
            return Ok(file);
        }
        #[cfg(feature = "libhdf5")]
        return match Self::open_at(path, Place::TheFile) {
            Ok(file) if file.has_unknown_filter() => Self::open_copy(path),
            Err(FileError::Virtual { .. } | FileError::DeletedNames { .. }) => {
                Self::open_copy(path)
            }
            opened => opened,
        };
        #[cfg(not(feature = "libhdf5"))]
        Self::open_at(path, Place::TheFile)
    }

    /// Opens a file through the HDF5 C library, whether or not it could be read without.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open), and what the library says.
    #[cfg(feature = "libhdf5")]
    pub fn open_copy(path: impl AsRef<Path>) -> Result<Self, FileError> {
        let copy = super::unpacked::plain_copy(path.as_ref())?;
        Self::open_at(path.as_ref(), Place::Copy(Arc::new(copy)))
    }

    /// Whether a dataset is stored with a filter that is not known here.
    #[cfg(feature = "libhdf5")]
    fn has_unknown_filter(&self) -> bool {
        self.datasets.iter().any(|info| {
            let filters = self.handle.dataset(&info.path).and_then(|it| it.filters());
            filters.is_ok_and(|all| all.iter().any(|it| unknown_filter(it.id).is_some()))
        })
    }

    fn open_at(path: &Path, place: Place) -> Result<Self, FileError> {
        let read = place.of(path).to_owned();
        let Vetted { bytes, is_closed } = vetting::vet(&read)?;
        let (handle, spare) = open_handles(&read, bytes)?;
        let mut names = handle.dataset_names();
        names.sort();
        names.iter().for_each(|name| heed(name));
        Ok(Self {
            datasets: Arc::new(describe_all(&handle, spare.as_ref(), names)),
            handle,
            path: path.to_owned(),
            place,
            bytes,
            is_closed,
            tables: None,
            spares: Mutex::new(spare.into_iter().collect()),
            is_one_of_several: false,
        })
    }

    /// A second handle on the same file, for another thread, which may keep it for as long as it likes: it reads by calls and not
    /// through a map of the file, where reading what was cut off meanwhile would end the process.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open), where the file has changed since.
    pub fn reopen(&self) -> Result<Self, FileError> {
        // The library maps what it has locked; this file stays locked by the first handle.
        let handle = H5File::options()
            .no_locking()
            .open(self.place.of(&self.path));
        Ok(self.with_handle(handle.map_err(|error| cannot_open(&self.path, error))?))
    }

    fn with_handle(&self, handle: H5File) -> Self {
        Self {
            handle,
            path: self.path.clone(),
            place: self.place.clone(),
            bytes: self.bytes,
            is_closed: self.is_closed,
            tables: self.tables,
            datasets: self.datasets.clone(),
            spares: Mutex::default(),
            is_one_of_several: true,
        }
    }

    /// Whether reading is worth more threads: the file is large, and its reader is not one of several already.
    pub(super) fn is_worth_threads(&self) -> bool {
        !self.is_one_of_several && self.bytes >= TWO_HANDLES_FROM_BYTES
    }

    /// Does some work with a second handle, and keeps it for the next that asks: opening one walks over the whole file.
    pub(super) fn with_other<T>(&self, work: impl FnOnce(&Self) -> T) -> Result<T, FileError> {
        let spares = || self.spares.lock().unwrap_or_else(PoisonError::into_inner);
        let spare = spares().pop();
        let other = self.with_handle(match spare {
            Some(spare) => spare,
            None => open_handle(self.place.of(&self.path))?,
        });
        let done = work(&other);
        spares().push(other.handle);
        Ok(done)
    }

    /// Whether it is an archive of NumPy's.
    pub fn is_archive(&self) -> bool {
        matches!(self.place, Place::Unpacked(_)) && self.tables.is_none()
    }

    /// Whose tables it was copied from, if it was.
    pub(super) fn tables(&self) -> Option<Tables> {
        self.tables
    }

    /// The path that it was opened with.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file's length in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether the program that wrote the file closed it, as far as files of its version say.
    pub fn was_closed(&self) -> bool {
        self.is_closed
    }

    /// Every dataset in the file, in the order of their paths.
    pub fn datasets(&self) -> &[DatasetInfo] {
        self.datasets.as_slice()
    }

    /// What is at the top level, in order: datasets by name, shape and type, groups by name with a trailing `/`.
    pub fn top_level(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .datasets
            .iter()
            .map(|dataset| match dataset.path.split_once('/') {
                Some((group, _)) => format!("`{group}/`"),
                None => format!("`{}` {:?} {}", dataset.path, dataset.shape, dataset.dtype),
            })
            .collect();
        names.dedup();
        names
    }

    /// The top level in words with what is in its groups, for where the names of groups are the question.
    pub(super) fn contents_with_groups(&self) -> String {
        const SHOWN: usize = 4;
        let contents = self.contents();
        let inside: Vec<String> = self
            .top_level()
            .iter()
            .filter_map(|name| name.strip_prefix('`')?.strip_suffix("/`"))
            .take(SHOWN)
            .filter_map(|group| {
                let mut names: Vec<String> = self
                    .datasets
                    .iter()
                    .filter_map(|info| info.path.strip_prefix(group)?.strip_prefix('/'))
                    .map(|rest| match rest.split_once('/') {
                        Some((name, _)) => format!("`{name}/`"),
                        None => format!("`{rest}`"),
                    })
                    .collect();
                names.dedup();
                let more = names.len().saturating_sub(SHOWN);
                names.truncate(SHOWN);
                let more = match more {
                    0 => String::new(),
                    more => format!(" and {more} more"),
                };
                (!names.is_empty()).then(|| format!("`{group}/` has {}{more}", names.join(", ")))
            })
            .collect();
        match inside.is_empty() {
            true => contents,
            false => format!("{contents}; {}", inside.join("; ")),
        }
    }

    /// The top level in words, for messages; of many names the first few.
    pub(super) fn contents(&self) -> String {
        const SHOWN: usize = 12;
        let mut names = self.top_level();
        let more = names.len().saturating_sub(SHOWN);
        names.truncate(SHOWN);
        match (names.is_empty(), more) {
            (true, _) => "no datasets".to_owned(),
            (false, 0) => names.join(", "),
            (false, more) => format!("{} and {more} more", names.join(", ")),
        }
    }

    /// The dataset at a path, through soft links within the file.
    ///
    /// # Errors
    ///
    /// [`FileError::NoDataset`], or [`FileError::Elsewhere`] where the path leads out of the file.
    pub fn dataset(&self, path: &str) -> Result<&DatasetInfo, FileError> {
        self.find(path, MAX_SOFT_LINKS)
    }

    /// The place in [`datasets`](Self::datasets) of the dataset at a path, through soft links within the file.
    ///
    /// # Errors
    ///
    /// As [`dataset`](Self::dataset).
    pub fn index_of(&self, path: &str) -> Result<usize, FileError> {
        let found = &self.dataset(path)?.path;
        Ok(self
            .datasets
            .partition_point(|dataset| dataset.path < *found))
    }

    /// Reads rows of a dataset, all of them with `..`, row after row; see [`Element`] for what can be read as what.
    ///
    /// # Errors
    ///
    /// Everything that [`FileError`] lists about datasets. Nothing of the declared size is allocated before that size was
    /// found to be possible.
    pub fn read<T: Element>(
        &self,
        dataset: &str,
        rows: impl RangeBounds<usize>,
    ) -> Result<Vec<T>, FileError> {
        let info = self.dataset(dataset)?;
        let start = match rows.start_bound() {
            Bound::Included(&start) => start,
            Bound::Excluded(&start) => start.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let end = match rows.end_bound() {
            Bound::Included(&end) => end.saturating_add(1),
            Bound::Excluded(&end) => end,
            Bound::Unbounded => info.rows(),
        };
        if start > end || end > info.rows() {
            return Err(FileError::Rows {
                file: self.path.clone(),
                dataset: info.path.clone(),
                start,
                end,
                rows: info.rows(),
            });
        }
        if !T::accepts(&info.dtype) {
            return Err(FileError::Conversion {
                file: self.path.clone(),
                dataset: info.path.clone(),
                dtype: info.dtype,
                wanted: T::NAME,
            });
        }
        Selection::new(self, info, self.source(info)?, start..end)?.read()
    }

    /// Whether the file can hold what a listed dataset declares, for those who allocate by it before they read it.
    pub(super) fn can_hold(&self, info: &DatasetInfo) -> Result<(), FileError> {
        Selection::new(self, info, self.source(info)?, 0..info.rows()).map(|_| ())
    }

    /// Reads rows of a listed dataset as `float32` into `out`, which has room for exactly them.
    pub(super) fn read_into(
        &self,
        info: &DatasetInfo,
        rows: Range<usize>,
        out: &mut [f32],
    ) -> Result<(), FileError> {
        if rows.start > rows.end || rows.end > info.rows() || !info.dtype.is_numeric() {
            // The slow way says what is wrong.
            return self.read::<f32>(&info.path, rows).map(|_| ());
        }
        Selection::new(self, info, self.source(info)?, rows)?.read_into(out)
    }

    /// Rows of one chunk of a dataset; `None` where its rows lie one after the other.
    ///
    /// # Errors
    ///
    /// As [`dataset`](Self::dataset), or a damaged file.
    pub fn chunk_rows(&self, dataset: &str) -> Result<Option<usize>, FileError> {
        let info = self.dataset(dataset)?;
        let chunk = self.source(info)?.chunk_dims();
        Ok(chunk.and_then(|chunk| chunk.first().copied()))
    }

    pub(super) fn listed(&self, path: &str) -> Option<&DatasetInfo> {
        self.datasets
            .binary_search_by(|dataset| dataset.path.as_str().cmp(path))
            .ok()
            .map(|at| &self.datasets[at])
    }

    /// Follows links by hand, because the library would follow them out of the file.
    fn find(&self, path: &str, soft_links: usize) -> Result<&DatasetInfo, FileError> {
        let path = path.trim_matches('/');
        if let Some(info) = self.listed(path) {
            return Ok(info);
        }
        let absent = || FileError::NoDataset {
            file: self.path.clone(),
            dataset: path.to_owned(),
            found: self.contents(),
        };
        let elsewhere = |how| FileError::Elsewhere {
            file: self.path.clone(),
            dataset: path.to_owned(),
            how,
        };
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let group = match parent {
            "" => self.handle.root_group(),
            parent => match self.handle.root_group().group(parent) {
                Ok(group) => group,
                Err(Hdf5Error::Unsupported(_)) => {
                    return Err(elsewhere("lies behind a link into another file".to_owned()));
                }
                Err(_) => return Err(absent()),
            },
        };
        // The group knows its own path, without the links that led to it.
        let parent = group.name().trim_matches('/').to_owned();
        let inside = |name: &str| {
            if parent.is_empty() {
                name.to_owned()
            } else {
                format!("{parent}/{name}")
            }
        };
        if let Some(info) = self.listed(&inside(name)) {
            return Ok(info);
        }
        // Only of a link that is there: the library looks for any other behind the links into other files.
        if !group
            .link_names()
            .is_ok_and(|names| names.iter().any(|found| found == name))
        {
            return Err(absent());
        }
        match group.link_class(name) {
            Ok(LinkClass::External { file, path }) => Err(elsewhere(format!(
                "is a link to `{path}` in another file, `{file}`"
            ))),
            Ok(LinkClass::Soft { path: target }) if soft_links > 0 => {
                match target.strip_prefix('/') {
                    Some(absolute) => self.find(absolute, soft_links - 1),
                    None => self.find(&inside(&target), soft_links - 1),
                }
            }
            _ => Err(absent()),
        }
    }

    /// The library's handle on a listed dataset.
    pub(super) fn source(&self, info: &DatasetInfo) -> Result<H5Dataset, FileError> {
        let stored = match &info.slice {
            Some(slice) => &slice.dataset,
            None => info.path.as_str(),
        };
        self.handle
            .dataset(stored)
            .map_err(|error| self.damaged(info, error))
    }

    pub(super) fn damaged(&self, info: &DatasetInfo, error: Hdf5Error) -> FileError {
        FileError::Damaged {
            file: self.path.clone(),
            place: format!("dataset `{}`", info.path),
            cause: error.to_string(),
        }
    }
}

fn open_handle(path: &Path) -> Result<H5File, FileError> {
    H5File::open(path).map_err(|error| cannot_open(path, error))
}

fn cannot_open(path: &Path, error: Hdf5Error) -> FileError {
    match error {
        Hdf5Error::Io(source) => FileError::Io {
            file: path.to_owned(),
            source,
        },
        error => FileError::Damaged {
            file: path.to_owned(),
            place: "the file's structure".to_owned(),
            cause: error.to_string(),
        },
    }
}

/// One handle, and for larger files a second one, opened at the same time.
fn open_handles(path: &Path, bytes: u64) -> Result<(H5File, Option<H5File>), FileError> {
    if bytes < TWO_HANDLES_FROM_BYTES {
        return Ok((open_handle(path)?, None));
    }
    thread::scope(|scope| {
        let second = scope.spawn(|| open_handle(path));
        let first = open_handle(path)?;
        match second.join() {
            Ok(second) => Ok((first, second.ok())),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixture(name: &str) -> File {
        File::open(
            Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("tests/fixtures/d4rl")
                .join(name),
        )
        .unwrap()
    }

    #[test]
    fn every_dataset_is_listed_in_order_with_its_shape_and_type() {
        let file = fixture("contiguous.hdf5");
        let listed: Vec<_> = file
            .datasets()
            .iter()
            .map(|d| format!("{} {:?} {}", d.path, d.shape, d.dtype))
            .collect();
        assert_eq!(
            listed,
            [
                "actions [60, 2] float32",
                "infos/qpos [60, 2] float64",
                "metadata/algorithm [] text",
                "next_observations [60, 3] float32",
                "observations [60, 3] float32",
                "rewards [60] float32",
                "terminals [60] bool",
                "timeouts [60] bool",
            ]
        );
        assert_eq!(
            file.top_level()[..2],
            ["`actions` [60, 2] float32", "`infos/`"]
        );
    }

    #[test]
    fn soft_links_are_followed_within_the_file() {
        let file = fixture("soft_links.hdf5");
        assert_eq!(file.dataset("rewards").unwrap().path, "data/rewards");
        assert_eq!(
            file.dataset("/observations/").unwrap().path,
            "data/observations"
        );
    }

    #[test]
    fn links_out_of_the_file_are_refused_with_their_target() {
        let error = fixture("external_link.hdf5")
            .dataset("actions")
            .unwrap_err();
        assert!(
            matches!(error, FileError::Elsewhere { ref how, .. } if how.contains("`contiguous.hdf5`")),
            "{error}"
        );
    }

    #[test]
    fn an_absent_dataset_is_answered_with_what_there_is() {
        let file = fixture("without_both.hdf5");
        assert_eq!(
            file.dataset("action")
                .unwrap_err()
                .to_string()
                .split_once(": ")
                .unwrap()
                .1,
            "there is no dataset `action`; the file has `actions` [60, 2] float32, `observations` [60, 3] float32, \
             `rewards` [60] float32, `terminals` [60] bool"
        );
    }
}
