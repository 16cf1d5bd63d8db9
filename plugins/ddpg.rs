//! DDPG: deterministic policy gradients with a replay buffer and target networks.
//!
//! Lillicrap et al. 2016, "Continuous control with deep reinforcement learning", <https://arxiv.org/abs/1509.02971>. The file
//! reads from top to bottom as its algorithm 1 does: settings, networks, exploration, critic, actor, targets.
//! `docs/ddpg.md` lists every difference from the paper.

use yarak::prelude::*;

/// DDPG: deterministic policy gradients with a replay buffer and target networks (Lillicrap et al. 2016, <https://arxiv.org/abs/1509.02971>).
#[derive(Clone, Debug, Resource, Reflect)]
#[reflect(@PluginKind::Algorithm)]
pub struct Ddpg {
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
    /// σ of the Ornstein-Uhlenbeck process that is added to the actions, which lie in [−1, 1]: x ← x − θ x + σ N(0, 1).
    pub exploration_noise: Schedule,
    /// θ of that process. With 1 its samples are independent: normal noise with deviation σ.
    #[reflect(@Bounds::within(0.0, 1.0))]
    pub exploration_theta: f32,
    /// The action values.
    pub critic: NetworkSettings,
    /// The policy.
    pub actor: NetworkSettings,
}

impl Default for Ddpg {
    fn default() -> Self {
        let network = |rate, weight_decay| NetworkSettings {
            encoder: EncoderSettings::from(&[400, 300]),
            optimizer: OptimizerSettings {
                weight_decay,
                ..OptimizerSettings::at(rate)
            },
            ..default()
        };
        Ddpg {
            discount: 0.99,
            n_step: 1,
            target_update: TargetUpdate {
                every: 1,
                tau: 0.001,
            },
            minibatch: MinibatchSettings::of(64),
            off_policy: OffPolicySettings {
                learning_starts: 1_000,
                ..default()
            },
            exploration_noise: Schedule::Constant(0.2),
            exploration_theta: 0.15,
            critic: network(1e-3, 1e-2),
            actor: network(1e-4, 0.0),
        }
    }
}

impl Settings for Ddpg {
    fn check(&self, problems: &mut FieldProblems) {
        self.exploration_noise.check("exploration_noise", problems);
        self.critic.check("critic", problems);
        self.actor.check("actor", problems);
    }
}

impl Plugin for Ddpg {
    fn build(&self, app: &mut App) {
        let minibatch = self.minibatch.plugin(self.discount, self.n_step, false);
        app.insert_resource(self.clone())
            .add_plugins(self.off_policy.plugin(minibatch))
            .add_learner::<Critic>(self.critic.optimizer.clone())
            .add_learner::<Actor>(self.actor.optimizer.clone())
            .add_target::<Critic>()
            .add_target::<Actor>()
            .update_targets_with::<Critic>(self.target_update)
            .acts_with::<Actor>()
            .trains_on(TrainsOn::Continuous)
            .init_resource::<OrnsteinUhlenbeck>()
            .persist::<OrnsteinUhlenbeck>()
            .add_systems(Startup, build_networks)
            .add_systems(Collect, explore.in_set(CollectSystems::Act))
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

fn build_networks(ddpg: Res<Ddpg>, mut networks: Networks) -> Result {
    let actor = networks.actor(ddpg.actor.layers(), ActorHead::Deterministic)?;
    let head = CriticHead::continuous(networks.action());
    let critic = networks.critic(ddpg.critic.layers(), head, 1)?;
    networks.insert_with_target::<Actor>(actor);
    networks.insert_with_target::<Critic>(critic);
    Ok(())
}

/// The Ornstein-Uhlenbeck process of each environment's actions.
#[derive(Resource, Default)]
pub struct OrnsteinUhlenbeck(Vec<f32>);

impl Persist for OrnsteinUhlenbeck {
    fn save(&self, snapshot: &mut Snapshot) -> Result<(), CheckpointError> {
        snapshot.put_state("ddpg/ornstein_uhlenbeck", &self.0)
    }

    fn load(&mut self, snapshot: &Snapshot, _: &World) -> Result<(), CheckpointError> {
        self.0 = snapshot.state("ddpg/ornstein_uhlenbeck")?;
        Ok(())
    }
}

/// The actions that are tried out: uniform in [−1, 1] while warming up, then π(s) plus the process, clipped to [−1, 1]. The
/// process begins at 0 in each episode.
pub fn explore(
    ddpg: Res<Ddpg>,
    clock: Res<Clock>,
    steps: Res<StepResults>,
    actor: Res<Net<Actor>>,
    mut process: ResMut<OrnsteinUhlenbeck>,
    mut exploring: Exploring,
) -> Result {
    let n = exploring.actions.values.len();
    process.0.resize(n, 0.0);
    if clock.step <= ddpg.off_policy.learning_starts {
        exploring.act_uniformly();
        return Ok(());
    }
    let observation = exploring.observation()?;
    exploring.actions.take(actor.act(observation));
    let theta = ddpg.exploration_theta;
    let sigma = ddpg.exploration_noise.at(clock.step, clock.epoch()) as f32;
    let width = exploring.actions.width;
    let draws = exploring.random.normals(n);
    for (index, action) in exploring.actions.values.iter_mut().enumerate() {
        let x = &mut process.0[index];
        if steps.ended(index / width) {
            *x = 0.0;
        }
        *x += sigma * draws[index] - theta * *x;
        *action = (*action + *x).clamp(-1.0, 1.0);
    }
    Ok(())
}

/// y = r + γⁿ Q'(s', π'(s')), with γⁿ = 0 after a terminal step; `[batch]`.
pub fn q_target(batch: &Batch, actor: &Target<Actor>, critic: &Target<Critic>) -> Tensor<1> {
    let next = actor.act(batch.next_observation.clone());
    let q = critic.q1(batch.next_observation.clone(), next);
    batch.reward.clone() + batch.bootstrap.clone() * q
}

/// How far the critic's values `[1, batch]` are from their target, `[1]`.
fn critic_loss(q: Tensor<2>, y: Tensor<1>, batch: &Batch) -> Tensor<1> {
    let q = q.squeeze_dim::<1>(0);
    match batch.weight.clone() {
        None => losses::mse(q, y),
        Some(weight) => losses::weighted_mse(q, y, weight),
    }
}

/// The critic's step towards its target.
pub fn update_critic(
    batch: Res<Batch>,
    target_actor: Res<Target<Actor>>,
    target_critic: Res<Target<Critic>>,
    mut critic: Learning<Critic>,
    mut metrics: ResMut<Metrics>,
) -> Result {
    let y = q_target(&batch, &target_actor, &target_critic);
    metrics.record("critic/q_target", y.clone().mean());

    let (s, a) = (batch.observation.clone(), batch.action.clone());
    let loss = critic_loss(critic.q(s, a), y, &batch);
    metrics.record("critic/loss", loss.clone());
    let step = critic.descend(loss)?;
    metrics.record("critic/gradient_norm", step.gradient_norm);
    Ok(())
}

/// The actor's step: up the critic's values, −mean Q(s, π(s)).
pub fn update_actor(
    batch: Res<Batch>,
    critic: Res<Net<Critic>>,
    mut actor: Learning<Actor>,
    mut metrics: ResMut<Metrics>,
) -> Result {
    let action = actor.act(batch.observation.clone());
    let q = critic.q1(batch.observation.clone(), action);
    let loss = q.mean().neg();
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

/// The same losses on held-out rows.
fn validate(
    batch: Res<Batch>,
    target_actor: Res<Target<Actor>>,
    target_critic: Res<Target<Critic>>,
    actor: Res<Net<Actor>>,
    critic: Res<Net<Critic>>,
    mut metrics: ResMut<Metrics>,
) {
    let y = q_target(&batch, &target_actor, &target_critic);
    let s = batch.observation.clone();
    let q = critic.q(s.clone(), batch.action.clone());
    metrics.record(
        "validate/critic/td_error",
        measures::td_error(q.clone(), y.clone()),
    );
    metrics.record("validate/critic/loss", critic_loss(q, y, &batch));
    let q = critic.q1(s.clone(), actor.act(s));
    metrics.record("validate/actor/loss", q.mean().neg());
}
