//! How far a trial is, as its own file says it.

use serde::{Deserialize, Serialize};

use super::file::{Objective, OverSeeds};
use crate::report::json_lines::Row;
use crate::schedule::Goal;

/// What is known of a trial: written by whoever trains it, after each round and each failure.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Progress {
    /// One for each round that it has ended, in their order.
    pub reached: Vec<Reached>,
    /// What went wrong.
    pub failures: Vec<Failed>,
}

/// The end of a round.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Reached {
    pub step: u64,
    /// The objective; `None` where it was not reported, or is not finite.
    pub value: Option<f64>,
    /// The same of each seed.
    pub seeds: Vec<Option<f64>>,
}

/// A failure of a trial's run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Failed {
    pub message: String,
    /// Whether it would fail again, as its input is wrong.
    pub is_final: bool,
}

impl Progress {
    /// Whether it is not tried again.
    pub fn has_failed(&self, retries: u64) -> bool {
        self.failures.len() as u64 > retries || self.failures.iter().any(|it| it.is_final)
    }
}

impl Objective {
    /// What a run came to at the end of a round: the mean of the last reports of the metric up to that step. What comes behind does not
    /// count, so that a run which went further says the same.
    pub fn of_run(&self, rows: &[Row], step: u64) -> Option<f64> {
        let within = rows.iter().take_while(|row| row.step <= step);
        // With several environments a round ends with the last step of those that are taken together.
        let last = rows.iter().find(|row| row.step >= step);
        let values = within.chain(last.filter(|row| row.step > step));
        let values: Vec<f64> = values.filter_map(|row| row.get(&self.metric)).collect();
        let last = &values[values.len().saturating_sub(self.last as usize)..];
        mean(last).filter(|value| value.is_finite())
    }

    /// One number for all seeds; `None` where one has none.
    pub fn over_seeds(&self, seeds: &[Option<f64>]) -> Option<f64> {
        let mut values: Vec<f64> = seeds.iter().copied().collect::<Option<_>>()?;
        values.sort_by(f64::total_cmp);
        match (self.seeds, self.goal) {
            (OverSeeds::Mean, _) => mean(&values),
            (OverSeeds::Median, _) => median(&values),
            (OverSeeds::Worst, Goal::Largest) => values.first().copied(),
            (OverSeeds::Worst, Goal::Smallest) => values.last().copied(),
        }
    }
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// The middle of sorted values, or the mean of the two there.
pub(super) fn median(values: &[f64]) -> Option<f64> {
    let last = values.len().checked_sub(1)?;
    Some((values[last / 2] + values[last.div_ceil(2)]) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(values: &[(u64, f64)]) -> Vec<Row> {
        let row = |(step, value): &(u64, f64)| Row {
            step: *step,
            values: vec![("evaluate/return".to_owned(), *value)],
        };
        values.iter().map(row).collect()
    }

    #[test]
    fn a_round_counts_what_was_reported_up_to_its_end_however_far_the_run_went() {
        let objective = Objective::default();
        let short = rows(&[(100, 1.0), (200, 2.0)]);
        let long = rows(&[(100, 1.0), (200, 2.0), (300, 9.0)]);
        for rows in [&short, &long] {
            assert_eq!(objective.of_run(rows, 200), Some(2.0));
        }
        // Three environments end a round behind its step.
        assert_eq!(
            objective.of_run(&rows(&[(102, 1.0), (201, 2.0)]), 200),
            Some(2.0)
        );
        let two = Objective {
            last: 2,
            ..Objective::default()
        };
        assert_eq!(two.of_run(&long, 300), Some(5.5));
        assert_eq!(two.of_run(&long, 100), Some(1.0));
        assert_eq!(objective.of_run(&[], 100), None);
        assert_eq!(objective.of_run(&rows(&[(100, f64::NAN)]), 100), None);
    }

    #[test]
    fn several_seeds_are_one_number() {
        let of = |goal, seeds, values: &[f64]| {
            let objective = Objective {
                goal,
                seeds,
                ..Objective::default()
            };
            objective.over_seeds(&values.iter().copied().map(Some).collect::<Vec<_>>())
        };
        let values = [3.0, 1.0, 8.0];
        assert_eq!(of(Goal::Largest, OverSeeds::Mean, &values), Some(4.0));
        assert_eq!(of(Goal::Largest, OverSeeds::Median, &values), Some(3.0));
        assert_eq!(of(Goal::Largest, OverSeeds::Median, &[1.0, 2.0]), Some(1.5));
        assert_eq!(of(Goal::Largest, OverSeeds::Worst, &values), Some(1.0));
        assert_eq!(of(Goal::Smallest, OverSeeds::Worst, &values), Some(8.0));
        assert_eq!(Objective::default().over_seeds(&[Some(1.0), None]), None);
    }
}
