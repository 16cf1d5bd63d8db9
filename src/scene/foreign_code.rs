//! Code of other people that a scene's plugins would run: modules that environments in Python import.
//!
//! A scene is data, and reading one runs nothing. But a name in it may be that of a module, whose code could do whatever its user can.
//! So a plugin that is added from a scene imports what the app allows, and nothing else. Settings that a program's own code names need
//! no leave.

use bevy_ecs::prelude::*;

/// What plugins that are added from a scene may do with other people's code. Without this resource they import no module.
///
/// ```
/// use bevy_app::App;
/// use yarak::scene::ForeignCode;
///
/// let mut app = App::new();
/// app.insert_resource(ForeignCode::Modules(vec!["my_worlds".to_owned()]));
/// ```
#[derive(Resource, Clone, Debug, PartialEq, Eq)]
pub enum ForeignCode {
    /// These modules may be imported, by their whole names as environments name them.
    Modules(Vec<String>),
    /// Nothing foreign is started, Python and simulators included: the app is looked at and not run.
    Untouched,
}

impl Default for ForeignCode {
    fn default() -> Self {
        ForeignCode::Modules(Vec::new())
    }
}

impl ForeignCode {
    /// Whether a plugin may be added that imports this module where the app runs.
    pub fn allows(&self, module: &str) -> bool {
        match self {
            ForeignCode::Modules(names) => names.iter().any(|name| name == module),
            ForeignCode::Untouched => true,
        }
    }

    /// Whether nothing foreign is started in this world.
    pub fn is_untouched(world: &World) -> bool {
        matches!(world.get_resource(), Some(ForeignCode::Untouched))
    }
}
