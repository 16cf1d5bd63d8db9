//! What differs between two resolved scenes, setting by setting.

use bevy_reflect::enums::VariantType;
use bevy_reflect::{PartialReflect, ReflectRef};

use super::choice::{content, name_of};
use super::read::joined;
use super::template::one_line;

/// Adds a line for each setting below `path` that differs: `Td3Bc.alpha: 2.5 -> 1.0`.
pub(crate) fn differences(
    path: &str,
    before: &dyn PartialReflect,
    after: &dyn PartialReflect,
    lines: &mut Vec<String>,
) {
    if let (Some((_, old)), Some((_, new))) = (content(before), content(after))
        && name_of(old) == name_of(new)
    {
        return differences(
            path,
            old.as_partial_reflect(),
            new.as_partial_reflect(),
            lines,
        );
    }
    let chosen = content(before).is_some();
    match (before.reflect_ref(), after.reflect_ref()) {
        _ if chosen => line(path, &one_line(before), &one_line(after), lines),
        (ReflectRef::Struct(before), ReflectRef::Struct(after)) => {
            for index in 0..before.field_len() {
                if let (Some(name), Some(old), Some(new)) = (
                    before.name_at(index),
                    before.field_at(index),
                    after.field_at(index),
                ) {
                    differences(&joined(path, name), old, new, lines);
                }
            }
        }
        (ReflectRef::Enum(before), ReflectRef::Enum(after))
            if before.variant_name() == after.variant_name()
                && before.variant_type() != VariantType::Unit =>
        {
            for index in 0..before.field_len() {
                if let (Some(old), Some(new)) = (before.field_at(index), after.field_at(index)) {
                    let path = match before.name_at(index) {
                        Some(name) => joined(path, name),
                        None => path.to_owned(),
                    };
                    differences(&path, old, new, lines);
                }
            }
        }
        _ => line(path, &one_line(before), &one_line(after), lines),
    }
}

/// Adds a line where two texts differ.
pub(crate) fn line(path: &str, before: &str, after: &str, lines: &mut Vec<String>) {
    if before != after {
        lines.push(format!("{path}: {before} -> {after}"));
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
}
