//! Windows: how a figure is measured.

use std::time::{Duration, Instant};

use bevy_app::App;
use bevy_ecs::prelude::*;

use crate::cli::error::CliError;
use crate::schedule::{Clock, take_failure};

/// So many windows, each of at least this length.
#[derive(Clone, Copy)]
pub(super) struct Windows {
    pub(super) count: u64,
    pub(super) length: Duration,
}

impl Windows {
    /// How much work a second was done in each window. `work` does a little, long enough that reading the clock costs nothing
    /// next to it, and returns how much it was.
    pub(super) fn rates(
        self,
        mut work: impl FnMut() -> Result<f64, CliError>,
    ) -> Result<Vec<f64>, CliError> {
        let mut rates = Vec::new();
        for _ in 0..self.count {
            let (started, mut done) = (Instant::now(), 0.0);
            while started.elapsed() < self.length {
                done += work()?;
            }
            rates.push(done / started.elapsed().as_secs_f64());
        }
        Ok(rates)
    }

    /// The same after one window that warms up.
    pub(super) fn warm_rates(
        self,
        mut work: impl FnMut() -> Result<f64, CliError>,
    ) -> Result<Vec<f64>, CliError> {
        Windows { count: 1, ..self }.rates(&mut work)?;
        self.rates(work)
    }
}

/// Gradient steps after which a learner is called young: all code and memory are warm, and nothing has changed in the networks.
pub(super) const YOUNG: u64 = 200;

/// The ages at which a learner is measured: young, and after as many gradient steps as asked for.
pub(super) fn ages(age: u64) -> Vec<u64> {
    if age > YOUNG {
        vec![YOUNG, age]
    } else {
        vec![age]
    }
}

/// Takes a learner to an age, in gradient steps. `advance` takes it a little further.
pub(super) fn grow(
    app: &mut App,
    age: u64,
    advance: impl Fn(&mut World) -> f64,
) -> Result<(), CliError> {
    while app.world().resource::<Clock>().gradient_steps < age {
        advance(app.world_mut());
        check()?;
    }
    Ok(())
}

/// An error where a system has failed on this thread.
pub(super) fn check() -> Result<(), CliError> {
    take_failure().map_or(Ok(()), |failure| Err(failure.into()))
}
