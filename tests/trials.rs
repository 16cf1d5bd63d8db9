//! Every algorithm that learns from data passes the one-line checks that anybody's plugin can be put to.

use yarak::prelude::*;
use yarak::testing::{Mistake, Trial};

const RATE: LearningRate = LearningRate::Constant(3e-3);

fn network() -> NetworkSettings {
    NetworkSettings {
        layers: vec![32],
        learning_rate: RATE,
        ..default()
    }
}

/// The checks that ask nothing of what a plugin learns.
fn stands(trial: impl Fn() -> Trial, networks: &[&str]) -> Result<(), Mistake> {
    trial().networks_exist(networks)?;
    trial().one_writer_for_each_network()?;
    trial().losses_are_finite()?;
    trial().looking_changes_nothing()?;
    trial().same_seed_same_bits()?;
    trial().resumes_exactly()
}

fn td3() -> Trial {
    let mut td3 = Td3 {
        batch: 64,
        ..default()
    };
    (td3.actor.layers, td3.critic.layers) = (vec![32], vec![32]);
    (td3.actor.learning_rate, td3.critic.learning_rate) = (RATE, RATE);
    Trial::of(td3)
}

#[test]
fn td3_stands() -> Result<(), Mistake> {
    stands(td3, &["actor", "critic"])?;
    td3().changes(&[
        (LearnSystems::Critic, &["critic"]),
        (LearnSystems::Actor, &["actor"]),
        (LearnSystems::Targets, &["target_actor", "target_critic"]),
    ])?;
    td3().targets_follow(0.005)?;
    td3().targets_are_detached("critic")?;
    td3().terminals_stop_the_bootstrap("critic")?;
    td3().learns_from_rewards(1_500)
}

fn ddpg() -> Trial {
    Trial::of(Ddpg {
        batch: 64,
        actor: network(),
        critic: network(),
        ..default()
    })
}

#[test]
fn ddpg_stands() -> Result<(), Mistake> {
    stands(ddpg, &["actor", "critic"])?;
    ddpg().changes(&[
        (LearnSystems::Critic, &["critic"]),
        (LearnSystems::Actor, &["actor"]),
        (LearnSystems::Targets, &["target_actor", "target_critic"]),
    ])?;
    ddpg().targets_follow(0.001)?;
    ddpg().targets_are_detached("critic")?;
    ddpg().terminals_stop_the_bootstrap("critic")?;
    ddpg().learns_from_rewards(1_500)
}

fn sac() -> Trial {
    let mut sac = Sac {
        batch: 64,
        actor: network(),
        ..default()
    };
    sac.critic.network = network();
    sac.temperature.learning_rate = RATE;
    Trial::of(sac)
}

#[test]
fn sac_stands() -> Result<(), Mistake> {
    stands(sac, &["actor", "critic", "temperature"])?;
    sac().targets_follow(0.005)?;
    sac().targets_are_detached("critic")?;
    sac().terminals_stop_the_bootstrap("critic")?;
    sac().learns_from_rewards(1_500)
}

fn iql() -> Trial {
    Trial::of(Iql {
        batch: 64,
        actor: network(),
        critic: network(),
        value: network(),
        ..default()
    })
}

#[test]
fn iql_stands() -> Result<(), Mistake> {
    stands(iql, &["actor", "critic", "value"])?;
    iql().targets_follow(0.005)?;
    iql().targets_are_detached("critic")?;
    iql().learns_from_rewards(1_500)
}

fn cql() -> Trial {
    Trial::of(Cql {
        batch: 64,
        actions: 4,
        imitation_steps: 100,
        actor: network(),
        critic: network(),
        ..default()
    })
}

#[test]
fn cql_stands() -> Result<(), Mistake> {
    stands(cql, &["actor", "conservatism", "critic", "temperature"])?;
    cql().targets_follow(0.005)?;
    cql().targets_are_detached("critic")?;
    cql().learns_from_rewards(1_500)
}

fn bcq() -> Trial {
    Trial::of(Bcq {
        batch: 64,
        actor: network(),
        critic: network(),
        vae: network(),
        ..default()
    })
}

#[test]
fn bcq_stands() -> Result<(), Mistake> {
    stands(bcq, &["actor", "critic", "vae"])?;
    bcq().targets_follow(0.005)?;
    bcq().targets_are_detached("critic")
}
