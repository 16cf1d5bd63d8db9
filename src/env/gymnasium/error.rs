//! What can go wrong with Python at the other end.

/// Why environments of Python's Gymnasium do not start, or stopped.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BridgeError {
    /// Python does not start.
    #[error(
        "{environment}: `{python}` does not start: {what}; let YARAK_PYTHON name a Python that has the package gymnasium"
    )]
    NoPython {
        /// The environment.
        environment: String,
        /// The program that was tried.
        python: String,
        /// The system's words.
        what: String,
    },
    /// Python ended, or kept silent, before it said anything.
    #[error(
        "{environment}: `{python}` started and {what}; what it said itself is above. Let YARAK_PYTHON name a Python that has the package gymnasium"
    )]
    NoGreeting {
        /// The environment.
        environment: String,
        /// The program.
        python: String,
        /// How it went.
        what: String,
    },
    /// The system refused what the bridge needs.
    #[error(
        "{environment}: could not {action}: {what}; check that the folder for temporary files can be written and has a short path"
    )]
    Io {
        /// The environment.
        environment: String,
        /// What was tried.
        action: &'static str,
        /// The system's words.
        what: String,
    },
    /// An exception in Python.
    #[error("{environment}: Python raised an exception {doing}:\n{traceback}")]
    Raised {
        /// The environment.
        environment: String,
        /// What it did then, such as `in step of environment 3`.
        doing: String,
        /// Python's own traceback.
        traceback: String,
    },
    /// The environment does what Gymnasium's interface does not have, or has spaces that nobody here acts in.
    #[error("{environment}: {what}")]
    Refused {
        /// The environment.
        environment: String,
        /// Where, what, and the remedy.
        what: String,
    },
    /// The run was asked to stop while Python was at work.
    #[error(
        "{environment}: it had not answered {doing} when the run was asked to stop, so its Python process was ended"
    )]
    Stopped {
        /// The environment.
        environment: String,
        /// What it was asked for.
        doing: &'static str,
    },
    /// The process has ended.
    #[error(
        "{environment}: its Python process ended in the middle of the run ({status}); look for what killed it, such as the system's memory limit or a crash in the environment's own code"
    )]
    Died {
        /// The environment.
        environment: String,
        /// The process's status, such as `signal: 9 (SIGKILL)`.
        status: String,
    },
    /// No answer in time.
    #[error(
        "{environment}: no answer for {seconds} s {doing}{state}, so it was ended; environments that are learned in may take as long as `Environments.gymnasium.seconds` says"
    )]
    Hangs {
        /// The environment.
        environment: String,
        /// The time that it had.
        seconds: f64,
        /// What it was asked for.
        doing: &'static str,
        /// What the process did meanwhile, where that is known.
        state: &'static str,
    },
    /// An answer that no worker gives.
    #[error(
        "{environment}: its Python process answered {what}, which is a fault in yarak; report it"
    )]
    Answer {
        /// The environment.
        environment: String,
        /// What came.
        what: String,
    },
    /// An observation that is NaN or infinite.
    #[error(
        "{environment}: observation[{index}] of environment {row} is {value}; mend the environment, as no network learns from it"
    )]
    NotFinite {
        /// The environment.
        environment: String,
        /// Which of the environments.
        row: usize,
        /// Which element.
        index: usize,
        /// Its value.
        value: f32,
    },
    /// A reward that is NaN or infinite, or beyond what float32 holds.
    #[error(
        "{environment}: the reward of environment {row} is {value:e}, and float32 holds numbers up to 3.4e38; mend the environment, as no network learns from it"
    )]
    RewardNotFinite {
        /// The environment.
        environment: String,
        /// Which of the environments.
        row: usize,
        /// Its value.
        value: f64,
    },
    /// The bridge is made of Unix's sockets.
    #[error("{environment}: the bridge to Python's Gymnasium works on Unix alone")]
    NotHere {
        /// The environment.
        environment: String,
    },
}
