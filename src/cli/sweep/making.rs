//! `yarak sweep new`: everything that can be wrong with a sweep is found before its folder is made.

use std::path::{Path, PathBuf};

use bevy_app::AppExit;

use super::super::building::{For, Program, folders_of};
use super::super::error::CliError;
use super::super::{fork, print, ready};
use crate::checkpoint::Checkpoints;
use crate::data::Dataset;
use crate::evaluate::{EVALUATION_METRICS, Evaluation, Validation};
use crate::report::EarlyStopping;
use crate::scene::{Problem, Problems, Scene, foreign_metric, quoted};
use crate::sweep::{
    Dimension, Plan, Scheduler, Setting, SweepFile, SweepFolder, quoted as as_argument,
};

/// Makes the folder.
pub fn make(program: &Program, path: &Path, dir: Option<&Path>) -> Result<AppExit, CliError> {
    let sweep = SweepFile::read(path)?;
    let file = scene_file(&sweep, path);
    let base = base(program, &sweep, &file)?;
    let scene = program.read_scene(&file, &base)?;
    program.check_modules(&scene)?;
    check_scene(&sweep, &scene)?;
    sweep.check_rounds(scene.steps)?;
    check_forked(&sweep)?;
    // What is wrong with every trial is said once, in the scene.
    let app = program.app(&scene, scene.seed, folders_of(&file), For::Looking)?;
    ready::check(&app, &scene)?;
    let check = Check {
        program,
        sweep: &sweep,
        file: &file,
        base: &base,
        scene: &scene,
    };
    check.space()?;
    let trials = sweep.draw();
    check.trials(&trials)?;
    let plan = Plan::of(&sweep.settings, trials.len(), scene.steps);
    if let Some(budget) = sweep.settings.budget.filter(|budget| *budget < plan.most) {
        let message = format!(
            "the trials may take up to {} steps, and the budget is {budget}",
            plan.most
        );
        let help = "raise the budget, or take fewer samples or steps";
        return Err(sweep.problem("budget", message, help).into());
    }
    let named = || Path::new("runs").join(path.file_stem().unwrap_or("sweep".as_ref()));
    let dir = dir.map_or_else(named, Path::to_path_buf);
    SweepFolder::make(&dir, &sweep.text, &scene.to_ron(), &trials)?;
    let dir = dir.display().to_string();
    let together = match plan.least < plan.most {
        true => format!("{} to {}", plan.least, plan.most),
        false => plan.most.to_string(),
    };
    print(&format!(
        "{dir}: {} trials of up to {} steps in {} round{}, {together} steps together ({} with every trial to the end). Next:\n\n  yarak sweep run {}",
        trials.len(),
        scene.steps,
        plan.rounds.len(),
        if plan.rounds.len() == 1 { "" } else { "s" },
        plan.whole,
        as_argument(&dir)
    ))?;
    Ok(AppExit::Success)
}

/// The scene's file, relative to the sweep's or to the working directory.
fn scene_file(sweep: &SweepFile, path: &Path) -> PathBuf {
    let near = path.with_file_name("").join(&sweep.settings.scene);
    match near.exists() {
        true => near,
        false => sweep.settings.scene.clone(),
    }
}

/// What is overridden in all trials.
fn base(program: &Program, sweep: &SweepFile, file: &Path) -> Result<Vec<String>, CliError> {
    if let Err(error) = program.read_scene(file, &[]) {
        // A mistake in the scene has its place there.
        return Err(match file.exists() {
            true => error,
            false => {
                let message = format!("there is no scene {}", file.display());
                sweep
                    .problem("scene", message, "name it relative to the sweep's file")
                    .into()
            }
        });
    }
    let mut base = sweep.settings.set.clone();
    let scene = program.read_scene(file, &base).map_err(|error| {
        let (message, help) = said(&error);
        CliError::from(sweep.problem(
            "set",
            message,
            help.as_deref().unwrap_or("see `yarak scene schema`"),
        ))
    })?;
    // Seeds and data are the sweep's from here on, whose folder is not the scene's.
    base.push("seeds=[]".to_owned());
    if let Some(dataset) = scene.settings::<Dataset>()
        && !dataset.path.exists()
        && let Some(near) = folders_of(file)
            .iter()
            .map(|it| it.join(&dataset.path))
            .find(|it| it.exists())
    {
        base.push(format!(
            "Dataset.path={}",
            quoted(&near.display().to_string())
        ));
    }
    Ok(base)
}

/// What a sweep needs of its scene.
fn check_scene(sweep: &SweepFile, scene: &Scene) -> Result<(), Problems> {
    let mut problems = Problems::default();
    if scene.steps == u64::MAX {
        let help = "give the scene `steps`, or set: [\"steps=20_000\"]";
        problems.push(sweep.problem("scene", "it does not say how many steps a run has", help));
    }
    if scene.settings::<Checkpoints>().is_none() {
        let help = "add Checkpoints() to its plugins";
        let message = "it has no `Checkpoints`, without which a trial cannot go on from one round to the next";
        problems.push(sweep.problem("scene", message, help));
    }
    let is_pbt = matches!(sweep.settings.scheduler, Scheduler::Pbt { .. });
    if is_pbt && scene.settings::<EarlyStopping>().is_some() {
        let message = "`EarlyStopping` would end trials that others are to go on from";
        problems.push(sweep.problem("scheduler", message, "take it out of the scene"));
    }
    let metric = &*sweep.settings.objective.metric;
    let wrong = |message: String, help: &str| sweep.problem("objective.metric", message, help);
    let makers = [
        (
            "evaluate/",
            "Evaluation",
            scene.settings::<Evaluation>().is_some(),
        ),
        (
            "validate/",
            "Validation",
            scene.settings::<Validation>().is_some(),
        ),
    ];
    if let Some(here) = foreign_metric(metric) {
        problems.push(wrong(
            format!("`{metric}` is called `{here}` here"),
            "write that",
        ));
    } else if let Some((_, maker, _)) = makers
        .iter()
        .find(|(beginning, _, made)| metric.starts_with(beginning) && !made)
    {
        let message = format!("nothing in the scene makes `{metric}`");
        problems.push(wrong(
            message,
            &format!("add `{maker}` to the scene's plugins"),
        ));
    } else if metric.starts_with("evaluate/") && !EVALUATION_METRICS.contains(&metric) {
        let message = format!("no evaluation makes `{metric}`");
        problems.push(wrong(
            message,
            &format!("take one of {}", EVALUATION_METRICS.join(", ")),
        ));
    }
    problems.into_result()
}

/// What of a setting's path says that it is the shape of a network, wherever in it.
const SHAPES: [&str; 3] = ["encoder", "head_sizes", "hidden_sizes"];

/// The rounds of on-policy algorithms, by which a checkpoint keeps its rows.
const ROUND_SIZES: [&str; 3] = ["A2c.steps", "Ppo.steps", "Reinforce.steps"];

/// Refuses what a checkpoint's content hangs on where trials are forked from each other's.
fn check_forked(sweep: &SweepFile) -> Result<(), Problems> {
    let mut problems = Problems::default();
    if !matches!(sweep.settings.scheduler, Scheduler::Pbt { .. }) {
        return Ok(());
    }
    for dimension in &sweep.space {
        for path in &dimension.paths {
            // Items are written `hidden_sizes.0` or `hidden_sizes[0]`.
            let is_shape = path.split(['.', '[']).any(|step| SHAPES.contains(&step));
            let what = match path.as_str() {
                _ if is_shape => "the shape of a network",
                path if ROUND_SIZES.contains(&path) => "the size of a round",
                _ => continue,
            };
            let message =
                format!("`{path}` is {what}, and a fork has its parent's, as the checkpoint does");
            let help = "`Pbt` forks trials: vary what a fork may change, or take another scheduler";
            problems.push(dimension.problem(message, Some(help.to_owned())));
        }
    }
    problems.into_result()
}

/// What the first mistake of a message says, without its place and the line there: the sweep's are others. The second is its help.
fn said(error: &CliError) -> (String, Option<String>) {
    let text = error.to_string();
    let text = text.split_once("error: ").map_or(&*text, |(_, said)| said);
    // Behind it are other mistakes and their number.
    let text = text.split_once("\n\n").map_or(text, |(first, _)| first);
    let (message, help) = match text.split_once("\nhelp: ") {
        Some((message, help)) => (message, Some(help.replace('\n', " "))),
        None => (text, None),
    };
    let message = message.lines().take_while(|line| line.trim() != "|");
    (message.collect::<Vec<_>>().join("\n"), help)
}

/// The values of a sweep against its scene.
struct Check<'c> {
    program: &'c Program,
    sweep: &'c SweepFile,
    file: &'c Path,
    base: &'c [String],
    scene: &'c Scene,
}

impl Check<'_> {
    fn read(&self, settings: &[Setting]) -> Result<Scene, CliError> {
        let mut overrides = self.base.to_vec();
        overrides.extend(settings.iter().flat_map(Setting::overrides));
        self.program.read_scene(self.file, &overrides)
    }

    /// Every value, as `scene check` looks at a scene.
    fn space(&self) -> Result<(), Problems> {
        let mut problems = Problems::default();
        for dimension in &self.sweep.space {
            for value in dimension.extremes() {
                if let Err(problem) = self.value(dimension, value) {
                    problems.push(problem);
                    break;
                }
            }
        }
        problems.into_result()
    }

    fn value(&self, dimension: &Dimension, value: String) -> Result<(), Box<Problem>> {
        let shown = value.clone();
        let checked = self.read(&[dimension.setting(value)]).and_then(|scene| {
            let folders = folders_of(self.file);
            let app = self
                .program
                .app(&scene, scene.seed, folders, For::Looking)?;
            ready::check(&app, &scene)?;
            Ok(scene)
        });
        let scene = checked.map_err(|error| {
            let (message, help) = said(&error);
            dimension.problem(format!("with {shown}: {message}"), help)
        })?;
        let is_pbt = matches!(self.sweep.settings.scheduler, Scheduler::Pbt { .. });
        let changes = Scene::compare(&[self.scene, &scene]);
        if let Some((message, _)) = changes.iter().filter(|_| is_pbt).find_map(fork::refusal) {
            let help = "`Pbt` forks trials: vary what a fork may change, or take another scheduler";
            return Err(dimension.problem(message, Some(help.to_owned())).into());
        }
        Ok(())
    }

    /// Settings that are good one by one, together.
    fn trials(&self, trials: &[Vec<Setting>]) -> Result<(), CliError> {
        for (number, settings) in trials.iter().enumerate() {
            self.read(settings).map_err(|error| {
                let (message, help) = said(&error);
                let all: Vec<String> = settings.iter().flat_map(Setting::overrides).collect();
                let message = format!("trial {number}, {}: {message}", all.join(", "));
                let help = help.unwrap_or_else(|| "vary fewer of these together".to_owned());
                CliError::from(self.sweep.problem("space", message, &help))
            })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_report_says_is_its_first_mistake_alone() {
        let first = Problem::about_file("--set 'a=1'", "it is no number", Some("write\n2".into()));
        let mut problems = Problems::from(first);
        problems.push(Problem::about_file("--set 'b=1'", "nor is this", None));
        assert_eq!(
            said(&problems.into()),
            ("it is no number".to_owned(), Some("write 2".to_owned()))
        );
        let alone = Problem::about_file("--set 'a=1'", "it is no number", None);
        assert_eq!(said(&alone.into()), ("it is no number".to_owned(), None));
    }
}
