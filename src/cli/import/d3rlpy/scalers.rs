//! What is done to observations, actions and rewards: `preprocessing/*_scalers.py`.

use serde_json::Value;

use super::{Algorithm, Learns, Source, at, type_of};
use crate::cli::import::table::{Row, Translation, listed, object, only, rule};

const OBSERVATION: &str = "config.params.observation_scaler.type";
const ACTION: &str = "config.params.action_scaler.type";
const ACTION_LOW: &str = "config.params.action_scaler.params.minimum";
const ACTION_HIGH: &str = "config.params.action_scaler.params.maximum";
const REWARD: &str = "config.params.reward_scaler.type";

/// Why the statistics of a scaler are not taken over.
const FITTED: &str = "the mean and the deviation are those of the data that are trained on";

/// The rows of the scalers, of the types that the file gives them.
pub fn rows(config: &Value) -> Vec<Row> {
    let mut rows = [OBSERVATION, ACTION, REWARD]
        .map(|key| rule(key, "\"none\""))
        .to_vec();
    for (name, fitted) in [
        ("observation_scaler", "standard"),
        ("action_scaler", "min_max"),
        ("reward_scaler", ""),
    ] {
        let params = at(&format!("{name}.params"));
        match type_of(config, name, "none") {
            "none" => rows.push(object(&params)),
            "standard" if fitted == "standard" => rows.extend([
                listed(&format!("{params}.mean"), FITTED),
                listed(&format!("{params}.std"), FITTED),
                only(
                    &format!("{params}.eps"),
                    "1e-3",
                    "1e-3 is added to the deviation",
                ),
            ]),
            "min_max" if fitted == "min_max" => {
                rows.extend([rule(ACTION_LOW, "null"), rule(ACTION_HIGH, "null")]);
            }
            _ => rows.extend([object(&params), rule(&format!("{params}.*"), "")]),
        }
    }
    rows
}

/// What they do here.
pub(super) fn rules(translation: &mut Translation, algorithm: &Algorithm, source: Source) {
    observations(translation, source);
    match algorithm.plugin {
        "Dqn" => discrete(translation),
        _ => actions(translation, source),
    }
    match translation.text(REWARD).as_deref() {
        Some("none") => translation.use_up(&[REWARD]),
        _ if algorithm.learns == Learns::ByImitation => translation.list(REWARD, "imitation looks at no reward"),
        _ => translation.refuse(REWARD, "expected \"none\": rewards are learned from as they are, and another thing would be learned"),
    }
}

fn observations(translation: &mut Translation, source: Source) {
    match (translation.text(OBSERVATION).as_deref(), source) {
        (Some("none"), Source::Data) => {
            translation.set("Dataset.normalize", "false", &[OBSERVATION])
        }
        (Some("none"), Source::World) => translation.use_up(&[OBSERVATION]),
        (Some("standard"), Source::Data) => {
            translation.set("Dataset.normalize", "true", &[OBSERVATION])
        }
        (Some("standard"), Source::World) => {
            let message = "expected \"none\": with environments, observations are normalized by running statistics (`NormalizeObservations`), and \
                another thing would be learned";
            translation.refuse(OBSERVATION, message);
        }
        _ => {
            let message = "expected \"none\" or \"standard\": observations are normalized by mean and deviation alone, and another thing would be learned";
            translation.refuse(OBSERVATION, message);
        }
    }
}

fn discrete(translation: &mut Translation) {
    match translation.text(ACTION).as_deref() {
        Some("none") => translation.use_up(&[ACTION]),
        _ => translation.refuse(
            ACTION,
            "expected \"none\": actions are discrete, which d3rlpy refuses, too",
        ),
    }
}

fn actions(translation: &mut Translation, source: Source) {
    match translation.text(ACTION).as_deref() {
        Some("none") => match source {
            Source::Data => translation.set("Dataset.action_bounds", "(-1.0, 1.0)", &[ACTION]),
            Source::World => translation.set("Environments.rescale_actions", "false", &[ACTION]),
        },
        Some("min_max") => between(translation, source),
        _ => translation.refuse(
            ACTION,
            "expected \"none\" or \"min_max\": actions are scaled between bounds alone",
        ),
    }
}

/// Actions between a least and a greatest, which d3rlpy has for each element.
fn between(translation: &mut Translation, source: Source) {
    translation.use_up(&[ACTION]);
    let keys = [ACTION_LOW, ACTION_HIGH];
    let [low, high] = keys.map(|key| translation.value(key));
    let ranges: Vec<(Value, Value)> = match (low, high) {
        // It has not been fitted yet.
        (Value::Null, Value::Null) => Vec::new(),
        (Value::Array(low), Value::Array(high))
            if low.len() == high.len() && low.iter().chain(&high).all(Value::is_number) =>
        {
            low.into_iter().zip(high).collect()
        }
        _ => {
            let message =
                format!("expected as many numbers as `{ACTION_HIGH}` has, or null for both");
            return translation.refuse(ACTION_LOW, &message);
        }
    };
    let written: Vec<String> = ranges
        .iter()
        .map(|(low, high)| format!("({low}, {high})"))
        .collect();
    let is_one = ranges.windows(2).all(|pair| pair[0] == pair[1]);
    match (source, ranges.first()) {
        (Source::World, Some(_)) => {
            translation.set(
                "Environments.action_bounds",
                format!("[{}]", written.join(", ")),
                &keys,
            );
        }
        (Source::Data, Some(_)) if is_one => {
            translation.set("Dataset.action_bounds", &*written[0], &keys);
        }
        (Source::Data, Some(_)) => {
            let message = "the elements have different ranges, and `Dataset.action_bounds` is one for all: another thing would be learned";
            translation.refuse(ACTION_LOW, message);
        }
        (_, None) => {
            for key in keys {
                let why = "each element's range is that of the environment, or else of the data";
                translation.tell(key, why);
            }
        }
    }
}
