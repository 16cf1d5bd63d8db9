//! CQL: SAC whose critics are also pushed down where the data has no actions, so that they never promise too much.
//!
//! Kumar, Zhou, Tucker & Levine 2020, "Conservative Q-Learning for Offline Reinforcement Learning",
//! <https://arxiv.org/abs/2006.04779>, on SAC (Haarnoja et al. 2018, <https://arxiv.org/abs/1812.05905>). The file reads from top
//! to bottom as algorithm 1 does: settings, networks, the critics with CQL(H) (equation 4), the multiplier α', the policy with
//! its temperature, targets. `docs/cql.md` lists every difference from the authors' code and from robomimic's.

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
    /// Actions of each of three kinds that the sum over all actions is estimated with: uniform, and the policy's at s and at s'.
    #[reflect(@Bounds::within(1.0, 10_000.0))]
    pub actions: usize,
    /// Whether the target is without the policy's entropy.
    pub deterministic_backup: bool,
    /// The policy's entropy that the temperature aims at. None: minus the number of the action's elements.
    pub target_entropy: Option<f32>,
    /// The temperature α, where it is not learned. None: it is learned, from 1 on.
    #[reflect(@Bounds::at_least(0.0))]
    pub fixed_temperature: Option<f32>,
    /// Gradient steps at the beginning in which the policy imitates the data's actions instead of climbing the critics.
    pub imitation_steps: u64,
    /// Discount γ of future rewards.
    #[reflect(@Bounds::within(0.0, 1.0))]
    pub discount: f32,
    /// Rewards that are folded into one target, cut at the end of an episode.
    #[reflect(@Bounds::at_least(1.0))]
    pub n_step: usize,
    /// τ of the target critics' soft updates, θ' ← τ θ + (1 − τ) θ'.
    #[reflect(@Bounds::within(0.0, 1.0))]
    pub target_tau: f32,
    /// Rows in a minibatch.
    #[reflect(@Bounds::within(1.0, 10_000_000.0))]
    pub batch: usize,
    /// Gradient steps in an epoch. None: rows / batch, rounded up.
    #[reflect(@Bounds::at_least(1.0))]
    pub steps_per_epoch: Option<u64>,
    /// The action values. Its optimizer and rate are the multiplier's, too.
    pub critic: NetworkSettings,
    /// How many critics; the least of their values counts.
    #[reflect(@Bounds::within(1.0, 1_000.0))]
    pub critics: usize,
    /// Whether the temporal difference's loss is smooth L1 (β = 1) instead of squared.
    pub huber: bool,
    /// The range that values are squashed into by a tanh. None: unbounded.
    pub value_bounds: Option<ValueBounds>,
    /// The policy. Its optimizer and rate are the temperature's, too.
    pub actor: NetworkSettings,
}

impl Default for Cql {
    /// The authors' script's for locomotion.
    fn default() -> Self {
        let network = |rate| NetworkSettings {
            encoder: EncoderSettings::from(&[256, 256, 256]),
            learning_rate: LearningRate::Constant(rate),
            ..default()
        };
        Cql {
            weight: 1.0,
            lagrange: Some(5.0),
            actions: 10,
            deterministic_backup: true,
            target_entropy: None,
            fixed_temperature: None,
            imitation_steps: 40_000,
            discount: 0.99,
            n_step: 1,
            target_tau: 0.005,
            batch: 256,
            steps_per_epoch: None,
            critic: network(3e-4),
            critics: 2,
            huber: false,
            value_bounds: None,
            actor: network(1e-4),
        }
    }
}

impl Settings for Cql {
    fn check(&self, problems: &mut FieldProblems) {
        let is_empty = |bounds: ValueBounds| bounds.low >= bounds.high;
        if self.value_bounds.is_some_and(is_empty) {
            problems.refuse("value_bounds", "`low` must be below `high`");
        }
    }
}

/// ln α' of the multiplier.
pub struct Conservatism;

impl Role for Conservatism {
    type Network = Scalar;
    const NAME: &'static str = "conservatism";
}

/// ln α of the temperature.
pub struct EntropyWeight;

impl Role for EntropyWeight {
    type Network = Scalar;
    const NAME: &'static str = "temperature";
}

/// Uniform actions.
pub struct Uniform;

impl Purpose for Uniform {
    const NAME: &'static str = "uniform";
}

/// The slot of the multiplier's step, directly after that of the critics.
#[derive(SystemSet, Clone, Debug, PartialEq, Eq, Hash)]
pub struct ConservatismStep;

/// The slot of the temperature's step, directly after that of the policy.
#[derive(SystemSet, Clone, Debug, PartialEq, Eq, Hash)]
pub struct TemperatureStep;

/// What the critics' step found: the weighted gap, a mean over the critics, `[1]`.
#[derive(Resource)]
pub struct Gap(Tensor<1>);

/// What the policy's step found: the mean log-probability of the actions that it drew, `[1]`.
#[derive(Resource)]
pub struct LogProbability(Tensor<1>);

impl Plugin for Cql {
    fn build(&self, app: &mut App) {
        app.insert_resource(self.clone())
            .add_plugins(MinibatchPlugin {
                batch: self.batch,
                steps_per_epoch: self.steps_per_epoch,
                discount: self.discount,
                n_step: self.n_step,
                infinite_horizon: false,
            })
            .add_learner::<Critic>(self.critic.learner())
            .add_learner::<Actor>(self.actor.learner())
            .add_target::<Critic>()
            .acts_with::<Actor>()
            .trains_on(TrainsOn::Continuous)
            .add_random::<Noise>()
            .add_random::<Uniform>()
            .add_systems(Startup, build_networks)
            .add_systems(
                Learn,
                (
                    update_critic.in_set(LearnSystems::Critic),
                    update_actor.in_set(LearnSystems::Actor),
                    track_targets.in_set(LearnSystems::Targets),
                ),
            )
            .add_systems(Validate, validate.in_set(ValidateSystems::Losses));
        let scalar = |of: &NetworkSettings| Learner {
            l2: 0.0,
            max_gradient_norm: None,
            ..of.learner()
        };
        if self.lagrange.is_some() {
            let step = update_conservatism;
            app.add_learner::<Conservatism>(scalar(&self.critic))
                .insert_after(Learn, LearnSystems::Critic, ConservatismStep, step);
        }
        if self.fixed_temperature.is_none() {
            let step = update_temperature;
            app.add_learner::<EntropyWeight>(scalar(&self.actor))
                .insert_after(Learn, LearnSystems::Actor, TemperatureStep, step);
        }
    }
}

fn build_networks(cql: Res<Cql>, mut networks: Networks, mut commands: Commands) -> Result {
    let actor = networks.actor(cql.actor.layers(), ActorHead::SquashedGaussian)?;
    let head = CriticHead::Continuous {
        action: networks.action(),
        bounds: cql.value_bounds,
    };
    let critic = networks.critic(cql.critic.layers(), head, cql.critics)?;
    let device = networks.device();
    networks.insert::<Actor>(actor);
    networks.insert_with_target::<Critic>(critic);
    let nothing = || Tensor::zeros([1], &device.clone().inner());
    if cql.lagrange.is_some() {
        networks.insert::<Conservatism>(Scalar::new(0.0, &device));
        commands.insert_resource(Gap(nothing()));
    }
    if cql.fixed_temperature.is_none() {
        networks.insert::<EntropyWeight>(Scalar::new(0.0, &device));
    }
    commands.insert_resource(LogProbability(nothing()));
    Ok(())
}

/// The two learned weights, as constants of the losses; each is there only where it is learned.
#[derive(SystemParam)]
pub struct Weights<'w> {
    conservatism: Option<Res<'w, Net<Conservatism>>>,
    entropy: Option<Res<'w, Net<EntropyWeight>>>,
}

impl Weights<'_> {
    /// α' `[1]`, within what a 32-bit loss can bear; 1 where it is not learned.
    fn conservatism(&self, batch: &Batch) -> Tensor<1> {
        match &self.conservatism {
            Some(weight) => weight.value().exp().clamp(0.0, 1e6),
            None => Tensor::ones([1], &batch.reward.device()),
        }
    }

    /// α `[1]`.
    fn temperature(&self, cql: &Cql, batch: &Batch) -> Tensor<1> {
        match (cql.fixed_temperature, &self.entropy) {
            (None, Some(weight)) => weight.value().exp(),
            (fixed, _) => Tensor::full([1], fixed.unwrap_or(1.0), &batch.reward.device()),
        }
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
    let anywhere = TensorData::new(uniform.uniforms(rows * width, -1.0, 1.0), [rows, width]);
    let log_density = width as f32 * 0.5_f32.ln();
    let here = here.repeat_rows(cql.actions).draw(noise);
    let there = there.repeat_rows(cql.actions).draw(noise);
    vec![
        (
            Tensor::from_data(anywhere, &device),
            Tensor::full([1, rows], log_density, &device),
        ),
        (there.action, there.log_probability.unsqueeze::<2>()),
        (here.action, here.log_probability.unsqueeze::<2>()),
    ]
}

/// y = r + γⁿ (min Q'(s', a') − α ln π(a' | s')) with a' from the policy, the last term only where it is asked for; `[batch]`.
fn q_target(
    cql: &Cql,
    batch: &Batch,
    there: &ActionDistribution,
    critic: &Target<Critic>,
    weights: &Weights,
    noise: &mut Random<Noise>,
) -> Tensor<1> {
    let drawn = there.draw(noise);
    let q = critic.q(batch.next_observation.clone(), drawn.action);
    let mut q = q.min_dim(0).squeeze_dim::<1>(0);
    if !cql.deterministic_backup {
        q = q - weights.temperature(cql, batch) * drawn.log_probability;
    }
    batch.reward.clone() + batch.bootstrap.clone() * q
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
        (
            critic.q(copies.clone(), action),
            log_density.repeat_dim(0, cql.critics).constant_of(&q),
        )
    });
    let everywhere = soft_maximum(kinds.collect(), batch.rows());
    let gap = (everywhere - q.clone()).mean_dim(1).squeeze_dim::<1>(1) * cql.weight;
    let difference = if cql.huber {
        losses::smooth_l1_of_each(q, y)
    } else {
        losses::mse_of_each(q, y)
    };
    (difference, gap)
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
    cql: Res<Cql>,
    batch: Res<Batch>,
    actor: Res<Net<Actor>>,
    target_critic: Res<Target<Critic>>,
    weights: Weights,
    (mut noise, mut uniform): (ResMut<Random<Noise>>, ResMut<Random<Uniform>>),
    mut critic: Learning<Critic>,
    mut gap_found: Option<ResMut<Gap>>,
    mut metrics: ResMut<Metrics>,
) -> Result {
    let here = actor.distribution(batch.observation.clone());
    let there = actor.distribution(batch.next_observation.clone());
    let y = q_target(&cql, &batch, &there, &target_critic, &weights, &mut noise);
    metrics.record("critic/q_target", y.clone().mean());
    metrics.record("critic/done_share", batch.terminal.clone().mean());

    let broad = broad_actions(&cql, &batch.action, &here, &there, &mut noise, &mut uniform);
    let (difference, gap) = critic_terms(&cql, &batch, &critic, y, broad);
    let mean_gap = gap.clone().mean().no_grad();
    metrics.record("critic/gap", mean_gap.clone());
    let losses = critic_losses(&cql, difference, gap, weights.conservatism(&batch));
    metrics.record_each("critic", "loss", losses.clone());
    let loss = losses.sum();
    metrics.record("critic/loss", loss.clone());
    let step = critic.descend(loss)?;
    metrics.record_each("critic", "gradient_norm", step.gradient_norm);
    if let Some(found) = &mut gap_found {
        found.0 = mean_gap;
    }
    Ok(())
}

/// The multiplier's step, up the dual: −α' (gap − threshold), so that it rises where the gap is too large.
pub fn update_conservatism(
    cql: Res<Cql>,
    gap: Res<Gap>,
    mut weight: Learning<Conservatism>,
    mut metrics: ResMut<Metrics>,
) -> Result {
    let excess = gap.0.clone() - cql.lagrange.unwrap_or(0.0);
    let multiplier = weight.value().exp().clamp(0.0, 1e6);
    metrics.record("conservatism/weight", multiplier.clone());
    let loss = (multiplier * excess.stop_gradient()).neg();
    metrics.record("conservatism/loss", loss.clone());
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
    mut found: ResMut<LogProbability>,
    mut metrics: ResMut<Metrics>,
) -> Result {
    let policy = actor.distribution(batch.observation.clone());
    let drawn = policy.draw(&mut noise);
    let goal = if tick.count <= cql.imitation_steps {
        policy.log_probability(batch.action.clone())
    } else {
        let q = critic.q(batch.observation.clone(), drawn.action);
        q.min_dim(0).squeeze_dim::<1>(0)
    };
    let temperature = weights.temperature(&cql, &batch);
    let entropy = drawn.log_probability.clone().mean().no_grad();
    metrics.record("actor/log_probability", entropy.clone());
    let loss = actor_loss(temperature, drawn.log_probability, goal);
    metrics.record("actor/loss", loss.clone());
    let step = actor.descend(loss)?;
    metrics.record("actor/gradient_norm", step.gradient_norm);
    found.0 = entropy;
    Ok(())
}

/// The temperature's step: −ln α (ln π + target entropy), so that it rises where the policy has too little entropy.
pub fn update_temperature(
    cql: Res<Cql>,
    batch: Res<Batch>,
    found: Res<LogProbability>,
    mut weight: Learning<EntropyWeight>,
    mut metrics: ResMut<Metrics>,
) -> Result {
    let elements = batch.action.dims()[1] as f32;
    let lacking = found.0.clone() + cql.target_entropy.unwrap_or(-elements);
    let log_weight = weight.value();
    metrics.record("temperature/weight", log_weight.clone().exp());
    let loss = (log_weight * lacking.stop_gradient()).neg();
    metrics.record("temperature/loss", loss.clone());
    weight.descend(loss)?;
    Ok(())
}

/// The target critics follow softly: θ' ← τ θ + (1 − τ) θ'.
pub fn track_targets(cql: Res<Cql>, mut critic: Tracking<Critic>) {
    critic.soft(cql.target_tau);
}

/// The same losses on held-out rows, with draws of their own.
fn validate(
    cql: Res<Cql>,
    batch: Res<Batch>,
    actor: Res<Net<Actor>>,
    critic: Res<Net<Critic>>,
    target_critic: Res<Target<Critic>>,
    weights: Weights,
    mut metrics: ResMut<Metrics>,
) {
    let mut noise = Random::<Noise>::forked(Seed(0), 1);
    let mut uniform = Random::<Uniform>::forked(Seed(0), 1);
    let here = actor.distribution(batch.observation.clone());
    let there = actor.distribution(batch.next_observation.clone());
    let y = q_target(&cql, &batch, &there, &target_critic, &weights, &mut noise);
    let broad = broad_actions(&cql, &batch.action, &here, &there, &mut noise, &mut uniform);
    let (difference, gap) = critic_terms(&cql, &batch, &critic, y, broad);
    let losses = critic_losses(&cql, difference, gap, weights.conservatism(&batch));
    metrics.record("validate/critic/loss", losses.sum());
    let drawn = here.draw(&mut noise);
    let q = critic.q(batch.observation.clone(), drawn.action);
    let q = q.min_dim(0).squeeze_dim::<1>(0);
    let temperature = weights.temperature(&cql, &batch);
    let loss = actor_loss(temperature, drawn.log_probability, q);
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
