//! Files that a run writes all the time, and that somebody may delete meanwhile.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Somebody has deleted a file, or put another in its place, while it was being written.
#[derive(Debug, thiserror::Error)]
#[error(
    "{}: this file was deleted or replaced while the run went on, which has ended with that; {}",
    path.display(),
    match put_back {
        Some(place) if place == path => "its lines are there again".to_owned(),
        Some(place) => format!("its lines are in {}", place.display()),
        None => "its lines are lost, as nothing can be written there".to_owned(),
    }
)]
pub struct Gone {
    /// The file.
    pub path: PathBuf,
    /// Where its lines are now.
    pub put_back: Option<PathBuf>,
}

/// Looks whether `path` still names `file`, which was opened there for reading and appending: what is written to a deleted file is lost
/// without an error.
///
/// # Errors
/// It does not. All that the file has, which nobody else can reach any more, is then written into a new one, and `file` is that.
pub(super) fn look_after(file: &mut File, path: &Path) -> Result<(), Gone> {
    if is_in_place(file, path) {
        return Ok(());
    }
    let put_back = put_back(file, path).ok().map(|(place, anew)| {
        *file = anew;
        place
    });
    Err(Gone {
        path: path.to_path_buf(),
        put_back,
    })
}

/// Whether `path` still names `file`, which was opened there.
pub(super) fn is_in_place(file: &File, path: &Path) -> bool {
    let there = fs::symlink_metadata(path);
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

/// Copies a file to where it was, or next to it with a number where something else is now.
fn put_back(file: &mut File, path: &Path) -> io::Result<(PathBuf, File)> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.read_to_end(&mut bytes)?;
    let folder = path.parent();
    if let Some(folder) = folder.filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder)?;
    }
    let ending = path.extension().unwrap_or_default().to_string_lossy();
    let numbered = (1_u64..).map(|number| path.with_extension(format!("{number}.{ending}")));
    let mut anew = OpenOptions::new();
    anew.read(true).append(true).create_new(true);
    for place in std::iter::once(path.to_path_buf()).chain(numbered) {
        match anew.open(&place) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            created => {
                let mut file = created?;
                file.write_all(&bytes)?;
                file.sync_all()?;
                return Ok((place, file));
            }
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}
