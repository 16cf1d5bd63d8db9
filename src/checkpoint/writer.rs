//! A thread that writes checkpoints while training goes on.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};

use crossbeam::channel::{Sender, bounded};

use super::disk::{RealDisk, create_folders};
use super::kept::Kept;
use super::lock::{FolderLock, Lost, NotLocked};
use super::plain_file::is_plain_folder;
use super::prune::{prune, tidy};
use super::step_folder::{
    BEST, mark_as_saved, point, pointed, step_folder_name, step_of, write_checkpoint,
};
use super::{CheckpointError, Snapshot};

/// Writes snapshots into a run's `checkpoints/` from a thread of its own.
///
/// One snapshot is being written and one waits at most; [`save`](Self::save) blocks while both places are taken. A
/// checkpoint gets its name only when all of it is on disk, so that a crash at any instant leaves those before it.
///
/// ```
/// use yarak::checkpoint::{CheckpointWriter, Snapshot, load};
///
/// let folder = tempfile::tempdir()?;
/// let writer = CheckpointWriter::start(folder.path(), 2)?;
/// for step in [1_000, 2_000, 3_000, 4_000] {
///     let mut snapshot = Snapshot::new(step);
///     snapshot.put_tensor("actor", "weight", &[2], vec![1.0, step as f32])?;
///     writer.save(snapshot, step == 1_000)?;
/// }
/// writer.finish()?;
///
/// // The last two and the best are left.
/// assert!(!folder.path().join("step_000002000").exists());
/// let best = load(folder.path().join("step_000001000"))?;
/// assert_eq!(best.tensor("actor", "weight", &[2])?.values, [1.0, 1_000.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct CheckpointWriter {
    folder: PathBuf,
    /// Dropped to let the thread end.
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
    failure: Failure,
    /// Held to the end of the thread's work.
    lock: Arc<FolderLock>,
}

#[derive(Debug)]
struct Job {
    snapshot: Snapshot,
    is_best: bool,
}

/// The first failure that was not reported yet.
type Failure = Arc<Mutex<Option<CheckpointError>>>;

impl CheckpointWriter {
    /// Opens `folder` (a run's `checkpoints/`, made if missing), clears what dead processes left in it, and starts the
    /// thread. `keep`, 1 or more, is how many checkpoints stay besides the best.
    ///
    /// # Errors
    /// [`CheckpointError::KeepsNothing`], [`CheckpointError::InUse`] when another writer has the folder, and
    /// [`CheckpointError::Io`].
    pub fn start(folder: impl AsRef<Path>, keep: usize) -> Result<Self, CheckpointError> {
        let folder = folder.as_ref().to_path_buf();
        if keep == 0 {
            return Err(CheckpointError::KeepsNothing { folder });
        }
        create_folders(&mut RealDisk, &folder)
            .map_err(CheckpointError::io("create the folder", &folder))?;
        let lock = FolderLock::take(&folder).map_err(|refused| match refused {
            NotLocked::Held(holder) => CheckpointError::InUse {
                folder: folder.clone(),
                holder,
            },
            NotLocked::Io(error) => CheckpointError::io("lock the folder", &folder)(error),
        })?;
        if lock.is_certain() {
            tidy(&mut RealDisk, &folder)?;
        }
        let lock = Arc::new(lock);
        let (jobs, queue) = bounded(1);
        let failure = Failure::default();
        let thread = Builder::new()
            .name("checkpoint writer".to_owned())
            .spawn({
                let mut thread = Thread {
                    best: best_of(&folder),
                    folder: folder.clone(),
                    keep,
                    lock: lock.clone(),
                };
                let failure = failure.clone();
                move || {
                    for job in queue {
                        if let Err(error) = thread.write(&job) {
                            first(&failure).get_or_insert(error);
                        }
                    }
                }
            })
            .map_err(CheckpointError::io(
                "start the thread that writes into it",
                &folder,
            ))?;
        Ok(Self {
            folder,
            jobs: Some(jobs),
            thread: Some(thread),
            failure,
            lock,
        })
    }

    /// Hands `snapshot` to the thread, and waits only while one is being written and another waits. `is_best` lets the
    /// file `best` name it, so that it outlives the others.
    ///
    /// # Errors
    /// The failure of an earlier save (a full disk, ...), each reported once; `snapshot` is then not written. The checkpoints
    /// before it are kept, and a later save tries again. [`CheckpointError::NotFinite`] where a tensor holds a value that is not finite,
    /// and [`CheckpointError::TakenOver`] where another process has begun to write here, without writing either.
    /// [`CheckpointError::Gone`] where the folder was deleted: `snapshot` is written all the same.
    pub fn save(&self, snapshot: Snapshot, is_best: bool) -> Result<(), CheckpointError> {
        let gone = match self.lock.check() {
            // What failed in a folder that is gone is written again with this.
            Err(Lost::Gone) => {
                first(&self.failure).take();
                Err(CheckpointError::Gone {
                    folder: self.folder.clone(),
                })
            }
            Err(Lost::TakenOver(holder)) => return Err(taken_over(&self.folder, holder)),
            Ok(()) => {
                self.report()?;
                Ok(())
            }
        };
        // Seen here, a mistake in what was gathered stops the run at the save that it belongs to.
        snapshot.check()?;
        snapshot.refuse_not_finite(None)?;
        let job = Job { snapshot, is_best };
        let sent = self
            .jobs
            .as_ref()
            .is_some_and(|jobs| jobs.send(job).is_ok());
        if sent {
            gone
        } else {
            Err(CheckpointError::WriterDied {
                folder: self.folder.clone(),
            })
        }
    }

    /// Waits until everything is on disk.
    ///
    /// # Errors
    /// The first failure that [`save`](Self::save) has not told.
    pub fn finish(mut self) -> Result<(), CheckpointError> {
        self.join()
    }

    fn report(&self) -> Result<(), CheckpointError> {
        first(&self.failure).take().map_or(Ok(()), Err)
    }

    fn join(&mut self) -> Result<(), CheckpointError> {
        self.jobs = None;
        if self
            .thread
            .take()
            .is_some_and(|thread| thread.join().is_err())
        {
            return Err(CheckpointError::WriterDied {
                folder: self.folder.clone(),
            });
        }
        self.report()
    }
}

impl Drop for CheckpointWriter {
    fn drop(&mut self) {
        // There is nobody left to report it to in any other way.
        if let Err(error) = self.join() {
            crate::terminal::message(&format!("a checkpoint was not written: {error}"));
        }
    }
}

fn first(failure: &Failure) -> MutexGuard<'_, Option<CheckpointError>> {
    failure.lock().unwrap_or_else(PoisonError::into_inner)
}

fn taken_over(folder: &Path, holder: String) -> CheckpointError {
    CheckpointError::TakenOver {
        folder: folder.to_path_buf(),
        holder,
    }
}

/// The step that `best` names; `None` where it names none, or is damaged.
fn best_of(folder: &Path) -> Option<u64> {
    let best = pointed(folder, BEST).ok().flatten();
    best.and_then(|name| step_of(&name))
}

/// What the thread knows.
struct Thread {
    folder: PathBuf,
    keep: usize,
    /// Which step is the best, whatever becomes of the file that says so.
    best: Option<u64>,
    lock: Arc<FolderLock>,
}

impl Thread {
    fn write(&mut self, job: &Job) -> Result<(), CheckpointError> {
        match self.write_once(job) {
            // Deleted in the middle of it.
            Err(_) if self.lock.check() == Err(Lost::Gone) => self.write_once(job),
            written => written,
        }
    }

    fn write_once(&mut self, job: &Job) -> Result<(), CheckpointError> {
        let (folder, step) = (&self.folder, job.snapshot.step);
        // It may have been deleted since the start.
        create_folders(&mut RealDisk, folder)
            .map_err(CheckpointError::io("create the folder", folder))?;
        let still_ours = || match self.lock.check() {
            Err(Lost::TakenOver(holder)) => Err(taken_over(folder, holder)),
            Ok(()) | Err(Lost::Gone) => Ok(()),
        };
        still_ours()?;
        write_checkpoint(
            &mut RealDisk,
            folder,
            &job.snapshot,
            job.is_best,
            &still_ours,
        )?;
        mark_as_saved(&mut RealDisk, folder)?;
        if job.is_best {
            self.best = Some(step);
        }
        if let Some(best) = self.best.filter(|best| best_of(folder) != Some(*best)) {
            let name = step_folder_name(best);
            if is_plain_folder(&folder.join(&name)) {
                point(&mut RealDisk, folder, BEST, &name)?;
            }
        }
        let mut stays = Kept::of(&job.snapshot)?;
        stays.extend(self.best);
        prune(&mut RealDisk, folder, step, self.keep, &stays)
    }
}

#[cfg(test)]
mod tests {
    use super::super::step_folder::{names_in, steps_in};
    use super::super::{Persist, latest_good};
    use super::*;
    use std::fs;

    fn snapshot(step: u64) -> Snapshot {
        let mut snapshot = Snapshot::new(step);
        snapshot
            .put_tensor("actor", "weight", &[1000], vec![step as f32; 1000])
            .unwrap();
        snapshot
    }

    #[test]
    fn everything_saved_is_written_in_order_when_finish_returns() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("run/checkpoints");
        let writer = CheckpointWriter::start(&folder, 3).unwrap();
        for step in 1..=20 {
            writer.save(snapshot(step), step == 4).unwrap();
        }
        writer.finish().unwrap();
        assert_eq!(steps_in(&folder).unwrap(), [20, 19, 18, 4]);
        assert_eq!(latest_good(&folder).unwrap().found.unwrap().1, snapshot(20));
    }

    #[test]
    fn what_a_snapshot_knows_to_be_kept_for_good_stays_and_counts_among_the_last() {
        let folder = tempfile::tempdir().unwrap();
        let mut kept = Kept::default();
        let save = |writer: &CheckpointWriter, step, kept: &Kept| {
            let mut snapshot = snapshot(step);
            kept.save(&mut snapshot).unwrap();
            writer.save(snapshot, step == 1).unwrap();
        };
        let writer = CheckpointWriter::start(folder.path(), 2).unwrap();
        for step in 1..=6 {
            if [2, 5].contains(&step) {
                kept.keep(step);
            }
            save(&writer, step, &kept);
        }
        writer.finish().unwrap();
        assert_eq!(steps_in(folder.path()).unwrap(), [6, 5, 2, 1]);
        // Another process that goes on, with a `keep` of its own.
        let writer = CheckpointWriter::start(folder.path(), 1).unwrap();
        save(&writer, 7, &kept);
        writer.finish().unwrap();
        assert_eq!(steps_in(folder.path()).unwrap(), [7, 5, 2, 1]);
    }

    #[test]
    fn dropping_the_writer_waits_for_what_was_saved() {
        let folder = tempfile::tempdir().unwrap();
        let writer = CheckpointWriter::start(folder.path(), 5).unwrap();
        writer.save(snapshot(1), false).unwrap();
        writer.save(snapshot(2), false).unwrap();
        drop(writer);
        assert_eq!(steps_in(folder.path()).unwrap(), [2, 1]);
    }

    #[test]
    fn a_failure_is_told_once_and_a_later_save_tries_again() {
        let folder = tempfile::tempdir().unwrap();
        let writer = CheckpointWriter::start(folder.path(), 5).unwrap();
        // A folder called `latest` cannot be replaced by a file.
        fs::create_dir_all(folder.path().join("latest/full")).unwrap();
        writer.save(snapshot(1), false).unwrap();
        let told = (0..1000).find_map(|_| {
            std::thread::sleep(std::time::Duration::from_millis(5));
            writer.report().err()
        });
        assert!(told.unwrap().to_string().contains("latest"));
        fs::remove_dir_all(folder.path().join("latest")).unwrap();
        writer.save(snapshot(2), false).unwrap();
        writer.finish().unwrap();
        assert_eq!(
            latest_good(folder.path()).unwrap().found.unwrap().1,
            snapshot(2)
        );
    }

    #[test]
    fn finish_tells_a_failure_that_no_save_has_told() {
        let folder = tempfile::tempdir().unwrap();
        let writer = CheckpointWriter::start(folder.path(), 5).unwrap();
        fs::create_dir_all(folder.path().join("latest/full")).unwrap();
        writer.save(snapshot(1), false).unwrap();
        assert!(matches!(writer.finish(), Err(CheckpointError::Io { .. })));
    }

    #[test]
    fn a_snapshot_that_is_not_whole_is_refused_at_its_own_save() {
        let folder = tempfile::tempdir().unwrap();
        let writer = CheckpointWriter::start(folder.path(), 5).unwrap();
        let mut broken = snapshot(1);
        broken
            .files
            .get_mut("actor")
            .unwrap()
            .get_mut("weight")
            .unwrap()
            .shape = vec![3];
        assert!(matches!(
            writer.save(broken, false),
            Err(CheckpointError::ShapeNotFilled { .. })
        ));
        writer.finish().unwrap();
    }

    #[test]
    fn a_second_writer_and_a_keep_of_zero_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let first = CheckpointWriter::start(folder.path(), 1).unwrap();
        let error = CheckpointWriter::start(folder.path(), 1).unwrap_err();
        assert!(
            matches!(error, CheckpointError::InUse { .. }) && error.to_string().contains("process"),
            "{error}"
        );
        drop(first);
        assert!(CheckpointWriter::start(folder.path(), 1).is_ok());
        assert!(matches!(
            CheckpointWriter::start(folder.path(), 0),
            Err(CheckpointError::KeepsNothing { .. })
        ));
    }

    #[test]
    fn what_a_dead_process_was_writing_is_removed_at_the_start() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join(".writing-12345-step_000000001/actor")).unwrap();
        CheckpointWriter::start(folder.path(), 1)
            .unwrap()
            .finish()
            .unwrap();
        assert_eq!(names_in(folder.path()).unwrap(), [".lock"]);
    }
}
