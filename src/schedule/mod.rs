//! What runs when.
//!
//! Bevy's own `Main` stays as it is. yarak adds one schedule per thing that happens in training, and a *facilitator*
//! ([`FacilitatorPlugin`]) drives them from Bevy's `Update`, so that a run is the same headless and inside an app with windows.
//!
//! 1. `PreStartup` (Bevy): data and environments are loaded.
//! 2. `Startup` (Bevy): networks are built, now that observation and action sizes are known.
//! 3. `PostStartup` (Bevy): a checkpoint is restored, where the run resumes.
//! 4. [`Collect`]: one step of the environments. Online only, [`Cadence::collect`] times a round.
//! 5. [`Prepare`]: once a round: returns, advantages, minibatches.
//! 6. [`Learn`]: one gradient step, [`Cadence::learn`] times a round, unless [`Epochs`] end it. Its slots are [`LearnSystems`], in [`LearnOrder`].
//! 7. [`Validate`]: every N steps: the losses on held-out rows, nothing updated.
//! 8. [`Evaluate`]: every N steps: episodes with the deterministic policy.
//! 9. [`Report`]: every N steps, and after each of the two above: metrics are read back and written.
//! 10. [`Save`]: every N steps, and at other [times](SaveTimes): a checkpoint.
//!
//! No schedule is nested in another, so that every slot of every algorithm is replaced in the same way
//! ([`AppScheduleExt`]). This module knows no tensors.

mod clock;
mod condition;
mod conflict;
mod edit;
mod executor;
mod facilitate;
mod failure;
mod goal;
mod graph;
mod label;
mod named_edit;
mod named_metrics;
mod needs;
mod order;
mod reported;
mod run_directory;
mod save_times;
mod schedule_error;
mod step_registry;
mod training_schedule;
mod validate;

pub use crate::period::Period;
pub use clock::{Clock, EpochWindow, StepsPerCollect, Tick, TickPlugin, TickState};
pub use condition::{after, between, every, training};
pub use edit::AppScheduleExt;
pub(crate) use edit::after_every_slot;
pub use facilitate::{
    AppCadenceExt, Cadence, DueLeft, EndNow, Epochs, FacilitatorPlugin, FailSaved, LearningStarts,
    Left, Outcome, RoundPosition, SaveNow, Stopwatch, TimeBudget, Training, request_stop,
    stop_requested,
};
pub(crate) use facilitate::{
    Taken, TakenElsewhere, begins_elsewhere, concludes_elsewhere, fails_elsewhere, interrupt,
    is_due, take_round,
};
pub(crate) use failure::with_causes;
pub use failure::{Failure, InputError, RunError, keep_failure, take_failure};
pub use goal::Goal;
pub(crate) use graph::{DrawnSchedule, drawn_schedules, learn_steps, written_in_steps};
pub use graph::{GraphFormat, draw};
pub use label::{
    Collect, CollectSystems, Evaluate, EvaluateSystems, Learn, LearnSystems, Prepare,
    PrepareSystems, Report, ReportSystems, SLOTS, Save, SaveSystems, Validate, ValidateSystems,
};
pub use named_edit::{NamedChange, NamedEdit, NewStep, Side};
pub use named_metrics::{AppMetricsExt, NamedMetrics, UnknownMetric};
pub(crate) use needs::written_before_read;
pub use order::{LearnOrder, Slot, SlotOrder};
pub use reported::Reported;
pub use run_directory::RunDirectory;
pub use save_times::SaveTimes;
pub use schedule_error::{ScheduleError, ScheduleErrors, Unordered};
pub use step_registry::{AppStepExt, StepAccess, StepRegistry};
pub use training_schedule::TrainingSchedule;
pub(crate) use validate::PartsLeft;
pub use validate::validate;

use bevy_app::{App, Plugin};
use bevy_ecs::schedule::{LogLevel, Schedule, ScheduleBuildSettings, ScheduleLabel, SystemSet};

/// Adds the schedules, their slots in order, and the queue of edits that [`AppScheduleExt`] fills.
pub struct SchedulePlugin;

impl Plugin for SchedulePlugin {
    fn build(&self, app: &mut App) {
        use label::{
            CollectSystems as C, EvaluateSystems as E, LearnSystems as L, PrepareSystems as P,
            ReportSystems as R, SaveSystems as S, ValidateSystems as V,
        };
        failure::shorten_panics();
        app.init_non_send::<edit::ScheduleEdits>()
            .init_resource::<ScheduleErrors>()
            .init_resource::<StepRegistry>()
            .init_resource::<Clock>()
            .init_resource::<PartsLeft>()
            .set_error_handler(keep_failure);
        add_schedule(app, Collect, [C::Act, C::Step, C::Record]);
        add_schedule(app, Prepare, [P::Advantages, P::Shuffle]);
        add_schedule(
            app,
            Learn,
            [
                L::First,
                L::Sample,
                L::Critic,
                L::Actor,
                L::Targets,
                L::Rates,
                L::Measure,
                L::Last,
            ],
        );
        add_schedule(app, Validate, [V::Sample, V::Losses, V::Measure]);
        add_schedule(app, Evaluate, [E::Freeze, E::Play, E::Score]);
        add_schedule(app, Report, [R::Read, R::Write]);
        add_schedule(app, Save, [S::Gather, S::Write, S::Prune]);
    }

    /// Orders the slots, applies the queued edits and builds the schedules; what goes wrong waits in [`ScheduleErrors`].
    fn finish(&self, app: &mut App) {
        let world = app.world_mut();
        let by_plugins = needs::touched_by_plugins(world);
        let mut errors = edit::apply(world);
        edit::order_and_build(world, Collect, &mut errors);
        edit::order_and_build(world, Prepare, &mut errors);
        edit::order_and_build(world, Learn, &mut errors);
        edit::order_and_build(world, Validate, &mut errors);
        edit::order_and_build(world, Evaluate, &mut errors);
        edit::order_and_build(world, Report, &mut errors);
        edit::order_and_build(world, Save, &mut errors);
        if errors.is_empty() {
            errors = needs::check(world, &by_plugins);
        }
        world.resource_mut::<ScheduleErrors>().0.extend(errors);
    }
}

/// A schedule on one thread whose slots run in the given order.
fn add_schedule<S, const N: usize>(app: &mut App, label: S, slots: [impl SystemSet; N])
where
    S: ScheduleLabel + Clone,
{
    let mut schedule = Schedule::new(label.clone());
    schedule.set_executor(executor::FlushingExecutor::default());
    schedule.set_build_settings(build_settings(LogLevel::Ignore));
    app.add_schedule(schedule);
    app.insert_resource(SlotOrder::<S>::new(slots));
}

/// `ambiguity` is [`LogLevel::Ignore`] while slots still move, and [`LogLevel::Error`] once they are fixed.
fn build_settings(ambiguity: LogLevel) -> ScheduleBuildSettings {
    ScheduleBuildSettings {
        ambiguity_detection: ambiguity,
        ..ScheduleBuildSettings::new()
    }
}
