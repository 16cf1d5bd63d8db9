//! The command line: exit statuses, what goes to standard output and what to standard error, and words that help.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::room::{
    ROOT, Room, YARAK, checkpoint, checkpoints, dataset, metric, named, reports, run_in,
    wait_until, with_dataset,
};

fn json(text: &str) -> Value {
    assert_eq!(text.trim().lines().count(), 1, "one object: {text}");
    serde_json::from_str(text).unwrap()
}

#[test]
fn every_subcommand_explains_itself() {
    let room = Room::new();
    for (words, parts) in [
        (
            "--help",
            &[
                "train",
                "eval",
                "export",
                "graph",
                "scene",
                "list",
                "data",
                "report",
                "Exit status: 0 done",
            ][..],
        ),
        (
            "train --help",
            &[
                "--resume", "--set", "--seeds", "--device", "--steps", "--run", "Ctrl-C",
            ],
        ),
        (
            "eval --help",
            &["--env", "--episodes", "--video", "--json", "--device"],
        ),
        ("new --help", &["NAME", "--yarak"]),
        ("export --help", &["--to", "safetensors", "--force"]),
        ("graph --help", &["--format", "mermaid", "dot"]),
        ("scene --help", &["check", "template", "schema"]),
        ("scene check --help", &["SCENES"]),
        ("scene template --help", &["yarak list"]),
        ("scene schema --help", &["--json"]),
        (
            "list --help",
            &["algorithms", "environments", "plugins", "devices"],
        ),
        ("data --help", &["info"]),
        ("data info --help", &["--json", "HDF5"]),
        ("report --help", &["--out", "--metric", "--force"]),
    ] {
        let told = room.yarak(words);
        for part in parts {
            assert!(
                told.result().contains(part),
                "{words}: {part}: {}",
                told.stdout
            );
        }
        assert_eq!(told.stderr, "");
    }
    let version = room.yarak("--version");
    assert_eq!(
        version.result(),
        concat!("yarak ", env!("CARGO_PKG_VERSION"), "\n")
    );
}

#[test]
fn a_command_line_that_means_nothing_is_refused() {
    let room = Room::new();
    for (words, part) in [
        ("", "Usage: yarak"),
        ("trian tiny.ron", "trian"),
        ("train", "<SCENE>"),
        ("train tiny.ron --steps 0", "'0' for '--steps"),
        ("train tiny.ron --steps many", "'many' for '--steps"),
        ("train tiny.ron --seeds 0,x", "'x' for '--seeds"),
        ("train tiny.ron --seeds 2,2", "seed 2 is given twice"),
        (
            "train tiny.ron --resume=",
            "--resume needs `auto`, `never`, `restart`, or a checkpoint",
        ),
        (
            "train tiny.ron --device gpu",
            "use cpu, cuda, cuda:N, vulkan, vulkan:N or auto",
        ),
        (
            "train nothing.ron",
            "nothing.ron: error: the scene cannot be read: No such file",
        ),
        ("train .", "the scene cannot be read: Is a directory"),
        ("graph tiny.ron --format svg", "text, mermaid or dot"),
        ("scene check nothing.ron", "nothing.ron: error"),
        ("scene template Td3bc", "`Td3bc` is called `Td3Bc` here"),
        ("scene schema nothing", "the plugins are: "),
        (
            "list thing",
            "algorithms, environments, plugins, steps, slots, devices",
        ),
        (
            "eval nothing",
            "nothing: there is no such run or checkpoint",
        ),
        ("eval tiny.ron", "tiny.ron: neither a run's folder"),
        (
            "report nothing",
            "nothing: this run's folder cannot be read",
        ),
        ("report .", "there is no run in it"),
        ("data info nothing", "nothing: there is no such file"),
    ] {
        room.yarak(words).refuses(&[part]);
    }
    assert!(!room.path("runs").exists());
}

#[test]
fn lists_name_what_scenes_can_name() {
    let room = Room::new();
    let all = room.yarak("list");
    for part in [
        "algorithms\n",
        "plugins\n",
        "environments\n",
        "devices\n",
        "  Td3Bc ",
        "  Bc ",
        "  Dataset ",
        "  Pendulum-v1 ",
        "  cpu ",
    ] {
        assert!(all.result().contains(part), "{part}: {}", all.stdout);
    }
    for what in ["algorithms", "plugins", "environments", "devices"] {
        let told = room.yarak(&format!("list {what}"));
        assert!(told.result().starts_with(&format!("{what}\n  ")));
        assert!(all.stdout.contains(told.result().trim_end()));
    }
    let schema = json(
        &room
            .yarak("scene schema Td3Bc --json")
            .result()
            .replace('\n', " "),
    );
    assert_eq!(schema["properties"]["alpha"]["default"], 2.5);
    assert!(room.yarak("scene schema Td3Bc").result().contains("alpha"));
}

#[test]
fn a_scene_is_drawn_as_text_mermaid_and_dot() {
    let draw = |format: &str| {
        let arguments = ["graph", "scenes/pendulum_td3_bc.ron", "--format", format];
        run_in(Path::new(ROOT), &arguments).result().to_owned()
    };
    // To accept a changed drawing: yarak graph scenes/pendulum_td3_bc.ron > tests/fixtures/pendulum_td3_bc.txt
    let golden = fs::read_to_string(Path::new(ROOT).join("tests/fixtures/pendulum_td3_bc.txt"));
    assert_eq!(draw("text"), golden.unwrap());
    let (mermaid, dot) = (draw("mermaid"), draw("dot"));
    assert!(
        mermaid.starts_with("flowchart ") || mermaid.starts_with("graph "),
        "{mermaid}"
    );
    assert!(
        dot.starts_with("digraph yarak {") && dot.trim_end().ends_with('}'),
        "{dot}"
    );
    for drawing in [mermaid, dot] {
        for step in [
            "td3::update_critic",
            "td3_bc::update_actor",
            "td3::track_targets",
            "evaluation::play_episodes",
        ] {
            assert!(drawing.contains(step), "{step}: {drawing}");
        }
    }
    let arguments = [
        "graph",
        "scenes/pendulum_td3_bc.ron",
        "--set",
        "Td3Bc.actor.update_freq=5",
    ];
    let told = run_in(Path::new(ROOT), &arguments);
    assert!(
        told.result().contains("[every(5) of Actor]"),
        "{}",
        told.stdout
    );
}

#[test]
fn training_tells_results_on_standard_output_and_progress_on_standard_error() {
    let room = Room::new();
    let told = room.yarak("train tiny.ron --steps 60");
    let (_, last) = *metric(&room.path("runs/tiny"), "evaluate/return")
        .last()
        .unwrap();
    let score = format!("runs/tiny: evaluate/return {last:.1} ± ");
    assert!(told.result().starts_with(&score), "{}", told.stdout);
    assert!(
        told.stdout.contains(" at step 60, best "),
        "{}",
        told.stdout
    );
    assert_eq!(told.stdout.lines().count(), 1);
    // The best checkpoint was played on episodes that it was not chosen by; whoever plays them again sees the same.
    let scores = fs::read_to_string(room.path("runs/tiny/scores.json")).unwrap();
    let scores: Value = serde_json::from_str(&scores).unwrap();
    assert_eq!(scores["last"]["return"].as_f64().unwrap(), last);
    assert_eq!(
        (&scores["last"]["seed"], &scores["last"]["step"]),
        (&100.into(), &60.into())
    );
    let fresh = &scores["best_on_fresh_episodes"];
    assert_eq!(
        (&fresh["seed"], &fresh["episodes"]),
        (&102.into(), &2.into())
    );
    let again = room.yarak("eval runs/tiny --seed 102 --json");
    assert_eq!(json(again.result())["return"], fresh["return"]);
    let said = format!(
        "the best checkpoint on 2 fresh episodes {:.1} ± ",
        fresh["return"].as_f64().unwrap()
    );
    assert!(told.stdout.contains(&said), "{}", told.stdout);
    for part in [
        "step 60/60",
        "steps/s",
        "ETA",
        "evaluate/return",
        "finished: runs/tiny",
    ] {
        assert!(told.stderr.contains(part), "{part}: {}", told.stderr);
    }
    let manifest = fs::read_to_string(room.path("runs/tiny/manifest.ron")).unwrap();
    let sum = "565606aebb9346205cc4580e83e3e87b3e763f66b07363b2820f9a9b6c68d2b9";
    for part in ["device: \"cpu\"", sum, "burn", "\"train\"", "seeds: ["] {
        assert!(manifest.contains(part), "{part}: {manifest}");
    }
}

#[test]
fn a_policy_scores_in_eval_what_training_logged_for_its_step() {
    let room = Room::new();
    room.yarak("train tiny.ron --run run").ends_with(0);
    let run = room.path("run");
    let scores = metric(&run, "evaluate/return");
    let normalized = metric(&run, "evaluate/normalized_score");
    for (source, step) in [
        ("run", named(&run, "best")),
        ("run/checkpoints/best", named(&run, "best")),
        ("run/checkpoints/latest", named(&run, "latest")),
        (
            "run/checkpoints/step_000000100",
            "step_000000100".to_owned(),
        ),
    ] {
        let told = json(room.yarak(&format!("eval {source} --json")).result());
        assert_eq!(told["checkpoint"], format!("run/checkpoints/{step}"));
        let step = told["step"].as_u64().unwrap();
        let logged =
            |metric: &[(u64, f64)]| metric.iter().find(|(there, _)| *there == step).unwrap().1;
        assert_eq!(told["return"].as_f64().unwrap(), logged(&scores));
        assert_eq!(
            told["normalized_score"].as_f64().unwrap(),
            logged(&normalized)
        );
        assert_eq!(told["returns"].as_array().unwrap().len(), 2);
    }
    let more = json(room.yarak("eval run --episodes 3 --seed 7 --json").result());
    assert_eq!(
        (more["episodes"].as_u64(), more["seed"].as_u64()),
        (Some(3), Some(7))
    );
    let text = room.yarak("eval run --episodes 3");
    assert!(text.result().contains("over 3 episodes"), "{}", text.stdout);
    // Three episodes of two numbers are as many as two of three: the widths are compared, not the sums.
    for episodes in [1, 3] {
        room.yarak(&format!(
            "eval run --env MountainCarContinuous-v0 --episodes {episodes}"
        ))
        .refuses(&["it shows one vector [2]", "observes `observations` [3]"]);
    }
    room.yarak("eval run --env Pendulum-v0")
        .refuses(&["did you mean `Pendulum-v1`?"]);
    room.yarak("eval run --episodes 0").refuses(&["1..=10000"]);
}

#[test]
fn a_policy_plays_without_its_dataset_and_away_from_its_device() {
    let room = Room::new();
    fs::copy(dataset(), room.path("data.hdf5")).unwrap();
    room.yarak("train tiny.ron --run run --steps 50 --set Dataset.path=data.hdf5")
        .ends_with(0);
    fs::remove_file(room.path("data.hdf5")).unwrap();
    let told = json(room.yarak("eval run --json").result());
    assert_eq!(
        told["return"].as_f64().unwrap(),
        metric(&room.path("run"), "evaluate/return")[0].1
    );
    let scene = room.path("run/scene.ron");
    let text = fs::read_to_string(&scene).unwrap();
    fs::write(
        &scene,
        text.replace("device: \"cpu\"", "device: \"cuda:99\""),
    )
    .unwrap();
    let elsewhere = room.yarak("eval run --json");
    assert_eq!(json(elsewhere.result())["return"], told["return"]);
    assert!(
        elsewhere.stderr.contains("playing on the CPU"),
        "{}",
        elsewhere.stderr
    );
}

#[test]
fn a_device_that_is_not_there_is_refused_and_auto_takes_one_that_is() {
    let room = Room::new();
    for device in ["cuda:99", "vulkan:99"] {
        room.yarak(&format!("train tiny.ron --device {device}"))
            .refuses(&[device, "--device cpu"]);
    }
    room.yarak("train tiny.ron --device auto --run run --steps 3")
        .ends_with(0);
    let manifest = fs::read_to_string(room.path("run/manifest.ron")).unwrap();
    let listed = room.yarak("list devices");
    let listed = listed.result();
    // A driver that computes on the processor is no card, and is not what `auto` takes.
    let is_card = |line: &&str| line.contains(":0 ") && !line.contains("`auto` never takes it");
    if !listed.lines().any(|line| is_card(&line)) {
        assert!(manifest.contains("device: \"cpu\""), "{manifest}");
    }
    for device in ["cuda", "vulkan"] {
        if !listed.contains(&format!("{device}:0")) {
            room.yarak(&format!("train tiny.ron --device {device}"))
                .refuses(&[&format!("device `{device}`"), "--device cpu"]);
        }
    }
}

#[test]
fn a_dataset_is_described_as_text_and_as_json() {
    let room = Room::new();
    let file = dataset();
    let file = file.to_str().unwrap();
    let text = room.yarak_with(&["data", "info", file]);
    for part in [
        "D4RL",
        "40 000",
        "200 truncated",
        "observations",
        "[40000, 3]",
        "return",
        "reward",
    ] {
        assert!(text.result().contains(part), "{part}: {}", text.stdout);
    }
    let told = json(room.yarak_with(&["data", "info", file, "--json"]).result());
    assert_eq!(told["layout"], "d4rl");
    assert_eq!(told["episodes"], 200);
    assert_eq!(told["transitions"], 40_000);
    let columns: Vec<&str> = told["columns"]
        .as_array()
        .unwrap()
        .iter()
        .map(|column| column["name"].as_str().unwrap())
        .collect();
    for name in [
        "observations",
        "actions",
        "rewards",
        "terminals",
        "timeouts",
    ] {
        assert!(columns.contains(&name), "{columns:?}");
    }
}

#[test]
fn a_file_that_is_no_good_dataset_is_refused_with_the_path_in_it() {
    let room = Room::new();
    let fixture = |name: &str| {
        Path::new(ROOT)
            .join("tests/fixtures/d4rl")
            .join(name)
            .to_str()
            .unwrap()
            .to_owned()
    };
    let whole = fs::read(dataset()).unwrap();
    fs::write(room.path("half.hdf5"), &whole[..whole.len() / 2]).unwrap();
    fs::write(room.path("empty.hdf5"), "").unwrap();
    for (file, parts) in [
        ("half.hdf5".to_owned(), &["half.hdf5", "truncated"][..]),
        ("empty.hdf5".to_owned(), &["not an HDF5 file"]),
        ("tiny.ron".to_owned(), &["not an HDF5 file"]),
        (".".to_owned(), &["main_data.hdf5"]),
        (fixture("missing_actions.hdf5"), &["`actions`"]),
        (fixture("unequal.hdf5"), &["unequal.hdf5", "rows"]),
        (fixture("nan.hdf5"), &["NaN"]),
        (fixture("unknown_layout.hdf5"), &["no known layout"]),
        (fixture("external_link.hdf5"), &["external"]),
    ] {
        for arguments in [
            &["data", "info", &file][..],
            &["data", "info", &file, "--json"],
        ] {
            room.yarak_with(arguments).refuses(parts);
        }
        let set = format!("Dataset.path={file}");
        // Widths are compared with the environment's before values are read, and this file's differ.
        let mut parts = match parts {
            ["NaN"] => vec!["2 elements"],
            parts => parts.to_vec(),
        };
        parts.push("error: Dataset.path: ");
        room.yarak_with(&["train", "tiny.ron", "--set", &set])
            .refuses(&parts);
    }
    assert!(!room.path("runs").exists());
}

#[test]
fn a_run_folder_that_cannot_be_is_refused_with_its_path() {
    let room = Room::new();
    for folder in ["tiny.ron", "tiny.ron/below"] {
        room.yarak(&format!("train tiny.ron --run {folder}"))
            .refuses(&[folder, "a run needs a folder", "--run DIR"]);
    }
    let long = "n".repeat(300);
    let told = room.yarak(&format!("train tiny.ron --run {long}"));
    assert!(told.ends_with(1).contains("could not"), "{}", told.stderr);
    // The superuser may write anywhere, so this shows something only to the others.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::create_dir(room.path("locked")).unwrap();
        fs::set_permissions(room.path("locked"), fs::Permissions::from_mode(0o555)).unwrap();
        if fs::write(room.path("locked/try"), "").is_err() {
            let told = room.yarak("train tiny.ron --run locked/run");
            assert!(
                told.ends_with(1).contains("locked/run: could not"),
                "{}",
                told.stderr
            );
        }
    }
}

#[test]
fn a_run_that_diverges_ends_with_exit_status_one_and_advice() {
    let room = Room::new();
    let told = room.yarak(
        "train tiny.ron --run run --set Td3Bc.critic.optimizer.learning_rate=Constant(1e38)",
    );
    let said = told.ends_with(1);
    for part in [
        "warning: the learning rate of `critic` is 1e38",
        "error: snapshot of step 25: tensor `",
        "` holds ",
        "diverged",
        "learning rate",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert_eq!(told.stdout, "");
    assert_eq!(checkpoints(&room.path("run")), [""; 0], "it is not saved");
    // A look at the scene warns of it, too.
    let scene = std::fs::read_to_string(room.path("tiny.ron")).unwrap();
    assert!(!room.yarak("scene check tiny.ron").stderr.contains("rate"));
    room.write("fast.ron", &scene.replace("initial: 3e-3", "initial: 1e10"));
    let checked = room.yarak("scene check fast.ron");
    assert_eq!(checked.result(), "fast.ron: good\n");
    for role in ["critic", "actor"] {
        let warning = format!("fast.ron: warning: the learning rate of `{role}` is 1e10 at its");
        assert!(checked.stderr.contains(&warning), "{}", checked.stderr);
    }
}

#[test]
fn networks_that_learn_nothing_are_named_before_the_first_step_or_at_the_end() {
    let room = Room::new();
    let told = room.yarak(
        "train tiny.ron --run zero --steps 3 --set Td3Bc.critic.optimizer.learning_rate=Constant(0)",
    );
    let said = told.ends_with(0);
    let warning = "warning: the learning rate of `critic` is 0";
    assert!(said.contains(warning), "{said}");
    assert!(!said.contains("rate of `actor`"), "{said}");
    // Steps 1 to 60 are the first epoch.
    let late = "train tiny.ron --set Td3Bc.critic.optimizer.start_epoch=2";
    let told = room.yarak(&format!("{late} --run late --steps 30"));
    let said = told.ends_with(0);
    let never = "`critic` was never trained: the run ended before its `start_epoch`, 2";
    assert!(said.contains(never), "{said}");
    let told = room.yarak(&format!("{late} --run in_time --steps 90"));
    let said = told.ends_with(0);
    assert!(!said.contains("never trained"), "{said}");
}

#[test]
fn a_run_goes_on_with_no_other_data_than_it_has_learned_from() {
    let room = Room::new();
    let scene = std::fs::read_to_string(room.path("tiny.ron")).unwrap();
    let scene = scene.replace(dataset().to_str().unwrap(), "own.hdf5");
    room.write("own.ron", &scene);
    std::fs::copy(dataset(), room.path("own.hdf5")).unwrap();
    room.yarak("train own.ron --run run --steps 50")
        .ends_with(0);
    let manifest = room.path("run/manifest.ron");
    let before = std::fs::read_to_string(&manifest).unwrap();
    // One byte more changes nothing that is read.
    let mut bytes = std::fs::read(room.path("own.hdf5")).unwrap();
    bytes.push(0);
    std::fs::write(room.path("own.hdf5"), &bytes).unwrap();
    room.yarak("train own.ron --run run --steps 100 --resume auto")
        .refuses(&["not those that the run has learned from", "Pretrained"]);
    assert_eq!(std::fs::read_to_string(&manifest).unwrap(), before);
    std::fs::copy(dataset(), room.path("own.hdf5")).unwrap();
    room.yarak("train own.ron --run run --steps 100 --resume auto")
        .ends_with(0);
}

#[test]
fn a_run_that_names_no_environment_is_played_in_none() {
    let room = Room::new();
    let scene = "Scene(steps: 9, plugins: [Dataset(path: \"DATASET\"), Bc(), Checkpoints(every: 9, best: None)])";
    room.write("silent.ron", &with_dataset(scene));
    room.yarak("train silent.ron --run run").ends_with(0);
    room.yarak("eval run --episodes 1")
        .refuses(&["the scene names no environment", "--env"]);
    room.yarak("eval run --episodes 1 --env Pendulum-v1")
        .ends_with(0);
}

#[test]
fn a_folder_is_trained_into_by_one_process_at_a_time() {
    let room = Room::new();
    let mut first = room.start("train tiny.ron --run run --steps 1000000");
    wait_until("the first checkpoint", || {
        room.path("run/checkpoints/latest").exists()
    });
    let id = first.id().to_string();
    room.yarak("train tiny.ron --run run --steps 1000000 --resume auto")
        .refuses(&[
            "already training into this folder",
            &format!("process {id} "),
        ]);
    first.kill().unwrap();
    first.wait().unwrap();
    let step: u64 = named(&room.path("run"), "latest")["step_".len()..]
        .parse()
        .unwrap();
    let words = format!(
        "train tiny.ron --run run --steps {} --resume auto",
        step + 25
    );
    room.yarak(&words).ends_with(0);
}

#[test]
fn names_may_have_spaces_and_any_letters() {
    let room = Room::new();
    fs::rename(room.path("tiny.ron"), room.path("kleine Übung 🦅.ron")).unwrap();
    let run = "läufe/erster Versuch 🦅";
    let arguments = [
        "train",
        "kleine Übung 🦅.ron",
        "--run",
        run,
        "--steps",
        "50",
        "--set",
        "name=a \"b\" \\ 🦅",
    ];
    room.yarak_with(&arguments).ends_with(0);
    let arguments = [&arguments[..], &["--steps", "75", "--resume", "auto"]].concat();
    assert_eq!(room.yarak_with(&arguments).status, Some(2), "--steps twice");
    let arguments = [
        "train",
        "kleine Übung 🦅.ron",
        "--run",
        run,
        "--steps",
        "75",
        "--set",
        "name=a \"b\" \\ 🦅",
        "--resume",
        "auto",
    ];
    room.yarak_with(&arguments).ends_with(0);
    assert!(room.yarak_with(&["eval", run]).result().contains(run));
    room.yarak_with(&["report", run]).result();
    let page = fs::read_to_string(room.path(run).join("report.html")).unwrap();
    assert!(page.contains("erster Versuch 🦅"));
}

#[test]
fn reports_of_runs_and_of_seeds_become_one_page() {
    let room = Room::new();
    room.yarak("train tiny.ron --run a --seeds 0,1 --steps 60")
        .ends_with(0);
    room.yarak("train tiny.ron --run b --steps 60 --set Td3Bc.alpha=0")
        .ends_with(0);
    assert_eq!(
        room.yarak("report a b --out page.html").result(),
        "page.html\n"
    );
    let page = fs::read_to_string(room.path("page.html")).unwrap();
    for part in [
        "<svg",
        "evaluate/return",
        "actor/loss",
        "a/seed_0",
        "a/seed_1",
        "Td3Bc",
    ] {
        assert!(page.contains(part), "{part}");
    }
    let told = room.yarak("report a --out no/such/folder.html");
    assert!(
        told.ends_with(1).contains("no/such/folder.html"),
        "{}",
        told.stderr
    );
    // One that is cut off in the middle of a line, as a crash leaves it, is refused or read up to there.
    let mut metrics = fs::OpenOptions::new()
        .append(true)
        .open(room.path("b/metrics.jsonl"))
        .unwrap();
    metrics.write_all(b"{\"step\": 9").unwrap();
    let told = room.yarak("report b");
    assert!(matches!(told.status, Some(0 | 2)), "{}", told.stderr);
}

/// The Python that `YARAK_PYTHON` names, with numpy, safetensors and tensorboard; without it the check is passed over aloud.
fn python(script: &str, argument: &Path) -> Option<Value> {
    let Ok(python) = std::env::var("YARAK_PYTHON") else {
        eprintln!(
            "skipped: set YARAK_PYTHON to a Python that has numpy, safetensors and tensorboard"
        );
        return None;
    };
    let script = Path::new(ROOT).join("tests/python").join(script);
    let output = Command::new(python)
        .arg(script)
        .arg(argument)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

#[test]
fn python_opens_the_weights_of_a_checkpoint() {
    let room = Room::new();
    room.yarak("train tiny.ron --run run --steps 50")
        .ends_with(0);
    let file = room.path("run/checkpoints/step_000000050/critic.safetensors");
    let Some(told) = python("read_checkpoint.py", &file) else {
        return;
    };
    assert_eq!(told["step"], "50");
    let bytes = fs::read(&file).unwrap();
    let here = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(
        here.len(),
        12,
        "two critics of three layers, weights and biases"
    );
    for (name, tensor) in here.tensors() {
        let there = &told["tensors"][&name];
        let bits: Vec<u32> = tensor
            .data()
            .chunks_exact(4)
            .map(|bytes| u32::from_le_bytes(bytes.try_into().unwrap()))
            .collect();
        assert_eq!(there["bits"], serde_json::json!(bits), "{name}");
        assert_eq!(there["shape"], serde_json::json!(tensor.shape()), "{name}");
    }
    assert_eq!(
        told["tensors"]["0.0.weight"]["shape"],
        serde_json::json!([4, 8])
    );
}

#[test]
fn tensorboard_shows_the_reports_of_a_run_that_was_taken_back() {
    let room = Room::new();
    room.yarak("train tiny.ron --run run --steps 100")
        .ends_with(0);
    room.yarak("train tiny.ron --run run --steps 150 --resume step_000000075")
        .ends_with(0);
    let run = room.path("run");
    let Some(seen) = python("read_tensorboard.py", &run) else {
        return;
    };
    let names: Vec<String> = reports(&run)
        .iter()
        .flat_map(|row| row.keys().cloned().collect::<Vec<_>>())
        .collect();
    for name in [
        "actor/loss",
        "critic/0/loss",
        "evaluate/return",
        "validate/critic/loss",
        "learning_rate/actor",
        "loss",
    ] {
        assert!(names.iter().any(|there| there == name), "{name}");
        let points: Vec<(u64, f32)> = seen[name]
            .as_array()
            .unwrap()
            .iter()
            .map(|point| {
                (
                    point[0].as_u64().unwrap(),
                    point[2].as_f64().unwrap() as f32,
                )
            })
            .collect();
        let logged: Vec<(u64, f32)> = metric(&run, name)
            .into_iter()
            .map(|(step, value)| (step, value as f32))
            .collect();
        assert_eq!(points, logged, "{name}");
    }
}

#[test]
fn a_reader_that_closes_the_pipe_is_not_an_error() {
    let room = Room::new();
    let mut child = Command::new(YARAK)
        .args(["scene", "schema", "Td3Bc", "--json"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    drop(room);
}

#[test]
fn a_checkpoint_of_another_run_is_continued_in_a_new_folder() {
    let room = Room::new();
    room.yarak("train tiny.ron --run whole").ends_with(0);
    room.yarak("train tiny.ron --run other --resume whole/checkpoints/step_000000225")
        .ends_with(0);
    assert_eq!(
        checkpoint(&room.path("whole"), "step_000000300"),
        checkpoint(&room.path("other"), "step_000000300")
    );
}
