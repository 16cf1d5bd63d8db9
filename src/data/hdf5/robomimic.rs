//! The robomimic layout: a group a demonstration (Mandlekar et al. 2021, <https://arxiv.org/abs/2108.03298>).
//!
//! | dataset of `data/demo_N/` | shape | type |
//! |---|---|---|
//! | `obs/NAME` | `[T, ...]` | numbers |
//! | `next_obs/NAME` (optional, all or none) | like `obs/NAME` | numbers |
//! | `actions` | `[T, action]` | floats, or whole numbers `[T]` that are discrete actions |
//! | `rewards` (optional, all or none) | `[T]` or `[T, 1]` | numbers |
//! | `dones` (optional, all or none) | `[T]` or `[T, 1]` | bool, or 0 and 1 of any type |
//!
//! `states` and whatever else is there is left alone. Demonstrations come in the order of the numbers behind `demo_`, padded or not,
//! which may have gaps; `demo_3_aug` comes after `demo_3`. A group with `actions` under any other name is an error.
//! The observation is the chosen names, in the chosen order ([`Reading::observations`]); all of them in the order of their names'
//! bytes where none is chosen. A name that one demonstration lacks is an error, never zeros.
//!
//! **Ends.** [`Dones`] says what `dones` mean. A demonstration that goes on after a terminal becomes several episodes, so that no row
//! is lost and no sum of rewards passes the terminal. What ends without a terminal is truncated. Without `dones` no step is known to be
//! terminal or not, unless [`Dones::EndOfDemonstration`] or [`Dones::Both`] says what demonstrations end with.
//!
//! **Next observations.** Without `next_obs` they are the following row's, and the last row of a demonstration that does not end
//! terminal is not a transition, because what followed was not recorded; [`Reading::unfollowed`] keeps it.
//!
//! **Filter keys.** `mask/NAME` lists demonstrations by name; see [`Reading::filter`] and [`Reading::validation_filter`].
//! robomimic's trainers use `train` and `valid`.

use std::collections::BTreeSet;

use super::dataset_file::Index;
use super::episode_index::{EpisodeIndex, NextRule, Part};
use super::{Dones, File, Layout, LoadError, Reading, names};
use crate::data::{EpisodeEnd, Recorded};

/// What is not there, in [`LoadError::Unknown`].
pub(in crate::data) const FILTER_KEY: &str = "filter key";
/// The same for the one to hold out by.
pub(in crate::data) const VALIDATION_FILTER_KEY: &str = "validation filter key";
/// What the names of demonstrations begin with.
const WORD: &str = "demo_";

/// Whether a demonstration's dataset is where robomimic puts it.
pub(super) fn is_it(file: &File) -> bool {
    file.datasets().iter().any(|dataset| {
        let mut names = dataset.path.split('/');
        names.next() == Some("data")
            && names
                .next()
                .is_some_and(|name| names::episode(name, WORD).is_some())
    })
}

pub(super) fn index(file: &File, reading: &Reading) -> Result<Index, LoadError> {
    let all = names::episodes(file, "data", WORD)?;
    let filter = |key: &Option<String>, is_validation: bool| {
        key.as_ref()
            .map(|key| demonstrations(file, key, is_validation, &all))
            .transpose()
    };
    let training = filter(&reading.filter, false)?;
    let held_out = filter(&reading.validation_filter, true)?;
    if let (Some(training), Some(held_out)) = (&training, &held_out)
        && let Some(name) = training.intersection(held_out).next()
    {
        return Err(LoadError::Overlap {
            file: file.path().to_owned(),
            episode: name.clone(),
            training: reading.filter.clone().unwrap_or_default(),
            held_out: reading.validation_filter.clone().unwrap_or_default(),
        });
    }
    let is_held_out = |name: &String| held_out.as_ref().is_some_and(|keys| keys.contains(name));
    let names: Vec<String> = all
        .iter()
        .filter(|name| {
            is_held_out(name) || training.as_ref().is_none_or(|keys| keys.contains(*name))
        })
        .cloned()
        .collect();
    let first = names.first().map_or("demo_0", String::as_str);

    let observation = names::below(file, &format!("data/{first}/obs"));
    let observation = names::choose(file, observation, &reading.observations)?;
    let next = format!("data/{first}/next_obs");
    let has_next = names::below(file, &next) != ["next_obs"] || file.listed(&next).is_some();
    let path = Box::new(|part: Part, episode: &str, name: &str| {
        let group = match part {
            Part::Observation => "obs",
            Part::NextObservation => "next_obs",
            Part::Action => "actions",
        };
        if name == "obs" || name == "actions" {
            format!("data/{episode}/{group}")
        } else {
            format!("data/{episode}/{group}/{name}")
        }
    });
    let rule = if has_next {
        NextRule::Recorded
    } else {
        NextRule::absent(reading)
    };
    let action = names::below(file, &format!("data/{first}/actions"));
    let mut episode_index = EpisodeIndex::new(
        file,
        Layout::Robomimic,
        rule,
        path,
        first,
        [observation, action],
    )?;
    episode_index.find_discrete_actions(None)?;
    let wanted = names
        .iter()
        .map(|name| {
            let steps = episode_index.steps(name)?;
            Ok((format!("data/{name}/dones"), steps))
        })
        .collect::<Result<Vec<_>, LoadError>>()?;
    let has_dones = episode_index.is_recorded(wanted.iter().map(|(path, _)| path.clone()))?;
    let reward = |name: &String| format!("data/{name}/rewards");
    let has_rewards = episode_index.is_recorded(names.iter().map(reward))?;
    let flags = match has_dones {
        true => episode_index.flags(&wanted)?,
        false => vec![Vec::new(); wanted.len()],
    };
    let mut held = Vec::new();
    for ((name, (path, steps)), dones) in names.iter().zip(&wanted).zip(flags) {
        let steps = *steps;
        let terminals = terminals(file, reading.dones, path, steps, &dones)?;
        let reward = has_rewards.then(|| reward(name));
        let end = EpisodeEnd::Truncated;
        episode_index.add(name, reward.as_deref(), steps, &terminals, end)?;
        held.resize(episode_index.episodes.len(), is_held_out(name));
    }
    let columns = Recorded {
        rewards: has_rewards,
        ends: has_dones || reading.dones != Dones::Terminated,
    };
    Ok(Index {
        held_out: held_out.is_some().then_some(held),
        environment: file.text_attribute("data", "env_args")?,
        ..episode_index.finish(names.len(), columns)?
    })
}

/// The terminal rows of a demonstration of so many steps, by what its dones mean; without any where none are recorded.
pub(super) fn terminals(
    file: &File,
    meaning: Dones,
    path: &str,
    steps: usize,
    dones: &[bool],
) -> Result<Vec<usize>, LoadError> {
    let is_done = |row: &usize| dones.get(*row).is_some_and(|done| *done);
    let mut terminals: Vec<usize> = (0..dones.len()).filter(is_done).collect();
    match meaning {
        Dones::Terminated => {}
        Dones::EndOfDemonstration => {
            if let Some(row) = terminals.iter().find(|row| **row + 1 < steps) {
                return Err(LoadError::EndInside {
                    file: file.path().to_owned(),
                    dataset: path.to_owned(),
                    row: *row,
                    rows: steps,
                });
            }
            terminals.clear();
        }
        Dones::Both if steps > 0 && !is_done(&(steps - 1)) => terminals.push(steps - 1),
        Dones::Both => {}
    }
    Ok(terminals)
}

/// The filter keys of a file: lists of names, and no groups.
pub(super) fn filter_keys(file: &File) -> Result<Vec<String>, LoadError> {
    let mut keys = file.names_in("mask")?;
    keys.retain(|key| file.dataset(&format!("mask/{key}")).is_ok());
    Ok(keys)
}

/// The demonstrations that a filter key lists.
fn demonstrations(
    file: &File,
    key: &str,
    is_validation: bool,
    all: &[String],
) -> Result<BTreeSet<String>, LoadError> {
    let unknown = |what, name: &str, found: String| LoadError::Unknown {
        file: file.path().to_owned(),
        what,
        name: name.to_owned(),
        found,
    };
    let keys = filter_keys(file)?;
    if !keys.iter().any(|found| found == key) {
        let what = match is_validation {
            true => VALIDATION_FILTER_KEY,
            false => FILTER_KEY,
        };
        return Err(unknown(what, key, names::list(&keys)));
    }
    let known: BTreeSet<&String> = all.iter().collect();
    let mut listed = BTreeSet::new();
    for name in file.read_texts(&format!("mask/{key}"))? {
        if !known.contains(&name) {
            return Err(unknown("demonstration", &name, names::list(all)));
        }
        listed.insert(name);
    }
    if listed.is_empty() {
        return Err(LoadError::EmptyFilter {
            file: file.path().to_owned(),
            key: key.to_owned(),
            is_validation,
        });
    }
    Ok(listed)
}
