//! An app with a plugin on trial.

use std::collections::BTreeSet;

use bevy_app::{App, Plugin};
use bevy_ecs::prelude::*;

use super::toy::{self, Actions};
use super::{Mistake, acting};
use crate::checkpoint::{HostTensor, RestorePlugin, Snapshot, gather};
use crate::data::{Batch, Data, Normalizer, Preprocessing, Replay, Spaces};
use crate::env::Space;
use crate::learner::{ComputeDevice, Seed};
use crate::report::{Reported, Reports};
use crate::schedule::{
    AppScheduleExt, Cadence, Clock, Collect, EndNow, FacilitatorPlugin, Learn, LearnSystems,
    LearningStarts, Outcome, Prepare, Report, ScheduleErrors, SchedulePlugin, StepsPerCollect,
    Training, learn_steps, take_failure,
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
    in_environments: bool,
    frames: usize,
    pub(super) device: ComputeDevice,
}

/// What a trial's app learns from.
pub(super) enum Source {
    /// Rows that are made up.
    Data(Data),
    /// Environments whose episodes are so many actions long.
    Environments {
        /// Actions in an episode.
        length: u64,
    },
}

/// Steps that are kept of the toy's environments.
const CAPACITY: usize = 4_096;

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
            in_environments: false,
            frames: 1,
            device: ComputeDevice::cpu(),
        }
    }

    /// Computes on this device instead of the processor.
    ///
    /// ```
    /// use yarak::prelude::*;
    /// use yarak::testing::{Mistake, Trial};
    ///
    /// // A card where there is one.
    /// let device: ComputeDevice = "auto".parse()?;
    /// let bc = Bc { minibatch: MinibatchSettings::of(16), ..default() };
    /// Trial::of(bc).on(device).losses_are_finite()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn on(mut self, device: ComputeDevice) -> Self {
        self.device = device;
        self
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

    /// Puts a world in the place of the data, for a plugin that needs one: 32 environments with episodes of eight actions, which earn the
    /// more the nearer they are to the right one, and a replay buffer. A check's steps then are those of a run: the environments take
    /// theirs, first up to `learning_starts`, and the policy is evaluated in the same world.
    ///
    /// ```
    /// use yarak::prelude::*;
    /// use yarak::testing::{Mistake, Trial};
    ///
    /// /// Learns from the newest rows of the replay buffer.
    /// fn draw_the_newest(mut replayed: data::Replayed) -> Result {
    ///     let mut rows: Vec<usize> = replayed.buffer.rows().collect();
    ///     let rows = rows.split_off(rows.len().saturating_sub(replayed.batch_size()));
    ///     let gathered = replayed.gather(&rows);
    ///     Ok(replayed.learn_from(gathered)?)
    /// }
    ///
    /// let mut sac = Sac { minibatch: MinibatchSettings::of(16), ..default() };
    /// sac.off_policy.learning_starts = 64;
    /// # sac.actor.encoder.set_hidden_sizes(&[8]);
    /// # sac.critic.encoder.set_hidden_sizes(&[8]);
    /// let trial = Trial::of(sac).in_environments().with(|app| {
    ///     app.replace(Learn, LearnSystems::Sample, draw_the_newest);
    /// });
    /// trial.losses_are_finite()?;
    /// trial.looking_changes_nothing()?;
    /// trial.resumes_exactly()?;
    /// # Ok::<(), Mistake>(())
    /// ```
    #[must_use]
    pub fn in_environments(mut self) -> Self {
        self.in_environments = true;
        self
    }

    /// Shows networks the last `frames` observations of the episode side by side, at least 1, as `frame_stack` does: what an encoder with
    /// memory reads. The tasks stay what they are: the right action is known by the last of them.
    ///
    /// ```
    /// use yarak::nn::Gru;
    /// use yarak::prelude::*;
    /// use yarak::testing::{Mistake, Trial};
    ///
    /// let mut bc = Bc { minibatch: MinibatchSettings::of(16), supervise_all_steps: true, ..default() };
    /// bc.actor.encoder = Gru { hidden_size: 8, layers: 1, ..default() }.into();
    /// let trial = Trial::of(bc).with_frame_stack(4);
    /// trial.losses_are_finite()?;
    /// trial.resumes_exactly()?;
    /// # Ok::<(), Mistake>(())
    /// ```
    #[must_use]
    pub fn with_frame_stack(mut self, frames: usize) -> Self {
        self.frames = frames.max(1);
        self
    }

    /// Adds to every app of the trial: other plugins, steps that are replaced.
    #[must_use]
    pub fn with(mut self, edit: impl Fn(&mut App) + 'static) -> Self {
        self.build.push(Box::new(edit));
        self
    }

    /// A finished app, before its first update.
    pub(super) fn app(&self, source: Source, edit: impl Fn(&mut App)) -> Result<App, Mistake> {
        let scale = self.actions.scale();
        let scale = scale.map_err(|error| Mistake::Startup(error.to_string()))?;
        let mut app = App::new();
        app.add_plugins((SchedulePlugin, FacilitatorPlugin, RestorePlugin))
            .add_plugins(Reports::default())
            .insert_resource(Seed(1))
            .insert_resource(self.device.clone())
            .insert_resource(Preprocessing {
                observation: Normalizer::identity(2 * self.frames),
                frames: self.frames,
                ..Preprocessing::new(Normalizer::identity(2), scale)
            })
            .insert_resource(self.actions);
        // The rows themselves do not say that they are discrete: then algorithms would refuse them that learn from discrete actions as well.
        if let Actions::Discrete(_) = self.actions {
            app.insert_resource(Spaces {
                environment: "the toy task".to_owned(),
                observation: Space::from_bounds(&[(-1.0, 1.0); 2]),
                action: self.actions.space(),
            });
        }
        let is_a_world = matches!(source, Source::Environments { .. });
        match source {
            Source::Data(data) => {
                app.insert_resource(data);
            }
            Source::Environments { length } => {
                acting::add_world(&mut app, self.actions, length);
                app.insert_resource(Replay { capacity: CAPACITY });
            }
        }
        for build in &self.build {
            build(&mut app);
        }
        if is_a_world {
            acting::evaluate(&mut app);
        }
        edit(&mut app);
        app.finish();
        app.cleanup();
        let errors = &app.world().resource::<ScheduleErrors>().0;
        match errors.is_empty() {
            true => Ok(app),
            false => Err(Mistake::of_schedules(errors)),
        }
    }

    /// A started app: its networks are built, and no step is taken.
    pub(super) fn start(&self, edit: impl Fn(&mut App)) -> Result<App, Mistake> {
        let source = || match self.in_environments {
            true => Source::Environments { length: 8 },
            false => Source::Data(toy::imitation(self.actions)),
        };
        self.start_in(source, edit)
    }

    /// The same with something else to learn from.
    pub(super) fn start_in(
        &self,
        source: impl Fn() -> Source,
        edit: impl Fn(&mut App),
    ) -> Result<App, Mistake> {
        // Whatever this thread has failed at before is another trial's.
        let _ = take_failure();
        let looked_at = self.app(source(), |_| ())?;
        let outside = learn_steps(looked_at.world())
            .into_iter()
            .find(|step| step.slot.is_none());
        if let Some(step) = outside {
            return Err(Mistake::InNoSlot(step.system));
        }
        let mut app = self.app(source(), edit)?;
        // The facilitator ends the run at once, unless `Startup` failed: the trial takes the steps itself.
        app.world_mut().resource_mut::<Clock>().steps = STEPS;
        app.world_mut().resource_mut::<EndNow>().0 = Some("the trial says so".to_owned());
        app.update();
        match app.world().resource::<Training>().outcome.clone() {
            Some(Outcome::Failed(failure)) => Err(Mistake::Startup(failure.message)),
            _ => Ok(app),
        }
    }
}

/// How long a trial's run would be: longer than any check's.
const STEPS: u64 = 1_000_000_000;

/// Takes one gradient step, as the facilitator does: a round begins with `Collect`, where there are environments, and `Prepare`.
pub(super) fn step(app: &mut App) -> Result<(), Mistake> {
    let cadence = *app.world().resource::<Cadence>();
    let taken = app.world().resource::<Clock>().gradient_steps;
    if taken.is_multiple_of(cadence.learn.max(1)) {
        begin_round(app, cadence.collect)?;
    }
    let mut clock = app.world_mut().resource_mut::<Clock>();
    clock.gradient_steps += 1;
    if cadence.collect == 0 {
        clock.step += 1;
    }
    app.world_mut().run_schedule(Learn);
    check_step(app)
}

/// What comes before a round's gradient steps; the rounds before anything is learned as well.
fn begin_round(app: &mut App, collect: u64) -> Result<(), Mistake> {
    loop {
        for _ in 0..collect {
            let steps = app.world().resource::<StepsPerCollect>().0;
            app.world_mut().resource_mut::<Clock>().step += steps;
            app.world_mut().run_schedule(Collect);
            check_step(app)?;
        }
        app.world_mut().run_schedule(Prepare);
        check_step(app)?;
        let world = app.world();
        if collect == 0 || world.resource::<Clock>().step > world.resource::<LearningStarts>().0 {
            return Ok(());
        }
    }
}

fn check_step(app: &App) -> Result<(), Mistake> {
    let step = app.world().resource::<Clock>().step;
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
    Ok(without_metrics(saved(world)?))
}

/// Everything that a checkpoint would hold.
pub(super) fn saved(world: &World) -> Result<Snapshot, Mistake> {
    gather(world, 0).map_err(|error| Mistake::NotSaved(error.to_string()))
}

/// The same without the metrics, which differ where a report was made.
pub(super) fn without_metrics(mut snapshot: Snapshot) -> Snapshot {
    snapshot.state.remove("metrics");
    snapshot
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

/// Makes every step learn from the given rows, in which every frame shows the same.
pub(super) fn feed(app: &mut App, mut batch: Batch) {
    let frames = app.world().resource::<Preprocessing>().frames;
    for seen in [&mut batch.observation, &mut batch.next_observation] {
        *seen = seen.clone().repeat_dim(1, frames);
    }
    fn put(feed: Res<Feed>, mut batch: ResMut<Batch>) {
        *batch = feed.0.clone();
    }
    app.insert_resource(Feed(batch))
        .replace(Learn, LearnSystems::Sample, put);
}
