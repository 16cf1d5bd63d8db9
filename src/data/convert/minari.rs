//! Writing the Minari layout: a folder with `data/main_data.hdf5`, a group per episode, and `data/metadata.json`.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::account::Account;
use super::beside::{Beside, FIELDS, plain_name};
use super::{Choices, ConvertError, Job, count};
use crate::data::hdf5::{GroupWriter, Writer};
use crate::data::{End, Episode, Layout, Transitions};

/// The version of the layout: every Minari 0.5 reads it.
const VERSION: &str = "0.5.0";

/// Writes a dataset's folder, which will stand at `to` and has its name from there.
///
/// An episode of T transitions has T + 1 observations, so that each next observation must be the following observation.
pub(super) fn write(
    job: &Job<'_>,
    folder: &Path,
    to: &Path,
    account: &mut Account,
) -> Result<(), ConvertError> {
    let transitions = job.transitions;
    let name = name(to)?;
    for (index, episode) in transitions.episodes().iter().enumerate() {
        follows(transitions, index, episode)?;
    }
    let io = |source| ConvertError::Io {
        path: to.to_owned(),
        source,
    };
    let data = folder.join("data");
    fs::create_dir_all(&data).map_err(io)?;
    let main = data.join("main_data.hdf5");
    let writer = Writer::create(&main)?;
    let mut groups = Vec::new();
    for (index, episode) in transitions.episodes().iter().enumerate() {
        let rows = episode.rows.clone();
        let group = writer.root().group(&format!("episode_{index}"))?;
        group.number("id", index)?;
        group.number("total_steps", rows.len())?;
        let observation = transitions.observation();
        let last = transitions.next_observation().row(rows.end - 1);
        let observations = [observation.rows_between(&rows), last].concat();
        group.matrix("observations", &observations, observation.width)?;
        let action = transitions.action();
        let taken = action.rows_between(&rows);
        match job.choices {
            None => group.matrix("actions", taken, action.width)?,
            Some(choices) => group.wholes("actions", &choices.numbers(taken), &[])?,
        }
        group.vector("rewards", &transitions.reward()[rows.clone()])?;
        let at_end = |end| {
            let (length, is_it) = (rows.len(), episode.end == end);
            (1..=length).map(move |step| is_it && step == length)
        };
        group.flags("terminations", at_end(End::Terminal))?;
        group.flags("truncations", at_end(End::Truncated))?;
        groups.push(group);
    }
    if let Some(beside) = job.beside {
        write_infos(job, beside, &groups, account)?;
        leave_singles(beside, account);
    }
    writer.close()?;
    let size = fs::metadata(&main).map_err(io)?.len();
    let action_space = action_space(job, account)?;
    let width = transitions.observation().width;
    let unbounded = space(&vec![f32::NEG_INFINITY; width], &vec![f32::INFINITY; width]);
    let mut metadata = serde_json::json!({
        "dataset_id": name,
        "minari_version": VERSION,
        "data_format": "hdf5",
        "total_episodes": transitions.episodes().len(),
        "total_steps": transitions.len(),
        "dataset_size": size as f64 / 1e6,
        "observation_space": unbounded,
        "action_space": action_space,
    });
    for (field, value) in fields(job, account) {
        metadata[field] = value;
    }
    fs::write(data.join("metadata.json"), metadata.to_string()).map_err(io)?;
    if let Some([first, .., last]) = job.beside.map(|beside| beside.recording.observation()) {
        account.note(format!(
            "the observation's parts, from `{}` to `{}`, are joined to one Box",
            first.name, last.name
        ));
    }
    let unfinished = count(transitions, End::Unfinished);
    if unfinished > 0 {
        account.note(format!(
            "neither a termination nor a truncation ends unfinished episodes, of which there are {unfinished}"
        ));
    }
    Ok(())
}

/// The bounds of the environment that was named, or those that the file itself gives.
fn action_space(job: &Job<'_>, account: &mut Account) -> Result<String, ConvertError> {
    if let Some(choices) = job.choices {
        return Ok(discrete(choices));
    }
    if let Some(origin) = job.origin {
        return Ok(space(&origin.action_low, &origin.action_high));
    }
    if let Some(beside) = job.beside
        && let Some(bounds) = beside.recording.action_bounds()?
    {
        return Ok(space(&bounds.low, &bounds.high));
    }
    account.note("the spaces are without bounds: give --env NAME to have that environment's");
    let width = job.transitions.action().width;
    Ok(space(
        &vec![f32::NEG_INFINITY; width],
        &vec![f32::INFINITY; width],
    ))
}

/// Columns become `infos`, which have T + 1 rows as observations have. Where the file does not say what there is after an
/// episode's last step, its last value stands there again.
fn write_infos(
    job: &Job<'_>,
    beside: &Beside<'_>,
    groups: &[GroupWriter<'_>],
    account: &mut Account,
) -> Result<(), ConvertError> {
    let mut repeated = false;
    beside.write_columns(
        account,
        |name| Ok(format!("infos/{}", plain_name(name))),
        |_, path, column| {
            let width = column.rows.row_bytes();
            for ((episode, after), group) in job
                .transitions
                .episodes()
                .iter()
                .zip(&column.after)
                .zip(groups)
            {
                let rows = &episode.rows;
                let own = &column.rows.bytes[rows.start * width..rows.end * width];
                let last = after.as_deref().unwrap_or(&own[own.len() - width..]);
                repeated |= after.is_none();
                group.raw(path, &column.rows.with_rows([own, last].concat()))?;
            }
            Ok(())
        },
    )?;
    if repeated {
        account.note(
            "Minari's `infos` have a value after an episode's last step too: where the file has none, the last one stands there again",
        );
    }
    Ok(())
}

/// Minari has a place for what its metadata name, and for no other single dataset.
fn leave_singles(beside: &Beside<'_>, account: &mut Account) {
    for info in &beside.singles {
        let name = info.path.strip_prefix("metadata/");
        let is_field = FIELDS
            .iter()
            .any(|(field, d4rl)| Some(*d4rl) == name && beside.fields.contains_key(*field));
        if is_field && beside.recording.layout() == Layout::D4rl {
            account.carry(&info.path);
        } else {
            account.leave(&info.path, "Minari has no place for it");
        }
    }
}

/// What the file says of itself. The specification of an environment is another's where --env names one.
fn fields(job: &Job<'_>, account: &mut Account) -> Vec<(String, Value)> {
    let Some(beside) = job.beside else {
        return Vec::new();
    };
    let is_minari = beside.recording.layout() == Layout::Minari;
    let mut fields = Vec::new();
    for (field, value) in &beside.fields {
        if field.ends_with("env_spec") && job.origin.is_some() {
            account.leave(field, "--env names the environment");
            continue;
        }
        if is_minari {
            account.carry(field);
        }
        fields.push((field.clone(), value.clone()));
    }
    if let (Some(name), None) = (job.environment(), beside.fields.get("env_spec")) {
        account.note(format!(
            "Minari keeps an environment's whole specification, which is not known of {name}: its name is not in the metadata"
        ));
    }
    fields
}

/// A Discrete as Minari writes spaces.
fn discrete(Choices { first, count }: Choices) -> String {
    format!(r#"{{"type": "Discrete", "dtype": "int64", "start": {first}, "n": {count}}}"#)
}

/// A Box of float32 as Minari writes spaces: JSON in which Python's `Infinity` may stand.
fn space(low: &[f32], high: &[f32]) -> String {
    let list = |bounds: &[f32]| {
        let bounds: Vec<String> = bounds
            .iter()
            .map(|&bound| match bound {
                f32::INFINITY => "Infinity".to_owned(),
                f32::NEG_INFINITY => "-Infinity".to_owned(),
                bound => format!("{:?}", f64::from(bound)),
            })
            .collect();
        format!("[{}]", bounds.join(", "))
    };
    format!(
        r#"{{"type": "Box", "dtype": "float32", "shape": [{}], "low": {}, "high": {}}}"#,
        low.len(),
        list(low),
        list(high)
    )
}

/// The dataset's name, from its folder's.
fn name(to: &Path) -> Result<String, ConvertError> {
    let name = to
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let is_letter = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if let Some((before, version)) = name.rsplit_once("-v")
        && !before.is_empty()
        && before.chars().all(is_letter)
        && !version.is_empty()
        && version.chars().all(|c| c.is_ascii_digit())
    {
        return Ok(name);
    }
    let stem = name.split('.').next().unwrap_or_default();
    let kept: String = stem
        .chars()
        .map(|c| if is_letter(c) { c } else { '-' })
        .collect();
    let kept = if kept.is_empty() { "data" } else { &kept };
    Err(ConvertError::Name {
        path: to.to_owned(),
        suggestion: format!("{kept}-v0"),
    })
}

fn follows(
    transitions: &Transitions,
    index: usize,
    Episode { rows, .. }: &Episode,
) -> Result<(), ConvertError> {
    let width = transitions.observation().width;
    let next = transitions
        .next_observation()
        .rows_between(&(rows.start..rows.end - 1));
    let following = transitions
        .observation()
        .rows_between(&(rows.start + 1..rows.end));
    match next.iter().zip(following).position(|(a, b)| a != b) {
        None => Ok(()),
        Some(at) => Err(ConvertError::DoesNotFollow {
            episode: index,
            row: rows.start + at / width,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_named_as_minari_names_datasets() {
        for fine in ["pendulum-v0", "a/b/pen_dulum-expert-v12"] {
            assert!(name(Path::new(fine)).is_ok(), "{fine}");
        }
        for (odd, suggestion) in [
            ("pendulum", "pendulum-v0"),
            ("out/pendulum.hdf5", "pendulum-v0"),
            ("a b-v", "a-b-v-v0"),
            ("-v0", "-v0-v0"),
        ] {
            let error = name(Path::new(odd)).unwrap_err().to_string();
            assert!(
                error.ends_with(&format!("such as `{suggestion}`")),
                "{error}"
            );
        }
    }

    #[test]
    fn spaces_are_pythons_json() {
        assert_eq!(
            space(&[f32::NEG_INFINITY, -2.0], &[f32::INFINITY, 0.5]),
            r#"{"type": "Box", "dtype": "float32", "shape": [2], "low": [-Infinity, -2.0], "high": [Infinity, 0.5]}"#
        );
    }
}
