//! What a file holds beside its transitions: columns of a value a step, single datasets, and what it says of itself.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::ConvertError;
use super::account::Account;
use crate::data::hdf5::{DatasetInfo, Dtype, FileError, GroupWriter, StepColumn, minari};
use crate::data::{Layout, LoadError, Recording};

/// What Minari's metadata say of a dataset, and what the same is called in D4RL's `metadata/`.
pub(super) const FIELDS: [(&str, &str); 10] = [
    ("algorithm_name", "algorithm"),
    ("author", "author"),
    ("author_email", "author_email"),
    ("code_permalink", "code_permalink"),
    ("description", "description"),
    ("env_spec", "env_spec"),
    ("eval_env_spec", "eval_env_spec"),
    ("ref_max_score", "ref_max_score"),
    ("ref_min_score", "ref_min_score"),
    ("requirements", "requirements"),
];

/// What a layout's own writer derives from the transitions, and its readers ask for: written anew, never copied.
fn is_derived(layout: Layout, name: &str) -> bool {
    let names: &[&str] = match layout {
        Layout::D4rl => &["env", "n", "start"],
        Layout::Minari => &[
            "action_space",
            "data_format",
            "dataset_id",
            "dataset_size",
            "id",
            "jpeg_encoding",
            "minari_version",
            "observation_space",
            "total_episodes",
            "total_steps",
        ],
        Layout::Robomimic => &["env_args", "num_samples", "total"],
        Layout::D3rlpy => &[],
    };
    names.contains(&name)
}

/// What a file holds beside its transitions.
pub(super) struct Beside<'a> {
    pub(super) recording: &'a Recording,
    /// Datasets with a value for each step, by their names within an episode.
    pub(super) steps: Vec<String>,
    /// Datasets that belong to no step.
    pub(super) singles: Vec<&'a DatasetInfo>,
    /// What it says of itself, by Minari's names.
    pub(super) fields: BTreeMap<String, Value>,
    /// The environment's name.
    pub(super) environment: Option<String>,
}

impl<'a> Beside<'a> {
    pub(super) fn of(recording: &'a Recording, account: &mut Account) -> Result<Self, LoadError> {
        let (file, layout) = (recording.file(), recording.layout());
        let rows = match layout {
            Layout::D4rl => file.dataset("observations")?.rows(),
            _ => 0,
        };
        let mut steps = BTreeSet::new();
        let mut singles = Vec::new();
        for info in file.datasets() {
            if layout.reads(&info.path) {
                continue;
            }
            let is_column = !info.shape.is_empty() && info.rows() == rows;
            match layout.step_name(&info.path) {
                Some(name) => drop(steps.insert(name)),
                None if layout == Layout::D4rl
                    && is_column
                    && !info.path.starts_with("metadata/") =>
                {
                    steps.insert(info.path.clone());
                }
                // d3rlpy's counts and its version, which follow from the transitions.
                None if layout == Layout::D3rlpy => {}
                None => singles.push(info),
            }
        }
        let mut beside = Self {
            recording,
            steps: steps.into_iter().collect(),
            singles,
            fields: BTreeMap::new(),
            environment: recording.environment().map(environment_name),
        };
        beside.find_fields(account)?;
        beside.leave_attributes(account)?;
        beside.note_rounding(account);
        Ok(beside)
    }

    /// What the file says of itself, from `metadata/` or Minari's metadata.
    fn find_fields(&mut self, account: &mut Account) -> Result<(), LoadError> {
        let file = self.recording.file();
        match self.recording.layout() {
            Layout::D4rl => {
                for info in &self.singles {
                    let name = info.path.strip_prefix("metadata/");
                    let field = FIELDS.iter().find(|(_, d4rl)| Some(*d4rl) == name);
                    if let Some((field, _)) = field
                        && info.dtype == Dtype::Text
                        && let [text] = file.read_texts(&info.path)?.as_slice()
                    {
                        self.fields
                            .insert((*field).to_owned(), read_field(field, text));
                    }
                }
            }
            Layout::Minari => {
                for (name, value) in minari::fields(file, FIELDS.map(|(field, _)| field))? {
                    if is_derived(Layout::Minari, &name) {
                        continue;
                    }
                    if FIELDS.iter().any(|(field, _)| *field == name) {
                        self.fields.insert(name, value);
                    } else {
                        account.leave(&name, "metadata that no other layout has a place for");
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Attributes: their types cannot be seen, so that only those are copied whose layout says what they are.
    fn leave_attributes(&self, account: &mut Account) -> Result<(), LoadError> {
        let (file, layout) = (self.recording.file(), self.recording.layout());
        let mut left = BTreeSet::new();
        let mut look = |object: &str, shown: &str| -> Result<(), FileError> {
            for name in file.attribute_names(object)? {
                let is_field = layout == Layout::Minari && FIELDS.iter().any(|(f, _)| *f == name);
                if !is_derived(layout, &name) && !is_field {
                    left.insert(format!("{shown}@{name}"));
                }
            }
            Ok(())
        };
        look("", "")?;
        match layout {
            Layout::D4rl => {
                for object in objects(file.datasets()) {
                    look(object, object)?;
                }
            }
            Layout::Robomimic => look("data", "data")?,
            Layout::Minari | Layout::D3rlpy => {}
        }
        let mut last = None;
        for number in self.recording.recorded_numbers() {
            if last.replace(number) != Some(number) {
                match layout {
                    Layout::Minari => look(&format!("episode_{number}"), "episode_N")?,
                    Layout::Robomimic => look(&format!("data/demo_{number}"), "data/demo_N")?,
                    Layout::D4rl | Layout::D3rlpy => {}
                }
            }
        }
        for name in left {
            account.leave(&name, "attributes are not copied");
        }
        Ok(())
    }

    /// Datasets that training reads and that are of another type than `float32`.
    fn note_rounding(&self, account: &mut Account) {
        let layout = self.recording.layout();
        let rounded: BTreeSet<String> = self
            .recording
            .file()
            .datasets()
            .iter()
            .filter(|info| layout.reads(&info.path))
            .filter_map(|info| {
                let name = layout
                    .step_name(&info.path)
                    .unwrap_or_else(|| info.path.clone());
                let is_choice =
                    matches!(info.dtype, Dtype::Integer { .. }) && name.starts_with("obs");
                (info.dtype == Dtype::Float64 || is_choice)
                    .then(|| format!("`{name}` ({})", info.dtype))
            })
            .collect();
        if !rounded.is_empty() {
            let names: Vec<String> = rounded.into_iter().collect();
            account.note(format!(
                "written as float32, which is what training reads: {}",
                names.join(", ")
            ));
        }
    }

    /// Writes the columns that have a place, one after the other, so that one at a time is in memory.
    pub(super) fn write_columns(
        &self,
        account: &mut Account,
        place: impl Fn(&str) -> Result<String, &'static str>,
        mut write: impl FnMut(&mut Account, &str, &StepColumn) -> Result<(), ConvertError>,
    ) -> Result<(), ConvertError> {
        for name in &self.steps {
            let path = match place(name) {
                Ok(path) => path,
                Err(why) => {
                    account.leave(name, why);
                    continue;
                }
            };
            if account.columns.iter().any(|(_, taken)| *taken == path) {
                account.leave(name, format!("`{path}` is another column's already"));
                continue;
            }
            let column = match self.recording.step_column(name) {
                Ok(column) => column,
                Err(
                    error @ (LoadError::Form { .. }
                    | LoadError::Missing { .. }
                    | LoadError::File(
                        FileError::Conversion { .. } | FileError::NoDataset { .. },
                    )),
                ) => {
                    account.leave(name, format!("no number for each step ({error})"));
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            write(account, &path, &column)?;
            account.carry(name);
            account.columns.push((name.clone(), path));
        }
        Ok(())
    }

    /// Copies a dataset that belongs to no step, as it stands.
    pub(super) fn copy(
        &self,
        account: &mut Account,
        group: &GroupWriter<'_>,
        info: &DatasetInfo,
    ) -> Result<(), ConvertError> {
        let file = self.recording.file();
        match (info.dtype, info.shape.as_slice()) {
            (Dtype::Text, []) => {
                let texts = file.read_texts(&info.path)?;
                let text = texts.first().map_or("", String::as_str);
                group.single_text(&info.path, text)?;
            }
            (Dtype::Text, [_]) => group.texts(&info.path, &file.read_texts(&info.path)?)?,
            (dtype, shape) if dtype.is_numeric() && !shape.contains(&0) => {
                group.raw(&info.path, &file.read_raw(info)?)?;
            }
            (dtype, shape) => {
                account.leave(
                    &info.path,
                    format!("{dtype} of shape {shape:?} is not copied"),
                );
                return Ok(());
            }
        }
        account.carry(&info.path);
        Ok(())
    }
}

/// Datasets, and the groups that they are in.
fn objects(datasets: &[DatasetInfo]) -> BTreeSet<&str> {
    datasets
        .iter()
        .flat_map(|info| {
            let path = info.path.as_str();
            let groups = path.match_indices('/').map(|(at, _)| &path[..at]);
            groups.chain([path])
        })
        .collect()
}

/// The name under which a column is known in every layout.
pub(super) fn plain_name(name: &str) -> &str {
    name.strip_prefix("infos/").unwrap_or(name)
}

/// An environment's name, out of robomimic's arguments where it is one of them.
fn environment_name(text: &str) -> String {
    serde_json::from_str::<Value>(text)
        .ok()
        .and_then(|value| value["env_name"].as_str().map(str::to_owned))
        .unwrap_or_else(|| text.to_owned())
}

/// A field's text: as it is, and everything else as JSON.
pub(super) fn field_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        value => value.to_string(),
    }
}

/// A field as Minari keeps it, from its text.
fn read_field(name: &str, text: &str) -> Value {
    let as_text = || Value::String(text.to_owned());
    let json = serde_json::from_str::<Value>(text).ok();
    match name {
        "author" | "author_email" | "requirements" => json
            .filter(Value::is_array)
            .unwrap_or_else(|| Value::Array(vec![as_text()])),
        "ref_max_score" | "ref_min_score" => json.filter(Value::is_number).unwrap_or_else(as_text),
        _ => as_text(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_the_same_after_a_stay_in_texts() {
        for (name, value) in [
            ("algorithm_name", serde_json::json!("SAC")),
            ("description", serde_json::json!("12.5")),
            ("author", serde_json::json!(["A", "B"])),
            ("ref_max_score", serde_json::json!(-12.5)),
        ] {
            assert_eq!(read_field(name, &field_text(&value)), value);
        }
        assert_eq!(read_field("author", "A"), serde_json::json!(["A"]));
    }

    #[test]
    fn an_environments_name_is_found_in_robomimics_arguments() {
        assert_eq!(environment_name("Hopper-v5"), "Hopper-v5");
        assert_eq!(
            environment_name(r#"{"env_name": "Lift", "type": 1}"#),
            "Lift"
        );
    }
}
