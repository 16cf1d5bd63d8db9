//! Your own algorithm in your own program: percentile behavior cloning.
//!
//! `cargo run --release --example custom_algorithm -- train examples/percentile_bc.ron`

use yarak::data::{Data, Minibatches};
use yarak::learner::Sampling;
use yarak::plugins::bc;
use yarak::prelude::*;

/// Behavior cloning on the best episodes alone (%BC in Chen et al. 2021, <https://arxiv.org/abs/2106.01345>).
#[derive(Clone, Debug, Resource, Reflect)]
#[reflect(@PluginKind::Algorithm)]
pub struct PercentileBc {
    /// The share of the episodes, by return, that is imitated.
    #[reflect(@Bounds::above(0.0).up_to(1.0))]
    pub best: f64,
    /// Rows in a minibatch.
    #[reflect(@Bounds::at_least(1.0))]
    pub batch_size: usize,
}

impl Default for PercentileBc {
    fn default() -> Self {
        let (best, batch_size) = (0.1, 256);
        PercentileBc { best, batch_size }
    }
}

impl Settings for PercentileBc {}

impl Plugin for PercentileBc {
    fn build(&self, app: &mut App) {
        let batch_size = self.batch_size;
        app.insert_resource(self.clone())
            .add_plugins(MinibatchPlugin {
                batch_size,
                ..default()
            })
            .add_learner::<Actor>(OptimizerSettings::default())
            .acts_with::<Actor>()
            .add_systems(Startup, (build_policy, choose_episodes))
            .add_systems(Learn, bc::clone_behavior.in_set(LearnSystems::Actor))
            .replace(Learn, LearnSystems::Sample, draw_from_the_best);
    }
}

fn build_policy(mut networks: Networks) -> Result {
    let actor = networks.actor(&[256, 256], ActorHead::Deterministic)?;
    networks.insert::<Actor>(actor);
    Ok(())
}

/// The rows of the best episodes.
#[derive(Resource)]
struct BestRows(Vec<usize>);

fn choose_episodes(mine: Res<PercentileBc>, data: Option<Res<Data>>, mut commands: Commands) {
    let Some(data) = data else { return }; // `yarak eval` acts without data.
    let mut episodes = data.training_episodes();
    episodes.sort_by(|a, b| b.total_reward.total_cmp(&a.total_reward));
    episodes.truncate((mine.best * episodes.len() as f64).ceil() as usize);
    let rows = episodes.into_iter().flat_map(|episode| episode.rows);
    commands.insert_resource(BestRows(rows.collect()));
}

fn draw_from_the_best(
    (mine, best, minibatches): (Res<PercentileBc>, Res<BestRows>, Res<Minibatches>),
    device: Res<ComputeDevice>,
    mut random: ResMut<Random<Sampling>>,
    mut batch: ResMut<Batch>,
) -> Result {
    let drawn = random.indices(mine.batch_size, best.0.len());
    let rows: Vec<usize> = drawn.into_iter().map(|index| best.0[index]).collect();
    *batch = minibatches.gather(&rows, &device.plain())?;
    Ok(())
}

fn main() -> AppExit {
    yarak::cli::run(|app| {
        app.register_for_scenes::<PercentileBc>();
    })
}
