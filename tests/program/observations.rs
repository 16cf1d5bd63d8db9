//! Observations by the names of their parts: from files and environments to networks, checkpoints and the policies that travel.

use std::path::{Path, PathBuf};

use yarak::checkpoint::gather;
use yarak::collect::{EnvironmentRow, Observation, OwnEnvironments, Restart, Reward};
use yarak::data::{EpisodeGoal, Goals, ReplayBuffer};
use yarak::observation::ObservationParts;
use yarak::observation::PartKind;
use yarak::prelude::*;
use yarak::schedule::{FacilitatorPlugin, Outcome, SchedulePlugin};

use crate::room::run_to_the_end;

/// What the policy was shown at each step of all environments.
#[derive(Resource, Default)]
struct Shown(Vec<Vec<f32>>);

fn look(exploring: Exploring, mut shown: ResMut<Shown>) -> Result {
    let seen = exploring.observation()?.into_data().into_vec()?;
    shown.0.push(seen);
    Ok(())
}

fn number() -> Space {
    Space::from_bounds(&[(0.0, 100.0)])
}

/// A walker who counts its steps: it shows where it is, where it is to come to, and how tired it is.
fn walk(mut walkers: Query<(&mut Observation, &mut Reward)>) {
    for (mut seen, mut reward) in &mut walkers {
        let at = seen.0[0] + 1.0;
        seen.0.set(&[at, 50.0, 0.5 * at]);
        reward.0 = 1.0;
    }
}

fn rest(mut walkers: Query<(&Restart, &mut Observation)>) {
    for (_, mut seen) in walkers.iter_mut().filter(|(restart, _)| restart.0) {
        seen.0.set(&[0.0, 50.0, 0.0]);
    }
}

fn walkers(environments: OwnEnvironments) -> App {
    walkers_whose(number(), environments)
}

/// The same where tiredness is of this space.
fn walkers_whose(tiredness: Space, environments: OwnEnvironments) -> App {
    let mut app = App::new();
    app.add_plugins((
        YarakPlugins.set(RunPlugin {
            steps: 8,
            ..default()
        }),
        OwnEnvironments {
            name: "walk".into(),
            observation: Space::dict([
                ("achieved_goal", number()),
                ("desired_goal", number()),
                ("tiredness", tiredness),
            ]),
            action: Space::Discrete { n: 2 },
            time_limit: std::num::NonZeroU64::new(5),
            ..environments
        },
        Dqn {
            minibatch: MinibatchSettings {
                batch_size: 16,
                ..default()
            },
            off_policy: OffPolicySettings {
                learning_starts: 4,
                train_freq: 1,
                gradient_steps: 1,
            },
            critic: NetworkSettings {
                encoder: EncoderSettings::from(&[4]),
                ..default()
            },
            ..default()
        },
    ))
    .steps_environments(walk, rest)
    .init_resource::<Shown>()
    .add_systems(Collect, look.before(CollectSystems::Act));
    app.world_mut().spawn((
        EnvironmentRow { row: 0 },
        Observation(yarak::collect::SmallVector::zeros(3)),
    ));
    app.finish();
    app.cleanup();
    app
}

fn names(parts: &ObservationParts) -> Vec<&str> {
    parts.iter().map(|part| part.name.as_str()).collect()
}

#[test]
fn networks_see_the_parts_that_were_chosen_in_their_order() -> Result<(), CheckpointError> {
    let mut app = walkers(OwnEnvironments {
        observations: vec!["tiredness".into(), "achieved_goal".into()],
        frame_stack: 2,
        ..default()
    });
    run_to_the_end(&mut app);
    let world = app.world();
    let shown = &world.resource::<Shown>().0;
    assert_eq!(shown[0], [0.0, 0.0, 0.0, 0.0]);
    assert_eq!(shown[2], [0.5, 1.0, 1.0, 2.0]);
    // The sixth step begins an episode.
    assert_eq!(shown[5], [0.0; 4]);
    let buffer = world.resource::<ReplayBuffer>();
    assert_eq!(*buffer.observation(2), [1.0, 2.0]);
    assert_eq!(world.resource::<Batch>().observation.dims(), [16, 4]);
    let saved: Preprocessing = gather(world, 8)?.state("preprocessing")?;
    assert_eq!(names(&saved.parts), ["tiredness", "achieved_goal"]);
    Ok(())
}

#[test]
fn all_parts_are_seen_where_none_is_chosen() {
    let mut app = walkers(OwnEnvironments::default());
    run_to_the_end(&mut app);
    let world = app.world();
    assert_eq!(world.resource::<Shown>().0[3], [3.0, 50.0, 1.5]);
    let parts = &world.resource::<Preprocessing>().parts;
    assert_eq!(
        parts.to_string(),
        "`achieved_goal` [1], `desired_goal` [1] and `tiredness` [1]"
    );
}

#[test]
fn a_desired_goal_is_seen_behind_the_frames_of_the_other_parts() {
    let mut app = walkers(OwnEnvironments {
        observations: vec!["achieved_goal".into()],
        goal: Some(EpisodeGoal::Part("desired_goal".into())),
        frame_stack: 2,
        ..default()
    });
    app.insert_resource(Goals {
        mode: GoalMode::Last,
    });
    run_to_the_end(&mut app);
    let world = app.world();
    assert_eq!(world.resource::<Shown>().0[3], [2.0, 3.0, 50.0]);
    // What is learned from has what the episode came to, or has come to so far, in its place.
    let batch = world.resource::<Batch>();
    let seen: Vec<f32> = batch.observation.clone().into_data().into_vec().unwrap();
    for (row, seen) in batch.row_ids.iter().zip(seen.chunks(3)) {
        let goal = if *row < 5 { 5.0 } else { 3.0 };
        let at = (row % 5) as f32;
        assert_eq!(seen, [(at - 1.0).max(0.0), at, goal], "row {row}");
    }
}

#[test]
fn a_part_that_is_not_there_is_refused_with_those_that_are() {
    let mut app = walkers(OwnEnvironments {
        observations: vec!["hunger".into()],
        ..default()
    });
    app.update();
    let outcome = &app.world().resource::<Training>().outcome;
    let Some(Outcome::Failed(failure)) = outcome else {
        panic!("{outcome:?}")
    };
    for word in ["Environments.observations", "`hunger`", "`tiredness` [1]"] {
        assert!(failure.message.contains(word), "{}", failure.message);
    }
}

#[test]
fn a_world_whose_bytes_are_none_is_refused_with_the_number() {
    let mut app = walkers_whose(
        Space::Box {
            low: vec![0.0],
            high: vec![255.0],
            shape: vec![1, 1],
        },
        OwnEnvironments::default(),
    );
    while app.world().resource::<Training>().outcome.is_none() {
        app.update();
    }
    let outcome = &app.world().resource::<Training>().outcome;
    let Some(Outcome::Failed(failure)) = outcome else {
        panic!("{outcome:?}")
    };
    for word in [
        "walk: element 2",
        "is 0.5",
        "whole numbers from 0 to 255",
        "other bounds",
    ] {
        assert!(failure.message.contains(word), "{}", failure.message);
    }
}

#[test]
fn data_and_environments_of_other_parts_are_refused() {
    let mut app = walkers(OwnEnvironments {
        observations: vec!["tiredness".into()],
        ..default()
    });
    app.world_mut().resource_mut::<Preprocessing>().parts = ObservationParts::vector(3);
    app.update();
    let outcome = &app.world().resource::<Training>().outcome;
    let Some(Outcome::Failed(failure)) = outcome else {
        panic!("{outcome:?}")
    };
    for word in ["`tiredness` [1]", "`Dataset.observations`"] {
        assert!(failure.message.contains(word), "{}", failure.message);
    }
}

fn fixture(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    root.join("tests/fixtures/layouts").join(name)
}

#[test]
fn a_datasets_parts_keep_their_names_and_shapes() {
    let mut app = App::new();
    app.add_plugins((
        SchedulePlugin,
        FacilitatorPlugin,
        Dataset {
            path: fixture("robomimic/plain.hdf5"),
            ..default()
        },
        MinibatchPlugin::default(),
    ))
    .insert_resource(Seed(0))
    .insert_resource(ComputeDevice::cpu());
    app.finish();
    app.cleanup();
    app.world_mut().run_schedule(PreStartup);
    let preprocessing = app.world().resource::<Preprocessing>();
    let parts = &preprocessing.parts;
    assert!(parts.iter().len() > 1, "{parts}");
    assert_eq!(parts.width(), preprocessing.widths()[0]);
    assert!(parts.iter().all(|part| part.kind == PartKind::Number));
    let first = names(parts)[0].to_owned();
    assert_eq!(parts.place_of(&first).unwrap().start, 0);
}
