//! SAC: a stochastic policy that is rewarded for its entropy, with a temperature that is learned.
//!
//! Haarnoja et al. 2018, "Soft Actor-Critic Algorithms and Applications", <https://arxiv.org/abs/1812.05905>, on Haarnoja et al.
//! 2018, <https://arxiv.org/abs/1801.01290>. The file reads from top to bottom as its algorithm 1 does: settings, networks,
//! exploration, critics (equations 5 and 6), actor (equation 9), temperature (equation 18), targets.
//! `docs/sac.md` lists every difference from the authors' code.

use yarak::prelude::*;

/// SAC: a stochastic policy that is rewarded for its entropy, with a learned temperature (Haarnoja et al. 2018, <https://arxiv.org/abs/1812.05905>).
#[derive(Clone, Debug, Resource, Reflect)]
#[reflect(@PluginKind::Algorithm)]
pub struct Sac {
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
    /// What entropy is worth.
    pub temperature: TemperatureSettings,
    /// The action values.
    pub critic: SacCritic,
    /// The policy.
    pub actor: NetworkSettings,
}

/// SAC's temperature α.
#[derive(Clone, Debug, Reflect)]
pub struct TemperatureSettings {
    /// α at the beginning, and for good where it is not learned.
    #[reflect(@Bounds::above(0.0))]
    pub initial: f32,
    /// Whether α is learned, so that the policy's entropy comes to `target_entropy`.
    pub learned: bool,
    /// The entropy to come to, in nats. None: −1 for each element of an action.
    pub target_entropy: Option<f32>,
    /// The rule that turns gradients into steps.
    pub optimizer: Optimizer,
    /// The learning rate of log α over time.
    pub learning_rate: LearningRate,
}

/// SAC's action values.
#[derive(Clone, Debug, Reflect)]
pub struct SacCritic {
    /// How many critics there are; targets have the least of their values.
    #[reflect(@Bounds::within(1.0, 1_000.0))]
    pub n: usize,
    /// Their networks.
    pub network: NetworkSettings,
}

impl Default for Sac {
    fn default() -> Self {
        Sac {
            discount: 0.99,
            n_step: 1,
            target_tau: 0.005,
            batch: 256,
            steps_per_epoch: None,
            warm_up: 10_000,
            train_every: 1,
            gradient_steps: 1,
            temperature: TemperatureSettings {
                initial: 1.0,
                learned: true,
                target_entropy: None,
                optimizer: Optimizer::Adam,
                learning_rate: LearningRate::Constant(3e-4),
            },
            critic: SacCritic {
                n: 2,
                network: NetworkSettings::default(),
            },
            actor: NetworkSettings::default(),
        }
    }
}

impl Settings for Sac {}

/// The temperature: the role of log α, and the slot in which it is learned, after the actor's.
#[derive(SystemSet, Clone, Debug, PartialEq, Eq, Hash)]
pub struct Temperature;

impl Role for Temperature {
    type Network = Scalar;
    const NAME: &'static str = "temperature";
}

impl Plugin for Sac {
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
            .add_learner::<Critic>(self.critic.network.learner())
            .add_learner::<Actor>(self.actor.learner())
            .add_target::<Critic>()
            .acts_with::<Actor>()
            .trains_on(TrainsOn::Continuous)
            .add_random::<Noise>()
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
        if self.temperature.learned {
            app.add_learner::<Temperature>(Learner {
                optimizer: self.temperature.optimizer,
                learning_rate: self.temperature.learning_rate.clone(),
                ..default()
            })
            .insert_after(Learn, LearnSystems::Actor, Temperature, update_temperature);
        }
    }
}

fn build_networks(sac: Res<Sac>, mut networks: Networks, mut commands: Commands) -> Result {
    let actor = networks.actor(sac.actor.layers(), ActorHead::SquashedGaussian)?;
    let head = CriticHead::continuous(networks.action());
    let critic = networks.critic(sac.critic.network.layers(), head, sac.critic.n)?;
    let device = networks.device();
    networks.insert::<Actor>(actor);
    networks.insert_with_target::<Critic>(critic);
    networks.insert::<Temperature>(Scalar::new(sac.temperature.initial.ln(), &device));
    commands.insert_resource(PolicyEntropy(Tensor::zeros([1], &device.inner())));
    Ok(())
}

/// The actions that are tried out: uniform in [−1, 1] while warming up, then drawn from the policy.
pub fn explore(
    sac: Res<Sac>,
    clock: Res<Clock>,
    actor: Res<Net<Actor>>,
    mut exploring: Exploring,
) -> Result {
    if clock.step <= sac.warm_up {
        exploring.act_uniformly();
        return Ok(());
    }
    let distribution = actor.distribution(exploring.observation()?);
    let drawn = distribution.draw(&mut *exploring.random);
    exploring.actions.take(drawn.action);
    Ok(())
}

/// y = r + γⁿ (min Q'(s', a') − α log π(a'|s')) with a' drawn from π(s'), and γⁿ = 0 after a terminal step; `[batch]`.
pub fn q_target(
    batch: &Batch,
    actor: &Net<Actor>,
    critic: &Target<Critic>,
    temperature: &Net<Temperature>,
    noise: &mut Random<Noise>,
) -> Tensor<1> {
    let next = actor
        .distribution(batch.next_observation.clone())
        .draw(noise);
    let q = critic.q(batch.next_observation.clone(), next.action);
    let q = q.min_dim(0).squeeze_dim::<1>(0);
    let alpha = temperature.value().exp();
    batch.reward.clone() + batch.bootstrap.clone() * (q - next.log_probability * alpha)
}

/// The critics' step: each regresses onto the same target, with half of the squared error.
pub fn update_critic(
    batch: Res<Batch>,
    actor: Res<Net<Actor>>,
    target_critic: Res<Target<Critic>>,
    temperature: Res<Net<Temperature>>,
    mut noise: ResMut<Random<Noise>>,
    mut critic: Learning<Critic>,
    mut metrics: ResMut<Metrics>,
) -> Result {
    let y = q_target(&batch, &actor, &target_critic, &temperature, &mut noise);
    metrics.record("critic/q_target", y.clone().mean());

    let q = critic.q(batch.observation.clone(), batch.action.clone());
    let losses = losses::mse_of_each(q, y) * 0.5;
    metrics.record_each("critic", "loss", losses.clone());
    let loss = losses.sum();
    metrics.record("critic/loss", loss.clone());
    let step = critic.descend(loss)?;
    metrics.record_each("critic", "gradient_norm", step.gradient_norm);
    Ok(())
}

/// The entropy of the policy on the last batch, −mean log π(a|s), `[1]`: what the temperature's step compares with its target.
#[derive(Resource)]
pub struct PolicyEntropy(pub Tensor<1>);

/// The actor's step: mean(α log π(a|s) − min Q(s, a)) with a drawn from π(s).
pub fn update_actor(
    batch: Res<Batch>,
    critic: Res<Net<Critic>>,
    temperature: Res<Net<Temperature>>,
    mut noise: ResMut<Random<Noise>>,
    mut actor: Learning<Actor>,
    mut entropy: ResMut<PolicyEntropy>,
    mut metrics: ResMut<Metrics>,
) -> Result {
    let policy = actor.distribution(batch.observation.clone());
    let drawn = policy.draw(&mut noise);
    let log_probability = drawn.log_probability;
    entropy.0 = log_probability.clone().no_grad().mean().neg();
    metrics.record("actor/entropy", entropy.0.clone());

    let q = critic.q(batch.observation.clone(), drawn.action);
    let q = q.min_dim(0).squeeze_dim::<1>(0);
    let alpha = temperature.value().exp().stop_gradient();
    let loss = (log_probability * alpha - q).mean();
    metrics.record("actor/loss", loss.clone());
    let step = actor.descend(loss)?;
    metrics.record("actor/gradient_norm", step.gradient_norm);
    Ok(())
}

/// The temperature's step: −log α (log π(a|s) + target entropy), with the probabilities from before the actor's step.
pub fn update_temperature(
    sac: Res<Sac>,
    preprocessing: Res<Preprocessing>,
    entropy: Res<PolicyEntropy>,
    mut temperature: Learning<Temperature>,
    mut metrics: ResMut<Metrics>,
) -> Result {
    let [_, action] = preprocessing.widths();
    let target = sac.temperature.target_entropy.unwrap_or(-(action as f32));
    let log_alpha = temperature.value();
    metrics.record("temperature/alpha", log_alpha.clone().exp());
    let above = entropy.0.clone() - target;
    let loss = log_alpha * above.stop_gradient();
    metrics.record("temperature/loss", loss.clone());
    temperature.descend(loss)?;
    Ok(())
}

/// The critics' targets follow: θ' ← τ θ + (1 − τ) θ'.
pub fn track_targets(sac: Res<Sac>, mut critic: Tracking<Critic>) {
    critic.soft(sac.target_tau);
}
