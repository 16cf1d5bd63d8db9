//! The promises of the whole, held by every algorithm of the offline family: the same bits again, and after a cut.

use std::fs;

use crate::resume::{assert_same_end, cut_after};
use crate::room::{Room, checkpoint, copy, reports, with_dataset};

/// Each with tiny networks; all random streams that it has are drawn from at each step.
const ALGORITHMS: [(&str, &str); 6] = [
    (
        "gaussian",
        "Bc(minibatch: (batch_size: 16), head: Gaussian, actor: (encoder: Mlp(hidden_sizes: [8], dropout: 0.2)))",
    ),
    (
        "mixture",
        "Bc(minibatch: (batch_size: 16), head: Mixture, mixture: (modes: 2), actor: (encoder: Mlp(hidden_sizes: [8], dropout: 0.2)))",
    ),
    (
        "iql",
        "Iql(minibatch: (batch_size: 16), n_step: 3, value: (encoder: Mlp(hidden_sizes: [8], dropout: 0.2)), critic: (encoder: Mlp(hidden_sizes: [8], dropout: 0.2)), \
         actor: (encoder: Mlp(hidden_sizes: [8], activation: Tanh, dropout: 0.2, layer_norm: true)))",
    ),
    (
        "bcq",
        "Bcq(minibatch: (batch_size: 16), act_samples: 5, vae: (encoder: Mlp(hidden_sizes: [8], dropout: 0.2)), critic: (encoder: Mlp(hidden_sizes: [8], dropout: 0.2)), \
         actor: (encoder: Mlp(hidden_sizes: [8], dropout: 0.2)))",
    ),
    (
        "cql",
        "Cql(minibatch: (batch_size: 16), actions: 2, imitation_steps: 20, critic: (encoder: Mlp(hidden_sizes: [8], dropout: 0.2, layer_norm: true)), \
         actor: (encoder: Mlp(hidden_sizes: [8], dropout: 0.2)))",
    ),
    (
        "plain cql",
        "Cql(minibatch: (batch_size: 16), actions: 2, lagrange: None, temperature: (learned: false, initial: 0.2), deterministic_backup: false, imitation_steps: 0, critic: (encoder: Mlp(hidden_sizes: [8])), actor: (encoder: Mlp(hidden_sizes: [8])))",
    ),
];

fn scene(algorithm: &str) -> String {
    let scene = "Scene(
    steps: 60,
    plugins: [
        Dataset(path: \"DATASET\", validation: 0.2),
        ALGORITHM,
        Evaluation(every: 20, episodes: 1),
        Validation(every: 15),
        Reports(every: 10),
        Checkpoints(every: 10, keep: 100),
    ],
)";
    with_dataset(&scene.replace("ALGORITHM", algorithm))
}

#[test]
fn every_algorithm_gives_the_same_bits_again_and_when_it_is_cut_and_resumed() {
    for (name, algorithm) in ALGORITHMS {
        let room = Room::new();
        room.write("scene.ron", &scene(algorithm));
        let train = |run: &str, more: &str| {
            let words = format!("train scene.ron --run {run} {more}");
            room.yarak(&words).ends_with(0);
        };
        train("whole", "");
        train("again", "");
        let (whole, last) = (room.path("whole"), "step_000000060");
        assert_eq!(
            checkpoint(&whole, last),
            checkpoint(&room.path("again"), last),
            "{name}"
        );
        assert_eq!(reports(&whole), reports(&room.path("again")), "{name}");
        train("other", "--set seed=1");
        let (one, other) = (
            checkpoint(&whole, last),
            checkpoint(&room.path("other"), last),
        );
        assert!(
            one["actor.safetensors"] != other["actor.safetensors"],
            "{name}"
        );
        copy(&whole, &room.path("cut"));
        cut_after(&room.path("cut"), 30);
        train("cut", "--resume auto");
        assert_same_end(&whole, &room.path("cut"));
        let played = room.yarak("eval whole --episodes 1 --json");
        assert!(played.result().contains("\"return\""), "{name}");
        assert_eq!(
            played.stdout,
            room.yarak("eval whole --episodes 1 --json").stdout,
            "{name}"
        );
        fs::remove_dir_all(room.path("whole")).unwrap();
    }
}

#[test]
fn a_scenes_order_can_name_the_slots_that_its_algorithm_adds() {
    let room = Room::new();
    let with_order = |order: &str| {
        let scene = scene(
            "Iql(minibatch: (batch_size: 16), value: (encoder: Mlp(hidden_sizes: [8])), critic: (encoder: Mlp(hidden_sizes: [8])), actor: (encoder: Mlp(hidden_sizes: [8])))",
        );
        let end = scene.rfind(')').unwrap();
        room.write(
            "scene.ron",
            &format!("{}    order: [ {order} ],\n)", &scene[..end]),
        );
    };
    with_order("MoveAfter(ValueStep, after: Critic), Replace(Actor, with: \"bc::clone_behavior\")");
    room.yarak("train scene.ron --run run --steps 3")
        .ends_with(0);
    let drawn = room.yarak("graph scene.ron");
    let place = |name: &str| drawn.result().find(&format!("\n  {name}\n")).unwrap();
    assert!(place("Critic") < place("ValueStep") && place("ValueStep") < place("Actor"));
    assert!(drawn.result().contains("bc::clone_behavior"));
    with_order("Remove(ValuStep)");
    room.yarak("scene check scene.ron")
        .refuses(&["no slot of `Learn` is called `ValuStep`", "`ValueStep`"]);
}
