//! Builds values that have no default to start from: what lists, options and enum variants hold.

use bevy_reflect::array::DynamicArray;
use bevy_reflect::enums::{DynamicEnum, DynamicVariant, EnumInfo};
use bevy_reflect::list::DynamicList;
use bevy_reflect::prelude::ReflectDefault;
use bevy_reflect::structs::DynamicStruct;
use bevy_reflect::tuple::DynamicTuple;
use bevy_reflect::tuple_struct::DynamicTupleStruct;
use bevy_reflect::{PartialReflect, TypeInfo};

use super::bounds::Bounds;
use super::leaf::Leaf;
use super::nearest::suggestion;
use super::read::{Reader, item_path, joined};
use super::setting_type::{
    Field, Row, SettingType, Variant, expected, struct_fields, type_name, variant_fields,
    variant_pattern,
};
use super::text::{Node, Shape};

/// A value under construction; `None` where a mistake was reported instead.
pub(super) type Built = Option<Box<dyn PartialReflect>>;

impl<'s> Reader<'s> {
    /// Makes a value out of nothing but its node: the content of lists, options and variants.
    pub(super) fn build(
        &mut self,
        node: &Node<'s>,
        info: &'static TypeInfo,
        bounds: Option<&Bounds>,
        path: &str,
    ) -> Built {
        self.places.insert(path.to_owned(), node.clone());
        let Some(setting_type) = SettingType::of(info) else {
            let message = format!("a {} cannot be in a scene", type_name(info));
            self.refuse_node(node, path, message, None);
            return None;
        };
        match setting_type {
            SettingType::Leaf(leaf) => self.leaf(node, info, leaf, bounds, path),
            SettingType::Option(content) => self.build_option(node, info, content, bounds, path),
            SettingType::List(item) => self.build_list(node, info, item, bounds, path),
            SettingType::Row(row) => self.build_row(node, info, &row, bounds, path),
            SettingType::Enum(variants) => self.build_enum(node, info, variants, bounds, path),
            SettingType::Choice(_) => {
                let default = self.types.get_type_data::<ReflectDefault>(info.type_id());
                let mut value = default.map(ReflectDefault::default)?;
                self.read(node, value.as_partial_reflect_mut(), bounds, path);
                Some(value.into_partial_reflect())
            }
            SettingType::Struct(fields) => {
                let fields = struct_fields(fields);
                let default = self
                    .types
                    .get_type_data::<ReflectDefault>(info.type_id())
                    .map(ReflectDefault::default);
                if let Some(mut value) = default {
                    self.read(node, value.as_partial_reflect_mut(), bounds, path);
                    return Some(value.into_partial_reflect());
                }
                let mut value = self.build_fields(node, type_name(info), &fields, path)?;
                value.set_represented_type(Some(info));
                Some(Box::new(value))
            }
        }
    }

    fn leaf(
        &mut self,
        node: &Node<'s>,
        info: &'static TypeInfo,
        leaf: Leaf,
        bounds: Option<&Bounds>,
        path: &str,
    ) -> Built {
        if let Some(value) = leaf.read(node, bounds) {
            return Some(value.into_partial_reflect());
        }
        let mut help = None;
        if leaf.is_text() && matches!(node.shape, Shape::Name(_) | Shape::Number) {
            help = Some(format!("text needs quotes: \"{}\"", node.found()));
        } else if matches!(node.shape, Shape::Number) {
            help = limit_of_type(leaf, node);
        } else if matches!(
            (leaf, &node.shape),
            (Leaf::Bool, Shape::Name("True" | "False"))
        ) {
            help = Some(format!("write `{}`", node.text().to_lowercase()));
        }
        self.wrong(node, info, bounds, path, help);
        None
    }

    fn build_option(
        &mut self,
        node: &Node<'s>,
        info: &'static TypeInfo,
        content: &'static TypeInfo,
        bounds: Option<&Bounds>,
        path: &str,
    ) -> Built {
        if matches!(node.shape, Shape::Name("None")) {
            return Some(none());
        }
        let node = self.content_of_some(node);
        let content = match Leaf::of(content) {
            // A mistake says that `None` is possible, too.
            Some(leaf) => self.leaf(&node, info, leaf, bounds, path)?,
            None => self.build(&node, content, bounds, path)?,
        };
        let mut tuple = DynamicTuple::default();
        tuple.insert_boxed(content);
        Some(Box::new(DynamicEnum::new(
            "Some",
            DynamicVariant::Tuple(tuple),
        )))
    }

    fn build_list(
        &mut self,
        node: &Node<'s>,
        info: &'static TypeInfo,
        item: &'static TypeInfo,
        bounds: Option<&Bounds>,
        path: &str,
    ) -> Built {
        let Shape::List(nodes) = &node.shape else {
            let help = match &node.shape {
                Shape::Group { name: None, .. } => {
                    Some("a list goes in square brackets".to_owned())
                }
                Shape::Number | Shape::Text => Some(format!("a list of one is [{}]", node.found())),
                _ => None,
            };
            self.wrong(node, info, bounds, path, help);
            return None;
        };
        let mut list = DynamicList::default();
        let mut complete = true;
        for (index, node) in nodes.iter().enumerate() {
            match self.build(node, item, bounds, &format!("{path}[{index}]")) {
                Some(value) => list.push_box(value),
                None => complete = false,
            }
        }
        list.set_represented_type(Some(info));
        complete.then(|| Box::new(list) as _)
    }

    fn build_row(
        &mut self,
        node: &Node<'s>,
        info: &'static TypeInfo,
        row: &Row,
        bounds: Option<&Bounds>,
        path: &str,
    ) -> Built {
        let nodes = self.row(node, info, row, bounds, path)?;
        let mut values = Vec::new();
        for (index, (node, item)) in nodes.iter().zip(&row.items).enumerate() {
            let path = item_path(path, index, nodes.len());
            values.push(self.build(node, item.info, item.bounds.as_ref().or(bounds), &path));
        }
        let values: Vec<_> = values.into_iter().collect::<Option<_>>()?;
        Some(match info {
            TypeInfo::Array(_) => {
                let mut array = DynamicArray::new(values.into());
                array.set_represented_type(Some(info));
                Box::new(array)
            }
            TypeInfo::TupleStruct(_) => {
                let mut tuple = DynamicTupleStruct::default();
                values
                    .into_iter()
                    .for_each(|value| tuple.insert_boxed(value));
                tuple.set_represented_type(Some(info));
                Box::new(tuple)
            }
            _ => {
                let mut tuple = DynamicTuple::default();
                values
                    .into_iter()
                    .for_each(|value| tuple.insert_boxed(value));
                tuple.set_represented_type(Some(info));
                Box::new(tuple)
            }
        })
    }

    fn build_enum(
        &mut self,
        node: &Node<'s>,
        info: &'static TypeInfo,
        variants: &'static EnumInfo,
        bounds: Option<&Bounds>,
        path: &str,
    ) -> Built {
        let (written, items) = match &node.shape {
            Shape::Name(name) => (*name, None),
            Shape::Group {
                name: Some(name),
                items,
            } => (name.text, Some(items)),
            _ => {
                let help = variant_around(variants, node);
                self.wrong(node, info, bounds, path, help);
                return None;
            }
        };
        let Some(variant) = variants.variant(written) else {
            let message = format!("{} has no variant `{written}`", type_name(info));
            let help = suggestion(
                written,
                variants.iter().map(|variant| variant.name()),
                "variants",
            );
            self.refuse_node(node, path, message, help);
            return None;
        };
        let content = match (variant_fields(variant), items) {
            (Variant::Unit, None) => DynamicVariant::Unit,
            (Variant::Unit, Some(items)) if items.is_empty() => DynamicVariant::Unit,
            (Variant::Struct(fields), _) => {
                DynamicVariant::Struct(self.build_fields(node, variant.name(), &fields, path)?)
            }
            (Variant::Tuple(fields), Some(items)) => {
                let nodes: Option<Vec<Node>> = if items.iter().all(|item| item.key.is_none()) {
                    Some(items.iter().map(|item| item.value.clone()).collect())
                } else {
                    None
                };
                let nodes = match nodes {
                    Some(nodes) if nodes.len() == fields.len() => nodes,
                    _ if fields.len() == 1 && self.unwraps_variants() => vec![Node {
                        shape: Shape::Group {
                            name: None,
                            items: items.clone(),
                        },
                        ..node.clone()
                    }],
                    _ => return self.wrong_pattern(node, variant_pattern(variant), path),
                };
                let mut tuple = DynamicTuple::default();
                let mut complete = true;
                for (index, (node, field)) in nodes.iter().zip(&fields).enumerate() {
                    let path = item_path(path, index, fields.len());
                    match self.build(node, field.info, field.bounds.as_ref().or(bounds), &path) {
                        Some(value) => tuple.insert_boxed(value),
                        None => complete = false,
                    }
                }
                if !complete {
                    return None;
                }
                DynamicVariant::Tuple(tuple)
            }
            _ => return self.wrong_pattern(node, variant_pattern(variant), path),
        };
        let mut value = DynamicEnum::new(written, content);
        value.set_represented_type(Some(info));
        Some(Box::new(value))
    }

    fn wrong_pattern(&mut self, node: &Node<'s>, pattern: String, path: &str) -> Built {
        let message = format!("expected {pattern}, found {}", node.found());
        self.refuse_node(node, path, message, None);
        None
    }

    /// Named fields of which nothing has a default: all must be given, but for options.
    fn build_fields(
        &mut self,
        node: &Node<'s>,
        name: &'static str,
        fields: &[Field],
        path: &str,
    ) -> Option<DynamicStruct> {
        let before = self.problems.len();
        let given = self.named(node, name, fields, path);
        let shaped = self.problems.len() == before || !given.is_empty();
        let mut value = DynamicStruct::default();
        for field in fields {
            let path = joined(path, field.name);
            let node_of_field = given.iter().find(|(known, _)| known.name == field.name);
            if let Some((_, node)) = node_of_field {
                if let Some(built) = self.build(node, field.info, field.bounds.as_ref(), &path) {
                    value.insert_boxed(field.name, built);
                }
            } else if field.is_option() {
                value.insert_boxed(field.name, none());
            } else if shaped {
                let message = format!("`{name}` needs `{}`", field.name);
                let help = format!(
                    "add {}: {}",
                    field.name,
                    expected(field.info, field.bounds.as_ref())
                );
                self.refuse_node(node, &path, message, Some(help));
            }
        }
        (self.problems.len() == before).then_some(value)
    }
}

/// `None` of any `Option`.
fn none() -> Box<dyn PartialReflect> {
    Box::new(DynamicEnum::new("None", DynamicVariant::Unit))
}

/// Help for a value where an enum should be: the variant that would take it, or the name without its quotes.
fn variant_around(variants: &'static EnumInfo, node: &Node) -> Option<String> {
    if matches!(node.shape, Shape::Text) {
        let name = node.text().trim_matches('"');
        return variants
            .contains_variant(name)
            .then(|| format!("write `{name}` without quotes"));
    }
    variants.iter().find_map(|variant| {
        let Variant::Tuple(fields) = variant_fields(variant) else {
            return None;
        };
        let [field] = fields.as_slice() else {
            return None;
        };
        let leaf = Leaf::of(field.info)?;
        leaf.read(node, field.bounds.as_ref())?;
        Some(format!(
            "did you mean `{}({})`?",
            variant.name(),
            node.found()
        ))
    })
}

/// For a number that fits the bounds but not the type: the type's limits.
fn limit_of_type(leaf: Leaf, node: &Node) -> Option<String> {
    let value: f64 = ron::from_str(node.text()).ok()?;
    match leaf {
        Leaf::F32 if value.abs() > f64::from(f32::MAX) => {
            Some(format!("the largest 32-bit number is {:e}", f32::MAX))
        }
        Leaf::Whole(whole) => {
            let (least, most) = whole.limits();
            if value.fract() != 0.0 {
                None
            } else if value > most as f64 {
                Some(format!("the largest value is {most}"))
            } else if least < 0 && value < least as f64 {
                Some(format!("the smallest value is {least}"))
            } else if node.text().contains(['.', 'e', 'E']) && value.abs() < 1e15 {
                Some(format!("write {value} without a point or exponent"))
            } else {
                None
            }
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::scene::test_settings::{Activation, Noise, Rate, messages, read_td3_bc as read};

    #[test]
    fn a_shorter_list_replaces_a_longer_one() {
        assert!(
            read("Td3Bc(critic: (layers: []))")
                .unwrap()
                .critic
                .layers
                .is_empty()
        );
    }

    #[test]
    fn options_are_read_with_and_without_some() {
        let text = "Td3Bc(critic: (start_epoch: 3, value_bounds: Some((-1, 2.5))))";
        let critic = read(text).unwrap().critic;
        assert_eq!(critic.start_epoch, Some(3));
        assert_eq!(critic.value_bounds, Some((-1.0, 2.5)));
        let critic = read("Td3Bc(critic: (start_epoch: None, value_bounds: (0, 1)))")
            .unwrap()
            .critic;
        assert_eq!(
            (critic.start_epoch, critic.value_bounds),
            (None, Some((0.0, 1.0)))
        );
    }

    #[test]
    fn every_kind_of_variant_is_read() {
        let read = read("Td3Bc(
            critic: (learning_rate: Multistep(initial: 1e-3, decay_factor: 0.1, epoch_schedule: [3, 5])),
            actor: (learning_rate: Constant(1e-4), activation: Tanh),
        )").unwrap();
        assert_eq!(read.actor.learning_rate, Rate::Constant(1e-4));
        assert_eq!(read.actor.activation, Activation::Tanh);
        let Rate::Multistep { epoch_schedule, .. } = read.critic.learning_rate else {
            panic!("expected Multistep");
        };
        assert_eq!(epoch_schedule, [3, 5]);
    }

    #[test]
    fn optional_fields_of_a_variant_may_be_left_out_and_others_not() {
        let text = "Td3Bc(actor: (learning_rate: Cosine(initial: 1.0, steps: 7)))";
        let rate = read(text).unwrap().actor.learning_rate;
        assert_eq!(
            rate,
            Rate::Cosine {
                initial: 1.0,
                steps: 7,
                warm_up: None
            }
        );
        assert_eq!(
            messages("Td3Bc(actor: (learning_rate: Linear(initial: 1.0)))"),
            ["Td3Bc.actor.learning_rate.last: `Linear` needs `last` | add last: a number"]
        );
    }

    #[test]
    fn structs_in_lists_and_options_are_partial_where_their_type_has_a_default() {
        let read =
            read("Td3Bc(actor: (noise: [(scale: 0.3), ()], dropout: (clip: None)))").unwrap();
        let usual = Noise::default();
        let first = Noise {
            scale: 0.3,
            ..usual.clone()
        };
        let dropout = Noise {
            clip: None,
            ..usual.clone()
        };
        assert_eq!(read.actor.noise, [first, usual]);
        assert_eq!(read.actor.dropout, Some(dropout));
    }

    #[test]
    fn arrays_take_round_and_square_brackets() {
        assert_eq!(
            read("Td3Bc(actor: (limits: [-2, 2]))")
                .unwrap()
                .actor
                .limits,
            [-2.0, 2.0]
        );
        assert_eq!(
            read("Td3Bc(actor: (limits: (0, 1)))").unwrap().actor.limits,
            [0.0, 1.0]
        );
        assert_eq!(
            messages("Td3Bc(actor: (limits: [0]))"),
            [
                "Td3Bc.actor.limits: expected (a number, a number), found [0] | 2 values are needed, here are 1"
            ]
        );
    }

    #[test]
    fn help_names_what_was_probably_meant() {
        let help = |text: &str| messages(text).remove(0);
        assert!(
            help("Td3Bc(critic: (learning_rate: 3e-4))")
                .ends_with("did you mean `Constant(3e-4)`?")
        );
        assert!(
            help("Td3Bc(actor: (activation: \"Relu\"))").ends_with("write `Relu` without quotes")
        );
        assert!(
            help("Td3Bc(learning_rate: Constant(1.0))")
                .contains("it belongs further in: `critic: (learning_rate: ..)` or `actor: ")
        );
        assert!(help("Td3Bc(critic: (layers: 64))").ends_with("a list of one is [64]"));
        assert!(
            help("Td3Bc(critic: (start_epoch: 5_000_000_000))")
                .ends_with("the largest value is 4294967295")
        );
        assert!(help("Td3Bc(alpha: 1e40)").ends_with("the largest 32-bit number is 3.4028235e38"));
        assert!(
            help("Td3Bc(batch_size: 256.0)").ends_with("write 256 without a point or exponent")
        );
        assert!(help("Td3Bc(actor: (activation: Rleu))").contains("did you mean `Relu`?"));
        assert!(
            help("Td3Bc(critic: Actor(weight_decay: 1))")
                .contains("expected CriticSettings(field: value, ..)")
        );
        assert!(
            help("Td3Bc(critic: {\"weight_decay\": 1})")
                .contains("expected CriticSettings(field: value, ..)")
        );
        assert!(help("Td3Bc(2.5)").contains("Td3Bc has named fields, found 2.5"));
    }
}
