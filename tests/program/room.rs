//! The program under test, in a folder of its own, and what it leaves there.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Map, Value};
use yarak::prelude::*;

/// The program's file.
pub const YARAK: &str = env!("CARGO_BIN_EXE_yarak");

/// The package's root.
pub const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// A scene that trains in a fraction of a second and has everything: evaluations every 50 steps, validations every 40,
/// reports every 30, checkpoints every 25, rates that change, and returns over three steps.
pub const TINY: &str = r#"Scene(
    name: "tiny",
    steps: 300,
    plugins: [
        Dataset(path: "DATASET", validation: 0.2),
        Td3Bc(
            n_step: 3,
            minibatch: (batch_size: 16, steps_per_epoch: 60),
            critic: (
                encoder: Mlp(hidden_sizes: [8, 8]),
                optimizer: (learning_rate: Multistep(initial: 3e-3, decay_factor: 0.3, epoch_schedule: [2, 4])),
            ),
            actor: (encoder: Mlp(hidden_sizes: [8, 8]), optimizer: (learning_rate: Cosine(initial: 3e-3, over: Steps(300), warm_up: 20))),
        ),
        Evaluation(every: 50, episodes: 2),
        Validation(every: 40),
        Reports(every: 30),
        Checkpoints(every: 25, keep: 100),
        TensorBoard(),
    ],
)
"#;

/// Updates an app until its run has ended, which has to succeed.
#[track_caller]
pub fn run_to_the_end(app: &mut App) {
    while app.should_exit().is_none() {
        app.update();
    }
    assert_eq!(app.should_exit(), Some(AppExit::Success));
}

/// Sends a signal, such as `-INT`, to a process.
#[track_caller]
pub fn send(signal: &str, child: &Child) {
    let mut kill = Command::new("kill");
    kill.args([signal, &child.id().to_string()]);
    assert!(kill.status().unwrap().success());
}

/// What the program said and how it ended.
pub struct Told {
    /// The exit status; `None` where a signal ended it.
    pub status: Option<i32>,
    /// Results.
    pub stdout: String,
    /// Messages.
    pub stderr: String,
}

impl Told {
    /// Demands an exit status and gives the messages.
    #[track_caller]
    pub fn ends_with(&self, status: i32) -> &str {
        assert_eq!(
            self.status,
            Some(status),
            "stdout:\n{}\nstderr:\n{}",
            self.stdout,
            self.stderr
        );
        for text in [&self.stdout, &self.stderr] {
            assert!(!text.contains("panicked"), "{text}");
        }
        &self.stderr
    }

    /// Demands success and gives the results.
    #[track_caller]
    pub fn result(&self) -> &str {
        self.ends_with(0);
        &self.stdout
    }

    /// Demands a refusal: exit status 2, nothing on standard output, and each of `parts` in the messages.
    #[track_caller]
    pub fn refuses(&self, parts: &[&str]) {
        let message = self.ends_with(2);
        for part in parts {
            assert!(
                message.contains(part),
                "{part:?} is not in the message:\n{message}"
            );
        }
        assert_eq!(self.stdout, "");
    }
}

/// A folder for one test.
pub struct Room(tempfile::TempDir);

impl Room {
    /// An empty folder with the tiny scene in it, `tiny.ron`.
    pub fn new() -> Self {
        let room = Room(tempfile::tempdir().unwrap());
        room.write("tiny.ron", &with_dataset(TINY));
        room
    }

    /// A path in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file in it.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// Runs the program in it. Words are cut at spaces.
    pub fn yarak(&self, words: &str) -> Told {
        self.yarak_with(&words.split_whitespace().collect::<Vec<_>>())
    }

    /// Runs the program in it with other environment variables.
    pub fn yarak_within(&self, variables: &[(&str, &str)], words: &str) -> Told {
        let mut command = Command::new(YARAK);
        command
            .args(words.split_whitespace())
            .envs(variables.iter().copied());
        told_by(command.current_dir(self.0.path()))
    }

    /// Runs the program in it.
    pub fn yarak_with(&self, arguments: &[&str]) -> Told {
        run_in(self.0.path(), arguments)
    }

    /// Starts the program in it and does not wait.
    pub fn start(&self, words: &str) -> Child {
        Command::new(YARAK)
            .args(words.split_whitespace())
            .current_dir(self.0.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }
}

/// Runs the program in a folder.
pub fn run_in(folder: &Path, arguments: &[&str]) -> Told {
    told_by(Command::new(YARAK).args(arguments).current_dir(folder))
}

/// Runs the program in the package's folder, where its scenes and assets are.
pub fn yarak(words: &[&str]) -> Told {
    run_in(Path::new(ROOT), words)
}

fn told_by(command: &mut Command) -> Told {
    let output = command.stdin(Stdio::null()).output().unwrap();
    Told {
        status: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// The dataset that comes with the package.
pub fn dataset() -> PathBuf {
    Path::new(ROOT).join("assets/pendulum-medium-expert.hdf5")
}

/// A scene on the dataset that comes with the package.
pub fn with_dataset(scene: &str) -> String {
    scene.replace("DATASET", dataset().to_str().unwrap())
}

/// Waits until `there` is true.
#[track_caller]
pub fn wait_until(what: &str, there: impl Fn() -> bool) {
    let started = Instant::now();
    while !there() {
        assert!(started.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// The name of the checkpoint that a run's `latest` or `best` names.
pub fn named(run: &Path, pointer: &str) -> String {
    let text = fs::read_to_string(run.join("checkpoints").join(pointer)).unwrap();
    text.trim().to_owned()
}

/// The names of a run's checkpoints, in order.
pub fn checkpoints(run: &Path) -> Vec<String> {
    let entries = fs::read_dir(run.join("checkpoints")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name.starts_with("step_")).collect();
    names.sort();
    names
}

/// Every file below a folder, by its path in there, but for locks.
pub fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            for (inner, bytes) in files(&path) {
                found.insert(format!("{name}/{inner}"), bytes);
            }
        } else if name != ".lock" {
            found.insert(name, fs::read(&path).unwrap());
        }
    }
    found
}

/// A run's checkpoint, file by file.
pub fn checkpoint(run: &Path, name: &str) -> BTreeMap<String, Vec<u8>> {
    files(&run.join("checkpoints").join(name))
}

/// The tensors of a run's checkpoint and the state of its counters and random streams: what is learned, and nothing of
/// what is reported on the way.
pub fn learned(run: &Path, name: &str) -> BTreeMap<String, Vec<u8>> {
    let mut files = checkpoint(run, name);
    files.remove("checksums.ron");
    let state = String::from_utf8(files.remove("state.ron").unwrap()).unwrap();
    let keys = ["clock", "tick/", "random/", "optimizer_", "preprocessing"];
    let kept = state.lines().filter(|line| {
        let key = line.trim_start().trim_start_matches('"');
        keys.iter().any(|kept| key.starts_with(kept))
    });
    let kept: Vec<&str> = kept.collect();
    assert!(kept.len() >= 9, "{state}");
    files.insert("state".to_owned(), kept.join("\n").into_bytes());
    files
}

/// A run's reports, without what depends on the clock on the wall.
pub fn reports(run: &Path) -> Vec<Map<String, Value>> {
    let text = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let rows = text.lines().map(|line| {
        let mut row: Map<String, Value> = serde_json::from_str(line).unwrap();
        row.retain(|name, _| !name.starts_with("time/"));
        row
    });
    rows.collect()
}

/// The reports of one metric, with their steps.
pub fn metric(run: &Path, name: &str) -> Vec<(u64, f64)> {
    let rows = reports(run).into_iter().filter_map(|row| {
        let value = row.get(name)?.as_f64().unwrap();
        Some((row["step"].as_u64().unwrap(), value))
    });
    rows.collect()
}

/// Copies a folder.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for (name, bytes) in files(from) {
        let path = to.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}
