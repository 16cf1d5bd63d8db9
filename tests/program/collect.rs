//! `yarak collect`: datasets from scenes and from trained policies, which then train TD3+BC.

use std::fs;
use std::path::Path;

use yarak::data::{EpisodeEnd, load};

use crate::room::{Room, with_dataset, yarak};

#[track_caller]
fn done(arguments: &[&str]) -> String {
    yarak(arguments).result().to_owned()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

const SMALL: [&str; 4] = [
    "--set",
    "Td3Bc.minibatch.batch_size=16",
    "--set",
    "Evaluation.episodes=1",
];

#[test]
fn a_trained_policy_collects_and_what_it_collected_trains_td3_bc() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let (first, second, file) = (at("first"), at("second"), at("rollouts.hdf5"));
    let scene = "scenes/pendulum_td3_bc.ron";
    let train = ["train", scene, "--steps", "8", "--run"];
    done(&[&train[..], &[text(&first)], &SMALL].concat());

    let collect = [
        "collect",
        text(&first),
        "--out",
        text(&file),
        "--steps",
        "500",
    ];
    let said = done(&[&collect[..], &["--noise", "0.1", "--seed", "3"]].concat());
    assert!(
        said.contains("D4RL layout, 3 episodes, 500 transitions"),
        "{said}"
    );
    let data = load(&file).unwrap();
    assert_eq!(
        (data.len(), data.observation().width(), data.action().width),
        (500, 3, 1)
    );
    let ends: Vec<EpisodeEnd> = data.episodes().iter().map(|it| it.end).collect();
    assert_eq!(ends, [EpisodeEnd::Truncated; 3]);
    assert!(data.action().values.iter().all(|it| it.abs() <= 2.0));
    // The pendulum's own equation holds between each observation, action and reward.
    for row in 0..data.len() {
        let seen = data.observation().row(row);
        let angle = seen[1].atan2(seen[0]);
        let torque = data.action().row(row)[0];
        let cost = angle * angle + 0.1 * seen[2] * seen[2] + 0.001 * torque * torque;
        assert!((data.reward()[row] + cost).abs() < 1e-3, "row {row}");
    }

    // The same again is the same file's content; another seed is another.
    let again = at("again.hdf5");
    let collect = [
        "collect",
        text(&first),
        "--out",
        text(&again),
        "--steps",
        "500",
    ];
    done(&[&collect[..], &["--noise", "0.1", "--seed", "3"]].concat());
    assert_eq!(load(&again).unwrap(), data);
    done(&[&collect[..], &["--noise", "0.1", "--seed", "4", "--force"]].concat());
    assert_ne!(load(&again).unwrap(), data);

    let path = format!("Dataset.path={}", text(&file));
    let train = ["train", scene, "--steps", "8", "--set", &path, "--run"];
    let said = done(&[&train[..], &[text(&second)], &SMALL].concat());
    assert!(said.contains("evaluate/return"), "{said}");
}

#[test]
fn a_scene_that_collects_is_written_whole() {
    let folder = tempfile::tempdir().unwrap();
    let scene = folder.path().join("random.ron");
    let body = r#"Scene(name: "random", steps: 120, plugins: [Environments(env: "CartPole-v1", num_envs: 4), ActRandomly()])"#;
    fs::write(&scene, body).unwrap();
    let file = folder.path().join("random.hdf5");
    done(&["collect", text(&scene), "--out", text(&file)]);
    let data = load(&file).unwrap();
    assert_eq!(data.len(), 120);
    assert!(data.action().values.contains(&0.0) && data.action().values.contains(&1.0));
    assert!(
        data.episodes()
            .iter()
            .any(|it| it.end == EpisodeEnd::Terminated)
    );
    // Rows of an episode follow each other.
    for episode in data.episodes() {
        for row in episode.rows.start..episode.rows.end - 1 {
            assert_eq!(
                data.next_observation().row(row),
                data.observation().row(row + 1)
            );
        }
    }
}

#[test]
fn what_cannot_be_collected_is_refused_with_a_remedy_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("out.hdf5");
    for (arguments, word) in [
        (
            ["collect", "scenes/pendulum_td3_bc.ron"],
            "no `Environments`",
        ),
        (["collect", "runs/there_is_none"], "no such run"),
    ] {
        yarak(&[&arguments[..], &["--out", text(&file)]].concat()).refuses(&[word]);
        assert!(!file.exists());
    }
    fs::write(&file, "a thesis").unwrap();
    yarak(&[
        "collect",
        "scenes/pendulum_td3_bc.ron",
        "--out",
        text(&file),
    ])
    .ends_with(2);
    assert_eq!(fs::read_to_string(&file).unwrap(), "a thesis");
}

#[test]
fn options_that_do_not_apply_and_another_format_are_refused() {
    let room = Room::new();
    room.write(
        "random.ron",
        "Scene(steps: 9, plugins: [Environments(), ActRandomly()])",
    );
    for (options, words) in [
        ("--noise 0.5", "--noise is for a trained policy"),
        ("--env CartPole-v1", "--set Environments.env"),
        ("--seed 7", "--set seed"),
    ] {
        room.yarak(&format!("collect random.ron --out o.hdf5 {options}"))
            .refuses(&[words]);
    }
    room.yarak("collect random.ron --out o.npz")
        .refuses(&["o.hdf5"]);
    room.yarak("train tiny.ron --run run --steps 25")
        .ends_with(0);
    room.yarak("collect run --set seed=1 --out o.hdf5 --steps 3")
        .refuses(&["--set seed=1"]);
    assert!(!room.path("o.hdf5").exists());
}

#[test]
fn a_policy_collects_with_the_statistics_that_training_left() {
    let room = Room::new();
    let scene = "Scene(steps: 40, plugins: [Environments(), NormalizeObservations(), \
        Ppo(steps: 20, minibatches: 1, epochs: 1, actor: (encoder: Mlp(hidden_sizes: [8])), critic: (encoder: Mlp(hidden_sizes: [8]))), \
        Checkpoints(every: 20, best: None)])";
    room.write("ppo.ron", scene);
    room.yarak("train ppo.ron --run run").ends_with(0);
    let played = room.yarak("eval run --episodes 1 --seed 5 --json");
    let played: serde_json::Value = serde_json::from_str(played.result()).unwrap();
    room.yarak("collect run --steps 200 --seed 5 --out o.hdf5")
        .ends_with(0);
    let collected = load(room.path("o.hdf5")).unwrap();
    let sum: f64 = collected.reward().iter().map(|it| f64::from(*it)).sum();
    let expected = played["return"].as_f64().unwrap();
    assert!((sum - expected).abs() < 1e-3, "{sum}, not {expected}");
}

#[test]
fn a_policy_that_learned_from_data_and_would_explore_collects_too() {
    let room = Room::new();
    let networks =
        "actor: (encoder: Mlp(hidden_sizes: [8])), critic: (encoder: Mlp(hidden_sizes: [8]))";
    let scene = format!(
        "Scene(steps: 4, plugins: [Dataset(path: \"DATASET\"), Td3(minibatch: (batch_size: 8), {networks}), Checkpoints(every: 4, best: None)])"
    );
    room.write("td3.ron", &with_dataset(&scene));
    room.yarak("train td3.ron --run run").ends_with(0);
    room.yarak("collect run --env Pendulum-v1 --steps 30 --out o.hdf5")
        .ends_with(0);
    assert_eq!(load(room.path("o.hdf5")).unwrap().len(), 30);
}

#[test]
fn what_no_layout_keeps_is_refused_before_the_first_step() {
    let room = Room::new();
    room.write(
        "named.ron",
        "Scene(steps: 1000000000, plugins: [Environments(env: \"CartPoleNamed-v1\"), ActRandomly()])",
    );
    room.yarak("collect named.ron --out o.hdf5")
        .refuses(&["CartPoleNamed-v1", "no discrete actions"]);
}
