//! When a run is saved, besides every so often: after listed steps and epochs, and some time after the last save.

use std::time::{Duration, Instant};

use bevy_ecs::prelude::Resource;

use super::{Clock, RoundPosition};
use crate::period::Period;

/// Times at which [`Save`](super::Save) runs besides its period. They are looked at between rounds, and nothing of what is learned
/// depends on them.
#[derive(Resource, Debug)]
pub struct SaveTimes {
    at: Vec<Period>,
    seconds: Option<Duration>,
    last: Instant,
    is_listed: bool,
}

impl SaveTimes {
    /// After these steps and epochs, and where that is given so long after the last save, by the clock on the wall.
    pub fn new(at: Vec<Period>, seconds: Option<Duration>) -> Self {
        SaveTimes {
            at,
            seconds,
            last: Instant::now(),
            is_listed: false,
        }
    }

    /// Whether the save that runs now is at a listed time, and not only at the end of a period.
    pub fn is_listed(&self) -> bool {
        self.is_listed
    }

    /// Whether a save is due after a round, and whether it is at a listed time.
    pub(super) fn are_due(&mut self, round: &RoundPosition, clock: &Clock) -> bool {
        self.is_listed = self.at.iter().any(|at| {
            let passed = Passed::in_a_round(*at, round, clock);
            (passed.before + 1..=passed.now).contains(&passed.length)
        });
        self.is_listed || self.seconds.is_some_and(|it| self.last.elapsed() >= it)
    }

    /// Begins the time to the next save.
    pub(super) fn has_saved(&mut self) {
        self.is_listed = false;
        self.last = Instant::now();
    }
}

/// What a round has passed, in the steps that a period counts.
pub(super) struct Passed {
    /// How many there were before the round.
    pub before: u64,
    /// How many there are now.
    pub now: u64,
    /// How many the period has.
    pub length: u64,
}

impl Passed {
    pub fn in_a_round(period: Period, round: &RoundPosition, clock: &Clock) -> Self {
        let (before, now, length) = match period {
            Period::Steps(steps) => (round.before, clock.step, steps),
            Period::Epochs(epochs) => (
                round.gradient_steps_before,
                clock.gradient_steps,
                epochs.saturating_mul(clock.steps_per_epoch),
            ),
        };
        Passed {
            before,
            now,
            length: length.max(1),
        }
    }

    /// Whether a period ended in these steps.
    pub fn is_due(&self) -> bool {
        self.now / self.length > self.before / self.length
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a save is due after a round from one step to another, in epochs of ten, and whether it is a listed one.
    fn due(times: &mut SaveTimes, before: u64, now: u64) -> (bool, bool) {
        let round = RoundPosition {
            before,
            gradient_steps_before: before,
            ..RoundPosition::default()
        };
        let clock = Clock {
            step: now,
            gradient_steps: now,
            steps_per_epoch: 10,
            ..Clock::default()
        };
        let due = times.are_due(&round, &clock);
        (due, times.is_listed())
    }

    #[test]
    fn a_listed_time_is_due_in_the_round_that_passes_it_and_in_no_other() {
        let mut times = SaveTimes::new(vec![Period::Epochs(2), Period::Steps(33)], None);
        assert_eq!(due(&mut times, 18, 19), (false, false));
        assert_eq!(due(&mut times, 19, 20), (true, true));
        times.has_saved();
        assert_eq!(due(&mut times, 20, 21), (false, false));
        // Rounds of several steps.
        assert_eq!(due(&mut times, 30, 34), (true, true));
        assert_eq!(due(&mut times, 34, 38), (false, false));
        // A later epoch is no listed one.
        assert_eq!(due(&mut times, 38, 42), (false, false));
    }

    #[test]
    fn the_time_begins_anew_at_each_save() {
        let hour = Duration::from_secs(3_600);
        let mut times = SaveTimes::new(Vec::new(), Some(hour));
        assert_eq!(due(&mut times, 1, 2), (false, false));
        times.last -= hour;
        assert_eq!(due(&mut times, 2, 3), (true, false));
        times.has_saved();
        assert_eq!(due(&mut times, 3, 4), (false, false));
    }
}
