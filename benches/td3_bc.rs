//! How many TD3+BC steps a second: the whole `Learn` schedule, sampling included.
//!
//! The workload is the one that the peers were measured with: random transitions in memory, observation 11, action 3, batch 256,
//! actor and two critics of 256-256 ReLU, and the paper's settings. 100,000 rows, because only their number in cache matters.
//! One iteration is two steps, the second of which trains the actor too.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use yarak::data::{ActionScale, Column, End, Episode, Normaliser, Parts, split_episodes};
use yarak::prelude::*;

const ROWS: usize = 100_000;
const EPISODE: usize = 1_000;
const OBSERVATION: usize = 11;
const ACTION: usize = 3;

fn transitions() -> Transitions {
    let mut random = Random::<Sampling>::new(Seed(0));
    let mut column = |width: usize, low, high| Column {
        values: random.uniforms(ROWS * width, low, high),
        width,
    };
    let parts = Parts {
        observation: column(OBSERVATION, -2.0, 2.0),
        action: column(ACTION, -1.0, 1.0),
        reward: column(1, 0.0, 1.0).values,
        next_observation: column(OBSERVATION, -2.0, 2.0),
        terminal: vec![false; ROWS],
        episodes: (0..ROWS / EPISODE)
            .map(|episode| Episode {
                rows: episode * EPISODE..(episode + 1) * EPISODE,
                end: End::Truncated,
            })
            .collect(),
    };
    Transitions::new(parts).expect("random numbers are finite")
}

fn app() -> App {
    let transitions = transitions();
    let split = split_episodes(&transitions, 0.0, 0).expect("nothing is held out");
    let mut app = App::new();
    app.add_plugins((
        YarakPlugins.build().disable::<ConsolePlugin>(),
        Td3Bc::default(),
    ))
    .insert_resource(Preprocessing {
        observation: Normaliser::identity(OBSERVATION),
        action: ActionScale::from_bounds(vec![-1.0; ACTION], vec![1.0; ACTION])
            .expect("-1 is below 1"),
    })
    .insert_resource(Data {
        transitions: Arc::new(transitions),
        split: Arc::new(split),
        file: "random".into(),
    });
    app.finish();
    app.cleanup();
    app.world_mut().run_schedule(bevy_app::Startup);
    app
}

fn td3_bc_step(criterion: &mut Criterion) {
    let mut app = app();
    let mut group = criterion.benchmark_group("td3_bc");
    group.throughput(Throughput::Elements(2));
    group.sample_size(20);
    group.bench_function("two steps", |bencher| {
        bencher.iter(|| {
            for _ in 0..2 {
                black_box(app.world_mut()).run_schedule(Learn);
            }
        });
    });
    group.finish();
    assert_eq!(take_failure(), None, "a step failed");
}

criterion_group!(benches, td3_bc_step);
criterion_main!(benches);
