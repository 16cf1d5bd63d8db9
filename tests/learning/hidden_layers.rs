//! Every network of an algorithm has the hidden layers that its settings say: their activation, their normalization, and their
//! dropout, in the steps that train it and nowhere else.

use yarak::data::Spaces;
use yarak::env::Space;
use yarak::learner::{Dropout, DropoutDraws};
use yarak::prelude::*;

use crate::small_run::{fed, file, some_rows, step};

const ROWS: usize = 8;
const WIDTHS: [usize; 2] = [3, 2];
/// Hidden values of a network for a row.
const HIDDEN: usize = 5 + 4;
/// Actions of each kind that CQL's critics look at.
const ACTIONS: usize = 2;

fn layers() -> NetworkSettings {
    NetworkSettings {
        encoder: EncoderSettings::from(&[5, 4]),
        ..default()
    }
}

/// Critics with these networks.
fn ensemble(network: NetworkSettings) -> CriticSettings {
    CriticSettings {
        encoder: network.encoder,
        optimizer: network.optimizer,
        ..default()
    }
}

/// The same with another setting of the hidden layers.
fn with(change: impl FnOnce(&mut MlpSettings)) -> NetworkSettings {
    let mut network = layers();
    change(network.encoder.as_mlp_mut().unwrap());
    network
}

/// Builds an algorithm in which one network has the given settings.
type Build = fn(&mut App, NetworkSettings);

/// An algorithm's network, as it is called in checkpoints, with the rows that a step of its own passes through it, those of an
/// ensemble's members and of the two halves of a model counted each.
const NETWORKS: [(&str, &str, usize, Build); 13] = [
    ("Ddpg", "critic", ROWS, |app, critic| {
        let actor = layers();
        app.add_plugins(Ddpg {
            critic,
            actor,
            ..default()
        });
    }),
    ("Ddpg", "actor", ROWS, |app, actor| {
        let critic = layers();
        app.add_plugins(Ddpg {
            critic,
            actor,
            ..default()
        });
    }),
    ("Sac", "critic", 2 * ROWS, |app, network| {
        let (critic, actor) = (ensemble(network), layers());
        app.add_plugins(Sac {
            critic,
            actor,
            ..default()
        });
    }),
    ("Sac", "actor", ROWS, |app, actor| {
        let critic = ensemble(layers());
        app.add_plugins(Sac {
            critic,
            actor,
            ..default()
        });
    }),
    ("Iql", "value", ROWS, |app, value| {
        let (critic, actor) = (ensemble(layers()), layers());
        app.add_plugins(Iql {
            value,
            critic,
            actor,
            ..default()
        });
    }),
    ("Iql", "critic", 2 * ROWS, |app, critic| {
        let critic = ensemble(critic);
        let (value, actor) = (layers(), layers());
        app.add_plugins(Iql {
            value,
            critic,
            actor,
            ..default()
        });
    }),
    ("Iql", "actor", ROWS, |app, actor| {
        let (value, critic) = (layers(), ensemble(layers()));
        app.add_plugins(Iql {
            value,
            critic,
            actor,
            ..default()
        });
    }),
    // The data's actions, and three kinds of others.
    (
        "Cql",
        "critic",
        2 * (ROWS + 3 * ACTIONS * ROWS),
        |app, critic| {
            let critic = ensemble(critic);
            let (actions, actor) = (ACTIONS, layers());
            app.add_plugins(Cql {
                actions,
                critic,
                actor,
                ..default()
            });
        },
    ),
    ("Cql", "actor", ROWS, |app, actor| {
        let (actions, critic) = (ACTIONS, ensemble(layers()));
        app.add_plugins(Cql {
            actions,
            critic,
            actor,
            ..default()
        });
    }),
    ("Bcq", "vae", 2 * ROWS, |app, vae| {
        let (critic, actor) = (ensemble(layers()), layers());
        app.add_plugins(Bcq {
            vae,
            critic,
            actor,
            ..default()
        });
    }),
    ("Bcq", "critic", 2 * ROWS, |app, critic| {
        let critic = ensemble(critic);
        let (vae, actor) = (layers(), layers());
        app.add_plugins(Bcq {
            vae,
            critic,
            actor,
            ..default()
        });
    }),
    ("Bcq", "actor", ROWS, |app, actor| {
        let (vae, critic) = (layers(), ensemble(layers()));
        app.add_plugins(Bcq {
            vae,
            critic,
            actor,
            ..default()
        });
    }),
    ("Dqn", "critic", ROWS, |app, critic| {
        app.insert_resource(Spaces {
            environment: "three discrete actions".to_owned(),
            observation: Space::from_bounds(&[(-1.0, 1.0); WIDTHS[0]]),
            action: Space::Discrete { n: 3 },
        })
        .add_plugins(Dqn {
            critic,
            ..default()
        });
    }),
];

/// The algorithm after one step, in which every step of it has run.
fn stepped(algorithm: &str, build: Build, network: NetworkSettings) -> App {
    let mut rows = some_rows(ROWS, WIDTHS);
    if algorithm == "Dqn" {
        rows.action = (0..ROWS).map(|row| (row % 3) as f32).collect();
    }
    let build = move |app: &mut App| build(app, network.clone());
    let mut app = fed(build, vec![rows]);
    step(&mut app);
    app
}

#[test]
fn the_steps_that_train_a_network_drop_its_values_and_nothing_else_does() {
    for (algorithm, network, rows, build) in NETWORKS {
        let with = |dropout| stepped(algorithm, build, with(|mlp| mlp.dropout = dropout));
        let (without, with) = (with(0.0), with(0.3));
        // Targets, other networks' losses and what acts would draw more.
        for (app, draws) in [(&without, 0), (&with, rows * HIDDEN)] {
            let mut expected = Random::<Dropout>::new(Seed(0));
            expected.uniforms(draws, 0.0, 1.0);
            let found = app.world().resource::<DropoutDraws>();
            assert_eq!(
                found.state(),
                expected.state(),
                "{algorithm}, {network}: {draws}"
            );
        }
        assert!(
            file(&with, network) != file(&without, network),
            "{algorithm}, {network}"
        );
    }
}

#[test]
fn a_network_takes_activation_and_normalization_from_its_settings_and_no_other_is_normalized() {
    for (algorithm, network, _, build) in NETWORKS {
        let plain = stepped(algorithm, build, layers());
        let activation = Activation::Tanh;
        let settings = with(|mlp| mlp.activation = activation);
        let other = stepped(algorithm, build, settings);
        assert!(
            file(&other, network) != file(&plain, network),
            "{algorithm}, {network}"
        );
        let settings = with(|mlp| mlp.layer_norm = true);
        let normalized = stepped(algorithm, build, settings);
        for other in ["actor", "critic", "value", "vae"] {
            let tensors = file(&normalized, other);
            let gains = tensors.keys().filter(|name| name.ends_with(".gain"));
            let has_gains = gains.count() > 0;
            assert_eq!(has_gains, other == network, "{algorithm}, {network}");
        }
    }
}
