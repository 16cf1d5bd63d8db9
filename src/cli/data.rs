//! `yarak data`.

use std::path::PathBuf;

use bevy_app::AppExit;
use clap::Subcommand;

use super::error::CliError;
use super::print;
use crate::data::Summary;

/// Look into datasets.
#[derive(Subcommand)]
pub enum DataCommand {
    /// Print a dataset's layout, episodes, lengths, returns, ranges and ends
    Info {
        /// The HDF5 file
        file: PathBuf,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
}

impl DataCommand {
    /// Looks.
    pub fn run(&self) -> Result<AppExit, CliError> {
        let DataCommand::Info { file, json } = self;
        let summary = Summary::read(file).map_err(|error| CliError::of(true, &error))?;
        if *json {
            print(&serde_json::to_string(&summary).map_err(CliError::failed)?);
        } else {
            print(&summary.to_string());
        }
        Ok(AppExit::Success)
    }
}
