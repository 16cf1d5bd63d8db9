//! Demonstrations that go around an obstacle on either side: whoever regresses onto their mean runs into it.
//!
//! A point moves from x = −1 to x = 1 in 10 steps, past a disc around the origin, half of the times above it and half below. Policies
//! predict 5 actions at once, so that the first look decides on a side.

use std::convert::Infallible;
use std::f32::consts::FRAC_PI_2;
use std::fmt::Write;

use yarak::data::{ActionChunk, ActionChunks, EpisodeEnd, Transitions};
use yarak::data::{Episode, Parts};
use yarak::evaluate::Acting;
use yarak::plugins::{Diffusion, FlowBc};
use yarak::policy::denoising::WeightAveraging;
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

/// How many ways lead through the obstacle, how many lead to the other end, and how many pass above it.
fn counts(ways: &[Path]) -> [usize; 3] {
    let hits = |way: &Path| way.iter().any(|[x, y]| x.hypot(*y) < RADIUS);
    let arrives = |way: &Path| way.last().is_some_and(|[x, _]| (x - 1.0).abs() < 0.2);
    let above = |way: &Path| way[LENGTH / 2][1] > 0.0;
    [
        ways.iter().filter(|way| hits(way)).count(),
        ways.iter().filter(|way| arrives(way)).count(),
        ways.iter().filter(|way| above(way)).count(),
    ]
}

const CHUNK: usize = 5;

/// Gradient steps.
const CLONING: u64 = 1_000;
const DENOISING: u64 = 3_000;

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

fn diffusion() -> Vec<Path> {
    let diffusion = Diffusion {
        minibatch: MinibatchSettings::of(64),
        action_chunk: ActionChunk::of(CHUNK),
        time_features: 16,
        actor: actor(5e-3, DENOISING),
        averaging: WeightAveraging {
            max_decay: 0.99,
            ..default()
        },
        ..default()
    };
    ways(diffusion, DENOISING)
}

fn flow() -> Vec<Path> {
    let flow = FlowBc {
        minibatch: MinibatchSettings::of(64),
        action_chunk: ActionChunk::of(CHUNK),
        time_features: 16,
        actor: actor(5e-3, DENOISING),
        averaging: WeightAveraging {
            max_decay: 0.99,
            ..default()
        },
        ..default()
    };
    ways(flow, DENOISING)
}

#[test]
fn the_mean_of_two_ways_leads_into_the_obstacle() {
    let [hits, _, _] = counts(&bc(None));
    assert_eq!(hits, ROLLOUTS);
}

#[test]
fn a_mixture_goes_around_the_obstacle() {
    let [hits, arrivals, _] = counts(&bc(Some(PolicyHead::Mixture)));
    assert_eq!((hits, arrivals), (0, ROLLOUTS));
}

#[test]
fn diffusion_and_flow_go_around_the_obstacle_on_both_sides() {
    for ways in [diffusion(), flow()] {
        let [hits, arrivals, above] = counts(&ways);
        // What they learned in so short a time has something between the two ways, too.
        assert!(hits <= ROLLOUTS / 4, "{hits} hits");
        assert!(arrivals >= ROLLOUTS - 1, "{arrivals} arrivals");
        assert!((2..=ROLLOUTS - 2).contains(&above), "{above} above");
    }
}

/// Draws docs/two_modes.svg: `cargo test --release --test learning draws_two_modes -- --ignored`.
#[test]
#[ignore = "writes a picture of the documentation"]
fn draws_two_modes() {
    let panels = [
        ("demonstrations", (0..EPISODES).map(demonstration).collect()),
        ("Bc", bc(None)),
        ("Bc, Mixture", bc(Some(PolicyHead::Mixture))),
        ("Diffusion", diffusion()),
        ("FlowBc", flow()),
    ];
    let (size, margin) = (170.0, 10.0);
    let width = panels.len() as f32 * size;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {0}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n",
        size + 20.0
    );
    for (index, (name, ways)) in panels.iter().enumerate() {
        let ways: &Vec<Path> = ways;
        let scale = (size - 2.0 * margin) / 2.2;
        let (x, y) = (index as f32 * size + size / 2.0, size / 2.0 + 20.0);
        let at = |[px, py]: &[f32; 2]| format!("{:.1},{:.1}", x + scale * px, y - scale * py);
        writeln!(
            svg,
            "<text x=\"{x}\" y=\"16\" text-anchor=\"middle\">{name}</text>"
        )
        .unwrap();
        let radius = scale * RADIUS;
        writeln!(
            svg,
            "<circle cx=\"{x}\" cy=\"{y}\" r=\"{radius:.1}\" fill=\"#ccc\"/>"
        )
        .unwrap();
        for way in ways {
            let points: Vec<String> = way.iter().map(at).collect();
            let hits = way.iter().any(|[x, y]| x.hypot(*y) < RADIUS);
            let color = if hits { "#c0392b" } else { "#2471a3" };
            let points = points.join(" ");
            writeln!(
                svg,
                "<polyline points=\"{points}\" fill=\"none\" stroke=\"{color}\" stroke-opacity=\"0.6\"/>"
            )
            .unwrap();
        }
    }
    svg.push_str("</svg>\n");
    let place = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/two_modes.svg");
    std::fs::write(place, svg).unwrap();
}
