//! Configurations of other trainers become scenes, and what has no counterpart is listed.

use std::fs;
use std::path::Path;

use crate::room::{ROOT, Room, dataset, metric, yarak};

#[test]
fn robomimics_configurations_become_scenes_that_are_good() {
    let room = Room::new();
    let data = dataset();
    let data = data.to_str().unwrap();
    for algorithm in [
        "bc",
        "bc_rnn_gmm",
        "bc_transformer",
        "td3_bc",
        "bcq",
        "cql",
        "iql",
    ] {
        let config = format!("tests/fixtures/robomimic_configs/{algorithm}.json");
        let arguments = ["scene", "import", &config];
        let plain = yarak(&arguments);
        // Exactly the scene that lies next to the configuration.
        let expected = Path::new(ROOT).join(config.replace(".json", ".ron"));
        let expected = fs::read_to_string(expected).unwrap();
        assert_eq!(plain.result(), expected, "{algorithm}");
        assert!(
            plain
                .stderr
                .lines()
                .any(|line| line == "experiment.logging.log_wandb = false: W&B is not here: metrics.jsonl has the numbers"),
            "{}",
            plain.stderr
        );
        let here = [&arguments[..], &["--dataset", data, "--env", "Pendulum-v1"]].concat();
        room.write("run.ron", yarak(&here).result());
        assert_eq!(
            room.yarak("scene check run.ron").result(),
            "run.ron: good\n"
        );
    }
}

/// What d3rlpy wrote of its configurations and CORL of its.
const OTHERS: [&str; 14] = [
    "d3rlpy_configs/bc.json",
    "d3rlpy_configs/td3_plus_bc.json",
    "d3rlpy_configs/bcq.json",
    "d3rlpy_configs/cql.json",
    "d3rlpy_configs/iql.json",
    "d3rlpy_configs/sac.json",
    "d3rlpy_configs/td3.json",
    "d3rlpy_configs/ddpg.json",
    "d3rlpy_configs/dqn.json",
    "d3rlpy_configs/double_dqn.json",
    "corl_configs/td3_bc.yaml",
    "corl_configs/iql.yaml",
    "corl_configs/cql.yaml",
    "corl_configs/any_percent_bc.yaml",
];

#[test]
fn d3rlpys_and_corls_configurations_become_scenes_that_are_good() {
    let room = Room::new();
    let data = dataset();
    let data = data.to_str().unwrap();
    for name in OTHERS {
        let config = format!("tests/fixtures/{name}");
        let arguments = ["scene", "import", &config, "--dataset"];
        let plain = yarak(&[&arguments[..], &["data.hdf5"]].concat());
        // Exactly the scene that lies next to the configuration.
        let expected = Path::new(ROOT).join(&config).with_extension("ron");
        let expected = fs::read_to_string(expected).unwrap();
        assert_eq!(plain.result(), expected, "{name}");
        let said = match name.starts_with("corl") {
            true => "project = \"CORL\": W&B is not here: metrics.jsonl has the numbers",
            false => "config.params.compile_graph = false: the same steps are taken without",
        };
        assert!(
            plain.stderr.lines().any(|line| line == said),
            "{}",
            plain.stderr
        );
        // Pendulum's actions are not discrete.
        if !name.contains("dqn") {
            let here = [&arguments[..], &[data, "--env", "Pendulum-v1"]].concat();
            room.write("run.ron", yarak(&here).result());
            room.yarak("scene check run.ron").result();
        }
    }
    for (name, env) in [
        ("sac", "Pendulum-v1"),
        ("td3", "Pendulum-v1"),
        ("ddpg", "Pendulum-v1"),
        ("dqn", "CartPole-v1"),
        ("double_dqn", "CartPole-v1"),
    ] {
        let config = format!("tests/fixtures/d3rlpy_configs/{name}.json");
        room.write(
            "run.ron",
            yarak(&["scene", "import", &config, "--env", env]).result(),
        );
        assert_eq!(
            room.yarak("scene check run.ron").result(),
            "run.ron: good\n"
        );
    }
}

#[test]
fn scenes_of_d3rlpys_and_corls_train() {
    let room = Room::new();
    let data = dataset();
    let data = data.display();
    room.write("corl.yaml", "name: IQL\nmax_timesteps: 4\nbatch_size: 8\neval_freq: 2\nn_episodes: 1\ncheckpoints_path: logs\ndevice: cpu\n");
    let imported = room.yarak(&format!(
        "scene import corl.yaml --dataset {data} --env Pendulum-v1"
    ));
    room.write("run.ron", imported.result());
    room.yarak("train run.ron --run corl").ends_with(0);
    assert_eq!(metric(&room.path("corl"), "evaluate/return").len(), 2);
    let small = r#"{"type": "vector", "params": {"hidden_units": [8]}}"#;
    let config = format!(
        r#"{{"config": {{"type": "sac", "params": {{"batch_size": 8, "actor_encoder_factory": {small}}}}}}}"#
    );
    room.write("params.json", &config);
    let imported = room.yarak("scene import params.json --env Pendulum-v1");
    room.write("run.ron", imported.result());
    room.yarak("train run.ron --run d3rlpy --set steps=20")
        .ends_with(0);
}

#[test]
fn an_imported_scene_trains_on_robomimics_data_and_is_scored() {
    let room = Room::new();
    let data = dataset();
    let convert = format!(
        "data convert {} made.hdf5 --to robomimic --env Pendulum-v1",
        data.display()
    );
    room.yarak(&convert).ends_with(0);
    let config = r#"{
        "algo_name": "td3_bc",
        "experiment": {"name": "carried over", "epoch_every_n_steps": 3, "rollout": {"n": 2, "horizon": 20}, "save": {"every_n_epochs": 1}},
        "train": {"data": [{"path": "made.hdf5"}], "num_epochs": 2, "batch_size": 8, "cuda": false},
        "observation": {"modalities": {"obs": {"low_dim": ["flat"]}}}
    }"#;
    room.write("config.json", config);
    let imported = room.yarak("scene import config.json --env Pendulum-v1");
    room.write("run.ron", imported.result());
    room.yarak("train run.ron --run run").ends_with(0);
    let run = room.path("run");
    assert_eq!(metric(&run, "evaluate/return").len(), 2);
    assert!(run.join("checkpoints/best").is_file());
}

#[test]
fn a_file_that_is_no_configuration_is_refused() {
    let room = Room::new();
    for (text, said) in [
        ("{\"algo_name\": \"bc\"", "this cannot be read as JSON"),
        (
            "[1, 2]",
            "this is nobody's configuration that is known here: robomimic's has an `algo_name`",
        ),
        (
            "{\"config\": {}}",
            "d3rlpy's `params.json` a `config` with a `type`",
        ),
        (
            "{\"config\": {\"type\": \"sac\", \"params\": 7}}",
            "error: config.params: 7: expected an object",
        ),
        (
            "policy_noise: 0.2\nactor_bc_coef: 1.0",
            "actor_bc_coef: this is CORL's ReBRAC, which is not here",
        ),
        (
            "env: pen-human-v1",
            "CORL's YAML, which does not name its algorithm, has `policy_noise` (td3_bc)",
        ),
        (
            "alpha: 2.5\nalpha: 2.5",
            "line 2, column 1: this key is there twice",
        ),
        (
            "policy_noise: &a 0.2",
            "line 1, column 15: expected one number",
        ),
        (
            "alpha: !!float 2.5",
            "line 1, column 8: expected one number",
        ),
        (
            "alpha: \u{1b}[2J",
            "line 1, column 8: expected no tab and no control character",
        ),
        ("just words", "line 1, column 5: expected `key: value`"),
        (
            "{\"algo_name\": \"diffusion_policy\"}",
            "algo_name: `diffusion_policy` is not here; these are: bc, td3_bc, bcq, cql, iql",
        ),
        (
            "{\"algo_name\": \"bc\"}",
            "train.data: null: no dataset is named: give --dataset FILE",
        ),
    ] {
        room.write("config.json", text);
        room.yarak("scene import config.json")
            .refuses(&["config.json", said]);
    }
    fs::write(room.path("config.json"), b"alpha: \xff\xfe").unwrap();
    room.yarak("scene import config.json")
        .refuses(&["config.json: ", "not UTF-8"]);
    for (large, said) in [
        (
            format!("# {}", "x".repeat(2 << 20)),
            "larger than a configuration",
        ),
        ("[".repeat(1 << 19), "recursion limit exceeded"),
        (
            "a: [".repeat(1 << 17),
            "line 1, column 4: expected one number",
        ),
    ] {
        room.write("config.json", &large);
        room.yarak("scene import config.json").refuses(&[said]);
    }
    room.yarak("scene import nowhere.json")
        .refuses(&["nowhere.json: the configuration cannot be read"]);
    room.write(
        "config.json",
        "{\"algo_name\": \"bc\", \"train\": {\"data\": \"a\", \"batch_size\": 0}}",
    );
    room.yarak("scene import config.json")
        .refuses(&["config.json: error: train.batch_size: expected a whole number from 1"]);
    room.yarak("scene import config.json --env Pendlum-v1")
        .refuses(&["did you mean `Pendulum-v1`"]);
}
