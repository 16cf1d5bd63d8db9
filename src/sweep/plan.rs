//! At which steps trials are compared, and how many reach them.

use super::file::{Scheduler, SweepSettings};

/// The most rounds of a sweep: each is decided over all of its trials.
pub(super) const MOST_ROUNDS: u64 = 10_000;

/// How many rounds a scene of so many steps would have.
pub(super) fn count(scheduler: &Scheduler, steps: u64) -> u64 {
    match scheduler {
        Scheduler::All => 1,
        // At least twice as many steps each time: no more than a number has digits.
        Scheduler::Asha { .. } => u64::from(u64::BITS),
        Scheduler::Median { every } | Scheduler::Pbt { every, .. } => steps.div_ceil(*every),
    }
}

/// The rounds of a sweep: in each, trials are brought to the same step. Those of `Asha` are its rungs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// The step at which each round ends, rising; the last is the scene's.
    pub rounds: Vec<u64>,
    /// The steps of all trials and seeds together, at least, where no trial fails.
    pub least: u64,
    /// The same at most: with `Asha`, where trials come in such an order that nearly each is better than those before it.
    pub most: u64,
    /// What they would be if every trial were trained to the end.
    pub whole: u64,
}

impl Plan {
    /// The plan for so many trials of a scene of so many steps, which makes no more than [`MOST_ROUNDS`].
    pub fn of(settings: &SweepSettings, trials: usize, steps: u64) -> Self {
        let before_the_end = |rounds: &mut dyn Iterator<Item = u64>| {
            let mut rounds: Vec<u64> = rounds.take_while(|step| *step < steps).collect();
            rounds.push(steps);
            rounds
        };
        let multiples = |every: u64| (1..).map(move |number: u64| number.saturating_mul(every));
        let rounds = match &settings.scheduler {
            Scheduler::All => vec![steps],
            Scheduler::Asha { first, factor, .. } => {
                let next = |step: &u64| Some(step.saturating_mul(*factor));
                before_the_end(&mut std::iter::successors(Some(*first), next))
            }
            Scheduler::Median { every } | Scheduler::Pbt { every, .. } => {
                before_the_end(&mut multiples(*every))
            }
        };
        let seeds = settings.seeds.len() as u64;
        let steps_of = |survivors: &dyn Fn(u64) -> u64| {
            let (mut sum, mut before, mut entrants) = (0_u64, 0, trials as u64);
            for step in &rounds {
                let taken = (step - before).saturating_mul(entrants);
                sum = sum.saturating_add(taken.saturating_mul(seeds));
                before = *step;
                entrants = survivors(entrants);
            }
            sum
        };
        let (least, most) = match settings.scheduler {
            Scheduler::All | Scheduler::Pbt { .. } => (steps_of(&|all| all), steps_of(&|all| all)),
            Scheduler::Median { .. } => (steps_of(&|all| all.div_ceil(2)), steps_of(&|all| all)),
            Scheduler::Asha { factor, .. } => {
                let at_least = |all: u64| (all / factor).max(1).min(all);
                // The first may be promoted when `factor` have come, and then one with each that comes.
                let at_most = |all: u64| (all + 1).saturating_sub(factor).max(1).min(all);
                (steps_of(&at_least), steps_of(&at_most))
            }
        };
        let whole = steps.saturating_mul(seeds).saturating_mul(trials as u64);
        Plan {
            rounds,
            least,
            most,
            whole,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_end_with_the_scene_and_halving_takes_a_fraction_of_the_steps() {
        let plan = |scheduler, trials, steps| {
            let settings = SweepSettings {
                scheduler,
                ..SweepSettings::default()
            };
            Plan::of(&settings, trials, steps)
        };
        let all = plan(Scheduler::All, 3, 100);
        assert_eq!((all.least, all.most), (300, 300));
        let median = plan(Scheduler::Median { every: 50 }, 3, 100);
        assert_eq!((median.least, median.most), (3 * 50 + 2 * 50, 300));
        let asha = plan(
            Scheduler::Asha {
                first: 250,
                factor: 4,
                workers: None,
            },
            32,
            4000,
        );
        assert_eq!(asha.rounds, [250, 1000, 4000]);
        // 32 to 250, 8 on to 1000, 2 on to 4000; or all on but the first three.
        assert_eq!(
            (asha.least, asha.most, asha.whole),
            (
                32 * 250 + 8 * 750 + 2 * 3000,
                32 * 250 + 29 * 750 + 26 * 3000,
                128_000
            )
        );
        let asha = plan(
            Scheduler::Asha {
                first: 500,
                factor: 3,
                workers: None,
            },
            2,
            400,
        );
        assert_eq!((asha.rounds, asha.most), (vec![400], 800));
        assert_eq!(
            plan(Scheduler::Median { every: 40 }, 1, 100).rounds,
            [40, 80, 100]
        );
        let huge = plan(
            Scheduler::Asha {
                first: u64::MAX / 2,
                factor: 9,
                workers: None,
            },
            9,
            u64::MAX - 1,
        );
        assert_eq!(huge.rounds.len(), 2);
    }
}
