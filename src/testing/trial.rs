//! An app with a plugin on trial.

use std::collections::BTreeSet;

use bevy_app::{App, Plugin};
use bevy_ecs::prelude::*;

use super::Mistake;
use super::toy::{self, Actions};
use crate::checkpoint::{HostTensor, Snapshot, gather};
use crate::data::{Batch, Data, Normalizer, Preprocessing, Spaces};
use crate::env::Space;
use crate::learner::{ComputeDevice, Seed};
use crate::report::{Reported, Reports};
use crate::schedule::{
    AppScheduleExt, Cadence, Clock, FacilitatorPlugin, Learn, LearnSystems, Outcome, Prepare,
    Report, ScheduleErrors, SchedulePlugin, Training, learn_steps, take_failure,
};

/// A plugin on trial. Its checks are this type's methods.
///
/// ```
/// use yarak::prelude::*;
/// use yarak::testing::Trial;
///
/// /// Forgets to descend its loss.
/// fn forgetful(batch: Res<Batch>, actor: Res<Net<Actor>>, mut metrics: ResMut<Metrics>) {
///     let loss = losses::mse(actor.act(batch.observation.clone()), batch.action.clone());
///     metrics.record("actor/loss", loss);
/// }
///
/// let trial = Trial::of(Bc::default()).with(|app| {
///     app.replace(Learn, LearnSystems::Actor, forgetful);
/// });
/// let mistake = trial.changes(&[(LearnSystems::Actor, &["actor"])]).unwrap_err();
/// assert!(mistake.to_string().contains("slot `Actor` never changed `actor`"));
/// ```
pub struct Trial {
    build: Vec<Build>,
    pub(super) actions: Actions,
}

/// Adds something to an app of the trial.
type Build = Box<dyn Fn(&mut App)>;

impl Trial {
    /// A trial of a plugin. It is built several times, from the same settings.
    pub fn of<P: Plugin + Clone>(plugin: P) -> Self {
        Trial {
            build: vec![Box::new(move |app| {
                app.add_plugins(plugin.clone());
            })],
            actions: Actions::Continuous,
        }
    }

    /// Makes an action one of `n` discrete actions, at least 2, instead of a number in [-1, 1]. The tasks stay what they are: the discrete actions
    /// stand for numbers that are evenly spread from -1 to 1, and the right one is that which comes nearest to the right number.
    ///
    /// ```
    /// use yarak::prelude::*;
    /// use yarak::testing::{Mistake, Trial};
    ///
    /// let copies = TargetUpdate { every: 3, tau: 1.0 };
    /// let minibatch = MinibatchSettings::of(64);
    /// let mut dqn = Dqn { minibatch, target_update: copies, ..default() };
    /// dqn.critic.encoder.set_hidden_sizes(&[32]);
    /// dqn.critic.optimizer.learning_rate = Schedule::Constant(3e-3);
    /// let trial = Trial::of(dqn).with_discrete_actions(5);
    /// trial.networks_exist(&["critic"])?;
    /// trial.targets_are_copied(3)?;
    /// trial.targets_are_detached("critic")?;
    /// # Ok::<(), Mistake>(())
    /// ```
    #[must_use]
    pub fn with_discrete_actions(mut self, n: usize) -> Self {
        self.actions = Actions::Discrete(n.max(2));
        self
    }

    /// Adds to every app of the trial: other plugins, steps that are replaced.
    #[must_use]
    pub fn with(mut self, edit: impl Fn(&mut App) + 'static) -> Self {
        self.build.push(Box::new(edit));
        self
    }

    /// A finished app, before its first update.
    pub(super) fn app(&self, data: Data, edit: impl Fn(&mut App)) -> Result<App, Mistake> {
        let scale = self.actions.scale();
        let scale = scale.map_err(|error| Mistake::Startup(error.to_string()))?;
        let mut app = App::new();
        app.add_plugins((SchedulePlugin, FacilitatorPlugin, Reports::default()))
            .insert_resource(Seed(1))
            .insert_resource(ComputeDevice::cpu())
            .insert_resource(Preprocessing::new(Normalizer::identity(2), scale))
            .insert_resource(self.actions)
            .insert_resource(data);
        // The rows themselves do not say that they are discrete: then algorithms would refuse them that learn from discrete actions as well.
        if let Actions::Discrete(_) = self.actions {
            app.insert_resource(Spaces {
                environment: "the toy task".to_owned(),
                observation: Space::from_bounds(&[(-1.0, 1.0); 2]),
                action: self.actions.space(),
            });
        }
        for build in &self.build {
            build(&mut app);
        }
        edit(&mut app);
        app.finish();
        app.cleanup();
        let errors = &app.world().resource::<ScheduleErrors>().0;
        if !errors.is_empty() {
            let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
            return Err(Mistake::Schedule(lines.join("\n")));
        }
        Ok(app)
    }

    /// A started app: its networks are built, and no step is taken.
    pub(super) fn start(&self, edit: impl Fn(&mut App)) -> Result<App, Mistake> {
        self.start_on(toy::imitation(self.actions), edit)
    }

    /// The same on other data.
    pub(super) fn start_on(&self, data: Data, edit: impl Fn(&mut App)) -> Result<App, Mistake> {
        // Whatever this thread has failed at before is another trial's.
        let _ = take_failure();
        let looked_at = self.app(data.clone(), |_| ())?;
        let outside = learn_steps(looked_at.world())
            .into_iter()
            .find(|step| step.slot.is_none());
        if let Some(step) = outside {
            return Err(Mistake::InNoSlot(step.system));
        }
        let mut app = self.app(data, edit)?;
        // No steps are due, so the facilitator ends the run at once, unless `Startup` failed.
        app.update();
        match app.world().resource::<Training>().outcome.clone() {
            Some(Outcome::Failed(failure)) => Err(Mistake::Startup(failure.message)),
            _ => Ok(app),
        }
    }
}

/// Takes one gradient step, as the facilitator does: a round begins with `Prepare`.
pub(super) fn step(app: &mut App) -> Result<(), Mistake> {
    let of_a_round = app.world().resource::<Cadence>().learn.max(1);
    let taken = app.world().resource::<Clock>().gradient_steps;
    if taken.is_multiple_of(of_a_round) {
        app.world_mut().run_schedule(Prepare);
    }
    let mut clock = app.world_mut().resource_mut::<Clock>();
    clock.gradient_steps += 1;
    clock.step += 1;
    let step = clock.step;
    app.world_mut().run_schedule(Learn);
    match take_failure() {
        Some(failure) => Err(Mistake::Step {
            step,
            message: failure.message,
        }),
        None => Ok(()),
    }
}

/// Takes `n` gradient steps.
pub(super) fn steps(app: &mut App, n: u64) -> Result<(), Mistake> {
    (0..n).try_for_each(|_| step(app))
}

/// The metrics since the last report.
pub(super) fn report(app: &mut App) -> Vec<(String, f64)> {
    app.world_mut().run_schedule(Report);
    // A loss that is no number fails the report, which is made all the same.
    let _ = take_failure();
    app.world().resource::<Reported>().values.clone()
}

/// Everything that a checkpoint would hold, but for the metrics.
pub(super) fn state(world: &World) -> Result<Snapshot, Mistake> {
    let mut snapshot = gather(world, 0).map_err(|error| Mistake::NotSaved(error.to_string()))?;
    snapshot.state.remove("metrics");
    Ok(snapshot)
}

/// What two states differ in, such as `actor` or `random/noise`; `None` where nothing does.
pub(super) fn difference(a: &Snapshot, b: &Snapshot) -> Option<String> {
    let files: BTreeSet<&String> = a.files.keys().chain(b.files.keys()).collect();
    let keys: BTreeSet<&String> = a.state.keys().chain(b.state.keys()).collect();
    let files = files
        .into_iter()
        .filter(|file| a.files.get(*file) != b.files.get(*file));
    let keys = keys
        .into_iter()
        .filter(|key| a.state.get(*key) != b.state.get(*key));
    let named: Vec<String> = files.chain(keys).map(|name| format!("`{name}`")).collect();
    (!named.is_empty()).then(|| named.join(", "))
}

/// All values of a saved file, tensor after tensor, with the tensors' names.
pub(super) fn values<'a>(
    snapshot: &'a Snapshot,
    file: &str,
) -> impl Iterator<Item = (&'a String, &'a HostTensor)> + use<'a> {
    snapshot.files.get(file).into_iter().flatten()
}

/// What one step learns from, in place of minibatches.
#[derive(Resource)]
struct Feed(Batch);

/// Makes every step learn from the given rows.
pub(super) fn feed(app: &mut App, batch: Batch) {
    fn put(feed: Res<Feed>, mut batch: ResMut<Batch>) {
        *batch = feed.0.clone();
    }
    app.insert_resource(Feed(batch))
        .replace(Learn, LearnSystems::Sample, put);
}
