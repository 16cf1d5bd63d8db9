//! robomimic's behavior cloning: `robomimic/config/bc_config.py`.

use super::{Algorithm, optimizer, optimizer_rows};
use super::{density, memory};
use crate::cli::import::table::{Fate, Form, Row, Translation, is, listed, only, row, rule};

/// `bc`.
pub const ALGORITHM: Algorithm = Algorithm {
    name: "bc",
    plugin: "Bc",
    rows,
    rules,
    held_out_loss: Some("validate/actor/loss"),
    takes_goals: true,
};

const NO_VAE: &str = "a policy that is an autoencoder is not here";

#[rustfmt::skip]
fn rows() -> Vec<Row> {
    let mut rows = optimizer_rows("policy", "1e-4", "0.1");
    rows.extend([
        row("algo.optim_params.policy.optimizer_type", "\"adam\"", Fate::Rule),
        rule("algo.optim_params.policy.learning_rate.scheduler_type", "\"multistep\""),
        only("algo.optim_params.policy.learning_rate.step_every_batch", "false", "rates are translated that move between epochs"),
        listed("algo.optim_params.policy.learning_rate.*", "other schedulers have it"),
        rule("algo.loss.l2_weight", "1.0"),
        rule("algo.loss.l1_weight", "0.0"),
        rule("algo.loss.cos_weight", "0.0"),
        is("train.max_grad_norm", "null", ".actor.optimizer.max_gradient_norm", Form::Same),
        rule("algo.gaussian.enabled", "false"),
        rule("algo.gaussian.fixed_std", "false"),
        rule("algo.gaussian.init_std", "0.1"),
        rule("algo.gaussian.min_std", "0.01"),
        rule("algo.gaussian.std_activation", "\"softplus\""),
        rule("algo.gaussian.low_noise_eval", "true"),
        rule("algo.gmm.enabled", "false"),
        rule("algo.gmm.num_modes", "5"),
        rule("algo.gmm.min_std", "1e-4"),
        rule("algo.gmm.std_activation", "\"softplus\""),
        rule("algo.gmm.low_noise_eval", "true"),
        only("algo.vae.enabled", "false", NO_VAE),
        listed("algo.vae.*", NO_VAE),
    ]);
    rows.extend(memory::rows());
    rows
}

fn rules(translation: &mut Translation) {
    let remembers = memory::rules(translation);
    scheduler(translation);
    optimizer(translation, "policy", ".actor.optimizer");
    optimizer_rule(translation);
    // robomimic looks at the Gaussian first.
    let (gaussian, mixture) = ("algo.gaussian.enabled", "algo.gmm.enabled");
    match (translation.flag(gaussian), translation.flag(mixture)) {
        (true, _) if remembers => {
            let message = "a policy with memory is deterministic or a mixture in robomimic, which refuses this, too";
            translation.refuse(gaussian, message);
        }
        (true, _) => {
            translation.set(".head", "Gaussian", &[gaussian]);
            density::gaussian(
                translation,
                &density::Gaussian {
                    fixed: "algo.gaussian.fixed_std",
                    initial_std: "algo.gaussian.init_std",
                    activation: "algo.gaussian.std_activation",
                    low_noise: "algo.gaussian.low_noise_eval",
                },
            );
            translation.write(".gaussian.min_std", Form::Same, "algo.gaussian.min_std");
            leave(translation, &MIXTURE, "the policy is a Gaussian");
        }
        (false, true) => {
            translation.set(".head", "Mixture", &[mixture]);
            density::mixture(
                translation,
                &density::Mixture {
                    modes: "algo.gmm.num_modes",
                    min_std: "algo.gmm.min_std",
                    activation: "algo.gmm.std_activation",
                    low_noise: "algo.gmm.low_noise_eval",
                },
            );
            leave(translation, &GAUSSIAN, "the policy is a mixture");
        }
        (false, false) => {
            leave(translation, &GAUSSIAN, NO_DENSITY);
            leave(translation, &MIXTURE, NO_DENSITY);
            return plain_loss(translation);
        }
    }
    leave(translation, &LOSS, "the loss is the likelihood");
}

const NO_DENSITY: &str = "the policy has no density";

const GAUSSIAN: [&str; 6] = [
    "algo.gaussian.enabled",
    "algo.gaussian.fixed_std",
    "algo.gaussian.init_std",
    "algo.gaussian.min_std",
    "algo.gaussian.std_activation",
    "algo.gaussian.low_noise_eval",
];

const MIXTURE: [&str; 5] = [
    "algo.gmm.enabled",
    "algo.gmm.num_modes",
    "algo.gmm.min_std",
    "algo.gmm.std_activation",
    "algo.gmm.low_noise_eval",
];

const LOSS: [&str; 3] = [
    "algo.loss.l2_weight",
    "algo.loss.l1_weight",
    "algo.loss.cos_weight",
];

fn leave(translation: &mut Translation, keys: &[&str], why: &str) {
    translation.list_all(keys, why);
}

fn scheduler(translation: &mut Translation) {
    const TYPE: &str = "algo.optim_params.policy.learning_rate.scheduler_type";
    match translation.text(TYPE).as_deref() {
        Some("multistep" | "linear") => translation.use_up(&[TYPE]),
        _ => {
            let message = "expected \"multistep\" or \"linear\": what moves in other ways is written by hand, as `Cosine(..)`";
            translation.refuse(TYPE, message);
        }
    }
}

fn optimizer_rule(translation: &mut Translation) {
    const TYPE: &str = "algo.optim_params.policy.optimizer_type";
    match translation.text(TYPE).as_deref() {
        Some("adam") => translation.set(".actor.optimizer.rule", "Adam", &[TYPE]),
        Some("adamw") => translation.set(".actor.optimizer.rule", "AdamW", &[TYPE]),
        _ => translation.refuse(TYPE, "expected \"adam\" or \"adamw\""),
    }
}

/// The loss of a policy without a density is the squared error, and nothing else.
fn plain_loss(translation: &mut Translation) {
    for (key, weight) in LOSS.into_iter().zip([1.0, 0.0, 0.0]) {
        let why = "the loss is the mean squared error, with weight 1";
        match translation.number(key) == weight {
            true => translation.list(key, why),
            false => translation.refuse(key, &format!("{why}, and another thing would be learned")),
        }
    }
}
