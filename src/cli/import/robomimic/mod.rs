//! robomimic's configuration, as its `train.py --config FILE` takes it: the keys that all algorithms have, and the rules of those that
//! say something together.
//!
//! Keys and defaults are those of `robomimic/config/base_config.py`, version 0.5.

mod bc;
mod bcq;
mod cql;
mod density;
mod iql;
mod memory;
#[cfg(test)]
mod robomimic_tests;
mod td3_bc;

use std::env;

use serde_json::{Value, json};

use super::table::{Fate, Form, Row, Translation, is, listed, only, row, rule, texts};
use super::{Instead, NO_WANDB, NO_WEIGHTS, Plan};
use crate::env::registry;
use crate::scene::quoted;

/// An algorithm that both have.
pub struct Algorithm {
    /// robomimic's `algo_name`.
    pub name: &'static str,
    /// The plugin here.
    pub plugin: &'static str,
    /// The keys of its own, with its own defaults of common ones in front.
    pub rows: fn() -> Vec<Row>,
    /// What its keys say together.
    pub rules: fn(&mut Translation),
    /// The metric of its loss on held-out rows, which robomimic calls `Loss`.
    pub held_out_loss: Option<&'static str>,
    /// Whether it takes goals here.
    pub takes_goals: bool,
}

/// The algorithms.
static ALGORITHMS: [Algorithm; 5] = [
    bc::ALGORITHM,
    td3_bc::ALGORITHM,
    bcq::ALGORITHM,
    cql::ALGORITHM,
    iql::ALGORITHM,
];

/// The algorithms' names, for a message.
fn known() -> String {
    ALGORITHMS.each_ref().map(|it| it.name).join(", ")
}

/// What becomes of a configuration.
///
/// # Errors
/// That its algorithm is not here.
pub fn plan<'a>(config: &Value, instead: Instead<'a>) -> Result<Plan<'a>, String> {
    let Some(Value::String(wanted)) = config.get("algo_name") else {
        let known = known();
        return Err(format!(
            "algo_name: expected one of robomimic's algorithms that are here: {known}"
        ));
    };
    let found = ALGORITHMS.iter().find(|it| it.name == wanted);
    let algorithm = found.ok_or_else(|| {
        let (wanted, known) = (wanted.escape_debug(), known());
        format!("algo_name: `{wanted}` is not here; these are: {known}")
    })?;
    Ok(Plan {
        title: format!("robomimic's `{}`", algorithm.name),
        taken_for: String::new(),
        plugin: algorithm.plugin,
        plugins: vec![
            "Dataset",
            algorithm.plugin,
            "Validation",
            "Evaluation",
            "Checkpoints",
        ],
        rows: rows(algorithm),
        rules: Box::new(move |translation| {
            common_rules(translation, algorithm, instead);
            // Last, so that what an algorithm says of a common key stands.
            (algorithm.rules)(translation);
        }),
    })
}

/// Why the initial weights of a policy's last layer have no counterpart.
const LAST_LAYER: &str = "the last layer begins as PyTorch's linear layers do, uniform in ±1/√in";

const NO_VIDEO: &str = "`yarak eval RUN --video FILE.gif` draws an episode";
const NO_PICTURES: &str = "robomimic's encoders of pictures, depth and scans are not here";
const NO_KIND: &str = "no observation of this kind is named";

/// The keys that all algorithms have.
#[rustfmt::skip]
fn common() -> Vec<Row> {
    vec![
        row("algo_name", "", Fate::Rule),
        is("experiment.name", "\"test\"", "name", Form::Same),
        rule("experiment.validate", "false"),
        listed("experiment.logging.terminal_output_to_txt", "a run always leaves log.txt"),
        rule("experiment.logging.log_tb", "true"),
        listed("experiment.logging.log_wandb", NO_WANDB),
        listed("experiment.logging.wandb_proj_name", NO_WANDB),
        rule("experiment.save.enabled", "true"),
        rule("experiment.save.every_n_seconds", "null"),
        rule("experiment.save.every_n_epochs", "50"),
        rule("experiment.save.epochs", "[]"),
        rule("experiment.save.on_best_validation", "false"),
        rule("experiment.save.on_best_rollout_return", "false"),
        rule("experiment.save.on_best_rollout_success_rate", "true"),
        is("experiment.epoch_every_n_steps", "100", ".minibatch.steps_per_epoch", Form::Same),
        rule("experiment.validation_epoch_every_n_steps", "10"),
        rule("experiment.env", "null"),
        rule("experiment.additional_envs", "null"),
        listed("experiment.render", NO_VIDEO),
        listed("experiment.render_video", NO_VIDEO),
        listed("experiment.keep_all_videos", NO_VIDEO),
        listed("experiment.video_skip", NO_VIDEO),
        rule("experiment.rollout.enabled", "true"),
        rule("experiment.rollout.n", "50"),
        rule("experiment.rollout.horizon", "400"),
        rule("experiment.rollout.rate", "50"),
        rule("experiment.rollout.warmstart", "0"),
        rule("experiment.rollout.terminate_on_success", "true"),
        listed("experiment.env_meta_update_dict.*", "an environment is made from its name; `Evaluation(kwargs: ..)` has keyword arguments"),
        only("experiment.ckpt_path", "null", NO_WEIGHTS),
        rule("train.data", "null"),
        listed("train.output_dir", "a run's folder lies in runs/, or is that of `yarak train --run DIR`"),
        listed("train.normalize_weights_by_ds_size", "a run has one dataset"),
        listed("train.num_data_workers", "there are no workers to load batches"),
        listed("train.hdf5_cache_mode", "data are in memory, or read ahead where `Dataset(memory: ..)` says so: the batches are the same"),
        listed("train.hdf5_use_swmr", "the file is opened for reading"),
        listed("train.hdf5_load_next_obs", "next observations are read where the algorithm learns from them"),
        is("train.hdf5_normalize_obs", "false", "Dataset.normalize", Form::Same),
        rule("train.hdf5_filter_key", "null"),
        rule("train.hdf5_validation_filter_key", "null"),
        rule("train.seq_length", "1"),
        rule("train.pad_seq_length", "true"),
        only("train.frame_stack", "1", "robomimic stacks frames for its transformers, and its other networks learn from the oldest of them alone; \
            `Dataset(frame_stack: N)` shows N observations side by side"),
        listed("train.pad_frame_stack", "no frames are stacked"),
        listed("train.dataset_keys", "the columns that the algorithm learns from are read"),
        only("train.action_keys", "[\"actions\"]", "actions are the one dataset `actions`"),
        rule("train.action_config.*", ""),
        rule("train.goal_mode", "null"),
        rule("train.cuda", "true"),
        is("train.batch_size", "100", ".minibatch.batch_size", Form::Same),
        is("train.num_epochs", "2000", "epochs", Form::Same),
        is("train.seed", "1", "seed", Form::Same),
        listed("train.max_grad_norm", "robomimic clips behavior cloning alone by it"),
        is("observation.modalities.obs.low_dim", r#"["robot0_eef_pos", "robot0_eef_quat", "robot0_gripper_qpos", "object"]"#, "Dataset.observations", Form::Names),
        only("observation.modalities.obs.rgb", "[]", NO_PICTURES),
        only("observation.modalities.obs.depth", "[]", NO_PICTURES),
        only("observation.modalities.obs.scan", "[]", NO_PICTURES),
        rule("observation.modalities.goal.low_dim", "[]"),
        only("observation.modalities.goal.rgb", "[]", NO_PICTURES),
        only("observation.modalities.goal.depth", "[]", NO_PICTURES),
        only("observation.modalities.goal.scan", "[]", NO_PICTURES),
        only("observation.encoder.low_dim.core_class", "null", "what is in front of the layers is not here"),
        only("observation.encoder.low_dim.obs_randomizer_class", "null", "observations are not randomized"),
        listed("observation.encoder.low_dim.*", "there is no such encoder and no randomizer"),
        listed("observation.encoder.rgb.*", NO_KIND),
        listed("observation.encoder.depth.*", NO_KIND),
        listed("observation.encoder.scan.*", NO_KIND),
        listed("meta.*", "the names of a search over settings"),
    ]
}

/// The rows of an algorithm.
fn rows(algorithm: &Algorithm) -> Vec<Row> {
    let mut rows = (algorithm.rows)();
    rows.extend(common());
    rows
}

/// The rows of a network's optimizer, which [`optimizer`] looks at. Only behavior cloning's says a rule and a scheduler.
pub fn optimizer_rows(network: &str, initial: &'static str, decay: &'static str) -> Vec<Row> {
    let at = |name: &str| format!("algo.optim_params.{network}.{name}");
    let keys = [
        ("learning_rate.initial", initial),
        ("learning_rate.decay_factor", decay),
        ("learning_rate.epoch_schedule", "[]"),
        ("regularization.L2", "0.0"),
    ];
    let rows = keys.map(|(name, default)| row(at(name), default, Fate::Rule));
    rows.into()
}

/// The rows of the epochs in which a network is trained.
pub fn window_rows(network: &str, setting: &str) -> Vec<Row> {
    let bounds = ["start_epoch", "end_epoch"].map(|bound| {
        let key = format!("algo.optim_params.{network}.{bound}");
        let fate = Fate::Is(format!("{setting}.{bound}"), Form::Epoch);
        row(key, "-1", fate)
    });
    bounds.into()
}

/// A network's learning rate and weight decay, into the optimizer at `setting`.
pub fn optimizer(translation: &mut Translation, network: &str, setting: &str) {
    let at = |name: &str| format!("algo.optim_params.{network}.{name}");
    let rate = ["initial", "decay_factor", "epoch_schedule"];
    let [initial, decay, schedule] = rate.map(|name| at(&format!("learning_rate.{name}")));
    let begins_at = translation.number(&initial);
    let written = translation.value(&initial).to_string();
    let is_line = translation.value(&at("learning_rate.scheduler_type")) == json!("linear");
    let epochs = translation.value(&schedule);
    let learning_rate = format!("{setting}.learning_rate");
    let whole = |epochs: &&Vec<Value>| epochs.iter().all(Value::is_u64);
    let listed = epochs.as_array().filter(whole).map(Vec::as_slice);
    match listed {
        None => translation.refuse(&schedule, "expected a list of epochs"),
        Some([]) => {
            let constant = format!("Constant({written})");
            translation.set(&learning_rate, constant, &[&initial, &schedule]);
            translation.list(&decay, "no epoch is named after which the rate decays");
        }
        Some([over]) if is_line => {
            let end = begins_at * translation.number(&decay);
            let line = format!("Linear(initial: {written}, end: {end}, over: Epochs({over}))");
            translation.set(&learning_rate, line, &[&initial, &decay, &schedule]);
        }
        Some(_) if is_line => {
            let message = "expected one epoch, in which a line ends, as robomimic does";
            translation.refuse(&schedule, message);
        }
        Some(_) => {
            translation.number(&decay);
            let factor = translation.value(&decay);
            let multistep = format!(
                "Multistep(initial: {written}, decay_factor: {factor}, epoch_schedule: {epochs})"
            );
            translation.set(&learning_rate, multistep, &[&initial, &decay, &schedule]);
        }
    }
    let weight_decay = format!("{setting}.weight_decay");
    translation.write(&weight_decay, Form::Same, &at("regularization.L2"));
}

/// What common keys say together.
fn common_rules(translation: &mut Translation, algorithm: &Algorithm, instead: Instead<'_>) {
    translation.use_up(&["algo_name"]);
    let device = match translation.flag("train.cuda") {
        true => "auto",
        false => "cpu",
    };
    translation.set("device", quoted(device), &["train.cuda"]);
    let evaluates = dataset(translation, instead.dataset);
    sequences(translation);
    actions(translation);
    let has_goals = goals(translation, algorithm);
    validation(translation);
    rollouts(translation, instead.env, evaluates, has_goals);
    saving(translation, algorithm);
    if translation.flag("experiment.logging.log_tb") {
        translation.switch_on("TensorBoard");
    }
    translation.use_up(&["experiment.logging.log_tb"]);
}

/// The file, and whether its environment is to be evaluated in.
fn dataset(translation: &mut Translation, instead: Option<&str>) -> bool {
    const DATA: &str = "train.data";
    if let Some(path) = instead {
        translation.set("Dataset.path", quoted(path), &[]);
        translation.list(DATA, "--dataset takes its place");
        return true;
    }
    let one = match translation.value(DATA) {
        Value::Null => {
            let message = "no dataset is named: give --dataset FILE, as for `train.py`";
            translation.refuse(DATA, message);
            return true;
        }
        Value::String(path) => {
            translation.set("Dataset.path", quoted(&at_home(&path)), &[DATA]);
            return true;
        }
        Value::Array(mut several) if several.len() == 1 => several.remove(0),
        Value::Array(_) => {
            let message = "a run has one dataset, and other rows would be drawn: write all demonstrations into one file";
            translation.refuse(DATA, message);
            return true;
        }
        other => other,
    };
    let Value::Object(one) = one else {
        let message = "expected a path, or a list of one {\"path\": ..}";
        translation.refuse(DATA, message);
        return true;
    };
    let mut evaluates = true;
    let mut left_out = Vec::new();
    for (name, value) in &one {
        match (name.as_str(), value) {
            ("path", Value::String(path)) => {
                translation.set("Dataset.path", quoted(&at_home(path)), &[DATA]);
            }
            ("filter_key", Value::String(filter)) => {
                translation.set("Dataset.filter", quoted(filter), &[DATA]);
            }
            ("eval", Value::Bool(evaluate)) => evaluates = *evaluate,
            ("filter_key" | "demo_limit", Value::Null) => {}
            // Of one dataset nothing hangs on its weight; its name is of videos, its language of an observation that is named.
            ("weight" | "key" | "lang", _) => left_out.push(format!("`{name}`")),
            (name, _) => {
                let message =
                    format!("`{name}` has no counterpart here, and another thing would be learned");
                translation.refuse(DATA, &message);
            }
        }
    }
    if !left_out.is_empty() {
        let why = format!(
            "translated but for {}, on which nothing hangs",
            left_out.join(", ")
        );
        translation.list(DATA, &why);
    }
    if !one.contains_key("path") {
        translation.refuse(DATA, "names no `path`");
    }
    evaluates
}

/// A path with the home folder in place of a `~` in front, as robomimic has it.
fn at_home(path: &str) -> String {
    match (path.strip_prefix("~/"), env::home_dir()) {
        (Some(rest), Some(home)) => home.join(rest).display().to_string(),
        _ => path.to_owned(),
    }
}

/// What of a sequence is drawn: the first row, and the rewards of as many as are folded.
fn sequences(translation: &mut Translation) {
    let (length, pad) = ("train.seq_length", "train.pad_seq_length");
    let rows = translation.count(length);
    let folded = translation.value("algo.n_step").as_u64().unwrap_or(1);
    if folded > rows {
        let message = "fewer rows than `algo.n_step` folds, which robomimic refuses, too";
        translation.refuse(length, message);
    }
    if folded > 1 {
        let why = "translated; where a demonstration ends robomimic folds copies of its last reward, and here rewards end with it";
        translation.list("algo.n_step", why);
    }
    translation.list(length, "each row is drawn by itself");
    match translation.flag(pad) || rows == 1 {
        true => translation.list(pad, "each row is drawn by itself"),
        false => {
            let message = "sequences that a demonstration does not fill would be left out there and are not here";
            translation.refuse(pad, message);
        }
    }
}

/// That actions are taken for what lies in [−1, 1].
fn actions(translation: &mut Translation) {
    const CONFIG: &str = "train.action_config";
    translation.set("Dataset.action_bounds", "(-1.0, 1.0)", &[CONFIG]);
    for below in translation.below(CONFIG) {
        let key = format!("{CONFIG}.{below}");
        match (below.as_str(), translation.value(&key)) {
            ("actions.normalization", Value::Null) => {
                let why = "`Dataset(action_bounds: (-1.0, 1.0))` takes actions as they are";
                translation.list(&key, why);
            }
            (name, value) if name.starts_with("actions.") && !value.is_null() => {
                let message =
                    "actions are scaled between bounds alone: with null they are taken as they are";
                translation.refuse(&key, message);
            }
            _ => translation.list(&key, "no such action is trained on"),
        }
    }
}

/// Whether networks are given goals.
fn goals(translation: &mut Translation, algorithm: &Algorithm) -> bool {
    let (mode, named) = ("train.goal_mode", "observation.modalities.goal.low_dim");
    let observed = texts(&translation.value("observation.modalities.obs.low_dim"));
    let (mut observed, Some(mut goals)) = (
        observed.unwrap_or_default(),
        texts(&translation.value(named)),
    ) else {
        translation.refuse(named, "expected a list of names");
        return false;
    };
    observed.sort();
    goals.sort();
    let mode_of = translation.text(mode);
    match mode_of.as_deref() {
        None if goals.is_empty() => translation.use_up(&[mode, named]),
        Some("last") if goals.is_empty() => {
            translation.list(
                mode,
                "no goals are named, so robomimic's networks are given none",
            );
            translation.use_up(&[named]);
        }
        Some("last") if !algorithm.takes_goals => {
            let message = format!("`{}` takes no goals here", algorithm.plugin);
            translation.refuse(mode, &message);
        }
        Some("last") if goals == observed => {
            translation.set(".goal_mode", "Last", &[mode, named]);
            return true;
        }
        Some("last") => {
            let message = "a goal has the parts of an observation here: name the same as in `observation.modalities.obs.low_dim`, or none";
            translation.refuse(named, message);
        }
        None => {
            let message = "goals are named, and `train.goal_mode` says none";
            translation.refuse(named, message);
        }
        Some(_) => translation.refuse(mode, "expected null or \"last\""),
    }
    false
}

/// The demonstrations that are trained on, and those that are held out.
fn validation(translation: &mut Translation) {
    let (validate, held_out) = ("experiment.validate", "train.hdf5_validation_filter_key");
    let filter = "train.hdf5_filter_key";
    let trained_on = translation.text(filter);
    if let Some(name) = &trained_on {
        match translation.value("train.data").pointer("/0/filter_key") {
            Some(Value::String(_)) => {
                translation.list(filter, "the dataset's own `filter_key` takes its place");
            }
            _ => translation.set("Dataset.filter", quoted(name), &[filter]),
        }
    }
    let name = translation.text(held_out);
    let batches = "experiment.validation_epoch_every_n_steps";
    match translation.value(validate) == json!(true) {
        true => translation.write("Validation.batches", Form::Same, batches),
        false => translation.list(batches, "nothing is validated"),
    }
    match (translation.flag(validate), name) {
        (true, Some(name)) if trained_on.is_some() => {
            translation.set("Dataset.validation_filter", quoted(&name), &[held_out]);
            translation.set("Validation.every", "Epochs(1)", &[validate]);
        }
        (true, None) => {
            let message = "`experiment.validate` is true, and no demonstrations are named to validate on, which robomimic refuses, too";
            translation.refuse(held_out, message);
        }
        (true, Some(_)) => {
            let message = "`experiment.validate` is true, and no demonstrations are named to train on, which robomimic refuses, too";
            translation.refuse(filter, message);
        }
        (false, Some(_)) => {
            let message = "demonstrations to validate on are named, and `experiment.validate` is false, which robomimic refuses, too";
            translation.refuse(held_out, message);
        }
        (false, None) => {}
    }
    translation.use_up(&[validate, held_out, filter]);
}

const ROLLOUT: [&str; 5] = [
    "experiment.rollout.n",
    "experiment.rollout.horizon",
    "experiment.rollout.rate",
    "experiment.rollout.warmstart",
    "experiment.rollout.terminate_on_success",
];

/// The evaluation, where there is an environment for it.
fn rollouts(
    translation: &mut Translation,
    instead: Option<&str>,
    evaluates: bool,
    has_goals: bool,
) {
    const ENABLED: &str = "experiment.rollout.enabled";
    const ENV: &str = "experiment.env";
    const ALSO: &str = "experiment.additional_envs";
    let [n, horizon, rate, warm_start, success] = ROLLOUT;
    let named = translation.text(ENV);
    let env = instead.map(str::to_owned).or(named.clone());
    let unknown = env.as_ref().and_then(|env| registry::check_name(env).err());
    let none = if !translation.flag(ENABLED) {
        Some("nothing is evaluated".to_owned())
    } else if !evaluates {
        Some("`train.data` says that nothing is evaluated".to_owned())
    } else if has_goals {
        let why =
            "add `Evaluation(env: .., goal: ..)`, which says where an episode's goal comes from";
        Some(why.to_owned())
    } else if env.is_none() {
        let why = "robomimic asks its dataset for the environment: give --env NAME, or add `Evaluation(env: ..)`";
        Some(why.to_owned())
    } else {
        unknown.map(|error| error.to_string())
    };
    if let Some(why) = none {
        translation.list(ENABLED, &why);
        translation.list(ENV, &why);
        translation.list(ALSO, &why);
        return translation.list_all(&ROLLOUT, "there is no `Evaluation` in the scene");
    }
    let env = quoted(&env.unwrap_or_default());
    translation.set("Evaluation.env", env, &[ENV]);
    if instead.is_some() && named.is_some() {
        translation.list(ENV, "--env takes its place");
    }
    translation.use_up(&[ENABLED]);
    let every = translation.count(rate);
    translation.set("Evaluation.every", format!("Epochs({every})"), &[rate]);
    translation.write("Evaluation.episodes", Form::Same, n);
    translation.write("Evaluation.time_limit", Form::Same, horizon);
    match translation.value(warm_start).as_u64() {
        Some(0) => translation.use_up(&[warm_start]),
        // There an evaluation comes after these epochs, and not at the end of the last of them.
        Some(epochs) => {
            let first = format!("Epochs({})", epochs.saturating_add(1));
            translation.set("Evaluation.warm_start", first, &[warm_start]);
        }
        None => translation.refuse(warm_start, "expected a whole number of epochs"),
    }
    translation.write("Evaluation.end_at_success", Form::Same, success);
    match translation.value(ALSO).is_null() {
        true => translation.use_up(&[ALSO]),
        false => translation.write("Evaluation.also", Form::Names, ALSO),
    }
}

/// Checkpoints.
fn saving(translation: &mut Translation, algorithm: &Algorithm) {
    let at = |name: &str| format!("experiment.save.{name}");
    let enabled = at("enabled");
    let (every, seconds, epochs) = (at("every_n_epochs"), at("every_n_seconds"), at("epochs"));
    let best = ["validation", "rollout_return", "rollout_success_rate"];
    let best = best.map(|name| at(&format!("on_best_{name}")));
    let [validation, returns, success] = [&best[0], &best[1], &best[2]].map(String::as_str);
    if !translation.flag(&enabled) {
        translation.list(&enabled, "there are no `Checkpoints` in the scene");
        let all = [&*every, &*seconds, &*epochs, validation, returns, success];
        return translation.list_all(&all, "nothing is saved");
    }
    translation.use_up(&[&enabled]);
    if translation.value(&every).is_null() {
        translation.list(&every, "`Checkpoints` has its own period");
    } else {
        let period = translation.count(&every);
        translation.set("Checkpoints.every", format!("Epochs({period})"), &[&every]);
        // robomimic deletes none.
        let all = translation.value("train.num_epochs").as_u64();
        let all = all.unwrap_or(1).div_ceil(period).max(1);
        translation.set("Checkpoints.keep", all.to_string(), &[]);
    }
    translation.write("Checkpoints.every_seconds", Form::Same, &seconds);
    match translation.value(&epochs) == json!([]) {
        true => translation.use_up(&[&epochs]),
        false => translation.write("Checkpoints.also_at", Form::Epochs, &epochs),
    }
    translation.use_up(&[validation, returns, success]);
    let evaluated = translation.has("Evaluation");
    let by_return = translation.flag(returns);
    let by_success = translation.flag(success);
    let by_loss = translation.flag(validation);
    let loss = algorithm
        .held_out_loss
        .filter(|_| translation.has("Validation"));
    let metric = match loss {
        _ if evaluated && by_success => Some(("evaluate/success_rate", "Largest")),
        _ if evaluated && by_return => Some(("evaluate/return", "Largest")),
        Some(loss) if by_loss => Some((loss, "Smallest")),
        _ => None,
    };
    match metric {
        Some((metric, goal)) => {
            translation.set("Checkpoints.best", quoted(metric), &[]);
            translation.set("Checkpoints.goal", goal, &[]);
        }
        None => translation.set("Checkpoints.best", "None", &[]),
    }
    let none = "there is no `Evaluation` in the scene";
    match (by_success, evaluated) {
        (true, true) => translation.list(success, "translated; where the environment says nothing of success, `Evaluation(success: ..)` does"),
        (true, false) => translation.list(success, none),
        (false, _) => {}
    }
    match (by_return, evaluated) {
        (true, true) if by_success => {
            translation.list(returns, "one best checkpoint is kept, by the success rate")
        }
        (true, false) => translation.list(returns, none),
        _ => {}
    }
    if by_loss {
        let why = match (metric, loss) {
            (Some((_, "Largest")), _) => "one best checkpoint is kept, by the episodes",
            (_, Some(_)) => {
                "translated as the critics' or the policy's own loss, where robomimic's is the sum over all networks"
            }
            (_, None) => "there is no such loss on held-out rows",
        };
        translation.list(validation, why);
    }
}
