//! CORL's IQL: `algorithms/offline/iql.py`.

use serde_json::Value;

use super::{Algorithm, TWO_LAYERS, network, two_critics};
use crate::cli::import::table::{Form, Row, Translation, is, rule};

/// `iql`.
pub const ALGORITHM: Algorithm = Algorithm {
    script: "iql",
    name: "IQL",
    plugin: "Iql",
    keys: &[
        "iql_tau",
        "iql_deterministic",
        "vf_lr",
        "actor_dropout",
        "actor_lr",
    ],
    rows,
    rules,
};

fn rows() -> Vec<Row> {
    vec![
        is("tau", "0.005", ".target_update.tau", Form::Same),
        is("beta", "3.0", ".inverse_temperature", Form::Same),
        is("iql_tau", "0.7", ".expectile", Form::Same),
        rule("iql_deterministic", "false"),
        rule("vf_lr", "3e-4"),
        rule("qf_lr", "3e-4"),
        rule("actor_lr", "3e-4"),
        rule("actor_dropout", "null"),
    ]
}

fn rules(translation: &mut Translation) {
    translation.set(".target_update.every", "1", &[]);
    translation.set(".max_weight", "100.0", &[]);
    translation.set(".max_advantage", "None", &[]);
    two_critics(translation);
    for (setting, key) in [(".critic", "qf_lr"), (".value", "vf_lr")] {
        translation.number(key);
        let rate = translation.value(key).to_string();
        network(translation, setting, TWO_LAYERS, &rate, &[key]);
    }
    let (rate, steps, dropout) = ("actor_lr", "max_timesteps", "actor_dropout");
    translation.number(rate);
    let over = translation.count(steps);
    let fall = format!(
        "Cosine(initial: {}, over: Steps({over}))",
        translation.value(rate)
    );
    translation.set(".actor.optimizer.learning_rate", fall, &[rate]);
    let dropped = match translation.value(dropout) {
        Value::Null => String::new(),
        share => {
            translation.number(dropout);
            format!(", dropout: {share}")
        }
    };
    let encoder = format!("Mlp(hidden_sizes: {TWO_LAYERS}{dropped})");
    translation.set(".actor.encoder", encoder, &[dropout]);
    policy(translation);
}

fn policy(translation: &mut Translation) {
    const DETERMINISTIC: &str = "iql_deterministic";
    translation.set(".head", "Gaussian", &[]);
    match translation.flag(DETERMINISTIC) {
        // The likelihood under a variance of ½ is the squared error, up to a constant.
        true => {
            translation.set(".gaussian.deviation", "Fixed", &[DETERMINISTIC]);
            translation.set(".gaussian.initial_std", "0.70710677", &[DETERMINISTIC]);
        }
        false => {
            translation.set(".gaussian.deviation", "Learned", &[DETERMINISTIC]);
            translation.set(".gaussian.initial_std", "1.0", &[]);
            // e to −20 and to 2.
            translation.set(".gaussian.min_std", "2.0611537e-9", &[]);
            translation.set(".gaussian.max_std", "7.389056", &[]);
        }
    }
}
