//! Algorithms of papers and parts of your own, each an example that is written from the guide with the prelude alone: put to the checks
//! that anybody's plugin can be put to.

use yarak::learner::{Optim, Rate};
use yarak::prelude::*;
use yarak::testing::{Mistake, Trial};

use crate::small_run::trial;

#[allow(dead_code)] // Its `main` is the example's.
#[path = "../../examples/awac.rs"]
mod awac;
#[allow(dead_code)]
#[path = "../../examples/rebrac.rs"]
mod rebrac;
#[allow(dead_code)]
#[path = "../../examples/redq.rs"]
mod redq;
#[allow(dead_code)]
#[path = "../../examples/residual.rs"]
mod residual;
#[allow(dead_code)]
#[path = "../../examples/warm_restarts.rs"]
mod warm_restarts;

const RATE: f64 = 3e-3;

fn encoder() -> EncoderSettings {
    EncoderSettings::from(&[32])
}

fn critic() -> CriticSettings {
    CriticSettings {
        encoder: encoder(),
        optimizer: OptimizerSettings::at(RATE),
        ..default()
    }
}

fn network() -> NetworkSettings {
    NetworkSettings {
        encoder: encoder(),
        optimizer: OptimizerSettings::at(RATE),
        ..default()
    }
}

/// The checks that ask nothing of what an algorithm learns.
fn stands(trial: &Trial, networks: &[&str]) -> Result<(), Mistake> {
    trial.networks_exist(networks)?;
    trial.losses_are_finite()?;
    trial.one_writer_for_each_network()?;
    trial.looking_changes_nothing()?;
    trial.same_seed_same_bits()?;
    trial.resumes_exactly()
}

/// Those of an algorithm with critics and their targets.
fn bootstraps(trial: &Trial) -> Result<(), Mistake> {
    trial.targets_follow(0.005)?;
    trial.targets_are_detached("critic")?;
    trial.terminals_stop_the_bootstrap("critic")
}

#[test]
fn awac_passes_the_checks() -> Result<(), Mistake> {
    let trial = trial(awac::Awac {
        lambda: 0.1,
        minibatch: MinibatchSettings::of(64),
        critic: critic(),
        actor: network(),
        ..default()
    });
    stands(&trial, &["actor", "critic"])?;
    bootstraps(&trial)?;
    trial.changes(&[
        (LearnSystems::Critic, &["critic"]),
        (LearnSystems::Actor, &["actor"]),
        (LearnSystems::Targets, &["target_critic"]),
    ])?;
    trial.learns_from_rewards(1_500)
}

fn rebrac() -> rebrac::Rebrac {
    rebrac::Rebrac {
        minibatch: MinibatchSettings::of(64),
        critic: critic(),
        actor: td3::ActorSettings {
            encoder: encoder(),
            optimizer: OptimizerSettings::at(RATE),
            ..default()
        },
        ..default()
    }
}

#[test]
fn rebrac_passes_the_checks() -> Result<(), Mistake> {
    let trial = trial(rebrac());
    stands(&trial, &["actor", "critic"])?;
    bootstraps(&trial)?;
    trial.changes(&[
        (LearnSystems::Critic, &["critic"]),
        (LearnSystems::Actor, &["actor"]),
        (LearnSystems::Targets, &["target_actor", "target_critic"]),
    ])?;
    trial.learns_from_rewards(1_500)
}

#[test]
fn rebracs_penalty_pulls_the_actor_to_the_data() -> Result<(), Mistake> {
    // With nearly all of the loss the penalty's, it is cloning; with none of it, the equal rewards say nothing.
    let with = |beta1| trial(rebrac::Rebrac { beta1, ..rebrac() });
    with(100.0).learns_to_imitate(1_000)?;
    assert!(with(0.0).learns_to_imitate(1_000).is_err());
    Ok(())
}

fn redq() -> redq::Redq {
    redq::Redq {
        minibatch: MinibatchSettings::of(64),
        off_policy: OffPolicySettings {
            learning_starts: 200,
            train_freq: 1,
            gradient_steps: 4,
        },
        critic: CriticSettings {
            ensemble: EnsembleSettings { n: 5, weight: 1.0 },
            ..critic()
        },
        actor: network(),
        ..default()
    }
}

#[test]
fn redq_passes_the_checks() -> Result<(), Mistake> {
    let networks = &["actor", "critic", "temperature"];
    for trial in [trial(redq()), trial(redq()).in_environments()] {
        stands(&trial, networks)?;
        bootstraps(&trial)?;
    }
    trial(redq()).learns_by_acting(20_000)
}

#[test]
fn redqs_actor_learns_at_the_last_of_an_updates_gradient_steps() {
    let mut app = App::new();
    let run = RunPlugin {
        steps: 210,
        ..default()
    };
    app.add_plugins((
        YarakPlugins.set(run),
        Environments::default(),
        Replay { capacity: 300 },
        redq(),
    ));
    app.finish();
    app.cleanup();
    while app.should_exit().is_none() {
        app.update();
    }
    assert_eq!(app.should_exit(), Some(AppExit::Success));
    let world = app.world();
    // Ten steps of the environment from 201 on, with four gradient steps each.
    assert_eq!(world.resource::<Clock>().gradient_steps, 40);
    let updates = [
        world.resource::<Optim<Critic>>().updates(),
        world.resource::<Optim<Actor>>().updates(),
        world.resource::<Optim<sac::Temperature>>().updates(),
    ];
    assert_eq!(updates, [40, 10, 10]);
}

#[test]
fn more_critics_in_a_target_than_there_are_are_refused() {
    let mut problems = FieldProblems::default();
    let settings = redq::Redq { m: 6, ..redq() };
    settings.check(&mut problems);
    let (field, why) = problems.iter().next().unwrap();
    assert_eq!(field, "m");
    assert!(why.contains("at most 5"), "{why}");
}

#[test]
fn residual_networks_pass_the_checks_as_encoders_and_in_a_role() -> Result<(), Mistake> {
    let blocks = residual::Residual {
        width: 16,
        blocks: 2,
    };
    let mut td3_bc = Td3Bc {
        minibatch: MinibatchSettings::of(64),
        ..default()
    };
    (td3_bc.actor.encoder, td3_bc.critic.encoder) = (
        EncoderSettings::new(blocks.clone()),
        EncoderSettings::new(blocks.clone()),
    );
    (td3_bc.actor.head_sizes, td3_bc.critic.head_sizes) = (Some(vec![16]), Some(vec![16]));
    let trial = trial(td3_bc).with(move |app| {
        app.add_plugins(residual::LearnModel {
            network: blocks.clone(),
            optimizer: OptimizerSettings::at(RATE),
        });
    });
    stands(&trial, &["actor", "critic", "model"])?;
    bootstraps(&trial)?;
    trial.changes_by_name(&[
        ("Model", &["model"]),
        ("Critic", &["critic"]),
        ("Actor", &["actor"]),
        ("Targets", &["target_actor", "target_critic"]),
    ])
}

/// Behavior cloning with warm restarts.
fn restarted() -> Trial {
    let td3_bc = Td3Bc {
        minibatch: MinibatchSettings::of(32),
        ..default()
    };
    trial(td3_bc).with(|app| {
        app.add_plugins(warm_restarts::WarmRestarts {
            t_0: 2,
            ..default()
        });
    })
}

#[test]
fn a_rate_of_ones_own_repeats_and_resumes_bit_for_bit() -> Result<(), Mistake> {
    restarted().losses_are_finite()?;
    restarted().same_seed_same_bits()?;
    restarted().resumes_exactly()
}

/// The rates of the steps that a run of TD3+BC took, as they were recorded.
fn rates_of(steps: u64, add: impl Fn(&mut App)) -> (AppExit, Vec<f64>) {
    #[derive(Resource, Default)]
    struct Rates(Vec<f64>);
    let mut app = App::new();
    let mut td3_bc = Td3Bc {
        minibatch: MinibatchSettings::of(16),
        ..default()
    };
    td3_bc.actor.encoder.set_hidden_sizes(&[8]);
    td3_bc.critic.encoder.set_hidden_sizes(&[8]);
    let run = RunPlugin { steps, ..default() };
    app.add_plugins((YarakPlugins.set(run), Dataset::default(), td3_bc))
        .init_resource::<Rates>()
        .add_systems(
            Learn,
            (|rate: Res<Rate<Critic>>, mut rates: ResMut<Rates>| {
                rates.0.push(rate.current);
            })
            .in_set(LearnSystems::Critic)
            .before(td3::update_critic),
        );
    add(&mut app);
    app.finish();
    app.cleanup();
    while app.should_exit().is_none() {
        app.update();
    }
    let rates = app.world().resource::<Rates>().0.clone();
    (app.should_exit().unwrap(), rates)
}

#[test]
fn a_rate_of_ones_own_is_that_of_each_step_and_begins_anew() {
    let (exit, rates) = rates_of(8, |app| {
        app.add_plugins(warm_restarts::WarmRestarts {
            eta_max: 1.0,
            t_0: 2,
            ..default()
        });
    });
    assert_eq!(exit, AppExit::Success);
    // Two updates, then four, then eight.
    let expected = [0.0, 0.5, 0.0, 0.25, 0.5, 0.75, 0.0, 0.125];
    for (rate, share) in rates.iter().zip(expected) {
        let expected = 0.5 * (1.0 + (std::f64::consts::PI * share).cos());
        assert!((rate - expected).abs() < 1e-12, "{rates:?}");
    }
    assert_eq!(rates.len(), expected.len());
}

#[test]
fn a_rule_that_gives_no_rate_or_is_for_nobody_ends_the_run_with_its_remedy() {
    let (exit, rates) = rates_of(8, |app| {
        app.sets_rate::<Critic, _>(|In(updates): In<u64>| 1.0 / (2.0 - updates as f64));
    });
    // 1/2, 1, 1/0: the third step is taken with the rate of the second, and the run ends without saving it.
    assert_eq!((exit, rates), (AppExit::from_code(1), vec![0.5, 1.0, 1.0]));
    let (exit, rates) = rates_of(8, |app| {
        app.sets_rate::<Value, _>(|In(_): In<u64>| 1e-3);
    });
    assert_eq!((exit, rates), (AppExit::from_code(2), Vec::new()));
    // Two rules for one rate.
    let (exit, rates) = rates_of(8, |app| {
        app.sets_rate::<Critic, _>(|In(_): In<u64>| 1e-3)
            .sets_rate::<Critic, _>(|In(_): In<u64>| 1e-4);
    });
    assert_eq!((exit, rates), (AppExit::from_code(2), Vec::new()));
}
