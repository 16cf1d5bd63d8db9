//! `yarak report`.

use std::path::{Path, PathBuf};

use bevy_app::AppExit;
use clap::Args;

use super::building::Program;
use super::error::CliError;
use super::print;
use crate::evaluate::{Evaluation, reference_scores};
use crate::report::curves::{Curve, Picture, Reference};
use crate::report::json_lines;
use crate::report::page::{Run, page};
use crate::scene::{foreign_metric, suggestion};

/// Make an HTML page with the learning curves of runs.
///
/// Runs that differ in nothing but their seed become one curve. The page needs nothing else: mail it, open it offline.
#[derive(Args)]
pub struct Report {
    /// Runs' folders; one with seed_0, seed_1, ... in it stands for all of them
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// The file; report.html, or report.svg with --metric, if not given
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Draw this metric alone, as SVG, such as evaluate/return: one curve a RUN, over its seeds
    #[arg(long, value_name = "METRIC")]
    metric: Option<String>,
}

impl Report {
    /// Makes the page or the picture.
    pub fn run(&self, program: &Program) -> Result<AppExit, CliError> {
        let mut runs = Vec::new();
        for folder in &self.runs {
            runs.push(
                learners(folder)?
                    .iter()
                    .map(|run| read(run))
                    .collect::<Result<Vec<Run>, _>>()?,
            );
        }
        let (text, name) = match &self.metric {
            None => (page(&runs.concat()), "report.html"),
            Some(metric) => (self.picture(program, metric, &runs)?, "report.svg"),
        };
        let out = self.out.clone().unwrap_or_else(|| name.into());
        std::fs::write(&out, text)
            .map_err(|error| CliError::failed(format!("{}: {error}", out.display())))?;
        print(&out.display().to_string());
        Ok(AppExit::Success)
    }

    /// One metric, with the scores of known policies where it is the return of a known environment.
    fn picture(
        &self,
        program: &Program,
        metric: &str,
        runs: &[Vec<Run>],
    ) -> Result<String, CliError> {
        let points = |run: &Run| -> Vec<(f64, f64)> {
            let rows = run.rows.iter();
            rows.filter_map(|row| Some((row.step as f64, row.get(metric)?)))
                .collect()
        };
        let mut curves = Vec::new();
        let mut references = Vec::new();
        for seeds in runs {
            let Some(first) = seeds.first() else { continue };
            let scene = program.parse_scene(&format!("{}/scene.ron", first.name), &first.scene)?;
            let label = scene.name.clone();
            let env = scene
                .settings::<Evaluation>()
                .map(|evaluation| evaluation.env.as_str());
            if let Some(scores) = env
                .and_then(reference_scores)
                .filter(|_| metric == "evaluate/return")
            {
                for (label, value) in [("expert", scores.expert), ("random", scores.random)] {
                    let reference = Reference {
                        label: label.to_owned(),
                        value,
                    };
                    if !references.contains(&reference) {
                        references.push(reference);
                    }
                }
            }
            let runs: Vec<_> = seeds.iter().map(points).collect();
            if runs.iter().all(Vec::is_empty) {
                let mut names: Vec<&str> = first
                    .rows
                    .iter()
                    .flat_map(|row| &row.values)
                    .map(|(name, _)| name.as_str())
                    .collect();
                names.sort_unstable();
                names.dedup();
                let why = match foreign_metric(metric) {
                    Some(here) => format!("`{metric}` is called `{here}` here"),
                    None => format!("no metric `{metric}`"),
                };
                let help = suggestion(metric, names.iter().copied(), "metrics");
                return Err(CliError::input(format!(
                    "{}: {why}; {}",
                    first.name,
                    help.unwrap_or_default()
                )));
            }
            curves.push(Curve { label, runs });
        }
        let picture = Picture {
            title: String::new(),
            x_label: "step".to_owned(),
            y_label: metric.to_owned(),
            curves,
            references,
        };
        picture.svg().map_err(CliError::failed)
    }
}

fn read(folder: &Path) -> Result<Run, CliError> {
    let rows = json_lines::read(folder.join("metrics.jsonl")).map_err(CliError::input)?;
    let scene_file = folder.join("scene.ron");
    let scene = std::fs::read_to_string(&scene_file)
        .map_err(|error| CliError::input(format!("{}: {error}", scene_file.display())))?;
    Ok(Run {
        name: folder.display().to_string(),
        rows,
        scene,
    })
}

/// The folder itself, or the folders of the seeds in it.
fn learners(folder: &Path) -> Result<Vec<PathBuf>, CliError> {
    if folder.join("metrics.jsonl").is_file() {
        return Ok(vec![folder.to_path_buf()]);
    }
    let entries = std::fs::read_dir(folder).map_err(|error| {
        CliError::input(format!(
            "{}: this run's folder cannot be read: {error}",
            folder.display()
        ))
    })?;
    let mut seeds: Vec<(u64, PathBuf)> = entries
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let name = path.file_name()?.to_str()?;
            let seed = name.strip_prefix("seed_")?.parse().ok()?;
            path.join("metrics.jsonl").is_file().then_some((seed, path))
        })
        .collect();
    seeds.sort();
    if seeds.is_empty() {
        return Err(CliError::input(format!(
            "{}: there is no run in it: neither metrics.jsonl nor folders seed_0, seed_1, ... with one",
            folder.display()
        )));
    }
    Ok(seeds.into_iter().map(|(_, path)| path).collect())
}
