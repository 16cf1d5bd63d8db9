//! Links and pipes in a run's folder lead nobody out of it, and keep nobody waiting.

#![cfg(unix)]

use std::fs;
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use yarak::policy::Policy;

use crate::room::{Room, YARAK, copy};

/// Runs, and a file outside of them that nobody may read or write.
fn room() -> Room {
    let room = Room::new();
    room.yarak("train tiny.ron --run other --steps 60")
        .ends_with(0);
    fs::write(room.path("other/checkpoints/best"), "step_000000060\n").unwrap();
    room.write("secret", "{\"step\": 7, \"secret\": 4711}\n");
    begin_anew(&room);
    room
}

/// Makes `run` a copy of the other one.
fn begin_anew(room: &Room) {
    let run = room.path("run");
    let _ = fs::remove_dir_all(&run);
    copy(&room.path("other"), &run);
}

/// Puts a link to `target` in place of a file or a folder of the run.
fn link(room: &Room, name: &str, target: &str) {
    let path = room.path("run").join(name);
    let _ = fs::remove_file(&path);
    let _ = fs::remove_dir_all(&path);
    symlink(room.path(target), path).unwrap();
}

#[test]
fn a_run_with_links_in_place_of_its_files_is_not_trained_and_nothing_is_written_through_them() {
    let room = room();
    for name in [
        "metrics.jsonl",
        "log.txt",
        ".lock",
        "scene.ron",
        "scores.json",
    ] {
        begin_anew(&room);
        link(&room, name, "secret");
        room.yarak("train tiny.ron --run run --steps 90 --resume auto")
            .refuses(&[name, "it is a link"]);
        let secret = fs::read_to_string(room.path("secret")).unwrap();
        assert_eq!(secret, "{\"step\": 7, \"secret\": 4711}\n", "{name}");
    }
}

#[test]
fn a_link_in_place_of_metrics_or_scene_is_not_read_into_a_report() {
    let room = room();
    for name in ["metrics.jsonl", "scene.ron"] {
        begin_anew(&room);
        link(&room, name, "secret");
        room.yarak("report run").refuses(&[name, "it is a link"]);
        assert!(!room.path("run/report.html").exists());
    }
    // Nor is a run read that lies elsewhere.
    fs::create_dir(room.path("seeds")).unwrap();
    symlink(room.path("run"), room.path("seeds/seed_0")).unwrap();
    room.yarak("report seeds")
        .refuses(&["there is no run in it"]);
}

#[test]
fn a_report_does_not_wait_for_a_pipe_nor_take_a_picture_from_elsewhere() {
    let room = room();
    let pipe = room.path("run/x.gif");
    let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    room.write("theirs.gif", "GIF89a of somebody else");
    link(&room, "y.gif", "theirs.gif");
    link(&room, "report.html", "secret");
    let report = |words: &str| {
        let began = Instant::now();
        let mut child = Command::new(YARAK)
            .args(words.split(' '))
            .current_dir(room.path(""))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                return status.code();
            }
            if began.elapsed() > Duration::from_secs(30) {
                child.kill().unwrap();
                child.wait().unwrap();
                return None;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    assert_eq!(
        report("report run"),
        Some(2),
        "there is a link in its place"
    );
    assert_eq!(report("report run --force"), Some(0));
    assert!(
        fs::symlink_metadata(room.path("run/report.html"))
            .unwrap()
            .is_file()
    );
    let page = fs::read_to_string(room.path("run/report.html")).unwrap();
    assert!(!page.contains("<h2>Videos"));
    assert!(
        fs::read_to_string(room.path("secret"))
            .unwrap()
            .starts_with("{\"step\": 7")
    );
}

#[test]
fn a_policy_is_not_loaded_by_a_link_out_of_its_run() {
    let room = room();
    for (name, target) in [
        ("checkpoints", "other/checkpoints"),
        ("checkpoints/best", "other/checkpoints/best"),
        (
            "checkpoints/step_000000060",
            "other/checkpoints/step_000000060",
        ),
        (
            "checkpoints/step_000000060/actor.safetensors",
            "other/checkpoints/step_000000060/actor.safetensors",
        ),
    ] {
        begin_anew(&room);
        link(&room, name, target);
        let error = Policy::load(room.path("run")).unwrap_err().to_string();
        assert!(error.contains("it is a link"), "{name}: {error}");
        let told = room.yarak("eval run --episodes 1");
        assert!(
            told.stderr.contains("it is a link"),
            "{name}: {}",
            told.stderr
        );
        // Where another checkpoint of the run's own is left, that plays.
        let plays = told.stdout.contains("step_000000060");
        assert_eq!(plays, name == "checkpoints/best", "{name}: {}", told.stdout);
    }
    // The run itself may be named by a link.
    begin_anew(&room);
    symlink(room.path("run"), room.path("named")).unwrap();
    room.yarak("eval named --episodes 1").ends_with(0);
    Policy::load(room.path("named")).unwrap();
    link(&room, "scene.ron", "tiny.ron");
    room.yarak("eval run --episodes 1")
        .refuses(&["it is a link"]);
    room.yarak("collect run --out out.hdf5 --steps 3")
        .refuses(&["it is a link"]);
}
