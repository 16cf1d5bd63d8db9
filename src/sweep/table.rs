//! What came of each trial, as a table: for a terminal, as CSV, as JSON.

use serde_json::{Value, json};

use super::space::number;
use super::state::{Lineage, Standing, State};

/// The column of the objective's metric.
const VALUE: usize = 3;

/// A row for each trial, in their order.
pub(crate) struct Table {
    /// `trial`, `state`, `step`, the objective's metric, then the settings.
    head: Vec<String>,
    rows: Vec<Vec<String>>,
    json: Vec<Value>,
}

impl Table {
    /// The table of a sweep. It is a function of what the trials have in their files.
    pub fn of(state: &State) -> Self {
        let metric = &state.settings.objective.metric;
        let mut head: Vec<String> = ["trial", "state", "step", metric].map(str::to_owned).into();
        if let Some(first) = state.lineages.first() {
            head.extend(first.settings.iter().map(|setting| setting.name()));
        }
        let mut table = Table {
            head,
            rows: Vec::new(),
            json: Vec::new(),
        };
        for trial in 0..state.progress.len() {
            let object = state.trial_json(trial);
            let text = |key: &str| match &object[key] {
                Value::String(text) => text.clone(),
                Value::Null => String::new(),
                other => other.to_string(),
            };
            let mut row: Vec<String> = ["trial", "state", "step", "value"].map(text).into();
            let settings = &state.lineages[trial].settings;
            row.extend(settings.iter().map(|setting| setting.value.clone()));
            table.rows.push(row);
            table.json.push(object);
        }
        table
    }

    /// For a terminal: columns under each other, values in six digits.
    pub fn text(&self) -> String {
        let rows = self.rows.iter().map(|row| {
            let mut row = row.clone();
            if let Ok(value) = row[VALUE].parse() {
                row[VALUE] = number(value);
            }
            row
        });
        let rows: Vec<Vec<String>> = rows.collect();
        let lines = || std::iter::once(&self.head).chain(&rows);
        let widths: Vec<usize> = (0..self.head.len())
            .map(|column| lines().map(|line| line[column].chars().count()).max())
            .map(|width| width.unwrap_or(0))
            .collect();
        let line = |cells: &Vec<String>| {
            let cells = cells.iter().zip(&widths);
            let cells = cells.map(|(cell, width)| format!("{cell:>width$}"));
            cells.collect::<Vec<_>>().join("  ")
        };
        lines().map(line).collect::<Vec<_>>().join("\n")
    }

    /// As CSV (RFC 4180, but for its line ends).
    pub fn csv(&self) -> String {
        let cell = |cell: &String| match cell.contains([',', '"', '\n']) {
            true => format!("\"{}\"", cell.replace('"', "\"\"")),
            false => cell.clone(),
        };
        let lines = std::iter::once(&self.head).chain(&self.rows);
        let lines = lines.map(|line| line.iter().map(cell).collect::<Vec<_>>().join(","));
        lines.collect::<Vec<_>>().join("\n")
    }

    /// As a JSON array with an object for each trial.
    pub fn json(&self) -> Value {
        self.json.clone().into()
    }
}

impl State {
    /// A trial as JSON: what `yarak sweep trial --json` prints, and a row of the table.
    pub fn trial_json(&self, trial: usize) -> Value {
        let (progress, standing) = (&self.progress[trial], self.standing(trial));
        let last = progress.reached.last();
        let Lineage {
            settings, parent, ..
        } = &self.lineages[trial];
        let settings: serde_json::Map<String, Value> = settings
            .iter()
            .flat_map(|it| {
                it.paths
                    .iter()
                    .map(|path| (path.clone(), it.value.clone().into()))
            })
            .collect();
        json!({
            "trial": trial,
            "state": standing.word(),
            "may_go_on": matches!(standing, Standing::Ready(_)),
            "round": progress.reached.len(),
            "rounds": self.plan.rounds.len(),
            "step": last.map_or(0, |it| it.step),
            "value": last.and_then(|it| it.value),
            "seeds": last.map(|it| it.seeds.clone()),
            "settings": settings,
            "forked_from": parent.as_ref().map(|(folder, step)| json!({ "runs": folder.display().to_string(), "step": step })),
            "failure": progress.failures.last().map(|it| &it.message),
        })
    }
}
