//! A2C: an actor and a critic that learn from every few steps of several environments.
//!
//! Mnih et al. 2016, "Asynchronous Methods for Deep Reinforcement Learning", <https://arxiv.org/abs/1602.01783>, without the
//! asynchrony. The file is its settings and its wiring: the policy, the values, the advantages and both steps are
//! `plugins/on_policy.rs`'s. It learns from environments and from a fixed rollout alike. `docs/a2c.md` lists every difference from the
//! paper.

use yarak::prelude::*;

/// A2C: an actor and a critic that learn from every few steps of several environments (Mnih et al. 2016, <https://arxiv.org/abs/1602.01783>).
#[derive(Clone, Debug, Resource, Reflect)]
#[reflect(@PluginKind::Algorithm)]
pub struct A2c {
    /// Steps of every environment in a round: each round is one gradient step.
    #[reflect(@Bounds::within(1.0, 1_000_000.0))]
    pub steps: usize,
    /// Discount γ of future rewards.
    #[reflect(@Bounds::within(0.0, 1.0))]
    pub discount: f32,
    /// λ of the advantages: 0 is TD(0), r + γ V(s') − V(s); 1 the paper's rewards up to the round's end; between them GAE(λ).
    #[reflect(@Bounds::within(0.0, 1.0))]
    pub lambda: f32,
    /// Whether advantages are normalized to mean 0 and deviation 1.
    pub normalize_advantages: bool,
    /// Weight of the policy's entropy.
    #[reflect(@Bounds::at_least(0.0))]
    pub entropy_coefficient: f32,
    /// The policy.
    pub actor: on_policy::PolicySettings,
    /// The state values.
    pub critic: on_policy::ValueSettings,
}

impl Default for A2c {
    fn default() -> Self {
        let optimizer = OptimizerSettings {
            rule: Optimizer::RmsProp {
                smoothing: Some(0.99),
                epsilon: Some(1e-5),
                momentum: None,
            },
            max_gradient_norm: Some(0.5),
            ..OptimizerSettings::at(7e-4)
        };
        A2c {
            steps: 5,
            discount: 0.99,
            lambda: 1.0,
            normalize_advantages: false,
            entropy_coefficient: 0.01,
            actor: on_policy::PolicySettings {
                optimizer: optimizer.clone(),
                ..default()
            },
            critic: on_policy::ValueSettings {
                optimizer,
                ..default()
            },
        }
    }
}

impl Settings for A2c {
    fn check(&self, problems: &mut FieldProblems) {
        self.actor.check(problems);
        self.critic.check(problems);
    }
}

impl Plugin for A2c {
    fn build(&self, app: &mut App) {
        app.insert_resource(self.clone())
            .add_plugins(RolloutPlugin {
                steps: self.steps,
                epochs: 1,
                minibatches: 1,
                normalize_advantages: self.normalize_advantages,
                target_kl: None,
            })
            .add_plugins(on_policy::PolicyGradient {
                actor: self.actor.clone(),
                entropy_coefficient: self.entropy_coefficient,
            })
            .add_plugins(on_policy::StateValues {
                critic: self.critic.clone(),
                discount: self.discount,
                lambda: self.lambda,
            })
            .add_systems(
                Prepare,
                on_policy::estimate_advantages.in_set(PrepareSystems::Advantages),
            )
            .add_systems(
                Learn,
                (
                    on_policy::update_critic.in_set(LearnSystems::Critic),
                    on_policy::update_actor.in_set(LearnSystems::Actor),
                ),
            )
            .add_systems(
                Validate,
                (on_policy::validate_critic, on_policy::validate_actor)
                    .chain()
                    .in_set(ValidateSystems::Losses),
            );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use yarak::testing::{Mistake, Trial};

    fn small(lambda: f32) -> Trial {
        let mut a2c = A2c {
            steps: 8,
            lambda,
            ..default()
        };
        a2c.actor.encoder.set_hidden_sizes(&[32]);
        a2c.critic.encoder.set_hidden_sizes(&[32]);
        a2c.actor.log_std = -1.0;
        a2c.actor.optimizer.learning_rate = Schedule::Constant(5e-3);
        a2c.critic.optimizer.learning_rate = Schedule::Constant(5e-3);
        Trial::of(a2c)
    }

    #[test]
    fn each_step_changes_its_network_and_no_other() -> Result<(), Mistake> {
        small(1.0).networks_exist(&["actor", "critic"])?;
        small(1.0).one_writer_for_each_network()?;
        small(1.0).changes(&[
            (LearnSystems::Critic, &["critic"]),
            (LearnSystems::Actor, &["actor"]),
        ])
    }

    #[test]
    fn runs_repeat_resume_and_are_not_moved_by_looking() -> Result<(), Mistake> {
        small(1.0).looking_changes_nothing()?;
        small(1.0).same_seed_same_bits()?;
        small(1.0).resumes_exactly()
    }

    #[test]
    fn it_learns_from_its_own_actions_by_td_and_by_gae() -> Result<(), Mistake> {
        for lambda in [0.0, 0.95, 1.0] {
            small(lambda).losses_are_finite()?;
            small(lambda).learns_by_acting(100_000)?;
        }
        Ok(())
    }
}
