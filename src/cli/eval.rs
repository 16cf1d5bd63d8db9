//! `yarak eval`.

use std::path::{Path, PathBuf};

use bevy_app::AppExit;
use clap::Args;
use serde_json::json;

use super::building::{Program, folders_of};
use super::error::CliError;
use super::modules::Modules;
use super::playing::{app_of, first_seed, play_in};
use super::print;
use super::scores::counted;
use super::values::Values;
use crate::checkpoint::{
    CheckpointError, Snapshot, follow, latest_good, load, no_link, open_plain,
};
use crate::env::{Environment, registry};
use crate::evaluate::video::{Video, VideoError};
use crate::evaluate::{Episodes, Evaluation, reference_scores, watch};
use crate::learner::ComputeDevice;
use crate::memory;
use crate::scene::Scene;
use crate::terminal::message;

/// Play episodes with a trained policy, deterministically.
///
/// Of a run, the best checkpoint plays if there is one, else the latest. The return is a mean, ± its standard error. With --values the
/// run's critics look at a dataset instead.
#[derive(Args)]
pub struct Eval {
    /// A run's folder, or a checkpoint in it such as runs/NAME/checkpoints/step_000020000
    #[arg(value_name = "RUN|CHECKPOINT")]
    source: PathBuf,
    /// The environment; the scene's if not given
    #[arg(long, value_name = "NAME")]
    env: Option<String>,
    /// How many episodes, at most 10000; as many as the scene says if not given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_000))]
    episodes: Option<u64>,
    /// The first episode's seed; the others count on from it
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Print what the run's networks think of a dataset's rows, Q and V, and play nothing
    #[arg(long, value_name = "FILE.hdf5", conflicts_with_all = ["env", "episodes", "seed", "video"])]
    values: Option<PathBuf>,
    /// With --values, write a line for each row: episode, step, reward, values
    #[arg(long, value_name = "FILE.csv", requires = "values", group = "written")]
    out: Option<PathBuf>,
    /// Write a video of the first episode; all environments can be drawn but those of Python's Gymnasium
    #[arg(long, value_name = "FILE.gif", group = "written")]
    video: Option<PathBuf>,
    /// Replace the file that is written
    #[arg(long, requires = "written")]
    force: bool,
    /// Where to compute; the scene's device if not given, or the CPU where this machine does not have it
    #[arg(long, value_name = "cpu|cuda[:N]|vulkan[:N]|auto")]
    device: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    modules: Modules,
}

impl Eval {
    /// Plays.
    pub fn run(&self, program: &Program) -> Result<AppExit, CliError> {
        let program = &program.allowing(self.modules.with_env(self.env.as_deref()));
        let (checkpoint, snapshot) = find(&self.source)?;
        let run = checkpoint
            .parent()
            .and_then(Path::parent)
            .unwrap_or(Path::new("."));
        let scene_file = run.join("scene.ron");
        let mut scene = self.read_scene(program, &scene_file)?;
        if let Some(data) = &self.values {
            let folders = folders_of(&scene_file);
            let values = Values {
                data,
                out: self.out.as_deref(),
                force: self.force,
                json: self.json,
            };
            // Nothing is played.
            scene
                .plugins
                .retain(|plugin| (**plugin).downcast::<Evaluation>().is_none());
            let app = || app_of(program, &scene, folders, &snapshot);
            return values.of(app, &scene, &checkpoint, snapshot.step);
        }
        let of_scene = scene.settings::<Evaluation>().cloned();
        let evaluation = of_scene.unwrap_or_default();
        let env = play_in(&mut scene, self.env.as_deref())?;
        program.check_modules(&scene)?;
        let episodes = self
            .episodes
            .and_then(|episodes| usize::try_from(episodes).ok())
            .unwrap_or(evaluation.episodes);
        let seed = self
            .seed
            .unwrap_or_else(|| first_seed(&scene, &evaluation, episodes));
        if let Some(video) = &self.video {
            check_film(video, self.force, &env, seed)?;
        }
        let folders = folders_of(&scene_file);
        let app = app_of(program, &scene, folders, &snapshot)?;
        let step = snapshot.step;
        let mut video = Video::default();
        let mut refused = None;
        let look = |index: usize, environment: &dyn Environment| {
            if let (Some(_), 0, None) = (&self.video, index, &refused) {
                video.take_of(environment);
                // It is written in one piece, which takes as much again.
                refused = memory::check(
                    "--video: the pictures of the first episode",
                    video.bytes().saturating_mul(2),
                    "lower `Evaluation.time_limit`",
                )
                .err();
            }
        };
        let games = evaluation.games(app.world(), &env, episodes, seed);
        let scores = watch(app.world(), &games, look).map_err(CliError::input)?;
        if let Some(warning) = games.warn_of_cuts(&scores, "") {
            message(&warning);
        }
        if let Some(refused) = refused {
            return Err(CliError::input(refused));
        }
        if let Some(path) = &self.video {
            video.write(path, self.force).map_err(|error| {
                CliError::of(matches!(error, VideoError::Exists { .. }), &error)
            })?;
        }
        let episodes = Episodes(scores);
        let mean = episodes.mean_return().unwrap_or(f64::NAN);
        let std = episodes.std_of_returns().unwrap_or(f64::NAN);
        let normalized = reference_scores(&env).map(|reference| reference.normalized(mean));
        if self.json {
            let returns: Vec<f64> = episodes.0.iter().map(|score| score.total_reward).collect();
            let lengths: Vec<u64> = episodes.0.iter().map(|score| score.length).collect();
            let object = json!({
                "checkpoint": checkpoint.display().to_string(),
                "step": step,
                "env": env,
                "library": registry::library_of(&env),
                "seed": seed,
                "episodes": returns.len(),
                "return": mean,
                "return_std": std,
                "return_standard_error": episodes.standard_error(),
                "success_rate": episodes.success_rate(),
                "normalized_score": normalized,
                "returns": returns,
                "lengths": lengths,
                "video": self.video.as_ref().map(|path| path.display().to_string()),
            });
            print(&object.to_string())?;
        } else {
            let library = registry::library_of(&env);
            let library = library.map_or(String::new(), |library| format!(" ({library})"));
            print(&format!(
                "{}, {env}{library}, seeds from {seed}",
                checkpoint.display()
            ))?;
            for (index, score) in episodes.0.iter().enumerate() {
                print(&format!(
                    "  episode {index:>3}  return {:>10.2}  length {:>5}",
                    score.total_reward, score.length
                ))?;
            }
            let mut line = format!("return {mean:.2}");
            if let Some(error) = episodes.standard_error() {
                line.push_str(&format!(" ± {error:.2}, standard deviation {std:.2}"));
            }
            line.push_str(&format!(", over {}", counted(episodes.0.len(), "")));
            if let Some(rate) = episodes.success_rate() {
                line.push_str(&format!(", success rate {rate:.2}"));
            }
            if let Some(normalized) = normalized {
                line.push_str(&format!(", normalized score {normalized:.1}"));
            }
            print(&line)?;
            if let Some(path) = &self.video {
                print(&format!(
                    "{}: the first episode in {} pictures",
                    path.display(),
                    video.pictures()
                ))?;
            }
        }
        Ok(AppExit::Success)
    }
}

/// Refuses a video that could not be made, before anything is played.
fn check_film(path: &Path, force: bool, env: &str, seed: u64) -> Result<(), CliError> {
    if path
        .extension()
        .is_none_or(|ending| !ending.eq_ignore_ascii_case("gif"))
    {
        return Err(CliError::input(format!(
            "--video {}: videos are GIFs, so give a name that ends in .gif",
            path.display()
        )));
    }
    if path.exists() && !force {
        return Err(CliError::input(VideoError::Exists {
            path: path.to_path_buf(),
        }));
    }
    let can_be_drawn = |name: &str| -> Result<bool, CliError> {
        let mut made = registry::make(name).map_err(CliError::input)?;
        let mut observation = vec![0.0; made.observation_space().size()];
        made.reset(Some(seed), &mut observation)
            .map_err(CliError::input)?;
        Ok(made.drawing().is_some())
    };
    if can_be_drawn(env)? {
        return Ok(());
    }
    let known: Vec<&str> = registry::names()
        .filter(|name| can_be_drawn(name).unwrap_or(false))
        .collect();
    Err(CliError::input(format!(
        "--video: `{env}` does not say what it looks like; these do: {}",
        known.join(", ")
    )))
}

impl Eval {
    /// The scene of the run, on a device that this machine has: policies travel from the machine that trained them.
    fn read_scene(&self, program: &Program, file: &Path) -> Result<Scene, CliError> {
        check_that_it_is_plain(file)?;
        if let Some(device) = &self.device {
            device.parse::<ComputeDevice>().map_err(CliError::input)?;
            return program.read_scene(file, &[format!("device={device}")]);
        }
        let on_cpu = program.read_scene(file, &["device=cpu".to_owned()])?;
        program.read_scene(file, &[]).or_else(|_| {
            message("warning: the run's device is not there; playing on the CPU");
            Ok(on_cpu)
        })
    }
}

/// Refuses a scene in a run's folder that is a link or anything else that is no file.
pub(super) fn check_that_it_is_plain(scene: &Path) -> Result<(), CliError> {
    match open_plain(scene) {
        // What is not there is said by whoever reads it.
        Err(error) if error.kind() == std::io::ErrorKind::InvalidInput => {
            Err(CliError::input(format!("{}: {error}", scene.display())))
        }
        _ => Ok(()),
    }
}

/// The checkpoint that a path means.
pub(super) fn find(source: &Path) -> Result<(PathBuf, Snapshot), CliError> {
    let checkpoints = source.join("checkpoints");
    no_link(source, &checkpoints)?;
    if !checkpoints.is_dir() {
        if !source.exists() {
            return Err(CliError::input(format!(
                "{}: there is no such run or checkpoint",
                source.display()
            )));
        }
        let folder = follow(source).map_err(|error| match error {
            CheckpointError::NotACheckpoint { .. } => CliError::input(format!(
                "{}: neither a run's folder (there is no checkpoints/ in it) nor a checkpoint (there is no checksums.ron in it); name one such as runs/NAME or runs/NAME/checkpoints/step_000020000{}",
                source.display(),
                if has_seeds(source) {
                    "; of several seeds name one, as in seed_0"
                } else {
                    ""
                }
            )),
            error => error.into(),
        })?;
        let snapshot = load(&folder)?;
        return Ok((folder, snapshot));
    }
    let best = checkpoints.join("best");
    match follow(&best).and_then(|best| load(&best).map(|snapshot| (best, snapshot))) {
        Ok(found) => return Ok(found),
        // A run need not have a best one.
        Err(CheckpointError::NotACheckpoint { folder }) if folder == best => {}
        Err(error) => message(&format!("warning: {} was skipped: {error}", best.display())),
    }
    let latest = latest_good(&checkpoints)?;
    for skipped in &latest.skipped {
        message(&format!(
            "warning: {} was skipped: {}",
            skipped.path.display(),
            skipped.reason
        ));
    }
    latest.found.ok_or_else(|| {
        CliError::input(format!(
            "{}: there is no checkpoint in it that loads; train it with `Checkpoints` in its scene",
            source.display()
        ))
    })
}

/// Whether a folder holds the runs of several seeds.
fn has_seeds(folder: &Path) -> bool {
    let mut entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.any(|entry| entry.file_name().to_string_lossy().starts_with("seed_"))
}
