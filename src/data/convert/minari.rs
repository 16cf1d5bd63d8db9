//! Writing the Minari layout: a folder with `data/main_data.hdf5`, a group per episode, and `data/metadata.json`.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::account::Account;
use super::extras::{Extras, plain_name};
use super::{ConvertError, Job, count, spaces};
use crate::data::hdf5::{GroupWriter, Writer};
use crate::data::{Episode, EpisodeEnd, Transitions};

/// The version of the layout: every Minari 0.5 reads it.
const VERSION: &str = "0.5.0";

/// Writes a dataset's folder, which will be at `to` and has its name from there.
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
        let observations = [&*observation.rows_between(rows.clone()), &*last].concat();
        group.matrix("observations", &observations, observation.width())?;
        let action = transitions.action();
        let taken = action.rows_between(rows.clone());
        match job.discrete_actions {
            None => group.actions(taken, action.width, job.whole_actions)?,
            Some(discrete_actions) => {
                group.wholes("actions", &discrete_actions.numbers(taken), &[])?
            }
        }
        group.vector("rewards", &transitions.reward()[rows.clone()])?;
        let at_end = |end| {
            let (length, is_it) = (rows.len(), episode.end == end);
            (1..=length).map(move |step| is_it && step == length)
        };
        group.flags("terminations", at_end(EpisodeEnd::Terminated))?;
        group.flags("truncations", at_end(EpisodeEnd::Truncated))?;
        groups.push(group);
    }
    if let Some(extras) = job.extras {
        write_infos(job, extras, &groups, account)?;
        for info in &extras.singles {
            if extras.field_of(info).is_none() {
                account.leave(&info.path, "Minari has no place for it");
            }
        }
    }
    writer.close()?;
    let size = fs::metadata(&main).map_err(io)?.len();
    let [observation_space, action_space] = spaces::for_minari(job, account)?;
    let mut metadata = serde_json::json!({
        "dataset_id": name,
        "minari_version": VERSION,
        "data_format": "hdf5",
        "total_episodes": transitions.episodes().len(),
        "total_steps": transitions.len(),
        "dataset_size": size as f64 / 1e6,
        "observation_space": observation_space,
        "action_space": action_space,
    });
    for (field, value) in fields(job, account) {
        metadata[field] = value;
    }
    if let Some(extras) = job.extras {
        account.note_joined("observations", extras.dataset_file.observation());
        account.note_joined("actions", extras.dataset_file.action());
    }
    fs::write(data.join("metadata.json"), metadata.to_string()).map_err(io)?;
    let unfinished = count(transitions, EpisodeEnd::Unfinished);
    if unfinished > 0 {
        account.note(format!(
            "neither a termination nor a truncation ends unfinished episodes, of which there are {unfinished}"
        ));
    }
    Ok(())
}

/// Columns become `infos`, which have T + 1 rows as observations have. Where the file does not say what there is after an
/// episode's last step, its last value is there again.
fn write_infos(
    job: &Job<'_>,
    extras: &Extras<'_>,
    groups: &[GroupWriter<'_>],
    account: &mut Account,
) -> Result<(), ConvertError> {
    let mut repeated = false;
    extras.write_columns(
        account,
        true,
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
            "Minari's `infos` have a value after an episode's last step too: where the file has none, the last one is there again",
        );
    }
    Ok(())
}

/// What the file says of itself, and the environment's name.
fn fields(job: &Job<'_>, account: &mut Account) -> Vec<(String, Value)> {
    let mut fields = Vec::new();
    let mut is_specified = false;
    if let Some(extras) = job.extras {
        for (field, value) in &extras.fields {
            is_specified |= field == "env_spec";
            account.carry(&extras.shown(field));
            fields.push((field.clone(), value.clone()));
        }
    }
    if let (Some(name), false) = (job.environment(), is_specified) {
        if is_registered_name(name) {
            fields.push(("env_spec".to_owned(), specification(name).into()));
            account.note(format!(
                "`env_spec` gives the environment's name, {name}, and no more: Minari cannot make the environment from it"
            ));
        } else {
            account.note(format!(
                "the environment's name, {name}, is not in the metadata: it is no name to Gymnasium, whose specifications Minari keeps"
            ));
        }
    }
    fields
}

/// A specification that Gymnasium reads, of which nothing but the name is known.
fn specification(name: &str) -> String {
    serde_json::json!({ "id": name, "entry_point": null, "additional_wrappers": [] }).to_string()
}

/// Whether Gymnasium takes this for an environment's name, such as `Pendulum-v1` or `world/Walk-v0`. It refuses all others, and
/// Minari then the whole dataset.
fn is_registered_name(name: &str) -> bool {
    let (namespace, name) = name.split_once('/').unwrap_or(("_", name));
    let is_made_of = |text: &str, more: &[char]| {
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || more.contains(&c);
        !text.is_empty() && text.chars().all(fits)
    };
    is_made_of(namespace, &[':', '-']) && is_made_of(name, &[':', '.', '-'])
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
    let width = transitions.observation().width();
    let next = transitions
        .next_observation()
        .rows_between(rows.start..rows.end - 1);
    let following = transitions
        .observation()
        .rows_between(rows.start + 1..rows.end);
    let mut pairs = next.iter().zip(following.iter());
    match pairs.position(|(a, b)| a != b) {
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
    fn an_environments_name_is_one_that_gymnasium_takes() {
        for fine in ["Pendulum-v1", "Lift", "phys2d/Walk.er:x-v0"] {
            assert!(is_registered_name(fine), "{fine}");
        }
        for odd in ["", "a task", "a/b/c", "/Lift", "Lift/", "Ä-v0"] {
            assert!(!is_registered_name(odd), "{odd}");
        }
    }
}
