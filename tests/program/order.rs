//! A scene's `order`: what would not run is refused before anything is started, at its line and in the words of scenes.

use crate::room::{Room, learned, with_dataset};

/// A scene with these edits, one a line, from line 11 on.
fn with_order(room: &Room, edits: &[&str]) {
    let edits: String = edits
        .iter()
        .map(|edit| format!("        {edit},\n"))
        .collect();
    let small = "(encoder: Mlp(hidden_sizes: [8]))";
    let scene = format!(
        "Scene(
    name: \"order\",
    steps: 300,
    plugins: [
        Dataset(path: \"DATASET\", validation: 0.2),
        Td3Bc(minibatch: (batch_size: 16), critic: {small}, actor: {small}),
        Validation(every: 100),
        Checkpoints(every: 100),
    ],
    order: [
{edits}    ],
)
"
    );
    room.write("scene.ron", &with_dataset(&scene));
}

#[test]
fn an_order_that_would_not_run_is_refused_with_its_line_by_check_graph_and_train() {
    let room = Room::new();
    for (edits, parts) in [
        (
            &["Remove(Sample)"][..],
            &[
                "scene.ron:11:16: error: order: after this edit `td3::update_critic` in slot `Critic` reads `Batch`, which nothing before it has written",
                "help: put a step that writes `Batch` before it",
            ][..],
        ),
        (
            &[
                "MoveAfter(Targets, after: Rates)",
                "MoveAfter(Sample, after: Critic)",
            ],
            &[
                "scene.ron:12:19: error: order: after this edit `td3::update_critic`",
                "help: slot `Sample` writes it, later: MoveBefore(Sample, before: Critic)",
            ],
        ),
        (
            &["Replace(Critic, with: \"dqn::update_critic\")"],
            &[
                "scene.ron:11:31: error: order: the step `dqn::update_critic` needs `Dqn`, and no plugin of this scene brings that",
                "`yarak list steps`",
            ],
        ),
        (
            &["InsertAfter(Actor, with: \"sac::update_temperature\")"],
            &["scene.ron:11:34", "`Net<Temperature>`", "`PolicyEntropy`"],
        ),
        (
            &["Remove(Actor)", "Remove(Actor)"],
            &[
                "scene.ron:12:16: error: order: nothing runs in slot `Actor` of `Learn`, so there is nothing to remove",
                "help: to put a step there, write InsertAfter(Actor, with: \"step::name\")",
            ],
        ),
        (
            &["Remove(Actor)", "Remove(Measure)"],
            &[
                "scene.ron:12:16: error: order: nothing runs in slot `Measure` of `Learn`",
                "slots in which something runs here: First, Sample, Critic, Targets, Rates",
            ],
        ),
        (
            &["Remove(First)"],
            &["scene.ron:11:16: error: order: after this edit no step of `Learn` writes `Tick<"],
        ),
        (
            &["Replace(Last, with: \"bc::clone_behavior\")"],
            &["nothing runs in slot `Last` of `Learn`, so there is nothing to replace"],
        ),
        (
            &["MoveAfter(First, after: Last)"],
            &[
                "scene.ron:11:19",
                "reads `Tick<",
                "MoveBefore(First, before: ",
            ],
        ),
        (
            &["InsertBefore(First, with: \"bc::clone_behavior\", as: Early, when: Actor)"],
            &["scene.ron:11:22", "MoveBefore("],
        ),
        (
            &[
                "InsertAfter(Actor, with: \"td3::track_targets\", when: Targets)",
                "InsertAfter(Last, with: \"td3::track_targets\", as: Late, when: Measure)",
            ],
            &[
                "scene.ron:12:21",
                "`when: Measure` asks for the conditions of a slot that has none",
            ],
        ),
        (
            &["Remove(Write, in: Save)"],
            &[
                "scene.ron:11:16: error: order: `Write` of `Save` cannot be removed",
                "InsertAfter(Write, with: \"step::name\", in: Save)",
            ],
        ),
        (
            &["MoveBefore(Score, before: Play, in: Evaluate)"],
            &["`Score` of `Evaluate` cannot be moved"],
        ),
        (
            &["Replace(Read, with: \"bc::clone_behavior\", in: Report)"],
            &["`Read` of `Report` cannot be replaced"],
        ),
        (
            &["InsertBefore(Gather, with: \"bc::clone_behavior\", in: Save)"],
            &[
                "scene.ron:11:36",
                "changes `Net<Actor>`",
                "a resumed run would learn otherwise",
            ],
        ),
        (
            &["Replace(Actor, with: \"on_policy::update_critic\")"],
            &["scene.ron:11:30", "`RolloutBatch`"],
        ),
        (
            &["Remove(Score, in: Evalute)"],
            &[
                "scene.ron:11:27",
                "no schedule is called `Evalute`",
                "did you mean `Evaluate`?",
            ],
        ),
        (
            &[
                "InsertAfter(Actor, with: \"bc::clone_behavior\")",
                "InsertAfter(Actor, with: \"bc::clone_behavior\")",
            ],
            &[
                "scene.ron:12:34",
                "has a slot `bc::clone_behavior` already",
                "as: Again",
            ],
        ),
    ] {
        with_order(&room, edits);
        for command in [
            "scene check scene.ron",
            "graph scene.ron",
            "train scene.ron --run run",
        ] {
            let told = room.yarak(command);
            told.refuses(parts);
            assert!(!told.stderr.contains("add_systems"), "{}", told.stderr);
        }
        assert!(!room.path("run").exists());
    }
}

#[test]
fn an_order_names_inserted_steps_again_gives_them_conditions_and_edits_every_schedule() {
    let room = Room::new();
    with_order(
        &room,
        &[
            "InsertAfter(Actor, with: \"bc::clone_behavior\", as: Clone, every: 3)",
            "InsertAfter(Clone, with: \"bc::clone_behavior\", as: Again, when: Actor)",
            "InsertAfter(Again, with: \"bc::clone_behavior\")",
            "MoveBefore(\"bc::clone_behavior\", before: Critic)",
            "Remove(Clone)",
            "Replace(Again, with: \"td3_bc::update_actor\")",
            "InsertBefore(Gather, with: \"bc::clone_behavior\", in: Save)",
            "Remove(\"bc::clone_behavior\", in: Save)",
            "InsertAfter(Targets, with: \"td3::track_targets\", as: Probe, every: 1_0)",
            "InsertAfter(Probe, with: \"td3::track_targets\", as: Twice, when: Probe)",
        ],
    );
    assert_eq!(
        room.yarak("scene check scene.ron").result(),
        "scene.ron: good\n"
    );
    let drawn = room.yarak("graph scene.ron");
    let drawn = drawn.result();
    let place = |what: &str| {
        drawn
            .find(what)
            .unwrap_or_else(|| panic!("no {what} in {drawn}"))
    };
    assert!(place("\n  bc::clone_behavior\n") < place("\n  Critic"));
    assert!(place("\n  Again  [every(2) of Actor]\n") > place("\n  Clone"));
    let every_tenth = |slot: &str| place(&format!("\n  {slot}  [every(10) of Learn]\n"));
    assert!(every_tenth("Probe") < every_tenth("Twice"));
    room.yarak("train scene.ron --run whole").ends_with(0);
    // The order is kept with the run, and the run goes on with it.
    room.yarak("train scene.ron --run part --steps 125")
        .ends_with(0);
    room.yarak("train scene.ron --run part --resume auto")
        .ends_with(0);
    let last = |run: &str| learned(&room.path(run), "step_000000300");
    assert!(last("whole") == last("part"));
}

#[test]
fn steps_and_slots_are_listed() {
    let room = Room::new();
    let steps = room.yarak("list steps");
    let critic = steps
        .result()
        .lines()
        .find(|line| line.contains("td3::update_critic"));
    let critic = critic.unwrap();
    assert!(
        critic.contains("writes ") && critic.contains("Net<Critic>") && critic.contains("Batch")
    );
    let slots = room.yarak("list slots");
    assert!(
        slots.result().contains("  Learn     Actor"),
        "{}",
        slots.result()
    );
    assert!(slots.result().contains("  Evaluate  Play"));
}

#[test]
fn a_check_finds_what_training_would_refuse_at_once() {
    let room = Room::new();
    for (plugins, parts) in [
        (
            "Sac()",
            &["scene.ron:1:", "learns from experience", "Dataset(path:"][..],
        ),
        (
            "Bc()",
            &["learns from data, and the scene has no `Dataset`"],
        ),
        (
            "Dataset(path: \"nowhere.hdf5\"), Td3Bc()",
            &[
                "Dataset.path: nowhere.hdf5: there is no such file",
                "the scene's folder",
            ],
        ),
        ("Checkpoints()", &["nothing in this scene learns"]),
        (
            "Dataset(path: \"DATASET\"), Bc(actor: (encoder: Lstm(hidden_size: 8)))",
            &[
                "the encoder `Lstm` cannot be made: it reads the last steps of an episode, and is shown one",
                "`Dataset(frame_stack: 10)`",
            ],
        ),
        (
            "Environments(env: \"CartPole-v1\"), Ppo(critic: (encoder: Gru(hidden_size: 8)))",
            &["the encoder `Gru` cannot be made: it reads the last steps of an episode"],
        ),
    ] {
        let scene = format!("Scene(steps: 3, plugins: [{plugins}])");
        room.write("scene.ron", &with_dataset(&scene));
        let checked = room.yarak("scene check scene.ron");
        checked.refuses(parts);
        room.yarak("train scene.ron --run run").refuses(parts);
    }
}

#[test]
fn an_encoder_that_remembers_a_single_step_is_found_wherever_it_is() {
    let room = Room::new();
    let lstm = "Lstm(hidden_size: 8, layers: 1)";
    for (actor, place) in [
        (
            format!("(encoder: {lstm})"),
            "error: Td3Bc.actor.encoder: the encoder `Lstm`",
        ),
        (
            format!("(encoder: Combined(encoders: [(part: \"observations\", encoder: {lstm})]))"),
            "error: Td3Bc.actor.encoder.encoders[0].encoder: the encoder `Lstm`",
        ),
    ] {
        for (steps, is_good) in [(1, false), (2, true)] {
            let scene = format!(
                "Scene(steps: 3, plugins: [Td3Bc(actor: {actor}), Dataset(path: \"DATASET\", frame_stack: {steps})])"
            );
            room.write("scene.ron", &with_dataset(&scene));
            let checked = room.yarak("scene check scene.ron");
            match is_good {
                true => assert_eq!(checked.result(), "scene.ron: good\n"),
                false => checked.refuses(&[place]),
            }
        }
    }
}
