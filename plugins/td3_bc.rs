//! TD3+BC: TD3 whose actor also imitates the data.
//!
//! Fujimoto & Gu 2021, "A Minimalist Approach to Offline Reinforcement Learning", <https://arxiv.org/abs/2106.06860>, on
//! TD3 (Fujimoto et al. 2018, <https://arxiv.org/abs/1802.09477>). The file reads from top to bottom as the paper does:
//! settings, networks, critic (TD3, equations 1-4), actor (TD3+BC, equations 3-5), targets.
//! `docs/td3_bc.md` lists every difference from the authors' code and from robomimic's.

use yarak::prelude::*;

/// TD3+BC: TD3 whose actor also imitates the data (Fujimoto & Gu 2021, <https://arxiv.org/abs/2106.06860>).
#[derive(Clone, Debug, Resource, Reflect)]
#[reflect(@PluginKind::Algorithm)]
pub struct Td3Bc {
    /// Weight of the Q term against the imitation term: λ = alpha / mean |Q1(s, π(s))|, without gradient. 0 is behaviour cloning.
    #[reflect(@Bounds::at_least(0.0))]
    pub alpha: f32,
    /// Discount γ of future rewards.
    #[reflect(@Bounds::within(0.0, 1.0))]
    pub discount: f32,
    /// Rewards that are folded into one target, cut at the end of an episode.
    #[reflect(@Bounds::at_least(1.0))]
    pub n_step: usize,
    /// Whether a terminal step's reward counts as earned forever after: times 1 / (1 − γ). Never a truncated step's.
    pub infinite_horizon: bool,
    /// τ of the targets' soft updates, θ' ← τ θ + (1 − τ) θ'.
    #[reflect(@Bounds::within(0.0, 1.0))]
    pub target_tau: f32,
    /// How the targets follow: softly by τ, or as a hard copy every so many updates. They start as copies.
    pub target_update: TargetUpdate,
    /// Rows in a minibatch.
    #[reflect(@Bounds::within(1.0, 10_000_000.0))]
    pub batch: usize,
    /// Gradient steps in an epoch. None: rows / batch, rounded up.
    #[reflect(@Bounds::at_least(1.0))]
    pub steps_per_epoch: Option<u64>,
    /// Where the goal comes from that is appended to every observation, for actor and critic. None: no goal.
    pub goal_mode: Option<GoalMode>,
    /// The action values.
    pub critic: CriticSettings,
    /// The policy.
    pub actor: ActorSettings,
}

/// TD3+BC's action values.
#[derive(Clone, Debug, Reflect)]
pub struct CriticSettings {
    /// How many critics there are and how their targets are mixed.
    pub ensemble: EnsembleSettings,
    /// Widths of the hidden layers (ReLU).
    #[reflect(@Bounds::within(1.0, 65_536.0))]
    pub layers: Vec<usize>,
    /// The rule that turns gradients into steps.
    pub optimizer: Optimizer,
    /// The learning rate over time.
    pub learning_rate: LearningRate,
    /// Weight decay: in the gradient for Adam, decoupled for AdamW.
    #[reflect(@Bounds::at_least(0.0))]
    pub l2: f32,
    /// The norm that each critic's gradient is clipped to. None: not clipped.
    #[reflect(@Bounds::above(0.0))]
    pub max_gradient_norm: Option<f32>,
    /// Whether the loss is smooth L1 (β = 1) instead of squared.
    pub huber: bool,
    /// The range that values are squashed into by a tanh. None: unbounded.
    pub value_bounds: Option<ValueBounds>,
    /// The first epoch of training, from 1. None: from the start.
    #[reflect(@Bounds::at_least(1.0))]
    pub start_epoch: Option<u64>,
    /// The first epoch without training. None: to the end.
    #[reflect(@Bounds::at_least(1.0))]
    pub end_epoch: Option<u64>,
}

/// An ensemble of critics.
#[derive(Clone, Debug, Reflect)]
pub struct EnsembleSettings {
    /// How many critics.
    #[reflect(@Bounds::within(1.0, 1_000.0))]
    pub n: usize,
    /// w in the target w · min Q + (1 − w) · max Q.
    #[reflect(@Bounds::within(0.0, 1.0))]
    pub weight: f32,
}

/// TD3+BC's policy.
#[derive(Clone, Debug, Reflect)]
pub struct ActorSettings {
    /// Widths of the hidden layers (ReLU).
    #[reflect(@Bounds::within(1.0, 65_536.0))]
    pub layers: Vec<usize>,
    /// The rule that turns gradients into steps.
    pub optimizer: Optimizer,
    /// The learning rate over time.
    pub learning_rate: LearningRate,
    /// Weight decay: in the gradient for Adam, decoupled for AdamW.
    #[reflect(@Bounds::at_least(0.0))]
    pub l2: f32,
    /// The norm that the gradient is clipped to. None: not clipped.
    #[reflect(@Bounds::above(0.0))]
    pub max_gradient_norm: Option<f32>,
    /// Critic steps for one step of the actor and of all targets.
    #[reflect(@Bounds::at_least(1.0))]
    pub update_freq: u64,
    /// Deviation of the noise on the target's actions, which lie in [−1, 1].
    #[reflect(@Bounds::at_least(0.0))]
    pub noise_std: f32,
    /// The noise is clipped to ± this.
    #[reflect(@Bounds::at_least(0.0))]
    pub noise_clip: f32,
    /// The first epoch of training, from 1. None: from the start.
    #[reflect(@Bounds::at_least(1.0))]
    pub start_epoch: Option<u64>,
    /// The first epoch without training. None: to the end.
    #[reflect(@Bounds::at_least(1.0))]
    pub end_epoch: Option<u64>,
}

impl Default for Td3Bc {
    fn default() -> Self {
        Td3Bc {
            alpha: 2.5,
            discount: 0.99,
            n_step: 1,
            infinite_horizon: false,
            target_tau: 0.005,
            target_update: TargetUpdate::Soft,
            batch: 256,
            steps_per_epoch: None,
            goal_mode: None,
            critic: CriticSettings {
                ensemble: EnsembleSettings { n: 2, weight: 1.0 },
                layers: vec![256, 256],
                optimizer: Optimizer::Adam,
                learning_rate: LearningRate::Constant(3e-4),
                l2: 0.0,
                max_gradient_norm: None,
                huber: false,
                value_bounds: None,
                start_epoch: None,
                end_epoch: None,
            },
            actor: ActorSettings {
                layers: vec![256, 256],
                optimizer: Optimizer::Adam,
                learning_rate: LearningRate::Constant(3e-4),
                l2: 0.0,
                max_gradient_norm: None,
                update_freq: 2,
                noise_std: 0.2,
                noise_clip: 0.5,
                start_epoch: None,
                end_epoch: None,
            },
        }
    }
}

impl Settings for Td3Bc {
    fn check(&self, problems: &mut FieldProblems) {
        if self.infinite_horizon && self.discount == 1.0 {
            problems.refuse(
                "infinite_horizon",
                "has no finite value with discount 1: give a `discount` below 1",
            );
        }
        if self
            .critic
            .value_bounds
            .is_some_and(|bounds| bounds.low >= bounds.high)
        {
            problems.refuse("critic.value_bounds", "`low` must be below `high`");
        }
        let never = |start: Option<u64>, end: Option<u64>| end <= start && end.is_some();
        if never(self.critic.start_epoch.or(Some(1)), self.critic.end_epoch) {
            problems.refuse(
                "critic.end_epoch",
                "must be after `start_epoch`, or the critic is never trained",
            );
        }
        if never(self.actor.start_epoch.or(Some(1)), self.actor.end_epoch) {
            problems.refuse(
                "actor.end_epoch",
                "must be after `start_epoch`, or the actor is never trained",
            );
        }
    }
}

impl Plugin for Td3Bc {
    fn build(&self, app: &mut App) {
        let (critic, actor) = (&self.critic, &self.actor);
        app.insert_resource(self.clone())
            .add_plugins(MinibatchPlugin {
                batch: self.batch,
                steps_per_epoch: self.steps_per_epoch,
                discount: self.discount,
                n_step: self.n_step,
                infinite_horizon: self.infinite_horizon,
            })
            .add_plugins(GoalPlugin {
                mode: self.goal_mode,
            })
            .add_learner::<Critic>(Learner {
                optimizer: critic.optimizer,
                learning_rate: critic.learning_rate.clone(),
                l2: critic.l2,
                max_gradient_norm: critic.max_gradient_norm,
                window: Window {
                    start_epoch: critic.start_epoch,
                    end_epoch: critic.end_epoch,
                },
            })
            .add_learner::<Actor>(Learner {
                optimizer: actor.optimizer,
                learning_rate: actor.learning_rate.clone(),
                l2: actor.l2,
                max_gradient_norm: actor.max_gradient_norm,
                window: Window {
                    start_epoch: actor.start_epoch,
                    end_epoch: actor.end_epoch,
                },
            })
            .add_target::<Critic>()
            .add_target::<Actor>()
            .acts_with::<Actor>()
            .add_random::<Init>()
            .add_random::<Noise>()
            .add_systems(Startup, build_networks)
            .add_systems(
                Learn,
                (
                    update_critic.in_set(LearnSystems::Critic),
                    update_actor.in_set(LearnSystems::Actor),
                    track_targets.in_set(LearnSystems::Targets),
                ),
            )
            .configure_sets(
                Learn,
                (
                    LearnSystems::Critic.run_if(training::<Critic>()),
                    LearnSystems::Actor.run_if(every::<Actor>(actor.update_freq)),
                    LearnSystems::Targets.run_if(every::<Actor>(actor.update_freq)),
                ),
            )
            .add_systems(Validate, validate.in_set(ValidateSystems::Losses));
    }
}

fn build_networks(
    td3: Res<Td3Bc>,
    preprocessing: Res<Preprocessing>,
    device: Res<ComputeDevice>,
    mut init: ResMut<Random<Init>>,
    mut commands: Commands,
) {
    let [observation, action] = preprocessing.widths();
    let device = device.plain();
    let (critic, actor) = (&td3.critic, &td3.actor);
    let actor = Policy::new(observation, action, &actor.layers, &device, &mut init);
    let critic = QEnsemble::new(
        critic.ensemble.n,
        observation,
        action,
        &critic.layers,
        critic.value_bounds,
        &device,
        &mut init,
    );
    let (actor, critic) = (Net::<Actor>::new(actor), Net::<Critic>::new(critic));
    commands.insert_resource(Target::copy_of(&actor));
    commands.insert_resource(Target::copy_of(&critic));
    commands.insert_resource(actor);
    commands.insert_resource(critic);
}

/// y = r + γⁿ · (w · min Q'(s', ã) + (1 − w) · max Q'(s', ã)), with ã = clip(π'(s') + clip(std · N(0, 1), ±clip), −1, 1)
/// and γⁿ = 0 after a terminal step; `[batch]`.
pub fn q_target(
    td3: &Td3Bc,
    batch: &Batch,
    actor: &Target<Actor>,
    critic: &Target<Critic>,
    noise: &mut Random<Noise>,
) -> Tensor<1> {
    let action = actor.act(batch.next_observation.clone());
    let (std, clip) = (td3.actor.noise_std, td3.actor.noise_clip);
    let noise = noise
        .normal_like(&action)
        .mul_scalar(std)
        .clamp(-clip, clip);
    let action = (action + noise).clamp(-1.0, 1.0);
    let q = critic.q(batch.next_observation.clone(), action);
    batch.reward.clone() + batch.bootstrap.clone() * mix(q, td3.critic.ensemble.weight)
}

/// w · min + (1 − w) · max over the critics: `[members, batch]` to `[batch]`.
fn mix(q: Tensor<2>, weight: f32) -> Tensor<1> {
    let min = q.clone().min_dim(0).squeeze_dim::<1>(0);
    if weight == 1.0 {
        return min;
    }
    let max = q.max_dim(0).squeeze_dim::<1>(0);
    min * weight + max * (1.0 - weight)
}

/// The loss of each critic, `[members]`.
fn critic_losses(td3: &Td3Bc, q: Tensor<2>, y: Tensor<1>) -> Tensor<1> {
    if td3.critic.huber {
        losses::smooth_l1_of_each(q, y)
    } else {
        losses::mse_of_each(q, y)
    }
}

/// −λ · mean Q1(s, π(s)) + mean((π(s) − a)²), with λ = alpha / mean |Q1(s, π(s))| without gradient.
fn actor_loss(alpha: f32, q1: Tensor<1>, imitation: Tensor<1>) -> Tensor<1> {
    if alpha == 0.0 {
        return imitation;
    }
    let lambda = q1.clone().detach().abs().mean().recip() * alpha;
    imitation - lambda * q1.mean()
}

/// The critics' step: each regresses onto the same target.
pub fn update_critic(
    td3: Res<Td3Bc>,
    batch: Res<Batch>,
    target_actor: Res<Target<Actor>>,
    target_critic: Res<Target<Critic>>,
    mut noise: ResMut<Random<Noise>>,
    mut critic: Learning<Critic>,
    mut metrics: ResMut<Metrics>,
) -> Result {
    let y = q_target(&td3, &batch, &target_actor, &target_critic, &mut noise);
    metrics.record("critic/q_target", y.clone().mean());
    metrics.record("critic/done_share", batch.terminal.clone().mean());

    let q = critic.q(batch.observation.clone(), batch.action.clone());
    let losses = critic_losses(&td3, q, y);
    metrics.record_each("critic", "loss", losses.clone());
    let loss = losses.sum();
    metrics.record("critic/loss", loss.clone());
    let step = critic.descend(loss)?;
    metrics.record_each("critic", "gradient_norm", step.gradient_norm);
    Ok(())
}

/// The actor's step: up the first critic's values, towards the data's actions.
pub fn update_actor(
    td3: Res<Td3Bc>,
    batch: Res<Batch>,
    critic: Res<Net<Critic>>,
    mut actor: Learning<Actor>,
    mut metrics: ResMut<Metrics>,
) -> Result {
    let action = actor.act(batch.observation.clone());
    let imitation = losses::mse(action.clone(), batch.action.clone());
    let loss = if td3.alpha == 0.0 {
        imitation
    } else {
        let q1 = critic.frozen().q1(batch.observation.clone(), action);
        actor_loss(td3.alpha, q1, imitation)
    };
    metrics.record("actor/loss", loss.clone());
    let step = actor.descend(loss)?;
    metrics.record("actor/gradient_norm", step.gradient_norm);
    Ok(())
}

/// Both targets follow their networks, softly: θ' ← τ θ + (1 − τ) θ', or by a copy every so many updates.
pub fn track_targets(
    td3: Res<Td3Bc>,
    tick: Res<Tick<Actor>>,
    mut actor: Tracking<Actor>,
    mut critic: Tracking<Critic>,
) {
    let update = tick.count / td3.actor.update_freq;
    actor.follow(td3.target_update, td3.target_tau, update);
    critic.follow(td3.target_update, td3.target_tau, update);
}

/// The same losses on held-out rows, with noise of its own.
fn validate(
    td3: Res<Td3Bc>,
    batch: Res<Batch>,
    target_actor: Res<Target<Actor>>,
    target_critic: Res<Target<Critic>>,
    actor: Res<Net<Actor>>,
    critic: Res<Net<Critic>>,
    mut metrics: ResMut<Metrics>,
) {
    let mut noise = Random::<Noise>::forked(Seed(0), 1);
    let y = q_target(&td3, &batch, &target_actor, &target_critic, &mut noise);
    let q = critic.q(batch.observation.clone(), batch.action.clone());
    let loss = critic_losses(&td3, q, y).sum();
    metrics.record("validate/critic/loss", loss);

    let action = actor.act(batch.observation.clone());
    let imitation = losses::mse(action.clone(), batch.action.clone());
    let q1 = critic.q1(batch.observation.clone(), action);
    // λ is a constant of a recorded loss, so the rest of the loss comes over to it.
    let loss = actor_loss(td3.alpha, q1.stop_gradient(), imitation.stop_gradient());
    metrics.record("validate/actor/loss", loss);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(values: &[f32]) -> Tensor<1> {
        Tensor::from_floats(values, &ComputeDevice::cpu().plain())
    }

    #[test]
    fn lambda_normalises_the_q_term_and_carries_no_gradient() {
        let device = ComputeDevice::cpu().autodiff();
        let q1 = Tensor::<1>::from_floats([4.0, 0.0], &device).require_grad();
        let imitation = Tensor::<1>::from_floats([0.1], &device);
        let loss = actor_loss(2.5, q1.clone(), imitation);
        assert!((loss.clone().into_scalar::<f32>() + 2.4).abs() < 1e-6);
        // -lambda / 2 for each of the two: with a gradient through lambda the first would differ.
        let gradient = q1.grad(&loss.backward()).unwrap().into_data();
        assert_eq!(gradient.to_vec::<f32>().unwrap(), [-0.625, -0.625]);
    }

    #[test]
    fn targets_mix_the_least_and_the_greatest_value() {
        let q = Tensor::<2>::from_floats([[1.0], [3.0]], &ComputeDevice::cpu().plain());
        assert_eq!(mix(q.clone(), 0.75).into_scalar::<f32>(), 1.5);
        assert_eq!(mix(q, 1.0).into_scalar::<f32>(), 1.0);
    }

    #[test]
    fn huber_is_smooth_l1() {
        let mut td3 = Td3Bc::default();
        td3.critic.huber = true;
        let q = tensor(&[0.5, 2.0]).unsqueeze::<2>();
        let loss = critic_losses(&td3, q.clone(), tensor(&[0.0, 0.0]));
        assert_eq!(loss.into_scalar::<f32>(), 0.8125);
        td3.critic.huber = false;
        let loss = critic_losses(&td3, q, tensor(&[0.0, 0.0]));
        assert_eq!(loss.into_scalar::<f32>(), 2.125);
    }
}
