//! `yarak export`.

use std::path::PathBuf;

use bevy_app::AppExit;
use clap::{Args, ValueEnum};

use super::error::CliError;
use super::print;
use crate::policy::{Policy, PolicyError};

/// Write a run's policy as one file, which `policy::Policy` loads without the run.
///
/// Of a run, the best checkpoint's if there is one, else the latest's.
#[derive(Args)]
pub struct Export {
    /// A run's folder, or a checkpoint in it such as runs/NAME/checkpoints/step_000020000
    #[arg(value_name = "RUN|CHECKPOINT")]
    source: PathBuf,
    /// The file to write
    #[arg(value_name = "FILE")]
    out: PathBuf,
    /// The file's format
    #[arg(long, value_enum, default_value = "safetensors")]
    to: Format,
    /// Replace the file
    #[arg(long)]
    force: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// The network's tensors and the preprocessing's, with the network's architecture in a note
    Safetensors,
}

impl Export {
    /// Loads and writes.
    pub fn run(&self) -> Result<AppExit, CliError> {
        let Format::Safetensors = self.to;
        let said = |error: PolicyError| CliError::of(error.is_users_mistake(), &error);
        let policy = Policy::export(&self.source, &self.out, self.force).map_err(said)?;
        let what = match policy.discrete_actions() {
            Some(discrete_actions) => format!("one of {discrete_actions} discrete actions"),
            None => format!("{} action(s)", policy.action_size()),
        };
        print(&format!(
            "{}: the policy of step {}, from {} observation(s) to {what}",
            self.out.display(),
            policy.step(),
            policy.observation_size()
        ))?;
        Ok(AppExit::Success)
    }
}
