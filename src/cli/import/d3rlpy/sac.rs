//! d3rlpy's SAC: `algos/qlearning/sac.py`.

use serde_json::Value;

use super::{ACTOR, Algorithm, CRITIC, Learns, param, temperature, value_rows, values};
use crate::cli::import::table::{Row, Translation};

/// `sac`.
pub(super) const ALGORITHM: Algorithm = Algorithm {
    name: "sac",
    class: "SAC",
    plugin: "Sac",
    learns: Learns::Online,
    batch_size: "256",
    networks: &[CRITIC, ACTOR],
    rows,
    rules,
};

fn rows(config: &Value) -> Vec<Row> {
    let mut rows = value_rows(config);
    rows.extend(temperature::rows(config, "3e-4"));
    rows.extend([
        param("tau", "0.005", ".target_update.tau"),
        param("n_critics", "2", ".critic.ensemble.n"),
    ]);
    rows
}

fn rules(translation: &mut Translation) {
    values(translation);
    temperature::rules(translation);
    translation.set(".target_update.every", "1", &[]);
    translation.set(".critic.ensemble.weight", "1.0", &[]);
}
