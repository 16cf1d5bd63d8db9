//! Stacked frames: a policy that learned from several observations side by side is shown the same ones wherever it acts.

use std::path::Path;

use yarak::data::{FrameStack, Minibatches, load};
use yarak::env::registry;
use yarak::policy::Policy;
use yarak::prelude::*;

use crate::room::yarak;

const DATA: &str = "assets/pendulum-medium-expert.hdf5";

fn dataset(frames: usize) -> Dataset {
    Dataset {
        path: Path::new(env!("CARGO_MANIFEST_DIR")).join(DATA),
        frames,
        normalise: false,
        ..default()
    }
}

fn started(plugins: impl FnOnce(&mut App)) -> App {
    let mut app = App::new();
    app.add_plugins((SchedulePlugin, FacilitatorPlugin))
        .insert_resource(Seed(7))
        .insert_resource(ComputeDevice::cpu());
    plugins(&mut app);
    app.finish();
    app.cleanup();
    app.world_mut().run_schedule(PreStartup);
    app.world_mut().run_schedule(Startup);
    app
}

#[test]
fn batches_hold_the_last_observations_of_the_episode_oldest_first() {
    let app = started(|app| {
        app.add_plugins((
            dataset(3),
            MinibatchPlugin {
                n_step: 2,
                discount: 1.0,
                ..default()
            },
        ));
    });
    let transitions = load(Path::new(env!("CARGO_MANIFEST_DIR")).join(DATA)).unwrap();
    let second = transitions.episodes()[1].rows.clone();
    let (first, last) = (second.start, second.end - 1);
    let rows = [first, first + 1, first + 5, last];
    let device = ComputeDevice::cpu().plain();
    let minibatches = app.world().resource::<Minibatches>();
    let batch = minibatches.gather(&rows, &device).unwrap();
    let here = |row: usize| transitions.observation().row(row);
    let next = |row: usize| transitions.next_observation().row(row);
    let expected = [
        [here(first), here(first), here(first)],
        [here(first), here(first), here(first + 1)],
        [here(first + 3), here(first + 4), here(first + 5)],
        [here(last - 2), here(last - 1), here(last)],
    ];
    let found: Vec<f32> = batch.observation.into_data().into_vec().unwrap();
    assert_eq!(found, expected.concat().concat());
    // Two steps on, or at the episode's end.
    let expected = [
        [here(first), here(first + 1), next(first + 1)],
        [here(first + 1), here(first + 2), next(first + 2)],
        [here(first + 5), here(first + 6), next(first + 6)],
        [here(last - 1), here(last), next(last)],
    ];
    let found: Vec<f32> = batch.next_observation.into_data().into_vec().unwrap();
    assert_eq!(found, expected.concat().concat());
}

#[test]
fn evaluation_collection_and_a_policy_that_travels_see_the_same_frames() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (run, file, data) = (
        place("run"),
        place("policy.safetensors"),
        place("data.hdf5"),
    );
    yarak(&[
        "train",
        "scenes/pendulum_bc.ron",
        "--steps",
        "30",
        "--set",
        "Dataset.frames=3",
        "--set",
        "Rollouts.episodes=1",
        "--run",
        &run,
    ])
    .result();
    let said = yarak(&["eval", &run, "--episodes", "2", "--seed", "5", "--json"]);
    let said: serde_json::Value = serde_json::from_str(said.result()).unwrap();

    yarak(&["export", &run, &file]).result();
    let mut policy = Policy::load(&file).unwrap();
    assert_eq!((policy.frames(), policy.observation_size()), (3, 9));
    let mut returns = Vec::new();
    for episode in 0..2 {
        let mut pendulum = registry::make("Pendulum-v1").unwrap();
        let mut observation = [0.0; 3];
        pendulum.reset(Some(5 + episode), &mut observation).unwrap();
        let mut stack = FrameStack::new(policy.frames());
        stack.begin(&observation);
        let mut total = 0.0;
        loop {
            let action = policy.act(stack.values()).unwrap();
            let outcome = pendulum.step(action, &mut observation).unwrap();
            stack.push(&observation);
            total += outcome.reward;
            if outcome.ended() {
                break;
            }
        }
        assert_eq!(said["returns"][episode as usize], total);
        returns.push(total);
    }

    // The first environment's second episode goes on with its generator, as no seed is given for it.
    yarak(&[
        "collect", &run, "--steps", "400", "--seed", "5", "--out", &data,
    ])
    .result();
    let collected = load(&data).unwrap();
    let first = collected.episodes()[0].rows.clone();
    assert_eq!(first.len(), 200);
    let earned: f64 = first.map(|row| f64::from(collected.reward()[row])).sum();
    assert!((earned - returns[0]).abs() < 1e-3, "{earned} {returns:?}");
    // The second one, from its first observation.
    let second = collected.episodes()[1].rows.clone();
    let mut stack = FrameStack::new(3);
    for row in second.clone() {
        match row == second.start {
            true => stack.begin(collected.observation().row(row)),
            false => stack.push(collected.observation().row(row)),
        }
        let action = policy.act(stack.values()).unwrap();
        let difference = (action[0] - collected.action().row(row)[0]).abs();
        assert!(difference < 1e-6, "row {row}");
    }
}

#[test]
fn environments_that_are_learned_in_show_one_observation() {
    let app = started(|app| {
        app.add_plugins((
            Environments {
                env: "Pendulum-v1".to_owned(),
                ..default()
            },
            Replay::default(),
            dataset(2),
            Td3::default(),
        ));
    });
    drop(app);
    let failure = take_failure().unwrap();
    assert!(
        failure.message.contains("`Dataset.frames`"),
        "{}",
        failure.message
    );
}
