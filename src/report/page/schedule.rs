//! What a scene runs, drawn as boxes: schedules with their slots in order, systems, conditions and what they write.

use super::experiment::Experiment;
use crate::report::canvas::escaped;
use crate::schedule::DrawnSchedule;

/// One drawing, and the experiments that it is of.
struct Shared<'a> {
    drawing: &'a Result<Vec<DrawnSchedule>, String>,
    labels: Vec<&'a str>,
}

/// The section: a drawing for all experiments that run the same, and a line for those that cannot be drawn.
pub(super) fn section(experiments: &[Experiment], labels: &[String]) -> String {
    let mut drawings: Vec<Shared> = Vec::new();
    for (experiment, label) in experiments.iter().zip(labels) {
        let same = drawings
            .iter_mut()
            .find(|it| *it.drawing == experiment.schedule);
        match same {
            Some(shared) => shared.labels.push(label),
            None => drawings.push(Shared {
                drawing: &experiment.schedule,
                labels: vec![label],
            }),
        }
    }
    let mut section = String::from("<section>\n<h2>Schedule</h2>\n");
    for Shared { drawing, labels } in &drawings {
        let labels = escaped(&labels.join(", "));
        match drawing {
            Err(why) => section.push_str(&format!(
                "<p class=\"note\">The drawing of {labels} is left out: {}</p>\n",
                escaped(why)
            )),
            Ok(schedules) if drawings.len() == 1 => section.push_str(&drawn(schedules)),
            Ok(schedules) => section.push_str(&format!(
                "<details open>\n<summary>{labels}</summary>\n{}</details>\n",
                drawn(schedules)
            )),
        }
    }
    section.push_str("</section>\n");
    section
}

fn drawn(schedules: &[DrawnSchedule]) -> String {
    let mut html = String::from("<div class=\"schedules\">\n");
    for schedule in schedules {
        let name = escaped(&schedule.name);
        html.push_str(&format!(
            "<div class=\"schedule\">\n<h3>{name}</h3>\n<ol>\n"
        ));
        for slot in &schedule.slots {
            let kind = match slot.systems.as_slice() {
                [] => "slot empty",
                _ => "slot",
            };
            html.push_str(&format!(
                "<li class=\"{kind}\"><strong>{}</strong>{}",
                escaped(&slot.name),
                conditions(&slot.conditions)
            ));
            if !slot.systems.is_empty() {
                html.push_str("<ol>");
            }
            for system in &slot.systems {
                html.push_str(&format!(
                    "<li>{}{}",
                    escaped(&system.name),
                    conditions(&system.conditions)
                ));
                if !system.writes.is_empty() {
                    let writes = escaped(&system.writes.join(", "));
                    html.push_str(&format!("<small>writes {writes}</small>"));
                }
                html.push_str("</li>");
            }
            if !slot.systems.is_empty() {
                html.push_str("</ol>");
            }
            html.push_str("</li>\n");
        }
        html.push_str("</ol>\n</div>\n");
    }
    html.push_str("</div>\n");
    html
}

fn conditions(names: &[String]) -> String {
    let chips = names.iter().map(|name| {
        let name = escaped(name);
        format!(" <span class=\"if\">{name}</span>")
    });
    chips.collect()
}

#[cfg(test)]
mod tests {
    use super::super::experiment::Run;
    use super::*;
    use crate::schedule::{
        EpochWindow, Learn, LearnSystems, SchedulePlugin, TickPlugin, drawn_schedules, every,
    };
    use bevy_app::App;
    use bevy_ecs::prelude::*;

    struct Teacher;

    #[derive(Resource, Default)]
    struct Lessons(u64);

    fn learn(mut lessons: ResMut<Lessons>) {
        lessons.0 += 1;
    }

    fn experiment(period: u64) -> Experiment {
        let mut app = App::new();
        let ticks = TickPlugin::<Teacher>::new(EpochWindow::default());
        app.add_plugins((SchedulePlugin, ticks))
            .init_resource::<Lessons>()
            .add_systems(Learn, learn.in_set(LearnSystems::Actor))
            .configure_sets(Learn, LearnSystems::Actor.run_if(every::<Teacher>(period)));
        app.finish();
        Experiment {
            schedule: Ok(drawn_schedules(app.world())),
            ..Experiment::of(vec![Run::default()])
        }
    }

    #[test]
    fn slots_are_drawn_in_order_with_their_systems_and_what_they_write() {
        let html = section(&[experiment(2)], &["a".to_owned()]);
        let at = |part: &str| html.find(part).unwrap_or_else(|| panic!("{part}: {html}"));
        assert!(at("<h3>Learn</h3>") < at("<strong>Critic</strong>"));
        assert!(
            at("<li class=\"slot empty\"><strong>Critic") < at("<li class=\"slot\"><strong>Actor")
        );
        assert!(at("<strong>Actor") < at("every(2) of Teacher"));
        assert!(at("every(2) of Teacher") < at("tests::learn"));
        assert!(at("tests::learn") < at("<small>writes Lessons</small>"));
        assert!(!html.contains("<details"));
    }

    #[test]
    fn experiments_that_run_the_same_share_a_drawing_and_a_failure_says_why() {
        let failed = Experiment {
            schedule: Err("no plugin <Mine>".to_owned()),
            ..Experiment::of(vec![Run::default()])
        };
        let all = [experiment(1), experiment(1), failed];
        let html = section(&all, &["a", "b", "c"].map(str::to_owned));
        assert_eq!(html.matches("<h3>Learn</h3>").count(), 1);
        assert!(html.contains("<summary>a, b</summary>"));
        assert!(html.contains("The drawing of c is left out: no plugin &lt;Mine&gt;"));
    }
}
