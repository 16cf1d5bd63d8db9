//! What a step copies between the host and its device, and how many kernels it launches.
//!
//! As all tests of this program they run on the processor, where copies are counted though no bus is crossed, or on the device that
//! `YARAK_TEST_DEVICE` names.

use yarak::data::{Data, Episode, EpisodeEnd, FixedRollout, Parts, Split, Transitions};
use yarak::plugins::{Diffusion, FlowBc};
use yarak::prelude::*;
use yarak::testing::{Crossed, crossed};

use crate::small_run::{column, device, given, learning, prepare, step};

const ROWS: usize = 512;
/// Steps until 64 steps' draws are copied at once: 1, 4 and 16 of them come before.
const WARM: u64 = 21;
const STEPS: u64 = 128;

fn wave(n: usize, speed: f32) -> Vec<f32> {
    (0..n)
        .map(|i| (0.7 + speed * i as f32).sin() * 0.9)
        .collect()
}

/// Episodes of eight steps.
fn data() -> Data {
    let transitions = Transitions::new(Parts {
        observation: column(&wave(3 * ROWS, 1.3), 3).into(),
        action: column(&wave(2 * ROWS, 2.1), 2),
        reward: wave(ROWS, 0.8),
        next_observation: column(&wave(3 * ROWS, 1.7), 3).into(),
        terminated: (1..=ROWS).map(|row| row % 8 == 0).collect(),
        episodes: (0..ROWS / 8)
            .map(|episode| Episode {
                rows: 8 * episode..8 * (episode + 1),
                end: EpisodeEnd::Terminated,
            })
            .collect(),
    })
    .unwrap();
    let split = Split {
        training: (0..ROWS as u32).collect(),
        held_out: Vec::new(),
    };
    Data::in_memory(transitions, split, "made up")
}

fn ppo() -> App {
    let rows = FixedRollout {
        log_probability: Some(wave(ROWS, 0.3)),
        value: Some(wave(ROWS, 0.6)),
        advantage: Some(wave(ROWS, 1.9)),
        returns: Some(wave(ROWS, 1.1)),
        ..FixedRollout::new(
            column(&wave(3 * ROWS, 1.3), 3),
            column(&wave(2 * ROWS, 2.1), 2),
            vec![0.0; ROWS],
        )
    };
    let ppo = Ppo {
        epochs: 64,
        minibatches: 4,
        ..default()
    };
    given(ppo, rows.of_numbers())
}

fn app(algorithm: &str) -> App {
    match algorithm {
        "TD3+BC" => learning(Td3Bc::default(), data()),
        "SAC" => learning(Sac::default(), data()),
        "CQL" => learning(Cql::default(), data()),
        "IQL" => learning(Iql::default(), data()),
        "BCQ" => learning(Bcq::default(), data()),
        "BC" => learning(Bc::default(), data()),
        "diffusion" => learning(Diffusion::default(), data()),
        "flow matching" => learning(FlowBc::default(), data()),
        "PPO" => ppo(),
        other => panic!("no algorithm {other}"),
    }
}

/// What the gradient steps copy, of the last `STEPS` of them, and what was copied before the first.
fn counted(algorithm: &str) -> (Crossed, Crossed) {
    let start = crossed();
    let mut app = app(algorithm);
    if algorithm == "PPO" {
        prepare(&mut app);
    }
    let made = crossed();
    (0..WARM).for_each(|_| step(&mut app));
    let before = crossed();
    (0..STEPS).for_each(|_| step(&mut app));
    (between(start, made), between(before, crossed()))
}

fn between(before: Crossed, after: Crossed) -> Crossed {
    Crossed {
        writes: after.writes - before.writes,
        bytes_written: after.bytes_written - before.bytes_written,
        reads: after.reads - before.reads,
        bytes_read: after.bytes_read - before.bytes_read,
    }
}

#[test]
fn a_gradient_step_reads_nothing_back_and_copies_to_a_card_once_for_many_steps() {
    let is_far = device().plain() != Device::flex();
    // Copies of 128 steps: for each 64, the numbers of the rows and one for each 64 draws of noise.
    for (algorithm, writes) in [("TD3+BC", 4), ("SAC", 6), ("BC", 2), ("IQL", 2), ("PPO", 0)] {
        let (made, taken) = counted(algorithm);
        println!("{algorithm}: {made:?} before, {taken:?} in {STEPS} steps");
        assert_eq!(taken.reads, 0, "{algorithm}");
        if is_far {
            assert!(taken.writes <= writes, "{algorithm}: {taken:?}");
        }
    }
    for algorithm in ["CQL", "BCQ", "diffusion", "flow matching"] {
        let (made, taken) = counted(algorithm);
        println!("{algorithm}: {made:?} before, {taken:?} in {STEPS} steps");
        assert_eq!(taken.reads, 0, "{algorithm}");
    }
}

/// Gradient steps with environments, and what they and the environments' steps copy.
#[derive(Resource, Default)]
struct Online {
    before: Crossed,
    learn: Crossed,
    collect: Crossed,
}

/// The last 40 rounds of TD3 with a buffer that goes around: of one step of an environment, and so many gradient steps.
fn counted_online(gradient_steps: u64) -> Online {
    let mut td3 = Td3 {
        off_policy: OffPolicySettings {
            learning_starts: 50,
            train_freq: 1,
            gradient_steps,
        },
        minibatch: MinibatchSettings::of(16),
        ..default()
    };
    td3.actor.encoder.set_hidden_sizes(&[16]);
    td3.critic.encoder.set_hidden_sizes(&[16]);
    let mut app = App::new();
    app.add_plugins((
        YarakPlugins.set(RunPlugin {
            steps: 140,
            device: device(),
            ..default()
        }),
        Environments {
            env: "Pendulum-v1".into(),
            ..default()
        },
        Replay { capacity: 64 },
        td3,
    ))
    .init_resource::<Online>();
    let begin = |mut online: ResMut<Online>| online.before = crossed();
    let count = |clock: &Clock, before, sum: &mut Crossed| {
        if clock.step > 100 {
            *sum = added(*sum, between(before, crossed()));
        }
    };
    let after_learning = move |clock: Res<Clock>, mut online: ResMut<Online>| {
        count(&clock, online.before, &mut online.learn);
    };
    let after_collecting = move |clock: Res<Clock>, mut online: ResMut<Online>| {
        count(&clock, online.before, &mut online.collect);
    };
    app.add_systems(Learn, begin.before(LearnSystems::First))
        .add_systems(Learn, after_learning.after(LearnSystems::Last))
        .add_systems(Collect, begin.before(CollectSystems::Act))
        .add_systems(Collect, after_collecting.after(CollectSystems::Record));
    app.finish();
    app.cleanup();
    while app.should_exit().is_none() {
        app.update();
    }
    assert_eq!(app.should_exit(), Some(AppExit::Success));
    app.world_mut().remove_resource().unwrap()
}

fn added(a: Crossed, b: Crossed) -> Crossed {
    Crossed {
        writes: a.writes + b.writes,
        bytes_written: a.bytes_written + b.bytes_written,
        reads: a.reads + b.reads,
        bytes_read: a.bytes_read + b.bytes_read,
    }
}

#[test]
fn a_replay_buffer_is_written_to_a_card_once_a_step_and_drawn_from_by_two_copies_a_round() {
    let is_far = device().plain() != Device::flex();
    for gradient_steps in [1, 16] {
        let online = counted_online(gradient_steps);
        println!(
            "{gradient_steps} gradient steps a round, 40 rounds: {:?}, {:?}",
            online.learn, online.collect
        );
        assert_eq!(online.learn.reads, 0);
        // A step's action is read back.
        assert_eq!(online.collect.reads, 40);
        if is_far {
            // The rows' numbers and rewards, and noise of up to 64 steps.
            assert!(online.learn.writes <= 3 * 40, "{:?}", online.learn);
            // What is acted on, and the step's row.
            assert_eq!(online.collect.writes, 2 * 40);
        }
    }
}

/// `tests/device.sh` counts the launches in CubeCL's log, of two runs that differ in their steps alone.
#[test]
#[ignore = "takes the steps that tests/device.sh counts"]
fn steps_whose_launches_are_counted() {
    let variable = |name| std::env::var(name).expect(name);
    let algorithm = variable("YARAK_TEST_ALGORITHM");
    let steps: u64 = variable("YARAK_TEST_STEPS").parse().unwrap();
    let mut app = app(&algorithm);
    if algorithm == "PPO" {
        prepare(&mut app);
    }
    (0..steps).for_each(|_| step(&mut app));
    device().plain().sync().unwrap();
    // The log is written by a thread of its own.
    std::thread::sleep(std::time::Duration::from_secs(1));
}
