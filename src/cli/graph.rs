//! `yarak graph`.

use std::path::PathBuf;

use bevy_app::AppExit;
use clap::Args;

use super::building::{For, Program, folders_of};
use super::error::CliError;
use super::print;
use crate::schedule::{GraphFormat, draw};

/// Draw what a scene runs, in order: slots, systems, conditions, reads and writes.
#[derive(Args)]
pub struct Graph {
    /// The scene's RON file
    scene: PathBuf,
    /// text for the terminal, mermaid for GitHub, dot for Graphviz
    #[arg(long, value_name = "text|mermaid|dot", default_value = "text")]
    format: GraphFormat,
    /// Override any value of the scene
    #[arg(long = "set", value_name = "PATH=VALUE")]
    overrides: Vec<String>,
}

impl Graph {
    /// Draws. Nothing is loaded and nothing is run.
    pub fn run(&self, program: &Program) -> Result<AppExit, CliError> {
        let scene = program.read_scene(&self.scene, &self.overrides)?;
        let app = program.app(&scene, scene.seed, folders_of(&self.scene), For::Looking)?;
        print(&draw(app.world(), self.format))?;
        Ok(AppExit::Success)
    }
}
