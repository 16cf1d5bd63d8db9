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
    /// How the targets follow.
    pub target_update: TargetUpdate,
    /// The minibatches.
    pub minibatch: MinibatchSettings,
    /// When it learns, with environments.
    pub off_policy: OffPolicySettings,
    /// Deviation of the normal noise on the actions that are tried out, which lie in [−1, 1].
    pub exploration_noise: Schedule,
    /// The action values.
    pub critic: CriticSettings,
    /// The policy.
    pub actor: ActorSettings,
}

/// The policy of TD3 and its descendants.
#[derive(Clone, Debug, Reflect)]
pub struct ActorSettings {
    /// What the network makes of an observation before its head.
    pub encoder: EncoderSettings,
    /// Widths of the hidden layers behind the encoder. None: none behind an `Mlp`, and one of 256 behind another encoder.
    #[reflect(@Bounds::within(1.0, 65_536.0))]
    pub head_sizes: Option<Vec<usize>>,
    /// How it is trained.
    pub optimizer: OptimizerSettings,
    /// Critic steps for one step of the actor.
    #[reflect(@Bounds::at_least(1.0))]
    pub update_freq: u64,
    /// Deviation of the noise on the target's actions, which lie in [−1, 1].
    #[reflect(@Bounds::at_least(0.0))]
    pub noise_std: f32,
    /// The noise is clipped to ± this.
    #[reflect(@Bounds::at_least(0.0))]
    pub noise_clip: f32,
}

impl Default for Td3 {
    fn default() -> Self {
        Td3 {
            discount: 0.99,
            n_step: 1,
            target_update: DELAYED,
            minibatch: MinibatchSettings::default(),
            off_policy: OffPolicySettings {
                learning_starts: 25_000,
                ..default()
            },
            exploration_noise: Schedule::Constant(0.1),
            critic: CriticSettings::default(),
            actor: ActorSettings::default(),
        }
    }
}

/// The targets of TD3 and its descendants wait for the actor, which is updated half as often as the critics.
pub const DELAYED: TargetUpdate = TargetUpdate {
    every: 2,
    tau: 0.005,
};

impl Default for ActorSettings {
    fn default() -> Self {
        ActorSettings {
            encoder: EncoderSettings::default(),
            head_sizes: None,
            optimizer: OptimizerSettings::default(),
            update_freq: 2,
            noise_std: 0.2,
            noise_clip: 0.5,
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
        self.exploration_noise.check("exploration_noise", problems);
        self.critic.check("critic", problems);
        self.actor.encoder.check("actor.encoder", problems);
        self.actor.optimizer.check("actor.optimizer", problems);
    }
}

impl Plugin for Td3 {
    fn build(&self, app: &mut App) {
        let minibatch = self.minibatch.plugin(self.discount, self.n_step, false);
        app.insert_resource(self.clone())
            .add_plugins(self.off_policy.plugin(minibatch))
            .add_plugins(TwinDelayed {
                critic: self.critic.clone(),
                actor: self.actor.clone(),
                target_update: self.target_update,
            })
            .add_systems(Collect, explore.in_set(CollectSystems::Act))
            .add_systems(Learn, update_actor.in_set(LearnSystems::Actor))
            .add_systems(Validate, validate.in_set(ValidateSystems::Losses));
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
}

impl Plugin for TwinDelayed {
    fn build(&self, app: &mut App) {
        let (critic, actor) = (&self.critic, &self.actor);
        app.insert_resource(self.clone())
            .add_learner::<Critic>(critic.optimizer.clone())
            .add_learner::<Actor>(actor.optimizer.clone())
            .add_target::<Critic>()
            .add_target::<Actor>()
            .update_targets_with::<Critic>(self.target_update)
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
                ),
            );
    }
}

fn build_networks(td3: Res<TwinDelayed>, mut networks: Networks) -> Result {
    let actor = networks.actor(td3.actor.layers(), ActorHead::Deterministic)?;
    let critic = networks.critics(&td3.critic)?;
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
    if clock.step <= td3.off_policy.learning_starts {
        exploring.act_uniformly();
        return Ok(());
    }
    let observation = exploring.observation()?;
    exploring.actions.take(actor.act(observation));
    let std = td3.exploration_noise.at(clock.step, clock.epoch()) as f32;
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
    let action = next_action(td3, batch, actor, noise);
    let q = critic.q(batch.next_observation.clone(), action);
    batch.reward.clone() + batch.bootstrap.clone() * td3.critic.mix(q)
}

/// The ã of that target, `[batch, action]`.
pub fn next_action(
    td3: &TwinDelayed,
    batch: &Batch,
    actor: &Target<Actor>,
    noise: &mut Random<Noise>,
) -> Tensor<2> {
    let action = actor.act(batch.next_observation.clone());
    let (std, clip) = (td3.actor.noise_std, td3.actor.noise_clip);
    let noise = noise
        .normal_like(&action)
        .mul_scalar(std)
        .clamp(-clip, clip);
    (action + noise).clamp(-1.0, 1.0)
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
    metrics.record("critic/q_target", batch.mean(y.clone()));
    metrics.record(
        "critic/terminated_fraction",
        batch.mean(batch.terminated.clone()),
    );

    let (s, a) = (batch.observation.clone(), batch.action.clone());
    let q = critic.q(s, a);
    let weight = batch.weight.clone();
    let losses = td3.critic.losses_of(batch.learners, q, y, weight);
    metrics.record_each("critic", "loss", losses.clone());
    let loss = batch.sum_of_members(losses);
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

/// Both targets follow their networks: θ' ← τ θ + (1 − τ) θ'.
pub fn track_targets(
    update: Res<TargetUpdate>,
    mut actor: Tracking<Actor>,
    mut critic: Tracking<Critic>,
) {
    actor.follow(update.tau);
    critic.follow(update.tau);
}

/// The critics' losses on held-out rows, with noise of their own, as TD3 and its descendants have them.
pub fn validate_critics(
    td3: &TwinDelayed,
    batch: &Batch,
    critic: &CriticNetwork,
    (target_actor, target_critic): (&Target<Actor>, &Target<Critic>),
    metrics: &mut Metrics,
) {
    let mut noise = batch.stream::<Noise>();
    let y = q_target(td3, batch, target_actor, target_critic, &mut noise);
    let q = critic.q(batch.observation.clone(), batch.action.clone());
    metrics.record(
        "validate/critic/td_error",
        measures::td_error(q.clone(), y.clone()),
    );
    let losses = td3.critic.losses(q, y, batch.weight.clone());
    metrics.record_each("validate/critic", "loss", losses.clone());
    metrics.record("validate/critic/loss", losses.sum());
}

/// The same losses on held-out rows.
fn validate(
    td3: Res<TwinDelayed>,
    batch: Res<Batch>,
    target_actor: Res<Target<Actor>>,
    target_critic: Res<Target<Critic>>,
    actor: Res<Net<Actor>>,
    critic: Res<Net<Critic>>,
    mut metrics: ResMut<Metrics>,
) {
    let targets = (&*target_actor, &*target_critic);
    validate_critics(&td3, &batch, &critic, targets, &mut metrics);
    let s = batch.observation.clone();
    let q1 = critic.q1(s.clone(), actor.act(s));
    metrics.record("validate/actor/loss", q1.mean().neg());
}
