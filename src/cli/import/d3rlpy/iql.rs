//! d3rlpy's IQL: `algos/qlearning/iql.py`.

use serde_json::Value;

use super::{ACTOR, Algorithm, CRITIC, Learns, Network, at, encoder, param};
use crate::cli::import::table::{Row, Translation};

const VALUE: &str = "value_encoder_factory";

/// `iql`.
pub(super) const ALGORITHM: Algorithm = Algorithm {
    name: "iql",
    class: "IQL",
    plugin: "Iql",
    learns: Learns::Offline,
    batch_size: "256",
    // One optimizer has the critics and V.
    networks: &[
        Network {
            optimizers: &[".critic", ".value"],
            ..CRITIC
        },
        ACTOR,
    ],
    rows,
    rules,
};

fn rows(config: &Value) -> Vec<Row> {
    let mut rows = encoder::rows(config, VALUE);
    rows.extend([
        param("tau", "0.005", ".target_update.tau"),
        param("n_critics", "2", ".critic.ensemble.n"),
        param("expectile", "0.7", ".expectile"),
        param("weight_temp", "3.0", ".inverse_temperature"),
        param("max_weight", "100.0", ".max_weight"),
    ]);
    rows
}

fn rules(translation: &mut Translation) {
    encoder::translate(translation, VALUE, ".value");
    let clip = at("critic_optim_factory.params.clip_grad_norm");
    if !translation.value(&clip).is_null() {
        let message = "d3rlpy clips the gradient of the critics and of V together, and here each is clipped on its own: another thing would be learned";
        translation.refuse(&clip, message);
    }
    translation.set(".target_update.every", "1", &[]);
    translation.set(".critic.ensemble.weight", "1.0", &[]);
    translation.set(".max_advantage", "None", &[]);
    translation.set(".head", "Gaussian", &[]);
    translation.set(".gaussian.deviation", "Learned", &[]);
    // ln σ is −5 + 7 · sigmoid(x), from x = 0 on: e to −1.5, within e⁻⁵ and e².
    translation.set(".gaussian.initial_std", "0.22313016", &[]);
    translation.set(".gaussian.min_std", "0.006737947", &[]);
    translation.set(".gaussian.max_std", "7.389056", &[]);
}
