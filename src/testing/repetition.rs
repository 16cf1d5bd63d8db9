//! What must come out the same twice: runs of one seed, resumed runs, and runs that were only looked at.

use super::{Mistake, Trial, toy, trial};
use crate::checkpoint::restore;
use crate::schedule::{self, Evaluate, take_failure};

impl Trial {
    /// `Validate` and `Evaluate` leave networks, optimizers, counters and random streams as they are, and the policy, where one
    /// acts, gives the same actions in [-1, 1] each time it is asked.
    ///
    /// # Errors
    /// What changed.
    pub fn looking_changes_nothing(&self) -> Result<(), Mistake> {
        let mut app = self.start(|_| ())?;
        trial::steps(&mut app, 3)?;
        let before = trial::state(app.world())?;
        for validate in [true, false] {
            let name = if validate { "Validate" } else { "Evaluate" };
            let looked = if validate {
                schedule::validate(app.world_mut())
            } else {
                app.world_mut().run_schedule(Evaluate);
                take_failure().map_or(Ok(()), Err)
            };
            if let Err(failure) = looked {
                let message = failure.message;
                return Err(Mistake::Step { step: 3, message });
            }
            if let Some(changed) = trial::difference(&before, &trial::state(app.world())?) {
                let schedule = name.to_owned();
                return Err(Mistake::LookingChanged { schedule, changed });
            }
        }
        if app.world().contains_resource::<crate::evaluate::Acting>() {
            let first = toy::act(&app)?;
            if toy::act(&app)? != first {
                return Err(Mistake::ActsAtRandom);
            }
        }
        Ok(())
    }

    /// Two runs from one seed are equal after some steps, bit for bit.
    ///
    /// # Errors
    /// What differs.
    pub fn same_seed_same_bits(&self) -> Result<(), Mistake> {
        let run = || {
            let mut app = self.start(|_| ())?;
            trial::steps(&mut app, 5)?;
            trial::state(app.world())
        };
        match trial::difference(&run()?, &run()?) {
            None => Ok(()),
            Some(differs) => Err(Mistake::NotDeterministic(differs)),
        }
    }

    /// A run that is saved after some steps and restored in a new app ends up as the one that went on, bit for bit. Saving
    /// itself and loading are exact, too.
    ///
    /// # Errors
    /// What differs.
    pub fn resumes_exactly(&self) -> Result<(), Mistake> {
        let mut whole = self.start(|_| ())?;
        trial::steps(&mut whole, 3)?;
        let saved = trial::state(whole.world())?;
        let clock = whole.world().resource::<crate::schedule::Clock>().clone();
        trial::steps(&mut whole, 4)?;

        let mut resumed = self.start(|_| ())?;
        // A trial without reports' plugin in its checkpoints has no metrics to restore.
        let mut snapshot = saved.clone();
        let fresh = crate::checkpoint::gather(resumed.world(), 0);
        let fresh = fresh.map_err(|error| Mistake::NotSaved(error.to_string()))?;
        if let Some(metrics) = fresh.state.get("metrics") {
            snapshot.state.insert("metrics".to_owned(), metrics.clone());
        }
        restore(resumed.world_mut(), &snapshot)
            .map_err(|error| Mistake::NotSaved(error.to_string()))?;
        let mut at = resumed.world_mut().resource_mut::<crate::schedule::Clock>();
        (at.step, at.gradient_steps) = (clock.step, clock.gradient_steps);
        if let Some(differs) = trial::difference(&saved, &trial::state(resumed.world())?) {
            return Err(Mistake::NotResumed(differs));
        }
        trial::steps(&mut resumed, 4)?;
        let (whole, resumed) = (trial::state(whole.world())?, trial::state(resumed.world())?);
        match trial::difference(&whole, &resumed) {
            None => Ok(()),
            Some(differs) => Err(Mistake::NotResumed(differs)),
        }
    }
}
