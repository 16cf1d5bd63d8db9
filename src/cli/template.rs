//! Scenes to start from: an algorithm with all its settings, and what else a run needs.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::Path;

use bevy_app::App;

use super::building::{Program, algorithms, whole_registry};
use super::error::CliError;
use super::ready::{Source, learns_from};
use crate::checkpoint::write_whole;
use crate::collect::Environments;
use crate::env::registry as environments;
use crate::learner::{ComputeDevice, Seed};
use crate::networks::TrainsOn;
use crate::scene::{SceneEntry, quoted};

/// What templates are for where nothing else is asked: the dataset and the environments that come along.
const DATASET: &str = "assets/pendulum-medium-expert.hdf5";
const ENVS: [&str; 2] = ["Pendulum-v1", "CartPole-v1"];

/// An app with the algorithm at its defaults, which is looked at and not run, and from what it learns; `None` for another plugin.
fn look(program: &Program, entry: &SceneEntry, env: Option<&str>) -> Option<(App, Source)> {
    let mut app = program.bare_app();
    app.insert_resource(ComputeDevice::cpu())
        .insert_resource(Seed(0));
    if let Some(env) = env {
        app.add_plugins(Environments {
            env: env.to_owned(),
            ..Default::default()
        });
    }
    entry.default_settings().add_to(&mut app).ok()?;
    let learns = learns_from(&app)?;
    Some((app, learns))
}

/// A scene that trains as it stands: the algorithm with every setting, and what learns, is scored and is saved around it.
///
/// # Errors
/// When the plugin does not learn, what it learns from is missing, or the environment is unknown.
pub fn whole(
    program: &Program,
    entry: &SceneEntry,
    dataset: Option<&str>,
    env: Option<&str>,
) -> Result<String, CliError> {
    let name = entry.name();
    if let Some(env) = env {
        environments::check_name(env).map_err(CliError::input)?;
    }
    let Some((_, learns)) = look(program, entry, None) else {
        return Err(CliError::input(format!(
            "`{name}` does not learn: a run is made of an algorithm (`yarak list algorithms`); leave --dataset and --env out to see the settings of `{name}`"
        )));
    };
    if let Some(env) = env
        && let Some((app, _)) = look(program, entry, Some(env))
    {
        TrainsOn::check(app.world(), name).map_err(CliError::input)?;
    }
    let mut before = Vec::new();
    match (&learns, dataset, env) {
        (_, Some(dataset), _) => before.push(format!("Dataset(path: {})", quoted(dataset))),
        (Source::Data, None, _) => {
            return Err(CliError::input(format!(
                "`{name}` learns from data: give --dataset FILE"
            )));
        }
        (_, None, Some(env)) => before.push(format!("Environments(env: {})", quoted(env))),
        (_, None, None) => {}
    }
    if matches!((&learns, dataset), (Source::Replay, None)) {
        before.push("Replay()".to_owned());
    }
    let mut after = Vec::new();
    if let Some(env) = env {
        let env = quoted(env);
        after.push(format!(
            "Evaluation(env: {env}, every: 5_000, episodes: 50)"
        ));
        after.push("Checkpoints(every: 5_000, best: \"evaluate/return\")".to_owned());
    } else {
        after.push("Checkpoints(every: 5_000, best: None)".to_owned());
    }
    let lines = |plugins: Vec<String>| -> String {
        let lines = plugins
            .into_iter()
            .map(|plugin| format!("        {plugin},\n"));
        lines.collect()
    };
    Ok(format!(
        "Scene(\n    name: {},\n    seed: 0,\n    steps: 100_000,\n    plugins: [\n{}{}{}    ],\n)\n",
        quoted(&file_name(name)),
        lines(before),
        entry.commented(),
        lines(after)
    ))
}

/// Writes a scene for each algorithm into a folder; the files.
///
/// # Errors
/// When one cannot be written: a file that is there is kept.
pub fn write_all(program: &Program, folder: &Path) -> Result<Vec<String>, CliError> {
    fs::create_dir_all(folder)
        .map_err(|error| CliError::failed(format!("{}: {error}", folder.display())))?;
    let app = program.bare_app();
    let mut scenes = Vec::new();
    for entry in algorithms(whole_registry(&app)?) {
        let trains = |env: &&&str| {
            let looked = look(program, entry, Some(env));
            looked.is_some_and(|(app, _)| TrainsOn::check(app.world(), entry.name()).is_ok())
        };
        let env = ENVS.iter().find(trains).copied();
        let from_data = matches!(look(program, entry, None), Some((_, Source::Data)));
        let dataset = from_data.then_some(DATASET);
        let scene = whole(program, entry, dataset, env)?;
        let path = folder.join(format!("{}.ron", file_name(entry.name())));
        if path.exists() {
            return Err(taken(&path));
        }
        scenes.push((path, scene));
    }
    let mut written = Vec::new();
    for (path, scene) in scenes {
        write_whole(&path, false, |out| out.write_all(scene.as_bytes())).map_err(|error| {
            match error.kind() {
                ErrorKind::AlreadyExists => taken(&path),
                _ => CliError::failed(format!("{}: {error}", path.display())),
            }
        })?;
        written.push(path.display().to_string());
    }
    Ok(written)
}

fn taken(path: &Path) -> CliError {
    CliError::input(format!(
        "{}: this file is there already; nothing was replaced: name an empty folder",
        path.display()
    ))
}

/// `td3_bc` of `Td3Bc`.
fn file_name(plugin: &str) -> String {
    let mut name = String::new();
    for letter in plugin.chars() {
        if letter.is_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.extend(letter.to_lowercase());
    }
    name
}
