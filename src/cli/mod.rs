//! The program: one file a subcommand.
//!
//! A binary of your own registers its plugins and then has the whole command line:
//!
//! ```no_run
//! use yarak::prelude::*;
//!
//! fn main() -> AppExit {
//!     yarak::cli::run(|app| {
//!         app.register_for_scenes::<Bc>();
//!     })
//! }
//! ```

mod bench;
mod best_again;
mod building;
mod collect;
mod data;
mod error;
mod eval;
mod export;
mod file_size_limit;
mod fork;
mod graph;
mod hang_up;
mod import;
mod kept_memory;
mod list;
mod modules;
mod new;
mod order;
mod playing;
mod pool;
mod printing;
mod ready;
mod replay;
mod report;
mod scene;
mod scores;
mod seeds;
mod stacked;
mod suite;
mod sweep;
mod template;
mod train;
mod values;

use std::any::Any;
use std::ffi::OsString;
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use bevy_app::{App, AppExit};
use clap::{Parser, Subcommand};

use building::Program;
use error::CliError;
use printing::{print, written};

use crate::env::gymnasium::close_idle;
use crate::schedule::stop_requested;
use crate::terminal::{heed, message, shown};

/// Exit status of a run that Ctrl-C ended: 128 and the signal's number, as shells have it.
const INTERRUPTED: u8 = 130;

/// The threads that were asked for; all cores where none were.
fn threads_or_all(asked: Option<u64>) -> usize {
    asked.map_or_else(
        || thread::available_parallelism().map_or(1, usize::from),
        |threads| threads as usize,
    )
}

/// Reinforcement learning as a Bevy schedule.
///
/// A run is a scene: a RON file that lists plugins. Train one, then look at what it left in its folder:
///
///   yarak train scenes/pendulum_td3_bc.ron
///   yarak report runs/pendulum_td3_bc
///   yarak eval runs/pendulum_td3_bc
///
/// Exit status: 0 done; 1 the run failed; 2 the input was wrong and nothing was started; 130 interrupted, resumable.
#[derive(Parser)]
#[command(name = "yarak", version, verbatim_doc_comment)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    New(new::New),
    Train(train::Train),
    Eval(eval::Eval),
    Export(export::Export),
    Collect(collect::Collect),
    Graph(graph::Graph),
    /// Check scenes, or print templates for them
    #[command(subcommand)]
    Scene(scene::SceneCommand),
    List(list::List),
    /// Look into datasets
    #[command(subcommand)]
    Data(data::DataCommand),
    Report(report::Report),
    #[command(subcommand)]
    Sweep(sweep::SweepCommand),
    Suite(suite::Suite),
    Replay(replay::Replay),
    /// Measure what this machine reaches
    Bench(bench::Bench),
}

/// Runs the command line of this process. `register` makes plugins of your own known to scenes.
pub fn run(register: impl Fn(&mut App) + Send + Sync + 'static) -> AppExit {
    kept_memory::keep();
    file_size_limit::let_writes_fail();
    run_with(register, std::env::args_os())
}

/// Runs the given command line, the program's own name first.
pub fn run_with(
    register: impl Fn(&mut App) + Send + Sync + 'static,
    arguments: impl IntoIterator<Item = OsString>,
) -> AppExit {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    // Names of files and folders may be somebody else's.
    for word in &arguments {
        heed(&word.to_string_lossy());
    }
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        Err(said) => return answer(&said, &arguments),
    };
    let program = Program::new(register);
    let run = || match cli.command {
        Command::New(new) => new.run(),
        Command::Train(train) => train.run(&program),
        Command::Eval(eval) => eval.run(&program),
        Command::Export(export) => export.run(),
        Command::Collect(collect) => collect.run(&program),
        Command::Graph(graph) => graph.run(&program),
        Command::Scene(scene) => scene.run(&program),
        Command::List(list) => list.run(&program),
        Command::Data(data) => data.run(),
        Command::Report(report) => report.run(&program),
        Command::Suite(suite) => suite.run(&program),
        Command::Sweep(sweep) => sweep.run(&program),
        Command::Replay(replay) => replay.run(&program),
        Command::Bench(bench) => bench.run(),
    };
    // A panic is a bug, and still ends with an exit status that scripts know.
    let done = catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        Err(CliError::failed(format!(
            "it panicked: {}\nThis is a bug in a plugin or in yarak. The checkpoints that were saved are kept",
            words_of(&*panic)
        )))
    });
    close_idle();
    match done {
        Ok(exit) => exit,
        Err(error) => {
            message(&error.to_string());
            // Nothing was started, and nothing was to be.
            let is_stopped = error.status() == 2 && stop_requested();
            AppExit::from_code(if is_stopped {
                INTERRUPTED
            } else {
                error.status()
            })
        }
    }
}

/// What clap has to say: help and the version, which are results, or what is wrong with the command line.
fn answer(said: &clap::Error, arguments: &[OsString]) -> AppExit {
    let status = u8::try_from(said.exit_code()).unwrap_or(2);
    if said.use_stderr() {
        let mut words = arguments.iter().map(|word| word.to_string_lossy());
        match words.find(|word| *shown(word) != **word) {
            None => drop(said.print()),
            // clap would show it as it is.
            Some(word) => message(&format!("error: {}: `{word}`; see --help", said.kind())),
        }
        return AppExit::from_code(status);
    }
    match written(said.print().and_then(|()| io::stdout().flush())) {
        Ok(()) => AppExit::from_code(status),
        Err(error) => {
            message(&error.to_string());
            AppExit::from_code(error.status())
        }
    }
}

/// What a panic said.
fn words_of(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message")
}
