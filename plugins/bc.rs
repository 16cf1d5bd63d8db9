//! Behaviour cloning: a deterministic policy regresses onto the data's actions.
//!
//! The smallest algorithm there is, and the example of how one is written: settings, networks, one step.

use yarak::prelude::*;

/// Behaviour cloning: the actor imitates the data's actions by mean squared error (Pomerleau 1991).
#[derive(Clone, Debug, Resource, Reflect)]
#[reflect(@PluginKind::Algorithm)]
pub struct Bc {
    /// Rows in a minibatch.
    #[reflect(@Bounds::within(1.0, 10_000_000.0))]
    pub batch: usize,
    /// Gradient steps in an epoch. None: rows / batch, rounded up.
    #[reflect(@Bounds::at_least(1.0))]
    pub steps_per_epoch: Option<u64>,
    /// Where the goal comes from that is appended to every observation. None: no goal.
    pub goal_mode: Option<GoalMode>,
    /// The policy.
    pub actor: BcActor,
}

/// Behaviour cloning's policy.
#[derive(Clone, Debug, Reflect)]
pub struct BcActor {
    /// Widths of the hidden layers (ReLU).
    #[reflect(@Bounds::within(1.0, 65_536.0))]
    pub layers: Vec<usize>,
    /// The rule that turns gradients into steps.
    pub optimizer: Optimizer,
    /// The learning rate over time.
    pub learning_rate: LearningRate,
    /// Weight decay: in the gradient for Adam, decoupled for AdamW.
    #[reflect(@Bounds::at_least(0.0))]
    pub l2: f32,
    /// The norm that the gradient is clipped to. None: not clipped.
    #[reflect(@Bounds::above(0.0))]
    pub max_gradient_norm: Option<f32>,
}

impl Default for Bc {
    fn default() -> Self {
        Bc {
            batch: 256,
            steps_per_epoch: None,
            goal_mode: None,
            actor: BcActor {
                layers: vec![256, 256],
                optimizer: Optimizer::Adam,
                learning_rate: LearningRate::Constant(3e-4),
                l2: 0.0,
                max_gradient_norm: None,
            },
        }
    }
}

impl Settings for Bc {}

impl Plugin for Bc {
    fn build(&self, app: &mut App) {
        app.insert_resource(self.clone())
            .add_plugins(MinibatchPlugin {
                batch: self.batch,
                steps_per_epoch: self.steps_per_epoch,
                discount: 0.0,
                n_step: 1,
                infinite_horizon: false,
            })
            .add_plugins(GoalPlugin {
                mode: self.goal_mode,
            })
            .add_learner::<Actor>(Learner {
                optimizer: self.actor.optimizer,
                learning_rate: self.actor.learning_rate.clone(),
                l2: self.actor.l2,
                max_gradient_norm: self.actor.max_gradient_norm,
                window: Window::default(),
            })
            .acts_with::<Actor>()
            .add_random::<Init>()
            .add_systems(Startup, build_policy)
            .add_systems(Learn, clone_behaviour.in_set(LearnSystems::Actor))
            .add_systems(Validate, validate.in_set(ValidateSystems::Losses));
    }
}

fn build_policy(
    bc: Res<Bc>,
    preprocessing: Res<Preprocessing>,
    device: Res<ComputeDevice>,
    mut init: ResMut<Random<Init>>,
    mut commands: Commands,
) {
    let [observation, action] = preprocessing.widths();
    let policy = Policy::new(
        observation,
        action,
        &bc.actor.layers,
        &device.plain(),
        &mut init,
    );
    commands.insert_resource(Net::<Actor>::new(policy));
}

/// One step of the actor towards the data's actions: mean((π(s) − a)²) over the batch and the action's elements.
pub fn clone_behaviour(
    batch: Res<Batch>,
    mut actor: Learning<Actor>,
    mut metrics: ResMut<Metrics>,
) -> Result {
    let loss = losses::mse(actor.act(batch.observation.clone()), batch.action.clone());
    metrics.record("actor/loss", loss.clone());
    let step = actor.descend(loss)?;
    metrics.record("actor/gradient_norm", step.gradient_norm);
    Ok(())
}

/// The same loss on held-out rows.
fn validate(batch: Res<Batch>, actor: Res<Net<Actor>>, mut metrics: ResMut<Metrics>) {
    let loss = losses::mse(actor.act(batch.observation.clone()), batch.action.clone());
    metrics.record("validate/actor/loss", loss);
}
