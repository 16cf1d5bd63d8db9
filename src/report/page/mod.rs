//! A page about one run or several: how good the policies are, all other metrics, and what the runs are.
//!
//! The page is one HTML file with its pictures inside and nothing to load: it can be mailed, archived next to the runs and
//! opened from a disk. A small script in it shows values under the pointer; without it everything else is there. Its bytes
//! depend on the runs alone, and on what this program knows of their scenes.
//!
//! From the top, each in a file of its own: `charts`, the most telling metric large and the others small; `settings` that
//! differ between experiments; `videos`; `scores`, last and best values; the `schedule` that runs; the scenes. Runs that
//! differ in nothing but their seed are one [`Experiment`]; `labels` are what experiments are called.

mod charts;
mod experiment;
mod labels;
mod schedule;
mod scores;
mod settings;
mod videos;

pub use experiment::{Experiment, FreshScore, Run, group};
pub use labels::labels;
pub use videos::{Video, VideoContent};

use super::canvas::escaped;
use super::curves::color;
use scores::Scores;

/// What says that a page is one of these. No scene or run can write it: their texts are escaped.
const GENERATOR: &str = "<meta name=\"generator\" content=\"yarak report\">";

/// The same of a page about a sweep.
pub(crate) const HEAD_OF_SWEEP: &str = "<meta name=\"generator\" content=\"yarak sweep report\">";

/// Bytes at the beginning of a page that have the generator in them.
const HEAD: usize = 512;

pub(crate) const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("values.js");

/// Whether a file that begins with these bytes is such a page, which may be made anew.
///
/// ```
/// use yarak::report::page::{is_page, page};
///
/// assert!(is_page(page(&[]).as_bytes()));
/// assert!(!is_page(b"<!doctype html>\n<title>mine</title>"));
/// ```
pub fn is_page(beginning: &[u8]) -> bool {
    let head = &beginning[..beginning.len().min(HEAD)];
    String::from_utf8_lossy(head).contains(GENERATOR)
}

/// The page about these experiments, a whole HTML document.
///
/// The runs of an experiment are drawn as one curve, and tables have their mean and sample standard deviation.
///
/// ```
/// use yarak::report::json_lines::Row;
/// use yarak::report::page::{Experiment, Run, group, page};
///
/// let seed = |seed: u32, last: f64| Run {
///     name: format!("runs/pendulum/seed_{seed}"),
///     rows: vec![
///         Row { step: 1000, values: vec![("evaluate/return".into(), -900.0)] },
///         Row { step: 2000, values: vec![("evaluate/return".into(), last)] },
///     ],
///     scene: format!("Scene(\n    name: \"pendulum, TD3+BC\",\n    seed: {seed},\n    plugins: [Td3Bc()],\n)"),
///     ..Run::default()
/// };
/// let experiments = group(vec![seed(0, -150.0), seed(1, -170.0)]).into_iter().map(Experiment::of);
/// let html = page(&experiments.collect::<Vec<_>>());
/// // Two seeds of one scene are one curve and one column of the table:
/// assert!(html.contains("<title>pendulum, TD3+BC</title>"));
/// assert!(html.contains("-160.0 ± 14.1"));
/// ```
pub fn page(experiments: &[Experiment]) -> String {
    let labels = labels(experiments);
    let metrics = charts::metrics(experiments);
    let main = charts::main_metric(&metrics);
    let mut body = String::new();
    if experiments.is_empty() {
        body.push_str("<p>No runs were given.</p>\n");
    } else {
        body.push_str(&overview(experiments, &labels, main));
    }
    if let Some(main) = main {
        body.push_str(&charts::large(experiments, &labels, main));
    }
    body.push_str(&settings::section(experiments, &labels));
    body.push_str(&videos::section(experiments));
    let mut others = metrics.clone();
    others.retain(|metric| Some(*metric) != main);
    let legend = legend(&labels);
    body.push_str(&charts::small(experiments, &labels, &others, &legend));
    if !metrics.is_empty() {
        body.push_str(&scores::table(experiments, &labels, &metrics));
    }
    if !experiments.is_empty() {
        body.push_str(&schedule::section(experiments, &labels));
        body.push_str(&scenes(experiments, &labels));
    }
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n{GENERATOR}\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n{body}\
         <script>\n{SCRIPT}</script>\n</body>\n</html>\n",
        title = escaped(&title(experiments)),
    )
}

/// The names of the scenes.
fn title(experiments: &[Experiment]) -> String {
    let mut names: Vec<String> = Vec::new();
    for name in experiments.iter().map(Experiment::name) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    match names.as_slice() {
        [] => "yarak report".into(),
        names => names.join(" · "),
    }
}

/// The experiments with their colors, how far they are, and what they reached: the legend of all charts.
fn overview(experiments: &[Experiment], labels: &[String], main: Option<&str>) -> String {
    let mut table = String::from("<div class=\"wide\">\n<table>\n<thead>\n<tr><td></td>");
    table.push_str(
        "<th scope=\"col\"><small>runs</small></th><th scope=\"col\"><small>steps</small></th>",
    );
    if let Some(main) = main {
        let main = escaped(main);
        table.push_str(&format!(
            "<th scope=\"col\">{main} <small>last</small></th><th scope=\"col\"><small>best</small></th>"
        ));
    }
    let runs = || experiments.iter().flat_map(|experiment| &experiment.runs);
    let has_fresh = runs().any(|run| run.fresh.is_some());
    if has_fresh {
        table.push_str("<th scope=\"col\">best checkpoint <small>on fresh episodes</small></th>");
    }
    table.push_str("</tr>\n</thead>\n<tbody>\n");
    for (index, (experiment, label)) in experiments.iter().zip(labels).enumerate() {
        table.push_str(&format!(
            "<tr><th scope=\"row\">{}{}</th><td>{}</td><td>{}</td>",
            swatch(index),
            escaped(label),
            experiment.runs.len(),
            steps(experiment)
        ));
        if let Some(main) = main {
            let Scores { last, best } = Scores::of(experiment, main);
            table.push_str(&format!("<td>{last}</td><td>{best}</td>"));
        }
        if has_fresh {
            table.push_str(&format!("<td>{}</td>", scores::fresh(experiment)));
        }
        table.push_str("</tr>\n");
    }
    table.push_str("</tbody>\n</table>\n</div>\n");
    if has_fresh {
        table.push_str("<p><small>On fresh episodes, ± is the standard error over the episodes of one run, or the sample standard deviation over several runs.</small></p>\n");
    }
    table
}

fn swatch(index: usize) -> String {
    let color = color(index);
    format!("<i class=\"swatch\" style=\"background:{color}\"></i>")
}

/// The last steps of the runs: one number, or the first and the last to end.
fn steps(experiment: &Experiment) -> String {
    let runs = experiment.runs.iter();
    let ends = runs.map(|run| run.rows.iter().map(|row| row.step).max().unwrap_or(0));
    match (ends.clone().min(), ends.max()) {
        (Some(first), Some(last)) if first < last => format!("{first}–{last}"),
        (_, last) => last.unwrap_or(0).to_string(),
    }
}

/// The colors once more, where there are several; they are at the head of every group of charts.
fn legend(labels: &[String]) -> String {
    if labels.len() < 2 {
        return String::new();
    }
    let entries = labels.iter().enumerate().map(|(index, label)| {
        let label = escaped(label);
        format!("<span>{}{label}</span>", swatch(index))
    });
    format!(
        " <span class=\"legend\">{}</span>",
        entries.collect::<String>()
    )
}

fn scenes(experiments: &[Experiment], labels: &[String]) -> String {
    let mut section = String::from("<section>\n<h2>Scenes</h2>\n");
    for (experiment, label) in experiments.iter().zip(labels) {
        section.push_str(&format!(
            "<details>\n<summary>{}</summary>\n<ul>\n",
            escaped(label)
        ));
        for run in &experiment.runs {
            let state = match run.rows.iter().map(|row| row.step).max() {
                Some(step) => format!("up to step {step}"),
                None => "no reports yet".into(),
            };
            section.push_str(&format!("<li>{}: {state}</li>\n", escaped(&run.name)));
        }
        section.push_str("</ul>\n");
        if let Some(first) = experiment.runs.first() {
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
    use crate::report::json_lines::Row;

    fn run(name: &str, scene: &str, values: &[(u64, &str, f64)]) -> Run {
        let row = |(step, name, value): &(u64, &str, f64)| Row {
            step: *step,
            values: vec![((*name).into(), *value)],
        };
        Run {
            name: name.into(),
            rows: values.iter().map(row).collect(),
            scene: scene.into(),
            ..Run::default()
        }
    }

    fn page_of(runs: &[Run]) -> String {
        let experiments = group(runs.to_vec()).into_iter().map(Experiment::of);
        page(&experiments.collect::<Vec<_>>())
    }

    #[test]
    fn the_tables_have_last_and_best_values_with_their_spread() {
        let values = |last| {
            [
                (1, "evaluate/return", -10.0),
                (2, "evaluate/return", last),
                (2, "critic/q", 7.0),
            ]
        };
        let html = page_of(&[
            run("a/0", "x", &values(-20.0)),
            run("a/1", "x", &values(-40.0)),
        ]);
        assert!(
            html.contains("evaluate/return</th><td>-30.00 ± 14.14</td><td>-10 ± 0</td>"),
            "{html}"
        );
        assert!(
            html.contains("a</th><td>2</td><td>2</td><td>-30.00 ± 14.14</td>"),
            "{html}"
        );
        assert!(
            html.contains("critic/q</th><td>7 ± 0</td><td>–</td>"),
            "{html}"
        );
        let html = page_of(&[run("a", "x", &[(1, "loss", 0.25), (2, "loss", f64::NAN)])]);
        assert!(
            html.contains("loss</th><td>NaN</td><td>0.25</td>"),
            "{html}"
        );
    }

    #[test]
    fn the_score_comes_first_and_large_and_machinery_last_and_small() {
        let names = [
            "time/steps_per_second",
            "critic/q",
            "critic/loss",
            "learning_rate/actor",
            "evaluate/return",
            "evaluate/length",
            "loss",
            "rollout/episodic_return",
        ];
        let html = page_of(&[run("a", "x", &names.map(|name| (1, name, 1.0)))]);
        let headings: Vec<_> = html
            .split("<h2>")
            .skip(1)
            .map(|rest| rest.split('<').next().unwrap())
            .collect();
        assert_eq!(
            headings,
            [
                "evaluate",
                "rollout",
                "critic",
                "loss",
                "learning_rate",
                "time",
                "Last and best values",
                "Schedule",
                "Scenes"
            ]
        );
        assert_eq!(html.matches("<svg ").count(), names.len());
        let charts: Vec<&str> = html.split("<svg ").skip(1).collect();
        assert!(charts[0].contains("width=\"1200\"") && charts[0].contains("\"evaluate/return\""));
        assert!(
            charts[1..]
                .iter()
                .all(|chart| chart.contains("width=\"400\""))
        );
    }

    #[test]
    fn a_page_of_several_experiments_has_their_names_and_colors() {
        let scene = |name: &str| format!("Scene(name: \"{name}\")");
        let html = page_of(&[
            run(
                "a",
                &scene("one"),
                &[(1, "loss", 1.0), (2, "critic/q", 1.0)],
            ),
            run("b", &scene("two"), &[(3, "loss", 1.0)]),
            run("c", &scene("two"), &[(5, "loss", 1.0)]),
        ]);
        assert!(html.contains("<title>one · two</title>"));
        let [first, second] = [0, 1].map(swatch);
        // In the overview, and at the head of the charts of the critic.
        assert_eq!(html.matches(&format!("{first}one")).count(), 2);
        assert!(html.contains(&format!("{second}two</th><td>2</td><td>3–5</td>")));
        assert!(html.contains("Settings that differ"));
    }

    #[test]
    fn nothing_that_a_run_says_becomes_markup() {
        let evil = "</pre></title></script><script>alert('x')</script>&\u{1}";
        let html = page_of(&[
            run(evil, evil, &[(1, evil, 1.0)]),
            run(evil, "other", &[(1, evil, f64::MAX)]),
        ]);
        assert!(!html.contains("alert('x')</script>") && !html.contains('\u{1}'));
        // One of each chart that has values, and the page's own.
        let scripts = html.matches("<script").count();
        assert_eq!((scripts, html.matches("</script>").count()), (2, 2));
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
        let html = page_of(&[run("a", "x", &[(1, "loss", 1.0)])])
            .replace("http://www.w3.org/2000/svg", "");
        assert!(!html.contains("http") && !html.contains("src=") && !html.contains("url("));
        assert!(page(&[]).contains("No runs"));
        assert!(page_of(&[run("a", "x", &[])]).contains("no reports yet"));
    }

    #[test]
    fn a_page_is_known_by_its_head_and_no_scene_can_claim_to_be_one() {
        assert!(is_page(page(&[]).as_bytes()));
        let claims = run("a", GENERATOR, &[]);
        let html = page_of(&[claims]);
        assert_eq!(html.matches(GENERATOR).count(), 1);
        assert!(!is_page(b"") && !is_page(&[0xff; 600]));
        assert!(!is_page(
            format!("{}{GENERATOR}", " ".repeat(HEAD)).as_bytes()
        ));
    }
}
