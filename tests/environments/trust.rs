//! Python and what lies about: nothing of the working directory is imported unasked, and no process is left behind.
//!
//! Runs where `YARAK_PYTHON` names a Python that has the package gymnasium, and says so where it does not.

#![cfg(target_os = "linux")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::gymnasium_bridge::python;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const YARAK: &str = env!("CARGO_BIN_EXE_yarak");

struct Room(tempfile::TempDir);

impl Room {
    /// A scene of 60 steps in an environment.
    fn new(env: &str) -> Self {
        let room = Room(tempfile::tempdir().unwrap());
        let network = "encoder: Mlp(hidden_sizes: [8])";
        let text = format!(
            "Scene(steps: 60, plugins: [
    Environments(env: \"{env}\", gymnasium: (seconds: 2.0)),
    Replay(capacity: 1000),
    Td3(minibatch: (batch_size: 8), off_policy: (learning_starts: 20), critic: ({network}), actor: ({network})),
    Evaluation(env: \"{env}\", every: 60, episodes: 1),
    Checkpoints(every: 1000),
])"
        );
        fs::write(room.path("scene.ron"), text).unwrap();
        room
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(YARAK);
        command
            .args(words)
            .current_dir(self.0.path())
            .env("PYTHONPATH", Path::new(ROOT).join("tests/python"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("PROCESSES", self.path("processes"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Leaves files about that say so where they are imported.
    fn lay_traps(&self) {
        let names = [
            "json",
            "linecache",
            "traceback",
            "struct",
            "gymnasium",
            "numpy",
            "sitecustomize",
            "usercustomize",
            "importlib",
            "jax",
            "fcntl",
            "socket",
        ];
        for name in names {
            fs::write(
                self.path(&format!("{name}.py")),
                "open('sprung', 'w').close()\n",
            )
            .unwrap();
        }
    }

    /// The numbers of the processes that were started.
    fn processes(&self) -> Vec<String> {
        let text = fs::read_to_string(self.path("processes")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    fn wait_for(&self, what: &str) {
        let began = Instant::now();
        while !self.path(what).exists() {
            assert!(began.elapsed() < Duration::from_secs(60), "{what}");
            std::thread::sleep(Duration::from_millis(5));
        }
        // Stopped by itself a moment after it says so.
        std::thread::sleep(Duration::from_millis(300));
    }

    /// Demands that none of the processes is there any more.
    #[track_caller]
    fn nobody_is_left(&self) {
        let processes = self.processes();
        assert!(!processes.is_empty());
        let began = Instant::now();
        let is_there = |process: &String| {
            let stat = fs::read_to_string(format!("/proc/{process}/stat"));
            // One that has ended and that nobody has asked for is none.
            stat.is_ok_and(|stat| !stat.contains(") Z "))
        };
        while let Some(left) = processes.iter().find(|it| is_there(it)) {
            assert!(began.elapsed() < Duration::from_secs(2), "{left} is left");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

const TRAIN: [&str; 6] = [
    "train",
    "scene.ron",
    "--run",
    "run",
    "--allow-module",
    "stopped_worlds",
];

fn said(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!text.contains("panicked"), "{text}");
    text
}

fn send(signal: &str, child: &Child) {
    let mut kill = Command::new("kill");
    kill.args([signal, &child.id().to_string()]);
    assert!(kill.status().unwrap().success());
}

#[test]
fn what_lies_in_the_working_directory_is_not_imported() {
    if !python() {
        return;
    }
    let room = Room::new("gymnasium:Pendulum-v1");
    room.lay_traps();
    // An empty entry of the path means the working directory, too.
    for path in ["", ":", &format!(":{ROOT}/tests/python:")] {
        let mut command = room.command(&["train", "scene.ron", "--debug"]);
        let output = command.env("PYTHONPATH", path).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        assert!(!room.path("sprung").exists(), "{path:?}");
    }
}

#[test]
fn mujocos_library_is_not_looked_for_in_the_working_directory() {
    if !python() {
        return;
    }
    let room = Room::new("Hopper-v5");
    room.lay_traps();
    fs::create_dir(room.path("mujoco")).unwrap();
    fs::write(
        room.path("mujoco/__init__.py"),
        "open('sprung', 'w').close()\n",
    )
    .unwrap();
    for name in ["mujoco/libmujoco.so", "libmujoco.so"] {
        fs::write(room.path(name), "no library").unwrap();
    }
    let mut command = room.command(&["train", "scene.ron", "--debug"]);
    command
        .env_remove("MUJOCO_LIB")
        .env("CONDA_PREFIX", ".")
        .env("HOME", "");
    let told = said(&command.output().unwrap());
    assert!(!told.contains(room.0.path().to_str().unwrap()), "{told}");
    assert!(!told.contains("./"), "{told}");
    assert!(!room.path("sprung").exists());
    // What is named is taken.
    command.env("MUJOCO_LIB", "mujoco/libmujoco.so");
    let told = said(&command.output().unwrap());
    assert!(
        told.contains("MUJOCO_LIB=mujoco/libmujoco.so: it does not load"),
        "{told}"
    );
}

#[test]
fn a_module_of_ones_own_is_imported_from_the_working_directory_where_it_is_allowed() {
    if !python() {
        return;
    }
    let room = Room::new("gymnasium:my_worlds.tasks:Mine-v0");
    room.lay_traps();
    fs::create_dir(room.path("my_worlds")).unwrap();
    fs::write(room.path("my_worlds/__init__.py"), "").unwrap();
    let world = "import gymnasium as gym
from my_robot import Robot
gym.register('Mine-v0', entry_point=Robot)
";
    fs::write(room.path("my_worlds/tasks.py"), world).unwrap();
    let robot = "from gymnasium.envs.classic_control import PendulumEnv
class Robot(PendulumEnv):
    def step(self, action):
        open('stepped', 'w').close()
        return super().step(action)[:2] + (True, False, {})
";
    fs::write(room.path("my_robot.py"), robot).unwrap();
    let train = ["train", "scene.ron", "--run", "run"];
    let output = room.command(&train).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("--allow-module my_worlds.tasks"));
    assert!(!room.path("stepped").exists());
    let allowed = [&train[..], &["--allow-module", "my_worlds.tasks"]].concat();
    let output = room.command(&allowed).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(room.path("stepped").exists());
    assert!(!room.path("sprung").exists());
    let eval = ["eval", "run", "--allow-module", "my_worlds.tasks"];
    assert_eq!(room.command(&eval).output().unwrap().status.code(), Some(0));
}

#[test]
fn a_process_that_is_stopped_is_noticed_in_time_and_named() {
    if !python() {
        return;
    }
    for (world, doing) in [("InStep", "in step"), ("InReset", "in reset")] {
        let room = Room::new(&format!("gymnasium:stopped_worlds:{world}-v0"));
        let began = Instant::now();
        let output = room.command(&TRAIN).output().unwrap();
        let told = said(&output);
        assert_eq!(output.status.code(), Some(1), "{told}");
        let words = format!("no answer for 2 s {doing}, as its Python process was stopped");
        assert!(told.contains(&words), "{told}");
        assert!(began.elapsed() < Duration::from_secs(30));
        room.nobody_is_left();
        if world == "InStep" {
            assert!(told.contains("the run was saved at step"), "{told}");
        }
    }
}

#[test]
fn a_run_stops_within_two_seconds_wherever_its_process_is_stopped() {
    if !python() {
        return;
    }
    for (world, reached, signal) in [
        ("InStep", "processes.reached", "-TERM"),
        ("InReset", "processes.reached", "-INT"),
        ("InC", "processes.reached", "-TERM"),
        ("AtImport", "processes", "-INT"),
    ] {
        // A machine that does much else may be late once.
        let mut tries = (0..3).map(|_| stopped_after(world, reached, signal));
        assert!(tries.any(|took| took < Duration::from_secs(2)), "{world}");
    }
}

/// How long a run goes on that is asked to stop once its world has come to a standstill.
fn stopped_after(world: &str, reached: &str, signal: &str) -> Duration {
    let name = if world == "AtImport" { "World" } else { world };
    let room = Room::new(&format!("gymnasium:stopped_worlds:{name}-v0"));
    let scene = fs::read_to_string(room.path("scene.ron")).unwrap();
    fs::write(
        room.path("scene.ron"),
        scene.replace("seconds: 2.0", "seconds: 600.0"),
    )
    .unwrap();
    let mut command = room.command(&TRAIN);
    if world == "AtImport" {
        command.env("AT_IMPORT", "1");
    }
    let child = command.spawn().unwrap();
    room.wait_for(reached);
    let asked = Instant::now();
    send(signal, &child);
    let output = child.wait_with_output().unwrap();
    let took = asked.elapsed();
    let told = said(&output);
    assert_eq!(output.status.code(), Some(130), "{world}: {told}");
    assert_eq!(
        room.path("run/checkpoints/latest").exists(),
        world != "AtImport"
    );
    room.nobody_is_left();
    took
}

#[test]
fn processes_that_do_not_close_are_ended_together() {
    if !python() {
        return;
    }
    let room = Room::new("gymnasium:stopped_worlds:InClose-v0");
    let scene = fs::read_to_string(room.path("scene.ron")).unwrap();
    let scene = scene.replace("gymnasium: (", "num_envs: 4, gymnasium: (workers: 4, ");
    fs::write(room.path("scene.ron"), scene).unwrap();
    let child = room.command(&TRAIN).spawn().unwrap();
    room.wait_for("run/scores.json");
    let began = Instant::now();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    // Two seconds for those that were learned in, and two for the one that was played in.
    assert!(
        began.elapsed() < Duration::from_secs(6),
        "{:?}",
        began.elapsed()
    );
    assert!(room.processes().len() >= 5);
    room.nobody_is_left();
}

#[test]
fn no_process_outlives_a_yarak_that_was_killed() {
    if !python() {
        return;
    }
    for world in ["InStep", "InC", "World"] {
        let room = Room::new(&format!("gymnasium:stopped_worlds:{world}-v0"));
        let scene = fs::read_to_string(room.path("scene.ron")).unwrap();
        let scene = scene
            .replace("seconds: 2.0", "seconds: 600.0")
            .replace("steps: 60", "steps: 100_000_000");
        fs::write(room.path("scene.ron"), scene).unwrap();
        let mut child = room.command(&TRAIN).stderr(Stdio::null()).spawn().unwrap();
        room.wait_for("processes.reached");
        child.kill().unwrap();
        child.wait().unwrap();
        room.nobody_is_left();
    }
}
