//! `Validate` computes the training's losses on held-out rows, and nothing is updated by it.

use std::collections::BTreeMap;

use yarak::checkpoint::HostTensor;
use yarak::data::{Column, Data, Episode, EpisodeEnd, Parts, Spaces, Transitions};
use yarak::prelude::*;
use yarak::schedule::Outcome;

use crate::small_run::*;

/// Rows 0 to 39; the held-out ones are 10 to 19.
fn held_out_data() -> Data {
    let rewards: Vec<f32> = (0..10).map(|row| (row as f32).cos()).collect();
    let transitions = episodes(&[
        (&rewards, EpisodeEnd::Truncated),
        (&rewards, EpisodeEnd::Terminated),
        (&rewards, EpisodeEnd::Unfinished),
        (&rewards, EpisodeEnd::Terminated),
    ]);
    let held_out: Vec<u32> = (10..20).collect();
    data(transitions, &held_out)
}

fn small() -> Td3Bc {
    let mut td3 = Td3Bc {
        minibatch: MinibatchSettings::of(32),
        target_update: TargetUpdate { every: 1, tau: 0.5 },
        ..default()
    };
    td3.critic.encoder.set_hidden_sizes(&[8]);
    td3.actor.encoder.set_hidden_sizes(&[8]);
    // An update in which a wrong step would be seen at once.
    td3.actor.update_freq = 1;
    td3
}

fn small_bc() -> Bc {
    let mut bc = Bc {
        minibatch: MinibatchSettings::of(32),
        ..default()
    };
    bc.actor.encoder.set_hidden_sizes(&[8]);
    bc
}

fn validate(app: &mut App) -> BTreeMap<String, f64> {
    metrics(app);
    assert_eq!(yarak::schedule::validate(app.world_mut()), Ok(()));
    metrics(app)
}

/// Networks, targets, moments, ticks, random streams: all that a checkpoint holds, but for the metrics.
fn state(app: &App) -> Snapshot {
    let mut snapshot = snapshot(app);
    snapshot.state.remove("metrics");
    snapshot
}

#[test]
fn nothing_is_updated() {
    let mut app = learning(small(), held_out_data());
    steps(&mut app, 3);
    let before = state(&app);
    for file in [
        "actor",
        "critic",
        "target_actor",
        "target_critic",
        "optimizer_actor",
        "optimizer_critic",
    ] {
        assert!(before.files.contains_key(file), "{file} is compared");
    }
    for key in [
        "tick/actor",
        "tick/critic",
        "random/sample",
        "random/noise",
        "random/init",
    ] {
        assert!(before.state.contains_key(key), "{key} is compared");
    }
    let first = validate(&mut app);
    assert!(state(&app) == before);
    // The same rows and the same noise every time, so that two validations of one state are equal.
    assert_eq!(validate(&mut app), first);
    step(&mut app);
    assert!(
        state(&app) != before,
        "a step does change what was compared"
    );
}

#[test]
fn a_run_that_is_validated_goes_on_as_one_that_is_not() {
    let (mut validated, mut plain) = (
        learning(small(), held_out_data()),
        learning(small(), held_out_data()),
    );
    for _ in 0..6 {
        let with = step_metrics(&mut validated);
        assert_eq!(with, step_metrics(&mut plain));
        validate(&mut validated);
    }
    assert!(state(&validated) == state(&plain));
}

/// The held-out rows that were validated on: `(s, a, r, s', bootstrap)`.
fn rows(app: &App) -> Vec<[f64; 5]> {
    let batch = app.world().resource::<Batch>().clone();
    let columns = [
        host(batch.observation),
        host(batch.action),
        host(batch.reward),
        host(batch.next_observation),
        host(batch.bootstrap),
    ];
    assert!(columns[0].iter().all(|row| (10.0..20.0).contains(row)));
    (0..columns[0].len())
        .map(|row| columns.each_ref().map(|column| f64::from(column[row])))
        .collect()
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let values: Vec<f64> = values.collect();
    values.iter().sum::<f64>() / values.len() as f64
}

fn act(file: &BTreeMap<String, HostTensor>, s: f64) -> f64 {
    perceptron(file, "", &[s])[0].tanh()
}

#[test]
fn td3_bcs_losses_are_those_worked_out_by_hand() {
    let td3 = small();
    let mut app = learning(td3.clone(), held_out_data());
    steps(&mut app, 5);
    let recorded = validate(&mut app);
    let (rows, files) = (rows(&app), snapshot(&app).files);
    assert_eq!(rows.len(), 10, "each held-out row once");
    let q = |file: &str, s: f64, a: f64| {
        [0, 1].map(|member| perceptron(&files[file], &format!("{member}."), &[s, a])[0])
    };
    // A stream of its own, so that training's is not touched; the first row is the tenth.
    let noise = Random::<Noise>::forked(Seed(10), 1).normals(rows.len());
    let y: Vec<f64> = rows
        .iter()
        .zip(noise)
        .map(|([_, _, r, next, bootstrap], noise)| {
            let noise = (0.2 * f64::from(noise)).clamp(-0.5, 0.5);
            let a = (act(&files["target_actor"], *next) + noise).clamp(-1.0, 1.0);
            let [q1, q2] = q("target_critic", *next, a);
            r + bootstrap * q1.min(q2)
        })
        .collect();
    let error = |member: usize| {
        let errors = rows
            .iter()
            .zip(&y)
            .map(|([s, a, ..], y)| q("critic", *s, *a)[member] - y);
        mean(errors.map(|error| error * error))
    };
    let critic_loss = error(0) + error(1);
    for (name, loss) in [
        ("validate/critic/0/loss", error(0)),
        ("validate/critic/1/loss", error(1)),
        ("validate/critic/loss", critic_loss),
    ] {
        assert_close(recorded[name], loss, 1e-5 * loss);
    }
    let apart = |member: usize| {
        let rows = rows.iter().zip(&y);
        mean(rows.map(|([s, a, ..], y)| (q("critic", *s, *a)[member] - y).abs()))
    };
    let td_error = (apart(0) + apart(1)) / 2.0;
    assert_close(
        recorded["validate/critic/td_error"],
        td_error,
        1e-5 * td_error,
    );
    let reward = mean(rows.iter().map(|[_, _, r, ..]| *r));
    assert_close(recorded["validate/reward"], reward, 1e-6);

    let pi: Vec<f64> = rows
        .iter()
        .map(|[s, ..]| act(&files["actor"], *s))
        .collect();
    let q1: Vec<f64> = rows
        .iter()
        .zip(&pi)
        .map(|([s, ..], pi)| q("critic", *s, *pi)[0])
        .collect();
    let imitation = mean(
        rows.iter()
            .zip(&pi)
            .map(|([_, a, ..], pi)| (pi - a).powi(2)),
    );
    let lambda = 2.5 / mean(q1.iter().map(|q| q.abs()));
    let actor_loss = imitation - lambda * mean(q1.iter().copied());
    assert_close(
        recorded["validate/actor/loss"],
        actor_loss,
        1e-5 * actor_loss.abs(),
    );
    assert_eq!(recorded.len(), 6);
}

#[test]
fn the_cloners_loss_is_the_one_worked_out_by_hand() {
    let mut app = learning(small_bc(), held_out_data());
    steps(&mut app, 5);
    let before = state(&app);
    let recorded = validate(&mut app);
    assert!(state(&app) == before);
    let (rows, actor) = (rows(&app), file(&app, "actor"));
    let loss = mean(rows.iter().map(|[s, a, ..]| (act(&actor, *s) - a).powi(2)));
    assert_close(recorded["validate/actor/loss"], loss, 1e-5 * loss);
    let names: Vec<&String> = recorded.keys().collect();
    assert_eq!(names, ["validate/actor/loss", "validate/reward"]);
}

/// Batches of 4 of 10 held-out rows: the last has two rows, which count for as much as the others.
#[test]
fn all_held_out_rows_are_gone_over_and_count_alike() {
    let losses = |batch_size: usize, batches: Option<u64>| {
        let mut bc = small_bc();
        bc.minibatch = MinibatchSettings::of(batch_size);
        // The same networks, whatever the batches are.
        bc.actor.optimizer.learning_rate = yarak::prelude::Schedule::Constant(0.0);
        let validation = Validation {
            batches,
            ..default()
        };
        let mut app = learning((bc, validation), held_out_data());
        steps(&mut app, 1);
        validate(&mut app)
    };
    let (parts, whole) = (losses(4, None), losses(32, None));
    for name in [
        "validate/actor/loss",
        "validate/action_error",
        "validate/reward",
    ] {
        assert_close(parts[name], whole[name], 1e-6);
    }
    let rewards: Vec<f64> = (0..10).map(|row| f64::from((row as f32).cos())).collect();
    assert_close(
        parts["validate/reward"],
        mean(rewards.iter().copied()),
        1e-6,
    );
    // Two batches of three: the first and the second.
    let two = losses(4, Some(2))["validate/reward"];
    assert_close(two, mean(rewards[..8].iter().copied()), 1e-6);
}

/// A run that is asked to stop in a validation, or in an evaluation behind it, validates once more when it goes on.
#[test]
fn a_validation_that_is_played_again_after_a_resume_says_the_same() {
    fn check<P: Plugin + Clone>(algorithm: P) {
        let app_of = || learning((algorithm.clone(), Validation::default()), held_out_data());
        let mut app = app_of();
        prepare(&mut app);
        // All that the round has to give.
        step(&mut app);
        let first = validate(&mut app);
        assert_ne!(first["validate/critic/loss"], 0.0);
        let saved = snapshot(&app);
        let mut again = app_of();
        yarak::checkpoint::restore(again.world_mut(), &saved).unwrap();
        assert_eq!(validate(&mut again), first);
    }
    check(A2c::default());
    check(Ppo {
        epochs: 1,
        minibatches: 1,
        ..default()
    });
}

/// A soft policy draws: with one draw for each row, and not the same few again, it makes no difference how rows are cut.
#[test]
fn draws_of_a_validation_differ_from_part_to_part() {
    let rewards = vec![0.0; 500];
    let transitions = episodes(&[
        (&rewards, EpisodeEnd::Truncated),
        (&rewards, EpisodeEnd::Truncated),
    ]);
    let held_out: Vec<u32> = (500..1_000).collect();
    let entropy = |batch_size: usize| {
        let mut sac = Sac {
            minibatch: MinibatchSettings::of(batch_size),
            ..default()
        };
        sac.actor.encoder.set_hidden_sizes(&[8]);
        sac.critic.encoder.set_hidden_sizes(&[8]);
        let plugins = (sac, Validation::default());
        let mut app = learning(plugins, data(transitions.clone(), &held_out));
        validate(&mut app)["validate/entropy"]
    };
    // A Gaussian's -ln p has a deviation of 0.7, so a mean over 500 rows is known to 0.03; over the same two draws it would be off by 0.5.
    let (parts, whole) = (entropy(2), entropy(500));
    assert_close(parts, whole, 0.15);
}

#[test]
fn losses_of_a_network_outside_its_window_go_on_being_validated() {
    let mut td3 = small();
    td3.actor.optimizer.start_epoch = Some(1_000);
    let mut app = learning(td3, held_out_data());
    let trained = step_metrics(&mut app);
    assert!(trained.contains_key("critic/loss") && !trained.contains_key("actor/loss"));
    let validated = validate(&mut app);
    assert!(validated["validate/actor/loss"].is_finite());
}

/// Two discrete actions in turn, in place of the numbers.
struct OfChoices<P>(P);

impl<P: Plugin + Clone> Plugin for OfChoices<P> {
    fn build(&self, app: &mut App) {
        let rewards: Vec<f32> = (0..20).map(|row| (row as f32).cos()).collect();
        let rows = |start: usize| (0..20).map(|row| (start + row) as f32).collect();
        let column = |values| Column { values, width: 1 };
        let transitions = Transitions::new(Parts {
            observation: column(rows(0)).into(),
            action: column((0..20).map(|row| (row % 2) as f32).collect()),
            reward: rewards,
            next_observation: column(rows(1)).into(),
            terminated: vec![false; 20],
            episodes: [0..10, 10..20]
                .map(|rows| Episode {
                    rows,
                    end: EpisodeEnd::Truncated,
                })
                .to_vec(),
        });
        let transitions = transitions.unwrap().with_discrete_actions(Some(2));
        app.insert_resource(data(transitions, &(10..20).collect::<Vec<u32>>()))
            .insert_resource(Spaces {
                environment: "two discrete actions".to_owned(),
                observation: Space::from_bounds(&[(0.0, 20.0)]),
                action: Space::Discrete { n: 2 },
            })
            .add_plugins(self.0.clone());
    }
}

/// What each algorithm says of held-out rows, and that it does so without harm to the run.
#[test]
fn every_algorithm_validates_its_losses_and_its_policy() {
    let density = ["validate/log_probability", "validate/entropy"];
    let critic = ["validate/critic/loss", "validate/critic/td_error"];
    let all = ["validate/reward"];
    let continuous = ["validate/action_error", "validate/actor/loss"];
    let names = |groups: &[&[&str]]| -> Vec<String> {
        groups
            .concat()
            .iter()
            .map(|name| (*name).to_owned())
            .collect()
    };
    let check = |mut app: App, name: &str, expected: Vec<String>| {
        // On-policy algorithms learn from what a round prepared.
        prepare(&mut app);
        steps(&mut app, 2);
        let before = state(&app);
        let found = validate(&mut app);
        assert!(state(&app) == before, "{name} is changed by validation");
        for metric in expected {
            let value = found.get(&metric);
            assert!(
                value.is_some_and(|value| value.is_finite()),
                "{name}: {metric} is {value:?}, of {:?}",
                found.keys()
            );
        }
    };
    macro_rules! on_data {
        ($algorithm:ident, $names:expr) => {{
            let plugins = ($algorithm::default(), Validation::default());
            let app = learning(plugins, held_out_data());
            check(app, stringify!($algorithm), $names);
        }};
    }
    macro_rules! on_choices {
        ($algorithm:ident, $names:expr) => {{
            let mut app = bare([1, 1]);
            app.add_plugins((OfChoices($algorithm::default()), Validation::default()));
            start(&mut app);
            check(app, stringify!($algorithm), $names);
        }};
    }
    let plain = names(&[&all, &critic, &continuous]);
    on_data!(Td3, plain.clone());
    on_data!(Ddpg, plain.clone());
    on_data!(Td3Bc, plain.clone());
    on_data!(Bcq, plain);
    let with_density = names(&[&all, &critic, &continuous, &density]);
    on_data!(Sac, with_density.clone());
    on_data!(Cql, with_density.clone());
    on_data!(Iql, with_density.clone());
    on_data!(A2c, with_density.clone());
    on_data!(Ppo, with_density);
    on_data!(Bc, names(&[&all, &continuous]));
    let of_choices = ["validate/action_agreement"];
    on_choices!(Dqn, names(&[&all, &critic, &of_choices]));
    let actor = ["validate/actor/loss"];
    on_choices!(Reinforce, names(&[&all, &density, &of_choices, &actor]));
}

#[test]
fn validating_without_held_out_rows_is_refused_before_the_first_step() {
    let mut data = held_out_data();
    data.split = std::sync::Arc::new(yarak::data::Split {
        training: (0..40).collect(),
        held_out: Vec::new(),
    });
    let mut app = bare([1, 1]);
    app.insert_resource(data)
        .add_plugins((small(), Validation::default()));
    app.finish();
    app.update();
    let Some(Outcome::Failed(failure)) = app.world().resource::<Training>().outcome.clone() else {
        panic!("it must be refused")
    };
    assert!(failure.message.contains("Dataset(validation:"), "{failure}");
    assert_eq!(failure.exit_status(), 2);
}
