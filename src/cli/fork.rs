//! `yarak train --fork`: a new run from another's checkpoint, with other settings.

use std::path::{Path, PathBuf};

use super::building::Program;
use super::error::CliError;
use super::eval::check_that_it_is_plain;
use crate::checkpoint::{
    Best, CheckpointError, DatasetRecord, ForkRecord, Manifest, Snapshot, follow, load,
};
use crate::report::Waiting;
use crate::scene::{Difference, Problem, Problems, Scene};

/// The checkpoint that a run is forked from, and the run that it lies in.
pub struct Parent {
    checkpoint: PathBuf,
    /// The parent's settings.
    scene_file: PathBuf,
    manifest: Manifest,
    sha256: String,
}

/// The beginning of a run that is forked.
pub struct Fork {
    /// What it begins with.
    pub snapshot: Snapshot,
    /// For its manifest.
    pub record: ForkRecord,
}

/// Plugins that a fork may add or take out: nothing that is learned hangs on them.
const OF_REPORTS: [&str; 6] = [
    "Evaluation",
    "Validation",
    "Reports",
    "Checkpoints",
    "EarlyStopping",
    "TensorBoard",
];

/// Plugins whose settings describe what a checkpoint keeps: rows of a buffer, environments in the middle of an episode, statistics of
/// what was seen.
const KEPT: [&str; 6] = [
    "Environments",
    "Replay",
    "ActRandomly",
    "NormalizeObservations",
    "NormalizeReturns",
    "Pretrained",
];

impl Parent {
    /// Looks for a checkpoint in a run's folder: a step's, or `latest` or `best`.
    ///
    /// # Errors
    /// It is no checkpoint, or the scene and the manifest of its run are not there.
    pub fn find(source: &Path) -> Result<Self, CliError> {
        let checkpoint = follow(source).map_err(|error| match error {
            CheckpointError::NotACheckpoint { .. } => CliError::input(format!(
                "--fork {}: this is no checkpoint; name one, such as runs/NAME/checkpoints/latest",
                source.display()
            )),
            error => error.into(),
        })?;
        let run = checkpoint.parent().and_then(Path::parent);
        let run = run.unwrap_or(Path::new("."));
        let scene_file = run.join("scene.ron");
        check_that_it_is_plain(&scene_file)?;
        let manifest = Manifest::read(&run.join("manifest.ron"));
        Ok(Self {
            manifest: manifest.map_err(|error| CliError::of(true, &error))?,
            sha256: ForkRecord::sum_of(&checkpoint)?,
            scene_file,
            checkpoint,
        })
    }

    /// The sum by which its checkpoint is known.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// The scene that the parent was trained with.
    pub fn scene_file(&self) -> &Path {
        &self.scene_file
    }

    /// Where the parent found its data, for a fork of the same scene that is started in another folder.
    pub fn dataset(&self) -> Option<&Path> {
        let dataset = self.manifest.dataset.as_ref()?;
        dataset.path.exists().then_some(&dataset.path)
    }

    /// What `scene` changes of the parent's settings.
    ///
    /// # Errors
    /// Every change with which the parent's state would mean something else, each with its remedy.
    fn changes(
        &self,
        program: &Program,
        scene: &Scene,
        dataset: Option<&DatasetRecord>,
    ) -> Result<Vec<Difference>, CliError> {
        let before = program.read_scene(&self.scene_file, &[])?;
        let mut changes = Scene::compare(&[&before, scene]);
        let recorded = self.manifest.dataset.as_ref().map(|it| &*it.sha256);
        let found = dataset.map(|it| &*it.sha256);
        if recorded == found {
            changes.retain(|change| change.path != "Dataset.path");
        }
        let refused = changes.iter().filter_map(|change| {
            let (message, help) = refusal(change)?;
            Some(scene.problem(&change.path, message, Some(help.to_owned())))
        });
        let mut problems = Problems::default();
        refused.for_each(|problem: Problem| problems.push(problem));
        if recorded != found && changes.iter().all(|change| change.path != "Dataset.path") {
            let message = format!(
                "the file has changed since {} learned from it, and the checkpoint has places in the old one",
                self.scene_file.display()
            );
            problems.push(scene.problem("Dataset.path", message, Some(OTHER_DATA.to_owned())));
        }
        problems.into_result()?;
        Ok(changes)
    }

    /// What the new run begins with: all that the checkpoint has, but for the best score and the patience so far, where `changes` are
    /// more than how long and how often.
    ///
    /// # Errors
    /// The checkpoint does not load, or the new run has nothing left to do.
    fn begin(&self, scene: &Scene, changes: &[Difference]) -> Result<Snapshot, CliError> {
        let mut snapshot = load(&self.checkpoint)?;
        if snapshot.step >= scene.steps {
            return Err(CliError::input(format!(
                "--fork {}: it has taken {} steps, and the new run ends at {}; give more with --steps",
                self.checkpoint.display(),
                snapshot.step,
                scene.steps
            )));
        }
        // The parent's best checkpoint is not in the new run's folder, and was the best of other settings.
        let other_scores = changes.iter().any(|change| {
            let plugin = change.path.split('.').next().unwrap_or_default();
            let how_often = change.path.ends_with(".every") || change.path.ends_with(".keep");
            !how_often && !["steps", "name", "Reports", "TensorBoard"].contains(&plugin)
        });
        if other_scores {
            anew(&mut snapshot, "best", &Best::default())?;
            anew(&mut snapshot, "early_stopping", &Waiting::default())?;
        }
        Ok(snapshot)
    }

    /// The new run's beginning.
    ///
    /// # Errors
    /// As [`changes`](Self::changes) and [`begin`](Self::begin).
    pub fn fork(
        &self,
        program: &Program,
        scene: &Scene,
        dataset: Option<&DatasetRecord>,
    ) -> Result<Fork, CliError> {
        let changes = self.changes(program, scene, dataset)?;
        let snapshot = self.begin(scene, &changes)?;
        let record = self.record(snapshot.step, &changes);
        Ok(Fork { snapshot, record })
    }

    /// For the new run's manifest.
    fn record(&self, step: u64, changes: &[Difference]) -> ForkRecord {
        let checkpoint = std::path::absolute(&self.checkpoint);
        ForkRecord {
            checkpoint: checkpoint.unwrap_or_else(|_| self.checkpoint.clone()),
            step,
            sha256: self.sha256.clone(),
            changed: changes.iter().map(line).collect(),
        }
    }

    /// Refuses to go on with a run that was forked from something else, or from nothing.
    ///
    /// # Errors
    /// With both checkpoints.
    pub fn check_that_it_is(&self, recorded: Option<&ForkRecord>) -> Result<(), CliError> {
        if recorded.is_some_and(|it| it.sha256 == self.sha256) {
            return Ok(());
        }
        let from = recorded.map_or("a run of its own".to_owned(), |it| {
            format!("a fork of {}", it.checkpoint.display())
        });
        Err(CliError::input(format!(
            "--fork {}: the run's folder has {from}; leave --fork out to go on with it, or choose another folder with --run DIR",
            self.checkpoint.display()
        )))
    }
}

/// A change as `Td3Bc.alpha: 2.5 -> 1.0`.
fn line(change: &Difference) -> String {
    format!("{}: {}", change.path, change.values.join(" -> "))
}

fn anew<T: serde::Serialize>(
    snapshot: &mut Snapshot,
    key: &str,
    value: &T,
) -> Result<(), CliError> {
    snapshot.state.remove(key);
    Ok(snapshot.put_state(key, value)?)
}

const OTHER_DATA: &str = "a fork learns on from the same bytes; to fine-tune on other data, begin with the networks alone: \
     Pretrained(path: \"CHECKPOINT\")";

/// Why a change cannot be made in a fork, and what to do instead.
pub fn refusal(change: &Difference) -> Option<(String, &'static str)> {
    let (plugin, setting) = change.path.split_once('.').unwrap_or((&change.path, ""));
    let said = line(change);
    match (plugin, setting) {
        ("seed", _) => Some((
            format!(
                "{said}: a fork goes on with its parent's random streams, which have the parent's seed"
            ),
            "keep the seed; for other draws begin with the networks alone: Pretrained(path: \"CHECKPOINT\")",
        )),
        ("Dataset", "memory") => None,
        ("Dataset", _) => Some((
            format!("{said}: the parent's networks and statistics belong to its data"),
            OTHER_DATA,
        )),
        (plugin, _) if KEPT.contains(&plugin) => Some((
            format!("{said}: the checkpoint keeps what this setting describes"),
            "keep the setting; to change it begin with the networks alone: Pretrained(path: \"CHECKPOINT\")",
        )),
        (plugin, "") if !OF_REPORTS.contains(&plugin) && is_presence(change) => Some((
            format!("{said}: a fork has its parent's algorithm, with everything that it keeps"),
            "keep the plugin; another algorithm can begin with the networks alone: Pretrained(path: \"CHECKPOINT\")",
        )),
        _ => None,
    }
}

/// Whether a plugin was added or taken out.
fn is_presence(change: &Difference) -> bool {
    change
        .values
        .iter()
        .all(|value| value.ends_with("in the scene"))
}
