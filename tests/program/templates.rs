//! Scenes to start from train as they stand, and a scene is tried out in seconds.

use std::fs;
use std::path::Path;

use crate::room::{ROOT, Room, checkpoints, dataset, files, metric, with_dataset};

#[test]
fn a_template_with_its_data_and_its_environment_trains_as_it_stands() {
    let room = Room::new();
    let data = dataset();
    let data = data.to_str().unwrap();
    for (algorithm, from) in [
        ("Td3Bc", format!("--dataset {data} --env Pendulum-v1")),
        ("Bc", format!("--dataset {data}")),
        ("Sac", "--env Pendulum-v1".to_owned()),
        ("Ppo", "--env CartPole-v1".to_owned()),
    ] {
        let scene = room.yarak(&format!("scene template {algorithm} {from}"));
        room.write("run.ron", scene.result());
        room.yarak("scene check run.ron").result();
        let run = format!("train run.ron --steps 3 --run {algorithm}");
        room.yarak(&run).ends_with(0);
        assert_eq!(checkpoints(&room.path(algorithm)).len(), 1, "{algorithm}");
    }
    room.yarak("scene template Bc --env Pendulum-v1")
        .refuses(&["`Bc` learns from data: give --dataset FILE"]);
    room.yarak("scene template Reports --env Pendulum-v1")
        .refuses(&["`Reports` does not learn"]);
    room.yarak("scene template Sac --env Pendlum-v1")
        .refuses(&["Pendulum-v1"]);
    room.yarak("scene template Dqn --env Pendulum-v1")
        .refuses(&["Dqn"]);
}

#[test]
fn the_templates_that_come_along_are_those_that_the_program_writes() {
    let room = Room::new();
    let written = room.yarak("scene templates templates");
    let listed = written.result().lines().count();
    let there = files(&Path::new(ROOT).join("scenes/templates"));
    assert_eq!(listed, there.len());
    for (name, text) in files(&room.path("templates")) {
        assert!(
            there.get(&name) == Some(&text),
            "scenes/templates/{name} differs: write them anew with `yarak scene templates`"
        );
    }
    // A second time nothing is replaced.
    room.yarak("scene templates templates")
        .refuses(&["is there already; nothing was replaced"]);
    fs::create_dir_all(room.path("assets")).unwrap();
    fs::copy(dataset(), room.path("assets/pendulum-medium-expert.hdf5")).unwrap();
    for name in there.keys() {
        let tried = room.yarak(&format!("train templates/{name} --debug"));
        let folder = tried.result().split(':').next().unwrap();
        let metrics = fs::read_to_string(Path::new(folder).join("metrics.jsonl")).unwrap();
        assert!(
            metrics.contains("/loss\""),
            "{name} learned nothing: {metrics}"
        );
        fs::remove_dir_all(folder).unwrap();
    }
}

#[test]
fn a_scene_is_tried_out_on_other_data_under_another_name() {
    let room = Room::new();
    let scene = with_dataset(
        "Scene(steps: 100_000, plugins: [
    Dataset(path: \"nowhere.hdf5\", validation: 0.1),
    Td3Bc(minibatch: (batch_size: 16), critic: (encoder: Mlp(hidden_sizes: [8])), actor: (encoder: Mlp(hidden_sizes: [8]))),
    Evaluation(every: 50_000), Validation(every: 50_000), Checkpoints(every: 50_000, keep: 9),
])",
    );
    room.write("scene.ron", &scene);
    let data = dataset();
    let data = data.display();
    let tried = room.yarak(&format!("train scene.ron --dataset {data} --debug"));
    let said = tried.result();
    let folder = Path::new(said.split(':').next().unwrap());
    assert!(!folder.starts_with(room.path("")), "{said}");
    assert_eq!(checkpoints(folder), ["step_000000003", "step_000000006"]);
    assert_eq!(metric(folder, "evaluate/return").len(), 2);
    let log = fs::read_to_string(folder.join("log.txt")).unwrap();
    assert!(
        log.contains("step 6/6") && log.contains("finished: "),
        "{log}"
    );
    fs::remove_dir_all(folder).unwrap();

    let named = format!(
        "train scene.ron --dataset {data} --name mine --steps 3 --set Evaluation.episodes=1"
    );
    room.yarak(&named).ends_with(0);
    let kept = fs::read_to_string(room.path("runs/mine/scene.ron")).unwrap();
    assert!(kept.contains("name: \"mine\""), "{kept}");
    room.yarak("train scene.ron --name ../mine")
        .refuses(&["a run's folder cannot be called this", "--run DIR"]);
}

#[test]
fn the_tutorials_closing_commands_train_on_robomimics_layout_and_play_the_checkpoint() {
    let room = Room::new();
    let made = room.yarak(&format!(
        "data convert {} demonstrations.hdf5 --to robomimic --env Pendulum-v1",
        dataset().display()
    ));
    made.ends_with(0);
    // `generate_config_templates.py`
    let scene = room.yarak("scene template Td3Bc --dataset demonstrations.hdf5 --env Pendulum-v1");
    room.write("td3_bc.ron", scene.result());

    // `train.py --config td3_bc.json --dataset FILE --debug`
    let tried = room.yarak("train td3_bc.ron --dataset demonstrations.hdf5 --debug");
    let folder = tried.result().split(':').next().unwrap();
    assert_eq!(metric(Path::new(folder), "critic/loss").len(), 2);
    let played = room.yarak(&format!("eval {folder} --episodes 1"));
    assert!(
        played.result().contains("over 1 episode"),
        "{}",
        played.stdout
    );
    fs::remove_dir_all(folder).unwrap();

    // `train.py --config td3_bc.json --dataset FILE --name NAME`, and `run_trained_agent.py --agent CHECKPOINT`
    let train = "train td3_bc.ron --dataset demonstrations.hdf5 --name closing --steps 5 --set Evaluation.episodes=2";
    room.yarak(train).ends_with(0);
    let run = room.path("runs/closing");
    let logged = metric(&run, "evaluate/return");
    assert_eq!(logged.len(), 1);
    for checkpoint in ["runs/closing", "runs/closing/checkpoints/step_000000005"] {
        let played = room.yarak(&format!("eval {checkpoint} --json"));
        let played: serde_json::Value = serde_json::from_str(played.result()).unwrap();
        assert_eq!(played["return"].as_f64(), Some(logged[0].1));
    }
    let info = room.yarak("data info demonstrations.hdf5");
    assert!(info.result().contains("robomimic"), "{}", info.stdout);
}
