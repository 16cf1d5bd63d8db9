//! REDQ: SAC with many critics, of which a few at random make each target, and many gradient steps for a step of the environment.
//!
//! Chen, Wang, Zhou & Ross 2021, "Randomized Ensembled Double Q-Learning: Learning Fast Without a Model",
//! <https://arxiv.org/abs/2101.05982>, on SAC (Haarnoja et al. 2018, <https://arxiv.org/abs/1812.05905>). Networks, temperature and
//! targets are SAC's; what the paper's algorithm 1 changes are the critics' step (lines 7 to 9) and the actor's (line 12), which are
//! this file. N is `critic.ensemble.n`, M is `m`, and the update-to-data ratio G is `off_policy.gradient_steps`.
//!
//! `cargo run --release --example redq -- train examples/redq.ron`

use yarak::prelude::*;

/// REDQ: SAC with N critics, M of which at random make each target, and G gradient steps a step (Chen et al. 2021, <https://arxiv.org/abs/2101.05982>).
#[derive(Clone, Debug, Resource, Reflect)]
#[reflect(@PluginKind::Algorithm)]
pub struct Redq {
    /// M: how many of the critics, drawn for each gradient step, the target is the least of.
    #[reflect(@Bounds::at_least(1.0))]
    pub m: usize,
    /// Discount γ of future rewards.
    #[reflect(@Bounds::within(0.0, 1.0))]
    pub discount: f32,
    /// How the targets follow.
    pub target_update: TargetUpdate,
    /// The minibatches.
    pub minibatch: MinibatchSettings,
    /// When it learns. The actor and the temperature do at the last of the `gradient_steps` of an update.
    pub off_policy: OffPolicySettings,
    /// What entropy is worth.
    pub temperature: sac::TemperatureSettings,
    /// The action values.
    pub critic: CriticSettings,
    /// The policy.
    pub actor: NetworkSettings,
}

impl Default for Redq {
    fn default() -> Self {
        Redq {
            m: 2,
            discount: 0.99,
            target_update: TargetUpdate::default(),
            minibatch: MinibatchSettings::default(),
            off_policy: OffPolicySettings {
                learning_starts: 5_000,
                train_freq: 1,
                gradient_steps: 20,
            },
            temperature: sac::TemperatureSettings::default(),
            critic: CriticSettings {
                ensemble: EnsembleSettings { n: 10, weight: 1.0 },
                ..default()
            },
            actor: NetworkSettings::default(),
        }
    }
}

impl Settings for Redq {
    fn check(&self, problems: &mut FieldProblems) {
        let n = self.critic.ensemble.n;
        if self.m > n {
            let why = format!("the target takes `m` of the {n} critics: at most {n}");
            problems.refuse("m", why);
        }
        self.critic.check("critic", problems);
        self.actor.check("actor", problems);
        self.temperature.check(problems);
    }
}

impl Plugin for Redq {
    fn build(&self, app: &mut App) {
        let minibatch = self.minibatch.plugin(self.discount, 1, false);
        let g = self.off_policy.gradient_steps;
        app.insert_resource(self.clone())
            .add_plugins(self.off_policy.plugin(minibatch))
            .add_plugins(sac::SoftActorCritic {
                critic: self.critic.clone(),
                actor: self.actor.clone(),
                temperature: self.temperature.clone(),
                target_update: self.target_update,
            })
            .add_systems(Collect, sac::explore.in_set(CollectSystems::Act))
            .add_systems(
                Learn,
                (
                    update_critic.in_set(LearnSystems::Critic),
                    update_actor.in_set(LearnSystems::Actor),
                ),
            )
            .configure_sets(
                Learn,
                (
                    LearnSystems::Actor.run_if(every::<Actor>(g)),
                    sac::Temperature.run_if(every::<Actor>(g)),
                ),
            );
    }
}

/// Lines 7 to 9: each critic regresses onto y = r + γ (min over M of Q'(s', ã') − α log π(ã'|s')), with ã' ~ π(s').
pub fn update_critic(
    redq: Res<Redq>,
    batch: Res<Batch>,
    actor: Res<Net<Actor>>,
    target_critic: Res<Target<Critic>>,
    temperature: Res<Net<sac::Temperature>>,
    mut noise: ResMut<Random<Noise>>,
    mut critic: Learning<Critic>,
    mut metrics: ResMut<Metrics>,
) -> Result {
    let next = batch.next_observation.clone();
    let drawn = actor.distribution(next.clone()).draw(&mut noise);
    let members = noise.different_indices(redq.m, redq.critic.ensemble.n);
    let q = target_critic.q_of(&members, next, drawn.action);
    let least = q.min_dim(0).squeeze_dim::<1>(0);
    let value = least - drawn.log_probability * temperature.value().exp();
    let y = batch.reward.clone() + batch.bootstrap.clone() * value;

    let q = critic.q(batch.observation.clone(), batch.action.clone());
    let losses = redq.critic.losses(q, y, batch.weight.clone());
    let loss = losses.sum();
    metrics.record("critic/loss", loss.clone());
    critic.descend(loss)?;
    Ok(())
}

/// Line 12: mean(α log π(ã|s) − mean over N of Q(s, ã)), with ã ~ π(s).
pub fn update_actor(
    batch: Res<Batch>,
    critic: Res<Net<Critic>>,
    temperature: Res<Net<sac::Temperature>>,
    mut noise: ResMut<Random<Noise>>,
    mut actor: Learning<Actor>,
    mut entropy: ResMut<sac::PolicyEntropy>,
    mut metrics: ResMut<Metrics>,
) -> Result {
    let drawn = actor
        .distribution(batch.observation.clone())
        .draw(&mut noise);
    let log_probability = drawn.log_probability;
    // What SAC's step of the temperature compares with its target.
    entropy.0 = log_probability.clone().no_grad().mean().neg();
    metrics.record("actor/entropy", entropy.0.clone());

    let q = critic.q(batch.observation.clone(), drawn.action);
    let q = q.mean_dim(0).squeeze_dim::<1>(0);
    let alpha = temperature.value().exp().stop_gradient();
    let loss = (log_probability * alpha - q).mean();
    metrics.record("actor/loss", loss.clone());
    actor.descend(loss)?;
    Ok(())
}

fn main() -> AppExit {
    yarak::cli::run(|app| {
        app.register_for_scenes::<Redq>();
    })
}
