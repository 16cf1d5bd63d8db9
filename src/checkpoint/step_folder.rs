//! One checkpoint on disk, and how it takes its place among the others.
//!
//! ```text
//! checkpoints/
//!   latest, best                 small text files, each naming a step folder
//!   step_000020000/
//!     actor.safetensors, ...     the tensors
//!     replay.000000000.blob, ... bytes that several checkpoints hold: one file with a name in each of their folders
//!     state.ron                  the step and the small state
//!     checksums.ron              length and SHA-256 of the others, written last
//!   .saved                       there since the first checkpoint
//!   .writing-PID-step_000040000  being written; means nothing until it is renamed
//!   .replaced-step_000020000     the former checkpoint of a step that was saved again
//!   .pruned-step_000010000       being removed
//! ```
//! Every step of a save leaves a folder that loads: files, then the folder, reach the disk before it gets its name, the
//! name before `best` and `latest` tell of it, and these before anything older goes.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read, Write};
use std::path::Path;

use ron::ser::PrettyConfig;
use ron::value::RawValue;
use serde::{Deserialize, Serialize};

use super::blob::Stored;
use super::digest::{Sum, Summing};
use super::disk::{Disk, draft_of, replace_file};
use super::plain_file::{LINK, is_link, open_plain};
use super::tensor_file::TensorFile;
use super::{CheckpointError, Snapshot};

pub(super) const LATEST: &str = "latest";
pub(super) const BEST: &str = "best";
pub(super) const CHECKSUMS: &str = "checksums.ron";
pub(super) const STATE: &str = "state.ron";
pub(super) const TENSORS: &str = ".safetensors";
pub(super) const BLOB: &str = ".blob";
/// There once it was saved, whatever becomes of the checkpoints.
pub(super) const SAVED: &str = ".saved";
pub(super) const REPLACED: &str = ".replaced-";

/// The format that this program writes, and the newest that it reads.
pub(super) const FORMAT: u32 = 1;

/// The most that is read of each kind of file, in bytes, and so the most that is written.
pub(super) const CHECKSUMS_LIMIT: u64 = 1 << 20;
pub(super) const STATE_LIMIT: u64 = 16 << 20;
pub(super) const TENSORS_LIMIT: u64 = 16 << 30;

/// `checksums.ron`.
#[derive(Serialize, Deserialize)]
pub(super) struct Checksums {
    pub format: u32,
    pub files: BTreeMap<String, Sum>,
}

/// `state.ron`. The values stay as they were written, so that the file reads as one RON document.
#[derive(Serialize, Deserialize)]
pub(super) struct StateFile {
    pub step: u64,
    pub state: BTreeMap<String, Box<RawValue>>,
}

/// `step_000020000`.
pub(crate) fn step_folder_name(step: u64) -> String {
    format!("step_{step:09}")
}

/// The step in a folder's name, if it is one that [`step_folder_name`] gives.
pub(super) fn step_of(name: &str) -> Option<u64> {
    let step = name.strip_prefix("step_")?.parse().ok()?;
    (step_folder_name(step) == name).then_some(step)
}

/// The step folders in `checkpoints`, newest first; none where there is no such folder.
pub(super) fn steps_in(checkpoints: &Path) -> Result<Vec<u64>, CheckpointError> {
    let mut steps: Vec<u64> = names_in(checkpoints)?
        .iter()
        .filter_map(|name| step_of(name))
        .collect();
    steps.sort_unstable_by(|left, right| right.cmp(left));
    Ok(steps)
}

/// Every name in `checkpoints` that is text; ours all are.
pub(super) fn names_in(checkpoints: &Path) -> Result<Vec<String>, CheckpointError> {
    let list = || -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(checkpoints)? {
            names.extend(entry?.file_name().into_string());
        }
        for name in &names {
            crate::terminal::heed(name);
        }
        Ok(names)
    };
    match list() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        names => names.map_err(CheckpointError::io("list the checkpoints", checkpoints)),
    }
}

/// Writes `snapshot` into its step folder and lets `latest`, and `best` if it is that, name it, unless `may_go_on` refuses when all
/// else is done. Returns once all of it is safe from a power cut.
pub(super) fn write_checkpoint(
    disk: &mut dyn Disk,
    checkpoints: &Path,
    snapshot: &Snapshot,
    is_best: bool,
    may_go_on: &dyn Fn() -> Result<(), CheckpointError>,
) -> Result<(), CheckpointError> {
    snapshot.check()?;
    let name = step_folder_name(snapshot.step);
    let draft = checkpoints.join(draft_of(&name));
    let placed = write_draft(disk, &draft, snapshot)
        .and_then(|sums| place(disk, checkpoints, &draft, &name).map(|()| sums));
    if placed.is_err() {
        // On a full disk the next save needs the room. The first error is the one to report.
        let _ = disk.remove(&draft);
    }
    let sums = placed?;
    for (blob_name, blob) in &snapshot.blobs {
        let file = format!("{blob_name}{BLOB}");
        if let Some(sum) = sums.get(&file) {
            blob.set_stored(Stored {
                path: checkpoints.join(&name).join(file),
                sum: sum.clone(),
            });
        }
    }
    may_go_on()?;
    // `best` first: a run that stops in between goes on from the former `latest` and comes by here again. The other way
    // round it would go on from this one, and nobody would remember that it was the best.
    if is_best {
        point(disk, checkpoints, BEST, &name)?;
    }
    point(disk, checkpoints, LATEST, &name)?;
    let replaced = checkpoints.join(format!("{REPLACED}{name}"));
    disk.remove(&replaced).map_err(CheckpointError::io(
        "remove the replaced checkpoint",
        &replaced,
    ))
}

fn write_draft(
    disk: &mut dyn Disk,
    draft: &Path,
    snapshot: &Snapshot,
) -> Result<BTreeMap<String, Sum>, CheckpointError> {
    disk.remove(draft).map_err(CheckpointError::io(
        "remove an unfinished checkpoint",
        draft,
    ))?;
    disk.create_folder(draft)
        .map_err(CheckpointError::io("create the folder", draft))?;
    let mut files = BTreeMap::new();

    for (stem, tensors) in &snapshot.files {
        let file = TensorFile::new(snapshot.origin(), stem, snapshot.step, tensors)?;
        let name = format!("{stem}{TENSORS}");
        let sum = write_summed(disk, &draft.join(&name), &|out| file.write(out))?;
        check_size(snapshot, &name, sum.bytes, TENSORS_LIMIT)?;
        files.insert(name, sum);
    }

    for (name, blob) in &snapshot.blobs {
        let file = format!("{name}{BLOB}");
        let path = draft.join(&file);
        // What an earlier checkpoint holds gets a second name. Where its file is gone, or the disk has no second names, it
        // is written again.
        let linked = blob
            .stored()
            .filter(|stored| disk.link(&stored.path, &path).is_ok());
        let sum = match linked {
            Some(stored) => stored.sum,
            None => write_summed(disk, &path, &|out| blob.write(out))?,
        };
        check_size(snapshot, &file, sum.bytes, TENSORS_LIMIT)?;
        files.insert(file, sum);
    }

    let unwritable = |key: &str, source: ron::Error| CheckpointError::UnwritableState {
        checkpoint: snapshot.origin().to_owned(),
        key: key.to_owned(),
        source: Box::new(source),
    };
    let mut state = BTreeMap::new();
    for (key, text) in &snapshot.state {
        let raw = RawValue::from_boxed_ron(text.as_str().into())
            .map_err(|error| unwritable(key, error.code))?;
        state.insert(key.clone(), raw);
    }
    let state = StateFile {
        step: snapshot.step,
        state,
    };
    let text = ron::ser::to_string_pretty(&state, PrettyConfig::new())
        .map_err(|error| unwritable(STATE, error))?;
    check_size(snapshot, STATE, text.len() as u64, STATE_LIMIT)?;
    files.insert(
        STATE.to_owned(),
        write_summed(disk, &draft.join(STATE), &|out| {
            out.write_all(text.as_bytes())
        })?,
    );

    let sums = Checksums {
        format: FORMAT,
        files,
    };
    let text = ron::ser::to_string_pretty(&sums, PrettyConfig::new())
        .map_err(|error| unwritable(CHECKSUMS, error))?;
    check_size(snapshot, CHECKSUMS, text.len() as u64, CHECKSUMS_LIMIT)?;
    write_summed(disk, &draft.join(CHECKSUMS), &|out| {
        out.write_all(text.as_bytes())
    })?;
    disk.sync_folder(draft)
        .map_err(CheckpointError::io("flush the folder", draft))?;
    Ok(sums.files)
}

fn write_summed(
    disk: &mut dyn Disk,
    path: &Path,
    write: &dyn Fn(&mut dyn Write) -> io::Result<()>,
) -> Result<Sum, CheckpointError> {
    let mut sum = None;
    let written = disk.write_file(path, &mut |out| {
        let mut summing = Summing::new(out);
        write(&mut summing)?;
        sum = Some(summing.sum());
        Ok(())
    });
    written
        .and_then(|()| sum.ok_or_else(|| io::Error::other("nothing was written")))
        .map_err(CheckpointError::io("write the file", path))
}

fn check_size(
    snapshot: &Snapshot,
    what: &str,
    bytes: u64,
    limit: u64,
) -> Result<(), CheckpointError> {
    if bytes <= limit {
        return Ok(());
    }
    let (checkpoint, what) = (snapshot.origin().to_owned(), format!("`{what}`"));
    Err(CheckpointError::TooLarge {
        checkpoint,
        what,
        bytes,
        limit,
    })
}

/// Gives the finished draft its name. A step saved again (a run taken back to an earlier checkpoint comes by a second
/// time) first moves the former aside: a folder that is not empty cannot be renamed over.
fn place(
    disk: &mut dyn Disk,
    checkpoints: &Path,
    draft: &Path,
    name: &str,
) -> Result<(), CheckpointError> {
    let folder = checkpoints.join(name);
    let aside = checkpoints.join(format!("{REPLACED}{name}"));
    let moved = folder.symlink_metadata().is_ok();
    if moved {
        disk.remove(&aside).map_err(CheckpointError::io(
            "remove the replaced checkpoint",
            &aside,
        ))?;
        disk.rename(&folder, &aside).map_err(CheckpointError::io(
            "move aside the former checkpoint",
            &folder,
        ))?;
    }
    if let Err(error) = disk.rename(draft, &folder) {
        if moved {
            // The former is as good as before. The first error is the one to report.
            let _ = disk.rename(&aside, &folder);
        }
        return Err(CheckpointError::io("name the finished checkpoint", &folder)(error));
    }
    disk.sync_folder(checkpoints)
        .map_err(CheckpointError::io("flush the folder", checkpoints))
}

/// Leaves word that there has been a checkpoint, so that a folder which has lost all of them is not taken for one that never had any.
pub(super) fn mark_as_saved(
    disk: &mut dyn Disk,
    checkpoints: &Path,
) -> Result<(), CheckpointError> {
    let mark = checkpoints.join(SAVED);
    if mark.symlink_metadata().is_ok() {
        return Ok(());
    }
    let text = b"this run has saved a checkpoint\n";
    disk.write_file(&mark, &mut |out| out.write_all(text))
        .map_err(CheckpointError::io("write the file", &mark))
}

/// Lets `latest` or `best` name a step folder.
pub(super) fn point(
    disk: &mut dyn Disk,
    checkpoints: &Path,
    pointer: &str,
    name: &str,
) -> Result<(), CheckpointError> {
    replace_file(disk, checkpoints, pointer, format!("{name}\n").as_bytes()).map_err(
        CheckpointError::io("replace the file", &checkpoints.join(pointer)),
    )
}

/// The step folder that `latest` or `best` names; nothing where there is no such file.
pub(super) fn pointed(
    checkpoints: &Path,
    pointer: &str,
) -> Result<Option<String>, CheckpointError> {
    const LIMIT: u64 = 256;
    let path = checkpoints.join(pointer);
    let read = open_plain(&path).and_then(|file| {
        let mut text = String::new();
        file.take(LIMIT).read_to_string(&mut text).map(|_| text)
    });
    match read {
        Ok(text) if step_of(text.trim()).is_some() => Ok(Some(text.trim().to_owned())),
        Ok(_) => Err(CheckpointError::damaged(
            checkpoints,
            pointer,
            "it does not name a step folder",
        )),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(CheckpointError::damaged(
            checkpoints,
            pointer,
            "it is not text",
        )),
        Err(error) if is_link(&error) => Err(CheckpointError::damaged(checkpoints, pointer, LINK)),
        Err(error) => Err(CheckpointError::io("read the file", &path)(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::disk::RealDisk;
    use super::*;

    fn save(folder: &Path, snapshot: &Snapshot) {
        write_checkpoint(&mut RealDisk, folder, snapshot, true, &|| Ok(())).unwrap();
    }

    #[test]
    fn a_step_folders_name_has_nine_digits_or_more_and_is_read_back() {
        for (step, name) in [
            (0, "step_000000000"),
            (20_000, "step_000020000"),
            (12_345_678_901, "step_12345678901"),
        ] {
            assert_eq!(step_folder_name(step), name);
            assert_eq!(step_of(name), Some(step));
        }
        for name in [
            "step_",
            "step_1",
            "step_+00000001",
            "step_0000000001",
            "step_99999999999999999999",
            "latest",
            "../a",
        ] {
            assert_eq!(step_of(name), None, "{name}");
        }
    }

    #[test]
    fn a_step_saved_again_replaces_the_former() {
        let folder = tempfile::tempdir().unwrap();
        save(folder.path(), &Snapshot::new(5));
        let mut again = Snapshot::new(5);
        again.put_state("again", &true).unwrap();
        save(folder.path(), &again);
        let state = fs::read_to_string(folder.path().join("step_000000005/state.ron")).unwrap();
        assert!(state.contains("again"));
        assert_eq!(
            names_in(folder.path()).unwrap().len(),
            3,
            "best, latest and the step folder"
        );
    }

    #[test]
    fn a_pointer_out_of_the_folder_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        for text in [
            "",
            "../../etc",
            "/etc",
            "step_000000001/..",
            "step_1",
            "\u{0}",
        ] {
            fs::write(folder.path().join(LATEST), text).unwrap();
            assert!(
                matches!(
                    pointed(folder.path(), LATEST),
                    Err(CheckpointError::Damaged { .. })
                ),
                "{text}"
            );
        }
        fs::write(folder.path().join(LATEST), [0xff, 0xfe]).unwrap();
        assert!(matches!(
            pointed(folder.path(), LATEST),
            Err(CheckpointError::Damaged { .. })
        ));
    }

    #[test]
    fn the_state_file_reads_as_one_document() {
        let folder = tempfile::tempdir().unwrap();
        let mut snapshot = Snapshot::new(5);
        snapshot.put_state("rng/sample", &(1_u64, "a\"b")).unwrap();
        save(folder.path(), &snapshot);
        let text = fs::read_to_string(folder.path().join("step_000000005/state.ron")).unwrap();
        assert!(text.contains(r#""rng/sample": (1,"a\"b"),"#), "{text}");
        assert!(text.contains("step: 5,"), "{text}");
    }
}
