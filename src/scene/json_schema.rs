//! What settings and whole scenes take, for programs: JSON Schema (draft 2020-12) of them as JSON.
//!
//! RON maps to JSON as serde maps it: a struct is an object, a tuple an array, a unit variant its name as a string, another
//! variant an object of one key. So a plugin is an object of one key, its name, or where all its settings have defaults the name alone.
//! An edit of the order has the key `slot` for what it names first; of a removal that alone will do.

use std::any::TypeId;

use bevy_reflect::enums::EnumInfo;
use bevy_reflect::{PartialReflect, ReflectRef, TypeInfo};
use serde_json::{Map, Value, json};

use super::bounds::Bounds;
use super::choice::{Choice, Choices, content, name_of};
use super::leaf::Leaf;
use super::registry::OwnDefaults;
use super::resolve::header_fields;
use super::setting_type::{Field, SettingType, Variant, struct_fields, type_name, variant_fields};
use super::template::{doc_text, one_line};
use crate::period::Period;

/// The schema of one plugin's settings.
///
/// Fields without a default are required, but for options, and fields that a scene has to give.
pub(crate) fn schema(
    name: &str,
    default: &dyn PartialReflect,
    info: &'static TypeInfo,
    partial: &OwnDefaults,
) -> Value {
    let mut open = Open {
        types: Vec::new(),
        partial,
    };
    let mut schema = of_type(info, None, Some(default), &mut open);
    if let Value::Object(map) = &mut schema {
        map.insert("$schema".into(), DRAFT.into());
        map.insert("title".into(), name.into());
        let docs = doc_text(info.docs().unwrap_or_default());
        map.insert("description".into(), docs.into());
    }
    schema
}

/// The schema of a whole scene with the given plugins, each with its own schema.
pub(crate) fn whole<'e>(plugins: impl Iterator<Item = (&'e str, Value)>) -> Value {
    let mut definitions = Map::new();
    let (mut named, mut bare) = (Map::new(), Vec::new());
    for (name, mut schema) in plugins {
        if let Value::Object(map) = &mut schema {
            map.remove("$schema");
        }
        if schema.get("required").is_none() {
            bare.push(name);
        }
        let reference = format!("#/$defs/{name}");
        named.insert(name.to_owned(), json!({ "$ref": reference }));
        definitions.insert(name.to_owned(), schema);
    }
    let mut open = Open {
        types: Vec::new(),
        partial: &OwnDefaults::new(),
    };
    let mut schema = of_fields(&header_fields(), None, false, &mut open);
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        let plugin = one_of_these(named, bare);
        let names_this =
            json!({ "type": "string", "description": "Where this schema lies, for an editor." });
        properties.insert("$schema".into(), names_this);
        properties.insert(
            "plugins".into(),
            json!({ "type": "array", "items": plugin, "description": "What the run is made of: an algorithm, and what it learns from." }),
        );
        properties.insert(
            "order".into(),
            json!({ "type": "array", "items": edits(), "description": "Edits to the order of steps." }),
        );
    }
    if let Value::Object(map) = &mut schema {
        map.insert("$schema".into(), DRAFT.into());
        map.insert("title".into(), "Scene".into());
        map.insert("description".into(), "A run of yarak's.".into());
        map.insert("required".into(), json!(["plugins"]));
        map.insert(
            "anyOf".into(),
            json!([{ "required": ["steps"] }, { "required": ["epochs"] }]),
        );
        map.insert("$defs".into(), definitions.into());
    }
    schema
}

const DRAFT: &str = "https://json-schema.org/draft/2020-12/schema";

/// An object of one of these keys, or one of the bare names. Said in this way, and not as a choice among objects of one key each, an
/// editor knows which one is meant as soon as it has its key.
fn one_of_these(named: Map<String, Value>, bare: Vec<&str>) -> Value {
    let object = json!({
        "type": "object",
        "properties": named,
        "minProperties": 1,
        "maxProperties": 1,
        "additionalProperties": false,
    });
    match bare.is_empty() {
        true => object,
        false => json!({ "anyOf": [object, { "enum": bare }] }),
    }
}

/// The edits of the order.
fn edits() -> Value {
    let name = |description: &str| json!({ "type": "string", "description": description });
    let edit = |keys: &[(&str, Value)], required: &[&str]| {
        let mut properties = Map::new();
        properties.insert("slot".into(), name("The slot that the edit is about."));
        properties.insert(
            "in".into(),
            name("The schedule, where it is another than Learn."),
        );
        for (key, schema) in keys {
            properties.insert((*key).to_owned(), schema.clone());
        }
        json!({
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": false,
        })
    };
    let step = ("with", name("The step, by its registered name."));
    let inserted = [
        step.clone(),
        ("as", name("The name of the step's own slot.")),
        (
            "every",
            json!({ "type": "integer", "minimum": 1, "description": "It runs on every so many gradient steps." }),
        ),
        (
            "when",
            name("It runs where the conditions of this slot hold."),
        ),
    ];
    let named = Map::from_iter([
        ("Replace".into(), edit(&[step], &["slot", "with"])),
        ("InsertBefore".into(), edit(&inserted, &["slot", "with"])),
        ("InsertAfter".into(), edit(&inserted, &["slot", "with"])),
        (
            "MoveBefore".into(),
            edit(
                &[("before", name("The slot that it moves to."))],
                &["slot", "before"],
            ),
        ),
        (
            "MoveAfter".into(),
            edit(
                &[("after", name("The slot that it moves to."))],
                &["slot", "after"],
            ),
        ),
        (
            "Remove".into(),
            json!({ "anyOf": [name("The slot that nothing runs in."), edit(&[], &["slot"])] }),
        ),
    ]);
    one_of_these(named, Vec::new())
}

/// The types that are being described, from the outside in.
struct Open<'a> {
    types: Vec<TypeId>,
    partial: &'a OwnDefaults,
}

fn of_type(
    info: &'static TypeInfo,
    bounds: Option<&Bounds>,
    default: Option<&dyn PartialReflect>,
    open: &mut Open,
) -> Value {
    // A type around itself: anything goes below the first turn.
    if open.types.contains(&info.type_id()) {
        return json!({ "description": format!("a {}", type_name(info)) });
    }
    open.types.push(info.type_id());
    let mut schema = match SettingType::of(info) {
        Some(SettingType::Leaf(leaf)) => of_leaf(leaf, bounds),
        Some(SettingType::Option(content)) => {
            json!({ "anyOf": [of_type(content, bounds, None, open), { "type": "null" }] })
        }
        Some(SettingType::List(item)) => {
            json!({ "type": "array", "items": of_type(item, bounds, None, open) })
        }
        Some(SettingType::Row(row)) => {
            let items: Vec<Value> = row
                .items
                .iter()
                .map(|item| of_type(item.info, item.bounds.as_ref().or(bounds), None, open))
                .collect();
            row_of(items)
        }
        Some(SettingType::Struct(fields)) => {
            let own = open.partial.get(&info.type_id());
            let default = default.or(own.map(|own| own.as_partial_reflect()));
            of_fields(&struct_fields(fields), default, default.is_none(), open)
        }
        Some(SettingType::Enum(variants)) => of_enum(variants, open),
        Some(SettingType::Choice(choices)) => of_discrete_actions(choices, open),
        None => json!({}),
    };
    open.types.pop();
    let is_struct = matches!(SettingType::of(info), Some(SettingType::Struct(_)));
    if let (Value::Object(map), Some(default), false) = (&mut schema, default, is_struct) {
        map.insert("default".into(), value_of(default));
    }
    schema
}

fn of_leaf(leaf: Leaf, bounds: Option<&Bounds>) -> Value {
    if leaf == Leaf::Period {
        let number = || json!({ "type": "integer", "minimum": 1 });
        let epochs = json!({
            "type": "object",
            "properties": { "Epochs": number(), "Steps": number() },
            "minProperties": 1,
            "maxProperties": 1,
            "additionalProperties": false,
        });
        return json!({ "anyOf": [number(), epochs] });
    }
    let mut map = Map::new();
    let kind = match leaf {
        Leaf::Bool => "boolean",
        Leaf::F32 | Leaf::F64 => "number",
        Leaf::Whole(_) => "integer",
        Leaf::Text | Leaf::Path => "string",
        Leaf::Keywords | Leaf::Period => "object",
    };
    map.insert("type".into(), kind.into());
    let limit = |value: f64| match leaf {
        Leaf::Whole(_) => json!(value as i64),
        _ => json!(value),
    };
    if let Leaf::Whole(whole) = leaf {
        let (least, most) = whole.limits();
        // Numbers beyond 64 bits do not fit JSON's integers everywhere; none of the types is wider.
        map.insert("minimum".into(), json!(least as i64));
        map.insert("maximum".into(), json!(most as u64));
    }
    if matches!(leaf, Leaf::F32 | Leaf::F64 | Leaf::Whole(_)) {
        if let Some((low, included)) = bounds.and_then(Bounds::low) {
            let key = if included {
                "minimum"
            } else {
                "exclusiveMinimum"
            };
            map.insert(key.into(), limit(low));
        }
        if let Some((high, included)) = bounds.and_then(Bounds::high) {
            let key = if included {
                "maximum"
            } else {
                "exclusiveMaximum"
            };
            map.insert(key.into(), limit(high));
        }
    }
    Value::Object(map)
}

fn row_of(items: Vec<Value>) -> Value {
    let count = items.len();
    json!({ "type": "array", "prefixItems": items, "minItems": count, "maxItems": count })
}

/// An object of named fields; without defaults, all but options are required.
fn of_fields(
    fields: &[Field],
    default: Option<&dyn PartialReflect>,
    required: bool,
    open: &mut Open,
) -> Value {
    let mut properties = Map::new();
    for field in fields {
        let value = default.and_then(|value| match value.reflect_ref() {
            ReflectRef::Struct(value) => value.field(field.name),
            _ => None,
        });
        let is_struct = matches!(SettingType::of(field.info), Some(SettingType::Struct(_)));
        // What has to be given has a default for programs alone, and what is inside of it may be left out.
        let value = value.filter(|_| is_struct || !field.is_required());
        let mut schema = of_type(field.info, field.bounds.as_ref(), value, open);
        let docs = doc_text(field.docs);
        if let (Value::Object(map), false) = (&mut schema, docs.is_empty()) {
            map.insert("description".into(), docs.into());
        }
        properties.insert(field.name.into(), schema);
    }
    let mut schema = json!({
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
    });
    let names = fields
        .iter()
        .filter(|field| field.is_required() || (required && !field.is_option()))
        .map(|field| field.name);
    let names: Vec<&str> = names.collect();
    if !names.is_empty()
        && let Value::Object(map) = &mut schema
    {
        map.insert("required".into(), json!(names));
    }
    schema
}

fn of_discrete_actions(choices: Choices, open: &mut Open) -> Value {
    let list = (choices.list)();
    let mut choices: Vec<Value> = list
        .iter()
        .map(|choice| {
            let content = of_type(
                choice.info,
                None,
                Some(choice.default.as_partial_reflect()),
                open,
            );
            json!({
                "type": "object",
                "description": doc_text(choice.info.docs().unwrap_or_default()),
                "properties": { choice.name(): content },
                "required": [choice.name()],
                "additionalProperties": false,
            })
        })
        .collect();
    let names: Vec<&str> = list.iter().map(Choice::name).collect();
    choices.push(json!({ "enum": names }));
    json!({ "anyOf": choices })
}

fn of_enum(variants: &'static EnumInfo, open: &mut Open) -> Value {
    let mut bare = Vec::new();
    let mut choices: Vec<Value> = variants
        .iter()
        .map(|variant| {
            let content = match variant_fields(variant) {
                Variant::Unit => {
                    let docs = doc_text(variant.docs().unwrap_or_default());
                    return json!({ "const": variant.name(), "description": docs });
                }
                Variant::Struct(fields) => {
                    if fields.iter().all(Field::is_option) {
                        bare.push(variant.name());
                    }
                    of_fields(&fields, None, true, open)
                }
                Variant::Tuple(items) => {
                    let mut items: Vec<Value> = items
                        .iter()
                        .map(|item| of_type(item.info, item.bounds.as_ref(), None, open))
                        .collect();
                    match items.len() {
                        1 => items.remove(0),
                        _ => row_of(items),
                    }
                }
            };
            json!({
                "type": "object",
                "description": doc_text(variant.docs().unwrap_or_default()),
                "properties": { variant.name(): content },
                "required": [variant.name()],
                "additionalProperties": false,
            })
        })
        .collect();
    if !bare.is_empty() {
        choices.push(json!({ "enum": bare }));
    }
    json!({ "oneOf": choices })
}

/// A value as JSON; infinite numbers, which JSON lacks, as their RON text.
fn value_of(value: &dyn PartialReflect) -> Value {
    let info = value.get_represented_type_info();
    if let Some(leaf) = info.and_then(Leaf::of) {
        let text = one_line(value);
        return match leaf {
            Leaf::Text => value.try_downcast_ref::<String>().cloned().into(),
            Leaf::Path => value
                .try_downcast_ref::<std::path::PathBuf>()
                .map(|path| path.to_string_lossy().into_owned())
                .into(),
            Leaf::Keywords => value
                .try_downcast_ref::<super::Keywords>()
                .and_then(|keywords| serde_json::from_str(&keywords.json()).ok())
                .unwrap_or_default(),
            Leaf::Period => match value.try_downcast_ref::<Period>() {
                Some(Period::Epochs(epochs)) => json!({ "Epochs": epochs }),
                _ => serde_json::from_str(&text).unwrap_or_default(),
            },
            // The shortest decimal, so that 32-bit numbers keep their short form.
            _ => serde_json::from_str(&text).unwrap_or(Value::String(text)),
        };
    }
    if let Some((_, chosen)) = content(value) {
        return json!({ name_of(chosen): value_of(chosen.as_partial_reflect()) });
    }
    match value.reflect_ref() {
        ReflectRef::Struct(fields) => {
            let fields = (0..fields.field_len()).filter_map(|index| {
                let name = fields.name_at(index)?.to_owned();
                Some((name, value_of(fields.field_at(index)?)))
            });
            Value::Object(fields.collect())
        }
        ReflectRef::Tuple(items) => items.iter_fields().map(value_of).collect(),
        ReflectRef::TupleStruct(items) => items.iter_fields().map(value_of).collect(),
        ReflectRef::Array(items) => items.iter().map(value_of).collect(),
        ReflectRef::List(items) => items.iter().map(value_of).collect(),
        ReflectRef::Enum(value) => {
            let is_option = matches!(info.and_then(SettingType::of), Some(SettingType::Option(_)));
            let name = value.variant_name();
            let named: Map<String, Value> = value
                .iter_fields()
                .filter_map(|field| Some((field.name()?.to_owned(), value_of(field.value()))))
                .collect();
            let mut items: Vec<Value> = value
                .iter_fields()
                .map(|field| value_of(field.value()))
                .collect();
            let content = match (named.is_empty(), items.len()) {
                (_, 0) if is_option => return Value::Null,
                (_, 0) => return name.into(),
                (false, _) => Value::Object(named),
                (true, 1) => items.remove(0),
                (true, _) => items.into(),
            };
            if is_option {
                content
            } else {
                json!({ name: content })
            }
        }
        // Registration refuses settings with any other kind of value.
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scene::test_settings::{Noise, Td3Bc};
    use bevy_reflect::Typed;

    #[test]
    fn the_schema_holds_types_ranges_defaults_and_docs_at_every_depth() {
        let partial = OwnDefaults::from([(
            TypeId::of::<Noise>(),
            Box::new(Noise::default()) as Box<dyn bevy_reflect::Reflect>,
        )]);
        let schema = schema("Td3Bc", &Td3Bc::default(), Td3Bc::type_info(), &partial);
        let at = |pointer: &str| schema.pointer(pointer).cloned().unwrap_or_default();
        assert_eq!(at("/title"), "Td3Bc");
        assert_eq!(at("/additionalProperties"), false);
        assert_eq!(at("/properties/discount/maximum"), 1.0);
        assert_eq!(at("/properties/batch_size/minimum"), 1);
        assert_eq!(at("/properties/batch_size/default"), 256);
        assert_eq!(at("/properties/alpha/default"), 2.5);
        let critic = "/properties/critic/properties";
        assert_eq!(at(&format!("{critic}/layers/items/minimum")), 1);
        assert_eq!(at(&format!("{critic}/layers/default")), json!([256, 256]));
        assert_eq!(
            at(&format!("{critic}/learning_rate/default")),
            json!({ "Constant": 3e-4 })
        );
        assert_eq!(
            at(&format!("{critic}/learning_rate/description")),
            "Adam's step size."
        );
        let multistep = format!("{critic}/learning_rate/oneOf/1");
        assert_eq!(at(&format!("{multistep}/required/0")), "Multistep");
        let initial = format!("{multistep}/properties/Multistep/properties/initial");
        assert_eq!(at(&format!("{initial}/exclusiveMinimum")), 0.0);
        assert_eq!(at(&format!("{critic}/value_bounds/anyOf/0/maxItems")), 2);
        // What has defaults of its own may be given in part, and what has none may not.
        let noise = "/properties/actor/properties/dropout/anyOf/0";
        assert!(
            schema
                .pointer(&format!("{noise}/properties/scale/default"))
                .is_some()
        );
        assert!(schema.pointer(&format!("{noise}/required")).is_none());
        assert_eq!(
            at("/properties/actor/properties/activation/oneOf/0/const"),
            "Relu"
        );
    }
}
