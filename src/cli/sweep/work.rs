//! `yarak sweep work`: one trial after the other, for as long as there is one that may go on.

use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use bevy_app::AppExit;
use clap::Args;

use super::super::building::Program;
use super::super::error::CliError;
use super::super::modules::Modules;
use super::super::train::stop_on_signals;
use super::super::{INTERRUPTED, print, threads_or_all};
use super::open;
use super::trial::{Ended, in_words, train_round};
use crate::nn::set_threads;
use crate::schedule::stop_requested;
use crate::sweep::{Standing, State, SweepError, SweepFolder};
use crate::terminal::message;

/// How long is waited before looking again, where other processes are at all trials that may go on.
const PAUSE: Duration = Duration::from_secs(1);

#[derive(Args)]
pub struct Work {
    /// The sweep's folder
    dir: PathBuf,
    /// Threads to compute with; all cores if not given. Results do not depend on it, bit for bit
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1024))]
    threads: Option<u64>,
    #[command(flatten)]
    modules: Modules,
}

impl Work {
    /// Works until the sweep is over.
    pub fn run(&self, program: &Program) -> Result<AppExit, CliError> {
        let program = &program.allowing(self.modules.with_env(None));
        stop_on_signals()?;
        set_threads(threads_or_all(self.threads));
        let (folder, mut state) = open(program, &self.dir)?;
        loop {
            let ready = state.ready();
            if ready.is_empty() {
                return Ok(AppExit::Success);
            }
            match self.take(program, &folder, &ready)? {
                Some((ended, now)) => {
                    state = now;
                    match ended {
                        Ended::Reached => {}
                        Ended::Failed(error) => message(&error.to_string()),
                        Ended::Interrupted => return Ok(AppExit::from_code(INTERRUPTED)),
                    }
                }
                None => {
                    thread::sleep(PAUSE);
                    (_, state) = open(program, &self.dir)?;
                }
            }
            if stop_requested() {
                return Ok(AppExit::from_code(INTERRUPTED));
            }
        }
    }

    /// Brings the first of these trials that no other process has to the end of its round, and says how the sweep stands then; none
    /// where others have all.
    fn take(
        &self,
        program: &Program,
        folder: &SweepFolder,
        ready: &[usize],
    ) -> Result<Option<(Ended, State)>, CliError> {
        for trial in ready {
            let _held = match folder.hold_trial(*trial) {
                Err(SweepError::InUse { .. }) => continue,
                held => held?,
            };
            // Another process may have brought it further before this one held it.
            let (_, state) = open(program, &self.dir)?;
            let Standing::Ready(round) = state.standing(*trial) else {
                continue;
            };
            let ended = train_round(program, folder, state, *trial, round)?;
            let (_, state) = open(program, &self.dir)?;
            print(&in_words(&state, *trial))?;
            return Ok(Some((ended, state)));
        }
        Ok(None)
    }
}
