//! CORL's behavior cloning: `algorithms/offline/any_percent_bc.py`.

use super::{Algorithm, TWO_LAYERS, network};
use crate::cli::import::table::{Row, Translation, listed, rule};

/// `any_percent_bc`.
pub const ALGORITHM: Algorithm = Algorithm {
    script: "any_percent_bc",
    name: "BC",
    plugin: "Bc",
    keys: &["max_traj_len", "frac"],
    rows,
    rules,
};

const ALL: &str =
    "all episodes are learned from: write the best of them into a file of their own, and take 1.0";

#[rustfmt::skip]
fn rows() -> Vec<Row> {
    vec![
        listed("discount", "CORL finds the best episodes by it, and all are learned from"),
        listed("max_traj_len", "CORL does not look at it: an episode ends after 1000 steps at most, whatever it says"),
        rule("frac", "0.1"),
    ]
}

fn rules(translation: &mut Translation) {
    translation.only("frac", "1.0", ALL);
    translation.set(".head", "None", &[]);
    network(translation, ".actor", TWO_LAYERS, "3e-4", &[]);
}
