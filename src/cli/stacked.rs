//! Seeds that learn as one stack: an app whose networks are those of all learners, and the learners' own apps, which do all else.
//!
//! The stack takes the gradient steps. Where something falls due in the learners' runs, each is given what it has learned and then
//! validates, evaluates, reports and saves as its lone run does, in its own folder. A learner that fails or ends is left out from then
//! on; the stack goes on computing its part, which no other learner sees.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

use bevy_app::App;
use bevy_ecs::world::World;

use super::building::{self, For, Program, algorithm};
use super::error::CliError;
use crate::checkpoint::{
    CheckpointError, Checkpoints, RunFolder, Snapshot, gather, restore, stack,
};
use crate::data::{Dataset, Minibatches};
use crate::evaluate::{Evaluation, Validation};
use crate::learner::Stacks;
use crate::report::console::Console;
use crate::report::{EarlyStopping, Metrics, Reported, Reports, TensorBoard};
use crate::scene::{Problems, Scene};
use crate::schedule::{
    Clock, Failure, RoundPosition, Taken, TakenElsewhere, Training, begins_elsewhere,
    concludes_elsewhere, fails_elsewhere, interrupt, is_due, stop_requested, take_round,
    with_causes,
};

/// What is said of a stack of one.
pub const TOO_FEW: &str =
    "--stacked: a stack has several learners; give two seeds or more, such as `--seeds 0,1,2`";

/// The app that takes the steps of all learners.
pub struct StackApp {
    app: App,
    /// Whether the learners validate, for which each needs the data.
    validates: bool,
}

/// States of a stack that are no learner's own.
type Shared = BTreeMap<String, String>;

/// The run of one learner.
pub struct StackedRun<'a> {
    /// What messages call it.
    pub name: &'a str,
    pub app: &'a mut App,
    pub folder: &'a RunFolder,
}

impl StackApp {
    /// The stack of these seeds of a scene, with data and networks.
    ///
    /// # Errors
    /// What no stack can do, by name, and what cannot be loaded or built.
    pub fn build(
        program: &Program,
        scene: &Scene,
        seeds: &[u64],
        folders: Vec<PathBuf>,
    ) -> Result<Self, CliError> {
        let [first, _, ..] = seeds else {
            return Err(CliError::input(TOO_FEW));
        };
        let mut app = program.app(scene, *first, folders, For::Stack(seeds))?;
        check(&app, scene)?;
        app.update();
        match building::failure(&app) {
            Some(failure) => Err(failure.into()),
            None => Ok(StackApp {
                app,
                validates: scene.settings::<Validation>().is_some(),
            }),
        }
    }

    /// Trains all learners until the runs of all have ended, each with an outcome.
    ///
    /// # Errors
    /// A learner's folder that cannot be written to.
    pub fn train(&mut self, learners: &mut [StackedRun<'_>]) -> Result<(), CliError> {
        let mut going = Vec::new();
        for learner in learners.iter_mut() {
            learner.app.insert_resource(TakenElsewhere);
            learner.app.update();
            let world = learner.app.world_mut();
            going.push(begins_elsewhere(world));
            if !self.validates {
                world.remove_resource::<Minibatches>();
            }
        }
        let before = match failure_of_any(learners) {
            Some(failure) => Err(failure),
            None => self.take_over(learners),
        };
        let before = match before {
            Ok(before) => before,
            // A stack begins whole or not at all.
            Err(failure) => {
                fail_all(learners, &mut going, &failure);
                return Ok(());
            }
        };
        for learner in learners.iter() {
            learner.folder.keep_scene()?;
        }
        // Whoever was stopped in what falls due after a round stays there, and so do the others.
        stop_all_if_asked(learners, &mut going);
        let mut taken = Taken::default();
        while going.contains(&true) {
            let started = Instant::now();
            let round = take_round(self.app.world_mut());
            taken.time += started.elapsed();
            taken.steps += 1;
            let clock = self.app.world().resource::<Clock>().clone();
            let done = round.and_then(|round| {
                let mut due = false;
                for (learner, _) in learners.iter_mut().zip(&going).filter(|(_, going)| **going) {
                    due |= is_due(learner.app.world_mut(), &round, &clock);
                }
                match due {
                    true => {
                        let since = (round, std::mem::take(&mut taken));
                        self.hand_out(learners, &mut going, &before, since)
                    }
                    false => Ok(()),
                }
            });
            if let Err(failure) = done {
                fail_all(learners, &mut going, &failure);
            }
        }
        Ok(())
    }

    /// Gives the stack the networks, optimizers, streams and counters that the learners begin with; what it holds besides.
    fn take_over(&mut self, learners: &[StackedRun<'_>]) -> Result<Shared, Failure> {
        let world = self.app.world_mut();
        let snapshots: Result<Vec<Snapshot>, CheckpointError> = learners
            .iter()
            .map(|learner| {
                let world = learner.app.world();
                gather(world, world.resource::<Clock>().step)
            })
            .collect();
        let merged = stack::merge(&snapshots.map_err(|error| refused(&error))?);
        let merged = merged.map_err(|error| Failure {
            message: format!("{}\n{APART}", with_causes(&error)),
            input: true,
        })?;
        restore(world, &merged).map_err(|error| refused(&error))?;
        let held = gather(world, merged.step).map_err(|error| refused(&error))?;
        let shared = stack::shared(&held);
        check_that_all_is_somebodys(&shared, &held)?;
        Ok(shared)
    }

    /// Gives each learner that goes on what it has learned, and lets its run do what falls due.
    fn hand_out(
        &mut self,
        learners: &mut [StackedRun<'_>],
        going: &mut [bool],
        before: &Shared,
        (round, taken): (RoundPosition, Taken),
    ) -> Result<(), Failure> {
        let world = self.app.world_mut();
        let step = world.resource::<Clock>().step;
        let learned = gather(world, step).map_err(|error| refused(&error))?;
        check_that_all_is_somebodys(before, &learned)?;
        let mut is_reported = false;
        for (place, learner) in learners.iter_mut().enumerate() {
            if !going[place] {
                continue;
            }
            let own = learner.app.world_mut();
            going[place] = match teach(own, &learned, place) {
                Ok(()) => concludes_elsewhere(own, round, taken),
                Err(error) => {
                    fails_elsewhere(own, refused(&error));
                    false
                }
            };
            is_reported |= own.resource::<Reported>().step == step;
            if let (Some(failure), Some(console)) = (
                failure_of(learner),
                learner.app.world().get_resource::<Console>(),
            ) {
                console.message(&format!(
                    "{}: {failure}\n{} is left out from now on, and nobody else",
                    learner.name, learner.name
                ));
            }
        }
        if is_reported {
            self.app.world_mut().resource_mut::<Metrics>().clear();
        }
        stop_all_if_asked(learners, going);
        Ok(())
    }
}

/// Puts what the stack has taught a learner into its own world.
fn teach(world: &mut World, learned: &Snapshot, place: usize) -> Result<(), CheckpointError> {
    let mut own = gather(world, learned.step)?;
    stack::teach(&mut own, learned, place);
    restore(world, &own)
}

/// Why a learner's run has failed, if it has.
fn failure_of(learner: &StackedRun<'_>) -> Option<Failure> {
    let training = learner.app.world().resource::<Training>();
    training.failure().cloned()
}

fn failure_of_any(learners: &[StackedRun<'_>]) -> Option<Failure> {
    learners.iter().find_map(failure_of)
}

/// Ends the runs of all that go on.
fn fail_all(learners: &mut [StackedRun<'_>], going: &mut [bool], failure: &Failure) {
    for (learner, going) in learners.iter_mut().zip(going) {
        if std::mem::take(going) {
            fails_elsewhere(learner.app.world_mut(), failure.clone());
        }
    }
}

/// Where the process is asked to stop, saves and ends the runs of all that go on: at the same step as those that have seen it. Each has
/// been given what it has learned.
fn stop_all_if_asked(learners: &mut [StackedRun<'_>], going: &mut [bool]) {
    if !stop_requested() {
        return;
    }
    for (learner, going) in learners.iter_mut().zip(going) {
        if std::mem::take(going) {
            interrupt(learner.app.world_mut());
        }
    }
}

/// Refuses what changes and is no learner's own, which no run would be given.
fn check_that_all_is_somebodys(before: &Shared, after: &Snapshot) -> Result<(), Failure> {
    match stack::nobodys(before, after) {
        None => Ok(()),
        Some(what) => Err(Failure {
            message: format!(
                "`{what}` is learned by the stack as a whole, and no learner's own: the algorithm that brings it must not say `app.stacks()`; train the seeds side by side, without `--stacked`"
            ),
            input: true,
        }),
    }
}

const APART: &str = "A stack takes the same steps for all: give `--seeds` those that are at one step, or train them side by side, without `--stacked`";

fn refused(error: &CheckpointError) -> Failure {
    Failure {
        message: with_causes(error),
        input: error.is_users_mistake(),
    }
}

/// Refuses a scene whose seeds cannot learn as one stack.
fn check(app: &App, scene: &Scene) -> Result<(), CliError> {
    let mut problems = Problems::default();
    let side_by_side = || Some("train the seeds side by side, without `--stacked`".to_owned());
    let name = algorithm(app, scene);
    if !app.world().contains_resource::<Stacks>() {
        let name = name.unwrap_or("plugins");
        problems.push(scene.problem(name, "it does not learn in a stack", side_by_side()));
    }
    if !scene.order.is_empty() {
        problems.push(scene.problem(
            "order",
            "steps that are put elsewhere may couple the rows of a stack's learners",
            side_by_side(),
        ));
    }
    for plugin in &scene.plugins {
        let plugin = &**plugin;
        let is_known = Some(plugin.scene_name()) == name
            || plugin.downcast::<Dataset>().is_some()
            || plugin.downcast::<Evaluation>().is_some()
            || plugin.downcast::<Validation>().is_some()
            || plugin.downcast::<Reports>().is_some()
            || plugin.downcast::<Checkpoints>().is_some()
            || plugin.downcast::<EarlyStopping>().is_some()
            || plugin.downcast::<TensorBoard>().is_some();
        if !is_known {
            problems.push(scene.problem(
                plugin.scene_name(),
                "it knows no stack of learners",
                side_by_side(),
            ));
        }
    }
    Ok(problems.into_result()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::Resume;
    use crate::schedule::{Outcome, RunDirectory};

    const SCENE: &str = r#"Scene(
        steps: 12,
        plugins: [
            Dataset(path: "assets/pendulum-medium-expert.hdf5"),
            Bc(minibatch: (batch_size: 8), actor: (encoder: Mlp(hidden_sizes: [8]))),
            Reports(every: 4),
            Checkpoints(every: 6),
        ],
    )"#;

    /// The app of a lone run of this seed.
    fn lone(program: &Program, scene: &Scene, seed: u64, folder: &RunFolder) -> App {
        let mut app = program.app(scene, seed, Vec::new(), For::Looking).unwrap();
        app.insert_resource(RunDirectory {
            path: folder.path().to_path_buf(),
            resumed_from: 0,
        })
        .insert_resource(folder.guard());
        app
    }

    #[test]
    fn a_learner_that_diverges_is_left_out_and_the_others_have_the_bits_of_their_lone_runs() {
        let program = Program::new(|_| ());
        let scene = program.parse_scene("scene.ron", SCENE).unwrap();
        let room = tempfile::tempdir().unwrap();
        let open = |name: String| {
            let folder = room.path().join(name);
            let opened = RunFolder::open(&folder, &Resume::Never, SCENE, |_| Ok(Vec::new()));
            opened.unwrap().folder
        };
        let seeds = [0, 1, 2];
        let folders = seeds.map(|seed| open(format!("stack_{seed}")));
        let mut apps = seeds.map(|seed| lone(&program, &scene, seed, &folders[seed as usize]));
        let mut stack = StackApp::build(&program, &scene, &seeds, Vec::new()).unwrap();
        // The second begins with a network that is not finite.
        apps[1].insert_resource(TakenElsewhere);
        apps[1].update();
        let mut snapshot = gather(apps[1].world(), 0).unwrap();
        let actor = snapshot.files.get_mut("actor").unwrap();
        actor.get_mut("0.weight").unwrap().values[0] = f32::NAN;
        restore(apps[1].world_mut(), &snapshot).unwrap();
        let mut runs: Vec<StackedRun> = apps
            .iter_mut()
            .zip(&folders)
            .map(|(app, folder)| StackedRun {
                name: "seed",
                app,
                folder,
            })
            .collect();
        stack.train(&mut runs).unwrap();
        drop(runs);
        let ended = |app: &App| {
            let world = app.world();
            let outcome = world.resource::<Training>().outcome.clone();
            (outcome, world.resource::<Clock>().step)
        };
        let (Some(Outcome::Failed(failure)), step) = ended(&apps[1]) else {
            panic!("it must have failed")
        };
        assert!(
            failure.message.contains("`actor/loss` is NaN at step 4"),
            "{failure}"
        );
        assert_eq!(step, 4);
        for seed in [0, 2] {
            let app = &apps[seed as usize];
            assert_eq!(ended(app), (Some(Outcome::Finished), 12));
            let folder = open(format!("lone_{seed}"));
            let mut alone = lone(&program, &scene, seed, &folder);
            while alone.should_exit().is_none() {
                alone.update();
            }
            assert_eq!(
                gather(alone.world(), 12).unwrap(),
                gather(app.world(), 12).unwrap()
            );
        }
    }
}
