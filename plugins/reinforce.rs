//! REINFORCE: a policy gradient by whole episodes' returns, with an entropy bonus and an optional baseline.
//!
//! Williams 1992, "Simple Statistical Gradient-Following Algorithms for Connectionist Reinforcement Learning",
//! <https://doi.org/10.1007/BF00992696>. The file is its settings, its wiring and its advantages, whole episodes' returns: the
//! policy, its samples and its step are `plugins/on_policy.rs`'s. It learns from environments and from a fixed rollout alike.
//! `docs/reinforce.md` lists every difference from the paper.

use yarak::prelude::*;

/// REINFORCE: the policy gradient by whole episodes' returns, with an entropy bonus and an optional baseline (Williams 1992, <https://doi.org/10.1007/BF00992696>).
#[derive(Clone, Debug, Resource, Reflect)]
#[reflect(@PluginKind::Algorithm)]
pub struct Reinforce {
    /// Steps of every environment in a round: each round is one gradient step.
    #[reflect(@Bounds::within(1.0, 1_000_000.0))]
    pub steps: usize,
    /// Discount γ of future rewards.
    #[reflect(@Bounds::within(0.0, 1.0))]
    pub discount: f32,
    /// Whether advantages are normalized to mean 0 and deviation 1.
    pub normalize_advantages: bool,
    /// Weight of the policy's entropy.
    #[reflect(@Bounds::at_least(0.0))]
    pub entropy_coefficient: f32,
    /// Whether a critic's values are taken from the returns; they also stand in for what follows where the round's end cuts an episode.
    pub baseline: bool,
    /// The policy.
    pub actor: on_policy::PolicySettings,
    /// The baseline.
    pub critic: on_policy::ValueSettings,
}

impl Default for Reinforce {
    fn default() -> Self {
        Reinforce {
            steps: 2_048,
            discount: 0.99,
            normalize_advantages: true,
            entropy_coefficient: 0.0,
            baseline: false,
            actor: default(),
            critic: default(),
        }
    }
}

impl Settings for Reinforce {
    fn check(&self, problems: &mut FieldProblems) {
        self.actor.check(problems);
        self.critic.check(problems);
    }
}

impl Plugin for Reinforce {
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
            .add_systems(Learn, on_policy::update_actor.in_set(LearnSystems::Actor))
            .add_systems(
                Validate,
                on_policy::validate_actor.in_set(ValidateSystems::Losses),
            );
        if self.baseline {
            app.add_plugins(on_policy::StateValues {
                critic: self.critic.clone(),
                discount: self.discount,
                lambda: 1.0,
            })
            .add_systems(
                Prepare,
                on_policy::estimate_advantages.in_set(PrepareSystems::Advantages),
            )
            .add_systems(Learn, on_policy::update_critic.in_set(LearnSystems::Critic))
            .add_systems(
                Validate,
                on_policy::validate_critic
                    .before(on_policy::validate_actor)
                    .in_set(ValidateSystems::Losses),
            );
        } else {
            app.add_systems(Prepare, sum_rewards.in_set(PrepareSystems::Advantages));
        }
    }
}

/// The advantage of a step is what its episode earned from it on, Σ γᵏ r.
pub fn sum_rewards(reinforce: Res<Reinforce>, mut rollout: ResMut<RolloutBuffer>) {
    rollout.sum_rewards(reinforce.discount);
}

#[cfg(test)]
mod tests {
    use super::*;
    use yarak::testing::{Mistake, Trial};

    fn small(baseline: bool) -> Trial {
        let mut reinforce = Reinforce {
            steps: 8,
            baseline,
            ..default()
        };
        reinforce.actor.encoder.set_hidden_sizes(&[32]);
        reinforce.critic.encoder.set_hidden_sizes(&[32]);
        (reinforce.actor.log_std, reinforce.entropy_coefficient) = (-1.0, 1e-3);
        reinforce.actor.optimizer.learning_rate = Schedule::Constant(1e-2);
        reinforce.critic.optimizer.learning_rate = Schedule::Constant(1e-2);
        Trial::of(reinforce)
    }

    #[test]
    fn each_step_changes_its_network_and_no_other() -> Result<(), Mistake> {
        small(false).networks_exist(&["actor"])?;
        small(true).networks_exist(&["actor", "critic"])?;
        small(true).one_writer_for_each_network()?;
        small(true).changes(&[
            (LearnSystems::Critic, &["critic"]),
            (LearnSystems::Actor, &["actor"]),
        ])
    }

    #[test]
    fn runs_repeat_resume_and_are_not_moved_by_looking() -> Result<(), Mistake> {
        for baseline in [false, true] {
            small(baseline).looking_changes_nothing()?;
            small(baseline).same_seed_same_bits()?;
            small(baseline).resumes_exactly()?;
        }
        Ok(())
    }

    #[test]
    fn it_learns_from_its_own_actions_and_from_rows_that_are_given() -> Result<(), Mistake> {
        for baseline in [false, true] {
            small(baseline).losses_are_finite()?;
            small(baseline).learns_by_acting(100_000)?;
        }
        let given = Reinforce {
            // All actions of the data came to something good.
            normalize_advantages: false,
            ..default()
        };
        Trial::of(given).learns_to_imitate(1_500)
    }
}
