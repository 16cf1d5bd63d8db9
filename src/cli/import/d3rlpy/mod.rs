//! d3rlpy's `params.json`, which `fit` and `fit_online` write into their folder and `from_json` reads: the keys that all algorithms
//! have, and the rules of those that say something together.
//!
//! Keys and defaults are those of d3rlpy 2.8.1: `base.py` for all algorithms, `algos/qlearning/*.py` for each. The arguments of
//! `fit` and `fit_online` (`algos/qlearning/base.py`) are not in the file; the scene has their defaults, and a line says so.

mod bc;
mod bcq;
mod cql;
#[cfg(test)]
mod d3rlpy_tests;
mod ddpg;
#[cfg(test)]
mod differing_tests;
mod dqn;
mod encoder;
mod iql;
mod optimizer;
mod sac;
mod scalers;
mod td3;
mod td3_plus_bc;
mod temperature;

use serde_json::Value;

use super::table::{Fate, Form, Row, Translation, is, listed, only, row, rule};
use super::{Instead, Plan};
use crate::scene::quoted;

/// An algorithm that both have.
struct Algorithm {
    /// d3rlpy's `config.type`.
    name: &'static str,
    /// The name of its class, which d3rlpy gives its runs.
    class: &'static str,
    /// The plugin here.
    plugin: &'static str,
    /// Where its experience comes from.
    learns: Learns,
    /// The rows of a minibatch.
    batch_size: &'static str,
    /// The networks that have a learning rate.
    networks: &'static [Network],
    /// The other keys of its own.
    rows: fn(&Value) -> Vec<Row>,
    /// What its keys say together.
    rules: fn(&mut Translation),
}

/// Where experience comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Learns {
    /// A dataset, of which the rewards are not looked at.
    ByImitation,
    /// A dataset.
    Offline,
    /// An environment, or a dataset where one is named.
    Online,
}

/// The keys of a network: `actor_learning_rate`, `actor_optim_factory` and `actor_encoder_factory`, or without what is in front
/// where the algorithm has one network alone.
struct Network {
    /// What is in front of its keys, such as `actor_`.
    prefix: &'static str,
    /// The default of its rate.
    rate: &'static str,
    /// The settings that have its encoder.
    encoders: &'static [&'static str],
    /// The settings that have its optimizer.
    optimizers: &'static [&'static str],
}

const ACTOR: Network = Network {
    prefix: "actor_",
    rate: "3e-4",
    encoders: &[".actor"],
    optimizers: &[".actor"],
};

const CRITIC: Network = Network {
    prefix: "critic_",
    rate: "3e-4",
    encoders: &[".critic"],
    optimizers: &[".critic"],
};

/// The algorithms.
static ALGORITHMS: [Algorithm; 10] = [
    bc::ALGORITHM,
    td3_plus_bc::ALGORITHM,
    bcq::ALGORITHM,
    cql::ALGORITHM,
    iql::ALGORITHM,
    sac::ALGORITHM,
    td3::ALGORITHM,
    ddpg::ALGORITHM,
    dqn::ALGORITHM,
    dqn::DOUBLE,
];

/// Whether a configuration is d3rlpy's.
pub fn is_one(config: &Value) -> bool {
    config.pointer("/config/type").is_some()
}

/// What becomes of a configuration.
///
/// # Errors
/// That its algorithm is not here.
pub fn plan<'a>(config: &Value, instead: Instead<'a>) -> Result<Plan<'a>, String> {
    let wanted = config.pointer("/config/type").unwrap_or(&Value::Null);
    let found = ALGORITHMS.iter().find(|it| wanted == it.name);
    let algorithm = found.ok_or_else(|| {
        let known = ALGORITHMS.each_ref().map(|it| it.name).join(", ");
        format!("config.type: {wanted} is not here; these are: {known}")
    })?;
    let plugins = vec![
        "Dataset",
        "Environments",
        "Replay",
        algorithm.plugin,
        "Evaluation",
        "Checkpoints",
    ];
    Ok(Plan {
        title: format!("d3rlpy's `{}`", algorithm.name),
        taken_for: String::new(),
        plugin: algorithm.plugin,
        plugins,
        rows: rows(algorithm, config),
        rules: Box::new(move |translation| common_rules(translation, algorithm, instead)),
    })
}

/// The path of a parameter.
fn at(name: &str) -> String {
    format!("config.params.{name}")
}

/// A row whose parameter is a setting.
fn param(name: &str, default: &'static str, setting: &str) -> Row {
    is(&at(name), default, setting, Form::Same)
}

/// The `type` that the file gives a part, or else the default.
fn type_of<'a>(config: &'a Value, part: &str, default: &'a str) -> &'a str {
    let pointer = format!("/config/params/{}/type", part.replace('.', "/"));
    let written = config.pointer(&pointer);
    written
        .map_or(Some(default), Value::as_str)
        .unwrap_or_default()
}

/// The critics' values.
fn value_rows(config: &Value) -> Vec<Row> {
    let part = at("q_func_factory");
    let mut rows = vec![rule(&format!("{part}.type"), "\"mean\"")];
    match type_of(config, "q_func_factory", "mean") {
        "mean" => rows.push(only(
            &format!("{part}.params.share_encoder"),
            "false",
            "each critic has a network of its own",
        )),
        _ => rows.push(rule(&format!("{part}.params.*"), "")),
    }
    rows
}

fn values(translation: &mut Translation) {
    let kind = at("q_func_factory.type");
    match translation.text(&kind).as_deref() {
        Some("mean") => translation.use_up(&[&kind]),
        _ => {
            let message = "expected \"mean\": critics of quantiles are not here, and another thing would be learned";
            translation.refuse(&kind, message);
        }
    }
}

/// How many critics there are, where one is all that is here.
fn one_critic() -> Row {
    only(&at("n_critics"), "1", "there is one critic")
}

fn rows(algorithm: &Algorithm, config: &Value) -> Vec<Row> {
    let mut rows = (algorithm.rows)(config);
    rows.extend([
        rule("observation_shape", ""),
        listed("action_size", "the data or the environment has it"),
        rule("config.type", ""),
        row(
            at("batch_size"),
            algorithm.batch_size,
            Fate::Is(".minibatch.batch_size".to_owned(), Form::Same),
        ),
        listed(&at("compile_graph"), "the same steps are taken without"),
    ]);
    rows.push(match algorithm.learns {
        Learns::ByImitation => listed(&at("gamma"), "imitation discounts nothing"),
        Learns::Offline | Learns::Online => param("gamma", "0.99", ".discount"),
    });
    for network in algorithm.networks {
        rows.push(rule(
            &at(&format!("{}learning_rate", network.prefix)),
            network.rate,
        ));
        rows.extend(optimizer::rows(
            config,
            &format!("{}optim_factory", network.prefix),
        ));
        if !network.encoders.is_empty() {
            rows.extend(encoder::rows(
                config,
                &format!("{}encoder_factory", network.prefix),
            ));
        }
    }
    rows.extend(scalers::rows(config));
    rows
}

fn common_rules(translation: &mut Translation, algorithm: &Algorithm, instead: Instead<'_>) {
    translation.use_up(&["config.type"]);
    translation.set("name", quoted(algorithm.class), &[]);
    shape(translation);
    let source = experience(translation, algorithm, instead);
    scalers::rules(translation, algorithm, source);
    for network in algorithm.networks {
        for setting in network.encoders {
            let factory = format!("{}encoder_factory", network.prefix);
            encoder::translate(translation, &factory, setting);
        }
        for setting in network.optimizers {
            let rate = at(&format!("{}learning_rate", network.prefix));
            let factory = format!("{}optim_factory", network.prefix);
            let setting = format!("{setting}.optimizer");
            optimizer::translate(translation, &factory, &rate, &setting);
        }
    }
    (algorithm.rules)(translation);
}

/// Observations are one row of numbers each.
fn shape(translation: &mut Translation) {
    const SHAPE: &str = "observation_shape";
    match translation.value(SHAPE) {
        Value::Null => {}
        Value::Array(sizes) if sizes.len() == 1 && sizes[0].is_u64() => {
            translation.list(SHAPE, "the data or the environment has it");
        }
        _ => {
            let message = "expected one width: d3rlpy's encoders of pictures and of tuples are not here, and another thing would be learned";
            translation.refuse(SHAPE, message);
        }
    }
}

/// What a run learns from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    /// A dataset.
    Data,
    /// An environment.
    World,
}

/// The source of experience, and the arguments of `fit` or of `fit_online` that are not in the file.
fn experience(
    translation: &mut Translation,
    algorithm: &Algorithm,
    instead: Instead<'_>,
) -> Source {
    let source = match (instead.dataset, instead.env) {
        (Some(path), _) => {
            translation.set("Dataset.path", quoted(path), &[]);
            Source::Data
        }
        (None, Some(env)) if algorithm.learns == Learns::Online => {
            translation.set("Environments.env", quoted(env), &[]);
            translation.set("Replay.capacity", "1000000", &[]);
            Source::World
        }
        (None, _) => {
            let message = match algorithm.learns {
                Learns::Online => {
                    "no environment is named, as `fit_online` takes one: give --env NAME, or --dataset FILE to learn from data"
                }
                _ => "no dataset is named, as `fit` takes one: give --dataset FILE",
            };
            translation.refuse("--dataset", message);
            Source::Data
        }
    };
    let steps = match source {
        Source::Data => {
            translation.remark("fit(n_steps)", "not in the file, and without a default: 500000, as in d3rlpy's reproductions; change `steps` to yours");
            500_000
        }
        Source::World => {
            translation.write(".off_policy.learning_starts", Form::Same, &at("batch_size"));
            translation.set(".off_policy.train_freq", "1", &[]);
            translation.set(".off_policy.gradient_steps", "1", &[]);
            translation.remark(
                "fit_online(n_steps, buffer, update_interval, n_updates)",
                "not in the file: d3rlpy's defaults, 1000000, 1000000 transitions, 1 and 1",
            );
            translation.remark("fit_online(update_start_step, random_steps)", "not in the file: by d3rlpy's defaults of 0 it learns as soon as there is a batch; the actions until then are uniform here, and the policy's there");
            1_000_000
        }
    };
    translation.set("steps", steps.to_string(), &[]);
    const EPOCH: u64 = 10_000;
    let of = match source {
        Source::Data => "fit(n_steps_per_epoch, save_interval, evaluators)",
        Source::World => "fit_online(n_steps_per_epoch, save_interval, eval_n_trials)",
    };
    translation.remark(of, "not in the file: saved every 10000 steps, d3rlpy's default, and with --env evaluated on 10 episodes as often");
    if let Some(env) = instead.env {
        translation.set("Evaluation.env", quoted(env), &[]);
        translation.set("Evaluation.every", EPOCH.to_string(), &[]);
        translation.set("Evaluation.episodes", "10", &[]);
    }
    translation.set("Checkpoints.every", EPOCH.to_string(), &[]);
    // d3rlpy deletes none, and chooses none.
    translation.set("Checkpoints.keep", (steps / EPOCH).to_string(), &[]);
    translation.set("Checkpoints.best", "None", &[]);
    source
}

/// That an environment is explored as `fit_online` does without an `explorer`: not at all.
fn explores_without_noise(translation: &mut Translation, setting: &str) {
    if translation.has("Environments") {
        translation.set(setting, "Constant(0.0)", &[]);
        let why = format!(
            "not in the file: by d3rlpy's default there is none, and the actions are the policy's own; `{}` is its place",
            &setting[1..]
        );
        translation.remark("fit_online(explorer)", &why);
    }
}
