//! Every algorithm that learns from data passes the one-line checks that anybody's plugin can be put to.

use yarak::prelude::*;
use yarak::testing::{Mistake, Trial};

use crate::small_run::trial;

const RATE: f64 = 3e-3;

fn encoder(dropout: f32) -> EncoderSettings {
    EncoderSettings::new(MlpSettings {
        dropout,
        ..MlpSettings::from(&[32])
    })
}

fn network(dropout: f32) -> NetworkSettings {
    NetworkSettings {
        encoder: encoder(dropout),
        optimizer: OptimizerSettings::at(RATE),
        ..default()
    }
}

fn critic(dropout: f32) -> CriticSettings {
    CriticSettings {
        encoder: encoder(dropout),
        optimizer: OptimizerSettings::at(RATE),
        ..default()
    }
}

/// The checks that ask nothing of what a plugin learns, of networks that drop values and of such that do not.
fn stands(trial: impl Fn(f32) -> Trial, networks: &[&str]) -> Result<(), Mistake> {
    trial(0.0).networks_exist(networks)?;
    trial(0.0).one_writer_for_each_network()?;
    repeats(|| trial(0.0))?;
    repeats(|| trial(0.3))
}

/// The checks that take steps.
fn repeats(trial: impl Fn() -> Trial) -> Result<(), Mistake> {
    trial().agrees_with(&ComputeDevice::cpu())?;
    trial().travels_to(&ComputeDevice::cpu())?;
    trial().losses_are_finite()?;
    trial().looking_changes_nothing()?;
    trial().same_seed_same_bits()?;
    trial().resumes_exactly()
}

fn td3(dropout: f32) -> Trial {
    let mut td3 = Td3 {
        minibatch: MinibatchSettings::of(64),
        ..default()
    };
    (td3.actor.encoder, td3.critic.encoder) = (encoder(dropout), encoder(dropout));
    td3.actor.optimizer = OptimizerSettings::at(RATE);
    td3.critic.optimizer = OptimizerSettings::at(RATE);
    trial(td3)
}

#[test]
fn td3_stands() -> Result<(), Mistake> {
    stands(td3, &["actor", "critic"])?;
    td3(0.0).changes(&[
        (LearnSystems::Critic, &["critic"]),
        (LearnSystems::Actor, &["actor"]),
        (LearnSystems::Targets, &["target_actor", "target_critic"]),
    ])?;
    td3(0.0).targets_follow(0.005)?;
    td3(0.0).targets_are_detached("critic")?;
    td3(0.0).terminals_stop_the_bootstrap("critic")?;
    td3(0.0).learns_from_rewards(1_500)
}

fn ddpg(dropout: f32) -> Trial {
    trial(Ddpg {
        minibatch: MinibatchSettings::of(64),
        actor: network(dropout),
        critic: network(dropout),
        ..default()
    })
}

#[test]
fn ddpg_stands() -> Result<(), Mistake> {
    stands(ddpg, &["actor", "critic"])?;
    ddpg(0.0).changes(&[
        (LearnSystems::Critic, &["critic"]),
        (LearnSystems::Actor, &["actor"]),
        (LearnSystems::Targets, &["target_actor", "target_critic"]),
    ])?;
    ddpg(0.0).targets_follow(0.001)?;
    ddpg(0.0).targets_are_detached("critic")?;
    ddpg(0.0).terminals_stop_the_bootstrap("critic")?;
    ddpg(0.0).learns_from_rewards(1_500)
}

fn sac(dropout: f32) -> Trial {
    let mut sac = Sac {
        minibatch: MinibatchSettings::of(64),
        actor: network(dropout),
        critic: critic(dropout),
        ..default()
    };
    sac.temperature.optimizer = OptimizerSettings::at(RATE);
    trial(sac)
}

#[test]
fn sac_stands() -> Result<(), Mistake> {
    stands(sac, &["actor", "critic", "temperature"])?;
    sac(0.0).targets_follow(0.005)?;
    sac(0.0).targets_are_detached("critic")?;
    sac(0.0).terminals_stop_the_bootstrap("critic")?;
    sac(0.0).learns_from_rewards(1_500)
}

fn iql(dropout: f32) -> Trial {
    trial(Iql {
        minibatch: MinibatchSettings::of(64),
        actor: network(dropout),
        critic: critic(dropout),
        value: network(dropout),
        ..default()
    })
}

#[test]
fn iql_stands() -> Result<(), Mistake> {
    stands(iql, &["actor", "critic", "value"])?;
    iql(0.0).targets_follow(0.005)?;
    iql(0.0).targets_are_detached("critic")?;
    iql(0.0).learns_from_rewards(1_500)
}

fn cql(dropout: f32) -> Trial {
    trial(Cql {
        minibatch: MinibatchSettings::of(64),
        actions: 4,
        imitation_steps: 100,
        actor: network(dropout),
        critic: critic(dropout),
        ..default()
    })
}

#[test]
fn cql_stands() -> Result<(), Mistake> {
    stands(
        cql,
        &["actor", "lagrange_multiplier", "critic", "temperature"],
    )?;
    cql(0.0).targets_follow(0.005)?;
    cql(0.0).targets_are_detached("critic")?;
    cql(0.0).learns_from_rewards(1_500)
}

fn bcq(dropout: f32) -> Trial {
    trial(Bcq {
        minibatch: MinibatchSettings::of(64),
        actor: network(dropout),
        critic: CriticSettings {
            ensemble: EnsembleSettings { n: 2, weight: 0.75 },
            ..critic(dropout)
        },
        vae: network(dropout),
        ..default()
    })
}

#[test]
fn bcq_stands() -> Result<(), Mistake> {
    stands(bcq, &["actor", "critic", "vae"])?;
    bcq(0.0).targets_follow(0.005)?;
    bcq(0.0).targets_are_detached("critic")
}

const COPIED: TargetUpdate = TargetUpdate { every: 5, tau: 1.0 };

fn dqn(dropout: f32, target_update: TargetUpdate) -> Trial {
    let dqn = Dqn {
        minibatch: MinibatchSettings::of(64),
        off_policy: OffPolicySettings {
            learning_starts: 200,
            ..default()
        },
        exploration: Schedule::Constant(0.2),
        target_update,
        critic: network(dropout),
        ..default()
    };
    trial(dqn).with_discrete_actions(5)
}

#[test]
fn dqn_stands() -> Result<(), Mistake> {
    for target_update in [COPIED, TargetUpdate::default()] {
        let dqn = |dropout| dqn(dropout, target_update);
        stands(dqn, &["critic"])?;
        dqn(0.0).changes(&[
            (LearnSystems::Critic, &["critic"]),
            (LearnSystems::Targets, &["target_critic"]),
        ])?;
        dqn(0.0).targets_are_detached("critic")?;
        dqn(0.0).terminals_stop_the_bootstrap("critic")?;
        dqn(0.0).learns_from_rewards(1_500)?;
        dqn(0.0).learns_by_acting(64_000)?;
    }
    for few in [2, 3] {
        let dqn = dqn(0.0, TargetUpdate::default()).with_discrete_actions(few);
        dqn.learns_from_rewards(1_500)?;
    }
    dqn(0.0, COPIED).targets_are_copied(5)?;
    dqn(0.0, TargetUpdate::default()).targets_follow(0.005)
}

fn policy() -> on_policy::PolicySettings {
    let mut policy = on_policy::PolicySettings {
        optimizer: OptimizerSettings::at(5e-3),
        ..default()
    };
    policy.encoder.set_hidden_sizes(&[32]);
    policy
}

fn values() -> on_policy::ValueSettings {
    let mut values = on_policy::ValueSettings {
        optimizer: OptimizerSettings::at(5e-3),
        ..default()
    };
    values.encoder.set_hidden_sizes(&[32]);
    values
}

/// The checks of what learns from rounds of its own samples, of discrete and continuous actions.
fn learns_in_rounds(trial: impl Fn() -> Trial) -> Result<(), Mistake> {
    for of in [
        |trial: Trial| trial,
        |trial: Trial| trial.with_discrete_actions(5),
    ] {
        let trial = || of(trial());
        trial().networks_exist(&["actor", "critic"])?;
        trial().one_writer_for_each_network()?;
        repeats(trial)?;
        trial().changes(&[
            (LearnSystems::Critic, &["critic"]),
            (LearnSystems::Actor, &["actor"]),
        ])?;
        trial().advantages_are_detached("critic")?;
        trial().old_probabilities_are_detached("actor")?;
    }
    trial().with_discrete_actions(5).learns_by_acting(100_000)
}

#[test]
fn reinforce_with_a_baseline_stands() -> Result<(), Mistake> {
    learns_in_rounds(|| {
        trial(Reinforce {
            steps: 8,
            baseline: true,
            actor: policy(),
            critic: values(),
            ..default()
        })
    })
}

#[test]
fn a2c_stands() -> Result<(), Mistake> {
    learns_in_rounds(|| {
        trial(A2c {
            steps: 8,
            actor: policy(),
            critic: values(),
            ..default()
        })
    })
}

#[test]
fn ppo_stands() -> Result<(), Mistake> {
    learns_in_rounds(|| {
        trial(Ppo {
            steps: 8,
            epochs: 4,
            minibatches: 4,
            value_clip: Some(0.2),
            entropy_coefficient: 0.01,
            actor: policy(),
            critic: values(),
            ..default()
        })
    })
}
