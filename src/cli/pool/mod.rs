//! Processes of this program side by side, each on cores of its own, as many as there are cores and memory for.

mod process;

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

pub use process::pin;

use super::error::CliError;
use crate::checkpoint::open_plain_with;
use crate::memory;

/// How often processes are looked at.
const LOOK: Duration = Duration::from_millis(20);

/// What one process needs.
pub struct Share {
    pub cores: u64,
    /// In GiB.
    pub memory: f64,
}

/// Processes by number.
pub struct Pool {
    /// Cores for processes that are not running yet.
    free: Vec<Vec<usize>>,
    running: BTreeMap<usize, Running>,
}

struct Running {
    child: Child,
    cores: Vec<usize>,
}

impl Pool {
    /// Room for processes of this size, and for so many at most.
    ///
    /// # Errors
    /// There is not the memory for one.
    pub fn new(share: &Share, jobs: Option<u64>) -> Result<Self, CliError> {
        let cores = process::cores();
        let each = (share.cores as usize).min(cores.len()).max(1);
        let mut free: Vec<Vec<usize>> = cores.chunks_exact(each).map(<[usize]>::to_vec).collect();
        if let Some(available) = memory::available() {
            let fit = (available as f64 / (share.memory * f64::from(1 << 30))) as usize;
            if fit == 0 {
                return Err(CliError::input(format!(
                    "a run needs {} GiB of memory, as `needs` says, and {} are free; free some, or lower needs.memory",
                    share.memory,
                    memory::in_words(available)
                )));
            }
            free.truncate(fit);
        }
        if let Some(jobs) = jobs {
            free.truncate(jobs as usize);
        }
        Ok(Pool {
            free,
            running: BTreeMap::new(),
        })
    }

    /// Whether one more may run.
    pub fn has_room(&self) -> bool {
        !self.free.is_empty()
    }

    /// Whether this number runs.
    pub fn is_running(&self, number: usize) -> bool {
        self.running.contains_key(&number)
    }

    /// The numbers that run.
    pub fn numbers(&self) -> impl Iterator<Item = usize> + '_ {
        self.running.keys().copied()
    }

    /// Whether nothing runs.
    pub fn is_empty(&self) -> bool {
        self.running.is_empty()
    }

    /// Starts this program with arguments, on cores of its own; what it says goes to the end of the file `log`, whose folder is made.
    ///
    /// # Errors
    /// The file or the process cannot be made.
    pub fn start(
        &mut self,
        number: usize,
        log: &Path,
        arguments: &[String],
    ) -> Result<(), CliError> {
        let Some(cores) = self.free.pop() else {
            return Ok(());
        };
        match spawn(&cores, log, arguments) {
            Ok(child) => {
                self.running.insert(number, Running { child, cores });
                Ok(())
            }
            Err(error) => {
                self.free.push(cores);
                Err(error)
            }
        }
    }

    /// Waits a moment, and gives those that have ended.
    ///
    /// # Errors
    /// The operating system does not say how one ended.
    pub fn wait(&mut self) -> Result<Vec<(usize, ExitStatus)>, CliError> {
        thread::sleep(LOOK);
        let mut ended = Vec::new();
        for (number, running) in &mut self.running {
            if let Some(status) = running.child.try_wait().map_err(CliError::failed)? {
                ended.push((*number, status));
            }
        }
        for (number, _) in &ended {
            let gone = self.running.remove(number);
            self.free.extend(gone.map(|running| running.cores));
        }
        Ok(ended)
    }

    /// Asks all to save and end, and waits until they have.
    pub fn end(&mut self) {
        for running in self.running.values_mut() {
            // Once: a second time would end it without saving.
            process::ask_to_end(&mut running.child);
        }
        for (_, mut running) in std::mem::take(&mut self.running) {
            let _ = running.child.wait();
        }
    }
}

fn spawn(cores: &[usize], log: &Path, arguments: &[String]) -> Result<Child, CliError> {
    let failed = |path: &Path, error| CliError::failed(format!("{}: {error}", path.display()));
    if let Some(folder) = log.parent() {
        fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
    }
    let opened = open_plain_with(OpenOptions::new().create(true).append(true), log);
    let opened = opened.map_err(|error| failed(log, error))?;
    let program = std::env::current_exe().map_err(CliError::failed)?;
    let listed: Vec<String> = cores.iter().map(usize::to_string).collect();
    let mut command = Command::new(&program);
    command
        .args(arguments)
        .args(["--threads", &cores.len().to_string()])
        .args(["--cores", &listed.join(",")])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(opened);
    // Ctrl-C is this process's to pass on.
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    command.spawn().map_err(|error| failed(&program, error))
}
