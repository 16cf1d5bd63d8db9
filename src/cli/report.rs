//! `yarak report`.

use std::path::{Path, PathBuf};

use bevy_app::AppExit;
use clap::Args;

use super::error::CliError;
use super::print;
use crate::report::json_lines;
use crate::report::page::{Run, page};

/// Make an HTML page with the learning curves of runs.
///
/// Runs that differ in nothing but their seed become one curve. The page needs nothing else: mail it, open it offline.
#[derive(Args)]
pub struct Report {
    /// Runs' folders; one with seed_0, seed_1, ... in it stands for all of them
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// The page
    #[arg(long, value_name = "FILE", default_value = "report.html")]
    out: PathBuf,
}

impl Report {
    /// Makes the page.
    pub fn run(&self) -> Result<AppExit, CliError> {
        let mut runs = Vec::new();
        for folder in &self.runs {
            for folder in learners(folder)? {
                let rows = json_lines::read(folder.join("metrics.jsonl"))
                    .map_err(|error| CliError::of(true, &error))?;
                let scene_file = folder.join("scene.ron");
                let scene = std::fs::read_to_string(&scene_file).map_err(|error| {
                    CliError::input(format!("{}: {error}", scene_file.display()))
                })?;
                runs.push(Run {
                    name: folder.display().to_string(),
                    rows,
                    scene,
                });
            }
        }
        std::fs::write(&self.out, page(&runs)).map_err(|error| {
            CliError::failed(format!(
                "{}: the page cannot be written: {error}; choose another file with `--out FILE`",
                self.out.display()
            ))
        })?;
        print(&self.out.display().to_string());
        Ok(AppExit::Success)
    }
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
