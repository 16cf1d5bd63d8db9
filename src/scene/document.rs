//! The scene as a value: read from RON, checked as a whole, changed by overrides, printed back.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use bevy_app::App;

use super::leaf::quoted;
use super::order::{self, OrderEdit};
use super::problem::{Problem, Problems};
use super::registry::SceneRegistry;
use super::resolve::resolve;
use super::settings::{AnySettings, NotAdded, Settings};
use super::split::LARGEST;
use super::template::{one_line, pretty};

/// Bytes of a file that are read at most: one more than a scene may have, so that the splitter refuses it.
const MOST_READ: u64 = LARGEST as u64 + 1;

/// A run as a scene describes it: plugins with their settings, and how long they run.
///
/// ```
/// use yarak::scene::{Scene, SceneRegistry};
///
/// let text = r#"Scene(name: "nothing yet", seed: 3, steps: 20_000, plugins: [])"#;
/// let scene = Scene::parse("mine.ron", text, &SceneRegistry::new(), &["steps=10".to_owned()])?;
/// assert_eq!((scene.seed, scene.steps, scene.device.as_str()), (3, 10, "cpu"));
/// # Ok::<(), yarak::scene::Problems>(())
/// ```
#[derive(Clone)]
pub struct Scene {
    /// What the run is called; the file's name without its ending where the scene says nothing.
    pub name: String,
    /// The seed of all random streams; 0 where the scene says nothing.
    pub seed: u64,
    /// Where tensors live, such as `cpu`, `cuda:0` or `vulkan:0`; `cpu` where the scene says nothing.
    pub device: String,
    /// Steps of the run, at least 1: gradient steps offline, environment steps online. `u64::MAX` where the scene has `epochs`
    /// and no `steps`.
    pub steps: u64,
    /// Epochs after which the run is done, if that is earlier.
    pub epochs: Option<u64>,
    /// Seeds of several learners in one process; empty for one learner with `seed`.
    pub seeds: Vec<u64>,
    /// The plugins' settings, in the order of the scene; each plugin at most once.
    pub plugins: Vec<Box<dyn AnySettings>>,
    /// Edits to the order of steps, in the order of the scene.
    pub order: Vec<OrderEdit>,
    /// Where the scene's own fields and the plugins' were written, by path; the whole scene's place has the empty path.
    pub(super) places: BTreeMap<String, Problem>,
}

impl Scene {
    /// Reads a scene from its file, then applies `overrides`, each `PATH=VALUE`.
    ///
    /// # Errors
    /// Every mistake in the file and the overrides, with its place and remedy. Nothing has been built by then.
    pub fn read(
        path: &Path,
        registry: &SceneRegistry,
        overrides: &[String],
    ) -> Result<Self, Problems> {
        let name = path.display().to_string();
        let refuse = |message: String, help: &str| {
            let mut problems = Problems::default();
            problems.push(Problem::about_file(
                name.clone(),
                message,
                Some(help.to_owned()),
            ));
            problems
        };
        let mut bytes = Vec::new();
        File::open(path)
            .and_then(|file| file.take(MOST_READ).read_to_end(&mut bytes))
            .map_err(|error| {
                refuse(
                    format!("the scene cannot be read: {error}"),
                    "name a scene's file, such as scenes/pendulum_td3_bc.ron",
                )
            })?;
        let text = String::from_utf8(bytes).map_err(|error| {
            let byte = error.utf8_error().valid_up_to();
            refuse(
                format!("this is not text: byte {byte} is not UTF-8"),
                "a scene is RON in UTF-8; is this another file?",
            )
        })?;
        Self::parse(&name, &text, registry, overrides)
    }

    /// Reads a scene from its text; `name` is what problems call the file.
    ///
    /// # Errors
    /// As [`Scene::read`].
    pub fn parse(
        name: &str,
        text: &str,
        registry: &SceneRegistry,
        overrides: &[String],
    ) -> Result<Self, Problems> {
        resolve(name, text, registry, overrides)
    }

    /// The settings of the plugin `T`, where the scene lists it.
    pub fn settings<T: Settings>(&self) -> Option<&T> {
        self.plugins.iter().find_map(|plugin| (**plugin).downcast())
    }

    /// The settings of the plugin `T` to be changed, where the scene lists it.
    pub fn settings_mut<T: Settings>(&mut self) -> Option<&mut T> {
        let mut plugins = self.plugins.iter_mut();
        plugins.find_map(|plugin| plugin.as_reflected_mut().downcast_mut())
    }

    /// Whether a setting such as `Evaluation.env` was given by an override.
    pub fn is_overridden(&self, path: &str) -> bool {
        // Places in a file have lines.
        self.places.get(path).is_some_and(|place| place.line == 0)
    }

    /// Adds all plugins with their settings, in the order of the scene.
    ///
    /// # Errors
    /// The app has one of them already, or does not allow a module that one imports ([`ForeignCode`](super::ForeignCode)); those
    /// before it are added by then.
    pub fn add_to(&self, app: &mut App) -> Result<(), NotAdded> {
        self.plugins
            .iter()
            .try_for_each(|plugin| (**plugin).add_to(app))
    }

    /// Checks the names in `order` against the schedules, each with its slots, and the steps that are registered.
    ///
    /// # Errors
    /// Every unknown schedule, slot or step, with its place and the nearest names, and every name that is given twice.
    pub fn check_order(
        &self,
        schedules: &[(String, Vec<String>)],
        steps: &[&str],
    ) -> Result<(), Problems> {
        order::check(&self.order, schedules, steps)
    }

    /// A mistake that shows only when the scene meets this machine, such as a file that is not there, at the place of the
    /// setting `path`: `device`, `Dataset.path`. A setting that the scene leaves out has the place of what holds it.
    ///
    /// ```
    /// use yarak::scene::{Scene, SceneRegistry};
    ///
    /// let scene = Scene::parse("mine.ron", "Scene(device: \"tpu\", steps: 1, plugins: [])", &SceneRegistry::new(), &[])?;
    /// let problem = scene.problem("device", "there is no device `tpu`", None);
    /// assert!(problem.to_string().starts_with("mine.ron:1:15: error: device: there is no device `tpu`"));
    /// # Ok::<(), yarak::scene::Problems>(())
    /// ```
    pub fn problem(&self, path: &str, message: impl Into<String>, help: Option<String>) -> Problem {
        let mut holder = path;
        let place = loop {
            match (self.places.get(holder), holder.rfind('.')) {
                (Some(place), _) => break place.clone(),
                (None, Some(dot)) => holder = &holder[..dot],
                (None, None) if !holder.is_empty() => holder = "",
                (None, None) => break Problem::about_file(self.name.clone(), "", None),
            }
        };
        Problem {
            path: path.to_owned(),
            message: message.into(),
            help,
            ..place
        }
    }

    /// The scene as RON: every setting of every plugin, no comments; reads back to the same values, bit for bit.
    pub fn to_ron(&self) -> String {
        let mut out = format!(
            "Scene(\n    name: {},\n    seed: {},\n    device: {},\n",
            quoted(&self.name),
            self.seed,
            quoted(&self.device),
        );
        // The greatest number stands for epochs alone, unless somebody wrote it.
        if self.steps != u64::MAX || self.epochs.is_none() {
            out.push_str(&format!("    steps: {},\n", self.steps));
        }
        if let Some(epochs) = self.epochs {
            out.push_str(&format!("    epochs: {epochs},\n"));
        }
        if !self.seeds.is_empty() {
            out.push_str(&format!("    seeds: {},\n", one_line(&self.seeds)));
        }
        out.push_str("    plugins: [\n");
        for plugin in &self.plugins {
            let value = plugin.as_reflected().as_partial_reflect();
            let text = pretty(plugin.scene_name(), value, false, 2);
            out.push_str(&format!("        {text},\n"));
        }
        out.push_str("    ],\n");
        if !self.order.is_empty() {
            out.push_str("    order: [\n");
            for edit in &self.order {
                out.push_str(&format!("        {edit},\n"));
            }
            out.push_str("    ],\n");
        }
        out.push_str(")\n");
        out
    }

    /// What `other` changed, setting by setting (`Td3Bc.alpha: 2.5 -> 1.0`), but for what a resumed run may change, as it learns the same:
    /// `steps` and `epochs`, and without `EarlyStopping` how often it is evaluated, validated, reported and saved, and which
    /// checkpoints it keeps.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let mut differences = Self::compare(&[self, other]);
        // Early stopping counts reports and compares their values: with it, how often is a part of what is learned.
        let stops = [self, other]
            .iter()
            .any(|it| it.plugin("EarlyStopping").is_some());
        let may_change = if stops { &MAY_CHANGE[..2] } else { &MAY_CHANGE };
        differences.retain(|it| !may_change.contains(&&*it.path));
        let lines = differences
            .iter()
            .map(|it| format!("{}: {}", it.path, it.values.join(" -> ")));
        lines.collect()
    }

    pub(super) fn plugin(&self, name: &str) -> Option<&dyn AnySettings> {
        let found = self
            .plugins
            .iter()
            .find(|plugin| plugin.scene_name() == name);
        found.map(|plugin| &**plugin)
    }
}

/// The settings that change nothing of what a run learns; the first two are how long it is.
const MAY_CHANGE: [&str; 10] = [
    "steps",
    "epochs",
    "Evaluation.every",
    "Validation.every",
    "Reports",
    "Reports.every",
    "Checkpoints.every",
    "Checkpoints.every_seconds",
    "Checkpoints.also_at",
    "Checkpoints.keep",
];

impl fmt::Debug for Scene {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_ron())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scene::test_settings::{Evaluation, Td3Bc, WHOLE, registry};

    fn parse(text: &str) -> Result<Scene, Problems> {
        Scene::parse("a.ron", text, &registry(), &[])
    }

    #[test]
    fn a_resolved_scene_reads_back_to_itself() {
        let scene = parse(WHOLE).unwrap();
        let resolved = scene.to_ron();
        let back = parse(&resolved).unwrap();
        assert_eq!(back.to_ron(), resolved);
        assert_eq!((back.steps, &back.order), (scene.steps, &scene.order));
        assert_eq!(back.settings::<Td3Bc>(), scene.settings::<Td3Bc>());
        assert_eq!(
            back.settings::<Evaluation>(),
            scene.settings::<Evaluation>()
        );
        assert!(scene.differences(&back).is_empty());
        assert!(resolved.contains("\n        TensorBoard(),\n"));
    }

    #[test]
    fn the_scene_adds_its_plugins_with_their_settings() {
        let mut app = App::empty();
        parse(WHOLE).unwrap().add_to(&mut app).unwrap();
        assert_eq!(app.world().resource::<Td3Bc>().alpha, 0.1);
        assert_eq!(app.world().resource::<Evaluation>().env, "C:\\env");
    }

    #[test]
    fn a_file_that_is_no_scene_is_refused_with_its_name() {
        let told = |path: &str| {
            let problems = Scene::read(Path::new(path), &registry(), &[]).unwrap_err();
            problems.to_string()
        };
        assert!(
            told("/nowhere/a.ron").starts_with("/nowhere/a.ron: error: the scene cannot be read: ")
        );
        assert!(told("/").contains("the scene cannot be read"));
        let path = std::env::temp_dir().join(format!("yarak_scene_{}.ron", std::process::id()));
        std::fs::write(&path, [b'(', 0xff]).unwrap();
        assert!(told(path.to_str().unwrap()).contains("byte 1 is not UTF-8"));
        std::fs::write(&path, WHOLE).unwrap();
        assert_eq!(Scene::read(&path, &registry(), &[]).unwrap().seed, 3);
        std::fs::remove_file(&path).unwrap();
    }
}
