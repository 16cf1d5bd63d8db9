//! Mistakes in a plugin that learns the values of discrete actions: DQN with another step.

use bevy_ecs::system::ScheduleSystem;
use yarak::prelude::*;
use yarak::testing::Trial;

use super::caught;

/// DQN with another step in a slot.
fn dqn<M>(
    slot: LearnSystems,
    step: impl IntoScheduleConfigs<ScheduleSystem, M> + Clone + 'static,
) -> Trial {
    let mut dqn = Dqn {
        minibatch: MinibatchSettings::of(32),
        target_update: TargetUpdate { every: 4, tau: 1.0 },
        ..default()
    };
    dqn.critic.encoder.set_hidden_sizes(&[16]);
    let trial = Trial::of(dqn).with_discrete_actions(3);
    trial.with(move |app| {
        app.replace(Learn, slot, step.clone());
    })
}

#[test]
fn a_target_of_discrete_actions_that_is_not_detached_is_caught() {
    let forgotten = |batch: Res<Batch>, mut critic: Learning<Critic>| -> Result {
        // The greatest of the network's own values, in place of its target's.
        let next = critic.q_values(batch.next_observation.clone());
        let best = next.max_dim(1).squeeze_dim::<1>(1);
        let constant = |x: Tensor<1>| x.stop_gradient();
        let y = best * constant(batch.bootstrap.clone()) + constant(batch.reward.clone());
        let q = critic.q1(batch.observation.clone(), batch.action.clone());
        critic.descend((q - y).square().mean())?;
        Ok(())
    };
    caught(
        dqn(LearnSystems::Critic, forgotten).targets_are_detached("critic"),
        &["`critic`", "not detached", ".stop_gradient()"],
    );
}

#[test]
fn a_target_that_is_copied_at_another_step_is_caught() {
    let trial = dqn(LearnSystems::Targets, yarak::plugins::dqn::track_target);
    assert_eq!(trial.targets_are_copied(4), Ok(()));
    // At every step, whatever the slot's condition is.
    let trial = dqn(LearnSystems::Targets, yarak::plugins::dqn::track_target).with(|app| {
        app.remove(Learn, LearnSystems::Targets).add_systems(
            Learn,
            yarak::plugins::dqn::track_target.in_set(LearnSystems::Rates),
        );
    });
    caught(
        trial.targets_are_copied(4),
        &["`target_critic` moved at step 1", "every 4 steps"],
    );
    // Never copied: what moves only comes nearer.
    let softly = |mut critic: Tracking<Critic>| critic.follow(0.5);
    caught(
        dqn(LearnSystems::Targets, softly).targets_are_copied(4),
        &["`target_critic`", "slot `Targets`", "τ = 1"],
    );
}

#[test]
fn a_bootstrap_past_a_terminal_is_caught_in_a_huber_loss_too() {
    let endless =
        |batch: Res<Batch>, target: Res<Target<Critic>>, mut critic: Learning<Critic>| -> Result {
            let next = batch.next_observation.clone();
            let best = target.greedy(next.clone());
            let y = batch.reward.clone() + target.q1(next, best) * 0.99;
            let q = critic.q1(batch.observation.clone(), batch.action.clone());
            critic.descend(losses::smooth_l1_of_each(q.unsqueeze::<2>(), y))?;
            Ok(())
        };
    caught(
        dqn(LearnSystems::Critic, endless).terminals_stop_the_bootstrap("critic"),
        &["after a terminal step", "`batch.bootstrap`"],
    );
}
