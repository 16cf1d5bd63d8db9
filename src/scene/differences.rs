//! What differs between resolved scenes, setting by setting.

use bevy_reflect::enums::VariantType;
use bevy_reflect::{PartialReflect, ReflectRef};

use super::choice::{content, name_of};
use super::document::Scene;
use super::leaf::quoted;
use super::order::OrderEdit;
use super::read::joined;
use super::template::one_line;

/// A setting that is not the same in several scenes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Its path, such as `Td3Bc.alpha`.
    pub path: String,
    /// Its value in each scene, as RON on one line.
    pub values: Vec<String>,
}

impl Scene {
    /// What is not the same in all of `scenes`, setting by setting, in the order of the first: the scenes' own fields, the settings of
    /// the plugins, and which plugins and edits there are. Nothing of fewer than two scenes.
    ///
    /// ```
    /// use yarak::scene::{Scene, SceneRegistry};
    ///
    /// let read = |steps| {
    ///     let text = format!("Scene(name: \"a\", steps: {steps}, plugins: [])");
    ///     Scene::parse("a.ron", &text, &SceneRegistry::new(), &[])
    /// };
    /// let differences = Scene::compare(&[&read(10)?, &read(10)?, &read(20)?]);
    /// assert_eq!(differences.len(), 1);
    /// assert_eq!(differences[0].path, "steps");
    /// assert_eq!(differences[0].values, ["10", "10", "20"]);
    /// # Ok::<(), yarak::scene::Problems>(())
    /// ```
    pub fn compare(scenes: &[&Scene]) -> Vec<Difference> {
        let mut found = Found(Vec::new());
        let mut of_all = |path: &str, value: fn(&Scene) -> String| {
            found.note(path, scenes.iter().map(|scene| value(scene)).collect());
        };
        of_all("name", |scene| quoted(&scene.name));
        of_all("seed", |scene| scene.seed.to_string());
        of_all("device", |scene| quoted(&scene.device));
        of_all("steps", |scene| match scene.steps {
            u64::MAX => "None".to_owned(),
            steps => steps.to_string(),
        });
        of_all("epochs", |scene| match scene.epochs {
            None => "None".to_owned(),
            Some(epochs) => epochs.to_string(),
        });
        of_all("seeds", |scene| one_line(&scene.seeds));
        let mut names: Vec<&str> = Vec::new();
        for plugin in scenes.iter().flat_map(|scene| &scene.plugins) {
            if !names.contains(&plugin.scene_name()) {
                names.push(plugin.scene_name());
            }
        }
        for name in &names {
            let settings = scenes.iter().map(|scene| {
                let plugin = scene.plugin(name)?;
                Some(plugin.as_reflected().as_partial_reflect())
            });
            let settings: Vec<Option<&dyn PartialReflect>> = settings.collect();
            let there = settings.iter().map(|settings| match settings {
                Some(_) => "in the scene".to_owned(),
                None => "not in the scene".to_owned(),
            });
            found.note(name, there.collect());
            let there: Vec<_> = settings.iter().flatten().copied().collect();
            let mut of_those = Found(Vec::new());
            of_those.compare(name, &there);
            // Scenes without the plugin have a dash in its settings' rows.
            found.0.extend(of_those.0.into_iter().map(|difference| {
                let mut values = difference.values.into_iter();
                let values = settings.iter().map(|settings| match settings {
                    Some(_) => values.next().unwrap_or_default(),
                    None => "–".to_owned(),
                });
                Difference {
                    path: difference.path,
                    values: values.collect(),
                }
            }));
        }
        names.retain(|name| scenes.iter().all(|scene| scene.plugin(name).is_some()));
        let shared = scenes.iter().map(|scene| {
            let own = scene.plugins.iter().map(|plugin| plugin.scene_name());
            let shared: Vec<&str> = own.filter(|name| names.contains(name)).collect();
            format!("[{}]", shared.join(", "))
        });
        found.note("plugins", shared.collect());
        let edits = scenes.iter().map(|scene| {
            let edits: Vec<String> = scene.order.iter().map(OrderEdit::to_string).collect();
            format!("[{}]", edits.join(", "))
        });
        found.note("order", edits.collect());
        found.0
    }
}

/// The differences so far.
struct Found(Vec<Difference>);

impl Found {
    fn note(&mut self, path: &str, values: Vec<String>) {
        if values.iter().any(|value| *value != values[0]) {
            self.0.push(Difference {
                path: path.to_owned(),
                values,
            });
        }
    }

    /// Adds each setting below `path` that is not the same in all `values`, which are of one type.
    fn compare(&mut self, path: &str, values: &[&dyn PartialReflect]) {
        let contents: Option<Vec<_>> = values.iter().map(|value| content(*value)).collect();
        if let Some(contents) = &contents {
            let names = contents.iter().map(|(_, content)| name_of(*content));
            if all_equal(names) {
                let contents = contents.iter().map(|(_, it)| it.as_partial_reflect());
                return self.compare(path, &contents.collect::<Vec<_>>());
            }
        } else if let Some(fields) = fields(values[0]).filter(|_| have_the_same_fields(values)) {
            for (index, name) in fields.into_iter().enumerate() {
                let values: Option<Vec<_>> = values.iter().map(|it| field(*it, index)).collect();
                let path = match name {
                    Some(name) => joined(path, &name),
                    None => path.to_owned(),
                };
                if let Some(values) = values {
                    self.compare(&path, &values);
                }
            }
            return;
        }
        self.note(path, values.iter().map(|value| one_line(*value)).collect());
    }
}

fn all_equal<T: PartialEq>(mut items: impl Iterator<Item = T>) -> bool {
    let first = items.next();
    items.all(|item| Some(&item) == first.as_ref())
}

/// The names of what a value is compared by; `None` for one that is compared as a whole. Fields of a tuple variant have no names.
fn fields(value: &dyn PartialReflect) -> Option<Vec<Option<String>>> {
    match value.reflect_ref() {
        ReflectRef::Struct(it) => {
            let names = (0..it.field_len()).map(|index| it.name_at(index).map(str::to_owned));
            Some(names.collect())
        }
        ReflectRef::Enum(it) if it.variant_type() != VariantType::Unit => {
            let names = (0..it.field_len()).map(|index| it.name_at(index).map(str::to_owned));
            Some(names.collect())
        }
        _ => None,
    }
}

/// Values of one type have the same fields, unless they are different variants.
fn have_the_same_fields(values: &[&dyn PartialReflect]) -> bool {
    all_equal(values.iter().map(|value| match value.reflect_ref() {
        ReflectRef::Enum(value) => Some(value.variant_name().to_owned()),
        _ => None,
    }))
}

fn field(value: &dyn PartialReflect, index: usize) -> Option<&dyn PartialReflect> {
    match value.reflect_ref() {
        ReflectRef::Struct(it) => it.field_at(index),
        ReflectRef::Enum(it) => it.field_at(index),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::scene::Scene;
    use crate::scene::test_settings::registry;

    fn scene(plugins: &str, more: &str) -> Scene {
        let text = format!("Scene(name: \"a\", steps: 1, plugins: [{plugins}], {more})");
        Scene::parse("a.ron", &text, &registry(), &[]).unwrap()
    }

    #[test]
    fn each_changed_setting_is_told_with_both_values_and_steps_are_not() {
        let before = scene("Td3Bc(actor: (dropout: (scale: 1)))", "seed: 1");
        let mut after = scene(
            "Td3Bc(alpha: 1, critic: (learning_rate: Constant(1.0), layers: [1], start_epoch: 2), actor: (learning_rate: Constant(0.5), dropout: (scale: 2)))",
            "seed: 2",
        );
        after.steps = 100;
        assert_eq!(
            before.differences(&after),
            [
                "seed: 1 -> 2",
                "Td3Bc.alpha: 2.5 -> 1.0",
                "Td3Bc.critic.learning_rate: 0.0003 -> 1.0",
                "Td3Bc.critic.start_epoch: None -> 2",
                "Td3Bc.critic.layers: [256, 256] -> [1]",
                "Td3Bc.actor.learning_rate: Cosine(initial: 0.001, steps: 1000000, warm_up: None) -> Constant(0.5)",
                "Td3Bc.actor.dropout.scale: 1.0 -> 2.0",
            ]
        );
    }

    #[test]
    fn plugins_that_came_went_or_moved_and_another_order_are_told() {
        let before = scene("Td3Bc(), Evaluation()", "");
        let after = scene("TensorBoard(), Td3Bc()", "order: [Remove(Measure)]");
        assert_eq!(
            before.differences(&after),
            [
                "Evaluation: in the scene -> not in the scene",
                "TensorBoard: not in the scene -> in the scene",
                "order: [] -> [Remove(Measure)]",
            ]
        );
        let moved = scene("Evaluation(), Td3Bc()", "");
        assert_eq!(
            before.differences(&moved),
            ["plugins: [Td3Bc, Evaluation] -> [Evaluation, Td3Bc]"]
        );
        assert!(before.differences(&before.clone()).is_empty());
    }

    #[test]
    fn several_scenes_are_compared_at_once() {
        let scenes = [
            scene("Td3Bc(alpha: 1), Evaluation()", "seed: 1"),
            scene("Td3Bc(alpha: 2, critic: (layers: [1]))", "seed: 1"),
            scene("Td3Bc(alpha: 1)", "seed: 1"),
        ];
        let differences = Scene::compare(&[&scenes[0], &scenes[1], &scenes[2]]);
        let found: Vec<(&str, String)> = differences
            .iter()
            .map(|it| (it.path.as_str(), it.values.join(" | ")))
            .collect();
        assert_eq!(
            found,
            [
                ("Td3Bc.alpha", "1.0 | 2.0 | 1.0".to_owned()),
                (
                    "Td3Bc.critic.layers",
                    "[256, 256] | [1] | [256, 256]".to_owned()
                ),
                (
                    "Evaluation",
                    "in the scene | not in the scene | not in the scene".to_owned()
                ),
            ]
        );
        assert!(Scene::compare(&[&scenes[0]]).is_empty() && Scene::compare(&[]).is_empty());
    }
}
