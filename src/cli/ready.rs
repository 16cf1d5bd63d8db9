//! What `train` refuses before its first step, for `scene check` to find it, too.

use bevy_app::App;
use bevy_ecs::schedule::Schedules;

use super::error::CliError;
use crate::collect::{Environments, StepResults};
use crate::data::{
    Dataset, DifferentFrames, Experience, ExperiencePlugin, MinibatchPlugin, Replay,
    ResetsAtHorizon, RolloutPlugin, missing_file,
};
use crate::env::{gymnasium, registry};
use crate::evaluate::Evaluation;
use crate::networks::TrainsOn;
use crate::nn::EncoderSettings;
use crate::pretrained::{self, Pretrained};
use crate::scene::{Scene, find};
use crate::schedule::{Learn, with_causes};

/// What there is to do about a file that is not there.
pub const WHERE_FILES_ARE: &str =
    "a relative path is looked for in the working directory and in the scene's folder";

/// Everything of it that shows without reading data or starting an environment. Whether a simulator's library is on the machine
/// is no matter of the scene.
///
/// # Errors
/// The first of it.
pub fn check(app: &App, scene: &Scene) -> Result<(), CliError> {
    if let Some(error) = missing_file(app.world()) {
        let help = Some(WHERE_FILES_ARE.to_owned());
        return Err(scene
            .problem(error.setting(), with_causes(&error), help)
            .into());
    }
    check_pretrained(app, scene)?;
    check_scales(scene)?;
    check_frames(scene)?;
    check_memories(app, scene)?;
    check_that_it_learns(app, scene, scene.settings::<Dataset>().is_some())
}

/// What a look at a scene leaves open, in words behind `good`: what environments in Python show and take, they say themselves. Nothing
/// where all is known.
pub fn not_looked_at(scene: &Scene) -> String {
    let mut unknown: Vec<String> = environments_of(scene)
        .filter(|(_, env)| gymnasium::name_of(env).is_some())
        .map(|(_, env)| match gymnasium::module_of(env) {
            Some(module) => format!("`{env}` (needs `--allow-module {module}`)"),
            None => format!("`{env}`"),
        })
        .collect();
    unknown.dedup();
    match unknown.is_empty() {
        true => String::new(),
        false => format!(
            "; not looked at: {}, as only Python knows what it is; `yarak train SCENE --debug` tries it",
            unknown.join(", ")
        ),
    }
}

/// Refuses data and environments that show a network other numbers of frames.
fn check_frames(scene: &Scene) -> Result<(), CliError> {
    let (Some(dataset), Some(environments)) = (
        scene.settings::<Dataset>(),
        scene.settings::<Environments>(),
    ) else {
        return Ok(());
    };
    match DifferentFrames::of(dataset, environments.frame_stack) {
        None => Ok(()),
        Some(error) => Err(scene
            .problem("Dataset.frame_stack", error.to_string(), None)
            .into()),
    }
}

/// Refuses encoders that remember and are shown a single step, and those that begin anew where the algorithm trains the last one alone.
fn check_memories(app: &App, scene: &Scene) -> Result<(), CliError> {
    let resets = app.world().contains_resource::<ResetsAtHorizon>();
    let of_data = scene
        .settings::<Dataset>()
        .map(|dataset| dataset.frame_stack);
    let of_environments = scene.settings::<Environments>();
    let of_environments = of_environments.map(|environments| environments.frame_stack);
    // Where there are both they are the same.
    let Some(steps) = of_data.or(of_environments) else {
        return Ok(());
    };
    let refused = |encoder: &EncoderSettings| {
        let of_resets = encoder.refusal_of_resets().filter(|_| !resets);
        encoder.refusal_of_steps(steps).or(of_resets)
    };
    let found = scene.plugins.iter().find_map(|plugin| {
        let settings = plugin.as_reflected().as_partial_reflect();
        find(settings, plugin.scene_name(), &refused)
    });
    match found {
        None => Ok(()),
        Some((setting, error)) => Err(scene.problem(&setting, error.to_string(), None).into()),
    }
}

/// Refuses a scene that begins with networks that are not there.
pub fn check_pretrained(app: &App, scene: &Scene) -> Result<(), CliError> {
    let Some(error) = pretrained::missing(app.world()) else {
        return Ok(());
    };
    let help = Some(WHERE_FILES_ARE.to_owned());
    Err(scene
        .problem("Pretrained.path", with_causes(&error), help)
        .into())
}

/// Refuses to scale actions in another way than the networks know that a run begins with.
pub fn check_scales(scene: &Scene) -> Result<(), CliError> {
    let (Some(_), Some(environments)) = (
        scene.settings::<Pretrained>(),
        scene.settings::<Environments>(),
    ) else {
        return Ok(());
    };
    let setting = match (
        environments.action_bounds.is_empty(),
        environments.rescale_actions,
    ) {
        (true, true) => return Ok(()),
        (false, _) => "Environments.action_bounds",
        (true, false) => "Environments.rescale_actions",
    };
    let message = "the networks of `Pretrained` act on the scale that they learned on, and this would change nothing";
    let help = Some("leave it out".to_owned());
    Err(scene.problem(setting, message, help).into())
}

/// From what an algorithm learns.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Minibatches of a dataset.
    Data,
    /// A replay buffer, or a dataset.
    Replay,
    /// Rollouts, or a dataset.
    Rollouts,
}

/// From what the algorithm of an app learns; `None` where none does.
pub fn learns_from(app: &App) -> Option<Source> {
    // Learning from a replay buffer brings the minibatches of data along.
    if app.is_plugin_added::<ExperiencePlugin>() {
        Some(Source::Replay)
    } else if app.is_plugin_added::<RolloutPlugin>() {
        Some(Source::Rollouts)
    } else {
        app.is_plugin_added::<MinibatchPlugin>()
            .then_some(Source::Data)
    }
}

/// Refuses a scene that has nothing to learn with or from.
pub fn check_that_it_learns(app: &App, scene: &Scene, has_dataset: bool) -> Result<(), CliError> {
    let schedules = app.world().resource::<Schedules>();
    if schedules
        .get(Learn)
        .is_none_or(|learn| learn.systems_len() == 0)
    {
        let help = "add an algorithm; `yarak list algorithms` names them";
        let problem = scene.problem("plugins", "nothing in this scene learns", Some(help.into()));
        return Err(problem.into());
    }
    let (message, help) = match learns_from(app).filter(|_| !has_dataset) {
        None => return Ok(()),
        Some(Source::Data) => (
            "the algorithm learns from data, and the scene has no `Dataset`",
            "add Dataset(path: \"file.hdf5\")",
        ),
        Some(Source::Replay | Source::Rollouts) => {
            if app.world().contains_resource::<StepResults>() {
                return check_that_it_fits_the_buffer(app, scene);
            }
            (
                "the algorithm learns from experience, and the scene has neither `Environments` nor a `Dataset`",
                "add Environments(env: \"Pendulum-v1\"), or Dataset(path: \"file.hdf5\")",
            )
        }
    };
    Err(scene.problem("plugins", message, Some(help.into())).into())
}

/// What a scene says that is allowed and hardly meant.
pub fn warnings(app: &App, scene: &Scene) -> impl Iterator<Item = String> {
    let of_sources = warning_of_two_sources(app, scene).into_iter();
    of_sources.chain(warning_of_unknown_bounds(app, scene))
}

/// What is to be said of data whose actions are scaled by their own extremes, as only Python knows the bounds of their environment.
fn warning_of_unknown_bounds(app: &App, scene: &Scene) -> Option<String> {
    let (dataset, evaluation) = (
        scene.settings::<Dataset>()?,
        scene.settings::<Evaluation>()?,
    );
    let is_known = dataset.action_bounds.is_some()
        || scene.settings::<Environments>().is_some()
        || gymnasium::name_of(&evaluation.env).is_none()
        || matches!(app.world().get_resource(), Some(TrainsOn::Discrete));
    (!is_known).then(|| {
        format!(
            "warning: actions are scaled by the least and the greatest of the data, as only Python knows the bounds of `{}`: give `Dataset(action_bounds: (least, greatest))`",
            evaluation.env
        )
    })
}

/// What is to be said of a scene that has data and environments to learn in: our algorithms learn from one of the two.
fn warning_of_two_sources(app: &App, scene: &Scene) -> Option<String> {
    scene.settings::<Dataset>()?;
    scene.settings::<Environments>()?;
    let (learned, other) = match learns_from(app)? {
        Source::Data | Source::Replay => (
            "minibatches are drawn from the `Dataset`",
            "what the run collects in `Environments`",
        ),
        Source::Rollouts => ("rounds are collected in `Environments`", "the `Dataset`"),
    };
    Some(format!(
        "warning: the scene has a `Dataset` and `Environments`: {learned}, and nothing is learned from {other}, unless a step of yours does; take out one of the two (`Evaluation` plays without `Environments`)"
    ))
}

/// Refuses a replay buffer that never holds a minibatch.
fn check_that_it_fits_the_buffer(app: &App, scene: &Scene) -> Result<(), CliError> {
    let Some(experience) = app.world().get_resource::<Experience>() else {
        return Ok(());
    };
    let replay = scene.settings::<Replay>().cloned().unwrap_or_default();
    let fits = experience.holds_a_minibatch(&replay);
    fits.map_err(|message| scene.problem("Replay.capacity", message, None).into())
}

/// An environment may need what this machine does not have.
pub fn check_that_environments_are_there(scene: &Scene) -> Result<(), CliError> {
    for (setting, env) in environments_of(scene) {
        if let Err(error) = registry::check(env) {
            return Err(scene.problem(setting, error.to_string(), None).into());
        }
    }
    Ok(())
}

/// An environment of Python's in which the run is evaluated and does not learn would start, and fail, at the first evaluation: it is
/// made once before.
///
/// # Errors
/// Why it does not start.
pub fn check_that_evaluation_starts(scene: &Scene) -> Result<(), CliError> {
    let Some(evaluation) = scene.settings::<Evaluation>() else {
        return Ok(());
    };
    let learned_in = scene.settings::<Environments>();
    if !evaluation.env.starts_with(gymnasium::PREFIX)
        || learned_in.is_some_and(|settings| settings.env == evaluation.env)
    {
        return Ok(());
    }
    let kwargs = evaluation.kwargs.clone().unwrap_or_default();
    match registry::make_with(&evaluation.env, 1, &kwargs) {
        Ok(_) => Ok(()),
        Err(error) => Err(scene
            .problem("Evaluation.env", with_causes(&error), None)
            .into()),
    }
}

/// The environments that a scene names, and by which settings.
pub fn environments_of(scene: &Scene) -> impl Iterator<Item = (&'static str, &str)> {
    let learned_in = scene.settings::<Environments>();
    let learned_in = learned_in.map(|settings| ("Environments.env", &*settings.env));
    let played_in = scene.settings::<Evaluation>();
    let played_in = played_in.into_iter().flat_map(|settings| {
        let also = settings.also.iter().map(|env| ("Evaluation.also", &**env));
        std::iter::once(("Evaluation.env", &*settings.env)).chain(also)
    });
    learned_in.into_iter().chain(played_in)
}
