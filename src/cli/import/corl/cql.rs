//! CORL's CQL: `algorithms/offline/cql.py`.

use super::{Algorithm, THREE_LAYERS, network, two_critics};
use crate::cli::import::table::{Form, Row, Translation, is, listed, only, rule};

/// `cql`.
pub const ALGORITHM: Algorithm = Algorithm {
    script: "cql",
    name: "CQL",
    plugin: "Cql",
    keys: &[
        "cql_alpha",
        "cql_n_actions",
        "cql_lagrange",
        "cql_temp",
        "bc_steps",
        "policy_lr",
    ],
    rows,
    rules,
};

#[rustfmt::skip]
fn rows() -> Vec<Row> {
    const NOT_CLIPPED: &str = "the gap is not clipped";
    const OF_REWARDS: &str = "CORL looks at it with `normalize_reward: true` alone";
    vec![
        rule("alpha_multiplier", "1.0"),
        rule("use_automatic_entropy_tuning", "true"),
        rule("backup_entropy", "false"),
        rule("policy_lr", "3e-5"),
        rule("qf_lr", "3e-4"),
        is("soft_target_update_rate", "5e-3", ".target_update.tau", Form::Same),
        is("target_update_period", "1", ".target_update.every", Form::Same),
        is("cql_n_actions", "10", ".actions", Form::Same),
        only("cql_importance_sample", "true", "densities are importance weights"),
        rule("cql_lagrange", "false"),
        rule("cql_target_action_gap", "-1.0"),
        only("cql_temp", "1.0", "the sum over all actions is of e to their values"),
        is("cql_alpha", "10.0", ".weight", Form::Same),
        only("cql_max_target_backup", "false", "one next action is drawn for the critics' target"),
        only("cql_clip_diff_min", "\"-.inf\"", NOT_CLIPPED),
        only("cql_clip_diff_max", "\".inf\"", NOT_CLIPPED),
        rule("orthogonal_init", "true"),
        only("q_n_hidden_layers", "3", "all critics have the same layers, and CORL's second one has three whatever this says"),
        is("bc_steps", "0", ".imitation_steps", Form::Same),
        listed("reward_scale", OF_REWARDS),
        listed("reward_bias", OF_REWARDS),
        only("policy_log_std_multiplier", "1.0", "the logarithm of the deviation is the network's output"),
    ]
}

fn rules(translation: &mut Translation) {
    two_critics(translation);
    for (setting, key) in [(".critic", "qf_lr"), (".actor", "policy_lr")] {
        translation.number(key);
        let rate = translation.value(key).to_string();
        network(translation, setting, THREE_LAYERS, &rate, &[key]);
    }
    let entropy = "backup_entropy";
    let without = !translation.flag(entropy);
    translation.set(".deterministic_backup", without.to_string(), &[entropy]);
    temperature(translation);
    multiplier(translation);
    translation.tell(
        "orthogonal_init",
        "weights begin as those of PyTorch's linear layers do, uniform in ±1/√in",
    );
}

fn temperature(translation: &mut Translation) {
    let (learned, factor) = ("use_automatic_entropy_tuning", "alpha_multiplier");
    if translation.flag(learned) {
        translation.set(".temperature.learned", "true", &[learned]);
        translation.set(".temperature.initial", "1.0", &[]);
        let rate = format!("Constant({})", translation.value("policy_lr"));
        translation.set(".temperature.optimizer.learning_rate", rate, &["policy_lr"]);
        translation.only(
            factor,
            "1.0",
            "the temperature that is learned has no factor",
        );
    } else {
        translation.set(".temperature.learned", "false", &[learned]);
        translation.write(".temperature.initial", Form::Same, factor);
    }
}

/// The multiplier, which holds the gap to a threshold; there the weight is of the gap above it, here of the gap.
fn multiplier(translation: &mut Translation) {
    let (held, gap) = ("cql_lagrange", "cql_target_action_gap");
    match translation.flag(held) {
        true => {
            let least = translation.number(gap);
            if least < 0.0 {
                let message = "expected a number at least 0 where `cql_lagrange` is true";
                return translation.refuse(gap, message);
            }
            let threshold = least * translation.number("cql_alpha");
            translation.set(".lagrange", threshold.to_string(), &[held, gap]);
            translation.tell(
                held,
                "translated; the multiplier begins at 1 here, and at e there",
            );
        }
        false => {
            translation.set(".lagrange", "None", &[held]);
            translation.list(gap, "nothing hangs on it where `cql_lagrange` is false");
        }
    }
}
