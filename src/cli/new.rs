//! `yarak new`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bevy_app::AppExit;
use clap::Args;

use super::error::CliError;
use super::print;

/// Begin a project with an algorithm of your own.
///
/// Writes a folder with a program, an algorithm, its tests and a scene, which build and run as they are. What there is is never
/// replaced.
#[derive(Args)]
pub struct New {
    /// The folder to make; its last part is the project's name
    #[arg(value_name = "NAME")]
    folder: PathBuf,
    /// The folder with yarak's sources, if not the one that this program was built from
    #[arg(long, value_name = "FOLDER")]
    yarak: Option<PathBuf>,
}

/// Where the files of `assets/new_project/` go. A manifest or a list of ignored files would have an effect there under its own name.
const FILES: [(&str, &str); 6] = [
    (
        "Cargo.toml",
        include_str!("../../assets/new_project/manifest.toml"),
    ),
    (
        ".gitignore",
        include_str!("../../assets/new_project/gitignore"),
    ),
    (
        "README.md",
        include_str!("../../assets/new_project/README.md"),
    ),
    (
        "src/main.rs",
        include_str!("../../assets/new_project/src/main.rs"),
    ),
    (
        "src/gentle_td3.rs",
        include_str!("../../assets/new_project/src/gentle_td3.rs"),
    ),
    (
        "scenes/pendulum.ron",
        include_str!("../../assets/new_project/scenes/pendulum.ron"),
    ),
];

/// The versions that yarak itself is built and tested with.
const LOCK: &str = include_str!("../../Cargo.lock");

/// The keywords of Rust 2024 and the names that Cargo or the compiler keeps for itself: no crate can have them.
const RESERVED: &str = "abstract alloc as async await become box break build const continue core crate deps do dyn else enum \
    examples extern false final fn for gen if impl in incremental let loop macro match mod move mut override priv proc_macro pub \
    ref return self Self static std struct super test trait true try type typeof unsized use virtual where while yield unsafe";

impl New {
    /// Writes the project.
    pub fn run(&self) -> Result<AppExit, CliError> {
        let folder = self.folder.display();
        let name = self.name()?;
        let yarak = self.sources()?;
        fs::create_dir(&self.folder).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => CliError::input(format!(
                "{folder}: there is something already, and nothing was written; choose another name"
            )),
            _ => CliError::input(format!("{folder}: the folder cannot be made: {error}")),
        })?;
        write_into(&self.folder, name, &yarak).map_err(|error| {
            // A project in pieces helps nobody; the folder was made above and has nothing of anybody else's.
            let _ = fs::remove_dir_all(&self.folder);
            CliError::failed(format!("{folder}: the project cannot be written: {error}"))
        })?;
        print(&format!(
            "{folder}: a project with an algorithm of its own, in src/gentle_td3.rs. Next:\n\n  \
             cd {folder}\n  cargo test --release\n  cargo run --release -- train scenes/pendulum.ron\n\n\
             The first of these compiles Burn, which takes some minutes once."
        ))?;
        Ok(AppExit::Success)
    }

    /// The project's name, which is also a crate's.
    fn name(&self) -> Result<&str, CliError> {
        let name = self.folder.file_name().and_then(|name| name.to_str());
        let name = name.unwrap_or_default();
        let is_of_a_name = |it: char| it.is_ascii_alphanumeric() || "-_".contains(it);
        if !name.starts_with(|it: char| it.is_ascii_alphabetic()) || !name.chars().all(is_of_a_name)
        {
            return Err(CliError::input(format!(
                "{}: the last part names a crate: it needs a letter, then letters, digits, `-` and `_`",
                self.folder.display()
            )));
        }
        if RESERVED.split_whitespace().any(|word| word == name) {
            return Err(CliError::input(format!(
                "`{name}` means something to Rust or Cargo; choose another name"
            )));
        }
        if packages().any(|package| name_of(package) == name) {
            return Err(CliError::input(format!(
                "`{name}` is the name of a crate that yarak is or is made of; choose another"
            )));
        }
        Ok(name)
    }

    /// The whole path of yarak's sources.
    fn sources(&self) -> Result<String, CliError> {
        let built_from = || Path::new(env!("CARGO_MANIFEST_DIR")).to_owned();
        let folder = self.yarak.clone().unwrap_or_else(built_from);
        let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap_or_default();
        if !manifest.contains("name = \"yarak\"") {
            return Err(CliError::input(format!(
                "{}: there are no sources of yarak; name their folder with --yarak FOLDER",
                folder.display()
            )));
        }
        let whole = fs::canonicalize(&folder).unwrap_or(folder);
        let whole = whole.to_str().map(str::to_owned);
        whole.ok_or_else(|| CliError::input("the path of yarak's sources is not UTF-8; move them"))
    }
}

fn write_into(folder: &Path, name: &str, yarak: &str) -> io::Result<()> {
    // JSON's strings are TOML's.
    let quoted = serde_json::Value::from(yarak).to_string();
    for (file, text) in FILES {
        let text = text
            .replace("YARAK_FOLDER", yarak)
            .replace("YARAK", &quoted)
            .replace("PROJECT", name);
        write_file(&folder.join(file), &text)?;
    }
    write_file(&folder.join("Cargo.lock"), &lock(name))
}

fn write_file(path: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, text)
}

/// The packages of yarak's lock file, each a text from its name on.
fn packages() -> impl Iterator<Item = &'static str> {
    LOCK.split("[[package]]\n").skip(1)
}

/// The name of a package in a lock file.
fn name_of(package: &str) -> &str {
    package.split('"').nth(1).unwrap_or_default()
}

/// A lock file with the versions of yarak's own, for a project that depends on yarak alone.
fn lock(name: &str) -> String {
    let (head, _) = LOCK.split_once("[[package]]").unwrap_or((LOCK, ""));
    let mut all: Vec<String> = packages().map(|it| it.trim_end().to_owned()).collect();
    let own = format!("name = \"{name}\"\nversion = \"0.1.0\"\ndependencies = [\n \"yarak\",\n]");
    let place = all.partition_point(|package| name_of(package) < name);
    all.insert(place, own);
    format!("{head}[[package]]\n{}\n", all.join("\n\n[[package]]\n"))
}
