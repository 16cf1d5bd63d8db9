//! Writing the D4RL layout: `observations`, `actions`, `rewards`, `next_observations`, `terminals` and `timeouts`.

use std::path::Path;

use super::{ConvertError, count};
use crate::data::hdf5::Writer;
use crate::data::{End, Transitions};

/// Writes a file. Every row keeps its true next observation; the last row of a truncated or unfinished episode times out.
pub(super) fn write(transitions: &Transitions, to: &Path) -> Result<Vec<String>, ConvertError> {
    let writer = Writer::create(to)?;
    let root = writer.root();
    for (name, column) in [
        ("observations", transitions.observation()),
        ("actions", transitions.action()),
        ("next_observations", transitions.next_observation()),
    ] {
        root.matrix(name, &column.values, column.width)?;
    }
    root.vector("rewards", transitions.reward())?;
    root.flags("terminals", transitions.terminal().iter().copied())?;
    let mut timeouts = vec![false; transitions.len()];
    for episode in transitions.episodes() {
        timeouts[episode.rows.end - 1] = episode.end != End::Terminal;
    }
    root.flags("timeouts", timeouts)?;
    writer.close()?;
    let unfinished = count(transitions, End::Unfinished);
    let mut notes = Vec::new();
    if unfinished > 0 {
        notes.push(format!(
            "D4RL knows no unfinished episodes: {unfinished} of them now end with a timeout, which bootstraps in the same way"
        ));
    }
    Ok(notes)
}
