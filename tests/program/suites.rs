//! `yarak suite`: several scenes, datasets and seeds, and one table.

use std::fs;

use serde_json::Value;

use crate::room::{ROOT, Room, dataset, files, metric};

const SUITE: &str = r#"Suite(
    groups: [(scenes: ["tiny.ron", "other.ron"], datasets: ["some.hdf5"])],
    seeds: [0, 3],
    set: ["steps=60", "Evaluation.every=30", "Evaluation.episodes=1", "Evaluation.env=\"Pendulum-v1\""],
    needs: (cores: 1, memory: 0.25),
)"#;

#[test]
fn a_suite_has_each_scene_on_each_dataset_with_each_seed_and_repeats_nothing() {
    let room = Room::new();
    fs::copy(room.path("tiny.ron"), room.path("other.ron")).unwrap();
    fs::copy(dataset(), room.path("some.hdf5")).unwrap();
    room.write("suite.ron", SUITE);
    let empty = room
        .yarak("suite suite.ron --dir suite --no-train --json")
        .result()
        .to_owned();
    let empty: Value = serde_json::from_str(&empty).unwrap();
    assert_eq!(empty[1]["run"], "other_some");
    assert!(empty[1]["last"].is_null() && empty[1]["seeds"].as_array().unwrap().is_empty());
    assert!(!room.path("suite").exists());

    let table = room
        .yarak("suite suite.ron --dir suite")
        .result()
        .to_owned();
    assert_eq!(table.lines().count(), 3, "{table}");
    let csv = room
        .yarak("suite suite.ron --dir suite --no-train --csv")
        .result()
        .to_owned();
    let lines: Vec<Vec<&str>> = csv.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(lines.len(), 5, "{csv}");
    for (line, (name, seed)) in lines[1..].iter().zip([
        ("tiny_some", "0"),
        ("tiny_some", "3"),
        ("other_some", "0"),
        ("other_some", "3"),
    ]) {
        assert_eq!(
            (line[0], line[2], line[3], line[1].len()),
            (name, seed, "60", 64)
        );
        let returns = metric(
            &room.path(&format!("suite/{name}/seed_{seed}")),
            "evaluate/return",
        );
        assert_eq!(line[4].parse::<f64>().unwrap(), returns.last().unwrap().1);
        let best = returns
            .iter()
            .map(|(_, value)| *value)
            .fold(f64::NEG_INFINITY, f64::max);
        assert_eq!(line[5].parse::<f64>().unwrap(), best);
        assert!(!line[6].is_empty(), "the pendulum's scores are known");
    }
    let of_runs = || {
        let mut files = files(&room.path("suite"));
        files.retain(|name, _| !name.ends_with(".log"));
        files
    };
    let before = of_runs();
    assert_eq!(room.yarak("suite suite.ron --dir suite").result(), table);
    assert_eq!(of_runs(), before);

    // Runs that are in the middle are named, and are no part of a mean.
    room.write("suite.ron", &SUITE.replace("steps=60", "steps=120"));
    let asked = |form: &str| room.yarak(&format!("suite suite.ron --dir suite --no-train{form}"));
    let said = asked("").result().to_owned();
    assert!(
        said.contains("other_some/seed_3: at step 60 of 120, not counted"),
        "{said}"
    );
    fs::rename(room.path("suite/other_some"), room.path("elsewhere")).unwrap();
    let said = asked("").result().to_owned();
    assert!(said.contains("other_some/seed_3: not begun"), "{said}");
    fs::rename(room.path("elsewhere"), room.path("suite/other_some")).unwrap();
    let rows: Value = serde_json::from_str(asked(" --json").result()).unwrap();
    assert!(rows[0]["last"].is_null(), "{rows}");
    assert_eq!(rows[0]["not_counted"][1]["seed"], 3);
    let csv = asked(" --csv");
    assert_eq!(csv.result().lines().count(), 1);
    assert!(
        csv.stderr.contains("tiny_some/seed_0: at step 60 of 120"),
        "{}",
        csv.stderr
    );

    // A scene that has changed is not mixed with what it was.
    room.write(
        "suite.ron",
        &SUITE.replace("\"steps=60\"", "\"steps=60\", \"Td3Bc.alpha=1\""),
    );
    let said = room.yarak("suite suite.ron --dir suite");
    assert!(
        said.ends_with(1)
            .contains("4 of 4 runs failed: tiny_some seed 0"),
        "{}",
        said.stderr
    );
    let log = fs::read_to_string(room.path("suite/tiny_some/seed_0.log")).unwrap();
    assert!(log.contains("Td3Bc.alpha: 2.5 -> 1.0"), "{log}");
    assert_eq!(of_runs(), before);
}

#[test]
fn what_is_wrong_with_a_suite_is_found_before_it_begins() {
    let room = Room::new();
    let refused = |from: &str, to: &str, parts: &[&str]| {
        room.write(
            "suite.ron",
            &SUITE.replace(", \"other.ron\"", "").replace(from, to),
        );
        room.yarak("suite suite.ron --dir suite").refuses(parts);
        assert!(!room.path("suite").exists());
    };
    refused("", "", &["Dataset.path", "some.hdf5"]);
    fs::copy(dataset(), room.path("some.hdf5")).unwrap();
    refused(
        "\"some.hdf5\"",
        "\"some.hdf5\", \"./some.hdf5\"",
        &["suite.ron:2:", "tiny_some"],
    );
    refused("[0, 3]", "[]", &["suite.ron:3:", "seeds"]);
    refused("tiny.ron", "none.ron", &["none.ron"]);
    refused("\"steps=60\"", "\"stepz=60\"", &["stepz"]);
}

#[test]
fn the_suites_that_come_along_are_read() {
    let room = Room::new();
    let suite = |name: &str| {
        let file = format!("{ROOT}/scenes/suites/{name}.ron");
        let dir = room.path("suite");
        crate::room::yarak(&[
            "suite",
            &file,
            "--dir",
            dir.to_str().unwrap(),
            "--no-train",
            "--csv",
        ])
    };
    assert_eq!(suite("pendulum").result().lines().count(), 1);
    // Its data are nobody's to ship.
    suite("d4rl_locomotion").refuses(&["Dataset.path", "halfcheetah_medium-v2.hdf5"]);
}
