//! Prioritized experience replay (Schaul et al. 2016, <https://arxiv.org/abs/1511.05952>), as two systems over the shipped DQN:
//! one that draws, and one that records by how much the critic was wrong.
//!
//! `cargo run --release --example prioritized_replay -- train examples/prioritized_replay.ron`

use yarak::prelude::*;

/// Draws rows of the replay buffer in proportion to how wrong the critic was about them, |δ|^α, and evens that out in the loss.
#[derive(Clone, Debug, Resource, Reflect)]
pub struct PrioritizedReplay {
    /// α: 0 draws uniformly, 1 in proportion to the error.
    #[reflect(@Bounds::within(0.0, 1.0))]
    pub alpha: f32,
    /// β at the beginning: how much of the bias the weights take away. It grows linearly to 1, which is all of it.
    #[reflect(@Bounds::within(0.0, 1.0))]
    pub beta: f32,
}

impl Default for PrioritizedReplay {
    fn default() -> Self {
        let (alpha, beta) = (0.6, 0.4);
        PrioritizedReplay { alpha, beta }
    }
}

impl Settings for PrioritizedReplay {}

impl Plugin for PrioritizedReplay {
    fn build(&self, app: &mut App) {
        app.insert_resource(self.clone())
            .init_resource::<data::RowWeights>()
            .persist::<data::RowWeights>()
            .replace(Learn, LearnSystems::Sample, draw_by_priority)
            .add_systems(Learn, set_priorities.in_set(LearnSystems::Measure));
    }
}

/// The paper's algorithm 1, lines 5, 6, 8, 9 and 10. A new row has the greatest priority, so that it is soon learned from.
pub fn draw_by_priority(
    settings: Res<PrioritizedReplay>,
    clock: Res<Clock>,
    mut weights: ResMut<data::RowWeights>,
    mut replayed: data::Replayed,
) -> Result {
    weights.follow(&replayed.buffer);
    let n = replayed.batch_size();
    let Some(rows) = weights.draw(n, replayed.random.generator()) else {
        return Err(InputError::new("there is no row to draw yet: raise `learning_starts`").into());
    };
    let done = clock.step as f64 / clock.steps.max(1) as f64;
    let beta = f64::from(settings.beta) + done.min(1.0) * (1.0 - f64::from(settings.beta));
    let all = replayed.buffer.len() as f64;
    let importance = rows
        .iter()
        .map(|row| (all * weights.probability(*row)).powf(-beta));
    let importance: Vec<f64> = importance.collect();
    let greatest = importance.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
    let weight = importance.iter().map(|w| (w / greatest) as f32).collect();
    Ok(replayed.learn_from_rows(&rows, Some(weight))?)
}

/// Lines 11 and 12: p = |δ| of the rows that were just learned from.
pub fn set_priorities(
    (settings, dqn): (Res<PrioritizedReplay>, Res<Dqn>),
    batch: Res<Batch>,
    critic: Res<Net<Critic>>,
    target: Res<Target<Critic>>,
    mut weights: ResMut<data::RowWeights>,
) -> Result {
    let y = dqn.q_target(&batch, &critic, &target);
    let q = critic.q1(batch.observation.clone(), batch.action.clone());
    let errors = (y - q).abs().into_data().into_vec::<f32>()?;
    for (row, error) in batch.row_ids.iter().zip(errors) {
        // A row that is learned already is drawn now and then all the same.
        weights.set(*row, f64::from(error + 1e-6).powf(settings.alpha.into()))?;
    }
    Ok(())
}

fn main() -> AppExit {
    yarak::cli::run(|app| {
        app.register_for_scenes::<PrioritizedReplay>();
    })
}
