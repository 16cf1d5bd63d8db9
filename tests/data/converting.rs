//! Files to convert, converting them, and opening what came of it.

use std::path::{Path, PathBuf};

use yarak::data::convert::{Converted, Target, convert};
use yarak::data::{DatasetFile, Reading, Transitions};

pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name)
}

pub fn open(path: &Path) -> DatasetFile {
    DatasetFile::open(path, &Reading::default()).unwrap()
}

pub fn converted(from: &Path, to: &Path, target: Target) -> Converted {
    convert(&open(from), to, target, None, false).unwrap()
}

pub fn read(path: &Path) -> Transitions {
    open(path).read().unwrap()
}
