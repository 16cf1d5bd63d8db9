//! DQN: action values of a few choices, with a replay buffer and a target network; double and dueling where asked.
//!
//! Mnih et al. 2015, "Human-level control through deep reinforcement learning", <https://doi.org/10.1038/nature14236>;
//! van Hasselt et al. 2016, "Deep Reinforcement Learning with Double Q-learning", <https://arxiv.org/abs/1509.06461>; Wang et al.
//! 2016, "Dueling Network Architectures", <https://arxiv.org/abs/1511.06581>. The file reads from top to bottom as the first one's
//! algorithm 1 does: settings, network, exploration, values, target. `docs/dqn.md` lists every difference from the papers.

use yarak::prelude::*;

/// DQN: action values of a few choices, with a replay buffer and a target network (Mnih et al. 2015, <https://doi.org/10.1038/nature14236>).
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
    /// How the target follows: a hard copy every so many gradient steps, or softly by τ. It starts as a copy.
    pub target_update: TargetUpdate,
    /// τ of soft updates, θ' ← τ θ + (1 − τ) θ'.
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
    /// ε: the share of actions that are random, over the environment steps.
    pub exploration: Annealed,
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
            target_update: TargetUpdate::Hard(10_000),
            target_tau: 0.005,
            batch: 32,
            steps_per_epoch: None,
            warm_up: 50_000,
            train_every: 4,
            gradient_steps: 1,
            exploration: Annealed::Linear {
                start: 1.0,
                end: 0.1,
                steps: 1_000_000,
            },
            dueling: false,
            huber: true,
            critic: NetworkSettings {
                learning_rate: LearningRate::Constant(1e-4),
                ..default()
            },
        }
    }
}

impl Settings for Dqn {
    fn check(&self, problems: &mut FieldProblems) {
        let (start, end) = (self.exploration.at(0), self.exploration.at(u64::MAX));
        if start.max(end) > 1.0 {
            problems.refuse("exploration", "is a share of the actions: at most 1.0");
        }
    }
}

impl Plugin for Dqn {
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
            .add_target::<Critic>()
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
            );
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

/// The actions that are tried out: uniform among the choices with probability ε, and always while warming up, else the best.
pub fn explore(
    dqn: Res<Dqn>,
    clock: Res<Clock>,
    critic: Res<Net<Critic>>,
    mut exploring: Exploring,
) -> Result {
    let n = exploring.actions.values.len();
    let choices = exploring.random.indices(n, critic.discrete_actions());
    let epsilon = if clock.step <= dqn.warm_up {
        1.0
    } else {
        dqn.exploration.at(clock.step)
    };
    let draws = exploring.random.uniforms(n, 0.0, 1.0);
    if draws.iter().any(|draw| *draw >= epsilon) {
        let observation = exploring.observation()?;
        exploring.actions.take(critic.greedy(observation));
    }
    for (index, action) in exploring.actions.values.iter_mut().enumerate() {
        if draws[index] < epsilon {
            *action = choices[index] as f32;
        }
    }
    Ok(())
}

/// y = r + γⁿ Q'(s', a'), with γⁿ = 0 after a terminal step, and a' the best action by Q (double) or by Q'; `[batch]`.
pub fn q_target(
    double: bool,
    batch: &Batch,
    critic: &CriticNetwork,
    target: &Target<Critic>,
) -> Tensor<1> {
    let next = batch.next_observation.clone();
    let best = if double {
        critic.greedy(next.clone())
    } else {
        target.greedy(next.clone())
    };
    batch.reward.clone() + batch.bootstrap.clone() * target.q1(next, best)
}

/// The step of the values towards their target.
pub fn update_critic(
    dqn: Res<Dqn>,
    batch: Res<Batch>,
    target: Res<Target<Critic>>,
    mut critic: Learning<Critic>,
    mut metrics: ResMut<Metrics>,
) -> Result {
    let y = q_target(dqn.double, &batch, critic.plain(), &target);
    metrics.record("critic/q_target", y.clone().mean());

    let (s, a) = (batch.observation.clone(), batch.action.clone());
    let q = critic.q(s, a);
    let loss = if dqn.huber {
        losses::smooth_l1_of_each(q, y)
    } else {
        losses::mse_of_each(q, y)
    };
    metrics.record("critic/loss", loss.clone());
    let step = critic.descend(loss)?;
    metrics.record("critic/gradient_norm", step.gradient_norm);
    Ok(())
}

/// The target follows: a copy every so many gradient steps, or θ' ← τ θ + (1 − τ) θ'.
pub fn track_target(dqn: Res<Dqn>, tick: Res<Tick<Critic>>, mut critic: Tracking<Critic>) {
    critic.follow(dqn.target_update, dqn.target_tau, tick.count);
}
