//! What the runs of a suite came to: a line a scene and dataset, over its seeds.

use std::path::Path;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use super::super::error::CliError;
use crate::checkpoint::{Manifest, is_plain_file};
use crate::evaluate::reference_scores;
use crate::report::json_lines;

/// Samples of the bootstrap.
const SAMPLES: usize = 2_000;

/// The rows of the table.
pub struct Scores(pub Vec<Row>);

/// A scene on a dataset.
pub struct Row {
    name: String,
    /// One for each seed whose run has come to its end.
    seeds: Vec<SeedRow>,
    /// Those whose runs have not.
    not_counted: Vec<NotCounted>,
}

/// Where the runs of a scene end.
#[derive(Clone, Copy)]
pub struct End {
    /// The scene's steps; `u64::MAX` where it has epochs alone.
    pub steps: u64,
    /// Whether a run may be finished before: by its epochs, or by `EarlyStopping`.
    pub may_be_earlier: bool,
}

/// A run that has not come to its end: a return from the middle says nothing beside one from the end.
struct NotCounted {
    seed: u64,
    /// Of its last evaluation; of its last report where there was none. `None` where it was never begun.
    step: Option<u64>,
    /// The scene's steps, where it has any.
    of: Option<u64>,
}

impl NotCounted {
    /// `seed_0: at step 10 of 20, not counted`.
    fn text(&self) -> String {
        let Some(step) = self.step else {
            return format!("seed_{}: not begun", self.seed);
        };
        let of = self
            .of
            .map_or(String::new(), |steps| format!(" of {steps}"));
        format!("seed_{}: at step {step}{of}, not counted", self.seed)
    }
}

struct SeedRow {
    seed: u64,
    /// The dataset's SHA-256, of a run that has one.
    sha256: String,
    step: u64,
    last: f64,
    best: f64,
    /// The last, where it is known what random and expert policies reach.
    normalized: Option<f64>,
}

impl Row {
    /// Reads what the runs have reported.
    ///
    /// # Errors
    /// A file of a run cannot be read.
    pub fn read(
        dir: &Path,
        name: &str,
        env: Option<&str>,
        end: End,
        seeds: &[u64],
    ) -> Result<Self, CliError> {
        let mut row = Row {
            name: name.to_owned(),
            seeds: Vec::new(),
            not_counted: Vec::new(),
        };
        for seed in seeds {
            let run = dir.join(name).join(format!("seed_{seed}"));
            let mut not_counted = |step: Option<u64>| {
                row.not_counted.push(NotCounted {
                    seed: *seed,
                    step,
                    of: (end.steps != u64::MAX).then_some(end.steps),
                });
            };
            if !run.is_dir() {
                not_counted(None);
                continue;
            }
            let metrics = run.join("metrics.jsonl");
            let rows = match is_plain_file(&metrics) {
                true => json_lines::read(metrics).map_err(|error| CliError::of(false, &error))?,
                // It has failed or was ended before its first report.
                false => Vec::new(),
            };
            let returns = rows
                .iter()
                .filter_map(|row| Some((row.step, row.get("evaluate/return")?)));
            let evaluated = returns.clone().next_back();
            let ended = evaluated.filter(|(step, _)| {
                *step >= end.steps || (end.may_be_earlier && finished_at(&run) == Some(*step))
            });
            let Some((step, last)) = ended else {
                let reported = rows.last().map_or(0, |row| row.step);
                not_counted(Some(evaluated.map_or(reported, |(step, _)| step)));
                continue;
            };
            let manifest = Manifest::read(&run.join("manifest.ron"));
            let dataset = manifest.ok().and_then(|manifest| manifest.dataset);
            let best = returns.map(|(_, value)| value);
            row.seeds.push(SeedRow {
                seed: *seed,
                sha256: dataset.map_or(String::new(), |it| it.sha256),
                step,
                last,
                best: best.fold(f64::NEG_INFINITY, f64::max),
                normalized: env
                    .and_then(reference_scores)
                    .map(|scores| scores.normalized(last)),
            });
        }
        Ok(row)
    }

    fn of(&self, value: impl Fn(&SeedRow) -> Option<f64>) -> Option<Summary> {
        let values: Option<Vec<f64>> = self.seeds.iter().map(value).collect();
        values
            .filter(|it| !it.is_empty())
            .map(|it| Summary::of(&it))
    }
}

/// The step at which a run was finished, as it wrote its scores then.
fn finished_at(run: &Path) -> Option<u64> {
    let path = run.join("scores.json");
    let text = is_plain_file(&path).then(|| std::fs::read_to_string(path).ok())??;
    let scores: Value = serde_json::from_str(&text).ok()?;
    scores["last"]["step"].as_u64()
}

/// Several seeds as one number, and how sure that is.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Summary {
    mean: f64,
    /// The mean of the middle half.
    iqm: f64,
    /// The 95% interval of the mean.
    interval: [f64; 2],
}

impl Summary {
    /// Of one value or more. The same values have the same interval.
    fn of(values: &[f64]) -> Self {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let mut random = ChaCha8Rng::seed_from_u64(0);
        let mut means: Vec<f64> = (0..SAMPLES)
            .map(|_| {
                let drawn = sorted
                    .iter()
                    .map(|_| sorted[random.random_range(0..sorted.len())]);
                drawn.sum::<f64>() / sorted.len() as f64
            })
            .collect();
        means.sort_by(f64::total_cmp);
        Summary {
            mean: sorted.iter().sum::<f64>() / sorted.len() as f64,
            iqm: interquartile_mean(&sorted),
            interval: [means[SAMPLES / 40], means[SAMPLES - 1 - SAMPLES / 40]],
        }
    }

    fn json(self) -> Value {
        json!({ "mean": self.mean, "iqm": self.iqm, "interval_95": self.interval })
    }

    /// `-160.2 [-165.0, -155.1], IQM -159.8`.
    fn text(self) -> [String; 3] {
        let [low, high] = self.interval;
        [
            format!("{:.1}", self.mean),
            format!("[{low:.1}, {high:.1}]"),
            format!("{:.1}", self.iqm),
        ]
    }
}

/// The mean of the middle half of sorted values; a value that a quartile cuts counts in part.
fn interquartile_mean(sorted: &[f64]) -> f64 {
    let quarter = sorted.len() as f64 / 4.0;
    let weight = |at: usize| {
        let (low, high) = (at as f64, at as f64 + 1.0);
        (high.min(3.0 * quarter) - low.max(quarter)).max(0.0)
    };
    let weighted = sorted
        .iter()
        .enumerate()
        .map(|(at, value)| weight(at) * value);
    weighted.sum::<f64>() / (2.0 * quarter)
}

const HEAD: [&str; 7] = [
    "",
    "seeds",
    "last",
    "95% of the mean",
    "IQM",
    "best",
    "normalized",
];

impl Scores {
    /// For a terminal.
    pub fn text(&self) -> String {
        let mut lines = vec![HEAD.map(str::to_owned)];
        for row in &self.0 {
            let none = || ["–", "", ""].map(str::to_owned);
            let [last, interval, iqm] = row.of(|it| Some(it.last)).map_or_else(none, Summary::text);
            let mean = |value: Option<Summary>| {
                value.map_or("–".to_owned(), |it| format!("{:.1}", it.mean))
            };
            lines.push([
                row.name.clone(),
                row.seeds.len().to_string(),
                last,
                interval,
                iqm,
                mean(row.of(|it| Some(it.best))),
                mean(row.of(|it| it.normalized)),
            ]);
        }
        let widths = HEAD.iter().enumerate().map(|(column, _)| {
            let cells = lines.iter().map(|line| line[column].chars().count());
            cells.max().unwrap_or(0)
        });
        let widths: Vec<usize> = widths.collect();
        let line = |cells: &[String; 7]| {
            let cells = cells.iter().zip(&widths).enumerate();
            let cells = cells.map(|(column, (cell, width))| match column {
                0 => format!("{cell:<width$}"),
                _ => format!("{cell:>width$}"),
            });
            cells.collect::<Vec<_>>().join("  ")
        };
        let mut text: Vec<String> = lines.iter().map(line).collect();
        let not_counted = self.not_counted();
        if !not_counted.is_empty() {
            text.push(String::new());
            text.extend(not_counted);
        }
        text.join("\n")
    }

    /// The runs that are in no row, a line each: `pendulum_bc/seed_0: at step 10 of 20, not counted`.
    pub fn not_counted(&self) -> Vec<String> {
        let of_row = |row: &Row| {
            let runs = row.not_counted.iter();
            let lines = runs.map(|it| format!("{}/{}", row.name, it.text()));
            lines.collect::<Vec<_>>()
        };
        self.0.iter().flat_map(of_row).collect()
    }

    /// A line for each seed that counts.
    pub fn csv(&self) -> String {
        let mut lines = vec!["run,dataset_sha256,seed,step,last,best,normalized".to_owned()];
        for row in &self.0 {
            lines.extend(row.seeds.iter().map(|it| {
                let normalized = it.normalized.map_or(String::new(), |it| it.to_string());
                // Names of files may have commas.
                let name = match row.name.contains([',', '"']) {
                    true => format!("\"{}\"", row.name.replace('"', "\"\"")),
                    false => row.name.clone(),
                };
                format!(
                    "{name},{},{},{},{},{},{normalized}",
                    it.sha256, it.seed, it.step, it.last, it.best
                )
            }));
        }
        lines.join("\n")
    }

    /// As JSON.
    pub fn json(&self) -> Value {
        let rows = self.0.iter().map(|row| {
            let seeds = row.seeds.iter().map(|it| {
                json!({
                    "seed": it.seed,
                    "dataset_sha256": it.sha256,
                    "step": it.step,
                    "last": it.last,
                    "best": it.best,
                    "normalized": it.normalized,
                })
            });
            let not_counted = row
                .not_counted
                .iter()
                .map(|it| json!({ "seed": it.seed, "step": it.step, "of": it.of }));
            json!({
                "run": row.name,
                "last": row.of(|it| Some(it.last)).map(Summary::json),
                "best": row.of(|it| Some(it.best)).map(Summary::json),
                "normalized": row.of(|it| it.normalized).map(Summary::json),
                "seeds": seeds.collect::<Vec<_>>(),
                "not_counted": not_counted.collect::<Vec<_>>(),
            })
        });
        rows.collect::<Vec<_>>().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interquartile_mean_is_of_the_middle_half() {
        // scipy.stats.trim_mean(values, 0.25) where quartiles cut no value.
        assert_eq!(interquartile_mean(&[-90.0, 1.0, 3.0, 700.0]), 2.0);
        assert_eq!(interquartile_mean(&[5.0]), 5.0);
        // Of three values the middle one counts whole and each other a quarter: (0.25 * 0 + 3 + 0.25 * 9) / 1.5.
        assert_eq!(interquartile_mean(&[0.0, 3.0, 9.0]), 3.5);
    }

    #[test]
    fn the_interval_holds_the_mean_and_is_the_same_each_time() {
        let values = [1.0, 2.0, 3.0, 4.0, 10.0];
        let summary = Summary::of(&values);
        assert_eq!(summary.mean, 4.0);
        let [low, high] = summary.interval;
        assert!(
            (1.0..3.0).contains(&low) && (5.0..8.0).contains(&high),
            "{summary:?}"
        );
        assert_eq!(summary, Summary::of(&[10.0, 4.0, 3.0, 2.0, 1.0]));
        assert_eq!(Summary::of(&[7.0]).interval, [7.0, 7.0]);
    }
}
