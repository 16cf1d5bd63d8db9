//! Names that somebody else chose, with characters in them that steer a terminal.

use std::fs;
use std::path::Path;

use rust_hdf5::H5File;

use crate::room::{Room, TINY, Told, with_dataset};

/// Clears the screen, rings, begins the line again, begins another line, paints by a C1 control, and turns the line around.
const ODD: &str = "x\u{1b}[2J\u{7}\rFORGED\nFORGED: all is well\u{9b}31m\u{202e}y";

/// How it is shown.
const SHOWN: &str = r"x\u001b[2J\u0007\u000dFORGED\u000aFORGED: all is well\u009b31m\u202ey";

/// Demands that a text steers no terminal, and that no line of it is a name's.
#[track_caller]
fn is_harmless(text: &str) {
    let steers = |c: char| (c.is_control() && c != '\n') || "\u{202e}\u{2028}".contains(c);
    assert!(!text.contains(steers), "{text:?}");
    let forged = text.lines().find(|line| line.starts_with("FORGED"));
    assert_eq!(forged, None, "{text}");
}

#[track_caller]
fn shows(told: &Told, status: i32) {
    told.ends_with(status);
    is_harmless(&told.stdout);
    is_harmless(&told.stderr);
    let all = format!("{}{}", told.stdout, told.stderr);
    assert!(all.contains(SHOWN), "{all}");
}

fn column(file: &H5File, name: &str, width: usize) {
    let values: Vec<f32> = (0..40 * width).map(|it| (it % 7) as f32).collect();
    let shape = if width == 1 {
        vec![40]
    } else {
        vec![40, width]
    };
    let dataset = file.new_dataset::<f32>().shape(shape).create(name);
    dataset.unwrap().write_raw(&values).unwrap();
}

/// A file in D4RL's layout with one more dataset, and an attribute that names its environment.
fn d4rl(path: &Path) {
    let file = H5File::create(path).unwrap();
    for (name, width) in [
        ("observations", 2),
        ("actions", 1),
        ("rewards", 1),
        ("terminals", 1),
    ] {
        if name == "terminals" {
            let ends: Vec<u8> = (0..40).map(|row| u8::from(row % 10 == 9)).collect();
            let dataset = file.new_dataset::<u8>().shape([40]).create(name).unwrap();
            dataset.write_raw(&ends).unwrap();
        } else {
            column(&file, name, width);
        }
    }
    column(&file, ODD, 1);
    file.root_group().set_attr_string("env", ODD).unwrap();
    file.root_group().set_attr_string(ODD, "a text").unwrap();
    file.close().unwrap();
}

#[test]
fn names_in_a_dataset_are_shown_and_steer_nothing() {
    let room = Room::new();
    d4rl(&room.path("d.hdf5"));
    shows(&room.yarak("data info d.hdf5"), 0);
    let told = room.yarak("data info d.hdf5 --json");
    is_harmless(told.result());
    let info: serde_json::Value = serde_json::from_str(&told.stdout).unwrap();
    assert_eq!(info["environment"], ODD);
    let others = info["others"].as_array().unwrap();
    assert!(others.iter().any(|other| other["name"] == ODD), "{info}");
    for to in ["robomimic", "minari"] {
        let told = room.yarak(&format!("data convert d.hdf5 {to}-v0 --to {to}"));
        is_harmless(told.result());
        is_harmless(&told.stderr);
    }
    let told = room.yarak("data check d.hdf5");
    is_harmless(&told.stdout);
    is_harmless(&told.stderr);
}

#[test]
fn names_of_episodes_are_shown_and_steer_nothing() {
    let room = Room::new();
    let file = H5File::create(room.path("d.hdf5")).unwrap();
    let data = file.root_group().create_group("data").unwrap();
    for name in ["demo_0", ODD] {
        let group = data.create_group(name).unwrap();
        for name in ["actions", "obs"] {
            let dataset = group
                .new_dataset::<f32>()
                .shape([4, 1])
                .create(name)
                .unwrap();
            dataset.write_raw(&[0.0f32, 1.0, 2.0, 3.0]).unwrap();
        }
    }
    drop(data);
    file.close().unwrap();
    shows(&room.yarak("data info d.hdf5"), 2);
    let told = room.yarak("data check d.hdf5");
    is_harmless(&told.stdout);
    is_harmless(&told.stderr);
}

#[test]
fn a_number_whose_byte_is_a_line_break_is_no_name() {
    let room = Room::new();
    let file = H5File::create(room.path("d.hdf5")).unwrap();
    let data = file.root_group().create_group("data").unwrap();
    let group = data.create_group("demo_0").unwrap();
    for name in ["actions", "obs"] {
        let dataset = group.new_dataset::<f32>().shape([10, 1]);
        let rows: Vec<f32> = (0..10).map(|row| row as f32).collect();
        dataset.create(name).unwrap().write_raw(&rows).unwrap();
    }
    group.set_attr_numeric("num_samples", &10i64).unwrap();
    drop((group, data));
    file.close().unwrap();
    let told = room.yarak("data check d.hdf5");
    assert!(!told.stdout.contains("\\u000a"), "{}", told.stdout);
    assert!(told.stdout.lines().count() > 1, "{}", told.stdout);
}

#[test]
fn names_in_a_scene_and_in_its_run_are_shown_and_steer_nothing() {
    let room = Room::new();
    let quoted = serde_json::to_string(ODD)
        .unwrap()
        .replace("\\u00", "\\u{00}")
        .replace("\\u{00}1b", "\\u{1b}")
        .replace("\\u{00}07", "\\u{7}");
    let scene = |text: &str| with_dataset(TINY).replace("Evaluation(every", text);
    // The name of an environment, of a metric, of a plugin.
    let unknown = scene(&format!("Evaluation(env: {quoted}, every"));
    room.write("env.ron", &unknown);
    shows(&room.yarak("scene check env.ron"), 2);
    let metric = with_dataset(TINY).replace("keep: 100", &format!("keep: 100, best: {quoted}"));
    room.write("metric.ron", &metric);
    let told = room.yarak("train metric.ron --run metric");
    is_harmless(&told.stdout);
    is_harmless(&told.stderr);
    let plugin = with_dataset(TINY).replace("TensorBoard", "Tensor\u{1b}[2JBoard\u{9b}\u{202e}");
    room.write("plugin.ron", &plugin);
    let told = room.yarak("scene check plugin.ron");
    told.ends_with(2);
    is_harmless(&told.stderr);
    // The name of a scene, and of a run's folder.
    let named = with_dataset(TINY).replace("\"tiny\"", &quoted);
    room.write("named.ron", &named);
    let told = room.yarak_with(&["train", "named.ron", "--run", ODD, "--steps", "50"]);
    shows(&told, 0);
    let log = fs::read_to_string(room.path(ODD).join("log.txt")).unwrap();
    is_harmless(&log);
    assert!(log.contains(SHOWN), "{log}");
    shows(&room.yarak_with(&["eval", ODD, "--episodes", "1"]), 0);
    shows(&room.yarak_with(&["report", ODD]), 0);
    shows(&room.yarak_with(&["eval", &format!("no {ODD}")]), 2);
    shows(
        &room.yarak_with(&["train", "tiny.ron", &format!("--{ODD}")]),
        2,
    );
}
