//! `yarak replay`.

use std::path::{Path, PathBuf};

use bevy_app::AppExit;
use clap::Args;
use serde_json::{Value, json};

use super::building::{For, Program, failure, folders_of};
use super::error::CliError;
use super::eval::check_that_it_is_plain;
use super::fork::Parent;
use super::modules::Modules;
use super::train::{stop_on_signals, versions_of};
use super::{INTERRUPTED, print};
use crate::checkpoint::{
    DatasetRecord, ForkRecord, Manifest, ResumeFrom, Snapshot, difference, finish_writing, gather,
    is_plain_folder, load, no_link, saved_steps, step_folder_name,
};
use crate::data::hdf5::files_of;
use crate::data::{Dataset, preload};
use crate::learner::ComputeDevice;
use crate::nn::set_threads;
use crate::report::console::Console;
use crate::report::{ConsolePlugin, RunDirectory};
use crate::scene::{Scene, quoted};
use crate::schedule::{Clock, Outcome, RoundPosition, TimeBudget, Training};
use crate::terminal::message;

/// Run the first steps of a run again, from its scene and its data alone, and compare with the checkpoint that it saved there.
///
/// It says whether all that was learned is the same to the last bit, or which tensor differs first. What the run was made with and
/// this machine does not have is named before. Nothing is written into the run's folder. Exit status: 0 equal, 1 not.
#[derive(Args)]
pub struct Replay {
    /// A run's folder
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// Compare with the last checkpoint up to this step; with the first that the run has kept if not given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    steps: Option<u64>,
    #[command(flatten)]
    modules: Modules,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Replay {
    /// Runs and compares.
    pub fn run(&self, program: &Program) -> Result<AppExit, CliError> {
        let program = &program.allowing(self.modules.with_env(None));
        let (checkpoint, saved) = self.checkpoint()?;
        let manifest_file = self.run.join("manifest.ron");
        let manifest =
            Manifest::read(&manifest_file).map_err(|error| CliError::of(true, &error))?;
        let scene = read_scene(program, &self.run.join("scene.ron"), &manifest)?;
        program.check_modules(&scene)?;
        let changed = changed(&scene, &manifest)?;
        if !self.json {
            changed
                .iter()
                .for_each(|line| message(&format!("warning: {line}")));
        }
        let parent = match &manifest.forked_from {
            Some(fork) => Some(parent(program, &scene, &manifest, fork)?),
            None => None,
        };
        let Some(again) = run_again(program, &scene, &self.run, parent, saved.step)? else {
            return Ok(AppExit::from_code(INTERRUPTED));
        };
        let first = difference(&saved, &again);
        let tensors: usize = saved.files.values().map(|file| file.len()).sum();
        let place = checkpoint.display();
        if self.json {
            let object = json!({
                "checkpoint": place.to_string(),
                "step": saved.step,
                "equal": first.is_none(),
                "first_difference": first.as_ref().map_or(Value::Null, |it| it.clone().into()),
                "tensors": tensors,
                "changed": changed,
            });
            print(&object.to_string())?;
        } else {
            print(&match &first {
                None => format!(
                    "{place}: equal: {} steps, run again, come to the same {tensors} tensors, counters and random streams",
                    saved.step
                ),
                Some(first) => format!("{place}: not equal: {first}"),
            })?;
        }
        Ok(match first {
            None => AppExit::Success,
            Some(_) => AppExit::from_code(1),
        })
    }

    /// The checkpoint to compare with. One of a run that was stopped in the middle of a round is of no step's end.
    fn checkpoint(&self) -> Result<(PathBuf, Snapshot), CliError> {
        let checkpoints = self.run.join("checkpoints");
        no_link(&self.run, &checkpoints)?;
        if !is_plain_folder(&checkpoints) {
            return Err(CliError::input(format!(
                "{}: there is no run with checkpoints in it; of several seeds name one, as in seed_0",
                self.run.display()
            )));
        }
        let mut steps = saved_steps(&checkpoints)?;
        match self.steps {
            Some(most) => steps.retain(|step| *step <= most),
            None => steps.reverse(),
        }
        for step in steps {
            let folder = checkpoints.join(step_folder_name(step));
            no_link(&checkpoints, &folder)?;
            let snapshot = load(&folder)?;
            let in_a_round = snapshot
                .state::<RoundPosition>("round")
                .is_ok_and(|round| round.has_begun);
            if !in_a_round {
                return Ok((folder, snapshot));
            }
        }
        let kept = saved_steps(&checkpoints)?;
        Err(CliError::input(format!(
            "{}: there is no checkpoint to compare with{}; it has those of the steps {kept:?}",
            self.run.display(),
            self.steps
                .map_or(String::new(), |most| format!(" up to step {most}")),
        )))
    }
}

/// The run's scene, on the data that it was trained on, wherever the command is given.
fn read_scene(program: &Program, file: &Path, manifest: &Manifest) -> Result<Scene, CliError> {
    check_that_it_is_plain(file)?;
    let scene = program.read_scene(file, &[])?;
    let data = manifest.dataset.as_ref();
    let Some(data) =
        data.filter(|data| scene.settings::<Dataset>().is_some() && data.path.exists())
    else {
        return Ok(scene);
    };
    let path = quoted(&data.path.display().to_string());
    program.read_scene(file, &[format!("Dataset.path={path}")])
}

/// What the run was made with and this process does not have, a line each.
fn changed(scene: &Scene, manifest: &Manifest) -> Result<Vec<String>, CliError> {
    let device: ComputeDevice = scene.device.parse().map_err(CliError::input)?;
    let device = device.to_string();
    let here = Manifest::of_this_process(versions_of(scene), &device, Vec::new(), None);
    let mut changed = manifest.differences(&here);
    if let (Some(recorded), Some(dataset)) = (&manifest.dataset, scene.settings::<Dataset>())
        && dataset.path.exists()
    {
        let found = DatasetRecord::of_files(&dataset.path, &files_of(&dataset.path))
            .map_err(|error| CliError::of(false, &error))?;
        if found.sha256 != recorded.sha256 {
            changed.push(format!(
                "the data in {} are not those of the run: SHA-256 {}, then {}",
                dataset.path.display(),
                found.sha256,
                recorded.sha256
            ));
        }
    }
    Ok(changed)
}

/// What a fork began with.
fn parent(
    program: &Program,
    scene: &Scene,
    manifest: &Manifest,
    fork: &ForkRecord,
) -> Result<Snapshot, CliError> {
    let checkpoint = fork.checkpoint.display();
    let gone = |why: String| {
        CliError::input(format!(
            "the run is a fork of {checkpoint}, which a replay begins with: {why}; put that checkpoint back"
        ))
    };
    let parent = Parent::find(&fork.checkpoint).map_err(|error| gone(error.to_string()))?;
    if parent.sha256() != fork.sha256 {
        return Err(gone("it is another one now".to_owned()));
    }
    Ok(parent
        .fork(program, scene, manifest.dataset.as_ref())?
        .snapshot)
}

/// What a run has at the end of this step, in a folder for temporary files; nothing where it was interrupted.
fn run_again(
    program: &Program,
    scene: &Scene,
    run: &Path,
    parent: Option<Snapshot>,
    step: u64,
) -> Result<Option<Snapshot>, CliError> {
    stop_on_signals()?;
    set_threads(std::thread::available_parallelism().map_or(1, usize::from));
    let folder = tempfile::tempdir().map_err(CliError::failed)?;
    let progress = ConsolePlugin {
        console: Console::stderr(),
        name: "again".to_owned(),
    };
    let folders = folders_of(&run.join("scene.ron"));
    let mut app = program.app(scene, scene.seed, folders, For::Training(progress))?;
    let _data = preload(app.world()).map_err(|error| CliError::of(true, &error))?;
    app.insert_resource(RunDirectory {
        path: folder.path().to_path_buf(),
        resumed_from: parent.as_ref().map_or(0, |parent| parent.step),
    })
    // A round at a time, so that it can be looked at after each.
    .insert_resource(TimeBudget(std::time::Duration::ZERO));
    if let Some(parent) = parent {
        app.insert_resource(ResumeFrom(parent));
    }
    loop {
        app.update();
        if let Some(failure) = failure(&app) {
            return Err(failure.into());
        }
        let world = app.world();
        let outcome = world.resource::<Training>().outcome.clone();
        if outcome == Some(Outcome::Interrupted) {
            return Ok(None);
        }
        let now = world.resource::<Clock>().step;
        if now == step {
            break;
        }
        if now > step || outcome.is_some() {
            return Err(CliError::input(format!(
                "{}: no round of the run ends at step {step}, but at {now}; compare with another checkpoint, by --steps",
                run.display()
            )));
        }
    }
    let again = gather(app.world(), step)?;
    // Its own checkpoints may still be on their way to the folder that goes now.
    let _ = finish_writing(app.world_mut());
    Ok(Some(again))
}
