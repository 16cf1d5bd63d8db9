//! Prioritized replay and hindsight relabelling, each written from outside as a system or two over the shipped DQN.

use yarak::checkpoint::{ResumeFrom, gather};
use yarak::data::{ReplayBuffer, RowWeights};
use yarak::prelude::*;

#[allow(dead_code)] // Its `main` is the example's.
#[path = "../../examples/hindsight.rs"]
mod hindsight;
#[allow(dead_code)]
#[path = "../../examples/prioritized_replay.rs"]
mod prioritized;

/// Runs to the end.
fn run(app: &mut App) {
    app.finish();
    app.cleanup();
    while app.should_exit().is_none() {
        app.update();
    }
    assert_eq!(app.should_exit(), Some(AppExit::Success));
}

#[test]
fn bits_are_turned_over_with_hindsight_and_not_without() {
    let share = |hindsight: bool| {
        let mut app = hindsight::app(40_000, hindsight);
        run(&mut app);
        app.world()
            .resource::<hindsight::Reached>()
            .share_of_last(500)
    };
    let (with, without) = (share(true), share(false));
    assert!(with > 0.8, "{with}");
    assert!(without < 0.3, "{without}");
}

/// Observations, next observations, rewards and bootstraps of a minibatch.
type Minibatch = (Vec<f32>, Vec<f32>, Vec<f32>, Vec<f32>);

/// The relabeled minibatches.
#[derive(Resource, Default)]
struct Seen(Vec<Minibatch>);

#[test]
fn a_relabeled_row_has_a_goal_that_its_episode_came_to_and_the_reward_for_it() {
    const BITS: usize = hindsight::BITS;
    let mut app = hindsight::app(1_200, true);
    app.world_mut().resource_mut::<hindsight::Hindsight>().share = 1.0;
    let keep = |batch: Res<Batch>, mut seen: ResMut<Seen>| {
        let host = |tensor: Tensor<2>| tensor.into_data().into_vec::<f32>().unwrap();
        let vector = |tensor: Tensor<1>| tensor.into_data().into_vec::<f32>().unwrap();
        seen.0.push((
            host(batch.observation.clone()),
            host(batch.next_observation.clone()),
            vector(batch.reward.clone()),
            vector(batch.bootstrap.clone()),
        ));
    };
    app.init_resource::<Seen>()
        .add_systems(Learn, keep.in_set(LearnSystems::Measure));
    run(&mut app);
    let seen = &app.world().resource::<Seen>().0;
    let mut reached = 0;
    for (now, next, reward, bootstrap) in seen {
        let rows = now.chunks(2 * BITS).zip(next.chunks(2 * BITS));
        for ((now, next), (reward, bootstrap)) in rows.zip(reward.iter().zip(bootstrap)) {
            assert_eq!(now[BITS..], next[BITS..], "one goal in both observations");
            let is_there = next[..BITS] == next[BITS..];
            assert_eq!(*reward, if is_there { 0.0 } else { -1.0 });
            assert_eq!(*bootstrap, if is_there { 0.0 } else { 0.98 });
            reached += usize::from(is_there);
            // A goal of the future is at most an episode's length away.
            let away = now[..BITS].iter().zip(&now[BITS..]).filter(|(a, b)| a != b);
            assert!(away.count() <= BITS);
        }
    }
    // Of an episode of 12 rows a draw from the rows to come is the row itself in about a quarter of the cases.
    let share = reached as f64 / (seen.len() * 128) as f64;
    assert!((0.15..0.5).contains(&share), "{share}");
}

/// DQN on the pole with prioritized replay, before its first step.
fn prioritized(steps: u64, alpha: f32) -> App {
    let mut app = App::new();
    app.add_plugins((
        YarakPlugins.set(RunPlugin { steps, ..default() }),
        Environments {
            env: "CartPole-v1".into(),
            ..default()
        },
        Replay { capacity: 600 },
        Dqn {
            off_policy: OffPolicySettings {
                learning_starts: 200,
                train_freq: 4,
                gradient_steps: 1,
            },
            critic: NetworkSettings {
                encoder: EncoderSettings::from(&[16]),
                ..default()
            },
            ..default()
        },
        prioritized::PrioritizedReplay { alpha, beta: 0.4 },
    ));
    app
}

#[test]
fn rows_have_the_priority_that_the_critics_error_gives_them() {
    let mut app = prioritized(1_000, 0.6);
    run(&mut app);
    let world = app.world();
    let (weights, batch) = (world.resource::<RowWeights>(), world.resource::<Batch>());
    let buffer = world.resource::<ReplayBuffer>();
    assert!(batch.row_ids.iter().all(|row| buffer.contains(*row)));
    let importance = batch.weight.clone().unwrap();
    let importance = importance.into_data().into_vec::<f32>().unwrap();
    assert!(importance.iter().all(|w| (0.0..=1.0).contains(w)) && importance.contains(&1.0));
    // The last update was the network's: ask again what it is wrong by.
    let target = world.resource::<Target<Critic>>();
    let critic = world.resource::<Net<Critic>>();
    let y = Dqn::default().q_target(batch, critic, target);
    let q = critic.q1(batch.observation.clone(), batch.action.clone());
    let errors = (y - q).abs().into_data().into_vec::<f32>().unwrap();
    for (row, error) in batch.row_ids.iter().zip(errors) {
        let expected = f64::from(error + 1e-6).powf(f64::from(0.6_f32));
        assert!((weights.get(*row) - expected).abs() < 1e-9, "{row}");
    }
    // Rows that are there have a weight, and all together they are the sum.
    let sum: f64 = buffer.rows().map(|row| weights.get(row)).sum();
    assert!((sum / weights.total() - 1.0).abs() < 1e-9);
}

#[test]
fn with_equal_priorities_every_row_counts_the_same() {
    let mut app = prioritized(600, 0.0);
    run(&mut app);
    let weight = app.world().resource::<Batch>().weight.clone().unwrap();
    let weight = weight.into_data().into_vec::<f32>().unwrap();
    assert!(weight.iter().all(|w| (w - 1.0).abs() < 1e-6), "{weight:?}");
}

#[test]
fn a_resumed_run_draws_by_the_priorities_that_it_had() -> Result<(), CheckpointError> {
    // β is the same from the beginning, as the two runs are of other lengths.
    let finished = |steps, from: Option<Snapshot>| {
        let mut app = prioritized(steps, 0.6);
        app.world_mut()
            .resource_mut::<prioritized::PrioritizedReplay>()
            .beta = 1.0;
        if let Some(from) = from {
            app.insert_resource(ResumeFrom(from));
        }
        run(&mut app);
        app
    };
    let begun = finished(600, None);
    let saved = gather(begun.world(), 600)?;
    let (whole, resumed) = (finished(900, None), finished(900, Some(saved)));
    let (whole, resumed) = (gather(whole.world(), 900)?, gather(resumed.world(), 900)?);
    assert_eq!(whole.files, resumed.files);
    let weights = |snapshot: &Snapshot| snapshot.blob("replay_weights")?.read();
    assert_eq!(weights(&whole)?, weights(&resumed)?);
    Ok(())
}
