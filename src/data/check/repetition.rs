//! Rows that repeat to the last bit, as those do that were never written.

use super::{Finding, Kind, Place, Severity};
use crate::data::{DatasetFile, Transitions};

/// From so many rows on that are nothing but zeros, they are taken for never written.
const ZEROS: usize = 8;
/// From so many equal rows on, something stood still or was never written.
const EQUAL: usize = 20;
/// The same for observations of one or two whole numbers, which repeat wherever an agent is stuck.
const EQUAL_WHOLE: usize = 100;

/// Long runs of rows that are equal, or whose observations are zeros alone.
pub(super) fn look(dataset_file: &DatasetFile, transitions: &Transitions) -> Vec<Finding> {
    let keys = dataset_file.observation();
    let is_tabular =
        transitions.observation().width() <= 2 && keys.iter().all(|key| !key.dtype.is_float());
    let equal = |row: usize| {
        row > 0
            && transitions.observation().row(row) == transitions.observation().row(row - 1)
            && transitions.action().row(row) == transitions.action().row(row - 1)
            && transitions.reward()[row] == transitions.reward()[row - 1]
    };
    let is_zero = |row: usize| {
        transitions
            .observation()
            .row(row)
            .iter()
            .all(|it| *it == 0.0)
    };
    let zero_alone =
        |row: usize| is_zero(row) && transitions.action().row(row).iter().all(|it| *it == 0.0);
    let mut runs = Runs::default();
    let mut start = 0;
    for row in 1..=transitions.len() {
        if row < transitions.len() && equal(row) {
            continue;
        }
        let length = row - start;
        let enough = match (is_tabular, zero_alone(start)) {
            (true, _) => EQUAL_WHOLE,
            (false, true) => ZEROS,
            (false, false) => EQUAL,
        };
        if length >= enough {
            runs.add(start, length);
        }
        start = row;
    }
    let mut empty = Runs::default();
    if !is_tabular && transitions.observation().width() > 1 {
        let mut start = None;
        for row in 0..=transitions.len() {
            let zero = row < transitions.len() && is_zero(row);
            match (zero, start) {
                (true, None) => start = Some(row),
                (false, Some(first)) => {
                    // Rows that are equal altogether are told once.
                    if row - first >= ZEROS && !runs.reach_into(first..row) {
                        empty.add(first, row - first);
                    }
                    start = None;
                }
                _ => {}
            }
        }
    }
    let place = |row: usize| Place {
        episode: Some(
            transitions
                .episodes()
                .partition_point(|episode| episode.rows.end <= row),
        ),
        row: Some(row),
        ..Place::default()
    };
    [
        runs.finding(
            "rows in a row that are equal to the last bit in observation, action and reward: they were never written, or nothing moved; \
             cut them off, or learning repeats them",
            place,
        ),
        empty.finding(
            "rows in a row whose observation is zeros alone, while other columns go on: observations were never written there; cut the \
             rows off",
            place,
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[derive(Default)]
struct Runs {
    /// First row and length of each.
    runs: Vec<(usize, usize)>,
}

impl Runs {
    fn add(&mut self, start: usize, length: usize) {
        self.runs.push((start, length));
    }

    fn reach_into(&self, rows: std::ops::Range<usize>) -> bool {
        let overlaps =
            |(start, length): &(usize, usize)| *start < rows.end && rows.start < start + length;
        self.runs.iter().any(overlaps)
    }

    fn finding(&self, message: &str, place: impl Fn(usize) -> Place) -> Option<Finding> {
        let longest = self.runs.iter().map(|(_, length)| *length).max()?;
        let total: usize = self.runs.iter().map(|(_, length)| length).sum();
        let count = match self.runs.len() {
            1 => format!("{longest}"),
            runs => format!("{total} in {runs} runs, up to {longest}"),
        };
        let mut finding = Finding::new(
            Severity::Warning,
            Kind::Repeated,
            format!("{count} {message}"),
        );
        for (start, _) in &self.runs {
            finding.at(|| place(*start));
        }
        Some(finding)
    }
}
