//! Environments alone, with random actions.

use bevy_app::{App, PostStartup};
use bevy_ecs::prelude::*;

use super::HOPPER;
use super::windows::{Windows, check};
use crate::cli::error::CliError;
use crate::collect::{Actions, Environments, Exploration};
use crate::learner::{Random, Seed};
use crate::report::Reports;
use crate::schedule::{Collect, FacilitatorPlugin, SchedulePlugin};

/// Environment steps a second in each window. The actions were drawn before, as peers draw them.
pub(super) fn stepping(
    env: &str,
    count: usize,
    draw: fn(&mut Random<Exploration>, usize) -> Vec<f32>,
    windows: Windows,
) -> Result<Vec<f64>, CliError> {
    const DRAWN: usize = 100;
    let mut app = stepped(env, count)?;
    let mut random = Random::<Exploration>::new(Seed(0));
    let drawn: Vec<Vec<f32>> = (0..DRAWN).map(|_| draw(&mut random, count)).collect();
    let world = app.world_mut();
    // The clock is read seldom, and the window ends soon after its time.
    let runs = 1 + if env == HOPPER { 500 } else { 10_000 } / count;
    windows.warm_rates(|| {
        for run in 0..runs {
            let actions = &mut world.resource_mut::<Actions>().values;
            actions.copy_from_slice(&drawn[run % DRAWN]);
            world.run_schedule(Collect);
        }
        check().map(|()| (runs * count) as f64)
    })
}

/// Environments before their first step, as a run has them.
fn stepped(env: &str, count: usize) -> Result<App, CliError> {
    let mut app = App::new();
    app.add_plugins((SchedulePlugin, FacilitatorPlugin, Reports::default()))
        .add_plugins(Environments {
            env: env.to_owned(),
            num_envs: count,
            ..Environments::default()
        });
    app.finish();
    app.cleanup();
    app.world_mut().run_schedule(PostStartup);
    check().map(|()| app)
}
