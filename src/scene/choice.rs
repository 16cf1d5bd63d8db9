//! Settings that are one of an open set of types, each with settings of its own: encoders.
//!
//! An enum's variants are fixed where it is written. These are listed at run time, by whoever brings another: a scene writes
//! `Name(field: value, ..)`, and what it leaves out keeps its default.

use bevy_reflect::structs::StructInfo;
use bevy_reflect::{PartialReflect, Reflect, TypeInfo, TypeRegistry};

use super::nearest::suggestion;
use super::problem::Problems;
use super::read::Reader;
use super::setting_type::{SettingType, struct_fields, type_name};
use super::split::split;
use super::text::{Node, Shape, Source};

/// One of the types that a setting may be.
pub(crate) struct Choice {
    /// Its type; a struct with named fields.
    pub(crate) info: &'static TypeInfo,
    /// What it is where a scene says nothing.
    pub(crate) default: Box<dyn Reflect>,
    /// The types inside of it.
    pub(crate) types: &'static TypeRegistry,
}

impl Choice {
    /// What scenes call it.
    pub(crate) fn name(&self) -> &'static str {
        type_name(self.info)
    }

    /// Its fields.
    pub(crate) fn fields(&self) -> Option<&'static StructInfo> {
        match SettingType::of(self.info) {
            Some(SettingType::Struct(info)) => Some(info),
            _ => None,
        }
    }

    /// `Mlp(hidden_sizes: .., ..)`.
    pub(crate) fn pattern(&self) -> String {
        let fields = self.fields().map(struct_fields).unwrap_or_default();
        match fields.as_slice() {
            [] => format!("{}()", self.name()),
            [one] => format!("{}({}: ..)", self.name(), one.name),
            [first, ..] => format!("{}({}: .., ..)", self.name(), first.name),
        }
    }
}

/// An open set of types, as an attribute of the type that holds one of them: `#[reflect(@CHOICES)]`.
#[derive(Clone, Copy, Reflect)]
#[reflect(opaque)]
pub(crate) struct Choices {
    /// What one of them is, with its article.
    pub(crate) noun: &'static str,
    /// All that are known.
    pub(crate) list: fn() -> Vec<Choice>,
    /// The one that a value holds.
    pub(crate) content: fn(&dyn PartialReflect) -> Option<&dyn Reflect>,
    /// The same, to be changed.
    pub(crate) content_mut: fn(&mut dyn PartialReflect) -> Option<&mut dyn Reflect>,
    /// Puts another one into a value; `false` where it is none of them.
    pub(crate) set: fn(&mut dyn PartialReflect, Box<dyn Reflect>) -> bool,
}

impl Choices {
    /// What a type's values are chosen from, if they are chosen at all.
    pub(crate) fn of(info: &'static TypeInfo) -> Option<Self> {
        match info {
            TypeInfo::Struct(info) => info.custom_attributes().get::<Choices>().copied(),
            _ => None,
        }
    }

    /// `one of Mlp(hidden_sizes: .., ..), Cnn(..)`.
    pub(crate) fn expected(self) -> String {
        let patterns: Vec<String> = (self.list)().iter().map(Choice::pattern).collect();
        format!("one of {}", patterns.join(", "))
    }
}

/// What a value holds that is one of an open set, with the set.
pub(crate) fn content(value: &dyn PartialReflect) -> Option<(Choices, &dyn Reflect)> {
    let choices = Choices::of(value.get_represented_type_info()?)?;
    Some((choices, (choices.content)(value)?))
}

/// The name of a choice.
pub(crate) fn name_of(content: &dyn Reflect) -> &'static str {
    content
        .as_partial_reflect()
        .get_represented_type_info()
        .map_or("", type_name)
}

impl<'s> Reader<'s> {
    /// Reads into what a value holds, whose types are those of its choice.
    pub(super) fn inside_choice(
        &mut self,
        choices: Choices,
        value: &mut dyn PartialReflect,
        read: impl FnOnce(&mut Self, &mut dyn PartialReflect),
    ) {
        let name = (choices.content)(value).map(name_of);
        let known = (choices.list)();
        let chosen = known.iter().find(|choice| Some(choice.name()) == name);
        let types = chosen.map_or(self.types, |choice| choice.types);
        self.with_types(types, |reader| {
            if let Some(content) = (choices.content_mut)(value) {
                read(reader, content.as_partial_reflect_mut());
            }
        });
    }

    fn with_types(&mut self, types: &'s TypeRegistry, read: impl FnOnce(&mut Self)) {
        let outside = std::mem::replace(&mut self.types, types);
        read(self);
        self.types = outside;
    }

    /// Reads `Name(field: value, ..)`, or the fields of the choice that is there already without its name.
    pub(super) fn read_choice(
        &mut self,
        node: &Node<'s>,
        choices: Choices,
        value: &mut dyn PartialReflect,
        path: &str,
    ) {
        let written = match &node.shape {
            Shape::Name(name) => Some(*name),
            Shape::Group { name, .. } => name.as_ref().map(|name| name.text),
            _ => {
                let message = format!("expected {}, found {}", choices.noun, node.found());
                return self.refuse_node(node, path, message, Some(choices.expected()));
            }
        };
        let known = (choices.list)();
        let current = (choices.content)(value).map(name_of);
        let written = written.or(current).unwrap_or_default();
        let Some(chosen) = known.into_iter().find(|choice| choice.name() == written) else {
            let message = format!("{} called `{written}` is not known", choices.noun);
            let known = (choices.list)();
            let names = known.iter().map(Choice::name);
            let help = suggestion(written, names, "names");
            return self.refuse_node(node, path, message, help);
        };
        self.with_types(chosen.types, |reader| {
            // What is left out stays what it is here, which may be another default than the type's own.
            if let (true, Some(content)) = (current == Some(written), (choices.content_mut)(value))
            {
                return reader.read(node, content.as_partial_reflect_mut(), None, path);
            }
            let mut content = chosen.default;
            reader.read(node, content.as_partial_reflect_mut(), None, path);
            (choices.set)(value, content);
        });
    }
}

/// Reads settings from their own text, such as a note in a file.
pub(crate) fn read_settings(
    text: &str,
    value: &mut dyn PartialReflect,
    types: &TypeRegistry,
) -> Result<(), Problems> {
    let source = Source::file("settings", text);
    let (node, _) = split(&source).map_err(|problem| {
        let mut problems = Problems::default();
        problems.push(problem);
        problems
    })?;
    let mut reader = Reader::new(types);
    reader.read(&node, value, None, "");
    reader.problems.into_result()
}
