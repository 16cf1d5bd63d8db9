//! Runs that learn in environments: cut at any step, or killed, and resumed, they end like those that were not.

use std::fs;
use std::process::Command;
use std::time::Instant;

use yarak::env::registry;

use crate::resume::{assert_same_end, cut_after, kill_again_and_again};
use crate::room::{Room, checkpoint, copy, named, reports, send, wait_until, with_dataset};

/// A scene that begins to learn after 60 steps, has episodes of 20 steps, and whose replay buffer is full after 150. What is
/// saved every 25 steps lies before, on and after all of these.
fn scene(environment: &str, algorithm: &str) -> String {
    format!(
        r#"Scene(
    name: "tiny",
    steps: 300,
    plugins: [
        Environments(env: "{environment}", num_envs: 3, time_limit: Some(20)),
        Replay(capacity: 150),
        {algorithm},
        Evaluation(env: "{environment}", every: 100, episodes: 1),
        Reports(every: 30),
        Checkpoints(every: 25, keep: 100),
    ],
)
"#
    )
}

const ALGORITHMS: [(&str, &str); 4] = [
    (
        "Pendulum-v1",
        "Td3(minibatch: (batch_size: 8), n_step: 3, off_policy: (learning_starts: 60), exploration_noise: Linear(initial: 0.5, end: 0.1, over: Steps(200)), \
         critic: (encoder: Mlp(hidden_sizes: [8, 8])), actor: (encoder: Mlp(hidden_sizes: [8, 8])))",
    ),
    (
        "Pendulum-v1",
        "Sac(minibatch: (batch_size: 8), off_policy: (learning_starts: 60, train_freq: 2, gradient_steps: 3), critic: (encoder: Mlp(hidden_sizes: [8], dropout: 0.2)), \
         actor: (encoder: Mlp(hidden_sizes: [8], activation: Tanh, dropout: 0.2, layer_norm: true)))",
    ),
    (
        "MountainCarContinuous-v0",
        "Ddpg(minibatch: (batch_size: 8), off_policy: (learning_starts: 60), critic: (encoder: Mlp(hidden_sizes: [8], dropout: 0.2)), actor: (encoder: Mlp(hidden_sizes: [8], dropout: 0.2)))",
    ),
    (
        "CartPole-v1",
        "Dqn(minibatch: (batch_size: 8), off_policy: (learning_starts: 60, train_freq: 1), target_update: (every: 7, tau: 1.0), \
         exploration: Linear(initial: 1.0, end: 0.1, over: Steps(200)), dueling: true, critic: (encoder: Mlp(hidden_sizes: [8], dropout: 0.2)))",
    ),
];

#[test]
fn an_online_run_cut_at_any_checkpoint_ends_like_the_uninterrupted_one() {
    for (environment, algorithm) in ALGORITHMS {
        let room = Room::new();
        room.write("tiny.ron", &scene(environment, algorithm));
        cut_at_any_checkpoint(&room, ["", "", "", ""]);
    }
}

#[test]
fn a_run_in_mujoco_ends_the_same_cut_or_not_with_any_number_of_threads() {
    let algorithm = ALGORITHMS[0].1;
    for environment in ["Hopper-v5", "Walker2d-v5", "HalfCheetah-v5"] {
        if let Err(error) = registry::check(environment) {
            eprintln!("skipped: {error}");
            return;
        }
        let room = Room::new();
        room.write("tiny.ron", &scene(environment, algorithm));
        let threads = ["--threads 1", "--threads 2", "--threads 3", "--threads 1"];
        cut_at_any_checkpoint(&room, threads);
        let manifest = fs::read_to_string(room.path("whole/manifest.ron")).unwrap();
        let library = registry::library_of(environment).unwrap();
        assert!(manifest.contains(&library), "{manifest}");
    }
}

#[test]
fn without_mujocos_library_whatever_needs_it_says_where_it_was_looked_for() {
    let room = Room::new();
    room.write("tiny.ron", &scene("Hopper-v5", ALGORITHMS[0].1));
    let nowhere = [("MUJOCO_LIB", "/no/such/libmujoco.so")];
    let run = |words: &str| room.yarak_within(&nowhere, words);
    let remedies = [
        "MUJOCO_LIB=/no/such/libmujoco.so",
        "pip install mujoco",
        "nothing was started",
    ];
    run("train tiny.ron --run none").refuses(&remedies);
    assert!(!room.path("none").exists());
    run("collect tiny.ron --out none.hdf5").refuses(&remedies[..2]);
    run("bench hopper").refuses(&remedies[..2]);
    // What a scene says can be checked anywhere.
    run("scene check tiny.ron").ends_with(0);
    let listed = run("list environments");
    let hopper = listed.result().lines().find(|it| it.contains("Hopper-v5"));
    assert!(hopper.unwrap().contains("is not here"), "{hopper:?}");
}

/// Runs `tiny.ron` once whole, and cut and resumed thrice, each with other words on the command line.
fn cut_at_any_checkpoint(room: &Room, words: [&str; 4]) {
    let whole = room.path("whole");
    let train = |run: &str, words: &str| {
        room.yarak(&format!("train tiny.ron --run {run} {words}"))
            .ends_with(0);
    };
    train("whole", words[0]);
    assert_eq!(reports(&whole).last().unwrap()["step"], 300);
    // While warming up, early in learning, and with a buffer that has gone round.
    for (step, words) in [51, 75, 225].into_iter().zip(&words[1..]) {
        let cut = room.path(&format!("cut_{step}"));
        copy(&whole, &cut);
        cut_after(&cut, step);
        train(&format!("cut_{step}"), &format!("--resume auto {words}"));
        assert_same_end(&whole, &cut);
    }
}

#[test]
fn an_online_run_killed_again_and_again_while_it_saves_ends_like_the_uninterrupted_one() {
    let room = Room::new();
    let (environment, algorithm) = ALGORITHMS[0];
    let text = scene(environment, algorithm)
        .replace("[8, 8]", "[96, 96]")
        .replace("Checkpoints(every: 25", "Checkpoints(every: 10");
    room.write("tiny.ron", &text);
    kill_again_and_again(&room);
}

#[test]
fn nothing_is_learned_while_an_online_run_warms_up() {
    let room = Room::new();
    let (environment, algorithm) = ALGORITHMS[0];
    room.write("tiny.ron", &scene(environment, algorithm));
    room.yarak("train tiny.ron --run run --steps 60")
        .ends_with(0);
    let learned = |run: &str, name: &str| {
        let files = checkpoint(&room.path(run), name);
        let bytes = &files["actor.safetensors"];
        // The header names the step; what was learned lies behind it.
        let header = u64::from_le_bytes(bytes[..8].try_into().unwrap());
        bytes[8 + header as usize..].to_vec()
    };
    let run = room.path("run");
    let before = learned("run", &named(&run, "latest"));
    room.yarak("train tiny.ron --run run --steps 63 --resume auto")
        .ends_with(0);
    assert_eq!(named(&run, "latest"), "step_000000063");
    // TD3's actor waits for the second gradient step.
    assert_eq!(learned("run", "step_000000063"), before);
    room.yarak("train tiny.ron --run run --steps 66 --resume auto")
        .ends_with(0);
    assert_ne!(learned("run", "step_000000066"), before);
}

#[test]
fn the_replay_buffers_memory_is_said_and_one_that_cannot_fit_is_refused() {
    let room = Room::new();
    let (environment, algorithm) = ALGORITHMS[0];
    room.write("tiny.ron", &scene(environment, algorithm));
    let said = room.yarak("train tiny.ron --run run --steps 3");
    let said = said.ends_with(0);
    assert!(said.contains("replay buffer: 150 transitions"), "{said}");
    room.yarak("train tiny.ron --run huge --set Replay.capacity=4000000000")
        .refuses(&["replay buffer", "GB", "Replay.capacity"]);
    assert!(fs::read_dir(room.path("run/checkpoints")).is_ok());
}

#[test]
fn a_run_that_is_stopped_in_the_middle_of_a_round_goes_on_from_there_without_a_difference() {
    let room = Room::new();
    let ppo = "Ppo(steps: 20_000, epochs: 20, minibatches: 8, target_kl: Some(0.05), actor: (encoder: Mlp(hidden_sizes: [64, 64])))";
    let scene = scene("Pendulum-v1", ppo)
        .replace("steps: 300", "steps: 120_000")
        .replace("Replay(capacity: 150),", "")
        .replace("every: 100", "every: 60_000")
        .replace("every: 30", "every: 60_000")
        .replace("every: 25", "every: 60_000");
    room.write("tiny.ron", &scene);
    let began = Instant::now();
    room.yarak("train tiny.ron --run whole").ends_with(0);
    let whole = began.elapsed();
    // While it collects, and while it learns.
    let mut stopped = 0;
    for share in [0.15, 0.4] {
        let child = Command::new(crate::room::YARAK)
            .args("train tiny.ron --run cut --resume auto".split(' '))
            .current_dir(room.path(""))
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        wait_until("the run's folder", || {
            room.path("cut/manifest.ron").exists()
        });
        std::thread::sleep(whole.mul_f64(share));
        let asked = Instant::now();
        send("-INT", &child);
        let output = child.wait_with_output().unwrap();
        assert!(asked.elapsed() < std::time::Duration::from_secs(2));
        stopped += usize::from(output.status.code() == Some(130));
    }
    assert!(stopped >= 1);
    room.yarak("train tiny.ron --run cut --resume auto")
        .ends_with(0);
    assert_same_end(&room.path("whole"), &room.path("cut"));
    // What only acts does not go on with a round.
    room.yarak("eval cut --episodes 1").ends_with(0);
}

#[test]
fn a_run_that_learns_nothing_says_so_before_its_first_step_and_at_its_end() {
    let room = Room::new();
    for (starts, learns) in [(300, false), (60, true)] {
        let td3 = ALGORITHMS[0].1;
        let td3 = td3.replace("learning_starts: 60", &format!("learning_starts: {starts}"));
        room.write("tiny.ron", &scene("Pendulum-v1", &td3));
        let said = room.yarak(&format!("train tiny.ron --run run_{starts}"));
        let said = said.ends_with(0);
        let before = format!("`learning_starts` is {starts}, and the run has 300 steps");
        for words in [&*before, "nothing was learned"] {
            assert_eq!(!said.contains(words), learns, "{said}");
        }
    }
}

#[test]
fn data_and_environments_together_are_warned_of_and_not_normalized_in_two_ways() {
    let room = Room::new();
    let scene = |more: &str| {
        with_dataset(&format!(
            "Scene(steps: 9, plugins: [Dataset(path: \"DATASET\"), Environments(), \
             Bc(minibatch: (batch_size: 4), actor: (encoder: Mlp(hidden_sizes: [8]))){more}])"
        ))
    };
    room.write("both.ron", &scene(""));
    let warning = "minibatches are drawn from the `Dataset`, and nothing is learned from what the run collects";
    let checked = room.yarak("scene check both.ron");
    assert!(checked.stderr.contains(warning), "{}", checked.stderr);
    let told = room.yarak("train both.ron --run both");
    assert!(told.ends_with(0).contains(warning), "{}", told.stderr);
    room.write("normalized.ron", &scene(", NormalizeObservations()"));
    room.yarak("train normalized.ron --run normalized")
        .refuses(&["`NormalizeObservations`", "Dataset(normalize: true)"]);
}

#[test]
fn chosen_parts_are_normalized_by_their_own_statistics() {
    let room = Room::new();
    let statistics = |observations: &str| {
        let scene = format!(
            "Scene(steps: 100, plugins: [Environments(env: \"PendulumNamed-v1\", observations: [{observations}]), NormalizeObservations(), \
             Ppo(steps: 20, minibatches: 1, epochs: 1, actor: (encoder: Mlp(hidden_sizes: [8])), critic: (encoder: Mlp(hidden_sizes: [8]))), \
             Checkpoints(every: 100, best: None)])"
        );
        room.write("part.ron", &scene);
        let run = format!("run_{}", observations.len());
        room.yarak(&format!("train part.ron --run {run}"))
            .ends_with(0);
        let saved = checkpoint(&room.path(&run), "step_000000100");
        let state = String::from_utf8(saved["state.ron"].clone()).unwrap();
        let (_, rest) = state.split_once("observation:(mean:[").unwrap();
        let (_, rest) = rest.split_once("std:[").unwrap();
        let (deviations, _) = rest.split_once(']').unwrap();
        let numbers = deviations.split(',').map(|it| it.parse().unwrap());
        numbers.collect::<Vec<f32>>()
    };
    let (all, one) = (statistics(""), statistics("\"velocity\""));
    let [cosine, _, velocity]: [f32; 3] = all.try_into().unwrap();
    let [chosen]: [f32; 1] = one.try_into().unwrap();
    // The actions are others; an angle's cosine is at most 1, and the velocity up to 8.
    assert!(velocity > 1.2 && chosen > 1.2, "{velocity} {chosen}");
    assert!(cosine < 1.0, "{cosine}");
}

#[test]
fn rounds_that_are_longer_than_the_run_are_said_and_those_that_learn_nothing_are_refused() {
    let room = Room::new();
    let td3 = ALGORITHMS[0].1;
    room.write("tiny.ron", &scene("Pendulum-v1", td3));
    let told =
        room.yarak("train tiny.ron --run long --steps 20 --set Td3.off_policy.train_freq=100");
    let said = told.ends_with(0);
    assert!(
        said.contains("the run has 20 steps, and takes more: 100 of"),
        "{said}"
    );
    room.yarak("scene check tiny.ron").ends_with(0);
    room.yarak("train tiny.ron --run none --set Td3.off_policy.gradient_steps=0")
        .refuses(&["gradient_steps", "at least 1"]);
}

#[test]
fn an_evaluation_in_a_world_that_does_not_start_is_refused_before_the_first_step() {
    let room = Room::new();
    room.write(
        "scene.ron",
        &with_dataset(
            "Scene(steps: 9, plugins: [
    Dataset(path: \"DATASET\"), Bc(),
    Evaluation(env: \"gymnasium:Pendulum-v1\", every: 9),
])",
        ),
    );
    let no_python = [("YARAK_PYTHON", "/no/such/python")];
    let told = room.yarak_within(&no_python, "train scene.ron --run run");
    told.refuses(&["scene.ron:3:21: error: Evaluation.env: ", "does not start"]);
    assert!(!room.path("run").exists());
}

#[test]
fn a_replay_buffer_that_never_holds_a_minibatch_is_refused() {
    let room = Room::new();
    for (algorithm, env) in [
        ("Sac", "Pendulum-v1"),
        ("Td3", "Pendulum-v1"),
        ("Ddpg", "Pendulum-v1"),
        ("Dqn", "CartPole-v1"),
    ] {
        let scene = format!(
            "Scene(steps: 3, plugins: [Environments(env: \"{env}\"), Replay(capacity: 63), {algorithm}(minibatch: (batch_size: 64))])"
        );
        room.write("scene.ron", &scene);
        for asked in ["train scene.ron --run run", "scene check scene.ron"] {
            room.yarak(asked).refuses(&[
                "scene.ron:1:",
                "Replay.capacity: a replay buffer of 63 steps",
                "raise `Replay.capacity`",
            ]);
        }
        assert!(!room.path("run").exists(), "{algorithm}");
        room.write("scene.ron", &scene.replace("63", "64"));
        room.yarak("scene check scene.ron").ends_with(0);
    }
    let template = room.yarak("scene template Replay");
    assert!(
        template.result().contains("capacity: 1000000,"),
        "{}",
        template.stdout
    );
}

#[test]
fn fresh_episodes_are_none_that_the_best_checkpoint_was_chosen_by() {
    for (num_envs, seed, first, fresh) in [(128, 100, 128, 132), (4, 2, 4, 8), (4, 100, 100, 104)] {
        let room = Room::new();
        room.write(
            "scene.ron",
            &format!(
                "Scene(steps: 256, plugins: [
    Environments(env: \"CartPole-v1\", num_envs: {num_envs}),
    Ppo(steps: 2, minibatches: 1, epochs: 1),
    Evaluation(env: \"CartPole-v1\", every: 256, episodes: 4, seed: {seed}),
    Checkpoints(every: 256, best: \"evaluate/return\"),
])"
            ),
        );
        room.yarak("train scene.ron --run run").ends_with(0);
        let scores = fs::read_to_string(room.path("run/scores.json")).unwrap();
        let scores: serde_json::Value = serde_json::from_str(&scores).unwrap();
        assert_eq!(scores["last"]["seed"], first);
        assert_eq!(scores["best_on_fresh_episodes"]["seed"], fresh);
    }
}
