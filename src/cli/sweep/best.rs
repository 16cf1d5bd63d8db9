//! The best trial, and the command that trains it alone.

use serde_json::{Value, json};

use super::super::error::CliError;
use super::trial::end_of_round;
use crate::sweep::{Lineage, State, SweepFolder, quoted};

/// The best trial of a sweep.
pub struct Best<'s> {
    folder: &'s SweepFolder,
    state: &'s State,
    trial: usize,
}

impl<'s> Best<'s> {
    /// Of those that came furthest, where one has a value.
    pub fn of(folder: &'s SweepFolder, state: &'s State) -> Option<Self> {
        let trial = state.best()?;
        Some(Best {
            folder,
            state,
            trial,
        })
    }

    /// The command: a line for each seed, which ends where the trial did.
    ///
    /// # Errors
    /// When the folder of the trial that it was forked from cannot be read.
    pub fn command(&self) -> Result<String, CliError> {
        let Lineage {
            settings, parent, ..
        } = &self.state.lineages[self.trial];
        let reached = self.state.progress[self.trial].reached.len();
        let step = self.state.plan.rounds[reached.saturating_sub(1)];
        let lines = self.state.settings.seeds.iter().map(|seed| {
            let scene = self.folder.scene().display().to_string();
            let mut words = vec!["yarak".to_owned(), "train".to_owned(), quoted(&scene)];
            if let Some((runs, step)) = parent {
                let checkpoint = end_of_round(&self.folder.path().join(runs), *seed, *step)?;
                words.extend([
                    "--fork".to_owned(),
                    quoted(&checkpoint.display().to_string()),
                ]);
            }
            for setting in settings.iter().flat_map(|setting| setting.overrides()) {
                words.extend(["--set".to_owned(), quoted(&setting)]);
            }
            words.push(format!(
                "--set seed={seed} --steps {step} --run runs/best_of_sweep/seed_{seed}"
            ));
            Ok(words.join(" "))
        });
        Ok(lines.collect::<Result<Vec<_>, CliError>>()?.join("\n"))
    }

    /// As JSON.
    ///
    /// # Errors
    /// As [`command`](Self::command).
    pub fn json(&self) -> Result<Value, CliError> {
        let mut object = self.state.trial_json(self.trial);
        object["metric"] = json!(self.state.settings.objective.metric);
        object["commands"] = self.command()?.lines().collect();
        Ok(object)
    }

    /// For a terminal.
    ///
    /// # Errors
    /// As [`command`](Self::command).
    pub fn text(&self) -> Result<String, CliError> {
        let object = self.state.trial_json(self.trial);
        let settings = &self.state.lineages[self.trial].settings;
        let settings = settings
            .iter()
            .map(|it| format!("  {} = {}", it.name(), it.value));
        Ok(format!(
            "trial {}: {} {} at step {}\n{}\n\n{}",
            self.trial,
            self.state.settings.objective.metric,
            object["value"],
            object["step"],
            settings.collect::<Vec<_>>().join("\n"),
            self.command()?
        ))
    }
}
