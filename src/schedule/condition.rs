//! Run conditions on a network's [`Tick`].
//!
//! They are set on slots, so that a step that replaces another keeps its delay:
//! `app.configure_sets(Learn, LearnSystems::Actor.run_if(every::<Actor>(2)))`.

use bevy_ecs::prelude::*;
use bevy_ecs::schedule::SystemCondition;
use bevy_ecs::system::IntoSystem;

use super::{Tick, order::short_name};

/// True in the network's window of epochs.
pub fn training<R: Send + Sync + 'static>() -> impl SystemCondition<()> {
    named(
        format!("training {}", short_name::<R>()),
        |tick: Res<Tick<R>>| tick.active,
    )
}

/// True when the network's tick rose to a multiple of `n`: for 2, on ticks 2, 4, 6, ... `every(0)` is never true.
///
/// ```
/// use yarak::prelude::*;
/// use yarak::schedule::{SchedulePlugin, TickPlugin};
///
/// struct Teacher;
/// #[derive(Resource, Default)]
/// struct Lessons(u32);
///
/// let mut app = App::new();
/// app.add_plugins((SchedulePlugin, TickPlugin::<Teacher>::new(default())))
///     .init_resource::<Lessons>()
///     .add_systems(Learn, (|mut lessons: ResMut<Lessons>| lessons.0 += 1).in_set(LearnSystems::Actor))
///     .configure_sets(Learn, LearnSystems::Actor.run_if(every::<Teacher>(2)));
/// app.finish();
/// for _ in 0..5 {
///     app.world_mut().run_schedule(Learn);
/// }
/// assert_eq!(app.world().resource::<Lessons>().0, 2);
/// ```
pub fn every<R: Send + Sync + 'static>(n: u64) -> impl SystemCondition<()> {
    named(
        format!("every({n}) of {}", short_name::<R>()),
        move |tick: Res<Tick<R>>| tick.active && tick.count.checked_rem(n) == Some(0),
    )
}

/// True on the network's ticks from `start` (inclusive) to `end` (exclusive). The first tick is 1.
pub fn between<R: Send + Sync + 'static>(start: u64, end: u64) -> impl SystemCondition<()> {
    named(
        format!("between({start}, {end}) of {}", short_name::<R>()),
        move |tick: Res<Tick<R>>| tick.active && (start..end).contains(&tick.count),
    )
}

/// True once the network's tick has risen more than `n` times.
pub fn after<R: Send + Sync + 'static>(n: u64) -> impl SystemCondition<()> {
    named(
        format!("after({n}) of {}", short_name::<R>()),
        move |tick: Res<Tick<R>>| tick.active && tick.count > n,
    )
}

/// Gives the condition the name that `yarak graph` prints.
fn named<R: Send + Sync + 'static>(
    name: String,
    condition: impl Fn(Res<Tick<R>>) -> bool + Send + Sync + 'static,
) -> impl SystemCondition<()> {
    IntoSystem::into_system(condition).with_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::EpochWindow;
    use bevy_ecs::system::RunSystemOnce;

    struct Pupil;

    fn ticks_where<M>(make: impl Fn() -> M) -> Vec<u64>
    where
        M: SystemCondition<()>,
    {
        let mut world = World::new();
        world.insert_resource(Tick::<Pupil>::new(EpochWindow::default()));
        (1..=7)
            .filter(|count| {
                let mut tick = world.resource_mut::<Tick<Pupil>>();
                (tick.count, tick.active) = (*count, true);
                world.run_system_once(make()).unwrap()
            })
            .collect()
    }

    #[test]
    fn conditions_hold_on_the_ticks_that_they_name() {
        assert_eq!(ticks_where(|| every::<Pupil>(3)), [3, 6]);
        assert_eq!(ticks_where(|| between::<Pupil>(2, 4)), [2, 3]);
        assert_eq!(ticks_where(|| after::<Pupil>(5)), [6, 7]);
        assert_eq!(ticks_where(|| every::<Pupil>(0)), [0; 0]);
    }

    #[test]
    fn nothing_holds_outside_the_window() {
        let mut world = World::new();
        world.insert_resource(Tick::<Pupil>::new(EpochWindow::default()));
        world.resource_mut::<Tick<Pupil>>().count = 4;
        assert!(!world.run_system_once(every::<Pupil>(2)).unwrap());
        assert!(!world.run_system_once(after::<Pupil>(1)).unwrap());
    }
}
