//! d3rlpy's TD3+BC: `algos/qlearning/td3_plus_bc.py`.

use serde_json::Value;

use super::{ACTOR, Algorithm, CRITIC, Learns, param, td3};
use crate::cli::import::table::Row;

/// `td3_plus_bc`.
pub(super) const ALGORITHM: Algorithm = Algorithm {
    name: "td3_plus_bc",
    class: "TD3PlusBC",
    plugin: "Td3Bc",
    learns: Learns::Offline,
    batch_size: "256",
    networks: &[CRITIC, ACTOR],
    rows,
    rules: td3::twin_rules,
};

fn rows(config: &Value) -> Vec<Row> {
    let mut rows = td3::rows(config);
    rows.push(param("alpha", "2.5", ".alpha"));
    rows
}
