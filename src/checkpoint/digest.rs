//! SHA-256 sums of what is written and read.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A file's length and sum.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sum {
    /// Its length in bytes.
    pub bytes: u64,
    /// Its SHA-256 in lower-case hexadecimal.
    pub sha256: String,
}

/// Passes bytes on and sums them on the way.
pub(super) struct Summing<W> {
    inner: W,
    hasher: Sha256,
    bytes: u64,
}

impl<W> Summing<W> {
    pub fn new(inner: W) -> Self {
        Self {
            inner,
            hasher: Sha256::new(),
            bytes: 0,
        }
    }

    /// The sum of everything that went through.
    pub fn sum(self) -> Sum {
        let mut sha256 = String::with_capacity(64);
        for byte in self.hasher.finalize() {
            // Writing into a string cannot fail.
            let _ = write!(sha256, "{byte:02x}");
        }
        Sum {
            bytes: self.bytes,
            sha256,
        }
    }
}

impl<W: Write> Write for Summing<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(buffer)?;
        self.hasher.update(&buffer[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// The sum of a regular file, read in pieces.
///
/// Of a file that grows or has no end no more than `limit` bytes are read, which then shows in the sum's length.
pub(super) fn sum_of_file(path: &Path, limit: u64) -> io::Result<Sum> {
    sum_of(open_regular(path)?, limit)
}

/// The same of an opened one.
pub(super) fn sum_of(file: File, limit: u64) -> io::Result<Sum> {
    let mut file = file.take(limit);
    let mut summing = Summing::new(io::sink());
    let mut buffer = vec![0_u8; 1 << 16];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(summing.sum()),
            Ok(length) => summing.write_all(&buffer[..length])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Opens a file that has an end: a named pipe would wait for ever, and a device could give bytes for ever. Links are followed: for
/// files of the user's own choosing.
pub(super) fn open_regular(path: &Path) -> io::Result<File> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "not a regular file",
        ));
    }
    File::open(path)
}

/// The sum of a text.
pub(super) fn sum_of_text(text: &str) -> String {
    let mut summing = Summing::new(io::sink());
    // A sink takes everything.
    let _ = summing.write_all(text.as_bytes());
    summing.sum().sha256
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_is_the_one_that_sha256sum_prints() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("abc");
        std::fs::write(&path, "abc").unwrap();
        let sum = sum_of_file(&path, u64::MAX).unwrap();
        assert_eq!(
            sum.sha256,
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(sum.bytes, 3);

        let mut summing = Summing::new(Vec::new());
        summing.write_all(b"a").unwrap();
        summing.write_all(b"bc").unwrap();
        assert_eq!(summing.inner, b"abc");
        assert_eq!(summing.sum(), sum);
    }

    #[test]
    fn what_is_not_a_regular_file_is_not_opened() {
        let folder = tempfile::tempdir().unwrap();
        assert!(sum_of_file(folder.path(), 10).is_err());
        #[cfg(unix)]
        assert!(sum_of_file(Path::new("/dev/zero"), 10).is_err());
    }
}
