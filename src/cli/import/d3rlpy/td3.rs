//! d3rlpy's TD3: `algos/qlearning/td3.py`.

use serde_json::Value;

use super::{
    ACTOR, Algorithm, CRITIC, Learns, at, explores_without_noise, param, value_rows, values,
};
use crate::cli::import::table::{Form, Row, Translation, rule};

/// `td3`.
pub(super) const ALGORITHM: Algorithm = Algorithm {
    name: "td3",
    class: "TD3",
    plugin: "Td3",
    learns: Learns::Online,
    batch_size: "256",
    networks: &[CRITIC, ACTOR],
    rows,
    rules,
};

/// The rows of TD3, which TD3+BC has, too.
pub fn rows(config: &Value) -> Vec<Row> {
    let mut rows = value_rows(config);
    rows.extend([
        param("tau", "0.005", ".target_update.tau"),
        param("n_critics", "2", ".critic.ensemble.n"),
        param("target_smoothing_sigma", "0.2", ".actor.noise_std"),
        param("target_smoothing_clip", "0.5", ".actor.noise_clip"),
        rule(&at("update_actor_interval"), "2"),
    ]);
    rows
}

/// What TD3 and TD3+BC have: the targets follow with the actor.
pub fn twin_rules(translation: &mut Translation) {
    values(translation);
    let delay = at("update_actor_interval");
    translation.write(".actor.update_freq", Form::Same, &delay);
    translation.write(".target_update.every", Form::Same, &delay);
    translation.set(".critic.ensemble.weight", "1.0", &[]);
}

fn rules(translation: &mut Translation) {
    twin_rules(translation);
    explores_without_noise(translation, ".exploration_noise");
}
