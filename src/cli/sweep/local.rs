//! A sweep on this machine: a process for each trial, as many at once as there are cores and memory for.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use bevy_app::AppExit;
use console::Term;

use super::super::INTERRUPTED;
use super::super::building::Program;
use super::super::error::CliError;
use super::super::pool::{Pool, Share};
use super::super::train::stop_on_signals;
use super::trial::BUSY;
use super::{Run, open};
use crate::schedule::stop_requested;
use crate::sweep::{State, SweepFolder, Table};
use crate::terminal::{message, shown};

/// How long a trial is left alone that another process has.
const PAUSE: Duration = Duration::from_millis(500);

/// Runs until no trial may go on.
pub fn run(
    program: &Program,
    folder: &SweepFolder,
    state: State,
    arguments: &Run,
) -> Result<AppExit, CliError> {
    let _held = folder.hold()?;
    stop_on_signals()?;
    let needs = &state.settings.needs;
    let share = Share {
        cores: needs.cores,
        memory: needs.memory,
    };
    let mut driver = Driver {
        program,
        folder,
        pool: Pool::new(&share, arguments.jobs)?,
        state,
        modules: arguments.modules.with_env(None),
        later: BTreeMap::new(),
        crashes: BTreeMap::new(),
        shown: 0,
    };
    while driver.start_and_wait()? {}
    driver.show_last();
    let given_up: Vec<String> = driver.given_up().map(|trial| trial.to_string()).collect();
    if stop_requested() {
        message("interrupted; go on with the same command");
        return Ok(AppExit::from_code(INTERRUPTED));
    }
    if !given_up.is_empty() {
        return Err(CliError::failed(format!(
            "the processes of these trials ended again and again without a result, and the sweep is not over: {}; see log.txt in {}/trials/NUMBER, and go on with the same command",
            given_up.join(", "),
            folder.path().display()
        )));
    }
    Ok(AppExit::Success)
}

struct Driver<'d> {
    program: &'d Program,
    folder: &'d SweepFolder,
    state: State,
    pool: Pool,
    modules: Vec<String>,
    /// Trials that another process had, and until when they are left alone.
    later: BTreeMap<usize, Instant>,
    /// Ends without a result, by trial.
    crashes: BTreeMap<usize, u64>,
    /// Lines of the table on the terminal.
    shown: usize,
}

impl Driver<'_> {
    /// Starts what may be started, and waits a moment; `false` when nothing runs and nothing may be started.
    fn start_and_wait(&mut self) -> Result<bool, CliError> {
        if stop_requested() {
            self.pool.end();
            return Ok(false);
        }
        self.start()?;
        if self.pool.is_empty() && self.later.is_empty() {
            return Ok(false);
        }
        let ended = self.pool.wait()?;
        if !ended.is_empty() {
            ended
                .iter()
                .for_each(|(trial, status)| self.note(*trial, *status));
            self.state = open(self.program, self.folder.path())?.1;
            self.show();
        }
        Ok(true)
    }

    /// Trials whose processes are not started any more.
    fn given_up(&self) -> impl Iterator<Item = usize> + '_ {
        let most = self.state.settings.retries + 1;
        let crashes = self.crashes.iter();
        crashes
            .filter(move |(_, count)| **count > most)
            .map(|(trial, _)| *trial)
    }

    fn start(&mut self) -> Result<(), CliError> {
        self.later.retain(|_, until| *until > Instant::now());
        let given_up: Vec<usize> = self.given_up().collect();
        for trial in self.state.ready() {
            let is_taken = self.pool.is_running(trial)
                || self.later.contains_key(&trial)
                || given_up.contains(&trial);
            if is_taken {
                continue;
            }
            if !self.pool.has_room() {
                return Ok(());
            }
            let folder = self.folder.path();
            let mut arguments = ["sweep", "trial"].map(str::to_owned).to_vec();
            arguments.push(folder.display().to_string());
            arguments.push(trial.to_string());
            for module in &self.modules {
                arguments.extend(["--allow-module".to_owned(), module.clone()]);
            }
            self.pool
                .start(trial, &self.folder.log_of(trial), &arguments)?;
        }
        Ok(())
    }

    /// How a process has ended.
    fn note(&mut self, trial: usize, status: ExitStatus) {
        match status.code().map(u8::try_from) {
            Some(Ok(0 | INTERRUPTED)) => {}
            Some(Ok(BUSY)) => {
                self.later.insert(trial, Instant::now() + PAUSE);
            }
            // Its own failures are in the trial's file, and count there, too.
            _ => *self.crashes.entry(trial).or_default() += 1,
        }
    }

    /// On a terminal the table anew, elsewhere a line.
    fn show(&mut self) {
        if !std::io::stderr().is_terminal() {
            let ends = self.state.progress.iter();
            message(&format!(
                "{} of {} trials have ended a round, {} may go on, {} of at most {} steps taken{}",
                ends.filter(|it| !it.reached.is_empty()).count(),
                self.state.progress.len(),
                self.state.ready().len(),
                self.state.steps_taken(),
                self.state.plan.most,
                self.best_in_words()
            ));
            return;
        }
        let term = Term::stderr();
        let (height, width) = term.size();
        let fitting = |line: &str| -> String {
            let most = usize::from(width.max(2)) - 1;
            shown(line).chars().take(most).collect()
        };
        let table = Table::of(&self.state).text();
        let mut lines: Vec<String> = table.lines().map(fitting).collect();
        lines.truncate(usize::from(height).saturating_sub(3).max(1));
        let running: Vec<String> = self.pool.numbers().map(|it| it.to_string()).collect();
        let last = format!("running: {}{}", running.join(" "), self.best_in_words());
        lines.push(fitting(&last));
        // Nobody has to see it.
        let _ = term.clear_last_lines(self.shown);
        let _ = term.write_line(&lines.join("\n"));
        self.shown = lines.len();
    }

    fn show_last(&mut self) {
        if std::io::stderr().is_terminal() {
            self.show();
        }
    }

    fn best_in_words(&self) -> String {
        let best = self.state.best().and_then(|trial| {
            let value = self.state.progress[trial].reached.last()?.value?;
            Some(format!("; best: trial {trial}, {value}"))
        });
        best.unwrap_or_default()
    }
}
