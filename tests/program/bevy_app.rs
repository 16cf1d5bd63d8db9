//! A run inside somebody's app: entities that learn, are evaluated, are saved, and go on.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};

use yarak::checkpoint::{Snapshot, latest_good};
use yarak::prelude::*;
use yarak::report::console::Console;
use yarak::report::{ConsolePlugin, Reported};
use yarak::schedule::{AppCadenceExt, Evaluate, TimeBudget};

use crate::room::run_to_the_end;

#[allow(dead_code)] // Its `main` is the example's.
#[path = "../../examples/learn_in_bevy.rs"]
mod rabbits;

/// What an app has shown.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Lines {
    fn console(&self) -> ConsolePlugin {
        ConsolePlugin {
            console: Console::plain(self.clone()),
            name: String::new(),
        }
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

/// Runs to the end.
fn run(app: &mut App) {
    app.finish();
    app.cleanup();
    run_to_the_end(app);
}

/// The rabbits' app, with everything of a run that is short.
fn lawn(folder: &Path, steps: u64) -> App {
    rabbits::lawn(folder.to_str().unwrap(), steps)
}

fn saved(folder: &Path) -> Snapshot {
    let latest = latest_good(folder.join("checkpoints")).unwrap();
    latest.found.unwrap().1
}

#[test]
fn rabbits_learn_in_their_own_world_and_are_evaluated_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut app = lawn(folder.path(), 4_000);
    run(&mut app);
    let metrics = fs::read_to_string(folder.path().join("metrics.jsonl")).unwrap();
    let of = |name: &str| -> Vec<f64> {
        let key = format!("\"{name}\": ");
        let values = metrics.lines().filter_map(|line| line.split_once(&key));
        let number = |rest: &str| rest.split([',', '}']).next().unwrap().parse().unwrap();
        values.map(|(_, rest)| number(rest)).collect()
    };
    // Hops at random take about 150 meters of distance on the way; straight ones about 18.
    let returns = of("evaluate/return");
    assert_eq!(returns.len(), 1, "{metrics}");
    assert!(returns[0] > -40.0, "{returns:?}");
    let rollouts = of("rollout/episodic_return");
    assert!(rollouts.len() == 2 && rollouts[0] < -100.0, "{rollouts:?}");
    // What the progress line shows is what is reported under these names.
    let reported = app.world().resource::<Reported>();
    assert!(reported.get("rollout/episodic_return").is_some());
    // Nothing of an evaluation is left.
    let world = app.world_mut();
    let rows = world
        .query::<&collect::EnvironmentRow>()
        .iter(world)
        .count();
    assert_eq!(rows, 16);
    assert!(!world.contains_resource::<collect::Evaluating>());
}

#[test]
fn an_evaluation_in_the_apps_own_world_moves_nothing_that_is_learned_with() {
    let ended = |every: u64| {
        let folder = tempfile::tempdir().unwrap();
        let mut app = lawn(folder.path(), 1_600);
        app.run_every(Evaluate, every)
            .add_plugins(collect::NormalizeObservations {})
            .add_plugins(collect::NormalizeReturns::default());
        run(&mut app);
        let mut snapshot = saved(folder.path());
        // When it was best, and what was reported since, are an evaluation's to say.
        for key in ["best", "metrics"] {
            snapshot.state.remove(key);
        }
        (snapshot.files, snapshot.state)
    };
    let (often, seldom) = (ended(160), ended(1_600));
    assert!(often.0.contains_key("actor"));
    assert!(often.1.keys().any(|key| key == "environments/Carrot"));
    assert!(often.0 == seldom.0);
    assert_eq!(often.1, seldom.1);
}

#[test]
fn every_evaluation_of_one_policy_plays_the_same_episodes() {
    let folder = tempfile::tempdir().unwrap();
    // Before anything is learned.
    let mut app = lawn(folder.path(), 640);
    app.run_every(Evaluate, 160);
    run(&mut app);
    let metrics = fs::read_to_string(folder.path().join("metrics.jsonl")).unwrap();
    let returns = metrics.lines().filter_map(|line| {
        let (_, rest) = line.split_once("\"evaluate/return\": ")?;
        rest.split(',').next()
    });
    let returns: Vec<&str> = returns.collect();
    assert_eq!(returns.len(), 4);
    assert!(returns.iter().all(|it| *it == returns[0]), "{returns:?}");
}

#[test]
fn an_app_that_is_closed_and_opened_again_ends_like_one_that_was_not() {
    let whole = tempfile::tempdir().unwrap();
    run(&mut lawn(whole.path(), 1_920));

    let cut = tempfile::tempdir().unwrap();
    let mut app = lawn(cut.path(), 1_920);
    let close = |clock: Res<Clock>, mut exits: MessageWriter<AppExit>| {
        if clock.step >= 1_280 {
            exits.write(AppExit::Success);
        }
    };
    app.insert_resource(TimeBudget(std::time::Duration::ZERO))
        .add_systems(PostUpdate, close);
    run(&mut app);
    assert_eq!(saved(cut.path()).step, 1_280);
    drop(app);
    run(&mut lawn(cut.path(), 1_920));

    let (whole, cut) = (saved(whole.path()), saved(cut.path()));
    assert_eq!(whole.step, cut.step);
    assert!(whole.files == cut.files, "networks and optimizers");
    assert_eq!(whole.state, cut.state);
    let bytes = |snapshot: &Snapshot| -> Vec<Vec<u8>> {
        let blobs = snapshot.blobs.values();
        blobs.map(|blob| blob.read().unwrap()).collect()
    };
    assert_eq!(bytes(&whole), bytes(&cut), "the replay buffer");
}

#[test]
fn episodes_that_the_apps_world_does_not_end_are_cut_and_said() {
    use yarak::evaluate::Episodes;

    /// A frog that never arrives, and earns a hop's length.
    #[derive(Component, Default)]
    struct Frog(f32);
    fn hop(
        mut frogs: Query<(
            &mut Frog,
            &collect::Action,
            &mut collect::Observation,
            &mut collect::Reward,
        )>,
    ) {
        for (mut frog, action, mut observation, mut reward) in &mut frogs {
            frog.0 += action.0[0];
            observation.0.set(&[frog.0.sin()]);
            reward.0 = 1.0;
        }
    }
    fn start_over(mut frogs: Query<(&collect::Restart, &mut Frog, &mut collect::Observation)>) {
        for (restart, mut frog, mut observation) in &mut frogs {
            if restart.0 {
                frog.0 = 0.0;
                observation.0.set(&[0.0]);
            }
        }
    }
    let lines = Lines::default();
    let console = lines.console();
    let mut app = App::new();
    app.add_plugins((
        YarakPlugins
            .set(RunPlugin {
                steps: 8,
                ..default()
            })
            .set(console),
        collect::OwnEnvironments {
            num_envs: 2,
            ..default()
        },
        collect::OwnEvaluation {
            episodes: 3,
            time_limit: 7,
            ..collect::OwnEvaluation::of(|mut entity, _| {
                entity.insert(Frog::default());
            })
        },
        Sac::default(),
    ))
    .steps_environments(hop, start_over);
    for row in 0..2 {
        app.world_mut()
            .spawn((collect::EnvironmentRow { row }, Frog::default()));
    }
    run(&mut app);
    let episodes = &app.world().resource::<Episodes>().0;
    assert_eq!(episodes.len(), 3);
    for episode in episodes {
        assert_eq!((episode.total_reward, episode.length), (7.0, 7));
        assert!(episode.is_cut);
    }
    let said = lines.text();
    assert!(
        said.contains("3 of 3 episodes of the evaluation at step 8 were cut after 7 steps"),
        "{said}"
    );
}

/// How often a step of the app's own ran.
#[derive(Resource, Default, serde::Serialize, serde::Deserialize)]
struct Lessons(u64);

/// What is lost, and does not matter.
#[derive(Resource, Default)]
struct Scratch(u64);

#[test]
fn what_no_checkpoint_holds_is_named_where_a_run_goes_on() {
    let teach = |mut lessons: ResMut<Lessons>, mut scratch: ResMut<Scratch>| {
        lessons.0 += 1;
        scratch.0 += 1;
    };
    let folder = tempfile::tempdir().unwrap();
    let said = |steps: u64| {
        let lines = Lines::default();
        let run_plugin = RunPlugin {
            steps,
            folder: Some(folder.path().to_path_buf()),
            resume: true,
            ..default()
        };
        let console = lines.console();
        let mut app = App::new();
        let bc = Bc {
            minibatch: MinibatchSettings::of(8),
            ..default()
        };
        app.add_plugins((
            YarakPlugins.set(run_plugin).set(console),
            crate::policies::data(),
            bc,
            Checkpoints::default(),
        ))
        .init_resource::<Lessons>()
        .init_resource::<Scratch>()
        .persist_serde::<Lessons>()
        .add_systems(Learn, teach.in_set(LearnSystems::Last));
        run(&mut app);
        let counts = [
            app.world().resource::<Lessons>().0,
            app.world().resource::<Scratch>().0,
        ];
        (counts, lines.text())
    };
    let (counts, begun) = said(5);
    assert_eq!(counts, [5, 5]);
    assert!(!begun.contains("begins anew"), "{begun}");
    let (counts, gone_on) = said(8);
    assert_eq!(counts, [8, 3]);
    let notes: Vec<&str> = gone_on
        .lines()
        .filter(|it| it.contains("begins anew"))
        .collect();
    let [note] = &notes[..] else {
        panic!("not one note: {gone_on}");
    };
    assert!(
        note.starts_with("note: `Scratch` begins anew: ")
            && note.contains("app.persist_serde::<Scratch>()"),
        "{note}"
    );
}
