//! d3rlpy's behavior cloning: `algos/qlearning/bc.py`.

use serde_json::Value;

use super::{Algorithm, Learns, Network, at};
use crate::cli::import::table::{Row, Translation, only};

/// `bc`.
pub(super) const ALGORITHM: Algorithm = Algorithm {
    name: "bc",
    class: "BC",
    plugin: "Bc",
    learns: Learns::ByImitation,
    batch_size: "100",
    networks: &[Network {
        prefix: "",
        rate: "1e-3",
        encoders: &[".actor"],
        optimizers: &[".actor"],
    }],
    rows,
    rules,
};

fn rows(_: &Value) -> Vec<Row> {
    let why = "d3rlpy's loss of a stochastic policy, the squared error of a draw, is not here: `Bc(head: Gaussian)` raises the likelihood";
    vec![only(&at("policy_type"), "\"deterministic\"", why)]
}

fn rules(translation: &mut Translation) {
    translation.set(".head", "None", &[]);
}
