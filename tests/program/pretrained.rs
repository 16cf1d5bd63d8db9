//! A run that begins with the networks of another one.

use std::collections::BTreeMap;
use std::fs;

use crate::room::{Room, checkpoint, with_dataset};

const BC: &str = r#"Scene(
    steps: 60,
    plugins: [
        Dataset(path: "DATASET"),
        Bc(minibatch: (batch_size: 16), actor: (encoder: Mlp(hidden_sizes: [8, 8]))),
        Checkpoints(every: 60, best: None),
    ],
)
"#;

/// The actor and the critic are not trained yet, so that a checkpoint shows what they began with; observations are not normalized, which the
/// actor's are.
const TD3_BC: &str = r#"Scene(
    steps: 40,
    plugins: [
        Dataset(path: "DATASET", normalize: false, validation: 0.5),
        Td3Bc(
            minibatch: (batch_size: 16),
            critic: (encoder: Mlp(hidden_sizes: [8]), optimizer: (start_epoch: Some(1000))),
            actor: (encoder: Mlp(hidden_sizes: [8, 8]), optimizer: (start_epoch: Some(1000))),
        ),
        Pretrained(path: "bc"),
        Checkpoints(every: 20, best: None),
    ],
)
"#;

fn room() -> Room {
    let room = Room::new();
    room.write("bc.ron", &with_dataset(BC));
    room.write("td3_bc.ron", &with_dataset(TD3_BC));
    room.yarak("train bc.ron --run bc").ends_with(0);
    room
}

/// The numbers of a file of tensors, without what else the file says.
fn tensors(file: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let tensors = safetensors::SafeTensors::deserialize(file).unwrap();
    let tensors = tensors.tensors().into_iter();
    tensors
        .map(|(name, tensor)| (name, tensor.data().to_vec()))
        .collect()
}

fn state_of(checkpoint: &BTreeMap<String, Vec<u8>>, key: &str) -> String {
    let state = String::from_utf8(checkpoint["state.ron"].clone()).unwrap();
    let line = state.lines().find(|line| line.contains(key));
    line.unwrap_or_else(|| panic!("no {key} in {state}"))
        .trim()
        .to_owned()
}

#[test]
fn networks_that_both_have_are_taken_with_their_scaling_and_others_are_fresh() {
    let room = room();
    let said = room.yarak("train td3_bc.ron --run run");
    let message = said.ends_with(0);
    assert!(message.contains("begins with `actor` of "), "{message}");
    assert!(message.contains("; fresh: `critic`"), "{message}");
    let source = checkpoint(&room.path("bc"), "step_000000060");
    let run = checkpoint(&room.path("run"), "step_000000040");
    let taken = tensors(&source["actor.safetensors"]);
    assert!(tensors(&run["actor.safetensors"]) == taken);
    assert!(tensors(&run["target_actor.safetensors"]) == taken);
    // The data would not be normalized here, and by other numbers there.
    let key = "\"preprocessing\"";
    assert_eq!(state_of(&run, key), state_of(&source, key));

    // A run that goes on has no need of the other one any more.
    room.yarak("train td3_bc.ron --run cut --steps 20")
        .ends_with(0);
    fs::rename(room.path("bc"), room.path("gone")).unwrap();
    room.yarak("train td3_bc.ron --run cut --resume auto --steps 40")
        .ends_with(0);
    assert!(checkpoint(&room.path("cut"), "step_000000040") == run);
    room.yarak("eval run --episodes 1 --env Pendulum-v1")
        .ends_with(0);
}

#[test]
fn what_cannot_be_taken_is_refused_by_name() {
    let room = room();
    let refuses = |set: &str, parts: &[&str]| {
        let arguments = ["train", "td3_bc.ron", "--run", "run", "--set", set];
        room.yarak_with(&arguments).refuses(parts);
    };
    refuses(
        "Td3Bc.actor.encoder=Mlp(hidden_sizes: [9, 8])",
        &["`actor` of", "is another network", "encoder"],
    );
    refuses(
        r#"Pretrained.networks=["critic"]"#,
        &["`Pretrained.networks` names `critic`", "`actor`"],
    );
    refuses(
        r#"Pretrained.networks=["Actor"]"#,
        &["`Pretrained.networks` names `Actor`"],
    );
    refuses(
        r#"Pretrained.path="nowhere""#,
        &["Pretrained.path", "nowhere"],
    );
    let nowhere = with_dataset(TD3_BC).replace("(path: \"bc\")", "(path: \"nowhere\")");
    room.write("nowhere.ron", &nowhere);
    room.yarak("scene check nowhere.ron").refuses(&[
        "Pretrained.path",
        "nowhere",
        "nowhere.ron:10:26: error: Pretrained.path: nowhere: there is no such run or checkpoint",
    ]);
    // Another task.
    room.write(
        "cartpole.ron",
        r#"Scene(
    steps: 40,
    plugins: [
        Environments(env: "CartPole-v1"),
        Ppo(steps: 8, minibatches: 1, actor: (encoder: Mlp(hidden_sizes: [8, 8]))),
        Pretrained(path: "bc"),
    ],
)
"#,
    );
    room.yarak("train cartpole.ron --run other")
        .refuses(&["`Pretrained`", "it is another task"]);
}

#[test]
fn networks_that_would_see_or_do_something_else_are_refused() {
    let room = Room::new();
    let scene = |environments: &str, more: &str| {
        format!(
            "Scene(steps: 20, plugins: [Environments(env: \"PendulumNamed-v1\", {environments}), \
             Ppo(steps: 10, minibatches: 1, actor: (encoder: Mlp(hidden_sizes: [8])), critic: (encoder: Mlp(hidden_sizes: [8]))), {more}])"
        )
    };
    let first = "observations: [\"angle\"], frame_stack: 2";
    room.write(
        "first.ron",
        &scene(first, "Checkpoints(every: 20, best: None)"),
    );
    room.yarak("train first.ron --run first").ends_with(0);
    let then = "Pretrained(path: \"first\")";
    for (environments, words) in [
        (
            "observations: [\"angle\", \"velocity\"]",
            "it is another task",
        ),
        // Four numbers as well.
        (
            "observations: [\"velocity\"], frame_stack: 4",
            "in 4 frame(s)",
        ),
        (
            &*format!("{first}, rescale_actions: false"),
            "Environments.rescale_actions",
        ),
        (
            &*format!("{first}, action_bounds: [(-1, 1)]"),
            "Environments.action_bounds",
        ),
    ] {
        room.write("then.ron", &scene(environments, then));
        room.yarak("train then.ron --run then").refuses(&[words]);
    }
    room.write("then.ron", &scene(first, then));
    room.yarak("train then.ron --run then").ends_with(0);
}

#[test]
fn what_was_learned_from_data_goes_on_in_the_environment() {
    let room = room();
    room.write(
        "online.ron",
        r#"Scene(
    steps: 30,
    plugins: [
        Environments(env: "Pendulum-v1"),
        Replay(capacity: 1000),
        Td3(
            minibatch: (batch_size: 8),
            off_policy: (learning_starts: 10),
            critic: (encoder: Mlp(hidden_sizes: [8])),
            actor: (encoder: Mlp(hidden_sizes: [8, 8])),
        ),
        Pretrained(path: "bc"),
        Checkpoints(every: 30, best: None),
    ],
)
"#,
    );
    room.yarak("train online.ron --run online").ends_with(0);
    let source = checkpoint(&room.path("bc"), "step_000000060");
    let run = checkpoint(&room.path("online"), "step_000000030");
    let key = "\"preprocessing\"";
    let (here, there) = (state_of(&run, key), state_of(&source, key));
    let normalizer = |state: &str| state[state.find("observation:").unwrap()..].to_owned();
    assert_eq!(normalizer(&here), normalizer(&there));
    let moving = fs::read_to_string(room.path("online.ron")).unwrap();
    let moving = moving.replace("Replay(", "NormalizeObservations(),\n        Replay(");
    room.write("moving.ron", &moving);
    room.yarak("train moving.ron --run moving")
        .refuses(&["`NormalizeObservations` moves", "`Pretrained`"]);
}
