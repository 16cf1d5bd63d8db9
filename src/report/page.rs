//! A page about one run or several: learning curves, last and best values, and the scenes they came from.
//!
//! The page is one HTML file with its pictures inside, without scripts and without anything to load: it can be mailed,
//! archived next to the runs and opened from a disk. Its bytes depend on the runs alone.

use std::collections::BTreeSet;

use super::canvas::escaped;
use super::curves::{Curve, Picture};
use super::experiment::{Experiment, experiments};
use super::json_lines::Row;

/// Whatever is to be known of a run for a page about it.
///
/// ```
/// use yarak::report::json_lines::Row;
/// use yarak::report::page::{Run, page};
///
/// let seed = |seed: u32, last: f64| Run {
///     name: format!("runs/pendulum/seed_{seed}"),
///     rows: vec![
///         Row { step: 1000, values: vec![("evaluate/return".into(), -900.0)] },
///         Row { step: 2000, values: vec![("evaluate/return".into(), last)] },
///     ],
///     scene: format!("Scene(\n    seed: {seed},\n    plugins: [Td3Bc()],\n)"),
/// };
/// let html = page(&[seed(0, -150.0), seed(1, -170.0)]);
/// // Two seeds of one scene are one curve and one column of the table:
/// assert!(html.contains("runs/pendulum, mean of 2"));
/// assert!(html.contains("-160.0 ± 14.1"));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// What the legend calls the run: its folder as the user gave it.
    pub name: String,
    /// The rows of its `metrics.jsonl`, in the file's order.
    pub rows: Vec<Row>,
    /// The text of its resolved scene.
    pub scene: String,
}

/// The page about these runs, a whole HTML document.
///
/// Runs whose scenes differ in nothing but the seed are drawn as one curve, and the table has their mean and sample
/// standard deviation.
pub fn page(runs: &[Run]) -> String {
    let experiments = experiments(runs);
    let mut body = String::new();
    if runs.is_empty() {
        body.push_str("<p>No runs were given.</p>\n");
    }
    let metrics: BTreeSet<&str> = runs
        .iter()
        .flat_map(|run| &run.rows)
        .flat_map(|row| &row.values)
        .map(|(name, _)| name.as_str())
        .collect();
    let mut metrics: Vec<_> = metrics.into_iter().collect();
    metrics.sort_by_key(|name| (rank(group(name)), group(name), *name));
    if !metrics.is_empty() {
        body.push_str(&table(&experiments, &metrics));
    }
    for metrics in metrics.chunk_by(|a, b| group(a) == group(b)) {
        let heading = escaped(group(metrics[0]));
        body.push_str(&format!(
            "<section>\n<h2>{heading}</h2>\n<div class=\"charts\">\n"
        ));
        for metric in metrics {
            body.push_str(&format!(
                "<figure>{}</figure>\n",
                chart(&experiments, metric)
            ));
        }
        body.push_str("</div>\n</section>\n");
    }
    if !runs.is_empty() {
        body.push_str(&scenes(&experiments));
    }
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n{body}</body>\n</html>\n",
        title = escaped(&title(&experiments)),
    )
}

const STYLE: &str = "
:root { color-scheme: light dark; --ink: #1f2328; --gray: #59636e; --ground: #f6f8fa; --card: #ffffff; --edge: #d1d9e0; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6edf3; --gray: #9198a1; --ground: #0d1117; --card: #151b23; --edge: #3d444d; }
}
body { margin: 0 auto; padding: 24px 32px 64px; max-width: 1880px; background: var(--ground); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif; }
h1 { font-size: 24px; margin: 0 0 24px; overflow-wrap: anywhere; }
h2 { font-size: 18px; margin: 40px 0 12px; }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 620px), 1fr)); gap: 16px; }
figure { margin: 0; background: #ffffff; border: 1px solid var(--edge); border-radius: 8px; overflow: hidden; }
svg { display: block; width: 100%; height: auto; }
.wide { overflow-x: auto; width: fit-content; max-width: 100%; background: var(--card); border: 1px solid var(--edge); border-radius: 8px; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 5px 16px; text-align: right; white-space: nowrap; }
th { font-weight: 600; }
th small, caption { color: var(--gray); font-weight: 400; }
th[scope=row] { text-align: left; font-weight: 400; }
tbody tr { border-top: 1px solid var(--edge); }
td:nth-child(even), th.first { border-left: 1px solid var(--edge); }
caption { caption-side: bottom; text-align: left; padding: 8px 16px; border-top: 1px solid var(--edge); font-size: 13px; }
details { background: var(--card); border: 1px solid var(--edge); border-radius: 8px; margin: 0 0 12px; padding: 8px 16px; }
summary { cursor: pointer; }
details ul { color: var(--gray); padding-left: 20px; }
pre { overflow-x: auto; font: 13px/1.5 ui-monospace, 'SF Mono', Menlo, Consolas, monospace; }
";

fn title(experiments: &[Experiment]) -> String {
    match experiments {
        [] => "yarak report".into(),
        [only] => only.label.clone(),
        several => format!("{} experiments", several.len()),
    }
}

/// `critic` of `critic/loss`; a name without groups is its own.
fn group(metric: &str) -> &str {
    metric.split('/').next().unwrap_or(metric)
}

/// Scores first, then losses; the machinery last.
fn rank(group: &str) -> u8 {
    match group {
        "evaluate" => 0,
        "learning_rate" => 2,
        "time" => 3,
        _ => 1,
    }
}

fn chart(experiments: &[Experiment], metric: &str) -> String {
    let points = |run: &&Run| -> Vec<(f64, f64)> {
        run.rows
            .iter()
            .filter_map(|row| Some((row.step as f64, row.get(metric)?)))
            .collect()
    };
    // An experiment without this metric stays in the list: colors go by the place in it.
    let curves = experiments.iter().map(|experiment| Curve {
        label: experiment.label.clone(),
        runs: experiment
            .runs
            .iter()
            .map(points)
            .filter(|points| !points.is_empty())
            .collect(),
    });
    let picture = Picture {
        title: metric.into(),
        x_label: "step".into(),
        curves: curves.collect(),
        ..Picture::default()
    };
    picture
        .svg()
        .unwrap_or_else(|error| format!("<p>{}</p>", escaped(&error.to_string())))
}

fn table(experiments: &[Experiment], metrics: &[&str]) -> String {
    let mut table = String::from("<div class=\"wide\">\n<table>\n");
    if experiments
        .iter()
        .any(|experiment| experiment.runs.len() > 1)
    {
        table.push_str("<caption>Over several runs: mean ± sample standard deviation.</caption>\n");
    }
    table.push_str("<thead>\n<tr><td></td>");
    for Experiment { label, runs } in experiments {
        let count = if runs.len() > 1 {
            format!(" <small>{} runs</small>", runs.len())
        } else {
            String::new()
        };
        table.push_str(&format!(
            "<th class=\"first\" colspan=\"2\" scope=\"colgroup\">{}{count}</th>",
            escaped(label)
        ));
    }
    table.push_str("</tr>\n<tr><td></td>");
    for _ in experiments {
        table.push_str("<th class=\"first\" scope=\"col\"><small>last</small></th><th scope=\"col\"><small>best</small></th>");
    }
    table.push_str("</tr>\n</thead>\n<tbody>\n");
    for metric in metrics {
        table.push_str(&format!("<tr><th scope=\"row\">{}</th>", escaped(metric)));
        for experiment in experiments {
            let of_runs = |pick: fn(&str, &[f64]) -> Option<f64>| {
                let runs = experiment.runs.iter();
                let values = runs.map(|run| {
                    run.rows
                        .iter()
                        .filter_map(|row| row.get(metric))
                        .collect::<Vec<_>>()
                });
                summary(
                    &values
                        .filter_map(|values| pick(metric, &values))
                        .collect::<Vec<_>>(),
                )
            };
            let last = of_runs(|_, values| values.last().copied());
            table.push_str(&format!("<td>{last}</td><td>{}</td>", of_runs(best)));
        }
        table.push_str("</tr>\n");
    }
    table.push_str("</tbody>\n</table>\n</div>\n");
    table
}

/// The lowest loss or the highest score; of other metrics none is better than another.
fn best(metric: &str, values: &[f64]) -> Option<f64> {
    let values = values.iter().copied().filter(|value| value.is_finite());
    match metric.rsplit('/').next() {
        Some("loss") => values.min_by(f64::total_cmp),
        Some("return" | "normalized_score") => values.max_by(f64::total_cmp),
        _ => None,
    }
}

fn summary(values: &[f64]) -> String {
    let count = values.len() as f64;
    let mean = values.iter().map(|value| value / count).sum::<f64>();
    match values {
        [] => "–".into(),
        [only] => figure(*only),
        _ => {
            let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
            let spread = (squares / (count - 1.0)).sqrt();
            let mean = figure(mean);
            // As many decimals as the mean: more would claim to be known better than it.
            match mean.split_once('.').map(|(_, decimals)| decimals.len()) {
                Some(decimals) if spread.is_finite() && !mean.contains('e') => {
                    format!("{mean} ± {spread:.decimals$}")
                }
                _ => format!("{mean} ± {}", figure(spread)),
            }
        }
    }
}

/// A number with four digits that count.
fn figure(value: f64) -> String {
    let size = value.abs();
    match size {
        0.0 => "0".into(),
        f64::INFINITY => if value > 0.0 { "∞" } else { "-∞" }.into(),
        _ if value.is_nan() => "NaN".into(),
        _ if !(1e-3..1e7).contains(&size) => format!("{value:.3e}"),
        _ => format!(
            "{value:.0$}",
            (3.0 - size.log10().floor()).max(0.0) as usize
        ),
    }
}

fn scenes(experiments: &[Experiment]) -> String {
    let mut section = String::from("<section>\n<h2>Scenes</h2>\n");
    for Experiment { label, runs } in experiments {
        section.push_str(&format!(
            "<details>\n<summary>{}</summary>\n<ul>\n",
            escaped(label)
        ));
        for run in runs {
            let state = match run.rows.iter().map(|row| row.step).max() {
                Some(step) => format!("up to step {step}"),
                None => "no reports yet".into(),
            };
            section.push_str(&format!("<li>{}: {state}</li>\n", escaped(&run.name)));
        }
        section.push_str("</ul>\n");
        if let Some(first) = runs.first() {
            section.push_str(&format!("<pre>{}</pre>\n", escaped(&first.scene)));
        }
        section.push_str("</details>\n");
    }
    section.push_str("</section>\n");
    section
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(name: &str, scene: &str, values: &[(u64, &str, f64)]) -> Run {
        let row = |(step, name, value): &(u64, &str, f64)| Row {
            step: *step,
            values: vec![((*name).into(), *value)],
        };
        Run {
            name: name.into(),
            rows: values.iter().map(row).collect(),
            scene: scene.into(),
        }
    }

    #[test]
    fn the_table_has_last_and_best_values_with_their_spread() {
        let values = |last| {
            [
                (1, "evaluate/return", -10.0),
                (2, "evaluate/return", last),
                (2, "critic/q", 7.0),
            ]
        };
        let html = page(&[
            run("a/0", "x", &values(-20.0)),
            run("a/1", "x", &values(-40.0)),
        ]);
        assert!(
            html.contains("evaluate/return</th><td>-30.00 ± 14.14</td><td>-10.00 ± 0.00</td>"),
            "{html}"
        );
        assert!(
            html.contains("critic/q</th><td>7.000 ± 0.000</td><td>–</td>"),
            "{html}"
        );
        let html = page(&[run("a", "x", &[(1, "loss", 0.25), (2, "loss", f64::NAN)])]);
        assert!(
            html.contains("loss</th><td>NaN</td><td>0.2500</td>"),
            "{html}"
        );
    }

    #[test]
    fn scores_come_first_and_machinery_last() {
        let names = [
            "time/steps_per_second",
            "critic/q",
            "critic/loss",
            "learning_rate/actor",
            "evaluate/return",
            "loss",
        ];
        let html = page(&[run("a", "x", &names.map(|name| (1, name, 1.0)))]);
        let headings: Vec<_> = html
            .split("<h2>")
            .skip(1)
            .map(|rest| rest.split('<').next().unwrap())
            .collect();
        assert_eq!(
            headings,
            [
                "evaluate",
                "critic",
                "loss",
                "learning_rate",
                "time",
                "Scenes"
            ]
        );
        assert_eq!(html.matches("<svg ").count(), names.len());
    }

    #[test]
    fn nothing_that_a_run_says_becomes_markup() {
        let evil = "</pre></title><script>alert('x')</script>&\u{1}";
        let html = page(&[
            run(evil, evil, &[(1, evil, 1.0)]),
            run(evil, "other", &[(1, evil, f64::MAX)]),
        ]);
        assert!(!html.contains("<script") && !html.contains("'x'") && !html.contains('\u{1}'));
        assert_eq!(
            (
                html.matches("</pre>").count(),
                html.matches("</title>").count()
            ),
            (2, 1)
        );
    }

    #[test]
    fn a_page_loads_nothing_and_can_be_empty() {
        let html =
            page(&[run("a", "x", &[(1, "loss", 1.0)])]).replace("http://www.w3.org/2000/svg", "");
        assert!(!html.contains("http") && !html.contains("src=") && !html.contains("url("));
        assert!(page(&[]).contains("No runs"));
        assert!(page(&[run("a", "x", &[])]).contains("no reports yet"));
    }

    #[test]
    fn figures_have_four_digits() {
        let figures = [
            0.0,
            -0.0,
            0.41234,
            -512.34,
            123_456.0,
            1.5e-5,
            f64::NEG_INFINITY,
            9.99996,
        ]
        .map(figure);
        assert_eq!(
            figures,
            [
                "0", "0", "0.4123", "-512.3", "123456", "1.500e-5", "-∞", "10.000"
            ]
        );
    }
}
