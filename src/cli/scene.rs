//! `yarak scene`.

use std::path::PathBuf;

use bevy_app::AppExit;
use clap::Subcommand;

use super::building::{For, Program, folders_of, whole_registry};
use super::error::CliError;
use super::import::{Instead, import};
use super::{print, ready, template};
use crate::data::warning_of_actions;
use crate::learner::warnings_of_rates;
use crate::terminal::message;

/// Check scenes, or print templates for them.
#[derive(Subcommand)]
pub enum SceneCommand {
    /// Report every mistake of the given scenes, with its place, data that are not there, and recorded actions beyond the environment's
    /// bounds; nothing is run, no Python is started
    Check {
        /// The scenes' RON files
        #[arg(required = true)]
        scenes: Vec<PathBuf>,
    },
    /// Print a scene with every setting of a plugin at its default, commented; with --dataset or --env one that trains as it stands
    Template {
        /// The plugin, such as Td3Bc (`yarak list` names them)
        name: String,
        /// The HDF5 file that the algorithm learns from
        #[arg(long, value_name = "FILE")]
        dataset: Option<String>,
        /// The environment in which it is evaluated, and learns where there is no dataset
        #[arg(long, value_name = "NAME")]
        env: Option<String>,
    },
    /// Write such a scene for every algorithm, on the dataset and the environments that come along
    Templates {
        /// The folder; no file in it is replaced
        folder: PathBuf,
    },
    /// Print a scene that does what a configuration of robomimic's, d3rlpy's or CORL's says; what has no counterpart goes to standard
    /// error, a key a line
    Import {
        /// robomimic's JSON of bc, td3_bc, bcq, cql or iql; the `params.json` of d3rlpy 2 of bc, td3_plus_bc, bcq, cql, iql, sac, td3, ddpg, dqn
        /// or double_dqn; CORL's YAML of td3_bc, iql, cql or any_percent_bc
        #[arg(value_name = "CONFIG")]
        file: PathBuf,
        /// The HDF5 file: robomimic's in place of `train.data`, and what d3rlpy's and CORL's do not name
        #[arg(long, value_name = "FILE")]
        dataset: Option<String>,
        /// The environment in which it is evaluated, in place of robomimic's `experiment.env` and CORL's `env`; without --dataset d3rlpy's sac,
        /// td3, ddpg, dqn and double_dqn learn in it
        #[arg(long, value_name = "NAME")]
        env: Option<String>,
    },
    /// Print each setting of a plugin with its type, range, meaning, and its default or that it is required; with --json and no plugin the
    /// schema of whole scenes
    Schema {
        /// The plugin, such as Td3Bc (`yarak list` names them)
        #[arg(required_unless_present = "json")]
        name: Option<String>,
        /// Print JSON Schema
        #[arg(long)]
        json: bool,
    },
}

impl SceneCommand {
    /// Does it.
    pub fn run(&self, program: &Program) -> Result<AppExit, CliError> {
        match self {
            SceneCommand::Check { scenes } => {
                let mut wrong = 0;
                for path in scenes {
                    let checked = program.read_scene(path, &[]).and_then(|scene| {
                        let folders = folders_of(path);
                        let app = program.app(&scene, scene.seed, folders, For::Looking)?;
                        ready::check(&app, &scene)?;
                        let of_actions = warning_of_actions(app.world());
                        let of_rates = warnings_of_rates(app.world()).iter().cloned();
                        let of_scene = of_rates.chain(of_actions);
                        for warning in of_scene.chain(ready::warnings(&app, &scene)) {
                            message(&format!("{}: {warning}", path.display()));
                        }
                        Ok(ready::not_looked_at(&scene))
                    });
                    match checked {
                        Ok(unknown) => print(&format!("{}: good{unknown}", path.display()))?,
                        Err(error) => {
                            wrong += 1;
                            message(&error.to_string());
                        }
                    }
                }
                Ok(AppExit::from_code(if wrong > 0 { 2 } else { 0 }))
            }
            SceneCommand::Template { name, dataset, env } => {
                let app = program.bare_app();
                let entry = whole_registry(&app)?.entry(name).map_err(CliError::input)?;
                let (dataset, env) = (dataset.as_deref(), env.as_deref());
                let scene = match (dataset, env) {
                    (None, None) => entry.scene_template(),
                    _ => template::whole(program, entry, dataset, env)?,
                };
                print(scene.trim_end())?;
                Ok(AppExit::Success)
            }
            SceneCommand::Templates { folder } => {
                for file in template::write_all(program, folder)? {
                    print(&file)?;
                }
                Ok(AppExit::Success)
            }
            SceneCommand::Import { file, dataset, env } => {
                let instead = Instead {
                    dataset: dataset.as_deref(),
                    env: env.as_deref(),
                };
                let (scene, listed) = import(program, file, instead)?;
                for line in listed {
                    message(&line);
                }
                print(&scene)?;
                Ok(AppExit::Success)
            }
            SceneCommand::Schema { name, json } => {
                let app = program.bare_app();
                let registry = whole_registry(&app)?;
                let Some(name) = name else {
                    print(&format!("{:#}", registry.json_schema()))?;
                    return Ok(AppExit::Success);
                };
                let entry = registry.entry(name).map_err(CliError::input)?;
                match json {
                    true => print(&format!("{:#}", entry.json_schema()))?,
                    false => print(&entry.schema_text())?,
                }
                Ok(AppExit::Success)
            }
        }
    }
}
