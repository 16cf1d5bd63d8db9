//! The order of an algorithm's steps is data: any step is replaced, moved, dropped or joined by another from outside.

use std::path::Path;

use yarak::plugins::bc;
use yarak::prelude::*;
use yarak::schedule::{
    EpochWindow, EvaluateSystems, LearnOrder, NamedChange, NamedEdit, NewStep, ScheduleErrors,
    SchedulePlugin, Side, TickPlugin, TrainingSchedule, between,
};
use yarak::schedule::{GraphFormat, draw};

use crate::small_run::*;

/// What ran, in order.
#[derive(Resource, Default)]
struct Trace(Vec<String>);

/// A step that writes down its name.
fn say(name: &'static str) -> impl Fn(ResMut<Trace>) + Clone + Send + Sync + 'static {
    move |mut trace| trace.0.push(name.to_owned())
}

/// Your own slot.
#[derive(SystemSet, Clone, Debug, PartialEq, Eq, Hash)]
struct Temperature;

/// What is trained in these tests.
struct Pupil;

/// An app in which the critic, the actor (every second tick) and the targets say when they run.
fn three_steps() -> App {
    let mut app = App::new();
    app.add_plugins((SchedulePlugin, TickPlugin::<Pupil>::new(default())))
        .init_resource::<Trace>()
        .add_systems(
            Learn,
            (
                say("critic").in_set(LearnSystems::Critic),
                say("actor").in_set(LearnSystems::Actor),
                say("targets").in_set(LearnSystems::Targets),
            ),
        )
        .configure_sets(Learn, LearnSystems::Actor.run_if(every::<Pupil>(2)));
    app
}

/// Finishes the app; what each of `n` runs of `Learn` did.
fn trace(app: &mut App, n: usize) -> Vec<Vec<String>> {
    app.finish();
    let errors = &app.world().resource::<ScheduleErrors>().0;
    assert!(errors.is_empty(), "{errors:?}");
    (0..n)
        .map(|_| {
            app.world_mut().resource_mut::<Clock>().gradient_steps += 1;
            app.world_mut().run_schedule(Learn);
            std::mem::take(&mut app.world_mut().resource_mut::<Trace>().0)
        })
        .collect()
}

/// Finishes the app; what was wrong.
fn errors(app: &mut App) -> Vec<String> {
    app.finish();
    let errors = &app.world().resource::<ScheduleErrors>().0;
    errors.iter().map(ToString::to_string).collect()
}

/// An edit by name.
fn in_learn(change: NamedChange) -> NamedEdit {
    NamedEdit {
        schedule: TrainingSchedule::Learn,
        change,
        number: 0,
    }
}

/// A step in a new slot that has its name.
fn insert(side: Side, anchor: &str, step: &str) -> NamedChange {
    NamedChange::Insert {
        side,
        anchor: anchor.to_owned(),
        step: NewStep {
            step: step.to_owned(),
            ..default()
        },
    }
}

const SLOTS: &str =
    "its slots are, in order: First, Sample, Critic, Actor, Targets, Rates, Measure, Last";

#[test]
fn a_replaced_step_keeps_its_slot_and_delay() {
    let mut app = three_steps();
    app.replace(Learn, LearnSystems::Actor, say("another actor"));
    let all = ["critic", "another actor", "targets"];
    let without = ["critic", "targets"];
    assert_eq!(trace(&mut app, 4), [&without[..], &all, &without, &all]);
}

#[test]
fn a_replacement_of_several_systems_takes_the_slot_over_as_a_whole() {
    let mut app = three_steps();
    app.replace(Learn, LearnSystems::Actor, (say("one"), say("two")).chain());
    assert_eq!(trace(&mut app, 2)[1], ["critic", "one", "two", "targets"]);
}

#[test]
fn td3_bcs_actor_step_is_replaced_with_its_delay_and_everything_else_stays() {
    let mut td3 = Td3Bc::default();
    td3.critic.encoder.set_hidden_sizes(&[8]);
    td3.actor.encoder.set_hidden_sizes(&[8]);
    let started = |replace: bool| {
        let mut app = bare([3, 2]);
        app.init_resource::<Trace>().add_plugins(td3.clone());
        let batch = Batch::empty(3, 2, &device().plain());
        app.insert_resource(batch).replace(
            Learn,
            LearnSystems::Sample,
            |mut batch: ResMut<Batch>| {
                let ones = |shape| Tensor::ones(shape, &device().plain());
                batch.observation = ones([4, 3]);
                batch.next_observation = ones([4, 3]);
                batch.action = ones([4, 2]) * 0.5;
                batch.reward = Tensor::from_floats([1.0, 2.0, 3.0, 4.0], &device().plain());
                batch.bootstrap = batch.reward.clone() * 0.0;
                batch.terminated = batch.bootstrap.clone();
            },
        );
        if replace {
            app.replace(Learn, LearnSystems::Actor, say("mine"));
        }
        start(&mut app);
        app
    };
    let (mut replaced, mut whole) = (started(true), started(false));
    let actor = file(&replaced, "actor");
    for t in 1..=4 {
        step(&mut replaced);
        step(&mut whole);
        let ran = std::mem::take(&mut replaced.world_mut().resource_mut::<Trace>().0);
        assert_eq!(ran.len(), usize::from(t % 2 == 0), "step {t}");
        assert_eq!(file(&replaced, "actor"), actor);
        // Without a bootstrap the critic does not see the actor.
        assert_eq!(file(&replaced, "critic"), file(&whole, "critic"));
        assert_eq!(
            file(&replaced, "target_critic"),
            file(&whole, "target_critic")
        );
    }
    assert_ne!(file(&whole, "actor"), actor);
    let drawing = draw(replaced.world(), GraphFormat::Text);
    assert!(drawing.contains("every(2) of Actor"), "{drawing}");
    assert!(!drawing.contains("update_actor"), "{drawing}");
}

#[test]
fn a_new_slot_goes_directly_after_or_before_another() {
    let mut app = three_steps();
    app.insert_after(Learn, LearnSystems::Actor, Temperature, say("temperature"));
    assert_eq!(
        trace(&mut app, 2)[1],
        ["critic", "actor", "temperature", "targets"]
    );
    let order: Vec<&str> = app.world().resource::<LearnOrder>().names().collect();
    assert_eq!(order[3..5], ["Actor", "Temperature"]);

    let mut app = three_steps();
    app.insert_before(Learn, LearnSystems::Actor, Temperature, say("temperature"));
    // The new slot has no delay of its own.
    let ran = trace(&mut app, 2);
    assert_eq!(ran[0], ["critic", "temperature", "targets"]);
    assert_eq!(ran[1], ["critic", "temperature", "actor", "targets"]);
}

#[test]
fn a_moved_slot_takes_its_systems_and_its_delay_along() {
    let mut app = three_steps();
    app.move_before(Learn, LearnSystems::Targets, LearnSystems::Critic);
    assert_eq!(trace(&mut app, 2)[1], ["targets", "critic", "actor"]);

    let mut app = three_steps();
    app.move_before(Learn, LearnSystems::Actor, LearnSystems::Critic);
    let ran = trace(&mut app, 2);
    assert_eq!(ran[0], ["critic", "targets"]);
    assert_eq!(ran[1], ["actor", "critic", "targets"]);

    let mut app = three_steps();
    app.move_after(Learn, LearnSystems::Critic, LearnSystems::Targets);
    assert_eq!(trace(&mut app, 2)[1], ["actor", "targets", "critic"]);
}

#[test]
fn a_removed_step_is_gone_and_its_slot_stays() {
    let mut app = three_steps();
    app.remove(Learn, LearnSystems::Actor).insert_after(
        Learn,
        LearnSystems::Actor,
        Temperature,
        say("temperature"),
    );
    assert_eq!(trace(&mut app, 2)[1], ["critic", "temperature", "targets"]);
}

#[test]
fn edits_of_one_slot_are_applied_in_the_order_in_which_they_were_asked_for() {
    let mut app = three_steps();
    app.replace(Learn, LearnSystems::Actor, say("first"))
        .replace(Learn, LearnSystems::Actor, say("second"))
        .insert_after(Learn, LearnSystems::Actor, Temperature, say("temperature"))
        .move_before(Learn, Temperature, LearnSystems::Critic)
        .replace(Learn, Temperature, say("other temperature"));
    let expected = ["other temperature", "critic", "second", "targets"];
    assert_eq!(trace(&mut app, 2)[1], expected);
}

#[test]
fn an_edit_of_an_unknown_slot_names_the_valid_ones() {
    let mut app = three_steps();
    app.replace(Learn, Temperature, say("temperature"))
        .remove(Learn, EvaluateSystems::Score)
        .insert_after(
            Learn,
            EvaluateSystems::Play,
            Temperature,
            say("temperature"),
        )
        .move_before(Learn, LearnSystems::Critic, EvaluateSystems::Freeze)
        .edit_by_name(in_learn(NamedChange::Replace {
            slot: "Acter".to_owned(),
            step: "bc::clone_behavior".to_owned(),
        }));
    let errors = errors(&mut app);
    // The order is edited before the systems.
    let unknown = ["Play", "Freeze", "Temperature", "Score", "Acter"];
    assert_eq!(errors.len(), unknown.len(), "{errors:#?}");
    for (error, slot) in errors.iter().zip(unknown) {
        assert_eq!(*error, format!("`Learn` has no slot `{slot}`; {SLOTS}"));
    }
}

#[test]
fn replacing_or_removing_where_nothing_stands_is_an_error_that_names_the_filled_slots() {
    for edit in ["replace", "remove"] {
        let mut app = three_steps();
        match edit {
            "replace" => app.replace(Learn, LearnSystems::Measure, say("measure")),
            _ => app.remove(Learn, LearnSystems::Measure),
        };
        let errors = errors(&mut app);
        assert_eq!(errors.len(), 1);
        let expected = format!(
            "nothing to {edit} in slot `Measure` of `Learn`: no system is there. \
             Slots with systems: First, Critic, Actor, Targets."
        );
        assert!(errors[0].starts_with(&expected), "{}", errors[0]);
    }
}

#[test]
fn a_slot_that_exists_or_moves_to_itself_is_refused() {
    let mut app = three_steps();
    app.insert_after(
        Learn,
        LearnSystems::Actor,
        LearnSystems::Critic,
        say("critic"),
    )
    .move_before(Learn, LearnSystems::Actor, LearnSystems::Actor);
    let errors = errors(&mut app);
    assert_eq!(errors.len(), 2, "{errors:#?}");
    assert!(errors[0].contains("`Learn` has a slot `Critic` already"));
    assert!(errors[1].contains("cannot be moved before or after itself"));
}

#[test]
fn an_unregistered_step_is_refused_with_the_registered_ones() {
    let mut app = three_steps();
    app.register_step("mine::measure", say("measure"))
        .edit_by_name(in_learn(insert(Side::After, "Actor", "mine::mesure")));
    let errors = errors(&mut app);
    assert_eq!(
        errors,
        ["there is no step `mine::mesure`; registered steps: mine::measure"]
    );
}

/// The same with a name, a period and another slot's conditions.
fn insert_as(anchor: &str, name: &str, every: Option<u64>, when: Option<&str>) -> NamedChange {
    let step = NewStep {
        step: "mine::measure".to_owned(),
        slot: Some(name.to_owned()),
        every,
        when: when.map(str::to_owned),
    };
    NamedChange::Insert {
        side: Side::After,
        anchor: anchor.to_owned(),
        step,
    }
}

/// What four gradient steps do with these edits, in which the step `mine::measure` says `measure`.
fn trace_with(edits: Vec<NamedChange>) -> Vec<Vec<String>> {
    let mut app = three_steps();
    app.register_step("mine::measure", say("measure"));
    for edit in edits {
        app.edit_by_name(in_learn(edit));
    }
    trace(&mut app, 4)
}

#[test]
fn an_inserted_step_has_a_period_of_its_own_or_the_conditions_of_another_slot() {
    let every = trace_with(vec![insert_as("Critic", "Probe", Some(3), None)]);
    let measured = |steps: &[Vec<String>]| -> Vec<bool> {
        let says = |step: &Vec<String>| step.contains(&"measure".to_owned());
        steps.iter().map(says).collect()
    };
    assert_eq!(measured(&every), [false, false, true, false]);

    // With the actor: on its ticks, before and behind it, however far away, and twice.
    for (anchor, again) in [("Critic", "Actor"), ("Targets", "Probe")] {
        let both = trace_with(vec![
            insert_as(anchor, "Probe", None, Some("Actor")),
            insert_as("Critic", "Again", None, Some(again)),
        ]);
        for (n, step) in both.iter().enumerate() {
            let count = step.iter().filter(|said| *said == "measure").count();
            assert_eq!(count, if n % 2 == 1 { 2 } else { 0 }, "{both:?}");
            assert_eq!(step.contains(&"actor".to_owned()), n % 2 == 1);
        }
    }
}

#[test]
fn an_inserted_step_is_moved_replaced_and_removed_by_its_name() {
    let moved = trace_with(vec![
        insert(Side::After, "Actor", "mine::measure"),
        NamedChange::Move {
            slot: "mine::measure".to_owned(),
            side: Side::Before,
            anchor: "Critic".to_owned(),
        },
    ]);
    assert_eq!(moved[0], ["measure", "critic", "targets"]);
    let removed = trace_with(vec![
        insert_as("Actor", "Probe", None, None),
        insert_as("Probe", "Again", None, None),
        NamedChange::Remove {
            slot: "Probe".to_owned(),
        },
    ]);
    assert_eq!(removed[0], ["critic", "measure", "targets"]);
}

#[test]
fn the_conditions_that_slots_share_are_drawn_with_each_of_them() {
    let mut app = three_steps();
    app.register_step("mine::measure", say("measure"))
        .edit_by_name(in_learn(insert_as("Targets", "Probe", None, Some("Actor"))))
        .edit_by_name(in_learn(insert_as("Targets", "Rare", Some(5), None)));
    app.finish();
    let drawing = draw(app.world(), GraphFormat::Text);
    for slot in [
        "\n  Actor  [every(2) of Pupil]\n",
        "\n  Probe  [every(2) of Pupil]\n",
        "\n  Rare  [every(5) of Learn]\n",
    ] {
        assert!(drawing.contains(slot), "{drawing}");
    }
}

#[test]
fn steps_that_would_read_a_batch_that_nobody_drew_are_refused_before_the_first_step() {
    let with = |edit: fn(&mut App)| {
        let mut app = bare([3, 2]);
        app.add_plugins(Td3Bc::default());
        edit(&mut app);
        errors(&mut app)
    };
    assert_eq!(with(|_| {}), [""; 0]);
    let removed = with(|app| {
        app.remove(Learn, LearnSystems::Sample);
    });
    assert_eq!(
        removed,
        [
            "`td3::update_critic` in slot `Critic` of `Learn` reads `Batch`, and nothing in the schedule writes it: put a step that does before it"
        ]
    );
    let late = with(|app| {
        app.move_after(Learn, LearnSystems::Sample, LearnSystems::Critic);
    });
    assert_eq!(
        late,
        [
            "`td3::update_critic` in slot `Critic` of `Learn` reads `Batch`, and slot `Sample`, which writes it, runs later: move that slot to the front"
        ]
    );
    // A step of one's own that draws is as good.
    let own = with(|app| {
        app.replace(Learn, LearnSystems::Sample, |_: ResMut<Batch>| {});
    });
    assert_eq!(own, [""; 0]);
}

#[derive(Resource, Default)]
struct Ledger(u32);

fn debit(mut ledger: ResMut<Ledger>) {
    ledger.0 -= 1;
}

fn credit(mut ledger: ResMut<Ledger>) {
    ledger.0 += 1;
}

#[test]
fn unordered_systems_that_conflict_in_learn_are_an_error_with_both_names() {
    let mut app = three_steps();
    app.init_resource::<Ledger>()
        .add_systems(Learn, (debit, credit).in_set(LearnSystems::Measure));
    let errors = errors(&mut app);
    assert_eq!(errors.len(), 1, "{errors:#?}");
    for word in [
        "`order::credit` and `order::debit` are both in slot `Measure` of `Learn`",
        "share `Ledger`",
        "put one of them into another slot",
    ] {
        assert!(errors[0].contains(word), "no {word} in: {}", errors[0]);
    }

    // A system outside of all slots conflicts with those in them.
    let mut app = three_steps();
    app.init_resource::<Ledger>()
        .add_systems(Learn, (debit.in_set(LearnSystems::Measure), credit));
    let errors = self::errors(&mut app);
    assert_eq!(errors.len(), 1, "{errors:#?}");
    let said = "`order::credit` is in `Learn` in no slot";
    assert!(errors[0].contains(said), "{}", errors[0]);

    // Ordered, in one slot or by their slots, they are welcome.
    let mut app = three_steps();
    app.insert_resource(Ledger(1)).add_systems(
        Learn,
        (
            (debit, credit).chain().in_set(LearnSystems::Measure),
            credit.in_set(LearnSystems::Last),
        ),
    );
    trace(&mut app, 1);
    assert_eq!(app.world().resource::<Ledger>().0, 2);
}

/// The ticks on which a step with the condition ran, of nine in a window that begins at the third.
fn ticks_of<M>(condition: impl SystemCondition<M>) -> Vec<u64> {
    #[derive(Resource, Default)]
    struct Ran(Vec<u64>);
    let mut app = App::new();
    let window = EpochWindow {
        start_epoch: Some(3),
        end_epoch: None,
    };
    let note = |tick: Res<Tick<Pupil>>, mut ran: ResMut<Ran>| ran.0.push(tick.count);
    app.add_plugins((SchedulePlugin, TickPlugin::<Pupil>::new(window)))
        .init_resource::<Ran>()
        .add_systems(Learn, note.in_set(LearnSystems::Actor))
        .configure_sets(Learn, LearnSystems::Actor.run_if(condition));
    app.finish();
    // An epoch of one step: the first two are outside the window.
    for _ in 0..9 {
        app.world_mut().resource_mut::<Clock>().gradient_steps += 1;
        app.world_mut().run_schedule(Learn);
    }
    app.world().resource::<Ran>().0.clone()
}

#[test]
fn conditions_hold_on_the_ticks_that_they_name_counted_inside_the_window() {
    assert_eq!(ticks_of(every::<Pupil>(3)), [3, 6]);
    assert_eq!(ticks_of(between::<Pupil>(2, 5)), [2, 3, 4]);
    assert_eq!(ticks_of(after::<Pupil>(5)), [6, 7]);
    assert_eq!(ticks_of(training::<Pupil>()), [1, 2, 3, 4, 5, 6, 7]);
}

/// Trains a scene with this line in it, by the program's own command line; the checkpoint that it leaves.
fn train(
    folder: &Path,
    name: &str,
    order: &str,
    register: impl Fn(&mut App) + Send + Sync + 'static,
) -> Snapshot {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/pendulum-medium-expert.hdf5");
    let scene = format!(
        "Scene(
            name: \"order\",
            seed: 3,
            steps: 12,
            plugins: [
                Dataset(path: {data:?}),
                Td3Bc(minibatch: (batch_size: 16), critic: (encoder: Mlp(hidden_sizes: [8])), actor: (encoder: Mlp(hidden_sizes: [8]))),
                Checkpoints(every: 12, best: None),
            ],
            {order}
        )"
    );
    let path = folder.join(format!("{name}.ron"));
    std::fs::write(&path, scene).unwrap();
    let run = folder.join(name);
    let arguments = [
        "yarak",
        "train",
        path.to_str().unwrap(),
        "--run",
        run.to_str().unwrap(),
    ];
    let exit = yarak::cli::run_with(register, arguments.map(Into::into));
    assert_eq!(exit, AppExit::Success);
    let checkpoint = run.join("checkpoints/step_000000012");
    yarak::checkpoint::load(&checkpoint).unwrap()
}

#[test]
fn a_scenes_order_equals_the_same_edit_in_rust_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let replace = "order: [Replace(Actor, with: \"bc::clone_behavior\")],";
    let by_scene = train(folder, "by_scene", replace, |_| {});
    let by_rust = train(folder, "by_rust", "", |app| {
        app.replace(Learn, LearnSystems::Actor, bc::clone_behavior);
    });
    let neither = train(folder, "neither", "", |_| {});
    assert!(by_scene.files.contains_key("actor") && by_scene.state.contains_key("tick/actor"));
    assert!(by_scene == by_rust);
    assert!(by_scene.files["actor"] != neither.files["actor"]);
}

#[test]
fn a_program_with_a_handler_of_its_own_for_ctrl_c_trains_by_the_command_line() {
    let folder = tempfile::tempdir().unwrap();
    // Whichever of this process's tests comes first, there is a handler afterwards.
    let _ = ctrlc::set_handler(|| {});
    train(folder.path(), "own_handler", "", |_| ());
}
