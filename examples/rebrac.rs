//! ReBRAC: TD3+BC whose penalty is in the critics' target as well, with a weight of its own, on deeper and normalized networks.
//!
//! Tarasov, Kurenkov, Nikulin & Kolesnikov 2023, "Revisiting the Minimalist Approach to Offline Reinforcement Learning",
//! <https://arxiv.org/abs/2305.09836>, on TD3 (Fujimoto et al. 2018, <https://arxiv.org/abs/1802.09477>). Networks, targets and the
//! actor's delay are TD3's; what the paper adds are the critics' step and the actor's, which are this file. Of the authors' networks some
//! things differ: here a layer is normalized in front of its activation and there behind it, initial weights are TD3's and there those of
//! the last layers are tiny, and the scene normalizes observations, which the authors do not.
//!
//! `cargo run --release --example rebrac -- train examples/rebrac.ron`

use yarak::prelude::*;

/// ReBRAC: TD3 with a penalty on leaving the data in the actor's loss and in the critics' target (Tarasov et al. 2023, <https://arxiv.org/abs/2305.09836>).
#[derive(Clone, Debug, Resource, Reflect)]
#[reflect(@PluginKind::Algorithm)]
pub struct Rebrac {
    /// β₁, the penalty's weight in the actor's loss. The paper chooses it for each dataset, from 0.001 to 0.1.
    #[reflect(@Bounds::at_least(0.0))]
    pub beta1: f32,
    /// β₂, its weight in the critics' target. The paper chooses it for each dataset, from 0 to 0.5.
    #[reflect(@Bounds::at_least(0.0))]
    pub beta2: f32,
    /// Discount γ of future rewards.
    #[reflect(@Bounds::within(0.0, 1.0))]
    pub discount: f32,
    /// How the targets follow.
    pub target_update: TargetUpdate,
    /// The minibatches.
    pub minibatch: MinibatchSettings,
    /// The action values.
    pub critic: CriticSettings,
    /// The policy.
    pub actor: td3::ActorSettings,
}

impl Default for Rebrac {
    fn default() -> Self {
        let hidden = MlpSettings::from(&[256, 256, 256]);
        let normalized = MlpSettings {
            layer_norm: true,
            ..hidden.clone()
        };
        Rebrac {
            beta1: 0.01,
            beta2: 0.01,
            discount: 0.99,
            target_update: td3::DELAYED,
            minibatch: MinibatchSettings::of(1024),
            critic: CriticSettings {
                encoder: normalized.into(),
                optimizer: OptimizerSettings::at(1e-3),
                ..default()
            },
            actor: td3::ActorSettings {
                encoder: hidden.into(),
                optimizer: OptimizerSettings::at(1e-3),
                ..default()
            },
        }
    }
}

impl Settings for Rebrac {
    fn check(&self, problems: &mut FieldProblems) {
        self.critic.check("critic", problems);
        self.actor.optimizer.check("actor.optimizer", problems);
    }
}

impl Plugin for Rebrac {
    fn build(&self, app: &mut App) {
        app.insert_resource(self.clone())
            .add_plugins(self.minibatch.plugin(self.discount, 1, false))
            .add_plugins(td3::TwinDelayed {
                critic: self.critic.clone(),
                actor: self.actor.clone(),
                target_update: self.target_update,
            })
            .replace(Learn, LearnSystems::Critic, update_critic)
            .add_systems(Learn, update_actor.in_set(LearnSystems::Actor));
    }
}

/// ‖a − â‖², `[batch]`, of actions `[batch, action]` and the data's.
fn penalty(action: Tensor<2>, data: Tensor<2>) -> Tensor<1> {
    let error = action.clone() - data.constant_of(&action);
    error.square().sum_dim(1).squeeze_dim::<1>(1)
}

/// Equation 5: y = r + γ (min Q'(s', ã) − β₂ ‖ã − â'‖²), with ã as in TD3 and the data's next action â', where there is one.
pub fn update_critic(
    (rebrac, td3): (Res<Rebrac>, Res<td3::TwinDelayed>),
    batch: Res<Batch>,
    target_actor: Res<Target<Actor>>,
    target_critic: Res<Target<Critic>>,
    mut noise: ResMut<Random<Noise>>,
    mut critic: Learning<Critic>,
    mut metrics: ResMut<Metrics>,
) -> Result {
    let next = td3::next_action(&td3, &batch, &target_actor, &mut noise);
    let left = penalty(next.clone(), batch.next_action.clone()) * batch.has_next_action.clone();
    metrics.record("critic/penalty", left.clone().mean());
    let q = target_critic.q(batch.next_observation.clone(), next);
    let value = td3.critic.mix(q) - left * rebrac.beta2;
    let y = batch.reward.clone() + batch.bootstrap.clone() * value;

    let q = critic.q(batch.observation.clone(), batch.action.clone());
    let loss = td3.critic.losses(q, y, batch.weight.clone()).sum();
    metrics.record("critic/loss", loss.clone());
    critic.descend(loss)?;
    Ok(())
}

/// Equation 4: mean(β₁ ‖π(s) − â‖² − λ min Q(s, π(s))), with λ = 1 / mean |min Q| without gradient.
pub fn update_actor(
    (rebrac, td3): (Res<Rebrac>, Res<td3::TwinDelayed>),
    batch: Res<Batch>,
    critic: Res<Net<Critic>>,
    mut actor: Learning<Actor>,
    mut metrics: ResMut<Metrics>,
) -> Result {
    let action = actor.act(batch.observation.clone());
    let left = penalty(action.clone(), batch.action.clone()).mean();
    metrics.record("actor/penalty", left.clone());
    let q = td3.critic.mix(critic.q(batch.observation.clone(), action));
    let lambda = q.clone().detach().abs().mean().recip();
    let loss = left * rebrac.beta1 - lambda * q.mean();
    metrics.record("actor/loss", loss.clone());
    actor.descend(loss)?;
    Ok(())
}

fn main() -> AppExit {
    yarak::cli::run(|app| {
        app.register_for_scenes::<Rebrac>();
    })
}
