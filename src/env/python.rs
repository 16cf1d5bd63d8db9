//! Python, started so that nothing of the working directory is imported unasked.
//!
//! `python -c` and `python -m` put the working directory in front of Python's path, so that a file that happens to lie there, such as
//! `json.py`, runs in place of Python's own. A script in a file puts its own folder there, and ours lies in a folder that nobody else
//! writes to. The switches made for this take more than that away: `-I` takes `PYTHONPATH`, `PYTHONHASHSEED` and the packages of the
//! user's own folder as well, and `-P` is unknown before Python 3.11. What the user's environment says holds; an empty entry of
//! `PYTHONPATH`, which means the working directory, is mostly an accident (`PYTHONPATH=$PYTHONPATH:/opt`), and is left out.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// The interpreter: the one that `YARAK_PYTHON` names, else `python3`.
pub(super) fn interpreter() -> String {
    let named = env::var("YARAK_PYTHON").ok();
    named
        .filter(|named| !named.is_empty())
        .unwrap_or_else(|| "python3".to_owned())
}

/// A script in a folder of its own, which goes when this is dropped.
pub(super) struct Script {
    folder: TempDir,
}

impl Script {
    const NAME: &str = "yarak_script.py";

    /// Writes the script.
    pub(super) fn new(text: &str) -> io::Result<Self> {
        // Nobody else may look into it.
        let folder = tempfile::Builder::new().prefix("yarak").tempdir()?;
        fs::write(folder.path().join(Self::NAME), text)?;
        Ok(Script { folder })
    }

    /// The folder, for what else the two have to do with each other.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The interpreter with the script as its first argument, and nothing to read.
    pub(super) fn command(&self, python: &str) -> Command {
        let mut command = Command::new(python);
        command
            .arg("-u")
            .arg(self.folder().join(Self::NAME))
            .stdin(Stdio::null());
        if let Some(path) = env::var_os("PYTHONPATH") {
            match without_empty(&path) {
                Some(path) => command.env("PYTHONPATH", path),
                None => command.env_remove("PYTHONPATH"),
            };
        }
        command
    }
}

/// A list of folders without the empty ones; `None` where no other is in it.
fn without_empty(list: &OsStr) -> Option<OsString> {
    let folders = env::split_paths(list).filter(|it| !it.as_os_str().is_empty());
    let folders = env::join_paths(folders).unwrap_or_default();
    (!folders.is_empty()).then_some(folders)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn an_empty_entry_of_the_path_is_no_folder() {
        for (list, kept) in [
            (":/opt", Some("/opt")),
            ("/a::/b:", Some("/a:/b")),
            (".:src", Some(".:src")),
            (":", None),
        ] {
            let found = without_empty(OsStr::new(list));
            assert_eq!(found.as_deref(), kept.map(OsStr::new), "{list}");
        }
    }
}
