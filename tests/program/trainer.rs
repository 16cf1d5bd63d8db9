//! How long a run is and what it keeps: epochs, early stopping, the best checkpoint by a metric.

use crate::room::{Room, checkpoint, checkpoints, learned, metric, named, reports, with_dataset};

const SCENE: &str = r#"Scene(
    epochs: 4,
    plugins: [
        Dataset(path: "DATASET", validation: 0.2, action_bounds: (-2.0, 2.0)),
        Bc(
            minibatch: (batch_size: 16, steps_per_epoch: 50),
            actor: (
                encoder: Mlp(hidden_sizes: [8], activation: Tanh, dropout: 0.2, layer_norm: true),
                optimizer: (rule: RmsProp(momentum: 0.5), learning_rate: WarmUp(initial: 1e-3, over: Steps(20))),
            ),
        ),
        Validation(every: 10),
        Reports(every: 10),
        Checkpoints(every: 40, keep: 100, best: "validate/actor/loss", goal: Smallest),
        EarlyStopping(metric: "validate/actor/loss", goal: Smallest, patience: 3, by: 100),
    ],
)
"#;

fn room() -> Room {
    let room = Room::new();
    room.write("scene.ron", &with_dataset(SCENE));
    room
}

#[test]
fn a_run_whose_metric_gets_no_better_is_saved_and_ends_and_stays_ended() {
    let room = room();
    let said = room.yarak("train scene.ron --run run");
    assert!(said.stderr.contains("stopped early"), "{}", said.stderr);
    assert!(
        said.stderr.contains("`validate/actor/loss`"),
        "{}",
        said.stderr
    );
    said.ends_with(0);
    let run = room.path("run");
    // The first report is the best, as nothing is better by 100, and three more may pass.
    assert_eq!(reports(&run).last().unwrap()["step"], 40);
    assert_eq!(named(&run, "latest"), "step_000000040");
    let before = reports(&run);
    room.yarak("train scene.ron --run run --resume auto")
        .ends_with(0);
    assert_eq!(reports(&run), before);
}

#[test]
fn a_long_half_life_of_targets_is_told_with_its_length_and_a_short_one_is_not() {
    let scene = r#"Scene(
    steps: 2,
    plugins: [
        Dataset(path: "DATASET"),
        Td3Bc(critic: (encoder: Mlp(hidden_sizes: [4])), actor: (encoder: Mlp(hidden_sizes: [4]))),
    ],
)
"#;
    let room = Room::new();
    room.write("scene.ron", &with_dataset(scene));
    let said = room.yarak("train scene.ron --run short");
    assert!(!said.stderr.contains("half-life"), "{}", said.stderr);
    said.ends_with(0);
    let said = room.yarak("train scene.ron --run long --set Td3Bc.target_update.tau=1e-5");
    let warning = "warning: with `target_update: (every: 2, tau: 0.00001)` the targets' half-life is 138629 steps";
    assert!(said.stderr.contains(warning), "{}", said.stderr);
    said.ends_with(0);
}

#[test]
fn a_run_of_epochs_keeps_the_checkpoint_of_the_smallest_loss() {
    let room = room();
    let endless = "--set EarlyStopping.patience=1000";
    room.yarak(&format!("train scene.ron --run run {endless}"))
        .ends_with(0);
    let run = room.path("run");
    assert_eq!(named(&run, "latest"), "step_000000200");
    let losses = metric(&run, "validate/actor/loss");
    assert_eq!(losses.len(), 20);
    let best = losses.iter().min_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
    assert_eq!(named(&run, "best"), format!("step_{:09}", best.0));

    // Cut in the middle: dropout's stream, the rule's memories and what early stopping has seen go on.
    let cut = format!("train scene.ron --run cut {endless}");
    room.yarak(&format!("{cut} --steps 100")).ends_with(0);
    room.yarak(&format!("{cut} --resume auto")).ends_with(0);
    let cut = room.path("cut");
    let last = "step_000000200";
    assert!(checkpoint(&cut, last) == checkpoint(&run, last));
    assert_eq!(reports(&cut), reports(&run));
}

#[test]
fn periods_in_epochs_give_exactly_so_many_evaluations_and_checkpoints_and_may_change_on_a_resume() {
    let room = Room::new();
    let small = "(encoder: Mlp(hidden_sizes: [8]))";
    let scene = format!(
        "Scene(
    epochs: 20,
    plugins: [
        Dataset(path: \"DATASET\"),
        Td3Bc(minibatch: (batch_size: 16, steps_per_epoch: 3), critic: {small}, actor: {small}),
        Evaluation(every: Epochs(1), episodes: 1),
        Checkpoints(every: Epochs(2), keep: 99, best: None),
        Reports(every: Epochs(5)),
    ],
)
"
    );
    room.write("scene.ron", &with_dataset(&scene));
    room.yarak("train scene.ron --run run").ends_with(0);
    let run = room.path("run");
    let steps: Vec<u64> = metric(&run, "evaluate/return")
        .iter()
        .map(|it| it.0)
        .collect();
    assert_eq!(steps, (1..=20).map(|epoch| 3 * epoch).collect::<Vec<_>>());
    let saved: Vec<String> = (1..=10).map(|n| format!("step_{:09}", 6 * n)).collect();
    assert_eq!(checkpoints(&run), saved);
    // How often something is done changes nothing of what is learned.
    let more = "train scene.ron --run run --resume auto --set epochs=24 --set Evaluation.every=Epochs(4) --set Checkpoints.every=9";
    room.yarak(more).ends_with(0);
    assert_eq!(metric(&run, "evaluate/return").len(), 21);
    room.yarak("train scene.ron --run run --resume auto --set epochs=30 --set Td3Bc.alpha=1.0")
        .refuses(&["Td3Bc.alpha: 2.5 -> 1.0"]);
    // What is no period is told as one.
    room.yarak("train scene.ron --run other --set Evaluation.every=Epochs(0)")
        .refuses(&["a whole number of steps at least 1, or Epochs(..)"]);
}

/// A run of seven epochs of three steps, which keeps two of its last checkpoints.
fn seven_epochs() -> Room {
    let room = Room::new();
    let small = "(encoder: Mlp(hidden_sizes: [8]))";
    let scene = format!(
        "Scene(
    epochs: 7,
    plugins: [
        Dataset(path: \"DATASET\"),
        Td3Bc(minibatch: (batch_size: 16, steps_per_epoch: 3), critic: {small}, actor: {small}),
        Checkpoints(every: 5, keep: 2, best: None),
    ],
)
"
    );
    room.write("scene.ron", &with_dataset(&scene));
    room
}

#[test]
fn listed_checkpoints_are_kept_for_good_and_a_resumed_run_knows_them() {
    let room = seven_epochs();
    let listed = "train scene.ron --set Checkpoints.also_at=[Epochs(1),7,Epochs(90)]";
    room.yarak(&format!("{listed} --run whole")).ends_with(0);
    let whole = room.path("whole");
    let named = |steps: &[u64]| -> Vec<String> {
        let names = steps.iter().map(|step| format!("step_{step:09}"));
        names.collect()
    };
    assert_eq!(checkpoints(&whole), named(&[3, 7, 20, 21]));
    // Cut right before a listed time, and after both.
    for cut in [6, 12] {
        let name = format!("cut_{cut}");
        let run = format!("{listed} --run {name}");
        room.yarak(&format!("{run} --steps {cut}")).ends_with(0);
        room.yarak(&format!("{run} --resume auto")).ends_with(0);
        let cut = room.path(&name);
        assert_eq!(checkpoints(&cut), checkpoints(&whole));
        for step in checkpoints(&whole) {
            // What was reported since differs, as a run that ends reports.
            assert!(
                learned(&cut, &step) == learned(&whole, &step),
                "{name}, {step}"
            );
        }
    }
    // A resumed run may list others, and lets none of the former go.
    room.yarak(
        "train scene.ron --run whole --resume auto --set epochs=9 --set Checkpoints.also_at=[23]",
    )
    .ends_with(0);
    assert_eq!(checkpoints(&whole), named(&[3, 7, 23, 25, 27]));
    room.yarak("train scene.ron --run other --set Checkpoints.also_at=[Epochs(0)]")
        .refuses(&["a whole number of steps at least 1, or Epochs(..)"]);
}

#[test]
fn checkpoints_by_the_clock_change_nothing_of_what_is_learned() {
    let room = seven_epochs();
    room.yarak("train scene.ron --run without").ends_with(0);
    room.yarak("train scene.ron --run often --set Checkpoints.every_seconds=1e-9 --set Checkpoints.keep=99")
        .ends_with(0);
    let (without, often) = (room.path("without"), room.path("often"));
    assert_eq!(checkpoints(&often).len(), 21, "one after each step");
    for step in checkpoints(&without) {
        assert!(checkpoint(&often, &step) == checkpoint(&without, &step));
    }
    // From one that only the clock asked for.
    room.yarak("train scene.ron --run again --resume often/checkpoints/step_000000013")
        .ends_with(0);
    let last = "step_000000021";
    assert!(checkpoint(&room.path("again"), last) == checkpoint(&without, last));
    room.yarak("train scene.ron --run other --set Checkpoints.every_seconds=0")
        .refuses(&["Checkpoints.every_seconds", "None or a number above 0"]);
}
