//! What a stranger meets: the examples, compiled where nothing but yarak is at hand, and the README, each held to the code.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use yarak::prelude::*;

use crate::compiler::{run, rustc};
use custom_algorithm::PercentileBc;

#[allow(dead_code)] // Its `main` is the example's.
#[path = "../../examples/custom_algorithm.rs"]
mod custom_algorithm;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// An example's program. Plain `cargo test` builds it next to the tests; `cargo test --test house` does not.
fn example(name: &str) -> Command {
    let tests = std::env::current_exe().unwrap();
    let built: PathBuf = tests.ancestors().nth(2).unwrap().join("examples");
    let program = built.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    let source = root().join(format!("examples/{name}.rs"));
    let modified = |path: &Path| fs::metadata(path).and_then(|it| it.modified()).ok();
    assert!(
        modified(&program) >= modified(&source),
        "{} is missing or older than its source: build it with `cargo build --release --examples`",
        program.display()
    );
    let mut command = Command::new(program);
    command.current_dir(root());
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn examples_compile_where_nothing_but_yarak_is_at_hand() {
    let folder = tempfile::tempdir().unwrap();
    let mut compiled = 0;
    for entry in fs::read_dir(root().join("examples")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|it| it == "rs") {
            run(rustc(&path)
                .args(["--emit", "metadata", "--out-dir"])
                .arg(folder.path()));
            compiled += 1;
        }
    }
    assert!(compiled >= 5, "{compiled}");
}

#[test]
fn examples_import_nothing_but_yarak() {
    for entry in fs::read_dir(root().join("examples")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|it| it == "rs") {
            let source = fs::read_to_string(&path).unwrap();
            let imports: Vec<&str> = source
                .lines()
                .filter(|line| line.trim_start().starts_with("use "))
                // The prelude brings `burn`.
                .filter(|line| !line.starts_with("use std::") && !line.starts_with("use burn::"))
                .filter(|line| !line.starts_with("use yarak::"))
                .collect();
            assert!(
                source.contains("use yarak::prelude::*;"),
                "{}",
                path.display()
            );
            assert!(imports.is_empty(), "{}: {imports:?}", path.display());
        }
    }
}

/// The examples that are written from the guide with the prelude alone.
const FROM_THE_PRELUDE: [&str; 9] = [
    "awac",
    "custom_encoder",
    "custom_parts",
    "hindsight",
    "prioritized_replay",
    "rebrac",
    "redq",
    "residual",
    "warm_restarts",
];

#[test]
fn algorithms_of_papers_reach_past_the_prelude_nowhere() {
    for name in FROM_THE_PRELUDE {
        let source = read(&format!("examples/{name}.rs"));
        // Comments may name anything; `main` is the program.
        let code = source
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"));
        let reaches: Vec<&str> = code
            .filter(|line| line.contains("yarak::"))
            .filter(|line| {
                !["use yarak::prelude::*;", "    yarak::cli::run(|app| {"].contains(line)
            })
            .collect();
        assert!(reaches.is_empty(), "{name}: {reaches:?}");
    }
}

#[test]
fn the_scenes_of_the_examples_are_good() {
    let mut checked = 0;
    for name in FROM_THE_PRELUDE {
        let scene = format!("examples/{name}.ron");
        if !root().join(&scene).exists() {
            continue;
        }
        let said = example(name).args(["scene", "check", &scene]).output();
        let said = said.unwrap();
        assert!(said.status.success(), "{scene}: {}", text(&said.stderr));
        checked += 1;
    }
    assert!(checked >= 7, "{checked}");
}

#[test]
fn ctrl_c_saves_an_app_and_the_same_command_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let learn = |steps: &str| {
        let mut command = example("learn_in_bevy");
        command.arg(&run).arg(steps);
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        command.spawn().unwrap()
    };
    let mut child = learn("1000000");
    let metrics = run.join("metrics.jsonl");
    let begun = || fs::metadata(&metrics).is_ok_and(|file| file.len() > 0);
    let since = Instant::now();
    while !begun() {
        assert!(since.elapsed() < Duration::from_secs(60), "no report came");
        assert!(child.try_wait().unwrap().is_none(), "it ended");
        thread::sleep(Duration::from_millis(20));
    }
    let signal = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(signal.unwrap().success());
    let ended = child.wait_with_output().unwrap();
    let said = text(&ended.stderr);
    assert_eq!(ended.status.code(), Some(130), "{said}");
    let (_, step) = said
        .split_once("interrupted and saved at step ")
        .unwrap_or_else(|| panic!("{said}"));
    let step: u64 = step.split_whitespace().next().unwrap().parse().unwrap();

    let ended = learn(&(step + 32).to_string()).wait_with_output().unwrap();
    let said = text(&ended.stderr);
    assert!(ended.status.success(), "{said}");
    assert!(said.contains(&format!("step_{step:09}")), "{said}");
    assert!(
        said.contains(&format!("finished after {} steps", step + 32)),
        "{said}"
    );
}

/// The mean rewards of the minibatches that were learned from.
#[derive(Resource, Default)]
struct Seen(Vec<f32>);

fn mean_reward_of_20_minibatches(best: f64) -> f32 {
    let mut app = App::new();
    app.add_plugins((
        YarakPlugins
            .set(RunPlugin {
                steps: 20,
                ..default()
            })
            .disable::<ScheduleRunnerPlugin>(),
        Dataset {
            path: root().join("assets/pendulum-medium-expert.hdf5"),
            ..default()
        },
        PercentileBc {
            best,
            batch_size: 256,
        },
    ))
    .init_resource::<Seen>()
    .add_systems(
        Learn,
        (|batch: Res<Batch>, mut seen: ResMut<Seen>| {
            seen.0.push(batch.reward.clone().mean().into_scalar());
        })
        .in_set(LearnSystems::Measure),
    );
    app.finish();
    app.cleanup();
    while app.should_exit().is_none() {
        app.update();
    }
    assert_eq!(app.should_exit(), Some(AppExit::Success));
    let seen = &app.world().resource::<Seen>().0;
    assert_eq!(seen.len(), 20);
    seen.iter().sum::<f32>() / 20.0
}

#[test]
fn a_plugin_from_outside_learns_from_the_rows_that_it_chose() {
    // The file's expert earns -0.7 a step, its medium policy -4.3.
    let all = mean_reward_of_20_minibatches(1.0);
    let best = mean_reward_of_20_minibatches(0.5);
    assert!((-2.8..-2.2).contains(&all), "{all}");
    assert!((-0.9..-0.5).contains(&best), "{best}");
}

#[test]
fn a_program_of_ones_own_has_the_whole_command_line() {
    let listed = example("custom_algorithm")
        .args(["list", "algorithms"])
        .output()
        .unwrap();
    let listed = text(&listed.stdout);
    assert!(listed.contains("PercentileBc  Behavior cloning on the best episodes alone"));
    assert!(listed.contains("Td3Bc"));

    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let trained = example("custom_algorithm")
        .args(["train", "examples/percentile_bc.ron", "--steps", "20"])
        .args(["--set", "Evaluation.episodes=2", "--run"])
        .arg(&run)
        .output()
        .unwrap();
    assert!(trained.status.success(), "{}", text(&trained.stderr));
    assert!(text(&trained.stdout).contains("evaluate/return"));
    let scored = example("custom_algorithm").arg("eval").arg(&run).output();
    let scored = scored.unwrap();
    assert!(scored.status.success(), "{}", text(&scored.stderr));
    assert!(text(&scored.stdout).contains("over 2 episodes"));

    // Its settings are checked like anybody's.
    let refused = example("custom_algorithm")
        .args(["train", "examples/percentile_bc.ron"])
        .args(["--set", "PercentileBc.best=0", "--run"])
        .arg(folder.path().join("refused"))
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(2));
    let why = text(&refused.stderr);
    assert!(why.contains("above 0 and at most 1"), "{why}");
}

#[test]
fn a_replaced_actor_step_trains_headless_to_the_end() {
    let trained = example("replace_a_step").arg("20").output().unwrap();
    let said = text(&trained.stderr);
    assert!(trained.status.success(), "{said}");
    assert!(said.contains("finished after 20 steps"), "{said}");
    // Only the replacement records it.
    assert!(said.contains("actor/imitation/loss"), "{said}");

    let refused = example("replace_a_step").arg("many").output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
}

#[test]
fn a_bevy_apps_own_world_is_played_by_two_policies() {
    let played = example("bevy_world").output().unwrap();
    let said = text(&played.stdout);
    assert!(played.status.success(), "{}", text(&played.stderr));
    let returns: Vec<f64> = said
        .lines()
        .filter_map(|line| line.split_once("mean return "))
        .map(|(_, number)| number.parse().unwrap())
        .collect();
    assert_eq!(returns.len(), 2, "{said}");
    // Who sees the carrot gets there; who does not mostly runs out of time.
    assert!(returns[1] > returns[0] + 100.0, "{said}");
}

#[test]
fn the_readme_shows_the_examples_word_for_word() {
    let readme = read("README.md");
    for (file, from) in [
        ("examples/custom_algorithm.rs", "use yarak::prelude::*;"),
        ("scenes/pendulum_td3_bc.ron", "Scene("),
    ] {
        let source = read(file);
        let shown = &source[source.find(from).unwrap()..];
        assert!(
            readme.contains(shown),
            "README.md must have a block with {file} from `{from}` on"
        );
    }
}

#[test]
fn the_readmes_picture_is_what_graph_draws() {
    let drawn = Command::new(env!("CARGO_BIN_EXE_yarak"))
        .args(["graph", "scenes/pendulum_td3_bc.ron", "--format", "mermaid"])
        .current_dir(root())
        .output()
        .unwrap();
    let drawn = text(&drawn.stdout);
    assert!(drawn.starts_with("flowchart"));
    assert!(
        read("README.md").contains(&format!("```mermaid\n{drawn}```")),
        "the Mermaid block of README.md must be:\n{drawn}"
    );
}

/// What all algorithms share, and `docs/settings.md` describes.
const SHARED: [&str; 6] = [
    "CriticSettings",
    "MinibatchSettings",
    "NetworkSettings",
    "OptimizerSettings",
    "TargetUpdate",
    "TemperatureSettings",
];

/// The paths of all settings, such as `gaussian.min_std`; of what is shared the path alone, such as `critic`.
fn settings(value: &dyn PartialReflect, path: &str, found: &mut Vec<String>) {
    let name = value.get_represented_type_info();
    let is_shared = name.is_some_and(|it| SHARED.contains(&it.type_path_table().short_path()));
    match value.reflect_ref() {
        bevy_reflect::ReflectRef::Struct(fields)
            if fields.field_len() > 0 && (!is_shared || path.is_empty()) =>
        {
            for index in 0..fields.field_len() {
                let name = fields.name_at(index).unwrap();
                let path = match path {
                    "" => name.to_owned(),
                    _ => format!("{path}.{name}"),
                };
                settings(fields.field_at(index).unwrap(), &path, found);
            }
        }
        _ => found.push(path.to_owned()),
    }
}

#[test]
fn readme_and_manual_name_every_setting() {
    for (plugin, pages) in [
        (
            &Td3Bc::default() as &dyn PartialReflect,
            ["README.md", "docs/td3_bc.md"].as_slice(),
        ),
        (&Bc::default(), &["docs/bc.md"]),
        (&Bcq::default(), &["docs/bcq.md"]),
        (&Cql::default(), &["docs/cql.md"]),
        (
            &yarak::plugins::Diffusion::default(),
            &["docs/diffusion.md"],
        ),
        (&yarak::plugins::FlowBc::default(), &["docs/flow_bc.md"]),
        (&Iql::default(), &["docs/iql.md"]),
        (&Environments::default(), &["docs/environments.md"]),
        (&CriticSettings::default(), &["docs/settings.md"]),
        (&MinibatchSettings::default(), &["docs/settings.md"]),
        (&NetworkSettings::default(), &["docs/settings.md"]),
        (&OptimizerSettings::default(), &["docs/settings.md"]),
        (&TargetUpdate::default(), &["docs/settings.md"]),
        (&sac::TemperatureSettings::default(), &["docs/settings.md"]),
    ] {
        let mut found = Vec::new();
        settings(plugin, "", &mut found);
        assert!(found.len() >= 2, "{found:?}");
        for page in pages {
            let text = read(page);
            let missing: Vec<&String> = found
                .iter()
                // A page may name a shared part by what is in it.
                .filter(|name| {
                    ["`", "."]
                        .iter()
                        .all(|end| !text.contains(&format!("`{name}{end}")))
                })
                .collect();
            assert!(missing.is_empty(), "{page} does not name {missing:?}");
        }
    }
}

#[test]
fn the_pages_name_files_that_exist() {
    let mut pages = vec!["README.md".to_owned(), "ARCHITECTURE.md".to_owned()];
    for entry in fs::read_dir(root().join("docs")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name.ends_with(".md") {
            pages.push(format!("docs/{name}"));
        }
    }
    for page in pages {
        let text = read(&page);
        let named = text.split('`').skip(1).step_by(2).filter(|name| {
            [
                "src/",
                "plugins/",
                "scenes/",
                "examples/",
                "benches/",
                "tests/",
                ".ci/",
            ]
            .iter()
            .any(|folder| name.starts_with(folder))
        });
        for name in named.filter(|name| !name.contains(['*', ' '])) {
            assert!(root().join(name).exists(), "{page} names {name}");
        }
    }
}

#[test]
fn a_loss_and_a_metric_of_ones_own_are_named_in_a_scene() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let trained = example("custom_parts")
        .args(["train", "examples/custom_parts.ron", "--steps", "4"])
        .args(["--set", "Evaluation.episodes=1", "--run"])
        .arg(&run)
        .output()
        .unwrap();
    assert!(trained.status.success(), "{}", text(&trained.stderr));
    let metrics = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    assert!(metrics.contains("\"actor/saturated\""), "{metrics}");
    let listed = example("custom_parts")
        .args(["list", "algorithms"])
        .output()
        .unwrap();
    let listed = text(&listed.stdout);
    assert!(listed.contains("ShortcutBc  Behavior cloning by a policy with a shortcut"));
}
