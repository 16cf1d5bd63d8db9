//! What d3rlpy does otherwise and no value says, and objects where there is none or where they are empty.

use serde_json::{Value, json};

use super::d3rlpy_tests::{changed, config};
use crate::cli::import::Instead;
use crate::cli::import::table_tests::{IN_PENDULUM, ON_DATA, translated_with, with};

#[test]
fn what_is_no_object_is_refused_by_its_key() {
    for params in [
        json!(7),
        json!("lots"),
        Value::Null,
        json!([1, 2]),
        json!(true),
    ] {
        let config = json!({ "config": { "type": "sac", "params": params } });
        assert_eq!(
            translated_with(&config, IN_PENDULUM).err().unwrap(),
            format!("a.json: error: config.params: {params}: expected an object")
        );
    }
    for (name, key, value) in [
        ("sac", "reward_scaler.params", json!([1, 2])),
        ("sac", "action_scaler.params", json!("x")),
        ("sac", "observation_scaler.params", Value::Null),
        (
            "sac",
            "actor_optim_factory.params.lr_scheduler_factory.params",
            json!(-9),
        ),
        ("sac", "actor_encoder_factory", Value::Null),
        ("sac", "critic_optim_factory.params", json!(3)),
        ("sac", "reward_scaler", json!("standard")),
        (
            "bc",
            "reward_scaler",
            json!({ "type": "multiply", "params": [1] }),
        ),
    ] {
        let refused = translated_with(&changed(name, &[(key, value)]), ON_DATA);
        let refused = refused.err().unwrap();
        assert!(
            refused.starts_with(&format!("a.json: error: config.params.{key}"))
                && refused.ends_with(": expected an object"),
            "{refused}"
        );
    }
}

#[test]
fn an_empty_object_is_the_defaults_of_all_that_is_below() {
    for (name, changes, setting) in [
        (
            "td3_plus_bc",
            vec![("observation_scaler.params", json!({}))],
            "normalize: true",
        ),
        (
            "td3_plus_bc",
            vec![(
                "actor_encoder_factory",
                json!({ "type": "vector", "params": {} }),
            )],
            "encoder: Mlp(hidden_sizes: [256, 256])",
        ),
        (
            "bc",
            vec![("optim_factory.params", json!({}))],
            "rule: Adam",
        ),
        (
            "cql",
            vec![
                ("alpha_learning_rate", json!(3e-4)),
                (
                    "alpha_optim_factory",
                    json!({ "type": "adam", "params": {} }),
                ),
            ],
            "lagrange: 50",
        ),
    ] {
        let scene = translated_with(&changed(name, &changes), ON_DATA);
        let scene = scene.unwrap().scene;
        assert!(scene.contains(setting), "{name}: {setting}\n{scene}");
    }
}

#[test]
fn the_multiplier_of_d3rlpys_default_cql_has_its_own_rate() {
    let default = json!({ "config": { "type": "cql", "params": {} } });
    let scene = translated_with(&default, ON_DATA).unwrap().scene;
    for setting in [
        "weight: 5.0",
        "lagrange: 50",
        "lagrange_optimizer: (learning_rate: Constant(0.0001)",
        "temperature: (",
    ] {
        assert!(scene.contains(setting), "{setting}\n{scene}");
    }
}

#[test]
fn dropout_is_taken_where_its_place_changes_nothing() {
    let dropping = |activation: &str, share: f64| {
        let params = json!({ "activation": activation, "dropout_rate": share });
        let factory = json!({ "type": "default", "params": params });
        translated_with(&changed("bc", &[("encoder_factory", factory)]), ON_DATA)
    };
    for activation in ["tanh", "gelu"] {
        let refused = dropping(activation, 0.25).err().unwrap();
        assert!(
            refused.starts_with("a.json: error: config.params.encoder_factory.params.dropout_rate: 0.25: `Mlp(dropout: ..)` drops in front"),
            "{refused}"
        );
        dropping(activation, 0.0).unwrap();
    }
    for activation in ["relu", "none"] {
        let scene = dropping(activation, 0.25).unwrap().scene;
        assert!(scene.contains("dropout: 0.25"), "{scene}");
    }
}

#[test]
fn what_differs_is_told_also_where_the_file_leaves_it_out() {
    let data_alone = Instead {
        env: None,
        ..ON_DATA
    };
    let least = |name: &str| json!({ "config": { "type": name, "params": {} } });
    let slow = with(
        least("cql"),
        &[("config.params.alpha_learning_rate", json!(0.0))],
    );
    let scaled = |params: Value| {
        let scaler = json!({ "type": "min_max", "params": params });
        with(least("td3"), &[("config.params.action_scaler", scaler)])
    };
    let unfitted = |value: &str| {
        format!(
            "config.params.action_scaler.params.minimum = {value}: each element's range is that of the environment, or else of the data"
        )
    };
    let backup = "config.params.soft_q_backup = false: translated; the target's action is drawn from the policy here, and is its mean there";
    let tanh = "BCQ's autoencoder: no key says it: its actions go through a tanh here, as in the authors' code, and through none in d3rlpy";
    for (config, instead, line) in [
        (slow, data_alone, backup.to_owned()),
        (least("bcq"), data_alone, tanh.to_owned()),
        (config("bcq"), ON_DATA, tanh.to_owned()),
        (scaled(json!({})), data_alone, unfitted("null")),
        (scaled(json!({})), IN_PENDULUM, unfitted("null")),
        (
            scaled(json!({ "minimum": null, "maximum": null })),
            ON_DATA,
            unfitted("null"),
        ),
        (
            scaled(json!({ "minimum": [], "maximum": [] })),
            data_alone,
            unfitted("[]"),
        ),
    ] {
        let listed = translated_with(&config, instead).unwrap().listed;
        assert!(listed.contains(&line), "{line}\n{listed:#?}");
    }
}

#[test]
fn a_multipliers_optimizer_is_its_own_and_what_is_not_here_of_it_is_refused() {
    let own = |changes: &[(&str, Value)]| {
        let learned = [&[("alpha_learning_rate", json!(1e-4))], changes].concat();
        translated_with(&changed("cql", &learned), ON_DATA)
    };
    // The critics' betas are not the multiplier's.
    for factory in [json!({}), json!({ "type": "adam", "params": {} })] {
        let scene = own(&[
            ("alpha_optim_factory", factory),
            ("critic_optim_factory.params.betas", json!([0.5, 0.9])),
        ]);
        let scene = scene.unwrap().scene;
        let setting =
            "lagrange_optimizer: (learning_rate: Constant(0.0001), rule: Adam, weight_decay: 0)";
        assert!(scene.contains(setting), "{scene}");
    }
    for (key, value, said) in [
        (
            "alpha_optim_factory.params.amsgrad",
            json!(true),
            "AMSGrad is not here",
        ),
        ("initial_alpha", json!(2.0), "begins at 1"),
    ] {
        let refused = own(&[(key, value)]).err().unwrap();
        let beginning = format!("a.json: error: config.params.{key}: ");
        assert!(
            refused.starts_with(&beginning) && refused.contains(said),
            "{refused}"
        );
    }
}
