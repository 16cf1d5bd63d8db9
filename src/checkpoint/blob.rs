//! Bytes that a checkpoint holds in a file of their own, and that later checkpoints hold too.
//!
//! Part of a replay buffer is the example: once full it never changes, and every later checkpoint needs it. Such a part is
//! written once. A checkpoint that holds the same [`Blob`] as an earlier one gets another name for the earlier one's file
//! (a hard link), so that each folder is whole by itself, old ones are removed as ever, and what a save costs is what is new.

use std::fmt;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::CheckpointError;
use super::digest::Sum;
use super::plain_file::open_plain;

/// How a blob's bytes are made.
type Make = dyn Fn(&mut dyn Write) -> io::Result<()> + Send + Sync;

/// Bytes that never change, made when they are needed. Clones are the same blob.
///
/// ```
/// use yarak::checkpoint::{Blob, CheckpointWriter, Snapshot, load};
///
/// let folder = tempfile::tempdir()?;
/// let writer = CheckpointWriter::start(folder.path(), 2)?;
/// let lesson = Blob::new(|out| out.write_all(b"fly"));
/// for step in [10, 20] {
///     let mut snapshot = Snapshot::new(step);
///     snapshot.put_blob("lesson", lesson.clone())?;
///     writer.save(snapshot, false)?;
/// }
/// writer.finish()?;
/// let loaded = load(folder.path().join("step_000000020"))?;
/// assert_eq!(loaded.blob("lesson")?.read()?, b"fly");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Blob {
    source: Source,
    /// Where it lies on disk; shared, so that the writer's thread reaches all clones.
    stored: Arc<Mutex<Option<Stored>>>,
}

#[derive(Clone)]
enum Source {
    Made(Arc<Make>),
    File(PathBuf),
}

/// A file that holds a blob.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub path: PathBuf,
    pub sum: Sum,
}

impl Blob {
    /// A blob that `make` writes, the same bytes at each call. It is called on the writer's thread.
    pub fn new(make: impl Fn(&mut dyn Write) -> io::Result<()> + Send + Sync + 'static) -> Self {
        Blob {
            source: Source::Made(Arc::new(make)),
            stored: Arc::default(),
        }
    }

    /// The blob that a checkpoint's file holds.
    pub(super) fn in_file(path: PathBuf, sum: Sum) -> Self {
        let stored = Stored {
            path: path.clone(),
            sum,
        };
        Blob {
            source: Source::File(path),
            stored: Arc::new(Mutex::new(Some(stored))),
        }
    }

    /// The same blob, which `make` writes again where its file is gone: for a resource that was restored from it.
    #[must_use]
    pub fn made_by(
        &self,
        make: impl Fn(&mut dyn Write) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        Blob {
            source: Source::Made(Arc::new(make)),
            stored: self.stored.clone(),
        }
    }

    /// All bytes.
    ///
    /// # Errors
    /// When its file cannot be read any more.
    pub fn read(&self) -> Result<Vec<u8>, CheckpointError> {
        let mut bytes = Vec::new();
        match &self.source {
            Source::Made(make) => make(&mut bytes)
                .map_err(CheckpointError::io("make the bytes", Path::new("memory")))?,
            Source::File(path) => {
                bytes = read_plain(path).map_err(CheckpointError::io("read the file", path))?;
            }
        }
        Ok(bytes)
    }

    /// What messages call it: its file, where it is from one.
    pub fn origin(&self) -> String {
        match &self.source {
            Source::Made(_) => "memory".to_owned(),
            Source::File(path) => path.display().to_string(),
        }
    }

    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        match &self.source {
            Source::Made(make) => make(out),
            Source::File(path) => out.write_all(&read_plain(path)?),
        }
    }

    /// Where it was last written.
    pub(super) fn stored(&self) -> Option<Stored> {
        self.place().clone()
    }

    pub(super) fn set_stored(&self, stored: Stored) {
        *self.place() = Some(stored);
    }

    fn place(&self) -> std::sync::MutexGuard<'_, Option<Stored>> {
        self.stored.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read_plain(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open_plain(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

impl fmt::Debug for Blob {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Blob({})", self.origin())
    }
}

/// Two blobs are equal when their bytes are. One that cannot be read is equal to none.
impl PartialEq for Blob {
    fn eq(&self, other: &Self) -> bool {
        match (self.read(), other.read()) {
            (Ok(left), Ok(right)) => left == right,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::disk::RealDisk;
    use super::super::prune::prune;
    use super::super::step_folder::{step_folder_name, write_checkpoint};
    use super::super::{Snapshot, load};
    use super::*;
    use std::collections::BTreeSet;
    use std::fs;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn counted() -> (Blob, Arc<AtomicUsize>) {
        let made = Arc::new(AtomicUsize::new(0));
        let count = made.clone();
        let blob = Blob::new(move |out| {
            count.fetch_add(1, Ordering::Relaxed);
            out.write_all(b"rows")
        });
        (blob, made)
    }

    fn save(folder: &Path, step: u64, blob: &Blob, keep: usize) {
        let mut snapshot = Snapshot::new(step);
        snapshot.put_blob("replay.0", blob.clone()).unwrap();
        write_checkpoint(&mut RealDisk, folder, &snapshot, false, &|| Ok(())).unwrap();
        prune(&mut RealDisk, folder, step, keep, &BTreeSet::new()).unwrap();
    }

    #[test]
    fn a_blob_is_made_once_however_many_checkpoints_hold_it() {
        let folder = tempfile::tempdir().unwrap();
        let (blob, made) = counted();
        for step in 1..=5 {
            save(folder.path(), step, &blob, 2);
        }
        assert_eq!(made.load(Ordering::Relaxed), 1);
        for step in [4, 5] {
            let loaded = load(folder.path().join(step_folder_name(step))).unwrap();
            assert_eq!(loaded.blob("replay.0").unwrap().read().unwrap(), b"rows");
        }
    }

    #[test]
    fn a_blob_whose_file_is_gone_is_made_again() {
        let folder = tempfile::tempdir().unwrap();
        let (blob, made) = counted();
        save(folder.path(), 1, &blob, 2);
        fs::remove_dir_all(folder.path().join(step_folder_name(1))).unwrap();
        save(folder.path(), 2, &blob, 2);
        assert_eq!(made.load(Ordering::Relaxed), 2);
        assert!(load(folder.path().join(step_folder_name(2))).is_ok());
    }

    #[test]
    fn a_restored_blob_shares_the_file_that_it_was_restored_from() {
        let folder = tempfile::tempdir().unwrap();
        let (blob, _) = counted();
        save(folder.path(), 1, &blob, 3);
        let loaded = load(folder.path().join(step_folder_name(1))).unwrap();
        let (fresh, made) = counted();
        let Source::Made(make) = &fresh.source else {
            unreachable!()
        };
        let make = make.clone();
        let again = loaded
            .blob("replay.0")
            .unwrap()
            .made_by(move |out| make(out));
        save(folder.path(), 2, &again, 3);
        assert_eq!(made.load(Ordering::Relaxed), 0);
        let loaded = load(folder.path().join(step_folder_name(2))).unwrap();
        assert_eq!(loaded.blob("replay.0").unwrap().read().unwrap(), b"rows");
    }

    #[test]
    fn a_damaged_blob_is_found_out() {
        let folder = tempfile::tempdir().unwrap();
        save(folder.path(), 1, &counted().0, 3);
        let checkpoint = folder.path().join(step_folder_name(1));
        fs::write(checkpoint.join("replay.0.blob"), b"rowz").unwrap();
        let error = load(&checkpoint).unwrap_err().to_string();
        assert!(error.contains("replay.0.blob"), "{error}");
    }
}
