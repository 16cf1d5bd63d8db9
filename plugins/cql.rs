//! CQL: SAC whose critics are also pushed down where the data has no actions, so that they never promise too much.
//!
//! Kumar, Zhou, Tucker & Levine 2020, "Conservative Q-Learning for Offline Reinforcement Learning",
//! <https://arxiv.org/abs/2006.04779>, on SAC (Haarnoja et al. 2018, <https://arxiv.org/abs/1812.05905>). What it has of SAC
//! (`plugins/sac.rs`), networks, temperature and targets, it inserts; the file reads from top to bottom as algorithm 1 does:
//! settings, the critics with CQL(H) (equation 4), the multiplier α', the policy. `docs/cql.md` lists every difference from the
//! authors' code and from robomimic's.

use yarak::prelude::*;

/// CQL: conservative Q-learning on SAC (Kumar et al. 2020, <https://arxiv.org/abs/2006.04779>).
#[derive(Clone, Debug, Resource, Reflect)]
#[reflect(@PluginKind::Algorithm)]
pub struct Cql {
    /// Weight of the gap ln Σ exp Q − Q(s, a) in the critics' loss, before the multiplier.
    #[reflect(@Bounds::at_least(0.0))]
    pub weight: f32,
    /// The weighted gap that a learned multiplier, from 1 on, holds the critics to. None: no multiplier.
    pub lagrange: Option<f32>,
    /// How ln α', the multiplier's logarithm, is learned. None: with the critics' optimizer, without weight decay and clipping.
    pub lagrange_optimizer: Option<OptimizerSettings>,
    /// Actions of each of three kinds that the sum over all actions is estimated with: uniform, and the policy's at s and at s'.
    #[reflect(@Bounds::within(1.0, 10_000.0))]
    pub actions: usize,
    /// Whether the target is without the policy's entropy.
    pub deterministic_backup: bool,
    /// What entropy is worth.
    pub temperature: sac::TemperatureSettings,
    /// Gradient steps at the beginning in which the policy imitates the data's actions instead of climbing the critics.
    pub imitation_steps: u64,
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
    /// The action values.
    pub critic: CriticSettings,
    /// The policy.
    pub actor: NetworkSettings,
}

impl Default for Cql {
    /// The authors' script's for locomotion.
    fn default() -> Self {
        let encoder = EncoderSettings::from(&[256, 256, 256]);
        Cql {
            weight: 1.0,
            lagrange: Some(5.0),
            lagrange_optimizer: None,
            actions: 10,
            deterministic_backup: true,
            temperature: sac::TemperatureSettings {
                optimizer: OptimizerSettings::at(1e-4),
                ..default()
            },
            imitation_steps: 40_000,
            discount: 0.99,
            n_step: 1,
            target_update: TargetUpdate::default(),
            minibatch: MinibatchSettings::default(),
            critic: CriticSettings {
                encoder: encoder.clone(),
                ..default()
            },
            actor: NetworkSettings {
                encoder,
                optimizer: OptimizerSettings::at(1e-4),
                ..default()
            },
        }
    }
}

impl Settings for Cql {
    fn check(&self, problems: &mut FieldProblems) {
        self.critic.check("critic", problems);
        self.actor.check("actor", problems);
        self.temperature.check(problems);
        let Some(optimizer) = &self.lagrange_optimizer else {
            return;
        };
        optimizer.check("lagrange_optimizer", problems);
        if self.lagrange.is_none() {
            problems.refuse(
                "lagrange_optimizer",
                "there is no multiplier to learn: give `lagrange` a number, or leave this out",
            );
        }
    }
}

impl Cql {
    /// How the multiplier is learned.
    fn lagrange_optimizer(&self) -> OptimizerSettings {
        let of_critics = || OptimizerSettings {
            weight_decay: 0.0,
            max_gradient_norm: None,
            ..self.critic.optimizer.clone()
        };
        self.lagrange_optimizer.clone().unwrap_or_else(of_critics)
    }
}

/// The multiplier: the role of ln α', and the slot in which it is learned, directly after that of the critics.
#[derive(SystemSet, Clone, Debug, PartialEq, Eq, Hash)]
pub struct LagrangeMultiplier;

impl Role for LagrangeMultiplier {
    type Network = Scalar;
    const NAME: &'static str = "lagrange_multiplier";
}

/// Uniform actions.
pub struct Uniform;

impl Purpose for Uniform {
    const NAME: &'static str = "uniform";
}

/// What the critics' step found: the weighted gap, a mean over the critics, `[1]`.
#[derive(Resource)]
pub struct ConservativeGap(Tensor<1>);

impl Plugin for Cql {
    fn build(&self, app: &mut App) {
        app.insert_resource(self.clone())
            .add_plugins(self.minibatch.plugin(self.discount, self.n_step, false))
            // SAC's networks, its temperature's step and its targets' step.
            .add_plugins(sac::SoftActorCritic {
                critic: self.critic.clone(),
                actor: self.actor.clone(),
                temperature: self.temperature.clone(),
                target_update: self.target_update,
            })
            .add_random::<Uniform>()
            .add_systems(Startup, build_multiplier)
            .add_systems(
                Learn,
                (
                    update_critic.in_set(LearnSystems::Critic),
                    update_actor.in_set(LearnSystems::Actor),
                ),
            )
            .add_systems(Validate, validate.in_set(ValidateSystems::Losses));
        if self.lagrange.is_some() {
            let step = update_lagrange_multiplier;
            app.add_learner::<LagrangeMultiplier>(self.lagrange_optimizer())
                .insert_after(Learn, LearnSystems::Critic, LagrangeMultiplier, step);
        }
    }
}

fn build_multiplier(device: Res<ComputeDevice>, mut commands: Commands) {
    let device = device.plain();
    commands.insert_resource(Net::<LagrangeMultiplier>::new(Scalar::new(0.0, &device)));
    commands.insert_resource(ConservativeGap(Tensor::zeros([1], &device)));
}

/// The two weights of the losses, as constants; each is learned or stays as it begins.
#[derive(SystemParam)]
pub struct Weights<'w> {
    conservatism: Res<'w, Net<LagrangeMultiplier>>,
    temperature: Res<'w, Net<sac::Temperature>>,
}

impl Weights<'_> {
    /// α' `[1]`, within what a 32-bit loss can bear.
    fn conservatism(&self) -> Tensor<1> {
        self.conservatism.value().exp().clamp(0.0, 1e6)
    }

    /// α `[1]`.
    fn temperature(&self) -> Tensor<1> {
        self.temperature.value().exp()
    }

    /// The α of the target, where that has an entropy.
    fn of_target(&self, cql: &Cql) -> Option<Tensor<1>> {
        (!cql.deterministic_backup).then(|| self.temperature())
    }
}

/// ln Σ exp (Q − ln density) over the actions of each row, with densities as importance weights: values and log-densities
/// `[members, batch · n]` of each kind of action, to `[members, batch]`.
fn soft_maximum(kinds: Vec<(Tensor<2>, Tensor<2>)>, batch: usize) -> Tensor<2> {
    let mut members = 0;
    let kinds = kinds.into_iter().map(|(q, log_density)| {
        let [m, rows] = q.dims();
        members = m;
        (q - log_density).reshape([m * batch, rows / batch])
    });
    let all = Tensor::cat(kinds.collect(), 1);
    log_sum_exp(all).reshape([members, batch])
}

/// Actions of which the critics' values are pushed down: uniform ones, and the policy's at s' and at s, each kind
/// `[batch · n, action]` with its log-densities `[1, batch · n]`; `action` are the data's.
fn broad_actions(
    cql: &Cql,
    action: &Tensor<2>,
    here: &ActionDistribution,
    there: &ActionDistribution,
    noise: &mut Random<Noise>,
    uniform: &mut Random<Uniform>,
) -> Vec<(Tensor<2>, Tensor<2>)> {
    let [rows, width] = action.dims();
    let (rows, device) = (rows * cql.actions, action.device());
    let anywhere = uniform.uniform_like(&Tensor::empty([rows, width], &device), -1.0, 1.0);
    let log_density = Tensor::full([1, rows], width as f32 * 0.5_f32.ln(), &device);
    let here = here.repeat_rows(cql.actions).draw(noise);
    let there = there.repeat_rows(cql.actions).draw(noise);
    vec![
        (anywhere, log_density),
        (there.action, there.log_probability.unsqueeze::<2>()),
        (here.action, here.log_probability.unsqueeze::<2>()),
    ]
}

/// Each critic's squared temporal difference and its weighted gap, both `[members]`.
fn critic_terms(
    cql: &Cql,
    batch: &Batch,
    critic: &CriticNetwork,
    y: Tensor<1>,
    broad: Vec<(Tensor<2>, Tensor<2>)>,
) -> (Tensor<1>, Tensor<1>) {
    let q = critic.q(batch.observation.clone(), batch.action.clone());
    let copies = repeat_rows(batch.observation.clone(), cql.actions);
    let kinds = broad.into_iter().map(|(action, log_density)| {
        let log_density = log_density.repeat_dim(0, cql.critic.ensemble.n);
        let log_density = log_density.constant_of(&q);
        (critic.q(copies.clone(), action), log_density)
    });
    let everywhere = soft_maximum(kinds.collect(), batch.rows());
    let gap = (everywhere - q.clone()).mean_dim(1).squeeze_dim::<1>(1) * cql.weight;
    (cql.critic.losses(q, y, batch.weight.clone()), gap)
}

/// The loss of each critic, `[members]`: the temporal difference, and α' times the gap over its threshold.
fn critic_losses(
    cql: &Cql,
    difference: Tensor<1>,
    gap: Tensor<1>,
    multiplier: Tensor<1>,
) -> Tensor<1> {
    let excess = gap - cql.lagrange.unwrap_or(0.0);
    difference + multiplier.constant_of(&excess) * excess
}

/// The actor's loss `[1]`: mean(α ln π − goal), the goal being the values or the data's likelihood.
fn actor_loss(temperature: Tensor<1>, log_probability: Tensor<1>, goal: Tensor<1>) -> Tensor<1> {
    let temperature = temperature.constant_of(&log_probability);
    (temperature * log_probability - goal).mean()
}

/// The critics' step: the temporal difference, and α' times the gap between all actions' values and the data's.
pub fn update_critic(
    (cql, soft): (Res<Cql>, Res<sac::SoftActorCritic>),
    batch: Res<Batch>,
    actor: Res<Net<Actor>>,
    target_critic: Res<Target<Critic>>,
    weights: Weights,
    (mut noise, mut uniform): (ResMut<Random<Noise>>, ResMut<Random<Uniform>>),
    mut critic: Learning<Critic>,
    mut found: ResMut<ConservativeGap>,
    mut metrics: ResMut<Metrics>,
) -> Result {
    let here = actor.distribution(batch.observation.clone());
    let there = actor.distribution(batch.next_observation.clone());
    let alpha = weights.of_target(&cql);
    let y = sac::q_target(&soft, &batch, &there, &target_critic, alpha, &mut noise);
    metrics.record("critic/q_target", y.clone().mean());
    let terminated = batch.terminated.clone().mean();
    metrics.record("critic/terminated_fraction", terminated);

    let broad = broad_actions(&cql, &batch.action, &here, &there, &mut noise, &mut uniform);
    let (difference, gap) = critic_terms(&cql, &batch, &critic, y, broad);
    found.0 = gap.clone().mean().no_grad();
    metrics.record("critic/conservative_gap", found.0.clone());
    let losses = critic_losses(&cql, difference, gap, weights.conservatism());
    metrics.record_each("critic", "loss", losses.clone());
    let loss = losses.sum();
    metrics.record("critic/loss", loss.clone());
    let step = critic.descend(loss)?;
    metrics.record_each("critic", "gradient_norm", step.gradient_norm);
    Ok(())
}

/// The multiplier's step, up the dual: −α' (gap − threshold), so that it rises where the gap is too large.
pub fn update_lagrange_multiplier(
    cql: Res<Cql>,
    gap: Res<ConservativeGap>,
    mut weight: Learning<LagrangeMultiplier>,
    mut metrics: ResMut<Metrics>,
) -> Result {
    let excess = gap.0.clone() - cql.lagrange.unwrap_or(0.0);
    let multiplier = weight.value().exp().clamp(0.0, 1e6);
    metrics.record("lagrange_multiplier/weight", multiplier.clone());
    let loss = (multiplier * excess.stop_gradient()).neg();
    metrics.record("lagrange_multiplier/loss", loss.clone());
    weight.descend(loss)?;
    Ok(())
}

/// The policy's step: up the least critic's values and its own entropy, α ln π − min Q; at first, α ln π − ln π(a | s) of the data.
pub fn update_actor(
    cql: Res<Cql>,
    batch: Res<Batch>,
    tick: Res<Tick<Actor>>,
    critic: Res<Net<Critic>>,
    weights: Weights,
    mut noise: ResMut<Random<Noise>>,
    mut actor: Learning<Actor>,
    mut entropy: ResMut<sac::PolicyEntropy>,
    mut metrics: ResMut<Metrics>,
) -> Result {
    let policy = actor.distribution(batch.observation.clone());
    let drawn = policy.draw(&mut noise);
    let goal = if tick.count <= cql.imitation_steps {
        policy.log_probability(batch.action.clone())
    } else {
        sac::least_q(&critic, &batch, drawn.action)
    };
    let temperature = weights.temperature();
    entropy.0 = drawn.log_probability.clone().no_grad().mean().neg();
    metrics.record("actor/entropy", entropy.0.clone());
    let loss = actor_loss(temperature, drawn.log_probability, goal);
    metrics.record("actor/loss", loss.clone());
    let step = actor.descend(loss)?;
    metrics.record("actor/gradient_norm", step.gradient_norm);
    Ok(())
}

/// The same losses on held-out rows, with draws of their own.
fn validate(
    (cql, soft): (Res<Cql>, Res<sac::SoftActorCritic>),
    batch: Res<Batch>,
    actor: Res<Net<Actor>>,
    critic: Res<Net<Critic>>,
    target_critic: Res<Target<Critic>>,
    weights: Weights,
    mut metrics: ResMut<Metrics>,
) {
    let mut noise = batch.stream::<Noise>();
    let mut uniform = batch.stream::<Uniform>();
    let here = actor.distribution(batch.observation.clone());
    let there = actor.distribution(batch.next_observation.clone());
    let alpha = weights.of_target(&cql);
    let y = sac::q_target(&soft, &batch, &there, &target_critic, alpha, &mut noise);
    let broad = broad_actions(&cql, &batch.action, &here, &there, &mut noise, &mut uniform);
    let q = critic.q(batch.observation.clone(), batch.action.clone());
    metrics.record("validate/critic/td_error", measures::td_error(q, y.clone()));
    let (difference, gap) = critic_terms(&cql, &batch, &critic, y, broad);
    let losses = critic_losses(&cql, difference, gap, weights.conservatism());
    metrics.record_each("validate/critic", "loss", losses.clone());
    metrics.record("validate/critic/loss", losses.sum());
    let drawn = here.draw(&mut noise);
    let q = sac::least_q(&critic, &batch, drawn.action);
    let loss = actor_loss(weights.temperature(), drawn.log_probability, q);
    metrics.record("validate/actor/loss", loss);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_maximum_weighs_each_action_by_the_inverse_of_its_density() {
        let device = ComputeDevice::cpu().plain();
        let tensor = |values: [f32; 4]| Tensor::<2>::from_floats([values], &device);
        // Two rows with two actions of each kind.
        let kinds = vec![
            (tensor([1.0, 2.0, 0.0, 0.0]), tensor([0.5_f32.ln(); 4])),
            (
                tensor([3.0, -1.0, 100.0, 100.0]),
                tensor([0.25, -0.5, 0.0, 0.0]),
            ),
        ];
        let found: Vec<f32> = soft_maximum(kinds, 2).into_data().into_vec().unwrap();
        // ln(2 e + 2 e^2 + e^2.75 + e^-0.5), and ln(2 + 2 + 2 e^100) = 100 + ln 2: e^100 is infinite in 32 bits.
        assert!((found[0] - 3.596_321).abs() < 1e-5, "{found:?}");
        assert!((found[1] - 100.693_15).abs() < 1e-4, "{found:?}");
    }
}
