//! Files of a run's folder: regular ones, and never what a link names.
//!
//! A run's folder may come from anywhere. A link in it could lead a reader to somebody's secrets and a writer over somebody's files,
//! and a pipe would be waited for without an end. So whatever is read or written in it by its name is opened here.

use std::fmt;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::path::Path;

/// There is a link where a file or a folder of the run's own belongs.
#[derive(Debug)]
struct Link;

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(LINK)
    }
}

impl std::error::Error for Link {}

/// What is said of a link.
pub(super) const LINK: &str = "it is a link, and links in a run's folder are not followed";

/// Whether this error is that there is a link.
pub(super) fn is_link(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<Link>())
}

/// Opens a regular file for reading.
///
/// # Errors
/// A link, a pipe or anything else that is no regular file, and what the operating system says.
pub(crate) fn open_plain(path: &Path) -> io::Result<File> {
    open_plain_with(OpenOptions::new().read(true), path)
}

/// The same in another way, which may make the file where there is none.
///
/// # Errors
/// As [`open_plain`].
pub(crate) fn open_plain_with(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    // Where there is nothing, opening says so or makes a file.
    if let Ok(there) = fs::symlink_metadata(path) {
        only_a_file(&there)?;
    }
    // For what comes there between the look and the opening.
    #[cfg(target_os = "linux")]
    std::os::unix::fs::OpenOptionsExt::custom_flags(options, libc::O_NOFOLLOW | libc::O_NONBLOCK);
    let file = options.open(path)?;
    only_a_file(&file.metadata()?)?;
    Ok(file)
}

fn only_a_file(there: &Metadata) -> io::Result<()> {
    if there.is_symlink() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, Link));
    }
    if !there.is_file() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "not a regular file",
        ));
    }
    Ok(())
}

/// Whether a regular file is there, and no link to one.
pub(crate) fn is_plain_file(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|there| there.is_file())
}

/// Whether a folder is there, and no link to one.
pub(crate) fn is_plain_folder(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|there| there.is_dir())
}

/// Whether a link is there, whatever it names.
pub(super) fn link_is_at(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|there| there.is_symlink())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn a_link_a_folder_and_a_pipe_are_not_opened() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("file"), "mine").unwrap();
        symlink(at("file"), at("link")).unwrap();
        symlink(at("nowhere"), at("dangling")).unwrap();
        let made = std::process::Command::new("mkfifo")
            .arg(at("pipe"))
            .status();
        assert!(made.unwrap().success());
        for name in ["link", "dangling"] {
            assert!(is_link(&open_plain(&at(name)).unwrap_err()), "{name}");
            let mut making = OpenOptions::new();
            making.write(true).create(true);
            assert!(is_link(
                &open_plain_with(&mut making, &at(name)).unwrap_err()
            ));
            assert!(!is_plain_file(&at(name)) && link_is_at(&at(name)));
        }
        assert!(!at("nowhere").exists());
        for name in ["pipe", "."] {
            assert!(open_plain(&at(name)).is_err(), "{name}");
        }
        assert!(open_plain(&at("file")).is_ok() && is_plain_file(&at("file")));
        let missing = open_plain(&at("missing")).unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
    }
}
