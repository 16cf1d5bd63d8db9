//! The facilitator: drives the schedules from Bevy's `Update`.
//!
//! One call takes as many rounds as fit into [`TimeBudget`], so that an app with windows stays alive while it trains.
//! Decisions that need a host value (a target KL, an early stop) fall here, between rounds.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bevy_app::{App, AppExit, Plugin, Update};
use bevy_ecs::prelude::*;
use bevy_ecs::schedule::{InternedScheduleLabel, ScheduleLabel};
use serde::{Deserialize, Serialize};

use crate::period::Period;

use super::{
    Clock, Collect, Evaluate, Failure, Learn, Prepare, Report, Save, SaveTimes, ScheduleErrors,
    StepsPerCollect, Validate, save_times::Passed, take_failure, validate,
};

/// How far the running round is: a run that is asked to stop in the middle of one goes on from there.
#[derive(Resource, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoundPosition {
    /// Whether there is a running round at all.
    pub has_begun: bool,
    /// The step before the round.
    pub before: u64,
    /// The gradient steps that were taken before the round.
    pub gradient_steps_before: u64,
    /// Its runs of [`Collect`] so far.
    pub collected: u64,
    /// Whether [`Prepare`] ran.
    pub is_prepared: bool,
    /// Its runs of [`Learn`] so far.
    pub learned: u64,
}

impl RoundPosition {
    /// At the beginning of a round.
    fn beginning(clock: &Clock) -> Self {
        RoundPosition {
            has_begun: true,
            before: clock.step,
            gradient_steps_before: clock.gradient_steps,
            ..RoundPosition::default()
        }
    }
}

/// What a round consists of. Offline learning collects nothing.
#[derive(Resource, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cadence {
    /// Runs of [`Collect`] in a round.
    pub collect: u64,
    /// Runs of [`Learn`] in a round.
    pub learn: u64,
}

impl Default for Cadence {
    fn default() -> Self {
        Cadence {
            collect: 0,
            learn: 1,
        }
    }
}

/// Environment steps that are only collected: [`Learn`] does not run before more than these were taken. Algorithms that fill a
/// replay buffer first set it. It means nothing offline.
#[derive(Resource, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LearningStarts(pub u64);

/// The epochs of a round of [`Learn`], for algorithms that may end a round early: PPO does so at a target KL divergence.
///
/// Before each epoch it is asked whether the epochs so far are enough; the rest of the round is then left out. This is where a
/// value may be read back from the device: no step of `Learn` does.
///
/// ```
/// use yarak::prelude::*;
/// use yarak::schedule::{Cadence, Epochs};
///
/// #[derive(Resource)]
/// struct Divergence(f32);
///
/// let mut app = App::new();
/// app.insert_resource(Cadence { collect: 128, learn: 4 * 8 })
///     .insert_resource(Epochs {
///         steps: 8,
///         are_enough: |world| world.resource::<Divergence>().0 > 0.02,
///     });
/// ```
#[derive(Resource, Clone, Copy, Debug)]
pub struct Epochs {
    /// Runs of [`Learn`] in an epoch, at least 1.
    pub steps: u64,
    /// Whether the round is over. It is asked before each epoch, the first included.
    pub are_enough: fn(&mut World) -> bool,
}

/// How long one `Update` may train before Bevy's other systems have their turn: 50 ms headless. An app that draws sets less.
#[derive(Resource, Clone, Copy, Debug)]
pub struct TimeBudget(pub Duration);

impl Default for TimeBudget {
    fn default() -> Self {
        TimeBudget(Duration::from_millis(50))
    }
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All steps were taken.
    Finished,
    /// It was asked to stop ([`request_stop`]): the step was finished and a checkpoint saved.
    Interrupted,
    /// It failed. Nothing was saved since the last checkpoint.
    Failed(Failure),
}

/// The state of the run: `None` while it goes on.
#[derive(Resource, Clone, Debug, Default)]
pub struct Training {
    /// How the run ended, once it did.
    pub outcome: Option<Outcome>,
}

impl Training {
    /// Why the run has failed, if it has.
    pub(crate) fn failure(&self) -> Option<&Failure> {
        match &self.outcome {
            Some(Outcome::Failed(failure)) => Some(failure),
            _ => None,
        }
    }
}

/// Time spent in rounds, without evaluation, reports and saving.
#[derive(Resource, Clone, Copy, Debug, Default)]
pub struct Stopwatch {
    /// Since the run started.
    pub learning: Duration,
    /// Steps taken in that time.
    pub steps: u64,
}

/// Asks for a checkpoint after this step, whatever the cadence says.
#[derive(Resource, Clone, Copy, Debug, Default)]
pub struct SaveNow(pub bool);

/// Ends the run after this step, because of what it says: the run counts as finished. A checkpoint is saved only if
/// [`SaveNow`] asks for one.
#[derive(Resource, Clone, Debug, Default)]
pub struct EndNow(pub Option<String>);

/// Ends the run after this round with a failure that the round itself took no harm from, such as a simulator that went away: it is
/// saved first, where the run saves at all.
#[derive(Resource, Clone, Debug, Default)]
pub struct FailSaved(pub Option<Failure>);

/// That an evaluation or a validation was left before its end, as the run was asked to stop: it is due again when the run goes on.
#[derive(Resource, Clone, Copy, Debug, Default)]
pub struct DueLeft(pub bool);

/// Triggered where [`DueLeft`] is found, for whoever tells the user.
#[derive(Event, Clone, Copy, Debug)]
pub struct Left {
    /// "evaluation" or "validation".
    pub what: &'static str,
}

static STOP: AtomicBool = AtomicBool::new(false);

/// Asks every run of this process to finish its step, save and end.
pub fn request_stop() {
    STOP.store(true, Ordering::Relaxed);
}

/// Whether [`request_stop`] was called.
pub fn stop_requested() -> bool {
    STOP.load(Ordering::Relaxed)
}

/// Which schedules run every so often.
#[derive(Resource, Default, Debug)]
struct Periods {
    periods: Vec<(InternedScheduleLabel, Period)>,
}

impl Periods {
    fn of(&self, label: InternedScheduleLabel) -> Option<Period> {
        self.periods
            .iter()
            .find(|(there, _)| *there == label)
            .map(|(_, period)| *period)
    }
}

/// Sets how often a schedule runs.
pub trait AppCadenceExt {
    /// Runs [`Validate`], [`Evaluate`], [`Report`] or [`Save`] every so many steps or epochs, and after the last step.
    fn run_every(&mut self, schedule: impl ScheduleLabel, period: impl Into<Period>) -> &mut Self;
}

impl AppCadenceExt for App {
    fn run_every(&mut self, schedule: impl ScheduleLabel, period: impl Into<Period>) -> &mut Self {
        let label = schedule.intern();
        let mut periods = self.world_mut().get_resource_or_init::<Periods>();
        periods.periods.retain(|(there, _)| *there != label);
        periods.periods.push((label, period.into()));
        self
    }
}

/// Drives the schedules from `Update` until [`Clock::steps`] are done, then ends the app.
pub struct FacilitatorPlugin;

impl Plugin for FacilitatorPlugin {
    fn build(&self, app: &mut App) {
        app.init_resource::<Cadence>()
            .init_resource::<RoundPosition>()
            .init_resource::<DueLeft>()
            .init_resource::<LearningStarts>()
            .init_resource::<TimeBudget>()
            .init_resource::<Training>()
            .init_resource::<Stopwatch>()
            .init_resource::<SaveNow>()
            .init_resource::<StepsPerCollect>()
            .init_resource::<EndNow>()
            .init_resource::<FailSaved>()
            .init_resource::<Periods>()
            .add_systems(Update, facilitate);
        // Whoever asks for a checkpoint sets it, and nobody in a schedule takes that back: their order does not matter.
        app.allow_ambiguous_resource::<SaveNow>();
        app.allow_ambiguous_resource::<FailSaved>();
    }
}

fn facilitate(world: &mut World) {
    if world.resource::<Training>().outcome.is_some() || world.contains_resource::<TakenElsewhere>()
    {
        return;
    }
    let errors = &world.resource::<ScheduleErrors>().0;
    if !errors.is_empty() {
        let message = errors.iter().map(ToString::to_string).collect::<Vec<_>>();
        let failure = Failure {
            message: message.join("\n"),
            input: true,
        };
        return end(world, Outcome::Failed(failure));
    }
    let deadline = Instant::now() + world.resource::<TimeBudget>().0;
    loop {
        if let Some(outcome) = round(world) {
            return end(world, outcome);
        }
        if Instant::now() >= deadline {
            return;
        }
    }
}

/// Whether a run that is between two rounds has none to take.
fn is_over(world: &World) -> bool {
    let clock = world.resource::<Clock>();
    clock.step >= clock.steps || world.resource::<EndNow>().0.is_some()
}

/// One round and what falls due after it; the outcome when the run has ended.
fn round(world: &mut World) -> Option<Outcome> {
    // A failure of `Startup` is found here, before the first step.
    if let Some(failure) = take_failure() {
        return Some(Outcome::Failed(failure));
    }
    let mut at = *world.resource::<RoundPosition>();
    if !at.has_begun {
        if is_over(world) {
            return Some(Outcome::Finished);
        }
        at = RoundPosition::beginning(world.resource::<Clock>());
    }
    if world.resource::<Clock>().steps == u64::MAX {
        return Some(Outcome::Failed(Failure {
            message: ENDLESS.to_owned(),
            input: true,
        }));
    }
    let began = world.resource::<Clock>().step;
    let started = Instant::now();
    let all_taken = take_steps(world, &mut at);
    let time = started.elapsed();
    let steps = world.resource::<Clock>().step - began;
    conclude(world, at, all_taken, Taken { steps, time })
}

/// Steps that were taken, and how long that took.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Taken {
    pub steps: u64,
    pub time: Duration,
}

/// What falls due after the steps of a round; the outcome when the run has ended.
fn conclude(
    world: &mut World,
    at: RoundPosition,
    all_taken: bool,
    taken: Taken,
) -> Option<Outcome> {
    let clock = world.resource::<Clock>().clone();
    let mut stopwatch = world.resource_mut::<Stopwatch>();
    stopwatch.learning += taken.time;
    stopwatch.steps += taken.steps;
    // A step that failed is never saved: the last checkpoint is kept.
    if let Some(failure) = take_failure() {
        return Some(Outcome::Failed(failure));
    }
    if all_taken && clock.step == at.before {
        return Some(Outcome::Failed(Failure {
            message: NOTHING_LEARNED.to_owned(),
            input: true,
        }));
    }
    *world.resource_mut::<RoundPosition>() = at;
    let finished = all_taken && clock.step >= clock.steps;
    let broken = world.resource::<FailSaved>().0.is_some();
    if !finished && !broken && stop_requested() {
        return Some(stop(world));
    }
    match run_due(world, &at, &clock, finished) {
        Err(failure) => return Some(Outcome::Failed(failure)),
        Ok(Due::Stopped) => return Some(stop(world)),
        Ok(Due::Done) => {}
    }
    // An evaluation may have met it as well.
    if let Some(mut failure) = world.resource::<FailSaved>().0.clone() {
        if world.resource::<Periods>().of(Save.intern()).is_some() {
            let step = clock.step;
            failure.message += &format!(
                "\nthe run was saved at step {step}; when this is mended, go on with `--resume auto`"
            );
        }
        return Some(Outcome::Failed(failure));
    }
    if finished || world.resource::<EndNow>().0.is_some() {
        Some(Outcome::Finished)
    } else {
        // A stop that is asked for just now is seen after the next step.
        None
    }
}

/// The steps of a round from where it is, up to its end or to where the run is asked to stop; whether all of them were taken.
fn take_steps(world: &mut World, at: &mut RoundPosition) -> bool {
    let cadence = *world.resource::<Cadence>();
    // What was asked for before the round began was seen then: every call takes a step.
    let mut may_stop = false;
    let stops = |may_stop: &mut bool| std::mem::replace(may_stop, true) && stop_requested();
    while at.collected < cadence.collect {
        if stops(&mut may_stop) {
            return false;
        }
        let steps = world.resource::<StepsPerCollect>().0;
        world.resource_mut::<Clock>().step += steps;
        world.run_schedule(Collect);
        at.collected += 1;
    }
    if !at.is_prepared {
        if stops(&mut may_stop) {
            return false;
        }
        world.run_schedule(Prepare);
        at.is_prepared = true;
        may_stop = cadence.collect > 0;
    }
    let warmed_up = world.resource::<Clock>().step > world.resource::<LearningStarts>().0;
    let learn = if warmed_up || cadence.collect == 0 {
        cadence.learn
    } else {
        0
    };
    while at.learned < learn {
        if stops(&mut may_stop) {
            return false;
        }
        if epochs_are_enough(world, at.learned) {
            at.learned = learn;
            break;
        }
        let mut clock = world.resource_mut::<Clock>();
        clock.gradient_steps += 1;
        if cadence.collect == 0 {
            clock.step += 1;
        }
        world.run_schedule(Learn);
        at.learned += 1;
    }
    true
}

/// Ends a run that was asked to stop: what it has is saved, with its place in the round.
fn stop(world: &mut World) -> Outcome {
    if world.resource::<Periods>().of(Save.intern()).is_some() {
        world.run_schedule(Save);
        if let Some(failure) = take_failure() {
            return Outcome::Failed(failure);
        }
    }
    Outcome::Interrupted
}

/// Ends a run because its app ends, as if it had been asked to stop between two rounds. Nothing happens where it has ended already.
pub(crate) fn interrupt(world: &mut World) {
    let goes_on = |it: &Training| it.outcome.is_none();
    if !world.get_resource::<Training>().is_some_and(goes_on) {
        return;
    }
    // A step that failed is never saved, and before the first there is nothing to save.
    let outcome = match take_failure() {
        Some(failure) => Outcome::Failed(failure),
        None if world.resource::<Clock>().step == 0 => Outcome::Interrupted,
        None => stop(world),
    };
    if let Outcome::Failed(failure) = &outcome {
        world.write_message(AppExit::from_code(failure.exit_status()));
    }
    world.resource_mut::<Training>().outcome = Some(outcome);
}

/// Whether the round's epochs end here, after so many of its gradient steps.
fn epochs_are_enough(world: &mut World, taken: u64) -> bool {
    let Some(epochs) = world.get_resource::<Epochs>().copied() else {
        return false;
    };
    taken.is_multiple_of(epochs.steps.max(1)) && (epochs.are_enough)(world)
}

const NOTHING_LEARNED: &str =
    "a round had no environment to collect from and no row to learn from: give it rows";

const ENDLESS: &str =
    "the run has `epochs` and no `steps`, and nothing here says how long an epoch is: give `steps`";

/// That a run's steps are taken elsewhere, by the stack of learners that it is one of: the facilitator leaves it alone.
#[derive(Resource)]
pub(crate) struct TakenElsewhere;

/// One round of a stack of learners, with nothing that falls due after it: that is of its learners' own runs.
pub(crate) fn take_round(world: &mut World) -> Result<RoundPosition, Failure> {
    let mut at = RoundPosition::beginning(world.resource::<Clock>());
    take_steps(world, &mut at);
    take_failure().map_or(Ok(at), Err)
}

/// Whether anything falls due in a run after a round that was taken elsewhere, up to where `clock` is.
pub(crate) fn is_due(world: &mut World, round: &RoundPosition, clock: &Clock) -> bool {
    let periods = world.resource::<Periods>().periods.iter();
    let mut passed = periods.map(|(_, period)| Passed::in_a_round(*period, round, clock));
    let any = passed.any(|passed| passed.is_due());
    let times = world.get_resource_mut::<SaveTimes>();
    let saves = times.is_some_and(|mut times| times.are_due(round, clock));
    any || saves || clock.step >= clock.steps || stop_requested()
}

/// What a run does before the first step that is taken elsewhere: where it was stopped in a round, what falls due after that. Whether it
/// goes on.
pub(crate) fn begins_elsewhere(world: &mut World) -> bool {
    let at = *world.resource::<RoundPosition>();
    let outcome = match take_failure() {
        Some(failure) => Some(Outcome::Failed(failure)),
        None if at.has_begun => conclude(world, at, true, Taken::default()),
        None => is_over(world).then_some(Outcome::Finished),
    };
    goes_on(world, outcome)
}

/// What falls due in a run after a round that was taken elsewhere. Whether it goes on.
pub(crate) fn concludes_elsewhere(world: &mut World, at: RoundPosition, taken: Taken) -> bool {
    let outcome = conclude(world, at, true, taken);
    goes_on(world, outcome)
}

/// Ends a run whose steps can be taken no more.
pub(crate) fn fails_elsewhere(world: &mut World, failure: Failure) {
    end(world, Outcome::Failed(failure));
}

fn goes_on(world: &mut World, outcome: Option<Outcome>) -> bool {
    outcome.map(|outcome| end(world, outcome)).is_none()
}

/// What became of the schedules that fell due.
enum Due {
    Done,
    /// The run was asked to stop: what did not run yet is due when it goes on.
    Stopped,
}

/// Runs the periodic schedules that fell due in the steps of a round.
fn run_due(
    world: &mut World,
    round: &RoundPosition,
    clock: &Clock,
    finished: bool,
) -> Result<Due, Failure> {
    let due = |world: &World, label: InternedScheduleLabel| {
        world
            .resource::<Periods>()
            .of(label)
            .is_some_and(|period| finished || Passed::in_a_round(period, round, clock).is_due())
    };
    let mut scored = false;
    if due(world, Validate.intern()) {
        validate(world)?;
        scored = true;
        if was_left(world, "validation") {
            return Ok(Due::Stopped);
        }
    }
    if due(world, Evaluate.intern()) {
        world.run_schedule(Evaluate);
        take_failure().map_or(Ok(()), Err)?;
        scored = true;
        if was_left(world, "evaluation") {
            return Ok(Due::Stopped);
        }
    }
    if scored || due(world, Report.intern()) {
        world.run_schedule(Report);
        take_failure().map_or(Ok(()), Err)?;
    }
    *world.resource_mut::<RoundPosition>() = RoundPosition::default();
    let saves = world.resource::<Periods>().of(Save.intern()).is_some();
    let asked = std::mem::take(&mut world.resource_mut::<SaveNow>().0);
    let broken = world.resource::<FailSaved>().0.is_some();
    let times = world.get_resource_mut::<SaveTimes>();
    let also = times.is_some_and(|mut times| times.are_due(round, clock));
    if due(world, Save.intern()) || (saves && (asked || broken || also)) {
        world.run_schedule(Save);
        take_failure().map_or(Ok(()), Err)?;
        if let Some(mut times) = world.get_resource_mut::<SaveTimes>() {
            times.has_saved();
        }
    }
    Ok(Due::Done)
}

/// Whether what has just run was left before its end, which is then told.
fn was_left(world: &mut World, what: &'static str) -> bool {
    let left = std::mem::take(&mut world.resource_mut::<DueLeft>().0);
    if left {
        world.trigger(Left { what });
    }
    left
}

fn end(world: &mut World, outcome: Outcome) {
    let exit = match &outcome {
        Outcome::Finished | Outcome::Interrupted => AppExit::Success,
        Outcome::Failed(failure) => AppExit::from_code(failure.exit_status()),
    };
    world.resource_mut::<Training>().outcome = Some(outcome);
    world.write_message(exit);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::{LearnSystems, SchedulePlugin};

    #[derive(Resource, Default)]
    struct Log(Vec<(&'static str, u64)>);

    fn log(name: &'static str) -> impl Fn(ResMut<Log>, Res<Clock>) {
        move |mut log, clock| log.0.push((name, clock.step))
    }

    fn app(steps: u64) -> App {
        let mut app = App::new();
        app.add_plugins((SchedulePlugin, FacilitatorPlugin))
            .init_resource::<Log>()
            .add_systems(Learn, log("learn").in_set(LearnSystems::Critic))
            .add_systems(Evaluate, log("evaluate"))
            .add_systems(Report, log("report"))
            .add_systems(Save, log("save"))
            .run_every(Evaluate, 2)
            .run_every(Save, 3);
        app.world_mut().resource_mut::<Clock>().steps = steps;
        app.finish();
        app
    }

    fn run(app: &mut App) -> Outcome {
        for _ in 0..100 {
            app.update();
            if let Some(outcome) = &app.world().resource::<Training>().outcome {
                return outcome.clone();
            }
        }
        panic!("the run never ended")
    }

    #[test]
    fn a_failure_that_harmed_nothing_is_saved_before_the_run_ends() {
        let mut app = app(5);
        let go_away = |clock: Res<Clock>, mut fail: ResMut<FailSaved>| {
            if clock.step == 2 {
                let message = "it went away".to_owned();
                fail.0 = Some(Failure {
                    message,
                    input: false,
                });
            }
        };
        app.add_systems(Learn, go_away.in_set(LearnSystems::Actor));
        let Outcome::Failed(failure) = run(&mut app) else {
            panic!("it failed");
        };
        assert!(
            failure
                .message
                .starts_with("it went away\nthe run was saved at step 2")
        );
        let log = &app.world().resource::<Log>().0;
        assert_eq!(log.last(), Some(&("save", 2)));
    }

    #[test]
    fn periods_in_epochs_count_gradient_steps_whatever_a_round_is() {
        // Rounds of four environment steps and three gradient steps; an epoch is five of these.
        let mut app = app(24);
        app.insert_resource(Cadence {
            collect: 4,
            learn: 3,
        })
        .run_every(Evaluate, Period::Epochs(1))
        .run_every(Save, Period::Epochs(2));
        app.world_mut().resource_mut::<Clock>().steps_per_epoch = 5;
        assert_eq!(run(&mut app), Outcome::Finished);
        let log = &app.world().resource::<Log>().0;
        let of = |what: &str| -> Vec<u64> {
            let found = log.iter().filter(|(name, _)| *name == what);
            found.map(|(_, step)| *step).collect()
        };
        // After 6, 12, 15 and 18 gradient steps, which is the end; saved after 12 and there.
        assert_eq!(of("evaluate"), [8, 16, 20, 24]);
        assert_eq!(of("save"), [16, 24]);
    }

    #[test]
    fn a_run_is_saved_at_listed_times_and_after_some_time_as_well() {
        let saved = |times: SaveTimes| -> Vec<u64> {
            let mut app = app(5);
            app.insert_resource(times);
            assert_eq!(run(&mut app), Outcome::Finished);
            let log = &app.world().resource::<Log>().0;
            let saves = log.iter().filter(|(name, _)| *name == "save");
            saves.map(|(_, step)| *step).collect()
        };
        let listed = vec![Period::Steps(2), Period::Steps(3), Period::Steps(9)];
        assert_eq!(saved(SaveTimes::new(listed, None)), [2, 3, 5]);
        let at_once = SaveTimes::new(Vec::new(), Some(Duration::ZERO));
        assert_eq!(saved(at_once), [1, 2, 3, 4, 5]);
        let never = SaveTimes::new(Vec::new(), Some(Duration::MAX));
        assert_eq!(saved(never), [3, 5]);
    }

    #[test]
    fn periodic_schedules_run_after_their_steps_and_after_the_last() {
        let mut app = app(5);
        assert_eq!(run(&mut app), Outcome::Finished);
        let log = &app.world().resource::<Log>().0;
        assert_eq!(
            log[..],
            [
                ("learn", 1),
                ("learn", 2),
                ("evaluate", 2),
                ("report", 2),
                ("learn", 3),
                ("save", 3),
                ("learn", 4),
                ("evaluate", 4),
                ("report", 4),
                ("learn", 5),
                ("evaluate", 5),
                ("report", 5),
                ("save", 5),
            ]
        );
    }

    #[test]
    fn a_failed_step_ends_the_run_and_is_not_saved() {
        let mut app = app(5);
        app.add_systems(
            Learn,
            (|clock: Res<Clock>| -> Result<(), BevyError> {
                if clock.step == 3 {
                    return Err("the third step is cursed".into());
                }
                Ok(())
            })
            .in_set(LearnSystems::Last),
        );
        let Outcome::Failed(failure) = run(&mut app) else {
            panic!("it must fail")
        };
        assert!(failure.message.contains("the third step is cursed"));
        assert_eq!(failure.exit_status(), 1);
        let log = &app.world().resource::<Log>().0;
        assert!(!log.iter().any(|(name, _)| *name == "save"));
        assert_eq!(log.last(), Some(&("learn", 3)));
    }

    #[test]
    fn a_round_of_collecting_counts_environment_steps() {
        let mut app = app(8);
        app.insert_resource(Cadence {
            collect: 4,
            learn: 2,
        });
        assert_eq!(run(&mut app), Outcome::Finished);
        assert_eq!(app.world().resource::<Clock>().step, 8);
        assert_eq!(app.world().resource::<Clock>().gradient_steps, 4);
    }

    #[test]
    fn a_round_is_collected_then_prepared_once_then_learned_from() {
        for collect in [2, 0] {
            let mut app = app(2 * collect.max(3));
            app.add_systems(Collect, log("collect"))
                .add_systems(Prepare, log("prepare"))
                .insert_resource(Cadence { collect, learn: 3 });
            assert_eq!(run(&mut app), Outcome::Finished);
            let log = &app.world().resource::<Log>().0;
            let of = ["collect", "prepare", "learn"];
            let ran = log.iter().map(|it| it.0).filter(|name| of.contains(name));
            let round: Vec<&str> = std::iter::repeat_n("collect", collect as usize)
                .chain(["prepare", "learn", "learn", "learn"])
                .collect();
            let rounds = if collect == 0 { 2 } else { 3 };
            assert_eq!(ran.collect::<Vec<_>>(), round.repeat(rounds), "{collect}");
        }
    }

    #[test]
    fn epochs_that_are_enough_end_the_round_and_never_within_an_epoch() {
        let mut app = app(3);
        app.insert_resource(Cadence {
            collect: 1,
            learn: 6,
        })
        .insert_resource(Epochs {
            steps: 2,
            // From the middle of the first round's second epoch on, until the third round.
            are_enough: |world| {
                let clock = world.resource::<Clock>();
                clock.gradient_steps >= 3 && clock.step < 3
            },
        });
        assert_eq!(run(&mut app), Outcome::Finished);
        let log = &app.world().resource::<Log>().0;
        let learned = |step| log.iter().filter(|it| **it == ("learn", step)).count();
        // Two epochs; none, as it was enough before the first; all three.
        assert_eq!([learned(1), learned(2), learned(3)], [4, 0, 6]);
    }

    #[test]
    fn a_round_that_neither_collects_nor_learns_is_refused_and_not_endless() {
        let mut app = app(3);
        app.insert_resource(Epochs {
            steps: 1,
            are_enough: |_| true,
        });
        let Outcome::Failed(failure) = run(&mut app) else {
            panic!("it must fail")
        };
        assert!(failure.message.contains("give it rows"), "{failure}");
    }

    #[test]
    fn several_environments_take_their_steps_together() {
        let mut app = app(10);
        app.insert_resource(Cadence {
            collect: 1,
            learn: 1,
        })
        .insert_resource(StepsPerCollect(4));
        assert_eq!(run(&mut app), Outcome::Finished);
        let clock = app.world().resource::<Clock>();
        assert_eq!((clock.step, clock.gradient_steps), (12, 3));
        let log = &app.world().resource::<Log>().0;
        let of = |name| log.iter().filter(move |(it, _)| *it == name).map(|it| it.1);
        // Every 2 and every 3 steps, in leaps of 4.
        assert_eq!(of("evaluate").collect::<Vec<_>>(), [4, 8, 12]);
        assert_eq!(of("save").collect::<Vec<_>>(), [4, 8, 12]);
    }

    #[test]
    fn a_run_of_epochs_without_a_length_is_refused_and_not_endless() {
        let mut app = app(u64::MAX);
        let Outcome::Failed(failure) = run(&mut app) else {
            panic!("it must fail")
        };
        assert!(failure.message.contains("give `steps`"), "{failure}");
        assert_eq!(failure.exit_status(), 2);
    }

    #[test]
    fn nothing_is_learned_before_more_than_the_warm_up_was_collected() {
        let mut app = app(8);
        app.insert_resource(Cadence {
            collect: 1,
            learn: 2,
        })
        .insert_resource(LearningStarts(5));
        assert_eq!(run(&mut app), Outcome::Finished);
        let log = &app.world().resource::<Log>().0;
        let learned: Vec<u64> = log
            .iter()
            .filter(|(name, _)| *name == "learn")
            .map(|(_, step)| *step)
            .collect();
        assert_eq!(learned, [6, 6, 7, 7, 8, 8]);
        // Offline there is nothing to warm up with.
        let mut app = super::tests::app(2);
        app.insert_resource(LearningStarts(5));
        assert_eq!(run(&mut app), Outcome::Finished);
        assert_eq!(app.world().resource::<Clock>().gradient_steps, 2);
    }

    #[test]
    fn an_edit_that_cannot_be_applied_stops_the_run_before_its_first_step() {
        use crate::schedule::AppScheduleExt;
        let mut app = App::new();
        app.add_plugins((SchedulePlugin, FacilitatorPlugin))
            .replace(Learn, LearnSystems::Targets, || ());
        app.world_mut().resource_mut::<Clock>().steps = 1;
        app.finish();
        let Outcome::Failed(failure) = run(&mut app) else {
            panic!("it must fail")
        };
        assert!(
            failure.message.contains("slot `Targets` of `Learn`"),
            "{failure}"
        );
        assert_eq!(failure.exit_status(), 2);
    }
}
