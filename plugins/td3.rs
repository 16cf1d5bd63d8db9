//! TD3: deterministic policy gradients with two critics, smoothed targets and a delayed actor.
//!
//! Fujimoto, van Hoof & Meger 2018, "Addressing Function Approximation Error in Actor-Critic Methods",
//! <https://arxiv.org/abs/1802.09477>. The file reads from top to bottom as its algorithm 1 does: settings, networks,
//! exploration, critics, actor, targets. It learns from environments and from a dataset alike. Descendants such as TD3+BC add
//! [`TwinDelayed`], which is the networks, the critics' step and the targets' step, and bring an actor's step of their own.
//! `docs/td3.md` lists every difference from the authors' code.

use yarak::prelude::*;

/// TD3: deterministic policy gradients with two critics, smoothed targets, a delayed actor (Fujimoto et al. 2018, <https://arxiv.org/abs/1802.09477>).
#[derive(Clone, Debug, Resource, Reflect)]
#[reflect(@PluginKind::Algorithm)]
pub struct Td3 {
    /// Discount γ of future rewards.
    #[reflect(@Bounds::within(0.0, 1.0))]
    pub discount: f32,
    /// Rewards that are folded into one target, cut at the end of an episode.
    #[reflect(@Bounds::at_least(1.0))]
    pub n_step: usize,
    /// τ of the targets' soft updates, θ' ← τ θ + (1 − τ) θ'.
    #[reflect(@Bounds::within(0.0, 1.0))]
    pub target_tau: f32,
    /// How the targets follow: softly by τ, or as a hard copy every so many updates. They start as copies.
    pub target_update: TargetUpdate,
    /// Rows in a minibatch.
    #[reflect(@Bounds::within(1.0, 10_000_000.0))]
    pub batch: usize,
    /// Gradient steps in an epoch. None: rows / batch of a dataset, rounded up, and 1000 with environments.
    #[reflect(@Bounds::at_least(1.0))]
    pub steps_per_epoch: Option<u64>,
    /// Environment steps with uniformly random actions, before anything is learned.
    pub warm_up: u64,
    /// Steps of every environment between two updates.
    #[reflect(@Bounds::at_least(1.0))]
    pub train_every: u64,
    /// Gradient steps in an update.
    pub gradient_steps: u64,
    /// Deviation of the normal noise on the actions that are tried out, which lie in [−1, 1].
    pub exploration_noise: Annealed,
    /// The action values.
    pub critic: CriticSettings,
    /// The policy.
    pub actor: ActorSettings,
}

/// The action values of TD3 and its descendants.
#[derive(Clone, Debug, Reflect)]
pub struct CriticSettings {
    /// How many critics there are and how their targets are mixed.
    pub ensemble: EnsembleSettings,
    /// What the network makes of an observation before its head.
    pub encoder: EncoderSettings,
    /// Widths of the hidden layers behind the encoder, which also see the action. None: none behind an `Mlp`, and one of 256 behind another encoder.
    #[reflect(@Bounds::within(1.0, 65_536.0))]
    pub head_sizes: Option<Vec<usize>>,
    /// The rule that turns gradients into steps.
    pub optimizer: Optimizer,
    /// The learning rate over time.
    pub learning_rate: LearningRate,
    /// Weight decay: decoupled for AdamW, in the gradient for the others.
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

/// The policy of TD3 and its descendants.
#[derive(Clone, Debug, Reflect)]
pub struct ActorSettings {
    /// What the network makes of an observation before its head.
    pub encoder: EncoderSettings,
    /// Widths of the hidden layers behind the encoder. None: none behind an `Mlp`, and one of 256 behind another encoder.
    #[reflect(@Bounds::within(1.0, 65_536.0))]
    pub head_sizes: Option<Vec<usize>>,
    /// The rule that turns gradients into steps.
    pub optimizer: Optimizer,
    /// The learning rate over time.
    pub learning_rate: LearningRate,
    /// Weight decay: decoupled for AdamW, in the gradient for the others.
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

impl Default for Td3 {
    fn default() -> Self {
        Td3 {
            discount: 0.99,
            n_step: 1,
            target_tau: 0.005,
            target_update: TargetUpdate::Soft,
            batch: 256,
            steps_per_epoch: None,
            warm_up: 25_000,
            train_every: 1,
            gradient_steps: 1,
            exploration_noise: Annealed::Constant(0.1),
            critic: CriticSettings::default(),
            actor: ActorSettings::default(),
        }
    }
}

impl Default for CriticSettings {
    fn default() -> Self {
        CriticSettings {
            ensemble: EnsembleSettings { n: 2, weight: 1.0 },
            encoder: EncoderSettings::default(),
            head_sizes: None,
            optimizer: Optimizer::Adam,
            learning_rate: LearningRate::Constant(3e-4),
            l2: 0.0,
            max_gradient_norm: None,
            huber: false,
            value_bounds: None,
            start_epoch: None,
            end_epoch: None,
        }
    }
}

impl Default for ActorSettings {
    fn default() -> Self {
        ActorSettings {
            encoder: EncoderSettings::default(),
            head_sizes: None,
            optimizer: Optimizer::Adam,
            learning_rate: LearningRate::Constant(3e-4),
            l2: 0.0,
            max_gradient_norm: None,
            update_freq: 2,
            noise_std: 0.2,
            noise_clip: 0.5,
            start_epoch: None,
            end_epoch: None,
        }
    }
}

impl CriticSettings {
    /// The encoder, and the layers behind it.
    pub fn layers(&self) -> Layers {
        Layers {
            encoder: self.encoder.clone(),
            head_sizes: self.head_sizes.clone(),
            ..default()
        }
    }
}

impl ActorSettings {
    /// The encoder, and the layers behind it.
    pub fn layers(&self) -> Layers {
        Layers {
            encoder: self.encoder.clone(),
            head_sizes: self.head_sizes.clone(),
            ..default()
        }
    }
}

impl Settings for Td3 {
    fn check(&self, problems: &mut FieldProblems) {
        check_networks(&self.critic, &self.actor, problems);
    }
}

/// What one field of the networks' settings says of another.
pub fn check_networks(
    critic: &CriticSettings,
    actor: &ActorSettings,
    problems: &mut FieldProblems,
) {
    if critic
        .value_bounds
        .is_some_and(|bounds| bounds.low >= bounds.high)
    {
        problems.refuse("critic.value_bounds", "`low` must be below `high`");
    }
    let never = |start: Option<u64>, end: Option<u64>| end <= start && end.is_some();
    if never(critic.start_epoch.or(Some(1)), critic.end_epoch) {
        problems.refuse(
            "critic.end_epoch",
            "must be after `start_epoch`, or the critic is never trained",
        );
    }
    if never(actor.start_epoch.or(Some(1)), actor.end_epoch) {
        problems.refuse(
            "actor.end_epoch",
            "must be after `start_epoch`, or the actor is never trained",
        );
    }
}

impl Plugin for Td3 {
    fn build(&self, app: &mut App) {
        app.insert_resource(self.clone())
            .add_plugins(ExperiencePlugin {
                minibatch: MinibatchPlugin {
                    batch: self.batch,
                    steps_per_epoch: self.steps_per_epoch,
                    discount: self.discount,
                    n_step: self.n_step,
                    infinite_horizon: false,
                },
                train_every: self.train_every,
                gradient_steps: self.gradient_steps,
                warm_up: self.warm_up,
            })
            .add_plugins(TwinDelayed {
                critic: self.critic.clone(),
                actor: self.actor.clone(),
                target_update: self.target_update,
                target_tau: self.target_tau,
            })
            .add_systems(Collect, explore.in_set(CollectSystems::Act))
            .add_systems(Learn, update_actor.in_set(LearnSystems::Actor));
    }
}

/// What TD3 and its descendants share, filled from each one's own settings: networks and their targets, the critics' step, the
/// targets' step, and the delay of the actor, whose step is not among it.
#[derive(Clone, Debug, Resource)]
pub struct TwinDelayed {
    /// The action values.
    pub critic: CriticSettings,
    /// The policy.
    pub actor: ActorSettings,
    /// How the targets follow.
    pub target_update: TargetUpdate,
    /// τ of the targets' soft updates.
    pub target_tau: f32,
}

impl Plugin for TwinDelayed {
    fn build(&self, app: &mut App) {
        let (critic, actor) = (&self.critic, &self.actor);
        app.insert_resource(self.clone())
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
            .trains_on(TrainsOn::Continuous)
            .add_random::<Noise>()
            .add_systems(Startup, build_networks)
            .add_systems(
                Learn,
                (
                    update_critic.in_set(LearnSystems::Critic),
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
            );
    }
}

fn build_networks(td3: Res<TwinDelayed>, mut networks: Networks) -> Result {
    let actor = networks.actor(td3.actor.layers(), ActorHead::Deterministic)?;
    let head = CriticHead::Continuous {
        action: networks.action(),
        bounds: td3.critic.value_bounds,
    };
    let critic = networks.critic(td3.critic.layers(), head, td3.critic.ensemble.n)?;
    networks.insert_with_target::<Actor>(actor);
    networks.insert_with_target::<Critic>(critic);
    Ok(())
}

/// The actions that are tried out: uniform in [−1, 1] while warming up, then π(s) + std · N(0, 1), clipped to [−1, 1].
pub fn explore(
    td3: Res<Td3>,
    clock: Res<Clock>,
    actor: Res<Net<Actor>>,
    mut exploring: Exploring,
) -> Result {
    let n = exploring.actions.values.len();
    if clock.step <= td3.warm_up {
        exploring.act_uniformly();
        return Ok(());
    }
    let observation = exploring.observation()?;
    exploring.actions.take(actor.act(observation));
    let std = td3.exploration_noise.at(clock.step);
    let draws = exploring.random.normals(n);
    for (action, draw) in exploring.actions.values.iter_mut().zip(draws) {
        *action = (*action + std * draw).clamp(-1.0, 1.0);
    }
    Ok(())
}

/// y = r + γⁿ · (w · min Q'(s', ã) + (1 − w) · max Q'(s', ã)), with ã = clip(π'(s') + clip(std · N(0, 1), ±clip), −1, 1)
/// and γⁿ = 0 after a terminal step; `[batch]`.
pub fn q_target(
    td3: &TwinDelayed,
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
pub fn critic_losses(td3: &TwinDelayed, q: Tensor<2>, y: Tensor<1>) -> Tensor<1> {
    if td3.critic.huber {
        losses::smooth_l1_of_each(q, y)
    } else {
        losses::mse_of_each(q, y)
    }
}

/// The critics' step: each regresses onto the same target.
pub fn update_critic(
    td3: Res<TwinDelayed>,
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

/// The actor's step: up the first critic's values, −mean Q1(s, π(s)).
pub fn update_actor(
    batch: Res<Batch>,
    critic: Res<Net<Critic>>,
    mut actor: Learning<Actor>,
    mut metrics: ResMut<Metrics>,
) -> Result {
    let action = actor.act(batch.observation.clone());
    let q1 = critic.q1(batch.observation.clone(), action);
    let loss = q1.mean().neg();
    metrics.record("actor/loss", loss.clone());
    let step = actor.descend(loss)?;
    metrics.record("actor/gradient_norm", step.gradient_norm);
    Ok(())
}

/// Both targets follow their networks, softly: θ' ← τ θ + (1 − τ) θ', or by a copy every so many updates.
pub fn track_targets(
    td3: Res<TwinDelayed>,
    tick: Res<Tick<Actor>>,
    mut actor: Tracking<Actor>,
    mut critic: Tracking<Critic>,
) {
    let update = tick.count / td3.actor.update_freq;
    actor.follow(td3.target_update, td3.target_tau, update);
    critic.follow(td3.target_update, td3.target_tau, update);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(values: &[f32]) -> Tensor<1> {
        Tensor::from_floats(values, &ComputeDevice::cpu().plain())
    }

    #[test]
    fn targets_mix_the_least_and_the_greatest_value() {
        let q = Tensor::<2>::from_floats([[1.0], [3.0]], &ComputeDevice::cpu().plain());
        assert_eq!(mix(q.clone(), 0.75).into_scalar::<f32>(), 1.5);
        assert_eq!(mix(q, 1.0).into_scalar::<f32>(), 1.0);
    }

    #[test]
    fn huber_is_smooth_l1() {
        let mut td3 = TwinDelayed {
            critic: CriticSettings::default(),
            actor: ActorSettings::default(),
            target_update: TargetUpdate::Soft,
            target_tau: 0.005,
        };
        td3.critic.huber = true;
        let q = tensor(&[0.5, 2.0]).unsqueeze::<2>();
        let loss = critic_losses(&td3, q.clone(), tensor(&[0.0, 0.0]));
        assert_eq!(loss.into_scalar::<f32>(), 0.8125);
        td3.critic.huber = false;
        let loss = critic_losses(&td3, q, tensor(&[0.0, 0.0]));
        assert_eq!(loss.into_scalar::<f32>(), 2.125);
    }
}
