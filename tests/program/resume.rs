//! A run that was cut at any step and resumed ends like the run that was not.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::room::{
    Room, checkpoint, checkpoints, copy, files, learned, metric, named, reports, send, wait_until,
};

/// Demands that two runs ended alike, bit for bit: the last checkpoint, the best one, and all reports.
#[track_caller]
pub fn assert_same_end(whole: &Path, resumed: &Path) {
    for pointer in ["latest", "best"] {
        let name = named(whole, pointer);
        assert_eq!(named(resumed, pointer), name, "{pointer}");
        let (whole, resumed) = (checkpoint(whole, &name), checkpoint(resumed, &name));
        assert_eq!(
            whole.keys().collect::<Vec<_>>(),
            resumed.keys().collect::<Vec<_>>()
        );
        for (file, bytes) in &whole {
            assert!(resumed[file] == *bytes, "{file} of {name} differs");
        }
    }
    assert_eq!(reports(whole), reports(resumed));
}

/// Leaves of a run what a process leaves that dies after the checkpoint of `step` and before the next one.
pub fn cut_after(run: &Path, step: u64) {
    let last = format!("step_{step:09}");
    let folder = run.join("checkpoints");
    for name in checkpoints(run) {
        if name > last {
            fs::remove_dir_all(folder.join(name)).unwrap();
        }
    }
    fs::write(folder.join("latest"), format!("{last}\n")).unwrap();
}

#[test]
fn a_run_cut_between_two_reports_or_right_after_an_evaluation_ends_like_the_uninterrupted_one() {
    let room = Room::new();
    let whole = room.path("whole");
    room.yarak("train tiny.ron --run whole").ends_with(0);
    assert_eq!(reports(&whole).last().unwrap()["step"], 300);
    let reported: Vec<u64> = reports(&whole)
        .iter()
        .map(|row| row["step"].as_u64().unwrap())
        .collect();
    let evaluated: Vec<u64> = metric(&whole, "evaluate/return")
        .iter()
        .map(|(step, _)| *step)
        .collect();
    assert!(!reported.contains(&175) && evaluated.contains(&200));
    for step in [25, 175, 200] {
        let cut = room.path(&format!("cut_{step}"));
        copy(&whole, &cut);
        cut_after(&cut, step);
        let words = format!("train tiny.ron --run cut_{step} --resume auto");
        let said = room.yarak(&words);
        assert!(
            said.ends_with(0)
                .contains(&format!("resuming from cut_{step}/checkpoints/step_"))
        );
        assert_same_end(&whole, &cut);
    }
}

#[test]
fn a_run_killed_again_and_again_while_it_saves_ends_like_the_uninterrupted_one() {
    let room = Room::new();
    // Larger networks take longer to save, so that a kill falls into the middle of it.
    let scene = fs::read_to_string(room.path("tiny.ron")).unwrap();
    let scene = scene
        .replace("[8, 8]", "[96, 96]")
        .replace("every: 25", "every: 10");
    room.write("tiny.ron", &scene);
    kill_again_and_again(&room);
}

/// Runs `tiny.ron` once whole and once killed while it saves, again and again, and compares their ends.
pub fn kill_again_and_again(room: &Room) {
    room.yarak("train tiny.ron --run whole").ends_with(0);

    let folder = room.path("killed/checkpoints");
    let drafts = || -> Vec<String> {
        let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        names
            .filter(|name| name.starts_with(".writing-") && name.contains("step_"))
            .collect()
    };
    let mut kills = 0;
    let mut torn = 0;
    loop {
        let mut child = room.start("train tiny.ron --run killed --resume auto");
        // Each time it gets one checkpoint further, and is killed at another moment of the next one.
        let mut seen: Vec<String> = drafts();
        let mut fresh = 0;
        let finished = loop {
            if let Some(status) = child.try_wait().unwrap() {
                assert!(status.success());
                break true;
            }
            for name in drafts() {
                if !seen.contains(&name) {
                    seen.push(name);
                    fresh += 1;
                }
            }
            if fresh >= 2 {
                std::thread::sleep(std::time::Duration::from_micros(kills % 4 * 400));
                child.kill().unwrap();
                child.wait().unwrap();
                break false;
            }
        };
        if finished {
            break;
        }
        kills += 1;
        torn += usize::from(!drafts().is_empty());
    }
    println!("{kills} kills, {torn} of them in the middle of a save");
    assert!(kills >= 3 && torn >= 1, "{kills} kills, {torn} torn");
    assert_same_end(&room.path("whole"), &room.path("killed"));
    assert_eq!(drafts(), Vec::<String>::new(), "what was torn is cleared");
}

#[test]
fn ctrl_c_finishes_the_step_saves_and_says_how_to_go_on_without_a_difference() {
    let room = Room::new();
    let long = fs::read_to_string(room.path("tiny.ron")).unwrap();
    room.write(
        "tiny.ron",
        &long.replace("steps: 300,\n    p", "steps: 1_000_000,\n    p"),
    );
    let child = Command::new(crate::room::YARAK)
        .args(["train", "tiny.ron", "--run", "cut"])
        .current_dir(room.path(""))
        .stderr(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    wait_until("the first checkpoint", || {
        room.path("cut/checkpoints/latest").exists()
    });
    send("-INT", &child);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("--resume auto"), "{said}");

    let step: u64 = named(&room.path("cut"), "latest")["step_".len()..]
        .parse()
        .unwrap();
    let closing = format!("interrupted and saved at step {step}: cut");
    assert!(said.contains(&closing), "{closing} is not in:\n{said}");
    let end = (step / 50 + 2) * 50;
    room.yarak(&format!("train tiny.ron --run whole --steps {end}"))
        .ends_with(0);
    room.yarak(&format!(
        "train tiny.ron --run cut --steps {end} --resume auto"
    ))
    .ends_with(0);
    assert_same_end(&room.path("whole"), &room.path("cut"));
}

#[test]
fn a_finished_run_goes_on_when_its_steps_are_raised() {
    let room = Room::new();
    room.yarak("train tiny.ron --run whole").ends_with(0);
    room.yarak("train tiny.ron --run raised --steps 150")
        .ends_with(0);
    room.yarak("train tiny.ron --run raised --resume auto")
        .ends_with(0);
    let last = named(&room.path("whole"), "latest");
    assert_eq!(last, "step_000000300");
    assert_eq!(
        learned(&room.path("whole"), &last),
        learned(&room.path("raised"), &last)
    );
}

#[test]
fn a_finished_run_is_told_so_at_once_and_left_alone() {
    let room = Room::new();
    room.yarak("train tiny.ron --run run --steps 50")
        .ends_with(0);
    let before = files(&room.path("run"));
    let said = room.yarak("train tiny.ron --run run --steps 50 --resume auto");
    assert!(said.ends_with(0).contains("finished"), "{}", said.stderr);
    assert_eq!(files(&room.path("run")), before);
}

#[test]
fn a_changed_scene_is_refused_with_the_difference_and_changes_nothing() {
    let room = Room::new();
    room.yarak("train tiny.ron --run run --steps 50")
        .ends_with(0);
    let before = files(&room.path("run"));
    let words = "train tiny.ron --run run --resume auto --set Td3Bc.alpha=1 --set seed=7";
    room.yarak(words)
        .refuses(&["Td3Bc.alpha: 2.5 -> 1.0", "seed: 0 -> 7", "run/scene.ron"]);
    assert_eq!(files(&room.path("run")), before);
}

#[test]
fn a_folder_that_is_not_empty_is_refused_unless_the_run_goes_on() {
    let room = Room::new();
    room.yarak("train tiny.ron --run run --steps 50")
        .ends_with(0);
    let before = files(&room.path("run"));
    for words in [
        "train tiny.ron --run run",
        "train tiny.ron --run run --resume never",
    ] {
        room.yarak(words).refuses(&["--resume auto", "--run"]);
    }
    assert_eq!(files(&room.path("run")), before);
    // Somebody's folder is not taken for a run.
    fs::create_dir(room.path("letters")).unwrap();
    room.write("letters/dear.txt", "Dear Ada");
    room.yarak("train tiny.ron --run letters --resume auto")
        .refuses(&["dear.txt"]);
    assert_eq!(files(&room.path("letters")).len(), 1);
    // An empty one is fine, and `auto` starts afresh in it.
    fs::create_dir(room.path("empty")).unwrap();
    room.yarak("train tiny.ron --run empty --steps 3 --resume auto")
        .ends_with(0);
}

#[test]
fn a_run_taken_back_to_a_named_checkpoint_ends_the_same_again() {
    let room = Room::new();
    room.yarak("train tiny.ron --run whole").ends_with(0);
    copy(&room.path("whole"), &room.path("back"));
    room.yarak("train tiny.ron --run back --resume step_000000125")
        .ends_with(0);
    assert_same_end(&room.path("whole"), &room.path("back"));
    room.yarak("train tiny.ron --run back --resume step_7")
        .refuses(&["step_7", "step_000000125"]);
}

#[test]
fn a_damaged_last_checkpoint_is_passed_over_with_a_warning() {
    let room = Room::new();
    room.yarak("train tiny.ron --run whole").ends_with(0);
    room.yarak("train tiny.ron --run hurt --steps 200")
        .ends_with(0);
    let weights = room.path("hurt/checkpoints/step_000000200/actor.safetensors");
    let mut bytes = fs::read(&weights).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&weights, bytes).unwrap();
    let said = room.yarak("train tiny.ron --run hurt --resume auto");
    let said = said.ends_with(0);
    for part in [
        "warning",
        "step_000000200",
        "actor.safetensors",
        "resuming from hurt/checkpoints/step_000000175",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert_same_end(&room.path("whole"), &room.path("hurt"));
}

#[test]
fn the_last_checkpoints_and_the_best_are_kept_and_best_names_the_best() {
    let room = Room::new();
    let mut best_was_old = false;
    for seed in 0..8 {
        let name = format!("run_{seed}");
        let words =
            format!("train tiny.ron --run {name} --set Checkpoints.keep=2 --set seed={seed}");
        room.yarak(&words).ends_with(0);
        let run = room.path(&name);
        let scores = metric(&run, "evaluate/return");
        assert_eq!(scores.len(), 6);
        // The first of equal ones.
        let (best, _) = scores
            .iter()
            .rev()
            .max_by(|left, right| left.1.total_cmp(&right.1))
            .unwrap();
        let best = format!("step_{best:09}");
        assert_eq!(named(&run, "best"), best);
        let mut kept = vec!["step_000000275".to_owned(), "step_000000300".to_owned()];
        if !kept.contains(&best) {
            kept.insert(0, best);
            best_was_old = true;
        }
        assert_eq!(checkpoints(&run), kept);
        if best_was_old {
            return;
        }
    }
    panic!("no seed's best was older than its last checkpoints: the test shows nothing");
}
