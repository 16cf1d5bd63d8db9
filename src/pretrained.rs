//! Beginning with networks that another run trained.

use std::path::PathBuf;

use bevy_app::{App, Plugin, PostStartup, PreStartup};
use bevy_ecs::prelude::*;
use bevy_reflect::Reflect;

use crate::checkpoint::{self, CheckpointError, RestoreSystems, ResumeFrom, Snapshot};
use crate::data::{GivenPreprocessing, Preprocessing, SearchFolders, load_dataset};
use crate::learner::{RoleEntry, Roles};
use crate::report::console::Console;
use crate::scene::{Bounds, FieldProblems, Settings};
use crate::schedule::{InputError, with_causes};

/// Begins with networks that another run trained: fine-tuning, another algorithm, other settings.
///
/// Observations and actions are scaled as they were for those networks, whatever the data of this run would give. Optimizers, counters,
/// rates and replay buffers begin anew, and targets as copies of their networks. To go on with a run as it was there is `--resume`.
///
/// ```
/// use yarak::prelude::*;
/// use yarak::Pretrained;
///
/// let actor_alone = Pretrained {
///     path: "runs/bc/checkpoints/best".into(),
///     networks: vec!["actor".to_owned()],
/// };
/// # let _ = actor_alone;
/// ```
#[derive(Clone, Debug, Resource, Reflect)]
pub struct Pretrained {
    /// The run's folder, of which the best checkpoint is taken or else the latest, or a checkpoint: `best`, `latest` or a step's folder.
    /// Relative to the working directory or to the scene's folder.
    #[reflect(@Bounds::any().required())]
    pub path: PathBuf,
    /// The networks that are taken, by their names: `actor`, `critic`, `value`. Empty: all that both runs have.
    pub networks: Vec<String>,
}

impl Default for Pretrained {
    fn default() -> Self {
        Pretrained {
            path: PathBuf::from("runs/pretrained"),
            networks: Vec::new(),
        }
    }
}

impl Settings for Pretrained {
    fn check(&self, problems: &mut FieldProblems) {
        if self.path.as_os_str().is_empty() {
            problems.refuse("path", "names no run: give its folder, as in \"runs/bc\"");
        }
    }
}

impl Plugin for Pretrained {
    fn build(&self, app: &mut App) {
        app.insert_resource(self.clone())
            .init_resource::<GivenPreprocessing>()
            .add_systems(PreStartup, read_checkpoint.before(load_dataset))
            .add_systems(PostStartup, begin_with_its_networks.before(RestoreSystems));
    }
}

/// The checkpoint that a run begins with.
#[derive(Resource)]
struct Source {
    place: String,
    snapshot: Snapshot,
}

/// Why a run cannot begin with another one's networks.
#[derive(Debug, thiserror::Error)]
pub enum PretrainedError {
    /// There is no such path.
    #[error("{}: there is no such run or checkpoint", .0.display())]
    Missing(PathBuf),
    /// There is no checkpoint in it, or it is damaged.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A network that is asked for and is not in one of the runs.
    #[error("`Pretrained.networks` names `{name}`, and {place} has {there}")]
    NoSuchNetwork {
        /// The name.
        name: String,
        /// Which run.
        place: String,
        /// What is there.
        there: String,
    },
    /// Nothing fits.
    #[error(
        "`Pretrained`: {place} has none of the networks of this run, which are {here}; take the run of an algorithm that has one"
    )]
    NothingInCommon {
        /// The checkpoint.
        place: String,
        /// The networks of this run.
        here: String,
    },
    /// A network of another form.
    #[error(
        "`Pretrained`: `{name}` of {place} is another network: give it the same `encoder` and `head_sizes`, and what it sees the same `frame_stack` and `goal_mode`, or leave it out with `networks: [..]`"
    )]
    OtherForm {
        /// The network.
        name: String,
        /// The checkpoint.
        place: String,
        /// What does not fit.
        source: Box<CheckpointError>,
    },
    /// Networks that see something else.
    #[error(
        "`Pretrained`: the networks of {place} see {there}, and those of this run {here}: choose the same `observations` in the same order, `frame_stack` and goal, or train anew"
    )]
    OtherSight {
        /// The checkpoint.
        place: String,
        /// What they see there.
        there: String,
        /// What they see here.
        here: String,
    },
    /// Environments with another task.
    #[error(
        "`Pretrained`: {what} of this run have {found} elements, and those of {place} {expected}: it is another task"
    )]
    OtherTask {
        /// Observations, as networks see them, or actions.
        what: &'static str,
        /// The checkpoint.
        place: String,
        /// The width here.
        found: usize,
        /// The width there.
        expected: usize,
    },
}

/// Reads it before the data are scaled. A run that goes on has the scaling in its own checkpoint, and its networks too.
fn read_checkpoint(world: &mut World) -> Result<(), BevyError> {
    let preprocessing: Preprocessing = match world.get_resource::<ResumeFrom>() {
        Some(ResumeFrom(own)) => own.state("preprocessing")?,
        None => {
            let source = read(world).map_err(|error| {
                InputError::new(format!("`Pretrained.path`: {}", with_causes(&error)))
            })?;
            let preprocessing = source.snapshot.state("preprocessing");
            let preprocessing = preprocessing
                .map_err(PretrainedError::from)
                .map_err(InputError::new)?;
            scale_environments(world, &source, &preprocessing).map_err(InputError::new)?;
            world.insert_resource(source);
            preprocessing
        }
    };
    world.resource_mut::<GivenPreprocessing>().0 = Some(preprocessing);
    Ok(())
}

/// That the checkpoint of an app's [`Pretrained`] is not there, if it names one that is not.
pub(crate) fn missing(world: &World) -> Option<PretrainedError> {
    folder(world.get_resource::<Pretrained>()?, world).err()
}

fn folder(pretrained: &Pretrained, world: &World) -> Result<PathBuf, PretrainedError> {
    let path = match world.get_resource::<SearchFolders>() {
        Some(folders) => folders.find(&pretrained.path),
        None => pretrained.path.clone(),
    };
    if !path.exists() {
        return Err(PretrainedError::Missing(path));
    }
    Ok(checkpoint::resolve(&path)?)
}

fn read(world: &World) -> Result<Source, PretrainedError> {
    let folder = folder(world.resource::<Pretrained>(), world)?;
    // Networks and the scaling are needed; optimizers and buffers may be large, and begin anew.
    let snapshot = checkpoint::load_some(&folder, |name| {
        !name.starts_with("optimizer_") && !name.starts_with("target_")
    })?;
    Ok(Source {
        place: folder.display().to_string(),
        snapshot,
    })
}

/// Where environments have said how they are scaled, the networks know better.
fn scale_environments(
    world: &mut World,
    source: &Source,
    given: &Preprocessing,
) -> Result<(), PretrainedError> {
    let Some(mut here) = world.get_resource_mut::<Preprocessing>() else {
        return Ok(());
    };
    for (index, what) in ["the observations, as networks see them,", "the actions"]
        .into_iter()
        .enumerate()
    {
        let (found, expected) = (here.widths()[index], given.widths()[index]);
        if found != expected {
            let place = source.place.clone();
            return Err(PretrainedError::OtherTask {
                what,
                place,
                found,
                expected,
            });
        }
    }
    (here.observation, here.action) = (given.observation.clone(), given.action.clone());
    Ok(())
}

fn begin_with_its_networks(world: &mut World) -> Result<(), BevyError> {
    let Some(source) = world.remove_resource::<Source>() else {
        return Ok(());
    };
    let said = take_networks(world, &source).map_err(InputError::new)?;
    if let Some(console) = world.get_resource::<Console>() {
        console.message(&said);
    }
    Ok(())
}

/// Refuses networks that would see other parts, or others of their steps, than they learned from.
fn compare_sights(world: &World, source: &Source) -> Result<(), PretrainedError> {
    let there: Preprocessing = source.snapshot.state("preprocessing")?;
    let Some(here) = world.get_resource::<Preprocessing>() else {
        return Ok(());
    };
    match here.sees_as(&there) {
        true => Ok(()),
        false => Err(PretrainedError::OtherSight {
            place: source.place.clone(),
            there: there.in_words(),
            here: here.in_words(),
        }),
    }
}

/// Takes them; what there is to say of it.
fn take_networks(world: &mut World, source: &Source) -> Result<String, PretrainedError> {
    compare_sights(world, source)?;
    let roles: Vec<RoleEntry> = world
        .get_resource::<Roles>()
        .map_or_else(Vec::new, |roles| roles.0.clone());
    let built = |entry: &&RoleEntry| (entry.members)(world).is_some();
    let here: Vec<&RoleEntry> = roles.iter().filter(built).collect();
    let names_here = quoted(here.iter().map(|entry| entry.name));
    let asked = &world.resource::<Pretrained>().networks;
    for name in asked {
        let is_there = source.snapshot.files.contains_key(name);
        let is_here = here.iter().any(|entry| entry.name == name);
        if !is_there || !is_here {
            let (place, there) = if is_there {
                ("this run".to_owned(), names_here)
            } else {
                let there = source.snapshot.files.keys().map(String::as_str);
                (source.place.clone(), quoted(there))
            };
            return Err(PretrainedError::NoSuchNetwork {
                name: name.clone(),
                place,
                there,
            });
        }
    }
    let (taken, fresh): (Vec<&RoleEntry>, Vec<&RoleEntry>) = here.into_iter().partition(|entry| {
        source.snapshot.files.contains_key(entry.name)
            && (asked.is_empty() || asked.iter().any(|name| name == entry.name))
    });
    if taken.is_empty() {
        return Err(PretrainedError::NothingInCommon {
            place: source.place.clone(),
            here: names_here,
        });
    }
    let mut said = format!(
        "begins with {} of {}",
        quoted(taken.iter().map(|entry| entry.name)),
        source.place
    );
    if !fresh.is_empty() {
        let fresh = quoted(fresh.iter().map(|entry| entry.name));
        said += &format!("; fresh: {fresh}");
    }
    let taken: Vec<RoleEntry> = taken.into_iter().copied().collect();
    for entry in taken {
        (entry.begin_as)(world, &source.snapshot).map_err(|error| PretrainedError::OtherForm {
            name: entry.name.to_owned(),
            place: source.place.clone(),
            source: Box::new(error),
        })?;
    }
    Ok(said)
}

fn quoted<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    names.join(", ")
}
