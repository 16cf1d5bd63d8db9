//! `yarak list`.

use bevy_app::AppExit;
use clap::{Args, ValueEnum};

use super::building::{Program, whole_registry};
use super::error::CliError;
use super::print;
use crate::env::{gymnasium, registry as environments};
use crate::learner::ComputeDevice;
use crate::scene::{PluginKind, SceneRegistry};
use crate::schedule::{SLOTS, StepAccess, StepRegistry};

/// List what scenes can name.
#[derive(Args)]
pub struct List {
    /// One of these; all if not given
    what: Option<What>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// Plugins that learn
    Algorithms,
    /// Environments that are built in
    Environments,
    /// All other plugins that scenes can name
    Plugins,
    /// Steps that a scene's `order` can name
    Steps,
    /// The slots of each schedule, in order; algorithms add some of their own, which `yarak graph SCENE` shows
    Slots,
    /// Devices of this machine
    Devices,
}

impl List {
    /// Lists.
    pub fn run(&self, program: &Program) -> Result<AppExit, CliError> {
        let mut app = program.bare_app();
        let mut steps = Vec::new();
        if self.what.is_none_or(|asked| asked == What::Steps) {
            let registry = app.world().resource::<StepRegistry>().clone();
            steps = registry.reads_and_writes(app.world_mut());
        }
        let registry = whole_registry(&app)?;
        let all = [
            What::Algorithms,
            What::Plugins,
            What::Environments,
            What::Steps,
            What::Slots,
            What::Devices,
        ];
        let sections: Vec<String> = all
            .into_iter()
            .filter(|what| self.what.is_none_or(|asked| asked == *what))
            .map(|what| {
                let rows = rows(registry, &steps, what);
                let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
                let lines = rows
                    .iter()
                    .map(|(name, about)| format!("  {name:width$}  {about}"));
                let title = match what {
                    What::Algorithms => "algorithms",
                    What::Plugins => "plugins",
                    What::Environments => "environments",
                    What::Steps => "steps",
                    What::Slots => "slots",
                    What::Devices => "devices",
                };
                let lines: Vec<String> = lines.collect();
                format!("{title}\n{}", lines.join("\n"))
            })
            .collect();
        print(&sections.join("\n\n"))?;
        Ok(AppExit::Success)
    }
}

/// Names, and what is to be said of each.
fn rows(registry: &SceneRegistry, steps: &[StepAccess], what: What) -> Vec<(String, String)> {
    let of_kind = |kind: PluginKind| {
        let entries = registry.entries().iter();
        entries
            .filter(|entry| entry.kind() == kind)
            .map(|entry| (entry.name().to_owned(), entry.summary()))
            .collect()
    };
    match what {
        What::Algorithms => of_kind(PluginKind::Algorithm),
        What::Plugins => of_kind(PluginKind::Part),
        What::Environments => environments::names()
            .filter_map(|name| environments::specification(name).ok())
            .map(|known| (known.name.to_owned(), environment(&known)))
            .chain([(
                format!("{}NAME", gymnasium::PREFIX),
                "whatever Python's Gymnasium can make; YARAK_PYTHON names the Python".to_owned(),
            )])
            .collect(),
        What::Steps => steps
            .iter()
            .map(|step| (step.name.clone(), uses(step)))
            .collect(),
        What::Slots => SLOTS
            .iter()
            .map(|(schedule, slot, about)| (format!("{schedule:8}  {slot}"), (*about).to_owned()))
            .collect(),
        What::Devices => ComputeDevice::available()
            .into_iter()
            .map(|(name, usable)| match usable {
                Ok(remark) => (name, remark),
                Err(error) => (name, error.to_string()),
            })
            .collect(),
    }
}

/// What a step writes, and what else it needs to be there.
fn uses(step: &StepAccess) -> String {
    let written = format!("writes {}", step.writes.join(", "));
    match step.reads.is_empty() {
        true => written,
        false => format!("{written}; reads {}", step.reads.join(", ")),
    }
}

/// What it is, and whether it can be made here, where that is known.
fn environment(known: &environments::Specification) -> String {
    let about = known.description;
    // A list starts no Python to see whether that has the library: only one that is named is looked at.
    let is_named = std::env::var_os("MUJOCO_LIB").is_some_and(|named| !named.is_empty());
    let library = match known.engine {
        environments::Engine::BuiltIn | environments::Engine::Shown => return about.to_owned(),
        environments::Engine::Mujoco if !is_named => {
            return format!(
                "{about}; needs MuJoCo's library: `pip install mujoco`, or name its file in MUJOCO_LIB"
            );
        }
        environments::Engine::Mujoco => environments::library_of(known.name),
    };
    match library {
        Some(library) => format!("{about}; {library} is here"),
        None => format!(
            "{about}; the library is not here: `pip install mujoco`, or name its file in MUJOCO_LIB"
        ),
    }
}

#[cfg(test)]
mod tests {
    use bevy_app::{App, Plugin};
    use bevy_reflect::Reflect;

    use super::*;
    use crate::scene::{AppSceneExt, Settings};

    /// Of the name of a plugin that comes along.
    #[derive(Clone, Default, Reflect)]
    struct Bc {}
    impl Plugin for Bc {
        fn build(&self, _: &mut App) {}
    }
    impl Settings for Bc {}

    #[test]
    fn two_plugins_of_one_name_are_an_error_that_names_both_types() {
        let program = Program::new(|app| {
            app.register_for_scenes::<Bc>();
        });
        let refused = List { what: None }.run(&program).err().unwrap().to_string();
        for word in ["`Bc`", "yarak::plugins::bc::Bc", "list::tests::Bc"] {
            assert!(refused.contains(word), "{refused}");
        }
    }
}
