//! Temporary HDF5 files that hold what cannot be read where it is.

use std::path::Path;

use tempfile::TempPath;

use super::FileError;

/// A new file in the folder for temporary ones, for the values of the file at `of`; it goes when it is dropped.
///
/// # Errors
/// [`FileError::Unwritable`], with what the system says.
pub(super) fn temporary(of: &Path) -> Result<TempPath, FileError> {
    let made = tempfile::Builder::new()
        .prefix("yarak_")
        .suffix(".hdf5")
        .tempfile();
    match made {
        Ok(file) => Ok(file.into_temp_path()),
        Err(error) => Err(unwritable(of, error.to_string())),
    }
}

pub(super) fn unwritable(of: &Path, cause: String) -> FileError {
    FileError::Unwritable {
        file: std::env::temp_dir(),
        place: format!("a copy of {}", of.display()),
        cause,
    }
}
