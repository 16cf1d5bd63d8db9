//! The drawing of a schedule: what will run, in order, with each system's conditions, reads and writes.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::str::FromStr;

use bevy_ecs::component::ComponentId;
use bevy_ecs::prelude::*;
use bevy_ecs::query::ComponentAccessKind;
use bevy_ecs::schedule::{
    ConditionWithAccess, InternedScheduleLabel, InternedSystemSet, ScheduleGraph, ScheduleLabel,
    Schedules, SystemKey, SystemWithAccess,
};
use bevy_ecs::system::{System, SystemAccess};

use super::order::short_name;
use super::{Collect, Evaluate, Learn, Prepare, Report, Save, SlotOrder, Validate};

/// How a schedule is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GraphFormat {
    /// Indented lines for a terminal.
    #[default]
    Text,
    /// A Mermaid flowchart, which GitHub draws.
    Mermaid,
    /// Graphviz.
    Dot,
}

impl FromStr for GraphFormat {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "text" => Ok(GraphFormat::Text),
            "mermaid" => Ok(GraphFormat::Mermaid),
            "dot" => Ok(GraphFormat::Dot),
            _ => Err(format!("no format `{name}`: text, mermaid or dot")),
        }
    }
}

/// The names of run conditions, kept from before the schedules were built.
#[derive(Resource, Default)]
pub(super) struct ConditionNames {
    sets: HashMap<(InternedScheduleLabel, InternedSystemSet), Vec<String>>,
    /// The sets around a slot, whose conditions it shares with other slots.
    around: HashMap<(InternedScheduleLabel, InternedSystemSet), Vec<InternedSystemSet>>,
    systems: HashMap<(InternedScheduleLabel, SystemKey), Vec<String>>,
}

impl ConditionNames {
    pub(super) fn note(
        &mut self,
        label: InternedScheduleLabel,
        slots: &[InternedSystemSet],
        graph: &ScheduleGraph,
    ) {
        let around = self.around.values().flatten();
        for set in slots.iter().chain(around) {
            let sets = &graph.system_sets;
            let conditions = sets.get_key(*set).and_then(|key| sets.get_conditions(key));
            if let Some(conditions) = conditions.filter(|conditions| !conditions.is_empty()) {
                self.sets.insert((label, *set), names(conditions));
            }
        }
        for (key, _, conditions) in graph.systems.iter() {
            if !conditions.is_empty() {
                self.systems.insert((label, key), names(conditions));
            }
        }
    }
}

impl ConditionNames {
    /// Notes that `slot` shares the conditions of the slot `of`, which are on the set `around` now; all sets whose conditions it shares.
    pub(super) fn share(
        &mut self,
        label: InternedScheduleLabel,
        around: InternedSystemSet,
        of: InternedSystemSet,
        slot: InternedSystemSet,
    ) -> Vec<InternedSystemSet> {
        let outer = self.around.entry((label, of)).or_default();
        if !outer.contains(&around) {
            outer.push(around);
        }
        let outer = outer.clone();
        self.around.insert((label, slot), outer.clone());
        outer
    }

    /// Whether a slot shares conditions with others.
    pub(super) fn shares(&self, label: InternedScheduleLabel, slot: InternedSystemSet) -> bool {
        self.around.contains_key(&(label, slot))
    }

    /// The conditions of a slot: its own, and those that it shares.
    pub(super) fn of_slot(
        &self,
        label: InternedScheduleLabel,
        slot: InternedSystemSet,
    ) -> Vec<String> {
        let around = self.around.get(&(label, slot)).into_iter().flatten();
        let sets = around.chain([&slot]);
        let names = sets.filter_map(|set| self.sets.get(&(label, *set)));
        names.flatten().cloned().collect()
    }
}

fn names(conditions: &[ConditionWithAccess]) -> Vec<String> {
    conditions
        .iter()
        .map(|condition| condition_name(&condition.name().to_string()))
        .collect()
}

/// Our own conditions say what they are; of a bare function the path is dropped.
fn condition_name(name: &str) -> String {
    if name.contains(" of ") || name.starts_with("training ") {
        name.to_owned()
    } else {
        short_path(name)
    }
}

/// A system as it is drawn: names alone.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct DrawnSystem {
    pub name: String,
    pub conditions: Vec<String>,
    pub reads: Vec<String>,
    pub writes: Vec<String>,
}

/// A slot with its systems in order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct DrawnSlot {
    pub name: String,
    pub conditions: Vec<String>,
    pub systems: Vec<DrawnSystem>,
}

/// A schedule with its slots in order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct DrawnSchedule {
    pub name: String,
    pub slots: Vec<DrawnSlot>,
}

/// Draws the schedules of a finished app: slots, their systems in order, conditions, and what each reads and writes.
pub fn draw(world: &World, format: GraphFormat) -> String {
    let schedules = drawn_schedules(world);
    match format {
        GraphFormat::Text => text(&schedules),
        GraphFormat::Mermaid => mermaid(&schedules),
        GraphFormat::Dot => dot(&schedules),
    }
}

/// What is drawn of a finished app, for pictures of another form: the schedules that have systems.
pub(crate) fn drawn_schedules(world: &World) -> Vec<DrawnSchedule> {
    let mut schedules = Vec::new();
    collect_schedule(world, Collect, &mut schedules);
    collect_schedule(world, Prepare, &mut schedules);
    collect_schedule(world, Learn, &mut schedules);
    collect_schedule(world, Validate, &mut schedules);
    collect_schedule(world, Evaluate, &mut schedules);
    collect_schedule(world, Report, &mut schedules);
    collect_schedule(world, Save, &mut schedules);
    schedules.retain(|schedule| schedule.slots.iter().any(|slot| !slot.systems.is_empty()));
    schedules
}

/// A system of [`Learn`] and where it is.
pub(crate) struct LearnStep {
    /// Its slot; `None` where it is in none.
    pub slot: Option<String>,
    /// Its name.
    pub system: String,
    /// The resources that it may write, such as `Net<Actor>`.
    pub writes: Vec<String>,
}

/// The systems of [`Learn`] in a finished app, in order.
pub(crate) fn learn_steps(world: &World) -> Vec<LearnStep> {
    let placed = placed_systems(world, Learn).into_iter();
    let steps = placed.map(|system| LearnStep {
        slot: system.slot,
        system: system.name,
        writes: system.touched.names(world).1,
    });
    steps.collect()
}

/// What the systems that a run's steps consist of may write: those of [`Collect`], [`Prepare`] and [`Learn`].
pub(crate) fn written_in_steps(world: &World) -> Vec<ComponentId> {
    let collect = placed_systems(world, Collect);
    let systems = collect
        .into_iter()
        .chain(placed_systems(world, Prepare))
        .chain(placed_systems(world, Learn));
    let written = systems.flat_map(|system| match system.touched {
        Touched::World => Vec::new(),
        Touched::Resources { writes, .. } => writes,
    });
    written.collect()
}

/// A system of a schedule, where it is, and what it touches.
pub(super) struct PlacedSystem {
    /// Its slot; `None` where it is in none.
    pub slot: Option<String>,
    /// Its name.
    pub name: String,
    /// What it touches.
    pub touched: Touched,
}

/// The systems of a schedule in a finished app, in the order in which they run, without the points at which Bevy applies commands.
pub(super) fn placed_systems<S: ScheduleLabel>(world: &World, label: S) -> Vec<PlacedSystem> {
    let schedules = world.get_resource::<Schedules>();
    let (Some(order), Some(schedule)) = (
        world.get_resource::<SlotOrder<S>>(),
        schedules.and_then(|schedules| schedules.get(label)),
    ) else {
        return Vec::new();
    };
    let Ok(systems) = schedule.systems_with_access() else {
        return Vec::new();
    };
    let slot_of = |key: SystemKey| {
        let mut slots = order.slots().iter();
        slots.find(|slot| {
            let inside = schedule.graph().systems_in_set(slot.set);
            inside.is_ok_and(|keys| keys.contains(&key))
        })
    };
    let placed = systems.map(|(key, system)| PlacedSystem {
        slot: slot_of(key).map(|slot| slot.name.clone()),
        name: short_path(&system.system().name().to_string()),
        touched: touched(system),
    });
    placed
        .filter(|system| system.name != "ApplyDeferred")
        .collect()
}

/// What is in the place of a slot's name for systems that have none.
const IN_NO_SLOT: &str = "(in no slot)";

fn collect_schedule<S: ScheduleLabel + Clone>(
    world: &World,
    label: S,
    schedules: &mut Vec<DrawnSchedule>,
) {
    let interned = label.intern();
    let (Some(order), Some(schedule)) = (
        world.get_resource::<SlotOrder<S>>(),
        world
            .get_resource::<Schedules>()
            .and_then(|schedules| schedules.get(label)),
    ) else {
        return;
    };
    let Ok(in_order) = schedule.systems_with_access() else {
        return;
    };
    let names = world.get_resource::<ConditionNames>();
    let mut drawn: Vec<(SystemKey, Option<DrawnSystem>)> = in_order
        .map(|(key, system)| {
            let (reads, writes) = touched(system).names(world);
            let conditions = names.and_then(|names| names.systems.get(&(interned, key)).cloned());
            let name = short_path(&system.system().name().to_string());
            let drawn = DrawnSystem {
                name,
                conditions: conditions.unwrap_or_default(),
                reads,
                writes,
            };
            (key, Some(drawn))
        })
        .collect();
    let mut slots: Vec<DrawnSlot> = order
        .slots()
        .iter()
        .map(|slot| DrawnSlot {
            name: slot.name.clone(),
            conditions: names.map_or(Vec::new(), |names| names.of_slot(interned, slot.set)),
            systems: match schedule.graph().systems_in_set(slot.set) {
                Err(_) => Vec::new(),
                Ok(keys) => drawn
                    .iter_mut()
                    .filter(|(key, _)| keys.contains(key))
                    .filter_map(|(_, system)| system.take())
                    .collect(),
            },
        })
        .collect();
    // What somebody added without a slot is shown rather than hidden.
    let outside: Vec<DrawnSystem> = drawn
        .into_iter()
        .filter_map(|(_, system)| system)
        .filter(|system| system.name != "ApplyDeferred")
        .collect();
    if !outside.is_empty() {
        slots.push(DrawnSlot {
            name: IN_NO_SLOT.to_owned(),
            conditions: Vec::new(),
            systems: outside,
        });
    }
    schedules.push(DrawnSchedule {
        name: short_name::<S>(),
        slots,
    });
}

/// What a system touches.
pub(super) enum Touched {
    /// The whole world, or more than can be named.
    World,
    /// Resources and components.
    Resources {
        /// Those that it only reads.
        reads: Vec<ComponentId>,
        /// Those that it may write.
        writes: Vec<ComponentId>,
    },
}

/// What an initialized system touches.
pub(super) fn touched(system: &SystemWithAccess) -> Touched {
    let (mut reads, mut writes) = (Vec::new(), Vec::new());
    let access = match system.access() {
        SystemAccess::None => return Touched::Resources { reads, writes },
        SystemAccess::Exclusive => return Touched::World,
        SystemAccess::Shared(access) => access.combined_access(),
    };
    let Ok(kinds) = access.try_iter_access() else {
        return Touched::World;
    };
    for kind in kinds {
        match kind {
            ComponentAccessKind::Archetypal(_) => {}
            ComponentAccessKind::Shared(id) => reads.push(id),
            ComponentAccessKind::Exclusive(id) => writes.push(id),
        }
    }
    Touched::Resources { reads, writes }
}

impl Touched {
    /// The names of the resources that are only read, and of those that may be written. `World` for a system that takes it whole.
    pub(super) fn names(self, world: &World) -> (Vec<String>, Vec<String>) {
        let names = |ids: Vec<ComponentId>| {
            let names = ids.into_iter().filter_map(|id| resource_name(world, id));
            let mut names: Vec<String> = names.collect();
            names.sort();
            names
        };
        match self {
            Touched::World => (Vec::new(), vec!["World".to_owned()]),
            Touched::Resources { reads, writes } => (names(reads), names(writes)),
        }
    }
}

/// The short name of a resource's type; nothing for Bevy's own bookkeeping.
pub(super) fn resource_name(world: &World, id: ComponentId) -> Option<String> {
    let name = world.components().get_name(id)?.to_string();
    let short = short_path(&name);
    (short != "IsResource" && !name.starts_with("bevy_ecs::system::")).then_some(short)
}

/// `yarak::plugins::td3_bc::update_actor` becomes `td3_bc::update_actor`, `yarak::learner::Net<yarak::learner::Actor>` becomes `Net<Actor>`.
pub(super) fn short_path(name: &str) -> String {
    let short = disqualified::ShortName(name).to_string();
    // A step's module is its algorithm: worth keeping.
    let is_function = short
        .chars()
        .next()
        .is_some_and(|first| first.is_lowercase());
    let head = name.split('<').next().unwrap_or(name);
    match head.rsplit("::").nth(1) {
        Some(module) if is_function && !module.starts_with('{') => format!("{module}::{short}"),
        _ => short,
    }
}

fn text(schedules: &[DrawnSchedule]) -> String {
    let mut out = String::new();
    for schedule in schedules {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{}", schedule.name);
        for slot in &schedule.slots {
            let _ = write!(out, "  {}", slot.name);
            if !slot.conditions.is_empty() {
                let _ = write!(out, "  [{}]", slot.conditions.join(", "));
            }
            out.push('\n');
            for system in &slot.systems {
                let _ = write!(out, "    {}", system.name);
                if !system.conditions.is_empty() {
                    let _ = write!(out, "  [{}]", system.conditions.join(", "));
                }
                out.push('\n');
                if !system.reads.is_empty() {
                    let _ = writeln!(out, "      reads   {}", system.reads.join(", "));
                }
                if !system.writes.is_empty() {
                    let _ = writeln!(out, "      writes  {}", system.writes.join(", "));
                }
            }
        }
    }
    out
}

fn mermaid(schedules: &[DrawnSchedule]) -> String {
    let mut out = String::from("flowchart TB\n");
    let mut id = 0;
    for schedule in schedules {
        let _ = writeln!(out, "  subgraph {}", schedule.name);
        let mut previous = None;
        for slot in schedule
            .slots
            .iter()
            .filter(|slot| !slot.systems.is_empty())
        {
            id += 1;
            let mut label = format!("<b>{}</b>", html(&slot.name));
            if !slot.conditions.is_empty() {
                let _ = write!(label, "<br/><i>{}</i>", html(&slot.conditions.join(", ")));
            }
            for system in &slot.systems {
                let _ = write!(label, "<br/>{}", html(&system.name));
                if !system.writes.is_empty() {
                    let writes = html(&system.writes.join(", "));
                    let _ = write!(label, "<br/><small>writes {writes}</small>");
                }
            }
            let _ = writeln!(out, "    n{id}[\"{label}\"]");
            if let Some(previous) = previous {
                let _ = writeln!(out, "    n{previous} --> n{id}");
            }
            previous = Some(id);
        }
        out.push_str("  end\n");
    }
    out
}

/// Mermaid labels are HTML in quotes.
fn html(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

fn dot(schedules: &[DrawnSchedule]) -> String {
    let quote = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
    let mut out = String::from(
        "digraph yarak {\n  rankdir=TB;\n  node [shape=box, fontname=\"sans-serif\"];\n",
    );
    let mut id = 0;
    for (index, schedule) in schedules.iter().enumerate() {
        let name = quote(&schedule.name);
        let _ = writeln!(out, "  subgraph cluster_{index} {{\n    label=\"{name}\";");
        let mut previous = None;
        for slot in schedule
            .slots
            .iter()
            .filter(|slot| !slot.systems.is_empty())
        {
            id += 1;
            let mut label = quote(&slot.name);
            if !slot.conditions.is_empty() {
                let _ = write!(label, "\\n[{}]", quote(&slot.conditions.join(", ")));
            }
            for system in &slot.systems {
                let _ = write!(label, "\\n{}", quote(&system.name));
                if !system.writes.is_empty() {
                    let _ = write!(label, "\\nwrites {}", quote(&system.writes.join(", ")));
                }
            }
            let _ = writeln!(out, "    n{id} [label=\"{label}\"];");
            if let Some(previous) = previous {
                let _ = writeln!(out, "    n{previous} -> n{id};");
            }
            previous = Some(id);
        }
        out.push_str("  }\n");
    }
    out.push_str("}\n");
    out
}
