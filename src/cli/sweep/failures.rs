//! The trials that failed for good, each with why and where more is said.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::checkpoint::is_plain_file;
use crate::sweep::{Standing, State, SweepFolder};

/// Those of a sweep, by number.
pub struct Failures(Vec<Failure>);

struct Failure {
    trial: usize,
    /// The last of its failures.
    message: String,
    /// What its processes said, where this machine's driver has started them.
    log: Option<PathBuf>,
}

impl Failures {
    /// Of a sweep as it is now.
    pub fn of(folder: &SweepFolder, state: &State) -> Self {
        let trials = 0..state.progress.len();
        let failed = trials.filter(|trial| state.standing(*trial) == Standing::Failed);
        let failure = |trial: usize| {
            let log = folder.log_of(trial);
            let last = state.progress[trial].failures.last();
            Failure {
                trial,
                message: last.map_or(String::new(), |it| it.message.clone()),
                log: is_plain_file(&log).then_some(log),
            }
        };
        Failures(failed.map(failure).collect())
    }

    /// Whether no trial failed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A line each: the first of what was said, as the rest is in the log.
    pub fn lines(&self) -> impl Iterator<Item = String> + '_ {
        self.0.iter().map(|it| {
            let said = it.message.lines().next().unwrap_or_default();
            let said = said.strip_prefix("error: ").unwrap_or(said);
            let log = it.log.as_ref();
            let log = log.map_or(String::new(), |log| format!("; see {}", log.display()));
            format!("trial {} failed: {said}{log}", it.trial)
        })
    }

    /// As JSON: an array.
    pub fn json(&self) -> Value {
        let failures = self.0.iter().map(|it| {
            let log = it.log.as_ref().map(|log| log.display().to_string());
            json!({ "trial": it.trial, "message": it.message, "log": log })
        });
        failures.collect()
    }
}
