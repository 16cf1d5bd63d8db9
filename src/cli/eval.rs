//! `yarak eval`.

use std::path::{Path, PathBuf};

use bevy_app::AppExit;
use clap::Args;
use serde_json::json;

use super::building::{For, Program, folders_of};
use super::error::CliError;
use super::print;
use crate::checkpoint::{ResumeFrom, Snapshot, follow, latest_good, load};
use crate::evaluate::{Episodes, Rollouts, play, reference_scores};
use crate::schedule::take_failure;

/// Play episodes with a trained policy, deterministically.
///
/// Of a run, the best checkpoint plays if there is one, else the latest.
#[derive(Args)]
pub struct Eval {
    /// A run's folder, or a checkpoint in it such as runs/NAME/checkpoints/step_000020000
    #[arg(value_name = "RUN|CHECKPOINT")]
    source: PathBuf,
    /// The environment; the scene's if not given
    #[arg(long, value_name = "NAME")]
    env: Option<String>,
    /// How many episodes; as many as the scene says if not given
    #[arg(long, value_name = "N")]
    episodes: Option<usize>,
    /// The first episode's seed; the others count on from it
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Eval {
    /// Plays.
    pub fn run(&self, program: &Program) -> Result<AppExit, CliError> {
        let (checkpoint, snapshot) = find(&self.source)?;
        let run = checkpoint
            .parent()
            .and_then(Path::parent)
            .unwrap_or(Path::new("."));
        let scene_file = run.join("scene.ron");
        let mut scene = program.read_scene(&scene_file, &[])?;
        scene.steps = snapshot.step;
        let rollouts = scene.settings::<Rollouts>().cloned();
        let rollouts = rollouts.unwrap_or_default();
        let env = self.env.clone().unwrap_or(rollouts.env);
        let episodes = self.episodes.unwrap_or(rollouts.episodes);
        if episodes == 0 {
            return Err(CliError::input("--episodes 0: play at least one"));
        }
        let seed = self.seed.unwrap_or(scene.seed.wrapping_add(rollouts.seed));
        let folders = folders_of(&scene_file);
        let mut app = program.app(&scene, scene.seed, folders, For::Evaluation(&snapshot))?;
        let step = snapshot.step;
        app.insert_resource(ResumeFrom(snapshot));
        // Networks are built and restored; all steps are taken already, so nothing is learned.
        app.update();
        if let Some(failure) = take_failure() {
            return Err(failure.into());
        }
        let scores = play(app.world(), &env, episodes, seed).map_err(CliError::input)?;
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
                "seed": seed,
                "episodes": returns.len(),
                "return": mean,
                "return_std": std,
                "normalized_score": normalized,
                "returns": returns,
                "lengths": lengths,
            });
            print(&object.to_string());
        } else {
            print(&format!(
                "{}, {env}, seeds from {seed}",
                checkpoint.display()
            ));
            for (index, score) in episodes.0.iter().enumerate() {
                print(&format!(
                    "  episode {index:>3}  return {:>10.2}  length {:>5}",
                    score.total_reward, score.length
                ));
            }
            let mut line = format!(
                "return {mean:.2} ± {std:.2} over {} episodes",
                episodes.0.len()
            );
            if let Some(normalized) = normalized {
                line.push_str(&format!(", normalized score {normalized:.1}"));
            }
            print(&line);
        }
        Ok(AppExit::Success)
    }
}

/// The checkpoint that a path means.
fn find(source: &Path) -> Result<(PathBuf, Snapshot), CliError> {
    let checkpoints = source.join("checkpoints");
    if !checkpoints.is_dir() {
        if !source.exists() {
            return Err(CliError::input(format!(
                "{}: there is no such run or checkpoint",
                source.display()
            )));
        }
        let folder = follow(source)?;
        let snapshot = load(&folder)?;
        return Ok((folder, snapshot));
    }
    if let Ok(best) = follow(checkpoints.join("best")) {
        match load(&best) {
            Ok(snapshot) => return Ok((best, snapshot)),
            Err(error) => eprintln!("warning: {} was skipped: {error}", best.display()),
        }
    }
    let latest = latest_good(&checkpoints)?;
    for skipped in &latest.skipped {
        eprintln!(
            "warning: {} was skipped: {}",
            skipped.path.display(),
            skipped.reason
        );
    }
    latest.found.ok_or_else(|| {
        CliError::input(format!(
            "{}: there is no checkpoint in it that loads; train it with `Checkpoints` in its scene",
            source.display()
        ))
    })
}
