//! DQN: action values of a few discrete actions, with a replay buffer and a target network; double and dueling where asked.
//!
//! Mnih et al. 2015, "Human-level control through deep reinforcement learning", <https://doi.org/10.1038/nature14236>;
//! van Hasselt et al. 2016, "Deep Reinforcement Learning with Double Q-learning", <https://arxiv.org/abs/1509.06461>; Wang et al.
//! 2016, "Dueling Network Architectures", <https://arxiv.org/abs/1511.06581>. The file reads from top to bottom as the first one's
//! algorithm 1 does: settings, network, exploration, values, target. `docs/dqn.md` lists every difference from the papers.

use yarak::prelude::*;

/// DQN: action values of a few discrete actions, with a replay buffer and a target network (Mnih et al. 2015, <https://doi.org/10.1038/nature14236>).
#[derive(Clone, Debug, Resource, Reflect)]
#[reflect(@PluginKind::Algorithm)]
pub struct Dqn {
    /// Discount γ of future rewards.
    #[reflect(@Bounds::within(0.0, 1.0))]
    pub discount: f32,
    /// Rewards that are folded into one target, cut at the end of an episode.
    #[reflect(@Bounds::at_least(1.0))]
    pub n_step: usize,
    /// Whether the network chooses the next action and its target values it (double DQN), instead of the target doing both.
    pub double: bool,
    /// How the target follows.
    pub target_update: TargetUpdate,
    /// The minibatches.
    pub minibatch: MinibatchSettings,
    /// When it learns, with environments.
    pub off_policy: OffPolicySettings,
    /// ε: the share of actions that are random, over the environment steps.
    pub exploration: Schedule,
    /// Whether the network has a stream for the state's value and one for the actions' advantages.
    pub dueling: bool,
    /// Whether the loss is smooth L1 (β = 1), the paper's clipped error, instead of squared.
    pub huber: bool,
    /// The action values.
    pub critic: NetworkSettings,
}

impl Default for Dqn {
    fn default() -> Self {
        Dqn {
            discount: 0.99,
            n_step: 1,
            double: true,
            target_update: TargetUpdate {
                every: 10_000,
                tau: 1.0,
            },
            minibatch: MinibatchSettings::of(32),
            off_policy: OffPolicySettings {
                learning_starts: 50_000,
                train_freq: 4,
                gradient_steps: 1,
            },
            exploration: Schedule::Linear {
                initial: 1.0,
                end: 0.1,
                over: Span::Steps(1_000_000),
            },
            dueling: false,
            huber: true,
            critic: NetworkSettings {
                optimizer: OptimizerSettings::at(1e-4),
                ..default()
            },
        }
    }
}

impl Settings for Dqn {
    fn check(&self, problems: &mut FieldProblems) {
        self.exploration.check("exploration", problems);
        if self.exploration.greatest() > 1.0 {
            problems.refuse("exploration", "is a share of the actions: at most 1.0");
        }
        self.critic.check("critic", problems);
    }
}

impl Plugin for Dqn {
    fn build(&self, app: &mut App) {
        let minibatch = self.minibatch.plugin(self.discount, self.n_step, false);
        app.insert_resource(self.clone())
            .add_plugins(self.off_policy.plugin(minibatch))
            .add_learner::<Critic>(self.critic.optimizer.clone())
            .add_target::<Critic>()
            .update_targets_with::<Critic>(self.target_update)
            .acts_with::<Critic>()
            .trains_on(TrainsOn::Discrete)
            .add_systems(Startup, build_network)
            .add_systems(Collect, explore.in_set(CollectSystems::Act))
            .add_systems(
                Learn,
                (
                    update_critic.in_set(LearnSystems::Critic),
                    track_target.in_set(LearnSystems::Targets),
                ),
            )
            .add_systems(Validate, validate.in_set(ValidateSystems::Losses));
    }
}

fn build_network(dqn: Res<Dqn>, mut networks: Networks) -> Result {
    let head = CriticHead::Discrete {
        n: networks.discrete_actions().unwrap_or_default(),
        dueling: dqn.dueling,
    };
    let critic = networks.critic(dqn.critic.layers(), head, 1)?;
    networks.insert_with_target::<Critic>(critic);
    Ok(())
}

/// The actions that are tried out: uniform among the discrete actions with probability ε, and always while warming up, else the best.
pub fn explore(
    dqn: Res<Dqn>,
    clock: Res<Clock>,
    critic: Res<Net<Critic>>,
    mut exploring: Exploring,
) -> Result {
    let n = exploring.actions.values.len();
    let discrete_actions = exploring.random.indices(n, critic.discrete_actions());
    let epsilon = if clock.step <= dqn.off_policy.learning_starts {
        1.0
    } else {
        dqn.exploration.at(clock.step, clock.epoch()) as f32
    };
    let draws = exploring.random.uniforms(n, 0.0, 1.0);
    if draws.iter().any(|draw| *draw >= epsilon) {
        let observation = exploring.observation()?;
        exploring.actions.take(critic.greedy(observation));
    }
    for (index, action) in exploring.actions.values.iter_mut().enumerate() {
        if draws[index] < epsilon {
            *action = discrete_actions[index] as f32;
        }
    }
    Ok(())
}

impl Dqn {
    /// y = r + γⁿ Q'(s', a'), with γⁿ = 0 after a terminal step, and a' the best action by Q (double) or by Q'; `[batch]`.
    pub fn q_target(
        &self,
        batch: &Batch,
        critic: &CriticNetwork,
        target: &Target<Critic>,
    ) -> Tensor<1> {
        let next = batch.next_observation.clone();
        let best = if self.double {
            critic.greedy(next.clone())
        } else {
            target.greedy(next.clone())
        };
        batch.reward.clone() + batch.bootstrap.clone() * target.q1(next, best)
    }
}

/// How far the values `[batch]` are from their target, `[1]`.
fn critic_loss(huber: bool, q: Tensor<1>, y: Tensor<1>, batch: &Batch) -> Tensor<1> {
    match (huber, batch.weight.clone()) {
        (true, None) => losses::smooth_l1_of_each(q.unsqueeze::<2>(), y),
        (false, None) => losses::mse(q, y),
        (true, Some(weight)) => losses::weighted_huber(q, y, 1.0, weight),
        (false, Some(weight)) => losses::weighted_mse(q, y, weight),
    }
}

/// The step of the values towards their target.
pub fn update_critic(
    dqn: Res<Dqn>,
    batch: Res<Batch>,
    target: Res<Target<Critic>>,
    mut critic: Learning<Critic>,
    mut metrics: ResMut<Metrics>,
) -> Result {
    let y = dqn.q_target(&batch, critic.plain(), &target);
    metrics.record("critic/q_target", y.clone().mean());

    let (s, a) = (batch.observation.clone(), batch.action.clone());
    let loss = critic_loss(dqn.huber, critic.q1(s, a), y, &batch);
    metrics.record("critic/loss", loss.clone());
    let step = critic.descend(loss)?;
    metrics.record("critic/gradient_norm", step.gradient_norm);
    Ok(())
}

/// The target follows: θ' ← τ θ + (1 − τ) θ', a copy where τ is 1.
pub fn track_target(update: Res<TargetUpdate>, mut critic: Tracking<Critic>) {
    critic.follow(update.tau);
}

/// The same loss on held-out rows.
fn validate(
    dqn: Res<Dqn>,
    batch: Res<Batch>,
    target: Res<Target<Critic>>,
    critic: Res<Net<Critic>>,
    mut metrics: ResMut<Metrics>,
) {
    let y = dqn.q_target(&batch, &critic, &target);
    let q = critic.q1(batch.observation.clone(), batch.action.clone());
    let error = measures::td_error(q.clone().unsqueeze::<2>(), y.clone());
    metrics.record("validate/critic/td_error", error);
    metrics.record("validate/critic/loss", critic_loss(dqn.huber, q, y, &batch));
}
