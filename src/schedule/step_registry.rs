//! Steps by name, so that a scene can put one algorithm's step into another's slot without recompiling.

use std::collections::BTreeMap;
use std::sync::Arc;

use bevy_app::App;
use bevy_ecs::prelude::*;
use bevy_ecs::schedule::{
    InternedSystemSet, IntoScheduleConfigs, Schedule, ScheduleConfigs, SystemKey,
};
use bevy_ecs::system::ScheduleSystem;

use super::ScheduleError;
use super::graph::touched;

type AddStep = Arc<dyn Fn(&mut Schedule, InternedSystemSet) + Send + Sync>;

/// The steps that scenes can name in `order`, such as `bc::clone_behavior`.
#[derive(Resource, Default, Clone)]
pub struct StepRegistry {
    steps: BTreeMap<String, AddStep>,
}

impl StepRegistry {
    /// The registered names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.steps.keys().map(String::as_str)
    }

    /// What each step reads and writes, by name: resources such as `Net<Actor>`.
    pub fn reads_and_writes(&self, world: &mut World) -> Vec<StepAccess> {
        let described = self.steps.iter().map(|(name, add)| {
            let mut alone = Schedule::default();
            add(&mut alone, Alone.intern());
            let systems = &mut alone.graph_mut().systems;
            systems.initialize(world);
            let keys: Vec<SystemKey> = systems.iter().map(|(key, ..)| key).collect();
            let (mut reads, mut writes) = (Vec::new(), Vec::new());
            for system in keys.into_iter().filter_map(|key| systems.get(key)) {
                let (more_reads, more_writes) = touched(system).names(world);
                reads.extend(more_reads);
                writes.extend(more_writes);
            }
            StepAccess {
                name: name.clone(),
                reads,
                writes,
            }
        });
        described.collect()
    }

    /// Adds the step of that name to a slot of a schedule.
    pub(super) fn add_to(
        &self,
        name: &str,
        schedule: &mut Schedule,
        slot: InternedSystemSet,
    ) -> Result<(), ScheduleError> {
        let add = self
            .steps
            .get(name)
            .ok_or_else(|| ScheduleError::UnknownStep {
                step: name.to_owned(),
                valid: self.names().collect::<Vec<_>>().join(", "),
            })?;
        add(schedule, slot);
        Ok(())
    }
}

/// A registered step, and the resources that it uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepAccess {
    /// Its name.
    pub name: String,
    /// What it only reads.
    pub reads: Vec<String>,
    /// What it may write.
    pub writes: Vec<String>,
}

/// The set of a step that is looked at by itself.
#[derive(SystemSet, Clone, Debug, PartialEq, Eq, Hash)]
struct Alone;

/// Registers steps on an [`App`].
pub trait AppStepExt {
    /// Makes a system known to scenes under `name`, by convention `plugin::step`.
    ///
    /// ```
    /// use yarak::prelude::*;
    /// use yarak::schedule::{SchedulePlugin, StepRegistry};
    ///
    /// fn hold_still() {}
    ///
    /// let mut app = App::new();
    /// app.add_plugins(SchedulePlugin).register_step("mine::hold_still", hold_still);
    /// assert!(app.world().resource::<StepRegistry>().names().any(|name| name == "mine::hold_still"));
    /// ```
    fn register_step<M>(
        &mut self,
        name: &str,
        step: impl IntoScheduleConfigs<ScheduleSystem, M> + Clone + Send + Sync + 'static,
    ) -> &mut Self;
}

impl AppStepExt for App {
    fn register_step<M>(
        &mut self,
        name: &str,
        step: impl IntoScheduleConfigs<ScheduleSystem, M> + Clone + Send + Sync + 'static,
    ) -> &mut Self {
        let add: AddStep = Arc::new(move |schedule, slot| {
            let configs: ScheduleConfigs<ScheduleSystem> = step.clone().into_configs();
            schedule.add_systems(configs.in_set(slot));
        });
        self.world_mut()
            .get_resource_or_init::<StepRegistry>()
            .steps
            .insert(name.to_owned(), add);
        self
    }
}
