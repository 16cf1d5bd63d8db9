//! Ending a run when a metric has stopped getting better.

use bevy_app::{App, Plugin, PostStartup};
use bevy_ecs::prelude::*;
use bevy_reflect::Reflect;
use serde::{Deserialize, Serialize};

use super::{Goal, Reported};
use crate::checkpoint::{AppPersistExt, CheckpointError, Persist, RestoreSystems, Snapshot};
use crate::scene::{Bounds, FieldProblems, Settings, check_metric};
use crate::schedule::{AppMetricsExt, EndNow, Report, ReportSystems, SaveNow};

/// Ends the run, after a last checkpoint, when a metric has not become better for a while.
///
/// Only reports that have the metric count. Scores of evaluation are `evaluate/return`, losses on held-out rows
/// `validate/critic/loss` and the like.
#[derive(Clone, Debug, Resource, Reflect)]
pub struct EarlyStopping {
    /// The metric that is watched.
    pub metric: String,
    /// Which of its values are good.
    pub goal: Goal,
    /// How many reports in a row may pass without a better value.
    #[reflect(@Bounds::at_least(1.0))]
    pub patience: u64,
    /// By how much a value must be better to count.
    #[reflect(@Bounds::at_least(0.0))]
    pub by: f64,
    /// Steps before which the run never ends.
    pub after: u64,
}

impl Default for EarlyStopping {
    fn default() -> Self {
        EarlyStopping {
            metric: "evaluate/return".to_owned(),
            goal: Goal::Largest,
            patience: 5,
            by: 0.0,
            after: 0,
        }
    }
}

impl Settings for EarlyStopping {
    fn check(&self, problems: &mut FieldProblems) {
        check_metric("metric", &self.metric, problems);
        let loss = self.metric.ends_with("loss");
        if loss && self.goal == Goal::Largest {
            problems.refuse("goal", "the largest loss is not a good one: Smallest");
        }
    }
}

impl Plugin for EarlyStopping {
    fn build(&self, app: &mut App) {
        app.insert_resource(self.clone())
            .names_metric("EarlyStopping.metric", &self.metric)
            .init_resource::<Waiting>()
            .persist::<Waiting>()
            .add_systems(PostStartup, stay_ended.after(RestoreSystems))
            .add_systems(Report, watch.in_set(ReportSystems::Write));
    }
}

/// What early stopping has seen so far.
#[derive(Resource, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Waiting {
    /// The best value of the metric; `None` before the first.
    pub best: Option<f64>,
    /// Reports with the metric since then.
    pub reports: u64,
    /// Why the run has ended, once it has.
    pub ended: Option<String>,
}

impl Persist for Waiting {
    fn save(&self, snapshot: &mut Snapshot) -> Result<(), CheckpointError> {
        snapshot.put_state("early_stopping", self)
    }

    fn load(&mut self, snapshot: &Snapshot, _: &World) -> Result<(), CheckpointError> {
        *self = snapshot.state("early_stopping")?;
        Ok(())
    }
}

fn watch(
    settings: Res<EarlyStopping>,
    reported: Res<Reported>,
    mut waiting: ResMut<Waiting>,
    mut end: ResMut<EndNow>,
    mut save: ResMut<SaveNow>,
) {
    let Some(value) = reported.get(&settings.metric) else {
        return;
    };
    if settings.goal.improves(value, waiting.best, settings.by) {
        waiting.best = Some(value);
        waiting.reports = 0;
        return;
    }
    waiting.reports += 1;
    if waiting.reports >= settings.patience && reported.step >= settings.after {
        let best = waiting
            .best
            .map_or("none".to_owned(), |best| best.to_string());
        let why = format!(
            "`{}` has not become better in {} reports; its best value is {best}",
            settings.metric, waiting.reports
        );
        waiting.ended = Some(why.clone());
        end.0 = Some(why);
        save.0 = true;
    }
}

/// A run that had ended goes on from its last checkpoint only to end again.
fn stay_ended(waiting: Res<Waiting>, mut end: ResMut<EndNow>) {
    end.0.clone_from(&waiting.ended);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::{RestorePlugin, ResumeFrom, gather};
    use crate::nn::ComputeDevice;
    use crate::report::{Metrics, Reports};
    use crate::schedule::{
        AppCadenceExt, Clock, FacilitatorPlugin, Learn, LearnSystems, Outcome, Save,
        SchedulePlugin, Training,
    };

    #[derive(Resource, Default)]
    struct Saves(Vec<u64>);

    /// A run whose metric takes these values, a report each step; those that are NaN are not recorded.
    fn run(settings: EarlyStopping, values: &'static [f64], resume: Option<Snapshot>) -> App {
        let mut app = App::new();
        app.add_plugins((SchedulePlugin, FacilitatorPlugin, RestorePlugin))
            .add_plugins((
                Reports {
                    every: crate::schedule::Period::Steps(1),
                },
                settings,
            ))
            .insert_resource(ComputeDevice::cpu())
            .init_resource::<Saves>()
            .run_every(Save, 1_000)
            .add_systems(Save, |clock: Res<Clock>, mut saves: ResMut<Saves>| {
                saves.0.push(clock.step);
            })
            .add_systems(
                Learn,
                (|clock: Res<Clock>, mut metrics: ResMut<Metrics>| {
                    let value = values[clock.step as usize - 1];
                    if !value.is_nan() {
                        metrics.record_number("score", value);
                    }
                })
                .in_set(LearnSystems::Measure),
            );
        if let Some(snapshot) = resume {
            app.insert_resource(ResumeFrom(snapshot));
        }
        app.world_mut().resource_mut::<Clock>().steps = values.len() as u64;
        app.finish();
        while app.should_exit().is_none() {
            app.update();
        }
        let outcome = &app.world().resource::<Training>().outcome;
        assert_eq!(*outcome, Some(Outcome::Finished));
        app
    }

    fn score(patience: u64) -> EarlyStopping {
        EarlyStopping {
            metric: "score".to_owned(),
            patience,
            ..EarlyStopping::default()
        }
    }

    fn last(app: &App) -> u64 {
        app.world().resource::<Clock>().step
    }

    #[test]
    fn a_run_ends_and_is_saved_when_its_patience_is_over() {
        let values = &[1.0, 2.0, 1.5, f64::NAN, 2.0, 1.0, 9.0, 9.0];
        let app = run(score(3), values, None);
        // 1.5, 2.0 (no better) and 1.0; the report without the metric does not count.
        assert_eq!(last(&app), 6);
        assert_eq!(app.world().resource::<Saves>().0, [6]);
        let why = app.world().resource::<EndNow>().0.clone().unwrap();
        assert!(
            why.contains("`score`") && why.contains("3 reports"),
            "{why}"
        );
    }

    #[test]
    fn a_run_that_gets_better_in_time_goes_on_to_its_end() {
        let app = run(score(3), &[1.0, 0.0, 0.0, 2.0, 0.0, 0.0, 3.0], None);
        assert_eq!(last(&app), 7);
        assert_eq!(app.world().resource::<EndNow>().0, None);
    }

    #[test]
    fn a_smaller_loss_is_better_and_a_little_smaller_may_not_count() {
        let loss = |by| EarlyStopping {
            goal: Goal::Smallest,
            by,
            ..score(2)
        };
        let values = &[1.0, 0.9, 0.8, 0.7, 0.6];
        assert_eq!(last(&run(loss(0.0), values, None)), 5);
        assert_eq!(last(&run(loss(0.5), values, None)), 3);
        let settings = EarlyStopping {
            after: 4,
            ..loss(0.5)
        };
        assert_eq!(last(&run(settings, values, None)), 4);
    }

    #[test]
    fn what_it_has_seen_is_saved_and_a_run_that_ended_stays_ended() {
        let values = &[3.0, 2.0, 1.0, 0.0, 0.0];
        let app = run(score(2), values, None);
        assert_eq!(last(&app), 3);
        let snapshot = gather(app.world(), 3).unwrap();
        let again = run(score(2), values, Some(snapshot));
        assert_eq!(last(&again), 3);
        let waiting = again.world().resource::<Waiting>();
        assert_eq!(waiting, app.world().resource::<Waiting>());
    }

    #[test]
    fn the_largest_loss_is_refused_as_a_goal() {
        let mut problems = FieldProblems::default();
        EarlyStopping {
            metric: "validate/critic/loss".to_owned(),
            ..EarlyStopping::default()
        }
        .check(&mut problems);
        assert_eq!(problems.iter().next().unwrap().0, "goal");
    }
}
