//! What the schedule itself costs.

use bevy_app::App;
use bevy_ecs::prelude::*;

use super::windows::{Windows, check};
use crate::cli::error::CliError;
use crate::report::{Metrics, Reports};
use crate::schedule::{Clock, FacilitatorPlugin, Learn, SchedulePlugin};

/// Runs a second of a schedule whose systems do nothing, in each window.
pub(super) fn runs_of_an_empty_schedule(windows: Windows) -> Result<Vec<f64>, CliError> {
    const RUNS: u64 = 1_000;
    let mut app = empty_schedule();
    windows.warm_rates(|| {
        for _ in 0..RUNS {
            app.world_mut().run_schedule(Learn);
        }
        check().map(|()| RUNS as f64)
    })
}

/// TD3+BC's schedule with a system in each slot that reads and writes a resource, and nothing else.
fn empty_schedule() -> App {
    use crate::schedule::LearnSystems as Slots;
    let touch = |clock: Res<Clock>, mut metrics: ResMut<Metrics>| {
        std::hint::black_box((&*clock, &mut *metrics));
    };
    let mut app = App::new();
    app.add_plugins((SchedulePlugin, FacilitatorPlugin, Reports::default()));
    for slot in [
        Slots::First,
        Slots::First,
        Slots::Sample,
        Slots::Critic,
        Slots::Actor,
        Slots::Targets,
        Slots::Rates,
        Slots::Rates,
        Slots::Rates,
        Slots::Rates,
    ] {
        app.add_systems(Learn, touch.in_set(slot));
    }
    app.finish();
    app.cleanup();
    app
}
