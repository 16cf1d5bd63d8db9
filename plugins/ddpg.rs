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
    /// τ of the targets' soft updates, θ' ← τ θ + (1 − τ) θ'.
    #[reflect(@Bounds::within(0.0, 1.0))]
    pub target_tau: f32,
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
    /// σ of the Ornstein-Uhlenbeck process that is added to the actions, which lie in [−1, 1]: x ← x − θ x + σ N(0, 1).
    pub exploration_noise: Annealed,
    /// θ of that process. With 1 its draws are independent: normal noise with deviation σ.
    #[reflect(@Bounds::within(0.0, 1.0))]
    pub exploration_theta: f32,
    /// The action values.
    pub critic: NetworkSettings,
    /// The policy.
    pub actor: NetworkSettings,
}

impl Default for Ddpg {
    fn default() -> Self {
        let network = |rate: f64, l2: f32| NetworkSettings {
            encoder: EncoderSettings::from(&[400, 300]),
            learning_rate: LearningRate::Constant(rate),
            l2,
            ..default()
        };
        Ddpg {
            discount: 0.99,
            n_step: 1,
            target_tau: 0.001,
            batch: 64,
            steps_per_epoch: None,
            warm_up: 1_000,
            train_every: 1,
            gradient_steps: 1,
            exploration_noise: Annealed::Constant(0.2),
            exploration_theta: 0.15,
            critic: network(1e-3, 1e-2),
            actor: network(1e-4, 0.0),
        }
    }
}

impl Settings for Ddpg {}

impl Plugin for Ddpg {
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
            .add_learner::<Critic>(self.critic.learner())
            .add_learner::<Actor>(self.actor.learner())
            .add_target::<Critic>()
            .add_target::<Actor>()
            .acts_with::<Actor>()
            .trains_on(TrainsOn::Continuous)
            .init_resource::<Wandering>()
            .persist::<Wandering>()
            .add_systems(Startup, build_networks)
            .add_systems(Collect, explore.in_set(CollectSystems::Act))
            .add_systems(
                Learn,
                (
                    update_critic.in_set(LearnSystems::Critic),
                    update_actor.in_set(LearnSystems::Actor),
                    track_targets.in_set(LearnSystems::Targets),
                ),
            );
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

/// Where the Ornstein-Uhlenbeck process of each environment's actions stands.
#[derive(Resource, Default)]
pub struct Wandering(Vec<f32>);

impl Persist for Wandering {
    fn save(&self, snapshot: &mut Snapshot) -> Result<(), CheckpointError> {
        snapshot.put_state("ddpg/wandering", &self.0)
    }

    fn load(&mut self, snapshot: &Snapshot, _: &World) -> Result<(), CheckpointError> {
        self.0 = snapshot.state("ddpg/wandering")?;
        Ok(())
    }
}

/// The actions that are tried out: uniform in [−1, 1] while warming up, then π(s) plus the process, clipped to [−1, 1]. The
/// process begins at 0 in each episode.
pub fn explore(
    ddpg: Res<Ddpg>,
    clock: Res<Clock>,
    steps: Res<Steps>,
    actor: Res<Net<Actor>>,
    mut wandering: ResMut<Wandering>,
    mut exploring: Exploring,
) -> Result {
    let n = exploring.actions.values.len();
    wandering.0.resize(n, 0.0);
    if clock.step <= ddpg.warm_up {
        exploring.act_uniformly();
        return Ok(());
    }
    let observation = exploring.observation()?;
    exploring.actions.take(actor.act(observation));
    let (theta, sigma) = (
        ddpg.exploration_theta,
        ddpg.exploration_noise.at(clock.step),
    );
    let width = exploring.actions.width;
    let draws = exploring.random.normals(n);
    for (index, action) in exploring.actions.values.iter_mut().enumerate() {
        let x = &mut wandering.0[index];
        if steps.ended(index / width) {
            *x = 0.0;
        }
        *x += sigma * draws[index] - theta * *x;
        *action = (*action + *x).clamp(-1.0, 1.0);
    }
    Ok(())
}

/// The critic's step towards y = r + γⁿ Q'(s', π'(s')), with γⁿ = 0 after a terminal step.
pub fn update_critic(
    batch: Res<Batch>,
    target_actor: Res<Target<Actor>>,
    target_critic: Res<Target<Critic>>,
    mut critic: Learning<Critic>,
    mut metrics: ResMut<Metrics>,
) -> Result {
    let next = target_actor.act(batch.next_observation.clone());
    let q = target_critic.q1(batch.next_observation.clone(), next);
    let y = batch.reward.clone() + batch.bootstrap.clone() * q;
    metrics.record("critic/q_target", y.clone().mean());

    let (s, a) = (batch.observation.clone(), batch.action.clone());
    let q = critic.q(s, a).squeeze_dim::<1>(0);
    let loss = losses::mse(q, y);
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
pub fn track_targets(ddpg: Res<Ddpg>, mut actor: Tracking<Actor>, mut critic: Tracking<Critic>) {
    actor.soft(ddpg.target_tau);
    critic.soft(ddpg.target_tau);
}
