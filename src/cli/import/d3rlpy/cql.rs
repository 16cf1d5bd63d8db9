//! d3rlpy's CQL: `algos/qlearning/cql.py`.

use std::collections::BTreeSet;

use serde_json::{Value, json};

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
    let factory = at(FACTORY);
    let below = translation.below(&factory);
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
        for below in below {
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
    let critics = translation.number(&at("critic_learning_rate"));
    translation.use_up(&[RATE]);
    if rate != critics {
        let message = format!(
            "the multiplier has the critics' optimizer here, and another thing would be learned: make it {critics}, as `critic_learning_rate` \
             is, or 0 for no multiplier, as d3rlpy's reproductions have it"
        );
        translation.refuse(RATE, &message);
    }
    let of_critics = translation.below(&at("critic_optim_factory"));
    for below in BTreeSet::from_iter(below.into_iter().chain(of_critics)) {
        let (key, of_critics) = (
            format!("{factory}.{below}"),
            at(&format!("critic_optim_factory.{below}")),
        );
        // An empty object is defaults, which are compared where the other has the keys.
        if [&key, &of_critics]
            .map(|key| translation.value(key))
            .contains(&json!({}))
        {
            translation.use_up(&[&key]);
            continue;
        }
        let is_without = match below.as_str() {
            "params.weight_decay" => {
                translation.value(&key) == json!(0) || translation.value(&key) == json!(0.0)
            }
            "params.clip_grad_norm" => translation.value(&key).is_null(),
            _ => translation.value(&key) == translation.value(&of_critics),
        };
        match is_without {
            true => translation.list(&key, "the multiplier has the critics' optimizer, without weight decay and clipping"),
            false => translation.refuse(&key, "the multiplier has the critics' optimizer here, without weight decay and clipping, and another thing would be learned"),
        }
    }
}
