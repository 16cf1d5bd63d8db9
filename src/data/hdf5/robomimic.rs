//! The robomimic layout: a group a demonstration (Mandlekar et al. 2021, <https://arxiv.org/abs/2108.03298>).
//!
//! | dataset of `data/demo_N/` | shape | type |
//! |---|---|---|
//! | `obs/NAME` | `[T, ...]` | numbers |
//! | `next_obs/NAME` (optional, all or none) | like `obs/NAME` | numbers |
//! | `actions` | `[T, action]` | floats, or whole numbers `[T]` that are discrete actions |
//! | `rewards` | `[T]` or `[T, 1]` | numbers |
//! | `dones` | `[T]` or `[T, 1]` | bool, or 0 and 1 of any type |
//!
//! `states` and whatever else is there is left alone. Demonstrations come in the order of their numbers, which may have gaps.
//! The observation is the chosen names, in the chosen order ([`Reading::observations`]); all of them in the order of their names'
//! bytes where none is chosen. A name that one demonstration lacks is an error, never zeros.
//!
//! **Ends.** [`Dones`] says what `dones` mean. A demonstration that goes on after a terminal becomes several episodes, so that no row
//! is lost and no sum of rewards passes the terminal. What ends without a terminal is truncated.
//!
//! **Next observations.** Without `next_obs` they are the following row's, and the last row of a demonstration that does not end
//! terminal is not a transition, because what followed was not recorded.
//!
//! **Filter keys.** `mask/NAME` lists demonstrations by name; see [`Reading::filter`] and [`Reading::validation_filter`].
//! robomimic's trainers use `train` and `valid`.

use std::collections::BTreeSet;

use super::dataset_file::{Index, Values};
use super::episode_index::{EpisodeIndex, NextRule, Part};
use super::minari::discrete_actions;
use super::{Dones, File, Layout, LoadError, Reading, names};
use crate::data::EpisodeEnd;

/// Whether a demonstration's dataset is where robomimic puts it.
pub(super) fn is_it(file: &File) -> bool {
    file.datasets().iter().any(|dataset| {
        let mut names = dataset.path.split('/');
        names.next() == Some("data")
            && names
                .next()
                .is_some_and(|name| names::number(name, "demo_").is_some())
    })
}

pub(super) fn index(file: &File, reading: &Reading) -> Result<Index, LoadError> {
    let all = names::numbered(file, "data", "demo_")?;
    let filter = |key: &Option<String>| {
        key.as_ref()
            .map(|key| demonstrations(file, key, &all))
            .transpose()
    };
    let training = filter(&reading.filter)?;
    let held_out = filter(&reading.validation_filter)?;
    if let (Some(training), Some(held_out)) = (&training, &held_out)
        && let Some(number) = training.intersection(held_out).next()
    {
        return Err(LoadError::Overlap {
            file: file.path().to_owned(),
            episode: format!("demo_{number}"),
            training: reading.filter.clone().unwrap_or_default(),
            held_out: reading.validation_filter.clone().unwrap_or_default(),
        });
    }
    let is_held_out = |number: &u64| held_out.as_ref().is_some_and(|keys| keys.contains(number));
    let numbers: Vec<u64> = all
        .iter()
        .copied()
        .filter(|number| {
            is_held_out(number) || training.as_ref().is_none_or(|keys| keys.contains(number))
        })
        .collect();
    let first = numbers.first().copied().unwrap_or(0);

    let observation = names::below(file, &format!("data/demo_{first}/obs"));
    let observation = names::choose(file, observation, &reading.observations)?;
    let next = format!("data/demo_{first}/next_obs");
    let has_next = names::below(file, &next) != ["next_obs"] || file.listed(&next).is_some();
    let path = Box::new(|part: Part, number: u64, name: &str| {
        let group = match part {
            Part::Observation => "obs",
            Part::NextObservation => "next_obs",
            Part::Action => "actions",
        };
        if name == "obs" || name == "actions" {
            format!("data/demo_{number}/{group}")
        } else {
            format!("data/demo_{number}/{group}/{name}")
        }
    });
    let rule = if has_next {
        NextRule::Recorded
    } else {
        NextRule::Absent
    };
    let action = names::below(file, &format!("data/demo_{first}/actions"));
    let mut episode_index = EpisodeIndex::new(
        file,
        Layout::Robomimic,
        rule,
        path,
        first,
        [observation, action],
    )?;
    let discrete_actions = discrete_actions(file, episode_index.action(), None)?;
    let wanted = numbers
        .iter()
        .map(|number| {
            let steps = episode_index.steps(*number)?;
            Ok((format!("data/demo_{number}/dones"), steps))
        })
        .collect::<Result<Vec<_>, LoadError>>()?;
    let flags = episode_index.flags(&wanted)?;
    let mut held = Vec::new();
    for ((number, (path, steps)), dones) in numbers.iter().zip(&wanted).zip(flags) {
        let steps = *steps;
        let mut terminals: Vec<usize> = (0..steps).filter(|row| dones[*row]).collect();
        match reading.dones {
            Dones::Terminated => {}
            Dones::EndOfDemonstration => {
                if let Some(row) = terminals.iter().find(|row| **row + 1 < steps) {
                    return Err(LoadError::EndInside {
                        file: file.path().to_owned(),
                        dataset: path.clone(),
                        row: *row,
                        rows: steps,
                    });
                }
                terminals.clear();
            }
            Dones::Both if steps > 0 && !dones[steps - 1] => terminals.push(steps - 1),
            Dones::Both => {}
        }
        let reward = format!("data/demo_{number}/rewards");
        episode_index.add(*number, &reward, steps, &terminals, EpisodeEnd::Truncated)?;
        held.resize(episode_index.episodes.len(), is_held_out(number));
    }
    let (episodes, values) = episode_index.finish()?;
    Ok(Index {
        observation: values.observation.clone(),
        action: values.action.clone(),
        episodes,
        recorded: numbers.len(),
        held_out: held_out.is_some().then_some(held),
        discrete_actions,
        environment: file.text_attribute("data", "env_args")?,
        values: Values::Episodic(values),
    })
}

/// The filter keys of a file.
pub(super) fn filter_keys(file: &File) -> Result<Vec<String>, LoadError> {
    Ok(file.names_in("mask")?)
}

/// The demonstrations that a filter key lists.
fn demonstrations(file: &File, key: &str, all: &[u64]) -> Result<BTreeSet<u64>, LoadError> {
    let unknown = |what, name: &str, found: String| LoadError::Unknown {
        file: file.path().to_owned(),
        what,
        name: name.to_owned(),
        found,
    };
    let keys = filter_keys(file)?;
    if !keys.iter().any(|found| found == key) {
        return Err(unknown("filter key", key, names::list(&keys)));
    }
    let mut numbers = BTreeSet::new();
    for name in file.read_texts(&format!("mask/{key}"))? {
        let found =
            names::number(&name, "demo_").filter(|number| all.binary_search(number).is_ok());
        let Some(number) = found else {
            let all: Vec<String> = all.iter().map(|number| format!("demo_{number}")).collect();
            return Err(unknown("demonstration", &name, names::list(&all)));
        };
        numbers.insert(number);
    }
    Ok(numbers)
}
