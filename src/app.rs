//! Training inside your own app: [`YarakPlugins`].
//!
//! The command line reads a scene, makes a folder and can resume. An app needs none of that: it adds this group, a dataset, an
//! algorithm, and whatever else it likes, and is a Bevy app as any other.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bevy_app::{
    App, AppExit, Last, Plugin, PluginGroup, PluginGroupBuilder, PreStartup, ScheduleRunnerPlugin,
};
use bevy_ecs::prelude::*;

use crate::checkpoint::{RestorePlugin, finish_writing};
use crate::learner::{ComputeDevice, Seed};
use crate::report::{
    ConsolePlugin, JsonLinesPlugin, Reports, RunDirectory, finish_progress, nothing_learned,
};
use crate::schedule::{
    Clock, FacilitatorPlugin, InputError, NamedMetrics, Outcome, SchedulePlugin, Training,
};
use crate::terminal::message;

/// Everything that a run needs besides its data, its algorithm and its evaluation: schedules, the facilitator that drives them,
/// restoring, reports, and a runner that goes on until all steps are taken.
///
/// Add it before the plugins that are in its schedules. Its parts have settings: change them with `set`, and take parts out
/// with `disable`, as with Bevy's own groups.
///
/// 1. [`SchedulePlugin`]: `Learn` and the other schedules, with their slots.
/// 2. [`FacilitatorPlugin`]: runs them from `Update`.
/// 3. [`RestorePlugin`]: goes on from a [`ResumeFrom`](crate::checkpoint::ResumeFrom), where there is one.
/// 4. [`RunPlugin`]: how many steps, from which seed, on which device, into which folder.
/// 5. [`Reports`]: reads metrics back, every 1,000 steps.
/// 6. [`ConsolePlugin`]: progress on standard error.
/// 7. [`JsonLinesPlugin`]: `metrics.jsonl`, where the run has a folder.
/// 8. [`ConcludePlugin`]: waits for the last checkpoint, and says why a run failed.
/// 9. [`ScheduleRunnerPlugin`]: Bevy's loop for apps without a window. An app with one disables it.
///
/// ```
/// use yarak::prelude::*;
///
/// let mut td3 = Td3Bc { minibatch: MinibatchSettings::of(32), ..default() };
/// # td3.actor.encoder.set_hidden_sizes(&[8]);
/// # td3.critic.encoder.set_hidden_sizes(&[8]);
/// td3.actor.optimizer.learning_rate = Schedule::Constant(1e-3);
///
/// let exit = App::new()
///     .add_plugins((
///         YarakPlugins.set(RunPlugin { steps: 20, seed: 3, ..default() }),
///         Dataset { path: "assets/pendulum-medium-expert.hdf5".into(), ..default() },
///         td3,
///         Evaluation { env: "Pendulum-v1".into(), every: 20.into(), episodes: 1, ..default() },
///     ))
///     .run();
/// assert!(exit.is_success());
/// ```
///
/// An app with windows trains between its frames: `YarakPlugins.build().disable::<ScheduleRunnerPlugin>()`, and a smaller
/// [`TimeBudget`](crate::schedule::TimeBudget).
pub struct YarakPlugins;

impl PluginGroup for YarakPlugins {
    fn build(self) -> PluginGroupBuilder {
        PluginGroupBuilder::start::<Self>()
            .add(SchedulePlugin)
            .add(FacilitatorPlugin)
            .add(RestorePlugin)
            .add(RunPlugin::default())
            .add(Reports::default())
            .add(ConsolePlugin::default())
            .add(JsonLinesPlugin)
            .add(ConcludePlugin)
            .add(ScheduleRunnerPlugin::default())
    }
}

/// The head of a scene: how long a run is, from which seed it draws, where it computes and where it writes.
#[derive(Clone, Debug)]
pub struct RunPlugin {
    /// The step after which the run is done.
    pub steps: u64,
    /// The epochs after which it is done, if that is earlier. None: `steps` alone count.
    pub epochs: Option<u64>,
    /// Every random stream of the run is derived from it.
    pub seed: u64,
    /// Where tensors live.
    pub device: ComputeDevice,
    /// The folder for metrics and checkpoints, made if missing; one with anything in it is refused. None: nothing is written.
    pub folder: Option<PathBuf>,
}

impl Default for RunPlugin {
    /// A million steps, as in the paper of TD3+BC, on the CPU from seed 0, with nothing written.
    fn default() -> Self {
        RunPlugin {
            steps: 1_000_000,
            epochs: None,
            seed: 0,
            device: ComputeDevice::cpu(),
            folder: None,
        }
    }
}

/// Why a run cannot write into a folder.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// There is something in it.
    #[error("{}: the run's folder is not empty; choose another one in `RunPlugin`", path.display())]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("{}: the run's folder cannot be made or read", path.display())]
    Io {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Plugin for RunPlugin {
    fn build(&self, app: &mut App) {
        app.insert_resource(Seed(self.seed))
            .insert_resource(self.device.clone());
        let mut clock = app.world_mut().get_resource_or_init::<Clock>();
        (clock.steps, clock.epochs) = (self.steps, self.epochs);
        if let Some(folder) = self.folder.clone() {
            let open = move |mut commands: Commands| -> Result<(), BevyError> {
                make_folder(&folder).map_err(InputError::new)?;
                commands.insert_resource(RunDirectory {
                    path: folder.clone(),
                    resumed_from: 0,
                });
                Ok(())
            };
            app.add_systems(PreStartup, open);
        }
    }
}

fn make_folder(path: &Path) -> Result<(), FolderError> {
    let io = |source| FolderError::Io {
        path: path.to_path_buf(),
        source,
    };
    fs::create_dir_all(path).map_err(io)?;
    match fs::read_dir(path).map_err(io)?.next() {
        None => Ok(()),
        Some(_) => Err(FolderError::NotEmpty {
            path: path.to_path_buf(),
        }),
    }
}

/// Ends a run: waits until the last checkpoint is on disk, ends the line of progress, and prints why a run failed.
pub struct ConcludePlugin;

#[derive(Resource)]
struct Concluded;

impl Plugin for ConcludePlugin {
    fn build(&self, app: &mut App) {
        app.add_systems(Last, conclude);
    }
}

fn conclude(world: &mut World) {
    let ended = world.get_resource::<Training>();
    let Some(outcome) = ended.and_then(|training| training.outcome.clone()) else {
        return;
    };
    if world.contains_resource::<Concluded>() {
        return;
    }
    world.insert_resource(Concluded);
    let written = finish_writing(world);
    let steps = world.resource::<Clock>().step;
    match outcome {
        Outcome::Finished => {
            let nothing = nothing_learned(world).map_or(String::new(), |it| format!(": {it}"));
            finish_progress(world, &format!("finished after {steps} steps{nothing}"));
            warn_of_metrics_that_never_came(world);
        }
        Outcome::Interrupted => finish_progress(world, &format!("interrupted at step {steps}")),
        Outcome::Failed(failure) => {
            finish_progress(world, &format!("failed at step {steps}"));
            message(&format!("error: {failure}"));
        }
    }
    if let Err(error) = written {
        message(&format!("error: {error}"));
        world.write_message(AppExit::from_code(1));
    }
}

/// A run that was too short to refuse a name says that nothing came of it.
pub(crate) fn warn_of_metrics_that_never_came(world: &World) {
    let Some(named) = world.get_resource::<NamedMetrics>() else {
        return;
    };
    for (setting, metric) in named.never_recorded() {
        message(&format!(
            "warning: `{setting}` names `{metric}`, and nothing recorded it in this run"
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::{Checkpoints, latest_good};
    use crate::data::{Dataset, MinibatchSettings};
    use crate::plugins::Bc;
    use crate::report::Metrics;

    fn app(run: RunPlugin) -> App {
        let mut bc = Bc::default();
        bc.minibatch.batch_size = 16;
        bc.actor.encoder.set_hidden_sizes(&[8]);
        let mut app = App::new();
        app.add_plugins((
            YarakPlugins.set(run),
            Dataset::default(),
            bc,
            Checkpoints::default(),
        ));
        app
    }

    #[test]
    fn an_app_trains_to_the_end_and_leaves_metrics_and_a_checkpoint() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunPlugin {
            steps: 7,
            folder: Some(folder.path().join("run")),
            ..RunPlugin::default()
        };
        assert!(app(run).run().is_success());
        let metrics = fs::read_to_string(folder.path().join("run/metrics.jsonl")).unwrap();
        assert!(metrics.starts_with("{\"step\": 7,"), "{metrics}");
        let latest = latest_good(folder.path().join("run/checkpoints")).unwrap();
        assert_eq!(latest.found.unwrap().1.step, 7);
    }

    #[test]
    fn a_run_of_epochs_ends_with_the_last_of_them() {
        let mut bc = Bc {
            minibatch: MinibatchSettings {
                batch_size: 16,
                steps_per_epoch: Some(3),
            },
            ..Bc::default()
        };
        bc.actor.encoder.set_hidden_sizes(&[8]);
        let run = RunPlugin {
            steps: u64::MAX,
            epochs: Some(2),
            ..RunPlugin::default()
        };
        let mut app = App::new();
        app.add_plugins((YarakPlugins.set(run), Dataset::default(), bc));
        app.finish();
        app.cleanup();
        while app.should_exit().is_none() {
            app.update();
        }
        let clock = app.world().resource::<Clock>();
        assert_eq!((clock.step, clock.epoch()), (6, 2));
    }

    #[test]
    fn a_folder_with_something_in_it_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("thesis.tex"), "").unwrap();
        let run = RunPlugin {
            steps: 1,
            folder: Some(folder.path().to_path_buf()),
            ..RunPlugin::default()
        };
        assert_eq!(app(run).run(), AppExit::from_code(2));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_missing_dataset_ends_the_app_with_the_users_status() {
        let mut app = App::new();
        app.add_plugins((YarakPlugins, Bc::default()));
        app.finish();
        app.update();
        assert_eq!(app.should_exit(), Some(AppExit::from_code(2)));
        let ended = app.world().resource::<Training>().outcome.clone();
        let Some(Outcome::Failed(failure)) = ended else {
            panic!("it must fail")
        };
        assert!(failure.message.contains("add `Dataset("), "{failure}");
    }

    #[test]
    fn the_seed_of_the_run_decides_what_the_streams_draw() {
        let draws = |seed| {
            let mut app = app(RunPlugin {
                steps: 3,
                seed,
                ..RunPlugin::default()
            });
            app.finish();
            while app.should_exit().is_none() {
                app.update();
            }
            app.world_mut().resource_mut::<Metrics>().read();
            crate::checkpoint::gather(app.world(), 3)
                .unwrap()
                .tensor("actor", "0.weight", &[3, 8])
                .unwrap()
                .values
                .clone()
        };
        assert_eq!(draws(1), draws(1));
        assert_ne!(draws(1), draws(2));
    }
}
