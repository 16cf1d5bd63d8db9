//! Demonstrations that go around an obstacle on either side: whoever regresses onto their mean runs into it.
//!
//!     cargo run --release --example two_ways -- two_ways.svg
//!
//! A point moves from x = −1 to x = 1 in 10 steps, past a disc around the origin, half of the times above it and half below. Policies
//! predict 5 actions at once, so that the first look decides on a side.

use std::convert::Infallible;
use std::error::Error;
use std::f32::consts::FRAC_PI_2;

use yarak::data::{
    ActionChunk, ActionChunks, ActionScale, Column, Data, Episode, EpisodeEnd, Normalizer, Parts,
    Split, Transitions,
};
use yarak::evaluate::Acting;
use yarak::plugins::{Diffusion, FlowBc};
use yarak::policy::denoising::Sampler;
use yarak::prelude::*;

/// Demonstrations.
const EPISODES: usize = 40;
/// Their steps.
const LENGTH: usize = 10;
const STEP: f32 = 0.2;
/// Actions are steps times this.
const SCALE: f32 = 4.5;
/// The disc's.
const RADIUS: f32 = 0.2;
const CHUNK: usize = 5;

/// Places, from the first to the last.
pub type Path = Vec<[f32; 2]>;

/// How far a demonstration is above or below its beginning.
fn bulge(x: f32) -> f32 {
    0.6 * (FRAC_PI_2 * x).cos().powi(2)
}

/// Where one of so many episodes begins: from −0.02 to 0.02.
fn beginning(index: usize, of: usize) -> f32 {
    0.04 * index as f32 / (of - 1).max(1) as f32 - 0.02
}

fn demonstration(index: usize) -> Path {
    let start = beginning(index / 2, EPISODES / 2);
    let side = if index.is_multiple_of(2) { 1.0 } else { -1.0 };
    let xs = (0..=LENGTH).map(|step| STEP * step as f32 - 1.0);
    xs.map(|x| [x, start + side * bulge(x)]).collect()
}

fn demonstrations() -> Transitions {
    let paths: Vec<Path> = (0..EPISODES).map(demonstration).collect();
    let steps: Vec<&[[f32; 2]]> = paths.iter().flat_map(|path| path.windows(2)).collect();
    let column = |of: &dyn Fn(&[[f32; 2]]) -> [f32; 2]| Column {
        values: steps.iter().flat_map(|step| of(step)).collect(),
        width: 2,
    };
    let episodes = (0..EPISODES).map(|episode| Episode {
        rows: episode * LENGTH..(episode + 1) * LENGTH,
        end: EpisodeEnd::Terminated,
    });
    Transitions::new(Parts {
        observation: column(&|step| step[0]).into(),
        action: column(&|step| [0, 1].map(|axis| SCALE * (step[1][axis] - step[0][axis]))),
        reward: vec![0.0; steps.len()],
        next_observation: column(&|step| step[1]).into(),
        terminated: (1..=steps.len()).map(|row| row % LENGTH == 0).collect(),
        episodes: episodes.collect(),
    })
    .expect("the demonstrations are whole")
}

/// The ways that a policy takes after so many gradient steps.
pub fn ways(algorithm: impl Plugin, steps: u64, of: usize) -> Vec<Path> {
    let transitions = demonstrations();
    let split = Split {
        training: (0..transitions.len() as u32).collect(),
        held_out: Vec::new(),
    };
    let scale = ActionScale::from_bounds(vec![-1.0; 2], vec![1.0; 2]);
    let scale = scale.expect("the bounds are finite");
    let mut app = App::new();
    app.add_plugins(YarakPlugins.set(RunPlugin { steps, ..default() }))
        .insert_resource(Data::in_memory(transitions, split, "demonstrations"))
        .insert_resource(Preprocessing::new(Normalizer::identity(2), scale))
        .add_plugins(algorithm);
    app.finish();
    app.cleanup();
    let exit = loop {
        app.update();
        if let Some(exit) = app.should_exit() {
            break exit;
        }
    };
    assert_eq!(exit, AppExit::Success);
    follow(app.world(), of)
}

/// Lets the policy move points, each from a beginning of its own.
fn follow(world: &World, of: usize) -> Vec<Path> {
    let acting = *world.resource::<Acting>();
    let chunk = *world.resource::<ActionChunk>();
    let mut chunks = ActionChunks::new(chunk, of);
    let mut paths: Vec<Path> = (0..of)
        .map(|index| vec![[-1.0, beginning(index, of)]])
        .collect();
    for _ in 0..LENGTH {
        let seen: Vec<f32> = paths.iter().flat_map(|path| path[path.len() - 1]).collect();
        let Ok(actions) = chunks.act(|| {
            let seen = TensorData::new(seen, [of, 2]);
            let seen = Tensor::from_data(seen, &ComputeDevice::cpu().plain());
            let actions = acting.predict(world, seen).expect("the policy acts");
            let actions = actions.into_data().into_vec::<f32>();
            Ok::<_, Infallible>(actions.expect("actions are float32"))
        });
        for (path, action) in paths.iter_mut().zip(actions.chunks(2)) {
            let [x, y] = path[path.len() - 1];
            path.push([x + action[0] / SCALE, y + action[1] / SCALE]);
        }
    }
    paths
}

/// How many ways lead through the obstacle, and how many come to the other end.
pub fn counts(ways: &[Path]) -> [usize; 2] {
    // A step is half a radius or more: what lies between its ends counts as well.
    let between = |pair: &[[f32; 2]]| {
        let pair = [pair[0], pair[1]];
        (0..=10).map(move |tenth| {
            [0, 1].map(|axis| pair[0][axis] + 0.1 * tenth as f32 * (pair[1][axis] - pair[0][axis]))
        })
    };
    let hits = |way: &Path| {
        let mut places = way.windows(2).flat_map(between);
        places.any(|[x, y]| x.hypot(y) < RADIUS)
    };
    let arrives = |way: &Path| way.last().is_some_and(|[x, _]| (x - 1.0).abs() < 0.2);
    [
        ways.iter().filter(|way| hits(way)).count(),
        ways.iter().filter(|way| arrives(way)).count(),
    ]
}

/// Half a cosine over all steps.
fn actor(hidden_sizes: &[usize], initial: f64, steps: u64) -> NetworkSettings {
    NetworkSettings {
        encoder: EncoderSettings::from(hidden_sizes),
        optimizer: OptimizerSettings {
            learning_rate: Schedule::Cosine {
                initial,
                over: Span::Steps(steps),
                warm_up: None,
            },
            ..default()
        },
        ..default()
    }
}

/// Gradient steps of behavior cloning.
pub const CLONING: u64 = 1_000;
/// Gradient steps of diffusion and flow.
pub const DENOISING: u64 = 16_000;

/// Behavior cloning: by regression without a head.
pub fn bc(head: Option<PolicyHead>) -> Bc {
    Bc {
        minibatch: MinibatchSettings::of(64),
        action_chunk: ActionChunk::of(CHUNK),
        head,
        actor: actor(&[96, 96], 2e-3, CLONING),
        ..default()
    }
}

/// Diffusion Policy.
pub fn diffusion() -> Diffusion {
    Diffusion {
        minibatch: MinibatchSettings::of(128),
        action_chunk: ActionChunk::of(CHUNK),
        sampling_steps: 100,
        sampler: Sampler::Ddpm,
        time_features: 32,
        actor: actor(&[256, 256, 256], 1e-3, DENOISING),
        ..default()
    }
}

/// Flow matching.
pub fn flow() -> FlowBc {
    FlowBc {
        minibatch: MinibatchSettings::of(128),
        action_chunk: ActionChunk::of(CHUNK),
        flow_steps: 100,
        time_features: 32,
        actor: actor(&[256, 256, 256], 1e-3, DENOISING),
        ..default()
    }
}

/// Demonstrations and policies side by side, as SVG.
fn draw(panels: &[(&str, Vec<Path>)]) -> String {
    const WIDE: f32 = 240.0;
    const SCALE: f32 = 100.0;
    let size = [WIDE * panels.len() as f32, 250.0];
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" viewBox=\"0 0 {0} {1}\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n",
        size[0], size[1]
    );
    for (index, (title, ways)) in panels.iter().enumerate() {
        let middle = [WIDE * (index as f32 + 0.5), 140.0];
        svg += &format!(
            "<text x=\"{0}\" y=\"24\" font-family=\"sans-serif\" font-size=\"15\" text-anchor=\"middle\">{title}</text>\n\
             <circle cx=\"{0}\" cy=\"{1}\" r=\"{2}\" fill=\"#5a5a5a\"/>\n",
            middle[0],
            middle[1],
            RADIUS * SCALE
        );
        for way in ways {
            let points = way.iter().map(|[x, y]| {
                format!("{:.1},{:.1} ", middle[0] + SCALE * x, middle[1] - SCALE * y)
            });
            let color = match way[LENGTH / 2][1] > 0.0 {
                true => "#1f77b4",
                false => "#d66314",
            };
            svg += &format!(
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{color}\" stroke-opacity=\"0.5\" stroke-width=\"2\"/>\n",
                points.collect::<String>()
            );
        }
    }
    svg + "</svg>\n"
}

fn main() -> Result<(), Box<dyn Error>> {
    const OF: usize = 64;
    let file = std::env::args().nth(1);
    let file = file.unwrap_or_else(|| "two_ways.svg".to_owned());
    let panels = [
        ("demonstrations", (0..EPISODES).map(demonstration).collect()),
        ("BC, regression", ways(bc(None), CLONING, OF)),
        (
            "BC, mixture",
            ways(bc(Some(PolicyHead::Mixture)), CLONING, OF),
        ),
        ("diffusion", ways(diffusion(), DENOISING, OF)),
        ("flow matching", ways(flow(), DENOISING, OF)),
    ];
    for (title, ways) in &panels {
        let [hits, arrivals] = counts(ways);
        println!(
            "{title}: {hits} of {} hit the obstacle, {arrivals} arrive",
            ways.len()
        );
    }
    std::fs::write(file, draw(&panels))?;
    Ok(())
}
