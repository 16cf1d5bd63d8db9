//! Last and best values of metrics, with their spread over runs.

use super::experiment::{Experiment, FreshScore};
use crate::report::canvas::escaped;

/// The values of one experiment in the reports of a metric: at the end, and the best of them.
pub(super) struct Scores {
    pub(super) last: String,
    pub(super) best: String,
}

impl Scores {
    pub(super) fn of(experiment: &Experiment, metric: &str) -> Self {
        let of_runs = |pick: fn(&str, &[f64]) -> Option<f64>| {
            let values = experiment.runs.iter().filter_map(|run| {
                let values = run.rows.iter().filter_map(|row| row.get(metric));
                pick(metric, &values.collect::<Vec<_>>())
            });
            summary(&values.collect::<Vec<_>>())
        };
        Scores {
            last: of_runs(|_, values| values.last().copied()),
            best: of_runs(best),
        }
    }
}

/// A table with the last and the best value of every metric.
pub(super) fn table(experiments: &[Experiment], labels: &[String], metrics: &[&str]) -> String {
    let mut table = String::from(
        "<section>\n<h2>Last and best values</h2>\n<div class=\"wide\">\n<table class=\"pairs\">\n",
    );
    if experiments.iter().any(|one| one.runs.len() > 1) {
        table.push_str("<caption>Over several runs: mean ± sample standard deviation.</caption>\n");
    }
    table.push_str("<thead>\n<tr><td></td>");
    for label in labels {
        table.push_str(&format!(
            "<th class=\"first\" colspan=\"2\" scope=\"colgroup\">{}</th>",
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
            let Scores { last, best } = Scores::of(experiment, metric);
            table.push_str(&format!("<td>{last}</td><td>{best}</td>"));
        }
        table.push_str("</tr>\n");
    }
    table.push_str("</tbody>\n</table>\n</div>\n</section>\n");
    table
}

/// What the best checkpoints came to on fresh episodes: of one run with the standard error over its episodes, of several over the runs.
pub(super) fn fresh(experiment: &Experiment) -> String {
    let fresh: Vec<FreshScore> = experiment.runs.iter().filter_map(|run| run.fresh).collect();
    let (text, episodes) = match fresh.as_slice() {
        [] => return "–".into(),
        [one] => {
            let error = one.standard_error;
            let error = error.map_or(String::new(), |error| format!(" ± {error:.1}"));
            (format!("{:.1}{error}", one.mean), one.episodes)
        }
        several => {
            let means: Vec<f64> = several.iter().map(|one| one.mean).collect();
            (summary(&means), several[0].episodes)
        }
    };
    format!("{text} <small>of {episodes}</small>")
}

/// The lowest loss or the highest score; of other metrics none is better than another.
fn best(metric: &str, values: &[f64]) -> Option<f64> {
    let values = values.iter().copied().filter(|value| value.is_finite());
    match metric.rsplit('/').next() {
        Some("loss") => values.min_by(f64::total_cmp),
        Some("return" | "normalized_score" | "episodic_return") => values.max_by(f64::total_cmp),
        _ => None,
    }
}

/// One value, or the mean of several with their sample standard deviation.
pub(super) fn summary(values: &[f64]) -> String {
    let Some((first, others)) = values.split_first() else {
        return "–".into();
    };
    if others
        .iter()
        .all(|value| value.to_bits() == first.to_bits())
    {
        let several = !others.is_empty() && first.is_finite();
        return format!("{}{}", short(*first), if several { " ± 0" } else { "" });
    }
    let count = values.len() as f64;
    let mean = values.iter().map(|value| value / count).sum::<f64>();
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    let spread = (squares / (count - 1.0)).sqrt();
    let text = figure(mean);
    // As many decimals as the mean: more would claim to be known better than it.
    let decimals = text
        .split_once('.')
        .map_or(0, |(_, decimals)| decimals.len());
    if spread.is_finite() && mean != 0.0 && !text.contains('e') {
        format!("{text} ± {spread:.decimals$}")
    } else {
        format!("{text} ± {}", figure(spread))
    }
}

/// A number as it is where that takes few digits, such as a setting; else with four that count.
fn short(value: f64) -> String {
    let (exact, figure) = (value.to_string(), figure(value));
    if value.is_finite() && value != 0.0 && exact.len() < figure.len() {
        exact
    } else {
        figure
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

#[cfg(test)]
mod tests {
    use super::super::experiment::Run;
    use super::*;

    #[test]
    fn fresh_episodes_of_one_run_have_their_standard_error_and_of_several_the_spread_of_the_runs() {
        let run = |mean, standard_error| Run {
            fresh: Some(FreshScore {
                mean,
                standard_error,
                episodes: 50,
            }),
            ..Run::default()
        };
        let text = |runs| fresh(&Experiment::of(runs));
        let one = text(vec![run(-209.83, Some(20.26)), Run::default()]);
        assert_eq!(one, "-209.8 ± 20.3 <small>of 50</small>");
        let several = text(vec![run(-150.0, None), run(-170.0, Some(1.0))]);
        assert_eq!(several, "-160.0 ± 14.1 <small>of 50</small>");
        assert_eq!(text(vec![Run::default()]), "–");
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

    #[test]
    fn a_spread_has_the_decimals_of_its_mean_and_equal_values_have_none() {
        for (values, text) in [
            (&[][..], "–"),
            (&[0.001], "0.001"),
            (&[1.0 / 3.0], "0.3333"),
            (&[0.0, -0.0], "0 ± 0"),
            (&[200.0, 200.0], "200 ± 0"),
            (&[3e-4, 3e-4, 3e-4], "0.0003 ± 0"),
            (&[-150.0, -170.0], "-160.0 ± 14.1"),
            (&[-1254.0, -1035.0], "-1144 ± 155"),
            (&[-1.0, 1.0], "0 ± 1.414"),
            (&[1.0, f64::INFINITY], "∞ ± NaN"),
            (&[f64::NAN, f64::NAN], "NaN"),
        ] {
            assert_eq!(summary(values), text, "{values:?}");
        }
    }
}
