//! What a plugin's settings take, for people: every field with its type, default, range and doc comment, recursively.

use std::any::TypeId;

use bevy_reflect::{PartialReflect, ReflectRef, TypeInfo};

use super::registry::OwnDefaults;
use super::setting_type::{
    Field, SettingType, Variant, expected, struct_fields, type_name, variant_fields,
    variant_pattern,
};
use super::template::{first_sentence, one_line};

/// The schema as text: a line for each field, indented by depth, under the type's own line.
///
/// A field says its default, or that it is required.
pub(crate) fn text(
    name: &str,
    default: &dyn PartialReflect,
    info: &'static TypeInfo,
    partial: &OwnDefaults,
) -> String {
    let mut out = format!(
        "{name}: {}\n",
        first_sentence(info.docs().unwrap_or_default())
    );
    if let TypeInfo::Struct(info) = info {
        let mut open = vec![info.type_id()];
        for field in struct_fields(info) {
            let value = match default.reflect_ref() {
                ReflectRef::Struct(value) => value.field(field.name),
                _ => None,
            };
            describe(&mut out, &field, value, 1, partial, &mut open);
        }
    }
    out
}

fn describe(
    out: &mut String,
    field: &Field,
    default: Option<&dyn PartialReflect>,
    depth: usize,
    partial: &OwnDefaults,
    open: &mut Vec<TypeId>,
) {
    let indent = "  ".repeat(depth);
    let setting_type = SettingType::of(field.info);
    let is_struct = matches!(setting_type, Some(SettingType::Struct(_)));
    let mut line = format!("{indent}{}: ", field.name);
    if is_struct {
        line.push_str(type_name(field.info));
        if field.is_required() {
            line.push_str(", required");
        }
    } else {
        let chosen = match setting_type {
            Some(SettingType::Choice(choices)) => Some(choices.noun.to_owned()),
            _ => None,
        };
        // The variants follow, one a line.
        let variants = || content_enum(field.info).map(|info| phrase_of_enum(field, info));
        let phrase = chosen.or_else(variants);
        line.push_str(&phrase.unwrap_or_else(|| expected(field.info, field.bounds.as_ref())));
        match default.filter(|_| !field.is_required()) {
            Some(default) => line.push_str(&format!(" = {}", one_line(default))),
            None if field.is_option() => line.push_str(" = None"),
            None => line.push_str(", required"),
        }
    }
    let docs = first_sentence(field.docs);
    if !docs.is_empty() {
        line.push_str(&format!("  // {docs}"));
    }
    out.push_str(&line);
    out.push('\n');
    inside(out, field.info, default, depth, partial, open);
}

/// `Rate` or `None or Rate`, for an enum whose variants are listed below.
fn phrase_of_enum(field: &Field, info: &'static TypeInfo) -> String {
    let name = type_name(info);
    match SettingType::of(field.info) {
        Some(SettingType::Option(_)) => format!("None or {name}"),
        Some(SettingType::List(_)) => format!("a list [..], each item {name}"),
        _ => name.to_owned(),
    }
}

/// The enum that a type is or holds.
fn content_enum(info: &'static TypeInfo) -> Option<&'static TypeInfo> {
    match SettingType::of(info)? {
        SettingType::Enum(_) => Some(info),
        SettingType::Option(content) | SettingType::List(content) => content_enum(content),
        _ => None,
    }
}

/// The fields or variants inside a type, unless the type contains itself.
fn inside(
    out: &mut String,
    info: &'static TypeInfo,
    default: Option<&dyn PartialReflect>,
    depth: usize,
    partial: &OwnDefaults,
    open: &mut Vec<TypeId>,
) {
    if open.contains(&info.type_id()) {
        return;
    }
    open.push(info.type_id());
    match SettingType::of(info) {
        Some(SettingType::Option(content) | SettingType::List(content)) => {
            inside(out, content, None, depth, partial, open)
        }
        Some(SettingType::Struct(fields)) => {
            let own = partial.get(&info.type_id());
            let default = default.or(own.map(|own| own.as_partial_reflect()));
            for field in struct_fields(fields) {
                let value = default.and_then(|value| match value.reflect_ref() {
                    ReflectRef::Struct(value) => value.field(field.name),
                    _ => None,
                });
                describe(out, &field, value, depth + 1, partial, open);
            }
        }
        Some(SettingType::Choice(choices)) => {
            for choice in (choices.list)() {
                let indent = "  ".repeat(depth + 1);
                out.push_str(&format!("{indent}| {}", choice.pattern()));
                let docs = first_sentence(choice.info.docs().unwrap_or_default());
                if !docs.is_empty() {
                    out.push_str(&format!("  // {docs}"));
                }
                out.push('\n');
                let value = choice.default.as_partial_reflect();
                inside(out, choice.info, Some(value), depth + 1, partial, open);
            }
        }
        Some(SettingType::Enum(variants)) => {
            for variant in variants.iter() {
                let indent = "  ".repeat(depth + 1);
                out.push_str(&format!("{indent}| {}", variant_pattern(variant)));
                let docs = first_sentence(variant.docs().unwrap_or_default());
                if !docs.is_empty() {
                    out.push_str(&format!("  // {docs}"));
                }
                out.push('\n');
                match variant_fields(variant) {
                    Variant::Struct(fields) => {
                        for field in fields {
                            describe(out, &field, None, depth + 2, partial, open);
                        }
                    }
                    Variant::Tuple(items) => {
                        for item in items {
                            let phrase = expected(item.info, item.bounds.as_ref());
                            out.push_str(&format!("{indent}  {phrase}, required\n"));
                        }
                    }
                    Variant::Unit => {}
                }
            }
        }
        _ => {}
    }
    open.pop();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scene::test_settings::{Noise, Td3Bc};
    use bevy_reflect::Typed;

    #[test]
    fn the_text_names_type_default_range_and_doc_of_every_field_at_every_depth() {
        let partial = OwnDefaults::from([(
            TypeId::of::<Noise>(),
            Box::new(Noise::default()) as Box<dyn bevy_reflect::Reflect>,
        )]);
        let text = text("Td3Bc", &Td3Bc::default(), Td3Bc::type_info(), &partial);
        for line in [
            "Td3Bc: TD3+BC: TD3 whose actor also imitates the data (Fujimoto & Gu 2021)",
            "  discount: a number from 0 to 1 = 0.99  // Discount of future rewards, γ",
            "  critic: CriticSettings  // The critics",
            "    learning_rate: Rate = Constant(0.0003)  // Adam's step size",
            "      | Constant(..)  // Always the same",
            "        a number above 0, required",
            "        epoch_schedule: a list [..], each item a whole number at least 0, required  // The epochs",
            "      n: a whole number at least 1 = 2  // Members",
        ] {
            assert!(text.lines().any(|known| known == line), "{line}\n{text}");
        }
    }
}
