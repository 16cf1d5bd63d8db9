//! `yarak suite`.

mod scores;

use std::path::{Path, PathBuf};

use bevy_app::AppExit;
use clap::Args;

use super::building::{For, Program, folders_of};
use super::error::CliError;
use super::modules::Modules;
use super::pool::{Pool, Share};
use super::train::stop_on_signals;
use super::{INTERRUPTED, print, ready};
use crate::checkpoint::{FolderLock, NotLocked};
use crate::evaluate::Evaluation;
use crate::report::EarlyStopping;
use crate::scene::quoted;
use crate::schedule::stop_requested;
use crate::sweep::SuiteFile;
use crate::terminal::message;
use scores::{End, Row, Scores};

/// Train several scenes on several datasets with several seeds, and print one table.
///
/// Each run has a folder, DIR/SCENE/seed_0 or DIR/SCENE_DATASET/seed_0. The command goes on with what is there, so it can be interrupted
/// or killed, and repeats nothing: given again, it prints the table. Returns are those of the last evaluation; ± is the 95% interval of
/// the mean by the bootstrap over seeds, IQM the mean of the middle half of the seeds. A run that has not come to its end is not counted,
/// and named under the table.
#[derive(Args)]
pub struct Suite {
    /// The suite's RON file
    suite: PathBuf,
    /// The suite's folder; runs/<the name of the suite's file> if not given
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// The most runs at once; as many as there are cores and memory for if not given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1024))]
    jobs: Option<u64>,
    /// Train nothing, and print what there is
    #[arg(long)]
    no_train: bool,
    /// Print CSV with a line for each seed: scene, dataset, its SHA-256, step, last and best return, normalized score
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    /// Print a JSON array
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    modules: Modules,
}

/// A scene on a dataset.
struct Entry {
    /// Its folder in the suite's.
    name: String,
    scene: PathBuf,
    /// `None`: the scene's own.
    dataset: Option<PathBuf>,
    /// The environment that it is evaluated in.
    env: Option<String>,
    end: End,
}

impl Suite {
    /// Trains what is left to train, and prints the table.
    pub fn run(&self, program: &Program) -> Result<AppExit, CliError> {
        let program = &program.allowing(self.modules.with_env(None));
        let suite = SuiteFile::read(&self.suite)?;
        let entries = self.entries(program, &suite)?;
        let named = || Path::new("runs").join(self.suite.file_stem().unwrap_or("suite".as_ref()));
        let dir = self.dir.clone().unwrap_or_else(named);
        let exit = match self.no_train {
            true => AppExit::Success,
            false => self.train(&suite, &entries, &dir)?,
        };
        let scores = Scores(
            entries
                .iter()
                .map(|entry| {
                    let env = entry.env.as_deref();
                    Row::read(&dir, &entry.name, env, entry.end, &suite.seeds)
                })
                .collect::<Result<_, _>>()?,
        );
        if self.csv {
            // Whoever reads the lines by a program sees them elsewhere.
            scores.not_counted().iter().for_each(|line| message(line));
        }
        print(&match (self.csv, self.json) {
            (true, _) => scores.csv(),
            (_, true) => scores.json().to_string(),
            _ => scores.text(),
        })?;
        Ok(exit)
    }

    /// Each scene with each dataset. Everything that can be wrong is found before the first run starts.
    fn entries(&self, program: &Program, suite: &SuiteFile) -> Result<Vec<Entry>, CliError> {
        let near = |path: &PathBuf| {
            let near = self.suite.with_file_name("").join(path);
            if near.exists() { near } else { path.clone() }
        };
        let mut entries: Vec<Entry> = Vec::new();
        for group in &suite.groups {
            let datasets: Vec<Option<PathBuf>> = match group.datasets.as_slice() {
                [] => vec![None],
                datasets => datasets.iter().map(|path| Some(near(path))).collect(),
            };
            let scenes = group.scenes.iter().map(near);
            let pairs = scenes.flat_map(|scene| datasets.iter().map(move |it| (scene.clone(), it)));
            for (scene, dataset) in pairs {
                let stem = |path: &Path| path.file_stem().unwrap_or_default().display().to_string();
                let mut name = stem(&scene);
                if let Some(dataset) = dataset {
                    name = format!("{name}_{}", stem(dataset));
                }
                if entries.iter().any(|entry| entry.name == name) {
                    let message = format!("two runs would have the folder {name}");
                    let help = "give the files different names";
                    return Err(suite.problem("groups", message, help).into());
                }
                let read = program.read_scene(&scene, &overrides(suite, dataset.as_deref(), 0))?;
                program.check_modules(&read)?;
                let app = program.app(&read, read.seed, folders_of(&scene), For::Looking)?;
                ready::check(&app, &read)?;
                let evaluation = read.settings::<Evaluation>();
                entries.push(Entry {
                    name,
                    env: evaluation.map(|it| it.env.clone()),
                    end: End {
                        steps: read.steps,
                        may_be_earlier: read.epochs.is_some()
                            || read.settings::<EarlyStopping>().is_some(),
                    },
                    scene: scene.clone(),
                    dataset: dataset.clone(),
                });
            }
        }
        Ok(entries)
    }

    /// Brings every run to its end.
    fn train(&self, suite: &SuiteFile, entries: &[Entry], dir: &Path) -> Result<AppExit, CliError> {
        let _held = hold(dir)?;
        stop_on_signals()?;
        let share = Share {
            cores: suite.needs.cores,
            memory: suite.needs.memory,
        };
        let mut pool = Pool::new(&share, self.jobs)?;
        let runs: Vec<(&Entry, u64)> = entries
            .iter()
            .flat_map(|entry| suite.seeds.iter().map(move |seed| (entry, *seed)))
            .collect();
        let (mut next, mut done, mut failed) = (0, 0, Vec::new());
        loop {
            while next < runs.len() && pool.has_room() && !stop_requested() {
                let (entry, seed) = runs[next];
                let run = dir.join(&entry.name).join(format!("seed_{seed}"));
                let log = dir.join(&entry.name).join(format!("seed_{seed}.log"));
                pool.start(next, &log, &self.arguments(suite, entry, seed, &run))?;
                next += 1;
            }
            if stop_requested() {
                pool.end();
                message("interrupted; go on with the same command");
                return Ok(AppExit::from_code(INTERRUPTED));
            }
            if pool.is_empty() {
                break;
            }
            for (number, status) in pool.wait()? {
                let (entry, seed) = runs[number];
                done += 1;
                let name = format!("{} seed {seed}", entry.name);
                let how = if status.success() { "done" } else { "failed" };
                message(&format!("{done}/{}: {name} {how}", runs.len()));
                if !status.success() {
                    failed.push((number, name));
                }
            }
        }
        if failed.is_empty() {
            return Ok(AppExit::Success);
        }
        // In the suite's order, and not in that of their ends.
        failed.sort();
        let names: Vec<&str> = failed.iter().map(|(_, name)| &**name).collect();
        message(&format!(
            "error: {} of {} runs failed: {}; see seed_N.log in their folders, and go on with the same command",
            failed.len(),
            runs.len(),
            names.join(", ")
        ));
        Ok(AppExit::from_code(1))
    }

    /// The command line of one run.
    fn arguments(&self, suite: &SuiteFile, entry: &Entry, seed: u64, run: &Path) -> Vec<String> {
        let mut arguments = vec!["train".to_owned(), entry.scene.display().to_string()];
        arguments.extend(["--run".to_owned(), run.display().to_string()]);
        arguments.extend(["--resume", "auto"].map(str::to_owned));
        for setting in overrides(suite, entry.dataset.as_deref(), seed) {
            arguments.extend(["--set".to_owned(), setting]);
        }
        for module in self.modules.with_env(None) {
            arguments.extend(["--allow-module".to_owned(), module]);
        }
        arguments
    }
}

/// What a suite changes in a scene.
fn overrides(suite: &SuiteFile, dataset: Option<&Path>, seed: u64) -> Vec<String> {
    let mut overrides = suite.set.clone();
    overrides.extend([format!("seed={seed}"), "seeds=[]".to_owned()]);
    let dataset = dataset.map(|path| quoted(&path.display().to_string()));
    overrides.extend(dataset.map(|path| format!("Dataset.path={path}")));
    overrides
}

/// Keeps other processes from a suite's folder.
fn hold(dir: &Path) -> Result<FolderLock, CliError> {
    let failed = |error| CliError::failed(format!("{}: {error}", dir.display()));
    std::fs::create_dir_all(dir).map_err(failed)?;
    FolderLock::take(dir).map_err(|refused| match refused {
        NotLocked::Held(holder) => CliError::input(format!(
            "{}: {holder} is at it; wait for it, or stop it",
            dir.display()
        )),
        NotLocked::Io(error) => failed(error),
    })
}
