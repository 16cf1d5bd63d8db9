//! Reads values of a scene into settings, by reflection, and collects every mistake with its place.

use std::collections::HashMap;

use bevy_reflect::prelude::ReflectFromReflect;
use bevy_reflect::structs::Struct;
use bevy_reflect::{PartialReflect, ReflectMut, TypeInfo, TypeRegistry};
use ron::extensions::Extensions;

use super::bounds::Bounds;
use super::foreign_names;
use super::nearest::{nearest, suggestion};
use super::problem::{Problem, Problems};
use super::setting_type::{Field, Row, SettingType, expected, struct_fields, type_name};
use super::template::first_sentence;
use super::text::{Item, Node, Shape};

/// Reads nodes into values and keeps the mistakes, and where each setting was written.
pub(crate) struct Reader<'s> {
    pub(super) types: &'s TypeRegistry,
    pub(crate) problems: Problems,
    pub(crate) places: HashMap<String, Node<'s>>,
    pub(crate) extensions: Extensions,
    /// Required fields that were not given, at the place of what holds them. An override may still give them.
    missing: Vec<Problem>,
}

impl<'s> Reader<'s> {
    pub(crate) fn new(types: &'s TypeRegistry) -> Self {
        Self {
            types,
            problems: Problems::default(),
            places: HashMap::new(),
            extensions: Extensions::empty(),
            missing: Vec::new(),
        }
    }

    /// Keeps a mistake.
    pub(crate) fn refuse(&mut self, problem: impl Into<Box<Problem>>) {
        self.problems.push(problem);
    }

    pub(super) fn refuse_node(
        &mut self,
        node: &Node,
        path: &str,
        message: String,
        help: Option<String>,
    ) {
        self.refuse(node.problem(path, message, help));
    }

    /// Reads `node` into `value`; what the node leaves out stays as it is.
    pub(crate) fn read(
        &mut self,
        node: &Node<'s>,
        value: &mut dyn PartialReflect,
        bounds: Option<&Bounds>,
        path: &str,
    ) {
        let Some(info) = value.get_represented_type_info() else {
            return;
        };
        let setting_type = SettingType::of(info);
        if let Some(SettingType::Choice(choices)) = setting_type {
            self.places.insert(path.to_owned(), node.clone());
            return self.read_choice(node, choices, value, path);
        }
        if let Some(SettingType::Struct(struct_info)) = setting_type
            && let ReflectMut::Struct(value) = value.reflect_mut()
        {
            self.places.insert(path.to_owned(), node.clone());
            let fields = struct_fields(struct_info);
            return self.read_struct(node, type_name(info), &fields, value, path);
        }
        if let Some(SettingType::Row(row)) = setting_type {
            self.places.insert(path.to_owned(), node.clone());
            return self.read_row(node, info, &row, value, bounds, path);
        }
        if let Some(SettingType::Option(content)) = setting_type
            && let Some(SettingType::Struct(_)) = SettingType::of(content)
            && let ReflectMut::Enum(option) = value.reflect_mut()
            && option.variant_name() == "Some"
            && !matches!(node.shape, Shape::Name("None"))
            && let Some(content) = option.field_at_mut(0)
        {
            let node = self.content_of_some(node);
            return self.read(&node, content, bounds, path);
        }
        let built = self.build(node, info, bounds, path);
        if let Some(built) = built {
            self.replace(node, value, info, built, path);
        }
    }

    /// Puts a built value in the place of another of its type.
    fn replace(
        &mut self,
        node: &Node,
        value: &mut dyn PartialReflect,
        info: &'static TypeInfo,
        built: Box<dyn PartialReflect>,
        path: &str,
    ) {
        // `try_apply` would append to lists and keep what a variant leaves out, so a concrete value is made and set.
        let concrete = match built.try_into_reflect() {
            Ok(concrete) => Some(concrete),
            Err(dynamic) => self
                .types
                .get_type_data::<ReflectFromReflect>(info.type_id())
                .and_then(|convert| convert.from_reflect(&*dynamic)),
        };
        let done = concrete
            .zip(value.try_as_reflect_mut())
            .is_some_and(|(concrete, value)| value.set(concrete).is_ok());
        if !done {
            let message = format!("a {} cannot be made from its fields", type_name(info));
            let help = "derive `Reflect` for it without `from_reflect = false`".to_owned();
            self.refuse_node(node, path, message, Some(help));
        }
    }

    /// Reads named fields into a struct that has its defaults.
    pub(crate) fn read_struct(
        &mut self,
        node: &Node<'s>,
        name: &'static str,
        fields: &[Field],
        value: &mut dyn Struct,
        path: &str,
    ) {
        let before = self.problems.len();
        let given = self.named(node, name, fields, path);
        // What is written under another name is not missed on top.
        if self.problems.len() == before {
            let names: Vec<&str> = given.iter().map(|(field, _)| field.name).collect();
            self.miss(node, name, fields, &names, path);
        }
        for (field, node) in given {
            if let Some(value) = value.field_mut(field.name) {
                let path = joined(path, field.name);
                self.read(&node, value, field.bounds.as_ref(), &path);
            }
        }
    }

    /// Keeps the required fields that are not given, also those inside of structs that are left out.
    fn miss(
        &mut self,
        node: &Node<'s>,
        name: &'static str,
        fields: &[Field],
        given: &[&str],
        path: &str,
    ) {
        let left_out = fields.iter().filter(|field| !given.contains(&field.name));
        for field in left_out {
            let path = joined(path, field.name);
            if field.is_required() {
                let meaning = first_sentence(field.docs);
                let colon = if meaning.is_empty() { "" } else { ": " };
                let message = format!("`{name}` needs `{}`{colon}{meaning}", field.name);
                let what = expected(field.info, field.bounds.as_ref());
                let help = Some(format!("add {}: {what}", field.name));
                self.missing.push(node.problem(&path, message, help));
            } else if let Some(SettingType::Struct(inside)) = SettingType::of(field.info) {
                let inside = struct_fields(inside);
                self.miss(node, type_name(field.info), &inside, &[], &path);
            }
        }
    }

    /// Refuses the required fields that nothing has given.
    pub(crate) fn refuse_missing(&mut self) {
        for problem in std::mem::take(&mut self.missing) {
            let within = |given: &String| {
                let rest = given.strip_prefix(problem.path.as_str());
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
            };
            if !self.places.keys().any(within) {
                self.refuse(problem);
            }
        }
    }

    /// Reads a tuple, an array or a struct without field names, in place.
    fn read_row(
        &mut self,
        node: &Node<'s>,
        info: &'static TypeInfo,
        row: &Row,
        value: &mut dyn PartialReflect,
        bounds: Option<&Bounds>,
        path: &str,
    ) {
        let Some(nodes) = self.row(node, info, row, bounds, path) else {
            return;
        };
        for (index, (node, item)) in nodes.iter().zip(&row.items).enumerate() {
            let part = match value.reflect_mut() {
                ReflectMut::Tuple(value) => value.field_mut(index),
                ReflectMut::TupleStruct(value) => value.field_mut(index),
                ReflectMut::Array(value) => value.get_mut(index),
                _ => None,
            };
            if let Some(part) = part {
                let path = item_path(path, index, nodes.len());
                self.read(node, part, item.bounds.as_ref().or(bounds), &path);
            }
        }
    }

    /// A value of the wrong type or out of its bounds.
    pub(super) fn wrong(
        &mut self,
        node: &Node<'s>,
        info: &'static TypeInfo,
        bounds: Option<&Bounds>,
        path: &str,
        help: Option<String>,
    ) {
        let message = format!(
            "expected {}, found {}",
            expected(info, bounds),
            node.found()
        );
        self.refuse_node(node, path, message, help);
    }

    /// What `Some(x)` or, without it, `x` holds.
    pub(super) fn content_of_some(&self, node: &Node<'s>) -> Node<'s> {
        let Shape::Group {
            name: Some(name),
            items,
        } = &node.shape
        else {
            return node.clone();
        };
        match (name.text, items.as_slice()) {
            ("Some", [Item { key: None, value }]) => value.clone(),
            ("Some", _) if self.unwraps_variants() => Node {
                shape: Shape::Group {
                    name: None,
                    items: items.clone(),
                },
                ..node.clone()
            },
            _ => node.clone(),
        }
    }

    /// Whether `Variant(field: 1)` may stand for `Variant((field: 1))`.
    pub(super) fn unwraps_variants(&self) -> bool {
        self.extensions
            .contains(Extensions::UNWRAP_VARIANT_NEWTYPES)
    }

    /// The nodes of a tuple, an array or a struct without field names.
    pub(super) fn row(
        &mut self,
        node: &Node<'s>,
        info: &'static TypeInfo,
        row: &Row,
        bounds: Option<&Bounds>,
        path: &str,
    ) -> Option<Vec<Node<'s>>> {
        let nodes: Option<Vec<Node>> = match &node.shape {
            Shape::List(nodes) if row.is_array => Some(nodes.clone()),
            Shape::Group { name, items } => {
                let named_right = name.as_ref().is_none_or(|name| Some(name.text) == row.name);
                let values = items
                    .iter()
                    .map(|item| item.key.is_none().then(|| item.value.clone()));
                named_right.then(|| values.collect()).flatten()
            }
            // A struct around one value may be written as the value, which ron calls `unwrap_newtypes`.
            _ if row.name.is_some() && row.items.len() == 1 => Some(vec![node.clone()]),
            _ => None,
        };
        match nodes {
            Some(nodes) if nodes.len() == row.items.len() => Some(nodes),
            Some(nodes) => {
                let help = format!(
                    "{} values are needed, here are {}",
                    row.items.len(),
                    nodes.len()
                );
                self.wrong(node, info, bounds, path, Some(help));
                None
            }
            None => {
                self.wrong(node, info, bounds, path, None);
                None
            }
        }
    }

    /// The fields that a node gives, each at most once and each known; anything else is a mistake.
    pub(super) fn named(
        &mut self,
        node: &Node<'s>,
        name: &'static str,
        fields: &[Field],
        path: &str,
    ) -> Vec<(Field, Node<'s>)> {
        let (written, items) = match &node.shape {
            Shape::Name(written) => (Some(*written), &[][..]),
            Shape::Group { name, items } => (name.as_ref().map(|name| name.text), items.as_slice()),
            _ => (Some(""), &[][..]),
        };
        let explicit = self.extensions.contains(Extensions::EXPLICIT_STRUCT_NAMES);
        let named_right = match written {
            Some(written) => written == name,
            None => !explicit,
        };
        if !named_right {
            let message = format!("expected {name}(field: value, ..), found {}", node.found());
            let names = fields.iter().map(|field| field.name);
            let help = suggestion("", names, "fields");
            self.refuse_node(node, path, message, help);
            return Vec::new();
        }
        let mut given: Vec<(Field, Node<'s>)> = Vec::new();
        for item in items {
            let Some(key) = &item.key else {
                let message = format!("{name} has named fields, found {}", item.value.found());
                let names = fields.iter().map(|field| field.name);
                let help = suggestion("", names, "fields");
                self.refuse_node(&item.value, path, message, help);
                continue;
            };
            let at = |message: String, help: Option<String>| {
                node.source.problem(key.range.clone(), path, message, help)
            };
            let Some(field) = fields.iter().find(|field| field.name == key.text) else {
                let (message, help) = unknown_field(key.text, fields);
                let problem = at(message, help);
                self.refuse(problem);
                continue;
            };
            if given.iter().any(|(known, _)| known.name == field.name) {
                let help = Some("keep one of them".to_owned());
                let problem = at(format!("`{}` is given twice", field.name), help);
                self.refuse(problem);
                continue;
            }
            given.push((*field, item.value.clone()));
        }
        given
    }
}

/// `critic` and `weight_decay` make `critic.weight_decay`.
pub(crate) fn joined(path: &str, field: &str) -> String {
    if path.is_empty() {
        field.to_owned()
    } else {
        format!("{path}.{field}")
    }
}

/// The path of an item; the only item of a variant or struct is called like its owner.
pub(super) fn item_path(path: &str, index: usize, items: usize) -> String {
    if items == 1 {
        path.to_owned()
    } else {
        format!("{path}[{index}]")
    }
}

/// The message and the help for a field that is not there: what a foreign name is called here, where a field further down is, or
/// the valid names.
pub(crate) fn unknown_field(written: &str, fields: &[Field]) -> (String, Option<String>) {
    let foreign = foreign_names::setting(written).and_then(|foreign| foreign.among(fields));
    foreign.unwrap_or_else(|| {
        let message = format!("no field is called `{written}`");
        (message, unknown_field_help(written, fields))
    })
}

fn unknown_field_help(written: &str, fields: &[Field]) -> Option<String> {
    let names = fields.iter().map(|field| field.name);
    let near = nearest(written, names.clone());
    let owners: Vec<String> = fields
        .iter()
        .filter_map(|field| {
            let inside = further_in(written, field.info)?;
            Some(format!("`{}: {inside}`", field.name))
        })
        .collect();
    if near.is_empty() && !owners.is_empty() {
        return Some(format!("it belongs further in: {}", owners.join(" or ")));
    }
    suggestion(written, names, "fields")
}

/// Where a struct has a field of that name, at any depth: `(optimizer: (learning_rate: ..))`.
fn further_in(written: &str, info: &'static TypeInfo) -> Option<String> {
    let Some(SettingType::Struct(info)) = SettingType::of(info) else {
        return None;
    };
    if info.field(written).is_some() {
        return Some(format!("({written}: ..)"));
    }
    info.iter().find_map(|field| {
        let inside = further_in(written, field.type_info()?)?;
        Some(format!("({}: {inside})", field.name()))
    })
}

#[cfg(test)]
mod tests {
    use crate::scene::test_settings::{Ensemble, Td3Bc, messages, read_td3_bc as read};

    #[test]
    fn fields_left_out_keep_their_defaults_at_every_depth() {
        let read = read("Td3Bc(alpha: 1, critic: (ensemble: (n: 4), layers: [32,]),)").unwrap();
        let mut expected = Td3Bc {
            alpha: 1.0,
            ..Td3Bc::default()
        };
        expected.critic.ensemble = Ensemble { n: 4, weight: 1.0 };
        expected.critic.layers = vec![32];
        assert_eq!(read, expected);
    }

    #[test]
    fn every_mistake_is_reported_and_not_only_the_first() {
        let found = messages("Td3Bc(
            alhpa: 1.0,
            batch_size: 0,
            batch_size: 3,
            discount: 1.5,
            n_step: \"three\",
            critic: (learning_rate: Constant(0), layers: [64, 0, 1.5], value_bounds: (1.0,), start_epoch: -1),
            actor: (learning_rate: Multistep(initial: 1.0, decay: 2), activation: relu, noise: 0.1),
        )");
        assert_eq!(found.len(), 15, "{found:#?}");
        assert!(found[0].contains("no field is called `alhpa` | did you mean `alpha`?"));
        assert!(found[1].ends_with("batch_size: expected a whole number at least 1, found 0 | "));
        assert!(found[2].contains("`batch_size` is given twice"));
        assert!(found[3].contains("expected a number from 0 to 1, found 1.5"));
        assert!(found[4].contains("expected a whole number at least 1, found \"three\""));
        assert!(found[5].contains("learning_rate: expected a number above 0, found 0"));
        assert!(found[6].starts_with("Td3Bc.critic.layers[1]: expected a whole number at least 1"));
    }

    #[test]
    fn rons_extensions_are_honored() {
        let text = "#![enable(unwrap_variant_newtypes)] Td3Bc(actor: (dropout: Some(scale: 0.5)))";
        assert_eq!(read(text).unwrap().actor.dropout.unwrap().scale, 0.5);
        let text = "#![enable(explicit_struct_names)] Td3Bc(critic: (weight_decay: 0.5))";
        assert!(read(text).is_err());
        let text =
            "#![enable(explicit_struct_names)] Td3Bc(critic: CriticSettings(weight_decay: 0.5))";
        assert_eq!(read(text).unwrap().critic.weight_decay, 0.5);
    }

    #[test]
    fn numbers_that_are_not_finite_are_refused() {
        assert_eq!(messages("Td3Bc(alpha: inf, discount: NaN)").len(), 2);
    }
}
