//! The forms that a setting's type may take, and how each is called in messages.

use bevy_reflect::attributes::CustomAttributes;
use bevy_reflect::enums::{EnumInfo, VariantInfo};
use bevy_reflect::structs::StructInfo;
use bevy_reflect::{NamedField, TypeInfo, UnnamedField};

use super::bounds::Bounds;
use super::choice::Choices;
use super::leaf::{Leaf, Whole};

/// A type as scenes see it.
#[derive(Clone)]
pub(crate) enum SettingType {
    /// A number, truth value, text or path.
    Leaf(Leaf),
    /// `None` or a value.
    Option(&'static TypeInfo),
    /// Any number of values of one type.
    List(&'static TypeInfo),
    /// A fixed number of values: an array, a tuple, or a struct without field names.
    Row(Row),
    /// Named fields.
    Struct(&'static StructInfo),
    /// One of several variants.
    Enum(&'static EnumInfo),
    /// One of an open set of structs.
    Choice(Choices),
}

/// A fixed number of values.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) items: Vec<Field>,
    /// The name of a struct without field names.
    pub(crate) name: Option<&'static str>,
    /// Whether it is an array, which may be written in square brackets as well.
    pub(crate) is_array: bool,
}

/// A field or an item: its name (empty where it has none), doc comment, bounds and type.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) docs: &'static str,
    pub(crate) bounds: Option<Bounds>,
    pub(crate) info: &'static TypeInfo,
}

/// The fields of an enum's variant.
#[derive(Clone, Debug)]
pub(crate) enum Variant {
    Unit,
    Tuple(Vec<Field>),
    Struct(Vec<Field>),
}

impl Field {
    fn new(
        name: &'static str,
        docs: Option<&'static str>,
        attributes: &CustomAttributes,
        info: Option<&'static TypeInfo>,
    ) -> Option<Self> {
        Some(Self {
            name,
            docs: docs.unwrap_or_default(),
            bounds: attributes.get::<Bounds>().copied(),
            info: info?,
        })
    }

    fn named(field: &'static NamedField) -> Option<Self> {
        Self::new(
            field.name(),
            field.docs(),
            field.custom_attributes(),
            field.type_info(),
        )
    }

    fn unnamed(field: &'static UnnamedField) -> Option<Self> {
        Self::new(
            "",
            field.docs(),
            field.custom_attributes(),
            field.type_info(),
        )
    }

    fn item(info: &'static TypeInfo) -> Self {
        Self {
            name: "",
            docs: "",
            bounds: None,
            info,
        }
    }

    /// Whether a scene has to give it, although what holds it has a default.
    pub(crate) fn is_required(&self) -> bool {
        self.bounds.is_some_and(|bounds| bounds.is_required())
    }

    /// Whether the field may be left out where nothing has a default.
    pub(crate) fn is_option(&self) -> bool {
        !self.is_required() && matches!(SettingType::of(self.info), Some(SettingType::Option(_)))
    }
}

impl SettingType {
    /// The form of a type; `None` for types that scenes cannot hold, such as maps.
    pub(crate) fn of(info: &'static TypeInfo) -> Option<Self> {
        if let Some(leaf) = Leaf::of(info) {
            return Some(Self::Leaf(leaf));
        }
        if let Some(choices) = Choices::of(info) {
            return Some(Self::Choice(choices));
        }
        Some(match info {
            TypeInfo::Struct(info) => Self::Struct(info),
            TypeInfo::TupleStruct(tuple) => Self::Row(Row {
                items: tuple.iter().map(Field::unnamed).collect::<Option<_>>()?,
                name: Some(type_name(info)),
                is_array: false,
            }),
            TypeInfo::Tuple(info) => Self::Row(Row {
                items: info.iter().map(Field::unnamed).collect::<Option<_>>()?,
                name: None,
                is_array: false,
            }),
            TypeInfo::Array(info) => Self::Row(Row {
                items: vec![Field::item(info.item_info()?); info.capacity()],
                name: None,
                is_array: true,
            }),
            TypeInfo::List(info) => Self::List(info.item_info()?),
            TypeInfo::Enum(info) => match option_content(info) {
                Some(content) => Self::Option(content?),
                None => Self::Enum(info),
            },
            TypeInfo::Map(_) | TypeInfo::Set(_) | TypeInfo::Opaque(_) => return None,
        })
    }
}

/// `Some` where the enum is `Option`, with the type of what it holds.
fn option_content(info: &'static EnumInfo) -> Option<Option<&'static TypeInfo>> {
    let path = info.type_path_table();
    if path.ident() != Some("Option") || path.crate_name() != Some("core") {
        return None;
    }
    let some = info.variant("Some")?.as_tuple_variant().ok()?;
    Some(some.field_at(0).and_then(UnnamedField::type_info))
}

/// The named fields of a struct.
pub(crate) fn struct_fields(info: &'static StructInfo) -> Vec<Field> {
    info.iter().filter_map(Field::named).collect()
}

/// The fields of a variant.
pub(crate) fn variant_fields(info: &'static VariantInfo) -> Variant {
    match info {
        VariantInfo::Unit(_) => Variant::Unit,
        VariantInfo::Tuple(info) => {
            Variant::Tuple(info.iter().filter_map(Field::unnamed).collect())
        }
        VariantInfo::Struct(info) => {
            Variant::Struct(info.iter().filter_map(Field::named).collect())
        }
    }
}

/// A type's own name, without its path.
pub(crate) fn type_name(info: &'static TypeInfo) -> &'static str {
    let path = info.type_path_table();
    path.ident().unwrap_or_else(|| path.short_path())
}

/// `Constant(..)`, `Multistep(initial: .., steps: ..)`, `Relu`: how a variant is written.
pub(crate) fn variant_pattern(info: &'static VariantInfo) -> String {
    let name = info.name();
    match variant_fields(info) {
        Variant::Unit => name.to_owned(),
        Variant::Tuple(items) => format!("{name}({})", vec![".."; items.len()].join(", ")),
        Variant::Struct(fields) => {
            let fields: Vec<String> = fields
                .iter()
                .map(|field| format!("{}: ..", field.name))
                .collect();
            format!("{name}({})", fields.join(", "))
        }
    }
}

/// What a value of this type is, as the end of a sentence: `a whole number at least 1`.
pub(crate) fn expected(info: &'static TypeInfo, bounds: Option<&Bounds>) -> String {
    let within = |noun: &str, bounds: Bounds| {
        let mut phrase = noun.to_owned();
        let range = bounds.to_string();
        if !range.is_empty() {
            phrase.push(' ');
            phrase.push_str(&range);
        }
        if bounds.allows_infinite() {
            phrase.push_str(" (or inf)");
        }
        phrase
    };
    let given = bounds.copied().unwrap_or(Bounds::any());
    match SettingType::of(info) {
        Some(SettingType::Leaf(Leaf::Bool)) => "true or false".to_owned(),
        Some(SettingType::Leaf(Leaf::F32 | Leaf::F64)) => within("a number", given),
        Some(SettingType::Leaf(Leaf::Whole(whole))) => {
            within("a whole number", whole_bounds(whole, given))
        }
        Some(SettingType::Leaf(Leaf::Text)) => "text in quotes".to_owned(),
        Some(SettingType::Leaf(Leaf::Path)) => "a path in quotes".to_owned(),
        Some(SettingType::Leaf(Leaf::Keywords)) => {
            "keyword arguments {\"name\": value, ..}".to_owned()
        }
        Some(SettingType::Leaf(Leaf::Period)) => {
            "a whole number of steps at least 1, or Epochs(..)".to_owned()
        }
        Some(SettingType::Option(content)) => format!("None or {}", expected(content, bounds)),
        Some(SettingType::List(item)) => {
            format!("a list [..], each item {}", expected(item, bounds))
        }
        Some(SettingType::Row(row)) => {
            let items: Vec<String> = row
                .items
                .iter()
                .map(|item| expected(item.info, item.bounds.as_ref().or(bounds)))
                .collect();
            format!("{}({})", row.name.unwrap_or_default(), items.join(", "))
        }
        Some(SettingType::Struct(_)) => {
            format!("the fields of {} as (field: value, ..)", type_name(info))
        }
        Some(SettingType::Enum(info)) => {
            let variants: Vec<String> = info.iter().map(variant_pattern).collect();
            format!("one of {}", variants.join(", "))
        }
        Some(SettingType::Choice(choices)) => choices.expected(),
        None => type_name(info).to_owned(),
    }
}

/// The bounds of a whole number: those given, and zero for types without sign. Limits that no setting meets are not named.
pub(crate) fn whole_bounds(whole: Whole, given: Bounds) -> Bounds {
    let (least, most) = whole.limits();
    let mut bounds = given;
    if least == 0 && given.low().is_none() {
        bounds = match given.high() {
            Some((high, true)) => Bounds::at_least(0.0).up_to(high),
            Some((high, false)) => Bounds::at_least(0.0).under(high),
            None => Bounds::at_least(0.0),
        };
    }
    if most <= i128::from(u16::MAX) && given.high().is_none() {
        bounds = bounds.up_to(most as f64);
    }
    bounds
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scene::test_settings::{CriticSettings, Rate, Td3Bc};
    use bevy_reflect::Typed;

    fn phrase(info: &'static TypeInfo, field: &str) -> String {
        let Some(SettingType::Struct(info)) = SettingType::of(info) else {
            panic!("expected a struct");
        };
        let fields = struct_fields(info);
        let field = fields.iter().find(|known| known.name == field).unwrap();
        expected(field.info, field.bounds.as_ref())
    }

    #[test]
    fn every_form_reads_as_english() {
        let critic = CriticSettings::type_info();
        assert_eq!(
            phrase(Td3Bc::type_info(), "discount"),
            "a number from 0 to 1"
        );
        assert_eq!(
            phrase(Td3Bc::type_info(), "batch_size"),
            "a whole number at least 1"
        );
        assert_eq!(
            phrase(critic, "layers"),
            "a list [..], each item a whole number at least 1"
        );
        assert_eq!(
            phrase(critic, "start_epoch"),
            "None or a whole number at least 0"
        );
        assert_eq!(
            phrase(critic, "value_bounds"),
            "None or (a number, a number)"
        );
        assert_eq!(
            phrase(critic, "ensemble"),
            "the fields of Ensemble as (field: value, ..)"
        );
        assert_eq!(
            expected(u8::type_info(), None),
            "a whole number from 0 to 255"
        );
        assert!(
            expected(Rate::type_info(), None)
                .starts_with("one of Constant(..), Multistep(initial: .., ")
        );
    }

    #[test]
    fn an_enum_of_ones_own_named_option_is_an_enum() {
        assert!(matches!(
            SettingType::of(Rate::type_info()),
            Some(SettingType::Enum(_))
        ));
        assert!(matches!(
            SettingType::of(<Option<u8>>::type_info()),
            Some(SettingType::Option(_))
        ));
    }
}
