//! How our schedules run: on one thread, with subnormal numbers as zero.

use bevy_ecs::prelude::*;
use bevy_ecs::schedule::{FixedBitSet, SingleThreadedExecutor, SystemExecutor, SystemSchedule};

use crate::subnormals::FlushSubnormals;

/// Runs the systems one after the other, as they do in the order of their slots, and leaves the thread's mode as it was.
///
/// A network's step is a chain of dependent tensor operations: a second thread would only take the cores from the kernels.
#[derive(Default)]
pub(super) struct FlushingExecutor(SingleThreadedExecutor);

impl SystemExecutor for FlushingExecutor {
    fn init(&mut self, schedule: &SystemSchedule) {
        self.0.init(schedule);
    }

    fn run(
        &mut self,
        schedule: &mut SystemSchedule,
        world: &mut World,
        skip_systems: Option<&FixedBitSet>,
        error_handler: fn(BevyError, bevy_ecs::error::ErrorContext),
    ) {
        let _flushed = FlushSubnormals::enter();
        self.0.run(schedule, world, skip_systems, error_handler);
    }

    fn set_apply_final_deferred(&mut self, value: bool) {
        self.0.set_apply_final_deferred(value);
    }
}

#[cfg(test)]
#[cfg(all(any(target_arch = "x86_64", target_arch = "aarch64"), not(miri)))]
mod tests {
    use std::hint::black_box;

    use bevy_app::App;

    use super::*;
    use crate::schedule::{
        Collect, Evaluate, Learn, Prepare, Report, Save, SchedulePlugin, Validate,
    };

    #[derive(Resource, Default)]
    struct Seen(Vec<f32>);

    fn halves_to_a_subnormal() -> f32 {
        black_box(f32::MIN_POSITIVE) * black_box(0.5)
    }

    #[test]
    fn our_schedules_flush_and_the_apps_own_thread_has_its_mode_back() {
        let mut app = App::new();
        app.add_plugins(SchedulePlugin).init_resource::<Seen>();
        let look = |mut seen: ResMut<Seen>| seen.0.push(halves_to_a_subnormal());
        app.add_systems(Collect, look)
            .add_systems(Prepare, look)
            .add_systems(Learn, look)
            .add_systems(Validate, look)
            .add_systems(Evaluate, look)
            .add_systems(Report, look)
            .add_systems(Save, look);
        app.finish();
        let world = app.world_mut();
        world.run_schedule(Collect);
        world.run_schedule(Prepare);
        world.run_schedule(Learn);
        world.run_schedule(Validate);
        world.run_schedule(Evaluate);
        world.run_schedule(Report);
        world.run_schedule(Save);
        assert_eq!(world.resource::<Seen>().0, [0.0; 7]);
        assert_ne!(halves_to_a_subnormal(), 0.0);
    }
}
