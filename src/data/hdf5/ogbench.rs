//! The layout of OGBench's archives: long columns in NumPy's `.npz` (Park et al. 2024, <https://arxiv.org/abs/2410.20092>).
//!
//! | array | shape | type |
//! |---|---|---|
//! | `observations` | `[N, ...]`: vectors, or pictures `[N, 64, 64, 3]` of `uint8` | numbers |
//! | `actions` | `[N, action]`, or `[N]` of one element | numbers; whole numbers `[N]` or `[N, 1]` are discrete actions |
//! | `terminals` | `[N]` or `[N, 1]` | bool, or 0 and 1 of any type |
//!
//! `terminals` are the last steps of trajectories, all of which were cut off: none is a terminal of the task. The action of such a
//! step was never taken, so that it is no transition, as in OGBench's own `load_dataset`; its observation is the next one of the step
//! before. Neither rewards nor ends are recorded: they depend on the goal. Other arrays, such as `qpos`, `qvel` and `button_states`,
//! are left alone.
//!
//! An archive that has `rewards`, `timeouts` or `next_observations`, too, has D4RL's names and is read as D4RL's.

use super::d4rl::{self, D4rlRows, NextRule, one_after_the_other};
use super::d4rl_rules::{episodes, without_last};
use super::dataset_file::{Index, Key, Values};
use super::episode_index::dataset;
use super::{File, Layout, LoadError};
use crate::data::Recorded;

/// Every dataset that this layout reads, in the order in which they are listed.
pub(super) const COLUMNS: [&str; 3] = ["observations", "actions", "terminals"];
/// What an archive of D4RL's columns has next to them.
const D4RLS: [&str; 3] = ["rewards", "timeouts", "next_observations"];

/// Whether it is an archive with all of the layout's names, and none of those that D4RL has next to them.
pub(super) fn is_it(file: &File) -> bool {
    let is_listed = |name: &&str| file.listed(name).is_some();
    file.is_archive() && COLUMNS.iter().all(is_listed) && !D4RLS.iter().any(is_listed)
}

pub(super) fn index(file: &File) -> Result<Index, LoadError> {
    let observation = key(file, "observations")?;
    let discrete_actions = d4rl::discrete_actions(file)?;
    let action = Key {
        shape: match discrete_actions {
            Some(_) => Vec::new(),
            None => key(file, "actions")?.shape,
        },
        ..key(file, "actions")?
    };
    d4rl::vector(file, "terminals", d4rl::FLAGS)?;
    let rows = file.dataset("observations")?.rows();
    for name in COLUMNS {
        d4rl::same_rows(file, name, rows)?;
    }
    let last_steps: Vec<bool> = file.read("terminals", ..)?;
    let kept = without_last(episodes(&vec![false; rows], &last_steps));
    let transitions = one_after_the_other(&kept);
    Ok(Index {
        recorded: transitions.len(),
        columns: Recorded {
            rewards: false,
            ends: false,
        },
        episodes: transitions,
        held_out: None,
        discrete_actions,
        environment: None,
        values: Values::D4rl(D4rlRows {
            kept: kept.into_iter().map(|episode| episode.rows).collect(),
            next: NextRule::FollowingButTerminal,
            width: observation.width(),
            action: action.width(),
            has_rewards: false,
            rows,
        }),
        observation: vec![observation],
        action: vec![action],
    })
}

/// A column of numbers at each step.
fn key(file: &File, name: &str) -> Result<Key, LoadError> {
    let info = dataset(file, Layout::Ogbench, name, "numbers at each step")?;
    if !info.dtype.is_numeric() || info.shape.is_empty() || info.shape.contains(&0) {
        return Err(LoadError::Form {
            file: file.path().to_owned(),
            dataset: name.to_owned(),
            found: format!("{} of shape {:?}", info.dtype, info.shape),
            expected: "numbers of shape [N, ...], with at least one row".to_owned(),
        });
    }
    file.can_hold(info)?;
    Ok(Key {
        name: name.to_owned(),
        shape: info.shape[1..].to_vec(),
        dtype: info.dtype,
    })
}
