//! Your own parts: a loss, a metric and a network. `docs/custom_algorithm.md` explains them.
//!
//! `cargo run --release --example custom_parts -- train examples/custom_parts.ron`

use yarak::prelude::*;

/// mean(log cosh(π(s) − a)): the squared error near 0, the absolute error far from it. Both `[batch, action]`.
pub fn log_cosh(prediction: Tensor<2>, target: Tensor<2>) -> Tensor<1> {
    let error = prediction - target.stop_gradient();
    let size = error.abs();
    // log cosh(e) = |e| + log(1 + exp(−2 |e|)) − log 2, which does not overflow.
    let rest = (size.clone() * -2.0).exp().log1p();
    (size + rest - std::f32::consts::LN_2).mean()
}

/// TD3+BC's actor step with that loss in the place of the squared error.
pub fn robust_actor(
    td3: Res<Td3Bc>,
    batch: Res<Batch>,
    critic: Res<Net<Critic>>,
    mut actor: Learning<Actor>,
    mut metrics: ResMut<Metrics>,
) -> Result {
    let action = actor.act(batch.observation.clone());
    let imitation = log_cosh(action.clone(), batch.action.clone());
    let q = critic.q1(batch.observation.clone(), action);
    let lambda = q.clone().stop_gradient().abs().mean().recip() * td3.alpha;
    let loss = imitation - lambda * q.mean();
    metrics.record("actor/loss", loss.clone());
    actor.descend(loss)?;
    Ok(())
}

/// The share of actions at their limits, where a tanh passes hardly any gradient.
pub fn measure_saturation(batch: Res<Batch>, actor: Res<Net<Actor>>, mut metrics: ResMut<Metrics>) {
    let action = actor.act(batch.observation.clone());
    let share = action.abs().greater_elem(0.99).float().mean();
    metrics.record_weighted("actor/saturated", share, batch.rows() as f64);
}

/// A policy with a shortcut around its hidden layers: tanh(s W + perceptron(s)).
#[derive(Module, Debug)]
pub struct ShortcutPolicy {
    shortcut: burn::module::Param<Tensor<2>>,
    hidden: Mlp,
}

impl ShortcutPolicy {
    fn act(&self, observation: Tensor<2>) -> Tensor<2> {
        let bent = self.hidden.forward(observation.clone());
        let bent = bent.squeeze_dim::<2>(0);
        let straight = self.shortcut.val();
        // A network in training is tracked, and a batch is not.
        let observation = observation.constant_of(&straight);
        (observation.matmul(straight) + bent).tanh()
    }
}

impl Network for ShortcutPolicy {}

impl Act for ShortcutPolicy {
    fn act_deterministically(&self, observation: Tensor<2>) -> Tensor<2> {
        self.act(observation)
    }
}

/// What the network is for: a role of its own, since an `Actor` is an encoder and a head.
pub struct Shortcut;

impl Role for Shortcut {
    type Network = ShortcutPolicy;
    const NAME: &'static str = "shortcut";
}

/// Behavior cloning by a policy with a shortcut.
#[derive(Clone, Debug, Resource, Reflect)]
#[reflect(@PluginKind::Algorithm)]
pub struct ShortcutBc {
    /// Rows in a minibatch.
    #[reflect(@Bounds::at_least(1.0))]
    pub batch_size: usize,
    /// The hidden layers.
    pub network: MlpSettings,
    /// How it is trained.
    pub optimizer: OptimizerSettings,
}

impl Default for ShortcutBc {
    fn default() -> Self {
        ShortcutBc {
            batch_size: 256,
            network: MlpSettings::default(),
            optimizer: OptimizerSettings::default(),
        }
    }
}

impl Settings for ShortcutBc {}

impl Plugin for ShortcutBc {
    fn build(&self, app: &mut App) {
        let batch_size = self.batch_size;
        app.insert_resource(self.clone())
            .add_plugins(MinibatchPlugin {
                batch_size,
                ..default()
            })
            .add_learner::<Shortcut>(self.optimizer.clone())
            .acts_with::<Shortcut>()
            .add_random::<Init>()
            .add_systems(Startup, build_policy)
            .add_systems(Learn, clone_behavior.in_set(LearnSystems::Actor));
    }
}

fn build_policy(
    settings: Res<ShortcutBc>,
    preprocessing: Res<Preprocessing>,
    device: Res<ComputeDevice>,
    mut init: ResMut<Random<Init>>,
    mut commands: Commands,
) {
    let [observation, action] = preprocessing.widths();
    let device = device.plain();
    let shape = settings
        .network
        .shape(1, observation, action, Activation::Identity);
    let hidden = Mlp::new(shape, &device, &mut init).with_dropout(settings.network.dropout);
    // From the run's own stream: Burn's layers would draw theirs from a global one.
    let bound = 1.0 / (observation as f32).sqrt();
    let weights = init.uniforms(observation * action, -bound, bound);
    let weights = TensorData::new(weights, [observation, action]);
    let shortcut = burn::module::Param::from_tensor(Tensor::from_data(weights, &device));
    commands.insert_resource(Net::<Shortcut>::new(ShortcutPolicy { shortcut, hidden }));
}

fn clone_behavior(
    batch: Res<Batch>,
    mut policy: Learning<Shortcut>,
    mut metrics: ResMut<Metrics>,
) -> Result {
    let loss = losses::mse(policy.act(batch.observation.clone()), batch.action.clone());
    metrics.record("shortcut/loss", loss.clone());
    policy.descend(loss)?;
    Ok(())
}

fn main() -> AppExit {
    yarak::cli::run(|app| {
        app.register_for_scenes::<ShortcutBc>()
            .register_step("custom_parts::robust_actor", robust_actor)
            .register_step("custom_parts::measure_saturation", measure_saturation);
    })
}
