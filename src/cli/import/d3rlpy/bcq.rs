//! d3rlpy's BCQ: `algos/qlearning/bcq.py`.

use serde_json::Value;

use super::{ACTOR, Algorithm, CRITIC, Learns, Network, at, param, value_rows, values};
use crate::cli::import::table::{Form, Row, Translation, listed, only, rule};

/// `bcq`.
pub(super) const ALGORITHM: Algorithm = Algorithm {
    name: "bcq",
    class: "BCQ",
    plugin: "Bcq",
    learns: Learns::Offline,
    batch_size: "100",
    networks: &[
        Network {
            prefix: "imitator_",
            rate: "1e-3",
            encoders: &[".vae"],
            optimizers: &[".vae"],
        },
        Network {
            rate: "1e-3",
            ..CRITIC
        },
        Network {
            rate: "1e-3",
            ..ACTOR
        },
    ],
    rows,
    rules,
};

#[rustfmt::skip]
fn rows(config: &Value) -> Vec<Row> {
    let mut rows = value_rows(config);
    rows.extend([
        param("tau", "0.005", ".target_update.tau"),
        param("n_critics", "2", ".critic.ensemble.n"),
        listed(&at("update_actor_interval"), "d3rlpy's BCQ does not look at it: the perturbation is updated with the critics"),
        param("lam", "0.75", ".critic.ensemble.weight"),
        rule(&at("n_action_samples"), "100"),
        param("action_flexibility", "0.05", ".perturbation_limit"),
        only(&at("rl_start_step"), "0", "the critics learn from the first step"),
        param("beta", "0.5", ".divergence_weight"),
    ]);
    rows
}

fn rules(translation: &mut Translation) {
    values(translation);
    // There are as many where it learns as where it acts.
    let samples = at("n_action_samples");
    translation.write(".target_samples", Form::Same, &samples);
    translation.write(".act_samples", Form::Same, &samples);
    translation.set(".target_update.every", "1", &[]);
    translation.set(".latent", "None", &[]);
    translation.remark(
        "BCQ's autoencoder",
        "no key says it: its actions go through a tanh here, as in the authors' code, and through none in d3rlpy",
    );
    translation.set(".latent_clip", "0.5", &[]);
}
