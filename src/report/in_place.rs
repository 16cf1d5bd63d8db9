//! Whether an open file still is the one that its path names.

use std::fs::File;
use std::path::Path;

/// Whether `path` still names the file that was opened there. What is written to a deleted file is lost without an error.
pub(super) fn is_in_place(file: &File, path: &Path) -> bool {
    let there = std::fs::symlink_metadata(path);
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        match (there, file.metadata()) {
            (Ok(there), Ok(open)) => (there.dev(), there.ino()) == (open.dev(), open.ino()),
            (there, _) => there.is_ok(),
        }
    }
    #[cfg(not(unix))]
    {
        let _ = file;
        there.is_ok()
    }
}
