//! CORL's TD3+BC: `algorithms/offline/td3_bc.py`.

use super::{Algorithm, TWO_LAYERS, network, two_critics};
use crate::cli::import::table::{Form, Row, Translation, is, listed, rule};

/// `td3_bc`.
pub const ALGORITHM: Algorithm = Algorithm {
    script: "td3_bc",
    name: "TD3_BC",
    plugin: "Td3Bc",
    keys: &["policy_noise", "noise_clip", "policy_freq", "expl_noise"],
    rows,
    rules,
};

fn rows() -> Vec<Row> {
    vec![
        is("alpha", "2.5", ".alpha", Form::Same),
        listed(
            "expl_noise",
            "CORL does not look at it: nothing is explored offline",
        ),
        is("tau", "0.005", ".target_update.tau", Form::Same),
        is("policy_noise", "0.2", ".actor.noise_std", Form::Same),
        is("noise_clip", "0.5", ".actor.noise_clip", Form::Same),
        rule("policy_freq", "2"),
    ]
}

fn rules(translation: &mut Translation) {
    // There the targets follow with the actor.
    const DELAY: &str = "policy_freq";
    translation.write(".actor.update_freq", Form::Same, DELAY);
    translation.write(".target_update.every", Form::Same, DELAY);
    two_critics(translation);
    for setting in [".critic", ".actor"] {
        network(translation, setting, TWO_LAYERS, "3e-4", &[]);
    }
}
