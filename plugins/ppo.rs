//! PPO: a policy gradient that takes several steps with one round's draws, and not too far.
//!
//! Schulman et al. 2017, "Proximal Policy Optimization Algorithms", <https://arxiv.org/abs/1707.06347>; its details as Huang et al.
//! 2022 collected them, <https://iclr-blog-track.github.io/2022/03/25/ppo-implementation-details/>. The file reads from top to
//! bottom as its algorithm 1 does: settings, what a round begins with, critic, actor. The policy, its samples, the values and the
//! advantages are `plugins/on_policy.rs`'s. It learns from environments and from a fixed rollout alike. `docs/ppo.md` lists every
//! difference from the paper and from the usual implementation.

use yarak::prelude::*;

/// PPO: a policy gradient that takes several steps with one round's draws, and not too far (Schulman et al. 2017, <https://arxiv.org/abs/1707.06347>).
#[derive(Clone, Debug, Resource, Reflect)]
#[reflect(@PluginKind::Algorithm)]
pub struct Ppo {
    /// Steps of every environment in a round.
    #[reflect(@Bounds::within(1.0, 1_000_000.0))]
    pub steps: usize,
    /// How often a round's rows are learned from.
    #[reflect(@Bounds::within(1.0, 10_000.0))]
    pub epochs: usize,
    /// The parts that the rows are cut into in each epoch: a gradient step each.
    #[reflect(@Bounds::within(1.0, 1_000_000.0))]
    pub minibatches: usize,
    /// Discount γ of future rewards.
    #[reflect(@Bounds::within(0.0, 1.0))]
    pub discount: f32,
    /// λ of the advantages, GAE(λ).
    #[reflect(@Bounds::within(0.0, 1.0))]
    pub lambda: f32,
    /// ε: how far the ratio of the policies counts, within 1 ± ε.
    #[reflect(@Bounds::above(0.0))]
    pub clip: f32,
    /// How far a value may move from the one before the round, in the critic's loss. None: unlimited.
    #[reflect(@Bounds::above(0.0))]
    pub value_clip: Option<f32>,
    /// The mean KL divergence in an epoch after which the round is over. None: all epochs are taken.
    #[reflect(@Bounds::above(0.0))]
    pub target_kl: Option<f32>,
    /// Whether each minibatch's advantages are normalized to mean 0 and deviation 1.
    pub normalize_advantages: bool,
    /// Weight of the policy's entropy.
    #[reflect(@Bounds::at_least(0.0))]
    pub entropy_coefficient: f32,
    /// Weight of the critic's loss.
    #[reflect(@Bounds::above(0.0))]
    pub value_coefficient: f32,
    /// The policy.
    pub actor: on_policy::PolicySettings,
    /// The state values.
    pub critic: on_policy::ValueSettings,
}

impl Default for Ppo {
    /// The paper's, for its robots.
    fn default() -> Self {
        Ppo {
            steps: 2_048,
            epochs: 10,
            minibatches: 32,
            discount: 0.99,
            lambda: 0.95,
            clip: 0.2,
            value_clip: None,
            target_kl: None,
            normalize_advantages: true,
            entropy_coefficient: 0.0,
            value_coefficient: 0.5,
            actor: default(),
            critic: default(),
        }
    }
}

impl Settings for Ppo {
    fn check(&self, problems: &mut FieldProblems) {
        self.actor.check(problems);
        self.critic.check(problems);
    }
}

impl Plugin for Ppo {
    fn build(&self, app: &mut App) {
        app.insert_resource(self.clone())
            .add_plugins(RolloutPlugin {
                steps: self.steps,
                epochs: self.epochs,
                minibatches: self.minibatches,
                normalize_advantages: self.normalize_advantages,
                target_kl: self.target_kl,
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
                (recall_probabilities, on_policy::estimate_advantages)
                    .chain()
                    .in_set(PrepareSystems::Advantages),
            )
            .add_systems(
                Learn,
                (
                    update_critic.in_set(LearnSystems::Critic),
                    update_actor.in_set(LearnSystems::Actor),
                ),
            )
            .add_systems(Validate, validate.in_set(ValidateSystems::Losses));
    }
}

/// Rows that were given without their actions' probabilities get those of the policy as it is now.
pub fn recall_probabilities(
    device: Res<ComputeDevice>,
    actor: Res<Net<Actor>>,
    mut rollout: ResMut<RolloutBuffer>,
) {
    rollout.fill_log_probabilities(|rollout| {
        let policy = actor.distribution(rollout.observations(&device.plain()));
        policy.log_probability(rollout.actions(&device.plain()))
    });
}

/// ½ mean((V − R)²), or with a clip ½ mean(max((V − R)², (V₀ + clip(V − V₀, ±c) − R)²)), V₀ being the value before the round; `[1]`.
pub fn value_loss(
    value: Tensor<1>,
    old: Tensor<1>,
    returns: Tensor<1>,
    clip: Option<f32>,
) -> Tensor<1> {
    let Some(clip) = clip else {
        return losses::mse(value, returns) * 0.5;
    };
    let (old, returns) = (old.constant_of(&value), returns.constant_of(&value));
    let clipped = old.clone() + (value.clone() - old).clamp(-clip, clip);
    let far = (value - returns.clone()).square();
    let near = (clipped - returns).square();
    far.max_pair(near).mean() * 0.5
}

/// The critic's step towards the returns.
pub fn update_critic(
    ppo: Res<Ppo>,
    batch: Res<RolloutBatch>,
    mut critic: Learning<Critic>,
    mut metrics: ResMut<Metrics>,
) -> Result {
    let value = critic.v(batch.observation.clone());
    let (old, returns) = (batch.value.clone(), batch.returns.clone());
    let loss = value_loss(value, old, returns, ppo.value_clip);
    on_policy::descend_values(&mut critic, loss, ppo.value_coefficient, &mut metrics)
}

/// −mean(min(r · A, clip(r, 1 ± ε) · A)), r being the ratio of the policies, `[batch]` (equation 7); `[1]`.
pub fn policy_loss(ratio: Tensor<1>, advantage: Tensor<1>, clip: f32) -> Tensor<1> {
    let advantage = advantage.constant_of(&ratio);
    let clipped = ratio.clone().clamp(1.0 - clip, 1.0 + clip);
    let surrogate = (ratio * advantage.clone()).min_pair(clipped * advantage);
    surrogate.mean().neg()
}

/// The actor's step: towards actions of positive advantage, as long as the policy has not moved far, −L − c · mean(H).
pub fn update_actor(
    ppo: Res<Ppo>,
    settings: Res<on_policy::PolicyGradient>,
    batch: Res<RolloutBatch>,
    mut divergence: ResMut<Divergence>,
    mut actor: Learning<Actor>,
    mut metrics: ResMut<Metrics>,
) -> Result {
    let policy = actor.distribution(batch.observation.clone());
    let log_probability = policy.log_probability(batch.action.clone());
    let old = batch.log_probability.clone();
    let kl = measures::approximate_kl(log_probability.clone(), old.clone());
    metrics.record("actor/approx_kl", kl.clone());
    divergence.add(kl);

    let ratio = (log_probability - old.stop_gradient()).exp();
    let moved = (ratio.clone().no_grad() - 1.0).abs();
    metrics.record(
        "actor/clip_fraction",
        moved.greater_elem(ppo.clip).float().mean(),
    );
    let loss = policy_loss(ratio, batch.advantage.clone(), ppo.clip);
    settings.descend(&mut actor, loss, policy.entropy(), &mut metrics)
}

/// The same losses on held-out rows, against the policy and the values of the round's beginning.
fn validate(
    ppo: Res<Ppo>,
    batch: Res<RolloutBatch>,
    actor: Res<Net<Actor>>,
    critic: Res<Net<Critic>>,
    mut metrics: ResMut<Metrics>,
) {
    let (old, returns) = (batch.value.clone(), batch.returns.clone());
    let value = critic.v(batch.observation.clone());
    let error = measures::td_error(value.clone().unsqueeze::<2>(), returns.clone());
    metrics.record("validate/critic/td_error", error);
    let loss = value_loss(value, old, returns, ppo.value_clip);
    metrics.record("validate/critic/loss", loss);

    let policy = actor.distribution(batch.observation.clone());
    let log_probability = policy.log_probability(batch.action.clone());
    let ratio = (log_probability - batch.log_probability.clone()).exp();
    let loss = policy_loss(ratio, batch.advantage.clone(), ppo.clip);
    metrics.record("validate/actor/loss", loss);
}

#[cfg(test)]
mod tests {
    use super::*;
    use yarak::testing::{Mistake, Trial};

    fn small() -> Ppo {
        let mut ppo = Ppo {
            steps: 8,
            epochs: 4,
            minibatches: 4,
            value_clip: Some(0.2),
            ..default()
        };
        ppo.actor.encoder.set_hidden_sizes(&[32]);
        ppo.critic.encoder.set_hidden_sizes(&[32]);
        ppo.actor.log_std = -1.0;
        ppo.actor.optimizer.learning_rate = Schedule::Constant(5e-4);
        ppo.critic.optimizer.learning_rate = Schedule::Constant(3e-3);
        ppo.actor.optimizer.max_gradient_norm = Some(0.5);
        ppo
    }

    #[test]
    fn each_step_changes_its_network_and_no_other() -> Result<(), Mistake> {
        Trial::of(small()).networks_exist(&["actor", "critic"])?;
        Trial::of(small()).one_writer_for_each_network()?;
        Trial::of(small()).changes(&[
            (LearnSystems::Critic, &["critic"]),
            (LearnSystems::Actor, &["actor"]),
        ])
    }

    #[test]
    fn runs_repeat_resume_and_are_not_moved_by_looking() -> Result<(), Mistake> {
        Trial::of(small()).looking_changes_nothing()?;
        Trial::of(small()).same_seed_same_bits()?;
        Trial::of(small()).resumes_exactly()
    }

    #[test]
    fn it_learns_from_its_own_actions() -> Result<(), Mistake> {
        Trial::of(small()).losses_are_finite()?;
        Trial::of(small()).learns_by_acting(100_000)
    }

    fn tensor(values: &[f32]) -> Tensor<1> {
        Tensor::from_floats(values, &ComputeDevice::cpu().autodiff())
    }

    #[test]
    fn a_ratio_beyond_the_clip_has_no_gradient_where_the_step_would_take_it_further() {
        let ratio = tensor(&[1.5, 1.5, 0.5, 0.5, 1.1]).require_grad();
        let advantage = tensor(&[1.0, -1.0, 1.0, -1.0, 2.0]).require_grad();
        let loss = policy_loss(ratio.clone(), advantage.clone(), 0.2);
        // min(rA, clip(r)A): 1.2, -1.5, 0.5, -0.8, 2.2.
        assert!((loss.clone().into_scalar::<f32>() + 0.32).abs() < 1e-6);
        let gradients = loss.backward();
        assert!(advantage.grad(&gradients).is_none());
        let gradient = ratio.grad(&gradients).unwrap().into_data();
        let gradient = gradient.to_vec::<f32>().unwrap();
        for (found, expected) in gradient.iter().zip([0.0, 0.2, -0.2, 0.0, -0.4]) {
            assert!((found - expected).abs() < 1e-6, "{gradient:?}");
        }
    }

    #[test]
    fn a_value_beyond_the_clip_counts_as_badly_as_the_worse_of_both() {
        let (value, old) = (tensor(&[1.0, 1.0]).require_grad(), tensor(&[0.0, 0.0]));
        let returns = tensor(&[1.0, 2.0]);
        // Clipped to 0.5: errors 0 and 0.5, and 1 and 1.5; each time the clipped one counts, and has no gradient.
        let loss = value_loss(value.clone(), old.clone(), returns.clone(), Some(0.5));
        assert_eq!(loss.clone().into_scalar::<f32>(), (0.25 + 2.25) / 4.0);
        let gradient = value.grad(&loss.backward()).unwrap().into_data();
        assert_eq!(gradient.to_vec::<f32>().unwrap(), [0.0, 0.0]);
        let loss = value_loss(value.clone(), old, returns, None);
        assert_eq!(loss.clone().into_scalar::<f32>(), 0.25);
        let gradient = value.grad(&loss.backward()).unwrap().into_data();
        assert_eq!(gradient.to_vec::<f32>().unwrap(), [0.0, -0.5]);
    }
}
