//! From a scene to an app.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bevy_app::{App, PluginGroup, ScheduleRunnerPlugin};

use super::error::CliError;
use super::{modules, order};
use crate::app::{ConcludePlugin, StopPlugin, YarakPlugins};
use crate::checkpoint::{Checkpoints, ResumeFrom, Snapshot};
use crate::collect::{ActRandomly, Environments, NormalizeObservations, NormalizeReturns};
use crate::data::{
    AlgorithmName, Dataset, HeldOutGoals, Preprocessing, Replay, SearchFolders, Spaces,
};
use crate::evaluate::{EVALUATION_METRICS, Evaluation, NO_DATA_HELD_OUT, Validation};
use crate::learner::{ComputeDevice, Seed, Stack};
use crate::networks::TrainsOn;
use crate::plugins;
use crate::policy::saved_discrete_actions;
use crate::pretrained::Pretrained;
use crate::report::{ConsolePlugin, EarlyStopping, JsonLinesPlugin, Metrics, Reports, TensorBoard};
use crate::scene::{
    AppSceneExt, ForeignCode, PluginKind, Problems, Scene, SceneEntry, SceneRegistry, suggestion,
};
use crate::schedule::{
    Clock, FailSaved, Failure, StepRegistry, TakenElsewhere, Training, TrainingSchedule,
    take_failure,
};

/// This binary's plugins: ours and those of whoever calls [`run`](super::run).
#[derive(Clone)]
pub struct Program {
    register: Arc<dyn Fn(&mut App) + Send + Sync>,
    /// The modules that scenes may import where they run.
    modules: Vec<String>,
}

/// What an app is built for.
pub enum For<'a> {
    /// Drawing or checking what training would run: no Python is started, and no simulator.
    Looking,
    /// Training, with progress shown.
    Training(ConsolePlugin),
    /// Learning in a stack, for learners of these seeds whose own apps do all else.
    Stack(&'a [u64]),
    /// Acting with the networks of a checkpoint: no dataset is needed.
    Evaluation(&'a Snapshot),
    /// Keeping what is collected, by a scene that runs or by a checkpoint's policy.
    Collecting {
        /// The checkpoint that acts; `None` where the scene runs.
        policy: Option<&'a Snapshot>,
        /// What is added to the scene's plugins.
        prepare: &'a dyn Fn(&mut App),
    },
}

impl Program {
    /// A program with yarak's own plugins and those that `register` adds.
    pub fn new(register: impl Fn(&mut App) + Send + Sync + 'static) -> Self {
        Program {
            register: Arc::new(register),
            modules: Vec::new(),
        }
    }

    /// The same program, in which scenes may import these modules.
    pub fn allowing(&self, modules: Vec<String>) -> Self {
        Program {
            modules,
            ..self.clone()
        }
    }

    /// Refuses a scene that imports a module which is not allowed.
    ///
    /// # Errors
    /// Every such module, at its place.
    pub fn check_modules(&self, scene: &Scene) -> Result<ForeignCode, CliError> {
        modules::check(scene, &self.modules)
    }

    /// An app in which everything that scenes can name is registered, and nothing is added yet.
    pub fn bare_app(&self) -> App {
        // Without what a scene names itself, and without what the subcommands do in their own way.
        let parts = YarakPlugins
            .build()
            .disable::<Reports>()
            .disable::<ConsolePlugin>()
            .disable::<JsonLinesPlugin>()
            .disable::<StopPlugin>()
            .disable::<ConcludePlugin>()
            .disable::<ScheduleRunnerPlugin>();
        let mut app = App::new();
        app.add_plugins(parts)
            .register_for_scenes::<Dataset>()
            .register_for_scenes::<Pretrained>()
            .register_for_scenes::<Environments>()
            .register_for_scenes::<Replay>()
            .register_for_scenes::<ActRandomly>()
            .register_for_scenes::<NormalizeObservations>()
            .register_for_scenes::<NormalizeReturns>()
            .register_for_scenes::<Evaluation>()
            .register_for_scenes::<Validation>()
            .register_for_scenes::<Checkpoints>()
            .register_for_scenes::<Reports>()
            .register_for_scenes::<EarlyStopping>()
            .register_for_scenes::<TensorBoard>();
        plugins::register(&mut app);
        (self.register)(&mut app);
        app
    }

    /// Reads a scene with `overrides`, and checks its device and the names in its `order`.
    ///
    /// # Errors
    /// Every mistake in it.
    pub fn read_scene(&self, path: &Path, overrides: &[String]) -> Result<Scene, CliError> {
        let app = self.bare_app();
        let scene = Scene::read(path, registry(&app), overrides)?;
        check_scene(&app, &scene, &self.schedules(&scene))?;
        Ok(scene)
    }

    /// The schedules with the slots that a scene's `order` can name: those of every run, and those that its plugins add.
    fn schedules(&self, scene: &Scene) -> Vec<(String, Vec<String>)> {
        let mut app = self.bare_app();
        if !scene.order.is_empty() {
            app.insert_resource(ComputeDevice::cpu())
                .insert_resource(Seed(scene.seed))
                .insert_resource(SearchFolders(Vec::new()))
                .insert_resource(ForeignCode::Untouched);
            for plugin in &scene.plugins {
                // What cannot be added is reported where the run is built.
                let _ = (**plugin).add_to(&mut app);
            }
            app.finish();
        }
        let slots =
            |schedule: TrainingSchedule| (schedule.to_string(), schedule.slots(app.world()));
        TrainingSchedule::ALL.map(slots).into()
    }

    /// The name of a scene's algorithm.
    pub fn algorithm<'s>(&self, scene: &'s Scene) -> Option<&'s str> {
        algorithm(&self.bare_app(), scene)
    }

    /// Reads a resolved scene out of a run's folder.
    ///
    /// # Errors
    /// Every mistake in it, such as a plugin that this binary does not have.
    pub fn parse_scene(&self, name: &str, text: &str) -> Result<Scene, CliError> {
        Ok(Scene::parse(name, text, registry(&self.bare_app()), &[])?)
    }

    /// Reads a scene's text, and checks its device and the names in its `order`.
    ///
    /// # Errors
    /// Every mistake in it.
    pub fn parse_checked(&self, name: &str, text: &str) -> Result<Scene, Problems> {
        let app = self.bare_app();
        let scene = Scene::parse(name, text, registry(&app), &[])?;
        check_scene(&app, &scene, &self.schedules(&scene))?;
        Ok(scene)
    }

    /// Builds the app of a scene for one seed. The schedules exist; nothing is loaded.
    ///
    /// # Errors
    /// When the device is not there, the actions are of the wrong kind, or the schedules cannot be built.
    pub fn app(
        &self,
        scene: &Scene,
        seed: u64,
        folders: Vec<PathBuf>,
        purpose: For<'_>,
    ) -> Result<App, CliError> {
        let app = self.finished(scene, seed, folders.clone(), purpose)?;
        check_actions(&app, scene)?;
        order::check(self, scene, &folders, &app)?;
        Ok(app)
    }

    /// The same, with what is wrong with its schedules left in [`ScheduleErrors`](crate::schedule::ScheduleErrors).
    ///
    /// # Errors
    /// When the device is not there, or a module is not allowed.
    pub fn finished(
        &self,
        scene: &Scene,
        seed: u64,
        folders: Vec<PathBuf>,
        purpose: For<'_>,
    ) -> Result<App, CliError> {
        let device: ComputeDevice = scene.device.parse().map_err(CliError::input)?;
        let foreign_code = match purpose {
            For::Looking => ForeignCode::Untouched,
            _ => self.check_modules(scene)?,
        };
        let mut app = self.bare_app();
        app.insert_resource(device)
            .insert_resource(Seed(seed))
            .insert_resource(SearchFolders(folders))
            .insert_resource(foreign_code);
        let mut clock = app.world_mut().resource_mut::<Clock>();
        (clock.steps, clock.epochs) = (scene.steps, scene.epochs);
        let act_with = |app: &mut App, snapshot: &Snapshot| -> Result<(), CliError> {
            let preprocessing: Preprocessing = snapshot.state("preprocessing")?;
            // Where it acts is looked at before the rest is restored.
            if snapshot.state.contains_key(HeldOutGoals::KEY) {
                app.insert_resource(snapshot.state::<HeldOutGoals>(HeldOutGoals::KEY)?);
            }
            app.insert_resource(preprocessing)
                .insert_resource(ResumeFrom(snapshot.clone()).between_rounds());
            Ok(())
        };
        if let Some(algorithm) = algorithm(&app, scene) {
            app.insert_resource(AlgorithmName(algorithm.to_owned()));
        }
        let mut acts_only = false;
        let mut chooses = None;
        let mut prepare_with: Option<&dyn Fn(&mut App)> = None;
        match purpose {
            For::Looking => {}
            For::Stack(seeds) => {
                let seeds: Vec<Seed> = seeds.iter().map(|seed| Seed(*seed)).collect();
                app.insert_resource(Metrics::of_learners(seeds.len()))
                    .insert_resource(Stack(seeds))
                    .insert_resource(TakenElsewhere);
            }
            For::Training(console) => {
                app.add_plugins((JsonLinesPlugin, console));
            }
            For::Evaluation(snapshot) => {
                acts_only = true;
                chooses = saved_discrete_actions(snapshot);
                act_with(&mut app, snapshot)?;
            }
            For::Collecting { policy, prepare } => {
                if let Some(snapshot) = policy {
                    acts_only = true;
                    chooses = saved_discrete_actions(snapshot);
                    act_with(&mut app, snapshot)?;
                }
                prepare_with = Some(prepare);
            }
        }
        for plugin in &scene.plugins {
            // What only acts needs what the data did to observations, which the checkpoint has, and not the data.
            if !(acts_only && (**plugin).downcast::<Dataset>().is_some()) {
                (**plugin).add_to(&mut app).map_err(CliError::input)?;
            }
        }
        if let (Some(n), false) = (chooses, app.world().contains_resource::<Spaces>()) {
            // The data said so, which what only acts has not.
            let preprocessing = app.world().resource::<Preprocessing>();
            let width = preprocessing.parts.width();
            app.insert_resource(Spaces::of_choices("the run's data", width, n));
        }
        if let Some(prepare) = prepare_with {
            prepare(&mut app);
        }
        if !app.is_plugin_added::<Reports>() {
            app.add_plugins(Reports::default());
        }
        order::apply(&mut app, &scene.order);
        app.finish();
        app.cleanup();
        Ok(app)
    }
}

/// What went wrong in an app that is updated by hand: in a step just now, before the first step, or in an environment that went away.
pub fn failure(app: &App) -> Option<Failure> {
    let ended = || app.world().get_resource::<Training>()?.failure().cloned();
    let gone = || app.world().get_resource::<FailSaved>()?.0.clone();
    take_failure().or_else(ended).or_else(gone)
}

/// The folders in which a scene's relative paths are looked for besides the working directory.
pub fn folders_of(scene: &Path) -> Vec<PathBuf> {
    scene
        .parent()
        .map(|folder| vec![folder.to_path_buf()])
        .unwrap_or_default()
}

/// What scenes can name in this app.
pub fn registry(app: &App) -> &SceneRegistry {
    app.world().resource::<SceneRegistry>()
}

/// The same, unless a registration was refused: two plugins of one name, or a setting that no scene can hold.
///
/// # Errors
/// Every registration that was refused. It is the program's mistake, so nothing of the user's can mend it.
pub fn whole_registry(app: &App) -> Result<&SceneRegistry, CliError> {
    let registry = registry(app);
    let refused = registry.refused().iter().map(ToString::to_string);
    let refused: Vec<String> = refused.collect();
    if refused.is_empty() {
        return Ok(registry);
    }
    Err(CliError::input(refused.join("\n")))
}

/// Checks what only the program knows: devices, the names of slots and steps, and what one plugin needs of another.
fn check_scene(
    app: &App,
    scene: &Scene,
    schedules: &[(String, Vec<String>)],
) -> Result<(), Problems> {
    let steps: Vec<&str> = app.world().resource::<StepRegistry>().names().collect();
    let mut problems = scene
        .check_order(schedules, &steps)
        .err()
        .unwrap_or_default();
    if let Err(error) = scene.device.parse::<ComputeDevice>() {
        problems.push(scene.problem("device", error.to_string(), None));
    }
    if let (Some(dataset), Some(_)) = (scene.settings::<Dataset>(), scene.settings::<Validation>())
        && !dataset.holds_out()
    {
        problems.push(scene.problem(
            "Dataset.validation",
            "nothing is held out, so `Validation` has no rows to compute losses on",
            Some("hold a share of the episodes out, such as validation: 0.1, or take `Validation` out".to_owned()),
        ));
    }
    let learns = algorithm(app, scene).is_some();
    let stopping = scene.settings::<EarlyStopping>();
    let stopping = stopping.map(|it| ("EarlyStopping.metric", it.metric.as_str()));
    let checkpoints = scene.settings::<Checkpoints>();
    let best = checkpoints.and_then(Checkpoints::wanted_best);
    let best = best.map(|best| ("Checkpoints.best", best));
    let named = stopping.into_iter().chain(best);
    // A scene without an algorithm, such as a template of one plugin, is a part of one to come.
    for (setting, metric) in named.filter(|_| learns) {
        for (beginning, made, by) in [
            (
                "evaluate/",
                scene.settings::<Evaluation>().is_some(),
                "Evaluation",
            ),
            (
                "validate/",
                scene.settings::<Validation>().is_some(),
                "Validation",
            ),
        ] {
            if metric.starts_with(beginning) && !made {
                problems.push(scene.problem(
                    setting,
                    format!("nothing in this scene makes `{metric}`"),
                    Some(format!(
                        "add `{by}` to the plugins, or watch another metric"
                    )),
                ));
            }
        }
        let is_evaluated = scene.settings::<Evaluation>().is_some();
        if is_evaluated && metric.starts_with("evaluate/") && !EVALUATION_METRICS.contains(&metric)
        {
            problems.push(scene.problem(
                setting,
                format!("no evaluation makes `{metric}`"),
                suggestion(metric, EVALUATION_METRICS, "metrics of an evaluation"),
            ));
        }
    }
    problems.into_result()
}

/// The algorithms of a registry.
pub fn algorithms(registry: &SceneRegistry) -> impl Iterator<Item = &SceneEntry> {
    let entries = registry.entries().iter();
    entries.filter(|entry| entry.kind() == PluginKind::Algorithm)
}

/// The name of the scene's algorithm; none of a scene that is a part of one to come.
pub(super) fn algorithm<'s>(app: &App, scene: &'s Scene) -> Option<&'s str> {
    let mut names = scene.plugins.iter().map(|plugin| plugin.scene_name());
    names.find(|name| {
        let entry = registry(app).entry(name);
        entry.is_ok_and(|entry| entry.kind() == PluginKind::Algorithm)
    })
}

/// Checks that the algorithm trains on such actions as the scene's environment has.
fn check_actions(app: &App, scene: &Scene) -> Result<(), CliError> {
    let algorithm = algorithm(app, scene);
    let mut problems = Problems::default();
    if let Err(error) = TrainsOn::check(app.world(), algorithm.unwrap_or("the algorithm")) {
        let place = match scene.settings::<Environments>() {
            Some(_) => "Environments.env",
            None => "Evaluation.env",
        };
        problems.push(scene.problem(place, error.to_string(), None));
    }
    let validates = scene.settings::<Validation>().is_some();
    if validates && algorithm.is_some() && scene.settings::<Dataset>().is_none() {
        problems.push(scene.problem("Validation", NO_DATA_HELD_OUT, None));
    }
    Ok(problems.into_result()?)
}

#[cfg(test)]
#[path = "fuzz_tests.rs"]
mod fuzz_tests;
