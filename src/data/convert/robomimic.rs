//! Writing the robomimic layout: `data/demo_N/{obs/flat, next_obs/flat, actions, rewards, dones}`.

use std::path::Path;

use super::{ConvertError, Origin, count};
use crate::data::hdf5::Writer;
use crate::data::{End, Transitions};

/// The observation's key; robomimic's own converter from D4RL has the same.
pub const OBSERVATION_KEY: &str = "flat";

/// robomimic's number for environments of Gym (`EnvType.GYM_TYPE`).
const GYM_TYPE: u32 = 2;

/// Writes a file with one demonstration per episode. `dones` is 1 where the episode terminated, and nowhere else.
pub(super) fn write(
    transitions: &Transitions,
    to: &Path,
    origin: Option<&Origin>,
) -> Result<Vec<String>, ConvertError> {
    let writer = Writer::create(to)?;
    let data = writer.root().group("data")?;
    data.number("total", transitions.len())?;
    let environment = origin.map_or("unknown", |origin| &origin.environment);
    let arguments = serde_json::json!({
        "env_name": environment,
        "env_version": null,
        "type": GYM_TYPE,
        "env_kwargs": {},
    });
    data.text("env_args", &arguments.to_string())?;
    for (index, episode) in transitions.episodes().iter().enumerate() {
        let demonstration = data.group(&format!("demo_{index}"))?;
        let rows = episode.rows.clone();
        demonstration.number("num_samples", rows.len())?;
        for (group, column) in [
            ("obs", transitions.observation()),
            ("next_obs", transitions.next_observation()),
        ] {
            demonstration.group(group)?.matrix(
                OBSERVATION_KEY,
                column.rows_between(&rows),
                column.width,
            )?;
        }
        let action = transitions.action();
        demonstration.matrix("actions", action.rows_between(&rows), action.width)?;
        demonstration.vector("rewards", &transitions.reward()[rows.clone()])?;
        demonstration.flags("dones", transitions.terminal()[rows].iter().copied())?;
    }
    writer.close()?;
    let mut notes = vec![format!(
        "observations are in one key, `{OBSERVATION_KEY}`; `dones` marks terminal steps alone"
    )];
    let unfinished = count(transitions, End::Unfinished);
    if unfinished > 0 {
        notes.push(format!(
            "robomimic does not tell unfinished demonstrations from truncated ones: {unfinished} are unfinished"
        ));
    }
    if origin.is_none() {
        notes.push("`env_args` names no environment: give --env NAME to have it named".to_owned());
    }
    Ok(notes)
}
