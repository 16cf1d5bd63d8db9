//! The charts of a page: one metric large, all others small, each with its values for the pointer.

use std::collections::BTreeSet;

use serde_json::json;

use super::experiment::Experiment;
use super::scores::summary;
use crate::report::canvas::escaped;
use crate::report::curves::{Curve, Mark, Picture, Plot, Reference, color};

/// Width and height of the first chart and of the others, in CSS pixels.
const LARGE: (u32, u32) = (1200, 440);
const SMALL: (u32, u32) = (400, 224);

/// Steps of a curve whose values are in the page, at most: more than the pointer can tell apart.
const STEPS: usize = 400;

/// What a run is known by.
const SCORE: &str = "evaluate/return";

/// The metrics of all runs, in the order of the page.
pub(super) fn metrics(experiments: &[Experiment]) -> Vec<&str> {
    let rows = experiments
        .iter()
        .flat_map(|one| &one.runs)
        .flat_map(|run| &run.rows);
    let names: BTreeSet<&str> = rows
        .flat_map(|row| &row.values)
        .map(|(name, _)| name.as_str())
        .collect();
    let mut metrics: Vec<_> = names.into_iter().collect();
    metrics.sort_by_key(|name| (rank(group(name)), group(name), *name));
    metrics
}

/// The metric that says most of how good the policies are: the return of evaluations; without any, that of the episodes that were
/// learned from, then the first on held-out rows, then the first loss.
pub(super) fn main_metric<'m>(metrics: &[&'m str]) -> Option<&'m str> {
    let find = |wanted: &dyn Fn(&str) -> bool| metrics.iter().copied().find(|name| wanted(name));
    find(&|name| name == SCORE)
        .or_else(|| find(&|name| name == "rollout/episodic_return"))
        .or_else(|| find(&|name| name.starts_with("validate/")))
        .or_else(|| find(&|name| name == "loss" || name.ends_with("/loss")))
}

/// `critic` of `critic/loss`; a name without groups is its own.
fn group(metric: &str) -> &str {
    metric.split('/').next().unwrap_or(metric)
}

/// Scores first, then losses; the machinery last.
fn rank(group: &str) -> u8 {
    match group {
        "evaluate" => 0,
        "rollout" => 1,
        "learning_rate" => 3,
        "epoch" | "time" => 4,
        _ => 2,
    }
}

/// The chart of the main metric, as wide as the page.
pub(super) fn large(experiments: &[Experiment], labels: &[String], metric: &str) -> String {
    let mut references: Vec<Reference> = Vec::new();
    if metric == SCORE {
        for reference in experiments.iter().flat_map(|one| &one.references) {
            if !references.contains(reference) {
                references.push(reference.clone());
            }
        }
    }
    let picture = Picture {
        x_label: "step".into(),
        size: LARGE,
        references,
        ..picture(experiments, metric)
    };
    figure(&picture, labels)
}

/// A section for each group of metrics, with a small chart for each metric.
pub(super) fn small(
    experiments: &[Experiment],
    labels: &[String],
    metrics: &[&str],
    legend: &str,
) -> String {
    let mut sections = String::new();
    for metrics in metrics.chunk_by(|a, b| group(a) == group(b)) {
        sections.push_str(&format!(
            "<section>\n<h2>{}{legend}</h2>\n<div class=\"charts\">\n",
            escaped(group(metrics[0]))
        ));
        for metric in metrics {
            let picture = Picture {
                size: SMALL,
                ..picture(experiments, metric)
            };
            sections.push_str(&figure(&picture, labels));
        }
        sections.push_str("</div>\n</section>\n");
    }
    sections
}

fn picture(experiments: &[Experiment], metric: &str) -> Picture {
    // An experiment without this metric stays in the list: colors go by the place in it.
    let curves = experiments.iter().map(|experiment| Curve {
        // The page has one legend for all charts.
        label: String::new(),
        runs: experiment
            .runs
            .iter()
            .map(|run| run.points(metric))
            .filter(|points| !points.is_empty())
            .collect(),
    });
    Picture {
        title: metric.into(),
        curves: curves.collect(),
        ..Picture::default()
    }
}

/// The chart, and what the page's script shows of it under the pointer.
fn figure(picture: &Picture, labels: &[String]) -> String {
    match picture.plot() {
        Ok(plot) => format!(
            "<figure class=\"chart\" tabindex=\"0\">{}<script type=\"application/json\">{}</script></figure>\n",
            plot.svg,
            values(picture, &plot, labels)
        ),
        Err(error) => format!("<figure><p>{}</p></figure>\n", escaped(&error.to_string())),
    }
}

/// The place and the text of each curve's values, as JSON: `[step, across, down, "-160.0 ± 14.1"]`.
fn values(picture: &Picture, plot: &Plot, labels: &[String]) -> String {
    let curves = plot.marks.iter().enumerate().zip(labels);
    let curves = curves.filter(|((_, marks), _)| !marks.is_empty());
    let curves = curves.map(|((index, marks), label)| {
        let points = thinned(marks).map(|mark| {
            let (across, down) = mark.at;
            json!([mark.step, across, down, summary(&mark.values)])
        });
        let runs = picture.curves[index].runs.len();
        json!({
            "label": label,
            "runs": runs,
            "color": color(index),
            "points": points.collect::<Vec<_>>(),
        })
    });
    let values = json!({ "field": plot.field, "curves": curves.collect::<Vec<_>>() });
    // Nothing in a text may end the element.
    values.to_string().replace('<', "\\u003c")
}

/// Some of the marks, evenly, the last among them.
fn thinned(marks: &[Mark]) -> impl Iterator<Item = &Mark> {
    let stride = marks.len().div_ceil(STEPS).max(1);
    let offset = marks.len().saturating_sub(1) % stride;
    marks.iter().skip(offset).step_by(stride)
}

#[cfg(test)]
mod tests {
    use super::super::experiment::Run;
    use super::*;
    use crate::report::json_lines::Row;

    #[test]
    fn the_main_metric_is_the_best_that_there_is() {
        let names = [
            "critic/loss",
            "actor/loss",
            "validate/actor/loss",
            "rollout/episodic_return",
            "evaluate/return",
        ];
        let main = |count: usize| main_metric(&names[..count]);
        assert_eq!(main(5), Some("evaluate/return"));
        assert_eq!(main(4), Some("rollout/episodic_return"));
        assert_eq!(main(3), Some("validate/actor/loss"));
        assert_eq!(main(2), Some("critic/loss"));
        assert_eq!(main_metric(&["epoch"]), None);
    }

    #[test]
    fn the_values_of_a_long_run_are_thinned_and_its_last_is_kept() {
        for count in [0, 1, 2, 399, 400, 401, 1000, 12_345] {
            let marks: Vec<Mark> = (0..count)
                .map(|step| Mark {
                    step: f64::from(step),
                    at: (0, 0),
                    values: Vec::new(),
                })
                .collect();
            let steps: Vec<f64> = thinned(&marks).map(|mark| mark.step).collect();
            assert!(steps.len() <= STEPS && (count == 0 || steps.len() >= count.min(190) as usize));
            assert_eq!(steps.last().copied(), marks.last().map(|mark| mark.step));
        }
    }

    #[test]
    fn values_have_the_mean_and_the_spread_of_seeds_at_a_step() {
        let run = |value: f64| Run {
            rows: vec![Row {
                step: 2000,
                values: vec![("evaluate/return".into(), value)],
            }],
            ..Run::default()
        };
        let experiments = [
            Experiment::of(vec![run(-150.0), run(-170.0)]),
            Experiment::of(vec![Run::default()]),
        ];
        let labels = ["a</script>".to_owned(), "b".to_owned()];
        let html = large(&experiments, &labels, "evaluate/return");
        let (_, data) = html.split_once("application/json\">").unwrap();
        let (data, _) = data.split_once("</script>").unwrap();
        let data: serde_json::Value = serde_json::from_str(data).unwrap();
        let curves = data["curves"].as_array().unwrap();
        assert_eq!(curves.len(), 1, "the other has no values");
        assert_eq!(curves[0]["label"], "a</script>");
        assert_eq!(curves[0]["runs"], 2);
        assert_eq!(curves[0]["points"][0][0], 2000.0);
        assert_eq!(curves[0]["points"][0][3], "-160.0 ± 14.1");
    }
}
