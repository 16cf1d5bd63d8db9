//! Both algorithms learn from every layout, with goals and without, and what cannot be learned from is refused.

use std::path::Path;

use crate::room::{ROOT, Room, metric, run_in};

const TD3_BC: &str = "Td3Bc(minibatch: (batch_size: 8), critic: (encoder: Mlp(hidden_sizes: [8])), actor: (encoder: Mlp(hidden_sizes: [8]), update_freq: 1)";
const BC: &str = "Bc(minibatch: (batch_size: 8), actor: (encoder: Mlp(hidden_sizes: [8]))";

fn fixture(name: &str) -> String {
    let path = Path::new(ROOT).join("tests/fixtures").join(name);
    path.to_str().unwrap().to_owned()
}

/// A scene of six steps.
fn scene(dataset: &str, algorithm: &str, more: &str) -> String {
    format!(
        "Scene(name: \"layouts\", steps: 6, plugins: [Dataset({dataset}), {algorithm}), Reports(every: 2), {more}])"
    )
}

#[test]
fn both_algorithms_learn_from_every_layout_with_goals_and_without() {
    for (file, settings) in [
        ("d4rl/contiguous.hdf5", ""),
        ("d4rl/contiguous.hdf5", "rule: D4rl"),
        ("layouts/minari/box", "validation: 0.2"),
        ("layouts/minari/nested", "observations: [\"b\"]"),
        ("layouts/minari/attributes", "observations: []"),
        (
            "layouts/robomimic/plain.hdf5",
            "filter: \"train\", validation_filter: \"valid\", dones: Both",
        ),
        ("layouts/d3rlpy/vectors.h5", "normalize: true"),
        ("layouts/d3rlpy/version_1.h5", "validation: 0.3"),
    ] {
        for algorithm in [TD3_BC, BC] {
            for goal in ["", ", goal_mode: Last"] {
                let room = Room::new();
                let dataset = format!("path: \"{}\", {settings}", fixture(file));
                let held_out = settings.contains("validation");
                let more = if held_out { "Validation(every: 2)" } else { "" };
                room.write(
                    "s.ron",
                    &scene(&dataset, &format!("{algorithm}{goal}"), more),
                );
                let told = room.yarak("train s.ron --run run");
                if file.ends_with("attributes") {
                    // Its actions are discrete.
                    told.refuses(&[
                        "has 3 discrete actions",
                        "an environment with continuous actions",
                    ]);
                    continue;
                }
                told.ends_with(0);
                let losses = metric(&room.path("run"), "actor/loss");
                assert_eq!(losses.len(), 3, "{file}");
                assert!(losses.iter().all(|(_, loss)| loss.is_finite()), "{file}");
                let validated = metric(&room.path("run"), "validate/actor/loss");
                assert_eq!(validated.is_empty(), !held_out, "{file}");
            }
        }
    }
}

#[test]
fn scenes_of_other_layouts_learn_from_a_small_file_in_the_place_of_yours() {
    for (name, file, observations) in [
        ("minari_td3_bc", "layouts/minari/box", None),
        (
            "robomimic_bc",
            "layouts/robomimic/plain.hdf5",
            Some(r#"Dataset.observations=["object","eef_pos"]"#),
        ),
        ("d3rlpy_td3_bc", "layouts/d3rlpy/vectors.h5", None),
    ] {
        let room = Room::new();
        let scene = format!("scenes/{name}.ron");
        let run = room.path("run");
        let path = format!("Dataset.path={:?}", fixture(file));
        let mut arguments = vec!["train", &scene, "--steps", "3", "--set", &path, "--run"];
        arguments.push(run.to_str().unwrap());
        if let Some(observations) = observations {
            arguments.extend(["--set", observations]);
        }
        run_in(Path::new(ROOT), &arguments).ends_with(0);
        assert!(run.join("manifest.ron").is_file(), "{name}");
    }
}

#[test]
fn a_policy_that_needs_goals_is_not_played_where_there_are_none() {
    let room = Room::new();
    let dataset = format!("path: \"{}\"", crate::room::dataset().display());
    room.write(
        "s.ron",
        &scene(&dataset, &format!("{BC}, goal_mode: Last"), "Evaluation()"),
    );
    room.yarak("train s.ron --run run")
        .refuses(&["goal_mode", "Pendulum-v1", "Validation"]);
}

#[test]
fn what_means_nothing_for_a_layout_is_refused_by_its_setting() {
    let room = Room::new();
    for (settings, place) in [
        (
            "filter: \"train\"",
            "`filter` means nothing for the D4RL layout",
        ),
        ("rule: D4rl, max_episode_steps: 0", "max_episode_steps"),
        (
            "validation: 0.1, validation_filter: \"valid\"",
            "give one of them",
        ),
    ] {
        let dataset = format!("path: \"{}\", {settings}", fixture("d4rl/contiguous.hdf5"));
        room.write("s.ron", &scene(&dataset, BC, ""));
        room.yarak("train s.ron --run run").refuses(&[place]);
    }
}
