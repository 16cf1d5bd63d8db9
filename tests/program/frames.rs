//! Stacked frames: a policy that learned from several observations side by side is shown the same ones wherever it acts.

use std::path::Path;

use yarak::checkpoint::{ResumeFrom, gather};
use yarak::data::ReplayBuffer;
use yarak::data::{FrameStack, Minibatches, load};
use yarak::env::registry;
use yarak::policy::Policy;
use yarak::prelude::*;
use yarak::schedule::{FacilitatorPlugin, SchedulePlugin, take_failure};

use crate::room::{run_to_the_end, yarak};

const DATA: &str = "assets/pendulum-medium-expert.hdf5";

fn dataset(frames: usize) -> Dataset {
    Dataset {
        path: Path::new(env!("CARGO_MANIFEST_DIR")).join(DATA),
        frame_stack: frames,
        normalize: false,
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
        "Dataset.frame_stack=3",
        "--set",
        "Evaluation.episodes=1",
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
            true => stack.begin(&collected.observation().row(row)),
            false => stack.push(&collected.observation().row(row)),
        }
        let action = policy.act(stack.values()).unwrap();
        let difference = (action[0] - collected.action().row(row)[0]).abs();
        assert!(difference < 1e-6, "row {row}");
    }
}

#[test]
fn data_and_environments_of_other_frames_are_refused() {
    let app = started(|app| {
        app.add_plugins((
            Environments {
                env: "Pendulum-v1".to_owned(),
                frame_stack: 3,
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
        failure.message.contains("`Environments.frame_stack` is 3"),
        "{}",
        failure.message
    );
}

/// What the policy was shown at each step of all environments.
#[derive(Resource, Default)]
struct Shown(Vec<Vec<f32>>);

fn look(exploring: Exploring, mut shown: ResMut<Shown>) -> Result {
    shown.0.push(host(exploring.observation()?));
    Ok(())
}

fn host<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().into_vec().unwrap()
}

/// An algorithm in two pendulums of short episodes that shows its networks three frames.
fn online(algorithm: impl Plugin, steps: u64) -> App {
    let mut app = App::new();
    app.add_plugins((
        YarakPlugins.set(RunPlugin { steps, ..default() }),
        Environments {
            env: "Pendulum-v1".to_owned(),
            num_envs: 2,
            time_limit: Some(7),
            frame_stack: 3,
            ..default()
        },
        algorithm,
    ))
    .init_resource::<Shown>()
    .add_systems(Collect, look.before(CollectSystems::Act));
    app.finish();
    app.cleanup();
    app
}

fn td3() -> Td3 {
    let mut td3 = Td3 {
        n_step: 2,
        ..default()
    };
    (td3.minibatch.batch_size, td3.off_policy.learning_starts) = (64, 40);
    td3.actor.encoder.set_hidden_sizes(&[8]);
    td3.critic.encoder.set_hidden_sizes(&[8]);
    td3
}

#[test]
fn a_replay_buffer_shows_the_frames_that_the_policy_acted_on() {
    let mut app = online(td3(), 200);
    run_to_the_end(&mut app);
    let world = app.world();
    let (shown, batch) = (&world.resource::<Shown>().0, world.resource::<Batch>());
    let (seen, after) = (
        host(batch.observation.clone()),
        host(batch.next_observation.clone()),
    );
    let buffer = world.resource::<ReplayBuffer>();
    let mut beginnings = 0;
    for (index, row) in batch.row_ids.iter().enumerate() {
        let (step, environment) = (row / 2, row % 2);
        let frames = &seen[9 * index..9 * (index + 1)];
        assert_eq!(*frames, shown[step][9 * environment..9 * (environment + 1)]);
        beginnings += usize::from(frames[..3] == frames[3..6]);
        // Two steps on, unless the episode ended after one.
        let last = buffer.after(*row).unwrap_or(*row);
        let frames = &after[9 * index..9 * (index + 1)];
        assert_eq!(frames[6..], *buffer.next_observation(last));
        assert_eq!(frames[3..6], *buffer.observation(last));
    }
    assert!(beginnings > 5, "no episode began among the rows");
}

#[test]
fn on_policy_learners_see_frames_too() {
    let mut ppo = Ppo {
        steps: 16,
        minibatches: 2,
        ..default()
    };
    ppo.actor.encoder.set_hidden_sizes(&[8]);
    ppo.critic.encoder.set_hidden_sizes(&[8]);
    let mut app = online(ppo, 128);
    run_to_the_end(&mut app);
    let world = app.world();
    let observations = host(
        world
            .resource::<RolloutBuffer>()
            .observations(&ComputeDevice::cpu().plain()),
    );
    let shown = &world.resource::<Shown>().0;
    assert_eq!(observations, shown[shown.len() - 16..].concat());
}

#[test]
fn a_resumed_run_goes_on_with_the_frames_that_it_had() -> Result<(), CheckpointError> {
    let mut begun = online(td3(), 66);
    run_to_the_end(&mut begun);
    let saved = gather(begun.world(), 66)?;
    let mut whole = online(td3(), 120);
    run_to_the_end(&mut whole);
    let mut resumed = online(td3(), 120);
    resumed.insert_resource(ResumeFrom(saved));
    run_to_the_end(&mut resumed);
    let seen = |app: &App| app.world().resource::<Shown>().0.last().cloned();
    assert_eq!(seen(&whole), seen(&resumed));
    let (whole, resumed) = (gather(whole.world(), 120)?, gather(resumed.world(), 120)?);
    assert_eq!(whole.files, resumed.files);
    Ok(())
}

#[test]
fn a_policy_with_a_goal_is_played_towards_the_one_that_the_scene_gives() {
    let folder = tempfile::tempdir().unwrap();
    let scene = folder.path().join("scene.ron");
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join(DATA);
    let text = |goal: &str| {
        format!(
            "Scene(name: \"goal\", seed: 0, device: \"cpu\", steps: 40, plugins: [Dataset(path: {data:?}), \
             Bc(minibatch: (batch_size: 32), goal_mode: Last, actor: (encoder: Mlp(hidden_sizes: [16]))), \
             Evaluation(env: \"Pendulum-v1\", every: 40, episodes: 1{goal}), Checkpoints(every: 40)])"
        )
    };
    let played = |goal: &str, run: &str| {
        std::fs::write(&scene, text(goal)).unwrap();
        let run = folder.path().join(run);
        let run = run.to_str().unwrap();
        yarak(&["train", scene.to_str().unwrap(), "--run", run]);
        let said = yarak(&["eval", run, "--seed", "5", "--json"]);
        let said: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
        said["returns"][0].as_f64().unwrap()
    };
    let up = played(", goal: Fixed([1.0, 0.0, 0.0])", "up");
    let down = played(", goal: Fixed([-1.0, 0.0, 0.0])", "down");
    assert_ne!(up, down);
    assert_eq!(up, played(", goal: Fixed([1.0, 0.0, 0.0])", "again"));

    let run = folder.path().join("up");
    let collected = folder.path().join("data.hdf5");
    yarak(&[
        "collect",
        run.to_str().unwrap(),
        "--steps",
        "200",
        "--seed",
        "5",
        "--out",
        collected.to_str().unwrap(),
    ]);
    let earned: f64 = load(&collected).unwrap().returns()[0];
    assert!((earned - up).abs() < 1e-3, "{earned} {up}");

    // It travels: the goal lies behind the observation.
    let mut policy = Policy::load(&run).unwrap();
    assert!(policy.takes_goal());
    assert_eq!((policy.frames(), policy.observation_size()), (1, 6));
    let mut pendulum = registry::make("Pendulum-v1").unwrap();
    let mut observation = [0.0; 3];
    pendulum.reset(Some(5), &mut observation).unwrap();
    let mut total = 0.0;
    for _ in 0..200 {
        let seen = [&observation[..], &[1.0, 0.0, 0.0]].concat();
        let action = policy.act(&seen).unwrap();
        total += pendulum.step(action, &mut observation).unwrap().reward;
    }
    assert_eq!(total, up);
}

/// The goals of three held-out episodes, by the last number of which a constant policy would be known.
#[test]
fn a_policy_with_a_goal_is_played_towards_what_held_out_episodes_came_to() {
    let folder = tempfile::tempdir().unwrap();
    let scene = folder.path().join("scene.ron");
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join(DATA);
    let train = |name: &str, validation: &str, goal: &str| {
        let text = format!(
            "Scene(steps: 40, plugins: [Dataset(path: {data:?}{validation}), \
             Bc(minibatch: (batch_size: 32), goal_mode: Last, actor: (encoder: Mlp(hidden_sizes: [16]))), \
             Evaluation(env: \"Pendulum-v1\", every: 40, episodes: 4, goal: {goal}), Checkpoints(every: 40)])"
        );
        std::fs::write(&scene, text).unwrap();
        let run = folder.path().join(name);
        let said = yarak(&[
            "train",
            scene.to_str().unwrap(),
            "--run",
            run.to_str().unwrap(),
        ]);
        (run, said)
    };
    let (_, said) = train("none", "", "HeldOut");
    assert_eq!(said.status, Some(2));
    assert!(
        said.stderr.contains("Dataset(validation: 0.1)"),
        "{}",
        said.stderr
    );

    let held_out = ", validation: 0.02";
    let (run, said) = train("held_out", held_out, "HeldOut");
    said.ends_with(0);
    // The same split, read by hand: its last observations as they are in the file.
    let transitions = load(&data).unwrap();
    let split = yarak::data::split_episodes(&transitions, 0.02, 0).unwrap();
    let ends = transitions.episodes().iter().filter(|episode| {
        let first = episode.rows.start as u32;
        split.held_out.binary_search(&first).is_ok()
    });
    let next = transitions.next_observation();
    let goals: Vec<_> = ends.map(|it| next.row(it.rows.end - 1)).collect();
    assert!(goals.len() > 1, "{}", goals.len());

    // The policy, given those goals in turn, returns what `eval` says, without the data being there.
    let said = yarak(&["eval", run.to_str().unwrap(), "--seed", "5", "--json"]);
    let said: serde_json::Value = serde_json::from_str(said.result()).unwrap();
    let mut policy = Policy::load(&run).unwrap();
    for episode in 0..4 {
        let mut pendulum = registry::make("Pendulum-v1").unwrap();
        let mut observation = [0.0; 3];
        pendulum
            .reset(Some(5 + episode as u64), &mut observation)
            .unwrap();
        let mut total = 0.0;
        for _ in 0..200 {
            let seen = [&observation[..], &goals[episode % goals.len()]].concat();
            let action = policy.act(&seen).unwrap();
            total += pendulum.step(action, &mut observation).unwrap().reward;
        }
        let played = said["returns"][episode].as_f64().unwrap();
        // Goals were normalized and are again: the last digit may differ.
        assert!(
            (played - total).abs() < 0.01 * total.abs(),
            "{played} {total}"
        );
    }
    let out = folder.path().join("data.hdf5");
    let arguments = [
        "collect",
        run.to_str().unwrap(),
        "--steps",
        "400",
        "--seed",
        "5",
    ];
    let arguments = [&arguments[..], &["--out", out.to_str().unwrap()]].concat();
    yarak(&arguments).ends_with(0);
    // The first episode has the same seed.
    let (collected, played) = (load(&out).unwrap().returns()[0], &said["returns"][0]);
    let played = played.as_f64().unwrap();
    assert!((collected - played).abs() < 1e-3, "{collected} {played}");
}
