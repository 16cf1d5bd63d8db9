//! Which script a file of CORL's is taken for, and which are refused.

use serde_json::{Value, json};

use crate::cli::import::table_tests::{ON_DATA, translated_with};

fn refused(config: &Value) -> String {
    translated_with(config, ON_DATA).err().unwrap()
}

#[test]
fn scripts_that_are_not_here_are_refused_by_their_names() {
    let finetuning = "this is CORL's finetuning (Cal-QL and others), which is not here";
    for (config, key, said) in [
        (
            json!({ "policy_noise": 0.2, "actor_bc_coef": 1.0 }),
            "actor_bc_coef",
            "this is CORL's ReBRAC, which is not here",
        ),
        (
            json!({ "actor_bc_coef": 1.0, "name": "rebrac" }),
            "actor_bc_coef",
            "this is CORL's ReBRAC, which is not here",
        ),
        (
            json!({ "expl_noise": 0.1, "actor_init_w": 1e-3, "offline_iterations": 5 }),
            "actor_init_w",
            "this is CORL's SPOT, which is not here",
        ),
        (
            json!({ "cql_alpha": 10.0, "offline_iterations": 5 }),
            "offline_iterations",
            finetuning,
        ),
        (
            json!({ "iql_tau": 0.7, "online_iterations": 5 }),
            "online_iterations",
            finetuning,
        ),
        (
            json!({ "cql_alpha": 10.0, "cql_alpha_online": 5.0 }),
            "cql_alpha_online",
            finetuning,
        ),
    ] {
        assert_eq!(refused(&config), format!("error: a.json: {key}: {said}"));
    }
    let nobodys = refused(&json!({ "is_online": true }));
    assert!(nobodys.contains("nobody's configuration"), "{nobodys}");
}

#[test]
fn keys_of_two_scripts_are_refused_and_both_are_named() {
    let both = json!({ "policy_noise": 0.2, "iql_tau": 0.7, "name": "IQL" });
    assert_eq!(
        refused(&both),
        "error: a.json: `policy_noise` is a key of CORL's `td3_bc` alone and `iql_tau` of its `iql`: take out those of one of them"
    );
}

#[test]
fn an_unknown_key_is_refused_with_what_the_file_was_taken_for() {
    for (config, taken_for) in [
        (
            json!({ "noise_clip": 0.5, "vae_lr": 1e-3 }),
            "the file is taken for CORL's `td3_bc` by its `noise_clip`",
        ),
        (
            json!({ "name": "CQL", "vae_lr": 1e-3 }),
            "the file is taken for CORL's `cql` by its `name`",
        ),
    ] {
        let refused = refused(&config);
        assert!(
            refused.starts_with("a.json: error: vae_lr: 0.001: no such key is known")
                && refused.ends_with(taken_for),
            "{refused}"
        );
    }
}
