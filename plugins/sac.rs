//! SAC: a stochastic policy that is rewarded for its entropy, with a temperature that is learned.
//!
//! Haarnoja et al. 2018, "Soft Actor-Critic Algorithms and Applications", <https://arxiv.org/abs/1812.05905>, on Haarnoja et al.
//! 2018, <https://arxiv.org/abs/1801.01290>. The file reads from top to bottom as its algorithm 1 does: settings, networks,
//! exploration, critics (equations 5 and 6), actor (equation 9), temperature (equation 18), targets. Descendants such as CQL add
//! [`SoftActorCritic`], which is the networks, the temperature's step and the targets' step.
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
    /// How the targets follow.
    pub target_update: TargetUpdate,
    /// The minibatches.
    pub minibatch: MinibatchSettings,
    /// When it learns, with environments.
    pub off_policy: OffPolicySettings,
    /// What entropy is worth.
    pub temperature: TemperatureSettings,
    /// The action values.
    pub critic: CriticSettings,
    /// The policy.
    pub actor: NetworkSettings,
}

/// The temperature α of SAC and its descendants.
#[derive(Clone, Debug, Reflect)]
pub struct TemperatureSettings {
    /// α at the beginning, and for good where it is not learned. Above 0 where it is.
    #[reflect(@Bounds::at_least(0.0))]
    pub initial: f32,
    /// Whether α is learned, so that the policy's entropy comes to `target_entropy`.
    pub learned: bool,
    /// The entropy to come to, in nats. None: −1 for each element of an action.
    pub target_entropy: Option<f32>,
    /// How log α is learned.
    pub optimizer: OptimizerSettings,
}

impl Default for TemperatureSettings {
    fn default() -> Self {
        TemperatureSettings {
            initial: 1.0,
            learned: true,
            target_entropy: None,
            optimizer: OptimizerSettings::default(),
        }
    }
}

impl Default for Sac {
    fn default() -> Self {
        Sac {
            discount: 0.99,
            n_step: 1,
            target_update: TargetUpdate::default(),
            minibatch: MinibatchSettings::default(),
            off_policy: OffPolicySettings::default(),
            temperature: TemperatureSettings::default(),
            critic: CriticSettings::default(),
            actor: NetworkSettings::default(),
        }
    }
}

impl Settings for Sac {
    fn check(&self, problems: &mut FieldProblems) {
        self.critic.check("critic", problems);
        self.actor.check("actor", problems);
        self.temperature.check(problems);
    }
}

impl TemperatureSettings {
    /// Refuses what contradicts itself.
    pub fn check(&self, problems: &mut FieldProblems) {
        if self.learned && self.initial == 0.0 {
            problems.refuse(
                "temperature.initial",
                "log α is learned: it must be above 0",
            );
        }
        let field = "temperature.optimizer";
        self.optimizer.check(field, problems);
    }
}

/// The temperature: the role of log α, and the slot in which it is learned, after the actor's.
#[derive(SystemSet, Clone, Debug, PartialEq, Eq, Hash)]
pub struct Temperature;

impl Role for Temperature {
    type Network = Scalar;
    const NAME: &'static str = "temperature";
}

impl Plugin for Sac {
    fn build(&self, app: &mut App) {
        let minibatch = self.minibatch.plugin(self.discount, self.n_step, false);
        app.insert_resource(self.clone())
            .add_plugins(self.off_policy.plugin(minibatch))
            .add_plugins(SoftActorCritic {
                critic: self.critic.clone(),
                actor: self.actor.clone(),
                temperature: self.temperature.clone(),
                target_update: self.target_update,
            })
            .add_systems(Collect, explore.in_set(CollectSystems::Act))
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

/// What SAC and its descendants share, filled from each one's own settings: networks and the critics' targets, the temperature's
/// step and the targets' step.
#[derive(Clone, Debug, Resource)]
pub struct SoftActorCritic {
    /// The action values.
    pub critic: CriticSettings,
    /// The policy.
    pub actor: NetworkSettings,
    /// What entropy is worth.
    pub temperature: TemperatureSettings,
    /// How the targets follow.
    pub target_update: TargetUpdate,
}

impl Plugin for SoftActorCritic {
    fn build(&self, app: &mut App) {
        app.insert_resource(self.clone())
            .add_learner::<Critic>(self.critic.optimizer.clone())
            .add_learner::<Actor>(self.actor.optimizer.clone())
            .add_target::<Critic>()
            .update_targets_with::<Critic>(self.target_update)
            .acts_with::<Actor>()
            .trains_on(TrainsOn::Continuous)
            .add_random::<Noise>()
            .add_systems(Startup, build_networks)
            .add_systems(Learn, track_targets.in_set(LearnSystems::Targets));
        if self.temperature.learned {
            app.add_learner::<Temperature>(self.temperature.optimizer.clone())
                .insert_after(Learn, LearnSystems::Actor, Temperature, update_temperature);
        }
    }
}

fn build_networks(
    sac: Res<SoftActorCritic>,
    mut networks: Networks,
    mut commands: Commands,
) -> Result {
    let actor = networks.actor(sac.actor.layers(), ActorHead::SquashedGaussian)?;
    let critic = networks.critics(&sac.critic)?;
    let device = networks.device();
    networks.insert::<Actor>(actor);
    networks.insert_with_target::<Critic>(critic);
    networks.insert::<Temperature>(Scalar::new(sac.temperature.initial.ln(), &device));
    commands.insert_resource(PolicyEntropy(Tensor::zeros([1], &device.inner())));
    Ok(())
}

/// The actions that are tried out: uniform in [−1, 1] while warming up, then drawn from the policy.
pub fn explore(actor: Res<Net<Actor>>, mut exploring: Exploring) -> Result {
    if exploring.is_warming_up() {
        exploring.act_uniformly();
        return Ok(());
    }
    let distribution = actor.distribution(exploring.observation()?);
    let drawn = distribution.draw(&mut *exploring.random);
    exploring.actions.take(drawn.action);
    Ok(())
}

/// y = r + γⁿ (Q'(s', a') − α log π(a'|s')) with a' drawn from the policy at s', the last term only where there is an α `[1]`,
/// Q' mixed from the critics' targets, and γⁿ = 0 after a terminal step; `[batch]`.
pub fn q_target(
    sac: &SoftActorCritic,
    batch: &Batch,
    next: &ActionDistribution,
    critic: &Target<Critic>,
    alpha: Option<Tensor<1>>,
    noise: &mut Random<Noise>,
) -> Tensor<1> {
    let drawn = next.draw(noise);
    let q = critic.q(batch.next_observation.clone(), drawn.action);
    let value = match alpha {
        Some(alpha) => sac.critic.mix(q) - drawn.log_probability * alpha,
        None => sac.critic.mix(q),
    };
    batch.reward.clone() + batch.bootstrap.clone() * value
}

/// The critics' step: each regresses onto the same target, with half of the squared error.
pub fn update_critic(
    sac: Res<SoftActorCritic>,
    batch: Res<Batch>,
    actor: Res<Net<Actor>>,
    target_critic: Res<Target<Critic>>,
    temperature: Res<Net<Temperature>>,
    mut noise: ResMut<Random<Noise>>,
    mut critic: Learning<Critic>,
    mut metrics: ResMut<Metrics>,
) -> Result {
    let next = actor.distribution(batch.next_observation.clone());
    let alpha = Some(temperature.value().exp());
    let y = q_target(&sac, &batch, &next, &target_critic, alpha, &mut noise);
    metrics.record("critic/q_target", y.clone().mean());

    let (s, a) = (batch.observation.clone(), batch.action.clone());
    let q = critic.q(s, a);
    let losses = sac.critic.losses(q, y, batch.weight.clone()) * 0.5;
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

/// min Q(s, a) over the critics, of actions for the batch's observations, `[batch]`.
pub fn least_q(critic: &CriticNetwork, batch: &Batch, action: Tensor<2>) -> Tensor<1> {
    let q = critic.q(batch.observation.clone(), action);
    q.min_dim(0).squeeze_dim::<1>(0)
}

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

    let q = least_q(&critic, &batch, drawn.action);
    let alpha = temperature.value().exp().stop_gradient();
    let loss = (log_probability * alpha - q).mean();
    metrics.record("actor/loss", loss.clone());
    let step = actor.descend(loss)?;
    metrics.record("actor/gradient_norm", step.gradient_norm);
    Ok(())
}

/// The temperature's step: −log α (log π(a|s) + target entropy), with the probabilities from before the actor's step.
pub fn update_temperature(
    sac: Res<SoftActorCritic>,
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
pub fn track_targets(update: Res<TargetUpdate>, mut critic: Tracking<Critic>) {
    critic.follow(update.tau);
}

/// The same losses on held-out rows, with draws of their own.
fn validate(
    sac: Res<SoftActorCritic>,
    batch: Res<Batch>,
    actor: Res<Net<Actor>>,
    critic: Res<Net<Critic>>,
    target_critic: Res<Target<Critic>>,
    temperature: Res<Net<Temperature>>,
    mut metrics: ResMut<Metrics>,
) {
    let mut noise = batch.stream::<Noise>();
    let alpha = temperature.value().exp();
    let next = actor.distribution(batch.next_observation.clone());
    let soft = Some(alpha.clone());
    let y = q_target(&sac, &batch, &next, &target_critic, soft, &mut noise);
    let q = critic.q(batch.observation.clone(), batch.action.clone());
    metrics.record(
        "validate/critic/td_error",
        measures::td_error(q.clone(), y.clone()),
    );
    let losses = sac.critic.losses(q, y, batch.weight.clone()) * 0.5;
    metrics.record_each("validate/critic", "loss", losses.clone());
    metrics.record("validate/critic/loss", losses.sum());
    let drawn = actor
        .distribution(batch.observation.clone())
        .draw(&mut noise);
    let q = least_q(&critic, &batch, drawn.action);
    let loss = (drawn.log_probability * alpha - q).mean();
    metrics.record("validate/actor/loss", loss);
}
