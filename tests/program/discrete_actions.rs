//! Data whose actions are discrete: collected, and learned from by the algorithms that learn discrete actions.

use std::fs;
use std::path::Path;

use yarak::data::convert::{Target, write};
use yarak::data::{Minibatches, load};
use yarak::prelude::*;
use yarak::schedule::{FacilitatorPlugin, SchedulePlugin, take_failure};

use crate::room::{Told, yarak};

/// Writes a scene and trains it in a run's folder next to it.
fn train(folder: &Path, name: &str, plugins: &str) -> Told {
    let scene = folder.join(format!("{name}.ron"));
    let body = format!("Scene(name: \"{name}\", device: \"cpu\", steps: 60, plugins: [{plugins}])");
    fs::write(&scene, body).unwrap();
    let run = folder.join(name);
    yarak(&[
        "train",
        scene.to_str().unwrap(),
        "--run",
        run.to_str().unwrap(),
    ])
}

/// What a random policy did in CartPole.
fn collected(folder: &Path) -> String {
    let (scene, file) = (folder.join("random.ron"), folder.join("random.hdf5"));
    let body = r#"Scene(name: "random", steps: 3000, plugins: [Environments(env: "CartPole-v1", num_envs: 4), ActRandomly()])"#;
    fs::write(&scene, body).unwrap();
    let file = file.to_str().unwrap();
    yarak(&["collect", scene.to_str().unwrap(), "--out", file]).result();
    file.to_owned()
}

const SMALL_DQN: &str =
    "Dqn(minibatch: (batch_size: 32), critic: (encoder: Mlp(hidden_sizes: [16])))";

#[test]
fn what_was_collected_of_discrete_actions_trains_what_learns_discrete_actions() {
    let folder = tempfile::tempdir().unwrap();
    let file = collected(folder.path());
    assert_eq!(load(&file).unwrap().discrete_actions(), Some(2));
    let data = format!("Dataset(path: {file:?})");
    let plays = r#"Evaluation(env: "CartPole-v1", every: 30, episodes: 2), Checkpoints(every: 60)"#;
    for (name, algorithm) in [
        ("dqn", SMALL_DQN),
        (
            "ppo",
            "Ppo(minibatches: 4, actor: (encoder: Mlp(hidden_sizes: [8])), critic: (encoder: Mlp(hidden_sizes: [8])))",
        ),
        (
            "a2c",
            "A2c(actor: (encoder: Mlp(hidden_sizes: [8])), critic: (encoder: Mlp(hidden_sizes: [8])))",
        ),
        (
            "reinforce",
            "Reinforce(actor: (encoder: Mlp(hidden_sizes: [8])))",
        ),
    ] {
        let plugins = format!("{data}, {algorithm}, {plays}");
        train(folder.path(), name, &plugins).result();
        // Neither does it take an environment to learn: the data say how many discrete actions there are.
        let plugins = format!("{data}, {algorithm}");
        train(folder.path(), &format!("{name}_alone"), &plugins).result();
    }
    // From the file as from memory.
    let budget = format!("Dataset(path: {file:?}, memory: 0.00009), {SMALL_DQN}, {plays}");
    let messages = train(folder.path(), "dqn_ahead", &budget);
    assert!(
        messages
            .ends_with(0)
            .contains("batches are read from the file")
    );
    let weights = |run: &str| {
        let file = "checkpoints/step_000000060/critic.safetensors";
        fs::read(folder.path().join(run).join(file)).unwrap()
    };
    assert_eq!(weights("dqn_ahead"), weights("dqn"));
}

#[test]
fn discrete_actions_are_learned_by_their_index() {
    let folder = tempfile::tempdir().unwrap();
    let file = collected(folder.path());
    let mut app = App::new();
    app.add_plugins((SchedulePlugin, FacilitatorPlugin))
        .insert_resource(Seed(7))
        .insert_resource(ComputeDevice::cpu())
        .add_plugins((
            Dataset {
                path: file.clone().into(),
                ..default()
            },
            Dqn::default(),
        ));
    app.finish();
    app.cleanup();
    app.world_mut().run_schedule(PreStartup);
    app.world_mut().run_schedule(Startup);
    assert_eq!(take_failure(), None);
    let rows: Vec<usize> = (0..50).collect();
    let minibatches = app.world().resource::<Minibatches>();
    let batch = minibatches.gather(&rows, &ComputeDevice::cpu().plain());
    let found: Vec<f32> = batch.unwrap().action.into_data().into_vec().unwrap();
    let transitions = load(&file).unwrap();
    assert_eq!(found, transitions.action().values[..50]);
    assert!(found.contains(&0.0) && found.contains(&1.0));
}

#[test]
fn actions_of_another_kind_are_refused_with_the_file_and_a_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let file = collected(folder.path());
    let refused = |name: &str, plugins: String, words: &[&str]| {
        let output = train(folder.path(), name, &plugins);
        let said = output.ends_with(2);
        for word in words {
            assert!(
                said.contains(word),
                "{name}: `{word}` is missing in: {said}"
            );
        }
    };
    let data = format!("Dataset(path: {file:?})");
    refused(
        "td3_bc",
        format!("{data}, Td3Bc()"),
        &["random.hdf5", "2 discrete actions", "Dqn"],
    );
    let plays = r#"Evaluation(env: "CartPole-v1")"#;
    // Other data of four elements: three discrete actions, and numbers.
    let transitions = load(&file).unwrap();
    let others = folder.path().join("three.hdf5");
    let three = transitions.clone().with_discrete_actions(Some(3));
    write(&three, &others, Target::D4rl, None, false).unwrap();
    refused(
        "three",
        format!("Dataset(path: {others:?}), {SMALL_DQN}, {plays}"),
        &[
            "three.hdf5",
            "3 discrete actions",
            "CartPole-v1",
            "one of 2 discrete actions",
        ],
    );
    let others = folder.path().join("numbers.hdf5");
    let numbers = transitions.with_discrete_actions(None);
    write(&numbers, &others, Target::D4rl, None, false).unwrap();
    refused(
        "numbers",
        format!("Dataset(path: {others:?}), {SMALL_DQN}, {plays}"),
        &["numbers.hdf5", "whole numbers", "one of 2 discrete actions"],
    );
    refused(
        "numbers_alone",
        format!("Dataset(path: {others:?}), {SMALL_DQN}"),
        &[
            "the critic chooses among discrete actions, and the data has none",
            "data of discrete actions",
        ],
    );
    // Choices, and an environment that takes numbers.
    let pendulum = format!("{data}, {SMALL_DQN}, Evaluation(env: \"Pendulum-v1\")");
    train(folder.path(), "pendulum", &pendulum).ends_with(2);
}
