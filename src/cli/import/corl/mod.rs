//! CORL's YAML, which its scripts take with `--config_path` and write next to their checkpoints: the keys that all algorithms have,
//! and the rules of those that say something together.
//!
//! Keys, defaults and what the scripts do without a key are those of `algorithms/offline/*.py` of corl-team/CORL at commit eeeeef2,
//! of February 2024: the fields of each script's `TrainConfig`.

mod bc;
#[cfg(test)]
mod corl_tests;
mod cql;
mod iql;
mod recognition;
#[cfg(test)]
mod recognition_tests;
mod td3_bc;

pub use recognition::told_apart_by;

use serde_json::Value;

use super::table::{Form, Row, Translation, is, listed, only, rule};
use super::{Instead, NO_WANDB, NO_WEIGHTS, Plan};
use crate::env::registry;
use crate::scene::quoted;

/// An algorithm that both have.
pub struct Algorithm {
    /// CORL's script.
    script: &'static str,
    /// The default of `name`, by which a file without the keys below is told.
    name: &'static str,
    /// The plugin here.
    plugin: &'static str,
    /// Keys that this script alone has.
    keys: &'static [&'static str],
    /// The keys of its own.
    rows: fn() -> Vec<Row>,
    /// What its keys say together, and what it does without a key.
    rules: fn(&mut Translation),
}

/// The algorithms.
static ALGORITHMS: [Algorithm; 4] = [
    td3_bc::ALGORITHM,
    iql::ALGORITHM,
    cql::ALGORITHM,
    bc::ALGORITHM,
];

/// What becomes of a configuration; `None` where it is none of CORL's.
///
/// # Errors
/// That it is of a script that is not here, or of several.
pub fn plan<'a>(config: &Value, instead: Instead<'a>) -> Result<Option<Plan<'a>>, String> {
    let found = recognition::script_of(config)?;
    Ok(found.map(|(algorithm, key)| of_script(algorithm, key, instead)))
}

/// What becomes of a script's configuration, which was told by `key`.
fn of_script<'a>(algorithm: &'static Algorithm, key: &str, instead: Instead<'a>) -> Plan<'a> {
    let title = format!("CORL's `{}`", algorithm.script);
    Plan {
        taken_for: format!("; the file is taken for {title} by its `{key}`"),
        title,
        plugin: algorithm.plugin,
        plugins: vec!["Dataset", algorithm.plugin, "Evaluation", "Checkpoints"],
        rows: rows(algorithm),
        rules: Box::new(move |translation| {
            common_rules(translation, algorithm, instead);
            (algorithm.rules)(translation);
        }),
    }
}

#[rustfmt::skip]
fn rows(algorithm: &Algorithm) -> Vec<Row> {
    let mut rows = (algorithm.rows)();
    rows.extend([
        listed("project", NO_WANDB),
        listed("group", NO_WANDB),
        rule("env", "\"halfcheetah-medium-expert-v2\""),
        is("discount", "0.99", ".discount", Form::Same),
        is("max_timesteps", "1000000", "steps", Form::Same),
        listed("buffer_size", "the dataset is as large as it is"),
        is("batch_size", "256", ".minibatch.batch_size", Form::Same),
        is("normalize", "true", "Dataset.normalize", Form::Same),
        only("normalize_reward", "false", "rewards are learned from as they are"),
        rule("eval_freq", "5000"),
        rule("n_episodes", "10"),
        rule("checkpoints_path", "null"),
        only("load_model", "\"\"", NO_WEIGHTS),
        is("seed", "0", "seed", Form::Same),
        rule("device", "\"cuda\""),
        rule("name", ""),
    ]);
    rows
}

fn common_rules(translation: &mut Translation, algorithm: &Algorithm, instead: Instead<'_>) {
    match translation.value("name").is_null() {
        true => translation.set("name", quoted(algorithm.name), &["name"]),
        false => translation.write("name", Form::Same, "name"),
    }
    device(translation);
    match instead.dataset {
        Some(path) => translation.set("Dataset.path", quoted(path), &[]),
        None => translation.refuse("--dataset", "no dataset is named, and D4RL's are not fetched: give --dataset FILE, D4RL's HDF5 file of `env`"),
    }
    // `d4rl.qlearning_dataset`, whose actions are taken as they are.
    translation.set("Dataset.rule", "D4rl", &[]);
    translation.set("Dataset.action_bounds", "(-1.0, 1.0)", &[]);
    evaluation(translation, instead.env);
    saving(translation);
}

fn device(translation: &mut Translation) {
    const DEVICE: &str = "device";
    match translation.text(DEVICE).as_deref() {
        Some("cpu") => translation.set(DEVICE, quoted("cpu"), &[DEVICE]),
        Some(cuda) if cuda == "cuda" || cuda.starts_with("cuda:") => {
            translation.set(DEVICE, quoted("auto"), &[DEVICE]);
        }
        _ => translation.refuse(DEVICE, "expected cpu or cuda"),
    }
}

/// The evaluation, where there is an environment for it.
fn evaluation(translation: &mut Translation, instead: Option<&str>) {
    let (env, often, episodes) = ("env", "eval_freq", "n_episodes");
    let named = translation
        .text(env)
        .filter(|env| registry::check_name(env).is_ok());
    let Some(name) = instead.map(str::to_owned).or(named) else {
        translation.tell(
            env,
            "D4RL's environments are not here: give --env NAME, such as HalfCheetah-v5",
        );
        return translation.list_all(&[often, episodes], "there is no `Evaluation` in the scene");
    };
    translation.set("Evaluation.env", quoted(&name), &[env]);
    if instead.is_some() {
        translation.list(env, "--dataset and --env take its place");
    }
    translation.write("Evaluation.every", Form::Same, often);
    translation.write("Evaluation.episodes", Form::Same, episodes);
}

/// Checkpoints, with each evaluation, all of them kept.
fn saving(translation: &mut Translation) {
    let (path, often) = ("checkpoints_path", "eval_freq");
    if translation.text(path).is_none() {
        return translation.tell(path, "nothing is saved then, and there are no `Checkpoints` in the scene: add them to keep the policy");
    }
    translation.write("Checkpoints.every", Form::Same, often);
    let steps = translation.value("max_timesteps").as_u64().unwrap_or(1);
    let all = steps.div_ceil(translation.count(often)).max(1);
    translation.set("Checkpoints.keep", all.to_string(), &[]);
    translation.set("Checkpoints.best", "None", &[]);
    translation.list(
        path,
        "a run's folder lies in runs/, or is that of `yarak train --run DIR`",
    );
}

/// The layers and the rate of a network, at keys or as the script has them.
fn network(
    translation: &mut Translation,
    setting: &str,
    layers: &str,
    rate: &str,
    because_of: &[&str],
) {
    translation.set(
        &format!("{setting}.encoder"),
        format!("Mlp(hidden_sizes: {layers})"),
        &[],
    );
    let learning_rate = format!("{setting}.optimizer.learning_rate");
    translation.set(&learning_rate, format!("Constant({rate})"), because_of);
}

/// Two critics, of which the least value counts.
fn two_critics(translation: &mut Translation) {
    translation.set(".critic.ensemble.n", "2", &[]);
    translation.set(".critic.ensemble.weight", "1.0", &[]);
}

const TWO_LAYERS: &str = "[256, 256]";
const THREE_LAYERS: &str = "[256, 256, 256]";
