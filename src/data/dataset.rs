//! The dataset of a run: what a scene says of it, loading, and what is done to it before anybody learns from it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};

use bevy_app::{App, Plugin, PreStartup};
use bevy_ecs::prelude::*;
use bevy_reflect::Reflect;
use serde::{Deserialize, Serialize};

use super::beyond_bounds::{Beyond, Bounds as Limits};
use super::check::numbers::{Large, large_observation};
use super::hdf5::{FILTER_KEY, FileError, VALIDATION_FILTER_KEY};
use super::learns_from::{Lacking, Needs};
use super::split::{held_out_by, split};
use super::streaming::{Stored, Swept};
use super::{
    ActionScale, AlgorithmName, Bytes, Column, Data, DataRows, DatasetFile, Dones, Goals, Layout,
    LearnsFrom, LoadError, Normalizer, Reading, Recorded, Rule, ScaleError, SplitError, StoredRows,
};
use crate::checkpoint::{AppPersistExt, CheckpointError, Persist, Snapshot};
use crate::data::StepResults;
use crate::env::Space;
use crate::observation::{EncoderInput, ObservationParts};
use crate::random::Seed;
use crate::report::console::Console;
use crate::scene::{Bounds, FieldProblems, Settings};
use crate::schedule::InputError;
use crate::terminal::message;

/// Loads a dataset of demonstrations into memory: HDF5 in the layout of D4RL, Minari, robomimic, d3rlpy or ManiSkill, an `.npz` of
/// OGBench's, or, with the feature `parquet`, a folder of Minari's in Arrow or Parquet or of LeRobot's.
#[derive(Clone, Debug, Resource, Reflect)]
pub struct Dataset {
    /// The file, or Minari's or LeRobot's folder, relative to the working directory or to the scene's folder.
    pub path: PathBuf,
    /// Minari, robomimic, LeRobot: the named parts of an observation, in the order in which they are joined. Empty: all of them, and of
    /// LeRobot's those that are numbers.
    pub observations: Vec<String>,
    /// D4RL: which rows are transitions, all whose next observation was recorded or those of D4RL's `qlearning_dataset`.
    pub rule: Rule,
    /// D4RL's own rule on a file without `timeouts`: the environment's step limit.
    #[reflect(@Bounds::at_least(1.0))]
    pub max_episode_steps: Option<usize>,
    /// robomimic, LeRobot: whether `dones`, or `next.done`, mark terminals, the ends of demonstrations, or both.
    pub dones: Dones,
    /// robomimic: the filter key whose demonstrations are trained on. None: all that are not held out.
    pub filter: Option<String>,
    /// robomimic: the filter key whose demonstrations are held out for validation.
    pub validation_filter: Option<String>,
    /// The observations that a network sees side by side: those of the last so many steps of the episode, oldest first. Its first
    /// one stands for those before it.
    #[reflect(@Bounds::within(1.0, 1_000.0))]
    pub frame_stack: usize,
    /// Whether observations are normalized: (s − μ) / (σ + 1e-3), with the mean and deviation of the training data.
    pub normalize: bool,
    /// The smallest and largest action, mapped to −1 and 1. None: those of the environment, or else of the data.
    pub action_bounds: Option<(f32, f32)>,
    /// The share of the episodes that is held out for validation.
    #[reflect(@Bounds::within(0.0, 1.0))]
    pub validation: f32,
    /// The most memory that the data may take, in GB (10⁹ bytes). Data that need more stay in their file, and the batches to
    /// come are read from it ahead of the learner: the same batches, to the last bit. None: as much as they need.
    #[reflect(@Bounds::above(0.0))]
    pub memory: Option<f32>,
}

impl Default for Dataset {
    fn default() -> Self {
        Dataset {
            path: PathBuf::from("assets/pendulum-medium-expert.hdf5"),
            observations: Vec::new(),
            rule: Rule::Exact,
            max_episode_steps: None,
            dones: Dones::Terminated,
            filter: None,
            validation_filter: None,
            frame_stack: 1,
            normalize: true,
            action_bounds: None,
            validation: 0.0,
            memory: None,
        }
    }
}

impl Settings for Dataset {
    fn check(&self, problems: &mut FieldProblems) {
        if let Some((low, high)) = self.action_bounds
            && low >= high
        {
            problems.refuse(
                "action_bounds",
                "the first number must be below the second, as in (-1.0, 1.0)",
            );
        }
        if let Some(character) = self
            .path
            .to_string_lossy()
            .chars()
            .find(|it| it.is_control())
        {
            problems.refuse(
                "path",
                format!(
                    "holds {character:?}, which no name has: in a scene a backslash begins an escape; write / for \\, or put r before the \
                     quote that opens the path"
                ),
            );
        }
        if self.path.as_os_str().is_empty() {
            problems.refuse(
                "path",
                "names no file: give the path of the HDF5 file, or of the `.npz`",
            );
        }
        if self.validation > 0.0 && self.validation_filter.is_some() {
            problems.refuse(
                "validation",
                "episodes are held out by a share or by `validation_filter`: give one of them",
            );
        }
        if self.validation >= 1.0 {
            problems.refuse(
                "validation",
                "nothing would be left to train on: give less than 1",
            );
        }
    }
}

impl Dataset {
    /// What of the file is read, and as what.
    pub fn reading(&self) -> Reading {
        Reading {
            observations: self.observations.clone(),
            rule: self.rule,
            max_episode_steps: self.max_episode_steps,
            dones: self.dones,
            filter: self.filter.clone(),
            validation_filter: self.validation_filter.clone(),
            unfollowed: false,
        }
    }

    /// The same for who learns from so much of it: from observations and actions alone, also where nothing follows.
    fn reading_for(&self, learns_from: LearnsFrom) -> Reading {
        Reading {
            unfollowed: learns_from == LearnsFrom::Actions,
            ..self.reading()
        }
    }

    /// Whether some episodes are held out.
    pub fn holds_out(&self) -> bool {
        self.validation > 0.0 || self.validation_filter.is_some()
    }
}

impl Plugin for Dataset {
    fn build(&self, app: &mut App) {
        app.insert_resource(self.clone())
            .add_systems(PreStartup, load_dataset)
            .persist::<Preprocessing>();
    }
}

/// The spaces of the environment that a run is about, where it names one.
#[derive(Resource, Clone, Debug)]
pub struct Spaces {
    /// The environment's name.
    pub environment: String,
    /// Its observations.
    pub observation: Space,
    /// Its actions.
    pub action: Space,
}

impl Spaces {
    /// Those of `n` discrete actions, where of observations their width alone is known: of data, or of a policy.
    pub(crate) fn of_choices(whose: impl ToString, width: usize, n: usize) -> Self {
        Spaces {
            environment: whose.to_string(),
            observation: Space::from_bounds(&vec![(f32::MIN, f32::MAX); width]),
            action: Space::Discrete { n },
        }
    }
}

/// Whether the actions of the environment that a run acts in are whole numbers.
#[derive(Resource, Clone, Copy, Debug)]
pub(crate) struct WholeActions(pub bool);

/// Whether actions are whole numbers, as far as the environment says: those that are built in take real numbers. `None` where no
/// environment is known.
fn whole_actions(whole: Option<&WholeActions>, spaces: Option<&Spaces>) -> Option<bool> {
    whole.map(|whole| whole.0).or(spaces.map(|_| false))
}

/// That the algorithm learns which of a few discrete actions to take: data whose actions are discrete are its own, and are refused by an
/// algorithm that does not say so.
#[derive(Resource, Clone, Copy, Debug, Default)]
pub struct DiscreteActionsOnly;

/// Folders in which relative paths are looked for besides the working directory: the scene's.
#[derive(Resource, Clone, Debug, Default)]
pub struct SearchFolders(pub Vec<PathBuf>);

impl SearchFolders {
    /// The first place where `path` exists; `path` itself where there is none.
    pub fn find(&self, path: &Path) -> PathBuf {
        std::iter::once(path.to_path_buf())
            .chain(self.0.iter().map(|folder| folder.join(path)))
            .find(|candidate| candidate.exists())
            .unwrap_or_else(|| path.to_path_buf())
    }
}

/// What is done to observations before a network sees them, and to actions before an environment does. It is saved with the
/// networks and used at evaluation and export.
#[derive(Resource, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Saved")]
pub struct Preprocessing {
    /// What one observation consists of.
    pub parts: ObservationParts,
    /// Raw observations to what networks see: all frames, and the goal.
    pub observation: Normalizer,
    /// Raw actions to [-1, 1] and back.
    pub action: ActionScale,
    /// How many observations a network sees side by side, at least 1; [`observation`](Self::observation) has statistics for all of
    /// them.
    pub frames: usize,
}

/// What a file says, before it was held against itself: memory is taken for so many frames.
#[derive(Deserialize)]
struct Saved {
    parts: ObservationParts,
    observation: Normalizer,
    action: ActionScale,
    frames: usize,
}

impl TryFrom<Saved> for Preprocessing {
    type Error = String;

    fn try_from(saved: Saved) -> Result<Self, String> {
        let Saved {
            parts,
            observation,
            action,
            frames,
        } = saved;
        let preprocessing = Preprocessing {
            parts,
            observation,
            action,
            frames,
        };
        match preprocessing.side_by_side() {
            Some(_) => Ok(preprocessing),
            None => Err(preprocessing.misfit()),
        }
    }
}

impl Preprocessing {
    /// Observations that are one vector without a name, seen one by one.
    pub fn new(observation: Normalizer, action: ActionScale) -> Self {
        Preprocessing {
            parts: ObservationParts::vector(observation.mean.len()),
            observation,
            action,
            frames: 1,
        }
    }

    /// Whether networks see the same as with other preprocessing: the same parts, which a vector without names leaves open, as many
    /// observations side by side, and a goal or none.
    pub(crate) fn sees_as(&self, other: &Self) -> bool {
        let named = |it: &Self| it.parts.iter().all(|part| !part.name.is_empty());
        let same_parts = match named(self) && named(other) {
            true => self.parts == other.parts,
            false => self.parts.width() == other.parts.width(),
        };
        same_parts && self.frames == other.frames && self.side_by_side() == other.side_by_side()
    }

    /// What networks see, in words.
    pub(crate) fn in_words(&self) -> String {
        let goal = match self.side_by_side() > Some(self.frames) {
            true => " and a goal",
            false => "",
        };
        format!("{} in {} frame(s){goal}", self.parts, self.frames)
    }

    /// What networks are given of an observation.
    pub fn input(&self) -> EncoderInput {
        let side_by_side = self.side_by_side().unwrap_or(1);
        EncoderInput::new(self.parts.clone(), side_by_side).with_goal(side_by_side > self.frames)
    }

    /// How many observations lie side by side in what networks are given: the frames, and one more where there is a goal, which is as
    /// wide as one of them. `None` where the parts do not make up what networks are given.
    pub(crate) fn side_by_side(&self) -> Option<usize> {
        let [width, _] = self.widths();
        let fits = |count: &usize| count.checked_mul(self.parts.width()) == Some(width);
        let counts = [self.frames, self.frames.saturating_add(1)];
        counts.into_iter().find(fits).filter(|_| self.frames > 0)
    }

    /// What there is to say where they do not.
    pub(crate) fn misfit(&self) -> String {
        let [width, _] = self.widths();
        let Preprocessing { parts, frames, .. } = self;
        format!("{width} elements cannot be {frames} observations of {parts} side by side")
    }

    /// The widths of what networks see, all frames of it, and of actions.
    pub fn widths(&self) -> [usize; 2] {
        [self.observation.mean.len(), self.action.low().len()]
    }
}

impl Persist for Preprocessing {
    fn save(&self, snapshot: &mut Snapshot) -> Result<(), CheckpointError> {
        let Normalizer { mean, std } = &self.observation;
        for (tensor, values) in [("mean", mean), ("std", std)] {
            if let Some(index) = values.iter().position(|value| !value.is_finite()) {
                return Err(CheckpointError::NotFinite {
                    checkpoint: format!("snapshot of step {}", snapshot.step),
                    file: "preprocessing of observations".to_owned(),
                    tensor: tensor.to_owned(),
                    index,
                    value: values[index],
                    suspects: None,
                });
            }
        }
        snapshot.put_state("preprocessing", self)
    }

    fn load(&mut self, snapshot: &Snapshot, _: &World) -> Result<(), CheckpointError> {
        *self = snapshot.state("preprocessing")?;
        Ok(())
    }
}

/// How observations and actions are scaled, where that is decided before the data are looked at: by networks that learned before.
/// `None` until it is known.
#[derive(Resource, Clone, Debug, Default)]
pub(crate) struct GivenPreprocessing(pub Option<Preprocessing>);

impl Preprocessing {
    /// The scaling of one observation, without the frames and the goal beside it.
    fn of_one_observation(&self) -> Normalizer {
        let width = self.parts.width();
        Normalizer {
            mean: self.observation.mean[..width].to_vec(),
            std: self.observation.std[..width].to_vec(),
        }
    }
}

/// Why a dataset cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    /// The file.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The validation share.
    #[error(transparent)]
    Split(#[from] SplitError),
    /// Normalizing or scaling.
    #[error("{file}: {error}")]
    Scale {
        /// The file.
        file: String,
        /// What is wrong.
        error: ScaleError,
    },
    /// Actions of another kind than the environment's.
    #[error(
        "{file}: {found}, and an action of {environment} is {expected}; train on data of that environment, or name the data's own in `Evaluation(env: ..)`"
    )]
    OtherActions {
        /// The file.
        file: String,
        /// What its actions are.
        found: String,
        /// The environment.
        environment: String,
        /// What the environment's are.
        expected: String,
    },
    /// Data that the networks of another run cannot see.
    #[error(
        "{file}: {what} have {found} elements, and those that the networks of `Pretrained` learned from have {expected}; train on data of their task"
    )]
    OtherNetworks {
        /// The file.
        file: String,
        /// Observations or actions.
        what: &'static str,
        /// The width in the file.
        found: usize,
        /// The width that the networks know.
        expected: usize,
    },
    /// Columns that the algorithm learns from and the file does not have.
    #[error("{file}: {lacking}")]
    Lacking {
        /// The file.
        file: String,
        /// What lacks, for whom, and the ways out.
        lacking: Lacking,
    },
    /// Data of other parts than the environment shows.
    #[error(
        "{file}: {environment} is another task: {what}; choose parts that are there with `observations: [..]`, or train on data of that environment"
    )]
    OtherParts {
        /// The file.
        file: String,
        /// The environment.
        environment: String,
        /// What differs.
        what: String,
    },
    /// Data of another task than the environment.
    #[error(
        "{file}: its {what} have {found} elements, and those of {environment} have {expected}; train on data of that environment, or name the data's own in `Evaluation(env: ..)`"
    )]
    OtherTask {
        /// The file.
        file: String,
        /// Observations or actions.
        what: &'static str,
        /// The width in the file.
        found: usize,
        /// The environment.
        environment: String,
        /// The width in the environment.
        expected: usize,
    },
}

impl DatasetError {
    /// The setting that has to change, as a scene names it.
    pub fn setting(&self) -> &'static str {
        match self {
            DatasetError::Split(SplitError::Nothing { .. }) => "Dataset.validation_filter",
            DatasetError::Split(_) => "Dataset.validation",
            DatasetError::Load(LoadError::Setting { setting, .. }) => match *setting {
                "observations" => "Dataset.observations",
                "rule" => "Dataset.rule",
                "max_episode_steps" => "Dataset.max_episode_steps",
                "dones" => "Dataset.dones",
                "filter" => "Dataset.filter",
                _ => "Dataset.validation_filter",
            },
            DatasetError::Load(LoadError::EmptyFilter { is_validation, .. }) => match is_validation
            {
                true => "Dataset.validation_filter",
                false => "Dataset.filter",
            },
            DatasetError::Load(LoadError::Unknown { what, .. }) => match *what {
                FILTER_KEY => "Dataset.filter",
                VALIDATION_FILTER_KEY => "Dataset.validation_filter",
                "observation" => "Dataset.observations",
                _ => "Dataset.path",
            },
            DatasetError::Load(LoadError::NoStepLimit { .. }) => "Dataset.max_episode_steps",
            DatasetError::Load(_)
            | DatasetError::Lacking { .. }
            | DatasetError::OtherNetworks { .. }
            | DatasetError::Scale { .. }
            | DatasetError::OtherActions { .. }
            | DatasetError::OtherParts { .. }
            | DatasetError::OtherTask { .. } => "Dataset.path",
        }
    }

    /// Whether there is no such file.
    pub fn is_missing_file(&self) -> bool {
        matches!(
            self,
            DatasetError::Load(LoadError::File(FileError::Missing { .. }))
        )
    }
}

/// A network would be shown other frames of the data than of the environments.
#[derive(Debug, thiserror::Error)]
#[error(
    "`Dataset.frame_stack` is {data} and `Environments.frame_stack` is {environments}: a network sees the same wherever it learns and \
     acts, so give both the same number"
)]
pub(crate) struct DifferentFrames {
    data: usize,
    environments: usize,
}

impl DifferentFrames {
    /// `None` where they are the same.
    pub fn of(dataset: &Dataset, environments: usize) -> Option<Self> {
        let data = dataset.frame_stack;
        (data != environments).then_some(DifferentFrames { data, environments })
    }
}

pub(crate) fn load_dataset(
    dataset: Res<Dataset>,
    folders: Option<Res<SearchFolders>>,
    (spaces, whole): (Option<Res<Spaces>>, Option<Res<WholeActions>>),
    (learns_from, algorithm): (Option<Res<LearnsFrom>>, Option<Res<AlgorithmName>>),
    goals: Option<Res<Goals>>,
    (online, console): (Option<Res<StepResults>>, Option<Res<Console>>),
    (acting, given): (Option<Res<Preprocessing>>, Option<Res<GivenPreprocessing>>),
    mut commands: Commands,
) -> Result<(), BevyError> {
    let given = given.and_then(|given| given.0.clone());
    if let (Some(_), Some(acting)) = (online, acting)
        && let Some(error) = DifferentFrames::of(&dataset, acting.frames)
    {
        return Err(InputError::new(error).into());
    }
    let file = folders.map_or_else(
        || dataset.path.clone(),
        |folders| folders.find(&dataset.path),
    );
    let needs = Needs::of(learns_from.as_deref(), algorithm.as_deref());
    let spaces = spaces.as_deref();
    let world = (spaces, whole_actions(whole.as_deref(), spaces));
    let loaded = shared(&dataset, &file, world, &needs, given.as_ref());
    let loaded = loaded.map_err(InputError::new)?;
    for warning in &loaded.warnings {
        if let Some(console) = &console {
            console.message(warning);
        }
    }
    let mut preprocessing = loaded.preprocessing.clone();
    // What networks see is the frames and the goal, one after the other.
    let frames = dataset.frame_stack.max(1);
    preprocessing.frames = frames;
    preprocessing.observation = preprocessing
        .observation
        .repeated(frames + usize::from(goals.is_some()));
    if let (Some(n), None) = (loaded.data.discrete_actions(), spaces) {
        let width = loaded.preprocessing.observation.mean.len();
        commands.insert_resource(Spaces::of_choices(loaded.data.file.display(), width, n));
    }
    commands.insert_resource(preprocessing);
    commands.insert_resource(loaded.data.clone());
    Ok(())
}

/// A dataset that was loaded ahead. While it is held, the run that asks for the same takes it instead of loading again.
pub struct SharedDataset {
    file: PathBuf,
    /// `None` where how it is scaled is known only when the run starts.
    _loaded: Option<Arc<Loaded>>,
}

impl SharedDataset {
    /// The file that was read.
    pub fn file(&self) -> &Path {
        &self.file
    }
}

/// Loads the dataset that an app's [`Dataset`] names, before the app starts; `None` for an app without one.
///
/// # Errors
/// Whatever is wrong with the file.
pub fn preload(world: &World) -> Result<Option<SharedDataset>, DatasetError> {
    let Some(dataset) = world.get_resource::<Dataset>() else {
        return Ok(None);
    };
    let file = file_of(dataset, world);
    if world.contains_resource::<GivenPreprocessing>() {
        if let Some(missing) = missing_file(world) {
            return Err(missing);
        }
        return Ok(Some(SharedDataset {
            file,
            _loaded: None,
        }));
    }
    let needs = Needs::of(world.get_resource(), world.get_resource());
    let spaces = world.get_resource();
    let spaces = (spaces, whole_actions(world.get_resource(), spaces));
    let loaded = shared(dataset, &file, spaces, &needs, None)?;
    Ok(Some(SharedDataset {
        file: loaded.data.file.clone(),
        _loaded: Some(loaded),
    }))
}

/// That the file of an app's [`Dataset`] is not there, if it names one that is not.
pub fn missing_file(world: &World) -> Option<DatasetError> {
    let file = file_of(world.get_resource::<Dataset>()?, world);
    (!file.exists()).then_some(DatasetError::Load(LoadError::File(FileError::Missing {
        file,
    })))
}

/// What is to be said of recorded actions beyond the bounds that an app scales them by, before it starts. Nothing is read but the
/// actions, and nothing at all where the bounds are the data's own, or are known only when the run starts. What is wrong with the file
/// itself is said where it is loaded.
pub(crate) fn warning_of_actions(world: &World) -> Option<String> {
    let dataset = world.get_resource::<Dataset>()?;
    if world.contains_resource::<GivenPreprocessing>() {
        return None;
    }
    let spaces = world.get_resource::<Spaces>();
    // Without bounds the file is not even opened.
    Limits::of_run(dataset, spaces, None, 0)?;
    let learns_from = world.get_resource().copied().unwrap_or_default();
    let reading = dataset.reading_for(learns_from);
    let dataset_file = DatasetFile::open(file_of(dataset, world), &reading).ok()?;
    if dataset_file.discrete_actions().is_some() {
        return None;
    }
    let limits = Limits::of_run(dataset, spaces, None, dataset_file.widths()[1])?;
    let mut beyond = Beyond::new(limits);
    beyond.look(&dataset_file.read_actions().ok()?);
    beyond.warning(&dataset.path.display().to_string())
}

fn file_of(dataset: &Dataset, world: &World) -> PathBuf {
    match world.get_resource::<SearchFolders>() {
        Some(folders) => folders.find(&dataset.path),
        None => dataset.path.clone(),
    }
}

/// A dataset as several learners share it.
struct Loaded {
    layout: Layout,
    data: Data,
    preprocessing: Preprocessing,
    /// What a run is to be warned of.
    warnings: Vec<String>,
}

/// What makes two datasets the same: file and everything that is done to it.
type Key = String;

/// Loads a dataset, or takes the copy of a learner that has it already. Of the environment its spaces are given, and whether its actions
/// are whole numbers.
fn shared(
    dataset: &Dataset,
    file: &Path,
    (spaces, whole): (Option<&Spaces>, Option<bool>),
    needs: &Needs,
    given: Option<&Preprocessing>,
) -> Result<Arc<Loaded>, DatasetError> {
    static LOADED: LazyLock<Mutex<HashMap<Key, Weak<Loaded>>>> = LazyLock::new(Mutex::default);
    // The lock is held while loading, so that learners that start together load once.
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    let key = format!(
        "{file:?} {dataset:?} {spaces:?} {whole:?} {given:?} {:?} {:?}",
        needs.learns_from,
        modified(file)
    );
    if let Some(there) = loaded.get(&key).and_then(Weak::upgrade) {
        let recorded = there.data.recorded();
        has_what_is_needed(needs, file, there.layout, recorded, dataset.dones)?;
        return Ok(there);
    }
    let fresh = Arc::new(prepare(dataset, file, (spaces, whole), needs, given)?);
    loaded.retain(|_, weak| weak.strong_count() > 0);
    loaded.insert(key, Arc::downgrade(&fresh));
    Ok(fresh)
}

/// Refuses data that lack what the algorithm learns from.
fn has_what_is_needed(
    needs: &Needs,
    file: &Path,
    layout: Layout,
    recorded: Recorded,
    dones: Dones,
) -> Result<(), DatasetError> {
    match needs.lacking(layout, recorded, dones) {
        None => Ok(()),
        Some(lacking) => Err(DatasetError::Lacking {
            file: file.display().to_string(),
            lacking,
        }),
    }
}

fn modified(file: &Path) -> Option<std::time::SystemTime> {
    std::fs::metadata(file)
        .and_then(|data| data.modified())
        .ok()
}

fn prepare(
    dataset: &Dataset,
    file: &Path,
    (spaces, whole): (Option<&Spaces>, Option<bool>),
    needs: &Needs,
    given: Option<&Preprocessing>,
) -> Result<Loaded, DatasetError> {
    let name = file.display().to_string();
    let scale_error = |error| DatasetError::Scale {
        file: name.clone(),
        error,
    };
    let dataset_file = DatasetFile::open(file, &dataset.reading_for(needs.learns_from))?;
    let whole = whole.unwrap_or_else(|| dataset_file.has_whole_actions());
    let scale_of = |actions: &Column, discrete_actions: Option<usize>| {
        of_the_same_kind(&name, discrete_actions, spaces)?;
        if let Some(given) = given {
            return Ok::<_, DatasetError>(given.action.clone());
        }
        let scale = action_scale(dataset, spaces, actions, discrete_actions);
        let scale = scale.map_err(scale_error)?;
        Ok(match whole && discrete_actions.is_none() {
            true => scale.rounded(),
            false => scale,
        })
    };
    let (layout, recorded) = (dataset_file.layout(), dataset_file.recorded());
    has_what_is_needed(needs, file, layout, recorded, dataset.dones)?;
    let parts = dataset_file.parts();
    of_the_same_task(&name, &parts, dataset_file.widths()[1], spaces)?;
    if let Some(given) = given {
        of_the_same_networks(&name, dataset_file.widths(), given)?;
    }
    // The same split whatever the run's seed: seeds of one scene are compared on the same held-out episodes.
    let split = match dataset_file.held_out() {
        Some(held_out) => held_out_by(dataset_file.episodes(), held_out)?,
        None => split(
            dataset_file.episodes(),
            f64::from(dataset.validation),
            Seed(0).0,
        )?,
    };
    if dataset.holds_out() && split.held_out.is_empty() {
        return Err(SplitError::Nothing { what: "held out" }.into());
    }
    let place = dataset_file.file().path().to_path_buf();
    let too_large = |Large {
                         row,
                         element,
                         value,
                     }| {
        format!(
            "warning: {name}: the observation of row {row} has {value:e} in element {element}, which is more than learning in float32 can compute with; `yarak data check` lists all such places"
        )
    };
    let mut beyond = Limits::of_run(dataset, spaces, given, dataset_file.widths()[1])
        .filter(|_| dataset_file.discrete_actions().is_none())
        .map(Beyond::new);
    let warnings = |large: Option<String>, beyond: Option<Beyond>| -> Vec<String> {
        let beyond = beyond.and_then(|beyond| beyond.warning(&name));
        large.into_iter().chain(beyond).collect()
    };
    let needed = dataset_file.memory_needed();
    let budget = dataset
        .memory
        .map(|gigabytes| Bytes((f64::from(gigabytes) * 1e9) as u64));
    if let Some(budget) = budget.filter(|budget| needed > *budget) {
        message(&format!(
            "{name}: {needed} of transitions are more than the {budget} that they may take: batches are read from the file, \
             ahead of the learner"
        ));
        let Swept {
            mut stored,
            observation,
            extremes,
            large,
        } = Stored::sweep(
            dataset_file,
            budget,
            &split,
            dataset.normalize,
            beyond.as_mut(),
        )?;
        let observation = match given {
            Some(given) => given.of_one_observation(),
            None => observation.leaving_bytes(&parts),
        };
        let discrete_actions = stored.dataset_file().discrete_actions();
        let greatest = extremes.values.iter().copied().fold(0.0, f32::max) as usize;
        let discrete_actions =
            discrete_actions.map(|discrete_actions| discrete_actions.count.unwrap_or(greatest + 1));
        let action = scale_of(&extremes, discrete_actions)?;
        stored.rescale(observation.clone(), action.clone());
        return Ok(Loaded {
            layout,
            data: Data {
                rows: DataRows::InFile(StoredRows {
                    stored: Arc::new(stored),
                    discrete_actions,
                    memory: budget,
                }),
                split: Arc::new(split),
                file: place,
            },
            preprocessing: Preprocessing {
                parts,
                ..Preprocessing::new(observation, action)
            },
            warnings: warnings(large.map(too_large), beyond),
        });
    }
    let mut transitions = dataset_file.read()?;
    let large = large_observation(&transitions).map(too_large);
    if let Some(beyond) = &mut beyond {
        beyond.look(transitions.action());
    }
    let observation = if let Some(given) = given {
        given.of_one_observation()
    } else if dataset.normalize {
        Normalizer::fit_rows(transitions.observation(), &split.training).leaving_bytes(&parts)
    } else {
        Normalizer::identity(transitions.observation().width())
    };
    let discrete_actions = transitions.discrete_actions();
    let action = scale_of(transitions.action(), discrete_actions)?;
    observation.apply(&mut transitions).map_err(scale_error)?;
    action.apply(&mut transitions).map_err(scale_error)?;
    Ok(Loaded {
        layout,
        data: Data::in_memory(transitions, split, place),
        preprocessing: Preprocessing {
            parts,
            ..Preprocessing::new(observation, action)
        },
        warnings: warnings(large, beyond),
    })
}

/// Refuses data of another task than the networks that are trained further.
fn of_the_same_networks(
    name: &str,
    [observation, action]: [usize; 2],
    given: &Preprocessing,
) -> Result<(), DatasetError> {
    let expected = [given.parts.width(), given.widths()[1]];
    for (what, found, expected) in [
        ("its observations", observation, expected[0]),
        ("its actions", action, expected[1]),
    ] {
        if found != expected {
            return Err(DatasetError::OtherNetworks {
                file: name.to_owned(),
                what,
                found,
                expected,
            });
        }
    }
    Ok(())
}

/// Refuses data of another task than the environment.
fn of_the_same_task(
    name: &str,
    parts: &ObservationParts,
    action: usize,
    spaces: Option<&Spaces>,
) -> Result<(), DatasetError> {
    let Some(spaces) = spaces else { return Ok(()) };
    // Of a dictionary the data may have some parts, which are found by their names.
    let observation = match &spaces.observation {
        Space::Dict { .. } => match parts.places_in(&spaces.observation) {
            Ok(_) => spaces.observation.size(),
            Err(what) => {
                return Err(DatasetError::OtherParts {
                    file: name.to_owned(),
                    environment: spaces.environment.clone(),
                    what,
                });
            }
        },
        _ => parts.width(),
    };
    for (what, found, space) in [
        ("observations", observation, &spaces.observation),
        ("actions", action, &spaces.action),
    ] {
        if found != space.size() {
            return Err(DatasetError::OtherTask {
                file: name.to_owned(),
                what,
                found,
                environment: spaces.environment.clone(),
                expected: space.size(),
            });
        }
    }
    Ok(())
}

/// Refuses discrete actions where the environment takes numbers, more discrete actions than it has, and numbers where it has discrete actions.
fn of_the_same_kind(
    name: &str,
    discrete_actions: Option<usize>,
    spaces: Option<&Spaces>,
) -> Result<(), DatasetError> {
    let Some(spaces) = spaces else { return Ok(()) };
    let fits = match (discrete_actions, &spaces.action) {
        (Some(discrete_actions), Space::Discrete { n }) => discrete_actions <= *n,
        (discrete_actions, space) => {
            discrete_actions.is_none() && !matches!(space, Space::Discrete { .. })
        }
    };
    if fits {
        return Ok(());
    }
    Err(DatasetError::OtherActions {
        file: name.to_owned(),
        found: match discrete_actions {
            Some(discrete_actions) => {
                format!("an action is one of {discrete_actions} discrete actions")
            }
            None => "its actions are real numbers and no discrete actions, which are whole numbers"
                .to_owned(),
        },
        environment: spaces.environment.clone(),
        expected: match &spaces.action {
            Space::Discrete { n } => format!("one of {n} discrete actions"),
            space => format!("{} real number(s)", space.size()),
        },
    })
}

/// How actions are scaled: by the settings, the environment, or the extremes of the data, in this order. Choices are not.
fn action_scale(
    dataset: &Dataset,
    spaces: Option<&Spaces>,
    actions: &Column,
    discrete_actions: Option<usize>,
) -> Result<ActionScale, ScaleError> {
    let width = actions.width;
    if discrete_actions.is_some() {
        return Ok(ActionScale::identity(width));
    }
    match (dataset.action_bounds, spaces.map(|spaces| &spaces.action)) {
        (Some((low, high)), _) => ActionScale::from_bounds(vec![low; width], vec![high; width]),
        (None, Some(space @ Space::Box { .. })) => ActionScale::of_space(space, &[])
            .or_else(|_| ActionScale::from_data(actions)?.where_unbounded(space)),
        _ => ActionScale::from_data(actions),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn preprocessing_whose_frames_do_not_fit_is_not_read() {
        let with = |width: usize, frames: usize| {
            let said = serde_json::to_value(Preprocessing {
                parts: ObservationParts::vector(3),
                frames,
                ..Preprocessing::new(Normalizer::identity(width), ActionScale::identity(1))
            });
            serde_json::from_value::<Preprocessing>(said.unwrap())
        };
        // Alone, three side by side, and two with a goal behind them.
        for (width, frames) in [(3, 1), (9, 3), (9, 2)] {
            assert_eq!(with(width, frames).unwrap().frames, frames);
        }
        for (width, frames) in [(3, 0), (3, 1 << 40), (9, 5), (3, usize::MAX - 1)] {
            let error = with(width, frames).unwrap_err().to_string();
            assert!(error.contains("side by side"), "{error}");
        }
    }
}
