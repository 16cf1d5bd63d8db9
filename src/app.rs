//! Training inside your own app: [`YarakPlugins`].
//!
//! The command line reads a scene, makes a folder and can resume. An app needs none of that: it adds this group, a dataset, an
//! algorithm, and whatever else it likes, and is a Bevy app as any other.

use std::io;
use std::path::PathBuf;

use bevy_app::{
    App, AppExit, Last, Plugin, PluginGroup, PluginGroupBuilder, PreStartup, ScheduleRunnerPlugin,
    TerminalCtrlCHandlerPlugin, ctrlc,
};
use bevy_ecs::message::Messages;
use bevy_ecs::prelude::*;

use crate::checkpoint::{
    CheckpointError, Checkpoints, RestorePlugin, ResumeFrom, RunFolder, RunFolderError, Start,
    finish_writing,
};
use crate::learner::{ComputeDevice, Seed, networks_never_trained};
use crate::report::console::Console;
use crate::report::{
    ConsolePlugin, JsonLinesPlugin, Reports, RunDirectory, finish_progress, nothing_learned,
};
use crate::schedule::{
    Clock, FacilitatorPlugin, InputError, NamedMetrics, Outcome, RunError, SchedulePlugin,
    Training, interrupt, request_stop,
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
/// 3. [`RestorePlugin`]: goes on from a [`ResumeFrom`], where there is one.
/// 4. [`RunPlugin`]: how many steps, from which seed, on which device, into which folder.
/// 5. [`Reports`]: reads metrics back, every 1,000 steps.
/// 6. [`ConsolePlugin`]: progress on standard error.
/// 7. [`JsonLinesPlugin`]: `metrics.jsonl`, where the run has a folder.
/// 8. [`StopPlugin`]: saves a run that Ctrl-C ends.
/// 9. [`ConcludePlugin`]: saves a run whose app ends, waits for the last checkpoint, and says why a run failed.
/// 10. [`ScheduleRunnerPlugin`]: Bevy's loop for apps without a window. An app with one disables it.
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
/// [`TimeBudget`](crate::schedule::TimeBudget). `docs/bevy_app.md` has more of that.
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
            .add(StopPlugin)
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
    /// The folder for metrics and checkpoints, made if missing. None: nothing is written.
    pub folder: Option<PathBuf>,
    /// Whether the run goes on from the latest good checkpoint in its folder, where there is one, bit for bit. Otherwise a folder with
    /// anything in it is refused.
    pub resume: bool,
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
            resume: false,
        }
    }
}

/// Why a run cannot write into a folder.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// There is something in it.
    #[error("{}: the run's folder is not empty; go on from its last checkpoint with `resume: true`, or choose another `folder`, in `RunPlugin`", path.display())]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// It is no folder, or one of something else.
    #[error("{}: no run's folder, as {why}; choose another `folder` in `RunPlugin`", path.display())]
    NotARun {
        /// The path.
        path: PathBuf,
        /// What is there.
        why: String,
    },
    /// Another process trains there.
    #[error("{}: {holder} is training into this folder; wait for it, stop it, or choose another `folder` in `RunPlugin`", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
        /// The other process, as far as it is known.
        holder: String,
    },
    /// Its latest checkpoint cannot be gone on from.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The operating system refused.
    #[error("{}: the run's folder cannot be made or read", path.display())]
    Io {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl FolderError {
    /// What the program says of flags, in the words of an app.
    fn of(error: RunFolderError) -> Self {
        match error {
            RunFolderError::NotEmpty { path } => FolderError::NotEmpty { path },
            RunFolderError::InUse { path, holder } => FolderError::InUse { path, holder },
            RunFolderError::Checkpoint(error) => FolderError::Checkpoint(error),
            RunFolderError::Io { path, source, .. } => FolderError::Io { path, source },
            RunFolderError::NotARun { path, stranger } => FolderError::NotARun {
                path,
                why: format!("it has {stranger:?}"),
            },
            RunFolderError::NotAFolder { path } => FolderError::NotARun {
                path,
                why: "it is a file".to_owned(),
            },
            // What else there is concerns scenes and checkpoints that are named.
            other => FolderError::NotARun {
                path: PathBuf::new(),
                why: other.to_string(),
            },
        }
    }

    fn marked(self) -> BevyError {
        match self {
            FolderError::Io { .. } => RunError::new(self).into(),
            FolderError::Checkpoint(ref error) if !error.is_users_mistake() => {
                RunError::new(self).into()
            }
            _ => InputError::new(self).into(),
        }
    }
}

impl Plugin for RunPlugin {
    fn build(&self, app: &mut App) {
        app.insert_resource(Seed(self.seed))
            .insert_resource(self.device.clone());
        let mut clock = app.world_mut().get_resource_or_init::<Clock>();
        (clock.steps, clock.epochs) = (self.steps, self.epochs);
        if let Some(folder) = self.folder.clone() {
            let resumes = self.resume;
            let open = move |console: Option<Res<Console>>, mut commands: Commands| {
                let opened = RunFolder::open_without_scene(&folder, resumes);
                let opened = opened.map_err(|error| FolderError::of(error).marked())?;
                let say = |text: String| {
                    if let Some(console) = &console {
                        console.message(&text);
                    }
                };
                opened.warnings().for_each(say);
                let mut resumed_from = 0;
                if let Start::Resumed {
                    checkpoint,
                    snapshot,
                } = opened.start
                {
                    say(format!("resuming from {}", checkpoint.display()));
                    resumed_from = snapshot.step;
                    commands.insert_resource(ResumeFrom(snapshot));
                }
                commands.insert_resource(RunDirectory {
                    path: folder.clone(),
                    resumed_from,
                });
                commands.insert_resource(opened.folder.guard());
                commands.insert_resource(HeldFolder(opened.folder));
                Ok::<(), BevyError>(())
            };
            app.add_systems(PreStartup, open);
        }
    }
}

/// The run's folder, which no other process trains into while this is there.
#[derive(Resource)]
struct HeldFolder(#[allow(dead_code)] RunFolder);

/// Lets Ctrl-C end a run as it ends one of the program: the step is finished, and the run saved; once more ends the process at once.
///
/// It is Bevy's own way: the handler is that of [`TerminalCtrlCHandlerPlugin`], whether `DefaultPlugins` bring it or not, and the app
/// ends with [`AppExit`]. An app with a handler of its own keeps that, and disables this plugin or calls
/// [`TerminalCtrlCHandlerPlugin::gracefully_exit`] in it.
pub struct StopPlugin;

impl Plugin for StopPlugin {
    fn build(&self, _: &mut App) {}

    /// Once it is known whether the app has Bevy's plugin.
    fn finish(&self, app: &mut App) {
        // An evaluation and a step of an environment in another process are left, and not waited for.
        TerminalCtrlCHandlerPlugin::register_exit_handler(request_stop);
        // In the frame in which the facilitator sees it, so that the exit status says so, whichever comes first.
        app.add_systems(
            Last,
            TerminalCtrlCHandlerPlugin::exit_on_flag.before(conclude),
        );
        if !app.is_plugin_added::<TerminalCtrlCHandlerPlugin>() {
            // Where there is a handler already, it is Bevy's of another app, or this one's own.
            let _ = ctrlc::set_handler(TerminalCtrlCHandlerPlugin::gracefully_exit);
        }
    }
}

/// Ends a run: waits until the last checkpoint is on disk, ends the line of progress, and prints why a run failed. A run whose app
/// ends before it, with an [`AppExit`] from elsewhere, is saved first, where it has [`Checkpoints`].
pub struct ConcludePlugin;

#[derive(Resource)]
struct Concluded;

impl Plugin for ConcludePlugin {
    fn build(&self, app: &mut App) {
        app.add_systems(Last, conclude);
    }
}

fn conclude(world: &mut World) {
    let exits = world.get_resource::<Messages<AppExit>>();
    if exits.is_some_and(|exits| !exits.is_empty()) {
        interrupt(world);
    }
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
            let not_learned = what_was_not_learned(world);
            finish_progress(world, &format!("finished after {steps} steps{not_learned}"));
            warn_of_metrics_that_never_came(world);
        }
        Outcome::Interrupted => {
            let is_saved = world.contains_resource::<Checkpoints>()
                && world.contains_resource::<RunDirectory>();
            let how = match is_saved {
                true => "interrupted and saved",
                false => "interrupted",
            };
            finish_progress(world, &format!("{how} at step {steps}"));
        }
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

/// What is to be said at the end of a finished run that learned less than its scene has; empty where it did not.
pub(crate) fn what_was_not_learned(world: &World) -> String {
    let nothing = nothing_learned(world).map(str::to_owned).into_iter();
    let all = nothing.chain(networks_never_trained(world));
    all.map(|it| format!(": {it}")).collect()
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
    use std::fs;

    use crate::checkpoint::latest_good;
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
    fn a_folder_with_a_run_is_refused_with_the_way_to_go_on() {
        let folder = tempfile::tempdir().unwrap();
        let run = |steps, resume| RunPlugin {
            steps,
            resume,
            folder: Some(folder.path().join("run")),
            ..RunPlugin::default()
        };
        let ended = |run| {
            let mut app = app(run);
            app.finish();
            while app.should_exit().is_none() {
                app.update();
            }
            let ended = app.world().resource::<Training>().outcome.clone();
            let step = app.world().resource::<Clock>().step;
            (app.should_exit(), ended, step)
        };
        assert_eq!(ended(run(3, true)).0, Some(AppExit::Success));
        let (exit, why, _) = ended(run(5, false));
        let Some(Outcome::Failed(failure)) = why else {
            panic!("it must be refused")
        };
        assert_eq!(exit, Some(AppExit::from_code(2)));
        assert!(failure.message.contains("`resume: true`"), "{failure}");
        assert_eq!(
            ended(run(5, true)),
            (Some(AppExit::Success), Some(Outcome::Finished), 5)
        );
        // All of its steps were taken.
        assert_eq!(
            ended(run(5, true)),
            (Some(AppExit::Success), Some(Outcome::Finished), 5)
        );
    }

    #[test]
    fn reports_beside_the_group_only_say_how_often() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunPlugin {
            steps: 6,
            folder: Some(folder.path().join("run")),
            ..RunPlugin::default()
        };
        let mut app = app(run);
        app.add_plugins(Reports { every: 2.into() });
        assert!(app.run().is_success());
        let metrics = fs::read_to_string(folder.path().join("run/metrics.jsonl")).unwrap();
        let of = |line: &str| line.split_once(',').map(|(step, _)| step.to_owned());
        let steps: Vec<String> = metrics.lines().filter_map(of).collect();
        assert_eq!(steps, ["{\"step\": 2", "{\"step\": 4", "{\"step\": 6"]);
    }

    #[test]
    fn an_app_that_ends_before_its_run_is_saved_where_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunPlugin {
            steps: 1_000_000,
            folder: Some(folder.path().join("run")),
            ..RunPlugin::default()
        };
        let mut app = app(run);
        // The window is closed, say.
        let close = |clock: Res<Clock>, mut exits: MessageWriter<AppExit>| {
            if clock.step >= 3 {
                exits.write(AppExit::Success);
            }
        };
        app.insert_resource(crate::schedule::TimeBudget(std::time::Duration::ZERO))
            .add_systems(bevy_app::PostUpdate, close);
        app.finish();
        while app.should_exit().is_none() {
            app.update();
        }
        assert_eq!(app.should_exit(), Some(AppExit::Success));
        let ended = app.world().resource::<Training>().outcome.clone();
        assert_eq!(ended, Some(Outcome::Interrupted));
        let latest = latest_good(folder.path().join("run/checkpoints")).unwrap();
        assert_eq!(latest.found.unwrap().1.step, 3);
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
