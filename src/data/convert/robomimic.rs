//! Writing the robomimic layout: `data/demo_N/{obs/*, next_obs/*, actions, rewards, dones}`, with `states` and `mask/`.

use std::collections::BTreeSet;
use std::path::Path;

use super::account::Account;
use super::extras::{Extras, plain_name};
use super::{ConvertError, Job, count, spaces};
use crate::data::hdf5::{GroupWriter, Key, UNKNOWN_ENVIRONMENT, Writer};
use crate::data::{EpisodeEnd, Layout, ObservationColumn};
use crate::observation::{ObservationPart, ObservationParts, PartKind};

/// The observation's key where it has no named parts; robomimic's own converter from D4RL has the same.
pub const OBSERVATION_KEY: &str = "flat";

/// The key of a picture that is all of the observation.
const PICTURE_KEY: &str = "pixels";

/// robomimic's number for environments of Gym (`EnvType.GYM_TYPE`).
const GYM_TYPE: u32 = 2;

/// Writes a file with one demonstration per episode. `dones` is 1 where the episode terminated, and nowhere else.
pub(super) fn write(job: &Job<'_>, to: &Path, account: &mut Account) -> Result<(), ConvertError> {
    let transitions = job.transitions;
    if let Some(discrete_actions) = job.discrete_actions {
        return Err(ConvertError::DiscreteActions {
            discrete_actions: discrete_actions.count,
        });
    }
    let keys = keys(job);
    let writer = Writer::create(to)?;
    let data = writer.root().group("data")?;
    data.number("total", transitions.len())?;
    data.text("env_args", &environment_arguments(job))?;
    let mut demonstrations = Vec::new();
    for (index, episode) in transitions.episodes().iter().enumerate() {
        let demonstration = data.group(&format!("demo_{index}"))?;
        let rows = episode.rows.clone();
        demonstration.number("num_samples", rows.len())?;
        for (group, column) in [
            ("obs", transitions.observation()),
            ("next_obs", transitions.next_observation()),
        ] {
            let group = demonstration.group(group)?;
            let mut from = 0;
            for key in &keys {
                let ObservationPart { name, shape, kind } = key;
                let part = part(column, rows.clone(), from, key.width());
                match kind {
                    PartKind::Byte => group.bytes(name, &part, shape)?,
                    PartKind::Number => group.table(name, &part, shape)?,
                }
                from += key.width();
            }
        }
        let action = transitions.action();
        let taken = action.rows_between(rows.clone());
        demonstration.actions(taken, action.width, job.whole_actions)?;
        demonstration.vector("rewards", &transitions.reward()[rows.clone()])?;
        demonstration.flags("dones", transitions.terminated()[rows].iter().copied())?;
        demonstrations.push(demonstration);
    }
    if let Some(extras) = job.extras {
        write_columns(job, extras, &demonstrations, account)?;
        let layout = extras.dataset_file.layout();
        for info in &extras.singles {
            match info.path.strip_prefix("mask/") {
                Some(_) if layout == Layout::Robomimic => {}
                _ => account.leave(&info.path, "robomimic has no place for it"),
            }
        }
        // Those of a D4RL file are datasets, which were reported above.
        if layout == Layout::Minari {
            for field in extras.fields.keys() {
                account.leave(field, "robomimic has no place for it");
            }
        }
        if layout == Layout::Robomimic {
            write_filters(extras, &writer.root(), account)?;
        }
    }
    writer.close()?;
    spaces::leave(job, account)?;
    if let Some(extras) = job.extras {
        let parts = extras.dataset_file.observation();
        let has_own = parts.iter().map(|key| (&key.name, &key.shape));
        if !has_own.eq(keys.iter().map(|key| (&key.name, &key.shape))) {
            account.note_joined("observations", parts);
        }
        account.note_joined("actions", extras.dataset_file.action());
    }
    let names: Vec<String> = keys.iter().map(|key| format!("`{}`", key.name)).collect();
    account.note(format!(
        "observations are {}; `dones` marks terminal steps alone",
        names.join(", ")
    ));
    let unfinished = count(transitions, EpisodeEnd::Unfinished);
    if unfinished > 0 {
        account.note(format!(
            "robomimic does not tell unfinished demonstrations from truncated ones: {unfinished} are unfinished"
        ));
    }
    if job.environment().is_none() {
        account.note("`env_args` names no environment: give --env NAME to have it named");
    }
    Ok(())
}

/// The parts of an observation, in the order in which they are read back: that of their names.
fn keys(job: &Job<'_>) -> Vec<ObservationPart> {
    if let Some((parts, _)) = job.recorded {
        let named = parts.iter().cloned().map(|part| ObservationPart {
            name: match (part.name.as_str(), part.kind) {
                ("", PartKind::Byte) if part.shape.len() > 1 => PICTURE_KEY.to_owned(),
                ("", _) => OBSERVATION_KEY.to_owned(),
                _ => part.name,
            },
            ..part
        });
        return named.collect();
    }
    let width = job.transitions.observation().width();
    let parts: &[Key] = match job.extras.map(|extras| extras.dataset_file) {
        Some(dataset_file) if !dataset_file.layout().has_long_columns() => {
            dataset_file.observation()
        }
        _ => &[],
    };
    let is_named = !matches!(parts, [one] if one.name == "observations") && !parts.is_empty();
    let is_flat = parts.iter().all(|key| !key.name.contains('/'));
    if is_named && is_flat && parts.is_sorted_by(|a, b| a.name < b.name) {
        return ObservationParts::of_keys(parts).iter().cloned().collect();
    }
    if let [_] = parts {
        let only = ObservationParts::of_keys(parts);
        let picture = only
            .iter()
            .find(|part| part.kind == PartKind::Byte && part.shape.len() > 1);
        if let Some(picture) = picture {
            return vec![ObservationPart {
                name: PICTURE_KEY.to_owned(),
                ..picture.clone()
            }];
        }
    }
    vec![ObservationPart {
        name: OBSERVATION_KEY.to_owned(),
        shape: vec![width],
        kind: PartKind::Number,
    }]
}

/// Some elements of each of some rows.
fn part(
    column: &ObservationColumn,
    rows: std::ops::Range<usize>,
    from: usize,
    width: usize,
) -> Vec<f32> {
    let mut part = Vec::with_capacity(rows.len() * width);
    rows.for_each(|row| part.extend_from_slice(&column.row(row)[from..from + width]));
    part
}

fn environment_arguments(job: &Job<'_>) -> String {
    let dataset_file = job.extras.map(|extras| extras.dataset_file);
    if let (None, Some(dataset_file)) = (job.origin, dataset_file)
        && dataset_file.layout() == Layout::Robomimic
        && let Some(arguments) = dataset_file.environment()
    {
        return arguments.to_owned();
    }
    serde_json::json!({
        "env_name": job.environment().unwrap_or(UNKNOWN_ENVIRONMENT),
        "env_version": null,
        "type": GYM_TYPE,
        "env_kwargs": {},
    })
    .to_string()
}

/// A column is a dataset in each demonstration: `states`, and whatever a robomimic file had.
fn write_columns(
    job: &Job<'_>,
    extras: &Extras<'_>,
    demonstrations: &[GroupWriter<'_>],
    account: &mut Account,
) -> Result<(), ConvertError> {
    let is_robomimic = extras.dataset_file.layout() == Layout::Robomimic;
    extras.write_columns(
        account,
        false,
        |name| match plain_name(name) {
            _ if is_robomimic => Ok(name.to_owned()),
            "states" => Ok("states".to_owned()),
            _ => Err("robomimic has no place for it: of columns it keeps `states` alone"),
        },
        |_, path, column| {
            let width = column.rows.row_bytes();
            for (episode, demonstration) in job.transitions.episodes().iter().zip(demonstrations) {
                let bytes =
                    &column.rows.bytes[episode.rows.start * width..episode.rows.end * width];
                demonstration.raw(path, &column.rows.with_rows(bytes.to_vec()))?;
            }
            Ok(())
        },
    )
}

/// Filter keys name demonstrations, which have new names where one was split at a terminal.
fn write_filters(
    extras: &Extras<'_>,
    root: &GroupWriter<'_>,
    account: &mut Account,
) -> Result<(), ConvertError> {
    let recorded = extras.dataset_file.recorded_names();
    let there: BTreeSet<String> = recorded.iter().cloned().collect();
    for key in extras.dataset_file.filter_keys()? {
        let place = format!("mask/{key}");
        let listed = extras.dataset_file.file().read_texts(&place)?;
        let listed: BTreeSet<String> = listed.into_iter().collect();
        let names: Vec<String> = recorded
            .iter()
            .enumerate()
            .filter(|(_, name)| listed.contains(*name))
            .map(|(index, _)| format!("demo_{index}"))
            .collect();
        if let Some(absent) = listed.difference(&there).next() {
            account.leave(
                &place,
                format!("it names `{absent}`, of which there are no transitions"),
            );
            continue;
        }
        if names.is_empty() {
            account.leave(&place, "it names no demonstration");
            continue;
        }
        root.texts(&place, &names)?;
        account.carry(&place);
    }
    Ok(())
}
