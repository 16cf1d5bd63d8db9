//! d3rlpy's `params.json`, key by key. The fixtures are what d3rlpy 2.8.1 writes of its configurations.

use serde_json::{Value, json};

use crate::cli::import::Instead;
use crate::cli::import::table_tests::{
    IN_PENDULUM, ON_DATA, nothing_is_passed_over, translated_with, with,
};

macro_rules! fixtures {
    ($($name:literal),*) => {
        [$(($name, include_str!(concat!("../../../../tests/fixtures/d3rlpy_configs/", $name, ".json")))),*]
    };
}

const CONFIGS: [(&str, &str); 10] = fixtures!(
    "bc",
    "td3_plus_bc",
    "bcq",
    "cql",
    "iql",
    "sac",
    "td3",
    "ddpg",
    "dqn",
    "double_dqn"
);

/// What a test gives as data, for an algorithm of discrete actions without an environment, as Pendulum's are not discrete.
fn instead(name: &str) -> Instead<'static> {
    match name.contains("dqn") {
        true => Instead {
            dataset: Some("data.hdf5"),
            env: None,
        },
        false => ON_DATA,
    }
}

pub fn config(name: &str) -> Value {
    let (_, text) = CONFIGS.into_iter().find(|it| it.0 == name).unwrap();
    serde_json::from_str(text).unwrap()
}

/// With the changes, each a path below `config.params` and a value.
pub fn changed(name: &str, changes: &[(&str, Value)]) -> Value {
    let changes: Vec<(String, Value)> = changes
        .iter()
        .map(|(path, value)| (format!("config.params.{path}"), value.clone()))
        .collect();
    let changes: Vec<(&str, Value)> = changes
        .iter()
        .map(|(path, value)| (path.as_str(), value.clone()))
        .collect();
    with(config(name), &changes)
}

#[test]
fn no_key_is_passed_over_in_silence() {
    for (name, _) in CONFIGS {
        assert!(nothing_is_passed_over(name, &config(name), instead(name)) > 20);
    }
    let online = nothing_is_passed_over("sac", &config("sac"), IN_PENDULUM);
    assert!(online > 40);
}

#[test]
fn what_a_file_leaves_out_is_what_d3rlpy_takes_and_not_what_is_taken_here() {
    for (name, _) in CONFIGS {
        let least = json!({ "config": { "type": name, "params": {} } });
        let (said, least) = match name {
            // What these fixtures say that is no default.
            "td3_plus_bc" => (config(name), {
                let scalers = ["observation_scaler", "action_scaler"];
                let scalers = scalers.map(|it| config(name)["config"]["params"][it].clone());
                with(
                    least,
                    &[
                        ("config.params.observation_scaler", scalers[0].clone()),
                        ("config.params.action_scaler", scalers[1].clone()),
                    ],
                )
            }),
            "cql" => (config(name), {
                let params = &config(name)["config"]["params"];
                with(
                    least,
                    &[
                        ("config.params.alpha_learning_rate", json!(0.0)),
                        (
                            "config.params.actor_encoder_factory",
                            params["actor_encoder_factory"].clone(),
                        ),
                        (
                            "config.params.critic_encoder_factory",
                            params["critic_encoder_factory"].clone(),
                        ),
                    ],
                )
            }),
            "iql" => (config(name), {
                let params = &config(name)["config"]["params"];
                with(
                    least,
                    &[
                        (
                            "config.params.observation_scaler",
                            params["observation_scaler"].clone(),
                        ),
                        (
                            "config.params.actor_optim_factory",
                            params["actor_optim_factory"].clone(),
                        ),
                    ],
                )
            }),
            _ => (config(name), least),
        };
        let whole = translated_with(&said, instead(name)).unwrap();
        let least = translated_with(&least, instead(name)).unwrap();
        assert_eq!(least.scene, whole.scene, "{name}");
    }
}

#[test]
fn values_become_settings_by_the_meaning_that_they_have() {
    let adam = |changes: &[(&str, Value)]| {
        let adam = config("bc")["config"]["params"]["optim_factory"].clone();
        with(adam, changes)
    };
    let vector =
        json!({ "type": "vector", "params": { "hidden_units": [64, 32], "activation": "tanh" } });
    let dropping =
        json!({ "type": "default", "params": { "activation": "none", "dropout_rate": 0.25 } });
    for (name, changes, settings) in [
        (
            "td3_plus_bc",
            vec![
                ("update_actor_interval", json!(3)),
                ("target_smoothing_sigma", json!(0.1)),
            ],
            vec![
                "update_freq: 3",
                "every: 3",
                "noise_std: 0.1",
                "normalize: true",
                "action_bounds: (-2.0, 2.0)",
            ],
        ),
        (
            "td3_plus_bc",
            vec![
                (
                    "observation_scaler",
                    json!({ "type": "none", "params": {} }),
                ),
                ("action_scaler", json!({ "type": "none", "params": {} })),
            ],
            vec!["normalize: false", "action_bounds: (-1.0, 1.0)"],
        ),
        (
            "bc",
            vec![("encoder_factory", vector)],
            vec!["Mlp(hidden_sizes: [64, 32], activation: Tanh)"],
        ),
        (
            "bc",
            vec![("encoder_factory", dropping)],
            vec!["Mlp(hidden_sizes: [256, 256], activation: Identity, dropout: 0.25)"],
        ),
        (
            "bc",
            vec![(
                "optim_factory",
                adam(&[
                    ("type", json!("adam_w")),
                    ("params.betas", json!([0.5, 0.9])),
                    ("params.eps", json!(1e-6)),
                    ("params.weight_decay", json!(0.01)),
                    ("params.clip_grad_norm", json!(1.5)),
                ]),
            )],
            vec![
                "rule: AdamW(betas: (0.5, 0.9), epsilon: 1e-6)",
                "weight_decay: 0.01",
                "max_gradient_norm: 1.5",
            ],
        ),
        (
            "bc",
            vec![(
                "optim_factory",
                json!({ "type": "sgd", "params": { "momentum": 0.9 } }),
            )],
            vec!["rule: Sgd(momentum: 0.9)"],
        ),
        (
            "bc",
            vec![(
                "optim_factory",
                json!({ "type": "rmsprop", "params": { "centered": false } }),
            )],
            vec!["rule: RmsProp(smoothing: 0.95, epsilon: 0.01, momentum: 0.0)"],
        ),
        (
            "bc",
            vec![(
                "optim_factory.params.lr_scheduler_factory",
                json!({ "type": "warmup", "params": { "warmup_steps": 500 } }),
            )],
            vec!["WarmUp(initial: 0.001, over: Steps(500))"],
        ),
        (
            "iql",
            vec![],
            vec![
                "Cosine(initial: 0.0003, over: Steps(500000))",
                "initial_std: 0.22313016",
            ],
        ),
        (
            "bcq",
            vec![("n_action_samples", json!(20)), ("lam", json!(0.5))],
            vec![
                "target_samples: 20",
                "act_samples: 20",
                "weight: 0.5",
                "vae: (",
            ],
        ),
        // Without a multiplier the weight is the product of both.
        (
            "cql",
            vec![
                ("initial_alpha", json!(0.5)),
                ("soft_q_backup", json!(true)),
            ],
            vec![
                "weight: 2.5",
                "lagrange: None",
                "deterministic_backup: false",
            ],
        ),
        // With one, the threshold is of the weighted gap.
        (
            "cql",
            vec![
                ("alpha_learning_rate", json!(1e-4)),
                ("alpha_optim_factory.params.weight_decay", json!(0.01)),
            ],
            vec![
                "weight: 5.0",
                "lagrange: 50",
                "lagrange_optimizer: (learning_rate: Constant(0.0001), rule: Adam, weight_decay: 0.01)",
            ],
        ),
        (
            "cql",
            vec![("temp_learning_rate", json!(0))],
            vec!["learned: false"],
        ),
        (
            "dqn",
            vec![("target_update_interval", json!(100))],
            vec!["double: false", "every: 100", "tau: 1.0", "huber: true"],
        ),
        ("double_dqn", vec![], vec!["double: true"]),
    ] {
        let scene = translated_with(&changed(name, &changes), instead(name));
        let scene = scene.unwrap().scene;
        for setting in settings {
            assert!(scene.contains(setting), "{name}: {setting}\n{scene}");
        }
    }
}

#[test]
fn an_online_run_has_fit_onlines_defaults_and_says_so() {
    let range = json!({ "type": "min_max", "params": { "minimum": [-2.0], "maximum": [2.0] } });
    let scaled = changed("td3", &[("action_scaler", range)]);
    let online = translated_with(&scaled, IN_PENDULUM).unwrap();
    for setting in [
        "steps: 1000000",
        "Environments(env: \"Pendulum-v1\", action_bounds: [(-2.0, 2.0)])",
        "Replay(capacity: 1000000)",
        "off_policy: (learning_starts: 256, train_freq: 1, gradient_steps: 1)",
        "exploration_noise: Constant(0.0)",
    ] {
        assert!(
            online.scene.contains(setting),
            "{setting}\n{}",
            online.scene
        );
    }
    let explorer = online
        .listed
        .iter()
        .find(|line| line.starts_with("fit_online(explorer): "));
    assert!(explorer.unwrap().contains("`exploration_noise`"));
    // The same file trains on a dataset.
    let offline = translated_with(&scaled, ON_DATA).unwrap().scene;
    assert!(!offline.contains("Replay") && offline.contains("steps: 500000"));
}

#[test]
fn what_would_be_learned_otherwise_is_refused_by_its_name() {
    let none = json!({ "type": "none", "params": {} });
    for (name, key, value, said) in [
        (
            "bc",
            "policy_type",
            json!("stochastic"),
            "`Bc(head: Gaussian)`",
        ),
        (
            "bc",
            "encoder_factory.type",
            json!("pixel"),
            "d3rlpy's other encoders",
        ),
        ("bc", "encoder_factory.type", json!(3), "a text"),
        (
            "bc",
            "encoder_factory.params.activation",
            json!("swish"),
            "the others are not here",
        ),
        (
            "bc",
            "encoder_factory.params.use_batch_norm",
            json!(true),
            "batches are not normalized",
        ),
        (
            "bc",
            "encoder_factory.params.depth",
            json!(3),
            "no such key is known",
        ),
        (
            "bc",
            "optim_factory.type",
            json!("gpt_adam_w"),
            "expected \"adam\"",
        ),
        (
            "bc",
            "optim_factory.params.amsgrad",
            json!(true),
            "AMSGrad is not here",
        ),
        (
            "bc",
            "optim_factory.params.betas",
            json!([0.9]),
            "two numbers",
        ),
        ("bc", "batch_size", json!(0), "found 0"),
        (
            "td3_plus_bc",
            "alpha",
            json!(-1),
            "expected a number at least 0",
        ),
        ("td3_plus_bc", "alpha_", json!(2.5), "no such key is known"),
        (
            "td3_plus_bc",
            "reward_scaler.type",
            json!("multiply"),
            "rewards are learned from as they are",
        ),
        (
            "td3_plus_bc",
            "observation_scaler.type",
            json!("min_max"),
            "mean and deviation alone",
        ),
        (
            "td3_plus_bc",
            "q_func_factory.type",
            json!("qr"),
            "quantiles",
        ),
        (
            "td3_plus_bc",
            "q_func_factory.params.share_encoder",
            json!(true),
            "a network of its own",
        ),
        (
            "td3_plus_bc",
            "critic_optim_factory.params.clip_grad_norm",
            json!(1.0),
            "all critics together",
        ),
        (
            "iql",
            "critic_optim_factory.params.clip_grad_norm",
            json!(1.0),
            "here each is clipped on its own",
        ),
        ("bcq", "rl_start_step", json!(10), "from the first step"),
        ("cql", "max_q_backup", json!(true), "one next action"),
        ("ddpg", "n_critics", json!(2), "there is one critic"),
        (
            "dqn",
            "action_scaler.type",
            json!("min_max"),
            "actions are discrete",
        ),
    ] {
        let config = changed(name, &[(key, value)]);
        let refused = translated_with(&config, instead(name)).err().unwrap();
        let beginning = format!("config.params.{key}: ");
        assert!(
            refused.contains(&beginning) && refused.contains(said),
            "{name}\n{refused}"
        );
    }
    let different =
        json!({ "type": "min_max", "params": { "minimum": [-1.0, -0.5], "maximum": [1.0, 1.0] } });
    let different = changed("td3_plus_bc", &[("action_scaler", different)]);
    let refused = translated_with(&different, ON_DATA).err().unwrap();
    assert!(
        refused.contains("params.minimum: ") && refused.contains("different ranges"),
        "{refused}"
    );
    let alone = Instead {
        env: None,
        ..ON_DATA
    };
    assert_eq!(translated_with(&different, alone).err().unwrap(), refused);
    let pictures = with(config("bc"), &[("observation_shape", json!([4, 84, 84]))]);
    assert!(
        translated_with(&pictures, ON_DATA)
            .err()
            .unwrap()
            .contains("observation_shape: [4,84,84]: expected one width")
    );
    let standard = changed(
        "sac",
        &[(
            "observation_scaler",
            json!({ "type": "standard", "params": {} }),
        )],
    );
    assert!(
        translated_with(&standard, IN_PENDULUM)
            .err()
            .unwrap()
            .contains("`NormalizeObservations`")
    );
    assert!(translated_with(&changed("sac", &[("action_scaler", none)]), IN_PENDULUM).is_ok());
    for (name, instead, said) in [
        ("bc", IN_PENDULUM, "--dataset: no dataset is named"),
        (
            "sac",
            Instead::default(),
            "--dataset: no environment is named",
        ),
    ] {
        let refused = translated_with(&config(name), instead).err().unwrap();
        assert!(
            refused.starts_with(&format!("a.json: error: {said}")),
            "{refused}"
        );
    }
    let other = with(config("bc"), &[("config.type", json!("awac"))]);
    assert!(
        translated_with(&other, ON_DATA)
            .err()
            .unwrap()
            .contains("config.type: \"awac\" is not here; these are: bc, td3_plus_bc")
    );
    let first = json!({ "algorithm": "CQL", "action_scaler": null });
    assert!(
        translated_with(&first, ON_DATA)
            .err()
            .unwrap()
            .contains("d3rlpy 1")
    );
}
