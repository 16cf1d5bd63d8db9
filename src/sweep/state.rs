//! Where a sweep is: which trials are in which round, or on which rung, what they are, and what each may do now.

use std::path::PathBuf;

use super::asha::{Asha, Outcome};
use super::decide::{decide, ranked, stream};
use super::draw::{draw, perturbed};
use super::file::{Scheduler, SweepFile, SweepSettings};
use super::folder::{SweepError, SweepFolder};
use super::plan::Plan;
use super::progress::Progress;
use super::space::{Dimension, Setting};

/// A sweep as its folder has it.
#[derive(Debug)]
pub(crate) struct State {
    pub settings: SweepSettings,
    pub plan: Plan,
    pub progress: Vec<Progress>,
    /// What each trial is in its last round.
    pub lineages: Vec<Lineage>,
    entered: Entered,
}

/// How far trials were let go.
#[derive(Debug)]
struct Entered {
    /// The last round that each has entered; `None` before it has begun.
    rounds: Vec<Option<usize>>,
    /// Who has ended one of the rounds before this one, and entered no other, is out.
    open: usize,
    /// All that may run, those first that others wait for.
    order: Vec<usize>,
}

/// What a trial trains.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Lineage {
    /// Where its runs are, in the sweep's folder: one for each seed.
    pub folder: PathBuf,
    pub settings: Vec<Setting>,
    /// The runs whose checkpoints it was forked from, and their step.
    pub parent: Option<(PathBuf, u64)>,
}

/// What a trial may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Go on to the end of this round.
    Ready(usize),
    /// It is not decided yet whether it goes on, or it has not begun and its turn has not come.
    Waiting,
    /// It was decided against.
    Stopped,
    /// It has taken all steps.
    Done,
    /// It went wrong, as often as it was tried.
    Failed,
}

impl Standing {
    /// In a word.
    pub fn word(self) -> &'static str {
        match self {
            Standing::Ready(_) => "ready",
            Standing::Waiting => "waiting",
            Standing::Stopped => "stopped",
            Standing::Done => "done",
            Standing::Failed => "failed",
        }
    }
}

impl SweepFile {
    /// The settings of each trial.
    pub fn draw(&self) -> Vec<Vec<Setting>> {
        draw(&self.space, &self.settings)
    }
}

impl State {
    /// Reads a sweep's folder, whose scene has so many steps.
    ///
    /// # Errors
    /// A file of it cannot be read.
    pub fn read(folder: &SweepFolder, steps: u64) -> Result<Self, SweepError> {
        let sweep = folder.sweep()?;
        sweep.check_rounds(steps).map_err(SweepError::Problems)?;
        let SweepFile {
            settings, space, ..
        } = sweep;
        let trials = folder.trials()?;
        let progress = (0..trials.len()).map(|trial| folder.progress(trial));
        let progress = progress.collect::<Result<Vec<_>, _>>()?;
        Ok(Self::of(settings, &space, trials, progress, steps))
    }

    /// The same of what is in it.
    fn of(
        settings: SweepSettings,
        space: &[Dimension],
        trials: Vec<Vec<Setting>>,
        progress: Vec<Progress>,
        steps: u64,
    ) -> Self {
        let plan = Plan::of(&settings, trials.len(), steps);
        let mut state = State {
            entered: Entered {
                rounds: Vec::new(),
                open: 0,
                order: Vec::new(),
            },
            lineages: trials
                .into_iter()
                .enumerate()
                .map(|(trial, settings)| Lineage {
                    folder: SweepFolder::name_of(trial),
                    settings,
                    parent: None,
                })
                .collect(),
            settings,
            plan,
            progress,
        };
        state.entered = match state.settings.scheduler {
            Scheduler::Asha { factor, .. } => state.promoted(factor),
            _ => state.decided(space),
        };
        state
    }

    /// By `Asha`: when a trial goes on hangs on those that have come to its rung.
    fn promoted(&self, factor: u64) -> Entered {
        let asha = Asha {
            steps: &self.plan.rounds,
            factor,
            workers: self.workers(),
            goal: self.settings.objective.goal,
            trials: self.progress.len(),
        };
        let promotions = asha.simulate(|trial, rung| {
            let progress = &self.progress[trial];
            match progress.reached.get(rung) {
                Some(reached) => Outcome::Reached(reached.value),
                None if progress.has_failed(self.settings.retries) => Outcome::Failed,
                None => Outcome::Open,
            }
        });
        Entered {
            rounds: promotions.rungs,
            open: match promotions.under_way.is_empty() {
                true => self.plan.rounds.len(),
                false => 0,
            },
            order: promotions.under_way,
        }
    }

    /// By whole rounds.
    fn decided(&mut self, space: &[Dimension]) -> Entered {
        let trials = self.progress.len();
        let mut entered = Entered {
            rounds: vec![Some(0); trials],
            open: 0,
            order: (0..trials).collect(),
        };
        let mut entrants: Vec<usize> = (0..trials).collect();
        for round in 0..self.plan.rounds.len() - 1 {
            let Some(ended) = self.ended(round, &entrants) else {
                break;
            };
            let decision = decide(&self.settings, round, &ended);
            let before = self.lineages.clone();
            for (child, parent) in decision.forks {
                self.lineages[child] = self.fork(space, round, child, &before[parent]);
            }
            entrants = decision.go_on;
            for trial in &entrants {
                entered.rounds[*trial] = Some(round + 1);
            }
            entered.open = round + 1;
        }
        entered
    }

    /// What the trials of a round came to, once all of them have ended it. One that failed in it is not among them.
    fn ended(&self, round: usize, entrants: &[usize]) -> Option<Vec<(usize, Option<f64>)>> {
        let mut ended = Vec::new();
        for trial in entrants {
            let progress = &self.progress[*trial];
            match progress.reached.get(round) {
                Some(reached) => ended.push((*trial, reached.value)),
                None if progress.has_failed(self.settings.retries) => {}
                None => return None,
            }
        }
        Some(ended)
    }

    /// What a trial goes on as that is replaced at the end of a round.
    fn fork(&self, space: &[Dimension], round: usize, child: usize, parent: &Lineage) -> Lineage {
        let mut random = stream(self.settings.seed, round, child);
        // The first draw has chosen the parent.
        random.set_word_pos(64);
        let factor = match self.settings.scheduler {
            Scheduler::Pbt { perturb, .. } => perturb,
            _ => 1.0,
        };
        let settings = space
            .iter()
            .zip(&parent.settings)
            .map(|(dimension, setting)| {
                dimension.setting(perturbed(dimension, &setting.value, factor, &mut random))
            });
        Lineage {
            folder: SweepFolder::name_of(child).join(format!("fork_{}", round + 1)),
            settings: settings.collect(),
            parent: Some((parent.folder.clone(), self.plan.rounds[round])),
        }
    }

    /// What a trial may do now.
    pub fn standing(&self, trial: usize) -> Standing {
        let progress = &self.progress[trial];
        let Some(round) = self.entered.rounds[trial] else {
            return Standing::Waiting;
        };
        if progress.reached.len() > round {
            return match round {
                round if round + 1 == self.plan.rounds.len() => Standing::Done,
                round if round < self.entered.open => Standing::Stopped,
                _ => Standing::Waiting,
            };
        }
        match progress.has_failed(self.settings.retries) {
            true => Standing::Failed,
            false => Standing::Ready(round),
        }
    }

    /// The trials that may go on now, those first that others wait for.
    pub fn ready(&self) -> Vec<usize> {
        let order = self.entered.order.iter().copied();
        order
            .filter(|trial| matches!(self.standing(*trial), Standing::Ready(_)))
            .collect()
    }

    /// How many trials may ever run at once.
    pub fn workers(&self) -> u64 {
        let trials = self.progress.len() as u64;
        match self.settings.scheduler {
            Scheduler::Asha {
                workers: Some(workers),
                ..
            } => workers.min(trials),
            _ => trials,
        }
    }

    /// Whether nothing is left to do.
    pub fn is_over(&self) -> bool {
        // While one waits, another is ready.
        self.ready().is_empty()
    }

    /// The steps that were taken, of all trials and seeds together. Those of a fork's parent are the parent's.
    pub fn steps_taken(&self) -> u64 {
        let seeds = self.settings.seeds.len() as u64;
        let ends = self.progress.iter().filter_map(|it| it.reached.last());
        ends.map(|reached| reached.step.saturating_mul(seeds)).sum()
    }

    /// The best trial of those that came furthest.
    pub fn best(&self) -> Option<usize> {
        let furthest = self.progress.iter().map(|it| it.reached.len()).max()?;
        let last = |trial: usize| self.progress[trial].reached.get(furthest.checked_sub(1)?);
        let entrants: Vec<(usize, Option<f64>)> = (0..self.progress.len())
            .filter_map(|trial| Some((trial, last(trial)?.value)))
            .filter(|(_, value)| value.is_some())
            .collect();
        ranked(&entrants, self.settings.objective.goal)
            .first()
            .copied()
    }
}

#[cfg(test)]
mod tests {
    use super::super::progress::{Failed, Reached};
    use super::*;

    const ASHA: &str = "scheduler: Asha(first: 10, factor: 2, workers: 2), retries: 0,";
    const MEDIAN: &str = "scheduler: Median(every: 20), retries: 0,";
    const PBT: &str = "scheduler: Pbt(every: 10, quantile: 0.25, perturb: 2),";

    fn state(scheduler: &str, values: &[&[f64]]) -> State {
        let text = format!(
            "Sweep(scene: \"a\", {scheduler} samples: {}, space: {{ \"A.a\": LogUniform(1, 1000) }})",
            values.len()
        );
        let file = SweepFile::parse("a.ron", &text).unwrap();
        let progress = values.iter().map(|values| Progress {
            reached: values
                .iter()
                .enumerate()
                .map(|(round, value)| Reached {
                    step: 10 << round,
                    value: Some(*value),
                    seeds: vec![Some(*value)],
                })
                .collect(),
            failures: Vec::new(),
        });
        let trials = file.draw();
        State::of(
            file.settings.clone(),
            &file.space,
            trials,
            progress.collect(),
            40,
        )
    }

    fn words(state: &State) -> Vec<&'static str> {
        let trials = 0..state.progress.len();
        trials.map(|trial| state.standing(trial).word()).collect()
    }

    #[test]
    fn a_round_is_decided_when_all_of_its_trials_have_ended_it() {
        let mut sweep = state(MEDIAN, &[&[1.0], &[2.0], &[3.0], &[]]);
        assert_eq!(words(&sweep), ["waiting", "waiting", "waiting", "ready"]);
        sweep = state(MEDIAN, &[&[1.0], &[2.0], &[3.0], &[0.0]]);
        assert_eq!(words(&sweep), ["stopped", "ready", "ready", "stopped"]);
        sweep = state(MEDIAN, &[&[1.0], &[2.0, 5.0], &[3.0, 4.0], &[0.0]]);
        assert_eq!(words(&sweep), ["stopped", "done", "done", "stopped"]);
        assert!(sweep.is_over());
        assert_eq!((sweep.best(), sweep.workers()), (Some(1), 4));
    }

    #[test]
    fn rungs_are_climbed_one_by_one_and_who_is_left_is_out_at_the_end() {
        let mut sweep = state(ASHA, &[&[], &[], &[], &[]]);
        assert_eq!(words(&sweep), ["ready", "ready", "waiting", "waiting"]);
        sweep = state(ASHA, &[&[1.0], &[2.0], &[], &[]]);
        assert_eq!(words(&sweep), ["waiting", "ready", "ready", "waiting"]);
        sweep = state(ASHA, &[&[1.0], &[2.0, 5.0], &[3.0, 4.0], &[0.0]]);
        assert_eq!(words(&sweep), ["waiting", "ready", "waiting", "waiting"]);
        assert_eq!((sweep.best(), sweep.ready()), (Some(1), vec![1]));
        sweep = state(ASHA, &[&[1.0], &[2.0, 5.0, 6.0], &[3.0, 4.0], &[0.0]]);
        assert_eq!(words(&sweep), ["stopped", "done", "stopped", "stopped"]);
        assert!(sweep.is_over());
        assert_eq!(
            (sweep.steps_taken(), sweep.workers()),
            (10 + 40 + 20 + 10, 2)
        );
    }

    #[test]
    fn a_trial_that_failed_is_waited_for_no_more_and_what_was_decided_stays() {
        let file = |scheduler: &str, values: &[&[f64]], failed: usize| {
            let mut sweep = state(scheduler, values);
            sweep.progress[failed].failures.push(Failed {
                message: "it diverged".to_owned(),
                is_final: false,
            });
            let trials = sweep.lineages.iter().map(|it| it.settings.clone());
            let trials = trials.collect();
            State::of(sweep.settings, &[], trials, sweep.progress, 40)
        };
        let sweep = file(MEDIAN, &[&[1.0], &[2.0], &[3.0], &[]], 3);
        assert_eq!(words(&sweep), ["stopped", "ready", "ready", "failed"]);
        // It was among the best of the first round, and still is.
        let sweep = file(MEDIAN, &[&[1.0], &[2.0], &[3.0, 9.0], &[0.0]], 1);
        assert_eq!(words(&sweep), ["stopped", "failed", "done", "stopped"]);
        let sweep = file(ASHA, &[&[], &[2.0], &[], &[]], 0);
        assert_eq!(words(&sweep), ["failed", "ready", "ready", "waiting"]);
        let sweep = file(ASHA, &[&[1.0], &[2.0], &[3.0, 9.0], &[0.0]], 1);
        assert_eq!(words(&sweep), ["waiting", "failed", "ready", "waiting"]);
    }

    #[test]
    fn a_replaced_trial_goes_on_from_the_best_with_other_settings() {
        let sweep = state(PBT, &[&[1.0], &[2.0], &[3.0], &[0.0]]);
        assert_eq!(words(&sweep), ["ready"; 4]);
        let [_, _, best, worst] = &sweep.lineages[..] else {
            panic!("four trials");
        };
        assert_eq!(best.parent, None);
        assert_eq!(worst.parent, Some((best.folder.clone(), 10)));
        assert!(worst.folder.ends_with("003/fork_1"), "{worst:?}");
        let [one, other] = [best, worst].map(|it| it.settings[0].value.parse::<f64>().unwrap());
        let ratio = other / one;
        assert!(
            (ratio - 2.0).abs() < 1e-4 || (ratio - 0.5).abs() < 1e-4,
            "{ratio}"
        );
    }
}
