//! Prints settings as RON: commented for a person to start from, or bare and complete for the run's folder.
//!
//! Numbers are printed with the fewest digits that read back to the same bits.

use bevy_reflect::enums::VariantType;
use bevy_reflect::structs::Struct;
use bevy_reflect::{PartialReflect, ReflectRef, TypeInfo};

use super::choice::{content, name_of};
use super::leaf::Leaf;
use super::setting_type::{Field, SettingType, expected, struct_fields};

/// Columns of a line of RON, and of a comment with its indentation.
const COLUMNS: usize = 100;

const INDENT: &str = "    ";

/// A value as RON on one line.
pub(crate) fn one_line(value: &dyn PartialReflect) -> String {
    if let Some(leaf) = value.get_represented_type_info().and_then(Leaf::of) {
        return leaf.print(value).unwrap_or_default();
    }
    if let Some((_, content)) = content(value) {
        let name = name_of(content);
        return format!("{name}{}", one_line(content.as_partial_reflect()));
    }
    match value.reflect_ref() {
        ReflectRef::Struct(fields) => {
            let fields = (0..fields.field_len()).filter_map(|index| {
                let name = fields.name_at(index)?;
                Some(format!("{name}: {}", one_line(fields.field_at(index)?)))
            });
            format!("({})", listed(fields))
        }
        ReflectRef::Tuple(items) => bracketed(items.iter_fields().map(one_line).collect()),
        ReflectRef::TupleStruct(items) => bracketed(items.iter_fields().map(one_line).collect()),
        ReflectRef::Array(items) => bracketed(items.iter().map(one_line).collect()),
        ReflectRef::List(items) => format!("[{}]", listed(items.iter().map(one_line))),
        ReflectRef::Enum(value) => {
            let name = value.variant_name();
            let fields = value.iter_fields().map(|field| {
                let content = one_line(field.value());
                field
                    .name()
                    .map_or(content.clone(), |name| format!("{name}: {content}"))
            });
            match value.variant_type() {
                VariantType::Unit => name.to_owned(),
                _ if name == "Some" && holds_plain(value.get_represented_type_info()) => {
                    listed(fields)
                }
                _ => format!("{name}({})", listed(fields)),
            }
        }
        // Registration refuses settings with any other kind of value.
        _ => String::new(),
    }
}

fn listed(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(", ")
}

/// A tuple; one of a single value keeps its comma.
fn bracketed(items: Vec<String>) -> String {
    let comma = if items.len() == 1 { "," } else { "" };
    format!("({}{comma})", items.join(", "))
}

/// Whether an `Option` needs no `Some(..)` around what it holds; an enum inside might have a `None` of its own.
fn holds_plain(option: Option<&'static TypeInfo>) -> bool {
    match option.and_then(SettingType::of) {
        Some(SettingType::Option(content)) => !matches!(content, TypeInfo::Enum(_)),
        _ => false,
    }
}

/// Settings as RON over several lines, `Name(…)`, each line behind the first indented by `depth` steps more.
///
/// With `comments`, each field is preceded by the first sentence of its doc comment and by what it takes.
pub(crate) fn pretty(
    name: &str,
    value: &dyn PartialReflect,
    comments: bool,
    depth: usize,
) -> String {
    let mut out = name.to_owned();
    match (value.get_represented_type_info(), value.reflect_ref()) {
        (Some(TypeInfo::Struct(info)), ReflectRef::Struct(value)) => {
            fields(&mut out, &struct_fields(info), value, comments, depth);
        }
        _ => out.push_str(&one_line(value)),
    }
    out
}

fn fields(out: &mut String, fields: &[Field], value: &dyn Struct, comments: bool, depth: usize) {
    if fields.is_empty() {
        out.push_str("()");
        return;
    }
    out.push_str("(\n");
    let indent = INDENT.repeat(depth + 1);
    for field in fields {
        let Some(value) = value.field(field.name) else {
            continue;
        };
        if comments {
            comment(out, field, &indent);
        }
        if comments && field.is_required() {
            let takes = expected(field.info, field.bounds.as_ref());
            out.push_str(&format!(
                "{indent}// {}: .., // required: {takes}\n",
                field.name
            ));
            continue;
        }
        out.push_str(&format!("{indent}{}: ", field.name));
        let line = one_line(value);
        let long = indent.len() + field.name.len() + line.chars().count() + 3 > COLUMNS;
        if (comments || long) && matches!(SettingType::of(field.info), Some(SettingType::Struct(_)))
        {
            out.push_str(&pretty("", value, comments, depth + 1));
        } else {
            out.push_str(&line);
        }
        out.push_str(",\n");
    }
    out.push_str(&INDENT.repeat(depth));
    out.push(')');
}

/// The lines of comment above a field.
fn comment(out: &mut String, field: &Field, indent: &str) {
    let mut text = first_sentence(field.docs);
    let takes = match SettingType::of(field.info) {
        Some(SettingType::Leaf(leaf)) if leaf.is_text() => None,
        Some(SettingType::Struct(_)) | None => None,
        Some(_) => Some(expected(field.info, field.bounds.as_ref())),
    };
    if let Some(takes) = takes {
        text = if text.is_empty() {
            takes
        } else {
            format!("{text}: {takes}")
        };
    }
    let mut line = String::new();
    let width = COLUMNS.saturating_sub(indent.len() + 3);
    for word in text.split_whitespace() {
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
            out.push_str(&format!("{indent}// {line}\n"));
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    if !line.is_empty() {
        out.push_str(&format!("{indent}// {line}\n"));
    }
}

/// A doc comment's lines without the space that rustdoc leaves before each.
pub(crate) fn doc_text(docs: &str) -> String {
    let lines: Vec<&str> = docs.lines().map(str::trim).collect();
    lines.join("\n").trim().to_owned()
}

/// The first sentence of a doc comment on one line, without its full stop.
pub(crate) fn first_sentence(docs: &str) -> String {
    let text = doc_text(docs);
    let paragraph = text
        .split("\n\n")
        .next()
        .unwrap_or_default()
        .replace('\n', " ");
    let mut end = paragraph.len();
    for (at, _) in paragraph.match_indices(". ") {
        let next = paragraph[at + 2..].chars().next();
        let abbreviated = ["e.g", "i.e", "cf", "al", "vs"]
            .iter()
            .any(|word| paragraph[..at].ends_with(word));
        if next.is_some_and(char::is_uppercase) && !abbreviated {
            end = at;
            break;
        }
    }
    paragraph[..end].trim().trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scene::read::Reader;
    use crate::scene::split::split;
    use crate::scene::test_settings::{Evaluation, Noise, Rate, Td3Bc, TensorBoard, registry};
    use crate::scene::text::Source;
    use bevy_reflect::Reflect;

    fn read_back<T: Reflect + Default>(text: &str) -> T {
        let registry = registry();
        let source = Source::file("a.ron", text);
        let (node, _) = split(&source).unwrap();
        let mut reader = Reader::new(registry.types());
        let mut value = T::default();
        reader.read(&node, value.as_partial_reflect_mut(), None, "");
        assert!(reader.problems.is_empty(), "{}\n{text}", reader.problems);
        value
    }

    fn changed() -> Td3Bc {
        let mut settings = Td3Bc {
            alpha: 0.1,
            discount: 0.1 + 0.2,
            ..Td3Bc::default()
        };
        settings.critic.learning_rate = Rate::Multistep {
            initial: 1e-7,
            decay_factor: f32::MAX,
            epoch_schedule: vec![1, 2],
        };
        settings.critic.value_bounds = Some((-0.0, f32::MIN_POSITIVE));
        settings.critic.layers.clear();
        settings.actor.dropout = Some(Noise {
            scale: 1.0,
            clip: None,
        });
        settings.actor.noise = vec![Noise::default(); 3];
        settings
    }

    #[test]
    fn a_template_reads_back_to_the_defaults() {
        for comments in [true, false] {
            let text = pretty("Td3Bc", &Td3Bc::default(), comments, 0);
            assert_eq!(read_back::<Td3Bc>(&text), Td3Bc::default());
        }
        let text = pretty("Evaluation", &Evaluation::default(), true, 0);
        assert_eq!(read_back::<Evaluation>(&text), Evaluation::default());
        assert_eq!(
            pretty("TensorBoard", &TensorBoard, true, 0),
            "TensorBoard()"
        );
    }

    #[test]
    fn changed_settings_read_back_to_the_same_bits() {
        let text = pretty("Td3Bc", &changed(), false, 3);
        let back = read_back::<Td3Bc>(&text);
        assert_eq!(back, changed());
        assert_eq!(one_line(&back), one_line(&changed()));
        assert!(one_line(&back).contains("value_bounds: (-0.0, 1.1754944e-38)"));
    }

    #[test]
    fn a_template_says_what_each_field_is_for_and_what_it_takes() {
        let text = pretty("Td3Bc", &Td3Bc::default(), true, 0);
        let head = "Td3Bc(
    // Weight of the Q term against the imitation term; λ = alpha / mean|Q|: a number at least 0
    alpha: 2.5,
    // Discount of future rewards, γ: a number from 0 to 1
    discount: 0.99,
";
        assert!(text.starts_with(head), "{text}");
        assert!(text.contains("        // Members: ") || text.contains("            // Members: "));
        assert!(text.lines().all(|line| line.chars().count() <= COLUMNS));
    }

    #[test]
    fn the_first_sentence_ends_at_its_full_stop_and_not_at_an_abbreviation() {
        assert_eq!(
            first_sentence(" As in Fujimoto et al. Then more."),
            "As in Fujimoto et al. Then more"
        );
        assert_eq!(
            first_sentence(" One thing,\n in two lines. Another."),
            "One thing, in two lines"
        );
        assert_eq!(
            first_sentence(" Rate 0.5 is usual.\n\n Details."),
            "Rate 0.5 is usual"
        );
        assert_eq!(first_sentence(""), "");
    }
}
