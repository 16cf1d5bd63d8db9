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

/// The rounds of a sweep: in each, trials are brought to the same step, and then it is decided which go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// The step at which each round ends, rising; the last is the scene's.
    pub rounds: Vec<u64>,
    /// The steps of all trials and seeds together, at most.
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
            Scheduler::Asha { first, factor } => {
                let next = |step: &u64| Some(step.saturating_mul(*factor));
                before_the_end(&mut std::iter::successors(Some(*first), next))
            }
            Scheduler::Median { every } | Scheduler::Pbt { every, .. } => {
                before_the_end(&mut multiples(*every))
            }
        };
        let seeds = settings.seeds.len() as u64;
        let (mut most, mut before, mut entrants) = (0_u64, 0, trials);
        for step in &rounds {
            let taken = (step - before).saturating_mul(entrants as u64);
            most = most.saturating_add(taken.saturating_mul(seeds));
            before = *step;
            if let Scheduler::Asha { factor, .. } = &settings.scheduler {
                entrants = kept(entrants, *factor);
            }
        }
        let whole = steps.saturating_mul(seeds).saturating_mul(trials as u64);
        Plan {
            rounds,
            most,
            whole,
        }
    }
}

/// How many of a rung's trials go on: one of `factor`, and one at least.
pub(super) fn kept(entrants: usize, factor: u64) -> usize {
    let factor = usize::try_from(factor).unwrap_or(usize::MAX);
    (entrants / factor).max(1).min(entrants)
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
        assert_eq!(plan(Scheduler::All, 3, 100).most, 300);
        let asha = plan(
            Scheduler::Asha {
                first: 250,
                factor: 4,
            },
            32,
            4000,
        );
        assert_eq!(asha.rounds, [250, 1000, 4000]);
        // 32 to 250, 8 on to 1000, 2 on to 4000.
        assert_eq!(
            (asha.most, asha.whole),
            (32 * 250 + 8 * 750 + 2 * 3000, 128_000)
        );
        let asha = plan(
            Scheduler::Asha {
                first: 500,
                factor: 3,
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
            },
            9,
            u64::MAX - 1,
        );
        assert_eq!(huge.rounds.len(), 2);
    }
}
