//! A checkpoint's policy in its environment, without its training.

use std::path::{Path, PathBuf};

use bevy_app::App;

use super::building::{For, Program, failure};
use super::error::CliError;
use crate::checkpoint::{Snapshot, follow, load};
use crate::collect::Environments;
use crate::evaluate::{Episodes, Evaluation, TrainingSeeds, play};
use crate::learner::Seed;
use crate::scene::Scene;

/// An app in which the networks of a checkpoint act and nothing is learned.
///
/// # Errors
/// When the scene and the checkpoint do not belong together.
pub fn app_of(
    program: &Program,
    scene: &Scene,
    folders: Vec<PathBuf>,
    snapshot: &Snapshot,
) -> Result<App, CliError> {
    let mut scene = scene.clone();
    // All steps are taken already.
    scene.steps = snapshot.step;
    let mut app = program.app(&scene, scene.seed, folders, For::Evaluation(snapshot))?;
    // Networks are built and restored.
    app.update();
    match failure(&app) {
        Some(failure) => Err(failure.into()),
        None => Ok(app),
    }
}

/// Makes a scene's episodes those of the environment that is named, or else of its own.
///
/// # Errors
/// When there is none.
pub fn play_in(scene: &mut Scene, named: Option<&str>) -> Result<String, CliError> {
    let of_evaluation = scene.settings::<Evaluation>().map(|it| &it.env);
    let learned_in = scene.settings::<Environments>().map(|it| &it.env);
    let own = of_evaluation.or(learned_in).cloned();
    let Some(env) = named.map(str::to_owned).or(own) else {
        return Err(CliError::input(
            "the scene names no environment: say which with --env",
        ));
    };
    // The run's own is not played, so it need not be allowed.
    if let Some(evaluation) = scene.settings_mut::<Evaluation>() {
        evaluation.env = env.clone();
        evaluation.also.clear();
    }
    Ok(env)
}

/// The seed of the first of so many episodes of the scene's evaluation.
pub fn first_seed(scene: &Scene, evaluation: &Evaluation, episodes: usize) -> u64 {
    evaluation.first_seed(Seed(scene.seed), episodes, training_seeds(scene).as_ref())
}

/// The seed behind those that the run's evaluations play, and apart from its environments'.
fn fresh_seed(scene: &Scene, evaluation: &Evaluation) -> u64 {
    let episodes = evaluation.episodes;
    let behind = first_seed(scene, evaluation, episodes).wrapping_add(episodes as u64);
    let training = training_seeds(scene);
    training.map_or(behind, |it| it.apart_from(behind, episodes as u64))
}

fn training_seeds(scene: &Scene) -> Option<TrainingSeeds> {
    let training = scene.settings::<Environments>();
    training.map(|it| it.training_seeds(Seed(scene.seed)))
}

/// What a policy came to.
pub struct Played {
    /// The step of its checkpoint.
    pub step: u64,
    /// The first episode's seed.
    pub seed: u64,
    /// The episodes.
    pub episodes: Episodes,
}

/// What the best checkpoint of a run returns in episodes that it was not chosen by: as many as an evaluation has, on the seeds
/// behind those. `None` where the run was not evaluated, or kept no best.
///
/// # Errors
/// When the checkpoint cannot be read or played.
pub fn best_on_fresh_episodes(
    program: &Program,
    scene: &Scene,
    folders: Vec<PathBuf>,
    run: &Path,
) -> Result<Option<Played>, CliError> {
    let Some(evaluation) = scene.settings::<Evaluation>() else {
        return Ok(None);
    };
    let Ok(best) = follow(run.join("checkpoints/best")) else {
        return Ok(None);
    };
    let snapshot = load(&best)?;
    let app = app_of(program, scene, folders, &snapshot)?;
    let seed = fresh_seed(scene, evaluation);
    let games = evaluation.games(app.world(), &evaluation.env, evaluation.episodes, seed);
    let scores = play(app.world(), &games).map_err(CliError::input)?;
    Ok(Some(Played {
        step: snapshot.step,
        seed,
        episodes: Episodes(scores),
    }))
}
