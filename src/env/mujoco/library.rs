//! Where MuJoCo's library is looked for: `MUJOCO_LIB`, Python's package, the system.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use super::binding::Engine;
use super::error::{LoadError, MujocoError, Tried};
use super::version::Version;
use crate::env::python::{Script, interpreter};

/// The library, which is looked for once a process and stays loaded.
pub(super) fn engine() -> Result<Arc<Engine>, MujocoError> {
    static ENGINE: OnceLock<Result<Arc<Engine>, MujocoError>> = OnceLock::new();
    ENGINE
        .get_or_init(|| find(&Surroundings::of_this_process()).map(Arc::new))
        .clone()
}

/// The version of the library that this process computes with.
///
/// # Errors
/// [`MujocoError::NoLibrary`], with every place that was tried.
pub fn version() -> Result<Version, MujocoError> {
    engine().map(|engine| engine.version())
}

/// What the search depends on.
struct Surroundings {
    /// `MUJOCO_LIB`: a file, or a folder with the library in it.
    named: Option<PathBuf>,
    /// The interpreter whose packages are looked through.
    python: String,
    /// The names that the system's loader is asked for.
    system: Vec<PathBuf>,
    /// Folders that installations are often put into.
    folders: Vec<PathBuf>,
}

impl Surroundings {
    fn of_this_process() -> Self {
        let variable = |name| env::var_os(name).filter(|value| !value.is_empty());
        // Of what is only likely to be there, nothing is looked for in the working directory.
        let folder = |name| variable(name).filter(|value| Path::new(value).is_absolute());
        let mut folders = Vec::new();
        if let Some(conda) = folder("CONDA_PREFIX") {
            folders.push(Path::new(&conda).join("lib"));
        }
        // MuJoCo's own releases say to unpack them there.
        if let Some(home) = folder("HOME") {
            let mut releases: Vec<PathBuf> = entries(&Path::new(&home).join(".mujoco"));
            releases.sort();
            folders.extend(
                releases
                    .into_iter()
                    .rev()
                    .map(|release| release.join("lib")),
            );
        }
        Surroundings {
            named: variable("MUJOCO_LIB").map(PathBuf::from),
            python: interpreter(),
            system: vec![libloading::library_filename("mujoco").into()],
            folders,
        }
    }
}

fn find(surroundings: &Surroundings) -> Result<Engine, MujocoError> {
    let mut tried = Vec::new();
    let missing = |why: String| LoadError::NotThere { why };
    let mut note = |place: String, error| tried.push(Tried { place, error });
    'search: {
        if let Some(named) = &surroundings.named {
            let files = match named.is_dir() {
                true => libraries_in(named),
                false => vec![named.clone()],
            };
            for file in &files {
                match Engine::load(file) {
                    Ok(engine) => return Ok(engine),
                    Err(error) => note(format!("MUJOCO_LIB={}", file.display()), error),
                }
            }
            if files.is_empty() {
                let why = "there is no library of MuJoCo in this folder".to_owned();
                note(format!("MUJOCO_LIB={}", named.display()), missing(why));
            }
            // Whoever names a library wants that one and no other.
            break 'search;
        }
        note("MUJOCO_LIB".to_owned(), missing("not set".to_owned()));
        let asked = format!("{}, package `mujoco`", surroundings.python);
        match python_package(&surroundings.python) {
            Err(why) => note(asked, missing(why)),
            Ok(folder) => {
                let files = libraries_in(&folder);
                for file in &files {
                    match Engine::load(file) {
                        Ok(engine) => return Ok(engine),
                        Err(error) => note(file.display().to_string(), error),
                    }
                }
                if files.is_empty() {
                    let why = format!("no library in {}", folder.display());
                    note(asked, missing(why));
                }
            }
        }
        let in_folders = surroundings.folders.iter().flat_map(|it| libraries_in(it));
        for file in surroundings.system.iter().cloned().chain(in_folders) {
            match Engine::load(&file) {
                Ok(engine) => return Ok(engine),
                Err(error) => note(file.display().to_string(), error),
            }
        }
    }
    Err(MujocoError::NoLibrary {
        tried,
        install: format!("{} -m pip install mujoco", surroundings.python),
    })
}

/// The folder of Python's package. It is found and not imported, which would take a second.
fn python_package(python: &str) -> Result<PathBuf, String> {
    const FIND: &str = "import importlib.util as u; s = u.find_spec('mujoco'); print(next(iter(s.submodule_search_locations)) if s else '')";
    let script = Script::new(FIND).map_err(|error| format!("no script can be written: {error}"))?;
    let output = script
        .command(python)
        .output()
        .map_err(|error| format!("the interpreter does not run: {error}"))?;
    let told = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        let last = complaint.trim().lines().next_back().unwrap_or_default();
        return Err(format!("the interpreter failed: {last}"));
    }
    if told.is_empty() {
        return Err("not installed".to_owned());
    }
    let folder = PathBuf::from(told);
    // One that the user's own path leads to from the working directory would be another one elsewhere.
    match folder.is_absolute() {
        true => Ok(folder),
        false => Err(format!("{} is no absolute path", folder.display())),
    }
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

/// `libmujoco.so`, `libmujoco.so.3.3.7`, `libmujoco.3.3.7.dylib`, `mujoco.dll`.
fn libraries_in(folder: &Path) -> Vec<PathBuf> {
    let is_library = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let rest = name.strip_prefix("libmujoco.");
        rest.is_some_and(|rest| rest.starts_with("so") || rest.ends_with("dylib"))
            || name.eq_ignore_ascii_case("mujoco.dll")
    };
    let mut found: Vec<PathBuf> = entries(folder).into_iter().filter(is_library).collect();
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nowhere() -> Surroundings {
        Surroundings {
            named: None,
            python: "no-such-python".to_owned(),
            system: vec!["libno_such_mujoco.so".into()],
            folders: vec!["/no/such/folder".into()],
        }
    }

    fn told(surroundings: &Surroundings) -> String {
        find(surroundings).err().unwrap().to_string()
    }

    #[test]
    fn a_search_that_fails_lists_every_place_and_the_command_that_helps() {
        let folder = tempfile::tempdir().unwrap();
        let broken = folder.path().join("libmujoco.so.3.9.9");
        fs::write(&broken, "no library").unwrap();
        fs::write(folder.path().join("libmujoco_other.so"), "").unwrap();
        let told = told(&Surroundings {
            folders: vec!["/no/such/folder".into(), folder.path().into()],
            ..nowhere()
        });
        for word in [
            "MUJOCO_LIB: not set",
            "no-such-python, package `mujoco`: the interpreter does not run",
            "libno_such_mujoco.so: it does not load",
            &format!("{}: it does not load", broken.display()),
            "`no-such-python -m pip install mujoco`",
        ] {
            assert!(told.contains(word), "{word}\n{told}");
        }
        assert!(!told.contains("libmujoco_other"), "{told}");
    }

    #[test]
    fn a_library_that_is_named_is_the_only_one_tried() {
        let folder = tempfile::tempdir().unwrap();
        for named in [folder.path().to_owned(), folder.path().join("none.so")] {
            let told = told(&Surroundings {
                named: Some(named.clone()),
                ..nowhere()
            });
            let place = format!("MUJOCO_LIB={}: ", named.display());
            assert!(told.contains(&place), "{told}");
            assert!(!told.contains("no-such-python, package"), "{told}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn another_library_is_refused_for_its_missing_functions() {
        let error = Engine::load(Path::new("libc.so.6")).err().unwrap();
        assert!(error.to_string().contains("mj_versionString"), "{error}");
    }
}
