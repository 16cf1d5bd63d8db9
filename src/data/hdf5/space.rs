//! What Minari's metadata say of a space: Gymnasium's spaces as JSON.

use serde_json::Value;

use crate::terminal::heed_json;

/// A space, as far as reading its values needs it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Space {
    /// Numbers between bounds, flattened row by row and infinite where there are none; `is_picture` by Minari's own rule,
    /// which then stores them compressed.
    Box {
        is_picture: bool,
        low: Vec<f32>,
        high: Vec<f32>,
    },
    /// One of `n` discrete actions, from `start`.
    Discrete { n: usize, start: i64 },
    /// One of `n` at each of several places, from `start`, flattened.
    MultiDiscrete { n: Vec<usize>, start: Vec<i64> },
    /// Named parts: of a `Dict`, or `_index_0` and so on of a `Tuple`.
    Parts(Vec<(String, Space)>),
    /// Anything else, by its type's name.
    Other(String),
}

impl Space {
    /// Reads a space from its JSON text.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let value = parse_json(text)?;
        Self::of(&value, 0)
    }

    fn of(value: &Value, depth: usize) -> Result<Self, String> {
        const DEEPEST: usize = 64;
        let name = value["type"].as_str().ok_or("a space without a `type`")?;
        let whole = |field: &str| {
            value[field]
                .as_i64()
                .ok_or_else(|| format!("`{field}` of a {name} space is no whole number"))
        };
        let part =
            |(name, space): (String, &Value)| Self::of(space, depth + 1).map(|space| (name, space));
        if depth > DEEPEST {
            return Err("spaces within spaces within spaces".to_owned());
        }
        Ok(match name {
            "Box" => Self::Box {
                is_picture: is_picture(value),
                low: bounds(&value["low"], f32::NEG_INFINITY),
                high: bounds(&value["high"], f32::INFINITY),
            },
            "Discrete" => Self::Discrete {
                n: usize::try_from(whole("n")?)
                    .ok()
                    .filter(|n| *n > 0)
                    .ok_or("`n` of a Discrete space is below 1")?,
                start: match &value["start"] {
                    Value::Null => 0,
                    _ => whole("start")?,
                },
            },
            "MultiDiscrete" => {
                let n: Vec<usize> = wholes(&value["nvec"])
                    .into_iter()
                    .filter_map(|n| usize::try_from(n).ok().filter(|n| *n > 0))
                    .collect();
                let start = match &value["start"] {
                    Value::Null => vec![0; n.len()],
                    start => wholes(start),
                };
                if n.is_empty() || n.len() != start.len() {
                    return Err(
                        "`nvec` and `start` of a MultiDiscrete space are not as many numbers"
                            .to_owned(),
                    );
                }
                Self::MultiDiscrete { n, start }
            }
            "Dict" => Self::Parts(
                value["subspaces"]
                    .as_object()
                    .ok_or("a Dict space without `subspaces`")?
                    .iter()
                    .map(|(name, space)| part((name.clone(), space)))
                    .collect::<Result<_, _>>()?,
            ),
            "Tuple" => Self::Parts(
                value["subspaces"]
                    .as_array()
                    .ok_or("a Tuple space without `subspaces`")?
                    .iter()
                    .enumerate()
                    .map(|(index, space)| part((format!("_index_{index}"), space)))
                    .collect::<Result<_, _>>()?,
            ),
            name => Self::Other(name.to_owned()),
        })
    }

    /// The part with this path; itself where it has no parts.
    pub(super) fn part(&self, path: &str) -> Option<&Self> {
        let Self::Parts(parts) = self else {
            return Some(self);
        };
        let (name, rest) = path.split_once('/').unwrap_or((path, ""));
        let (_, space) = parts.iter().find(|(found, _)| found == name)?;
        space.part(rest)
    }
}

/// Minari's rule for what it compresses as a picture: bytes from 0 to 255 of 2 or 3 axes, the first two at least 32 long.
fn is_picture(value: &Value) -> bool {
    let shape: Vec<u64> = value["shape"]
        .as_array()
        .map(|lengths| lengths.iter().filter_map(Value::as_u64).collect())
        .unwrap_or_default();
    matches!(shape[..], [height, width] | [height, width, _] if height >= 32 && width >= 32)
        && value["dtype"] == "uint8"
        && everywhere(&value["low"], 0)
        && everywhere(&value["high"], 255)
}

/// Numbers, flattened; what is none, as Python's infinities were, is `unbounded`.
fn bounds(value: &Value, unbounded: f32) -> Vec<f32> {
    match value {
        Value::Array(values) => values
            .iter()
            .flat_map(|value| bounds(value, unbounded))
            .collect(),
        value => vec![value.as_f64().map_or(unbounded, |bound| bound as f32)],
    }
}

/// Whole numbers, flattened; what is none is left out.
fn wholes(value: &Value) -> Vec<i64> {
    match value {
        Value::Array(values) => values.iter().flat_map(wholes).collect(),
        value => value.as_i64().into_iter().collect(),
    }
}

fn everywhere(value: &Value, wanted: u64) -> bool {
    match value {
        Value::Array(values) => values.iter().all(|value| everywhere(value, wanted)),
        value => value.as_u64() == Some(wanted),
    }
}

/// Python's JSON, which writes `Infinity` and `NaN` where JSON has no number; they become `null`.
pub(super) fn parse_json(text: &str) -> Result<Value, String> {
    parse_json_with(text, "null")
}

/// The same with something else in the place of these numbers.
pub(super) fn parse_json_with(text: &str, replacement: &str) -> Result<Value, String> {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    let mut in_text = false;
    while let Some(character) = rest.chars().next() {
        let token = ["-Infinity", "Infinity", "NaN"]
            .into_iter()
            .find(|token| !in_text && rest.starts_with(token));
        let (taken, written) = match (token, character) {
            (Some(token), _) => (token.len(), replacement),
            (None, '\\') if in_text => {
                let escaped = rest[1..].chars().next().map_or(0, char::len_utf8);
                (1 + escaped, &rest[..1 + escaped])
            }
            (None, character) => {
                in_text ^= character == '"';
                (character.len_utf8(), &rest[..character.len_utf8()])
            }
        };
        plain.push_str(written);
        rest = &rest[taken..];
    }
    let value = serde_json::from_str(&plain).map_err(|error| error.to_string())?;
    heed_json(&value);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pythons_infinities_are_read_where_they_are_numbers_and_kept_where_they_are_text() {
        let value =
            parse_json(r#"{"low": [-Infinity, 1.5], "high": [Infinity, NaN], "a \" NaN": "NaN"}"#)
                .unwrap();
        assert_eq!(value["low"], serde_json::json!([null, 1.5]));
        assert_eq!(value["high"], serde_json::json!([null, null]));
        assert_eq!(value["a \" NaN"], "NaN");
        assert!(parse_json("{\"a\": Inf}").is_err());
        assert!(parse_json("\"\\").is_err());
    }

    #[test]
    fn a_part_of_a_nested_space_is_found_by_its_path() {
        let space = Space::parse(
            r#"{"type": "Dict", "subspaces": {"a": {"type": "Tuple", "subspaces": [
                {"type": "Discrete", "dtype": "int64", "start": 2, "n": 3},
                {"type": "Text", "max_length": 4}]}}}"#,
        )
        .unwrap();
        let choice = Space::Discrete { n: 3, start: 2 };
        assert_eq!(space.part("a/_index_0"), Some(&choice));
        assert_eq!(
            space.part("a/_index_1"),
            Some(&Space::Other("Text".to_owned()))
        );
        assert_eq!(space.part("a/_index_2"), None);
        assert_eq!(space.part("b"), None);
        assert!(Space::parse(r#"{"type": "Discrete", "n": 0}"#).is_err());
    }

    #[test]
    fn pictures_are_told_by_minaris_rule() {
        let space = |shape: &str, dtype: &str| {
            Space::parse(&format!(
                r#"{{"type": "Box", "dtype": "{dtype}", "shape": {shape}, "low": [[0]], "high": [[255, 255]]}}"#
            ))
            .unwrap()
        };
        let is_picture = |space: Space| {
            matches!(
                space,
                Space::Box {
                    is_picture: true,
                    ..
                }
            )
        };
        assert!(is_picture(space("[32, 40, 3]", "uint8")));
        assert!(is_picture(space("[64, 64]", "uint8")));
        assert!(!is_picture(space("[7, 7, 3]", "uint8")));
        assert!(!is_picture(space("[64, 64, 3]", "float32")));
        assert!(!is_picture(space("[4096]", "uint8")));
    }

    #[test]
    fn bounds_are_flattened_and_infinite_where_python_wrote_infinity() {
        let space = Space::parse(
            r#"{"type": "Box", "dtype": "float32", "shape": [2, 2], "low": [[-1.5, -Infinity], [0.0, -0.1]],
                "high": [[1.5, Infinity], [Infinity, 0.1]]}"#,
        );
        let infinite = f32::INFINITY;
        assert_eq!(
            space.unwrap(),
            Space::Box {
                is_picture: false,
                low: vec![-1.5, -infinite, 0.0, -0.1],
                high: vec![1.5, infinite, infinite, 0.1],
            }
        );
    }
}
