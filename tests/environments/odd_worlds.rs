//! Worlds in Python with odd spaces and odd answers (`python/odd_worlds.py`): each is taken as it is meant, or refused in words.
//!
//! Runs where `YARAK_PYTHON` names a Python that has the package gymnasium, and says so where it does not.

#![cfg(unix)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use yarak::data::load;

use crate::gymnasium_bridge::python;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const YARAK: &str = env!("CARGO_BIN_EXE_yarak");

/// A folder with a scene in it, and what the world in it was told.
struct Room(tempfile::TempDir);

impl Room {
    /// A scene of 60 steps in the world of a name; `more` are settings of its `Environments`, `evaluation` of its `Evaluation`.
    fn new(world: &str, more: &str, evaluation: &str) -> Self {
        let plugins = "Replay(capacity: 1000),
            Td3(minibatch: (batch_size: 8), off_policy: (learning_starts: 20), critic: (encoder: Mlp(hidden_sizes: [8])), actor: (encoder: Mlp(hidden_sizes: [8]))),
            Checkpoints(every: 30, best: None),";
        let env = format!("gymnasium:odd_worlds:{world}-v0");
        let evaluation =
            format!("Evaluation(env: \"{env}\", every: 30, episodes: 2, {evaluation}),");
        Room::with(&format!(
            "Scene(steps: 60, plugins: [Environments(env: \"{env}\", num_envs: 2, {more}), {plugins} {evaluation}])"
        ))
    }

    /// A scene that collects 400 random steps.
    fn collecting(world: &str) -> Self {
        Room::with(&format!(
            "Scene(steps: 400, plugins: [Environments(env: \"gymnasium:odd_worlds:{world}-v0\"), ActRandomly()])"
        ))
    }

    fn with(scene: &str) -> Self {
        let room = Room(tempfile::tempdir().unwrap());
        fs::write(room.path("scene.ron"), scene).unwrap();
        room
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self, words: &str) -> Command {
        let mut command = Command::new(YARAK);
        command
            .args(words.split_whitespace())
            .current_dir(self.0.path())
            .env("PYTHONPATH", Path::new(ROOT).join("tests/python"))
            .env("ACTIONS", self.path("actions.log"))
            .env("SEEDS", self.path("seeds.log"))
            .stdin(Stdio::null());
        if ["train", "eval", "collect"]
            .iter()
            .any(|it| words.starts_with(it))
        {
            command.args(["--allow-module", "odd_worlds"]);
        }
        command
    }

    #[track_caller]
    fn yarak(&self, words: &str, status: i32) -> String {
        let output = self.command(words).output().unwrap();
        told(&output, status)
    }

    /// The actions since the last call, one a line.
    fn actions(&self) -> Vec<Vec<f64>> {
        let log = self.path("actions.log");
        let text = fs::read_to_string(&log).unwrap_or_default();
        let _ = fs::remove_file(log);
        let lines = text.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

#[track_caller]
fn told(output: &Output, status: i32) -> String {
    let [out, said] = [&output.stdout, &output.stderr].map(|it| String::from_utf8_lossy(it));
    assert_eq!(output.status.code(), Some(status), "{out}\n{said}");
    assert!(!said.contains("panicked"), "{said}");
    format!("{out}{said}")
}

/// Whether an element takes at least half of its range, and nothing beyond it.
fn spreads(actions: &[Vec<f64>], element: usize, low: f64, high: f64) {
    let values = actions.iter().map(|action| action[element]);
    let least = values.clone().fold(f64::INFINITY, f64::min);
    let most = values.fold(f64::NEG_INFINITY, f64::max);
    assert!(
        low <= least && most <= high && most - least >= 0.5 * (high - low),
        "element {element}: {least} to {most} of {low} to {high}"
    );
}

#[test]
fn each_element_of_an_action_is_scaled_by_its_own_bounds_wherever_it_is_sent_from() {
    if !python() {
        return;
    }
    let room = Room::new("Mixed", "", "");
    room.yarak("train scene.ron", 0);
    let actions = room.actions();
    for (element, (low, high)) in [(100.0, 200.0), (0.0, 10.0), (0.5, 0.5)]
        .into_iter()
        .enumerate()
    {
        spreads(&actions, element, low, high);
    }
    // Two evaluations of the policy and a collection by it send the same actions for the same observations.
    room.yarak("eval runs/scene --episodes 1 --seed 3", 0);
    let played = room.actions();
    room.yarak("collect runs/scene --out o.hdf5 --steps 20 --seed 3", 0);
    let collected = room.actions();
    let of_the_first = collected.iter().step_by(2).take(10);
    assert_eq!(played, of_the_first.cloned().collect::<Vec<_>>());
}

#[test]
fn an_element_without_two_finite_bounds_is_refused_by_name_or_takes_its_range_from_a_setting() {
    if !python() {
        return;
    }
    for (world, named) in [
        ("Infinite", "action element 0 ranges from -inf to inf"),
        ("HalfInfinite", "action element 1 ranges from 0 to inf"),
    ] {
        let room = Room::new(world, "", "");
        let said = room.yarak("train scene.ron", 2);
        assert!(
            said.contains(named) && said.contains("action_bounds"),
            "{said}"
        );
        assert!(!room.path("runs").exists());
    }
    let room = Room::new("HalfInfinite", "action_bounds: [(0.0, 4.0)]", "");
    room.yarak("train scene.ron", 0);
    let actions = room.actions();
    spreads(&actions, 0, -1.0, 1.0);
    spreads(&actions, 1, 0.0, 4.0);
    // The world itself refuses what its space does not contain.
    let room = Room::new("HalfInfinite", "rescale_actions: false", "");
    room.yarak("train scene.ron", 0);
    spreads(&room.actions(), 1, 0.0, 1.0);
    let room = Room::new("HalfInfinite", "action_bounds: [(-1.0, 1.0)]", "");
    let said = room.yarak("train scene.ron", 2);
    assert!(said.contains("its space is from 0 to inf"), "{said}");
}

#[test]
fn bounds_of_doubles_and_of_shapes_without_axes_are_never_overstepped() {
    if !python() {
        return;
    }
    for (world, elements, low, high) in [("Doubles", 2, -0.1, 0.1), ("Scalar", 1, 0.0, 3.0)] {
        let room = Room::new(world, "", "");
        room.yarak("train scene.ron", 0);
        let actions = room.actions();
        for element in 0..elements {
            spreads(&actions, element, low, high);
        }
    }
}

#[test]
fn whole_numbers_are_rounded_to_the_nearest_and_recorded_as_the_world_got_them() {
    if !python() {
        return;
    }
    for (world, values) in [
        ("Symmetric", &[-2.0, -1.0, 0.0, 1.0, 2.0][..]),
        ("Bit", &[0.0, 1.0]),
    ] {
        let room = Room::collecting(world);
        room.yarak("collect scene.ron --out o.hdf5", 0);
        let sent: Vec<f64> = room.actions().concat();
        let file = load(room.path("o.hdf5")).unwrap();
        let recorded = file.action().values.iter().map(|it| f64::from(*it));
        assert_eq!(recorded.collect::<Vec<_>>(), sent);
        for value in values {
            let share = sent.iter().filter(|it| *it == value).count() as f64 / sent.len() as f64;
            let expected = 1.0 / (values.len() as f64 - 1.0);
            let ends = [values[0], values[values.len() - 1]].contains(value);
            let expected = if ends { expected / 2.0 } else { expected };
            assert!((share - expected).abs() < 0.08, "{value}: {share}");
        }
    }
    for world in ["Symmetric", "Wide"] {
        Room::new(world, "", "").yarak("train scene.ron", 0);
    }
}

#[test]
fn discrete_actions_are_collected_with_the_numbers_of_their_world() {
    if !python() {
        return;
    }
    let room = Room::collecting("FromFive");
    room.yarak("collect scene.ron --out o.hdf5", 0);
    let sent = room.actions().concat();
    assert!(sent.iter().all(|it| [5.0, 6.0, 7.0].contains(it)));
    let file = load(room.path("o.hdf5")).unwrap();
    assert_eq!(file.discrete_actions(), Some(3));
    let read = file.action().values.iter().map(|it| f64::from(*it) + 5.0);
    assert_eq!(read.collect::<Vec<_>>(), sent);
    // The file itself says where they begin, so that a copy in another layout does.
    let told = room.yarak("data convert o.hdf5 copy-v0 --to minari", 0);
    assert!(told.contains("400 transitions"), "{told}");
    let spaces = fs::read_to_string(room.path("copy-v0/data/metadata.json")).unwrap();
    assert!(
        spaces.replace('\\', "").contains(r#""start": 5, "n": 3"#),
        "{spaces}"
    );
}

#[test]
fn what_gymnasiums_interface_does_not_have_is_named_with_its_type_and_the_remedy() {
    if !python() {
        return;
    }
    for (world, words) in [
        (
            "RewardPair",
            &["array([1., 2.]", "of shape (2,)", "a reward is one number"][..],
        ),
        (
            "RewardNone",
            &["a reward is None, of type NoneType", "float(reward)"],
        ),
        ("RewardText", &["a reward is '1.0', of type str"]),
        ("RewardHuge", &["is 1e300, and float32"]),
        (
            "OldReset",
            &["`reset` returned array(", "(observation, info)"],
        ),
        (
            "OldStep",
            &["`step` returned 4 values", "terminated, truncated, info"],
        ),
        ("NoFlag", &["`terminated` is None", "bool(terminated)"]),
        ("SeesNothing", &["an observation is None, of type NoneType"]),
        ("SeesTooFar", &["observation[1] is 1e+300", "scale"]),
        (
            "SeesBetween",
            &["an observation is 1.5, of type float", "Discrete(4)"],
        ),
        ("SeesBeyond", &["array([1, 2])", "MultiDiscrete([4 2])"]),
        (
            "SeesHalfBytes",
            &["array([0.5, 1. ])", "return an array of uint8"],
        ),
        (
            "SeesNoBytes",
            &["array([300, 1])", "return an array of uint8"],
        ),
        ("LacksAPart", &["{'a': 1}, of type dict", "lacks parts"]),
        ("LacksAPlace", &["(1,), of type tuple", "lacks parts"]),
    ] {
        let said = Room::new(world, "", "").yarak("train scene.ron", 1);
        for word in words {
            assert!(said.contains(word), "{world}: no {word:?} in\n{said}");
        }
        assert!(!said.contains("Traceback"), "{said}");
    }
    Room::new("RewardArray", "", "").yarak("train scene.ron", 0);
    for (world, one) in [
        ("MultiDiscrete", "Discrete(6)"),
        ("MultiBinary", "Discrete(8)"),
    ] {
        let said = Room::new(world, "", "").yarak("train scene.ron", 2);
        assert!(said.contains(one) && !said.contains("Traceback"), "{said}");
    }
    for (world, words) in [
        ("SeesNoElement", "has no element"),
        ("SeesNoPart", "has no element"),
        ("NamelessPart", "is called ''"),
        ("ManyChoices", "float32 does not tell apart"),
        ("FarChoices", "float32 does not tell apart"),
    ] {
        let said = Room::new(world, "", "").yarak("train scene.ron", 2);
        assert!(said.contains(words), "{world}: {said}");
    }
}

#[test]
fn parts_whose_names_have_a_slash_are_collected_and_read_back() {
    if !python() {
        return;
    }
    let room = Room::collecting("Walker");
    room.yarak("collect scene.ron --out o.hdf5 --steps 20", 0);
    let info = room.yarak("data info o.hdf5", 0);
    assert!(info.contains("walker/pos"), "{info}");
    let file = load(room.path("o.hdf5")).unwrap();
    assert_eq!(*file.observation().row(0), [0.5, -0.5, 0.25, 0.75, 1.0]);
}

#[test]
fn keyword_arguments_reach_the_world_in_training_and_in_evaluation() {
    if !python() {
        return;
    }
    let keywords = r#"kwargs: {"size": 3, "name": "x", "parts": [1, 2.5]}"#;
    let room = Room::new("Sized", keywords, "");
    room.yarak("train scene.ron", 0);
    room.yarak("eval runs/scene", 0);
    let log = fs::read_to_string(room.path("actions.log")).unwrap();
    let made = log.lines().filter(|line| *line == "[3, 'x', [1, 2.5]]");
    // Two to learn in and two to play in, of each process.
    assert_eq!(made.count(), 8, "{log}");
    let said = Room::new("Sized", "", "").yarak("train scene.ron", 2);
    assert!(said.contains("'size'") && said.contains("kwargs"), "{said}");
    let built_in = Room::with(
        "Scene(steps: 1, plugins: [Environments(env: \"Pendulum-v1\", kwargs: {\"size\": 3}), ActRandomly()])",
    );
    let said = built_in.yarak("scene check scene.ron", 2);
    assert!(said.contains("Environments.kwargs"), "{said}");
}

#[test]
fn evaluation_plays_no_seed_of_training() {
    if !python() {
        return;
    }
    for more in [
        "num_envs: 104",
        "num_envs: 2, seed: 100",
        "num_envs: 2, seed: 95",
    ] {
        let more = more.to_owned();
        let scene = Room::new("Plain", "", "");
        let text = fs::read_to_string(scene.path("scene.ron")).unwrap();
        let text = text.replace("num_envs: 2, ", &format!("{more}, "));
        let room = Room::with(&text.replace("steps: 60", "steps: 208"));
        room.yarak("train scene.ron", 0);
        let seeds = fs::read_to_string(room.path("seeds.log")).unwrap();
        let num_envs = if more.contains("104") { 104 } else { 2 };
        let seeds: Vec<u64> = seeds.lines().map(|it| it.parse().unwrap()).collect();
        let (training, played) = seeds.split_at(num_envs);
        assert!(!played.is_empty());
        assert!(
            played.iter().all(|seed| !training.contains(seed)),
            "{seeds:?}"
        );
    }
}

#[test]
fn an_evaluation_that_nothing_ends_is_cut_and_says_so() {
    if !python() {
        return;
    }
    let room = Room::new("NeverEnds", "", "time_limit: 50");
    let said = room.yarak("train scene.ron", 0);
    assert!(
        said.contains("2 of 2 episodes") && said.contains("cut after 50 steps"),
        "{said}"
    );
    let said = room.yarak("eval runs/scene", 0);
    assert!(said.contains("cut after 50 steps"), "{said}");
}

#[test]
fn a_run_stops_within_two_seconds_in_an_evaluation_and_in_a_step_that_hangs() {
    if !python() {
        return;
    }
    for (world, evaluation, signal, step) in [
        ("NeverEnds", "time_limit: 100_000_000", "-TERM", 30),
        ("Sleeps", "", "-INT", 2),
    ] {
        let room = Room::new(world, "", evaluation);
        let mut command = room.command("train scene.ron");
        let child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let began = Instant::now();
        while fs::read_to_string(room.path("seeds.log")).map_or(0, |it| it.lines().count())
            < if world == "Sleeps" { 2 } else { 4 }
        {
            assert!(began.elapsed() < Duration::from_secs(60));
            std::thread::sleep(Duration::from_millis(20));
        }
        std::thread::sleep(Duration::from_millis(500));
        let asked = Instant::now();
        let mut kill = Command::new("kill");
        kill.args([signal, &child.id().to_string()]);
        assert!(kill.status().unwrap().success());
        let output = child.wait_with_output().unwrap();
        let took = asked.elapsed();
        let said = told(&output, 130);
        assert!(took < Duration::from_secs(2), "{took:?}\n{said}");
        assert!(said.contains("stopping: "), "{said}");
        let latest = fs::read_to_string(room.path("runs/scene/checkpoints/latest")).unwrap();
        assert_eq!(latest.trim(), format!("step_{step:09}"), "{said}");
    }
}

#[test]
fn success_is_what_info_says() {
    if !python() {
        return;
    }
    let scores = |world: &str, more: &str| -> serde_json::Value {
        let room = Room::new(world, "", more);
        room.yarak("train scene.ron", 0);
        let text = fs::read_to_string(room.path("runs/scene/metrics.jsonl")).unwrap();
        let last = text.lines().last().unwrap();
        serde_json::from_str(last).unwrap()
    };
    for (world, rate) in [("Succeeds", 1.0), ("SucceedsArray", 1.0), ("Fails", 0.0)] {
        let last = scores(world, "");
        assert_eq!(last["evaluate/success_rate"], rate, "{world}");
        assert_eq!(last["evaluate/length"], 10.0, "{world}");
    }
    // It succeeds with its fourth step.
    let last = scores("Succeeds", "end_at_success: true");
    assert_eq!(last["evaluate/length"], 4.0);
    for world in ["Plain", "SuccessOdd"] {
        assert!(scores(world, "").get("evaluate/success_rate").is_none());
    }
    // Another world of the same spaces is played as well.
    let also = r#"also: ["gymnasium:odd_worlds:Fails-v0"]"#;
    let last = scores("Succeeds", also);
    assert_eq!(last["evaluate/success_rate"], 1.0);
    let name = "evaluate/gymnasium:odd_worlds:Fails-v0/success_rate";
    assert_eq!(last[name], 0.0, "{last}");
}
