//! A run that is small enough to check by hand: an app with an algorithm's real plugin and the real `Learn` schedule, taken
//! step by step, on batches that the test gives or on a dataset that the test writes down.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use yarak::checkpoint::HostTensor;
use yarak::checkpoint::{gather, restore};
use yarak::data::{ActionScale, Column, Episode, EpisodeEnd, Normalizer, Parts, Split};
use yarak::data::{Data, FixedRolloutPlugin, Transitions};
use yarak::prelude::bevy_app::Plugins;
use yarak::prelude::*;
use yarak::schedule::{FacilitatorPlugin, Outcome, ScheduleErrors, SchedulePlugin, take_failure};
use yarak::testing::Trial;

/// The device that these tests compute on: the processor, or what `YARAK_TEST_DEVICE` names, such as `vulkan` (`tests/device.sh`).
pub fn device() -> ComputeDevice {
    static DEVICE: OnceLock<ComputeDevice> = OnceLock::new();
    let named = || std::env::var("YARAK_TEST_DEVICE").unwrap_or_else(|_| "cpu".to_owned());
    let parse = || {
        let device = named().parse();
        device.unwrap_or_else(|error| panic!("YARAK_TEST_DEVICE: {error}"))
    };
    DEVICE.get_or_init(parse).clone()
}

/// A trial on that device.
pub fn trial(plugin: impl Plugin + Clone) -> Trial {
    Trial::of(plugin).on(device())
}

/// What one step learns from.
#[derive(Clone, Default)]
pub struct Rows {
    /// s, one row after the other.
    pub observation: Vec<f32>,
    /// a in [-1, 1].
    pub action: Vec<f32>,
    /// r; as many as there are rows.
    pub reward: Vec<f32>,
    /// s'.
    pub next_observation: Vec<f32>,
    /// What the value of s' counts.
    pub bootstrap: Vec<f32>,
    /// Whether the episode terminated.
    pub terminated: Vec<f32>,
    /// The normal draws for the target's noise; empty: the run's own stream.
    pub noise: Vec<f32>,
    /// What each row counts in a critic's loss.
    pub weight: Option<Vec<f32>>,
    /// What was done at each of the observations side by side; empty: nobody asks.
    pub past_action: Vec<f32>,
}

impl Rows {
    /// The rows as a batch.
    pub fn batch(&self) -> Batch {
        let rows = self.reward.len();
        let action = self.action.len() / rows;
        Batch {
            learners: 1,
            row_ids: (0..rows).collect(),
            observation: matrix(&self.observation, rows),
            action: matrix(&self.action, rows),
            reward: vector(&self.reward),
            next_observation: matrix(&self.next_observation, rows),
            bootstrap: vector(&self.bootstrap),
            terminated: vector(&self.terminated),
            next_action: matrix(&vec![0.0; rows * action], rows),
            has_next_action: vector(&vec![0.0; rows]),
            weight: self.weight.as_deref().map(vector),
            past_action: (!self.past_action.is_empty()).then(|| matrix(&self.past_action, rows)),
        }
    }
}

fn matrix(values: &[f32], rows: usize) -> Tensor<2> {
    let shape = [rows, values.len() / rows];
    let data = TensorData::new(values.to_vec(), shape);
    Tensor::from_data(data, &device().plain())
}

fn vector(values: &[f32]) -> Tensor<1> {
    Tensor::from_floats(values, &device().plain())
}

/// The batches of steps 1, 2, ..; after the last comes the first again.
#[derive(Resource, Clone)]
struct Feed(Vec<Rows>);

/// Stands in the slot `Sample`.
fn feed(
    feed: Res<Feed>,
    clock: Res<Clock>,
    mut batch: ResMut<Batch>,
    noise: Option<ResMut<Random<Noise>>>,
) {
    let index = (clock.gradient_steps as usize - 1) % feed.0.len();
    let rows = &feed.0[index];
    *batch = rows.batch();
    if let Some(mut noise) = noise {
        noise.give_normals(rows.noise.iter().copied());
    }
}

/// An app for observations and actions of the given widths, before an algorithm is added.
pub fn bare(widths: [usize; 2]) -> App {
    let mut app = App::new();
    app.add_plugins((SchedulePlugin, FacilitatorPlugin, Reports::default()))
        .insert_resource(device())
        .insert_resource(Seed(0))
        .insert_resource(Preprocessing::new(
            Normalizer::identity(widths[0]),
            ActionScale::from_bounds(vec![-1.0; widths[1]], vec![1.0; widths[1]]).unwrap(),
        ));
    app
}

/// A started app with the algorithm, which learns from the given rows instead of a dataset.
pub fn fed(algorithm: impl Plugin, rows: Vec<Rows>) -> App {
    fed_frames(algorithm, rows, 1)
}

/// The same, of rows that are so many observations side by side.
pub fn fed_frames(algorithm: impl Plugin, rows: Vec<Rows>, frames: usize) -> App {
    let widths = [
        rows[0].observation.len() / rows[0].reward.len(),
        rows[0].action.len() / rows[0].reward.len(),
    ];
    let mut app = bare([widths[0] / frames, widths[1]]);
    let mut preprocessing = app.world_mut().resource_mut::<Preprocessing>();
    preprocessing.observation = Normalizer::identity(widths[0]);
    preprocessing.frames = frames;
    app.insert_resource(Batch::empty(widths[0], widths[1], &device().plain()))
        .insert_resource(Feed(rows))
        .add_plugins(algorithm)
        .replace(Learn, LearnSystems::Sample, feed);
    start(&mut app);
    app
}

/// Rows with something in every column, the same on every call.
pub fn some_rows(rows: usize, widths: [usize; 2]) -> Rows {
    let wave = |n: usize, speed: f32| -> Vec<f32> {
        (0..n)
            .map(|i| (0.7 + speed * i as f32).sin() * 0.9)
            .collect()
    };
    Rows {
        observation: wave(rows * widths[0], 1.3),
        action: wave(rows * widths[1], 2.1),
        reward: wave(rows, 0.8),
        next_observation: wave(rows * widths[0], 1.7),
        bootstrap: vec![0.99; rows],
        terminated: vec![0.0; rows],
        ..Rows::default()
    }
}

/// Transitions of one-dimensional episodes with the given rewards and ends. Row i is observed as i and leads to i + 0.5, so
/// that a batch shows which rows it has; its action is sin(i).
pub fn episodes(episodes: &[(&[f32], EpisodeEnd)]) -> Transitions {
    let reward: Vec<f32> = episodes
        .iter()
        .flat_map(|(rewards, _)| *rewards)
        .copied()
        .collect();
    let rows = reward.len();
    let column = |value: &dyn Fn(f32) -> f32| Column {
        values: (0..rows).map(|row| value(row as f32)).collect(),
        width: 1,
    };
    let mut terminated = vec![false; rows];
    let mut start = 0;
    let mut cut = Vec::new();
    for (rewards, end) in episodes {
        let rows = start..start + rewards.len();
        start = rows.end;
        terminated[start - 1] = *end == EpisodeEnd::Terminated;
        cut.push(Episode { rows, end: *end });
    }
    Transitions::new(Parts {
        observation: column(&|row| row).into(),
        action: column(&f32::sin),
        reward,
        next_observation: column(&|row| row + 0.5).into(),
        terminated,
        episodes: cut,
    })
    .unwrap()
}

/// The given transitions in place of a file's; the rows of `held_out` are not trained on.
pub fn data(transitions: Transitions, held_out: &[u32]) -> Data {
    let rows = 0..transitions.len() as u32;
    let split = Split {
        training: rows.filter(|row| !held_out.contains(row)).collect(),
        held_out: held_out.to_vec(),
    };
    Data::in_memory(transitions, split, "in memory")
}

/// A started app with the algorithm, which draws its batches from the given data.
pub fn learning<M>(algorithm: impl Plugins<M>, data: Data) -> App {
    let mut app = bare(data.widths());
    app.insert_resource(data).add_plugins(algorithm);
    start(&mut app);
    app
}

/// A column of the given numbers.
pub fn column(values: &[f32], width: usize) -> Column {
    Column {
        values: values.to_vec(),
        width,
    }
}

/// A started app with an on-policy algorithm, which learns from given rows.
pub fn given(algorithm: impl Plugin, rows: FixedRolloutPlugin) -> App {
    let mut app = App::new();
    app.add_plugins((SchedulePlugin, FacilitatorPlugin, Reports::default()))
        .insert_resource(device())
        .insert_resource(Seed(0))
        .add_plugins(rows)
        .add_plugins(algorithm);
    start(&mut app);
    app
}

/// Begins a round.
pub fn prepare(app: &mut App) {
    app.world_mut().run_schedule(Prepare);
    assert_eq!(take_failure(), None);
}

/// Finishes the app and runs `Startup`.
pub fn start(app: &mut App) {
    app.finish();
    app.cleanup();
    let errors = &app.world().resource::<ScheduleErrors>().0;
    assert!(errors.is_empty(), "{errors:?}");
    // No steps are due, so the facilitator ends the run at once, unless `Startup` failed.
    app.update();
    let outcome = &app.world().resource::<Training>().outcome;
    assert_eq!(*outcome, Some(Outcome::Finished));
}

/// Takes one gradient step, as the facilitator does.
pub fn step(app: &mut App) {
    let mut clock = app.world_mut().resource_mut::<Clock>();
    clock.gradient_steps += 1;
    clock.step += 1;
    app.world_mut().run_schedule(Learn);
    assert_eq!(take_failure(), None);
}

/// Takes `n` gradient steps.
pub fn steps(app: &mut App, n: u64) {
    (0..n).for_each(|_| step(app));
}

/// The metrics since the last call, by name.
pub fn metrics(app: &mut App) -> BTreeMap<String, f64> {
    let mut metrics = app.world_mut().resource_mut::<Metrics>();
    metrics.read().into_iter().collect()
}

/// Takes one gradient step; what it recorded.
pub fn step_metrics(app: &mut App) -> BTreeMap<String, f64> {
    metrics(app);
    step(app);
    metrics(app)
}

/// Everything that a checkpoint would hold.
pub fn snapshot(app: &App) -> Snapshot {
    gather(app.world(), 0).unwrap()
}

/// The tensors of one of a checkpoint's files: `actor`, `critic`, `target_actor`, `optimizer_critic`, ..
/// Two are equal when their bits are.
pub fn file(app: &App, name: &str) -> BTreeMap<String, HostTensor> {
    snapshot(app).files.remove(name).unwrap_or_default()
}

/// One tensor of a checkpoint's file.
pub fn tensor(app: &App, file_name: &str, name: &str) -> Vec<f32> {
    let file = file(app, file_name);
    let names: Vec<&String> = file.keys().collect();
    let found = file.get(name);
    found
        .unwrap_or_else(|| panic!("no `{name}` among {names:?}"))
        .values
        .clone()
}

/// Overwrites tensors: `(file, name, values)`.
pub fn set<'a>(app: &mut App, tensors: impl IntoIterator<Item = (&'a str, &'a str, Vec<f32>)>) {
    let mut snapshot = snapshot(app);
    for (file, name, values) in tensors {
        let tensor = snapshot
            .files
            .get_mut(file)
            .and_then(|file| file.get_mut(name))
            .unwrap_or_else(|| panic!("no `{file}/{name}`"));
        assert_eq!(tensor.values.len(), values.len(), "{file}/{name}");
        tensor.values = values;
    }
    restore(app.world_mut(), &snapshot).unwrap();
}

/// The length of a list of numbers.
pub fn norm(values: impl IntoIterator<Item = f64>) -> f64 {
    values
        .into_iter()
        .map(|value| value * value)
        .sum::<f64>()
        .sqrt()
}

/// Asserts that two numbers differ by at most `tolerance`.
#[track_caller]
pub fn assert_close(found: f64, expected: f64, tolerance: f64) {
    assert!(
        (found - expected).abs() <= tolerance,
        "{found} is not {expected} ± {tolerance}"
    );
}

/// A perceptron with ReLU between its layers, in float64 on the host: the output before any last activation.
/// `prefix` is `1.` for member 1 of an ensemble, and empty for a network alone.
pub fn perceptron(file: &BTreeMap<String, HostTensor>, prefix: &str, input: &[f64]) -> Vec<f64> {
    let mut x = input.to_vec();
    for layer in 0.. {
        let Some(weight) = file.get(&format!("{prefix}{layer}.weight")) else {
            break;
        };
        if layer > 0 {
            x.iter_mut().for_each(|x| *x = x.max(0.0));
        }
        let bias = &file[&format!("{prefix}{layer}.bias")].values;
        let out = bias.len();
        x = (0..out)
            .map(|j| {
                let products = x
                    .iter()
                    .enumerate()
                    .map(|(i, x)| x * f64::from(weight.values[i * out + j]));
                products.sum::<f64>() + f64::from(bias[j])
            })
            .collect();
    }
    x
}

/// A host copy of a tensor.
pub fn host<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().into_vec().unwrap()
}
