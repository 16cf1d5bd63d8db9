//! Numbers whose differences `float32`, which training reads, cannot hold: timestamps, coordinates on a map, counters.

use std::collections::{BTreeMap, BTreeSet};

use super::{Finding, Kind, Place, Severity};
use crate::data::hdf5::{DatasetInfo, Dtype, FileError, Key, d4rl};
use crate::data::{DatasetFile, Layout};

/// About how many numbers are looked at in one piece, so that a large file needs little memory.
const PIECE: usize = 1 << 18;
/// Differences are lost where rounding changes them by more than this share, all together.
const SHARE: f64 = 0.1;
/// Differences that are smaller than this, next to the numbers themselves, are rounding errors of `float64`.
const NOISE: f64 = 1e-14;

/// What `float32` makes of the elements of a file.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::data) struct Precision {
    /// Elements whose differences it cannot hold.
    pub(in crate::data) lost: Vec<LostElement>,
    /// Elements that differ in the file, in whatever digit: by their column, `observation`, `action` or `reward`.
    pub(in crate::data) differ: BTreeSet<(&'static str, usize)>,
}

/// An element whose differences `float32` cannot hold.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::data) struct LostElement {
    pub(in crate::data) column: &'static str,
    pub(in crate::data) element: usize,
    /// Its dataset, without the episode's number.
    dataset: String,
    /// The greatest number, without its sign.
    greatest: f64,
    /// The mean difference from one row to the next, or from one episode to the next.
    difference: f64,
}

impl Precision {
    /// Looks at every number of a type that holds more digits than `float32`.
    pub(in crate::data) fn of(dataset_file: &DatasetFile) -> Result<Self, FileError> {
        let (file, layout) = (dataset_file.file(), dataset_file.layout());
        let places = places(dataset_file);
        let breaks = episode_breaks(dataset_file)?;
        let mut elements: BTreeMap<(&'static str, usize), (String, Differences)> = BTreeMap::new();
        for info in file.datasets() {
            let name = layout
                .step_name(&info.path)
                .unwrap_or_else(|| info.path.clone());
            let Some((column, offset)) = places.get(&name).copied() else {
                continue;
            };
            let width = info.width().unwrap_or(0);
            if width == 0
                || info.rows() == 0
                || !layout.reads(&info.path)
                || !holds_more(info.dtype)
            {
                continue;
            }
            let mut all: Vec<Differences> = (0..width)
                .map(|element| {
                    let known = elements.remove(&(column, offset + element));
                    known.map_or_else(Differences::default, |(_, known)| known)
                })
                .collect();
            all.iter_mut().for_each(Differences::begin_episode);
            each_row(dataset_file, info, width, |row, values| {
                let begins = breaks.get(row).copied().unwrap_or(false);
                for (differences, value) in all.iter_mut().zip(values) {
                    if begins {
                        differences.begin_episode();
                    }
                    differences.see(*value);
                }
            })?;
            for (element, differences) in all.into_iter().enumerate() {
                elements.insert((column, offset + element), (name.clone(), differences));
            }
        }
        let mut precision = Self::default();
        for ((column, element), (dataset, differences)) in elements {
            if differences.within.count + differences.between.count > 0 {
                precision.differ.insert((column, element));
            }
            if let Some(difference) = differences.lost() {
                precision.lost.push(LostElement {
                    column,
                    element,
                    dataset,
                    greatest: differences.greatest,
                    difference,
                });
            }
        }
        Ok(precision)
    }

    /// A finding for each column.
    pub(super) fn findings(&self) -> Vec<Finding> {
        ["observation", "action", "reward"]
            .into_iter()
            .filter_map(|column| {
                let lost: Vec<&LostElement> =
                    self.lost.iter().filter(|it| it.column == column).collect();
                let first = lost.first()?;
                let elements: Vec<usize> = lost.iter().map(|it| it.element).collect();
                let which = match column {
                    "reward" => String::new(),
                    _ => format!(", {}", super::numbers::listed(&elements)),
                };
                let mut finding = Finding::new(
                    Severity::Warning,
                    Kind::Precision,
                    format!(
                        "float32, which training reads, cannot hold the differences in the {column}{which}: numbers up to {:.4e} differ \
                         by about {:.2e}, where float32 has steps of {:.2e}; shift them, such as by their first value, or scale them, \
                         before they are written",
                        first.greatest,
                        first.difference,
                        step(first.greatest)
                    ),
                );
                for it in lost {
                    finding.at(|| Place {
                        dataset: Some(it.dataset.clone()),
                        element: (column != "reward").then_some(it.element),
                        ..Place::default()
                    });
                }
                Some(finding)
            })
            .collect()
    }
}

/// The distance from a number to the next that `float32` has.
fn step(value: f64) -> f64 {
    let value = (value.abs() as f32).min(f32::MAX);
    f64::from(f32::from_bits(value.to_bits() + 1)) - f64::from(value)
}

fn holds_more(dtype: Dtype) -> bool {
    match dtype {
        Dtype::Float64 => true,
        Dtype::Integer { bits, .. } => bits >= 32,
        _ => false,
    }
}

/// Where the datasets that training reads are in its columns, by their name in an episode.
fn places(dataset_file: &DatasetFile) -> BTreeMap<String, (&'static str, usize)> {
    let layout = dataset_file.layout();
    let group = match layout {
        Layout::Robomimic | Layout::Maniskill => "obs",
        _ => "observations",
    };
    let reward = match layout {
        Layout::Lerobot => "next.reward",
        _ => "rewards",
    };
    let mut places = BTreeMap::from([(reward.to_owned(), ("reward", 0))]);
    let mut add = |column, group: &str, keys: &[Key]| {
        let mut offset = 0;
        for key in keys {
            let name = match key.name == group || layout == Layout::Lerobot {
                true => key.name.clone(),
                false => format!("{group}/{}", key.name),
            };
            places.insert(name, (column, offset));
            offset += key.width();
        }
    };
    add("observation", group, dataset_file.observation());
    // Discrete actions are refused where they are not exact.
    if dataset_file.discrete_actions().is_none() {
        add("action", "actions", dataset_file.action());
    }
    places
}

/// For each row of long columns whether an episode begins there; empty for layouts that keep each episode in datasets of its own.
fn episode_breaks(dataset_file: &DatasetFile) -> Result<Vec<bool>, FileError> {
    let file = dataset_file.file();
    if !dataset_file.layout().has_long_columns() {
        return Ok(Vec::new());
    }
    let mut breaks = vec![false; dataset_file.recorded_steps()];
    for flags in [d4rl::TERMINALS.as_slice(), d4rl::TIMEOUTS.as_slice()] {
        let Some(flags) = d4rl::first_of(file, flags) else {
            continue;
        };
        let ends: Vec<bool> = file.read(flags, ..)?;
        for (begins, ended) in breaks.iter_mut().skip(1).zip(ends) {
            *begins |= ended;
        }
    }
    Ok(breaks)
}

fn each_row(
    dataset_file: &DatasetFile,
    info: &DatasetInfo,
    width: usize,
    mut see: impl FnMut(usize, &[f64]),
) -> Result<(), FileError> {
    let rows = (PIECE / width).max(1);
    for start in (0..info.rows()).step_by(rows) {
        let end = info.rows().min(start + rows);
        let values: Vec<f64> = dataset_file.file().read(&info.path, start..end)?;
        for (row, values) in values.chunks_exact(width).enumerate() {
            see(start + row, values);
        }
    }
    Ok(())
}

/// The differences of an element, from row to row and from the beginning of one episode to the next.
#[derive(Clone, Debug, Default)]
struct Differences {
    before: Option<f64>,
    first: Option<f64>,
    begins: bool,
    within: Sum,
    between: Sum,
    greatest: f64,
}

/// Differences that are none of 0, and by how much rounding changes them.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    count: usize,
    differences: f64,
    errors: f64,
}

impl Sum {
    fn add(&mut self, before: f64, value: f64) {
        let difference = value - before;
        let rounded = f64::from(value as f32) - f64::from(before as f32);
        if difference != 0.0 && rounded.is_finite() {
            self.count += 1;
            self.differences += difference.abs();
            self.errors += (rounded - difference).abs();
        }
    }

    /// The mean difference, where it is lost.
    fn lost(self, greatest: f64) -> Option<f64> {
        let mean = self.differences / self.count.max(1) as f64;
        let is_lost = self.errors > SHARE * self.differences && mean > NOISE * greatest;
        is_lost.then_some(mean)
    }
}

impl Differences {
    fn begin_episode(&mut self) {
        self.begins = true;
        self.before = None;
    }

    fn see(&mut self, value: f64) {
        if !value.is_finite() {
            return;
        }
        self.greatest = self.greatest.max(value.abs());
        if let Some(before) = self.before.replace(value) {
            self.within.add(before, value);
        }
        if self.begins {
            self.begins = false;
            if let Some(first) = self.first.replace(value) {
                self.between.add(first, value);
            }
        }
    }

    fn lost(&self) -> Option<f64> {
        let lost = |sum: Sum| sum.lost(self.greatest);
        lost(self.within).or_else(|| lost(self.between))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lost(episodes: &[Vec<f64>]) -> bool {
        let mut differences = Differences::default();
        for episode in episodes {
            differences.begin_episode();
            episode.iter().for_each(|value| differences.see(*value));
        }
        differences.lost().is_some()
    }

    fn rows(value: impl Fn(f64) -> f64) -> Vec<f64> {
        (0..100).map(|row| value(f64::from(row))).collect()
    }

    #[test]
    fn timestamps_and_coordinates_are_lost_and_small_numbers_are_not() {
        assert!(lost(&[rows(|row| 1.7e9 + 0.05 * row)]));
        assert!(lost(&[rows(|row| 4.5e6 + 0.02 * row)]));
        assert!(!lost(&[rows(|row| 0.05 * row)]));
        assert!(!lost(&[rows(|row| 1000.0 + row.sin())]));
    }

    #[test]
    fn jumps_from_episode_to_episode_do_not_hide_what_is_lost_inside() {
        let episodes: Vec<Vec<f64>> = (0..5)
            .map(|episode| rows(|row| 4.5e6 + 1e4 * f64::from(episode) + 0.02 * row))
            .collect();
        assert!(lost(&episodes));
        // Constant in each episode: only the episodes differ.
        let goals: Vec<Vec<f64>> = (0..5)
            .map(|episode| rows(|_| 4.5e6 + 0.02 * f64::from(episode)))
            .collect();
        assert!(lost(&goals));
    }

    #[test]
    fn what_comes_to_rest_and_what_is_only_rounded_are_not_lost() {
        assert!(!lost(&[rows(|row| 1.0 + (-row).exp())]));
        assert!(!lost(&[rows(|row| 1.0 - 1e-16 * (row % 2.0))]));
    }
}
