//! What `--resume` promises, for every kind of folder that it can meet.

use super::super::CheckpointWriter;
use super::super::prune::crash_tests::FailingDisk;
use super::super::search::mend_best;
use super::super::step_folder::{BEST, pointed};
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
    // Nothing is started over that was ever saved, and nothing is touched.
    fs::write(run.join(METRICS), "{\"step\": 10}\n{\"step\": 30}\n{\"st").unwrap();
    let before = all_files(&run);
    let error = open(&run, "auto").unwrap_err();
    assert!(error.is_users_mistake());
    let said = error.to_string();
    for part in [
        "the 30 steps",
        "step_000000010",
        "checksums.ron",
        "--resume restart",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert_eq!(all_files(&run), before);
}

#[test]
fn a_run_whose_checkpoints_are_gone_is_not_started_over_unless_it_is_said() {
    for lost in ["the folder", "all in it", "the pointers' steps"] {
        let root = tempfile::tempdir().unwrap();
        let run = root.path().join("run");
        ended_run(&run, &[10, 20, 30]);
        fs::write(run.join(METRICS), "{\"step\": 30}\n").unwrap();
        let checkpoints = run.join(CHECKPOINTS);
        match lost {
            "the folder" => fs::remove_dir_all(&checkpoints).unwrap(),
            _ => {
                for step in [10, 20, 30] {
                    fs::remove_dir_all(checkpoints.join(step_folder_name(step))).unwrap();
                }
                if lost == "all in it" {
                    fs::remove_file(checkpoints.join(LATEST)).unwrap();
                    fs::remove_file(checkpoints.join(BEST)).unwrap();
                }
            }
        }
        let before = all_files(&run);
        let error = open(&run, "auto").unwrap_err();
        assert!(
            matches!(error, RunFolderError::NothingLoads { .. }),
            "{lost}: {error}"
        );
        assert!(
            error.to_string().contains("the 30 steps"),
            "{lost}: {error}"
        );
        assert_eq!(all_files(&run), before, "{lost}");

        let opened = open(&run, "restart").unwrap();
        assert_eq!(resumed_step(&opened), None);
        assert!(
            opened.set_aside.contains(&run.join("metrics.1.jsonl")),
            "{lost}"
        );
        assert!(!opened.folder.metrics().exists() && !checkpoints.exists());
        drop(opened);
        // Killed before its first save it may begin again, as any run.
        assert_eq!(resumed_step(&open(&run, "auto").unwrap()), None);
    }
}

#[test]
fn a_restart_is_refused_while_a_checkpoint_loads() {
    let root = tempfile::tempdir().unwrap();
    let run = root.path().join("run");
    ended_run(&run, &[10]);
    let before = all_files(&run);
    let error = open(&run, "restart").unwrap_err();
    assert!(
        error.is_users_mistake() && error.to_string().contains("step_000000010"),
        "{error}"
    );
    assert_eq!(all_files(&run), before);
}

#[test]
fn a_run_killed_before_its_first_save_begins_again_and_its_reports_are_kept() {
    let root = tempfile::tempdir().unwrap();
    for number in 1..=2 {
        let opened = open(root.path(), "auto").unwrap();
        fs::create_dir_all(opened.folder.checkpoints()).unwrap();
        fs::write(opened.folder.metrics(), format!("{{\"step\": {number}}}\n")).unwrap();
        drop(opened);
        let opened = open(root.path(), "auto").unwrap();
        let aside = root.path().join(format!("metrics.{number}.jsonl"));
        assert_eq!(opened.set_aside, std::slice::from_ref(&aside));
        assert_eq!(resumed_step(&opened), None);
        let kept = fs::read_to_string(aside).unwrap();
        assert!(kept.contains(&format!("\"step\": {number}")));
    }
}

#[test]
fn a_run_that_has_lost_its_scene_is_refused_and_gets_no_other() {
    let root = tempfile::tempdir().unwrap();
    let run = root.path().join("run");
    ended_run(&run, &[10]);
    fs::remove_file(run.join(SCENE)).unwrap();
    for resume in ["auto", "latest", "restart"] {
        let error = open(&run, resume).unwrap_err();
        assert!(
            matches!(error, RunFolderError::SceneMissing { .. }),
            "{resume}: {error}"
        );
        assert!(error.is_users_mistake() && error.to_string().contains("put scene.ron back"));
    }
    let checkpoint = run.join("checkpoints/step_000000010");
    let error = open(&root.path().join("other"), checkpoint.to_str().unwrap()).unwrap_err();
    assert!(
        matches!(error, RunFolderError::SceneMissing { .. }),
        "{error}"
    );
    assert!(!run.join(SCENE).exists() && !root.path().join("other").exists());
}

#[test]
fn a_best_that_is_missing_or_damaged_is_found_again() {
    let root = tempfile::tempdir().unwrap();
    let run = root.path().join("run");
    ended_run(&run, &[10, 20, 30]);
    let checkpoints = run.join(CHECKPOINTS);
    let best = || pointed(&checkpoints, BEST).unwrap();
    assert!(mend_best(&checkpoints, [10]).unwrap().is_none());
    for text in ["", "garbage", "step_000000099"] {
        fs::write(checkpoints.join(BEST), text).unwrap();
        assert!(
            mend_best(&checkpoints, [20, 10]).unwrap().is_some(),
            "{text}"
        );
        assert_eq!(best().unwrap(), step_folder_name(20));
    }
    fs::remove_file(checkpoints.join(BEST)).unwrap();
    // The best itself is damaged: the next one that loads.
    fs::write(
        checkpoints.join(step_folder_name(20)).join("state.ron"),
        "x",
    )
    .unwrap();
    mend_best(&checkpoints, [20, 10]).unwrap();
    assert_eq!(best().unwrap(), step_folder_name(10));
    fs::write(checkpoints.join(BEST), "garbage").unwrap();
    let said = mend_best(&checkpoints, [20]).unwrap().unwrap();
    assert!(said.contains("lost") && best().is_none(), "{said}");
}

#[test]
fn a_damaged_or_deleted_best_neither_ends_a_run_nor_lets_the_best_go() {
    for damage in ["garbage", ""] {
        let folder = tempfile::tempdir().unwrap();
        let writer = CheckpointWriter::start(folder.path(), 1).unwrap();
        writer.save(Snapshot::new(10), true).unwrap();
        while pointed(folder.path(), LATEST).unwrap().is_none() {
            std::thread::yield_now();
        }
        match damage {
            "" => fs::remove_file(folder.path().join(BEST)).unwrap(),
            text => fs::write(folder.path().join(BEST), text).unwrap(),
        }
        writer.save(Snapshot::new(20), false).unwrap();
        writer.save(Snapshot::new(30), false).unwrap();
        writer.finish().unwrap();
        assert_eq!(steps_in(folder.path()).unwrap(), [30, 10]);
        let best = pointed(folder.path(), BEST).unwrap();
        assert_eq!(best, Some(step_folder_name(10)));
    }
}

#[cfg(unix)]
#[test]
fn links_in_place_of_a_runs_own_files_are_refused_and_not_written_through() {
    use std::os::unix::fs::symlink;
    for (name, is_folder) in [
        (LOCK, false),
        (SCENE, false),
        (MANIFEST, false),
        (METRICS, false),
        (LOG, false),
        ("scores.json", false),
        (CHECKPOINTS, true),
    ] {
        let root = tempfile::tempdir().unwrap();
        let run = root.path().join("run");
        ended_run(&run, &[10]);
        let outside = root.path().join("outside");
        match is_folder {
            true => fs::rename(run.join(name), &outside).unwrap(),
            false => fs::write(&outside, "mine").unwrap(),
        }
        let _ = fs::remove_file(run.join(name));
        symlink(&outside, run.join(name)).unwrap();
        let there = || match is_folder {
            true => all_files(&outside),
            false => vec![(outside.clone(), fs::read(&outside).unwrap())],
        };
        let before = there();
        for resume in ["auto", "never", "restart"] {
            let error = open(&run, resume).unwrap_err();
            assert!(
                matches!(error, RunFolderError::Link { .. }),
                "{name} {resume}: {error}"
            );
            assert!(error.is_users_mistake());
        }
        assert_eq!(there(), before, "{name}");
    }
}

#[test]
fn a_folder_that_is_taken_over_or_deleted_under_the_run_is_noticed() {
    let root = tempfile::tempdir().unwrap();
    let run = root.path().join("run");
    let first = open(&run, "never").unwrap();
    let guard = first.folder.guard();
    guard.check().unwrap();
    // Another process that believes to hold the lock.
    let lock = fs::read_to_string(run.join(LOCK)).unwrap();
    fs::write(run.join(LOCK), "process 1 on another, since now\nffff\n").unwrap();
    let error = guard.check().unwrap_err();
    assert!(
        error.to_string().contains("process 1 on another"),
        "{error}"
    );
    assert!(!error.is_users_mistake());
    fs::write(run.join(LOCK), lock).unwrap();
    guard.check().unwrap();
    fs::remove_dir_all(&run).unwrap();
    assert!(matches!(guard.check(), Err(RunFolderError::Gone { .. })));
}

#[test]
fn a_writer_whose_folder_was_deleted_saves_all_the_same_and_says_so() {
    for what in ["the folder", "the lock"] {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("run/checkpoints");
        let writer = CheckpointWriter::start(&folder, 2).unwrap();
        match what {
            "the folder" => fs::remove_dir_all(root.path().join("run")).unwrap(),
            _ => fs::remove_file(folder.join(LOCK)).unwrap(),
        }
        let error = writer.save(Snapshot::new(10), false).unwrap_err();
        assert!(matches!(error, CheckpointError::Gone { .. }), "{error}");
        assert!(!error.is_users_mistake());
        writer.finish().unwrap();
        assert_eq!(latest_good(&folder).unwrap().found.unwrap().1.step, 10);
    }
}

#[test]
fn of_two_writers_without_locks_the_earlier_one_moves_latest_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let writer = CheckpointWriter::start(folder.path(), 2).unwrap();
    writer.save(Snapshot::new(10), false).unwrap();
    fs::write(
        folder.path().join(LOCK),
        "process 1 on another, since now\nffff\n",
    )
    .unwrap();
    let mut refused = writer.save(Snapshot::new(20), false).err();
    refused = refused.or_else(|| writer.save(Snapshot::new(30), false).err());
    assert!(
        matches!(refused, Some(CheckpointError::TakenOver { .. })),
        "{refused:?}"
    );
    let _ = writer.finish();
    assert!(!folder.path().join(step_folder_name(30)).exists());
}

#[test]
fn a_disk_that_fails_at_any_operation_of_a_resume_leaves_a_run_that_goes_on() {
    let mut failures = 0;
    for answer in [
        io::ErrorKind::StorageFull,
        io::ErrorKind::PermissionDenied,
        io::ErrorKind::Other,
    ] {
        for resume in ["auto", "step_000000010", "never"] {
            for before in 0.. {
                let root = tempfile::tempdir().unwrap();
                let run = root.path().join("runs/run");
                if resume != "never" {
                    ended_run(&run, &[10, 20]);
                    fs::write(run.join(".writing-7-scene.ron"), "").unwrap();
                }
                let mut disk = FailingDisk::new(before, answer);
                let how = resume.parse().unwrap();
                let compare = |run: &Path| compare_scenes(run, SCENE_TEXT, &differences);
                let opened = RunFolder::open_on(
                    &mut disk,
                    &run,
                    &how,
                    Some(SCENE_TEXT.to_owned()),
                    &compare,
                );
                let kept = match &opened {
                    Ok(opened) => opened.folder.keep_scene_on(&mut disk),
                    Err(_) => Ok(()),
                };
                let Some((operation, path)) = disk.failed.clone() else {
                    break;
                };
                failures += 1;
                let when = format!("{resume}: {operation} of {} failed", path.display());
                let error = opened
                    .err()
                    .or(kept.err())
                    .unwrap_or_else(|| panic!("{when}"));
                let is_io = matches!(
                    error,
                    RunFolderError::Io { .. }
                        | RunFolderError::Checkpoint(CheckpointError::Io { .. })
                );
                assert!(is_io && !error.is_users_mistake(), "{when}: {error}");
                let opened = open(&run, resume).unwrap_or_else(|error| panic!("{when}: {error}"));
                let step = match resume {
                    "auto" => Some(20),
                    "never" => None,
                    _ => Some(10),
                };
                assert_eq!(resumed_step(&opened), step, "{when}");
            }
        }
    }
    assert!(failures > 20, "only {failures} operations were tried");
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
    let former = "Scene(steps: 5, seed: 0)";
    fs::write(run.join(SCENE), former).unwrap();
    let opened = open(&run, "auto").unwrap();
    assert_eq!(resumed_step(&opened), Some(10));
    // Until it is known that the run starts.
    assert_eq!(fs::read_to_string(run.join(SCENE)).unwrap(), former);
    opened.folder.keep_scene().unwrap();
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

#[test]
fn a_disk_that_does_not_answer_is_not_taken_for_an_empty_one() {
    let root = tempfile::tempdir().unwrap();
    let run = root.path().join("run");
    ended_run(&run, &[10]);
    // A folder is read as little as a disk that fails, whatever one's rights.
    let state = run.join("checkpoints/step_000000010/state.ron");
    fs::remove_file(&state).unwrap();
    fs::create_dir(&state).unwrap();
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

#[test]
fn what_a_killed_prune_left_goes_also_where_nothing_is_left_to_do() {
    let root = tempfile::tempdir().unwrap();
    let run = root.path().join("runs/run");
    ended_run(&run, &[10, 20]);
    let left = run.join("checkpoints/.pruned-step_000000005");
    fs::create_dir(&left).unwrap();
    let opened = RunFolder::open(&run, &Resume::Auto, SCENE_TEXT, differences).unwrap();
    assert!(matches!(opened.start, Start::Resumed { .. }));
    assert!(!left.exists());
}
