//! What a stranger's scene or run may start: nothing, until the command line says so. Python is a stand-in that tells when it is
//! started.

#![cfg(unix)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use crate::room::{ROOT, Room, Told, YARAK, copy};

const EVIL: &str = "gymnasium:evil:Env-v0";

/// A folder with a Python in it that leaves a file where it is started, and is none.
struct Watched(Room);

impl Watched {
    fn new() -> Self {
        let room = Room::new();
        let python = room.write(
            "python",
            "#!/bin/sh\ntouch \"$(dirname \"$0\")/started\"\nexit 3\n",
        );
        fs::set_permissions(python, PermissionsExt::from_mode(0o700)).unwrap();
        Watched(room)
    }

    fn yarak(&self, words: &[&str]) -> Told {
        let output = Command::new(YARAK)
            .args(words)
            .current_dir(self.0.path("."))
            .env("YARAK_PYTHON", self.0.path("python"))
            .env_remove("MUJOCO_LIB")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        Told {
            status: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Whether Python was started since the last question.
    fn was_started(&self) -> bool {
        fs::remove_file(self.0.path("started")).is_ok()
    }
}

fn scene(environments: &str, evaluation: &str) -> String {
    format!(
        "Scene(
    steps: 20,
    plugins: [
        Environments(env: \"{environments}\"),
        Replay(capacity: 1000),
        Td3(minibatch: (batch_size: 8), off_policy: (learning_starts: 10), critic: (encoder: Mlp(hidden_sizes: [8])), actor: (encoder: Mlp(hidden_sizes: [8]))),
        Evaluation(env: \"{evaluation}\", every: 20, episodes: 1),
        Checkpoints(every: 20),
    ],
    order: [InsertAfter(Critic, with: \"td3::track_targets\", as: Again)],
)
"
    )
}

#[test]
fn looking_at_a_scene_starts_no_python_and_loads_no_library() {
    let watched = Watched::new();
    for env in [EVIL, "gymnasium:Hopper-v5", "Hopper-v5"] {
        watched.0.write("scene.ron", &scene(env, env));
        let checked = watched.yarak(&["scene", "check", "scene.ron"]);
        assert!(checked.result().starts_with("scene.ron: good"));
        assert_eq!(
            checked.stdout.contains("not looked at"),
            env.contains(':'),
            "{}",
            checked.stdout
        );
        assert_eq!(checked.stdout.contains("--allow-module evil"), env == EVIL);
        let drawn = watched.yarak(&["graph", "scene.ron"]);
        assert!(drawn.result().contains("track_targets"), "{}", drawn.stdout);
        assert!(!watched.was_started(), "{env}");
    }
    for words in [&["list"][..], &["list", "environments"]] {
        assert!(watched.yarak(words).result().contains("Hopper-v5"));
    }
    assert!(!watched.was_started());
}

#[test]
fn a_page_of_a_strangers_run_starts_nothing() {
    let watched = Watched::new();
    watched
        .0
        .write("scene.ron", &scene("Pendulum-v1", "Pendulum-v1"));
    watched
        .yarak(&["train", "scene.ron", "--run", "run"])
        .ends_with(0);
    watched.0.write("run/scene.ron", &scene(EVIL, EVIL));
    watched.yarak(&["report", "run"]).ends_with(0);
    assert!(!watched.was_started());
}

#[test]
fn a_module_that_a_scene_names_is_refused_at_its_line_until_it_is_allowed() {
    let watched = Watched::new();
    watched.0.write("scene.ron", &scene("Pendulum-v1", EVIL));
    let words = [
        "scene.ron:7:25: error: Evaluation.env: ",
        "module `evil`",
        "--allow-module evil",
    ];
    let train = ["train", "scene.ron", "--run", "run"];
    for more in [
        &[][..],
        &["--debug"],
        &["--seeds", "0,1"],
        &["--allow-module", "other"],
    ] {
        let train = if more == ["--debug"] {
            &train[..2]
        } else {
            &train
        };
        watched.yarak(&[train, more].concat()).refuses(&words);
    }
    watched.0.write("learns.ron", &scene(EVIL, "Pendulum-v1"));
    let words = [
        "learns.ron:4:27: error: Environments.env: ",
        "module `evil`",
        "--allow-module evil",
    ];
    watched
        .yarak(&["train", "learns.ron", "--run", "run"])
        .refuses(&words);
    watched
        .yarak(&["collect", "learns.ron", "--out", "o.hdf5"])
        .refuses(&words);
    let also = scene("Pendulum-v1", "Pendulum-v1")
        .replace("episodes: 1", "also: [\"gymnasium:evil:Env-v0\"]");
    watched.0.write("also.ron", &also);
    let words = ["also.ron:7:", "Evaluation.also: ", "--allow-module evil"];
    watched
        .yarak(&["train", "also.ron", "--run", "run"])
        .refuses(&words);
    assert!(!watched.was_started());
    assert!(!watched.0.path("run").exists());

    // Whoever allows it, or writes the environment into this very command line, wants it.
    watched.yarak(
        &[
            &train[..],
            &["--allow-module", "other", "--allow-module", "evil"],
        ]
        .concat(),
    );
    assert!(watched.was_started());
    watched
        .0
        .write("plain.ron", &scene("Pendulum-v1", "Pendulum-v1"));
    let own = format!("Evaluation.env={EVIL}");
    watched.yarak(&["train", "plain.ron", "--run", "run", "--set", &own]);
    assert!(watched.was_started());
    watched.yarak(&["scene", "template", "Td3", "--env", EVIL]);
    assert!(watched.was_started());
    // Gymnasium's own environments need no leave, nor do others that it finds by itself.
    watched
        .0
        .write("own.ron", &scene("Pendulum-v1", "gymnasium:ALE/Pong-v5"));
    let told = watched.yarak(&["train", "own.ron", "--run", "run"]);
    assert!(watched.was_started());
    told.refuses(&["Evaluation.env: "]);
}

#[test]
fn a_strangers_run_imports_nothing_where_it_is_played_resumed_or_collected_from() {
    let watched = Watched::new();
    watched
        .0
        .write("tiny.ron", &scene("Pendulum-v1", "Pendulum-v1"));
    watched
        .yarak(&["train", "tiny.ron", "--run", "made"])
        .ends_with(0);
    copy(&watched.0.path("made"), &watched.0.path("run"));
    let resolved = fs::read_to_string(watched.0.path("run/scene.ron")).unwrap();
    let evaluated = resolved.replacen("\"Pendulum-v1\"", "\"PENDULUM\"", 1);
    let evaluated = evaluated.replace("\"Pendulum-v1\"", &format!("\"{EVIL}\""));
    let evaluated = evaluated.replace("PENDULUM", "Pendulum-v1");
    watched.0.write("run/scene.ron", &evaluated);
    let words = ["Evaluation.env: ", "module `evil`", "--allow-module evil"];
    for command in [
        &["eval", "run"][..],
        &["eval", "run/checkpoints/step_000000020", "--json"],
        &["eval", "run", "--video", "film.gif"],
        &["collect", "run", "--out", "o.hdf5"],
        &["train", "run/scene.ron", "--run", "run", "--resume", "auto"],
    ] {
        watched.yarak(command).refuses(&words);
        assert!(!watched.was_started(), "{command:?}");
    }
    // The environment of this command line is played, and the run's own is not.
    let played = watched.yarak(&["eval", "run", "--env", "Pendulum-v1", "--episodes", "1"]);
    assert!(played.result().contains("over 1 episode"));
    watched
        .yarak(&["export", "run", "policy.safetensors"])
        .ends_with(0);
    assert!(!watched.was_started());
    watched.yarak(&["eval", "run", "--env", EVIL]);
    assert!(watched.was_started());

    // Where it was learned in, too.
    let learned = resolved.replacen("\"Pendulum-v1\"", &format!("\"{EVIL}\""), 1);
    watched.0.write("run/scene.ron", &learned);
    let words = ["Environments.env: ", "module `evil`", "--allow-module evil"];
    for command in [
        &["eval", "run"][..],
        &["eval", "run", "--env", "Pendulum-v1"],
    ] {
        watched.yarak(command).refuses(&words);
    }
    assert!(!watched.was_started());
}

#[test]
fn a_scene_in_somebodys_app_imports_what_the_app_allows() {
    use bevy_app::App;
    use yarak::prelude::*;
    use yarak::scene::{AppSceneExt, ForeignCode, Scene, SceneRegistry};

    let mut app = App::new();
    app.register_for_scenes::<Evaluation>();
    let text = format!("Scene(steps: 1, plugins: [Evaluation(env: \"{EVIL}\")])");
    let scene = Scene::parse("a.ron", &text, app.world().resource::<SceneRegistry>(), &[]).unwrap();
    app.add_plugins(YarakPlugins);
    let refused = scene.add_to(&mut app).unwrap_err().to_string();
    for word in ["`Evaluation.env`", "module `evil`", "ForeignCode::Modules"] {
        assert!(refused.contains(word), "{refused}");
    }
    app.insert_resource(ForeignCode::Modules(vec!["evil".to_owned()]));
    scene.add_to(&mut app).unwrap();
    // What the app's own code names needs no leave.
    let mut own = App::new();
    own.add_plugins((
        YarakPlugins,
        Evaluation {
            env: EVIL.to_owned(),
            ..default()
        },
    ));
}

#[test]
fn the_page_on_trust_is_linked_and_names_every_kind_of_thing() {
    let page = fs::read_to_string(format!("{ROOT}/SECURITY.md")).unwrap();
    for word in [
        "--allow-module",
        "YARAK_PYTHON",
        "MUJOCO_LIB",
        "ForeignCode",
    ] {
        assert!(page.contains(word), "{word}");
    }
    let readme = fs::read_to_string(format!("{ROOT}/README.md")).unwrap();
    assert!(readme.contains("(SECURITY.md)"));
}
