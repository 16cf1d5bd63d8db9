//! `Validate` computes the training's losses on held-out rows, and nothing is updated by it.

use std::collections::BTreeMap;

use yarak::checkpoint::HostTensor;
use yarak::data::Data;
use yarak::data::EpisodeEnd;
use yarak::prelude::*;
use yarak::schedule::{Outcome, take_failure};

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
    app.world_mut().run_schedule(Validate);
    assert_eq!(take_failure(), None);
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
    assert_eq!(rows.len(), td3.minibatch.batch_size);
    let q = |file: &str, s: f64, a: f64| {
        [0, 1].map(|member| perceptron(&files[file], &format!("{member}."), &[s, a])[0])
    };
    // A stream of its own, so that training's is not touched.
    let noise = Random::<Noise>::forked(Seed(0), 1).normals(rows.len());
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
    assert_close(
        recorded["validate/critic/loss"],
        critic_loss,
        1e-5 * critic_loss,
    );

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
    assert_eq!(recorded.len(), 2);
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
    assert_eq!(recorded.len(), 1);
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
