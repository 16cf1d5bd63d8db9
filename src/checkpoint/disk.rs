//! The few file operations that checkpoints are made of, each done when it returns.
//!
//! Everything durable goes through [`Disk`], so that a test can stop the program between any two operations, and inside
//! each, and look at what is left.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// Writes a file's contents.
pub(super) type Fill<'a> = dyn FnMut(&mut dyn Write) -> io::Result<()> + 'a;

/// File operations in the order in which they reach the disk.
pub(super) trait Disk {
    /// Makes one folder, whose parent exists.
    fn create_folder(&mut self, path: &Path) -> io::Result<()>;
    /// Writes a whole file where there is none; its contents, not yet its name, are safe from a power cut when this returns.
    fn write_file(&mut self, path: &Path, fill: &mut Fill<'_>) -> io::Result<()>;
    /// Makes the names in a folder safe from a power cut.
    fn sync_folder(&mut self, path: &Path) -> io::Result<()>;
    /// Gives a file or folder another name in the same folder, at once or not at all.
    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()>;
    /// Gives a file a second name, on the same disk.
    fn link(&mut self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file, or a folder with all that is in it; what is already gone is no error.
    fn remove(&mut self, path: &Path) -> io::Result<()>;
}

/// The operating system's disk.
pub(super) struct RealDisk;

impl Disk for RealDisk {
    fn create_folder(&mut self, path: &Path) -> io::Result<()> {
        fs::create_dir(path)
    }

    fn write_file(&mut self, path: &Path, fill: &mut Fill<'_>) -> io::Result<()> {
        let mut buffered = BufWriter::with_capacity(1 << 18, File::create_new(path)?);
        fill(&mut buffered)?;
        buffered
            .into_inner()
            .map_err(io::IntoInnerError::into_error)?
            .sync_all()
    }

    fn sync_folder(&mut self, path: &Path) -> io::Result<()> {
        // Elsewhere a folder cannot be opened as a file, and the system orders renames itself.
        if cfg!(unix) {
            File::open(path)?.sync_all()
        } else {
            Ok(())
        }
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn link(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to)
    }

    fn remove(&mut self, path: &Path) -> io::Result<()> {
        let removed = match fs::symlink_metadata(path) {
            Ok(kind) if kind.is_dir() => fs::remove_dir_all(path),
            Ok(_) => fs::remove_file(path),
            Err(error) => Err(error),
        };
        match removed {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }
}

/// What an unfinished file's or folder's name begins with.
pub(super) const WRITING: &str = ".writing-";

/// The name under which `name` is prepared. It holds the process's number: where a file system has no locks, two
/// processes still do not write into one file.
pub(super) fn draft_of(name: &str) -> String {
    format!("{WRITING}{}-{name}", std::process::id())
}

/// Whether a name is such a draft's, of one of the names that `is_ours` knows.
pub(super) fn is_draft(name: &str, is_ours: impl Fn(&str) -> bool) -> bool {
    let rest = name.strip_prefix(WRITING);
    let parts = rest.and_then(|rest| rest.split_once('-'));
    parts.is_some_and(|(process, of)| process.parse::<u32>().is_ok() && is_ours(of))
}

/// Puts a small file in place of the one called `name`: a reader finds the old or the new, never a part.
pub(super) fn replace_file(
    disk: &mut dyn Disk,
    folder: &Path,
    name: &str,
    contents: &[u8],
) -> io::Result<()> {
    let draft = folder.join(draft_of(name));
    if draft.symlink_metadata().is_ok() {
        // Of a dead process with this one's number, or a link of somebody's.
        disk.remove(&draft)?;
    }
    let replaced = disk
        .write_file(&draft, &mut |out| out.write_all(contents))
        .and_then(|()| disk.rename(&draft, &folder.join(name)))
        .and_then(|()| disk.sync_folder(folder));
    if replaced.is_err() {
        // The first error is the one to report.
        let _ = disk.remove(&draft);
    }
    replaced
}

/// Makes `path` and the folders above it that are missing, each name safe from a power cut.
pub(super) fn create_folders(disk: &mut dyn Disk, path: &Path) -> io::Result<()> {
    if path.as_os_str().is_empty() || path.is_dir() {
        return Ok(());
    }
    let parent = path.parent().unwrap_or(Path::new(""));
    create_folders(disk, parent)?;
    match disk.create_folder(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {}
        created => created?,
    }
    disk.sync_folder(if parent.as_os_str().is_empty() {
        Path::new(".")
    } else {
        parent
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replaced_file_leaves_no_draft() {
        let folder = tempfile::tempdir().unwrap();
        replace_file(&mut RealDisk, folder.path(), "latest", b"old").unwrap();
        replace_file(&mut RealDisk, folder.path(), "latest", b"new").unwrap();
        assert_eq!(fs::read(folder.path().join("latest")).unwrap(), b"new");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_cannot_be_replaced_stays_and_leaves_no_draft() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("latest/full")).unwrap();
        assert!(replace_file(&mut RealDisk, folder.path(), "latest", b"new").is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn missing_folders_are_made_and_present_ones_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("a/b/c");
        create_folders(&mut RealDisk, &deep).unwrap();
        create_folders(&mut RealDisk, &deep).unwrap();
        assert!(deep.is_dir());
        fs::write(folder.path().join("file"), "").unwrap();
        assert!(create_folders(&mut RealDisk, &folder.path().join("file/below")).is_err());
    }

    #[test]
    fn what_is_already_gone_is_removed_without_error() {
        let folder = tempfile::tempdir().unwrap();
        RealDisk.remove(&folder.path().join("nothing")).unwrap();
        fs::create_dir_all(folder.path().join("a/b")).unwrap();
        RealDisk.remove(&folder.path().join("a")).unwrap();
        assert!(!folder.path().join("a").exists());
    }
}
