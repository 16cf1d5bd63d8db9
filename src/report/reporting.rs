//! Reading metrics back.

use std::time::Duration;

use bevy_app::{App, Plugin};
use bevy_ecs::prelude::*;
use bevy_reflect::Reflect;

use super::Metrics;
use crate::checkpoint::AppPersistExt;
use crate::scene::{Settings, suggestion};
use crate::schedule::{
    AppCadenceExt, Clock, InputError, NamedMetrics, Period, Report, ReportSystems, Reported,
    RunError, Stopwatch, UnknownMetric,
};

/// Reports metrics every so many steps, and after every evaluation. Every scene has it; name it to change how often.
#[derive(Clone, Debug, Resource, Reflect)]
pub struct Reports {
    /// Steps or epochs between two reports.
    pub every: Period,
}

impl Default for Reports {
    fn default() -> Self {
        Reports {
            every: Period::Steps(1_000),
        }
    }
}

impl Settings for Reports {}

impl Plugin for Reports {
    fn build(&self, app: &mut App) {
        app.insert_resource(self.clone())
            .run_every(Report, self.every);
        // Whoever adds it beside `YarakPlugins`, which has one, only says how often.
        if app.world().contains_resource::<SinceLastReport>() {
            return;
        }
        app.init_resource::<Metrics>()
            .init_resource::<Reported>()
            .init_resource::<SinceLastReport>()
            .persist::<Metrics>()
            .add_systems(Report, read_metrics.in_set(ReportSystems::Read));
        // Many steps write to it, and no step reads it: their order does not matter.
        app.allow_ambiguous_resource::<Metrics>();
    }

    fn is_unique(&self) -> bool {
        false
    }
}

/// The stopwatch at the last report.
#[derive(Resource, Default)]
struct SinceLastReport {
    learning: Duration,
    steps: u64,
}

/// A loss, or the norm of a gradient, that is no number any more.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error(
    "`{name}` is {value} at step {step}: training has diverged. Lower the learning rate, set `max_gradient_norm` or `value_bounds`, or look at the data with `yarak data check`. The last checkpoint is from before this report, and all of its numbers are finite"
)]
pub struct NotFinite {
    /// The metric.
    pub name: String,
    /// NaN or an infinity.
    pub value: f64,
    /// The step of the report.
    pub step: u64,
}

/// A setting that names a metric which nothing records.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{setting}` names `{metric}`, and nothing in this run records it: {help}")]
pub struct NotRecorded {
    setting: String,
    metric: String,
    help: String,
}

impl NotRecorded {
    fn of(unknown: UnknownMetric) -> Self {
        let UnknownMetric {
            setting,
            metric,
            recorded,
        } = unknown;
        let names = recorded.iter().map(String::as_str);
        let help = suggestion(&metric, names, "metrics").unwrap_or_default();
        Self {
            setting,
            metric,
            help,
        }
    }
}

fn read_metrics(
    clock: Res<Clock>,
    stopwatch: Res<Stopwatch>,
    mut since: ResMut<SinceLastReport>,
    mut metrics: ResMut<Metrics>,
    mut reported: ResMut<Reported>,
    named: Option<ResMut<NamedMetrics>>,
) -> Result<(), BevyError> {
    let mut values = metrics.read();
    add_total_loss(&mut values);
    let seconds = (stopwatch.learning - since.learning).as_secs_f64();
    let steps_per_second = (stopwatch.steps - since.steps) as f64 / seconds.max(1e-9);
    *since = SinceLastReport {
        learning: stopwatch.learning,
        steps: stopwatch.steps,
    };
    values.push(("epoch".to_owned(), clock.epoch() as f64));
    values.push(("time/steps_per_second".to_owned(), steps_per_second));
    values.sort_by(|a, b| a.0.cmp(&b.0));
    *reported = Reported {
        step: clock.step,
        values,
        steps_per_second,
    };
    if let Some(unknown) = named.and_then(|mut named| named.see(&reported, &clock)) {
        return Err(InputError::new(NotRecorded::of(unknown)).into());
    }
    // A loss comes first: its gradient is not finite because it is not.
    let bad = ["loss", "gradient_norm"].into_iter().find_map(|what| {
        let mut values = reported.values.iter();
        values.find(|(name, value)| name.ends_with(what) && !value.is_finite())
    });
    if let Some((name, value)) = bad {
        return Err(RunError::new(NotFinite {
            name: name.clone(),
            value: *value,
            step: clock.step,
        })
        .into());
    }
    Ok(())
}

/// `loss`, where nobody records it: the sum of the networks' own, `actor/loss` and `critic/loss`.
fn add_total_loss(values: &mut Vec<(String, f64)>) {
    if values.iter().any(|(name, _)| name == "loss") {
        return;
    }
    let own = values.iter().filter(|(name, _)| {
        name.strip_suffix("/loss")
            .is_some_and(|role| !role.contains('/'))
    });
    let losses: Vec<f64> = own.map(|(_, value)| *value).collect();
    if !losses.is_empty() {
        values.push(("loss".to_owned(), losses.iter().sum()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_or_a_gradient_norm_that_is_not_finite_ends_the_run() {
        for (name, value, ends) in [
            ("critic/loss", f64::INFINITY, true),
            ("validate/actor/loss", f64::NAN, true),
            ("critic/0/gradient_norm", f64::INFINITY, true),
            ("actor/gradient_norm", f64::NAN, true),
            ("critic/loss", 2e36, false),
            ("time/steps_per_second", f64::INFINITY, false),
        ] {
            let mut app = App::new();
            app.add_plugins((
                crate::schedule::SchedulePlugin,
                crate::schedule::FacilitatorPlugin,
            ))
            .add_plugins(Reports::default());
            app.finish();
            let mut metrics = app.world_mut().resource_mut::<Metrics>();
            metrics.record_number(name, value);
            app.world_mut().run_schedule(Report);
            let failure = crate::schedule::take_failure();
            assert_eq!(failure.is_some(), ends, "{name} {value}");
            if let Some(failure) = failure {
                let said = format!("`{name}` is {value}");
                assert!(failure.message.contains(&said), "{failure}");
            }
        }
    }

    #[test]
    fn the_total_loss_counts_each_network_once() {
        let mut values = vec![
            ("actor/loss".to_owned(), 1.0),
            ("critic/0/loss".to_owned(), 5.0),
            ("critic/loss".to_owned(), 2.0),
        ];
        add_total_loss(&mut values);
        assert_eq!(values.last(), Some(&("loss".to_owned(), 3.0)));
        let mut none = vec![("evaluate/return".to_owned(), 1.0)];
        add_total_loss(&mut none);
        assert_eq!(none.len(), 1);
    }
}
