//! d3rlpy's DQN and double DQN: `algos/qlearning/dqn.py`.

use serde_json::Value;

use super::{
    Algorithm, Learns, Network, explores_without_noise, one_critic, param, value_rows, values,
};
use crate::cli::import::table::{Row, Translation};

/// `dqn`.
pub(super) const ALGORITHM: Algorithm = Algorithm {
    name: "dqn",
    class: "DQN",
    plugin: "Dqn",
    learns: Learns::Online,
    batch_size: "32",
    networks: &[Network {
        prefix: "",
        rate: "6.25e-5",
        encoders: &[".critic"],
        optimizers: &[".critic"],
    }],
    rows,
    rules: |translation| rules(translation, false),
};

/// `double_dqn`.
pub(super) const DOUBLE: Algorithm = Algorithm {
    name: "double_dqn",
    class: "DoubleDQN",
    rules: |translation| rules(translation, true),
    ..ALGORITHM
};

fn rows(config: &Value) -> Vec<Row> {
    let mut rows = value_rows(config);
    rows.extend([
        one_critic(),
        param("target_update_interval", "8000", ".target_update.every"),
    ]);
    rows
}

fn rules(translation: &mut Translation, double: bool) {
    values(translation);
    translation.set(".double", double.to_string(), &[]);
    translation.set(".target_update.tau", "1.0", &[]);
    translation.set(".huber", "true", &[]);
    explores_without_noise(translation, ".exploration");
}
