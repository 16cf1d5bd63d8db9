//! The page about a sweep: the best trial, learning curves, parallel coordinates, what the settings have to do with it, the table.
//!
//! One HTML file with its pictures inside and nothing to load, like the page about runs.

use super::importance::importance;
use super::parallel::parallel;
use super::state::State;
use super::table::Table;
use crate::report::canvas::escaped;
use crate::report::curves::{Curve, Picture};
use crate::report::page::{HEAD_OF_SWEEP, STYLE};

/// Curves from the eighth on have the colors of others: the best are drawn, and the others counted.
const DRAWN: usize = 7;

/// The page. `curves` has for each trial the points of each of its runs, and `command` the best trial's command.
pub(crate) fn page(
    state: &State,
    curves: Vec<Vec<Vec<(f64, f64)>>>,
    command: Option<&str>,
) -> String {
    let metric = &state.settings.objective.metric;
    let mut body = format!(
        "<p>{} trials, {} of at most {} steps taken; every trial to the end would be {}.</p>\n",
        state.progress.len(),
        state.steps_taken(),
        state.plan.most,
        state.plan.whole
    );
    if let (Some(best), Some(command)) = (state.best(), command) {
        body.push_str(&format!(
            "<h2>The best: trial {best}</h2>\n<pre>{}</pre>\n",
            escaped(command)
        ));
    }
    body.push_str(&learning_curves(state, metric, curves));
    if let Some(svg) = parallel(state) {
        body.push_str(&format!(
            "<h2>Settings and what they came to</h2>\n<p>A line is a trial where it ended; the stronger, the better.</p>\n<figure>{svg}</figure>\n"
        ));
    }
    body.push_str("<h2>Importance</h2>\n<p>Spearman's rank correlation of a setting with the metric at the end of the first round, which all trials have reached alike: 1 where more of one always came with more of the other, -1 where with less, 0 where it made no difference that rises or falls.</p>\n<table>\n");
    for it in importance(state) {
        body.push_str(&format!(
            "<tr><th scope=\"row\">{}</th><td>{:.2}</td></tr>\n",
            escaped(&it.name),
            it.correlation
        ));
    }
    body.push_str(&format!(
        "</table>\n<h2>Trials</h2>\n<pre>{}</pre>\n",
        escaped(&Table::of(state).text())
    ));
    let title = "sweep";
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n{HEAD_OF_SWEEP}\n<title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<h1>{title}: {}</h1>\n{body}</body>\n</html>\n",
        escaped(metric)
    )
}

fn learning_curves(state: &State, metric: &str, mut curves: Vec<Vec<Vec<(f64, f64)>>>) -> String {
    let mut trials: Vec<(usize, Option<f64>)> = state
        .progress
        .iter()
        .map(|it| it.reached.last().and_then(|reached| reached.value))
        .enumerate()
        .collect();
    // Who came further first, then who was better.
    let order = super::decide::ranked(&trials, state.settings.objective.goal);
    trials.sort_by_key(|(trial, _)| {
        let rounds = state.progress[*trial].reached.len();
        let place = order.iter().position(|it| it == trial);
        (std::cmp::Reverse(rounds), place)
    });
    let shown = trials.iter().take(DRAWN).map(|(trial, _)| Curve {
        label: format!("trial {trial}"),
        runs: std::mem::take(&mut curves[*trial]),
    });
    let picture = Picture {
        x_label: "step".to_owned(),
        y_label: metric.to_owned(),
        curves: shown.collect(),
        ..Picture::default()
    };
    let left = trials.len().saturating_sub(DRAWN);
    let left = match left {
        0 => String::new(),
        1 => "<p>One more trial is in the table.</p>\n".to_owned(),
        left => format!("<p>{left} more trials are in the table.</p>\n"),
    };
    match picture.svg() {
        Ok(svg) => format!("<h2>Learning curves</h2>\n<figure>{svg}</figure>\n{left}"),
        Err(error) => format!("<p>{}</p>\n", escaped(&error.to_string())),
    }
}
