//! robomimic's configurations become scenes, and what has no counterpart is listed.

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
        ("[1, 2]", "robomimic's has an `algo_name`"),
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
