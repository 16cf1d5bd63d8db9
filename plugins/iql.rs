//! IQL: values of the best actions in the data, without ever asking for an action outside it, and a policy that imitates
//! the data's better actions more.
//!
//! Kostrikov, Nair & Levine 2021, "Offline Reinforcement Learning with Implicit Q-Learning", <https://arxiv.org/abs/2110.06169>.
//! The file reads from top to bottom as the paper does: settings, networks, V (equation 5), Q (equation 6), policy (equation 7),
//! targets. `docs/iql.md` lists every difference from the authors' code and from robomimic's.

use yarak::prelude::*;

/// IQL: implicit Q-learning, which never queries an action outside the data (Kostrikov et al. 2021, <https://arxiv.org/abs/2110.06169>).
#[derive(Clone, Debug, Resource, Reflect)]
#[reflect(@PluginKind::Algorithm)]
pub struct Iql {
    /// τ of the expectile that V is of Q: 0.5 is the mean over the data's actions, towards 1 the maximum.
    #[reflect(@Bounds::above(0.0).under(1.0))]
    pub expectile: f32,
    /// β, an inverse temperature, of the weights exp(β (Q − V)): 0 is behavior cloning.
    #[reflect(@Bounds::at_least(0.0))]
    pub inverse_temperature: f32,
    /// The weights are clipped to this. None: not clipped.
    #[reflect(@Bounds::above(0.0))]
    pub max_weight: Option<f32>,
    /// The advantages Q − V are clipped to this before they become weights. None: not clipped.
    pub max_advantage: Option<f32>,
    /// Discount γ of future rewards.
    #[reflect(@Bounds::within(0.0, 1.0))]
    pub discount: f32,
    /// Rewards that are folded into one target, cut at the end of an episode.
    #[reflect(@Bounds::at_least(1.0))]
    pub n_step: usize,
    /// How the targets follow.
    pub target_update: TargetUpdate,
    /// The minibatches.
    pub minibatch: MinibatchSettings,
    /// The state values V.
    pub value: NetworkSettings,
    /// The action values Q.
    pub critic: CriticSettings,
    /// The policy.
    pub actor: NetworkSettings,
    /// What the policy's density is: a Gaussian or a mixture of Gaussians.
    pub head: PolicyHead,
    /// The Gaussian's deviation.
    pub gaussian: GaussianSettings,
    /// The mixture's components.
    pub mixture: MixtureSettings,
}

impl Default for Iql {
    /// The paper's for locomotion.
    fn default() -> Self {
        Iql {
            expectile: 0.7,
            inverse_temperature: 3.0,
            max_weight: Some(100.0),
            max_advantage: None,
            discount: 0.99,
            n_step: 1,
            target_update: TargetUpdate::default(),
            minibatch: MinibatchSettings::default(),
            value: NetworkSettings::default(),
            critic: CriticSettings::default(),
            actor: NetworkSettings {
                optimizer: OptimizerSettings {
                    learning_rate: Schedule::Cosine {
                        initial: 3e-4,
                        over: Span::Steps(1_000_000),
                        warm_up: None,
                    },
                    ..default()
                },
                ..default()
            },
            head: PolicyHead::Gaussian,
            gaussian: GaussianSettings {
                deviation: Deviation::Learned,
                initial_std: 1.0,
                // e⁻⁵ and e².
                min_std: 0.006_737_947,
                max_std: 7.389_056,
            },
            mixture: MixtureSettings::default(),
        }
    }
}

impl Settings for Iql {
    fn check(&self, problems: &mut FieldProblems) {
        if self.gaussian.min_std > self.gaussian.max_std {
            problems.refuse("gaussian.min_std", "must not be above `max_std`");
        }
        self.value.check("value", problems);
        self.critic.check("critic", problems);
        self.actor.check("actor", problems);
    }
}

/// The slot of the step that fits V, directly before that of the critics.
#[derive(SystemSet, Clone, Debug, PartialEq, Eq, Hash)]
pub struct ValueStep;

impl Plugin for Iql {
    fn build(&self, app: &mut App) {
        app.insert_resource(self.clone())
            .add_plugins(self.minibatch.plugin(self.discount, self.n_step, false))
            .add_learner::<Value>(self.value.optimizer.clone())
            .add_learner::<Critic>(self.critic.optimizer.clone())
            .add_learner::<Actor>(self.actor.optimizer.clone())
            .add_target::<Critic>()
            .update_targets_with::<Critic>(self.target_update)
            .acts_with::<Actor>()
            .trains_on(TrainsOn::Continuous)
            .stacks()
            .add_systems(Startup, build_networks)
            .insert_before(Learn, LearnSystems::Critic, ValueStep, update_value)
            .add_systems(
                Learn,
                (
                    update_critic.in_set(LearnSystems::Critic),
                    update_actor.in_set(LearnSystems::Actor),
                    track_targets.in_set(LearnSystems::Targets),
                ),
            )
            .add_systems(Validate, validate.in_set(ValidateSystems::Losses));
    }
}

fn build_networks(iql: Res<Iql>, mut networks: Networks) -> Result {
    let head = iql.head.with(&iql.gaussian, &iql.mixture);
    let actor = networks.actor(iql.actor.layers(), head)?;
    let critic = networks.critics(&iql.critic)?;
    let value = networks.critic(iql.value.layers(), CriticHead::State, 1)?;
    networks.insert::<Actor>(actor);
    networks.insert_with_target::<Critic>(critic);
    networks.insert::<Value>(value);
    Ok(())
}

/// Q'(s, a) mixed from the target critics, `[batch]`: what V and the advantages are made of.
fn target_q(iql: &Iql, batch: &Batch, critic: &Target<Critic>) -> Tensor<1> {
    let q = critic.q(batch.observation.clone(), batch.action.clone());
    iql.critic.mix(q)
}

/// exp(β A), with the advantages and then the weights clipped; `[batch]`.
fn weights(iql: &Iql, advantage: Tensor<1>) -> Tensor<1> {
    let advantage = match iql.max_advantage {
        Some(most) => advantage.clamp_max(most),
        None => advantage,
    };
    let weight = (advantage * iql.inverse_temperature).exp();
    match iql.max_weight {
        Some(most) => weight.clamp_max(most),
        None => weight,
    }
}

/// The critics' target: r + γⁿ V(s').
fn q_target(batch: &Batch, value: &Net<Value>) -> Tensor<1> {
    batch.reward.clone() + batch.bootstrap.clone() * value.v(batch.next_observation.clone())
}

/// V's step, towards the expectile of the target critics' values of the data's actions: mean |τ − 1(u < 0)| u² with u = q − v.
pub fn update_value(
    iql: Res<Iql>,
    batch: Res<Batch>,
    target_critic: Res<Target<Critic>>,
    mut value: Learning<Value>,
    mut metrics: ResMut<Metrics>,
) -> Result {
    let q = target_q(&iql, &batch, &target_critic);
    let v = value.v(batch.observation.clone());
    metrics.record("value/v", batch.mean(v.clone()));
    let loss = batch.mean(losses::expectile_error(v, q, iql.expectile));
    metrics.record("value/loss", loss.clone());
    let step = value.descend(loss)?;
    metrics.record("value/gradient_norm", step.gradient_norm);
    Ok(())
}

/// The critics' step: each regresses onto the reward and the value of the next state.
pub fn update_critic(
    iql: Res<Iql>,
    batch: Res<Batch>,
    value: Res<Net<Value>>,
    mut critic: Learning<Critic>,
    mut metrics: ResMut<Metrics>,
) -> Result {
    let y = q_target(&batch, &value);
    metrics.record("critic/q_target", batch.mean(y.clone()));
    metrics.record(
        "critic/terminated_fraction",
        batch.mean(batch.terminated.clone()),
    );
    let (s, a) = (batch.observation.clone(), batch.action.clone());
    let q = critic.q(s, a);
    let weight = batch.weight.clone();
    let losses = iql.critic.losses_of(batch.learners, q, y, weight);
    metrics.record_each("critic", "loss", losses.clone());
    let loss = batch.sum_of_members(losses);
    metrics.record("critic/loss", loss.clone());
    let step = critic.descend(loss)?;
    metrics.record_each("critic", "gradient_norm", step.gradient_norm);
    Ok(())
}

/// The actor's step: the likelihood of the data's actions, weighted by how much better than V they are.
pub fn update_actor(
    iql: Res<Iql>,
    batch: Res<Batch>,
    value: Res<Net<Value>>,
    target_critic: Res<Target<Critic>>,
    mut actor: Learning<Actor>,
    mut metrics: ResMut<Metrics>,
) -> Result {
    let advantage = target_q(&iql, &batch, &target_critic) - value.v(batch.observation.clone());
    metrics.record("actor/advantage", batch.mean(advantage.clone()));
    let weight = weights(&iql, advantage);
    metrics.record("actor/weight", batch.mean(weight.clone()));
    let policy = actor.distribution(batch.observation.clone());
    let log_probability = policy.log_probability(batch.action.clone());
    metrics.record("actor/log_probability", batch.mean(log_probability.clone()));
    let loss = batch.mean(losses::weigh(log_probability, weight)).neg();
    metrics.record("actor/loss", loss.clone());
    let step = actor.descend(loss)?;
    metrics.record("actor/gradient_norm", step.gradient_norm);
    Ok(())
}

/// The target critics follow: θ' ← τ θ + (1 − τ) θ'.
pub fn track_targets(update: Res<TargetUpdate>, mut critic: Tracking<Critic>) {
    critic.follow(update.tau);
}

/// The same losses on held-out rows.
fn validate(
    iql: Res<Iql>,
    batch: Res<Batch>,
    target_critic: Res<Target<Critic>>,
    value: Res<Net<Value>>,
    critic: Res<Net<Critic>>,
    actor: Res<Net<Actor>>,
    mut metrics: ResMut<Metrics>,
) {
    let q = target_q(&iql, &batch, &target_critic);
    let v = value.v(batch.observation.clone());
    let loss = losses::expectile(v.clone(), q.clone(), iql.expectile);
    metrics.record("validate/value/loss", loss);
    let y = q_target(&batch, &value);
    let values = critic.q(batch.observation.clone(), batch.action.clone());
    metrics.record(
        "validate/critic/td_error",
        measures::td_error(values.clone(), y.clone()),
    );
    let losses = iql.critic.losses(values, y, batch.weight.clone());
    metrics.record_each("validate/critic", "loss", losses.clone());
    metrics.record("validate/critic/loss", losses.sum());
    let policy = actor.distribution(batch.observation.clone());
    let log_probability = policy.log_probability(batch.action.clone());
    let loss = losses::weighted_mean(log_probability, weights(&iql, q - v)).neg();
    metrics.record("validate/actor/loss", loss);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(values: &[f32]) -> Tensor<1> {
        Tensor::from_floats(values, &ComputeDevice::cpu().plain())
    }

    #[test]
    fn the_expectile_loss_weighs_values_above_by_tau_and_below_by_the_rest() {
        let (q, v) = (tensor(&[2.0, -1.0]), tensor(&[0.0, 0.0]));
        // (0.7 * 4 + 0.3 * 1) / 2, and (0.9 * 4 + 0.1 * 1) / 2.
        let loss = |tau| losses::expectile(v.clone(), q.clone(), tau).into_scalar::<f32>();
        assert!((loss(0.7) - 1.55).abs() < 1e-6);
        assert!((loss(0.9) - 1.85).abs() < 1e-6);
        // The median of expectiles is half the squared error.
        assert_eq!(loss(0.5), 1.25);
        // d/dv: -2 tau u above, -2 (1 - tau) u below; a mean over two rows.
        let device = ComputeDevice::cpu().autodiff();
        let v = Tensor::<1>::from_floats([0.0, 0.0], &device).require_grad();
        let loss = losses::expectile(v.clone(), q.stop_gradient(), 0.7);
        let gradient = v.grad(&loss.backward()).unwrap().into_data();
        let gradient: Vec<f32> = gradient.into_vec().unwrap();
        assert!((gradient[0] + 1.4).abs() < 1e-6 && (gradient[1] - 0.3).abs() < 1e-6);
    }

    #[test]
    fn weights_are_exponentials_of_the_advantage_and_clipped() {
        let mut iql = Iql::default();
        let found = |iql: &Iql| -> Vec<f32> {
            let weights = weights(iql, tensor(&[0.0, 1.0, -1.0, 2.0, 60.0]));
            weights.into_data().into_vec().unwrap()
        };
        // e^0, e^3, e^-3, e^6 = 403 and e^180, which is infinite in 32 bits; the last two are clipped.
        let clipped = found(&iql);
        for (found, expected) in clipped
            .iter()
            .zip([1.0, 20.085_537, 0.049_787_07, 100.0, 100.0])
        {
            assert!((found - expected).abs() <= 1e-6 * expected, "{clipped:?}");
        }
        iql.max_weight = None;
        assert_eq!(found(&iql)[4], f32::INFINITY);
        iql.max_advantage = Some(0.5);
        let clipped = found(&iql);
        assert!((clipped[4] - 4.481_689).abs() < 1e-5 && clipped[4] == clipped[1]);
        iql.inverse_temperature = 0.0;
        assert_eq!(found(&iql), [1.0; 5]);
    }
}
