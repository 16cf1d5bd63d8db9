//! Writing the robomimic layout: `data/demo_N/{obs/*, next_obs/*, actions, rewards, dones}`, with `states` and `mask/`.

use std::collections::BTreeSet;
use std::path::Path;

use super::account::Account;
use super::beside::{Beside, plain_name};
use super::{ConvertError, Job, count, spaces};
use crate::data::hdf5::{GroupWriter, Key, Writer};
use crate::data::{Column, End, Layout};

/// The observation's key where it has no named parts; robomimic's own converter from D4RL has the same.
pub const OBSERVATION_KEY: &str = "flat";

/// The environment's name where none is known.
pub(super) const UNKNOWN_ENVIRONMENT: &str = "unknown";

/// robomimic's number for environments of Gym (`EnvType.GYM_TYPE`).
const GYM_TYPE: u32 = 2;

/// Writes a file with one demonstration per episode. `dones` is 1 where the episode terminated, and nowhere else.
pub(super) fn write(job: &Job<'_>, to: &Path, account: &mut Account) -> Result<(), ConvertError> {
    let transitions = job.transitions;
    if let Some(choices) = job.choices {
        return Err(ConvertError::Choices {
            choices: choices.count,
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
            for (name, shape) in &keys {
                let width = shape.iter().product();
                let part = part(column, rows.clone(), from, width);
                group.table(name, &part, shape)?;
                from += width;
            }
        }
        let action = transitions.action();
        demonstration.matrix("actions", action.rows_between(&rows), action.width)?;
        demonstration.vector("rewards", &transitions.reward()[rows.clone()])?;
        demonstration.flags("dones", transitions.terminal()[rows].iter().copied())?;
        demonstrations.push(demonstration);
    }
    if let Some(beside) = job.beside {
        write_columns(job, beside, &demonstrations, account)?;
        let layout = beside.recording.layout();
        for info in &beside.singles {
            match info.path.strip_prefix("mask/") {
                Some(_) if layout == Layout::Robomimic => {}
                _ => account.leave(&info.path, "robomimic has no place for it"),
            }
        }
        // Those of a D4RL file are datasets, which were told above.
        if layout == Layout::Minari {
            for field in beside.fields.keys() {
                account.leave(field, "robomimic has no place for it");
            }
        }
        if layout == Layout::Robomimic {
            write_filters(beside, &writer.root(), account)?;
        }
    }
    writer.close()?;
    spaces::leave(job, account)?;
    if let Some(beside) = job.beside {
        let parts = beside.recording.observation();
        let has_own = parts.iter().map(|key| (&key.name, &key.shape));
        if !has_own.eq(keys.iter().map(|(name, shape)| (name, shape))) {
            account.note_joined("observations", parts);
        }
        account.note_joined("actions", beside.recording.action());
    }
    let names: Vec<String> = keys.iter().map(|(name, _)| format!("`{name}`")).collect();
    account.note(format!(
        "observations are {}; `dones` marks terminal steps alone",
        names.join(", ")
    ));
    let unfinished = count(transitions, End::Unfinished);
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

/// The parts of an observation by name and shape, in the order in which they are read back: that of their names.
fn keys(job: &Job<'_>) -> Vec<(String, Vec<usize>)> {
    let width = job.transitions.observation().width;
    let parts: &[Key] = match job.beside.map(|beside| beside.recording) {
        Some(recording) if recording.layout() != Layout::D4rl => recording.observation(),
        _ => &[],
    };
    let is_named = !matches!(parts, [one] if one.name == "observations") && !parts.is_empty();
    let is_flat = parts.iter().all(|key| !key.name.contains('/'));
    if is_named && is_flat && parts.is_sorted_by(|a, b| a.name < b.name) {
        let named = |key: &Key| (key.name.clone(), key.shape.clone());
        return parts.iter().map(named).collect();
    }
    vec![(OBSERVATION_KEY.to_owned(), vec![width])]
}

/// Some elements of each of some rows.
fn part(column: &Column, rows: std::ops::Range<usize>, from: usize, width: usize) -> Vec<f32> {
    rows.flat_map(|row| &column.row(row)[from..from + width])
        .copied()
        .collect()
}

fn environment_arguments(job: &Job<'_>) -> String {
    let recording = job.beside.map(|beside| beside.recording);
    if let (None, Some(recording)) = (job.origin, recording)
        && recording.layout() == Layout::Robomimic
        && let Some(arguments) = recording.environment()
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
    beside: &Beside<'_>,
    demonstrations: &[GroupWriter<'_>],
    account: &mut Account,
) -> Result<(), ConvertError> {
    let is_robomimic = beside.recording.layout() == Layout::Robomimic;
    beside.write_columns(
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
    beside: &Beside<'_>,
    root: &GroupWriter<'_>,
    account: &mut Account,
) -> Result<(), ConvertError> {
    let numbers = beside.recording.recorded_numbers();
    let there: BTreeSet<String> = numbers
        .iter()
        .map(|number| format!("demo_{number}"))
        .collect();
    for key in beside.recording.filter_keys()? {
        let place = format!("mask/{key}");
        let listed = beside.recording.file().read_texts(&place)?;
        let listed: BTreeSet<String> = listed.into_iter().collect();
        let names: Vec<String> = numbers
            .iter()
            .enumerate()
            .filter(|(_, number)| listed.contains(&format!("demo_{number}")))
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
