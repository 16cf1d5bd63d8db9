//! Mistakes in a plugin that learns from rounds of its own samples: PPO with another step.

use bevy_ecs::system::ScheduleSystem;
use yarak::plugins::ppo;
use yarak::prelude::*;
use yarak::testing::{Mistake, Trial};

use super::caught;

fn on_policy() -> Trial {
    let mut ppo = Ppo {
        steps: 8,
        minibatches: 4,
        entropy_coefficient: 0.01,
        ..default()
    };
    ppo.actor.encoder.set_hidden_sizes(&[16]);
    ppo.critic.encoder.set_hidden_sizes(&[16]);
    Trial::of(ppo)
}

/// PPO with another critic step.
fn values_step<M>(step: impl IntoScheduleConfigs<ScheduleSystem, M> + Clone + 'static) -> Trial {
    on_policy().with(move |app| {
        app.replace(Learn, LearnSystems::Critic, step.clone());
    })
}

/// PPO with another actor step.
fn policy_step<M>(step: impl IntoScheduleConfigs<ScheduleSystem, M> + Clone + 'static) -> Trial {
    on_policy().with(move |app| {
        app.replace(Learn, LearnSystems::Actor, step.clone());
    })
}

const ROUND_SLOTS: &[(LearnSystems, &[&str])] = &[
    (LearnSystems::Critic, &["critic"]),
    (LearnSystems::Actor, &["actor"]),
];

#[test]
fn ppo_with_steps_of_ones_own_and_without_a_mistake_passes_every_check() -> Result<(), Mistake> {
    // The loss of both networks together, with the advantage of values in training, detached.
    let values = |batch: Res<RolloutBatch>,
                  actor: Res<Net<Actor>>,
                  mut critic: Learning<Critic>,
                  mut metrics: ResMut<Metrics>|
     -> Result {
        let value = critic.v(batch.observation.clone());
        let returns = batch.returns.clone().stop_gradient();
        let advantage = (returns.clone() - value.clone()).stop_gradient();
        let policy = actor.distribution(batch.observation.clone());
        let log_probability = policy.log_probability(batch.action.clone());
        let ratio = (log_probability - batch.log_probability.clone()).exp();
        let loss = (returns - value).square().mean() - (advantage * ratio.stop_gradient()).mean();
        metrics.record("critic/loss", loss.clone());
        critic.descend(loss)?;
        Ok(())
    };
    let policy = |batch: Res<RolloutBatch>, mut actor: Learning<Actor>| -> Result {
        let policy = actor.distribution(batch.observation.clone());
        let log_probability = policy.log_probability(batch.action.clone());
        let old = log_probability.clone().stop_gradient();
        let ratio = (log_probability - old).exp();
        actor.descend(ppo::policy_loss(ratio, batch.advantage.clone(), 0.2))?;
        Ok(())
    };
    for trial in [on_policy(), values_step(values), policy_step(policy)] {
        trial.networks_exist(&["actor", "critic"])?;
        trial.losses_are_finite()?;
        trial.changes(ROUND_SLOTS)?;
        trial.one_writer_for_each_network()?;
        trial.advantages_are_detached("critic")?;
        trial.old_probabilities_are_detached("actor")?;
        trial.looking_changes_nothing()?;
        trial.same_seed_same_bits()?;
        trial.resumes_exactly()?;
    }
    Ok(())
}

#[test]
fn an_advantage_that_is_not_detached_is_caught() {
    // The loss of both networks together, which reaches the values through the policy's part of it.
    let forgotten = |batch: Res<RolloutBatch>,
                     actor: Res<Net<Actor>>,
                     mut critic: Learning<Critic>|
     -> Result {
        let value = critic.v(batch.observation.clone());
        let returns = batch.returns.clone().stop_gradient();
        let advantage = returns.clone() - value.clone();
        let policy = actor.distribution(batch.observation.clone());
        let log_probability = policy.log_probability(batch.action.clone());
        let ratio = (log_probability - batch.log_probability.clone()).exp();
        let loss = (returns - value).square().mean() - (advantage * ratio.stop_gradient()).mean();
        critic.descend(loss)?;
        Ok(())
    };
    caught(
        values_step(forgotten).advantages_are_detached("critic"),
        &[
            "`critic`",
            "an advantage that is not detached",
            "`batch.advantage`",
        ],
    );
}

#[test]
fn an_old_log_probability_that_is_not_detached_is_caught() {
    // The ratio of the policy in training and itself is 1, and has no gradient; the entropy still moves the policy.
    let forgotten = |settings: Res<on_policy::PolicyGradient>,
                     batch: Res<RolloutBatch>,
                     mut actor: Learning<Actor>,
                     mut metrics: ResMut<Metrics>|
     -> Result {
        let policy = actor.distribution(batch.observation.clone());
        let log_probability = policy.log_probability(batch.action.clone());
        let old = policy.log_probability(batch.action.clone());
        let ratio = (log_probability - old).exp();
        let loss = ppo::policy_loss(ratio, batch.advantage.clone(), 0.2);
        settings.descend(&mut actor, loss, policy.entropy(), &mut metrics)
    };
    caught(
        policy_step(forgotten).old_probabilities_are_detached("actor"),
        &[
            "`actor`",
            "advantages of 1 and of -1",
            "`batch.log_probability`",
        ],
    );
}

#[test]
fn a_policys_step_that_moves_the_value_function_is_caught() {
    let both = |batch: Res<RolloutBatch>,
                mut actor: Learning<Actor>,
                mut critic: Learning<Critic>,
                mut metrics: ResMut<Metrics>|
     -> Result {
        let policy = actor.distribution(batch.observation.clone());
        let log_probability = policy.log_probability(batch.action.clone());
        actor.descend(on_policy::policy_loss(
            log_probability,
            batch.advantage.clone(),
        ))?;
        let value = critic.v(batch.observation.clone());
        let loss = losses::mse(value, batch.returns.clone());
        on_policy::descend_values(&mut critic, loss, 1.0, &mut metrics)
    };
    caught(
        policy_step(both).changes(ROUND_SLOTS),
        &["slot `Actor` changed `critic`", "another network's loss"],
    );
}

#[test]
fn a_policys_step_that_asks_for_the_values_in_training_is_caught() {
    // `Learning<..>` is a writer, whether it descends or not: what only reads takes `Res<Net<..>>`.
    let reads = |batch: Res<RolloutBatch>,
                 mut actor: Learning<Actor>,
                 critic: Learning<Critic>|
     -> Result {
        let policy = actor.distribution(batch.observation.clone());
        let log_probability = policy.log_probability(batch.action.clone());
        let returns = batch.returns.clone().stop_gradient();
        let advantage = returns - critic.v(batch.observation.clone());
        actor.descend((log_probability * advantage).mean().neg())?;
        Ok(())
    };
    caught(
        policy_step(reads).one_writer_for_each_network(),
        &["ppo::update_critic", "slot `Actor`", "`Net<Critic>`"],
    );
}
