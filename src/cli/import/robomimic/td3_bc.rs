//! robomimic's TD3+BC: `robomimic/config/td3_bc_config.py`.

use super::{Algorithm, optimizer, optimizer_rows, window_rows};
use crate::cli::import::table::{Form, Row, Translation, is, rule};

/// `td3_bc`.
pub const ALGORITHM: Algorithm = Algorithm {
    name: "td3_bc",
    plugin: "Td3Bc",
    rows,
    rules,
    held_out_loss: Some("validate/critic/loss"),
    takes_goals: true,
};

#[rustfmt::skip]
fn rows() -> Vec<Row> {
    let mut rows = vec![
        // Its own defaults of common keys.
        rule("experiment.save.every_n_epochs", "20"),
        rule("experiment.save.on_best_rollout_return", "true"),
        rule("experiment.save.on_best_rollout_success_rate", "false"),
        is("experiment.epoch_every_n_steps", "5000", ".minibatch.steps_per_epoch", Form::Same),
        rule("experiment.rollout.horizon", "1000"),
        rule("experiment.rollout.rate", "1"),
        is("train.hdf5_normalize_obs", "true", "Dataset.normalize", Form::Same),
        is("train.batch_size", "256", ".minibatch.batch_size", Form::Same),
        is("train.num_epochs", "200", "epochs", Form::Same),
        is("observation.modalities.obs.low_dim", r#"["flat"]"#, "Dataset.observations", Form::Names),

        is("algo.alpha", "2.5", ".alpha", Form::Same),
        is("algo.discount", "0.99", ".discount", Form::Same),
        is("algo.n_step", "1", ".n_step", Form::Same),
        is("algo.target_tau", "0.005", ".target_update.tau", Form::Same),
        is("algo.infinite_horizon", "false", ".infinite_horizon", Form::Same),
        is("algo.critic.use_huber", "false", ".critic.huber", Form::Same),
        is("algo.critic.max_gradient_norm", "null", ".critic.optimizer.max_gradient_norm", Form::Same),
        is("algo.critic.value_bounds", "null", ".critic.value_bounds", Form::Range),
        is("algo.critic.ensemble.n", "2", ".critic.ensemble.n", Form::Same),
        is("algo.critic.ensemble.weight", "1.0", ".critic.ensemble.weight", Form::Same),
        is("algo.critic.layer_dims", "[256, 256]", ".critic.encoder", Form::Layers),
        rule("algo.actor.update_freq", "2"),
        is("algo.actor.noise_std", "0.2", ".actor.noise_std", Form::Same),
        is("algo.actor.noise_clip", "0.5", ".actor.noise_clip", Form::Same),
        is("algo.actor.layer_dims", "[256, 256]", ".actor.encoder", Form::Layers),
    ];
    for network in NETWORKS {
        rows.extend(optimizer_rows(network, "3e-4", "0.1"));
        rows.extend(window_rows(network, &format!(".{network}.optimizer")));
    }
    rows
}

const NETWORKS: [&str; 2] = ["critic", "actor"];

fn rules(translation: &mut Translation) {
    // There the targets follow with the actor.
    const DELAY: &str = "algo.actor.update_freq";
    translation.write(".actor.update_freq", Form::Same, DELAY);
    translation.write(".target_update.every", Form::Same, DELAY);
    for network in NETWORKS {
        optimizer(translation, network, &format!(".{network}.optimizer"));
    }
}
