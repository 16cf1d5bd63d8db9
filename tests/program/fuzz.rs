//! Mutants of what a run keeps of itself: an error or a result, and never a panic.

use yarak::checkpoint::{Snapshot, gather, restore};
use yarak::policy::Policy;
use yarak::prelude::{
    App, Bc, EncoderSettings, Environments, MinibatchSettings, NetworkSettings, OffPolicySettings,
    Replay, Sac, default,
};

use crate::fuzzing::{Numbers, hold, mutant_of_text};
use crate::policies::{data, trained};

/// One thing of it changed: a text, a tensor's numbers or shape, or something missing.
fn mutant(good: &Snapshot, numbers: &mut Numbers) -> Snapshot {
    let mut snapshot = good.clone();
    let file = numbers.below(snapshot.files.len());
    let file = snapshot.files.values_mut().nth(file).unwrap();
    let tensor = numbers.below(file.len());
    let name = file.keys().nth(tensor).unwrap().clone();
    let tensor = file.get_mut(&name).unwrap();
    let key = numbers.below(good.state.len());
    let key = good.state.keys().nth(key).unwrap();
    match numbers.below(12) {
        0 => tensor.shape.reverse(),
        1 => {
            let shorter = tensor.values.len() / 2;
            tensor.values.truncate(shorter);
        }
        2 => {
            tensor.values.clear();
            tensor.shape = vec![0];
        }
        3 => drop(file.remove(&name)),
        4 => drop(snapshot.state.remove(key)),
        5 => {
            let other = numbers.below(good.state.len());
            let text = good.state.values().nth(other).unwrap().clone();
            snapshot.state.insert(key.clone(), text);
        }
        _ => {
            let text = mutant_of_text(&good.state[key], numbers);
            snapshot.state.insert(key.clone(), text);
        }
    }
    snapshot
}

/// Restores mutants of the app's own snapshot, and acts by them.
fn restore_mutants(target: &str, mut app: App) {
    let good = gather(app.world(), 40).unwrap();
    hold(target, 300, |numbers| {
        let mutant = mutant(&good, numbers);
        if let Err(error) = restore(app.world_mut(), &mutant) {
            assert!(!error.to_string().is_empty());
        }
        if let Ok(mut policy) = Policy::of(&mutant) {
            let seen = vec![0.5; policy.observation_size()];
            let _ = policy.act(&seen);
        }
    });
    // None of them has broken the app for a good one.
    restore(app.world_mut(), &good).unwrap();
    assert!(gather(app.world(), 40).unwrap() == good);
}

fn small() -> NetworkSettings {
    NetworkSettings {
        encoder: EncoderSettings::from(&[4]),
        ..default()
    }
}

#[test]
fn no_mutant_of_a_run_that_learns_from_data_panics() {
    let plugins = |app: &mut App| {
        let minibatch = MinibatchSettings::of(8);
        app.add_plugins((
            data(),
            Bc {
                minibatch,
                actor: small(),
                ..default()
            },
        ));
    };
    restore_mutants("a run on data", trained(plugins, None));
}

#[test]
fn no_mutant_of_a_run_that_learns_by_acting_panics() {
    let plugins = |app: &mut App| {
        let env = "Pendulum-v1".to_owned();
        let mut sac = Sac {
            minibatch: MinibatchSettings::of(8),
            actor: small(),
            off_policy: OffPolicySettings {
                learning_starts: 20,
                ..default()
            },
            ..default()
        };
        sac.critic.encoder = EncoderSettings::from(&[4]);
        app.add_plugins((
            Environments { env, ..default() },
            Replay { capacity: 64 },
            sac,
        ));
    };
    restore_mutants("a run that acts", trained(plugins, None));
}
