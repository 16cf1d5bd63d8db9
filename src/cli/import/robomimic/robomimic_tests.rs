//! robomimic's configurations, key by key.

use serde_json::{Value, json};

use crate::cli::import::Instead;
use crate::cli::import::table::Translated;
use crate::cli::import::table_tests::{IN_PENDULUM, nothing_is_passed_over, translated_with, with};

macro_rules! fixtures {
    ($($name:literal),*) => {
        [$(($name, include_str!(concat!("../../../../tests/fixtures/robomimic_configs/", $name, ".json")))),*]
    };
}

const CONFIGS: [(&str, &str); 7] = fixtures!(
    "bc",
    "bc_rnn_gmm",
    "bc_transformer",
    "td3_bc",
    "bcq",
    "cql",
    "iql"
);

fn config(name: &str) -> Value {
    let (_, text) = CONFIGS.into_iter().find(|it| it.0 == name).unwrap();
    serde_json::from_str(text).unwrap()
}

/// With the changes, each a path and a value.
fn changed(name: &str, changes: &[(&str, Value)]) -> Value {
    with(config(name), changes)
}

/// What a configuration says that is not robomimic's default.
fn said_by(name: &str) -> Vec<(&'static str, Value)> {
    let (rate, weights) = (
        "algo.optim_params.policy.learning_rate",
        "algo.optim_params.policy.regularization.L2",
    );
    match name {
        "bc_rnn_gmm" => vec![
            ("algo.rnn.enabled", json!(true)),
            ("algo.gmm.enabled", json!(true)),
            ("train.seq_length", json!(10)),
        ],
        "bc_transformer" => vec![
            ("algo.transformer.enabled", json!(true)),
            ("algo.gmm.enabled", json!(true)),
            ("train.frame_stack", json!(10)),
            ("algo.optim_params.policy.optimizer_type", json!("adamw")),
            (
                rate,
                json!({ "epoch_schedule": [100], "scheduler_type": "linear" }),
            ),
            (weights, json!(0.01)),
        ],
        _ => vec![],
    }
}

fn translated(config: &Value) -> Result<Translated, String> {
    translated_with(config, IN_PENDULUM)
}

#[test]
fn no_key_is_passed_over_in_silence() {
    for (name, text) in CONFIGS {
        let config: Value = serde_json::from_str(text).unwrap();
        assert!(nothing_is_passed_over(name, &config, IN_PENDULUM) > 80);
    }
}

#[test]
fn what_a_file_leaves_out_is_what_robomimic_takes_and_not_what_is_taken_here() {
    for (name, text) in CONFIGS {
        let config: Value = serde_json::from_str(text).unwrap();
        let whole = translated(&config).unwrap();
        let least =
            json!({ "algo_name": config["algo_name"], "train": { "data": "demonstrations.hdf5" } });
        let said = said_by(name);
        let least = translated(&with(least, &said)).unwrap();
        assert_eq!(least.scene, whole.scene);
        for line in least.listed {
            let of_said = said.iter().any(|(key, _)| line.starts_with(key));
            assert!(of_said, "it has no other keys: {line}");
        }
    }
}

#[test]
fn values_become_settings_by_the_meaning_that_they_have() {
    for (name, changes, settings) in [
        (
            "td3_bc",
            vec![("algo.critic.value_bounds", json!([-1, 2.5]))],
            vec!["value_bounds: (low: -1, high: 2.5)"],
        ),
        (
            "td3_bc",
            vec![("algo.optim_params.actor.start_epoch", json!(3))],
            vec!["start_epoch: 3"],
        ),
        (
            "td3_bc",
            vec![("algo.actor.update_freq", json!(4))],
            vec!["update_freq: 4", "every: 4"],
        ),
        (
            "td3_bc",
            vec![(
                "algo.optim_params.critic.learning_rate.epoch_schedule",
                json!([2, 9]),
            )],
            vec!["Multistep(initial: 0.0003, decay_factor: 0.1, epoch_schedule: [2,9])"],
        ),
        (
            "bc",
            vec![("train.cuda", json!(false))],
            vec!["device: \"cpu\""],
        ),
        (
            "bc",
            vec![("algo.optim_params.policy.optimizer_type", json!("adamw"))],
            vec!["rule: AdamW"],
        ),
        (
            "bc",
            vec![
                ("algo.gmm.enabled", json!(true)),
                ("algo.gmm.std_activation", json!("exp")),
            ],
            vec![
                "head: Mixture",
                "mixture: (modes: 5, min_std: 0.0001, exponential: true)",
            ],
        ),
        (
            "bc",
            vec![
                ("algo.gaussian.enabled", json!(true)),
                ("algo.gaussian.fixed_std", json!(true)),
            ],
            vec![
                "head: Gaussian",
                "deviation: Fixed",
                "initial_std: 0.1",
                "min_std: 0.01",
            ],
        ),
        (
            "bc",
            vec![
                ("train.goal_mode", json!("last")),
                (
                    "observation.modalities.goal.low_dim",
                    config("bc")["observation"]["modalities"]["obs"]["low_dim"].clone(),
                ),
            ],
            vec!["goal_mode: Last"],
        ),
        (
            "bc",
            vec![
                ("experiment.validate", json!(true)),
                ("train.hdf5_filter_key", json!("train")),
                ("train.hdf5_validation_filter_key", json!("valid")),
            ],
            vec![
                "filter: \"train\"",
                "validation_filter: \"valid\"",
                "Validation(batches: 10, every: Epochs(1))",
            ],
        ),
        (
            "bc",
            vec![(
                "train.data",
                json!([{ "path": "a.hdf5", "filter_key": "20_percent", "weight": 0.5 }]),
            )],
            vec!["path: \"a.hdf5\"", "filter: \"20_percent\""],
        ),
        (
            "bc_rnn_gmm",
            vec![
                ("algo.rnn.rnn_type", json!("GRU")),
                ("algo.rnn.hidden_dim", json!(64)),
                ("train.seq_length", json!(5)),
                ("algo.rnn.horizon", json!(5)),
                ("algo.actor_layer_dims", json!([])),
                ("algo.gmm.enabled", json!(false)),
            ],
            vec![
                "frame_stack: 5",
                "encoder: Gru(hidden_size: 64, layers: 2, horizon: Resetting)",
                "head_sizes: Some([])",
                "supervise_all_steps: true",
            ],
        ),
        (
            "bc_rnn_gmm",
            vec![("algo.rnn.open_loop", json!(true))],
            vec!["horizon: OpenLoop"],
        ),
        (
            "bc_transformer",
            vec![
                ("algo.transformer.num_layers", json!(3)),
                ("algo.transformer.sinusoidal_embedding", json!(true)),
                ("algo.transformer.nn_parameter_for_timesteps", json!(false)),
                ("algo.transformer.emb_dropout", json!(0.2)),
                ("algo.transformer.supervise_all_steps", json!(true)),
            ],
            vec![
                "layers: 3",
                "positions: Sinusoidal",
                "embedding_dropout: 0.2",
                "attention_dropout: 0.1",
                "supervise_all_steps: true",
                "over: Epochs(100)",
            ],
        ),
        // The gap is not held to, and its weight is the product of both.
        (
            "cql",
            vec![
                ("algo.critic.target_q_gap", json!(-1.0)),
                ("algo.critic.cql_weight", json!(2.5)),
                ("algo.critic.min_q_weight", json!(2.0)),
            ],
            vec!["lagrange: None", "weight: 5"],
        ),
        // The multiplier's rate stays where the critics' decays.
        (
            "cql",
            vec![(
                "algo.optim_params.critic.learning_rate.epoch_schedule",
                json!([2]),
            )],
            vec![
                "Multistep(initial: 0.001,",
                "lagrange_optimizer: (learning_rate: Constant(0.001))",
            ],
        ),
        (
            "cql",
            vec![("algo.actor.target_entropy", json!(null))],
            vec!["learned: false"],
        ),
        (
            "cql",
            vec![("algo.actor.target_entropy", json!(-2))],
            vec!["target_entropy: -2"],
        ),
        (
            "bcq",
            vec![("algo.actor.enabled", json!(true))],
            vec!["perturbation_limit: 0.05"],
        ),
        (
            "bcq",
            vec![("algo.action_sampler.vae.kl_weight", json!(0.5))],
            vec!["latent: 14", "divergence_weight: 7", "latent_clip: 100.0"],
        ),
        (
            "iql",
            vec![("algo.adv.beta", json!(0.25))],
            vec!["inverse_temperature: 4"],
        ),
        (
            "iql",
            vec![("algo.adv.use_final_clip", json!(false))],
            vec!["max_weight: None"],
        ),
        (
            "iql",
            vec![("algo.actor.net.type", json!("gmm"))],
            vec!["head: Mixture", "modes: 5"],
        ),
    ] {
        let scene = translated(&changed(name, &changes)).unwrap().scene;
        for setting in settings {
            assert!(scene.contains(setting), "{name}: {setting}\n{scene}");
        }
    }
    let scene = translated(&config("bcq")).unwrap().scene;
    assert!(scene.contains("perturbation_limit: 0.0"), "{scene}");
}

#[test]
fn what_would_be_learned_otherwise_is_refused_by_its_name() {
    for (name, key, value, said) in [
        (
            "bc_rnn_gmm",
            "algo.rnn.horizon",
            json!(400),
            "`train.seq_length` is 10: make them the same",
        ),
        (
            "bc_rnn_gmm",
            "algo.rnn.kwargs.bidirectional",
            json!(true),
            "no later steps",
        ),
        (
            "bc_rnn_gmm",
            "algo.rnn.kwargs.dropout",
            json!(0.1),
            "PyTorch's layers",
        ),
        (
            "bc_rnn_gmm",
            "algo.rnn.rnn_type",
            json!("RNN"),
            "\"LSTM\" or \"GRU\"",
        ),
        (
            "bc_rnn_gmm",
            "algo.rnn.num_layers",
            json!(1000),
            "found 1000",
        ),
        (
            "bc_rnn_gmm",
            "algo.rnn.hidden_dim",
            json!(null),
            "whole number at least 1",
        ),
        (
            "bc_rnn_gmm",
            "train.frame_stack",
            json!(10),
            "reads the steps of `train.seq_length`",
        ),
        (
            "bc_rnn_gmm",
            "train.pad_seq_length",
            json!(false),
            "a demonstration does not fill",
        ),
        (
            "bc_rnn_gmm",
            "algo.gaussian.enabled",
            json!(true),
            "deterministic or a mixture",
        ),
        (
            "bc_transformer",
            "algo.transformer.context_length",
            json!(20),
            "`train.frame_stack` is 10: make them the same",
        ),
        (
            "bc_transformer",
            "algo.transformer.embed_dim",
            json!(100),
            "multiple of `algo.transformer.num_heads`",
        ),
        (
            "bc_transformer",
            "algo.transformer.attn_dropout",
            json!(1.5),
            "found 1.5",
        ),
        (
            "bc_transformer",
            "algo.transformer.activation",
            json!("geglu"),
            "GELU's",
        ),
        (
            "bc_transformer",
            "algo.transformer.pred_future_acs",
            json!(true),
            "the steps up to it",
        ),
        (
            "bc_transformer",
            "algo.transformer.causal",
            json!(false),
            "no such key is known",
        ),
        (
            "bc_transformer",
            "train.pad_frame_stack",
            json!(false),
            "the first rows of a demonstration",
        ),
        (
            "bc_transformer",
            "algo.optim_params.policy.learning_rate.epoch_schedule",
            json!([50, 100]),
            "one epoch",
        ),
        (
            "bc",
            "algo.optim_params.policy.learning_rate.step_every_batch",
            json!(true),
            "between epochs",
        ),
        (
            "bc",
            "algo.vae.enabled",
            json!(true),
            "autoencoder is not here",
        ),
        (
            "bc",
            "algo.loss.l1_weight",
            json!(0.5),
            "mean squared error",
        ),
        (
            "bc",
            "algo.optim_params.policy.learning_rate.scheduler_type",
            json!("cosine"),
            "`Cosine(..)`",
        ),
        (
            "bc",
            "observation.modalities.obs.rgb",
            json!(["agentview_image"]),
            "encoders of pictures",
        ),
        (
            "bc",
            "train.action_config.actions.normalization",
            json!("min_max"),
            "scaled between bounds alone",
        ),
        (
            "bc",
            "train.frame_stack",
            json!(10),
            "`Dataset(frame_stack: N)`",
        ),
        (
            "bc",
            "train.data",
            json!([{ "path": "a" }, { "path": "b" }]),
            "one dataset",
        ),
        (
            "bc",
            "train.data",
            json!([{ "path": "a", "demo_limit": 5 }]),
            "`demo_limit`",
        ),
        ("bc", "train.data", json!(null), "--dataset FILE"),
        ("bc", "experiment.ckpt_path", json!("model.pth"), "PyTorch"),
        (
            "bc",
            "experiment.validate",
            json!(true),
            "no demonstrations are named to validate on",
        ),
        (
            "bc",
            "train.hdf5_validation_filter_key",
            json!("valid"),
            "`experiment.validate` is false",
        ),
        (
            "bc",
            "experiment.rollout.rates",
            json!(3),
            "no such key is known",
        ),
        (
            "bc",
            "algo.actor_layer_dims",
            json!("wide"),
            "a list of widths",
        ),
        (
            "td3_bc",
            "algo.alpha",
            json!(-1),
            "expected a number at least 0, found -1",
        ),
        ("td3_bc", "algo.critic.ensemble.n", json!(0), "found 0"),
        (
            "td3_bc",
            "algo.n_step",
            json!(3),
            "fewer rows than `algo.n_step` folds",
        ),
        (
            "td3_bc",
            "algo.optim_params.actor.end_epoch",
            json!(1),
            "must be after `start_epoch`",
        ),
        (
            "bcq",
            "algo.critic.distributional.enabled",
            json!(true),
            "distributional critics are not here",
        ),
        (
            "bcq",
            "algo.action_sampler.gmm.enabled",
            json!(true),
            "autoencoder alone",
        ),
        (
            "bcq",
            "algo.action_sampler.vae.prior.learn",
            json!(true),
            "standard normal",
        ),
        (
            "bcq",
            "algo.action_sampler.vae.decoder_layer_dims",
            json!([64]),
            "the same layers",
        ),
        (
            "cql",
            "algo.critic.num_action_samples",
            json!(10),
            "one next action",
        ),
        ("cql", "train.goal_mode", json!("last"), ""),
        (
            "iql",
            "algo.actor.net.common.use_tanh",
            json!(true),
            "not squashed",
        ),
        ("iql", "algo.adv.beta", json!(0), "above 0"),
    ] {
        let config = changed(name, &[(key, value)]);
        let Err(refused) = translated(&config) else {
            assert!(said.is_empty(), "{name}: {key}");
            continue;
        };
        let key = if said.starts_with("fewer") {
            "train.seq_length"
        } else {
            key
        };
        let key = if key == "experiment.validate" {
            "train.hdf5_validation_filter_key"
        } else {
            key
        };
        let beginning = format!("a.json: error: {key}: ");
        assert!(
            refused.starts_with(&beginning) && refused.contains(said),
            "{refused}"
        );
    }
    // All at once.
    let both = changed(
        "bc",
        &[
            ("algo.vae.enabled", json!(true)),
            ("train.frame_stack", json!(3)),
        ],
    );
    assert_eq!(translated(&both).err().unwrap().lines().count(), 2);
    let goals = changed(
        "cql",
        &[
            ("train.goal_mode", json!("last")),
            ("observation.modalities.goal.low_dim", json!(["object"])),
        ],
    );
    assert!(
        translated(&goals)
            .err()
            .unwrap()
            .contains("`Cql` takes no goals here")
    );
}

#[test]
fn what_is_evaluated_in_is_said_or_asked_for() {
    let without = translated_with(&config("bc"), Instead::default()).unwrap();
    assert!(!without.scene.contains("Evaluation"), "{}", without.scene);
    assert!(without.scene.contains("best: None"), "{}", without.scene);
    let line = without
        .listed
        .iter()
        .find(|line| line.starts_with("experiment.rollout.enabled"));
    assert!(line.unwrap().contains("give --env NAME"), "{line:?}");
    let named = changed("td3_bc", &[("experiment.env", json!("Pendulum-v1"))]);
    let scene = translated_with(&named, Instead::default()).unwrap().scene;
    for setting in [
        "env: \"Pendulum-v1\"",
        "every: Epochs(1)",
        "episodes: 50",
        "time_limit: 1000",
        "end_at_success: true",
        "best: \"evaluate/return\"",
    ] {
        assert!(scene.contains(setting), "{setting}\n{scene}");
    }
    let later = [
        ("experiment.rollout.warmstart", json!(10)),
        ("experiment.rollout.terminate_on_success", json!(false)),
        (
            "experiment.additional_envs",
            json!(["gymnasium:Pendulum-v1"]),
        ),
    ];
    let scene = translated(&changed("bc", &later)).unwrap().scene;
    for setting in [
        "warm_start: Epochs(11)",
        "end_at_success: false",
        "also: [\"gymnasium:Pendulum-v1\"]",
        "best: \"evaluate/success_rate\"",
    ] {
        assert!(scene.contains(setting), "{setting}\n{scene}");
    }
    // robosuite's are not here, which is no mistake of the file.
    let other = changed("bc", &[("experiment.env", json!("Lift"))]);
    let other = translated_with(&other, Instead::default()).unwrap();
    assert!(
        other
            .listed
            .iter()
            .any(|line| line.starts_with("experiment.env = \"Lift\": "))
    );
}

#[test]
fn when_it_is_saved_is_translated_and_an_epoch_that_never_is_refused() {
    let times = |epochs| {
        changed(
            "td3_bc",
            &[
                ("experiment.save.every_n_seconds", json!(600)),
                ("experiment.save.epochs", epochs),
            ],
        )
    };
    let scene = translated(&times(json!([5, 70]))).unwrap().scene;
    for setting in [
        "every: Epochs(20)",
        "every_seconds: 600",
        "also_at: [Epochs(5), Epochs(70)]",
    ] {
        assert!(scene.contains(setting), "{setting}\n{scene}");
    }
    let refused = translated(&times(json!([0]))).err().unwrap();
    assert!(
        refused.starts_with("a.json: error: experiment.save.epochs: ")
            && refused.contains("a list of epochs, from 1"),
        "{refused}"
    );
}
