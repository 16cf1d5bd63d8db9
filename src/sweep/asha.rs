//! Asynchronous successive halving: Algorithm 2 of Li et al. 2020, <https://arxiv.org/abs/1810.05934>, in virtual time.
//!
//! A job brings a trial from one rung to the next. Virtual workers take jobs, and a job lasts as long as it has steps; of jobs that end
//! at the same moment, the one of the trial with the lower number ends first. So who is promoted is a function of what the trials came
//! to, and not of who was fast: the simulation goes on until it needs a result that is not there yet, and the jobs that are under way
//! then may really run, by anybody, side by side.

use std::collections::BTreeSet;

use super::decide::{Entrant, order};
use crate::schedule::Goal;

/// What is known of a trial at a rung.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Outcome {
    /// It is not there yet.
    Open,
    /// It has reached the rung, with the objective where it has one.
    Reached(Option<f64>),
    /// It failed on the way there: the worst of the rung, and never promoted.
    Failed,
}

/// The algorithm's settings.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asha<'s> {
    /// The step of each rung, rising; the last is the scene's.
    pub steps: &'s [u64],
    /// η: the best of so many are promoted.
    pub factor: u64,
    /// Virtual workers.
    pub workers: u64,
    pub goal: Goal,
    pub trials: usize,
}

/// Where it is.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Promotions {
    /// The rung that each trial is on, or on the way to; `None` before it has begun.
    pub rungs: Vec<Option<usize>>,
    /// The trials with a job under way, the job that ends first in front; some may have ended theirs already. None: it is over.
    pub under_way: Vec<usize>,
}

impl Asha<'_> {
    /// Goes as far as the outcomes of trials at rungs allow.
    pub fn simulate(&self, outcome: impl Fn(usize, usize) -> Outcome) -> Promotions {
        let mut jobs = Jobs {
            asha: *self,
            rungs: vec![Rung::new(); self.steps.len()],
            drawn: 0,
            under_way: BTreeSet::new(),
        };
        let mut now = 0;
        let mut rungs = vec![None; self.trials];
        loop {
            while (jobs.under_way.len() as u64) < self.workers
                && let Some((trial, rung)) = jobs.get_job()
            {
                rungs[trial] = Some(rung);
                let before = rung.checked_sub(1).map_or(0, |before| self.steps[before]);
                let end = now + u128::from(self.steps[rung] - before);
                jobs.under_way.insert((end, trial, rung));
            }
            let Some((end, trial, rung)) = jobs.under_way.first().copied() else {
                break;
            };
            let (value, has_failed) = match outcome(trial, rung) {
                Outcome::Open => break,
                Outcome::Reached(value) => (value, false),
                Outcome::Failed => (None, true),
            };
            now = end;
            jobs.under_way.pop_first();
            jobs.complete(rung, (trial, value), has_failed);
        }
        let under_way = jobs.under_way.iter().map(|(_, trial, _)| *trial);
        Promotions {
            rungs,
            under_way: under_way.collect(),
        }
    }
}

struct Jobs<'s> {
    asha: Asha<'s>,
    rungs: Vec<Rung>,
    /// How many trials have begun.
    drawn: usize,
    /// When each job ends, its trial and its rung.
    under_way: BTreeSet<(u128, usize, usize)>,
}

impl Jobs<'_> {
    /// What a free worker takes: a trial, and the rung to bring it to.
    fn get_job(&mut self) -> Option<(usize, usize)> {
        let factor = usize::try_from(self.asha.factor).unwrap_or(usize::MAX);
        let promoted = self.promote(|rung| rung.len() / factor);
        if promoted.is_some() {
            return promoted;
        }
        if self.drawn < self.asha.trials {
            self.drawn += 1;
            return Some((self.drawn - 1, 0));
        }
        // The paper's draws never end. Of a number of trials one comes to the last rung, however few there are.
        let has_one = self.rungs.last()?.iter().any(|it| !it.has_failed);
        match self.under_way.is_empty() && !has_one {
            true => self.promote(Vec::len),
            false => None,
        }
    }

    /// Promotes the best trial that is not promoted yet of the highest rung that has one among the `top` of its trials.
    fn promote(&mut self, top: impl Fn(&Rung) -> usize) -> Option<(usize, usize)> {
        let last = self.rungs.len() - 1;
        for (number, rung) in self.rungs[..last].iter_mut().enumerate().rev() {
            let candidates = top(rung);
            let mut candidates = rung.iter_mut().take(candidates);
            if let Some(promotable) = candidates.find(|it| !it.is_promoted && !it.has_failed) {
                promotable.is_promoted = true;
                return Some((promotable.entrant.0, number + 1));
            }
        }
        None
    }

    /// Puts a trial among those that have reached a rung.
    fn complete(&mut self, rung: usize, entrant: Entrant, has_failed: bool) {
        let goal = self.asha.goal;
        let rung = &mut self.rungs[rung];
        let place = rung.partition_point(|it| order(&it.entrant, &entrant, goal).is_lt());
        let member = Member {
            entrant,
            has_failed,
            is_promoted: false,
        };
        rung.insert(place, member);
    }
}

/// Those that have reached a rung, the best first.
type Rung = Vec<Member>;

#[derive(Clone)]
struct Member {
    entrant: Entrant,
    has_failed: bool,
    is_promoted: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The values of each trial at the rungs that it has reached; an infinite one is a failure, and one that is not a number none.
    fn simulated(workers: u64, steps: &[u64], trials: &[&[f64]]) -> Promotions {
        let asha = Asha {
            steps,
            factor: 2,
            workers,
            goal: Goal::Largest,
            trials: trials.len(),
        };
        asha.simulate(|trial, rung| match trials[trial].get(rung) {
            None => Outcome::Open,
            Some(value) if value.is_infinite() => Outcome::Failed,
            Some(value) => Outcome::Reached(value.is_finite().then_some(*value)),
        })
    }

    fn rungs(promotions: &Promotions) -> Vec<i32> {
        let rungs = promotions.rungs.iter();
        rungs.map(|it| it.map_or(-1, |it| it as i32)).collect()
    }

    #[test]
    fn a_free_worker_promotes_from_the_highest_rung_or_begins_the_next_trial() {
        // Two workers begin trials 0 and 1; nothing is known yet.
        let steps = [1, 2, 4];
        let it = simulated(2, &steps, &[&[], &[], &[], &[]]);
        assert_eq!((rungs(&it), it.under_way), (vec![0, 0, -1, -1], vec![0, 1]));
        // The second to end is waited for where the first has not ended.
        let it = simulated(2, &steps, &[&[], &[9.0], &[], &[]]);
        assert_eq!((rungs(&it), it.under_way), (vec![0, 0, -1, -1], vec![0, 1]));
        // Trial 0 has ended alone, so its worker begins trial 2; of two that have ended the better is promoted.
        let it = simulated(2, &steps, &[&[1.0], &[9.0], &[], &[]]);
        assert_eq!((rungs(&it), it.under_way), (vec![0, 1, 0, -1], vec![1, 2]));
        // Both jobs end at the second moment: 1 alone on its rung, and 2 as the third on the lowest, of which one is promoted already.
        let it = simulated(2, &steps, &[&[1.0], &[9.0, 9.0], &[5.0], &[]]);
        assert_eq!((rungs(&it), it.under_way), (vec![0, 1, 0, 0], vec![3]));
        // Of four the best two: 1, and 2 once 3 has ended.
        let it = simulated(2, &steps, &[&[1.0], &[9.0, 9.0], &[5.0], &[0.0]]);
        assert_eq!((rungs(&it), it.under_way), (vec![0, 1, 1, 0], vec![2]));
        let it = simulated(2, &steps, &[&[1.0], &[9.0, 9.0], &[5.0, 8.0], &[0.0]]);
        assert_eq!((rungs(&it), it.under_way), (vec![0, 2, 1, 0], vec![1]));
        let ends: [&[f64]; 4] = [&[1.0], &[9.0, 9.0, 7.0], &[5.0, 8.0], &[0.0]];
        let it = simulated(2, &steps, &ends);
        assert_eq!((rungs(&it), it.under_way), (vec![0, 2, 1, 0], vec![]));
    }

    #[test]
    fn a_job_lasts_as_long_as_it_has_steps() {
        // One worker promotes 1 to a rung of nine steps more; the other two trials end before it does.
        let ended: [&[f64]; 4] = [&[1.0], &[9.0], &[5.0], &[]];
        let it = simulated(2, &[1, 10], &ended);
        assert_eq!((rungs(&it), it.under_way), (vec![0, 1, 0, 0], vec![3, 1]));
        let it = simulated(2, &[1, 10], &[&[1.0], &[9.0], &[5.0], &[0.0]]);
        assert_eq!((rungs(&it), it.under_way), (vec![0, 1, 1, 0], vec![1, 2]));
    }

    #[test]
    fn a_failed_trial_is_the_worst_and_one_comes_to_the_end_however_few_there_are() {
        let failed = f64::INFINITY;
        let it = simulated(2, &[1, 2, 4], &[&[failed], &[-9.0], &[], &[]]);
        assert_eq!((rungs(&it), it.under_way), (vec![0, 1, 0, -1], vec![1, 2]));
        // Half of three is one, which fails on the second rung; the next best goes on in its place.
        let ended: [&[f64]; 3] = [&[1.0], &[9.0, failed], &[5.0]];
        let it = simulated(3, &[1, 2], &ended);
        assert_eq!((rungs(&it), it.under_way), (vec![0, 1, 1], vec![2]));
        let it = simulated(3, &[1, 2], &[&[failed], &[failed], &[failed]]);
        assert_eq!((rungs(&it), it.under_way), (vec![0, 0, 0], vec![]));
        let it = simulated(1, &[1, 2, 4], &[&[f64::NAN, 1.0, 1.0]]);
        assert_eq!((rungs(&it), it.under_way), (vec![2], vec![]));
    }

    #[test]
    fn where_it_is_hangs_on_outcomes_alone_and_what_was_begun_stays() {
        // 64 trials whose order changes from rung to rung; results come in any order, and whatever is known, no promotion is taken back.
        let steps = [3, 9, 27, 81];
        let value = |trial: usize, rung: usize| ((trial * 37 + rung * 11) % 64) as f64;
        let asha = Asha {
            steps: &steps,
            factor: 3,
            workers: 5,
            goal: Goal::Smallest,
            trials: 64,
        };
        let end = asha.simulate(|trial, rung| Outcome::Reached(Some(value(trial, rung))));
        assert!(end.under_way.is_empty());
        for order in 0..5 {
            let mut known = std::collections::BTreeSet::new();
            let mut calls = 0;
            loop {
                let it = asha.simulate(|trial, rung| match known.contains(&(trial, rung)) {
                    true => Outcome::Reached(Some(value(trial, rung))),
                    false => Outcome::Open,
                });
                assert!(it.under_way.len() <= 5);
                for (now, last) in it.rungs.iter().zip(&end.rungs) {
                    assert!(now <= last, "{it:?}");
                }
                let jobs = it.under_way.iter();
                let jobs = jobs.filter_map(|trial| Some((*trial, it.rungs[*trial]?)));
                let open: Vec<_> = jobs.filter(|job| !known.contains(job)).collect();
                let Some(job) = open.get((calls * order) % open.len().max(1)) else {
                    assert_eq!(it, end);
                    break;
                };
                known.insert(*job);
                calls += 1;
            }
            assert_eq!(
                calls,
                end.rungs.iter().flatten().map(|it| it + 1).sum::<usize>()
            );
        }
    }
}
