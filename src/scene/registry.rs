//! The plugins that scenes can name.

use std::any::TypeId;
use std::collections::HashMap;

use bevy_app::App;
use bevy_ecs::prelude::Resource;
use bevy_reflect::attributes::CustomAttributes;
use bevy_reflect::prelude::{ReflectDefault, ReflectFromReflect};
use bevy_reflect::{Reflect, TypeInfo, TypeRegistry};

use super::foreign_names;
use super::nearest::suggestion;
use super::setting_type::{Field, SettingType, Variant, struct_fields, type_name, variant_fields};
use super::settings::{AnySettings, PluginKind, Settings, scene_name};
use super::template::{doc_text, first_sentence, pretty};
use super::{json_schema, resolve, schema};

/// Why a plugin cannot be registered or found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// Two types have the same name.
    #[error(
        "two plugins are called `{name}` in scenes, `{first}` and `{second}`: rename one of them, or register only one"
    )]
    SameName {
        /// The name in scenes.
        name: &'static str,
        /// The type that was registered before.
        first: &'static str,
        /// The type that was refused.
        second: &'static str,
    },
    /// A field's type is none that a scene can hold.
    #[error(
        "`{path}` is a `{type_path}`, which a scene cannot hold: use numbers, bool, String, PathBuf, Option, Vec, arrays, tuples, or structs and enums of these that derive Reflect; or hide the field with #[reflect(ignore)]"
    )]
    Unsupported {
        /// The field, such as `Td3Bc.critic.extra`.
        path: String,
        /// Its type.
        type_path: &'static str,
    },
    /// No plugin has the name.
    #[error("no plugin is called `{name}`: {help}")]
    Unknown {
        /// The name that was asked for.
        name: String,
        /// The nearest names and all names.
        help: String,
    },
}

/// All plugins that scenes can name; a resource of the app that the command line runs.
///
/// ```
/// # use bevy_app::{App, Plugin};
/// # use bevy_reflect::Reflect;
/// use yarak::scene::{Scene, SceneRegistry, Settings};
///
/// /// Greets at the start.
/// #[derive(Clone, Debug, Default, Reflect)]
/// struct Greeting {
///     /// How often.
///     times: u32,
/// }
/// impl Plugin for Greeting {
///     fn build(&self, _app: &mut App) {}
/// }
/// impl Settings for Greeting {}
///
/// let mut registry = SceneRegistry::new();
/// registry.register::<Greeting>()?;
/// assert_eq!(registry.entry("Greeting")?.summary(), "Greets at the start");
///
/// let scene = Scene::parse("hi.ron", "(steps: 10, plugins: [Greeting(times: 3)])", &registry, &[])?;
/// assert_eq!(scene.settings::<Greeting>().unwrap().times, 3);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Resource)]
pub struct SceneRegistry {
    entries: Vec<SceneEntry>,
    types: TypeRegistry,
    refused: Vec<RegistryError>,
}

/// A plugin that scenes can name.
pub struct SceneEntry {
    name: &'static str,
    info: &'static TypeInfo,
    attributes: &'static CustomAttributes,
    new: fn() -> Box<dyn AnySettings>,
    /// The types that have defaults of their own: their fields may be left out anywhere.
    partial: OwnDefaults,
}

/// The defaults of types that have some wherever they are.
pub(crate) type OwnDefaults = HashMap<TypeId, Box<dyn Reflect>>;

impl Default for SceneRegistry {
    fn default() -> Self {
        Self::new()
    }
}

impl SceneRegistry {
    /// A registry without plugins.
    pub fn new() -> Self {
        let mut types = TypeRegistry::new();
        types.register::<resolve::Header>();
        Self {
            entries: Vec::new(),
            types,
            refused: Vec::new(),
        }
    }

    /// Lets scenes name `T` by its type's name. Registering a type twice changes nothing.
    ///
    /// # Errors
    /// [`RegistryError::SameName`] where another type has the name, [`RegistryError::Unsupported`] where a field has a type
    /// that a scene cannot hold.
    pub fn register<T: Settings>(&mut self) -> Result<&mut Self, RegistryError> {
        let name = scene_name::<T>();
        let info = T::type_info();
        if let Some(known) = self.entries.iter().find(|entry| entry.name == name) {
            if known.info.type_id() == info.type_id() {
                return Ok(self);
            }
            return Err(RegistryError::SameName {
                name,
                first: known.info.type_path(),
                second: info.type_path(),
            });
        }
        self.types.register::<T>();
        let TypeInfo::Struct(fields) = info else {
            return Err(RegistryError::Unsupported {
                path: name.to_owned(),
                type_path: info.type_path(),
            });
        };
        Self::check_settings(info, name, &self.types)?;
        self.entries.push(SceneEntry {
            name,
            info,
            attributes: fields.custom_attributes(),
            new: || Box::new(T::default()),
            partial: self
                .types
                .iter()
                .filter_map(|known| {
                    let default = known.data::<ReflectDefault>()?;
                    Some((known.type_id(), default.default()))
                })
                .collect(),
        });
        self.entries.sort_by_key(|entry| entry.name);
        Ok(self)
    }

    /// Refuses types that could not be read or printed, at registration rather than in somebody's scene.
    pub(crate) fn check_settings(
        info: &'static TypeInfo,
        name: &str,
        types: &TypeRegistry,
    ) -> Result<(), RegistryError> {
        check_type(types, info, name, &mut Vec::new())
    }

    /// Keeps a registration that failed, for whoever reads the next scene.
    pub(crate) fn refuse(&mut self, refused: RegistryError) {
        self.refused.push(refused);
    }

    /// All plugins, by name.
    pub fn entries(&self) -> &[SceneEntry] {
        &self.entries
    }

    /// The names of all plugins.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + Clone + '_ {
        self.entries.iter().map(|entry| entry.name)
    }

    /// The plugin of a name.
    ///
    /// # Errors
    /// [`RegistryError::Unknown`] with the nearest names.
    pub fn entry(&self, name: &str) -> Result<&SceneEntry, RegistryError> {
        let found = self.entries.iter().find(|entry| entry.name == name);
        found.ok_or_else(|| RegistryError::Unknown {
            name: name.to_owned(),
            help: match foreign_names::plugin(name) {
                Some(here) => foreign_names::is_called(name, here),
                None => suggestion(name, self.names(), "plugins").unwrap_or_default(),
            },
        })
    }

    /// The schema of a whole scene of these plugins as JSON Schema, draft 2020-12.
    pub fn json_schema(&self) -> serde_json::Value {
        let entries = self.entries.iter();
        json_schema::whole(entries.map(|entry| (entry.name, entry.json_schema())))
    }

    /// The registrations through [`AppSceneExt::register_for_scenes`] that failed; no scene is read while there are any.
    pub fn refused(&self) -> &[RegistryError] {
        &self.refused
    }

    pub(crate) fn types(&self) -> &TypeRegistry {
        &self.types
    }
}

fn check_type(
    types: &TypeRegistry,
    info: &'static TypeInfo,
    path: &str,
    seen: &mut Vec<TypeId>,
) -> Result<(), RegistryError> {
    if seen.contains(&info.type_id()) {
        return Ok(());
    }
    seen.push(info.type_id());
    let unsupported = || RegistryError::Unsupported {
        path: path.to_owned(),
        type_path: info.type_path(),
    };
    let setting_type = SettingType::of(info).ok_or_else(unsupported)?;
    let converts = types
        .get_type_data::<ReflectFromReflect>(info.type_id())
        .is_some();
    // Tuples and arrays are filled item by item; the others may have to be made from their parts.
    if !converts && !matches!(setting_type, SettingType::Row(_)) {
        return Err(unsupported());
    }
    let mut fields = |fields: Vec<Field>| {
        fields.iter().try_for_each(|field| {
            let path = match field.name {
                "" => path.to_owned(),
                name => format!("{path}.{name}"),
            };
            check_type(types, field.info, &path, seen)
        })
    };
    match setting_type {
        // Those were looked at when they were listed.
        SettingType::Leaf(_) | SettingType::Choice(_) => Ok(()),
        SettingType::Option(content) | SettingType::List(content) => {
            check_type(types, content, path, seen)
        }
        SettingType::Row(row) => fields(row.items),
        SettingType::Struct(info) => fields(struct_fields(info)),
        SettingType::Enum(info) => {
            info.iter()
                .try_for_each(|variant| match variant_fields(variant) {
                    Variant::Unit => Ok(()),
                    Variant::Tuple(items) | Variant::Struct(items) => fields(items),
                })
        }
    }
}

impl SceneEntry {
    /// The plugin's name in scenes.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Whether it is an algorithm, from `#[reflect(@PluginKind::Algorithm)]` on the struct.
    pub fn kind(&self) -> PluginKind {
        self.attributes.get().copied().unwrap_or_default()
    }

    /// The first sentence of the struct's doc comment, for lists.
    pub fn summary(&self) -> String {
        first_sentence(self.info.docs().unwrap_or_default())
    }

    /// The struct's doc comment.
    pub fn docs(&self) -> String {
        doc_text(self.info.docs().unwrap_or_default())
    }

    /// The default settings.
    pub fn default_settings(&self) -> Box<dyn AnySettings> {
        (self.new)()
    }

    /// The default settings as RON, each field under a comment with its meaning and range; reads back to the defaults, once what a
    /// scene has to give is filled in.
    pub fn template(&self) -> String {
        let summary = self.summary();
        let settings = self.default_settings();
        let value = settings.as_reflected().as_partial_reflect();
        let mut text = pretty(self.name, value, true, 0);
        if !summary.is_empty() {
            text = format!("// {summary}\n{text}");
        }
        text.push('\n');
        text
    }

    /// A scene of this plugin alone, with every setting at its default, commented.
    pub fn scene_template(&self) -> String {
        format!(
            "Scene(\n    steps: 20_000,\n    plugins: [\n{}    ],\n)\n",
            self.commented()
        )
    }

    /// The plugin as a scene lists it, every setting at its default and commented, in lines that are indented for a scene.
    pub fn commented(&self) -> String {
        let settings = self.default_settings();
        let value = settings.as_reflected().as_partial_reflect();
        let mut summary = String::new();
        if !self.summary().is_empty() {
            summary = format!("        // {}\n", self.summary());
        }
        format!("{summary}        {},\n", pretty(self.name, value, true, 2))
    }

    /// Every field with its type, range and doc comment, and its default or that it is required, as indented text.
    pub fn schema_text(&self) -> String {
        let settings = self.default_settings();
        schema::text(
            self.name,
            settings.as_reflected().as_partial_reflect(),
            self.info,
            &self.partial,
        )
    }

    /// The settings as JSON Schema, draft 2020-12.
    pub fn json_schema(&self) -> serde_json::Value {
        let settings = self.default_settings();
        json_schema::schema(
            self.name,
            settings.as_reflected().as_partial_reflect(),
            self.info,
            &self.partial,
        )
    }
}

impl std::fmt::Debug for SceneEntry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SceneEntry({}: {})", self.name, type_name(self.info))
    }
}

/// Lets an app's scenes name plugins.
pub trait AppSceneExt {
    /// Lets scenes name the plugin `T`. A refused registration is reported when the next scene is read.
    fn register_for_scenes<T: Settings>(&mut self) -> &mut Self;
}

impl AppSceneExt for App {
    fn register_for_scenes<T: Settings>(&mut self) -> &mut Self {
        let mut registry = self.world_mut().get_resource_or_init::<SceneRegistry>();
        if let Err(refused) = registry.register::<T>() {
            registry.refuse(refused);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scene::test_settings::{Evaluation, Td3Bc, registry};
    use bevy_app::Plugin;

    mod other {
        use super::*;

        #[derive(Clone, Default, Reflect)]
        pub(super) struct Evaluation;
        impl Plugin for Evaluation {
            fn build(&self, _app: &mut App) {}
        }
        impl Settings for Evaluation {}
    }

    #[derive(Clone, Default, Reflect)]
    struct WithMap {
        table: std::collections::HashMap<String, u32>,
    }
    impl Plugin for WithMap {
        fn build(&self, _app: &mut App) {}
    }
    impl Settings for WithMap {}

    #[derive(Clone, Default, Reflect)]
    struct Tree {
        branches: Vec<Branch>,
    }
    #[derive(Clone, Default, Reflect)]
    struct Branch {
        length: f32,
        branches: Vec<Branch>,
    }
    impl Plugin for Tree {
        fn build(&self, _app: &mut App) {}
    }
    impl Settings for Tree {}

    #[test]
    fn two_plugins_of_one_name_are_refused_and_the_same_one_twice_is_not() {
        let mut registry = registry();
        assert!(registry.register::<Evaluation>().is_ok());
        let refused = registry.register::<other::Evaluation>().err().unwrap();
        assert!(matches!(
            refused,
            RegistryError::SameName {
                name: "Evaluation",
                ..
            }
        ));
        assert_eq!(
            registry.names().collect::<Vec<_>>(),
            ["Evaluation", "Td3Bc", "TensorBoard"]
        );
    }

    #[test]
    fn a_field_that_no_scene_can_hold_is_refused_at_registration() {
        let refused = SceneRegistry::new().register::<WithMap>().err().unwrap();
        assert!(
            refused.to_string().starts_with("`WithMap.table` is a `"),
            "{refused}"
        );
    }

    #[test]
    fn a_type_that_holds_itself_is_registered_described_and_read() {
        let mut registry = SceneRegistry::new();
        registry.register::<Tree>().unwrap();
        let entry = registry.entry("Tree").unwrap();
        assert!(entry.schema_text().contains("branches"));
        assert!(entry.json_schema().is_object());
        let text = "(steps: 1, plugins: [Tree(branches: [(length: 1, branches: [(length: 2, branches: [])])])])";
        let scene = super::super::Scene::parse("a.ron", text, &registry, &[]).unwrap();
        let tree = scene.settings::<Tree>().unwrap();
        assert_eq!(tree.branches[0].branches[0].length, 2.0);
    }

    #[test]
    fn an_entry_tells_kind_and_summary_from_the_struct_itself() {
        let registry = registry();
        let entry = registry.entry("Td3Bc").unwrap();
        assert_eq!(entry.kind(), PluginKind::Algorithm);
        assert_eq!(
            entry.summary(),
            "TD3+BC: TD3 whose actor also imitates the data (Fujimoto & Gu 2021)"
        );
        assert!(entry.docs().ends_with("A stand-in."));
        assert_eq!(
            registry.entry("Evaluation").unwrap().kind(),
            PluginKind::Part
        );
        let default = entry.default_settings();
        assert_eq!((*default).downcast::<Td3Bc>(), Some(&Td3Bc::default()));
        let unknown = registry.entry("Td3Bd").unwrap_err().to_string();
        assert_eq!(
            unknown,
            "no plugin is called `Td3Bd`: did you mean `Td3Bc`? the plugins are: Evaluation, Td3Bc, TensorBoard"
        );
    }

    #[test]
    fn an_app_keeps_a_refused_registration_for_the_next_scene() {
        let mut app = App::empty();
        app.register_for_scenes::<Evaluation>()
            .register_for_scenes::<other::Evaluation>();
        let registry = app.world().resource::<SceneRegistry>();
        assert_eq!(registry.refused().len(), 1);
        let refused = super::super::Scene::parse("a.ron", "(steps: 1, plugins: [])", registry, &[]);
        assert!(
            refused
                .unwrap_err()
                .to_string()
                .contains("two plugins are called `Evaluation`")
        );
    }
}
