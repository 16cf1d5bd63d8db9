//! Which trials go on from the end of a round: a function of what all of its trials came to, and of nothing else.
//!
//! `Asha` has no rounds: see [`asha`](super::asha).

use std::cmp::Ordering;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::file::{Scheduler, SweepSettings};
use super::progress::median;
use crate::schedule::Goal;

/// A trial at the end of a round, with the objective where it has one.
pub(super) type Entrant = (usize, Option<f64>);

/// What is decided at the end of a round.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Decision {
    /// Who goes on, by number.
    pub go_on: Vec<usize>,
    /// Of those, who goes on as a fork of whom.
    pub forks: Vec<(usize, usize)>,
}

/// Decides round number `round`; `entrants` are those of its trials that did not fail.
pub(super) fn decide(settings: &SweepSettings, round: usize, entrants: &[Entrant]) -> Decision {
    let ranked = ranked(entrants, settings.objective.goal);
    let mut decision = Decision::default();
    match &settings.scheduler {
        // Promoted one by one, elsewhere.
        Scheduler::All | Scheduler::Asha { .. } => decision.go_on = ranked,
        Scheduler::Median { .. } => {
            let mut values: Vec<f64> = entrants.iter().filter_map(|(_, value)| *value).collect();
            values.sort_by(f64::total_cmp);
            let middle = median(&values);
            let is_worse = |value: f64| {
                settings
                    .objective
                    .goal
                    .improves(middle.unwrap_or(value), Some(value), 0.0)
            };
            let fits = |(_, value): &&Entrant| value.is_some_and(|value| !is_worse(value));
            decision.go_on = entrants
                .iter()
                .filter(fits)
                .map(|(trial, _)| *trial)
                .collect();
        }
        Scheduler::Pbt { quantile, .. } => {
            let count = (ranked.len() as f64 * quantile) as usize;
            let (best, worst) = (&ranked[..count], &ranked[ranked.len() - count..]);
            decision.forks = worst
                .iter()
                .map(|child| {
                    let mut random = stream(settings.seed, round, *child);
                    (*child, best[random.random_range(0..best.len())])
                })
                .collect();
            decision.go_on = ranked;
        }
    }
    decision.go_on.sort_unstable();
    decision
}

/// The random stream of a trial at the end of a round.
pub(super) fn stream(seed: u64, round: usize, trial: usize) -> ChaCha8Rng {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    // Stream 0 and those behind it are of the draws: these count from the other end.
    random.set_stream(u64::MAX - ((round as u64) << 32 | trial as u64));
    random
}

/// The trials, the best first; those without a value last, and of equal ones the first.
pub(super) fn ranked(entrants: &[Entrant], goal: Goal) -> Vec<usize> {
    let mut ranked = entrants.to_vec();
    ranked.sort_by(|one, other| order(one, other, goal));
    ranked.into_iter().map(|(trial, _)| trial).collect()
}

/// How [`ranked`] puts two trials.
pub(super) fn order((one, a): &Entrant, (other, b): &Entrant, goal: Goal) -> Ordering {
    let by_value = match (a, b) {
        (Some(a), Some(b)) if goal == Goal::Largest => b.total_cmp(a),
        (Some(a), Some(b)) => a.total_cmp(b),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => Ordering::Equal,
    };
    by_value.then(one.cmp(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decided(scheduler: Scheduler, values: &[f64]) -> Decision {
        let settings = SweepSettings {
            scheduler,
            ..SweepSettings::default()
        };
        let value = |value: f64| value.is_finite().then_some(value);
        let entrants: Vec<Entrant> = values.iter().map(|it| value(*it)).enumerate().collect();
        decide(&settings, 0, &entrants)
    }

    #[test]
    fn the_median_rule_ends_what_is_worse_than_the_median() {
        let median = |values: &[f64]| decided(Scheduler::Median { every: 1 }, values).go_on;
        assert_eq!(median(&[1.0, 2.0, 3.0, 4.0]), [2, 3]);
        assert_eq!(median(&[1.0, 2.0, f64::NAN, 3.0]), [1, 3]);
        assert_eq!(median(&[7.0]), [0]);
    }

    #[test]
    fn the_worst_are_forked_from_the_best_and_everybody_goes_on() {
        let pbt = || {
            let scheduler = Scheduler::Pbt {
                every: 1,
                quantile: 0.25,
                perturb: 1.2,
            };
            decided(scheduler, &[5.0, 1.0, 8.0, 0.0, 3.0, 7.0, 2.0, 4.0])
        };
        let Decision { go_on, forks } = pbt();
        assert_eq!(go_on, [0, 1, 2, 3, 4, 5, 6, 7]);
        let (children, parents): (Vec<_>, Vec<_>) = forks.into_iter().unzip();
        assert_eq!(children, [1, 3]);
        assert!(parents.iter().all(|parent| [2, 5].contains(parent)));
        assert_eq!(pbt(), pbt());
    }
}
