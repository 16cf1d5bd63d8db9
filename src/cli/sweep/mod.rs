//! `yarak sweep`.

mod best;
mod failures;
mod local;
mod making;
mod trial;
mod work;

use std::io::Write;
use std::path::{Path, PathBuf};

use bevy_app::AppExit;
use clap::{Subcommand, ValueEnum};
use serde_json::json;

use super::building::Program;
use super::error::CliError;
use super::modules::Modules;
use super::print;
use crate::checkpoint::write_whole;
use crate::report::json_lines;
use crate::sweep::{
    Cluster, Standing, State, SweepError, SweepFolder, Table, commands, kubernetes, page, ray,
    slurm,
};
use best::Best;
use failures::Failures;
use trial::TrialArguments;
use work::Work;

/// Train one scene with many settings.
///
/// A sweep is a file, `Sweep(..)`, and a folder. Its trials are compared at the same steps, and which go on is a function of what they
/// came to there, and not of when: so it can be killed anywhere and ends the same, and processes, Slurm or Kubernetes can run it without
/// a driver. See docs/sweeps.md.
#[derive(Subcommand)]
pub enum SweepCommand {
    /// Check a sweep's file with its scene, and make its folder; nothing is run
    New {
        /// The sweep's RON file
        sweep: PathBuf,
        /// The sweep's folder; runs/<the name of the sweep's file> if not given
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
        #[command(flatten)]
        modules: Modules,
    },
    /// Bring the trials of a sweep to their end on this machine, or write what another engine needs for it. Exit status: 0 done, 1 a trial
    /// failed for good, 2 the input is wrong, 130 interrupted and saved
    Run(Run),
    /// Bring one trial after the other to the end of its next round, as long as there is one that may go on: as many of these as one
    /// likes, on any machines that share the sweep's folder. Exit status: 0 the sweep is over, 1 or 2 it cannot go on, 130 interrupted
    /// and saved
    Work(Work),
    /// Bring one trial to the end of its next round: nothing where that is not decided yet. Exit status: 0 done, 1 it failed and may be
    /// tried again, 2 it failed for good, 75 another process is at it, 130 interrupted and saved
    Trial(TrialArguments),
    /// Print how far a sweep is
    Status {
        /// The sweep's folder
        dir: PathBuf,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Print the best trial and the command that trains it alone
    Best {
        /// The sweep's folder
        dir: PathBuf,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Print a row for each trial
    Table {
        /// The sweep's folder
        dir: PathBuf,
        /// Print CSV
        #[arg(long, conflicts_with = "json")]
        csv: bool,
        /// Print a JSON array
        #[arg(long)]
        json: bool,
    },
    /// Make an HTML page: the best, learning curves, parallel coordinates, the importance of settings, the table
    Report {
        /// The sweep's folder
        dir: PathBuf,
        /// The file; DIR/report.html, which is made anew each time, if not given
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
}

/// `yarak sweep run`.
#[derive(clap::Args)]
pub struct Run {
    /// The sweep's folder
    dir: PathBuf,
    /// `local` trains, as many trials at once as there are cores and memory for them; `commands` prints a line for each trial that may
    /// go on now; `ray` prints the command that trains on a Ray cluster; `slurm` and `kubernetes` write their files into the sweep's
    /// folder and run nothing
    #[arg(long, value_name = "ENGINE", default_value = "local")]
    on: Engine,
    /// With local, the most trials at once
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1024))]
    jobs: Option<u64>,
    /// With kubernetes, an image that has yarak
    #[arg(long, value_name = "IMAGE", required_if_eq("on", "kubernetes"))]
    image: Option<String>,
    /// With kubernetes, the claim of the volume that has the sweep's folder and the data; it is mounted as the working directory
    #[arg(long, value_name = "CLAIM", required_if_eq("on", "kubernetes"))]
    claim: Option<String>,
    /// Print the sweep's state at the end as one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    modules: Modules,
}

/// Where trials run.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Engine {
    Local,
    Commands,
    Ray,
    Slurm,
    Kubernetes,
}

impl From<SweepError> for CliError {
    fn from(error: SweepError) -> Self {
        match error {
            SweepError::Problems(problems) => problems.into(),
            error => CliError::of(error.is_users_mistake(), &error),
        }
    }
}

/// Opens a sweep's folder, and finds out where the sweep is.
fn open(program: &Program, dir: &Path) -> Result<(SweepFolder, State), CliError> {
    let folder = SweepFolder::open(dir)?;
    let steps = program.read_scene(&folder.scene(), &[])?.steps;
    let state = State::read(&folder, steps)?;
    Ok((folder, state))
}

impl SweepCommand {
    /// Does it.
    pub fn run(&self, program: &Program) -> Result<AppExit, CliError> {
        match self {
            SweepCommand::New {
                sweep,
                dir,
                modules,
            } => {
                let program = &program.allowing(modules.with_env(None));
                making::make(program, sweep, dir.as_deref())
            }
            SweepCommand::Run(run) => run.run(program),
            SweepCommand::Work(work) => work.run(program),
            SweepCommand::Trial(trial) => trial.run(program),
            SweepCommand::Status { dir, json } => {
                let (folder, state) = open(program, dir)?;
                status(&state, &Failures::of(&folder, &state), *json)?;
                Ok(AppExit::Success)
            }
            SweepCommand::Best { dir, json } => {
                let (folder, state) = open(program, dir)?;
                let best = Best::of(&folder, &state).ok_or_else(|| {
                    CliError::input(format!(
                        "{}: no trial has ended a round with a value of `{}`",
                        dir.display(),
                        state.settings.objective.metric
                    ))
                })?;
                print(&match json {
                    true => best.json()?.to_string(),
                    false => best.text()?,
                })?;
                Ok(AppExit::Success)
            }
            SweepCommand::Table { dir, csv, json } => {
                let (folder, state) = open(program, dir)?;
                let table = Table::of(&state);
                print(&match (csv, json) {
                    (true, _) => table.csv(),
                    (_, true) => table.json().to_string(),
                    _ => table.text(),
                })?;
                // The objects of `--json` have them, and lines of CSV are trials.
                if !csv && !json {
                    for line in Failures::of(&folder, &state).lines() {
                        print(&line)?;
                    }
                }
                Ok(AppExit::Success)
            }
            SweepCommand::Report { dir, out } => report(program, dir, out.as_deref()),
        }
    }
}

impl Run {
    fn run(&self, program: &Program) -> Result<AppExit, CliError> {
        let (folder, state) = open(program, &self.dir)?;
        let files = match self.on {
            Engine::Local => {
                let exit = local::run(program, &folder, state, self)?;
                let (_, state) = open(program, &self.dir)?;
                let failures = Failures::of(&folder, &state);
                status(&state, &failures, self.json)?;
                return Ok(match exit {
                    AppExit::Success if !failures.is_empty() => AppExit::from_code(1),
                    exit => exit,
                });
            }
            Engine::Commands => {
                for line in commands(&self.dir, &state) {
                    print(&line)?;
                }
                return Ok(AppExit::Success);
            }
            Engine::Ray => {
                print(&ray(&self.dir, &state))?;
                return Ok(AppExit::Success);
            }
            Engine::Slurm => ("slurm", slurm(&self.dir, &state)),
            Engine::Kubernetes => {
                let cluster = Cluster {
                    image: self.image.as_deref().unwrap_or_default(),
                    claim: self.claim.as_deref().unwrap_or_default(),
                };
                ("kubernetes", kubernetes(&self.dir, &state, &cluster))
            }
        };
        let (name, files) = files;
        let place = folder.path().join(name);
        let failed = |path: &Path, error| CliError::failed(format!("{}: {error}", path.display()));
        std::fs::create_dir_all(&place).map_err(|error| failed(&place, error))?;
        for (file, text) in files {
            let path = place.join(file);
            write_whole(&path, true, |out| out.write_all(text.as_bytes()))
                .map_err(|error| failed(&path, error))?;
            print(&path.display().to_string())?;
        }
        Ok(AppExit::Success)
    }
}

/// Prints how far a sweep is, and what went wrong.
fn status(state: &State, failures: &Failures, is_json: bool) -> Result<(), CliError> {
    let standings: Vec<Standing> = (0..state.progress.len())
        .map(|trial| state.standing(trial))
        .collect();
    let count = |word: &str| standings.iter().filter(|it| it.word() == word).count();
    let words = ["ready", "waiting", "stopped", "done", "failed"];
    if is_json {
        let counts: serde_json::Map<String, serde_json::Value> = words
            .iter()
            .map(|word| ((*word).to_owned(), count(word).into()))
            .collect();
        let object = json!({
            "trials": standings.len(),
            "standing": counts,
            "rounds": state.plan.rounds,
            "steps_taken": state.steps_taken(),
            "most_steps": state.plan.most,
            "steps_of_all_to_the_end": state.plan.whole,
            "best": state.best().map(|trial| state.trial_json(trial)),
            "is_over": state.is_over(),
            "failures": failures.json(),
        });
        return print(&object.to_string());
    }
    let counts: Vec<String> = words
        .iter()
        .filter(|word| count(word) > 0)
        .map(|word| format!("{} {word}", count(word)))
        .collect();
    print(&format!(
        "{} trials: {}; {} of at most {} steps taken ({} with every trial to the end)",
        standings.len(),
        counts.join(", "),
        state.steps_taken(),
        state.plan.most,
        state.plan.whole
    ))?;
    if let Some(best) = state.best() {
        let reached = state.progress[best].reached.last();
        let (step, value) = reached.map_or((0, None), |it| (it.step, it.value));
        print(&format!(
            "best: trial {best}, {} {} at step {step}",
            state.settings.objective.metric,
            value.map_or("–".to_owned(), |value| value.to_string())
        ))?;
    }
    for line in failures.lines() {
        print(&line)?;
    }
    Ok(())
}

/// Writes the page.
fn report(program: &Program, dir: &Path, out: Option<&Path>) -> Result<AppExit, CliError> {
    let (folder, state) = open(program, dir)?;
    let mut curves = Vec::new();
    for lineage in &state.lineages {
        let mut runs = Vec::new();
        for seed in &state.settings.seeds {
            let run = folder
                .path()
                .join(&lineage.folder)
                .join(format!("seed_{seed}"));
            // A trial that was never begun has none.
            let rows = json_lines::read(run.join("metrics.jsonl")).unwrap_or_default();
            let points = rows.iter().filter_map(|row| {
                let value = row.get(&state.settings.objective.metric)?;
                Some((row.step as f64, value))
            });
            runs.push(points.collect());
        }
        curves.push(runs);
    }
    let command = Best::of(&folder, &state)
        .map(|best| best.command())
        .transpose()?;
    let html = page(&state, curves, command.as_deref());
    let own = folder.path().join("report.html");
    let path = out.unwrap_or(&own);
    // The page in the sweep's folder is the sweep's; no other file is replaced.
    write_whole(path, out.is_none(), |file| file.write_all(html.as_bytes()))
        .map_err(|error| CliError::failed(format!("{}: {error}", path.display())))?;
    print(&path.display().to_string())?;
    Ok(AppExit::Success)
}
