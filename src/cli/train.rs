//! `yarak train`.

use std::fs::OpenOptions;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Component, Path, PathBuf};
use std::sync::Mutex;
use std::thread;

use bevy_app::{App, AppExit};
use clap::Args;

use super::best_again::find_best_again;
use super::building::{For, Program, folders_of};
use super::error::CliError;
use super::fork::{Fork, Parent};
use super::modules::Modules;
use super::playing::{Played, best_on_fresh_episodes, first_seed};
use super::pool::pin;
use super::ready::{
    WHERE_FILES_ARE, check_scales, check_that_environments_are_there, check_that_evaluation_starts,
    check_that_it_learns, environments_of, warnings,
};
use super::scores::{Scores, over_seeds};
use super::seeds::seeds_of;
use super::stacked::{self, StackApp, StackedRun};
use super::{INTERRUPTED, hang_up, print, threads_or_all, words_of};
use crate::app::{warn_of_metrics_that_never_came, what_was_not_learned};
use crate::checkpoint::{
    Best, Checkpoints, DatasetRecord, Manifest, Resume, ResumeFrom, RunFolder, RunFolderError,
    Start, Versions, default_run_folder, finish_writing, open_plain_with, saved_steps,
    step_folder_name,
};
use crate::data::hdf5::files_of;
use crate::data::{Dataset, SharedDataset, preload};
use crate::env::registry;
use crate::evaluate::{Episodes, Evaluation, Validation};
use crate::learner::ComputeDevice;
use crate::nn::set_threads;
use crate::report::console::Console;
use crate::report::{ConsolePlugin, Reported, Reports, RunDirectory, finish_progress};
use crate::scene::{Scene, quoted};
use crate::schedule::{Clock, EndNow, Outcome, Training, request_stop, with_causes};
use crate::terminal::message;

/// Train a scene.
///
/// Everything the run leaves is in one folder: the resolved scene, a manifest, metrics, checkpoints, scores, a log. Ctrl-C finishes the
/// step, saves, and says how to resume. Returns are means, ± their standard errors.
#[derive(Args)]
pub struct Train {
    /// The scene's RON file; with --fork, the settings of the checkpoint's run if not given
    #[arg(required_unless_present = "fork")]
    scene: Option<PathBuf>,
    /// Override any value, as in `--set Td3Bc.alpha=1.0 --set seed=3`
    #[arg(long = "set", value_name = "PATH=VALUE")]
    overrides: Vec<String>,
    /// The run's folder; runs/<the name of the scene's file> if not given
    #[arg(long, value_name = "DIR")]
    run: Option<PathBuf>,
    /// Where to go on from: `never` refuses a folder that is not empty, `auto` takes the latest good checkpoint, `restart` sets aside
    /// what a run has left whose checkpoints are all lost
    #[arg(
        long,
        value_name = "auto|never|restart|CHECKPOINT",
        default_value = "never"
    )]
    resume: Resume,
    /// Begin a new run with another's checkpoint and other settings, as in `--fork runs/a/checkpoints/latest --set Td3Bc.alpha=1.0`
    ///
    /// Everything that a resumed run has is carried on: networks, targets, optimizers, counters, random streams, buffers. With no setting
    /// changed the fork goes on bit for bit as its parent would. The best score so far and the patience of early stopping begin anew
    /// where more is changed than how long the run is and how often it reports. A setting of how something begins, such as an initial temperature, has had its effect. What the
    /// checkpoint could not be read with is refused: another seed, other data or environments, another algorithm, networks of another
    /// shape. The manifest names the parent and what was changed.
    #[arg(long, value_name = "CHECKPOINT", conflicts_with_all = ["debug", "seeds"])]
    fork: Option<PathBuf>,
    /// Where to compute
    #[arg(long, value_name = "cpu|cuda[:N]|vulkan[:N]|auto")]
    device: Option<String>,
    /// Learn from these data instead of the scene's: an HDF5 file, an `.npz` archive, or Minari's or LeRobot's folder
    #[arg(long, value_name = "FILE")]
    dataset: Option<String>,
    /// Give the run this name, and the folder runs/NAME if --run is not given
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Try the scene out: two epochs of three steps (on policy: one round), saved and scored on two episodes, in a new folder for
    /// temporary files
    #[arg(long, conflicts_with_all = ["steps", "run", "resume"])]
    debug: bool,
    /// Train for so many steps instead of the scene's
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    steps: Option<u64>,
    /// Train one learner for each of these seeds, side by side, each into a folder of its own (seed_0, seed_1, ...); `0..64` are the
    /// seeds from 0 to 63
    #[arg(long, value_name = "0,1,2", value_delimiter = ',', value_parser = seeds_of)]
    seeds: Vec<Range<u64>>,
    /// Train the seeds as one stack: their networks are members of one network, so that a gradient step costs a card the same launches
    /// however many seeds there are
    ///
    /// Each learner has the folder, reports and checkpoints that its lone run has. It is for `Bc`, `Iql` and `Td3Bc` with `Mlp` encoders
    /// and data in memory; what it cannot do is refused by name. docs/devices.md has more of it.
    #[arg(long)]
    stacked: bool,
    /// Threads to compute with; all cores if not given. Results do not depend on it, bit for bit
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1024))]
    threads: Option<u64>,
    /// Run on these processor cores alone, where the system knows how
    #[arg(long, value_name = "0,1", value_delimiter = ',')]
    cores: Vec<usize>,
    #[command(flatten)]
    modules: Modules,
}

/// Makes Ctrl-C finish the step and save. A second signal ends the process at once: the last checkpoint is kept.
pub(super) fn stop_on_signals() -> Result<(), CliError> {
    /// One handler serves every run of the process, and a second cannot be set.
    static SET: Mutex<bool> = Mutex::new(false);
    let mut set = locked(&SET);
    if !*set {
        let handler = || {
            if crate::schedule::stop_requested() {
                std::process::exit(i32::from(INTERRUPTED));
            }
            request_stop();
            message("stopping: the run is saved after this step; once more ends it at once");
        };
        let outlives_its_terminal = hang_up::is_ignored();
        match ctrlc::set_handler(handler) {
            // A program that has one already, such as an app of Bevy's that ran before, keeps its own.
            Ok(()) | Err(ctrlc::Error::MultipleHandlers) => {}
            Err(error) => return Err(CliError::failed(error)),
        }
        if outlives_its_terminal {
            hang_up::ignore();
        }
        *set = true;
    }
    Ok(())
}

/// Where a run's settings come from.
struct Source {
    /// The scene's file.
    scene: PathBuf,
    /// The checkpoint that the run begins with.
    parent: Option<Parent>,
}

/// How one learner's run ended.
struct Ended {
    outcome: Outcome,
    folder: PathBuf,
    /// Whether the run keeps checkpoints.
    is_saved: bool,
    scores: Scores,
}

impl Train {
    /// One run of a sweep's trial, from where it is, or from the checkpoint of another.
    pub(super) fn of_trial(
        scene: PathBuf,
        overrides: Vec<String>,
        run: PathBuf,
        fork: Option<PathBuf>,
    ) -> Self {
        Train {
            scene: Some(scene),
            overrides,
            run: Some(run),
            resume: Resume::Auto,
            fork,
            device: None,
            dataset: None,
            name: None,
            debug: false,
            steps: None,
            seeds: Vec::new(),
            stacked: false,
            threads: None,
            cores: Vec::new(),
            modules: Modules::default(),
        }
    }

    /// Trains one learner, and plays nothing more at its end. What its scene may import is the program's to know.
    pub(super) fn train_alone(
        &self,
        program: &Program,
        console: &Console,
    ) -> Result<Outcome, CliError> {
        let source = self.source()?;
        let scene = self.read_scene(program, &source)?;
        program.check_modules(&scene)?;
        let folder = self.run.clone().unwrap_or_default();
        let console = &console.of_learner();
        let learner = self.prepare(
            program,
            &source,
            &scene,
            &folder,
            (console, ""),
            &self.resume,
        )?;
        let (ended, _held) = learner.train()?;
        Ok(ended.outcome)
    }

    /// Trains.
    pub fn run(&self, program: &Program) -> Result<AppExit, CliError> {
        // Before threads are started, which take it over.
        pin(&self.cores);
        let program = &program.allowing(self.modules.with_env(None));
        let source = self.source()?;
        let scene = self.read_scene(program, &source)?;
        program.check_modules(&scene)?;
        let folder = match (&self.run, &self.name) {
            _ if self.debug => temporary_folder()?,
            (Some(folder), _) => folder.clone(),
            (None, Some(name)) => folder_of_name(name)?,
            (None, None) if source.parent.is_some() => {
                return Err(CliError::input(
                    "--fork: the new run needs a folder of its own; give it with --run DIR or --name NAME",
                ));
            }
            (None, None) => default_run_folder(&source.scene),
        };
        if source.parent.is_some() && matches!(self.resume, Resume::From(_)) {
            return Err(CliError::input(
                "--fork and --resume CHECKPOINT both say where the run begins; keep one of them",
            ));
        }
        stop_on_signals()?;
        let console = Console::stderr();
        let threads = threads_or_all(self.threads);
        let ended = if scene.seeds.is_empty() {
            if self.stacked {
                return Err(CliError::input(stacked::TOO_FEW));
            }
            set_threads(threads);
            vec![self.train_one(program, &source, &scene, &folder, &console, "")?]
        } else if source.parent.is_some() {
            return Err(CliError::input(
                "--fork: a checkpoint has the state of one learner; take `seeds` out of the scene",
            ));
        } else if self.stacked {
            set_threads(threads);
            self.train_stacked(program, &source, &scene, &folder, &console)?
        } else {
            self.train_seeds(program, &source, &scene, &folder, &console, threads)?
        };
        self.conclude(&ended)
    }

    /// Where the settings come from.
    fn source(&self) -> Result<Source, CliError> {
        let parent = self.fork.as_deref().map(Parent::find).transpose()?;
        let of_parent = || parent.as_ref().map(|it| it.scene_file().to_path_buf());
        let scene = self.scene.clone().or_else(of_parent).unwrap_or_default();
        Ok(Source { scene, parent })
    }

    /// The scene with what the command line changes in it.
    fn read_scene(&self, program: &Program, source: &Source) -> Result<Scene, CliError> {
        let file = &source.scene;
        if let Some(device) = &self.device {
            device.parse::<ComputeDevice>().map_err(CliError::input)?;
        }
        let mut overrides = self.overrides.clone();
        overrides.extend(self.steps.map(|steps| format!("steps={steps}")));
        overrides.extend(self.device.iter().map(|device| format!("device={device}")));
        if self.dataset.is_some()
            && program
                .read_scene(file, &[])?
                .settings::<Dataset>()
                .is_none()
        {
            return Err(CliError::input(format!(
                "--dataset: {} has no `Dataset`; add Dataset(path: \"FILE\") to its plugins",
                file.display()
            )));
        }
        if let (None, None, Some(parent)) = (&self.scene, &self.dataset, &source.parent)
            && let Some(data) = parent.dataset()
        {
            // The parent may have been started in another folder.
            let data = quoted(&data.display().to_string());
            overrides.insert(0, format!("Dataset.path={data}"));
        }
        let dataset = self.dataset.as_ref().map(|file| quoted(file));
        overrides.extend(dataset.map(|file| format!("Dataset.path={file}")));
        let name = self.name.as_ref().map(|name| quoted(name));
        overrides.extend(name.map(|name| format!("name={name}")));
        if !self.seeds.is_empty() {
            let seeds: Vec<u64> = self.seeds.iter().cloned().flatten().collect();
            overrides.push(format!("seeds={seeds:?}"));
        }
        let scene = program.read_scene(file, &overrides)?;
        if !self.debug {
            return Ok(scene);
        }
        // What was asked for by itself comes behind, and holds.
        let mut debug = tried_out(&scene);
        debug.extend(overrides.iter().cloned());
        if let Some(algorithm) = program.algorithm(&scene) {
            for setting in [
                "minibatch.steps_per_epoch=3",
                "off_policy.learning_starts=0",
            ] {
                let mut more = vec![format!("{algorithm}.{setting}")];
                more.extend(debug.iter().cloned());
                // Not every algorithm has both.
                if program.read_scene(file, &more).is_ok() {
                    debug = more;
                }
            }
        }
        program.read_scene(file, &debug)
    }

    /// One learner for each seed, as many at a time as there are threads.
    fn train_seeds(
        &self,
        program: &Program,
        source: &Source,
        scene: &Scene,
        folder: &Path,
        console: &Console,
        threads: usize,
    ) -> Result<Vec<Ended>, CliError> {
        let alone = alone(scene)?;
        // Everything that can be wrong is found before the first learner starts.
        for (_, scene) in &alone {
            let _ = program.app(scene, scene.seed, folders_of(&source.scene), For::Looking)?;
        }
        let queue = Mutex::new(alone.iter());
        let results = Mutex::new(Vec::new());
        let side_by_side = threads.min(alone.len());
        thread::scope(|scope| {
            for _ in 0..side_by_side {
                scope.spawn(|| {
                    set_threads(threads / side_by_side);
                    loop {
                        let Some((name, scene)) = locked(&queue).next() else {
                            return;
                        };
                        let folder = folder.join(name);
                        let ended = self.train_one(program, source, scene, &folder, console, name);
                        locked(&results).push((scene.seed, ended));
                    }
                });
            }
        });
        let mut results = results
            .into_inner()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        results.sort_by_key(|(seed, _)| scene.seeds.iter().position(|there| there == seed));
        results.into_iter().map(|(_, ended)| ended).collect()
    }

    /// Trains one learner, and scores it.
    fn train_one(
        &self,
        program: &Program,
        source: &Source,
        scene: &Scene,
        folder: &Path,
        console: &Console,
        name: &str,
    ) -> Result<Ended, CliError> {
        let console = &console.of_learner();
        let learner = self.prepare(
            program,
            source,
            scene,
            folder,
            (console, name),
            &self.resume,
        );
        let ended = learner.and_then(TrainingRun::train);
        score(program, source, scene, console, ended)
    }

    /// All seeds as one stack of learners.
    fn train_stacked(
        &self,
        program: &Program,
        source: &Source,
        scene: &Scene,
        folder: &Path,
        console: &Console,
    ) -> Result<Vec<Ended>, CliError> {
        let alone = alone(scene)?;
        let folders = folders_of(&source.scene);
        let stack_of = |seeds: &[u64]| StackApp::build(program, scene, seeds, folders.clone());
        // What no stack can do is found before any folder is made.
        let mut stack = stack_of(&scene.seeds)?;
        let resume = self.resume_together(&alone, folder);
        let mut learners: Vec<(String, &Scene, Console, TrainingRun)> = Vec::new();
        for ((name, scene), resume) in alone.iter().zip(&resume) {
            let console = console.of_learner();
            let folder = folder.join(name);
            let shown = (&console, &**name);
            let run = self.prepare(program, source, scene, &folder, shown, resume)?;
            learners.push((name.clone(), scene, console, run));
        }
        let unfinished = learners.iter().filter(|(.., run)| !run.finished);
        let seeds: Vec<u64> = unfinished.map(|(_, scene, ..)| scene.seed).collect();
        if seeds.len() > 1 {
            if seeds.len() < scene.seeds.len() {
                // Its data and networks go before those of the next one come.
                drop(stack);
                stack = stack_of(&seeds)?;
            }
            let running = learners.iter_mut().filter(|(.., run)| !run.finished);
            let running = running.map(|(name, .., run)| StackedRun {
                name,
                app: &mut run.app,
                folder: &run.folder,
            });
            let mut running: Vec<StackedRun> = running.collect();
            let train = || stack.train(&mut running);
            // A panic is a bug, of ours or of a plugin, and all learners' steps are one.
            match catch_unwind(AssertUnwindSafe(train)) {
                Ok(trained) => trained?,
                Err(panic) => return Err(panicked(words_of(&*panic), folder)),
            }
        }
        drop(stack);
        let ended: Vec<_> = learners
            .into_iter()
            .map(|(_, scene, console, run)| {
                let ended = match seeds.len() {
                    // Alone: the others have taken all of their steps.
                    1 => run.train(),
                    _ => run.conclude(),
                };
                score(program, source, scene, &console, ended)
            })
            .collect();
        ended.into_iter().collect()
    }

    /// From where each learner of a stack goes on: each saves a best checkpoint at a step of its own, so that the latest ones may be at
    /// different steps, and then it is from the latest that all have kept. Whoever has taken all steps is left as it is.
    fn resume_together(&self, alone: &[(String, Scene)], folder: &Path) -> Vec<Resume> {
        let mut resume = vec![self.resume.clone(); alone.len()];
        if self.resume != Resume::Auto {
            return resume;
        }
        let saved = alone.iter().map(|(name, _)| {
            let checkpoints = folder.join(name).join("checkpoints");
            saved_steps(&checkpoints).unwrap_or_default()
        });
        let saved: Vec<Vec<u64>> = saved.collect();
        let latest = |place: &usize| saved[*place].iter().max().copied();
        let goes_on = |place: &usize| latest(place) < Some(alone[*place].1.steps);
        let going: Vec<usize> = (0..alone.len()).filter(goes_on).collect();
        let is_apart = going.iter().any(|place| latest(place) != latest(&going[0]));
        let of_all = |step: &&u64| going.iter().all(|place| saved[*place].contains(step));
        let common = going
            .first()
            .and_then(|first| saved[*first].iter().filter(of_all).max());
        if let (true, Some(step)) = (is_apart, common) {
            for place in going {
                resume[place] = Resume::From(step_folder_name(*step).into());
            }
        }
        resume
    }

    /// Builds a learner: its app, its folder, and the checkpoint that it goes on from.
    fn prepare(
        &self,
        program: &Program,
        source: &Source,
        scene: &Scene,
        folder: &Path,
        (console, name): (&Console, &str),
        resume: &Resume,
    ) -> Result<TrainingRun, CliError> {
        let progress = ConsolePlugin {
            console: console.clone(),
            name: name.to_owned(),
        };
        let folders = folders_of(&source.scene);
        let mut app = program.app(scene, scene.seed, folders, For::Training(progress))?;
        // Before the folder is made: a file that cannot be read leaves nothing behind.
        let dataset = preload(app.world()).map_err(|error| {
            let help = error.is_missing_file().then(|| WHERE_FILES_ARE.to_owned());
            scene.problem(error.setting(), with_causes(&error), help)
        })?;
        check_that_it_learns(&app, scene, dataset.is_some())?;
        check_scales(scene)?;
        for warning in warnings(&app, scene) {
            console.message(&warning);
        }
        check_that_environments_are_there(scene)?;
        check_that_evaluation_starts(scene)?;
        let resolved = scene.to_ron();
        let differences = |old: &str| {
            let old = program
                .parse_scene("scene.ron", old)
                .map_err(|error| error.to_string())?;
            Ok(old.differences(scene))
        };
        let mut record = match (&source.parent, &dataset) {
            (Some(_), Some(dataset)) => Some(record_of(dataset)?),
            _ => None,
        };
        let fork = match &source.parent {
            Some(parent) => Some(parent.fork(program, scene, record.as_ref())?),
            None => None,
        };
        let opened = RunFolder::open(folder, resume, &resolved, differences)?;
        for warning in opened.warnings() {
            console.message(&warning);
        }
        let (mut resumed_from, mut finished) = (0, false);
        // What the run began with is known from then on.
        let former = Manifest::read(&opened.folder.manifest()).ok();
        let mut forked_from = former.as_ref().and_then(|it| it.forked_from.clone());
        if let Start::Resumed {
            checkpoint,
            snapshot,
        } = opened.start
        {
            if let Some(parent) = &source.parent {
                parent.check_that_it_is(forked_from.as_ref())?;
            }
            resumed_from = snapshot.step;
            let resume = ResumeFrom(snapshot);
            finished = resume.is_over(scene.steps);
            if let (false, Some(dataset)) = (finished, &dataset) {
                let now = match record.take() {
                    Some(now) => now,
                    None => record_of(dataset)?,
                };
                let before = former.as_ref().and_then(|it| it.dataset.as_ref());
                refuse_other_data(folder, before, &now)?;
                record = Some(now);
            }
            if !finished {
                keep_log(console, &opened.folder);
                console.message(&format!("resuming from {}", checkpoint.display()));
                let name = checkpoint.file_name().unwrap_or_default();
                let best = resume.0.state::<Best>("best").unwrap_or_default();
                let is_parents = forked_from.as_ref().is_some_and(|it| best.step <= it.step);
                if opened.folder.checkpoints().join(name).is_dir()
                    && !is_parents
                    && let Some(said) = find_best_again(&opened.folder, scene, &resume.0)?
                {
                    console.message(&said);
                }
            } else {
                console.message(&format!(
                    "{} is finished: it has taken {resumed_from} of {} steps",
                    folder.display(),
                    scene.steps
                ));
            }
            app.insert_resource(resume);
        } else {
            keep_log(console, &opened.folder);
            forked_from = None;
            if let Some(Fork { snapshot, record }) = fork {
                resumed_from = snapshot.step;
                console.message(&format!(
                    "beginning with {}, of step {resumed_from}{}",
                    record.checkpoint.display(),
                    record.in_words()
                ));
                forked_from = Some(record);
                app.insert_resource(ResumeFrom(snapshot));
            }
        }
        let changed = match &forked_from {
            Some(record) if source.parent.is_some() => record.in_words(),
            _ => String::new(),
        };
        if !finished {
            let device = app.world().resource::<ComputeDevice>().to_string();
            let record = match (record, &dataset) {
                (None, Some(dataset)) => Some(record_of(dataset)?),
                (record, _) => record,
            };
            let mut manifest =
                Manifest::of_this_process(versions_of(scene), &device, vec![scene.seed], record);
            manifest.forked_from = forked_from;
            // The manifest that is written now says so from then on.
            let moved = former.filter(|_| resumed_from > 0);
            if let Some(warning) = moved.and_then(|former| former.other_processor(&manifest)) {
                console.message(&warning);
            }
            let written = manifest.write(&opened.folder.manifest());
            written.map_err(|error| CliError::of(false, &error))?;
        }
        app.insert_resource(RunDirectory {
            path: folder.to_path_buf(),
            resumed_from,
        })
        .insert_resource(opened.folder.guard());
        let evaluation = scene.settings::<Evaluation>();
        let first_seed = evaluation.map_or(0, |it| first_seed(scene, it, it.episodes));
        Ok(TrainingRun {
            app,
            folder: opened.folder,
            dataset,
            finished,
            first_seed,
            changed,
        })
    }

    /// Says how it went: the scores on standard output, the rest on standard error.
    fn conclude(&self, ended: &[Ended]) -> Result<AppExit, CliError> {
        let interrupted = ended.iter().any(|run| run.outcome == Outcome::Interrupted);
        for run in ended {
            if let Some(line) = run.scores.line() {
                print(&format!("{}: {line}", run.folder.display()))?;
            }
        }
        let scores: Vec<&Scores> = ended.iter().map(|run| &run.scores).collect();
        for line in over_seeds(&scores) {
            print(&line)?;
        }
        if interrupted {
            let is_saved = ended.iter().all(|run| run.is_saved);
            message(match is_saved {
                true => "interrupted; go on with the same command and `--resume auto`",
                false => "interrupted; to be able to go on, a scene needs `Checkpoints`",
            });
            return Ok(AppExit::from_code(INTERRUPTED));
        }
        Ok(AppExit::Success)
    }
}

/// Scores what was learned, and writes the scores into the run's folder, which is held until then.
fn score(
    program: &Program,
    source: &Source,
    scene: &Scene,
    console: &Console,
    ended: Result<(Ended, RunFolder), CliError>,
) -> Result<Ended, CliError> {
    let (mut ended, _held) = ended.inspect_err(|error| console.log(&format!("error: {error}")))?;
    if ended.outcome == Outcome::Finished && ended.scores.last.is_some() {
        let folders = folders_of(&source.scene);
        // What was learned is saved, whatever becomes of this.
        match best_on_fresh_episodes(program, scene, folders, &ended.folder) {
            Ok(fresh) => ended.scores.fresh = fresh,
            Err(error) => console.message(&format!(
                "warning: the best checkpoint was not played on fresh episodes: {error}"
            )),
        }
        ended.scores.write(&ended.folder)?;
        if let Some(line) = ended.scores.line() {
            console.log(&line);
        }
    }
    Ok(ended)
}

/// The scenes of the lone runs of a scene's seeds, with the names of their folders.
fn alone(scene: &Scene) -> Result<Vec<(String, Scene)>, CliError> {
    let mut alone: Vec<(String, Scene)> = Vec::new();
    for seed in &scene.seeds {
        let name = format!("seed_{seed}");
        if alone.iter().any(|(there, _)| *there == name) {
            return Err(CliError::input(format!(
                "seed {seed} is named twice in `seeds`"
            )));
        }
        let mut scene = scene.clone();
        (scene.seed, scene.seeds) = (*seed, Vec::new());
        alone.push((name, scene));
    }
    Ok(alone)
}

/// That a step panicked.
fn panicked(what: &str, folder: &Path) -> CliError {
    CliError::failed(format!(
        "a step panicked: {what}\nThis is a bug in a plugin or in yarak. The last checkpoint in {} is kept",
        folder.display()
    ))
}

/// Keeps what a learner shows from now on in its run's folder.
fn keep_log(console: &Console, folder: &RunFolder) {
    let mut log = OpenOptions::new();
    match open_plain_with(log.read(true).create(true).append(true), &folder.log()) {
        Ok(log) => console.log_to(log, folder.log()),
        Err(error) => console.message(&format!("warning: there will be no log.txt: {error}")),
    }
}

/// What `--debug` overrides: two epochs of three steps, whatever is done every so often done at the end of each.
fn tried_out(scene: &Scene) -> Vec<String> {
    let mut overrides = vec!["steps=6".to_owned()];
    let every = [
        ("Evaluation", scene.settings::<Evaluation>().is_some()),
        ("Validation", scene.settings::<Validation>().is_some()),
        ("Checkpoints", scene.settings::<Checkpoints>().is_some()),
        ("Reports", scene.settings::<Reports>().is_some()),
    ];
    let every = every.iter().filter(|(_, is_there)| *is_there);
    overrides.extend(every.map(|(plugin, _)| format!("{plugin}.every=3")));
    if scene.settings::<Evaluation>().is_some() {
        overrides.push("Evaluation.episodes=2".to_owned());
    }
    overrides
}

/// A new folder among the machine's temporary files; what is in it stays to be looked at.
fn temporary_folder() -> Result<PathBuf, CliError> {
    let folder = tempfile::Builder::new().prefix("yarak-debug-").tempdir();
    let folder = folder.map_err(|error| {
        CliError::failed(format!(
            "no folder for temporary files can be made: {error}"
        ))
    })?;
    Ok(folder.keep())
}

/// `runs/NAME`.
fn folder_of_name(name: &str) -> Result<PathBuf, CliError> {
    let mut parts = Path::new(name).components();
    match (parts.next(), parts.next()) {
        (Some(Component::Normal(_)), None) => Ok(Path::new("runs").join(name)),
        _ => Err(CliError::input(format!(
            "--name {name:?}: a run's folder cannot be called this; give the folder with --run DIR"
        ))),
    }
}

/// A learner that is ready to run.
struct TrainingRun {
    app: App,
    /// Holds the folder's lock.
    folder: RunFolder,
    /// Held until the app has taken its own.
    dataset: Option<SharedDataset>,
    /// All of its steps were taken by an earlier process.
    finished: bool,
    /// The seed of the first episode of each evaluation.
    first_seed: u64,
    /// What a fork has changed, in words; nothing of another run.
    changed: String,
}

impl TrainingRun {
    fn train(mut self) -> Result<(Ended, RunFolder), CliError> {
        if self.finished {
            return self.conclude();
        }
        let app = &mut self.app;
        let folder = &self.folder;
        let mut kept = Ok(());
        let updates = || {
            let mut has_started = false;
            while app.should_exit().is_none() {
                app.update();
                let failure = app.world().resource::<Training>().failure();
                // A scene that does not start leaves the one that did.
                if failure.is_none() && !std::mem::replace(&mut has_started, true) {
                    kept = folder.keep_scene();
                }
            }
        };
        // A panic is a bug, of ours or of a plugin; the checkpoints are still good and the other learners go on.
        if let Err(panic) = catch_unwind(AssertUnwindSafe(updates)) {
            let what = words_of(&*panic);
            return Err(panicked(what, &self.folder.checkpoints()));
        }
        kept?;
        self.conclude()
    }

    /// What became of a run that has ended.
    fn conclude(mut self) -> Result<(Ended, RunFolder), CliError> {
        if self.finished {
            let ended = Ended {
                outcome: Outcome::Finished,
                folder: self.folder.path().to_path_buf(),
                is_saved: true,
                scores: Scores::default(),
            };
            return Ok((ended, self.folder));
        }
        drop(self.dataset.take());
        // Somebody may have deleted the folder under the run, which was then saved there again.
        if self
            .folder
            .guard()
            .check()
            .is_err_and(|lost| matches!(lost, RunFolderError::Gone { .. }))
            && self.folder.path().is_dir()
        {
            self.folder.keep_scene()?;
        }
        let world = self.app.world_mut();
        finish_writing(world)?;
        let outcome = world.resource::<Training>().outcome.clone();
        let outcome = outcome.unwrap_or(Outcome::Finished);
        let folder = self.folder.path().to_path_buf();
        let said = match &outcome {
            Outcome::Finished => match &world.resource::<EndNow>().0 {
                Some(why) => format!("stopped early, as {why}: {}", folder.display()),
                None => format!("finished: {}", folder.display()),
            },
            Outcome::Interrupted => {
                let (step, folder) = (world.resource::<Clock>().step, folder.display());
                match world.contains_resource::<Checkpoints>() {
                    true => format!("interrupted and saved at step {step}: {folder}"),
                    false => format!(
                        "interrupted at step {step}, and not saved, as the scene has no `Checkpoints`: {folder}"
                    ),
                }
            }
            Outcome::Failed(_) => format!("failed: {}", folder.display()),
        };
        let finished = outcome == Outcome::Finished;
        let said = match finished {
            true => format!("{said}{}", what_was_not_learned(world)),
            false => said,
        };
        finish_progress(world, &said);
        if let Outcome::Failed(failure) = outcome {
            let changed = &self.changed;
            return Err(match failure.exit_status() {
                2 if !changed.is_empty() => CliError::input(format!(
                    "{failure}\nThe run is a fork{changed}: what the checkpoint is read with has to be as it was"
                )),
                _ => failure.into(),
            });
        }
        if outcome == Outcome::Finished {
            warn_of_metrics_that_never_came(world);
        }
        let step = world.resource::<Reported>().step;
        let episodes = world.get_resource::<Episodes>().cloned();
        let last = episodes.filter(|episodes| !episodes.0.is_empty());
        let scores = Scores {
            last: last.map(|episodes| Played {
                step,
                seed: self.first_seed,
                episodes,
            }),
            watched: world
                .get_resource::<Checkpoints>()
                .and_then(|checkpoints| checkpoints.best.clone()),
            best: world.get_resource::<Best>().copied().unwrap_or_default(),
            fresh: None,
        };
        let ended = Ended {
            outcome,
            folder,
            is_saved: world.contains_resource::<Checkpoints>(),
            scores,
        };
        Ok((ended, self.folder))
    }
}

/// The dataset by its contents.
fn record_of(dataset: &SharedDataset) -> Result<DatasetRecord, CliError> {
    DatasetRecord::of_files(dataset.file(), &files_of(dataset.file()))
        .map_err(|error| CliError::of(false, &error))
}

/// A run goes on with the data that it has learned from, byte for byte, wherever they are.
fn refuse_other_data(
    folder: &Path,
    before: Option<&DatasetRecord>,
    now: &DatasetRecord,
) -> Result<(), CliError> {
    match before.filter(|before| before.sha256 != now.sha256) {
        None => Ok(()),
        Some(before) => Err(CliError::of_the_moment(format!(
            "{}: the data are not those that the run has learned from: SHA-256 {}, then {}; bring those back, or begin another run with its networks: Pretrained(path: \"CHECKPOINT\")",
            folder.display(),
            now.sha256,
            before.sha256
        ))),
    }
}

/// The versions of what computes a scene in this process.
pub(super) fn versions_of(scene: &Scene) -> Versions {
    let mut libraries: Vec<String> = environments_of(scene)
        .filter_map(|(_, env)| registry::library_of(env))
        .collect();
    libraries.dedup();
    Versions {
        yarak: env!("CARGO_PKG_VERSION").to_owned(),
        burn: BURN.to_owned(),
        bevy: BEVY.to_owned(),
        libraries,
    }
}

/// As pinned in `Cargo.toml`; a test compares them.
const BURN: &str = "0.22.0-pre.2";
const BEVY: &str = "0.20.1";

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifest_names_the_versions_that_are_pinned() {
        let manifest = include_str!("../../Cargo.toml");
        assert!(manifest.contains(&format!("burn = {{ version = \"={BURN}\"")));
        assert!(manifest.contains(&format!("bevy_ecs = {{ version = \"={BEVY}\"")));
    }
}
