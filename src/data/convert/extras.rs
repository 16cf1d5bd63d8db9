//! What a file holds next to its transitions: columns of a value a step, single datasets, and what it says of itself.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::account::Account;
use super::attributes::{self, is_derived};
use super::{ConvertError, Origin};
use crate::data::hdf5::{DatasetInfo, Dtype, FileError, GroupWriter, StepColumn, minari};
use crate::data::{DatasetFile, Layout, LoadError};

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

/// What d3rlpy writes of its counts, its columns' names and its version, which follow from the transitions.
const D3RLPYS_OWN: [&str; 3] = ["columns", "num_episodes", "version"];

/// The columns that are truth values, in every layout.
const FLAGS: [&str; 10] = [
    "done",
    "dones",
    "episode_terminals",
    "next.done",
    "terminals",
    "terminated",
    "terminations",
    "timeouts",
    "truncated",
    "truncations",
];

/// What a file holds next to its transitions.
pub(super) struct Extras<'a> {
    pub(super) dataset_file: &'a DatasetFile,
    /// Datasets with a value for each step, by their names within an episode.
    pub(super) steps: Vec<String>,
    /// Datasets that belong to no step.
    pub(super) singles: Vec<&'a DatasetInfo>,
    /// What it says of itself, by Minari's names.
    pub(super) fields: BTreeMap<String, Value>,
    /// The environment's name.
    pub(super) environment: Option<String>,
}

impl<'a> Extras<'a> {
    pub(super) fn of(
        dataset_file: &'a DatasetFile,
        origin: Option<&Origin>,
        account: &mut Account,
    ) -> Result<Self, LoadError> {
        let (file, layout) = (dataset_file.file(), dataset_file.layout());
        let rows = match layout {
            layout if layout.has_long_columns() => file.dataset("observations")?.rows(),
            _ => 0,
        };
        let mut steps = BTreeSet::new();
        let mut singles = Vec::new();
        for info in file.datasets() {
            // What is no number is left, and reported: pictures of LeRobot's.
            if layout.reads(&info.path) && info.dtype.is_numeric() {
                continue;
            }
            let is_column = !info.shape.is_empty() && info.rows() == rows;
            match layout.step_name(&info.path) {
                Some(name) => drop(steps.insert(name)),
                None if layout.has_long_columns()
                    && is_column
                    && !info.path.starts_with("metadata/") =>
                {
                    steps.insert(info.path.clone());
                }
                None if layout == Layout::D3rlpy && D3RLPYS_OWN.contains(&info.path.as_str()) => {}
                None => singles.push(info),
            }
        }
        let mut extras = Self {
            dataset_file,
            steps: steps.into_iter().collect(),
            singles,
            fields: BTreeMap::new(),
            environment: dataset_file.environment_name(),
        };
        extras.find_fields(account)?;
        attributes::leave(&extras, account)?;
        extras.note_types(account);
        extras.leave_specifications(origin, account);
        Ok(extras)
    }

    /// What the file says of itself, from `metadata/` or Minari's metadata.
    fn find_fields(&mut self, account: &mut Account) -> Result<(), LoadError> {
        let file = self.dataset_file.file();
        match self.dataset_file.layout() {
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
                    match value {
                        _ if is_derived(Layout::Minari, "", &name) => {}
                        Some(value) => drop(self.fields.insert(name, value)),
                        None => {
                            account.leave(&name, "it holds a NaN or an infinity, which is no JSON")
                        }
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Leaves the specification of the file's environment where another one is named.
    fn leave_specifications(&mut self, origin: Option<&Origin>, account: &mut Account) {
        let named = origin.map(|origin| origin.environment.as_str());
        if named.is_none() || named == self.environment.as_deref() {
            return;
        }
        for field in ["env_spec", "eval_env_spec"] {
            if self.fields.remove(field).is_some() {
                let shown = self.shown(field);
                self.singles.retain(|info| info.path != shown);
                account.leave(&shown, "--env names another environment");
            }
        }
    }

    /// Datasets that training reads and that are written in another type.
    fn note_types(&self, account: &mut Account) {
        let layout = self.dataset_file.layout();
        let (mut numbers, mut flags) = (BTreeSet::new(), BTreeSet::new());
        for info in self.dataset_file.file().datasets() {
            if !layout.reads(&info.path) || !info.dtype.is_numeric() {
                continue;
            }
            let name = layout
                .step_name(&info.path)
                .unwrap_or_else(|| info.path.clone());
            let is_choice =
                self.dataset_file.discrete_actions().is_some() && name.starts_with("action");
            let (told, written) = match FLAGS.contains(&name.as_str()) {
                true => (&mut flags, Dtype::Bool),
                false => (&mut numbers, Dtype::Float32),
            };
            if info.dtype != written && !is_choice {
                told.insert(format!("`{name}` ({})", info.dtype));
            }
        }
        for (names, written) in [
            (numbers, "float32, which is what training reads"),
            (flags, "truth values"),
        ] {
            if !names.is_empty() {
                let names: Vec<String> = names.into_iter().collect();
                account.note(format!("written as {written}: {}", names.join(", ")));
            }
        }
    }

    /// Minari's name of what a D4RL file's `metadata/` says of the dataset.
    pub(super) fn field_of(&self, info: &DatasetInfo) -> Option<&'static str> {
        let name = info.path.strip_prefix("metadata/")?;
        let (field, _) = FIELDS.iter().find(|(_, d4rl)| *d4rl == name)?;
        (self.dataset_file.layout() == Layout::D4rl && self.fields.contains_key(*field))
            .then_some(field)
    }

    /// What the file calls a field that Minari has.
    pub(super) fn shown(&self, field: &str) -> String {
        let known = FIELDS.iter().find(|(minari, _)| *minari == field);
        match (self.dataset_file.layout(), known) {
            (Layout::D4rl, Some((_, name))) => format!("metadata/{name}"),
            _ => field.to_owned(),
        }
    }

    /// Writes the columns that have a place, one after the other, so that one at a time is in memory. `keeps_after` says whether the
    /// layout keeps what is after an episode's last step.
    pub(super) fn write_columns(
        &self,
        account: &mut Account,
        keeps_after: bool,
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
            let column = match self.dataset_file.step_column(name) {
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
            if !keeps_after && column.after.iter().any(Option::is_some) {
                account.leave_after(name);
            }
            account.columns.push((name.clone(), path));
        }
        Ok(())
    }

    /// Copies a dataset that belongs to no step, as it is.
    pub(super) fn copy(
        &self,
        account: &mut Account,
        group: &GroupWriter<'_>,
        info: &DatasetInfo,
    ) -> Result<(), ConvertError> {
        let file = self.dataset_file.file();
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

/// The name under which a column is known in every layout.
pub(super) fn plain_name(name: &str) -> &str {
    name.strip_prefix("infos/").unwrap_or(name)
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
}
