//! The best trial, and the command that trains it alone.

use serde_json::{Value, json};

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
    pub fn command(&self) -> String {
        let Lineage {
            settings, parent, ..
        } = &self.state.lineages[self.trial];
        let reached = self.state.progress[self.trial].reached.len();
        let step = self.state.plan.rounds[reached.saturating_sub(1)];
        let lines = self.state.settings.seeds.iter().map(|seed| {
            let scene = self.folder.scene().display().to_string();
            let mut words = vec!["yarak".to_owned(), "train".to_owned(), quoted(&scene)];
            if let Some((runs, step)) = parent {
                let run = self.folder.path().join(runs).join(format!("seed_{seed}"));
                let checkpoint = run.join(format!("checkpoints/step_{step:09}"));
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
            words.join(" ")
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    /// As JSON.
    pub fn json(&self) -> Value {
        let mut object = self.state.trial_json(self.trial);
        object["metric"] = json!(self.state.settings.objective.metric);
        object["commands"] = self.command().lines().collect();
        object
    }

    /// For a terminal.
    pub fn text(&self) -> String {
        let object = self.state.trial_json(self.trial);
        let settings = &self.state.lineages[self.trial].settings;
        let settings = settings
            .iter()
            .map(|it| format!("  {} = {}", it.name(), it.value));
        format!(
            "trial {}: {} {} at step {}\n{}\n\n{}",
            self.trial,
            self.state.settings.objective.metric,
            object["value"],
            object["step"],
            settings.collect::<Vec<_>>().join("\n"),
            self.command()
        )
    }
}
