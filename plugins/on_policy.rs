//! What the algorithms share that learn from their own policy's samples: the policy with its entropy bonus, the state values with
//! GAE(λ), and the steps that train both.
//!
//! REINFORCE adds [`PolicyGradient`], A2C and PPO add [`StateValues`] to it. Advantages and losses are each algorithm's own, but for
//! what A2C and REINFORCE have in common. Generalized advantages: Schulman et al. 2016, <https://arxiv.org/abs/1506.02438>.

use yarak::prelude::*;

/// The policy.
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
    /// How it is trained.
    pub optimizer: OptimizerSettings,
}

/// The state values.
#[derive(Clone, Debug, Reflect)]
pub struct ValueSettings {
    /// What the network makes of an observation before its head.
    pub encoder: EncoderSettings,
    /// Widths of the hidden layers behind the encoder. None: none behind an `Mlp`, and one of 256 behind another encoder.
    #[reflect(@Bounds::within(1.0, 65_536.0))]
    pub head_sizes: Option<Vec<usize>>,
    /// How it is trained.
    pub optimizer: OptimizerSettings,
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
            optimizer: OptimizerSettings::default(),
        }
    }
}

impl Default for ValueSettings {
    fn default() -> Self {
        ValueSettings {
            encoder: hidden_layers(),
            head_sizes: None,
            optimizer: OptimizerSettings::default(),
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

    /// Refuses what contradicts itself.
    pub fn check(&self, problems: &mut FieldProblems) {
        refuse_dropout("actor", &self.encoder, problems);
        self.encoder.check("actor.encoder", problems);
        self.optimizer.check("actor.optimizer", problems);
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

    /// Refuses what contradicts itself.
    pub fn check(&self, problems: &mut FieldProblems) {
        refuse_dropout("critic", &self.encoder, problems);
        self.encoder.check("critic.encoder", problems);
        self.optimizer.check("critic.optimizer", problems);
    }
}

/// With dropout, the probabilities of a step would be those of another network than its actions were drawn from.
fn refuse_dropout(field: &str, encoder: &EncoderSettings, problems: &mut FieldProblems) {
    if encoder.as_mlp().is_some_and(|mlp| mlp.dropout > 0.0) {
        problems.refuse(
            format!("{field}.encoder.dropout"),
            "must be 0 in an algorithm that learns from its own samples: the ratios of probabilities would be those of other networks",
        );
    }
}

/// The policy and its draws, filled from each algorithm's own settings.
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
            .add_learner::<Actor>(actor.optimizer.clone())
            .acts_with::<Actor>()
            .trains_on(TrainsOn::Both)
            .add_systems(Startup, build_actor)
            .add_systems(Collect, draw_actions.in_set(CollectSystems::Act));
    }
}

/// Inserts the policy: over discrete actions, or over continuous actions.
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
    rollout: Option<ResMut<RolloutBuffer>>,
) -> Result {
    let drawn = exploring.draw(&actor)?;
    if let Some(mut rollout) = rollout {
        rollout.see(&drawn);
    }
    Ok(())
}

/// −mean(ln π(a|s) · A), `[1]`; the advantages are constants.
pub fn policy_loss(log_probability: Tensor<1>, advantage: Tensor<1>) -> Tensor<1> {
    let advantage = advantage.constant_of(&log_probability);
    (log_probability * advantage).mean().neg()
}

/// The policy's step: towards actions of positive advantage, −mean(ln π(a|s) · A) − c · mean(H).
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
        metrics.record("actor/entropy", entropy.clone());
        let loss = policy_loss - entropy * self.entropy_coefficient;
        metrics.record("train/loss", loss.clone());
        let step = actor.descend(loss)?;
        metrics.record("actor/gradient_norm", step.gradient_norm);
        Ok(())
    }
}

/// The state values, filled from each algorithm's own settings.
#[derive(Clone, Debug, Resource)]
pub struct StateValues {
    /// The state values.
    pub critic: ValueSettings,
    /// Discount γ of future rewards.
    pub discount: f32,
    /// λ of the advantages.
    pub lambda: f32,
}

impl Plugin for StateValues {
    fn build(&self, app: &mut App) {
        let critic = &self.critic;
        app.insert_resource(self.clone())
            .add_learner::<Critic>(critic.optimizer.clone())
            .add_systems(Startup, build_critic.after(build_actor));
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
    mut rollout: ResMut<RolloutBuffer>,
    mut metrics: ResMut<Metrics>,
) {
    rollout.evaluate(&device.plain(), |observation| critic.v(observation));
    rollout.estimate(values.discount, values.lambda);
    if let Some(explained) = rollout.explained_variance() {
        metrics.record_number("critic/explained_variance", explained);
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
    descend_values(&mut critic, loss, 1.0, &mut metrics)
}

/// A step of the critic against its loss `[1]`, whose weight among all losses is given.
pub fn descend_values(
    critic: &mut Learning<Critic>,
    value_loss: Tensor<1>,
    weight: f32,
    metrics: &mut Metrics,
) -> Result {
    metrics.record("critic/loss", value_loss.clone());
    let loss = value_loss * weight;
    metrics.record_term("train/loss", loss.clone());
    let step = critic.descend(loss)?;
    metrics.record("critic/gradient_norm", step.gradient_norm);
    Ok(())
}

/// The policy's loss on held-out rows, with the advantages of the round.
pub fn validate_actor(
    batch: Res<RolloutBatch>,
    actor: Res<Net<Actor>>,
    mut metrics: ResMut<Metrics>,
) {
    let policy = actor.distribution(batch.observation.clone());
    let log_probability = policy.log_probability(batch.action.clone());
    let loss = policy_loss(log_probability, batch.advantage.clone());
    metrics.record("validate/actor/loss", loss);
}

/// The critic's loss on held-out rows, against the returns of the round.
pub fn validate_critic(
    batch: Res<RolloutBatch>,
    critic: Res<Net<Critic>>,
    mut metrics: ResMut<Metrics>,
) {
    let (value, returns) = (critic.v(batch.observation.clone()), batch.returns.clone());
    let error = measures::td_error(value.clone().unsqueeze::<2>(), returns.clone());
    metrics.record("validate/critic/td_error", error);
    metrics.record("validate/critic/loss", losses::mse(value, returns));
}

#[cfg(test)]
mod tests {
    use super::*;

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
