//! `--set PATH=VALUE`: one setting of a scene, given on the command line.

use bevy_reflect::{PartialReflect, ReflectMut};
use std::path::PathBuf;

use super::bounds::Bounds;
use super::foreign_names;
use super::leaf::Leaf;
use super::nearest::suggestion;
use super::problem::Problem;
use super::read::{Reader, joined, unknown_field};
use super::setting_type::{Field, SettingType, Variant, struct_fields, variant_fields};
use super::split::split;
use super::text::{Item, Name, Node, Shape, Source};

/// One argument of `--set`, split at its first `=`.
pub(crate) struct Override {
    /// The setting, by steps: `Td3Bc`, `critic`, `weight_decay`.
    steps: Vec<String>,
    value: Source,
}

impl Override {
    /// Splits an argument.
    pub(crate) fn new(argument: &str) -> Result<Self, Box<Problem>> {
        let shown = format!("--set '{}'", super::problem::clipped(argument));
        // Messages write items as `layers[1]`, so that is a path, too.
        let split = argument
            .split_once('=')
            .map(|(path, value)| (path.replace('[', ".").replace(']', ""), value))
            .filter(|(path, _)| path.split('.').all(|step| !step.trim().is_empty()));
        let Some((path, value)) = split else {
            let help = "write PATH=VALUE, such as --set Td3Bc.alpha=1.0 or --set seed=3".to_owned();
            let message = "this names no setting and value";
            return Err(Problem::about_file(shown, message, Some(help)).into());
        };
        Ok(Self {
            steps: path.split('.').map(|step| step.trim().to_owned()).collect(),
            value: Source::argument(shown, value.trim()),
        })
    }

    /// The first step: a field of the scene, or a plugin.
    pub(crate) fn head(&self) -> &str {
        self.steps.first().map_or("", String::as_str)
    }

    /// The steps behind the first.
    pub(crate) fn tail(&self) -> &[String] {
        self.steps.get(1..).unwrap_or_default()
    }

    /// A mistake in this override.
    pub(crate) fn problem(&self, path: &str, message: String, help: Option<String>) -> Problem {
        self.value
            .problem(0..self.value.text().len(), path, message, help)
    }

    /// Follows `steps` from `value` and reads the override's value there.
    pub(crate) fn apply<'s>(
        &'s self,
        reader: &mut Reader<'s>,
        value: &mut dyn PartialReflect,
        bounds: Option<Bounds>,
        steps: &[String],
        path: &str,
    ) {
        let Some((step, rest)) = steps.split_first() else {
            return self.assign(reader, value, bounds, path);
        };
        let setting_type = value.get_represented_type_info().and_then(SettingType::of);
        if let Some(SettingType::Choice(choices)) = setting_type {
            return reader.inside_choice(choices, value, |reader, content| {
                self.apply(reader, content, bounds, steps, path);
            });
        }
        match (setting_type, value.reflect_mut()) {
            (Some(SettingType::Struct(info)), ReflectMut::Struct(value)) => {
                let fields = struct_fields(info);
                let field = fields.iter().find(|field| field.name == step.as_str());
                match field.zip(value.field_mut(step)) {
                    Some((field, value)) => {
                        let path = joined(path, step);
                        self.apply(reader, value, field.bounds, rest, &path);
                    }
                    None => {
                        let (message, help) = unknown_field(step, &fields);
                        reader.refuse(self.problem(path, message, help));
                    }
                }
            }
            (Some(SettingType::Option(_)), ReflectMut::Enum(option)) => {
                match option.field_at_mut(0) {
                    Some(content) => self.apply(reader, content, bounds, steps, path),
                    None => {
                        let help = format!("give it whole: --set '{path}=({step}: .., ..)'");
                        reader.refuse(self.problem(
                            path,
                            format!("it is None and has no `{step}`"),
                            Some(help),
                        ));
                    }
                }
            }
            (Some(SettingType::Enum(info)), ReflectMut::Enum(value)) => {
                let name = value.variant_name().to_owned();
                let fields = match info.variant(&name).map(variant_fields) {
                    Some(Variant::Struct(fields)) => fields,
                    _ => Vec::new(),
                };
                let field = fields.iter().find(|field| field.name == step.as_str());
                match field.zip(value.field_mut(step)) {
                    Some((field, value)) => {
                        let path = joined(path, step);
                        self.apply(reader, value, field.bounds, rest, &path);
                    }
                    None => {
                        let message = format!("it is `{name}`, which has no field `{step}`");
                        let help = format!("give it whole: --set '{path}=Variant({step}: .., ..)'");
                        reader.refuse(self.problem(path, message, Some(help)));
                    }
                }
            }
            (Some(SettingType::List(_)), ReflectMut::List(list)) => {
                let length = list.len();
                match index(step).and_then(|index| list.get_mut(index)) {
                    Some(item) => {
                        self.apply(reader, item, bounds, rest, &format!("{path}[{step}]"))
                    }
                    None => reader.refuse(self.no_item(step, path, length)),
                }
            }
            (Some(SettingType::Row(row)), mut value) => {
                let at = index(step);
                let item = at.and_then(|index| match &mut value {
                    ReflectMut::Tuple(value) => value.field_mut(index),
                    ReflectMut::TupleStruct(value) => value.field_mut(index),
                    ReflectMut::Array(value) => value.get_mut(index),
                    _ => None,
                });
                let own = at.and_then(|index| row.items.get(index));
                let bounds = own.and_then(|item| item.bounds).or(bounds);
                match item {
                    Some(item) => {
                        self.apply(reader, item, bounds, rest, &format!("{path}[{step}]"))
                    }
                    None => reader.refuse(self.no_item(step, path, row.items.len())),
                }
            }
            _ => {
                let message = format!("it is a single value and has no `{step}`");
                let help = format!("set the value itself: --set '{path}=..'");
                reader.refuse(self.problem(path, message, Some(help)));
            }
        }
    }

    /// The mistake of naming an item that a list or tuple does not have.
    fn no_item(&self, step: &str, path: &str, length: usize) -> Problem {
        let help = match length {
            0 => "it is empty: give it whole, in square brackets".to_owned(),
            _ => format!("its items are 0 to {}", length - 1),
        };
        self.problem(path, format!("it has no item `{step}`"), Some(help))
    }

    /// Reads the override's value into the setting that it names.
    fn assign<'s>(
        &'s self,
        reader: &mut Reader<'s>,
        value: &mut dyn PartialReflect,
        bounds: Option<Bounds>,
        path: &str,
    ) {
        let text = self.value.text();
        if !is_quoted(text) && set_bare(value, text) {
            let node = Node {
                source: &self.value,
                range: 0..text.len(),
                shape: Shape::Text,
            };
            reader.places.insert(path.to_owned(), node);
            return;
        }
        match split(&self.value) {
            Ok((node, _)) => {
                let node = as_constant(node, value);
                reader.read(&node, value, bounds.as_ref(), path);
            }
            Err(problem) => reader.refuse(Problem {
                path: path.to_owned(),
                ..*problem
            }),
        }
    }
}

/// A number as `Constant(number)` where the setting moves over training: most rates do not, and a sweep draws numbers.
fn as_constant<'s>(node: Node<'s>, value: &dyn PartialReflect) -> Node<'s> {
    const CONSTANT: &str = "Constant";
    let setting_type = value.get_represented_type_info().and_then(SettingType::of);
    let Some(SettingType::Enum(info)) = setting_type else {
        return node;
    };
    let constant = info.variant(CONSTANT).map(variant_fields);
    let holds_one = matches!(constant, Some(Variant::Tuple(items)) if items.len() == 1);
    if !holds_one || !matches!(node.shape, Shape::Number) {
        return node;
    }
    let name = Name {
        text: CONSTANT,
        range: node.range.clone(),
    };
    let items = vec![Item {
        key: None,
        value: node.clone(),
    }];
    Node {
        shape: Shape::Group {
            name: Some(name),
            items,
        },
        ..node
    }
}

fn index(step: &str) -> Option<usize> {
    step.parse().ok()
}

/// Whether a text is quoted as RON quotes it.
fn is_quoted(text: &str) -> bool {
    ["\"", "r\"", "r#"]
        .iter()
        .any(|quote| text.starts_with(quote))
}

/// Sets a text or path to bare words: shells eat quotes. `false` where the setting is no text.
fn set_bare(value: &mut dyn PartialReflect, text: &str) -> bool {
    if let Some(leaf) = value.get_represented_type_info().and_then(Leaf::of) {
        let bare = leaf.bare(text);
        return bare
            .zip(value.try_as_reflect_mut())
            .is_some_and(|(bare, value)| value.set(bare).is_ok());
    }
    if text == "None" || text.starts_with("Some(") {
        return false;
    }
    if let Some(value) = value.try_downcast_mut::<Option<String>>() {
        *value = Some(text.to_owned());
        return true;
    }
    if let Some(value) = value.try_downcast_mut::<Option<PathBuf>>() {
        *value = Some(PathBuf::from(text));
        return true;
    }
    false
}

/// The message and the help for an override whose first step is neither a field of the scene nor one of its plugins.
pub(crate) fn unknown_head(
    head: &str,
    fields: &[Field],
    plugins: &[&str],
) -> (String, Option<String>) {
    if let Some(here) = foreign_names::plugin(head).filter(|here| plugins.contains(here)) {
        return (foreign_names::is_called(head, here), None);
    }
    let foreign = foreign_names::setting(head);
    if let Some(found) = foreign.and_then(|foreign| foreign.among(fields)) {
        return found;
    }
    let message = format!("nothing in this scene is called `{head}`");
    if let Some(foreign) = foreign {
        let here = foreign.here[0];
        let help = format!("give the plugin, too, and its own name: --set PLUGIN.{here}=..");
        return (message, Some(help));
    }
    (message, unknown_head_help(head, fields, plugins))
}

fn unknown_head_help(head: &str, fields: &[Field], plugins: &[&str]) -> Option<String> {
    let names: Vec<&str> = fields
        .iter()
        .map(|field| field.name)
        .chain(plugins.iter().copied())
        .collect();
    suggestion(
        head,
        names.iter().copied(),
        "settings of this scene and its plugins",
    )
}

#[cfg(test)]
mod tests {
    use crate::scene::Scene;
    use crate::scene::problem::Problems;
    use crate::scene::test_settings::{Activation, Evaluation, Rate, Td3Bc, registry};

    const SCENE: &str = "Scene(name: \"a\", steps: 10, plugins: [
        Td3Bc(alpha: 2.0, critic: (weight_decay: 0.5, learning_rate: Multistep(initial: 1.0, decay_factor: 0.5, epoch_schedule: []))),
        Evaluation(),
    ])";

    fn set(overrides: &[&str]) -> Result<Scene, Problems> {
        let overrides: Vec<String> = overrides.iter().map(|text| text.to_string()).collect();
        Scene::parse("a.ron", SCENE, &registry(), &overrides)
    }

    fn refused(argument: &str) -> String {
        set(&[argument])
            .unwrap_err()
            .iter()
            .next()
            .unwrap()
            .to_string()
    }

    #[test]
    fn any_value_at_any_depth_can_be_overridden() {
        let scene = set(&[
            "Td3Bc.alpha=1.0",
            "seed=3",
            "steps=20_000",
            "seeds=[0, 1]",
            "name=a sweep",
            "Td3Bc.critic.layers=[64,64]",
            "Td3Bc.critic.layers.1=32",
            "Td3Bc.critic.learning_rate.initial=2.0",
            "Td3Bc.actor.learning_rate=1e-3",
            "Td3Bc.actor.activation=Tanh",
            "Td3Bc.actor.limits.0=-3",
            "Td3Bc.critic.value_bounds=(0, 1)",
            "Td3Bc.critic.value_bounds.1=2",
            "Td3Bc.critic.start_epoch=4",
            "Evaluation.env=Hopper-v5",
            "Evaluation.scores=a b/c.json",
            "Evaluation.record=true",
        ])
        .unwrap();
        let td3 = scene.settings::<Td3Bc>().unwrap();
        assert_eq!((td3.alpha, td3.critic.weight_decay), (1.0, 0.5));
        assert_eq!(
            (scene.seed, scene.steps, scene.name.as_str()),
            (3, 20_000, "a sweep")
        );
        assert_eq!(scene.seeds, [0, 1]);
        assert_eq!(td3.critic.layers, [64, 32]);
        assert!(matches!(
            td3.critic.learning_rate,
            Rate::Multistep { initial: 2.0, .. }
        ));
        assert_eq!(td3.actor.learning_rate, Rate::Constant(1e-3));
        assert_eq!(td3.actor.activation, Activation::Tanh);
        assert_eq!(td3.actor.limits, [-3.0, 1.0]);
        assert_eq!(
            (td3.critic.value_bounds, td3.critic.start_epoch),
            (Some((0.0, 2.0)), Some(4))
        );
        let evaluation = scene.settings::<Evaluation>().unwrap();
        assert_eq!(evaluation.env, "Hopper-v5");
        assert_eq!(evaluation.scores.as_deref(), Some("a b/c.json".as_ref()));
        assert!(evaluation.record);
    }

    #[test]
    fn texts_may_be_quoted_and_options_emptied() {
        let scene = set(&["Evaluation.env=\"A b\"", "Evaluation.scores=None", "name=3"]).unwrap();
        assert_eq!(scene.settings::<Evaluation>().unwrap().env, "A b");
        assert_eq!(scene.settings::<Evaluation>().unwrap().scores, None);
        assert_eq!(scene.name, "3");
    }

    #[test]
    fn a_group_of_fields_is_merged_into_what_the_scene_says() {
        let scene = set(&["Td3Bc.critic=(layers: [8])"]).unwrap();
        let critic = &scene.settings::<Td3Bc>().unwrap().critic;
        assert_eq!(
            (critic.weight_decay, critic.layers.as_slice()),
            (0.5, [8].as_slice())
        );
    }

    #[test]
    fn a_mistake_names_the_override_and_the_nearest_setting() {
        for (argument, message) in [
            (
                "Td3Bc.alhpa=1",
                "--set 'Td3Bc.alhpa=1': error: Td3Bc: no field is called `alhpa`\nhelp: did you mean `alpha`? the fields are: alpha, discount, n_step, batch_size, critic, actor",
            ),
            (
                "Td3Bc.alpha=-1",
                "--set 'Td3Bc.alpha=-1': error: Td3Bc.alpha: expected a number at least 0, found -1",
            ),
            (
                "Td3Bc.batch_size=",
                "--set 'Td3Bc.batch_size=': error: Td3Bc.batch_size: the text ends where a value should be",
            ),
            (
                "Td3Bc.alpha.x=1",
                "--set 'Td3Bc.alpha.x=1': error: Td3Bc.alpha: it is a single value and has no `x`\nhelp: set the value itself: --set 'Td3Bc.alpha=..'",
            ),
            (
                "Td3Bc.critic.layers.9=1",
                "--set 'Td3Bc.critic.layers.9=1': error: Td3Bc.critic.layers: it has no item `9`\nhelp: its items are 0 to 1",
            ),
            (
                "Td3Bc.actor.dropout.scale=1",
                "--set 'Td3Bc.actor.dropout.scale=1': error: Td3Bc.actor.dropout: it is None and has no `scale`\nhelp: give it whole: --set 'Td3Bc.actor.dropout=(scale: .., ..)'",
            ),
            (
                "Td3Bc.critic.learning_rate.warm_up=1",
                "--set 'Td3Bc.critic.learning_rate.warm_up=1': error: Td3Bc.critic.learning_rate: it is `Multistep`, which has no field `warm_up`\nhelp: give it whole: --set 'Td3Bc.critic.learning_rate=Variant(warm_up: .., ..)'",
            ),
            (
                "Td3Bc",
                "--set 'Td3Bc': error: this names no setting and value\nhelp: write PATH=VALUE, such as --set Td3Bc.alpha=1.0 or --set seed=3",
            ),
            (
                "=1",
                "--set '=1': error: this names no setting and value\nhelp: write PATH=VALUE, such as --set Td3Bc.alpha=1.0 or --set seed=3",
            ),
            (
                "steps=0",
                "--set 'steps=0': error: steps: expected a whole number at least 1, found 0",
            ),
            (
                "sede=1",
                "--set 'sede=1': error: nothing in this scene is called `sede`\nhelp: did you mean `seed`? the settings of this scene and its plugins are: name, seed, device, steps, epochs, seeds, Td3Bc, Evaluation",
            ),
            (
                "TensorBoard.x=1",
                "--set 'TensorBoard.x=1': error: the plugin `TensorBoard` is not in this scene\nhelp: the plugins in it are: Td3Bc, Evaluation",
            ),
            (
                "plugins=[]",
                "--set 'plugins=[]': error: `plugins` cannot be set as a whole\nhelp: name a plugin's setting, such as --set Td3Bc.alpha=1.0, or change the scene",
            ),
            (
                "Td3Bc.batch_size=[1",
                "--set 'Td3Bc.batch_size=[1': error: Td3Bc.batch_size: this `[` is never closed\nhelp: close it with `]`",
            ),
        ] {
            assert_eq!(refused(argument), message);
        }
    }

    #[test]
    fn a_contradiction_that_an_override_makes_is_told_at_the_override() {
        let problems = set(&["Td3Bc.n_step=300", "Td3Bc.batch_size=200"]).unwrap_err();
        let problem = problems.iter().next().unwrap();
        assert_eq!(problem.file, "--set 'Td3Bc.batch_size=200'");
        assert_eq!(problem.message, "a batch needs at least n_step rows");
    }
}
