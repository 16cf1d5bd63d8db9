//! `yarak report`.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use bevy_app::AppExit;
use clap::Args;

use super::building::{For, Program, folders_of};
use super::error::CliError;
use super::print;
use crate::checkpoint::{is_plain_file, is_plain_folder, open_plain, write_whole};
use crate::evaluate::{Evaluation, reference_scores};
use crate::report::curves::{Curve, Picture, Reference};
use crate::report::json_lines;
use crate::report::page::{
    Experiment, FreshScore, Run, Video, VideoContent, group, is_page, labels, page,
};
use crate::scene::{Scene, foreign_metric, suggestion};
use crate::schedule::{DrawnSchedule, drawn_schedules};
use crate::terminal::heed;

/// Bytes of a video that is put into the page; a larger one is linked.
const EMBEDDED: u64 = 4 << 20;

/// Bytes by which a file's kind is known.
const BEGINNING: u64 = 4096;

/// Make an HTML page about runs: learning curves, scenes and what differs in them, schedules, videos.
///
/// Runs that differ in nothing but their seed become one curve. The page needs nothing else: mail it, open it offline.
///
/// It is written into the run's folder, or, of several runs, into the working directory. A page that was there in a run's folder
/// is made anew; no other file is replaced without --force.
#[derive(Args)]
pub struct Report {
    /// Runs' folders; one with seed_0, seed_1, ... in it stands for all of them
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// The file; RUN/report.html, or RUN/report.svg with --metric, if not given
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Replace the file, whatever it is
    #[arg(long)]
    force: bool,
    /// Draw this metric alone, as SVG, such as evaluate/return: one curve a RUN, over its seeds
    #[arg(long, value_name = "METRIC")]
    metric: Option<String>,
}

impl Report {
    /// Makes the page or the picture.
    pub fn run(&self, program: &Program) -> Result<AppExit, CliError> {
        check_that_runs_differ(self.runs.iter())?;
        let learners = self.runs.iter().map(|folder| learners(folder));
        let learners = learners.collect::<Result<Vec<_>, _>>()?;
        check_that_runs_differ(learners.iter().flatten())?;
        let out = self.out();
        let replaces = self.check_place(&out)?;
        let mut runs = Vec::new();
        for (folder, folders) in self.runs.iter().zip(&learners) {
            let mut seeds = folders
                .iter()
                .map(|run| read(run, &out))
                .collect::<Result<Vec<Run>, _>>()?;
            if let Some(first) = seeds.first_mut().filter(|_| !folders.contains(folder)) {
                first.videos.extend(videos(folder, &out)?);
            }
            runs.push(seeds);
        }
        let text = match &self.metric {
            None => {
                let groups = group(runs.concat()).into_iter();
                let experiments = groups.map(|runs| experiment(program, runs));
                page(&experiments.collect::<Vec<_>>())
            }
            Some(metric) => {
                let experiments = runs.into_iter().map(|runs| experiment(program, runs));
                picture(metric, &experiments.collect::<Vec<_>>())?
            }
        };
        write_whole(&out, replaces, |file| file.write_all(text.as_bytes())).map_err(|error| {
            match error.kind() {
                io::ErrorKind::AlreadyExists => taken(&out),
                _ => CliError::failed(format!(
                    "{}: {error}; name another file with --out",
                    out.display()
                )),
            }
        })?;
        print(&out.display().to_string())?;
        Ok(AppExit::Success)
    }

    /// Where the page or the picture goes.
    fn out(&self) -> PathBuf {
        let name = match self.metric {
            None => "report.html",
            Some(_) => "report.svg",
        };
        let in_run = self.run_folder().map(|folder| folder.join(name));
        let chosen = self.out.clone().or(in_run);
        chosen.unwrap_or_else(|| name.into())
    }

    /// The folder of the only run, or the one in which all seeds lie.
    fn run_folder(&self) -> Option<&Path> {
        if let [only] = self.runs.as_slice() {
            return Some(only);
        }
        let parents = self.runs.iter().map(|run| {
            let is_seed = seed_of(run).is_some();
            run.parent().filter(|_| is_seed)
        });
        let parents: BTreeSet<Option<&Path>> = parents.collect();
        match Vec::from_iter(parents).as_slice() {
            [Some(shared)] => Some(shared),
            _ => None,
        }
    }

    /// Refuses a file that nobody asked to replace. Whether something is replaced.
    fn check_place(&self, out: &Path) -> Result<bool, CliError> {
        let Ok(there) = fs::symlink_metadata(out) else {
            return Ok(self.force);
        };
        if there.is_dir() {
            return Err(CliError::input(format!(
                "{}: this is a folder; name a file with --out",
                out.display()
            )));
        }
        // A page in a run's folder is the run's, and made of nothing but the run.
        let is_the_runs =
            self.out.is_none() && self.metric.is_none() && self.run_folder().is_some();
        if self.force || (is_the_runs && there.is_file() && is_page(&beginning(out))) {
            return Ok(true);
        }
        Err(taken(out))
    }
}

fn taken(out: &Path) -> CliError {
    CliError::input(format!(
        "{}: there is something already; name another file with --out, or replace it with --force",
        out.display()
    ))
}

/// The first bytes of a file; none of one that cannot be read.
fn beginning(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    let read = open_plain(path).and_then(|file| file.take(BEGINNING).read_to_end(&mut bytes));
    if read.is_err() {
        bytes.clear();
    }
    bytes
}

/// A run that is named twice, by itself or in the folder of its seeds, would count twice in every mean.
fn check_that_runs_differ<'a>(runs: impl Iterator<Item = &'a PathBuf>) -> Result<(), CliError> {
    let mut seen = BTreeSet::new();
    for run in runs {
        // What is not there is reported where it is read.
        let place = run.canonicalize().unwrap_or_else(|_| run.clone());
        if !seen.insert(place) {
            return Err(CliError::input(format!(
                "{}: this run is named twice",
                run.display()
            )));
        }
    }
    Ok(())
}

/// The runs with what only the program knows of their scene.
fn experiment(program: &Program, runs: Vec<Run>) -> Experiment {
    let mut experiment = Experiment::of(runs);
    let Some(first) = experiment.runs.first() else {
        return experiment;
    };
    let file = Path::new(&first.name).join("scene.ron");
    let scene = program.parse_scene(&file.display().to_string(), &first.scene);
    experiment.schedule = match &scene {
        Ok(scene) => draw(program, scene, &file),
        Err(error) => Err(one_line(error)),
    };
    experiment.scene = scene.ok();
    let evaluation = experiment
        .scene
        .as_ref()
        .and_then(Scene::settings::<Evaluation>);
    if let Some(scores) = evaluation.and_then(|it| reference_scores(&it.env)) {
        let of = |label: &str, value| Reference {
            label: label.to_owned(),
            value,
        };
        experiment.references = vec![of("expert", scores.expert), of("random", scores.random)];
    }
    experiment
}

/// What the scene runs, as `yarak graph` draws it, or why it cannot be drawn.
fn draw(program: &Program, scene: &Scene, file: &Path) -> Result<Vec<DrawnSchedule>, String> {
    // A page is often made on another machine than the run.
    let mut scene = scene.clone();
    scene.device = "cpu".to_owned();
    let app = program.app(&scene, scene.seed, folders_of(file), For::Looking);
    app.map(|app| drawn_schedules(app.world()))
        .map_err(|error| one_line(&error))
}

/// The first line of a message: it names the place, and the others are for whoever mends it.
fn one_line(error: &CliError) -> String {
    let message = error.to_string();
    let line = message.lines().next().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

/// One metric, with the scores of known policies where it is the return of a known environment.
fn picture(metric: &str, experiments: &[Experiment]) -> Result<String, CliError> {
    let mut curves = Vec::new();
    let mut references = Vec::new();
    for (experiment, label) in experiments.iter().zip(labels(experiments)) {
        for reference in &experiment.references {
            if metric == "evaluate/return" && !references.contains(reference) {
                references.push(reference.clone());
            }
        }
        let runs: Vec<_> = experiment
            .runs
            .iter()
            .map(|run| run.points(metric))
            .collect();
        if runs.iter().all(Vec::is_empty) {
            return Err(no_metric(metric, &experiment.runs));
        }
        curves.push(Curve { label, runs });
    }
    let picture = Picture {
        x_label: "step".to_owned(),
        y_label: metric.to_owned(),
        curves,
        references,
        ..Picture::default()
    };
    picture.svg().map_err(CliError::failed)
}

/// None of the runs has the metric.
fn no_metric(metric: &str, runs: &[Run]) -> CliError {
    let rows = runs.iter().flat_map(|run| &run.rows);
    let names: BTreeSet<&str> = rows
        .flat_map(|row| &row.values)
        .map(|(name, _)| name.as_str())
        .collect();
    let why = match foreign_metric(metric) {
        Some(here) => format!("`{metric}` is called `{here}` here"),
        None => format!("no metric `{metric}`"),
    };
    let help = suggestion(metric, names, "metrics");
    let run = runs.first().map_or("", |run| run.name.as_str());
    CliError::input(format!("{run}: {why}; {}", help.unwrap_or_default()))
}

fn read(folder: &Path, out: &Path) -> Result<Run, CliError> {
    let rows = json_lines::read(folder.join("metrics.jsonl"))
        .map_err(|error| CliError::of(true, &error))?;
    let scene_file = folder.join("scene.ron");
    let mut scene = String::new();
    open_plain(&scene_file)
        .and_then(|mut file| file.read_to_string(&mut scene))
        .map_err(|error| CliError::input(format!("{}: {error}", scene_file.display())))?;
    Ok(Run {
        name: folder.display().to_string(),
        rows,
        scene,
        videos: videos(folder, out)?,
        fresh: fresh_score(folder),
    })
}

/// What is there of a finished run's scores. A run that goes on has none yet.
fn fresh_score(folder: &Path) -> Option<FreshScore> {
    let text = beginning(&folder.join("scores.json"));
    FreshScore::read(&String::from_utf8_lossy(&text))
}

/// The GIFs in a run's folder, by name, for a page at `out`.
fn videos(folder: &Path, out: &Path) -> Result<Vec<Video>, CliError> {
    let failed = |path: &Path, error: io::Error| {
        CliError::failed(format!("{}: this cannot be read: {error}", path.display()))
    };
    let entries = fs::read_dir(folder).map_err(|error| failed(folder, error))?;
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .inspect(|path| heed(&path.to_string_lossy()))
        .filter(|path| {
            path.extension()
                .is_some_and(|it| it.eq_ignore_ascii_case("gif"))
        })
        .filter(|path| beginning(path).starts_with(b"GIF8"))
        .collect();
    files.sort();
    let video = |path: PathBuf| {
        let size = fs::metadata(&path)
            .map_err(|error| failed(&path, error))?
            .len();
        let content = if size <= EMBEDDED {
            let mut bytes = Vec::new();
            open_plain(&path)
                .and_then(|mut file| file.read_to_end(&mut bytes))
                .map_err(|error| failed(&path, error))?;
            VideoContent::Gif(bytes)
        } else {
            VideoContent::File(from_page(&path, out).map_err(|error| failed(&path, error))?)
        };
        Ok(Video {
            name: path.display().to_string(),
            content,
        })
    };
    files.into_iter().map(video).collect()
}

/// The path of a file from the folder of the page, with `/` between its parts.
fn from_page(file: &Path, page: &Path) -> io::Result<String> {
    let (file, page) = (std::path::absolute(file)?, std::path::absolute(page)?);
    let folder = page.parent().unwrap_or(&page);
    let [file, folder] = [&*file, folder].map(|path| path.components().collect::<Vec<_>>());
    let shared = file.iter().zip(&folder).take_while(|(a, b)| a == b).count();
    let mut parts = vec!["..".to_owned(); folder.len() - shared];
    let below = file[shared..].iter().map(|part| part.as_os_str());
    parts.extend(below.map(|part| part.to_string_lossy().into_owned()));
    Ok(parts.join("/"))
}

/// The seed that a folder's name says, as in `seed_3`.
fn seed_of(folder: &Path) -> Option<u64> {
    let name = folder.file_name()?.to_str()?;
    name.strip_prefix("seed_")?.parse().ok()
}

/// The folder itself, or the folders of the seeds in it.
fn learners(folder: &Path) -> Result<Vec<PathBuf>, CliError> {
    // A link in its place is refused where it is read.
    if fs::symlink_metadata(folder.join("metrics.jsonl")).is_ok() {
        return Ok(vec![folder.to_path_buf()]);
    }
    let entries = fs::read_dir(folder).map_err(|error| {
        CliError::input(format!(
            "{}: this run's folder cannot be read: {error}",
            folder.display()
        ))
    })?;
    let mut seeds: Vec<(u64, PathBuf)> = entries
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let seed = seed_of(&path)?;
            let is_run = is_plain_folder(&path) && is_plain_file(&path.join("metrics.jsonl"));
            is_run.then_some((seed, path))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_video_is_linked_from_the_folder_of_the_page() {
        for (file, page, link) in [
            ("runs/a/b.gif", "runs/a/report.html", "b.gif"),
            ("runs/a/seed_0/b.gif", "runs/a/report.html", "seed_0/b.gif"),
            ("runs/a/b.gif", "report.html", "runs/a/b.gif"),
            ("runs/a/b.gif", "docs/report.html", "../runs/a/b.gif"),
        ] {
            let found = from_page(Path::new(file), Path::new(page)).unwrap();
            assert_eq!(found, link, "{file} {page}");
        }
    }

    #[test]
    fn the_page_lies_in_the_runs_folder_or_where_all_seeds_lie() {
        let out = |runs: &[&str], metric: Option<&str>| {
            let report = Report {
                runs: runs.iter().map(PathBuf::from).collect(),
                out: None,
                force: false,
                metric: metric.map(str::to_owned),
            };
            report.out().display().to_string()
        };
        assert_eq!(out(&["a"], None), "a/report.html");
        assert_eq!(out(&["a/seed_0"], Some("loss")), "a/seed_0/report.svg");
        assert_eq!(out(&["a/seed_0", "a/seed_1"], None), "a/report.html");
        assert_eq!(out(&["seed_0", "seed_1"], None), "report.html");
        for runs in [["a", "b"], ["a/seed_0", "b/seed_1"], ["a/seed_0", "a/b"]] {
            assert_eq!(out(&runs, None), "report.html");
        }
        assert_eq!(out(&["a", "b"], Some("loss")), "report.svg");
    }
}
