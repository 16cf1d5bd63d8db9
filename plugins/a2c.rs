//! A2C: an actor and a critic that learn from every few steps of several environments.
//!
//! Mnih et al. 2016, "Asynchronous Methods for Deep Reinforcement Learning", <https://arxiv.org/abs/1602.01783>, without the
//! asynchrony. The file reads from top to bottom as its algorithm S3 does: settings, values, advantages, critic; the policy, its
//! draws and its step are REINFORCE's. Descendants such as PPO add [`StateValues`], which is the critic. It learns from
//! environments and from given rows alike. `docs/a2c.md` lists every difference from the paper.

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
    /// Whether advantages are brought to mean 0 and deviation 1.
    pub normalise_advantages: bool,
    /// Weight of the policy's entropy.
    #[reflect(@Bounds::at_least(0.0))]
    pub entropy_coefficient: f32,
    /// The policy.
    pub actor: reinforce::PolicySettings,
    /// The state values.
    pub critic: reinforce::ValueSettings,
}

impl Default for A2c {
    fn default() -> Self {
        let optimizer = Optimizer::RmsProp {
            smoothing: Some(0.99),
            epsilon: Some(1e-5),
            momentum: None,
        };
        let learning_rate = LearningRate::Constant(7e-4);
        A2c {
            steps: 5,
            discount: 0.99,
            lambda: 1.0,
            normalise_advantages: false,
            entropy_coefficient: 0.01,
            actor: reinforce::PolicySettings {
                optimizer,
                learning_rate: learning_rate.clone(),
                max_gradient_norm: Some(0.5),
                ..default()
            },
            critic: reinforce::ValueSettings {
                optimizer,
                learning_rate,
                max_gradient_norm: Some(0.5),
                ..default()
            },
        }
    }
}

impl Settings for A2c {
    fn check(&self, problems: &mut FieldProblems) {
        reinforce::check_networks(&self.actor, &self.critic, problems);
    }
}

impl Plugin for A2c {
    fn build(&self, app: &mut App) {
        app.insert_resource(self.clone())
            .add_plugins(RolloutPlugin {
                steps: self.steps,
                epochs: 1,
                minibatches: 1,
                normalise_advantages: self.normalise_advantages,
                target_kl: None,
            })
            .add_plugins(reinforce::PolicyGradient {
                actor: self.actor.clone(),
                entropy_coefficient: self.entropy_coefficient,
            })
            .add_plugins(StateValues {
                critic: self.critic.clone(),
                discount: self.discount,
                lambda: self.lambda,
            })
            .add_systems(
                Prepare,
                estimate_advantages.in_set(PrepareSystems::Advantages),
            )
            .add_systems(
                Learn,
                (
                    update_critic.in_set(LearnSystems::Critic),
                    reinforce::update_actor.in_set(LearnSystems::Actor),
                ),
            );
    }
}

/// What A2C and its descendants share, filled from each one's own settings: the state values.
#[derive(Clone, Debug, Resource)]
pub struct StateValues {
    /// The state values.
    pub critic: reinforce::ValueSettings,
    /// Discount γ of future rewards.
    pub discount: f32,
    /// λ of the advantages.
    pub lambda: f32,
}

impl Plugin for StateValues {
    fn build(&self, app: &mut App) {
        let critic = &self.critic;
        app.insert_resource(self.clone())
            .add_learner::<Critic>(Learner {
                optimizer: critic.optimizer,
                learning_rate: critic.learning_rate.clone(),
                l2: 0.0,
                max_gradient_norm: critic.max_gradient_norm,
                window: Window::default(),
            })
            .add_systems(Startup, build_critic.after(reinforce::build_actor));
    }
}

fn build_critic(values: Res<StateValues>, mut networks: Networks) -> Result {
    let critic = networks.critic(values.critic.layers(), CriticHead::State, 1)?;
    networks.insert::<Critic>(critic);
    Ok(())
}

/// The advantages of the round by GAE(λ), and the returns that the values are to become. A truncated episode is bootstrapped
/// from its true last observation, a terminated one is not. All of it is computed once, so no gradient flows through it.
pub fn estimate_advantages(
    values: Res<StateValues>,
    device: Res<ComputeDevice>,
    critic: Res<Net<Critic>>,
    mut rollout: ResMut<Rollout>,
    mut metrics: ResMut<Metrics>,
) {
    rollout.evaluate(&device.plain(), |observation| critic.v(observation));
    rollout.estimate(values.discount, values.lambda);
    if let Some(explained) = rollout.explained_variance() {
        metrics.record_number("explained_variance", explained);
    }
}

/// The critic's step towards the returns: mean((V(s) − R)²).
pub fn update_critic(
    batch: Res<RolloutBatch>,
    mut critic: Learning<Critic>,
    mut metrics: ResMut<Metrics>,
) -> Result {
    let value = critic.v(batch.observation.clone());
    let loss = losses::mse(value, batch.returns.clone());
    descend(&mut critic, loss, 1.0, &mut metrics)
}

/// A step of the critic against its loss `[1]`, whose weight among all losses is given.
pub fn descend(
    critic: &mut Learning<Critic>,
    value_loss: Tensor<1>,
    weight: f32,
    metrics: &mut Metrics,
) -> Result {
    metrics.record("critic/loss", value_loss.clone());
    let loss = value_loss * weight;
    metrics.record_term("loss", loss.clone());
    let step = critic.descend(loss)?;
    metrics.record("critic/gradient_norm", step.gradient_norm);
    Ok(())
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
        a2c.actor.learning_rate = LearningRate::Constant(5e-3);
        a2c.critic.learning_rate = LearningRate::Constant(5e-3);
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
