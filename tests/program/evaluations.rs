//! What evaluation plays, when, and what counts as success.

use serde_json::Value;

use crate::room::{Room, metric, named, reports};

/// A few rounds of PPO on poles; a fresh policy lets them fall after some ten to forty steps.
const SCENE: &str = r#"Scene(
    steps: 128,
    plugins: [
        Environments(env: "CartPole-v1", num_envs: 4),
        Ppo(steps: 8, minibatches: 1, actor: (encoder: Mlp(hidden_sizes: [8])), critic: (encoder: Mlp(hidden_sizes: [8]))),
        Evaluation(env: "CartPole-v1", every: 32, episodes: 6),
        Checkpoints(every: 32, keep: 9, best: "evaluate/success_rate"),
    ],
)
"#;

fn room() -> Room {
    let room = Room::new();
    room.write("scene.ron", SCENE);
    room
}

#[test]
fn success_is_what_the_scene_says_and_chooses_the_best() {
    let room = room();
    // What ends an episode of this task is that the pole falls.
    for (name, rule, rate) in [
        ("falls", "Terminated", 1.0),
        ("holds", "Truncated", 0.0),
        ("any", "ReturnAtLeast(1.0)", 1.0),
        ("none", "ReturnAtLeast(501.0)", 0.0),
        // One that is cut is over, and has come to a time limit.
        (
            "cut",
            "ReturnAtLeast(3.0) --set Evaluation.time_limit=3",
            1.0,
        ),
        ("limit", "Truncated --set Evaluation.time_limit=3", 1.0),
    ] {
        let train = format!("train scene.ron --run {name} --set Evaluation.success={rule}");
        let said = room.yarak(&train);
        let line = format!("(success rate {rate:.2})");
        assert!(said.result().contains(&line), "{}", said.stdout);
        let rates = metric(&room.path(name), "evaluate/success_rate");
        let rates: Vec<f64> = rates.into_iter().map(|(_, rate)| rate).collect();
        assert_eq!(rates, [rate; 4], "{rule}");
        // The first of equals.
        assert_eq!(named(&room.path(name), "best"), "step_000000032");
    }
    let eval = room.yarak("eval falls --episodes 4 --json");
    let eval: Value = serde_json::from_str(eval.result()).unwrap();
    assert_eq!(eval["success_rate"], 1.0);
}

#[test]
fn where_nobody_says_what_success_is_there_is_no_rate_and_it_cannot_be_the_best() {
    let room = room();
    let said = room.yarak("train scene.ron --run run");
    said.refuses(&["evaluate/success_rate"]);
    assert!(metric(&room.path("run"), "evaluate/success_rate").is_empty());
}

#[test]
fn an_episode_ends_at_success_where_that_is_asked_for() {
    let room = room();
    let scene = SCENE
        .replace("CartPole-v1", "MountainCarContinuous-v0")
        .replace("evaluate/success_rate", "evaluate/return");
    room.write("car.ron", &scene);
    // The car never gets there in so few steps; an end of the episode is one in any case.
    let set = "--set Evaluation.time_limit=20 --set Evaluation.success=Terminated";
    room.yarak(&format!(
        "train car.ron --run car {set} --set Evaluation.end_at_success=true"
    ))
    .ends_with(0);
    assert_eq!(metric(&room.path("car"), "evaluate/success_rate")[0].1, 0.0);
    assert_eq!(metric(&room.path("car"), "evaluate/length")[0].1, 20.0);
    let nobody = "--set Checkpoints.best=None --set Evaluation.end_at_success=true";
    let said = room.yarak(&format!("train scene.ron --run nobody {nobody}"));
    let warning = "CartPole-v1 does not say what success is";
    assert!(said.ends_with(0).contains(warning), "{}", said.stderr);
    let refused = room.yarak(
        "train scene.ron --run no --set Evaluation.success=ReturnAtLeast(9.0) --set Evaluation.end_at_success=true",
    );
    refused.refuses(&["end_at_success", "known when the episode is over"]);
}

#[test]
fn nothing_is_evaluated_before_the_warm_start_and_the_end_always_is() {
    let room = room();
    let plain = "train scene.ron --set Checkpoints.best=None";
    let steps = |name: &str| -> Vec<u64> {
        let scores = metric(&room.path(name), "evaluate/return");
        scores.into_iter().map(|(step, _)| step).collect()
    };
    room.yarak(&format!(
        "{plain} --run late --set Evaluation.warm_start=64"
    ))
    .ends_with(0);
    assert_eq!(steps("late"), [64, 96, 128]);
    // Ten gradient steps, of which each is an epoch, come from a round of 32 steps.
    room.yarak(&format!(
        "{plain} --run epochs --set Evaluation.warm_start=Epochs(30)"
    ))
    .ends_with(0);
    assert_eq!(steps("epochs"), [96, 128]);
    room.yarak(&format!(
        "{plain} --run last --set Evaluation.warm_start=1000"
    ))
    .ends_with(0);
    assert_eq!(steps("last"), [128]);
    // What is learned is the same, whenever it is looked at.
    let losses = |name: &str| {
        let last = reports(&room.path(name)).pop().unwrap();
        last["critic/loss"].clone()
    };
    assert_eq!(losses("late"), losses("last"));
}

#[test]
fn environments_that_are_played_as_well_are_other_ones_that_exist() {
    let room = room();
    for (names, words) in [
        (r#"["CartPole-v1"]"#, "is played already"),
        (r#"["CartPole-v9"]"#, "CartPole-v9"),
        (r#"["Pendulum-v1"]"#, "other observations or actions"),
    ] {
        let set = format!("Evaluation.also={names}");
        let arguments = ["train", "scene.ron", "--run", "no", "--set", &set];
        room.yarak_with(&arguments).refuses(&["also", words]);
    }
}
