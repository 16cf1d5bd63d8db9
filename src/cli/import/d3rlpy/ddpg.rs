//! d3rlpy's DDPG: `algos/qlearning/ddpg.py`.

use serde_json::Value;

use super::{
    ACTOR, Algorithm, CRITIC, Learns, explores_without_noise, one_critic, param, value_rows, values,
};
use crate::cli::import::table::{Row, Translation};

/// `ddpg`.
pub(super) const ALGORITHM: Algorithm = Algorithm {
    name: "ddpg",
    class: "DDPG",
    plugin: "Ddpg",
    learns: Learns::Online,
    batch_size: "256",
    networks: &[CRITIC, ACTOR],
    rows,
    rules,
};

fn rows(config: &Value) -> Vec<Row> {
    let mut rows = value_rows(config);
    rows.extend([one_critic(), param("tau", "0.005", ".target_update.tau")]);
    rows
}

fn rules(translation: &mut Translation) {
    values(translation);
    translation.set(".target_update.every", "1", &[]);
    explores_without_noise(translation, ".exploration_noise");
}
