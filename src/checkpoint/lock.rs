//! A file that one process at a time holds.
//!
//! The operating system lets go of it when the process ends, however it ends, so no lock is ever stale. Some file systems have no
//! locks, or grant every one: so whoever takes it also writes a random word into it, its token, and looks before each write whether
//! that is still there. Of two that both believe to hold it, the later one's token is there, and the earlier one ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use super::origin;
use super::plain_file::{open_plain, open_plain_with};

/// The lock's file name, in the folder that it guards.
pub(super) const LOCK: &str = ".lock";

/// The most that is read of it, in bytes.
const LIMIT: u64 = 400;

/// Held until dropped.
#[derive(Debug)]
pub(crate) struct FolderLock {
    /// Keeps the lock; nothing where the file system knows no locks.
    held: Option<File>,
    /// The folder that it guards.
    folder: PathBuf,
    /// What was written into the file: who holds it, and the token.
    owner: String,
}

/// Why a lock was not had.
pub(crate) enum NotLocked {
    /// Another has it; the words say who, as far as is known.
    Held(String),
    /// The operating system refused.
    Io(io::Error),
}

/// What became of a lock that was had.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Lost {
    /// Its file is gone, or the folder with it.
    Gone,
    /// Another has written itself into it; the words say who.
    TakenOver(String),
}

impl FolderLock {
    /// Takes the lock of `folder`, which must exist.
    pub fn take(folder: &Path) -> Result<Self, NotLocked> {
        let mut options = OpenOptions::new();
        // Not truncated: whoever holds it has written there who it is.
        options.read(true).write(true).create(true).truncate(false);
        let mut file = open_plain_with(&mut options, &folder.join(LOCK)).map_err(NotLocked::Io)?;
        let locked = match file.try_lock() {
            Ok(()) => true,
            Err(TryLockError::WouldBlock) => return Err(NotLocked::Held(holder(&mut file))),
            // Some clusters' file systems are mounted without locks. Training there is the user's to order.
            Err(TryLockError::Error(error)) if knows_no_locks(&error) => false,
            Err(TryLockError::Error(error)) => return Err(NotLocked::Io(error)),
        };
        let owner = format!(
            "process {} on {}, since {}\n{:016x}\n",
            std::process::id(),
            origin::host(),
            origin::now(),
            // A hasher of the standard library's begins at a random number.
            RandomState::new().build_hasher().finish()
        );
        file.set_len(0)
            .and_then(|()| file.write_all(owner.as_bytes()))
            .map_err(NotLocked::Io)?;
        Ok(Self {
            held: locked.then_some(file),
            folder: folder.to_path_buf(),
            owner,
        })
    }

    /// Whether nobody else can be in the folder.
    pub fn is_certain(&self) -> bool {
        self.held.is_some()
    }

    /// Whether the folder is still this process's: its token is where it was written.
    pub fn check(&self) -> Result<(), Lost> {
        let mut file = match open_plain(&self.folder.join(LOCK)) {
            Ok(file) => file,
            Err(error) => {
                return match error.kind() {
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Err(Lost::Gone),
                    // A disk that does not answer is met by whoever writes to it.
                    _ => Ok(()),
                };
            }
        };
        let mut there = String::new();
        match (&mut file).take(LIMIT).read_to_string(&mut there) {
            Ok(_) if there != self.owner => Err(Lost::TakenOver(holder(&mut file))),
            _ => Ok(()),
        }
    }
}

/// Whether the file system has no locks, rather than refusing this one.
fn knows_no_locks(error: &io::Error) -> bool {
    #[cfg(target_os = "linux")]
    if [libc::ENOLCK, libc::ENOSYS, libc::EOPNOTSUPP]
        .map(Some)
        .contains(&error.raw_os_error())
    {
        return true;
    }
    error.kind() == io::ErrorKind::Unsupported
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        // Said aloud, because closing the file is not enough while a program that is just being started still shares it.
        if let Some(file) = &self.held {
            let _ = file.unlock();
        }
    }
}

/// Who wrote themselves into the file.
fn holder(file: &mut File) -> String {
    let mut text = String::new();
    let read = file
        .rewind()
        .and_then(|()| file.take(LIMIT).read_to_string(&mut text));
    let line = text.lines().next().unwrap_or_default().trim();
    let who: String = line.chars().filter(|letter| !letter.is_control()).collect();
    if read.is_err() || who.is_empty() {
        "another process".to_owned()
    } else {
        who
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_who_holds_it_and_gets_it_when_the_first_lets_go() {
        let folder = tempfile::tempdir().unwrap();
        let first = FolderLock::take(folder.path()).unwrap_or_else(|_| panic!("not locked"));
        assert!(first.is_certain());
        match FolderLock::take(folder.path()) {
            Err(NotLocked::Held(holder)) => {
                assert!(
                    holder.starts_with(&format!("process {} on ", std::process::id())),
                    "{holder}"
                );
            }
            _ => panic!("locked twice"),
        }
        drop(first);
        assert!(FolderLock::take(folder.path()).is_ok());
    }

    #[test]
    fn a_lock_file_left_by_a_dead_process_holds_nobody_off() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(
            folder.path().join(LOCK),
            "process 1 on another, since long ago, with a long tail",
        )
        .unwrap();
        assert!(FolderLock::take(folder.path()).is_ok());
        let text = std::fs::read_to_string(folder.path().join(LOCK)).unwrap();
        assert!(!text.contains("tail"), "{text}");
    }

    #[test]
    fn of_two_that_hold_it_where_nothing_is_locked_the_earlier_one_finds_out() {
        let folder = tempfile::tempdir().unwrap();
        let mut first = FolderLock::take(folder.path()).unwrap_or_else(|_| panic!("not locked"));
        assert_eq!(first.check(), Ok(()));
        // As on a file system that has no locks, or grants every one.
        first.held = None;
        let second = FolderLock::take(folder.path()).unwrap_or_else(|_| panic!("not locked"));
        assert_eq!(second.check(), Ok(()));
        let Err(Lost::TakenOver(by)) = first.check() else {
            panic!("both go on")
        };
        assert!(by.starts_with(&format!("process {} on ", std::process::id())));
        std::fs::remove_file(folder.path().join(LOCK)).unwrap();
        assert_eq!(second.check(), Err(Lost::Gone));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_file_system_without_locks_is_known_by_its_answer() {
        for (answer, without) in [
            (libc::ENOLCK, true),
            (libc::EOPNOTSUPP, true),
            (libc::EIO, false),
        ] {
            assert_eq!(
                knows_no_locks(&io::Error::from_raw_os_error(answer)),
                without
            );
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_link_in_its_place_is_not_written_through() {
        let folder = tempfile::tempdir().unwrap();
        let precious = folder.path().join("precious");
        std::fs::write(&precious, "mine").unwrap();
        std::os::unix::fs::symlink(&precious, folder.path().join(LOCK)).unwrap();
        assert!(matches!(
            FolderLock::take(folder.path()),
            Err(NotLocked::Io(_))
        ));
        assert_eq!(std::fs::read_to_string(&precious).unwrap(), "mine");
    }
}
