//! Ends that contradict each other, episodes without a transition, rows that do not follow each other, and duplicates.

use std::collections::HashMap;

use sha2::{Digest, Sha256};

use super::{Finding, Kind, Place, Severity};
use crate::data::hdf5::{File, FileError, d4rl};
use crate::data::{DatasetFile, EpisodeEnd, Layout, LoadError, Transitions};

/// Numbers that differ by less were only rounded.
const SLACK: f32 = 1e-6;

/// What the file says of ends, before a reader has made up its mind.
pub(super) fn look_at_ends(dataset_file: &DatasetFile) -> Result<Vec<Finding>, LoadError> {
    let file = dataset_file.file();
    let mut findings = match dataset_file.layout() {
        Layout::D4rl => look_at_d4rl(file)?,
        Layout::Minari => look_at_minari(file)?,
        // A demonstration has one flag, and d3rlpy an end of each episode.
        _ => Vec::new(),
    };
    let empty = dataset_file
        .recorded_episodes()
        .saturating_sub(dataset_file.episodes().len());
    if empty > 0 {
        let mut finding = Finding::new(
            Severity::Note,
            Kind::EmptyEpisode,
            "episodes without a step give no transition",
        );
        finding.count = empty;
        findings.push(finding);
    }
    Ok(findings)
}

fn look_at_minari(file: &File) -> Result<Vec<Finding>, LoadError> {
    let mut both = Finding::new(
        Severity::Warning,
        Kind::ContradictingEnds,
        "`terminations` and `truncations` are both set: the terminal wins, and nothing is bootstrapped after it",
    );
    for info in file.datasets() {
        let Some(group) = info.path.strip_suffix("/terminations") else {
            continue;
        };
        let truncations = format!("{group}/truncations");
        if file.dataset(&truncations).is_err() {
            continue;
        }
        let terminations: Vec<bool> = file.read(&info.path, ..)?;
        let truncations: Vec<bool> = file.read(&truncations, ..)?;
        for (row, ends) in terminations.iter().zip(&truncations).enumerate() {
            if let (true, true) = ends {
                both.at(|| of_row(&info.path, row));
            }
        }
    }
    Ok(Some(both)
        .filter(|both| both.count > 0)
        .into_iter()
        .collect())
}

fn look_at_d4rl(file: &File) -> Result<Vec<Finding>, LoadError> {
    let there = |dataset: &str| !matches!(file.dataset(dataset), Err(FileError::NoDataset { .. }));
    let of = |names: &[&'static str]| d4rl::first_of(file, names);
    let (Some(terminal), Some(timeout)) = (of(&d4rl::TERMINALS), of(&d4rl::TIMEOUTS)) else {
        return Ok(Vec::new());
    };
    let terminals: Vec<bool> = file.read(terminal, ..)?;
    let timeouts: Vec<bool> = file.read(timeout, ..)?;
    let mut both = Finding::new(
        Severity::Warning,
        Kind::ContradictingEnds,
        format!(
            "`{terminal}` and `{timeout}` are both set: the terminal wins, and nothing is bootstrapped after it"
        ),
    );
    let mut empty = Finding::new(
        Severity::Note,
        Kind::EmptyEpisode,
        "an episode of one row that was cut off gives no transition, because what followed it was not recorded",
    );
    let mut start = 0;
    for (row, (terminated, cut_off)) in terminals.iter().zip(&timeouts).enumerate() {
        // `dones` are set where terminals are, and contradict nothing.
        if *terminated && *cut_off && !timeout.starts_with("done") {
            both.at(|| of_row(terminal, row));
        }
        if *terminated || *cut_off {
            if row == start && !*terminated && !there("next_observations") {
                empty.at(|| of_row(timeout, row));
            }
            start = row + 1;
        }
    }
    Ok([both, empty]
        .into_iter()
        .filter(|finding| finding.count > 0)
        .collect())
}

fn of_row(dataset: &str, row: usize) -> Place {
    Place {
        dataset: Some(dataset.to_owned()),
        row: Some(row),
        ..Place::default()
    }
}

/// What can be seen in transitions of any layout.
pub(super) fn look(transitions: &Transitions) -> Vec<Finding> {
    [
        no_ends(transitions),
        does_not_follow(transitions),
        duplicates(transitions),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn no_ends(transitions: &Transitions) -> Option<Finding> {
    match transitions.episodes() {
        [only] if only.end == EpisodeEnd::Unfinished && transitions.len() > 1 => Some(
            Finding::new(
                Severity::Warning,
                Kind::NoEnds,
                "no row ends an episode, so that all rows are one: if they are several, mark their ends",
            )
            .once(Place {
                episode: Some(0),
                ..Place::default()
            }),
        ),
        _ => None,
    }
}

fn does_not_follow(transitions: &Transitions) -> Option<Finding> {
    let (observation, next) = (transitions.observation(), transitions.next_observation());
    let mut finding = Finding::new(Severity::Warning, Kind::DoesNotFollow, "");
    let mut steps = 0;
    for (index, episode) in transitions.episodes().iter().enumerate() {
        let inner = episode.rows.start..episode.rows.end - 1;
        steps += inner.len();
        for row in inner {
            let (next, following) = (next.row(row), observation.row(row + 1));
            let pairs = next.iter().zip(following.iter());
            let off = |(next, following): (&f32, &f32)| {
                (next - following).abs() > SLACK * (1.0 + next.abs())
            };
            if let Some(element) = pairs.map(off).position(|off| off) {
                finding.at(|| Place {
                    episode: Some(index),
                    row: Some(row),
                    element: Some(element),
                    ..Place::default()
                });
            }
        }
    }
    if finding.count == 0 {
        return None;
    }
    let share = 100.0 * finding.count as f64 / steps as f64;
    if 2 * finding.count > steps {
        finding.severity = Severity::Error;
        finding.message = format!(
            "the next observation is not the following row's observation in {share:.1}% of the steps inside episodes: \
             the rows are shuffled, or the two datasets do not belong together"
        );
    } else {
        finding.message = format!(
            "the next observation is not the following row's observation in {share:.2}% of the steps inside episodes: \
             where an episode's end is not marked, `n_step` above 1 adds rewards up across it"
        );
    }
    Some(finding)
}

fn duplicates(transitions: &Transitions) -> Option<Finding> {
    let mut finding = Finding::new(
        Severity::Warning,
        Kind::Duplicate,
        "episodes that are the same as an earlier one to the last bit: they count twice, and may stand on both sides of a \
         validation split",
    );
    let mut seen: HashMap<[u8; 32], usize> = HashMap::new();
    for (index, episode) in transitions.episodes().iter().enumerate() {
        let rows = &episode.rows;
        let mut digest = Sha256::new();
        let observations = transitions.observation().rows_between(rows.clone());
        let numbers = [
            &*observations,
            transitions.action().rows_between(rows.clone()),
            &transitions.reward()[rows.clone()],
        ];
        for values in numbers {
            values
                .iter()
                .for_each(|value| digest.update(value.to_le_bytes()));
        }
        match seen.entry(digest.finalize().into()) {
            std::collections::hash_map::Entry::Vacant(free) => {
                free.insert(index);
            }
            std::collections::hash_map::Entry::Occupied(_) => finding.at(|| Place {
                episode: Some(index),
                row: Some(rows.start),
                ..Place::default()
            }),
        }
    }
    (finding.count > 0).then_some(finding)
}
