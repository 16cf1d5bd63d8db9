//! AWAC: a policy that imitates its data's actions, the more the better they are than its own.
//!
//! Nair, Gupta, Dalal & Levine 2020, "AWAC: Accelerating Online Reinforcement Learning with Offline Datasets",
//! <https://arxiv.org/abs/2006.09359>. The file reads from top to bottom as its algorithm 1 does: settings, networks, critics (line 5),
//! actor (line 6), targets. It is the offline half: a run learns from a dataset or in environments, and not from one after the other.
//!
//! `cargo run --release --example awac -- train examples/awac.ron`

use yarak::prelude::*;

/// AWAC: the data's actions are imitated by how much better they are than the policy's own (Nair et al. 2020, <https://arxiv.org/abs/2006.09359>).
#[derive(Clone, Debug, Resource, Reflect)]
#[reflect(@PluginKind::Algorithm)]
pub struct Awac {
    /// λ of the weights exp(A / λ): towards 0 the best actions alone are imitated, and with a great one all alike.
    #[reflect(@Bounds::above(0.0))]
    pub lambda: f32,
    /// Discount γ of future rewards.
    #[reflect(@Bounds::within(0.0, 1.0))]
    pub discount: f32,
    /// How the targets follow.
    pub target_update: TargetUpdate,
    /// The minibatches.
    pub minibatch: MinibatchSettings,
    /// The action values.
    pub critic: CriticSettings,
    /// The policy.
    pub actor: NetworkSettings,
    /// The policy's deviation.
    pub gaussian: GaussianSettings,
}

impl Default for Awac {
    fn default() -> Self {
        Awac {
            lambda: 1.0,
            discount: 0.99,
            target_update: TargetUpdate::default(),
            minibatch: MinibatchSettings::of(1024),
            critic: CriticSettings::default(),
            actor: NetworkSettings {
                encoder: EncoderSettings::from(&[256, 256, 256, 256]),
                optimizer: OptimizerSettings {
                    weight_decay: 1e-4,
                    ..default()
                },
                ..default()
            },
            gaussian: GaussianSettings {
                deviation: Deviation::Learned,
                initial_std: 1.0,
                // e⁻⁶ and e⁰.
                min_std: 0.002_478_752,
                max_std: 1.0,
            },
        }
    }
}

impl Settings for Awac {
    fn check(&self, problems: &mut FieldProblems) {
        self.critic.check("critic", problems);
        self.actor.check("actor", problems);
    }
}

impl Plugin for Awac {
    fn build(&self, app: &mut App) {
        app.insert_resource(self.clone())
            .add_plugins(self.minibatch.plugin(self.discount, 1, false))
            .add_learner::<Critic>(self.critic.optimizer.clone())
            .add_learner::<Actor>(self.actor.optimizer.clone())
            .add_target::<Critic>()
            .update_targets_with::<Critic>(self.target_update)
            .acts_with::<Actor>()
            .trains_on(TrainsOn::Continuous)
            .add_random::<Noise>()
            .add_systems(Startup, build_networks)
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

fn build_networks(awac: Res<Awac>, mut networks: Networks) -> Result {
    let head = ActorHead::Gaussian(awac.gaussian.clone());
    let actor = networks.actor(awac.actor.layers(), head)?;
    let critic = networks.critics(&awac.critic)?;
    networks.insert::<Actor>(actor);
    networks.insert_with_target::<Critic>(critic);
    Ok(())
}

/// Line 5: each critic regresses onto y = r + γ min Q'(s', a') with a' ~ π(s').
pub fn update_critic(
    awac: Res<Awac>,
    batch: Res<Batch>,
    actor: Res<Net<Actor>>,
    target_critic: Res<Target<Critic>>,
    mut noise: ResMut<Random<Noise>>,
    mut critic: Learning<Critic>,
    mut metrics: ResMut<Metrics>,
) -> Result {
    let next = batch.next_observation.clone();
    let a = actor.distribution(next.clone()).sample(&mut noise);
    let q = awac.critic.mix(target_critic.q(next, a));
    let y = batch.reward.clone() + batch.bootstrap.clone() * q;

    let q = critic.q(batch.observation.clone(), batch.action.clone());
    let losses = awac.critic.losses(q, y, batch.weight.clone());
    let loss = losses.sum();
    metrics.record("critic/loss", loss.clone());
    critic.descend(loss)?;
    Ok(())
}

/// exp(A / λ), divided by its mean over the batch, `[batch]`. So it stays finite whatever A is; the authors' code has it as well.
fn weights(advantage: Tensor<1>, lambda: f32) -> Tensor<1> {
    let [n] = advantage.dims();
    burn::tensor::activation::softmax(advantage / lambda, 0) * n as f32
}

/// Line 6: π ← argmax E[log π(a|s) exp(A(s, a) / λ)], with A(s, a) = Q(s, a) − Q(s, ã) and ã ~ π(s).
pub fn update_actor(
    awac: Res<Awac>,
    batch: Res<Batch>,
    critic: Res<Net<Critic>>,
    mut noise: ResMut<Random<Noise>>,
    mut actor: Learning<Actor>,
    mut metrics: ResMut<Metrics>,
) -> Result {
    let s = batch.observation.clone();
    let own = actor.plain().distribution(s.clone()).sample(&mut noise);
    let q = |action| awac.critic.mix(critic.q(s.clone(), action));
    let advantage = q(batch.action.clone()) - q(own);
    metrics.record("actor/advantage", advantage.clone().mean());
    let weight = weights(advantage, awac.lambda);

    let policy = actor.distribution(s.clone());
    let log_probability = policy.log_probability(batch.action.clone());
    let loss = losses::weighted_mean(log_probability, weight).neg();
    metrics.record("actor/loss", loss.clone());
    actor.descend(loss)?;
    Ok(())
}

/// The critics' targets follow: θ' ← τ θ + (1 − τ) θ'.
pub fn track_targets(update: Res<TargetUpdate>, mut critic: Tracking<Critic>) {
    critic.follow(update.tau);
}

fn main() -> AppExit {
    yarak::cli::run(|app| {
        app.register_for_scenes::<Awac>();
    })
}
