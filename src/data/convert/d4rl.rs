//! Writing the D4RL layout: `observations`, `actions`, `rewards`, `next_observations`, `terminals` and `timeouts`, with `infos/` and
//! `metadata/`.

use std::path::Path;

use super::account::Account;
use super::extras::{FIELDS, field_text, plain_name};
use super::{ConvertError, Job, count, spaces};
use crate::data::hdf5::Writer;
use crate::data::{EpisodeEnd, Layout};

/// Writes a file. Every row keeps its true next observation; the last row of a truncated or unfinished episode times out.
pub(super) fn write(job: &Job<'_>, to: &Path, account: &mut Account) -> Result<(), ConvertError> {
    let transitions = job.transitions;
    let writer = Writer::create(to)?;
    let root = writer.root();
    for (name, column) in [
        ("observations", transitions.observation()),
        ("next_observations", transitions.next_observation()),
    ] {
        root.matrix(name, &column.numbers(), column.width())?;
    }
    let action = transitions.action();
    match job.discrete_actions {
        None => root.actions(&action.values, action.width, job.whole_actions)?,
        Some(discrete_actions) => {
            let attributes = [
                ("n", discrete_actions.count as i64),
                ("start", discrete_actions.first),
            ];
            root.wholes(
                "actions",
                &discrete_actions.numbers(&action.values),
                &attributes,
            )?;
        }
    }
    root.vector("rewards", transitions.reward())?;
    root.flags("terminals", transitions.terminated().iter().copied())?;
    let mut timeouts = vec![false; transitions.len()];
    for episode in transitions.episodes() {
        timeouts[episode.rows.end - 1] = episode.end != EpisodeEnd::Terminated;
    }
    root.flags("timeouts", timeouts)?;
    if let Some(environment) = job.environment() {
        root.text("env", environment)?;
    }
    if let Some(extras) = job.extras {
        let layout = extras.dataset_file.layout();
        let is_d4rl = layout == Layout::D4rl;
        extras.write_columns(
            account,
            false,
            |name| {
                Ok(match layout {
                    Layout::D4rl => name.to_owned(),
                    _ => format!("infos/{}", plain_name(name)),
                })
            },
            |_, path, column| Ok(root.raw(path, &column.rows)?),
        )?;
        account.note_joined("observations", extras.dataset_file.observation());
        account.note_joined("actions", extras.dataset_file.action());
        for info in &extras.singles {
            if is_d4rl {
                extras.copy(account, &root, info)?;
            } else {
                account.leave(&info.path, "D4RL has no place for it");
            }
        }
        if !is_d4rl {
            for (field, value) in &extras.fields {
                let known = FIELDS.iter().find(|(minari, _)| minari == field);
                let Some((_, name)) = known else {
                    account.leave(field, "D4RL has no place for it");
                    continue;
                };
                root.single_text(&format!("metadata/{name}"), &field_text(value))?;
                account.carry(field);
            }
        }
    }
    writer.close()?;
    spaces::leave(job, account)?;
    let unfinished = count(transitions, EpisodeEnd::Unfinished);
    if unfinished > 0 {
        account.note(format!(
            "D4RL knows no unfinished episodes: {unfinished} of them now end with a timeout, which bootstraps in the same way"
        ));
    }
    Ok(())
}
