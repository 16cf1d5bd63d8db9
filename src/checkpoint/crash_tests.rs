//! Whatever the instant at which the program or the power goes, a checkpoint is left that loads.
//!
//! A run saves five times (once the same step again) and is stopped before every file operation and in the middle of
//! each. What it leaves must load, and must not be older than the last save that was reported as done.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::super::disk::{Disk, Fill, RealDisk};
use super::super::step_folder::{
    BEST, LATEST, SAVED, mark_as_saved, names_in, pointed, step_folder_name, step_of,
    write_checkpoint,
};
use super::super::{Blob, CheckpointError, Snapshot, latest_good};
use super::{prune, tidy};

/// The saves of the run, in order: the third comes by step 20 a second time, with other weights.
fn saves() -> Vec<(Snapshot, bool)> {
    // The same blob in all of them, and one that each has for itself.
    let shared = Blob::new(|out| out.write_all(b"shared"));
    [
        (10, true),
        (20, false),
        (20, false),
        (30, true),
        (40, false),
    ]
    .into_iter()
    .enumerate()
    .map(|(index, (step, is_best))| {
        let mut snapshot = Snapshot::new(step);
        snapshot
            .put_tensor(
                "actor",
                "weight",
                &[3],
                vec![index as f32, f32::MIN_POSITIVE, -0.0],
            )
            .unwrap();
        snapshot
            .put_tensor("critic", "weight", &[1], vec![0.5])
            .unwrap();
        snapshot.put_state("save", &index).unwrap();
        snapshot.put_blob("shared", shared.clone()).unwrap();
        let own = Blob::new(move |out| write!(out, "save {index}"));
        snapshot.put_blob("own", own).unwrap();
        (snapshot, is_best)
    })
    .collect()
}

/// Runs from save `first` on; the number of saves that were done when the disk stopped, or all.
fn run(disk: &mut dyn Disk, folder: &Path, first: usize) -> usize {
    if tidy(disk, folder).is_err() {
        return first;
    }
    for (index, (snapshot, is_best)) in saves().iter().enumerate().skip(first) {
        if write_checkpoint(disk, folder, snapshot, *is_best, &|| Ok(())).is_err() {
            return index;
        }
        if clear(disk, folder, snapshot.step).is_err() {
            return index + 1;
        }
    }
    saves().len()
}

/// What follows a save.
fn clear(disk: &mut dyn Disk, folder: &Path, step: u64) -> Result<(), CheckpointError> {
    mark_as_saved(disk, folder)?;
    let best = pointed(folder, BEST)?.and_then(|name| step_of(&name));
    prune(disk, folder, step, 2, &best.into_iter().collect())
}

/// The save that loads from `folder`, which must be one of the last done and the one under way.
fn assert_loads(folder: &Path, done: usize, when: &str) -> Option<usize> {
    let found = latest_good(folder).unwrap().found;
    if done == 0 && found.is_none() {
        return None;
    }
    let (path, snapshot) =
        found.unwrap_or_else(|| panic!("{when}: nothing loads after {done} saves"));
    let save: usize = snapshot.state("save").unwrap();
    assert_eq!(
        snapshot,
        saves()[save].0,
        "{when}: {} is not what was saved",
        path.display()
    );
    assert!(
        save + 1 >= done && save <= done,
        "{when}: save {save} loads after {done} were done"
    );
    Some(save)
}

/// Works until its operations are used up, and does half of the last.
struct StoppingDisk {
    left: usize,
    half_of_the_last: bool,
}

impl StoppingDisk {
    /// Whether the next operation is done whole, half or, with an error, not at all.
    fn whole(&mut self) -> io::Result<bool> {
        if self.left > 0 {
            self.left -= 1;
            return Ok(true);
        }
        if std::mem::take(&mut self.half_of_the_last) {
            Ok(false)
        } else {
            Err(io::Error::other("stopped"))
        }
    }

    fn at_once(&mut self, operation: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        if self.whole()? {
            operation()
        } else {
            Err(io::Error::other("stopped"))
        }
    }
}

impl Disk for StoppingDisk {
    fn create_folder(&mut self, path: &Path) -> io::Result<()> {
        self.at_once(|| RealDisk.create_folder(path))
    }
    fn write_file(&mut self, path: &Path, fill: &mut Fill<'_>) -> io::Result<()> {
        if self.whole()? {
            return RealDisk.write_file(path, fill);
        }
        let mut bytes = Vec::new();
        fill(&mut bytes)?;
        fs::write(path, &bytes[..bytes.len() / 2])?;
        Err(io::Error::other("stopped"))
    }
    fn sync_folder(&mut self, path: &Path) -> io::Result<()> {
        self.at_once(|| RealDisk.sync_folder(path))
    }
    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        self.at_once(|| RealDisk.rename(from, to))
    }
    fn link(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        self.at_once(|| RealDisk.link(from, to))
    }
    fn remove(&mut self, path: &Path) -> io::Result<()> {
        if self.whole()? {
            return RealDisk.remove(path);
        }
        if let Some(entry) = fs::read_dir(path)
            .ok()
            .and_then(|mut entries| entries.next())
        {
            fs::remove_file(entry?.path())?;
        }
        Err(io::Error::other("stopped"))
    }
}

#[test]
fn a_program_stopped_at_any_operation_leaves_a_checkpoint_and_goes_on_from_it() {
    let mut stops = 0;
    for half_of_the_last in [false, true] {
        for left in 0.. {
            let folder = tempfile::tempdir().unwrap();
            let mut disk = StoppingDisk {
                left,
                half_of_the_last,
            };
            let done = run(&mut disk, folder.path(), 0);
            let when =
                format!("stopped after {left} operations, half of the next: {half_of_the_last}");
            let loaded = assert_loads(folder.path(), done, &when);
            if disk.left > 0 {
                break;
            }
            stops += 1;

            // The next process starts here, and ends as a run that nobody stopped.
            let next = loaded.map_or(0, |save| save + 1);
            assert_eq!(
                run(&mut RealDisk, folder.path(), next),
                saves().len(),
                "{when}"
            );
            assert_loads(folder.path(), saves().len(), &when);
            let best = pointed(folder.path(), BEST).unwrap();
            assert_eq!(best, Some(step_folder_name(30)), "{when}");
            let mut names = names_in(folder.path()).unwrap();
            names.sort();
            // Stopped after its last save the run has none left that would prune.
            if next == saves().len() {
                names.retain(|name| *name != step_folder_name(20));
            }
            let kept = [step_folder_name(30), step_folder_name(40)];
            let mut expected = vec![BEST, LATEST, &kept[0], &kept[1]];
            // The mark may have been what the run was stopped at after its last save.
            if names.iter().any(|name| name == SAVED) {
                expected.insert(0, SAVED);
            }
            assert_eq!(names, expected, "{when}");
        }
    }
    assert!(stops > 100, "only {stops} instants were tried");
}

/// A disk that has also noted what a power cut would leave of it: of each folder the names that were flushed, and of the
/// later changes any first part, as a journal keeps them. Files' contents are flushed by [`Disk::write_file`] itself.
struct PoweredDisk {
    root: PathBuf,
    left: usize,
    /// By path from the root; the root itself is the empty path.
    folders: Vec<Folder>,
}

#[derive(Clone, Default)]
struct Folder {
    flushed: BTreeMap<String, Entry>,
    changes: Vec<Change>,
}

#[derive(Clone)]
enum Entry {
    File(Vec<u8>),
    Folder(usize),
}

#[derive(Clone)]
enum Change {
    Put(String, Entry),
    Remove(String),
    Rename(String, String),
}

impl Folder {
    /// The names after the first `count` changes.
    fn after(&self, count: usize) -> BTreeMap<String, Entry> {
        let mut names = self.flushed.clone();
        for change in &self.changes[..count] {
            match change {
                Change::Put(name, entry) => drop(names.insert(name.clone(), entry.clone())),
                Change::Remove(name) => drop(names.remove(name)),
                Change::Rename(from, to) => {
                    let entry = names.remove(from).expect("only what is there is renamed");
                    names.insert(to.clone(), entry);
                }
            }
        }
        names
    }
}

impl PoweredDisk {
    fn new(root: &Path, left: usize) -> Self {
        Self {
            root: root.to_path_buf(),
            left,
            folders: vec![Folder::default()],
        }
    }

    fn spend(&mut self) -> io::Result<()> {
        self.left = self
            .left
            .checked_sub(1)
            .ok_or_else(|| io::Error::other("stopped"))?;
        Ok(())
    }

    fn folder(&self, path: &Path) -> usize {
        let mut index = 0;
        for part in path.strip_prefix(&self.root).unwrap() {
            let names = self.folders[index].after(self.folders[index].changes.len());
            let Some(Entry::Folder(inner)) = names.get(part.to_str().unwrap()) else {
                panic!("{path:?}")
            };
            index = *inner;
        }
        index
    }

    fn change(&mut self, path: &Path, change: impl FnOnce(String) -> Change) {
        let parent = self.folder(path.parent().unwrap());
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        self.folders[parent].changes.push(change(name));
    }

    /// Makes in `place` what is left when of the root's changes the first `root` came through, and of the others' all or
    /// none.
    fn leave(&self, place: &Path, index: usize, root: usize, inner_changes: bool) {
        let folder = &self.folders[index];
        let count = if index == 0 {
            root
        } else {
            folder.changes.len() * usize::from(inner_changes)
        };
        for (name, entry) in folder.after(count) {
            match entry {
                Entry::File(bytes) => fs::write(place.join(name), bytes).unwrap(),
                Entry::Folder(inner) => {
                    fs::create_dir(place.join(&name)).unwrap();
                    self.leave(&place.join(name), inner, root, inner_changes);
                }
            }
        }
    }
}

impl Disk for PoweredDisk {
    fn create_folder(&mut self, path: &Path) -> io::Result<()> {
        self.spend()?;
        RealDisk.create_folder(path)?;
        self.folders.push(Folder::default());
        let entry = Entry::Folder(self.folders.len() - 1);
        self.change(path, |name| Change::Put(name, entry));
        Ok(())
    }
    fn write_file(&mut self, path: &Path, fill: &mut Fill<'_>) -> io::Result<()> {
        self.spend()?;
        let mut bytes = Vec::new();
        fill(&mut bytes)?;
        RealDisk.write_file(path, &mut |out: &mut dyn Write| out.write_all(&bytes))?;
        self.change(path, |name| Change::Put(name, Entry::File(bytes)));
        Ok(())
    }
    fn sync_folder(&mut self, path: &Path) -> io::Result<()> {
        self.spend()?;
        let index = self.folder(path);
        let folder = &mut self.folders[index];
        folder.flushed = folder.after(folder.changes.len());
        folder.changes.clear();
        Ok(())
    }
    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        self.spend()?;
        RealDisk.rename(from, to)?;
        let to = to.file_name().unwrap().to_str().unwrap().to_owned();
        self.change(from, |from| Change::Rename(from, to));
        Ok(())
    }
    fn link(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        self.spend()?;
        RealDisk.link(from, to)?;
        // The contents were flushed when they were written.
        let bytes = fs::read(to)?;
        self.change(to, |name| Change::Put(name, Entry::File(bytes)));
        Ok(())
    }
    fn remove(&mut self, path: &Path) -> io::Result<()> {
        self.spend()?;
        RealDisk.remove(path)?;
        self.change(path, Change::Remove);
        Ok(())
    }
}

#[test]
fn a_power_cut_at_any_operation_leaves_a_checkpoint() {
    let mut cuts = 0;
    for left in 0.. {
        let folder = tempfile::tempdir().unwrap();
        let mut disk = PoweredDisk::new(folder.path(), left);
        let done = run(&mut disk, folder.path(), 0);
        for root in 0..=disk.folders[0].changes.len() {
            for inner_changes in [false, true] {
                let place = tempfile::tempdir().unwrap();
                disk.leave(place.path(), 0, root, inner_changes);
                let when = format!(
                    "power cut after {left} operations, {root} later changes kept ({inner_changes})"
                );
                assert_loads(place.path(), done, &when);
                cuts += 1;
            }
        }
        if disk.left > 0 {
            break;
        }
    }
    assert!(cuts > 300, "only {cuts} states were tried");
}

/// A disk on which one operation fails, as a full or dying one does, and every other works.
pub(in crate::checkpoint) struct FailingDisk {
    /// How many operations work before the one that fails.
    before: usize,
    answer: io::ErrorKind,
    /// Which operation failed, on what.
    pub failed: Option<(&'static str, PathBuf)>,
}

impl FailingDisk {
    pub fn new(before: usize, answer: io::ErrorKind) -> Self {
        FailingDisk {
            before,
            answer,
            failed: None,
        }
    }

    fn spend(&mut self, operation: &'static str, path: &Path) -> io::Result<()> {
        if self.failed.is_none() && self.before == 0 {
            self.failed = Some((operation, path.to_path_buf()));
            return Err(self.answer.into());
        }
        self.before = self.before.saturating_sub(1);
        Ok(())
    }
}

impl Disk for FailingDisk {
    fn create_folder(&mut self, path: &Path) -> io::Result<()> {
        self.spend("mkdir", path)?;
        RealDisk.create_folder(path)
    }
    fn write_file(&mut self, path: &Path, fill: &mut Fill<'_>) -> io::Result<()> {
        if let Err(error) = self.spend("write", path) {
            // A full disk takes what it has room for.
            let mut bytes = Vec::new();
            fill(&mut bytes)?;
            fs::write(path, &bytes[..bytes.len() / 2])?;
            return Err(error);
        }
        // Nothing is flushed: there is no power cut here, and thousands of files.
        fill(&mut fs::File::create_new(path)?)
    }
    fn sync_folder(&mut self, path: &Path) -> io::Result<()> {
        self.spend("fsync", path)
    }
    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        self.spend("rename", from)?;
        RealDisk.rename(from, to)
    }
    fn link(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        self.spend("link", from)?;
        RealDisk.link(from, to)
    }
    fn remove(&mut self, path: &Path) -> io::Result<()> {
        self.spend("unlink", path)?;
        RealDisk.remove(path)
    }
}

const ANSWERS: [io::ErrorKind; 3] = [
    io::ErrorKind::StorageFull,
    io::ErrorKind::PermissionDenied,
    io::ErrorKind::Other,
];

/// A save and what follows it, and the tidying before the first: what each returned.
fn run_through(disk: &mut dyn Disk, folder: &Path) -> Vec<Result<(), CheckpointError>> {
    let mut results = vec![tidy(disk, folder)];
    for (snapshot, is_best) in saves() {
        let saved = write_checkpoint(disk, folder, &snapshot, is_best, &|| Ok(()));
        let saved = saved.and_then(|()| clear(disk, folder, snapshot.step));
        results.push(saved);
    }
    results
}

#[test]
fn a_disk_that_fails_at_any_operation_leaves_a_good_latest_a_typed_error_and_the_run_goes_on() {
    let mut failures = 0;
    for answer in ANSWERS {
        for before in 0.. {
            let folder = tempfile::tempdir().unwrap();
            let folder = folder.path();
            // Something for the tidying, and for the link.
            fs::create_dir(folder.join(".pruned-step_000000001")).unwrap();
            let mut disk = FailingDisk::new(before, answer);
            let results = run_through(&mut disk, folder);
            let Some((operation, path)) = disk.failed.clone() else {
                break;
            };
            failures += 1;
            let when = format!("{operation} of {} failed with {answer}", path.display());
            // What is not to be had in one way may be had in another, or not be needed at all.
            let errors: Vec<_> = results.iter().filter_map(|it| it.as_ref().err()).collect();
            assert!(errors.len() <= 1, "{when}: {errors:?}");
            let may_be_done_without = operation == "link";
            match errors.first() {
                None => assert!(may_be_done_without, "{when}: nothing was said"),
                Some(CheckpointError::Io {
                    source,
                    path,
                    action,
                }) => {
                    assert_eq!(source.kind(), answer, "{when}");
                    assert!(path.starts_with(folder) && !action.is_empty(), "{when}");
                }
                Some(other) => panic!("{when}: {other}"),
            }
            // The saves after it went on, so that the last one is there.
            let last = saves().len() - 1;
            let failed_last = results[last + 1].is_err();
            let found = latest_good(folder).unwrap();
            let (_, snapshot) = found
                .found
                .unwrap_or_else(|| panic!("{when}: nothing loads"));
            let save: usize = snapshot.state("save").unwrap();
            assert!(
                save == last || (failed_last && save + 1 == last),
                "{when}: {save}"
            );
            assert_eq!(snapshot, saves()[save].0, "{when}");
            // `latest` itself is good: nothing had to be passed over.
            assert!(found.skipped.is_empty(), "{when}: {:?}", found.skipped);

            // A later run tidies up and goes on.
            let after = run_through(&mut FailingDisk::new(usize::MAX, answer), folder);
            assert!(after.iter().all(Result::is_ok), "{when}: {after:?}");
            let mut names = names_in(folder).unwrap();
            names.sort();
            let kept = [step_folder_name(30), step_folder_name(40)];
            assert_eq!(names, [SAVED, BEST, LATEST, &kept[0], &kept[1]], "{when}");
        }
    }
    println!("{failures} failing operations were tried");
    assert!(failures > 250, "only {failures} operations were tried");
}

/// A disk on which one operation fails, and under which the program is killed at a later one.
struct FailingThenStoppingDisk {
    failing: FailingDisk,
    /// How many operations there are before the program is killed.
    left: usize,
}

impl FailingThenStoppingDisk {
    fn spend(&mut self) -> io::Result<&mut FailingDisk> {
        self.left = self
            .left
            .checked_sub(1)
            .ok_or_else(|| io::Error::other("killed"))?;
        Ok(&mut self.failing)
    }
}

impl Disk for FailingThenStoppingDisk {
    fn create_folder(&mut self, path: &Path) -> io::Result<()> {
        self.spend()?.create_folder(path)
    }
    fn write_file(&mut self, path: &Path, fill: &mut Fill<'_>) -> io::Result<()> {
        self.spend()?.write_file(path, fill)
    }
    fn sync_folder(&mut self, path: &Path) -> io::Result<()> {
        self.spend()?.sync_folder(path)
    }
    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        self.spend()?.rename(from, to)
    }
    fn link(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        self.spend()?.link(from, to)
    }
    fn remove(&mut self, path: &Path) -> io::Result<()> {
        self.spend()?.remove(path)
    }
}

/// Every 23rd kill after each failure; all of them with `YARAK_FUZZ_SECONDS` in the environment.
#[test]
fn a_program_killed_after_a_disk_failed_leaves_a_checkpoint_and_goes_on_from_it() {
    let apart = match std::env::var_os("YARAK_FUZZ_SECONDS") {
        Some(_) => 1,
        None => 23,
    };
    let answer = io::ErrorKind::StorageFull;
    let mut tried = 0;
    for before in 0.. {
        let mut has_failed = false;
        for later in (1 + before % apart..).step_by(apart) {
            let folder = tempfile::tempdir().unwrap();
            let folder = folder.path();
            let mut disk = FailingThenStoppingDisk {
                failing: FailingDisk::new(before, answer),
                left: before + later,
            };
            let results = run_through(&mut disk, folder);
            has_failed = disk.failing.failed.is_some();
            // The first result is the tidying's.
            let saved = results[1..].iter().rposition(Result::is_ok);
            let when = format!("operation {before} failed, killed {later} later");
            let found = latest_good(folder).unwrap();
            match (saved, found.found) {
                (None, None) => {}
                (Some(last), None) => panic!("{when}: save {last} is lost"),
                (saved, Some((_, snapshot))) => {
                    let save: usize = snapshot.state("save").unwrap();
                    assert_eq!(snapshot, saves()[save].0, "{when}");
                    assert!(Some(save) >= saved, "{when}: {save} in place of {saved:?}");
                }
            }
            let after = run_through(&mut FailingDisk::new(usize::MAX, answer), folder);
            assert!(after.iter().all(Result::is_ok), "{when}: {after:?}");
            let mut names = names_in(folder).unwrap();
            names.sort();
            let kept = [step_folder_name(30), step_folder_name(40)];
            assert_eq!(names, [SAVED, BEST, LATEST, &kept[0], &kept[1]], "{when}");
            if disk.left > 0 {
                break;
            }
            tried += 1;
        }
        if !has_failed {
            break;
        }
    }
    println!("{tried} kills after a failure were tried");
    assert!(tried > 100, "only {tried} kills were tried");
}
