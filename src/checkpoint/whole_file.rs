//! A file of the user's choosing, written whole or not at all.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use super::disk::{RealDisk, replace_file};

/// What the name of an unfinished one begins with.
pub(super) const DRAFT: &str = ".yarak-writing-";

/// Whether a device, a pipe or a socket is there, which nothing of ours replaces: all that write to it would lose it.
pub(crate) fn is_special(path: &Path) -> bool {
    let there = fs::symlink_metadata(path).map(|there| there.file_type());
    there.is_ok_and(|there| !there.is_file() && !there.is_dir() && !there.is_symlink())
}

/// Writes next to `path` first and moves it there when it is safe on disk. What is there stays unless `force` is given: else it
/// is an error of the kind [`io::ErrorKind::AlreadyExists`]. What [`is_special`] stays in any case.
pub(crate) fn write_whole(
    path: &Path,
    force: bool,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<()> {
    if force && is_special(path) {
        let told = "it is a device or a pipe, which is not replaced: name a file";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, told));
    }
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut draft = tempfile::Builder::new().prefix(DRAFT).tempfile_in(folder)?;
    write(draft.as_file_mut())?;
    draft.as_file().sync_all()?;
    // As any other new file, and not for its owner alone.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(draft.path(), fs::Permissions::from_mode(0o644))?;
    }
    let placed = if force {
        draft.persist(path)
    } else {
        draft.persist_noclobber(path)
    };
    placed.map(|_| ()).map_err(|error| error.error)
}

/// Puts `contents` in place of one of a run's own files, whole or not at all. Its draft is cleared when the run goes on.
pub(crate) fn replace_whole(path: &Path, contents: &[u8]) -> io::Result<()> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name().and_then(|it| it.to_str()))
    else {
        return Err(io::ErrorKind::InvalidFilename.into());
    };
    let folder = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    let permissions = fs::symlink_metadata(path).map(|former| former.permissions());
    replace_file(&mut RealDisk, folder, name, contents)?;
    match permissions {
        Ok(permissions) => fs::set_permissions(path, permissions),
        Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn nothing_is_lost_or_left_half_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let words = |words: &'static str| move |out: &mut File| out.write_all(words.as_bytes());
        write_whole(&path, false, words("one")).unwrap();
        let error = write_whole(&path, false, words("two")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&path).unwrap(), "one");
        let full = write_whole(&path, true, |out| {
            out.write_all(b"half")?;
            Err(io::ErrorKind::StorageFull.into())
        });
        assert!(full.is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "one");
        write_whole(&path, true, words("three")).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "three");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn what_is_no_file_stays_even_by_force() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let _listening = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let error = write_whole(&path, true, |out| out.write_all(b"lost")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert!(is_special(&path));
    }
}
