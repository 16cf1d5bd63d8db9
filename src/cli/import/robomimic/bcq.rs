//! robomimic's BCQ: `robomimic/config/bcq_config.py`.

use serde_json::Value;

use super::{Algorithm, optimizer, optimizer_rows, window_rows};
use crate::cli::import::table::{Form, Row, Translation, is, listed, only, rule};

/// `bcq`.
pub const ALGORITHM: Algorithm = Algorithm {
    name: "bcq",
    plugin: "Bcq",
    rows,
    rules,
    held_out_loss: Some("validate/critic/loss"),
    takes_goals: false,
};

const NO_DISTRIBUTION: &str = "distributional critics are not here";
const NO_MIXTURE: &str = "actions are proposed by an autoencoder alone";
const NO_PRIOR: &str = "the autoencoder's prior is the standard normal distribution";

#[rustfmt::skip]
fn rows() -> Vec<Row> {
    let mut rows = vec![
        is("algo.discount", "0.99", ".discount", Form::Same),
        is("algo.n_step", "1", ".n_step", Form::Same),
        is("algo.target_tau", "0.005", ".target_update.tau", Form::Same),
        is("algo.infinite_horizon", "false", ".infinite_horizon", Form::Same),
        is("algo.critic.use_huber", "false", ".critic.huber", Form::Same),
        is("algo.critic.max_gradient_norm", "null", ".critic.optimizer.max_gradient_norm", Form::Same),
        is("algo.critic.value_bounds", "null", ".critic.value_bounds", Form::Range),
        is("algo.critic.num_action_samples", "10", ".target_samples", Form::Same),
        is("algo.critic.num_action_samples_rollout", "100", ".act_samples", Form::Same),
        is("algo.critic.ensemble.n", "2", ".critic.ensemble.n", Form::Same),
        is("algo.critic.ensemble.weight", "0.75", ".critic.ensemble.weight", Form::Same),
        only("algo.critic.distributional.enabled", "false", NO_DISTRIBUTION),
        listed("algo.critic.distributional.num_atoms", NO_DISTRIBUTION),
        is("algo.critic.layer_dims", "[300, 400]", ".critic.encoder", Form::Layers),
        listed("algo.action_sampler.actor_layer_dims", NO_MIXTURE),
        only("algo.action_sampler.gmm.enabled", "false", NO_MIXTURE),
        listed("algo.action_sampler.gmm.*", NO_MIXTURE),
        only("algo.action_sampler.vae.enabled", "true", NO_MIXTURE),
        is("algo.action_sampler.vae.latent_dim", "14", ".latent", Form::Same),
        rule("algo.action_sampler.vae.latent_clip", "null"),
        rule("algo.action_sampler.vae.kl_weight", "1.0"),
        only("algo.action_sampler.vae.decoder.is_conditioned", "true", "the decoder is given the observation"),
        only("algo.action_sampler.vae.decoder.reconstruction_sum_across_elements", "false", "the error is a mean over an action's elements"),
        only("algo.action_sampler.vae.prior.learn", "false", NO_PRIOR),
        only("algo.action_sampler.vae.prior.use_gmm", "false", NO_PRIOR),
        only("algo.action_sampler.vae.prior.use_categorical", "false", NO_PRIOR),
        listed("algo.action_sampler.vae.prior.*", NO_PRIOR),
        rule("algo.action_sampler.vae.encoder_layer_dims", "[300, 400]"),
        rule("algo.action_sampler.vae.decoder_layer_dims", "[300, 400]"),
        listed("algo.action_sampler.vae.prior_layer_dims", NO_PRIOR),
        only("algo.action_sampler.freeze_encoder_epoch", "-1", "the autoencoder's encoder is trained as long as its decoder"),
        rule("algo.actor.enabled", "false"),
        rule("algo.actor.perturbation_scale", "0.05"),
        is("algo.actor.layer_dims", "[300, 400]", ".actor.encoder", Form::Layers),
    ];
    for (network, setting) in NETWORKS {
        rows.extend(optimizer_rows(network, "1e-3", "0.1"));
        rows.extend(window_rows(network, setting));
    }
    rows
}

const NETWORKS: [(&str, &str); 3] = [
    ("critic", ".critic.optimizer"),
    ("action_sampler", ".vae.optimizer"),
    ("actor", ".actor.optimizer"),
];

fn rules(translation: &mut Translation) {
    autoencoder(translation);
    let (enabled, scale) = ("algo.actor.enabled", "algo.actor.perturbation_scale");
    if translation.flag(enabled) {
        translation.write(".perturbation_limit", Form::Same, scale);
        translation.use_up(&[enabled]);
    } else {
        translation.set(".perturbation_limit", "0.0", &[enabled]);
        translation.list(scale, "nothing perturbs the proposed actions");
    }
    for (network, setting) in NETWORKS {
        optimizer(translation, network, setting);
    }
}

fn autoencoder(translation: &mut Translation) {
    let at = |name: &str| format!("algo.action_sampler.vae.{name}");
    let (clip, weight, latent) = (at("latent_clip"), at("kl_weight"), at("latent_dim"));
    match translation.value(&clip) {
        Value::Null => {
            // More deviations than any draw has.
            translation.set(".latent_clip", "100.0", &[&clip]);
        }
        _ => translation.write(".latent_clip", Form::Same, &clip),
    }
    // Its divergence is a sum over the latent's elements, and ours a mean.
    let product = translation.number(&weight) * translation.number(&latent);
    translation.set(".divergence_weight", product.to_string(), &[&weight]);
    let (encoder, decoder) = (at("encoder_layer_dims"), at("decoder_layer_dims"));
    if translation.value(&encoder) != translation.value(&decoder) {
        let message =
            format!("encoder and decoder have the same layers here, and `{encoder}` has others");
        translation.refuse(&decoder, &message);
    }
    translation.write(".vae.encoder", Form::Layers, &encoder);
    translation.use_up(&[&decoder]);
}
