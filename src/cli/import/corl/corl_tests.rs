//! CORL's YAML, key by key. The fixtures are what CORL's scripts write of their configurations, but for the random end of `name`; that of
//! behavior cloning has `frac: 1.0`, since another cannot be had.

use serde_json::{Value, json};

use crate::cli::import::table_tests::{
    IN_PENDULUM, ON_DATA, nothing_is_passed_over, translated_with, with,
};
use crate::cli::import::{Instead, parse};

macro_rules! fixtures {
    ($($name:literal),*) => {
        [$(($name, include_str!(concat!("../../../../tests/fixtures/corl_configs/", $name, ".yaml")))),*]
    };
}

const CONFIGS: [(&str, &str); 4] = fixtures!("td3_bc", "iql", "cql", "any_percent_bc");

fn config(name: &str) -> Value {
    let (_, text) = CONFIGS.into_iter().find(|it| it.0 == name).unwrap();
    parse(text.as_bytes()).unwrap()
}

fn changed(name: &str, changes: &[(&str, Value)]) -> Value {
    with(config(name), changes)
}

#[test]
fn no_key_is_passed_over_in_silence() {
    for (name, _) in CONFIGS {
        assert!(nothing_is_passed_over(name, &config(name), ON_DATA) > 15);
    }
}

#[test]
fn what_a_file_leaves_out_is_what_corl_takes_and_not_what_is_taken_here() {
    for (name, _) in CONFIGS {
        let whole = translated_with(&config(name), ON_DATA).unwrap();
        let mut least = json!({ "name": config(name)["name"] });
        if name == "any_percent_bc" {
            let refused = translated_with(&least, ON_DATA).err().unwrap();
            assert!(
                refused.starts_with("a.json: error: frac: 0.1: all episodes"),
                "{refused}"
            );
            least = with(least, &[("frac", json!(1.0))]);
        }
        let least = translated_with(&least, ON_DATA).unwrap();
        assert_eq!(least.scene, whole.scene, "{name}");
    }
}

#[test]
fn values_become_settings_by_the_meaning_that_they_have() {
    for (name, changes, settings) in [
        (
            "td3_bc",
            vec![("policy_freq", json!(4)), ("policy_noise", json!(0.3))],
            vec!["update_freq: 4", "every: 4", "noise_std: 0.3", "rule: D4rl"],
        ),
        (
            "td3_bc",
            vec![
                ("checkpoints_path", json!("/logs")),
                ("device", json!("cuda:1")),
            ],
            vec![
                "Checkpoints(every: 5000, keep: 200, best: None)",
                "device: \"auto\"",
            ],
        ),
        (
            "td3_bc",
            vec![("device", json!("cpu"))],
            vec!["device: \"cpu\""],
        ),
        (
            "iql",
            vec![
                ("actor_dropout", json!(0.1)),
                ("max_timesteps", json!(1000)),
            ],
            vec![
                "Mlp(hidden_sizes: [256, 256], dropout: 0.1)",
                "Cosine(initial: 0.0003, over: Steps(1000))",
                "steps: 1000",
            ],
        ),
        (
            "iql",
            vec![("iql_deterministic", json!(true)), ("beta", json!(10.0))],
            vec![
                "deviation: Fixed, initial_std: 0.70710677",
                "inverse_temperature: 10.0",
            ],
        ),
        (
            "cql",
            vec![
                ("cql_lagrange", json!(true)),
                ("cql_target_action_gap", json!(0.8)),
                ("cql_alpha", json!(5.0)),
            ],
            vec!["weight: 5.0", "lagrange: 4"],
        ),
        (
            "cql",
            vec![
                ("use_automatic_entropy_tuning", json!(false)),
                ("alpha_multiplier", json!(0.2)),
            ],
            vec!["learned: false", "initial: 0.2"],
        ),
        (
            "cql",
            vec![("backup_entropy", json!(true)), ("bc_steps", json!(40_000))],
            vec!["deterministic_backup: false", "imitation_steps: 40000"],
        ),
    ] {
        let scene = translated_with(&changed(name, &changes), ON_DATA)
            .unwrap()
            .scene;
        for setting in settings {
            assert!(scene.contains(setting), "{name}: {setting}\n{scene}");
        }
    }
    let scene = translated_with(&config("td3_bc"), ON_DATA).unwrap().scene;
    assert!(!scene.contains("Checkpoints"), "{scene}");
}

#[test]
fn what_would_be_learned_otherwise_is_refused_by_its_name() {
    for (name, key, value, said) in [
        (
            "td3_bc",
            "normalize_reward",
            json!(true),
            "rewards are learned from as they are",
        ),
        ("td3_bc", "load_model", json!("a.pt"), "PyTorch"),
        (
            "td3_bc",
            "alpha",
            json!(-1),
            "expected a number at least 0, found -1",
        ),
        ("td3_bc", "batch_size", json!(0), "found 0"),
        ("td3_bc", "device", json!("mps"), "expected cpu or cuda"),
        ("td3_bc", "vae_lr", json!(1e-3), "no such key is known"),
        ("td3_bc", "max_timesteps", json!("many"), "whole number"),
        ("iql", "iql_tau", json!(1.0), "found 1"),
        ("iql", "actor_dropout", json!(1.0), "found 1"),
        ("cql", "cql_temp", json!(0.5), "of e to their values"),
        (
            "iql",
            "seeds",
            json!(1),
            "taken for CORL's `iql` by its `iql_tau`",
        ),
        ("cql", "cql_clip_diff_min", json!(-200), "not clipped"),
        (
            "cql",
            "cql_max_target_backup",
            json!(true),
            "one next action",
        ),
        (
            "cql",
            "q_n_hidden_layers",
            json!(5),
            "CORL's second one has three",
        ),
        ("cql", "alpha_multiplier", json!(2.0), "has no factor"),
        (
            "cql",
            "policy_log_std_multiplier",
            json!(0.5),
            "the network's output",
        ),
        (
            "any_percent_bc",
            "frac",
            json!(0.1),
            "all episodes are learned from",
        ),
    ] {
        let refused = translated_with(&changed(name, &[(key, value)]), ON_DATA);
        let refused = refused.err().unwrap();
        let beginning = format!("a.json: error: {key}: ");
        assert!(
            refused.starts_with(&beginning) && refused.contains(said),
            "{name}\n{refused}"
        );
    }
    let refused = translated_with(&config("td3_bc"), IN_PENDULUM)
        .err()
        .unwrap();
    assert!(
        refused.starts_with("a.json: error: --dataset: no dataset is named"),
        "{refused}"
    );
    let other = json!({ "awac_lambda": 1.0, "env": "walker2d-medium-v2", "name": "AWAC" });
    let refused = translated_with(&other, ON_DATA).err().unwrap();
    assert!(
        refused.contains("this is nobody's configuration") && refused.contains("`iql_tau` (iql)"),
        "{refused}"
    );
}

#[test]
fn what_is_evaluated_in_is_said_or_asked_for() {
    let on_data = Instead {
        env: None,
        ..ON_DATA
    };
    let without = translated_with(&config("iql"), on_data).unwrap();
    assert!(!without.scene.contains("Evaluation"), "{}", without.scene);
    let line = without
        .listed
        .iter()
        .find(|line| line.starts_with("env = "));
    assert!(line.unwrap().contains("give --env NAME"));
    let named = changed(
        "iql",
        &[("env", json!("Pendulum-v1")), ("n_episodes", json!(3))],
    );
    let scene = translated_with(&named, on_data).unwrap().scene;
    assert!(
        scene.contains("Evaluation(env: \"Pendulum-v1\", every: 5000, episodes: 3)"),
        "{scene}"
    );
}

#[test]
fn what_a_file_leaves_out_and_differs_is_told_as_if_it_were_there() {
    let on_data = Instead {
        env: None,
        ..ON_DATA
    };
    let listed = translated_with(&json!({ "name": "CQL" }), on_data)
        .unwrap()
        .listed;
    assert_eq!(
        listed,
        [
            "checkpoints_path = null: nothing is saved then, and there are no `Checkpoints` in the scene: add them to keep the policy",
            "env = \"halfcheetah-medium-expert-v2\": D4RL's environments are not here: give --env NAME, such as HalfCheetah-v5",
            "orthogonal_init = true: weights begin as those of PyTorch's linear layers do, uniform in ±1/√in",
        ]
    );
}

#[test]
fn a_multiplier_is_told_to_begin_elsewhere_and_holds_no_gap_below_0() {
    let held = |gap: f64| {
        let changes = [
            ("cql_lagrange", json!(true)),
            ("cql_target_action_gap", json!(gap)),
        ];
        translated_with(&changed("cql", &changes), ON_DATA)
    };
    let listed = held(0.0).unwrap().listed;
    let line = "cql_lagrange = true: translated; the multiplier begins at 1 here, and at e there";
    assert!(listed.iter().any(|it| it == line), "{listed:?}");
    assert_eq!(
        held(-1.0).err().unwrap(),
        "a.json: error: cql_target_action_gap: -1.0: expected a number at least 0 where `cql_lagrange` is true"
    );
    let without = translated_with(&config("cql"), ON_DATA).unwrap().listed;
    assert!(!without.iter().any(|it| it.contains("begins at 1")));
}
