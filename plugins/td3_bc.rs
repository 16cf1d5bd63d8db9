//! TD3+BC: TD3 whose actor also imitates the data.
//!
//! Fujimoto & Gu 2021, "A Minimalist Approach to Offline Reinforcement Learning", <https://arxiv.org/abs/2106.06860>, on
//! TD3 (Fujimoto et al. 2018, <https://arxiv.org/abs/1802.09477>). What it has of TD3, networks, critics and targets
//! (`plugins/td3.rs`), it inserts; what the paper adds, the actor's step (equations 3-5), is this file.
//! `docs/td3_bc.md` lists every difference from the authors' code and from robomimic's.

use yarak::prelude::*;

/// TD3+BC: TD3 whose actor also imitates the data (Fujimoto & Gu 2021, <https://arxiv.org/abs/2106.06860>).
#[derive(Clone, Debug, Resource, Reflect)]
#[reflect(@PluginKind::Algorithm)]
pub struct Td3Bc {
    /// Weight of the Q term against the imitation term: λ = alpha / mean |Q1(s, π(s))|, without gradient. 0 is behavior cloning.
    #[reflect(@Bounds::at_least(0.0))]
    pub alpha: f32,
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
    /// Where the goal comes from that is appended to every observation, for actor and critic. None: no goal.
    pub goal_mode: Option<GoalMode>,
    /// The action values.
    pub critic: CriticSettings,
    /// The policy.
    pub actor: td3::ActorSettings,
}

impl Default for Td3Bc {
    fn default() -> Self {
        Td3Bc {
            alpha: 2.5,
            discount: 0.99,
            n_step: 1,
            infinite_horizon: false,
            target_update: td3::DELAYED,
            minibatch: MinibatchSettings::default(),
            goal_mode: None,
            critic: CriticSettings::default(),
            actor: td3::ActorSettings::default(),
        }
    }
}

impl Settings for Td3Bc {
    fn check(&self, problems: &mut FieldProblems) {
        if self.infinite_horizon && self.discount == 1.0 {
            problems.refuse(
                "infinite_horizon",
                "has no finite value with discount 1: give a `discount` below 1",
            );
        }
        self.critic.check("critic", problems);
        self.actor.encoder.check("actor.encoder", problems);
        self.actor.optimizer.check("actor.optimizer", problems);
    }
}

impl Plugin for Td3Bc {
    fn build(&self, app: &mut App) {
        app.insert_resource(self.clone())
            .add_plugins(
                self.minibatch
                    .plugin(self.discount, self.n_step, self.infinite_horizon),
            )
            .add_plugins(GoalPlugin {
                mode: self.goal_mode,
            })
            .stacks()
            // TD3's networks, its critics' step and its targets' step.
            .add_plugins(td3::TwinDelayed {
                critic: self.critic.clone(),
                actor: self.actor.clone(),
                target_update: self.target_update,
            })
            .add_systems(Learn, update_actor.in_set(LearnSystems::Actor))
            .add_systems(Validate, validate.in_set(ValidateSystems::Losses));
    }
}

/// −λ · mean Q1(s, π(s)) + mean((π(s) − a)²), with λ = alpha / mean |Q1(s, π(s))| without gradient; `[1]`, or `[learners]` of a stack.
fn actor_loss(
    alpha: f32,
    actor: &ActorNetwork,
    critic: &CriticNetwork,
    batch: &Batch,
) -> Tensor<1> {
    let action = actor.act(batch.observation.clone());
    let imitation = batch.mse(action.clone(), batch.action.clone());
    if alpha == 0.0 {
        return imitation;
    }
    let q1 = critic.q1(batch.observation.clone(), action);
    imitation - weighed(alpha, q1, batch)
}

/// λ · mean Q1, `[learners]`.
fn weighed(alpha: f32, q1: Tensor<1>, batch: &Batch) -> Tensor<1> {
    let lambda = batch.mean(q1.clone().detach().abs()).recip() * alpha;
    lambda * batch.mean(q1)
}

/// The actor's step: up the first critic's values, towards the data's actions.
pub fn update_actor(
    td3: Res<Td3Bc>,
    batch: Res<Batch>,
    critic: Res<Net<Critic>>,
    mut actor: Learning<Actor>,
    mut metrics: ResMut<Metrics>,
) -> Result {
    let loss = actor_loss(td3.alpha, &actor, &critic, &batch);
    metrics.record("actor/loss", loss.clone());
    let step = actor.descend(loss)?;
    metrics.record("actor/gradient_norm", step.gradient_norm);
    Ok(())
}

/// The same losses on held-out rows, with noise of its own.
fn validate(
    (settings, td3): (Res<Td3Bc>, Res<td3::TwinDelayed>),
    batch: Res<Batch>,
    target_actor: Res<Target<Actor>>,
    target_critic: Res<Target<Critic>>,
    actor: Res<Net<Actor>>,
    critic: Res<Net<Critic>>,
    mut metrics: ResMut<Metrics>,
) {
    let targets = (&*target_actor, &*target_critic);
    td3::validate_critics(&td3, &batch, &critic, targets, &mut metrics);
    let loss = actor_loss(settings.alpha, &actor, &critic, &batch);
    metrics.record("validate/actor/loss", loss);
}

#[cfg(test)]
mod tests {
    use super::*;
    use yarak::testing::{Mistake, Trial};

    fn small() -> Trial {
        let mut td3 = Td3Bc {
            minibatch: MinibatchSettings::of(64),
            ..default()
        };
        td3.actor.encoder.set_hidden_sizes(&[32]);
        td3.critic.encoder.set_hidden_sizes(&[32]);
        td3.actor.optimizer.learning_rate = Schedule::Constant(3e-3);
        td3.critic.optimizer.learning_rate = Schedule::Constant(3e-3);
        Trial::of(td3)
    }

    #[test]
    fn each_step_changes_its_network_and_no_other() -> Result<(), Mistake> {
        small().networks_exist(&["actor", "critic"])?;
        small().one_writer_for_each_network()?;
        small().changes(&[
            (LearnSystems::Critic, &["critic"]),
            (LearnSystems::Actor, &["actor"]),
            (LearnSystems::Targets, &["target_actor", "target_critic"]),
        ])
    }

    #[test]
    fn targets_follow_by_tau_and_carry_no_gradient() -> Result<(), Mistake> {
        small().targets_follow(0.005)?;
        small().targets_are_detached("critic")?;
        small().terminals_stop_the_bootstrap("critic")
    }

    #[test]
    fn runs_repeat_resume_and_are_not_moved_by_looking() -> Result<(), Mistake> {
        small().looking_changes_nothing()?;
        small().same_seed_same_bits()?;
        small().resumes_exactly()
    }

    #[test]
    fn it_learns_to_imitate_and_from_rewards() -> Result<(), Mistake> {
        small().losses_are_finite()?;
        small().learns_to_imitate(1_000)?;
        small().learns_from_rewards(1_500)
    }

    #[test]
    fn lambda_normalizes_the_q_term_and_carries_no_gradient() {
        let device = ComputeDevice::cpu().autodiff();
        let q1 = Tensor::<1>::from_floats([4.0, 0.0], &device).require_grad();
        let imitation = Tensor::<1>::from_floats([0.1], &device);
        let batch = Batch::empty(1, 1, &device);
        let loss = imitation - weighed(2.5, q1.clone(), &batch);
        assert!((loss.clone().into_scalar::<f32>() + 2.4).abs() < 1e-6);
        // -lambda / 2 for each of the two: with a gradient through lambda the first would differ.
        let gradient = q1.grad(&loss.backward()).unwrap().into_data();
        assert_eq!(gradient.to_vec::<f32>().unwrap(), [-0.625, -0.625]);
    }
}
