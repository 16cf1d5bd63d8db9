//! A run's folder that is damaged, emptied or taken away: nothing good is lost, and nothing is started over unsaid.

use std::fs;
use std::process::{Command, Stdio};

use crate::resume::assert_same_end;
use crate::room::{
    Room, YARAK, checkpoint, checkpoints, copy, files, metric, named, reports, wait_until,
};

/// A room whose scene learns well for 60 steps, and then at a rate that nothing survives.
fn diverging() -> Room {
    let room = Room::new();
    let scene = fs::read_to_string(room.path("tiny.ron")).unwrap();
    let good = "Multistep(initial: 3e-3, decay_factor: 0.3, epoch_schedule: [2, 4])";
    let bad = "Multistep(initial: 3e-3, decay_factor: 1e40, epoch_schedule: [1])";
    assert!(scene.contains(good));
    room.write("tiny.ron", &scene.replace(good, bad));
    room
}

#[test]
fn a_network_that_is_not_finite_is_never_saved_over_a_good_one() {
    let room = diverging();
    let run = room.path("run");
    for (words, begins) in [
        (
            "train tiny.ron --run run --set Checkpoints.keep=1",
            "dataset",
        ),
        (
            "train tiny.ron --run run --set Checkpoints.keep=1 --resume auto",
            "resuming from run/checkpoints/step_000000050",
        ),
    ] {
        let told = room.yarak(words);
        let said = told.ends_with(1);
        for part in [
            "snapshot of step 75: tensor `",
            "` of `",
            "` holds ",
            "is not saved",
            "`yarak data check`",
        ] {
            assert!(said.contains(part), "{part}: {said}");
        }
        assert!(begins == "dataset" || said.contains(begins), "{said}");
        assert_eq!(named(&run, "latest"), "step_000000050");
        assert_eq!(checkpoints(&run), ["step_000000050"]);
    }
    room.yarak("eval run --episodes 1").ends_with(0);
}

/// Damages every checkpoint of a run.
fn damage_all(room: &Room) {
    for name in checkpoints(&room.path("run")) {
        let weights = room.path(&format!("run/checkpoints/{name}/actor.safetensors"));
        fs::write(weights, "x").unwrap();
    }
}

#[test]
fn a_run_that_lost_its_checkpoints_is_refused_until_a_restart_is_said() {
    let room = Room::new();
    let train = "train tiny.ron --run run --steps 60 --resume";
    for damage in ["damaged", "gone"] {
        room.yarak("train tiny.ron --run run --steps 60")
            .ends_with(0);
        match damage {
            "damaged" => damage_all(&room),
            _ => fs::remove_dir_all(room.path("run/checkpoints")).unwrap(),
        }
        let before = files(&room.path("run"));
        room.yarak(&format!("{train} auto")).refuses(&[
            "the 60 steps",
            "--resume restart",
            "set aside",
        ]);
        assert_eq!(files(&room.path("run")), before);

        let told = room.yarak(&format!("{train} restart"));
        let said = told.ends_with(0);
        assert!(said.contains("is kept in run/metrics.1.jsonl"), "{said}");
        assert_eq!(
            files(&room.path("run"))["metrics.1.jsonl"],
            before["metrics.jsonl"],
            "the reports are kept"
        );
        assert_eq!(named(&room.path("run"), "latest"), "step_000000060");
        room.yarak("train tiny.ron --run run --steps 70 --resume restart")
            .refuses(&["step_000000060", "--resume auto"]);
        fs::remove_dir_all(room.path("run")).unwrap();
    }
}

#[test]
fn a_run_without_its_scene_is_refused_and_gets_no_other() {
    let room = Room::new();
    room.yarak("train tiny.ron --run run --steps 30")
        .ends_with(0);
    fs::remove_file(room.path("run/scene.ron")).unwrap();
    let before = files(&room.path("run"));
    for resume in ["auto", "latest"] {
        let words = format!("train tiny.ron --run run --resume {resume} --set Td3Bc.alpha=1");
        room.yarak(&words).refuses(&["its scene.ron is gone"]);
    }
    assert_eq!(files(&room.path("run")), before);
}

#[test]
fn a_scene_that_does_not_start_is_not_written_over_the_one_that_did() {
    let room = Room::new();
    room.yarak("train tiny.ron --run run --steps 30")
        .ends_with(0);
    let scene = fs::read_to_string(room.path("run/scene.ron")).unwrap();
    // The checkpoint is whole, and of another network.
    let state = room.path("run/checkpoints");
    let named = named(&room.path("run"), "latest");
    let other = Room::new();
    other
        .yarak(
            "train tiny.ron --run run --steps 30 --set Td3Bc.actor.encoder=Mlp(hidden_sizes:[4])",
        )
        .ends_with(0);
    fs::remove_dir_all(state.join(&named)).unwrap();
    copy(
        &other.path("run/checkpoints").join(&named),
        &state.join(&named),
    );
    let told = room.yarak("train tiny.ron --run run --steps 90 --resume auto");
    told.ends_with(2);
    assert_eq!(
        fs::read_to_string(room.path("run/scene.ron")).unwrap(),
        scene
    );
}

#[test]
fn a_best_that_was_lost_is_found_again_and_kept_to_the_end() {
    let room = Room::new();
    room.yarak("train tiny.ron --run whole --set Checkpoints.keep=2")
        .ends_with(0);
    room.yarak("train tiny.ron --run cut --steps 200 --set Checkpoints.keep=2")
        .ends_with(0);
    for damage in ["missing", "garbage"] {
        copy(&room.path("cut"), &room.path("hurt"));
        let best = room.path("hurt/checkpoints/best");
        match damage {
            "missing" => fs::remove_file(&best).unwrap(),
            text => fs::write(&best, text).unwrap(),
        }
        let words = "train tiny.ron --run hurt --set Checkpoints.keep=2 --resume auto";
        let told = room.yarak(words);
        let said = told.ends_with(0);
        assert!(
            said.contains("was missing or damaged, and names step_"),
            "{said}"
        );
        assert_eq!(metric(&room.path("whole"), "evaluate/return").len(), 6);
        assert_same_learned(&room, "whole", "hurt");
        fs::remove_dir_all(room.path("hurt")).unwrap();
    }
}

/// Demands the same last and the same best checkpoint.
#[track_caller]
fn assert_same_learned(room: &Room, one: &str, other: &str) {
    let (one, other) = (room.path(one), room.path(other));
    for pointer in ["latest", "best"] {
        let name = named(&one, pointer);
        assert_eq!(named(&other, pointer), name, "{pointer}");
        let learned = |run| crate::room::learned(run, &name);
        assert!(learned(&one) == learned(&other), "{pointer} differs");
    }
}

#[test]
fn what_is_deleted_under_a_run_is_missed_and_what_was_in_memory_is_saved() {
    for deleted in ["metrics.jsonl", "log.txt", ".lock", "checkpoints", ""] {
        let room = Room::new();
        let run = room.path("run");
        let scene = fs::read_to_string(room.path("tiny.ron")).unwrap();
        // The folder of the events would be the first to be missed.
        room.write("tiny.ron", &scene.replace("TensorBoard(),", ""));
        let child = Command::new(YARAK)
            .args("train tiny.ron --run run --steps 1000000".split(' '))
            .current_dir(room.path(""))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        wait_until("a report and a checkpoint", || {
            run.join("checkpoints/latest").exists()
                && fs::metadata(run.join("metrics.jsonl")).is_ok_and(|it| it.len() > 0)
        });
        let path = run.join(deleted);
        if path.is_dir() {
            // The run goes on writing, so it may take more than one attempt.
            wait_until("the folder to go", || {
                let aside = room.path("aside");
                fs::rename(&path, &aside).is_ok()
            });
        } else {
            fs::remove_file(&path).unwrap();
        }
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{deleted}: {said}");
        assert!(said.contains("was deleted"), "{deleted}: {said}");
        assert!(!said.contains("panicked"), "{said}");

        let log = fs::read_to_string(run.join("log.txt")).unwrap();
        assert!(log.contains("failed: "), "{deleted}: {log}");
        assert_eq!(log.matches(" 30/1000000").count(), 1, "{deleted}: {log}");

        let step: u64 = named(&run, "latest")["step_".len()..].parse().unwrap();
        let end = step + 50;
        room.yarak(&format!(
            "train tiny.ron --run run --steps {end} --resume auto"
        ))
        .ends_with(0);
        assert_eq!(reports(&run).last().unwrap()["step"], end, "{deleted}");
        if deleted != "checkpoints" {
            assert_eq!(
                reports(&run)[0]["step"],
                30,
                "{deleted}: the reports are there"
            );
        }
    }
}

#[test]
fn leftovers_of_a_killed_save_go_at_the_next_resume_and_the_users_own_stay() {
    let room = Room::new();
    room.yarak("train tiny.ron --run run --steps 30")
        .ends_with(0);
    let own = ["checkpoints/.pruned-by-hand", "notes"];
    let left = [
        "checkpoints/.pruned-step_000000001",
        "checkpoints/.replaced-step_000000030",
        "checkpoints/.writing-9-step_000000040",
    ];
    for name in own.iter().chain(&left) {
        fs::create_dir(room.path("run").join(name)).unwrap();
    }
    room.write("run/.writing-9-scene.ron", "Sce");
    room.yarak("train tiny.ron --run run --steps 60 --resume auto")
        .ends_with(0);
    for name in left.iter().chain(&[".writing-9-scene.ron"]) {
        assert!(!room.path("run").join(name).exists(), "{name}");
    }
    for name in own {
        assert!(room.path("run").join(name).is_dir(), "{name}");
    }
    assert!(!checkpoint(&room.path("run"), "step_000000030").is_empty());
    room.yarak("train tiny.ron --run whole --steps 30")
        .ends_with(0);
    room.yarak("train tiny.ron --run whole --steps 60 --resume auto")
        .ends_with(0);
    assert_same_end(&room.path("whole"), &room.path("run"));
}
