//! What must come out the same twice: runs of one seed, resumed runs, and runs that were only looked at.

use bevy_app::App;
use bevy_ecs::change_detection::Tick;
use bevy_ecs::prelude::*;

use super::{Mistake, Trial, toy, trial};
use crate::checkpoint::{ResumeFrom, unsaved};
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
    /// What differs, and which resources of the plugin's own its steps change and nobody persists.
    pub fn resumes_exactly(&self) -> Result<(), Mistake> {
        let mut whole = self.start(|_| ())?;
        let started = whole.world().read_change_tick();
        trial::steps(&mut whole, 3)?;
        let saved = trial::saved(whole.world())?;
        trial::steps(&mut whole, 4)?;

        let from = saved.clone();
        let resumed = self.start(move |app| {
            app.insert_resource(ResumeFrom(from.clone()));
        });
        let mut resumed = resumed.map_err(|mistake| match mistake {
            // The first app started: what fails here is restoring.
            Mistake::Startup(why) => Mistake::NotSaved(why),
            other => other,
        })?;
        let before = trial::without_metrics(saved);
        let mut differs = trial::difference(&before, &trial::state(resumed.world())?);
        if differs.is_none() {
            trial::steps(&mut resumed, 4)?;
            let (one, other) = (trial::state(whole.world())?, trial::state(resumed.world())?);
            differs = trial::difference(&one, &other);
        }
        let Some(differs) = differs else {
            return Ok(());
        };
        let resources = unsaved_since(&whole, started);
        Err(match resources.is_empty() {
            true => Mistake::NotResumed(differs),
            false => Mistake::ResourceNotSaved { resources, differs },
        })
    }
}

/// The resources of the plugin's own that steps changed since then, and that no checkpoint holds.
fn unsaved_since(app: &App, since: Tick) -> Vec<String> {
    let world = app.world();
    let has_changed = |(id, name)| {
        let entity = world.resource_entities().get(id)?;
        let ticks = world.entity(entity).get_change_ticks_by_id(id)?;
        let changed = ticks.changed.is_newer_than(since, world.read_change_tick());
        changed.then_some(name)
    };
    unsaved(world).into_iter().filter_map(has_changed).collect()
}
