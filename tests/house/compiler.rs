//! The compiler without Cargo, on the library that these tests are linked with: so an outside crate is compiled in a second, and
//! nothing that it depends on is compiled again.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::SystemTime;

use crate::ROOT;

/// Compiles a crate's first file, with nothing but yarak at hand.
pub fn rustc(source: &Path) -> Command {
    let library = library();
    let mut yarak = OsString::from("yarak=");
    yarak.push(&library);
    let mut dependencies = OsString::from("dependency=");
    dependencies.push(library.parent().unwrap());
    let mut command = Command::new("rustc");
    command
        .args(["--edition", "2024", "-D", "warnings"])
        .arg(source)
        .arg("--extern")
        .arg(yarak)
        .arg("-L")
        .arg(dependencies)
        .current_dir(ROOT);
    command
}

/// Demands success.
#[track_caller]
pub fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}:\n{said}");
    output
}

/// The newest build of the library next to this program.
fn library() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let built = |path: &Path| -> SystemTime { fs::metadata(path).unwrap().modified().unwrap() };
    let entries = fs::read_dir(tests.parent().unwrap()).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let libraries = paths.filter(|path| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap();
        name.starts_with("libyarak-") && name.ends_with(".rlib")
    });
    libraries.max_by_key(|path| built(path)).unwrap()
}
