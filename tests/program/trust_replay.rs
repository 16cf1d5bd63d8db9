//! `yarak replay`: a run's first steps, run again from its scene and data alone.

use std::fs;

use serde_json::Value;

use crate::room::{Room, files, named};

#[test]
fn a_run_comes_to_the_same_again_and_a_difference_is_named() {
    let room = Room::new();
    room.yarak("train tiny.ron --run run --steps 60")
        .ends_with(0);
    // The later half was trained by another process, which changes nothing.
    room.yarak("train tiny.ron --run run --steps 120 --resume auto")
        .ends_with(0);
    let before = files(&room.path("run"));
    let told = room.yarak("replay run");
    let said = told.result();
    assert!(
        said.contains("run/checkpoints/step_000000025: equal: 25 steps"),
        "{said}"
    );
    let told = room.yarak("replay run --steps 119 --json");
    let said: Value = serde_json::from_str(told.result()).unwrap();
    assert_eq!((&said["step"], &said["equal"]), (&100.into(), &true.into()));
    assert_eq!(said["changed"], serde_json::json!([]));
    assert!(said["tensors"].as_u64().unwrap() > 8);
    assert_eq!(files(&room.path("run")), before, "nothing is written");

    // Another scene than the one that was trained.
    let scene = fs::read_to_string(room.path("run/scene.ron")).unwrap();
    let other = scene.replace("alpha: 2.5", "alpha: 2.0");
    assert_ne!(other, scene);
    fs::write(room.path("run/scene.ron"), &other).unwrap();
    let told = room.yarak("replay run");
    told.ends_with(1);
    assert!(
        told.stdout.contains("not equal: tensor `") && told.stdout.contains("` of `actor`"),
        "{}",
        told.stdout
    );
    fs::write(room.path("run/scene.ron"), scene).unwrap();
    // What the run was made with is named first.
    let manifest = fs::read_to_string(room.path("run/manifest.ron")).unwrap();
    let (head, tail) = manifest.split_once("sha256: \"").unwrap();
    let changed = format!("{head}sha256: \"0{}", &tail[1..]).replace("burn: \"0", "burn: \"9");
    fs::write(room.path("run/manifest.ron"), changed).unwrap();
    let told = room.yarak("replay run");
    let said = told.ends_with(0);
    for part in [
        "the data in ",
        "are not those of the run",
        "Burn: the run had 9",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    room.yarak("replay run --steps 3")
        .refuses(&["up to step 3", "25"]);
    room.yarak("replay nowhere")
        .refuses(&["no run with checkpoints"]);
}

#[test]
fn online_runs_and_rounds_on_policy_come_to_the_same_again() {
    let room = Room::new();
    for (name, plugins) in [
        (
            "sac",
            "Environments(env: \"Pendulum-v1\", num_envs: 2), Replay(capacity: 100), \
             Sac(minibatch: (batch_size: 8), off_policy: (learning_starts: 20), \
             critic: (encoder: Mlp(hidden_sizes: [8])), actor: (encoder: Mlp(hidden_sizes: [8])))",
        ),
        (
            "ppo",
            "Environments(env: \"CartPole-v1\", num_envs: 2), Ppo(steps: 8, epochs: 2, minibatches: 2)",
        ),
    ] {
        let file = format!("{name}.ron");
        let text = format!("Scene(steps: 96, plugins: [{plugins}, Checkpoints(every: 32)])");
        room.write(&file, &text);
        room.yarak(&format!("train {file} --run {name}"))
            .ends_with(0);
        assert_eq!(named(&room.path(name), "latest"), "step_000000096");
        let told = room.yarak(&format!("replay {name} --steps 1000"));
        assert!(
            told.result().contains("step_000000096: equal: 96 steps"),
            "{}",
            told.stdout
        );
    }
}
