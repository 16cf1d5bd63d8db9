//! Whatever the instant at which the program or the power goes, a checkpoint is left that loads.
//!
//! A run saves five times (once the same step again) and is stopped before every file operation and in the middle of
//! each. What it leaves must load, and must not be older than the last save that was reported as done.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::super::disk::{Disk, Fill, RealDisk};
use super::super::step_folder::{BEST, names_in, pointed, step_folder_name, write_checkpoint};
use super::super::{Blob, Snapshot, latest_good};
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
            .put_tensor("actor", "weight", &[3], vec![index as f32, f32::NAN, -0.0])
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
        if write_checkpoint(disk, folder, snapshot, *is_best).is_err() {
            return index;
        }
        if prune(disk, folder, snapshot.step, 2).is_err() {
            return index + 1;
        }
    }
    saves().len()
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
            assert_eq!(names, ["best", "latest", &kept[0], &kept[1]], "{when}");
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
