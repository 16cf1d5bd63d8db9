//! Sizes that a file declares and has no bytes for.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rust_hdf5::H5File;

use crate::room::{Room, YARAK};

/// A dataset that holds nothing, whatever its shape says.
fn declare(file: &H5File, path: &str, shape: &[usize]) {
    file.new_dataset::<f32>().shape(shape).create(path).unwrap();
}

fn d4rl(path: &Path, observations: &[usize], others: &[usize]) {
    let file = H5File::create(path).unwrap();
    declare(&file, "observations", observations);
    declare(&file, "actions", observations);
    declare(&file, "rewards", others);
    declare(&file, "terminals", others);
    file.close().unwrap();
}

fn robomimic(path: &Path, shape: &[usize]) {
    let file = H5File::create(path).unwrap();
    let data = file.root_group().create_group("data").unwrap();
    let demo = data.create_group("demo_0").unwrap();
    for name in ["obs", "actions", "rewards", "dones"] {
        let dataset = demo.new_dataset::<f32>().shape(shape);
        dataset.create(name).unwrap();
    }
    drop((demo, data));
    file.close().unwrap();
}

#[test]
fn rows_of_nothing_are_refused_at_once_however_many_are_declared() {
    const MANY: usize = 1 << 56;
    let room = Room::new();
    let file = |name: &str| room.path(name);
    d4rl(&file("rows.hdf5"), &[MANY, 0], &[MANY, 0]);
    d4rl(&file("columns.hdf5"), &[0, MANY], &[0]);
    d4rl(&file("both.hdf5"), &[MANY, 0], &[0, MANY]);
    robomimic(&file("demo_rows.hdf5"), &[MANY, 0]);
    robomimic(&file("demo_columns.hdf5"), &[0, MANY]);
    let beside = H5File::create(file("beside.hdf5")).unwrap();
    for name in ["observations", "actions"] {
        let dataset = beside
            .new_dataset::<f32>()
            .shape([6, 1])
            .create(name)
            .unwrap();
        dataset
            .write_raw(&[0.0f32, 1.0, 2.0, 3.0, 5.0, 4.0])
            .unwrap();
    }
    for name in ["rewards", "terminals"] {
        let dataset = beside.new_dataset::<f32>().shape([6]).create(name).unwrap();
        dataset.write_raw(&[0.0f32; 6]).unwrap();
    }
    declare(&beside, "more", &[MANY, 0]);
    declare(&beside, "wide", &[0, MANY]);
    beside.close().unwrap();

    for name in [
        "rows",
        "columns",
        "both",
        "demo_rows",
        "demo_columns",
        "beside",
    ] {
        for command in ["check", "info", "plot", "convert"] {
            let input = format!("{name}.hdf5");
            let mut words = vec!["data", command, &input];
            let out = format!("{name}.out");
            if command == "convert" {
                words.extend([&out, "--to", "minari"]);
            }
            let began = Instant::now();
            let mut child = Command::new(YARAK)
                .args(&words)
                .current_dir(room.path("."))
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(fs::File::create(file("said")).unwrap())
                .spawn()
                .unwrap();
            let ended = loop {
                if let Some(status) = child.try_wait().unwrap() {
                    break status.code();
                }
                if began.elapsed() > Duration::from_secs(10) {
                    child.kill().unwrap();
                    panic!("{words:?} does not end");
                }
                std::thread::sleep(Duration::from_millis(5));
            };
            let said = fs::read_to_string(file("said")).unwrap();
            assert!(!said.contains("panicked"), "{words:?}: {said}");
            // What training does not read does not make the rest unfit.
            let is_fine = name == "beside" && command != "convert";
            let expected = if is_fine { 0 } else { 2 };
            assert!(
                ended == Some(expected) || (name == "beside" && command == "convert"),
                "{words:?}: {ended:?} {said}"
            );
        }
    }
}
