//! What the algorithms share that learn from their own policy's samples: the policy with its entropy bonus, the state values with
//! GAE(λ), and the steps that train both.
//!
//! REINFORCE adds [`PolicyGradient`], A2C and PPO add [`StateValues`] to it. Advantages and losses are each algorithm's own, but for
//! what A2C and REINFORCE have in common. Generalized advantages: Schulman et al. 2016, <https://arxiv.org/abs/1506.02438>.

use yarak::prelude::*;

/// The policy.
#[derive(Clone, Debug, Reflect)]
pub struct PolicySettings {
    /// Widths of the hidden layers.
    #[reflect(@Bounds::within(1.0, 65_536.0))]
    pub layers: Vec<usize>,
    /// What stands behind each hidden layer.
    pub activation: Activation,
    /// Over numbers: ln σ at the beginning.
    #[reflect(@Bounds::within(-20.0, 2.0))]
    pub log_std: f32,
    /// How it is trained.
    pub optimizer: OptimizerSettings,
}

/// The state values.
#[derive(Clone, Debug, Reflect)]
pub struct ValueSettings {
    /// Widths of the hidden layers.
    #[reflect(@Bounds::within(1.0, 65_536.0))]
    pub layers: Vec<usize>,
    /// What stands behind each hidden layer.
    pub activation: Activation,
    /// How it is trained.
    pub optimizer: OptimizerSettings,
}

impl Default for PolicySettings {
    fn default() -> Self {
        PolicySettings {
            layers: vec![64, 64],
            activation: Activation::Tanh,
            log_std: 0.0,
            optimizer: OptimizerSettings::default(),
        }
    }
}

impl Default for ValueSettings {
    fn default() -> Self {
        ValueSettings {
            layers: vec![64, 64],
            activation: Activation::Tanh,
            optimizer: OptimizerSettings::default(),
        }
    }
}

impl PolicySettings {
    /// Refuses what contradicts itself.
    pub fn check(&self, problems: &mut FieldProblems) {
        self.optimizer.check("actor.optimizer", problems);
    }
}

impl ValueSettings {
    /// Refuses what contradicts itself.
    pub fn check(&self, problems: &mut FieldProblems) {
        self.optimizer.check("critic.optimizer", problems);
    }
}

/// The policy and its draws, filled from each algorithm's own settings.
#[derive(Clone, Debug, Resource)]
pub struct PolicyGradient {
    /// The policy.
    pub actor: PolicySettings,
    /// Weight of the policy's entropy.
    pub entropy_coefficient: f32,
}

impl Plugin for PolicyGradient {
    fn build(&self, app: &mut App) {
        let actor = &self.actor;
        app.insert_resource(self.clone())
            .add_learner::<SpaceActor>(actor.optimizer.clone())
            .acts_with::<SpaceActor>()
            .add_random::<Init>()
            .add_systems(Startup, build_actor)
            .add_systems(Collect, draw_actions.in_set(CollectSystems::Act));
    }
}

/// Inserts the policy: over the choices of a discrete action space, else over numbers.
pub fn build_actor(
    settings: Res<PolicyGradient>,
    preprocessing: Res<Preprocessing>,
    spaces: Option<Res<Spaces>>,
    device: Res<ComputeDevice>,
    mut init: ResMut<Random<Init>>,
    mut commands: Commands,
) -> Result {
    let [observation, width] = preprocessing.widths();
    let action = match spaces.map(|spaces| spaces.action.clone()) {
        Some(Space::Discrete { n }) => ActionKind::Choices(n),
        Some(Space::Dict { .. }) => return Err(InputError::new(NO_DICTIONARIES).into()),
        _ => ActionKind::Numbers(width),
    };
    let hidden = MlpSettings {
        layers: settings.actor.layers.clone(),
        activation: settings.actor.activation,
        ..default()
    };
    let (log_std, device) = (settings.actor.log_std, device.plain());
    let policy = SpacePolicy::new(observation, action, hidden, log_std, &device, &mut init);
    commands.insert_resource(Net::<SpaceActor>::new(policy));
    Ok(())
}

const NO_DICTIONARIES: &str = "the policy chooses among a few actions or draws numbers, and this environment's actions are a dictionary: \
    name an environment whose actions are one space";

/// Actions drawn from the policy, a ~ π(·|s), and ln π(a|s) for whoever learns from them.
pub fn draw_actions(
    actor: Res<Net<SpaceActor>>,
    mut exploring: Exploring,
    rollout: Option<ResMut<Rollout>>,
) -> Result {
    let drawn = exploring.draw(&actor)?;
    if let Some(mut rollout) = rollout {
        rollout.see(&drawn);
    }
    Ok(())
}

/// −mean(ln π(a|s) · A), `[1]`; the advantages are constants.
pub fn policy_loss(log_probability: Tensor<1>, advantage: Tensor<1>) -> Tensor<1> {
    (log_probability * advantage.stop_gradient()).mean().neg()
}

/// The policy's step: towards actions that came to more than was expected, −mean(ln π(a|s) · A) − c · mean(H).
pub fn update_actor(
    settings: Res<PolicyGradient>,
    batch: Res<RolloutBatch>,
    mut actor: Learning<SpaceActor>,
    mut metrics: ResMut<Metrics>,
) -> Result {
    let policy = actor.distribution(batch.observation.clone());
    let log_probability = policy.log_probability(batch.action.clone());
    let loss = policy_loss(log_probability, batch.advantage.clone());
    settings.descend(&mut actor, loss, policy.entropy(), &mut metrics)
}

impl PolicyGradient {
    /// A step of the policy against its loss `[1]` less what its entropy `[batch]` is worth.
    pub fn descend(
        &self,
        actor: &mut Learning<SpaceActor>,
        policy_loss: Tensor<1>,
        entropy: Tensor<1>,
        metrics: &mut Metrics,
    ) -> Result {
        metrics.record("actor/loss", policy_loss.clone());
        let entropy = entropy.mean();
        metrics.record("entropy", entropy.clone());
        let loss = policy_loss - entropy * self.entropy_coefficient;
        metrics.record("loss", loss.clone());
        let step = actor.descend(loss)?;
        metrics.record("actor/gradient_norm", step.gradient_norm);
        Ok(())
    }
}

/// The state values, filled from each algorithm's own settings.
#[derive(Clone, Debug, Resource)]
pub struct StateValues {
    /// The state values.
    pub critic: ValueSettings,
    /// Discount γ of future rewards.
    pub discount: f32,
    /// λ of the advantages.
    pub lambda: f32,
}

impl Plugin for StateValues {
    fn build(&self, app: &mut App) {
        let critic = &self.critic;
        app.insert_resource(self.clone())
            .add_learner::<StateCritic>(critic.optimizer.clone())
            .add_systems(Startup, build_critic.after(build_actor));
    }
}

fn build_critic(
    values: Res<StateValues>,
    preprocessing: Res<Preprocessing>,
    device: Res<ComputeDevice>,
    mut init: ResMut<Random<Init>>,
    mut commands: Commands,
) {
    let [observation, _] = preprocessing.widths();
    let hidden = MlpSettings {
        layers: values.critic.layers.clone(),
        activation: values.critic.activation,
        ..default()
    };
    let critic = ValueFunction::orthogonal(observation, hidden, &device.plain(), &mut init);
    commands.insert_resource(Net::<StateCritic>::new(critic));
}

/// The advantages of the round by GAE(λ), and the returns that the values are to become. A truncated episode is bootstrapped
/// from its true last observation, a terminated one is not. All of it is computed once, so no gradient flows through it.
pub fn estimate_advantages(
    values: Res<StateValues>,
    device: Res<ComputeDevice>,
    critic: Res<Net<StateCritic>>,
    mut rollout: ResMut<Rollout>,
    mut metrics: ResMut<Metrics>,
) {
    rollout.evaluate(&device.plain(), |observation| critic.v(observation));
    rollout.estimate(values.discount, values.lambda);
    if let Some(explained) = rollout.explained_variance() {
        metrics.record_number("explained_variance", explained);
    }
}

/// The critic's step towards the returns: mean((V(s) − R)²).
pub fn update_critic(
    batch: Res<RolloutBatch>,
    mut critic: Learning<StateCritic>,
    mut metrics: ResMut<Metrics>,
) -> Result {
    let value = critic.v(batch.observation.clone());
    let loss = losses::mse(value, batch.returns.clone());
    descend_values(&mut critic, loss, 1.0, &mut metrics)
}

/// A step of the critic against its loss `[1]`, whose weight among all losses is given.
pub fn descend_values(
    critic: &mut Learning<StateCritic>,
    value_loss: Tensor<1>,
    weight: f32,
    metrics: &mut Metrics,
) -> Result {
    metrics.record("critic/loss", value_loss.clone());
    let loss = value_loss * weight;
    metrics.record_term("loss", loss.clone());
    let step = critic.descend(loss)?;
    metrics.record("critic/gradient_norm", step.gradient_norm);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loss_weighs_log_probabilities_by_advantages_that_carry_no_gradient() {
        let device = ComputeDevice::cpu().autodiff();
        let log_p = Tensor::<1>::from_floats([-1.0, -2.0], &device).require_grad();
        let advantage = Tensor::<1>::from_floats([1.0, -1.0], &device).require_grad();
        let loss = policy_loss(log_p.clone(), advantage.clone());
        assert_eq!(loss.clone().into_scalar::<f32>(), -0.5);
        let gradients = loss.backward();
        assert!(advantage.grad(&gradients).is_none());
        let gradient = log_p.grad(&gradients).unwrap().into_data();
        assert_eq!(gradient.to_vec::<f32>().unwrap(), [-0.5, 0.5]);
    }
}
