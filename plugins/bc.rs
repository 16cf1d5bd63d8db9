//! Behavior cloning: a policy imitates the data's actions, by regression or by likelihood.
//!
//! The smallest algorithm there is, and the example of how one is written: settings, networks, one step. Without a `head` a
//! deterministic policy regresses onto the actions (Pomerleau 1991); with one, the likelihood of the actions under a Gaussian or
//! a mixture of Gaussians rises (Bishop 1994, "Mixture Density Networks"). `docs/bc.md` lists the differences from robomimic's.

use yarak::prelude::*;

/// Behavior cloning: the actor imitates the data's actions, by mean squared error (Pomerleau 1991) or by likelihood.
#[derive(Clone, Debug, Default, Resource, Reflect)]
#[reflect(@PluginKind::Algorithm)]
pub struct Bc {
    /// The minibatches.
    pub minibatch: MinibatchSettings,
    /// Where the goal comes from that is appended to every observation. None: no goal.
    pub goal_mode: Option<GoalMode>,
    /// How many actions the policy predicts at once, and how they are executed.
    pub action_chunk: data::ActionChunk,
    /// The policy.
    pub actor: NetworkSettings,
    /// The density that the policy has. None: it is deterministic and regresses onto the actions.
    pub head: Option<PolicyHead>,
    /// The Gaussian's deviation, for `head: Gaussian`.
    pub gaussian: GaussianSettings,
    /// The mixture's components, for `head: Mixture`.
    pub mixture: MixtureSettings,
    /// Whether the loss is that of every step that a policy with memory is shown, of which it acts on the last.
    pub supervise_all_steps: bool,
}

impl Settings for Bc {
    fn check(&self, problems: &mut FieldProblems) {
        if self.gaussian.min_std > self.gaussian.max_std {
            problems.refuse("gaussian.min_std", "must not be above `max_std`");
        }
        if self.supervise_all_steps && !self.actor.encoder.has_memory() {
            problems.refuse(
                "supervise_all_steps",
                format!(
                    "needs a policy that knows a step from those before it, and `{}` sees all steps at once: take `encoder: Lstm()`, `Gru()` or `Transformer()`",
                    self.actor.encoder.name()
                ),
            );
        }
        if self.actor.encoder.resets_at_horizon() && !self.supervise_all_steps {
            problems.refuse(
                "actor.encoder.horizon",
                "begins anew every `frame_stack` steps where it acts, so each of them has to be trained: take `supervise_all_steps: true`, or leave `horizon: Sliding`",
            );
        }
        if self.supervise_all_steps && self.action_chunk.prediction_horizon > 1 {
            problems.refuse(
                "supervise_all_steps",
                "is of policies that predict one action a step: leave it out, or `action_chunk`",
            );
        }
        self.action_chunk.check("action_chunk", problems);
        self.actor.check("actor", problems);
    }
}

impl Plugin for Bc {
    fn build(&self, app: &mut App) {
        app.insert_resource(self.clone())
            .add_plugins(MinibatchPlugin {
                past_actions: self.supervise_all_steps,
                resets_at_horizon: self.actor.encoder.resets_at_horizon(),
                chunk: self.action_chunk,
                ..self.minibatch.plugin(0.0, 1, false)
            })
            .add_plugins(GoalPlugin {
                mode: self.goal_mode,
            })
            .add_learner::<Actor>(self.actor.optimizer.clone())
            .acts_with::<Actor>()
            .trains_on(TrainsOn::Continuous)
            .stacks()
            .learns_from(LearnsFrom::Actions)
            .add_systems(Startup, build_policy)
            .add_systems(Learn, clone_behavior.in_set(LearnSystems::Actor))
            .add_systems(Validate, validate.in_set(ValidateSystems::Losses));
    }
}

fn build_policy(bc: Res<Bc>, mut networks: Networks) -> Result {
    let head = match bc.head {
        None => ActorHead::Deterministic,
        Some(head) => head.with(&bc.gaussian, &bc.mixture),
    };
    let actor = networks.actor(bc.actor.layers(), head)?;
    networks.insert::<Actor>(actor);
    Ok(())
}

/// How far the policy is from the data's actions, `[1]`, or `[learners]` of a stack: mean((π(s) − a)²) over the batch and the action's
/// elements, or where the policy has a density −mean ln π(a | s) over the batch. Where the batch has past actions, over all steps that are
/// shown of each row.
pub fn imitation_loss(actor: &ActorNetwork, batch: &Batch) -> Tensor<1> {
    let (policy, action) = supervised(actor, batch);
    match policy {
        ActionDistribution::Deterministic(chosen) => batch.mse(chosen, action),
        density => batch.mean(density.log_probability(action)).neg(),
    }
}

/// The policy at the steps that count, and what was done there.
fn supervised(actor: &ActorNetwork, batch: &Batch) -> (ActionDistribution, Tensor<2>) {
    let observation = batch.observation.clone();
    if let Some(done) = &batch.past_action
        && let Some(policy) = actor.distribution_at_each_step(observation.clone())
    {
        let ([rows, all], [_, action]) = (done.dims(), batch.action.dims());
        let steps = rows * all / action;
        return (policy, done.clone().reshape([steps, action]));
    }
    (actor.distribution(observation), batch.action.clone())
}

/// One step of the actor towards the data's actions.
pub fn clone_behavior(
    batch: Res<Batch>,
    mut actor: Learning<Actor>,
    mut metrics: ResMut<Metrics>,
) -> Result {
    let loss = imitation_loss(&actor, &batch);
    metrics.record("actor/loss", loss.clone());
    let step = actor.descend(loss)?;
    metrics.record("actor/gradient_norm", step.gradient_norm);
    Ok(())
}

/// The same loss on held-out rows.
fn validate(batch: Res<Batch>, actor: Res<Net<Actor>>, mut metrics: ResMut<Metrics>) {
    metrics.record("validate/actor/loss", imitation_loss(&actor, &batch));
}

#[cfg(test)]
mod tests {
    use super::*;
    use yarak::testing::{Mistake, Trial};

    fn small(edit: impl Fn(&mut NetworkSettings)) -> Trial {
        let mut bc = Bc {
            minibatch: MinibatchSettings::of(64),
            ..default()
        };
        bc.actor.encoder.set_hidden_sizes(&[32]);
        bc.actor.optimizer.learning_rate = Schedule::Constant(3e-3);
        edit(&mut bc.actor);
        Trial::of(bc)
    }

    fn chunked(action_chunk: data::ActionChunk) -> Trial {
        let mut bc = Bc {
            minibatch: MinibatchSettings::of(64),
            action_chunk,
            ..default()
        };
        bc.actor.encoder.set_hidden_sizes(&[32]);
        bc.actor.optimizer.learning_rate = Schedule::Constant(3e-3);
        Trial::of(bc)
    }

    fn plain() -> Trial {
        small(|_| ())
    }

    #[test]
    fn the_one_step_changes_the_one_network() -> Result<(), Mistake> {
        plain().networks_exist(&["actor"])?;
        plain().one_writer_for_each_network()?;
        plain().changes(&[(LearnSystems::Actor, &["actor"])])
    }

    #[test]
    fn runs_repeat_resume_and_are_not_moved_by_looking() -> Result<(), Mistake> {
        for dropout in [0.0, 0.3] {
            let with = || {
                small(|actor| {
                    actor.encoder = EncoderSettings::new(MlpSettings {
                        dropout,
                        ..MlpSettings::from(&[32])
                    });
                })
            };
            with().looking_changes_nothing()?;
            with().same_seed_same_bits()?;
            with().resumes_exactly()?;
        }
        Ok(())
    }

    #[test]
    fn chunks_repeat_resume_and_imitate() -> Result<(), Mistake> {
        for execution in [
            data::ChunkExecution::Whole,
            data::ChunkExecution::First(2),
            data::ChunkExecution::Averaged(0.01),
        ] {
            let with = || {
                let action_chunk = data::ActionChunk {
                    execution,
                    ..data::ActionChunk::of(3)
                };
                chunked(action_chunk)
            };
            with().looking_changes_nothing()?;
            with().same_seed_same_bits()?;
            with().resumes_exactly()?;
        }
        chunked(data::ActionChunk::of(3)).learns_to_imitate(1_000)
    }

    #[test]
    fn it_learns_to_imitate_with_every_optimizer_and_network() -> Result<(), Mistake> {
        plain().losses_are_finite()?;
        plain().learns_to_imitate(1_000)?;
        small(|actor| actor.optimizer.rule = Optimizer::adam_w()).learns_to_imitate(1_000)?;
        let sgd = Optimizer::Sgd {
            momentum: Some(0.9),
        };
        let rms_prop = Optimizer::RmsProp {
            smoothing: None,
            epsilon: None,
            momentum: None,
        };
        small(|actor| actor.optimizer.rule = rms_prop).learns_to_imitate(1_000)?;
        small(|actor| {
            actor.optimizer.rule = sgd;
            actor.optimizer.learning_rate = Schedule::Constant(0.05);
        })
        .learns_to_imitate(1_000)?;
        small(|actor| {
            actor.encoder = EncoderSettings::new(MlpSettings {
                hidden_sizes: vec![32],
                activation: Activation::Tanh,
                dropout: 0.05,
                layer_norm: true,
            });
        })
        .learns_to_imitate(1_500)
    }

    #[test]
    fn cloning_does_not_learn_from_rewards() {
        let mistake = plain().learns_from_rewards(300).unwrap_err();
        assert!(matches!(mistake, Mistake::NotLearned { steps: 300, .. }));
    }
}
