//! Keyword arguments of something that is not ours, such as an environment in Python: a setting that scenes write in braces.

use bevy_reflect::Reflect;
use serde_json::{Map, Value};

use super::leaf::quoted;

/// Names and values, `{"size": 3, "names": ["a", "b"]}` in a scene: numbers, truth values, texts, lists, `None`, and braces in braces.
///
/// ```
/// use yarak::scene::Keywords;
///
/// let keywords = Keywords::read(r#"{"size": 3, "wind": None}"#).unwrap();
/// assert_eq!(keywords.json(), r#"{"size":3,"wind":null}"#);
/// assert!(Keywords::default().is_empty());
/// assert_eq!(Keywords::read("{1: 2}"), None);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Reflect)]
#[reflect(opaque)]
pub struct Keywords(Map<String, Value>);

impl Keywords {
    /// Reads them as a scene has them; `None` where the text is something else, and where a number is not finite.
    pub fn read(text: &str) -> Option<Self> {
        let value: ron::Value = ron::from_str(text).ok()?;
        if !is_json(&value) {
            return None;
        }
        match ron::from_str(text).ok()? {
            Value::Object(keywords) => Some(Keywords(keywords)),
            _ => None,
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// As JSON.
    pub fn json(&self) -> String {
        Value::Object(self.0.clone()).to_string()
    }

    /// As a scene has them.
    pub(crate) fn ron(&self) -> String {
        braced(&self.0)
    }
}

/// JSON has no infinities, and a name that is none of RON's, such as Python's `True`, would be read as nothing.
fn is_json(value: &ron::Value) -> bool {
    match value {
        ron::Value::Number(number) => (*number).into_f64().is_finite(),
        ron::Value::Option(Some(value)) => is_json(value),
        ron::Value::Seq(values) => values.iter().all(is_json),
        ron::Value::Map(map) => map.values().all(is_json),
        ron::Value::Unit => false,
        _ => true,
    }
}

fn braced(keywords: &Map<String, Value>) -> String {
    let each = keywords.iter();
    let each: Vec<String> = each
        .map(|(name, value)| format!("{}: {}", quoted(name), ron_of(value)))
        .collect();
    format!("{{{}}}", each.join(", "))
}

fn ron_of(value: &Value) -> String {
    match value {
        Value::Null => "None".to_owned(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::String(text) => quoted(text),
        Value::Array(values) => {
            let values: Vec<String> = values.iter().map(ron_of).collect();
            format!("[{}]", values.join(", "))
        }
        Value::Object(keywords) => braced(keywords),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keywords_are_written_as_they_are_read() {
        for text in [
            "{}",
            r#"{"a": 1, "b": -2.5, "c": true, "d": "é \"\u{1}", "e": [1, [None]], "f": {"g": 1e300}}"#,
        ] {
            let read = Keywords::read(text).unwrap();
            assert_eq!(Keywords::read(&read.ron()), Some(read));
        }
    }

    #[test]
    fn what_python_could_not_be_given_is_refused() {
        for text in [
            "[1]",
            "3",
            "{1: 2}",
            r#"{"a": inf}"#,
            r#"{"a": [NaN]}"#,
            r#"{"a": b}"#,
            r#"{"a": True}"#,
        ] {
            assert_eq!(Keywords::read(text), None, "{text}");
        }
    }
}
