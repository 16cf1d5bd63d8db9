//! A policy whose memory resets acts as robomimic's RNN policies do, wherever it acts.

use std::path::Path;

use bevy_ecs::system::RunSystemOnce;
use yarak::checkpoint::{ResumeFrom, Snapshot, gather};
use yarak::collect::{
    Action, Actions, Ended, EnvironmentRow, Exploration, Observation, Observations,
    OwnEnvironments, Restart, Reward, SmallVector, StepResults, act_deterministically,
};
use yarak::data::{FrameStack, Minibatches, load};
use yarak::env::registry;
use yarak::evaluate::{Games, watch};
use yarak::nn::{Gru, Horizon, Lstm};
use yarak::policy::{Policy, PolicyError};
use yarak::prelude::*;

use crate::policies::{data, trained};
use crate::room::{Room, run_to_the_end, yarak};

/// Steps between two resets.
const HORIZON: usize = 4;
const HIDDEN: usize = 5;

const RESETTING: [Horizon; 2] = [Horizon::Resetting, Horizon::OpenLoop];

/// Behavior cloning with one layer of memory, and one of outputs behind it.
fn cloning(horizon: Horizon) -> Bc {
    let mut bc = Bc {
        minibatch: MinibatchSettings::of(8),
        supervise_all_steps: true,
        ..default()
    };
    bc.actor.encoder = Lstm {
        hidden_size: HIDDEN,
        layers: 1,
        horizon,
        ..default()
    }
    .into();
    bc.actor.head_sizes = Some(Vec::new());
    bc
}

fn stacked() -> Dataset {
    Dataset {
        frame_stack: HORIZON,
        ..data()
    }
}

fn trained_with(horizon: Horizon) -> App {
    let plugins = |app: &mut App| {
        app.add_plugins((stacked(), cloning(horizon)));
    };
    trained(plugins, None)
}

fn policy_of(app: &App) -> Policy {
    Policy::of(&gather(app.world(), 7).unwrap()).unwrap()
}

/// robomimic's `BC_RNN.get_action` around an LSTM by hand, in `f64`.
struct Robomimic {
    snapshot: Snapshot,
    open_loop: bool,
    counter: usize,
    state: [Vec<f64>; 2],
    open_loop_obs: Vec<f64>,
}

impl Robomimic {
    fn new(snapshot: Snapshot, horizon: Horizon) -> Self {
        Robomimic {
            snapshot,
            open_loop: horizon == Horizon::OpenLoop,
            counter: 0,
            state: [Vec::new(), Vec::new()],
            open_loop_obs: Vec::new(),
        }
    }

    /// The tensor of this name in the actor's file.
    fn weights(&self, end: &str) -> Vec<f64> {
        let file = &self.snapshot.files["actor"];
        let found = file.iter().find(|(name, _)| name.ends_with(end));
        let (_, tensor) = found.unwrap_or_else(|| panic!("{end} of {:?}", file.keys()));
        tensor.values.iter().map(|it| f64::from(*it)).collect()
    }

    /// Adds the products of a row with a matrix `[row, sums]`.
    fn add(&self, row: &[f64], end: &str, sums: &mut [f64]) {
        let matrix = self.weights(end);
        for (value, weights) in row.iter().zip(matrix.chunks(sums.len())) {
            let products = weights.iter().map(|weight| value * weight);
            sums.iter_mut()
                .zip(products)
                .for_each(|(sum, it)| *sum += it);
        }
    }

    fn get_action(&mut self, obs: &[f64]) -> f64 {
        if self.counter.is_multiple_of(HORIZON) {
            self.state = [vec![0.0; HIDDEN], vec![0.0; HIDDEN]];
            self.open_loop_obs = obs.to_vec();
        }
        let obs = match self.open_loop {
            true => self.open_loop_obs.clone(),
            false => obs.to_vec(),
        };
        self.counter += 1;
        let mut gates = self.weights("layers.0.bias");
        self.add(&obs, "layers.0.input", &mut gates);
        self.add(&self.state[0], "layers.0.hidden", &mut gates);
        let sigmoid = |it: f64| 1.0 / (1.0 + (-it).exp());
        let [hidden, cell] = &mut self.state;
        for unit in 0..HIDDEN {
            let gate = |index: usize| gates[index * HIDDEN + unit];
            cell[unit] = sigmoid(gate(1)) * cell[unit] + sigmoid(gate(0)) * gate(2).tanh();
            hidden[unit] = sigmoid(gate(3)) * cell[unit].tanh();
        }
        let mut out = self.weights("0.bias");
        self.add(&self.state[0], "0.weight", &mut out);
        out[0].tanh()
    }
}

/// Observations in the raw, such as the data have.
fn raw(steps: usize) -> Vec<f32> {
    Random::<Noise>::new(Seed(2)).normals(3 * steps)
}

#[test]
fn a_policy_acts_as_one_that_carries_its_state_and_resets_it() {
    for horizon in RESETTING {
        let app = trained_with(horizon);
        let snapshot = gather(app.world(), 7).unwrap();
        let preprocessing = app.world().resource::<Preprocessing>();
        let normalizer = &preprocessing.observation;
        let mut policy = policy_of(&app);
        assert!(policy.resets() && policy.frames() == HORIZON);
        // Two episodes at once, the second of which begins when the first has taken three steps, and again later.
        let mut other = policy.clone();
        let anew = || Robomimic::new(snapshot.clone(), horizon);
        let (mut carried, mut other_carried) = (anew(), anew());
        let mut acted = Vec::new();
        for (step, shown) in raw(14).chunks_exact(3).enumerate() {
            if step == 3 || step == 9 {
                other.begin();
                other_carried = anew();
            }
            let seen: Vec<f64> = (0..3)
                .map(|it| {
                    let deviation = normalizer.std[it] + yarak::data::Normalizer::EPSILON;
                    f64::from((shown[it] - normalizer.mean[it]) / deviation)
                })
                .collect();
            for (policy, carried) in [
                (&mut policy, &mut carried),
                (&mut other, &mut other_carried),
            ] {
                let found = policy.next_action(shown).unwrap()[0];
                let mut expected = [carried.get_action(&seen) as f32];
                preprocessing.action.from_unit(&mut expected).unwrap();
                let difference = (found - expected[0]).abs();
                assert!(difference < 1e-5, "{horizon:?}, step {step}: {difference}");
                acted.push(found);
            }
        }
        assert!(acted[2..].iter().any(|it| (it - acted[0]).abs() > 1e-2));
        assert!(acted.chunks(2).any(|both| both[0] != both[1]));
    }
}

#[test]
fn what_it_is_asked_by_itself_is_the_observations_since_the_reset() {
    for horizon in RESETTING {
        let app = trained_with(horizon);
        let (mut policy, mut other) = (policy_of(&app), policy_of(&app));
        let mut seen = FrameStack::new(policy.frames()).resetting(policy.resets());
        for shown in raw(10).chunks_exact(3) {
            seen.push(shown);
            let expected = other.act(seen.values()).unwrap();
            assert_eq!(policy.next_action(shown).unwrap(), expected);
            let refused = policy.next_action(&[f32::NAN; 3]).unwrap_err();
            assert!(matches!(refused, PolicyError::ObservationNotFinite { .. }));
        }
        for wrong in [0, 2, 4, 15] {
            let refused = other.act(&vec![0.0; wrong]).unwrap_err().to_string();
            assert!(
                refused.contains("1 to 4 of them with 3 number(s) each"),
                "{refused}"
            );
        }
    }
}

#[test]
fn evaluation_plays_as_the_policy_that_travels() {
    for horizon in RESETTING {
        let app = trained_with(horizon);
        let mut watched = vec![Vec::new(); 2];
        watch(
            app.world(),
            &Games::of("Pendulum-v1", 2, 40),
            |episode, it| {
                watched[episode].push(it.snapshot());
            },
        )
        .unwrap();
        let mut policy = policy_of(&app);
        for (states, seed) in watched.iter().zip(40..) {
            let mut environment = registry::make("Pendulum-v1").unwrap();
            let mut observation = vec![0.0; 3];
            environment.reset(Some(seed), &mut observation).unwrap();
            policy.begin();
            for expected in &states[1..] {
                let action = policy.next_action(&observation).unwrap().to_vec();
                environment.step(&action, &mut observation).unwrap();
                assert_eq!(environment.snapshot(), *expected);
            }
        }
    }
}

#[test]
fn windows_begin_at_each_row_and_end_with_the_episode() {
    let app = trained_with(Horizon::Resetting);
    let Dataset { path, .. } = data();
    let transitions = load(path).unwrap();
    let rows = transitions.episodes()[1].rows.clone();
    let (first, last) = (rows.start, rows.end - 1);
    let device = ComputeDevice::cpu().plain();
    let minibatches = app.world().resource::<Minibatches>();
    let drawn = minibatches.gather(&[first, last - 1], &device).unwrap();
    let windows = [
        [first, first + 1, first + 2, first + 3],
        [last - 1, last, last, last],
    ];
    let preprocessing = app.world().resource::<Preprocessing>();
    let mut seen: Vec<f32> = Vec::new();
    let mut done: Vec<f32> = Vec::new();
    for row in windows.concat() {
        seen.extend(transitions.observation().row(row).iter());
        done.extend(transitions.action().row(row));
    }
    preprocessing.observation.apply_to_row(&mut seen).unwrap();
    preprocessing.action.to_unit(&mut done).unwrap();
    let host = |tensor: Tensor<2>| tensor.into_data().into_vec::<f32>().unwrap();
    assert_eq!(host(drawn.observation), seen);
    // Acting on a whole window is acting on its last step.
    assert_eq!(host(drawn.action), [done[3], done[7]]);
    assert_eq!(host(drawn.past_action.unwrap()), done);
}

/// A step count that ends an episode.
#[derive(Component)]
struct Walker {
    at: usize,
    end: usize,
}

fn show(walker: &Walker, seen: &mut Observation) {
    let at = (walker.at * walker.end) as f32;
    seen.0.set(&[at.cos(), at.sin(), 0.1 * at]);
}

fn walk(
    mut walkers: Query<(
        &mut Walker,
        &Action,
        &mut Observation,
        &mut Reward,
        &mut Ended,
    )>,
) {
    for (mut walker, _, mut seen, mut reward, mut ended) in &mut walkers {
        walker.at += 1;
        show(&walker, &mut seen);
        reward.0 = 1.0;
        ended.truncated = walker.at == walker.end;
    }
}

fn rest(mut walkers: Query<(&Restart, &mut Walker, &mut Observation)>) {
    for (_, mut walker, mut seen) in walkers.iter_mut().filter(|(restart, ..)| restart.0) {
        walker.at = 0;
        show(&walker, &mut seen);
    }
}

#[test]
fn environments_at_other_ages_are_acted_in_at_once() {
    const ENDS: [usize; 3] = [3, 10, 5];
    for horizon in RESETTING {
        let plugins = |app: &mut App| {
            app.add_plugins((
                stacked(),
                cloning(horizon),
                OwnEnvironments {
                    name: "walk".into(),
                    observation: Space::from_bounds(&[(-10.0, 10.0); 3]),
                    action: Space::from_bounds(&[(-2.0, 2.0)]),
                    num_envs: ENDS.len(),
                    frame_stack: HORIZON,
                    ..default()
                },
            ))
            .steps_environments(walk, rest)
            .add_random::<Exploration>()
            .add_systems(Collect, act_deterministically.in_set(CollectSystems::Act));
            for (row, end) in ENDS.into_iter().enumerate() {
                let seen = Observation(SmallVector::zeros(3));
                let walker = Walker { at: 0, end };
                app.world_mut()
                    .spawn((EnvironmentRow { row }, seen, walker));
            }
        };
        let mut app = trained(plugins, None);
        let mut policies = vec![policy_of(&app); ENDS.len()];
        // From the first episode that begins.
        let mut begun = [false; ENDS.len()];
        let mut compared = 0;
        for _ in 0..30 {
            let shown = app.world().resource::<Observations>().values.clone();
            app.world_mut().run_schedule(Collect);
            let world = app.world();
            let (actions, steps) = (world.resource::<Actions>(), world.resource::<StepResults>());
            let scale = &world.resource::<Preprocessing>().action;
            for row in 0..ENDS.len() {
                if begun[row] {
                    let mut found = actions.row(row).to_vec();
                    scale.from_unit(&mut found).unwrap();
                    let expected = policies[row].next_action(&shown[3 * row..3 * row + 3]);
                    assert_eq!(found, expected.unwrap(), "{horizon:?}, row {row}");
                    compared += 1;
                }
                if !steps.valid[row] || steps.ended(row) {
                    policies[row].begin();
                    begun[row] = true;
                }
            }
        }
        assert!(compared > 50, "{compared}");
        let look = |exploring: Exploring| exploring.observation().unwrap_err().to_string();
        let refused = app.world_mut().run_system_once(look).unwrap();
        assert!(refused.contains("act_deterministically"), "{refused}");
    }
}

/// A run that collects with the policy that it clones.
fn collecting(steps: u64, resume: Option<Snapshot>) -> App {
    let mut app = App::new();
    let mut bc = cloning(Horizon::Resetting);
    bc.actor.encoder = Gru {
        hidden_size: HIDDEN,
        layers: 1,
        horizon: Horizon::Resetting,
        ..default()
    }
    .into();
    app.add_plugins((
        YarakPlugins
            .set(RunPlugin { steps, ..default() })
            .disable::<ScheduleRunnerPlugin>(),
        stacked(),
        bc,
        Environments {
            env: "Pendulum-v1".to_owned(),
            num_envs: 2,
            time_limit: Some(6),
            frame_stack: HORIZON,
            ..default()
        },
    ))
    .add_systems(Collect, act_deterministically.in_set(CollectSystems::Act));
    if let Some(snapshot) = resume {
        app.insert_resource(ResumeFrom(snapshot));
    }
    app.finish();
    app.cleanup();
    run_to_the_end(&mut app);
    app
}

#[test]
fn a_run_goes_on_in_the_middle_of_a_horizon() {
    let end = |app: &App| gather(app.world(), 40).unwrap();
    let whole = end(&collecting(40, None));
    // A cut in every place of a horizon and of an episode.
    for step in [16, 18, 20, 22, 24] {
        let cut = gather(collecting(step, None).world(), step).unwrap();
        let widths: Vec<usize> = cut.state("environments/seen_widths").unwrap();
        assert_eq!(widths, [3 * (1 + (step as usize / 2 % 6) % HORIZON); 2]);
        let resumed = end(&collecting(40, Some(cut)));
        assert_eq!(resumed.files, whole.files);
        assert_eq!(resumed.state, whole.state);
    }
}

#[test]
fn a_run_evaluates_collects_and_exports_the_same_policy() {
    let room = Room::new();
    let place = |name: &str| room.path(name).to_str().unwrap().to_owned();
    let (run, file, collected) = (
        place("run"),
        place("policy.safetensors"),
        place("data.hdf5"),
    );
    let scene = "scenes/pendulum_bc_rnn.ron";
    let few = [
        "--steps",
        "30",
        "--set",
        "Bc.actor.encoder.horizon=Resetting",
        "--set",
        "Evaluation.episodes=1",
        "--run",
        &run,
    ];
    yarak(&[&["train", scene][..], &few].concat()).result();
    let said = yarak(&["eval", &run, "--episodes", "2", "--seed", "5", "--json"]);
    let said: serde_json::Value = serde_json::from_str(said.result()).unwrap();
    yarak(&["export", &run, &file]).result();
    let mut policy = Policy::load(&file).unwrap();
    assert!(policy.resets() && policy.frames() == 8);
    yarak(&[
        "collect", &run, "--steps", "400", "--seed", "5", "--out", &collected,
    ])
    .result();
    let collected = load(Path::new(&collected)).unwrap();
    for episode in &collected.episodes()[..2] {
        policy.begin();
        for row in episode.rows.clone() {
            let action = policy.next_action(&collected.observation().row(row)[..2]);
            let difference = (action.unwrap()[0] - collected.action().row(row)[0]).abs();
            assert!(difference < 1e-6, "row {row}");
        }
    }
    let earned: f64 = collected.returns()[0];
    let played = said["returns"][0].as_f64().unwrap();
    assert!((earned - played).abs() < 1e-3, "{earned} {played}");
}

#[test]
fn what_does_not_train_every_step_does_not_reset() {
    let room = Room::new();
    room.write(
        "bc.ron",
        "Scene(name: \"bc\", seed: 0, device: \"cpu\", steps: 2, plugins: [Dataset(path: \"a.hdf5\", frame_stack: 4), \
         Bc(actor: (encoder: Gru(horizon: OpenLoop)))])",
    );
    let said = room.yarak("scene check bc.ron");
    said.refuses(&["actor.encoder.horizon", "supervise_all_steps: true"]);
    room.write(
        "ppo.ron",
        "Scene(name: \"ppo\", seed: 0, device: \"cpu\", steps: 2, plugins: [Environments(env: \"Pendulum-v1\", frame_stack: 4), \
         Ppo(actor: (encoder: Gru(horizon: Resetting)))])",
    );
    for words in ["scene check ppo.ron", "train ppo.ron --run run"] {
        let said = room.yarak(words);
        said.refuses(&["`Gru`", "Bc(supervise_all_steps: true)"]);
    }
}
