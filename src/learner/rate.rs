//! The learning rate of a network.

use std::fmt;
use std::marker::PhantomData;

use bevy_app::{App, PostStartup, Startup};
use bevy_ecs::prelude::*;
use bevy_ecs::system::PipeSystem;

use super::{LearnerError, Optim, Role, Schedule};
use crate::report::console::Console;
use crate::schedule::{
    AppScheduleExt, Clock, EpochWindow, InputError, Learn, LearnSystems, ScheduleError,
    ScheduleErrors, Tick,
};

/// The learning rate of role `R`'s network. Its schedule is counted by the network's own updates, and by the epochs in which
/// it is trained: of a network that is trained from epoch 3 on, that is the first.
#[derive(Resource, Debug)]
pub struct Rate<R: Role> {
    /// How it moves.
    pub schedule: Schedule,
    /// The rate of the next step.
    pub current: f64,
    /// Whether a rule of the app's own sets it, and not the schedule.
    has_rule: bool,
    role: PhantomData<R>,
}

impl<R: Role> Rate<R> {
    /// A rate at its beginning.
    pub fn new(schedule: Schedule) -> Self {
        Rate {
            current: schedule.at(0, 1),
            schedule,
            has_rule: false,
            role: PhantomData,
        }
    }

    /// Moves to the rate of the step that follows so many updates, in that epoch of the run.
    pub(super) fn move_to(&mut self, updates: u64, epoch: u64, window: EpochWindow) {
        if self.has_rule {
            return;
        }
        let before = window.start_epoch.unwrap_or(1).saturating_sub(1);
        let epoch = epoch.saturating_sub(before).max(1);
        self.current = self.schedule.at(updates, epoch);
    }
}

/// From here on no rule of ours learns anything: each step is longer than any weight that a network begins with.
const LARGE: f64 = 1.0;

/// What is to be said of a rate that is so large that training diverges, or with which nothing is learned.
fn warning(role: &str, schedule: &Schedule) -> Option<String> {
    let greatest = schedule.greatest();
    if greatest == 0.0 {
        return Some(format!(
            "warning: the learning rate of `{role}` is 0: the network stays as it is made; rates are mostly from 1e-5 to 1e-2"
        ));
    }
    (greatest > LARGE).then(|| {
        format!(
            "warning: the learning rate of `{role}` is {greatest:e} at its greatest: a step is then longer than the weights are, and training diverges; rates are mostly from 1e-5 to 1e-2"
        )
    })
}

/// What is to be said of learning rates with which no network learns, a line each.
#[derive(Resource, Default)]
struct OddRates(Vec<String>);

/// Warns of the learning rate of `role`, where it is one with which no network learns, when the run begins.
pub(super) fn look_at<R: Role>(app: &mut App, schedule: &Schedule) {
    let Some(warning) = warning(R::NAME, schedule) else {
        return;
    };
    if !app.world().contains_resource::<OddRates>() {
        app.init_resource::<OddRates>()
            .add_systems(Startup, warn_of_odd_rates);
    }
    app.world_mut().resource_mut::<OddRates>().0.push(warning);
}

fn warn_of_odd_rates(rates: Res<OddRates>, console: Option<Res<Console>>) {
    if let Some(console) = console {
        rates.0.iter().for_each(|warning| console.message(warning));
    }
}

/// What a run will warn of when it begins, for whoever looks at it and does not run it.
pub(crate) fn warnings_of_rates(world: &World) -> &[String] {
    let rates = world.get_resource::<OddRates>();
    rates.map_or(&[], |rates| &rates.0)
}

/// Moves a learning rate on, after the step. It is a function of the counters alone, so nothing of it is saved.
pub(super) fn move_rate<R: Role>(
    optim: Res<Optim<R>>,
    tick: Res<Tick<R>>,
    clock: Res<Clock>,
    mut rate: ResMut<Rate<R>>,
) {
    rate.move_to(optim.updates(), clock.next_epoch(), tick.window);
}

/// Lets `rule` say the rate of each step: before the step, so that nothing of it has to be saved, and behind the counters, so that
/// it may count on them.
pub(super) fn add_rule<R: Role, M>(app: &mut App, rule: impl IntoSystem<In<u64>, f64, M>) {
    if app.world().contains_resource::<HasRule<R>>() {
        let cause = LearnerError::TwoRules(R::NAME).to_string();
        let mut errors = app.world_mut().get_resource_or_init::<ScheduleErrors>();
        errors.0.push(ScheduleError::Prepare { cause });
        return;
    }
    let rule = IntoSystem::into_system(rule);
    let name = rule.name();
    let asked = IntoSystem::into_system(updates::<R>.pipe(rule));
    // In drawings and messages it has the rule's name.
    let whole = PipeSystem::new(asked, IntoSystem::into_system(set_rate::<R>), name);
    app.insert_resource(HasRule::<R>(PhantomData))
        .add_systems(PostStartup, has_a_rate::<R>)
        .insert_after(Learn, LearnSystems::First, RuleSlot::of::<R>(), whole);
}

/// That a rule sets the rate of role `R`.
#[derive(Resource)]
struct HasRule<R: Role>(PhantomData<R>);

/// The slot of a role's rule, such as `ActorRate`.
#[derive(SystemSet, Clone, PartialEq, Eq, Hash)]
struct RuleSlot(String);

impl RuleSlot {
    fn of<R: Role>() -> Self {
        RuleSlot(format!("{}Rate", disqualified::ShortName::of::<R>()))
    }
}

impl fmt::Debug for RuleSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn has_a_rate<R: Role>(rate: Option<Res<Rate<R>>>) -> Result<(), BevyError> {
    match rate {
        Some(_) => Ok(()),
        None => Err(InputError::new(LearnerError::NoRate(R::NAME)).into()),
    }
}

fn updates<R: Role>(optim: Res<Optim<R>>) -> u64 {
    optim.updates()
}

fn set_rate<R: Role>(In(value): In<f64>, mut rate: ResMut<Rate<R>>) -> Result<(), BevyError> {
    if !value.is_finite() || value < 0.0 {
        let role = R::NAME;
        return Err(LearnerError::BadRate { role, value }.into());
    }
    (rate.has_rule, rate.current) = (true, value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::learner::Critic;

    #[test]
    fn a_rate_beyond_one_is_warned_of_with_its_role_and_a_usual_one_is_not() {
        let over = crate::learner::Span::Steps(9);
        for (schedule, warns) in [
            (Schedule::Constant(3e-4), false),
            (Schedule::Constant(1e10), true),
            (
                Schedule::Linear {
                    initial: 1e-3,
                    end: 2.0,
                    over,
                },
                true,
            ),
            (Schedule::WarmUp { initial: 1.0, over }, false),
        ] {
            let said = warning("critic", &schedule);
            assert_eq!(said.is_some(), warns, "{schedule:?}");
            assert!(said.is_none_or(|it| it.contains("`critic`")));
        }
    }

    #[test]
    fn epochs_count_from_the_first_in_which_the_network_is_trained() {
        let mut rate = Rate::<Critic>::new(Schedule::Multistep {
            initial: 1.0,
            decay_factor: 0.5,
            epoch_schedule: vec![1, 3],
        });
        let mut rates = |start_epoch| {
            let end_epoch = None;
            [1, 2, 3, 4, 5, 6].map(|epoch| {
                let window = EpochWindow {
                    start_epoch,
                    end_epoch,
                };
                rate.move_to(0, epoch, window);
                rate.current
            })
        };
        assert_eq!(rates(None), [1.0, 0.5, 0.5, 0.25, 0.25, 0.25]);
        assert_eq!(rates(Some(3)), [1.0, 1.0, 1.0, 0.5, 0.5, 0.25]);
    }
}
