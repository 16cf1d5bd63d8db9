//! REINFORCE: a policy gradient by whole episodes' returns, with an entropy bonus and an optional baseline.
//!
//! Williams 1992, "Simple Statistical Gradient-Following Algorithms for Connectionist Reinforcement Learning",
//! <https://doi.org/10.1007/BF00992696>. The file reads from top to bottom: settings, policy, draws, returns, the policy's step.
//! Descendants such as A2C and PPO add [`PolicyGradient`], which is the policy and its draws, and bring other advantages or another
//! step. It learns from environments and from given rows alike. `docs/reinforce.md` lists every difference from the paper.

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
    /// Whether advantages are brought to mean 0 and deviation 1.
    pub normalise_advantages: bool,
    /// Weight of the policy's entropy.
    #[reflect(@Bounds::at_least(0.0))]
    pub entropy_coefficient: f32,
    /// Whether a critic's values are taken from the returns; they also stand in for what follows where the round's end cuts an episode.
    pub baseline: bool,
    /// The policy.
    pub actor: PolicySettings,
    /// The baseline.
    pub critic: ValueSettings,
}

/// The policy of REINFORCE and its descendants.
#[derive(Clone, Debug, Reflect)]
pub struct PolicySettings {
    /// What the network makes of an observation before its head.
    pub encoder: EncoderSettings,
    /// Widths of the hidden layers behind the encoder. None: none behind an `Mlp`, and one of 256 behind another encoder.
    #[reflect(@Bounds::within(1.0, 65_536.0))]
    pub head_sizes: Option<Vec<usize>>,
    /// Over numbers: ln σ at the beginning.
    #[reflect(@Bounds::within(-20.0, 2.0))]
    pub log_std: f32,
    /// The rule that turns gradients into steps.
    pub optimizer: Optimizer,
    /// The learning rate over time.
    pub learning_rate: LearningRate,
    /// The norm that the gradient is clipped to. None: not clipped.
    #[reflect(@Bounds::above(0.0))]
    pub max_gradient_norm: Option<f32>,
}

/// The state values of REINFORCE's descendants.
#[derive(Clone, Debug, Reflect)]
pub struct ValueSettings {
    /// What the network makes of an observation before its head.
    pub encoder: EncoderSettings,
    /// Widths of the hidden layers behind the encoder. None: none behind an `Mlp`, and one of 256 behind another encoder.
    #[reflect(@Bounds::within(1.0, 65_536.0))]
    pub head_sizes: Option<Vec<usize>>,
    /// The rule that turns gradients into steps.
    pub optimizer: Optimizer,
    /// The learning rate over time.
    pub learning_rate: LearningRate,
    /// The norm that the gradient is clipped to. None: not clipped.
    #[reflect(@Bounds::above(0.0))]
    pub max_gradient_norm: Option<f32>,
}

impl Default for Reinforce {
    fn default() -> Self {
        Reinforce {
            steps: 2_048,
            discount: 0.99,
            normalise_advantages: true,
            entropy_coefficient: 0.0,
            baseline: false,
            actor: PolicySettings::default(),
            critic: ValueSettings::default(),
        }
    }
}

/// Two hidden layers of 64 with tanh.
fn hidden_layers() -> EncoderSettings {
    EncoderSettings::new(MlpSettings {
        activation: Activation::Tanh,
        ..MlpSettings::from(&[64, 64])
    })
}

impl Default for PolicySettings {
    fn default() -> Self {
        PolicySettings {
            encoder: hidden_layers(),
            head_sizes: None,
            log_std: 0.0,
            optimizer: Optimizer::Adam,
            learning_rate: LearningRate::Constant(3e-4),
            max_gradient_norm: None,
        }
    }
}

impl Default for ValueSettings {
    fn default() -> Self {
        ValueSettings {
            encoder: hidden_layers(),
            head_sizes: None,
            optimizer: Optimizer::Adam,
            learning_rate: LearningRate::Constant(3e-4),
            max_gradient_norm: None,
        }
    }
}

impl PolicySettings {
    /// The encoder, and the layers behind it: a fresh policy has hardly any preference.
    pub fn layers(&self) -> Layers {
        Layers {
            encoder: self.encoder.clone(),
            head_sizes: self.head_sizes.clone(),
            weights: Weights::Orthogonal { last: 0.01 },
        }
    }
}

impl ValueSettings {
    /// The encoder, and the layers behind it.
    pub fn layers(&self) -> Layers {
        Layers {
            encoder: self.encoder.clone(),
            head_sizes: self.head_sizes.clone(),
            weights: Weights::Orthogonal { last: 1.0 },
        }
    }
}

/// Dropout would make the probabilities of a step differ from those that its actions were drawn with.
pub fn check_networks(
    actor: &PolicySettings,
    critic: &ValueSettings,
    problems: &mut FieldProblems,
) {
    for (field, encoder) in [("actor", &actor.encoder), ("critic", &critic.encoder)] {
        if encoder.as_mlp().is_some_and(|mlp| mlp.dropout > 0.0) {
            problems.refuse(
                format!("{field}.encoder.dropout"),
                "must be 0 in an algorithm that learns from its own draws: the ratios of probabilities would be those of other networks",
            );
        }
    }
}

impl Settings for Reinforce {
    fn check(&self, problems: &mut FieldProblems) {
        check_networks(&self.actor, &self.critic, problems);
    }
}

impl Plugin for Reinforce {
    fn build(&self, app: &mut App) {
        app.insert_resource(self.clone())
            .add_plugins(RolloutPlugin {
                steps: self.steps,
                epochs: 1,
                minibatches: 1,
                normalise_advantages: self.normalise_advantages,
                target_kl: None,
            })
            .add_plugins(PolicyGradient {
                actor: self.actor.clone(),
                entropy_coefficient: self.entropy_coefficient,
            })
            .add_systems(Learn, update_actor.in_set(LearnSystems::Actor));
        if self.baseline {
            app.add_plugins(a2c::StateValues {
                critic: self.critic.clone(),
                discount: self.discount,
                lambda: 1.0,
            })
            .add_systems(
                Prepare,
                a2c::estimate_advantages.in_set(PrepareSystems::Advantages),
            )
            .add_systems(Learn, a2c::update_critic.in_set(LearnSystems::Critic));
        } else {
            app.add_systems(Prepare, sum_rewards.in_set(PrepareSystems::Advantages));
        }
    }
}

/// What REINFORCE and its descendants share, filled from each one's own settings: the policy and its draws.
#[derive(Clone, Debug, Resource)]
pub struct PolicyGradient {
    /// The policy.
    pub actor: PolicySettings,
    /// Weight of the policy's entropy.
    pub entropy_coefficient: f32,
}

impl Plugin for PolicyGradient {
    fn build(&self, app: &mut App) {
        let actor = &self.actor;
        app.insert_resource(self.clone())
            .add_learner::<Actor>(Learner {
                optimizer: actor.optimizer,
                learning_rate: actor.learning_rate.clone(),
                l2: 0.0,
                max_gradient_norm: actor.max_gradient_norm,
                window: Window::default(),
            })
            .acts_with::<Actor>()
            .trains_on(TrainsOn::Both)
            .add_systems(Startup, build_actor)
            .add_systems(Collect, draw_actions.in_set(CollectSystems::Act));
    }
}

/// Inserts the policy: over discrete actions, or over numbers.
pub fn build_actor(settings: Res<PolicyGradient>, mut networks: Networks) -> Result {
    let head = match networks.discrete_actions() {
        Some(_) => ActorHead::Categorical,
        None => ActorHead::UnboundedGaussian {
            log_std: settings.actor.log_std,
        },
    };
    let actor = networks.actor(settings.actor.layers(), head)?;
    networks.insert::<Actor>(actor);
    Ok(())
}

/// Actions drawn from the policy, a ~ π(·|s), and ln π(a|s) for whoever learns from them.
pub fn draw_actions(
    actor: Res<Net<Actor>>,
    mut exploring: Exploring,
    rollout: Option<ResMut<Rollout>>,
) -> Result {
    let drawn = exploring.draw(&actor)?;
    if let Some(mut rollout) = rollout {
        rollout.see(&drawn);
    }
    Ok(())
}

/// The advantage of a step is what its episode earned from it on, Σ γᵏ r.
pub fn sum_rewards(reinforce: Res<Reinforce>, mut rollout: ResMut<Rollout>) {
    rollout.sum_rewards(reinforce.discount);
}

/// −mean(ln π(a|s) · A), `[1]`; the advantages are constants.
pub fn policy_loss(log_probability: Tensor<1>, advantage: Tensor<1>) -> Tensor<1> {
    (log_probability * advantage.stop_gradient()).mean().neg()
}

/// The policy's step: towards actions that came to more than was expected, −mean(ln π(a|s) · A) − c · mean(H).
pub fn update_actor(
    settings: Res<PolicyGradient>,
    batch: Res<RolloutBatch>,
    mut actor: Learning<Actor>,
    mut metrics: ResMut<Metrics>,
) -> Result {
    let policy = actor.distribution(batch.observation.clone());
    let log_probability = policy.log_probability(batch.action.clone());
    let loss = policy_loss(log_probability, batch.advantage.clone());
    settings.descend(&mut actor, loss, policy.entropy(), &mut metrics)
}

impl PolicyGradient {
    /// A step of the policy against its loss `[1]` less what its entropy `[batch]` is worth.
    pub fn descend(
        &self,
        actor: &mut Learning<Actor>,
        policy_loss: Tensor<1>,
        entropy: Tensor<1>,
        metrics: &mut Metrics,
    ) -> Result {
        metrics.record("actor/loss", policy_loss.clone());
        let entropy = entropy.mean();
        metrics.record("entropy", entropy.clone());
        let loss = policy_loss - entropy * self.entropy_coefficient;
        metrics.record("loss", loss.clone());
        let step = actor.descend(loss)?;
        metrics.record("actor/gradient_norm", step.gradient_norm);
        Ok(())
    }
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
        reinforce.actor.learning_rate = LearningRate::Constant(1e-2);
        reinforce.critic.learning_rate = LearningRate::Constant(1e-2);
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
            normalise_advantages: false,
            ..default()
        };
        Trial::of(given).learns_to_imitate(1_500)
    }

    #[test]
    fn the_loss_weighs_log_probabilities_by_advantages_that_carry_no_gradient() {
        let device = ComputeDevice::cpu().autodiff();
        let log_p = Tensor::<1>::from_floats([-1.0, -2.0], &device).require_grad();
        let advantage = Tensor::<1>::from_floats([1.0, -1.0], &device).require_grad();
        let loss = policy_loss(log_p.clone(), advantage.clone());
        assert_eq!(loss.clone().into_scalar::<f32>(), -0.5);
        let gradients = loss.backward();
        assert!(advantage.grad(&gradients).is_none());
        let gradient = log_p.grad(&gradients).unwrap().into_data();
        assert_eq!(gradient.to_vec::<f32>().unwrap(), [-0.5, 0.5]);
    }
}
