//! The best checkpoint of a run whose `best` was lost.

use super::error::CliError;
use crate::checkpoint::{Best, Checkpoints, RunFolder, Snapshot, mend_best};
use crate::report::json_lines;
use crate::scene::Scene;

/// Lets `best` name the best checkpoint again where it is missing or damaged: the one that the run remembers, or else the best of
/// those that are left by what was reported. What was done, in words.
///
/// # Errors
/// When the file cannot be written.
pub fn find_best_again(
    folder: &RunFolder,
    scene: &Scene,
    snapshot: &Snapshot,
) -> Result<Option<String>, CliError> {
    let Some(settings) = scene.settings::<Checkpoints>() else {
        return Ok(None);
    };
    let (Some(metric), Ok(best)) = (&settings.best, snapshot.state::<Best>("best")) else {
        return Ok(None);
    };
    if best.value.is_none() {
        return Ok(None);
    }
    // Metrics that cannot be read are said where the file is opened for writing.
    let rows = json_lines::read(folder.metrics()).unwrap_or_default();
    let reported = rows.iter().filter(|row| row.step <= snapshot.step);
    let mut reported: Vec<(u64, f64)> = reported
        .filter_map(|row| Some((row.step, row.get(metric)?)))
        .filter(|(_, value)| value.is_finite())
        .collect();
    // The first of equal ones is the best, as while the run went on.
    reported.sort_by(|(_, one), (_, other)| {
        match settings.goal.improves(*one, Some(*other), 0.0) {
            true => std::cmp::Ordering::Less,
            false if one == other => std::cmp::Ordering::Equal,
            false => std::cmp::Ordering::Greater,
        }
    });
    let ranked = std::iter::once(best.step).chain(reported.into_iter().map(|(step, _)| step));
    Ok(mend_best(folder.checkpoints(), ranked)?)
}
