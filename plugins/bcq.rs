//! BCQ: Q-learning over actions that a generative model of the data proposes, each moved a little towards better values.
//!
//! Fujimoto, Meger & Precup 2019, "Off-Policy Deep Reinforcement Learning without Exploration",
//! <https://arxiv.org/abs/1812.02900>. The file reads from top to bottom as algorithm 1 does: settings, networks, the
//! generative model, the critics, the perturbation, targets, and how it acts. `docs/bcq.md` lists every difference from the
//! authors' code and from robomimic's.

use yarak::prelude::*;

/// BCQ: Q-learning constrained to actions like the data's (Fujimoto et al. 2019, <https://arxiv.org/abs/1812.02900>).
#[derive(Clone, Debug, Resource, Reflect)]
#[reflect(@PluginKind::Algorithm)]
pub struct Bcq {
    /// Φ: how far the perturbation may move each element of an action, which lies in [−1, 1]. 0: there is none.
    #[reflect(@Bounds::within(0.0, 2.0))]
    pub perturbation_limit: f32,
    /// Actions that are proposed for a next state, of which the best counts.
    #[reflect(@Bounds::within(1.0, 10_000.0))]
    pub target_samples: usize,
    /// Actions that are proposed where it acts, of which the best is taken.
    #[reflect(@Bounds::within(1.0, 10_000.0))]
    pub act_samples: usize,
    /// Width of the generative model's latent. None: twice the action's.
    #[reflect(@Bounds::within(1.0, 65_536.0))]
    pub latent: Option<usize>,
    /// Latents are clipped to ± this where actions are proposed.
    #[reflect(@Bounds::above(0.0))]
    pub latent_clip: f32,
    /// Weight of the divergence against the squared error in the generative model's loss.
    #[reflect(@Bounds::at_least(0.0))]
    pub divergence_weight: f32,
    /// Discount γ of future rewards.
    #[reflect(@Bounds::within(0.0, 1.0))]
    pub discount: f32,
    /// Rewards that are folded into one target, cut at the end of an episode.
    #[reflect(@Bounds::at_least(1.0))]
    pub n_step: usize,
    /// Whether a terminal step's reward counts as earned forever after: times 1 / (1 − γ). Never a truncated step's.
    pub infinite_horizon: bool,
    /// How the targets follow.
    pub target_update: TargetUpdate,
    /// The minibatches.
    pub minibatch: MinibatchSettings,
    /// The generative model: encoder and decoder each have these layers.
    pub vae: NetworkSettings,
    /// The action values. The weight of the ensemble is λ of the paper.
    pub critic: CriticSettings,
    /// The perturbation.
    pub actor: NetworkSettings,
}

impl Default for Bcq {
    /// The authors' code's.
    fn default() -> Self {
        let optimizer = OptimizerSettings::at(1e-3);
        let network = |layers: &[usize]| NetworkSettings {
            encoder: EncoderSettings::from(layers),
            optimizer: optimizer.clone(),
            ..default()
        };
        Bcq {
            perturbation_limit: 0.05,
            target_samples: 10,
            act_samples: 100,
            latent: None,
            latent_clip: 0.5,
            divergence_weight: 0.5,
            discount: 0.99,
            n_step: 1,
            infinite_horizon: false,
            target_update: TargetUpdate::default(),
            minibatch: MinibatchSettings::of(100),
            vae: network(&[750, 750]),
            actor: network(&[400, 300]),
            critic: CriticSettings {
                ensemble: EnsembleSettings { n: 2, weight: 0.75 },
                encoder: EncoderSettings::from(&[400, 300]),
                optimizer,
                ..default()
            },
        }
    }
}

impl Settings for Bcq {
    fn check(&self, problems: &mut FieldProblems) {
        if self.infinite_horizon && self.discount == 1.0 {
            problems.refuse(
                "infinite_horizon",
                "has no finite value with discount 1: give a `discount` below 1",
            );
        }
        self.vae.check("vae", problems);
        self.critic.check("critic", problems);
        self.actor.check("actor", problems);
    }
}

/// The generative model of the data's actions.
pub struct Vae;

impl Role for Vae {
    type Network = ActionVae;
    const NAME: &'static str = "vae";
}

/// The policy: what moves a proposed action a little.
pub struct PerturbationActor;

impl Role for PerturbationActor {
    type Network = Perturbation;
    const NAME: &'static str = "actor";
}

/// The slot of the generative model's step, directly before that of the critics.
#[derive(SystemSet, Clone, Debug, PartialEq, Eq, Hash)]
pub struct VaeStep;

impl Plugin for Bcq {
    fn build(&self, app: &mut App) {
        app.insert_resource(self.clone())
            .add_plugins(
                self.minibatch
                    .plugin(self.discount, self.n_step, self.infinite_horizon),
            )
            .add_learner::<Vae>(self.vae.optimizer.clone())
            .add_learner::<Critic>(self.critic.optimizer.clone())
            .add_learner::<PerturbationActor>(self.actor.optimizer.clone())
            .add_target::<Critic>()
            .add_target::<PerturbationActor>()
            .update_targets_with::<Critic>(self.target_update)
            .acts_by(act)
            .trains_on(TrainsOn::Continuous)
            .add_random::<Noise>()
            .add_systems(Startup, build_networks)
            .insert_before(Learn, LearnSystems::Critic, VaeStep, update_vae)
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

fn build_networks(bcq: Res<Bcq>, mut networks: Networks) -> Result {
    let (input, action) = (networks.input(), networks.action());
    let (latent, device) = (bcq.latent.unwrap_or(2 * action), networks.device());
    let vae = ActionVae::new(
        bcq.vae.layers(),
        latent,
        &input,
        action,
        &device,
        &mut networks.init,
    );
    let vae = networks.checked(vae)?;
    let critic = networks.critics(&bcq.critic)?;
    let (layers, limit) = (bcq.actor.layers(), bcq.perturbation_limit);
    let actor = Perturbation::new(layers, limit, input, action, &device, &mut networks.init);
    let actor = networks.checked(actor)?;
    networks.insert::<Vae>(vae);
    networks.insert_with_target::<Critic>(critic);
    networks.insert_with_target::<PerturbationActor>(actor);
    Ok(())
}

/// The divergence of the latent's Gaussian from the standard one, −½ (1 + ln σ² − μ² − σ²): a mean over the batch and the elements.
fn divergence(code: &DiagonalGaussian) -> Tensor<1> {
    let variance = code.std.clone().square();
    let sum = variance.clone().log() - code.mean.clone().square() - variance;
    (sum.mean() + 1.0) * -0.5
}

/// Actions that the generative model proposes, one for each observation: decoded from a clipped normal latent.
fn propose(
    bcq: &Bcq,
    vae: &ActionVae,
    observation: Tensor<2>,
    noise: &mut Random<Noise>,
) -> Tensor<2> {
    let latents: Tensor<2> =
        Tensor::zeros([observation.dims()[0], vae.latent()], &observation.device());
    let latents = noise.normal_like(&latents);
    let latents = latents.clamp(-bcq.latent_clip, bcq.latent_clip);
    vae.decode(observation, latents)
}

/// y = r + γⁿ max over the proposed and perturbed actions of w · min Q' + (1 − w) · max Q', `[batch]`.
fn q_target(
    bcq: &Bcq,
    batch: &Batch,
    vae: &ActionVae,
    actor: &Target<PerturbationActor>,
    critic: &Target<Critic>,
    noise: &mut Random<Noise>,
) -> Tensor<1> {
    let next = repeat_rows(batch.next_observation.clone(), bcq.target_samples);
    let action = propose(bcq, vae, next.clone(), noise);
    let action = actor.perturb(next.clone(), action);
    let q = bcq.critic.mix(critic.q(next, action));
    let best = q.reshape([batch.rows(), bcq.target_samples]).max_dim(1);
    batch.reward.clone() + batch.bootstrap.clone() * best.squeeze_dim::<1>(1)
}

/// The generative model's step: the squared error of actions that went through the latent and back, and the latent's divergence.
pub fn update_vae(
    bcq: Res<Bcq>,
    batch: Res<Batch>,
    mut noise: ResMut<Random<Noise>>,
    mut vae: Learning<Vae>,
    mut metrics: ResMut<Metrics>,
) -> Result {
    let (s, a) = (batch.observation.clone(), batch.action.clone());
    let code = vae.encode(s.clone(), a.clone());
    let action = vae.decode(s, code.sample(&mut *noise));
    let (error, divergence) = (losses::mse(action, a), divergence(&code));
    metrics.record("vae/error", error.clone());
    metrics.record("vae/divergence", divergence.clone());
    let loss = error + divergence * bcq.divergence_weight;
    metrics.record("vae/loss", loss.clone());
    let step = vae.descend(loss)?;
    metrics.record("vae/gradient_norm", step.gradient_norm);
    Ok(())
}

/// The perturbation's loss `[1]`: −mean Q1 of proposed actions, moved a little.
fn actor_loss(
    bcq: &Bcq,
    (vae, actor, critic): (&ActionVae, &Perturbation, &CriticNetwork),
    batch: &Batch,
    noise: &mut Random<Noise>,
) -> Tensor<1> {
    let proposed = propose(bcq, vae, batch.observation.clone(), noise);
    let action = actor.perturb(batch.observation.clone(), proposed);
    critic.q1(batch.observation.clone(), action).mean().neg()
}

/// The critics' step: each regresses onto the best of the proposed actions.
pub fn update_critic(
    bcq: Res<Bcq>,
    batch: Res<Batch>,
    vae: Res<Net<Vae>>,
    target_actor: Res<Target<PerturbationActor>>,
    target_critic: Res<Target<Critic>>,
    mut noise: ResMut<Random<Noise>>,
    mut critic: Learning<Critic>,
    mut metrics: ResMut<Metrics>,
) -> Result {
    let y = q_target(
        &bcq,
        &batch,
        &vae,
        &target_actor,
        &target_critic,
        &mut noise,
    );
    metrics.record("critic/q_target", y.clone().mean());
    metrics.record(
        "critic/terminated_fraction",
        batch.terminated.clone().mean(),
    );
    let (s, a) = (batch.observation.clone(), batch.action.clone());
    let q = critic.q(s, a);
    let losses = bcq.critic.losses(q, y, batch.weight.clone());
    metrics.record_each("critic", "loss", losses.clone());
    let loss = losses.sum();
    metrics.record("critic/loss", loss.clone());
    let step = critic.descend(loss)?;
    metrics.record_each("critic", "gradient_norm", step.gradient_norm);
    Ok(())
}

/// The perturbation's step: up the first critic's values, from proposed actions that stay as they are.
pub fn update_actor(
    bcq: Res<Bcq>,
    batch: Res<Batch>,
    vae: Res<Net<Vae>>,
    critic: Res<Net<Critic>>,
    mut noise: ResMut<Random<Noise>>,
    mut actor: Learning<PerturbationActor>,
    mut metrics: ResMut<Metrics>,
) -> Result {
    let loss = actor_loss(&bcq, (&vae, &actor, &critic), &batch, &mut noise);
    metrics.record("actor/loss", loss.clone());
    let step = actor.descend(loss)?;
    metrics.record("actor/gradient_norm", step.gradient_norm);
    Ok(())
}

/// Both targets follow their networks: θ' ← τ θ + (1 − τ) θ'.
pub fn track_targets(
    update: Res<TargetUpdate>,
    mut critic: Tracking<Critic>,
    mut actor: Tracking<PerturbationActor>,
) {
    critic.follow(update.tau);
    actor.follow(update.tau);
}

/// argmax of the first critic over proposed and perturbed actions. The latents are the same for every observation and at every
/// call, so that a policy is a function of its weights, the observation and the run's seed.
fn act(world: &World, observation: Tensor<2>) -> Option<Tensor<2>> {
    let bcq = world.get_resource::<Bcq>()?;
    let vae = world.get_resource::<Net<Vae>>()?;
    let actor = world.get_resource::<Net<PerturbationActor>>()?;
    let critic = world.get_resource::<Net<Critic>>()?;
    let seed = *world.get_resource::<Seed>()?;
    let ([rows, _], n) = (observation.dims(), bcq.act_samples);
    let mut noise = Random::<Noise>::forked(seed, ACTING_STREAM);
    let latents: Tensor<2> = Tensor::zeros([n, vae.latent()], &observation.device());
    let latents = noise.normal_like(&latents);
    let latents = latents.clamp(-bcq.latent_clip, bcq.latent_clip);
    let observation = repeat_rows(observation, n);
    let action = vae.decode(observation.clone(), latents.repeat_dim(0, rows));
    let action = actor.perturb(observation.clone(), action);
    let width = action.dims()[1];
    let best = critic.q1(observation, action.clone());
    let best = best.reshape([rows, n]).argmax(1);
    let best = best.unsqueeze_dim::<3>(2).repeat_dim(2, width);
    let action = action.reshape([rows, n, width]).gather(1, best);
    Some(action.squeeze_dim::<2>(1))
}

const ACTING_STREAM: u64 = 2;

/// The same losses on held-out rows, with noise of its own.
fn validate(
    bcq: Res<Bcq>,
    batch: Res<Batch>,
    target_actor: Res<Target<PerturbationActor>>,
    target_critic: Res<Target<Critic>>,
    vae: Res<Net<Vae>>,
    actor: Res<Net<PerturbationActor>>,
    critic: Res<Net<Critic>>,
    mut metrics: ResMut<Metrics>,
) {
    let mut noise = batch.stream::<Noise>();
    let (s, a) = (batch.observation.clone(), batch.action.clone());
    let code = vae.encode(s.clone(), a.clone());
    let error = losses::mse(vae.decode(s, code.sample(&mut noise)), a);
    let loss = error + divergence(&code) * bcq.divergence_weight;
    metrics.record("validate/vae/loss", loss);
    let y = q_target(
        &bcq,
        &batch,
        &vae,
        &target_actor,
        &target_critic,
        &mut noise,
    );
    let q = critic.q(batch.observation.clone(), batch.action.clone());
    metrics.record(
        "validate/critic/td_error",
        measures::td_error(q.clone(), y.clone()),
    );
    let losses = bcq.critic.losses(q, y, batch.weight.clone());
    metrics.record_each("validate/critic", "loss", losses.clone());
    metrics.record("validate/critic/loss", losses.sum());
    let loss = actor_loss(&bcq, (&vae, &actor, &critic), &batch, &mut noise);
    metrics.record("validate/actor/loss", loss);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_divergence_is_that_of_two_gaussians() {
        let device = ComputeDevice::cpu().plain();
        let code = |mean, std| DiagonalGaussian {
            mean: Tensor::from_floats([[mean]], &device),
            std: Tensor::from_floats([[std]], &device),
        };
        let found = |mean, std| divergence(&code(mean, std)).into_scalar::<f32>();
        assert_eq!(found(0.0, 1.0), 0.0);
        assert_eq!(found(2.0, 1.0), 2.0);
        // -(1 + ln 0.25 - 1 - 0.25) / 2
        assert!((found(1.0, 0.5) - 0.818_147_2).abs() < 1e-6);
    }
}
