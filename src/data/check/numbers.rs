//! Numbers that are none, and elements that never change.

use std::collections::BTreeMap;
use std::ops::Range;

use super::precision::Precision;
use super::{Finding, Kind, Place, Severity};
use crate::data::hdf5::{DatasetInfo, File, FileError};
use crate::data::{Column, DatasetFile, Layout, ObservationColumn, Transitions};
use crate::observation::Picture;

/// About how many numbers are looked at in one piece, so that a large file needs little memory.
const PIECE: usize = 1 << 20;

/// NaN and infinities in every dataset of floats that training reads, each with its place.
pub(super) fn look(file: &File, layout: Layout) -> Result<Vec<Finding>, FileError> {
    // Of a layout with a group an episode, the same dataset of all of them is one finding.
    let mut findings: BTreeMap<(String, Kind), Finding> = BTreeMap::new();
    for info in file.datasets() {
        if layout.reads(&info.path) && info.dtype.is_float() {
            let name = layout
                .step_name(&info.path)
                .unwrap_or_else(|| info.path.clone());
            not_finite(file, info, |kind, place| {
                findings
                    .entry((name.clone(), kind))
                    .or_insert_with(|| {
                        let what = match kind {
                            Kind::Infinite => "infinity",
                            _ => "NaN",
                        };
                        Finding::new(
                            Severity::Error,
                            kind,
                            format!(
                                "{what} in `{name}`: drop or repair these rows, learning needs finite numbers"
                            ),
                        )
                    })
                    .at(|| place);
            })?;
        }
    }
    Ok(findings.into_values().collect())
}

fn not_finite(
    file: &File,
    info: &DatasetInfo,
    mut found: impl FnMut(Kind, Place),
) -> Result<(), FileError> {
    let width = info.width().unwrap_or(0);
    let rows = (PIECE / width.max(1)).max(1);
    for start in (0..info.rows()).step_by(rows) {
        // f64, so that a large double is not taken for an infinity.
        let values: Vec<f64> = file.read(&info.path, start..info.rows().min(start + rows))?;
        for (at, value) in values.iter().enumerate().filter(|(_, v)| !v.is_finite()) {
            let kind = if value.is_nan() {
                Kind::NotANumber
            } else {
                Kind::Infinite
            };
            let place = Place {
                dataset: Some(info.path.clone()),
                row: Some(start + at / width),
                element: (width > 1).then_some(at % width),
                ..Place::default()
            };
            found(kind, place);
        }
    }
    Ok(())
}

/// From here on float32 cannot add up the squares of a batch, as losses, norms and optimizers do.
pub(in crate::data) const LARGE: f32 = 1e18;

/// Numbers in observations and rewards that learning cannot compute with, though they are finite.
pub(super) fn look_for_large(transitions: &Transitions) -> Vec<Finding> {
    let observation = transitions.observation();
    let reward = ObservationColumn::from(Column {
        values: transitions.reward().to_vec(),
        width: 1,
    });
    let mut findings = Vec::new();
    for (name, column) in [("observation", observation), ("reward", &reward)] {
        let Some((_, _, value)) = column.find(first_large) else {
            continue;
        };
        let what = format!(
            "values such as {value:e} in the {name}: float32 cannot add up squares beyond {LARGE:e}, so training diverges, or sees nothing of the other rows where it is normalized; drop or repair these rows"
        );
        let mut finding = Finding::new(Severity::Warning, Kind::TooLarge, what);
        for row in 0..column.rows() {
            let numbers = column.row(row);
            let large = numbers
                .iter()
                .enumerate()
                .filter(|(_, it)| it.abs() > LARGE);
            for (element, _) in large {
                finding.at(|| Place {
                    row: Some(row),
                    element: (column.width() > 1).then_some(element),
                    ..Place::default()
                });
            }
        }
        findings.push(finding);
    }
    findings
}

/// A number that is too large, and its place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::data) struct Large {
    pub row: usize,
    pub element: usize,
    pub value: f32,
}

impl Large {
    /// The same, of rows that lie behind so many others.
    pub fn after(self, rows: usize) -> Self {
        Large {
            row: rows + self.row,
            ..self
        }
    }
}

/// The first number in observations that is too large.
pub(in crate::data) fn large_observation(transitions: &Transitions) -> Option<Large> {
    let (row, element, value) = transitions.observation().find(first_large)?;
    Some(Large {
        row,
        element,
        value,
    })
}

/// The place of the first number that is too large.
fn first_large(numbers: &[f32]) -> Option<usize> {
    // Without a branch for each value, as nearly all data have none.
    let greatest = numbers.iter().fold(0.0_f32, |most, it| most.max(it.abs()));
    if greatest <= LARGE {
        return None;
    }
    numbers.iter().position(|it| it.abs() > LARGE)
}

/// Elements that have the same value in every row.
pub(super) fn look_for_constants(
    dataset_file: &DatasetFile,
    transitions: &Transitions,
    precision: &Precision,
) -> Vec<Finding> {
    if transitions.len() < 2 {
        return Vec::new();
    }
    let mut findings = Vec::new();
    let pictures = pictures(dataset_file);
    for (column, severity, mut constant, what) in [
        (
            "observation",
            Severity::Note,
            constant_elements(transitions.observation()),
            ", which carries no information; where it moves in an environment, networks see what they never learned from",
        ),
        (
            "action",
            Severity::Warning,
            constant_elements(&transitions.action().clone().into()),
            "; nothing is learned of any other value",
        ),
    ] {
        // What is only the same once it is rounded is never said of the file.
        let lost: Vec<usize> = precision
            .lost
            .iter()
            .filter(|it| it.column == column)
            .map(|it| it.element)
            .collect();
        if column == "observation" {
            // A part of a picture may well stand still.
            for (name, place) in &pictures {
                let before = constant.len();
                constant.retain(|element| !place.contains(element));
                if before - constant.len() == place.len() {
                    findings.push(still(name, place.start));
                }
            }
        }
        let (rounded, constant): (Vec<usize>, Vec<usize>) = constant
            .into_iter()
            .filter(|element| !lost.contains(element))
            .partition(|element| precision.differ.contains(&(column, *element)));
        for (elements, how) in [
            (constant, "always the same"),
            (rounded, "always the same once it is rounded to float32"),
        ] {
            if elements.is_empty() {
                continue;
            }
            let list = listed(&elements);
            let mut finding = Finding::new(
                severity,
                Kind::Constant,
                format!("{how} in the {column}: {list}{what}"),
            );
            elements
                .into_iter()
                .for_each(|element| finding.at(|| of_element(element)));
            findings.push(finding);
        }
    }
    let reward = transitions.reward();
    let differs = !transitions.recorded().rewards || precision.differ.contains(&("reward", 0));
    if !differs && reward.iter().all(|value| *value == reward[0]) {
        findings.push(
            Finding::new(
                Severity::Warning,
                Kind::Constant,
                format!(
                    "the reward is {} in every row: no action is better than another but by how long its episode lasts",
                    reward[0]
                ),
            )
            .once(Place::default()),
        );
    }
    findings
}

/// The pictures in an observation, and which of its elements they are.
fn pictures(dataset_file: &DatasetFile) -> Vec<(String, Range<usize>)> {
    let mut first = 0;
    let parts = dataset_file.parts();
    let places = parts.iter().map(|part| {
        let place = first..first + part.width();
        first = place.end;
        let is_picture = Picture::of_part(part, 1).is_some();
        is_picture.then(|| (part.name.clone(), place))
    });
    places.flatten().collect()
}

/// A picture of which no pixel ever changes.
fn still(name: &str, element: usize) -> Finding {
    let message = format!(
        "the picture `{name}` is always the same, which carries no information; where it moves in an environment, networks see what they \
         never learned from"
    );
    Finding::new(Severity::Note, Kind::Constant, message).once(of_element(element))
}

fn of_element(element: usize) -> Place {
    Place {
        element: Some(element),
        ..Place::default()
    }
}

fn constant_elements(column: &ObservationColumn) -> Vec<usize> {
    let first = column.row(0);
    let mut changes = vec![false; column.width()];
    for row in 1..column.rows() {
        let row = column.row(row);
        for ((changes, value), first) in changes.iter_mut().zip(row.iter()).zip(first.iter()) {
            *changes |= value != first;
        }
    }
    (0..column.width())
        .filter(|element| !changes[*element])
        .collect()
}

/// `elements 0, 1 and 5`; of many the first few.
pub(super) fn listed(elements: &[usize]) -> String {
    const SHOWN: usize = 6;
    let numbers: Vec<String> = elements.iter().take(SHOWN).map(usize::to_string).collect();
    match (numbers.as_slice(), elements.len().saturating_sub(SHOWN)) {
        ([one], _) => format!("element {one}"),
        (several, 0) => {
            let (last, before) = several.split_last().map_or(("", several), |(l, b)| (l, b));
            format!("elements {} and {last}", before.join(", "))
        }
        (several, more) => format!("elements {} and {more} more", several.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Episode, EpisodeEnd, Parts};

    #[test]
    fn numbers_whose_squares_float32_cannot_add_up_are_a_warning_with_their_places() {
        let column = |values: Vec<f32>, width| Column { values, width };
        let of = |observation: [f32; 6], reward: [f32; 3]| {
            Transitions::new(Parts {
                observation: column(observation.to_vec(), 2).into(),
                action: column(vec![0.0; 3], 1),
                reward: reward.to_vec(),
                next_observation: column(observation.to_vec(), 2).into(),
                terminated: vec![false; 3],
                episodes: vec![Episode {
                    rows: 0..3,
                    end: EpisodeEnd::Truncated,
                }],
            })
            .unwrap()
        };
        let fine = of([0.0, 1e18, -1e18, 1.0, 2.0, 3.0], [1.0, 2.0, 3.0]);
        assert_eq!(look_for_large(&fine), []);
        assert_eq!(large_observation(&fine), None);
        let odd = of([0.0, 1.0, 2.0, -1e38, 1.0, 2.0], [1.0, 2.0, 1e20]);
        let large = Large {
            row: 1,
            element: 1,
            value: -1e38,
        };
        assert_eq!(large_observation(&odd), Some(large));
        let [observation, reward] = &look_for_large(&odd)[..] else {
            panic!("not two findings")
        };
        assert!(observation.message.contains("-1e38 in the observation"));
        let place = &observation.places[0];
        assert_eq!((place.row, place.element), (Some(1), Some(1)));
        assert_eq!(
            (reward.kind, reward.places[0].row),
            (Kind::TooLarge, Some(2))
        );
    }
}
