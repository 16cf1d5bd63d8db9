//! How environments are saved and restored: a component of all of them at once, in the order of their rows.

use std::any::type_name;
use std::collections::BTreeSet;

use bevy_app::App;
use bevy_ecs::component::Mutable;
use bevy_ecs::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Observations;
use super::entity::EnvironmentRow;
use crate::checkpoint::{AppPersistExt, CheckpointError, Snapshot};

/// Registers components of environments that persist.
pub trait AppPersistEnvironmentsExt {
    /// Saves component `C` of every entity with an [`EnvironmentRow`] with the run. Once is enough.
    ///
    /// yarak's own components persist already; those that the state of your own environment consists of have to be named,
    /// random streams included, or a resumed run goes on from another state.
    ///
    /// ```
    /// use yarak::prelude::*;
    /// use yarak::checkpoint::{gather, restore};
    /// use yarak::collect::EnvironmentRow;
    /// use yarak::prelude::serde::{Deserialize, Serialize};
    ///
    /// #[derive(Component, Serialize, Deserialize)]
    /// #[serde(crate = "yarak::prelude::serde")]
    /// struct Frog(f32);
    ///
    /// let mut app = App::new();
    /// app.persist_component::<Frog>();
    /// let frog = app.world_mut().spawn((EnvironmentRow { row: 0 }, Frog(3.0))).id();
    /// let snapshot = gather(app.world(), 100)?;
    /// app.world_mut().get_mut::<Frog>(frog).unwrap().0 = 0.0;
    /// restore(app.world_mut(), &snapshot)?;
    /// assert_eq!(app.world().get::<Frog>(frog).unwrap().0, 3.0);
    /// # Ok::<(), CheckpointError>(())
    /// ```
    fn persist_component<C>(&mut self) -> &mut Self
    where
        C: Component<Mutability = Mutable> + Serialize + DeserializeOwned;
}

impl AppPersistEnvironmentsExt for App {
    fn persist_component<C>(&mut self) -> &mut Self
    where
        C: Component<Mutability = Mutable> + Serialize + DeserializeOwned,
    {
        self.persist_with(type_name::<C>(), save::<C>, load::<C>)
    }
}

/// Under which a checkpoint has the rows that were nobody's when it was saved, each with what it showed last.
pub(super) const EMPTY_ROWS: &str = "environments/empty_rows";

type EmptyRows = Vec<(usize, Vec<f32>)>;

/// Saves which rows are nobody's; nothing where all are somebody's.
pub(super) fn save_empty_rows(
    world: &World,
    snapshot: &mut Snapshot,
) -> Result<(), CheckpointError> {
    let (Some(observations), Some(query)) = (
        world.get_resource::<Observations>(),
        world.try_query::<&EnvironmentRow>(),
    ) else {
        return Ok(());
    };
    let there: BTreeSet<usize> = query.iter_manual(world).map(|agent| agent.row).collect();
    let empty = (0..observations.rows()).filter(|row| !there.contains(row));
    let empty: EmptyRows = empty
        .map(|row| (row, observations.row(row).to_vec()))
        .collect();
    match empty.is_empty() {
        true => Ok(()),
        false => snapshot.put_state(EMPTY_ROWS, &empty),
    }
}

/// Takes the entities away again that begin in rows which were nobody's.
pub(super) fn load_empty_rows(
    world: &mut World,
    snapshot: &Snapshot,
) -> Result<(), CheckpointError> {
    let empty = empty_rows(snapshot)?;
    let mut agents = world.query::<(&EnvironmentRow, Entity)>();
    let gone: Vec<Entity> = agents
        .iter(world)
        .filter(|(agent, _)| empty.iter().any(|(row, _)| *row == agent.row))
        .map(|(_, entity)| entity)
        .collect();
    for entity in gone {
        world.despawn(entity);
    }
    if let Some(mut observations) = world.get_resource_mut::<Observations>() {
        let (rows, width) = (observations.rows(), observations.width);
        for (row, shown) in empty {
            if row < rows && shown.len() == width {
                observations.row_mut(row).copy_from_slice(&shown);
            }
        }
    }
    Ok(())
}

fn empty_rows(snapshot: &Snapshot) -> Result<EmptyRows, CheckpointError> {
    match snapshot.state.contains_key(EMPTY_ROWS) {
        true => snapshot.state(EMPTY_ROWS),
        false => Ok(Vec::new()),
    }
}

fn key<C>() -> String {
    format!("environments/{}", disqualified::ShortName::of::<C>())
}

fn save<C: Component + Serialize>(
    world: &World,
    snapshot: &mut Snapshot,
) -> Result<(), CheckpointError> {
    let Some(query) = world.try_query::<(&EnvironmentRow, &C)>() else {
        return Ok(());
    };
    let mut rows: Vec<(usize, &C)> = query
        .iter_manual(world)
        .map(|(agent, component)| (agent.row, component))
        .collect();
    rows.sort_by_key(|(row, _)| *row);
    let components: Vec<&C> = rows.into_iter().map(|(_, component)| component).collect();
    snapshot.put_state(&key::<C>(), &components)
}

fn load<C: Component<Mutability = Mutable> + DeserializeOwned>(
    world: &mut World,
    snapshot: &Snapshot,
) -> Result<(), CheckpointError> {
    let mut entities: Vec<(usize, Entity)> = world
        .query_filtered::<(&EnvironmentRow, Entity), With<C>>()
        .iter(world)
        .map(|(agent, entity)| (agent.row, entity))
        .collect();
    if entities.is_empty() {
        return Ok(());
    }
    // Whoever begins in a row that was nobody's has nothing to go on with.
    let empty = empty_rows(snapshot)?;
    entities.retain(|(row, _)| empty.iter().all(|(nobodys, _)| nobodys != row));
    entities.sort_by_key(|(row, _)| *row);
    let saved: Vec<C> = snapshot.state(&key::<C>())?;
    if saved.len() != entities.len() {
        return Err(CheckpointError::OtherEnvironments {
            key: key::<C>(),
            found: saved.len(),
            expected: entities.len(),
        });
    }
    for ((_, entity), saved) in entities.into_iter().zip(saved) {
        if let Some(mut component) = world.get_mut::<C>(entity) {
            *component = saved;
        }
    }
    Ok(())
}
