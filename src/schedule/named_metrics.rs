//! The metrics that settings name, held against those that a run records.
//!
//! What a run records is known once every schedule that records has run, so a name that nothing records is refused then: at the first
//! report with the family that it is of, and long before a run is over. A step that records something rarely announces it with
//! [`AppMetricsExt::records`].

use std::collections::BTreeSet;

use bevy_app::App;
use bevy_ecs::prelude::*;

use super::{Clock, Reported};

/// Gradient steps after which an algorithm has recorded everything that it records.
const ENOUGH_STEPS: u64 = 100;

/// Which metrics settings name, and which there are.
#[derive(Resource, Clone, Debug, Default)]
pub struct NamedMetrics {
    /// Each setting, such as `Checkpoints.best`, with the metric that it names.
    named: Vec<(String, String)>,
    /// What comes later than the first reports.
    announced: BTreeSet<String>,
    /// What the names of metrics begin with that a plugin makes in a schedule of its own: `evaluate/`.
    families: BTreeSet<String>,
    /// What was reported so far.
    seen: BTreeSet<String>,
}

/// Says which metrics there will be, and which are asked for.
pub trait AppMetricsExt {
    /// A setting, such as `Checkpoints.best`, names this metric.
    fn names_metric(&mut self, setting: &str, metric: &str) -> &mut Self;

    /// Metrics that begin with this, such as `evaluate/`, are recorded in a schedule of their own.
    fn makes_metrics(&mut self, family: &str) -> &mut Self;

    /// A step records this metric, although not before the first reports: a setting may name it.
    ///
    /// ```
    /// use yarak::prelude::*;
    ///
    /// let mut app = App::new();
    /// app.records("task/solved");
    /// ```
    fn records(&mut self, metric: &str) -> &mut Self;
}

impl AppMetricsExt for App {
    fn names_metric(&mut self, setting: &str, metric: &str) -> &mut Self {
        let mut metrics = self.world_mut().get_resource_or_init::<NamedMetrics>();
        metrics.named.push((setting.to_owned(), metric.to_owned()));
        self
    }

    fn makes_metrics(&mut self, family: &str) -> &mut Self {
        let mut metrics = self.world_mut().get_resource_or_init::<NamedMetrics>();
        metrics.families.insert(family.to_owned());
        self
    }

    fn records(&mut self, metric: &str) -> &mut Self {
        let mut metrics = self.world_mut().get_resource_or_init::<NamedMetrics>();
        metrics.announced.insert(metric.to_owned());
        self
    }
}

/// A setting that names a metric which nothing records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownMetric {
    /// The setting.
    pub setting: String,
    /// What it names.
    pub metric: String,
    /// What is recorded, in order.
    pub recorded: Vec<String>,
}

impl NamedMetrics {
    /// Takes a report in; the first setting whose metric will not come.
    pub fn see(&mut self, reported: &Reported, clock: &Clock) -> Option<UnknownMetric> {
        if self.named.is_empty() {
            return None;
        }
        let names = reported.values.iter().map(|(name, _)| name.clone());
        self.seen.extend(names);
        let (setting, metric) = self.named.iter().find(|(_, metric)| {
            self.is_missing(metric) && self.has_had_its_chance(metric, clock.gradient_steps)
        })?;
        Some(UnknownMetric {
            setting: setting.clone(),
            metric: metric.clone(),
            recorded: self.seen.iter().cloned().collect(),
        })
    }

    /// The settings whose metric never came, each with the metric.
    pub fn never_recorded(&self) -> impl Iterator<Item = &(String, String)> {
        let missing = |(_, metric): &&(String, String)| self.is_missing(metric);
        self.named.iter().filter(missing)
    }

    fn is_missing(&self, metric: &str) -> bool {
        !self.seen.contains(metric) && !self.announced.contains(metric)
    }

    /// Whether what would have recorded a metric has run.
    fn has_had_its_chance(&self, metric: &str, gradient_steps: u64) -> bool {
        let has_come = |family: &String| self.seen.iter().any(|name| name.starts_with(family));
        match self
            .families
            .iter()
            .find(|family| metric.starts_with(*family))
        {
            Some(family) => has_come(family),
            // Anybody's step may record it, in any schedule.
            None => {
                gradient_steps >= ENOUGH_STEPS
                    && self.seen.iter().any(|name| name.ends_with("loss"))
                    && self.families.iter().all(has_come)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app(metric: &str) -> App {
        let mut app = App::new();
        app.makes_metrics("evaluate/")
            .names_metric("Checkpoints.best", metric);
        app
    }

    fn see(app: &mut App, gradient_steps: u64, names: &[&str]) -> Option<UnknownMetric> {
        let reported = Reported {
            values: names.iter().map(|name| ((*name).to_owned(), 1.0)).collect(),
            ..Reported::default()
        };
        let clock = Clock {
            gradient_steps,
            ..Clock::default()
        };
        app.world_mut()
            .resource_mut::<NamedMetrics>()
            .see(&reported, &clock)
    }

    #[test]
    fn a_slip_in_an_evaluations_metric_is_found_at_the_first_evaluation() {
        let mut app = app("evaluate/retrun");
        assert_eq!(see(&mut app, 1_000, &["actor/loss"]), None);
        let unknown = see(&mut app, 5_000, &["actor/loss", "evaluate/return"]).unwrap();
        assert_eq!(unknown.metric, "evaluate/retrun");
        assert_eq!(unknown.recorded, ["actor/loss", "evaluate/return"]);
    }

    #[test]
    fn a_slip_in_an_algorithms_metric_is_found_once_everything_has_run() {
        let mut app = app("actor/los");
        assert_eq!(see(&mut app, 1_000, &["actor/loss"]), None);
        assert!(see(&mut app, 5_000, &["evaluate/return"]).is_some());
    }

    #[test]
    fn what_comes_and_what_is_announced_is_never_refused() {
        let mut seen = app("actor/loss");
        assert_eq!(see(&mut seen, 1_000, &["actor/loss"]), None);
        assert_eq!(see(&mut seen, 5_000, &["evaluate/return"]), None);
        let mut rare = app("task/solved");
        rare.records("task/solved");
        assert_eq!(
            see(&mut rare, 9_000, &["actor/loss", "evaluate/return"]),
            None
        );
        assert_eq!(
            rare.world()
                .resource::<NamedMetrics>()
                .never_recorded()
                .count(),
            0
        );
    }
}
