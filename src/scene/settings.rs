//! What a plugin promises so that scenes can name it: plain settings that reflect, have defaults, and check themselves.

use std::any::{Any, TypeId};

use bevy_app::{App, Plugin};
use bevy_reflect::structs::Struct;
use bevy_reflect::{GetTypeRegistration, Reflect, Typed};

use super::ForeignCode;

/// The settings of a plugin that a scene can name.
///
/// The struct is the plugin: its public fields are the settings, [`Default`] is the paper's values, and doc comments and
/// [`Bounds`](super::Bounds) next to the fields are what `yarak scene template` and `yarak scene schema` print. Fields may be
/// numbers, `bool`, `String`, `PathBuf`, `Option`, `Vec`, arrays, tuples, and structs and enums of these that derive `Reflect`.
///
/// A scene may leave out any field, at any depth, and keeps its default. Two kinds of value have no default to keep: the
/// fields of an enum's variant, which a scene gives in full (but for `Option`s), and a struct inside a `Vec` or behind an
/// `Option` that is `None`. The latter is partial, too, once its type says `#[reflect(Default)]`.
///
/// ```
/// use bevy_app::{App, Plugin};
/// use bevy_ecs::prelude::Resource;
/// use bevy_reflect::Reflect;
/// use yarak::scene::{Bounds, FieldProblems, Settings};
///
/// /// Saves the run every so many steps.
/// #[derive(Clone, Debug, Resource, Reflect)]
/// pub struct Savings {
///     /// Steps between two savings.
///     #[reflect(@Bounds::at_least(1.0))]
///     pub every: u64,
///     /// How many are kept.
///     pub keep: Option<usize>,
/// }
///
/// impl Default for Savings {
///     fn default() -> Self {
///         Self { every: 2_000, keep: None }
///     }
/// }
///
/// impl Plugin for Savings {
///     fn build(&self, app: &mut App) {
///         app.insert_resource(self.clone());
///     }
/// }
///
/// impl Settings for Savings {
///     fn check(&self, problems: &mut FieldProblems) {
///         if self.keep == Some(0) {
///             problems.refuse("keep", "nothing would be kept: leave it out to keep all");
///         }
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be named in a scene",
    note = "derive `Clone`, `Resource` and `Reflect` for `{Self}`, implement `Default` and `Plugin`, then write `impl Settings for {Self} {{}}`"
)]
pub trait Settings:
    Plugin + Struct + Reflect + Typed + GetTypeRegistration + Default + Clone
{
    /// Refuses values that contradict each other; called after every field was read and found within its bounds.
    fn check(&self, problems: &mut FieldProblems) {
        let _ = problems;
    }

    /// The modules of other people's code that the plugin imports where it runs, each with the field that names it. From a scene it is
    /// added only where [`ForeignCode`] allows them.
    fn imports(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }
}

/// What [`Settings::check`] has to say: fields and what is wrong with them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldProblems {
    found: Vec<(String, String)>,
}

impl FieldProblems {
    /// Refuses the value of a field, such as `critic.ensemble.n`, with a message that names the remedy.
    pub fn refuse(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.found.push((field.into(), message.into()));
    }

    /// The refused fields with their messages, in the order of their refusal.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.found
            .iter()
            .map(|(field, message)| (field.as_str(), message.as_str()))
    }

    /// Whether nothing was refused.
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }
}

/// Under which heading `yarak list` names a plugin: `#[reflect(@PluginKind::Algorithm)]` on the struct.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Reflect)]
pub enum PluginKind {
    /// It learns: it brings networks and the steps of an algorithm.
    Algorithm,
    /// Anything else: data, environments, evaluation, reports.
    #[default]
    Part,
}

/// Settings of any type, as a scene holds them; implemented for all [`Settings`].
pub trait AnySettings: Any + Send + Sync {
    /// The plugin's name in scenes: its type's name without the path.
    fn scene_name(&self) -> &'static str;

    /// The settings as a reflected value.
    fn as_reflected(&self) -> &dyn Reflect;

    /// The settings as a reflected value that can be changed.
    fn as_reflected_mut(&mut self) -> &mut dyn Reflect;

    /// What [`Settings::check`] refuses.
    fn refused_fields(&self) -> FieldProblems;

    /// What [`Settings::imports`] names.
    fn imported_modules(&self) -> Vec<(&'static str, String)>;

    /// Adds the plugin with these settings.
    ///
    /// # Errors
    /// The app has this plugin already, or does not allow a module that it imports.
    fn add_to(&self, app: &mut App) -> Result<(), NotAdded>;

    /// A copy.
    fn boxed_clone(&self) -> Box<dyn AnySettings>;
}

/// Why a scene's plugin is not added.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotAdded {
    /// The program had added it before, with settings of its own.
    #[error(
        "the app has `{name}` already, so the scene's settings for it would be lost: take `{name}` out of the scene or out of the program"
    )]
    Already {
        /// The plugin's name in scenes.
        name: &'static str,
    },
    /// It would run code that nobody allowed.
    #[error(
        "`{name}.{field}` imports the module `{module}`, whose code could do whatever you can: allow it with the resource `ForeignCode::Modules` in the app, or take it out of the scene"
    )]
    Import {
        /// The plugin's name in scenes.
        name: &'static str,
        /// The setting that names the module.
        field: &'static str,
        /// The module.
        module: String,
    },
}

impl<T: Settings> AnySettings for T {
    fn scene_name(&self) -> &'static str {
        scene_name::<T>()
    }

    fn as_reflected(&self) -> &dyn Reflect {
        self
    }

    fn as_reflected_mut(&mut self) -> &mut dyn Reflect {
        self
    }

    fn refused_fields(&self) -> FieldProblems {
        let mut problems = FieldProblems::default();
        self.check(&mut problems);
        problems
    }

    fn imported_modules(&self) -> Vec<(&'static str, String)> {
        self.imports()
    }

    fn add_to(&self, app: &mut App) -> Result<(), NotAdded> {
        let name = scene_name::<T>();
        if app.is_plugin_added::<T>() {
            return Err(NotAdded::Already { name });
        }
        let allowed = app.world().get_resource::<ForeignCode>().cloned();
        let allowed = allowed.unwrap_or_default();
        let mut imports = self.imports().into_iter();
        if let Some((field, module)) = imports.find(|(_, module)| !allowed.allows(module)) {
            return Err(NotAdded::Import {
                name,
                field,
                module,
            });
        }
        app.add_plugins(self.clone());
        Ok(())
    }

    fn boxed_clone(&self) -> Box<dyn AnySettings> {
        Box::new(self.clone())
    }
}

impl dyn AnySettings {
    /// The settings as their own type; `None` where they are of another.
    pub fn downcast<T: Settings>(&self) -> Option<&T> {
        let any: &dyn Any = self;
        (any.type_id() == TypeId::of::<T>()).then(|| any.downcast_ref())?
    }
}

impl Clone for Box<dyn AnySettings> {
    fn clone(&self) -> Self {
        (**self).boxed_clone()
    }
}

/// The name of a plugin in scenes.
pub(crate) fn scene_name<T: Settings>() -> &'static str {
    T::type_ident().unwrap_or_else(T::short_type_path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scene::test_settings::Td3Bc;

    #[test]
    fn boxed_settings_keep_their_type_and_copy_their_values() {
        let settings: Box<dyn AnySettings> = Box::new(Td3Bc {
            alpha: 1.0,
            ..Td3Bc::default()
        });
        let copy = settings.clone();
        assert_eq!(copy.scene_name(), "Td3Bc");
        assert_eq!((*copy).downcast::<Td3Bc>().unwrap().alpha, 1.0);
    }

    #[test]
    fn adding_a_plugin_that_the_program_has_is_refused_without_a_panic() {
        let mut app = App::empty();
        let settings: Box<dyn AnySettings> = Box::new(Td3Bc::default());
        (*settings).add_to(&mut app).unwrap();
        let refused = (*settings).add_to(&mut app).unwrap_err();
        assert_eq!(refused, NotAdded::Already { name: "Td3Bc" });
    }

    #[test]
    fn a_check_across_fields_names_the_field() {
        let settings = Td3Bc {
            batch_size: 1,
            n_step: 2,
            ..Td3Bc::default()
        };
        let refused = settings.refused_fields();
        assert_eq!(refused.iter().next().unwrap().0, "batch_size");
    }
}
