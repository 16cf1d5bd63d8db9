//! An `OptimizerFactory` with its scheduler: `optimizers/optimizers.py`, `optimizers/lr_schedulers.py`.

use serde_json::{Value, json};

use super::{at, type_of};
use crate::cli::import::table::{Fate, Form, Row, Translation, object, only, row};

const SCHEDULER: &str = "lr_scheduler_factory";

/// The rows of the factory `name`, of the type that the file gives it.
#[rustfmt::skip]
pub fn rows(config: &Value, name: &str) -> Vec<Row> {
    let (factory, params) = (at(name), at(&format!("{name}.params")));
    let taken = |key: &str, default| row(format!("{params}.{key}"), default, Fate::Rule);
    let single = |key: &str, default, why| only(&format!("{params}.{key}"), default, why);
    let mut rows = vec![
        row(format!("{factory}.type"), "\"adam\"", Fate::Rule),
        taken("clip_grad_norm", "null"),
        taken(&format!("{SCHEDULER}.type"), "\"none\""),
        taken("weight_decay", "0"),
    ];
    match type_of(config, name, "adam") {
        "adam" | "adam_w" => rows.extend([
            taken("betas", "[0.9, 0.999]"),
            taken("eps", "1e-8"),
            single("amsgrad", "false", "AMSGrad is not here"),
        ]),
        "sgd" => rows.extend([
            taken("momentum", "0.0"),
            single("dampening", "0.0", "momentum is not dampened"),
            single("nesterov", "false", "Nesterov's momentum is not here"),
        ]),
        "rmsprop" => rows.extend([
            taken("alpha", "0.95"),
            taken("eps", "1e-2"),
            taken("momentum", "0.0"),
            taken("centered", "true"),
        ]),
        _ => rows.push(taken("*", "")),
    }
    match type_of(config, &format!("{name}.params.{SCHEDULER}"), "none") {
        "none" => rows.push(object(&format!("{params}.{SCHEDULER}.params"))),
        "warmup" => rows.push(taken(&format!("{SCHEDULER}.params.warmup_steps"), "null")),
        "cosine_annealing" => rows.extend([
            taken(&format!("{SCHEDULER}.params.T_max"), "null"),
            single(&format!("{SCHEDULER}.params.eta_min"), "0.0", "a cosine falls to 0"),
            single(&format!("{SCHEDULER}.params.last_epoch"), "-1", "rates begin with the first step"),
        ]),
        _ => rows.push(taken(&format!("{SCHEDULER}.params.*"), "")),
    }
    rows
}

/// The factory `name` with the rate at the key `rate`, into the optimizer at `setting`.
pub fn translate(translation: &mut Translation, name: &str, rate: &str, setting: &str) {
    let params = at(&format!("{name}.params"));
    let key = |name: &str| format!("{params}.{name}");
    learning_rate(translation, name, rate, setting);
    update_rule(translation, name, setting);
    let (decay, clip) = (key("weight_decay"), key("clip_grad_norm"));
    translation.write(&format!("{setting}.weight_decay"), Form::Same, &decay);
    let several = translation.value(&at("n_critics")) != json!(1);
    match name == "critic_optim_factory" && several && !translation.value(&clip).is_null() {
        true => {
            let message = "d3rlpy clips the gradient of all critics together, and here each is clipped on its own: another thing would be learned";
            translation.refuse(&clip, message);
        }
        false => translation.write(&format!("{setting}.max_gradient_norm"), Form::Same, &clip),
    }
}

fn learning_rate(translation: &mut Translation, name: &str, rate: &str, setting: &str) {
    let scheduler = at(&format!("{name}.params.{SCHEDULER}"));
    let (kind, params) = (format!("{scheduler}.type"), format!("{scheduler}.params"));
    translation.number(rate);
    let initial = translation.value(rate);
    let setting = format!("{setting}.learning_rate");
    match translation.text(&kind).as_deref() {
        Some("none") => {
            translation.set(&setting, format!("Constant({initial})"), &[rate, &kind]);
        }
        Some("warmup") => {
            let steps = format!("{params}.warmup_steps");
            let over = translation.count(&steps);
            let rise = format!("WarmUp(initial: {initial}, over: Steps({over}))");
            translation.set(&setting, rise, &[rate, &kind, &steps]);
        }
        Some("cosine_annealing") => {
            let steps = format!("{params}.T_max");
            let over = translation.count(&steps);
            let fall = format!("Cosine(initial: {initial}, over: Steps({over}))");
            translation.set(&setting, fall, &[rate, &kind, &steps]);
            translation.list(
                &steps,
                "translated; behind it the rate stays 0, where PyTorch's rises again",
            );
        }
        _ => {
            let message = "expected \"none\", \"warmup\" or \"cosine_annealing\"";
            translation.refuse(&kind, message);
        }
    }
}

fn update_rule(translation: &mut Translation, name: &str, setting: &str) {
    let kind = at(&format!("{name}.type"));
    let key = |name_of: &str| at(&format!("{name}.params.{name_of}"));
    let rule = format!("{setting}.rule");
    match translation.text(&kind).as_deref() {
        Some("adam") => adam(translation, "Adam", &rule, &key("betas"), &key("eps")),
        Some("adam_w") => adam(translation, "AdamW", &rule, &key("betas"), &key("eps")),
        Some("sgd") => {
            translation.name(&rule, "Sgd");
            part(translation, &rule, "momentum", &key("momentum"));
        }
        Some("rmsprop") => {
            translation.name(&rule, "RmsProp");
            for (here, there) in [
                ("smoothing", "alpha"),
                ("epsilon", "eps"),
                ("momentum", "momentum"),
            ] {
                part(translation, &rule, here, &key(there));
            }
            let centered = key("centered");
            translation.only(
                &centered,
                "false",
                "the mean of the gradients is not taken off their squares'",
            );
        }
        _ => {
            let message = "expected \"adam\", \"adam_w\", \"sgd\" or \"rmsprop\"";
            translation.refuse(&kind, message);
        }
    }
    translation.use_up(&[&kind]);
}

fn adam(translation: &mut Translation, name: &'static str, rule: &str, betas: &str, epsilon: &str) {
    let (two, small) = (translation.value(betas), translation.value(epsilon));
    if two == json!([0.9, 0.999]) && small == json!(1e-8) {
        translation.use_up(&[betas, epsilon]);
        return translation.set(rule, name, &[]);
    }
    translation.name(rule, name);
    match two.as_array().map(Vec::as_slice) {
        Some([one, two]) if one.is_number() && two.is_number() => {
            translation.set(
                &format!("{rule}.betas"),
                format!("({one}, {two})"),
                &[betas],
            );
        }
        _ => translation.refuse(betas, "expected two numbers"),
    }
    part(translation, rule, "epsilon", epsilon);
}

/// A number of the rule.
fn part(translation: &mut Translation, rule: &str, here: &str, there: &str) {
    translation.number(there);
    translation.write(&format!("{rule}.{here}"), Form::Same, there);
}
