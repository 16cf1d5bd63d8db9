//! The bridge to Python's Gymnasium: to the bit what Gymnasium itself plays, and everything that can go wrong at the other end
//! (`python/bridge_worlds.py`), seen in time and named.
//!
//! Runs where `YARAK_PYTHON` names a Python that has the package gymnasium, and says so where it does not.

#![cfg(unix)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use yarak::collect::{Actions, Autoreset, FinishedEpisodes, GymnasiumWorkers, Observations};
use yarak::env::{EnvironmentError, registry};
use yarak::prelude::*;
use yarak::schedule::take_failure;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const YARAK: &str = env!("CARGO_BIN_EXE_yarak");

/// Whether there is a Python; says so where there is none.
pub fn python() -> bool {
    let Some(python) = std::env::var_os("YARAK_PYTHON") else {
        eprintln!("skipped: set YARAK_PYTHON to a Python that has the package gymnasium");
        return false;
    };
    let import = Command::new(&python)
        .args(["-c", "import gymnasium"])
        .output();
    let there = import.is_ok_and(|it| it.status.success());
    if !there {
        eprintln!("skipped: {python:?} (YARAK_PYTHON) does not import `gymnasium`");
    }
    there
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// Actions as a policy gives them, for every environment of the classic control.
fn actions(random: &mut Random<Noise>, space: &Space, rows: usize) -> Vec<f32> {
    match space {
        Space::Discrete { n } => {
            let drawn = random.indices(rows, *n);
            drawn.iter().map(|index| *index as f32).collect()
        }
        space => random.uniforms(rows * space.size(), -1.0, 1.0),
    }
}

#[test]
fn an_environment_in_python_plays_our_own_trajectories_to_the_bit() {
    if !python() {
        return;
    }
    for name in [
        "CartPole-v1",
        "Pendulum-v1",
        "MountainCarContinuous-v0",
        "Acrobot-v1",
    ] {
        let mut own = registry::make(name).unwrap();
        let mut bridged = registry::make(&format!("gymnasium:{name}")).unwrap();
        assert_eq!(bridged.name(), format!("gymnasium:{name}"));
        assert_eq!(own.observation_space(), bridged.observation_space());
        assert_eq!(own.action_space(), bridged.action_space());
        let width = own.observation_space().size();
        let (mut seen, mut twin) = (vec![0.0; width], vec![0.0; width]);
        let unseeded = bridged.reset(None, &mut twin);
        assert!(matches!(unseeded, Err(EnvironmentError::Unseeded { .. })));
        own.reset(Some(11), &mut seen).unwrap();
        bridged.reset(Some(11), &mut twin).unwrap();
        let mut random = Random::<Noise>::new(Seed(3));
        let mut ends = 0;
        for step in 0..1_200 {
            assert_eq!(bits(&seen), bits(&twin), "{name}, step {step}");
            let action = actions(&mut random, own.action_space(), 1);
            let outcome = own.step(&action, &mut seen).unwrap();
            assert_eq!(
                bridged.step(&action, &mut twin).unwrap(),
                outcome,
                "{name}, step {step}"
            );
            if outcome.ended() {
                ends += 1;
                assert_eq!(bits(&seen), bits(&twin), "{name}, step {step}");
                let over = bridged.step(&action, &mut twin);
                assert!(matches!(over, Err(EnvironmentError::EpisodeOver { .. })));
                own.reset(None, &mut seen).unwrap();
                bridged.reset(None, &mut twin).unwrap();
            }
        }
        assert!(ends > 0, "{name}");
        assert!(bridged.restore(&bridged.snapshot()).is_err());
    }
}

fn app(env: &str, autoreset: Autoreset) -> App {
    let mut app = App::new();
    app.add_plugins((
        YarakPlugins,
        Environments {
            env: env.to_owned(),
            num_envs: 5,
            seed: 2,
            autoreset,
            time_limit: Some(60),
            gymnasium: GymnasiumWorkers {
                workers: 2,
                ..default()
            },
            ..default()
        },
    ));
    app.finish();
    app.cleanup();
    app.world_mut().run_schedule(PostStartup);
    assert_eq!(take_failure(), None);
    app
}

#[test]
fn entities_over_two_processes_step_as_the_built_in_ones_do() {
    if !python() {
        return;
    }
    for name in ["CartPole-v1", "Pendulum-v1"] {
        for autoreset in [Autoreset::SameStep, Autoreset::NextStep] {
            let mut own = app(name, autoreset);
            let mut bridged = app(&format!("gymnasium:{name}"), autoreset);
            let space = registry::specification(name).unwrap().action_space;
            let mut random = Random::<Noise>::new(Seed(3));
            let mut ended = 0;
            for step in 0..150 {
                let actions = actions(&mut random, &space, 5);
                for app in [&mut own, &mut bridged] {
                    let world = app.world_mut();
                    world
                        .resource_mut::<Actions>()
                        .values
                        .copy_from_slice(&actions);
                    world.run_schedule(Collect);
                    assert_eq!(take_failure(), None);
                }
                let [one, other] = [&own, &bridged].map(|it| it.world().resource::<StepResults>());
                assert_eq!(one, other, "{name}, step {step}");
                let [one, other] = [&own, &bridged].map(|it| it.world().resource::<Observations>());
                assert_eq!(one, other, "{name}, step {step}");
                ended += own.world().resource::<FinishedEpisodes>().0.len();
            }
            assert!(ended >= 5, "{name}: {ended}");
        }
    }
}

/// Runs in a process that finds the worlds that go wrong.
#[test]
#[ignore = "run by `the_parts_of_a_dictionary_come_in_the_order_of_their_names`"]
fn the_parts_inside() {
    let mut parts = registry::make("gymnasium:bridge_worlds:Parts-v0").unwrap();
    let mut seen = vec![0.0; parts.observation_space().size()];
    parts.reset(Some(0), &mut seen).unwrap();
    // B, a, b, c, d by their bytes; discrete actions are counted from 0, and the parts of a tuple come by their numbers.
    let mut expected = vec![200.0, 4.0, 10.0, 11.0, 12.0, 13.0, 0.0, 1.0];
    expected.extend((2..12).map(|it| it as f32));
    expected.extend([1.0, 2.0, 3.0]);
    assert_eq!(seen, expected);
    let space = parts.observation_space();
    assert_eq!(space.place_of("b"), Some(2..6));
    assert_eq!(space.place_of("c"), Some(6..18));
    assert!(space.contains(&seen));
    assert_eq!(*parts.action_space(), Space::Discrete { n: 3 });
    // Choices of actions are counted from 0 as well: the first is -1 there.
    assert_eq!(parts.step(&[0.0], &mut seen).unwrap().reward, -1.0);
    assert_eq!(parts.step(&[2.0], &mut seen).unwrap().reward, 1.0);
}

/// The test that is run in a process of its own.
const INSIDE: &str = "gymnasium_bridge::the_parts_inside";

#[test]
fn the_parts_of_a_dictionary_come_in_the_order_of_their_names() {
    if !python() {
        return;
    }
    let inside = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", INSIDE, "--nocapture"])
        .env("PYTHONPATH", worlds())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&inside.stderr);
    assert!(inside.status.success(), "{said}");
    let told = String::from_utf8_lossy(&inside.stdout);
    assert!(told.contains("1 passed"), "{told}");
}

fn worlds() -> PathBuf {
    Path::new(ROOT).join("tests/python")
}

struct Told {
    status: Option<i32>,
    stdout: String,
    stderr: String,
}

impl From<Output> for Told {
    fn from(output: Output) -> Self {
        Told {
            status: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// A run of 120 steps in two environments of a name, of which the 30th step of each is the 60th.
fn scene(folder: &Path, env: &str, evaluated: &str) -> PathBuf {
    let path = folder.join("walk.ron");
    let text = format!(
        r#"Scene(
    name: "walk",
    steps: 120,
    plugins: [
        Environments(env: "{env}", num_envs: 2, gymnasium: (workers: 2, seconds: 2.0)),
        Replay(capacity: 1_000),
        Td3(minibatch: (batch_size: 8), off_policy: (learning_starts: 20), critic: (encoder: Mlp(hidden_sizes: [8])), actor: (encoder: Mlp(hidden_sizes: [8]))),
        Evaluation(env: "{evaluated}", every: 1_000, episodes: 2),
        Checkpoints(every: 1_000),
    ],
)
"#
    );
    fs::write(&path, text).unwrap();
    path
}

fn yarak(words: &[&str], variables: &[(&str, &str)]) -> Told {
    let mut command = Command::new(YARAK);
    command.args(words).env("PYTHONPATH", worlds());
    if ["train", "eval", "collect"].contains(&words[0]) {
        command.args(["--allow-module", "bridge_worlds"]);
    }
    command.envs(variables.iter().copied());
    command.output().unwrap().into()
}

/// Trains in a world that goes wrong, then goes on from what was saved in one that does not.
fn fails_saved_and_resumes(world: &str, words: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let env = format!("gymnasium:bridge_worlds:{world}-v0");
    let scene = scene(folder.path(), &env, &env);
    let run = folder.path().join("run");
    let (scene, run) = (scene.to_str().unwrap(), run.to_str().unwrap());
    let train = ["train", scene, "--run", run];
    let began = Instant::now();
    let told = yarak(&train, &[]);
    assert_eq!(told.status, Some(1), "{}", told.stderr);
    assert!(began.elapsed() < Duration::from_secs(60));
    for word in [&[env.as_str(), "the run was saved at step"][..], words].concat() {
        assert!(
            told.stderr.contains(word),
            "no {word:?} in:\n{}",
            told.stderr
        );
    }
    assert!(!told.stderr.contains("panicked"), "{}", told.stderr);
    let latest = fs::read_to_string(Path::new(run).join("checkpoints/latest")).unwrap();
    assert!(latest.starts_with("step_0000000"), "{latest}");

    let resume = [&train[..], &["--resume", "auto"]].concat();
    let told = yarak(&resume, &[("SOUND", "1")]);
    assert!(
        told.stderr.contains("begin new episodes"),
        "{}",
        told.stderr
    );
    assert!(told.stderr.contains("resuming from"), "{}", told.stderr);
    assert_eq!(told.status, Some(0), "{}", told.stderr);
    assert!(told.stdout.contains("at step 120"), "{}", told.stdout);

    // What goes wrong while a dataset is collected ends that as well.
    let out = folder.path().join("steps.hdf5");
    let told = yarak(&["collect", run, "--out", out.to_str().unwrap()], &[]);
    assert_eq!(told.status, Some(1), "{}", told.stderr);
    assert!(!out.exists());
}

#[test]
fn an_exception_arrives_with_its_traceback_and_the_run_is_saved() {
    if python() {
        fails_saved_and_resumes(
            "Raises",
            &[
                "in step of environment 0",
                "Traceback (most recent call last)",
                "ValueError: the sensor came loose",
                "bridge_worlds.py",
            ],
        );
        let words = [
            "in reset of environment 0",
            "RuntimeError: the door is locked",
        ];
        fails_saved_and_resumes("RaisesAtReset", &words);
        let words = ["in step of environment 1", "ValueError: the second one"];
        fails_saved_and_resumes("RaisesInTheSecond", &words);
        fails_saved_and_resumes("Exits", &["it called sys.exit('enough')"]);
        fails_saved_and_resumes("Poisons", &["observation[0] of environment 0 is NaN"]);
    }
}

#[test]
fn a_process_that_is_killed_is_seen_and_named_and_the_run_is_saved() {
    if python() {
        fails_saved_and_resumes(
            "Kills",
            &["its Python process ended", "signal: 9 (SIGKILL)"],
        );
    }
}

#[test]
fn a_process_that_hangs_is_ended_in_time_and_the_run_is_saved() {
    if python() {
        fails_saved_and_resumes("Hangs", &["no answer for 2 s in step", "gymnasium.seconds"]);
    }
}

#[test]
fn what_an_environment_prints_comes_between_nothing() {
    if !python() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let env = "gymnasium:bridge_worlds:Talks-v0";
    let scene = scene(folder.path(), env, env);
    let run = folder.path().join("run");
    let (scene, run) = (scene.to_str().unwrap(), run.to_str().unwrap());
    let told = yarak(&["train", scene, "--run", run], &[]);
    assert_eq!(told.status, Some(0), "{}", told.stderr);
    assert!(told.stdout.contains("evaluate/return"), "{}", told.stdout);
    assert!(!told.stdout.contains("CHATTER"), "{}", told.stdout);
    for way in ["CHATTER\n", "CHATTER from below", "CHATTER from a child"] {
        assert!(told.stderr.contains(way), "{way}");
    }
}

#[test]
fn eval_plays_the_same_episodes_over_the_bridge() {
    if !python() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let scene = scene(
        folder.path(),
        "gymnasium:Pendulum-v1",
        "gymnasium:Pendulum-v1",
    );
    let run = folder.path().join("run");
    let (scene, run) = (scene.to_str().unwrap(), run.to_str().unwrap());
    let told = yarak(&["train", scene, "--run", run], &[]);
    assert_eq!(told.status, Some(0), "{}", told.stderr);
    let returns = |env: &str| {
        let told = yarak(&["eval", run, "--env", env, "--seed", "4", "--json"], &[]);
        assert_eq!(told.status, Some(0), "{}", told.stderr);
        let said: serde_json::Value = serde_json::from_str(&told.stdout).unwrap();
        assert_eq!(said["episodes"], 2);
        said["returns"].clone()
    };
    assert_eq!(returns("gymnasium:Pendulum-v1"), returns("Pendulum-v1"));

    // And `collect` writes the steps of it.
    let out = folder.path().join("steps.hdf5");
    let out = out.to_str().unwrap();
    let told = yarak(&["collect", run, "--out", out, "--steps", "402"], &[]);
    assert_eq!(told.status, Some(0), "{}", told.stderr);
    let info = yarak(&["data", "info", out, "--json"], &[]);
    let info: serde_json::Value = serde_json::from_str(&info.stdout).unwrap();
    assert_eq!(
        (&info["transitions"], &info["episodes"]),
        (&402.into(), &4.into())
    );
}

#[test]
fn what_cannot_start_is_refused_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let start = |env: &str, variables: &[(&str, &str)]| {
        let scene = scene(folder.path(), env, "Pendulum-v1");
        let run = folder.path().join("run");
        let words = [
            "train",
            scene.to_str().unwrap(),
            "--run",
            run.to_str().unwrap(),
        ];
        let told = yarak(&words, variables);
        assert_eq!(told.status, Some(2), "{}", told.stderr);
        assert!(!run.exists());
        told.stderr
    };
    let said = start(
        "gymnasium:Pendulum-v1",
        &[("YARAK_PYTHON", "/no/such/python")],
    );
    assert!(said.contains("`/no/such/python` does not start"), "{said}");
    let said = start("gymnasium:Pendulum-v1", &[("YARAK_PYTHON", "false")]);
    assert!(
        said.contains("`false` started and ended (exit status: 1)"),
        "{said}"
    );
    if !python() {
        return;
    }
    let said = start("gymnasium:NoSuchTask-v9", &[]);
    assert!(
        said.contains("making NoSuchTask-v9") && said.contains("NameNotFound"),
        "{said}"
    );
    fs::write(
        folder.path().join("gymnasium.py"),
        "raise ImportError('not installed')",
    )
    .unwrap();
    let hidden = folder.path().to_str().unwrap();
    let said = start("gymnasium:Pendulum-v1", &[("PYTHONPATH", hidden)]);
    assert!(said.contains("importing gymnasium"), "{said}");
    assert!(said.contains("ImportError: not installed"), "{said}");
}
