//! A table of a configuration's keys, and the scene that is made along it.
//!
//! Every key of the file is in the table, or refused. What becomes of it is in its row: it is a setting of the scene, or a rule
//! looks at it together with others, or it has no counterpart here and is listed with the reason.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::scene_text::{SceneText, quoted_list};
use crate::scene::{Problems, quoted};

/// A key, what the other program takes where the file does not have it, and what becomes of it.
#[derive(Clone, Debug)]
pub struct Row {
    /// The key's path. One that ends in `.*` is whatever lies below, and the rows in front of it come first.
    pub key: String,
    /// The other program's own default, as JSON; empty where nothing hangs on it.
    pub default: &'static str,
    /// What becomes of it.
    pub fate: Fate,
}

/// What becomes of a key.
#[derive(Clone, Debug)]
pub enum Fate {
    /// It is this setting. A path that begins with a dot is one of the algorithm's.
    Is(String, Form),
    /// A rule takes it together with others.
    Rule,
    /// It holds other keys, and says nothing where it is empty.
    Object,
    /// It has no counterpart, because another value than the default cannot be had; in words why.
    Only(&'static str),
    /// It has no counterpart, and nothing that is learned hangs on it; in words why.
    Listed(&'static str),
}

/// How a value is written in a scene.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As it is; `null` is `None`, which is the default of every setting of this form and is not written.
    Same,
    /// The widths of a perceptron's hidden layers.
    Layers,
    /// The widths of the hidden layers behind an encoder.
    HeadLayers,
    /// `null`, or the least and the greatest of two numbers.
    Range,
    /// An epoch, where −1 is none.
    Epoch,
    /// Some epochs, from 1.
    Epochs,
    /// Some texts, at least one.
    Names,
}

/// A row of a table.
pub fn row(key: impl Into<String>, default: &'static str, fate: Fate) -> Row {
    Row {
        key: key.into(),
        default,
        fate,
    }
}

/// A row whose key is a setting.
pub fn is(key: &str, default: &'static str, setting: &str, form: Form) -> Row {
    row(key, default, Fate::Is(setting.to_owned(), form))
}

/// A row that a rule looks at.
pub fn rule(key: &str, default: &'static str) -> Row {
    row(key, default, Fate::Rule)
}

/// A row of which the default alone can be had.
pub fn only(key: &str, default: &'static str, why: &'static str) -> Row {
    row(key, default, Fate::Only(why))
}

/// A row of an object whose keys, if it has any, have rows of their own.
pub fn object(key: &str) -> Row {
    row(key, "{}", Fate::Object)
}

/// A row of no consequence for what is learned.
pub fn listed(key: &str, why: &'static str) -> Row {
    row(key, "", Fate::Listed(why))
}

/// A scene in the making.
pub struct Translation {
    rows: Vec<Row>,
    /// What the file has, by the path.
    given: BTreeMap<String, Value>,
    /// The same, and the defaults of what it does not have.
    values: BTreeMap<String, Value>,
    /// The name of the algorithm here.
    algorithm: &'static str,
    scene: SceneText,
    switched_on: Vec<&'static str>,
    /// The key behind each setting.
    sources: Vec<(String, String)>,
    used: BTreeSet<String>,
    listed: BTreeMap<String, String>,
    remarks: Vec<String>,
    refused: BTreeMap<String, String>,
}

/// What a translation came to.
pub struct Translated {
    /// The scene.
    pub scene: String,
    /// The keys that have no counterpart, each with its value and the reason.
    pub listed: Vec<String>,
    /// Settings, and the key behind each.
    sources: Vec<(String, String)>,
}

impl Translation {
    /// A translation of `file` along the rows, of which the first of a key counts, into a scene of these plugins. What a row says at
    /// once is done. `taken_for` follows on where an unknown key is refused.
    pub fn new(
        file: &Value,
        rows: Vec<Row>,
        algorithm: &'static str,
        plugins: &[&'static str],
        taken_for: &str,
    ) -> Self {
        let mut given = BTreeMap::new();
        flatten(file, "", &mut given);
        let mut values = BTreeMap::new();
        for row in rows.iter().filter(|row| !row.default.is_empty()) {
            let default = serde_json::from_str(row.default);
            let default = default.expect("a table's defaults are JSON");
            values.entry(row.key.clone()).or_insert(default);
        }
        values.extend(given.clone());
        let mut translation = Translation {
            rows,
            given,
            values,
            algorithm,
            scene: SceneText::of(plugins),
            switched_on: Vec::new(),
            sources: Vec::new(),
            used: BTreeSet::new(),
            listed: BTreeMap::new(),
            remarks: Vec::new(),
            refused: BTreeMap::new(),
        };
        translation.follow_rows(taken_for);
        translation
    }

    fn follow_rows(&mut self, taken_for: &str) {
        let keys: BTreeSet<String> = self.values.keys().cloned().collect();
        for key in keys {
            match self.fate_of(&key) {
                None if self.is_above_a_row(&key) => self.object(&key),
                None => {
                    let unknown = "no such key is known, so nobody can say what hangs on it: take it out of the file if nothing does";
                    self.refuse(&key, &format!("{unknown}{taken_for}"));
                }
                Some((Fate::Rule, _)) => {}
                Some((Fate::Object, _)) => self.object(&key),
                Some((Fate::Is(setting, form), _)) => self.write(&setting, form, &key),
                Some((Fate::Listed(why), _)) => self.list(&key, why),
                Some((Fate::Only(why), default)) => self.only(&key, default, why),
            }
        }
    }

    fn is_above_a_row(&self, key: &str) -> bool {
        let is_below = |row: &Row| {
            let rest = row.key.strip_prefix(key);
            rest.is_some_and(|rest| rest.starts_with('.'))
        };
        self.rows.iter().any(is_below)
    }

    /// Takes an empty object for the defaults of all that is below, and refuses what is none. One that is not empty is not seen here, as
    /// its keys are.
    fn object(&mut self, key: &str) {
        match self.value(key).is_object() {
            true => self.use_up(&[key]),
            false => self.refuse(key, "expected an object"),
        }
    }

    fn fate_of(&self, key: &str) -> Option<(Fate, &'static str)> {
        let row = self
            .rows
            .iter()
            .find(|row| match row.key.strip_suffix(".*") {
                Some(above) => {
                    let below = key.strip_prefix(above);
                    below.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
                }
                None => row.key == key,
            })?;
        Some((row.fate.clone(), row.default))
    }

    /// The value of a key: the file's, or the default.
    pub fn value(&self, key: &str) -> Value {
        self.values.get(key).cloned().unwrap_or_default()
    }

    /// The keys of the file below a path, without it.
    pub fn below(&self, path: &str) -> Vec<String> {
        let within = |key: &String| Some(key.strip_prefix(path)?.strip_prefix('.')?.to_owned());
        self.given.keys().filter_map(within).collect()
    }

    /// `true` or `false`; anything else is refused.
    pub fn flag(&mut self, key: &str) -> bool {
        let flag = self.value(key).as_bool();
        flag.unwrap_or_else(|| {
            self.refuse(key, "expected true or false");
            false
        })
    }

    /// A number; anything else is refused.
    pub fn number(&mut self, key: &str) -> f64 {
        let number = self.value(key).as_f64();
        number.unwrap_or_else(|| {
            self.refuse(key, "expected a number");
            1.0
        })
    }

    /// A whole number of at least 1; anything else is refused.
    pub fn count(&mut self, key: &str) -> u64 {
        let count = self.value(key).as_u64().filter(|count| *count > 0);
        count.unwrap_or_else(|| {
            self.refuse(key, "expected a whole number at least 1");
            1
        })
    }

    /// A text, or `None` for `null`; anything else is refused.
    pub fn text(&mut self, key: &str) -> Option<String> {
        match self.value(key) {
            Value::Null => None,
            Value::String(text) => Some(text),
            _ => {
                self.refuse(key, "expected a text or null");
                None
            }
        }
    }

    /// Sets a setting of the scene to a value in RON, because of these keys.
    pub fn set(&mut self, setting: &str, written: impl Into<String>, because_of: &[&str]) {
        let setting = self.whole_path(setting);
        for key in because_of {
            self.sources.push((setting.clone(), (*key).to_owned()));
        }
        self.use_up(because_of);
        self.scene.set(&setting, written.into());
    }

    /// Gives settings the name of an encoder.
    pub fn name(&mut self, settings: &str, name: &'static str) {
        let settings = self.whole_path(settings);
        self.scene.name(&settings, name);
    }

    fn whole_path(&self, setting: &str) -> String {
        match setting.starts_with('.') {
            true => format!("{}{setting}", self.algorithm),
            false => setting.to_owned(),
        }
    }

    /// Writes the value of a key into a setting.
    pub fn write(&mut self, setting: &str, form: Form, key: &str) {
        match form.write(&self.value(key)) {
            Ok(none) if none == NONE => self.use_up(&[key]),
            Ok(written) => self.set(setting, written, &[key]),
            Err(expected) => self.refuse(key, &format!("expected {expected}")),
        }
    }

    /// Adds a plugin without settings.
    pub fn switch_on(&mut self, plugin: &'static str) {
        self.switched_on.push(plugin);
    }

    /// Whether anything of a plugin is set.
    pub fn has(&self, plugin: &str) -> bool {
        self.scene.has(plugin)
    }

    /// Takes keys for translated that are in the scene by what is not there.
    pub fn use_up(&mut self, keys: &[&str]) {
        self.used.extend(keys.iter().map(|key| (*key).to_owned()));
    }

    /// Lists a key, with the reason why it has no counterpart, or with what differs.
    pub fn list(&mut self, key: &str, why: &str) {
        self.use_up(&[key]);
        if self.given.contains_key(key) {
            self.listed.insert(key.to_owned(), why.to_owned());
        }
    }

    /// Lists a key with what differs by it, also where the file leaves it out and the default is what differs.
    pub fn tell(&mut self, key: &str, why: &str) {
        self.use_up(&[key]);
        self.listed.insert(key.to_owned(), why.to_owned());
    }

    /// Lists keys for one reason.
    pub fn list_all(&mut self, keys: &[&str], why: &str) {
        keys.iter().for_each(|key| self.list(key, why));
    }

    /// Lists a key with the only value that it can have, as JSON, and refuses it with another; in words why.
    pub fn only(&mut self, key: &str, value: &str, why: &str) {
        match same(&self.value(key), value) {
            true => self.list(key, why),
            false => self.refuse(key, &format!("{why}, and another thing would be learned")),
        }
    }

    /// Lists what the other program is told elsewhere than in the file, and what the scene has for it.
    pub fn remark(&mut self, what: &str, why: &str) {
        self.remarks.push(format!("{what}: {why}"));
    }

    /// Refuses a key, or what the command line does not have and has to.
    pub fn refuse(&mut self, key: &str, message: &str) {
        self.use_up(&[key]);
        let message = message.to_owned();
        self.refused.entry(key.to_owned()).or_insert(message);
    }

    /// The scene and the list.
    ///
    /// # Errors
    /// A line for each key that was refused.
    pub fn finish(mut self, file: &str, comment: &str) -> Result<Translated, Vec<String>> {
        for key in self.given.keys() {
            if !self.used.contains(key) {
                let why = "nothing here corresponds to it".to_owned();
                self.listed.insert(key.clone(), why);
            }
        }
        let shown = |key: &str| clipped(&self.value(key).to_string());
        let refused = self.refused.iter().map(|(key, message)| {
            let value = match self.values.contains_key(key) {
                true => format!("{}: ", shown(key)),
                false => String::new(),
            };
            on_one_line(format!("{file}: error: {key}: {value}{message}"))
        });
        let refused: Vec<String> = refused.collect();
        if !refused.is_empty() {
            return Err(refused);
        }
        let listed = self.listed.iter();
        let listed = listed.map(|(key, why)| on_one_line(format!("{key} = {}: {why}", shown(key))));
        let listed: Vec<String> = listed.collect();
        Ok(Translated {
            listed: [listed, self.remarks].concat(),
            scene: self.scene.print(comment, &self.switched_on),
            sources: self.sources,
        })
    }
}

impl Translated {
    /// What is wrong with the scene, said of the keys behind it.
    pub fn said_of_keys(&self, file: &str, problems: &Problems) -> String {
        // What is wrong with the scene as a whole follows from what is wrong with a key.
        let of_keys = problems.iter().any(|problem| !problem.path.is_empty());
        let told = problems
            .iter()
            .filter(|problem| !of_keys || !problem.path.is_empty());
        let lines = told.map(|problem| {
            let behind = self.sources.iter().find(|(setting, _)| {
                let rest = problem.path.strip_prefix(setting.as_str());
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
            });
            let key = behind.map_or(problem.path.as_str(), |(_, key)| key);
            let help = problem.help.iter().map(|help| format!("\nhelp: {help}"));
            let help: String = help.collect();
            let key = match key {
                "" => String::new(),
                key => format!("{key}: "),
            };
            format!("{file}: error: {key}{}{help}", problem.message)
        });
        lines.collect::<Vec<_>>().join("\n")
    }
}

impl Form {
    /// The value in RON.
    ///
    /// # Errors
    /// What was expected instead.
    fn write(self, value: &Value) -> Result<String, &'static str> {
        match (self, value) {
            (Form::Same | Form::Range, Value::Null) => Ok(NONE.to_owned()),
            (Form::Same, value) => written(value).ok_or("a single value"),
            (Form::Layers, Value::Array(_)) => {
                let widths = written(value).ok_or(WIDTHS)?;
                Ok(format!("Mlp(hidden_sizes: {widths})"))
            }
            (Form::HeadLayers, Value::Array(_)) => {
                let widths = written(value).ok_or(WIDTHS)?;
                Ok(format!("Some({widths})"))
            }
            (Form::Layers | Form::HeadLayers, _) => Err(WIDTHS),
            (Form::Range, Value::Array(ends)) => match ends.as_slice() {
                [low, high] if low.is_number() && high.is_number() => {
                    Ok(format!("(low: {low}, high: {high})"))
                }
                _ => Err(RANGE),
            },
            (Form::Range, _) => Err(RANGE),
            (Form::Epoch, value) => match value.as_i64() {
                Some(-1) => Ok(NONE.to_owned()),
                Some(epoch) => Ok(epoch.to_string()),
                None => Err("a whole number of epochs, or -1"),
            },
            (Form::Epochs, value) => {
                let epoch = |it: &Value| it.as_u64().filter(|epoch| *epoch > 0);
                let epochs = value.as_array().map(|them| them.iter().map(epoch));
                let epochs: Option<Vec<u64>> = epochs.and_then(Iterator::collect);
                let epochs = epochs.ok_or("a list of epochs, from 1")?;
                let written = epochs.iter().map(|epoch| format!("Epochs({epoch})"));
                Ok(format!("[{}]", written.collect::<Vec<_>>().join(", ")))
            }
            (Form::Names, value) => match texts(value) {
                Some(names) if !names.is_empty() => Ok(quoted_list(&names)),
                _ => Err("a list of at least one name"),
            },
        }
    }
}

const NONE: &str = "None";
const WIDTHS: &str = "a list of widths";
const RANGE: &str = "null or two numbers";

/// The texts of a list; `None` where it is no such list.
pub fn texts(value: &Value) -> Option<Vec<String>> {
    let items = value.as_array()?.iter();
    items.map(|item| Some(item.as_str()?.to_owned())).collect()
}

/// A number, truth value or text in RON, or a list of these.
fn written(value: &Value) -> Option<String> {
    match value {
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        Value::String(text) => Some(quoted(text)),
        Value::Array(items) => {
            let items: Option<Vec<String>> = items.iter().map(written).collect();
            Some(format!("[{}]", items?.join(", ")))
        }
        Value::Null | Value::Object(_) => None,
    }
}

/// Whether a value is the default, where 1 and 1.0 are one number.
fn same(value: &Value, default: &str) -> bool {
    let default: Value = serde_json::from_str(default).unwrap_or_default();
    match (value.as_f64(), default.as_f64()) {
        (Some(value), Some(default)) => value == default,
        _ => *value == default,
    }
}

/// The values that are no objects, and empty objects, by their paths.
fn flatten(value: &Value, path: &str, out: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (name, value) in fields {
                let path = match path {
                    "" => name.clone(),
                    path => format!("{path}.{name}"),
                };
                flatten(value, &path, out);
            }
        }
        value => {
            out.insert(path.to_owned(), value.clone());
        }
    }
}

/// The beginning of a value, short enough for a message.
fn clipped(text: &str) -> String {
    const LONGEST: usize = 60;
    let mut short: String = text.chars().take(LONGEST).collect();
    if text.chars().nth(LONGEST).is_some() {
        short.push('…');
    }
    short
}

/// Without what would steer a terminal: a key may have any letters.
fn on_one_line(line: String) -> String {
    line.replace(char::is_control, " ")
}
