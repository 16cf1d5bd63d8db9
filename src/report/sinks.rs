//! Where reports go.

use std::time::{SystemTime, UNIX_EPOCH};

use bevy_app::{App, Plugin, PostStartup};
use bevy_ecs::prelude::*;
use bevy_reflect::Reflect;

use super::console::{Console, Progress};
use super::json_lines::{JsonLines, JsonLinesError, cut_back};
use super::tensorboard::{self, EventFile};
use crate::checkpoint::{FolderGuard, unsaved, watch_folder};
use crate::scene::Settings;
use crate::schedule::{
    Cadence, Clock, FailSaved, Failure, LearningStarts, Left, Report, ReportSystems, Reported,
    RunDirectory, RunError, with_causes,
};

/// Writes `metrics.jsonl`, one object a report, into the [`RunDirectory`].
pub struct JsonLinesPlugin;

#[derive(Resource)]
struct JsonLinesSink(JsonLines);

impl Plugin for JsonLinesPlugin {
    fn build(&self, app: &mut App) {
        app.add_systems(PostStartup, open_json_lines)
            .add_systems(Report, write_json_line.in_set(ReportSystems::Write));
    }
}

fn open_json_lines(
    directory: Option<Res<RunDirectory>>,
    mut commands: Commands,
) -> Result<(), BevyError> {
    if let Some(directory) = directory {
        let path = directory.path.join("metrics.jsonl");
        if std::fs::symlink_metadata(&path).is_ok() {
            cut_back(&path, directory.resumed_from).map_err(RunError::new)?;
        }
        commands.insert_resource(JsonLinesSink(
            JsonLines::open(&path).map_err(RunError::new)?,
        ));
    }
    Ok(())
}

fn write_json_line(
    reported: Res<Reported>,
    sink: Option<ResMut<JsonLinesSink>>,
    guard: Option<Res<FolderGuard>>,
    mut fail: Option<ResMut<FailSaved>>,
) -> Result<(), BevyError> {
    let Some(mut sink) = sink else {
        return Ok(());
    };
    if let Some(guard) = guard {
        watch_folder(&guard, fail.as_deref_mut()).map_err(RunError::new)?;
    }
    match (sink.0.append(reported.step, &reported.values), fail) {
        // Its lines are written anew, and nothing is wrong with what was learned: it is saved before the run ends.
        (Err(error @ JsonLinesError::Gone(_)), Some(mut fail)) => {
            end_saved(&mut fail, &error);
            Ok(())
        }
        (appended, _) => Ok(appended.map_err(RunError::new)?),
    }
}

/// Ends the run once it is saved. The first reason is the one to report.
fn end_saved(fail: &mut FailSaved, error: &dyn std::error::Error) {
    fail.0.get_or_insert_with(|| Failure {
        message: with_causes(error),
        input: false,
    });
}

/// Writes TensorBoard's event files into the run's folder.
#[derive(Clone, Debug, Default, Resource, Reflect)]
pub struct TensorBoard {}

impl Settings for TensorBoard {}

#[derive(Resource)]
struct TensorBoardSink(EventFile);

impl Plugin for TensorBoard {
    fn build(&self, app: &mut App) {
        app.add_systems(PostStartup, open_event_file)
            .add_systems(Report, write_event.in_set(ReportSystems::Write));
    }
}

fn unix_seconds() -> f64 {
    // A clock before 1970 is wrong anyway; the points then are at 0.
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0.0, |since| since.as_secs_f64())
}

fn open_event_file(
    directory: Option<Res<RunDirectory>>,
    mut commands: Commands,
) -> Result<(), BevyError> {
    if let Some(directory) = directory {
        tensorboard::cut_back(&directory.path, directory.resumed_from).map_err(RunError::new)?;
        let file = match directory.resumed_from {
            0 => EventFile::create(&directory.path, unix_seconds()),
            step => EventFile::resume(&directory.path, unix_seconds(), step),
        }
        .map_err(RunError::new)?;
        commands.insert_resource(TensorBoardSink(file));
    }
    Ok(())
}

fn write_event(
    reported: Res<Reported>,
    sink: Option<ResMut<TensorBoardSink>>,
    mut commands: Commands,
) -> Result<(), BevyError> {
    let Some(mut sink) = sink else {
        return Ok(());
    };
    let appended = sink
        .0
        .append(reported.step, unix_seconds(), &reported.values);
    match appended {
        Err(error) if error.action == "find" => {
            commands.queue(move |world: &mut World| {
                if let Some(mut fail) = world.get_resource_mut::<FailSaved>() {
                    end_saved(&mut fail, &error);
                }
            });
            Ok(())
        }
        appended => Ok(appended.map_err(RunError::new)?),
    }
}

/// Shows progress on the terminal, or writes a line a report where there is none.
pub struct ConsolePlugin {
    /// The terminal, shared by the learners of a process.
    pub console: Console,
    /// The learner's name; empty where there is only one.
    pub name: String,
}

impl Default for ConsolePlugin {
    /// Standard error, for the only learner.
    fn default() -> Self {
        ConsolePlugin {
            console: Console::stderr(),
            name: String::new(),
        }
    }
}

#[derive(Resource)]
struct ConsoleSink(Progress);

impl Plugin for ConsolePlugin {
    fn build(&self, app: &mut App) {
        let (console, name) = (self.console.clone(), self.name.clone());
        let open = move |clock: Res<Clock>, mut commands: Commands| {
            let progress = Progress::new(&console, &name, clock.steps, clock.step);
            commands.insert_resource(ConsoleSink(progress));
        };
        app.insert_resource(self.console.clone())
            .add_systems(
                PostStartup,
                (open, warn_of_no_learning, say_what_begins_anew)
                    .after(crate::checkpoint::RestoreSystems),
            )
            .add_systems(Report, show_progress.in_set(ReportSystems::Write))
            .add_observer(say_what_was_left);
    }
}

/// Says that an evaluation or a validation is not over yet. A run that goes on begins it anew.
fn say_what_was_left(left: On<Left>, clock: Res<Clock>, console: Res<Console>) {
    console.message(&format!(
        "the {} at step {} was left, as the run was asked to stop",
        left.what, clock.step
    ));
}

/// A run that ends before its learning starts says so before its first step, and so does one that is shorter than a round.
fn warn_of_no_learning(
    (clock, starts): (Res<Clock>, Option<Res<LearningStarts>>),
    cadence: Option<Res<Cadence>>,
    console: Res<Console>,
) {
    let round = cadence.map_or(0, |cadence| cadence.collect);
    let collects = round > 0;
    if round > clock.steps && clock.step < clock.steps {
        console.message(&format!(
            "warning: the run has {} steps, and takes more: {round} of every environment are collected before it learns, reports or ends",
            clock.steps
        ));
    }
    let (Some(starts), true) = (starts, collects) else {
        return;
    };
    if clock.steps <= starts.0 && clock.step < clock.steps {
        console.message(&format!(
            "warning: nothing will be learned: `learning_starts` is {}, and the run has {} steps; lower the one or raise the other",
            starts.0, clock.steps
        ));
    }
}

/// Names what a run that goes on has lost, as no checkpoint holds it: it may be of no matter, and nobody else would notice.
fn say_what_begins_anew(world: &mut World) {
    let directory = world.get_resource::<RunDirectory>();
    if directory.is_none_or(|directory| directory.resumed_from == 0) {
        return;
    }
    let console = world.resource::<Console>();
    for (_, name) in unsaved(world) {
        console.message(&format!(
            "note: `{name}` begins anew: the run's steps write it, and no checkpoint holds it; `app.persist_serde::<{name}>()` lets it go on"
        ));
    }
}

/// What is to be said at the end of a run that took no gradient step; nothing of others.
pub fn nothing_learned(world: &World) -> Option<&'static str> {
    let clock = world.get_resource::<Clock>()?;
    let collects = world
        .get_resource::<Cadence>()
        .is_some_and(|cadence| cadence.collect > 0);
    (collects && clock.gradient_steps == 0).then_some(
        "nothing was learned: the run ended before its `learning_starts`, and its policy is as it was made",
    )
}

fn show_progress(
    reported: Res<Reported>,
    console: Res<Console>,
    mut sink: ResMut<ConsoleSink>,
    fail: Option<ResMut<FailSaved>>,
) {
    sink.0
        .report(reported.step, reported.steps_per_second, &reported.values);
    if let (Err(gone), Some(mut fail)) = (console.look_after_log(), fail) {
        end_saved(&mut fail, &gone);
    }
}

/// Ends the run's line with a last word. Nothing happens where no progress is shown.
pub fn finish_progress(world: &mut World, text: &str) {
    if let Some(ConsoleSink(progress)) = world.remove_resource() {
        progress.finish(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Shown(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Shown {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_validation_that_was_left_is_said_as_an_evaluation_is() {
        let shown = Shown::default();
        let mut app = App::new();
        app.add_plugins(ConsolePlugin {
            console: Console::plain(shown.clone()),
            name: String::new(),
        });
        app.insert_resource(Clock {
            step: 7,
            ..Clock::default()
        });
        for what in ["validation", "evaluation"] {
            app.world_mut().trigger(Left { what });
        }
        let said = String::from_utf8(shown.0.lock().unwrap().clone()).unwrap();
        assert_eq!(
            said,
            "the validation at step 7 was left, as the run was asked to stop\n\
             the evaluation at step 7 was left, as the run was asked to stop\n"
        );
    }
}
