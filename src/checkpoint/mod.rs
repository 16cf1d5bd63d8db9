//! What persists, and how a run goes on exactly where it was cut.
//!
//! A resource that a resumed run needs says how it is saved with [`Persist`] and is registered with
//! [`AppPersistExt::persist`]. [`Save`](crate::schedule::Save) gathers all of them into a [`Snapshot`] on the host; a
//! thread writes it, so that learning does not wait for the disk; a crash at any instant leaves a checkpoint that loads.

mod blob;
mod difference;
mod digest;
mod disk;
mod error;
mod exact_ron;
mod kept;
mod leftovers;
mod load;
mod lock;
mod manifest;
mod origin;
mod plain_file;
mod plugin;
mod prune;
mod run_error;
mod run_folder;
mod search;
mod snapshot;
pub(crate) mod stack;
mod step_folder;
mod tensor_file;
mod whole_file;
mod writer;

pub use blob::Blob;
pub(crate) use difference::difference;
pub use error::CheckpointError;
pub use load::load;
pub(crate) use load::load_some;
pub(crate) use lock::{FolderLock, NotLocked};
pub use manifest::{DatasetRecord, ForkRecord, Manifest, ManifestError, Versions};
pub use origin::git_revision;
pub(crate) use plain_file::{is_plain_file, is_plain_folder, open_plain, open_plain_with};
pub use plugin::{
    Best, Checkpoints, RestorePlugin, RestoreSystems, ResumeFrom, Writer, finish_writing,
};
pub(crate) use plugin::{Suspects, watch_folder};
pub use run_error::RunFolderError;
pub use run_folder::{
    FolderGuard, Opened, ParseResumeError, Resume, RunFolder, Start, default_run_folder,
};
pub use search::{LatestGood, Skipped, follow, latest_good};
pub(crate) use search::{mend_best, no_link, resolve, saved_steps};
pub use snapshot::{HostTensor, Snapshot};
pub(crate) use step_folder::step_folder_name;
pub(crate) use whole_file::{is_special, replace_whole, write_whole};
pub use writer::CheckpointWriter;

use bevy_app::App;
use bevy_ecs::component::ComponentId;
use bevy_ecs::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::schedule::written_in_steps;

/// A resource that is saved with the run and restored from it.
///
/// ```
/// use yarak::prelude::*;
/// use yarak::checkpoint::{gather, restore};
///
/// #[derive(Resource, Default)]
/// struct Lessons(u64);
///
/// impl Persist for Lessons {
///     fn save(&self, snapshot: &mut Snapshot) -> Result<(), CheckpointError> {
///         snapshot.put_state("lessons", &self.0)
///     }
///
///     fn load(&mut self, snapshot: &Snapshot, _: &World) -> Result<(), CheckpointError> {
///         self.0 = snapshot.state("lessons")?;
///         Ok(())
///     }
/// }
///
/// let mut app = App::new();
/// app.insert_resource(Lessons(7)).persist::<Lessons>();
/// let snapshot = gather(app.world(), 100)?;
/// app.insert_resource(Lessons(0));
/// restore(app.world_mut(), &snapshot)?;
/// assert_eq!(app.world().resource::<Lessons>().0, 7);
/// # Ok::<(), CheckpointError>(())
/// ```
pub trait Persist: Resource {
    /// Puts everything that the resumed run needs into the snapshot.
    ///
    /// # Errors
    /// When a name is taken or a value cannot be written.
    fn save(&self, snapshot: &mut Snapshot) -> Result<(), CheckpointError>;

    /// Takes it back. `world` has every other resource; those that were registered earlier are restored already.
    ///
    /// # Errors
    /// When the snapshot lacks something, or holds it in another shape.
    fn load(&mut self, snapshot: &Snapshot, world: &World) -> Result<(), CheckpointError>;
}

/// Puts a part of the world into a snapshot.
pub type SavePart = fn(&World, &mut Snapshot) -> Result<(), CheckpointError>;

/// Takes a part of the world back from a snapshot.
pub type LoadPart = fn(&mut World, &Snapshot) -> Result<(), CheckpointError>;

struct Entry {
    name: &'static str,
    save: SavePart,
    load: LoadPart,
}

/// The resources that persist, in the order in which they were registered.
#[derive(Resource, Default)]
struct Persisted(Vec<Entry>);

/// The resources of plugins' own that a run's steps may write and that no checkpoint holds, with the short names of their types: where a
/// run goes on they begin anew.
pub(crate) fn unsaved(world: &World) -> Vec<(ComponentId, String)> {
    let persists = |type_name: &str| {
        let persisted = world.get_resource::<Persisted>();
        persisted.is_some_and(|it| it.0.iter().any(|entry| entry.name == type_name))
    };
    let named = |id: ComponentId| {
        let name = world.components().get_name(id)?.to_string();
        let is_ours = name.starts_with("yarak::") || name.starts_with("bevy_");
        let is_there = world.resource_entities().get(id).is_some();
        (!is_ours && is_there && !persists(&name))
            .then(|| (id, disqualified::ShortName(&name).to_string()))
    };
    let mut found: Vec<_> = written_in_steps(world)
        .into_iter()
        .filter_map(named)
        .collect();
    found.sort_by(|one, other| one.1.cmp(&other.1));
    found.dedup();
    found
}

/// Adds something of which a checkpoint knows nothing: none of it is asked for when one is restored.
pub(crate) fn without_persisting(app: &mut App, add: impl FnOnce(&mut App)) {
    let world = app.world_mut();
    let before = world.get_resource_or_init::<Persisted>().0.len();
    add(app);
    let mut persisted = app.world_mut().get_resource_or_init::<Persisted>();
    persisted.0.truncate(before);
}

/// Registers what persists.
pub trait AppPersistExt {
    /// Saves resource `T` with the run, if it is there when a checkpoint is made. Once is enough.
    fn persist<T: Persist>(&mut self) -> &mut Self;

    /// Saves resource `T` with the run as serde writes it, under its type's name: no two types of one name in a run.
    ///
    /// ```
    /// use yarak::checkpoint::{gather, restore};
    /// use yarak::prelude::*;
    ///
    /// #[derive(Resource, serde::Serialize, serde::Deserialize, Default)]
    /// #[serde(crate = "yarak::prelude::serde")]
    /// struct Lessons(u32);
    ///
    /// let mut app = App::new();
    /// app.init_resource::<Lessons>().persist_serde::<Lessons>();
    /// app.world_mut().resource_mut::<Lessons>().0 = 3;
    /// let snapshot = gather(app.world(), 100)?;
    /// app.world_mut().resource_mut::<Lessons>().0 = 0;
    /// restore(app.world_mut(), &snapshot)?;
    /// assert_eq!(app.world().resource::<Lessons>().0, 3);
    /// # Ok::<(), CheckpointError>(())
    /// ```
    fn persist_serde<T: Resource + Serialize + DeserializeOwned>(&mut self) -> &mut Self;

    /// Saves with the run what is not one resource, such as components of many entities. `name` is its own among others; once is
    /// enough.
    fn persist_with(&mut self, name: &'static str, save: SavePart, load: LoadPart) -> &mut Self;
}

impl AppPersistExt for App {
    fn persist<T: Persist>(&mut self) -> &mut Self {
        self.persist_with(
            std::any::type_name::<T>(),
            |world, snapshot| match world.get_resource::<T>() {
                Some(resource) => resource.save(snapshot),
                None => Ok(()),
            },
            |world, snapshot| {
                if !world.contains_resource::<T>() {
                    return Ok(());
                }
                world.resource_scope(|world, mut resource: Mut<T>| resource.load(snapshot, world))
            },
        )
    }

    fn persist_serde<T: Resource + Serialize + DeserializeOwned>(&mut self) -> &mut Self {
        self.persist_with(
            std::any::type_name::<T>(),
            |world, snapshot| match world.get_resource::<T>() {
                Some(resource) => snapshot.put_state(&key_of::<T>(), resource),
                None => Ok(()),
            },
            |world, snapshot| {
                // One that a step inserts later was saved as well.
                let key = key_of::<T>();
                if world.contains_resource::<T>() || snapshot.state.contains_key(&key) {
                    let saved: T = snapshot.state(&key)?;
                    world.insert_resource(saved);
                }
                Ok(())
            },
        )
    }

    fn persist_with(&mut self, name: &'static str, save: SavePart, load: LoadPart) -> &mut Self {
        let mut persisted = self.world_mut().get_resource_or_init::<Persisted>();
        if persisted.0.iter().all(|entry| entry.name != name) {
            persisted.0.push(Entry { name, save, load });
        }
        self
    }
}

/// Under which a checkpoint has a resource that serde writes.
fn key_of<T>() -> String {
    format!("resource/{}", disqualified::ShortName::of::<T>())
}

/// Copies everything that persists to the host.
///
/// # Errors
/// The first that a resource reports.
pub fn gather(world: &World, step: u64) -> Result<Snapshot, CheckpointError> {
    let mut snapshot = Snapshot::new(step);
    if let Some(persisted) = world.get_resource::<Persisted>() {
        for entry in &persisted.0 {
            (entry.save)(world, &mut snapshot)?;
        }
    }
    Ok(snapshot)
}

/// Restores everything that persists, in the order of registration.
///
/// # Errors
/// A snapshot that is not whole, with nothing restored. The first that a resource reports: the world is then half restored and must not
/// be used.
pub fn restore(world: &mut World, snapshot: &Snapshot) -> Result<(), CheckpointError> {
    snapshot.check()?;
    let entries: Vec<_> = world
        .get_resource::<Persisted>()
        .map(|persisted| persisted.0.iter().map(|entry| entry.load).collect())
        .unwrap_or_default();
    for load in entries {
        load(world, snapshot)?;
    }
    Ok(())
}
