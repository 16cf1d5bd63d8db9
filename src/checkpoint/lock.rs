//! A file that one process at a time holds.
//!
//! The operating system lets go of it when the process ends, however it ends, so no lock is ever stale.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::Path;

use super::origin;

/// The lock's file name, in the folder that it guards.
pub(super) const LOCK: &str = ".lock";

/// Held until dropped.
#[derive(Debug)]
pub(super) struct FolderLock {
    /// Keeps the lock; nothing where the file system knows no locks.
    held: Option<File>,
}

/// Why a lock was not had.
pub(super) enum NotLocked {
    /// Another has it; the words say who, as far as is known.
    Held(String),
    /// The operating system refused.
    Io(io::Error),
}

impl FolderLock {
    /// Takes the lock of `folder`, which must exist.
    pub fn take(folder: &Path) -> Result<Self, NotLocked> {
        let mut options = OpenOptions::new();
        // Not truncated: whoever holds it has written there who it is.
        let mut file = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(folder.join(LOCK))
            .map_err(NotLocked::Io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(NotLocked::Held(holder(&mut file))),
            // Some clusters' file systems are mounted without locks. Training there is the user's to order.
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {
                return Ok(Self { held: None });
            }
            Err(TryLockError::Error(error)) => return Err(NotLocked::Io(error)),
        }
        let who = format!(
            "process {} on {}, since {}\n",
            std::process::id(),
            origin::host(),
            origin::now()
        );
        // Who holds it is a courtesy to the reader of a message; the lock holds without it.
        let _ = file
            .set_len(0)
            .and_then(|()| file.write_all(who.as_bytes()));
        Ok(Self { held: Some(file) })
    }

    /// Whether nobody else can be in the folder.
    pub fn is_certain(&self) -> bool {
        self.held.is_some()
    }
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
        .and_then(|()| file.take(200).read_to_string(&mut text));
    let text: String = text
        .trim()
        .chars()
        .filter(|letter| !letter.is_control())
        .collect();
    if read.is_err() || text.is_empty() {
        "another process".to_owned()
    } else {
        text
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
}
