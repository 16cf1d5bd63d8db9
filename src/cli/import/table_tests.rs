//! What the tests of all tables do: translate, change a value, and look at every key.

use std::path::Path;

use serde_json::{Value, json};

use super::table::Translated;
use super::{Instead, check, translate};
use crate::cli::building::Program;

/// A command line that names the environment alone.
pub const IN_PENDULUM: Instead<'_> = Instead {
    dataset: None,
    env: Some("Pendulum-v1"),
};

/// One that names the dataset, too.
pub const ON_DATA: Instead<'_> = Instead {
    dataset: Some("data.hdf5"),
    env: Some("Pendulum-v1"),
};

/// The changes made, each a path and a value.
pub fn with(mut config: Value, changes: &[(&str, Value)]) -> Value {
    for (path, value) in changes {
        let steps = path.split('.');
        *steps.fold(&mut config, |place, step| &mut place[step]) = value.clone();
    }
    config
}

/// A configuration's translation, its scene found good.
pub fn translated_with(config: &Value, instead: Instead<'_>) -> Result<Translated, String> {
    let translated = translate(config, instead, Path::new("a.json"), "a.json");
    let translated = translated.map_err(|error| error.to_string())?;
    let program = Program::new(|_| ());
    check(&program, &translated, "a.json").map_err(|error| error.to_string())?;
    Ok(translated)
}

/// Changes every value in its turn: it has to be refused by its name, listed, or in the scene. Gives how many there are.
pub fn nothing_is_passed_over(name: &str, config: &Value, instead: Instead<'_>) -> usize {
    let plain = translated_with(config, instead).unwrap();
    let mut keys = Vec::new();
    leaves(config, "", &mut keys);
    for key in &keys {
        let pointer = format!("/{}", key.replace('.', "/"));
        let other = match config.pointer(&pointer).unwrap() {
            Value::Bool(flag) => json!(!flag),
            Value::Number(number) => json!(number.as_f64().unwrap() * 3.0 + 1.0),
            Value::String(_) => json!("another"),
            Value::Null => json!(3),
            Value::Array(_) => json!(["another"]),
            Value::Object(_) => json!({ "another": 1 }),
        };
        match translated_with(&with(config.clone(), &[(key, other)]), instead) {
            // Refused, and by its name.
            Err(refused) => assert!(refused.contains(key), "{name}: {key}\n{refused}"),
            Ok(found) => {
                let is_listed = found.listed != plain.listed
                    || found.listed.iter().any(|line| line.starts_with(key));
                assert!(is_listed || found.scene != plain.scene, "{name}: {key}");
            }
        }
    }
    keys.len()
}

/// The paths of all that is no object, and of empty objects.
fn leaves(value: &Value, path: &str, out: &mut Vec<String>) {
    match value.as_object().filter(|fields| !fields.is_empty()) {
        Some(fields) => fields.iter().for_each(|(name, value)| {
            leaves(value, format!("{path}.{name}").trim_start_matches('.'), out);
        }),
        None => out.push(path.to_owned()),
    }
}
