//! What `--resume` promises, for every kind of folder that it can meet.

use super::super::CheckpointWriter;
use super::super::step_folder::pointed;
use super::*;

const SCENE_TEXT: &str = "Scene(steps: 10, seed: 0)";

/// Lines that differ, as the scene's own comparison would give them; what is no scene cannot be read.
fn differences(former: &str) -> Result<Vec<String>, String> {
    if !former.starts_with("Scene(") {
        return Err("expected `Scene` at 1:1".to_owned());
    }
    Ok(if former.contains("seed: 0") {
        vec![]
    } else {
        vec!["seed: 1 -> 0".to_owned()]
    })
}

fn open(path: &Path, resume: &str) -> Result<Opened, RunFolderError> {
    RunFolder::open(path, &resume.parse().unwrap(), SCENE_TEXT, differences)
}

/// A run that has saved at these steps and ended.
fn ended_run(path: &Path, steps: &[u64]) {
    let run = open(path, "never").unwrap();
    let writer = CheckpointWriter::start(run.folder.checkpoints(), 9).unwrap();
    for &step in steps {
        writer.save(Snapshot::new(step), step == 20).unwrap();
    }
    writer.finish().unwrap();
}

fn resumed_step(opened: &Opened) -> Option<u64> {
    match &opened.start {
        Start::Fresh => None,
        Start::Resumed { snapshot, .. } => Some(snapshot.step),
    }
}

fn all_files(path: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(path).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(all_files(&path));
        } else if path.file_name().unwrap() != LOCK {
            files.push((path.clone(), fs::read(path).unwrap()));
        }
    }
    files.sort();
    files
}

#[test]
fn a_new_or_empty_folder_starts_fresh_and_gets_the_scene() {
    let root = tempfile::tempdir().unwrap();
    for resume in ["never", "auto"] {
        for path in [
            root.path().join(resume).join("new"),
            root.path().join(resume),
        ] {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            let path = if path.ends_with("new") {
                path
            } else {
                tempfile::tempdir_in(root.path()).unwrap().keep()
            };
            let opened = open(&path, resume).unwrap();
            assert_eq!(resumed_step(&opened), None);
            assert_eq!(
                fs::read_to_string(opened.folder.scene()).unwrap(),
                SCENE_TEXT
            );
        }
    }
}

#[test]
fn never_refuses_a_folder_with_anything_in_it_and_changes_nothing() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("notes.txt"), "mine").unwrap();
    let before = all_files(root.path());
    let error = open(root.path(), "never").unwrap_err();
    assert!(matches!(error, RunFolderError::NotEmpty { .. }) && error.is_users_mistake());
    assert_eq!(all_files(root.path()), before);
    assert!(!root.path().join(LOCK).exists());

    let run = root.path().join("run");
    ended_run(&run, &[10]);
    assert!(matches!(
        open(&run, "never"),
        Err(RunFolderError::NotEmpty { .. })
    ));
}

#[test]
fn a_start_that_failed_before_the_scene_was_written_does_not_block_the_next() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join(LOCK), "process 1").unwrap();
    fs::write(root.path().join(".writing-1-scene.ron"), "Sce").unwrap();
    assert_eq!(resumed_step(&open(root.path(), "never").unwrap()), None);
}

#[test]
fn a_run_that_reached_nothing_does_not_block_the_next() {
    let root = tempfile::tempdir().unwrap();
    let at = |name: &str| root.path().join(name);
    let begin = || {
        fs::write(at("scene.ron"), "Scene(wrong: 1)").unwrap();
        fs::write(at("manifest.ron"), "()").unwrap();
        fs::write(at("metrics.jsonl"), "").unwrap();
        fs::write(at("log.txt"), "failed").unwrap();
        fs::write(at("events.out.tfevents.1.here.2"), "header").unwrap();
        fs::create_dir_all(at(CHECKPOINTS)).unwrap();
        fs::write(at(CHECKPOINTS).join(LOCK), "process 1").unwrap();
    };
    begin();
    let opened = open(root.path(), "never").unwrap();
    assert_eq!(resumed_step(&opened), None);
    assert_eq!(
        fs::read_to_string(opened.folder.scene()).unwrap(),
        SCENE_TEXT
    );
    // While it runs, nobody else may begin.
    assert!(open(root.path(), "never").is_err());
    drop(opened);
    // A report, a checkpoint, or something of somebody else's is not nothing.
    for (name, text) in [
        ("metrics.jsonl", "{}"),
        ("checkpoints/step_000000001", ""),
        ("notes.txt", "mine"),
        ("report.html", ""),
    ] {
        begin();
        fs::write(at(name), text).unwrap();
        let refused = open(root.path(), "never").unwrap_err();
        assert!(matches!(refused, RunFolderError::NotEmpty { .. }), "{name}");
        fs::remove_file(at(name)).unwrap();
    }
}

#[test]
fn auto_goes_on_from_the_latest_good_checkpoint_and_reports_the_broken() {
    let root = tempfile::tempdir().unwrap();
    let run = root.path().join("run");
    ended_run(&run, &[10, 20, 30]);
    assert_eq!(resumed_step(&open(&run, "auto").unwrap()), Some(30));
    fs::remove_file(run.join("checkpoints/step_000000030/state.ron")).unwrap();
    let opened = open(&run, "auto").unwrap();
    assert_eq!(resumed_step(&opened), Some(20));
    assert_eq!(opened.skipped.len(), 1);
    drop(opened);
    for step in [10, 20] {
        fs::remove_file(
            run.join(CHECKPOINTS)
                .join(step_folder_name(step))
                .join("checksums.ron"),
        )
        .unwrap();
    }
    let opened = open(&run, "auto").unwrap();
    assert_eq!((resumed_step(&opened), opened.skipped.len()), (None, 3));
}

#[test]
fn auto_and_from_refuse_a_folder_that_is_not_a_runs_and_change_nothing() {
    let root = tempfile::tempdir().unwrap();
    let home = root.path().join("home");
    fs::create_dir_all(home.join("checkpoints")).unwrap();
    fs::write(home.join("thesis.tex"), "mine").unwrap();
    for resume in ["auto", "latest"] {
        let error = open(&home, resume).unwrap_err();
        assert!(
            error.to_string().contains("thesis.tex") && error.is_users_mistake(),
            "{error}"
        );
    }
    assert_eq!(all_files(root.path()).len(), 1);
    assert!(!home.join(LOCK).exists());
}

#[test]
fn a_path_to_a_file_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("file");
    fs::write(&file, "mine").unwrap();
    for path in [file.clone(), file.join("below")] {
        for resume in ["never", "auto"] {
            let error = open(&path, resume).unwrap_err();
            assert!(
                matches!(error, RunFolderError::NotAFolder { .. }),
                "{error}"
            );
        }
    }
}

#[test]
fn a_changed_scene_is_refused_with_its_differences_and_stays() {
    let root = tempfile::tempdir().unwrap();
    let run = root.path().join("run");
    ended_run(&run, &[10]);
    for (former, part) in [
        ("Scene(seed: 1)", "seed: 1 -> 0"),
        ("garbage", "expected `Scene` at 1:1"),
    ] {
        fs::write(run.join(SCENE), former).unwrap();
        for resume in ["auto", "latest"] {
            let error = open(&run, resume).unwrap_err();
            assert!(
                error.to_string().contains(part) && error.is_users_mistake(),
                "{error}"
            );
        }
        assert_eq!(fs::read_to_string(run.join(SCENE)).unwrap(), former);
    }
    fs::write(run.join(SCENE), "Scene(steps: 5, seed: 0)").unwrap();
    assert_eq!(resumed_step(&open(&run, "auto").unwrap()), Some(10));
    assert_eq!(fs::read_to_string(run.join(SCENE)).unwrap(), SCENE_TEXT);
}

#[test]
fn a_checkpoint_is_found_by_name_pointer_or_path() {
    let root = tempfile::tempdir().unwrap();
    let run = root.path().join("run");
    ended_run(&run, &[10, 20, 30]);
    let absolute = run.join("checkpoints/step_000000010");
    let pointer = run.join("checkpoints/latest");
    for (resume, step) in [
        ("latest", 30),
        ("best", 20),
        (pointer.to_str().unwrap(), 20),
        ("step_000000010", 10),
        (absolute.to_str().unwrap(), 10),
    ] {
        assert_eq!(
            resumed_step(&open(&run, resume).unwrap()),
            Some(step),
            "{resume}"
        );
    }
}

#[test]
fn a_run_taken_back_stays_there_for_the_next_auto() {
    let root = tempfile::tempdir().unwrap();
    let run = root.path().join("run");
    ended_run(&run, &[10, 20, 30]);
    drop(open(&run, "step_000000010").unwrap());
    assert_eq!(
        pointed(&run.join(CHECKPOINTS), LATEST).unwrap().unwrap(),
        "step_000000010"
    );
    assert_eq!(resumed_step(&open(&run, "auto").unwrap()), Some(10));
}

#[test]
fn another_runs_checkpoint_goes_on_in_an_empty_folder_only() {
    let root = tempfile::tempdir().unwrap();
    let (first, second) = (root.path().join("first"), root.path().join("second"));
    ended_run(&first, &[10]);
    let checkpoint = first.join("checkpoints/step_000000010");
    let before = all_files(&first);

    let opened = open(&second, checkpoint.to_str().unwrap()).unwrap();
    assert_eq!(resumed_step(&opened), Some(10));
    assert!(opened.folder.scene().exists());
    drop(opened);
    let error = open(&second, checkpoint.to_str().unwrap()).unwrap_err();
    assert!(
        matches!(error, RunFolderError::HoldsAnotherRun { .. }) && error.is_users_mistake(),
        "{error}"
    );
    assert_eq!(all_files(&first), before);

    fs::write(first.join(SCENE), "Scene(seed: 1)").unwrap();
    let error = open(&root.path().join("third"), checkpoint.to_str().unwrap()).unwrap_err();
    assert!(
        matches!(error, RunFolderError::SceneChanged { .. }),
        "{error}"
    );
    assert!(!root.path().join("third").exists());
}

#[test]
fn an_unknown_or_damaged_checkpoint_is_the_users_mistake() {
    let root = tempfile::tempdir().unwrap();
    let run = root.path().join("run");
    ended_run(&run, &[10, 20]);
    let error = open(&run, "step_000000015").unwrap_err();
    let message = error.to_string();
    assert!(
        error.is_users_mistake() && message.contains("step_000000020, step_000000010"),
        "{message}"
    );
    let error = open(&root.path().join("new"), "latest").unwrap_err();
    assert!(
        error.to_string().contains("--resume never") && !root.path().join("new").exists(),
        "{error}"
    );

    fs::write(run.join("checkpoints/step_000000010/state.ron"), "x").unwrap();
    let error = open(&run, "step_000000010").unwrap_err();
    assert!(
        matches!(
            error,
            RunFolderError::Checkpoint(CheckpointError::Damaged { .. })
        ),
        "{error}"
    );
    assert!(error.is_users_mistake());
}

#[test]
fn two_processes_cannot_train_into_one_folder() {
    let root = tempfile::tempdir().unwrap();
    let first = open(root.path(), "never").unwrap();
    let error = open(root.path(), "auto").unwrap_err();
    assert!(
        matches!(error, RunFolderError::InUse { .. }) && error.is_users_mistake(),
        "{error}"
    );
    assert!(
        error
            .to_string()
            .contains(&format!("process {}", std::process::id())),
        "{error}"
    );
    drop(first);
    open(root.path(), "auto").unwrap();
}

#[cfg(unix)]
#[test]
fn a_disk_that_does_not_answer_is_not_taken_for_an_empty_one() {
    let root = tempfile::tempdir().unwrap();
    let run = root.path().join("run");
    ended_run(&run, &[10]);
    // A loop of links is an error of the file system that no right to read overrides.
    let state = run.join("checkpoints/step_000000010/state.ron");
    fs::remove_file(&state).unwrap();
    std::os::unix::fs::symlink(&state, &state).unwrap();
    let error = open(&run, "auto").unwrap_err();
    assert!(
        matches!(
            error,
            RunFolderError::Checkpoint(CheckpointError::Io { .. })
        ),
        "{error}"
    );
    assert!(!error.is_users_mistake());
}
