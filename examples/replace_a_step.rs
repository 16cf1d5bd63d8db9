//! One step of somebody else's algorithm, replaced from outside: TD3+BC whose actor imitates an action only where the critic
//! does not know a better one (the Q-filter of Nair et al. 2018, <https://arxiv.org/abs/1709.10089>).
//!
//! `cargo run --release --example replace_a_step` trains in a plain Bevy app, without a scene; `-- 500` for so many steps.

use yarak::prelude::*;

/// TD3+BC's loss with the imitation term masked where Q1(s, π(s)) > Q1(s, a). The step knows nothing of its delay: it takes
/// over the slot's place and conditions.
pub fn filtered_actor(
    td3: Res<Td3Bc>,
    batch: Res<Batch>,
    critic: Res<Net<Critic>>,
    mut actor: Learning<Actor>,
    mut metrics: ResMut<Metrics>,
) -> Result {
    let action = actor.act(batch.observation.clone());
    let q = critic.q1(batch.observation.clone(), action.clone());
    let q_data = critic.q1(batch.observation.clone(), batch.action.clone());
    let q_data = q_data.stop_gradient();

    let worth_imitating = q_data.greater_equal(q.clone().stop_gradient()).float();
    metrics.record("actor/worth_imitating", worth_imitating.clone().mean());
    let error = (action - batch.action.clone().stop_gradient()).square();
    let imitation = (error.mean_dim(1).squeeze_dim::<1>(1) * worth_imitating).mean();
    metrics.record("actor/imitation/loss", imitation.clone());

    let lambda = q.clone().stop_gradient().abs().mean().recip() * td3.alpha;
    let loss = imitation - lambda * q.mean();
    metrics.record("actor/loss", loss.clone());
    actor.descend(loss)?;
    Ok(())
}

fn main() -> AppExit {
    let steps = match std::env::args().nth(1).map(|steps| steps.parse()) {
        None => 20_000,
        Some(Ok(steps)) => steps,
        Some(Err(_)) => {
            eprintln!("error: give the number of steps, as in `replace_a_step 500`");
            return AppExit::from_code(2);
        }
    };
    App::new()
        .add_plugins((
            YarakPlugins.set(RunPlugin { steps, ..default() }),
            Dataset {
                path: "assets/pendulum-medium-expert.hdf5".into(),
                ..default()
            },
            Td3Bc::default(),
            Evaluation {
                env: "Pendulum-v1".into(),
                every: 2_000.into(),
                ..default()
            },
        ))
        .replace(Learn, LearnSystems::Actor, filtered_actor)
        .run()
}
