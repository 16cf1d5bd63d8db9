//! robomimic's CQL: `robomimic/config/cql_config.py`.

use serde_json::Value;

use super::{Algorithm, optimizer, optimizer_rows};
use crate::cli::import::table::{Form, Row, Translation, is, listed, only, rule};

/// `cql`.
pub const ALGORITHM: Algorithm = Algorithm {
    name: "cql",
    plugin: "Cql",
    rows,
    rules,
    held_out_loss: Some("validate/critic/loss"),
    takes_goals: false,
};

#[rustfmt::skip]
fn rows() -> Vec<Row> {
    let mut rows = vec![
        // Its own default of a common key.
        is("train.batch_size", "1024", ".minibatch.batch_size", Form::Same),

        is("algo.discount", "0.99", ".discount", Form::Same),
        is("algo.n_step", "1", ".n_step", Form::Same),
        is("algo.target_tau", "0.005", ".target_update.tau", Form::Same),
        is("algo.actor.bc_start_steps", "0", ".imitation_steps", Form::Same),
        rule("algo.actor.target_entropy", "\"default\""),
        is("algo.actor.max_gradient_norm", "null", ".actor.optimizer.max_gradient_norm", Form::Same),
        only("algo.actor.net.type", "\"gaussian\"", "the policy is a Gaussian"),
        only("algo.actor.net.common.std_activation", "\"exp\"", "deviations are e to the output"),
        only("algo.actor.net.common.use_tanh", "true", "the Gaussian is squashed by a tanh"),
        listed("algo.actor.net.common.low_noise_eval", "the mean acts at evaluation"),
        listed("algo.actor.net.gaussian.init_last_fc_weight", super::LAST_LAYER),
        listed("algo.actor.net.gaussian.init_std", "nothing hangs on it where deviations are e to the output"),
        only("algo.actor.net.gaussian.fixed_std", "false", "deviations are learned"),
        is("algo.actor.layer_dims", "[300, 400]", ".actor.encoder", Form::Layers),
        is("algo.critic.use_huber", "false", ".critic.huber", Form::Same),
        is("algo.critic.max_gradient_norm", "null", ".critic.optimizer.max_gradient_norm", Form::Same),
        is("algo.critic.value_bounds", "null", ".critic.value_bounds", Form::Range),
        only("algo.critic.num_action_samples", "1", "one next action is drawn for the critics' target"),
        rule("algo.critic.cql_weight", "1.0"),
        is("algo.critic.deterministic_backup", "true", ".deterministic_backup", Form::Same),
        rule("algo.critic.min_q_weight", "1.0"),
        rule("algo.critic.target_q_gap", "5.0"),
        is("algo.critic.num_random_actions", "10", ".actions", Form::Same),
        is("algo.critic.ensemble.n", "2", ".critic.ensemble.n", Form::Same),
        is("algo.critic.layer_dims", "[300, 400]", ".critic.encoder", Form::Layers),
    ];
    rows.extend(optimizer_rows("critic", "1e-3", "0.0"));
    rows.extend(optimizer_rows("actor", "3e-4", "0.0"));
    rows
}

fn rules(translation: &mut Translation) {
    optimizer(translation, "critic", ".critic.optimizer");
    optimizer(translation, "actor", ".actor.optimizer");
    // The rates of its two multipliers are the networks' own, and never decay.
    let initial = "algo.optim_params.actor.learning_rate.initial";
    let rate = translation.value(initial);
    let rate = format!("Constant({rate})");
    translation.set(".temperature.optimizer.learning_rate", rate, &[initial]);
    entropy(translation);
    gap(translation);
}

fn entropy(translation: &mut Translation) {
    const TARGET: &str = "algo.actor.target_entropy";
    match translation.value(TARGET) {
        Value::Null => translation.set(".temperature.learned", "false", &[TARGET]),
        Value::String(text) if text == "default" => {
            translation.set(".temperature.target_entropy", "None", &[TARGET]);
        }
        _ => translation.write(".temperature.target_entropy", Form::Same, TARGET),
    }
}

/// The gap that a multiplier holds the critics to, where it is not negative; else a weight.
fn gap(translation: &mut Translation) {
    let [gap, weight, factor] =
        ["target_q_gap", "min_q_weight", "cql_weight"].map(|name| format!("algo.critic.{name}"));
    let threshold = match translation.value(&gap) {
        Value::Null => None,
        _ => Some(translation.number(&gap)).filter(|gap| *gap >= 0.0),
    };
    if threshold.is_some() {
        translation.write(".lagrange", Form::Same, &gap);
        translation.write(".weight", Form::Same, &weight);
        translation.list(&factor, "nothing hangs on it where `target_q_gap` is set");
        let initial = "algo.optim_params.critic.learning_rate.initial";
        let rate = format!("Constant({})", translation.value(initial));
        translation.set(".lagrange_optimizer.learning_rate", rate, &[initial]);
    } else {
        translation.set(".lagrange", "None", &[&gap]);
        let product = translation.number(&weight) * translation.number(&factor);
        translation.set(".weight", product.to_string(), &[&weight, &factor]);
    }
}
