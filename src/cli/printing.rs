//! Results on standard output.

use std::io::{self, ErrorKind, Write};

use super::error::CliError;
use crate::terminal::shown;

/// Writes a result to standard output.
///
/// # Errors
/// It could not be written, as on a full disk. A reader that has closed the pipe had enough, which is no error.
pub fn print(text: &str) -> Result<(), CliError> {
    let text = text.trim_end_matches('\n');
    written(write(&mut io::stdout().lock(), &shown(text)))
}

fn write(out: &mut impl Write, text: &str) -> io::Result<()> {
    out.write_all(format!("{text}\n").as_bytes())?;
    out.flush()
}

/// What has become of a result.
///
/// # Errors
/// As [`print`].
pub fn written(done: io::Result<()>) -> Result<(), CliError> {
    match done {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(CliError::failed(format!(
            "the result could not be written to standard output: {error}"
        ))),
        _ => Ok(()),
    }
}
