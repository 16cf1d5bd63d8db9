//! `yarak sweep trial`: one trial, to the end of its next round.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use bevy_app::AppExit;
use clap::Args;

use super::super::building::Program;
use super::super::error::CliError;
use super::super::modules::Modules;
use super::super::pool::pin;
use super::super::train::{Train, stop_on_signals};
use super::super::{INTERRUPTED, print, threads_or_all};
use super::open;
use crate::checkpoint::{saved_steps, step_folder_name};
use crate::nn::set_threads;
use crate::report::console::Console;
use crate::report::json_lines;
use crate::schedule::{Outcome, stop_requested};
use crate::sweep::{Failed, Reached, Scheduler, Standing, State, SweepError, SweepFolder};
use crate::terminal::message;

/// Exit status where another process is at the trial: `EX_TEMPFAIL` of sysexits.h, try again later.
pub const BUSY: u8 = 75;

#[derive(Args)]
pub struct TrialArguments {
    /// The sweep's folder
    dir: PathBuf,
    /// The trial's number, from 0
    trial: usize,
    /// Go on through all rounds that are decided and end at this step or before it
    #[arg(long, value_name = "STEP")]
    until: Option<u64>,
    /// Threads to compute with; all cores if not given. Results do not depend on it, bit for bit
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1024))]
    threads: Option<u64>,
    /// Run on these processor cores alone, where the system knows how
    #[arg(long, value_name = "0,1", value_delimiter = ',')]
    cores: Vec<usize>,
    /// Print the trial's state as one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    modules: Modules,
}

impl TrialArguments {
    /// Trains, where there is something to train.
    pub fn run(&self, program: &Program) -> Result<AppExit, CliError> {
        let program = &program.allowing(self.modules.with_env(None));
        // Before threads are started, which take it over.
        pin(&self.cores);
        let (folder, state) = open(program, &self.dir)?;
        if self.trial >= state.progress.len() {
            return Err(CliError::input(format!(
                "{}: there is no trial {}; the last is {}",
                self.dir.display(),
                self.trial,
                state.progress.len().saturating_sub(1)
            )));
        }
        let _held = match folder.hold_trial(self.trial) {
            Err(error @ SweepError::InUse { .. }) => {
                message(&format!("error: {error}"));
                return Ok(AppExit::from_code(BUSY));
            }
            held => held?,
        };
        stop_on_signals()?;
        set_threads(threads_or_all(self.threads));
        let mut is_first = true;
        let state = loop {
            // Another process may have brought it further before this one held it.
            let (_, state) = open(program, &self.dir)?;
            let Standing::Ready(round) = state.standing(self.trial) else {
                break state;
            };
            let is_asked = match self.until {
                Some(until) => state.plan.rounds[round] <= until,
                None => is_first,
            };
            if !is_asked {
                break state;
            }
            is_first = false;
            match train_round(program, &folder, state, self.trial, round)? {
                Ended::Reached => {}
                Ended::Interrupted => return Ok(AppExit::from_code(INTERRUPTED)),
                Ended::Failed(error) => return Err(error),
            }
        };
        print(&match self.json {
            true => state.trial_json(self.trial).to_string(),
            false => in_words(&state, self.trial),
        })?;
        match state.standing(self.trial) {
            Standing::Failed => Err(CliError::input(format!(
                "trial {} has failed as often as it may: {}",
                self.trial,
                state.progress[self.trial]
                    .failures
                    .last()
                    .map_or("", |it| &it.message)
            ))),
            _ => Ok(AppExit::Success),
        }
    }
}

/// Where a trial is, in a line.
pub(super) fn in_words(state: &State, trial: usize) -> String {
    let last = state.progress[trial].reached.last();
    format!(
        "trial {trial}: {}, at step {}",
        state.standing(trial).word(),
        last.map_or(0, |it| it.step)
    )
}

/// How a trial's way to the end of a round ended.
pub(super) enum Ended {
    Reached,
    /// Saved; it goes on from there.
    Interrupted,
    /// The failure is kept in the trial's file.
    Failed(CliError),
}

/// Brings every seed of a trial to the end of a round, and keeps what came of it. The caller holds the trial.
///
/// # Errors
/// What came of it cannot be read or kept, or the disk is full.
pub(super) fn train_round(
    program: &Program,
    folder: &SweepFolder,
    state: State,
    trial: usize,
    round: usize,
) -> Result<Ended, CliError> {
    let mut progress = state.progress[trial].clone();
    let step = state.plan.rounds[round];
    let mut values = Vec::new();
    for seed in &state.settings.seeds {
        if stop_requested() {
            return Ok(Ended::Interrupted);
        }
        let run = folder.path().join(&state.lineages[trial].folder);
        let run = run.join(format!("seed_{seed}"));
        match train_seed(program, folder, &state, trial, *seed, &run, step) {
            Ok(Outcome::Interrupted) => return Ok(Ended::Interrupted),
            Ok(_) => {}
            // A full disk and data that are others for a while are no fault of the trial's: it may be tried again.
            Err(error) if error.is_of_the_moment() || !has_room(folder.path(), &run) => {
                return Err(error);
            }
            Err(error) => {
                progress.failures.push(Failed {
                    message: error.to_string(),
                    is_final: error.status() == 2,
                });
                folder.keep(trial, &progress)?;
                return Ok(Ended::Failed(error));
            }
        }
        let rows = json_lines::read(run.join("metrics.jsonl"))
            .map_err(|error| CliError::of(false, &error))?;
        values.push(state.settings.objective.of_run(&rows, step));
    }
    progress.reached.push(Reached {
        step,
        value: state.settings.objective.over_seeds(&values),
        seeds: values,
    });
    folder.keep(trial, &progress)?;
    Ok(Ended::Reached)
}

/// Whether a megabyte more than the largest file that a run has saved can be written to a folder, as it cannot on a full disk or under
/// `ulimit -f`.
fn has_room(folder: &Path, run: &Path) -> bool {
    const BLOCK: u64 = 1 << 20;
    let needed = largest_in(&run.join("checkpoints")) + BLOCK;
    let Ok(mut probe) = tempfile::tempfile_in(folder) else {
        return false;
    };
    let block = vec![1; BLOCK as usize];
    (0..needed.div_ceil(BLOCK)).all(|_| probe.write_all(&block).is_ok())
}

/// The size of the largest file in a folder and in those in it.
fn largest_in(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let sizes = entries.filter_map(|entry| match entry.metadata().ok()? {
        there if there.is_dir() => Some(largest_in(&entry.path())),
        there => Some(there.len()),
    });
    sizes.max().unwrap_or(0)
}

/// One run of a trial, to a step.
fn train_seed(
    program: &Program,
    folder: &SweepFolder,
    state: &State,
    trial: usize,
    seed: u64,
    run: &Path,
    step: u64,
) -> Result<Outcome, CliError> {
    let lineage = &state.lineages[trial];
    let mut overrides = vec![format!("seed={seed}"), format!("steps={step}")];
    if matches!(state.settings.scheduler, Scheduler::Pbt { .. }) {
        // Another trial may be forked from the end of any round.
        overrides.push("Checkpoints.keep=1_000_000".to_owned());
    }
    overrides.extend(lineage.settings.iter().flat_map(|it| it.overrides()));
    let fork = match &lineage.parent {
        None => None,
        Some((parent, step)) => Some(end_of_round(&folder.path().join(parent), seed, *step)?),
    };
    let train = Train::of_trial(folder.scene(), overrides, run.to_path_buf(), fork);
    train.train_alone(program, &Console::stderr())
}

/// The checkpoint with which a seed of a trial, whose runs are in `runs`, ended the round that goes to `step`.
pub(super) fn end_of_round(runs: &Path, seed: u64, step: u64) -> Result<PathBuf, CliError> {
    let checkpoints = runs.join(format!("seed_{seed}/checkpoints"));
    // With several environments a round ends a little behind its step.
    let saved = saved_steps(&checkpoints)?.into_iter();
    let end = saved.filter(|saved| *saved >= step).min();
    Ok(checkpoints.join(step_folder_name(end.unwrap_or(step))))
}
