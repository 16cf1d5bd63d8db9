//! d3rlpy's CQL: `algos/qlearning/cql.py`.

use serde_json::Value;

use super::{
    ACTOR, Algorithm, CRITIC, Learns, Network, at, optimizer, param, temperature, value_rows,
    values,
};
use crate::cli::import::table::{Row, Translation, only, rule};

const RATE: &str = "config.params.alpha_learning_rate";
const FACTORY: &str = "alpha_optim_factory";
const INITIAL: &str = "config.params.initial_alpha";
const THRESHOLD: &str = "config.params.alpha_threshold";
const WEIGHT: &str = "config.params.conservative_weight";

/// `cql`.
pub(super) const ALGORITHM: Algorithm = Algorithm {
    name: "cql",
    class: "CQL",
    plugin: "Cql",
    learns: Learns::Offline,
    batch_size: "256",
    networks: &[
        CRITIC,
        Network {
            rate: "1e-4",
            ..ACTOR
        },
    ],
    rows,
    rules,
};

#[rustfmt::skip]
fn rows(config: &Value) -> Vec<Row> {
    let mut rows = value_rows(config);
    rows.extend(temperature::rows(config, "1e-4"));
    rows.extend(optimizer::rows(config, FACTORY));
    rows.extend([
        rule(RATE, "1e-4"),
        param("tau", "0.005", ".target_update.tau"),
        param("n_critics", "2", ".critic.ensemble.n"),
        rule(INITIAL, "1.0"),
        rule(THRESHOLD, "10.0"),
        rule(WEIGHT, "5.0"),
        param("n_action_samples", "10", ".actions"),
        rule(&at("soft_q_backup"), "false"),
        only(&at("max_q_backup"), "false", "one next action is drawn for the critics' target"),
    ]);
    rows
}

fn rules(translation: &mut Translation) {
    values(translation);
    temperature::rules(translation);
    conservatism(translation);
    let soft = at("soft_q_backup");
    let is_soft = translation.flag(&soft);
    translation.set(".deterministic_backup", (!is_soft).to_string(), &[&soft]);
    if !is_soft {
        translation.tell(
            &soft,
            "translated; the target's action is drawn from the policy here, and is its mean there",
        );
    }
    translation.set(".imitation_steps", "0", &[]);
    translation.set(".target_update.every", "1", &[]);
    translation.set(".critic.ensemble.weight", "1.0", &[]);
}

/// The gap's weight, and the multiplier that holds it to a threshold where its rate is above 0.
fn conservatism(translation: &mut Translation) {
    let [rate, initial, threshold, weight] =
        [RATE, INITIAL, THRESHOLD, WEIGHT].map(|key| translation.number(key));
    if rate <= 0.0 {
        // The multiplier stays what it is, and the threshold has no gradient.
        translation.set(
            ".weight",
            (weight * initial).to_string(),
            &[WEIGHT, INITIAL],
        );
        translation.set(".lagrange", "None", &[RATE]);
        translation.list(
            THRESHOLD,
            "nothing hangs on it where `alpha_learning_rate` is 0",
        );
        let factory = at(FACTORY);
        for below in translation.below(&factory) {
            translation.list(
                &format!("{factory}.{below}"),
                "the multiplier is not learned",
            );
        }
        return;
    }
    translation.set(".weight", translation.value(WEIGHT).to_string(), &[WEIGHT]);
    // There the weight is of the gap above the threshold, here of the gap.
    translation.set(
        ".lagrange",
        (weight * threshold).to_string(),
        &[THRESHOLD, WEIGHT],
    );
    translation.use_up(&[INITIAL]);
    if initial != 1.0 {
        translation.refuse(
            INITIAL,
            "the multiplier begins at 1, and another thing would be learned",
        );
    }
    optimizer::translate(translation, FACTORY, RATE, ".lagrange_optimizer");
}
