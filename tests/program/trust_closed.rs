//! Terminals that have gone, readers that have had enough, and disks that are full.

#![cfg(target_os = "linux")]

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::room::{Room, YARAK, named, send, wait_until};

fn full() -> Stdio {
    OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap()
        .into()
}

#[test]
fn a_limit_of_a_files_size_is_a_failure_with_a_message() {
    let room = Room::new();
    // 1 KiB: too little for a checkpoint.
    let command = format!("ulimit -f 1; exec {YARAK} train tiny.ron --run run");
    let output = Command::new("bash")
        .args(["-c", &command])
        .current_dir(room.path("."))
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("File too large"), "{said}");
    room.yarak("train tiny.ron --run run --resume auto")
        .ends_with(0);
}

#[test]
fn a_result_that_cannot_be_written_is_a_failure_with_a_message() {
    let room = Room::new();
    room.yarak("train tiny.ron --run run --steps 50")
        .ends_with(0);
    let dataset = crate::room::dataset();
    fs::copy(dataset, room.path("d.hdf5")).unwrap();
    for words in [
        "--help",
        "--version",
        "train --help",
        "list slots",
        "scene template Td3Bc",
        "scene schema Td3Bc --json",
        "scene check tiny.ron",
        "graph tiny.ron",
        "data info d.hdf5",
        "data check d.hdf5 --json",
        "data convert d.hdf5 o.hdf5 --to robomimic",
        "data plot d.hdf5",
        "eval run --episodes 1",
        "eval run --episodes 1 --json",
        "export run policy.safetensors",
        "report run",
        "new project",
        "train tiny.ron --run other --steps 50",
        "collect run --out c.hdf5 --steps 200",
        "bench schedule --seconds 0.01",
    ] {
        let output = Command::new(YARAK)
            .args(words.split_whitespace())
            .current_dir(room.path("."))
            .stdin(Stdio::null())
            .stdout(full())
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{words}: {said}");
        assert!(
            said.contains("could not be written to standard output"),
            "{words}: {said}"
        );
    }
}

/// A run that goes on until it is stopped, whose standard output and error nobody reads any more.
fn unheard(room: &Room, command: &mut Command) -> Child {
    command
        .args(["train", "tiny.ron", "--run", "run", "--steps", "100000000"])
        .current_dir(room.path("."))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    drop(child.stdout.take());
    // Some lines, and then no more.
    let mut said = BufReader::new(child.stderr.take().unwrap());
    said.read_line(&mut String::new()).unwrap();
    drop(said);
    wait_until("a checkpoint", || {
        room.path("run/checkpoints/latest").is_file()
    });
    child
}

#[test]
fn a_run_that_nobody_listens_to_is_saved_when_its_terminal_hangs_up() {
    for signal in ["-HUP", "-INT", "-TERM"] {
        let room = Room::new();
        let mut child = unheard(&room, &mut Command::new(YARAK));
        send(signal, &child);
        assert_eq!(child.wait().unwrap().code(), Some(130), "{signal}");
        let log = fs::read_to_string(room.path("run/log.txt")).unwrap();
        assert!(log.contains("interrupted and saved at step"), "{log}");
        let latest = named(&room.path("run"), "latest");
        assert!(room.path("run/checkpoints").join(latest).is_dir());
    }
}

#[test]
fn a_run_that_nobody_listens_to_goes_on_to_its_end() {
    let room = Room::new();
    let mut child = Command::new(YARAK)
        .args(["train", "tiny.ron", "--run", "run"])
        .current_dir(room.path("."))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop((child.stdout.take(), child.stderr.take()));
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(named(&room.path("run"), "latest"), "step_000000300");
}

#[test]
fn a_run_that_was_started_to_outlive_its_terminal_does() {
    let room = Room::new();
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' HUP; exec \"$0\" \"$@\"", YARAK]);
    let mut child = unheard(&room, &mut shell);
    send("-HUP", &child);
    let before = named(&room.path("run"), "latest");
    wait_until("a later checkpoint", || {
        named(&room.path("run"), "latest") != before
    });
    assert!(child.try_wait().unwrap().is_none());
    send("-TERM", &child);
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

/// Every other command, cut off after its first byte.
#[test]
fn a_reader_that_has_had_enough_is_no_failure() {
    for words in ["list", "scene schema Td3Bc", "--help"] {
        let began = Instant::now();
        let mut child = Command::new(YARAK)
            .args(words.split_whitespace())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create("/dev/null").unwrap())
            .spawn()
            .unwrap();
        let mut out = child.stdout.take().unwrap();
        let _ = out.read(&mut [0; 1]);
        drop(out);
        assert_eq!(child.wait().unwrap().code(), Some(0), "{words}");
        assert!(began.elapsed() < Duration::from_secs(30));
    }
}
