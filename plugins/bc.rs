//! Behaviour cloning: a policy imitates the data's actions, by regression or by likelihood.
//!
//! The smallest algorithm there is, and the example of how one is written: settings, networks, one step. Without a `head` a
//! deterministic policy regresses onto the actions (Pomerleau 1991); with one, the likelihood of the actions under a Gaussian or
//! a mixture of Gaussians rises (Bishop 1994, "Mixture Density Networks"). `docs/bc.md` lists the differences from robomimic's.

use yarak::prelude::*;

/// Behaviour cloning: the actor imitates the data's actions, by mean squared error (Pomerleau 1991) or by likelihood.
#[derive(Clone, Debug, Resource, Reflect)]
#[reflect(@PluginKind::Algorithm)]
pub struct Bc {
    /// Rows in a minibatch.
    #[reflect(@Bounds::within(1.0, 10_000_000.0))]
    pub batch: usize,
    /// Gradient steps in an epoch. None: rows / batch, rounded up.
    #[reflect(@Bounds::at_least(1.0))]
    pub steps_per_epoch: Option<u64>,
    /// The policy.
    pub actor: BcActor,
    /// The density that the policy has. None: it is deterministic and regresses onto the actions.
    pub head: Option<PolicyHead>,
    /// The Gaussian's deviation, for `head: Gaussian`.
    pub gaussian: GaussianSettings,
    /// The mixture's components, for `head: Mixture`.
    pub mixture: MixtureSettings,
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
            actor: BcActor {
                layers: vec![256, 256],
                optimizer: Optimizer::Adam,
                learning_rate: LearningRate::Constant(3e-4),
                l2: 0.0,
                max_gradient_norm: None,
            },
            head: None,
            gaussian: GaussianSettings::default(),
            mixture: MixtureSettings::default(),
        }
    }
}

impl Settings for Bc {
    fn check(&self, problems: &mut FieldProblems) {
        if self.gaussian.min_std > self.gaussian.max_std {
            problems.refuse("gaussian.min_std", "must not be above `max_std`");
        }
    }
}

impl Plugin for Bc {
    fn build(&self, app: &mut App) {
        let learner = Learner {
            optimizer: self.actor.optimizer,
            learning_rate: self.actor.learning_rate.clone(),
            l2: self.actor.l2,
            max_gradient_norm: self.actor.max_gradient_norm,
            window: Window::default(),
        };
        app.insert_resource(self.clone())
            .add_plugins(MinibatchPlugin {
                batch: self.batch,
                steps_per_epoch: self.steps_per_epoch,
                discount: 0.0,
                n_step: 1,
                infinite_horizon: false,
            })
            .add_random::<Init>()
            .add_systems(Startup, build_policy);
        match self.head {
            None => app
                .add_learner::<Actor>(learner)
                .acts_with::<Actor>()
                .add_systems(Learn, clone_behaviour.in_set(LearnSystems::Actor))
                .add_systems(Validate, validate.in_set(ValidateSystems::Losses)),
            Some(_) => app
                .add_learner::<DensityActor>(learner)
                .acts_with::<DensityActor>()
                .add_systems(Learn, raise_likelihood.in_set(LearnSystems::Actor))
                .add_systems(
                    Validate,
                    validate_likelihood.in_set(ValidateSystems::Losses),
                ),
        };
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
    let (layers, device) = (&bc.actor.layers, device.plain());
    match bc.head {
        None => {
            let policy = Policy::new(observation, action, layers, &device, &mut init);
            commands.insert_resource(Net::<Actor>::new(policy));
        }
        Some(head) => {
            let head = head.with(&bc.gaussian, &bc.mixture);
            let policy = DensityPolicy::new(observation, action, layers, head, &device, &mut init);
            commands.insert_resource(Net::<DensityActor>::new(policy));
        }
    }
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

/// One step of the actor up the likelihood of the data's actions: −mean ln π(a | s) over the batch.
pub fn raise_likelihood(
    batch: Res<Batch>,
    mut actor: Learning<DensityActor>,
    mut metrics: ResMut<Metrics>,
) -> Result {
    let policy = actor.distribution(batch.observation.clone());
    let loss = policy.log_probability(batch.action.clone()).mean().neg();
    metrics.record("actor/loss", loss.clone());
    let step = actor.descend(loss)?;
    metrics.record("actor/gradient_norm", step.gradient_norm);
    Ok(())
}

/// The same loss on held-out rows.
fn validate_likelihood(
    batch: Res<Batch>,
    actor: Res<Net<DensityActor>>,
    mut metrics: ResMut<Metrics>,
) {
    let policy = actor.distribution(batch.observation.clone());
    let loss = policy.log_probability(batch.action.clone()).mean().neg();
    metrics.record("validate/actor/loss", loss);
}
