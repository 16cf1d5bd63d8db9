//! `yarak new`: what it writes is built and run as it is, and replaces nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::ROOT;
use crate::compiler::{run, rustc};

// The project's tests, word for word.
#[path = "../../assets/new_project/src/gentle_td3.rs"]
mod gentle_td3;

fn yarak() -> Command {
    Command::new(env!("CARGO_BIN_EXE_yarak"))
}

/// A new project in a folder of its own.
fn project() -> (tempfile::TempDir, PathBuf) {
    let room = tempfile::tempdir().unwrap();
    run(yarak().args(["new", "my-idea"]).current_dir(&room));
    let project = room.path().join("my-idea");
    (room, project)
}

#[test]
fn a_new_project_is_compiled_and_trains_its_scene() {
    let (_room, project) = project();
    let program = project.join("my-idea.exe");
    run(rustc(&project.join("src/main.rs"))
        .args(["--crate-name", "my_idea", "-o"])
        .arg(&program));
    run(Command::new(&program)
        .args(["train", "scenes/pendulum.ron", "--steps", "40"])
        .args([
            "--set",
            "GentleTd3.td3.off_policy.learning_starts=20",
            "--set",
            "Evaluation.episodes=1",
        ])
        .current_dir(&project));
    let metrics = fs::read_to_string(project.join("runs/pendulum/metrics.jsonl")).unwrap();
    assert!(metrics.contains("\"actor/effort\""), "{metrics}");
}

#[test]
fn a_new_projects_lock_file_is_complete_and_has_yaraks_versions() {
    let (_room, project) = project();
    let cargo = std::env::var_os("CARGO").unwrap_or("cargo".into());
    let tree = |folder: &Path, edges: &str| {
        let mut command = Command::new(&cargo);
        command
            .args([
                "tree",
                "--locked",
                "--offline",
                "--prefix",
                "none",
                "--edges",
                edges,
            ])
            .args(["--package", "yarak", "--format", "{p} {f}"])
            .current_dir(folder);
        let told = String::from_utf8(run(&mut command).stdout).unwrap();
        let mut packages: Vec<String> = told.lines().map(|line| line.replace(" (*)", "")).collect();
        packages.sort();
        packages.dedup();
        packages
    };
    assert_eq!(
        tree(&project, "normal,build"),
        tree(Path::new(ROOT), "normal,build")
    );
}

#[test]
fn a_new_project_is_built_as_yarak_is() {
    let (_room, project) = project();
    let read = |path: PathBuf| fs::read_to_string(path).unwrap();
    let ours = read(Path::new(ROOT).join("Cargo.toml"));
    let theirs = read(project.join("Cargo.toml"));
    let profile = |manifest: &str| {
        manifest
            .split_once("[profile.release]")
            .unwrap()
            .1
            .to_owned()
    };
    assert_eq!(profile(&ours), profile(&theirs));
    let version = |manifest: &str| {
        let mut lines = manifest.lines();
        lines
            .find(|line| line.starts_with("rust-version"))
            .unwrap()
            .to_owned()
    };
    assert_eq!(version(&ours), version(&theirs));
    assert!(theirs.contains("name = \"my-idea\""), "{theirs}");
}

#[test]
fn a_new_project_replaces_nothing_and_has_a_name_that_cargo_takes() {
    let (room, project) = project();
    fs::write(project.join("src/main.rs"), "a thesis").unwrap();
    for (arguments, word) in [
        (["new", "my-idea"].as_slice(), "there is something already"),
        (&["new", "no/such/folder"], "cannot be made"),
        (&["new", "1st"], "names a crate"),
        (&["new", "an idea"], "names a crate"),
        (&["new", ".."], "names a crate"),
        (&["new", "match"], "choose another name"),
        (&["new", "burn"], "the name of a crate"),
        (&["new", "yarak"], "the name of a crate"),
        (&["new", "other", "--yarak", "my-idea"], "--yarak FOLDER"),
    ] {
        let refused = yarak().args(arguments).current_dir(&room).output().unwrap();
        let said = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains(word), "{arguments:?}: {said}");
    }
    assert_eq!(
        fs::read_to_string(project.join("src/main.rs")).unwrap(),
        "a thesis"
    );
    assert_eq!(fs::read_dir(&room).unwrap().count(), 1);
}
