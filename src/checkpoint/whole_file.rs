//! A file of the user's choosing, written whole or not at all.

use std::fs::{self, File};
use std::io;
use std::path::Path;

/// Writes next to `path` first and moves it there when it is safe on disk. What is there stays unless `force` is given: then it
/// is an error of the kind [`io::ErrorKind::AlreadyExists`].
pub(crate) fn write_whole(
    path: &Path,
    force: bool,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<()> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut draft = tempfile::Builder::new()
        .prefix(".yarak-writing-")
        .tempfile_in(folder)?;
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
}
