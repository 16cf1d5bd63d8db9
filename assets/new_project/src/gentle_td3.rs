//! An algorithm of your own: TD3 with another step of the actor, which pays for large actions.

use yarak::prelude::*;

/// TD3 whose actor spares itself large actions.
#[derive(Clone, Debug, Resource, Reflect)]
#[reflect(@PluginKind::Algorithm)]
pub struct GentleTd3 {
    /// What an action a costs: the weight of the mean of a² in the actor's loss. 0 is TD3.
    #[reflect(@Bounds::at_least(0.0))]
    pub effort: f32,
    /// All settings of TD3.
    pub td3: Td3,
}

impl Default for GentleTd3 {
    fn default() -> Self {
        GentleTd3 {
            effort: 0.1,
            td3: Td3::default(),
        }
    }
}

impl Settings for GentleTd3 {}

impl Plugin for GentleTd3 {
    fn build(&self, app: &mut App) {
        app.insert_resource(self.clone())
            .add_plugins(self.td3.clone())
            // It takes over the place and the delay of TD3's own step.
            .replace(Learn, LearnSystems::Actor, update_actor);
    }
}

/// One gradient step down effort · mean a² − mean Q1(s, a) for a = π(s), in which actions lie in [−1, 1].
fn update_actor(
    gentle: Res<GentleTd3>,
    batch: Res<Batch>,
    critic: Res<Net<Critic>>,
    mut actor: Learning<Actor>,
    mut metrics: ResMut<Metrics>,
) -> Result {
    let action = actor.act(batch.observation.clone());
    let q = critic.q1(batch.observation.clone(), action.clone());
    let effort = action.square().mean();
    metrics.record("actor/effort", effort.clone());
    let loss = effort * gentle.effort - q.mean();
    metrics.record("actor/loss", loss.clone());
    actor.descend(loss)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use yarak::testing::{Mistake, Trial};

    fn small() -> Trial {
        let mut gentle = GentleTd3::default();
        gentle.td3.minibatch.batch_size = 32;
        gentle.td3.actor.encoder.set_hidden_sizes(&[16]);
        gentle.td3.critic.encoder.set_hidden_sizes(&[16]);
        Trial::of(gentle)
    }

    #[test]
    fn its_steps_change_what_they_should_and_nothing_else() -> Result<(), Mistake> {
        small().losses_are_finite()?;
        small().one_writer_for_each_network()?;
        small().changes(&[
            (LearnSystems::Critic, &["critic"]),
            (LearnSystems::Actor, &["actor"]),
            (LearnSystems::Targets, &["target_actor", "target_critic"]),
        ])
    }

    #[test]
    fn a_run_that_was_cut_and_resumed_is_the_same() -> Result<(), Mistake> {
        small().resumes_exactly()
    }
}
