//! Scenes: those that come along run, broken ones are refused with their places, templates are the defaults.

use std::fs;
use std::path::{Path, PathBuf};

use yarak::env::registry;

use crate::room::{ROOT, Room, dataset, files, run_in, with_dataset};

fn scenes_in(folder: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(Path::new(ROOT).join(folder)).unwrap();
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "ron"))
        .collect();
    paths.sort();
    paths
}

/// The dataset that a scene names, as far as one line says; none where it learns in environments.
fn dataset_of(text: &str) -> Option<&str> {
    let after = text.split_once("Dataset(")?.1.split_once("path:")?.1;
    after.split('"').nth(1)
}

#[test]
fn every_scene_that_comes_along_is_good_and_runs_where_its_dataset_is() {
    let scenes = scenes_in("scenes");
    let mut ran = 0;
    for scene in &scenes {
        let name = scene.to_str().unwrap();
        let checked = run_in(Path::new(ROOT), &["scene", "check", name]);
        let text = fs::read_to_string(scene).unwrap();
        let room = Room::new();
        let run = room.path("run");
        let mut arguments = vec![
            "train",
            name,
            "--steps",
            "3",
            "--run",
            run.to_str().unwrap(),
        ];
        if text.contains("Evaluation(") {
            arguments.extend(["--set", "Evaluation.episodes=1"]);
        }
        let trained = run_in(Path::new(ROOT), &arguments);
        let dataset = dataset_of(&text).unwrap_or("scenes");
        assert_ne!(text.contains("Dataset("), text.contains("Environments("));
        let played_in = text.split("env: \"").nth(1);
        let env = played_in.and_then(|after| after.split('"').next());
        let env = env.unwrap_or("Pendulum-v1");
        if Path::new(ROOT).join(dataset).exists() && registry::check(env).is_err() {
            // MuJoCo's library is not on this machine, which is reported before anything is started.
            eprintln!("{name} did not run here: {}", trained.stderr);
            trained.refuses(&["library is not there", "pip install mujoco"]);
            assert_eq!(checked.result(), format!("{name}: good\n"));
            assert!(!run.exists(), "{name}");
        } else if Path::new(ROOT).join(dataset).exists() {
            trained.ends_with(0);
            assert_eq!(checked.result(), format!("{name}: good\n"));
            assert!(run.join("scene.ron").is_file(), "{name}");
            ran += 1;
        } else {
            trained.refuses(&[dataset, "there is no such file"]);
            checked.refuses(&[dataset, "there is no such file"]);
            assert!(!run.exists(), "{name}");
        }
    }
    assert!(ran >= 1, "{scenes:?}");
}

/// What a broken scene says of itself at its top: `// expect: LINE:COLUMN: message` and below it `// help: remedy`, each of
/// them the beginning of what is told.
fn expected(text: &str) -> Vec<(&str, &str)> {
    let mut mistakes: Vec<(&str, &str)> = Vec::new();
    for line in text.lines() {
        if let Some(message) = line.strip_prefix("// expect: ") {
            mistakes.push((message, ""));
        } else if let (Some(help), Some(last)) =
            (line.strip_prefix("// help: "), mistakes.last_mut())
        {
            last.1 = help;
        }
    }
    mistakes
}

#[test]
fn each_broken_scene_is_refused_with_the_places_and_remedies_that_it_names() {
    let folder = "tests/fixtures/broken_scenes";
    let scenes = scenes_in(folder);
    assert!(scenes.len() >= 20);
    for scene in scenes {
        let name = format!("{folder}/{}", scene.file_name().unwrap().to_str().unwrap());
        let text = fs::read_to_string(&scene).unwrap();
        let told = run_in(Path::new(ROOT), &["scene", "check", &name]);
        let mistakes = expected(&text);
        let count = match mistakes.len() {
            0 => panic!("{name} expects nothing"),
            1 => "1 mistake: nothing was started\n".to_owned(),
            count => format!("{count} mistakes: nothing was started\n"),
        };
        told.refuses(&[&count]);
        let blocks: Vec<&str> = told.stderr.split("\n\n").collect();
        assert_eq!(blocks.len(), mistakes.len() + 1, "{}", told.stderr);
        for ((message, help), block) in mistakes.iter().zip(blocks) {
            let (place, rest) = message.split_once(": ").unwrap();
            let beginning = format!("{name}:{place}: error: {rest}");
            assert!(block.starts_with(&beginning), "{beginning}\n{block}");
            // The line itself is shown, and the place in it is underlined.
            let (line, column) = place.split_once(':').unwrap();
            let shown = text
                .lines()
                .nth(line.parse::<usize>().unwrap() - 1)
                .unwrap();
            assert!(block.contains(&format!("{line} | {shown}")), "{block}");
            let indent = " ".repeat(column.parse::<usize>().unwrap() - 1);
            assert!(block.contains(&format!(" | {indent}^")), "{block}");
            assert!(
                block.contains(&format!("help: {help}")) || help.is_empty(),
                "{block}"
            );
        }
    }
}

#[test]
fn mistakes_that_only_this_machine_shows_are_told_at_their_place_too() {
    let room = Room::new();
    room.write("elsewhere.ron", "Scene(\n    steps: 3,\n    plugins: [\n        Dataset(path: \"no/such/file.hdf5\"),\n        Bc(),\n    ],\n)\n");
    room.yarak("train elsewhere.ron").refuses(&[
        "elsewhere.ron:4:23: error: Dataset.path: no/such/file.hdf5: there is no such file",
        "help: a relative path is looked for",
    ]);
    // Pendulum's data has three numbers in an observation, and the car two.
    room.yarak("train tiny.ron --set Evaluation.env=MountainCarContinuous-v0")
        .refuses(&[
            "tiny.ron:5:23: error: Dataset.path: ",
            "3 elements",
            "MountainCarContinuous-v0 have 2",
        ]);
    room.write("text.hdf5", "this is no HDF5 file");
    room.yarak("train tiny.ron --set Dataset.path=text.hdf5")
        .refuses(&["Dataset.path", "not an HDF5 file"]);
    room.write("alone.ron", "Scene(steps: 3, plugins: [Td3Bc()])");
    room.yarak("train alone.ron").refuses(&[
        "alone.ron:1:26: error: plugins: ",
        "no `Dataset`",
        "Dataset(path:",
    ]);
    room.write(
        "idle.ron",
        &with_dataset("Scene(steps: 3, plugins: [Dataset(path: \"DATASET\")])"),
    );
    room.yarak("train idle.ron")
        .refuses(&["idle.ron:1:26: error: plugins: nothing in this scene learns"]);
    assert!(!room.path("runs").exists(), "nothing was started");
}

#[test]
fn a_dataset_beside_the_scene_is_found_from_elsewhere() {
    let room = Room::new();
    fs::create_dir(room.path("mine")).unwrap();
    fs::copy(dataset(), room.path("mine/data.hdf5")).unwrap();
    room.write("mine/a.ron", "Scene(steps: 2, plugins: [Dataset(path: \"data.hdf5\"), Bc(minibatch: (batch_size: 4), actor: (encoder: Mlp(hidden_sizes: [4])))])");
    room.yarak("train mine/a.ron").ends_with(0);
    assert!(room.path("runs/a/metrics.jsonl").is_file());
}

#[test]
fn a_template_is_a_good_scene_and_resolves_to_the_defaults() {
    let room = Room::new();
    let listed = |kind: &str| -> Vec<String> {
        let listed = room.yarak(&format!("list {kind}"));
        let names = listed
            .result()
            .lines()
            .filter(|line| line.starts_with("  "));
        names
            .map(|line| line.split_whitespace().next().unwrap().to_owned())
            .collect()
    };
    let algorithms = listed("algorithms");
    let names = [listed("plugins"), algorithms.clone()].concat();
    assert!(
        algorithms.contains(&"Td3Bc".to_owned()) && names.contains(&"Checkpoints".to_owned()),
        "{names:?}"
    );
    // It takes another run's networks, which are not here.
    let names = names.into_iter().filter(|name| name != "Pretrained");
    for name in names {
        let template = room.yarak(&format!("scene template {name}"));
        let template = template.result();
        assert!(template.contains("// "), "{template}");
        // The template against the empty settings, each in a scene that can start.
        let others = match name.as_str() {
            "Dataset" => "Bc(),".to_owned(),
            // What it watches has to be made.
            "EarlyStopping" => {
                with_dataset("Dataset(path: \"DATASET\"), Bc(), Evaluation(every: 1, episodes: 1),")
            }
            "Dqn" => "Environments(env: \"CartPole-v1\"),".to_owned(),
            "NormalizeObservations" => {
                "Environments(), Ppo(steps: 8, minibatches: 1, epochs: 1),".to_owned()
            }
            _ if algorithms.contains(&name) => with_dataset("Dataset(path: \"DATASET\"),"),
            _ => with_dataset("Dataset(path: \"DATASET\", validation: 0.1), Bc(),"),
        };
        let full = template.replace("plugins: [", &format!("plugins: [\n{others}"));
        assert_ne!(full, template);
        room.write("template.ron", template);
        room.yarak("graph template.ron").result();
        // The dataset's own default is relative to the package.
        let path = Path::new(ROOT);
        for (run, scene) in [
            ("full", full),
            (
                "empty",
                format!("Scene(steps: 20_000, plugins: [{others} {name}()])"),
            ),
        ] {
            let run = room.path(&format!("{name}_{run}"));
            let scene = room.write("scene.ron", &scene);
            let arguments = ["train", scene.to_str().unwrap(), "--steps", "1"];
            let arguments = [&arguments[..], &["--run", run.to_str().unwrap()]].concat();
            run_in(path, &arguments).ends_with(0);
        }
        let resolved =
            |run: &str| fs::read_to_string(room.path(&format!("{name}_{run}/scene.ron")));
        assert_eq!(resolved("full").unwrap(), resolved("empty").unwrap());
    }
}

#[test]
fn overrides_are_seen_in_the_resolved_scene_and_bad_ones_are_refused_together() {
    let room = Room::new();
    let words = "train tiny.ron --run run --steps 4 --set Td3Bc.critic.encoder.hidden_sizes=[4] --set seed=3 --set Td3Bc.actor.optimizer.learning_rate=Constant(0.5) --set Evaluation.env=Pendulum-v1 --set Checkpoints.best=None";
    room.yarak(words).ends_with(0);
    let resolved = fs::read_to_string(room.path("run/scene.ron")).unwrap();
    for part in [
        "steps: 4,",
        "seed: 3,",
        "encoder: Mlp(hidden_sizes: [4], ",
        "Constant(0.5)",
        "best: None",
    ] {
        assert!(resolved.contains(part), "{part}: {resolved}");
    }
    let words = "train tiny.ron --set Td3Bc.alhpa=1 --set Td3Bc.minibatch.batch_size=0 --set foo=1 --set Bc.minibatch.batch_size=3 --set seed --set Td3Bc.critic.encoder.hidden_sizes[7]=3";
    room.yarak(words).refuses(&[
        "--set 'Td3Bc.alhpa=1': error: Td3Bc: no field is called `alhpa`\nhelp: did you mean `alpha`?",
        "--set 'Td3Bc.minibatch.batch_size=0': error: Td3Bc.minibatch.batch_size: expected a whole number",
        "--set 'foo=1': error: nothing in this scene is called `foo`",
        "--set 'Bc.minibatch.batch_size=3': error: the plugin `Bc` is not in this scene",
        "--set 'seed': error: ",
        "--set 'Td3Bc.critic.encoder.hidden_sizes[7]=3': error: Td3Bc.critic.encoder.hidden_sizes: it has no item",
        "6 mistakes: nothing was started",
    ]);
    assert_eq!(
        files(&room.path(""))
            .keys()
            .filter(|name| name.starts_with("runs"))
            .count(),
        0
    );
}
