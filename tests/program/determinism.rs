//! The same seed gives the same bits, whatever else the run does on the way.

use crate::room::{Room, checkpoint, learned, reports};

const LAST: &str = "step_000000300";

#[test]
fn the_same_seed_gives_the_same_bits_and_another_seed_others() {
    let room = Room::new();
    for words in [
        "train tiny.ron --run a",
        "train tiny.ron --run b",
        "train tiny.ron --run c --set seed=1",
    ] {
        room.yarak(words).ends_with(0);
    }
    let [a, b, c] = ["a", "b", "c"].map(|name| checkpoint(&room.path(name), LAST));
    assert_eq!(a, b);
    assert_eq!(reports(&room.path("a")), reports(&room.path("b")));
    for file in ["actor.safetensors", "critic.safetensors"] {
        assert!(a[file] != c[file], "{file} does not depend on the seed");
    }
}

#[test]
fn what_is_watched_on_the_way_does_not_change_what_is_learned() {
    let room = Room::new();
    room.yarak("train tiny.ron --run all").ends_with(0);
    let all = learned(&room.path("all"), LAST);
    let scene = std::fs::read_to_string(room.path("tiny.ron")).unwrap();
    for (what, line, instead) in [
        ("evaluation", "Evaluation(every: 50, episodes: 2),", ""),
        (
            "more evaluation",
            "Evaluation(every: 50, episodes: 2),",
            "Evaluation(every: 7, episodes: 3, seed: 5),",
        ),
        ("validation", "Validation(every: 40),", ""),
        ("reports", "Reports(every: 30),", "Reports(every: 10_000),"),
        ("more reports", "Reports(every: 30),", "Reports(every: 1),"),
        (
            "checkpoints",
            "Checkpoints(every: 25,",
            "Checkpoints(every: 10_000, best: None,",
        ),
        ("TensorBoard", "TensorBoard(),", ""),
    ] {
        let changed = scene.replace(line, instead);
        assert_ne!(changed, scene, "{what}");
        let name = what.replace(' ', "_");
        // Rollouts say the bounds of actions; without them the scene does.
        let changed = match what {
            "evaluation" => changed.replace(
                "validation: 0.2)",
                "validation: 0.2, action_bounds: (-2.0, 2.0))",
            ),
            _ => changed,
        };
        room.write("changed.ron", &changed);
        room.yarak(&format!("train changed.ron --run {name}"))
            .ends_with(0);
        assert!(
            learned(&room.path(&name), LAST) == all,
            "{what} changed what is learned"
        );
    }
    // Without any checkpoint the reports are all there is.
    room.write(
        "changed.ron",
        &scene.replace("Checkpoints(every: 25, keep: 100),", ""),
    );
    room.yarak("train changed.ron --run unsaved").ends_with(0);
    assert!(!room.path("unsaved/checkpoints").exists());
    assert_eq!(reports(&room.path("unsaved")), reports(&room.path("all")));
}

#[test]
fn learners_side_by_side_have_the_bits_of_their_lone_runs() {
    let room = Room::new();
    let said = room.yarak("train tiny.ron --run both --seeds 0,1");
    assert!(said.result().contains("over 2 seeds"), "{}", said.stdout);
    for seed in [0, 1] {
        let words = format!("train tiny.ron --run lone_{seed} --set seed={seed}");
        room.yarak(&words).ends_with(0);
        let (lone, both) = (
            room.path(&format!("lone_{seed}")),
            room.path(&format!("both/seed_{seed}")),
        );
        assert_eq!(checkpoint(&lone, LAST), checkpoint(&both, LAST));
        assert_eq!(reports(&lone), reports(&both));
    }
}
