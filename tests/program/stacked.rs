//! Seeds that learn as one stack: each has the bits of its lone run.

use crate::resume::cut_after;
use crate::room::{
    Room, checkpoint, checkpoints, copy, files, named, reports, send, wait_until, with_dataset,
};

/// Behavior cloning, as small as it gets.
const BC: &str = r#"Scene(
    steps: 24,
    plugins: [
        Dataset(path: "DATASET"),
        Bc(minibatch: (batch_size: 8), actor: (encoder: Mlp(hidden_sizes: [8]))),
        Evaluation(every: 12, episodes: 1),
        Reports(every: 5),
        Checkpoints(every: 6, keep: 100),
    ],
)
"#;

/// Everything in a run's folder that does not depend on the clock on the wall.
#[track_caller]
fn same(room: &Room, one: &str, other: &str) {
    let [one, other] = [one, other].map(|name| room.path(name));
    assert_eq!(reports(&one), reports(&other));
    let saved = checkpoints(&one);
    assert!(saved.len() > 1);
    assert_eq!(saved, checkpoints(&other));
    for name in saved {
        assert!(
            checkpoint(&one, &name) == checkpoint(&other, &name),
            "{name}"
        );
    }
    let names = |run| {
        files(run)
            .into_keys()
            .filter(|name| !name.contains("tfevents"))
    };
    assert!(names(&one).eq(names(&other)));
}

#[test]
fn learners_that_saved_at_different_steps_go_on_from_the_latest_that_all_have() {
    let room = Room::new();
    room.write("bc.ron", &with_dataset(BC));
    let train = "train bc.ron --seeds 0,1 --stacked";
    room.yarak(&format!("{train} --run whole")).ends_with(0);
    copy(&room.path("whole"), &room.path("cut"));
    // As a process leaves them that dies after one of them has saved its best.
    cut_after(&room.path("cut/seed_0"), 18);
    cut_after(&room.path("cut/seed_1"), 12);
    room.yarak(&format!("{train} --run cut --resume auto"))
        .ends_with(0);
    for seed in ["seed_0", "seed_1"] {
        same(&room, &format!("whole/{seed}"), &format!("cut/{seed}"));
    }
}

#[test]
fn learners_of_a_stack_have_the_bits_reports_and_checkpoints_of_their_lone_runs() {
    let room = Room::new();
    room.write("bc.ron", &with_dataset(BC));
    let small = "minibatch: (batch_size: 8), actor: (encoder: Mlp(hidden_sizes: [8]))";
    let iql = format!(
        "Iql({small}, value: (encoder: Mlp(hidden_sizes: [8])), critic: (encoder: Mlp(hidden_sizes: [8])))"
    );
    room.write(
        "iql.ron",
        &with_dataset(&BC.replace(&format!("Bc({small})"), &iql)),
    );
    let mixture = "Bc(head: Mixture, mixture: (modes: 2), ";
    room.write("mixture.ron", &with_dataset(&BC.replace("Bc(", mixture)));
    for (scene, steps) in [("tiny", 80), ("bc", 24), ("iql", 24), ("mixture", 24)] {
        let train = format!("train {scene}.ron --seeds 0..3 --steps {steps}");
        let said = room.yarak(&format!("{train} --run {scene}_stack --stacked"));
        assert!(said.result().contains("over 3 seeds"), "{}", said.stdout);
        room.yarak(&format!("{train} --run {scene}_lone"))
            .ends_with(0);
        for seed in 0..3 {
            let of = |run: &str| format!("{scene}_{run}/seed_{seed}");
            same(&room, &of("stack"), &of("lone"));
        }
    }
    let played = ["tiny_stack", "tiny_lone"].map(|run| {
        let said = room.yarak(&format!("eval {run}/seed_1 --episodes 1"));
        said.result().replace(run, "")
    });
    assert_eq!(played[0], played[1]);
}

#[test]
fn a_stack_goes_on_where_it_was_cut_and_each_learner_goes_on_alone() {
    let room = Room::new();
    let train = "train tiny.ron --seeds 0,2";
    room.yarak(&format!("{train} --run whole --stacked --steps 60"))
        .ends_with(0);
    room.yarak(&format!("{train} --run cut --stacked --steps 25"))
        .ends_with(0);
    copy(&room.path("cut/seed_2"), &room.path("alone"));
    let resumed = format!("{train} --run cut --stacked --steps 60 --resume auto");
    room.yarak(&resumed).ends_with(0);
    room.yarak("train tiny.ron --set seed=2 --run alone --steps 60 --resume auto")
        .ends_with(0);
    let last = "step_000000060";
    for (run, seed) in [("cut/seed_0", 0), ("cut/seed_2", 2), ("alone", 2)] {
        let whole = room.path(&format!("whole/seed_{seed}"));
        assert!(
            checkpoint(&room.path(run), last) == checkpoint(&whole, last),
            "{run}"
        );
    }
    // All steps were taken.
    let said = room.yarak(&resumed);
    assert_eq!(
        said.ends_with(0).matches("is finished").count(),
        2,
        "{}",
        said.stderr
    );
    // One has taken all of its steps: the other goes on alone.
    room.yarak("train tiny.ron --set seed=2 --run cut/seed_2 --steps 80 --resume auto")
        .ends_with(0);
    let finished = files(&room.path("cut/seed_2"));
    room.yarak(&format!(
        "{train} --run cut --stacked --steps 80 --resume auto"
    ))
    .ends_with(0);
    let left = files(&room.path("cut/seed_2"));
    assert!(left["metrics.jsonl"] == finished["metrics.jsonl"]);
    room.yarak("train tiny.ron --run lone --steps 80")
        .ends_with(0);
    let last = "step_000000080";
    let cut = checkpoint(&room.path("cut/seed_0"), last);
    assert!(cut == checkpoint(&room.path("lone"), last));
    // Without a step that both have kept.
    let kept = room.path("cut/seed_2/checkpoints");
    for name in checkpoints(&room.path("cut/seed_2")) {
        if name != last {
            std::fs::remove_dir_all(kept.join(name)).unwrap();
        }
    }
    cut_after(&room.path("cut/seed_0"), 60);
    room.yarak(&format!(
        "{train} --run cut --stacked --steps 90 --resume auto"
    ))
    .refuses(&["`clock` differs", "side by side, without `--stacked`"]);
}

#[test]
fn a_stack_that_is_stopped_saves_every_learner_and_goes_on() {
    let room = Room::new();
    let train = "train tiny.ron --seeds 0,1 --stacked";
    let mut child = room.start(&format!("{train} --run cut --steps 1000000"));
    wait_until("the first checkpoint", || {
        room.path("cut/seed_1/checkpoints/latest").exists()
    });
    send("-INT", &child);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let [first, second] =
        ["seed_0", "seed_1"].map(|seed| named(&room.path("cut").join(seed), "latest"));
    assert_eq!(first, second);
    let step: u64 = first["step_".len()..].parse().unwrap();
    let end = (step / 50 + 1) * 50;
    room.yarak(&format!("{train} --run whole --steps {end}"))
        .ends_with(0);
    room.yarak(&format!("{train} --run cut --steps {end} --resume auto"))
        .ends_with(0);
    for seed in ["seed_0", "seed_1"] {
        let [whole, cut] = ["whole", "cut"].map(|run| room.path(run).join(seed));
        assert_eq!(reports(&whole), reports(&cut));
        let last = format!("step_{end:09}");
        assert!(
            checkpoint(&whole, &last) == checkpoint(&cut, &last),
            "{seed}"
        );
    }
}

#[test]
fn what_no_stack_can_do_is_refused_by_name_before_a_folder_is_made() {
    let room = Room::new();
    let tiny = with_dataset(crate::room::TINY);
    let actor = "actor: (encoder: Mlp(hidden_sizes: [8, 8])";
    let edited = |from: &str, to: &str| {
        let edited = tiny.replace(from, to);
        assert_ne!(edited, tiny, "{from}");
        edited
    };
    let bc = with_dataset(BC);
    for (scene, parts) in [
        (
            edited("Td3Bc(", "Cql("),
            &["Cql", "it does not learn in a stack", "without `--stacked`"][..],
        ),
        (
            edited(
                actor,
                "actor: (encoder: Mlp(hidden_sizes: [8, 8], dropout: 0.1)",
            ),
            &["`dropout` is not what learners of one stack can have"],
        ),
        (
            bc.replace("encoder: Mlp(hidden_sizes: [8])", "encoder: Transformer()"),
            &["the encoder `Transformer`"],
        ),
        (
            edited("validation: 0.2)", "validation: 0.2, memory: 0.001)"),
            &["draw from data in memory", "Dataset.memory"],
        ),
        (
            edited(
                "plugins: [",
                "order: [Replace(Actor, with: \"bc::clone_behavior\")],\n    plugins: [",
            ),
            &["order", "may couple the rows"],
        ),
        (
            edited("TensorBoard(),", "Pretrained(path: \"nowhere\"),"),
            &["Pretrained", "it knows no stack of learners"],
        ),
    ] {
        room.write("odd.ron", &scene);
        room.yarak("train odd.ron --run odd --seeds 0,1 --stacked")
            .refuses(parts);
        assert!(!room.path("odd").exists(), "{parts:?}");
    }
    for (words, part) in [
        ("--stacked", "give two seeds or more"),
        ("--stacked --seeds 3", "give two seeds or more"),
        ("--stacked --seeds 3,3", "given twice"),
        ("--seeds 3..3", "has no seed"),
        ("--seeds 0..100000", "4096 at most"),
        ("--seeds 0..x", "is no seed"),
    ] {
        room.yarak(&format!("train tiny.ron --run odd {words}"))
            .refuses(&[part]);
        assert!(!room.path("odd").exists(), "{words}");
    }
}
