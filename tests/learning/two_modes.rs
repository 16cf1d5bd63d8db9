//! Demonstrations that go around an obstacle on either side: whoever regresses onto their mean runs into it.
//!
//! A point moves from x = −1 to x = 1 in 10 steps, past a disc around the origin, half of the times above it and half below. Policies
//! predict 5 actions at once, so that the first look decides on a side.

use std::convert::Infallible;
use std::f32::consts::FRAC_PI_2;

use yarak::data::{ActionChunk, ActionChunks, EpisodeEnd, Transitions};
use yarak::data::{Episode, Parts};
use yarak::evaluate::Acting;
use yarak::prelude::*;

use crate::small_run::{column, data, host, learning, steps};

const EPISODES: usize = 40;
const LENGTH: usize = 10;
const STEP: f32 = 0.2;
/// Actions are steps times this.
const SCALE: f32 = 4.5;
const RADIUS: f32 = 0.2;
const ROLLOUTS: usize = 16;

type Path = Vec<[f32; 2]>;

/// How far a demonstration is above or below its beginning.
fn bulge(x: f32) -> f32 {
    0.6 * (FRAC_PI_2 * x).cos().powi(2)
}

/// Where episodes begin: from −0.02 to 0.02.
fn beginning(index: usize, of: usize) -> f32 {
    0.04 * index as f32 / (of - 1) as f32 - 0.02
}

fn demonstration(index: usize) -> Path {
    let (start, side) = (
        beginning(index / 2, EPISODES / 2),
        1.0 - 2.0 * (index % 2) as f32,
    );
    let xs = (0..=LENGTH).map(|step| STEP * step as f32 - 1.0);
    xs.map(|x| [x, start + side * bulge(x)]).collect()
}

fn demonstrations() -> Transitions {
    let paths: Vec<Path> = (0..EPISODES).map(demonstration).collect();
    let pairs = paths.iter().flat_map(|path| path.windows(2));
    let pairs: Vec<&[[f32; 2]]> = pairs.collect();
    let all = |of: &dyn Fn(&[[f32; 2]]) -> [f32; 2]| {
        let values: Vec<f32> = pairs.iter().flat_map(|pair| of(pair)).collect();
        column(&values, 2)
    };
    Transitions::new(Parts {
        observation: all(&|pair| pair[0]),
        action: all(&|pair| [0, 1].map(|axis| SCALE * (pair[1][axis] - pair[0][axis]))),
        reward: vec![0.0; EPISODES * LENGTH],
        next_observation: all(&|pair| pair[1]),
        terminated: (1..=EPISODES * LENGTH)
            .map(|row| row % LENGTH == 0)
            .collect(),
        episodes: (0..EPISODES)
            .map(|episode| Episode {
                rows: episode * LENGTH..(episode + 1) * LENGTH,
                end: EpisodeEnd::Terminated,
            })
            .collect(),
    })
    .unwrap()
}

/// The ways that a policy takes after it has learned.
fn ways(algorithm: impl Plugin, taken: u64) -> Vec<Path> {
    let mut app = learning(algorithm, data(demonstrations(), &[]));
    steps(&mut app, taken);
    let world = app.world();
    let (acting, chunk) = (
        *world.resource::<Acting>(),
        *world.resource::<ActionChunk>(),
    );
    let device = ComputeDevice::cpu().plain();
    let mut chunks = ActionChunks::new(chunk, ROLLOUTS);
    let mut paths: Vec<Path> = (0..ROLLOUTS)
        .map(|index| vec![[-1.0, beginning(index, ROLLOUTS)]])
        .collect();
    for _ in 0..LENGTH {
        let seen: Vec<f32> = paths.iter().flat_map(|path| path[path.len() - 1]).collect();
        let Ok(actions) = chunks.act(|| {
            let seen = Tensor::from_data(TensorData::new(seen, [ROLLOUTS, 2]), &device);
            Ok::<_, Infallible>(host(acting.predict(world, seen).unwrap()))
        });
        for (path, action) in paths.iter_mut().zip(actions.chunks(2)) {
            let [x, y] = path[path.len() - 1];
            path.push([x + action[0] / SCALE, y + action[1] / SCALE]);
        }
    }
    paths
}

/// How many ways lead through the obstacle, and how many lead to the other end.
fn counts(ways: &[Path]) -> [usize; 2] {
    let hits = |way: &Path| way.iter().any(|[x, y]| x.hypot(*y) < RADIUS);
    let arrives = |way: &Path| way.last().is_some_and(|[x, _]| (x - 1.0).abs() < 0.2);
    [
        ways.iter().filter(|way| hits(way)).count(),
        ways.iter().filter(|way| arrives(way)).count(),
    ]
}

const CHUNK: usize = 5;

/// Gradient steps.
const CLONING: u64 = 1_000;

/// Half a cosine over all steps.
fn actor(initial: f64, taken: u64) -> NetworkSettings {
    NetworkSettings {
        encoder: EncoderSettings::from(&[96, 96]),
        optimizer: OptimizerSettings {
            learning_rate: Schedule::Cosine {
                initial,
                over: Span::Steps(taken),
                warm_up: None,
            },
            ..default()
        },
        ..default()
    }
}

fn bc(head: Option<PolicyHead>) -> Vec<Path> {
    let bc = Bc {
        minibatch: MinibatchSettings::of(64),
        action_chunk: ActionChunk::of(CHUNK),
        head,
        actor: actor(2e-3, CLONING),
        ..default()
    };
    ways(bc, CLONING)
}

#[test]
fn the_mean_of_two_ways_leads_into_the_obstacle() {
    let [hits, _] = counts(&bc(None));
    assert_eq!(hits, ROLLOUTS);
}

#[test]
fn a_mixture_goes_around_the_obstacle() {
    let [hits, arrivals] = counts(&bc(Some(PolicyHead::Mixture)));
    assert_eq!((hits, arrivals), (0, ROLLOUTS));
}
