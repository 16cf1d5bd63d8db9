//! Makes a scene out of its text: its fields, its plugins, the overrides, then the checks of the whole.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use bevy_reflect::structs::Struct;
use bevy_reflect::{Reflect, Typed};

use super::bounds::Bounds;
use super::document::Scene;
use super::foreign_names;
use super::nearest::suggestion;
use super::order::{self, OrderEdit};
use super::overrides::{Override, unknown_head};
use super::problem::{Problem, Problems};
use super::read::{Reader, joined};
use super::registry::SceneRegistry;
use super::setting_type::{Field, SettingType, struct_fields};
use super::settings::{AnySettings, PluginKind};
use super::split::split;
use super::text::{Node, Shape, Source};

/// The single values at the head of a scene, read like any settings.
#[derive(Clone, Debug, Reflect)]
pub(crate) struct Header {
    /// What the run is called. Left out: the file's name without its ending.
    name: String,
    /// The seed of all random streams. Left out: 0.
    seed: u64,
    /// Where tensors live: cpu, cuda, cuda:N, vulkan, vulkan:N or auto. Left out: cpu.
    device: String,
    /// Steps of the run: gradient steps offline, environment steps online.
    #[reflect(@Bounds::at_least(1.0))]
    steps: u64,
    /// Epochs after which the run is done, if that is earlier.
    #[reflect(@Bounds::at_least(1.0))]
    epochs: Option<u64>,
    /// Seeds of several learners in one process.
    seeds: Vec<u64>,
}

/// Reads a scene's text and applies the overrides, or reports every mistake in both.
pub(crate) fn resolve(
    name: &str,
    text: &str,
    registry: &SceneRegistry,
    overrides: &[String],
) -> Result<Scene, Problems> {
    let file = Source::file(name, text);
    let mut early = Problems::default();
    let mut arguments = Vec::new();
    for argument in overrides {
        match Override::new(argument) {
            Ok(argument) => arguments.push(argument),
            Err(problem) => early.push(problem),
        }
    }
    for refused in registry.refused() {
        early.push(Problem::about_file(
            "this program",
            refused.to_string(),
            None,
        ));
    }
    let (root, extensions) = match split(&file) {
        Ok(split) => split,
        Err(problem) => {
            early.push(problem);
            return Err(early.sorted());
        }
    };
    let mut reader = Reader::new(registry.types());
    reader.problems = early;
    reader.extensions = extensions;
    let stem = Path::new(name).file_stem().unwrap_or_default();
    let mut document = Document {
        registry,
        header: Header {
            name: stem.to_string_lossy().into_owned(),
            seed: 0,
            device: "cpu".to_owned(),
            steps: u64::MAX,
            epochs: None,
            seeds: Vec::new(),
        },
        plugins: Vec::new(),
        order: Vec::new(),
    };
    let is_scene = document.read(&mut reader, &root);
    // The file's extensions do not reach into the command line.
    reader.extensions = Default::default();
    for argument in &arguments {
        document.set(&mut reader, argument);
    }
    reader.refuse_missing();
    if is_scene {
        document.check(&mut reader, &root);
    }
    let mut places = BTreeMap::from([(String::new(), root.problem("", "", None))]);
    let shallow = reader.places.iter().filter(|(path, _)| is_shallow(path));
    places.extend(shallow.map(|(path, node)| (path.clone(), node.problem("", "", None))));
    reader.problems.into_result()?;
    let Header {
        name,
        seed,
        device,
        steps,
        epochs,
        seeds,
    } = document.header;
    Ok(Scene {
        name,
        seed,
        device,
        steps,
        epochs,
        seeds,
        plugins: document.plugins,
        order: document.order,
        places,
    })
}

/// Whether a path names a field of the scene or of a plugin, and nothing inside of one: only those places are kept.
fn is_shallow(path: &str) -> bool {
    !path.contains('[') && path.matches('.').count() <= 1
}

/// A scene while it is read.
struct Document<'r> {
    registry: &'r SceneRegistry,
    header: Header,
    plugins: Vec<Box<dyn AnySettings>>,
    order: Vec<OrderEdit>,
}

impl Document<'_> {
    /// Reads all fields; `false` where the value is no scene at all.
    fn read<'s>(&mut self, reader: &mut Reader<'s>, root: &Node<'s>) -> bool {
        let (name, items) = match &root.shape {
            Shape::Group { name, items } => (name.as_ref(), items),
            _ => {
                let message = format!("expected Scene(..), found {}", root.found());
                let help =
                    "a scene is Scene(name: \"..\", steps: 20_000, plugins: [..])".to_owned();
                reader.refuse(root.problem("", message, Some(help)));
                return false;
            }
        };
        if let Some(name) = name.filter(|name| name.text != "Scene") {
            let range = name.range.clone();
            let message = format!("expected Scene(..), found {}(..)", name.text);
            let help = "put plugins into a scene: Scene(steps: 20_000, plugins: [..])".to_owned();
            reader.refuse(root.source.problem(range, "", message, Some(help)));
            return false;
        }
        let fields = header_fields();
        let mut given: Vec<&str> = Vec::new();
        for item in items {
            let Some(key) = &item.key else {
                let message = format!("a scene has named fields, found {}", item.value.found());
                let help = suggestion("", scene_fields(), "fields");
                reader.refuse(item.value.problem("", message, help));
                continue;
            };
            let at =
                |message: String, help| root.source.problem(key.range.clone(), "", message, help);
            if given.contains(&key.text) {
                let help = Some("keep one of them".to_owned());
                reader.refuse(at(format!("`{}` is given twice", key.text), help));
                continue;
            }
            if scene_fields().any(|known| known == key.text) {
                given.push(key.text);
            }
            let field = fields.iter().find(|field| field.name == key.text);
            if let Some((field, value)) = field.zip(self.header.field_mut(key.text)) {
                reader.read(&item.value, value, field.bounds.as_ref(), key.text);
                continue;
            }
            match key.text {
                "plugins" => {
                    reader
                        .places
                        .insert(key.text.to_owned(), item.value.clone());
                    self.read_plugins(reader, &item.value);
                }
                "order" => self.order = order::read(reader, &item.value),
                unknown => {
                    let foreign = foreign_names::setting(unknown);
                    let foreign = foreign.and_then(|foreign| foreign.among(&fields));
                    let (message, help) = foreign.unwrap_or_else(|| {
                        let help = if self.registry.entry(unknown).is_ok() {
                            Some(format!("plugins go in a list: plugins: [{unknown}(..)]"))
                        } else {
                            suggestion(unknown, scene_fields(), "fields")
                        };
                        (format!("a scene has no field `{unknown}`"), help)
                    });
                    reader.refuse(at(message, help));
                }
            }
        }
        true
    }

    fn read_plugins<'s>(&mut self, reader: &mut Reader<'s>, node: &Node<'s>) {
        let Shape::List(nodes) = &node.shape else {
            let message = format!("expected a list of plugins [..], found {}", node.found());
            let help = "such as plugins: [Td3Bc(alpha: 2.5)]".to_owned();
            return reader.refuse(node.problem("plugins", message, Some(help)));
        };
        for node in nodes {
            let (written, range) = match &node.shape {
                Shape::Name(name) => (*name, node.range.clone()),
                Shape::Group {
                    name: Some(name), ..
                } => (name.text, name.range.clone()),
                _ => {
                    let message = format!("expected a plugin, found {}", node.found());
                    let help = "a plugin is Name(field: value, ..)".to_owned();
                    reader.refuse(node.problem("plugins", message, Some(help)));
                    continue;
                }
            };
            let at = |message: String, help| node.source.problem(range.clone(), "", message, help);
            let Ok(entry) = self.registry.entry(written) else {
                let foreign = foreign_names::plugin(written);
                let foreign = foreign.filter(|here| self.registry.entry(here).is_ok());
                reader.refuse(match foreign {
                    Some(here) => at(foreign_names::is_called(written, here), None),
                    None => at(
                        format!("no plugin is called `{written}`"),
                        suggestion(written, self.registry.names(), "plugins"),
                    ),
                });
                continue;
            };
            if self
                .plugins
                .iter()
                .any(|known| known.scene_name() == entry.name())
            {
                let first = reader
                    .places
                    .get(written)
                    .map_or(0, |first| first.problem("", "", None).line);
                let message = format!("`{written}` is listed twice, first in line {first}");
                let help =
                    "keep one of them: a plugin is one set of steps and one resource".to_owned();
                reader.refuse(at(message, Some(help)));
                continue;
            }
            let mut settings = entry.default_settings();
            let value = settings.as_reflected_mut().as_partial_reflect_mut();
            reader.read(node, value, None, entry.name());
            self.plugins.push(settings);
        }
    }

    /// Applies one override.
    fn set<'s>(&mut self, reader: &mut Reader<'s>, argument: &'s Override) {
        let head = argument.head();
        let fields = header_fields();
        if let Some(field) = fields.iter().find(|field| field.name == head) {
            if let Some(value) = self.header.field_mut(head) {
                argument.apply(reader, value, field.bounds, argument.tail(), head);
            }
            return;
        }
        let found = self
            .plugins
            .iter_mut()
            .find(|plugin| plugin.scene_name() == head);
        if let Some(plugin) = found {
            let value = plugin.as_reflected_mut().as_partial_reflect_mut();
            return argument.apply(reader, value, None, argument.tail(), head);
        }
        let listed: Vec<&str> = self
            .plugins
            .iter()
            .map(|plugin| plugin.scene_name())
            .collect();
        let problem = if matches!(head, "plugins" | "order") {
            let help =
                "name a plugin's setting, such as --set Td3Bc.alpha=1.0, or change the scene";
            argument.problem(
                "",
                format!("`{head}` cannot be set as a whole"),
                Some(help.to_owned()),
            )
        } else if self.registry.entry(head).is_ok() {
            let message = format!("the plugin `{head}` is not in this scene");
            let help = suggestion("", listed.iter().copied(), "plugins in it");
            argument.problem("", message, help)
        } else {
            let (message, help) = unknown_head(head, &fields, &listed);
            argument.problem("", message, help)
        };
        reader.refuse(problem);
    }

    /// What only the whole scene shows: fields that are missing, seeds that repeat, settings that contradict each other.
    fn check(&self, reader: &mut Reader, root: &Node) {
        for (field, help) in [
            (
                "steps",
                "add steps: 20_000 or epochs: 10, or pass --set steps=20_000",
            ),
            ("plugins", "add plugins: [..]; `yarak list` names them"),
        ] {
            let instead = field == "steps" && self.header.epochs.is_some();
            if !reader.places.contains_key(field) && !instead {
                let message = format!("the scene has no `{field}`");
                reader.refuse(root.problem("", message, Some(help.to_owned())));
            }
        }
        let mut seen = HashSet::new();
        let repeated = self.header.seeds.iter().find(|seed| !seen.insert(**seed));
        if let (Some(seed), Some(node)) = (repeated, reader.places.get("seeds")) {
            let message = format!("the seed {seed} is given twice");
            let help = "each learner writes into a folder of its seed: keep one of them".to_owned();
            let problem = node.problem("seeds", message, Some(help));
            reader.refuse(problem);
        }
        let algorithms = self.plugins.iter().filter(|plugin| {
            let entry = self.registry.entry(plugin.scene_name());
            entry.is_ok_and(|entry| entry.kind() == PluginKind::Algorithm)
        });
        let algorithms: Vec<&str> = algorithms.map(|plugin| plugin.scene_name()).collect();
        if let [first, second, ..] = algorithms[..]
            && let Some(node) = reader.places.get(second)
        {
            let message = format!("`{first}` is an algorithm already, and a scene has one");
            let help = "keep one of them; a step of another algorithm comes in by order: [Replace(Actor, with: \"bc::clone_behavior\")]";
            let problem = node.problem(second, message, Some(help.to_owned()));
            reader.refuse(problem);
        }
        for plugin in &self.plugins {
            let name = plugin.scene_name();
            let inside = |path: &str| {
                let rest = path.strip_prefix(name);
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
            };
            // Settings that could not be read have nothing to say about each other.
            if reader.problems.iter().any(|problem| inside(&problem.path)) {
                continue;
            }
            for (field, message) in plugin.refused_fields().iter() {
                let path = joined(name, field);
                let problem =
                    nearest_place(reader, &path).map(|node| node.problem(&path, message, None));
                let problem = problem.unwrap_or_else(|| root.problem(&path, message, None));
                reader.refuse(problem);
            }
        }
    }
}

/// Where a setting was written, or else what holds it.
fn nearest_place<'r, 's>(reader: &'r Reader<'s>, path: &str) -> Option<&'r Node<'s>> {
    let mut path = path;
    loop {
        if let Some(node) = reader.places.get(path) {
            return Some(node);
        }
        path = &path[..path.rfind(['.', '['])?];
    }
}

/// The single values at the head of a scene.
pub(super) fn header_fields() -> Vec<Field> {
    match SettingType::of(Header::type_info()) {
        Some(SettingType::Struct(info)) => struct_fields(info),
        _ => Vec::new(),
    }
}

fn scene_fields() -> impl Iterator<Item = &'static str> + Clone {
    [
        "name", "seed", "device", "steps", "epochs", "seeds", "plugins", "order",
    ]
    .into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scene::test_settings::{WHOLE, registry};
    use bevy_reflect::prelude::ReflectDefault;

    fn parse(text: &str) -> Result<Scene, Problems> {
        Scene::parse("a.ron", text, &registry(), &[])
    }

    /// One with settings that have no good default.
    #[derive(Clone, Debug, Default, Reflect)]
    struct Mine {
        /// What is to be learned. In words.
        #[reflect(@Bounds::any().required())]
        task: String,
        /// How often.
        times: u64,
        /// The robot.
        robot: Robot,
        /// Spare ones.
        spare: Option<Robot>,
    }

    /// A robot.
    #[derive(Clone, Debug, Default, Reflect)]
    #[reflect(Default)]
    struct Robot {
        /// Its joints.
        #[reflect(@Bounds::at_least(1.0).required())]
        joints: usize,
        /// Its mass.
        mass: f32,
    }

    impl bevy_app::Plugin for Mine {
        fn build(&self, _: &mut bevy_app::App) {}
    }

    impl crate::scene::Settings for Mine {}

    fn with_mine() -> SceneRegistry {
        let mut registry = SceneRegistry::new();
        registry.register::<Mine>().unwrap();
        registry
    }

    fn mine(settings: &str, overrides: &[&str]) -> Result<Mine, Problems> {
        let text =
            format!("Scene(\n    steps: 1,\n    plugins: [\n        Mine({settings}),\n    ],\n)");
        let overrides: Vec<String> = overrides.iter().map(|it| (*it).to_owned()).collect();
        let scene = Scene::parse("a.ron", &text, &with_mine(), &overrides)?;
        Ok(scene.settings::<Mine>().unwrap().clone())
    }

    #[test]
    fn a_required_setting_that_is_left_out_is_refused_with_its_place_and_meaning() {
        let said = |settings: &str| {
            let problems = mine(settings, &[]).unwrap_err();
            let lines = problems.iter().map(|it| {
                let help = it.help.clone().unwrap_or_default();
                format!(
                    "{}:{}: {}: {} | {help}",
                    it.line, it.column, it.path, it.message
                )
            });
            lines.collect::<Vec<_>>()
        };
        let task =
            "4:9: Mine.task: `Mine` needs `task`: What is to be learned | add task: text in quotes";
        let joints = "4:9: Mine.robot.joints: `Robot` needs `joints`: Its joints | add joints: a whole number at least 1";
        assert_eq!(said("times: 3"), [task, joints]);
        assert_eq!(said("task: \"hop\""), [joints]);
        let inside = joints.replace("4:9", "4:34");
        assert_eq!(said("task: \"hop\", robot: (mass: 2.0)").len(), 1);
        assert!(
            said("task: \"hop\", robot: (mass: 2.0)")[0]
                .ends_with(inside.split_once(": ").unwrap().1)
        );
        let of_spare = said("task: \"hop\", robot: (joints: 2), spare: (mass: 1.0)");
        assert!(
            of_spare[0].contains("Mine.spare.joints: `Robot` needs `joints`"),
            "{of_spare:?}"
        );
        // One that is misspelt is said once.
        assert_eq!(said("tusk: \"hop\", robot: (joints: 2)").len(), 1);
        assert_eq!(said("task: \"hop\", robot: (joints: 0)").len(), 1);
    }

    #[test]
    fn a_required_setting_may_come_from_the_command_line() {
        let given = mine(
            "robot: (mass: 2.0)",
            &["Mine.task=hop", "Mine.robot.joints=3"],
        )
        .unwrap();
        assert_eq!(
            (given.task.as_str(), given.robot.joints, given.robot.mass),
            ("hop", 3, 2.0)
        );
        assert_eq!(mine("", &["Mine.task=hop"]).unwrap_err().len(), 1);
    }

    #[test]
    fn templates_and_schemas_say_what_is_required() {
        let registry = with_mine();
        let entry = registry.entry("Mine").unwrap();
        let template = entry.scene_template();
        for line in [
            "            // What is to be learned\n            // task: .., // required: text in quotes\n",
            "                // joints: .., // required: a whole number at least 1\n",
            "            times: 0,\n",
        ] {
            assert!(template.contains(line), "{line}\n{template}");
        }
        let refused = Scene::parse("a.ron", &template, &registry, &[]).unwrap_err();
        assert_eq!(refused.len(), 2, "{refused}");
        let filled = template
            .replace("// task: ..,", "task: \"hop\",")
            .replace("// joints: ..,", "joints: 2,");
        let filled = Scene::parse("a.ron", &filled, &registry, &[]).unwrap();
        // A resolved scene has them all.
        let resolved = filled.to_ron();
        assert!(
            Scene::parse("b.ron", &resolved, &registry, &[]).is_ok(),
            "{resolved}"
        );

        let schema = entry.json_schema();
        assert_eq!(schema["required"], serde_json::json!(["task"]));
        assert!(schema["properties"]["task"].get("default").is_none());
        let robot = &schema["properties"]["robot"];
        assert_eq!(robot["required"], serde_json::json!(["joints"]));
        assert_eq!(robot["properties"]["mass"]["default"], 0.0);
        let text = entry.schema_text();
        assert!(
            text.contains("  task: text in quotes, required  // What is to be learned\n"),
            "{text}"
        );
        // Nothing of ours is required, and a name alone will do.
        let whole = registry.json_schema();
        assert!(
            whole["properties"]["plugins"]["items"]
                .get("anyOf")
                .is_none(),
            "`Mine` alone will not do"
        );
    }

    #[test]
    fn epochs_stand_beside_steps_or_in_their_place() {
        let scene = parse("(epochs: 3, plugins: [])").unwrap();
        assert_eq!((scene.steps, scene.epochs), (u64::MAX, Some(3)));
        let back = parse(&scene.to_ron()).unwrap();
        assert_eq!((back.steps, back.epochs), (u64::MAX, Some(3)));
        let both = parse("(steps: 5, epochs: 3, plugins: [])").unwrap();
        assert_eq!((both.steps, both.epochs), (5, Some(3)));
        let greatest = parse("(steps: 18446744073709551615, plugins: [])").unwrap();
        let back = parse(&greatest.to_ron()).unwrap();
        assert_eq!((back.steps, back.epochs), (u64::MAX, None));
        let refused = parse("(epochs: 0, plugins: [])").err().unwrap();
        assert!(refused.to_string().contains("at least 1"), "{refused}");
    }

    #[test]
    fn what_the_scene_leaves_out_is_filled_in_but_steps_and_plugins_are_not() {
        let scene = Scene::parse(
            "scenes/hop.ron",
            "(steps: 5, plugins: [])",
            &registry(),
            &[],
        )
        .unwrap();
        assert_eq!(
            (scene.name.as_str(), scene.seed, scene.device.as_str()),
            ("hop", 0, "cpu")
        );
        let problems = parse("Scene(name: \"a\")").unwrap_err();
        let messages: Vec<&str> = problems
            .iter()
            .map(|problem| problem.message.as_str())
            .collect();
        assert_eq!(
            messages,
            ["the scene has no `steps`", "the scene has no `plugins`"]
        );
        let given = Scene::parse(
            "a.ron",
            "(plugins: [])",
            &registry(),
            &["steps=7".to_owned()],
        );
        assert_eq!(given.unwrap().steps, 7);
    }

    #[test]
    fn mistakes_in_all_parts_of_a_scene_are_told_together_in_the_order_of_the_text() {
        let text = "Scene(
    nam: \"a\",
    seed: -1,
    seeds: [1, 2, 1],
    steps: 5,
    steps: 6,
    plugins: [
        Td3Bd(alpha: 1.0),
        Td3Bc(batch_size: 1, n_step: 2),
        Td3Bc(),
        Evaluation(evry: 3),
        \"TensorBoard\",
    ],
    order: [ Replace(Actor) ],
    Evaluation: (),
)";
        let problems = parse(text).unwrap_err();
        let told: Vec<String> = problems
            .iter()
            .map(|problem| format!("{}:{} {}", problem.line, problem.column, problem.message))
            .collect();
        assert_eq!(
            told,
            [
                "2:5 a scene has no field `nam`",
                "3:11 expected a whole number at least 0, found -1",
                "4:12 the seed 1 is given twice",
                "6:5 `steps` is given twice",
                "8:9 no plugin is called `Td3Bd`",
                "9:27 a batch needs at least n_step rows",
                "10:9 `Td3Bc` is listed twice, first in line 9",
                "11:20 no field is called `evry`",
                "12:9 expected a plugin, found \"TensorBoard\"",
                "14:14 expected Replace(Slot, with: \"step::name\"), found Replace(Actor)",
                "15:5 a scene has no field `Evaluation`",
            ]
        );
        assert!(
            problems
                .to_string()
                .ends_with("11 mistakes: nothing was started")
        );
    }

    #[test]
    fn no_mutation_of_a_scene_panics() {
        let marks = [
            "", "(", ")", "[", "]", ",", ":", "\"", "/*", "-", "1e400", "é", "None", "Some(", "\0",
        ];
        let registry = registry();
        let boundaries: Vec<usize> = WHOLE.char_indices().map(|(at, _)| at).collect();
        let mut refused = 0;
        for (step, at) in boundaries.iter().enumerate() {
            let mark = marks[step % marks.len()];
            let removed = boundaries
                .get(step + 1 + step % 7)
                .copied()
                .unwrap_or(WHOLE.len());
            for text in [
                format!("{}{mark}{}", &WHOLE[..*at], &WHOLE[*at..]),
                format!("{}{mark}{}", &WHOLE[..*at], &WHOLE[removed..]),
                WHOLE[..*at].to_owned(),
            ] {
                let override_text = WHOLE[*at..].to_owned();
                match Scene::parse("a.ron", &text, &registry, &[]) {
                    Ok(scene) => assert!(parse(&scene.to_ron()).is_ok(), "{text}"),
                    Err(problems) => {
                        refused += 1;
                        assert!(!problems.is_empty() && !problems.to_string().is_empty());
                    }
                }
                let argument = format!("Td3Bc.critic={override_text}");
                let _ = Scene::parse("a.ron", WHOLE, &registry, &[argument]);
            }
        }
        assert!(refused > 500);
    }
}
