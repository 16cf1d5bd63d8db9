//! robomimic's IQL: `robomimic/config/iql_config.py`.

use super::density;
use super::{Algorithm, optimizer, optimizer_rows};
use crate::cli::import::table::{Form, Row, Translation, is, listed, only, rule};

/// `iql`.
pub const ALGORITHM: Algorithm = Algorithm {
    name: "iql",
    plugin: "Iql",
    rows,
    rules,
    held_out_loss: None,
    takes_goals: false,
};

#[rustfmt::skip]
fn rows() -> Vec<Row> {
    let mut rows = vec![
        is("algo.discount", "0.99", ".discount", Form::Same),
        is("algo.target_tau", "0.01", ".target_update.tau", Form::Same),
        rule("algo.actor.net.type", "\"gaussian\""),
        rule("algo.actor.net.common.std_activation", "\"softplus\""),
        rule("algo.actor.net.common.low_noise_eval", "true"),
        only("algo.actor.net.common.use_tanh", "false", "the density is not squashed"),
        listed("algo.actor.net.gaussian.init_last_fc_weight", super::LAST_LAYER),
        rule("algo.actor.net.gaussian.init_std", "0.3"),
        rule("algo.actor.net.gaussian.fixed_std", "false"),
        rule("algo.actor.net.gmm.num_modes", "5"),
        rule("algo.actor.net.gmm.min_std", "1e-4"),
        is("algo.actor.layer_dims", "[300, 400]", ".actor.encoder", Form::Layers),
        is("algo.actor.max_gradient_norm", "null", ".actor.optimizer.max_gradient_norm", Form::Same),
        is("algo.critic.ensemble.n", "2", ".critic.ensemble.n", Form::Same),
        rule("algo.critic.layer_dims", "[300, 400]"),
        is("algo.critic.use_huber", "false", ".critic.huber", Form::Same),
        rule("algo.critic.max_gradient_norm", "null"),
        is("algo.adv.clip_adv_value", "null", ".max_advantage", Form::Same),
        rule("algo.adv.beta", "1.0"),
        rule("algo.adv.use_final_clip", "true"),
        is("algo.vf_quantile", "0.9", ".expectile", Form::Same),
    ];
    for (network, _) in NETWORKS {
        rows.extend(optimizer_rows(network, "1e-4", "0.0"));
    }
    rows
}

const NETWORKS: [(&str, &str); 3] = [
    ("critic", ".critic.optimizer"),
    ("vf", ".value.optimizer"),
    ("actor", ".actor.optimizer"),
];

fn rules(translation: &mut Translation) {
    for (network, setting) in NETWORKS {
        optimizer(translation, network, setting);
    }
    policy(translation);
    // V has the critics' layers and is clipped as they are.
    let (layers, norm) = ("algo.critic.layer_dims", "algo.critic.max_gradient_norm");
    for network in ["critic", "value"] {
        translation.write(&format!(".{network}.encoder"), Form::Layers, layers);
        let clipped = format!(".{network}.optimizer.max_gradient_norm");
        translation.write(&clipped, Form::Same, norm);
    }
    let (beta, clip) = ("algo.adv.beta", "algo.adv.use_final_clip");
    match translation.number(beta) {
        // There it divides.
        divisor if divisor > 0.0 => {
            let temperature = (1.0 / divisor).to_string();
            translation.set(".inverse_temperature", temperature, &[beta]);
        }
        _ => translation.refuse(
            beta,
            "expected a number above 0: advantages are divided by it",
        ),
    }
    let most = match translation.flag(clip) {
        true => "100.0",
        false => "None",
    };
    translation.set(".max_weight", most, &[clip]);
}

fn policy(translation: &mut Translation) {
    const KIND: &str = "algo.actor.net.type";
    let activation = "algo.actor.net.common.std_activation";
    let low_noise = "algo.actor.net.common.low_noise_eval";
    let fixed = "algo.actor.net.gaussian.fixed_std";
    let initial_std = "algo.actor.net.gaussian.init_std";
    let (modes, min_std) = ("algo.actor.net.gmm.num_modes", "algo.actor.net.gmm.min_std");
    match translation.text(KIND).as_deref() {
        Some("gaussian") => {
            translation.set(".head", "Gaussian", &[KIND]);
            translation.set(".gaussian.min_std", "0.007", &[]);
            density::gaussian(
                translation,
                &density::Gaussian {
                    fixed,
                    initial_std,
                    activation,
                    low_noise,
                },
            );
            translation.list_all(&[modes, min_std], "the policy is a Gaussian");
        }
        Some("gmm") => {
            translation.set(".head", "Mixture", &[KIND]);
            density::mixture(
                translation,
                &density::Mixture {
                    modes,
                    min_std,
                    activation,
                    low_noise,
                },
            );
            translation.list_all(&[fixed, initial_std], "the policy is a mixture");
        }
        _ => translation.refuse(KIND, "expected \"gaussian\" or \"gmm\""),
    }
}
