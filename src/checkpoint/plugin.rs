//! Checkpoints in a run: when they are made, and how a run is restored from one.

use std::time::Duration;

use bevy_app::{App, Plugin, PostStartup};
use bevy_ecs::prelude::*;
use bevy_reflect::Reflect;
use serde::{Deserialize, Serialize};

use super::kept::Kept;
use super::{
    AppPersistExt, CheckpointError, CheckpointWriter, FolderGuard, Persist, RunFolderError,
    Snapshot, gather, restore,
};
use crate::scene::{Bounds, FieldProblems, Settings, check_metric};
use crate::schedule::{
    AppCadenceExt, AppMetricsExt, Clock, FailSaved, Failure, InputError, Period, Report,
    ReportSystems, RoundPosition, RunError, Save, SaveNow, SaveSystems, SaveTimes, with_causes,
};
use crate::schedule::{Goal, Reported, RunDirectory};

/// Saves everything that the run needs to go on, every so many steps, at other times that are asked for, and at its end.
#[derive(Clone, Debug, Resource, Reflect)]
pub struct Checkpoints {
    /// Steps or epochs between two checkpoints.
    pub every: Period,
    /// Seconds, by the clock on the wall, after which one is saved if none was, at the end of a step. None: never.
    #[reflect(@Bounds::above(0.0))]
    pub every_seconds: Option<f64>,
    /// Steps and epochs after which one is saved as well, and kept for good: `[20_000, Epochs(50)]`.
    pub also_at: Vec<Period>,
    /// How many of the last ones are kept, besides the best and those of `also_at`.
    #[reflect(@Bounds::at_least(1.0))]
    pub keep: usize,
    /// The metric whose best value makes the best checkpoint, saved when it is reported. None: no best is kept.
    pub best: Option<String>,
    /// Which of its values are good.
    pub goal: Goal,
}

impl Default for Checkpoints {
    fn default() -> Self {
        Checkpoints {
            every: Period::Steps(5_000),
            every_seconds: None,
            also_at: Vec::new(),
            keep: 3,
            best: Some("evaluate/return".to_owned()),
            goal: Goal::Largest,
        }
    }
}

impl Settings for Checkpoints {
    fn check(&self, problems: &mut FieldProblems) {
        if let Some(best) = &self.best {
            check_metric("best", best, problems);
        }
        let loss = self
            .best
            .as_ref()
            .is_some_and(|best| best.ends_with("loss"));
        if loss && self.goal == Goal::Largest {
            problems.refuse("goal", "the largest loss is not a good one: Smallest");
        }
    }
}

impl Checkpoints {
    /// The metric that the best checkpoint was asked to be chosen by. The default asks for nothing: a run without evaluation keeps no
    /// best.
    pub(crate) fn wanted_best(&self) -> Option<&str> {
        let best = self.best.as_ref();
        best.filter(|_| self.best != Self::default().best)
            .map(String::as_str)
    }
}

impl Plugin for Checkpoints {
    fn build(&self, app: &mut App) {
        if let Some(best) = self.wanted_best() {
            app.names_metric("Checkpoints.best", best);
        }
        // A time that no clock reaches is none.
        let seconds = self
            .every_seconds
            .map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX));
        app.insert_resource(self.clone())
            .insert_resource(SaveTimes::new(self.also_at.clone(), seconds))
            .init_resource::<Best>()
            .init_resource::<Kept>()
            .init_resource::<Gathered>()
            .persist::<Best>()
            .persist::<Kept>()
            .run_every(Save, self.every)
            .add_systems(PostStartup, start_writer)
            .add_systems(Report, watch_best.in_set(ReportSystems::Write))
            .add_systems(
                Save,
                (
                    gather_snapshot.in_set(SaveSystems::Gather),
                    write_snapshot.in_set(SaveSystems::Write),
                ),
            );
    }
}

/// The best value so far of the metric that [`Checkpoints::best`] names.
#[derive(Resource, Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Best {
    /// The value; `None` before the first.
    pub value: Option<f64>,
    /// The step of the report that had it.
    pub step: u64,
}

impl Persist for Best {
    fn save(&self, snapshot: &mut Snapshot) -> Result<(), CheckpointError> {
        snapshot.put_state("best", self)
    }

    fn load(&mut self, snapshot: &Snapshot, _: &World) -> Result<(), CheckpointError> {
        *self = snapshot.state("best")?;
        Ok(())
    }
}

/// The thread that writes, held by the run. The run is over when it has finished.
#[derive(Resource)]
pub struct Writer(CheckpointWriter);

/// What was gathered and is not handed over yet.
#[derive(Resource, Default)]
struct Gathered(Option<Snapshot>);

fn start_writer(
    settings: Res<Checkpoints>,
    directory: Option<Res<RunDirectory>>,
    mut commands: Commands,
) -> Result<(), BevyError> {
    if let Some(directory) = directory {
        let folder = directory.path.join("checkpoints");
        let writer = CheckpointWriter::start(folder, settings.keep).map_err(failure)?;
        commands.insert_resource(Writer(writer));
    }
    Ok(())
}

/// Whose mistake it is, for the exit status.
fn failure(error: CheckpointError) -> BevyError {
    if error.is_users_mistake() {
        InputError::new(error).into()
    } else {
        RunError::new(error).into()
    }
}

/// A new best value is saved at once, so that `best` is the checkpoint that had it.
fn watch_best(
    settings: Res<Checkpoints>,
    reported: Res<Reported>,
    mut best: ResMut<Best>,
    mut save: ResMut<SaveNow>,
) {
    let value = settings.best.as_deref().and_then(|name| reported.get(name));
    let Some(value) = value else {
        return;
    };
    if settings.goal.improves(value, best.value, 0.0) {
        *best = Best {
            value: Some(value),
            step: reported.step,
        };
        save.0 = true;
    }
}

/// What in the world may be the cause of numbers that are not finite, in words: whoever makes batches inserts it.
#[derive(Resource, Clone, Copy)]
pub(crate) struct Suspects(pub fn(&World) -> Option<String>);

/// Looks whether the folder is still the run's, before anything is written there. One that was deleted ends the run once it is saved,
/// as nothing in memory is wrong.
///
/// # Errors
/// Another process has taken the folder over: nothing more may be written.
pub(crate) fn watch_folder(
    guard: &FolderGuard,
    fail: Option<&mut FailSaved>,
) -> Result<(), RunFolderError> {
    match (guard.check(), fail) {
        (Err(error @ RunFolderError::Gone { .. }), Some(fail)) => {
            fail.0.get_or_insert(Failure {
                message: with_causes(&error),
                input: false,
            });
            Ok(())
        }
        (checked, _) => checked,
    }
}

fn gather_snapshot(world: &mut World) -> Result<(), BevyError> {
    if let Some(guard) = world.get_resource::<FolderGuard>().cloned() {
        let mut fail = world.get_resource_mut::<FailSaved>();
        watch_folder(&guard, fail.as_deref_mut()).map_err(RunError::new)?;
    }
    let step = world.resource::<Clock>().step;
    let times = world.get_resource::<SaveTimes>();
    if times.is_some_and(SaveTimes::is_listed) {
        world.resource_mut::<Kept>().keep(step);
    }
    let snapshot = gather(world, step).map_err(failure)?;
    if snapshot.not_finite().is_some() {
        let suspects = world.get_resource::<Suspects>().copied();
        let suspects = suspects.and_then(|suspects| (suspects.0)(world));
        snapshot.refuse_not_finite(suspects).map_err(failure)?;
    }
    world.resource_mut::<Gathered>().0 = Some(snapshot);
    Ok(())
}

fn write_snapshot(
    clock: Res<Clock>,
    best: Res<Best>,
    writer: Option<Res<Writer>>,
    mut gathered: ResMut<Gathered>,
) -> Result<(), BevyError> {
    if let (Some(writer), Some(snapshot)) = (writer, gathered.0.take()) {
        let is_best = best.value.is_some() && best.step == clock.step;
        writer.0.save(snapshot, is_best).map_err(failure)?;
    }
    Ok(())
}

/// Waits until every checkpoint of the run is on disk.
///
/// # Errors
/// The first failure to write.
pub fn finish_writing(world: &mut World) -> Result<(), CheckpointError> {
    match world.remove_resource::<Writer>() {
        Some(writer) => writer.0.finish(),
        None => Ok(()),
    }
}

/// The checkpoint that the run goes on from, inserted before the app starts.
#[derive(Resource)]
pub struct ResumeFrom(pub Snapshot);

impl ResumeFrom {
    /// Whether a run of so many steps has nothing left to do: all were taken, and it was not asked to stop in the middle of a round.
    pub fn is_over(&self, steps: u64) -> bool {
        self.0.step >= steps && !self.0.state.contains_key(ROUND)
    }

    /// The same checkpoint for a policy that only acts: a round that was left is not gone on with.
    #[must_use]
    pub fn between_rounds(mut self) -> Self {
        self.0.state.remove(ROUND);
        self
    }
}

/// The set in `PostStartup` in which a run is restored.
#[derive(SystemSet, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RestoreSystems;

/// Restores the run from [`ResumeFrom`] once networks are built.
pub struct RestorePlugin;

impl Plugin for RestorePlugin {
    fn build(&self, app: &mut App) {
        app.init_resource::<Clock>()
            .init_resource::<RoundPosition>()
            .persist::<Clock>()
            .persist::<RoundPosition>()
            .add_systems(PostStartup, restore_run.in_set(RestoreSystems));
    }
}

fn restore_run(world: &mut World) -> Result<(), BevyError> {
    if let Some(ResumeFrom(snapshot)) = world.remove_resource::<ResumeFrom>() {
        restore(world, &snapshot).map_err(failure)?;
    }
    Ok(())
}

#[derive(Serialize, Deserialize)]
struct ClockState {
    step: u64,
    gradient_steps: u64,
}

/// The place in the round, of a run that was asked to stop in the middle of one.
impl Persist for RoundPosition {
    fn save(&self, snapshot: &mut Snapshot) -> Result<(), CheckpointError> {
        match self.has_begun {
            true => snapshot.put_state(ROUND, self),
            false => Ok(()),
        }
    }

    fn load(&mut self, snapshot: &Snapshot, _: &World) -> Result<(), CheckpointError> {
        *self = match snapshot.state.contains_key(ROUND) {
            true => snapshot.state(ROUND)?,
            false => RoundPosition::default(),
        };
        Ok(())
    }
}

const ROUND: &str = "round";

/// How far the run is; how far it is to go is in the scene.
impl Persist for Clock {
    fn save(&self, snapshot: &mut Snapshot) -> Result<(), CheckpointError> {
        snapshot.put_state(
            "clock",
            &ClockState {
                step: self.step,
                gradient_steps: self.gradient_steps,
            },
        )
    }

    fn load(&mut self, snapshot: &Snapshot, _: &World) -> Result<(), CheckpointError> {
        let state: ClockState = snapshot.state("clock")?;
        (self.step, self.gradient_steps) = (state.step, state.gradient_steps);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bevy_ecs::system::RunSystemOnce;

    #[test]
    fn the_smallest_loss_is_the_best_where_the_goal_says_so() {
        let mut world = World::new();
        world.insert_resource(Checkpoints {
            best: Some("validate/loss".to_owned()),
            goal: Goal::Smallest,
            ..Checkpoints::default()
        });
        world.init_resource::<Best>();
        let mut see = |step, value| {
            world.insert_resource(SaveNow(false));
            world.insert_resource(Reported {
                step,
                values: vec![("validate/loss".to_owned(), value)],
                ..Reported::default()
            });
            world.run_system_once(watch_best).unwrap();
            let best = *world.resource::<Best>();
            (best.value, best.step, world.resource::<SaveNow>().0)
        };
        assert_eq!(see(1, 2.0), (Some(2.0), 1, true));
        assert_eq!(see(2, 3.0), (Some(2.0), 1, false));
        assert_eq!(see(3, f64::NEG_INFINITY), (Some(2.0), 1, false));
        assert_eq!(see(4, 1.0), (Some(1.0), 4, true));
    }

    #[test]
    fn a_network_that_is_not_finite_is_not_saved_and_what_may_be_the_cause_is_said() {
        #[derive(Resource)]
        struct Weights(Vec<f32>);
        impl Persist for Weights {
            fn save(&self, snapshot: &mut Snapshot) -> Result<(), CheckpointError> {
                snapshot.put_tensor("actor", "weight", &[2], self.0.clone())
            }
            fn load(&mut self, _: &Snapshot, _: &World) -> Result<(), CheckpointError> {
                Ok(())
            }
        }
        let mut app = App::new();
        app.init_resource::<Clock>()
            .init_resource::<Gathered>()
            .insert_resource(Suspects(|_| Some("row 3".to_owned())))
            .insert_resource(Weights(vec![1.0, f32::NAN]))
            .persist::<Weights>();
        app.world_mut().resource_mut::<Clock>().step = 7;
        let error = gather_snapshot(app.world_mut()).unwrap_err().to_string();
        for part in [
            "snapshot of step 7",
            "`weight` of `actor` holds NaN at 1",
            "row 3",
        ] {
            assert!(error.contains(part), "{part}: {error}");
        }
        assert!(app.world().resource::<Gathered>().0.is_none());
    }

    #[test]
    fn the_largest_loss_is_refused_as_the_best() {
        let mut problems = FieldProblems::default();
        Checkpoints {
            best: Some("validate/critic/loss".to_owned()),
            ..Checkpoints::default()
        }
        .check(&mut problems);
        assert_eq!(problems.iter().next().unwrap().0, "goal");
    }
}
