//! `yarak train --fork`: another run from a checkpoint, with other settings.

use std::fs;

use crate::resume::{assert_same_end, cut_after};
use crate::room::{Room, copy, dataset, learned, named, reports};

const ONLINE: &str = "Scene(steps: 120, plugins: [
    Environments(env: \"Pendulum-v1\", num_envs: 2, time_limit: Some(20)),
    Replay(capacity: 150),
    Td3(
        minibatch: (batch_size: 8), off_policy: (learning_starts: 20),
        critic: (encoder: Mlp(hidden_sizes: [8])), actor: (encoder: Mlp(hidden_sizes: [8])),
    ),
    Checkpoints(every: 20),
    Reports(every: 20),
])";

#[test]
fn a_fork_that_changes_nothing_goes_on_bit_for_bit_as_its_parent() {
    let room = Room::new();
    room.write("online.ron", ONLINE);
    for (scene, half) in [("tiny.ron", 150), ("online.ron", 60)] {
        let run = |name: &str| room.path(&format!("{name}_{half}"));
        room.yarak(&format!("train {scene} --run whole_{half}"))
            .ends_with(0);
        room.yarak(&format!("train {scene} --run parent_{half} --steps {half}"))
            .ends_with(0);
        let words =
            format!("train {scene} --run fork_{half} --fork parent_{half}/checkpoints/latest");
        room.yarak(&words).ends_with(0);
        let last = named(&run("whole"), "latest");
        assert_eq!(
            learned(&run("whole"), &last),
            learned(&run("fork"), &named(&run("fork"), "latest")),
            "{scene}"
        );
        let later = reports(&run("whole"))
            .into_iter()
            .filter(|row| row["step"].as_u64() > Some(half));
        assert_eq!(later.collect::<Vec<_>>(), reports(&run("fork")), "{scene}");
    }
}

#[test]
fn a_fork_names_its_parent_and_what_it_changes_and_resumes_as_itself() {
    let room = Room::new();
    room.yarak("train tiny.ron --run parent --steps 100")
        .ends_with(0);
    // Without a scene its own is the parent's, wherever the command is given.
    let words = "train --fork parent/checkpoints/step_000000100 --run fork --steps 200 --set Td3Bc.alpha=1.0";
    let said = room.yarak(words);
    let said = said.ends_with(0);
    assert!(
        said.contains("with steps: 100 -> 200, Td3Bc.alpha: 2.5 -> 1.0"),
        "{said}"
    );
    let replayed = room.yarak("replay fork");
    let replayed = replayed.result();
    assert!(replayed.contains(": equal: "), "{replayed}");
    let manifest = fs::read_to_string(room.path("fork/manifest.ron")).unwrap();
    for part in [
        "step: 100",
        "sha256",
        "Td3Bc.alpha: 2.5 -> 1.0",
        "parent/checkpoints/step_000000100",
    ] {
        assert!(manifest.contains(part), "{part} is not in {manifest}");
    }
    let alpha_counts = learned(&room.path("fork"), "step_000000200");
    room.yarak("train tiny.ron --run whole --steps 200")
        .ends_with(0);
    assert_ne!(alpha_counts, learned(&room.path("whole"), "step_000000200"));

    // Killed and resumed, by the same command or as any run, it ends alike and is still a fork.
    for (name, words) in [
        (
            "again",
            format!("{words} --resume auto").replace("--run fork", "--run again"),
        ),
        (
            "own",
            "train fork/scene.ron --run own --resume auto".to_owned(),
        ),
    ] {
        copy(&room.path("fork"), &room.path(name));
        cut_after(&room.path(name), 125);
        room.yarak(&words).ends_with(0);
        assert_same_end(&room.path("fork"), &room.path(name));
        let manifest = fs::read_to_string(room.path(name).join("manifest.ron")).unwrap();
        assert!(manifest.contains("Td3Bc.alpha: 2.5 -> 1.0"), "{manifest}");
    }
    // A folder with another beginning is not taken for this fork's.
    let words = words.replace("step_000000100", "step_000000075");
    cut_after(&room.path("again"), 125);
    room.yarak(&format!("{words} --resume auto").replace("--run fork", "--run again"))
        .refuses(&["a fork of", "step_000000100", "--run DIR"]);
}

#[test]
fn what_a_checkpoint_cannot_be_read_with_is_refused_by_name() {
    let room = Room::new();
    room.yarak("train tiny.ron --run parent --steps 50")
        .ends_with(0);
    let other = room.path("other.hdf5");
    fs::copy(dataset(), &other).unwrap();
    let fork = |more: &str| {
        room.yarak(&format!(
            "train tiny.ron --fork parent/checkpoints/latest --run fork {more}"
        ))
    };
    fork("--set seed=3").refuses(&["seed: 0 -> 3", "random streams", "Pretrained"]);
    fork("--set Dataset.validation=0.3").refuses(&["Dataset.validation: 0.2 -> 0.3", "Pretrained"]);
    fork("--steps 50").refuses(&["it has taken 50 steps", "--steps"]);
    fork("--set Td3Bc.actor.encoder=Mlp(hidden_sizes:[16])").refuses(&[
        "actor",
        "shape",
        "The run is a fork, with",
        "Td3Bc.actor.encoder",
    ]);
    room.write(
        "bc.ron",
        &fs::read_to_string(room.path("tiny.ron"))
            .unwrap()
            .replace("Td3Bc(", "Bc(")
            .replace("n_step: 3,", "")
            .split("critic: (")
            .next()
            .unwrap()
            .to_owned()
            .replace(
                "steps_per_epoch: 60),",
                "steps_per_epoch: 60)), Checkpoints(every: 25)])",
            ),
    );
    room.yarak("train bc.ron --fork parent/checkpoints/latest --run fork")
        .refuses(&["Td3Bc: in the scene -> not in the scene", "algorithm"]);
    room.yarak("train tiny.ron --fork parent --run fork")
        .refuses(&["parent: this is no checkpoint", "checkpoints/latest"]);
    room.yarak("train --fork parent/checkpoints/latest")
        .refuses(&["--run DIR", "--name NAME"]);
    // The same bytes in another place are the same data; others are not.
    let words = format!("--steps 75 --dataset {}", other.display());
    fork(&words).ends_with(0);
    let mut bytes = fs::read(&other).unwrap();
    bytes.push(0);
    fs::write(&other, bytes).unwrap();
    fs::remove_dir_all(room.path("fork")).unwrap();
    fork(&words).refuses(&["Dataset.path", "Pretrained"]);
}
