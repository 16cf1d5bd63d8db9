//! Scenes: a run as a RON file that lists plugins with their settings.
//!
//! ```ron
//! Scene(
//!     name: "pendulum-medium-expert, TD3+BC",
//!     seed: 0,
//!     steps: 20_000,
//!     plugins: [
//!         Dataset(path: "assets/pendulum-medium-expert.hdf5", normalize: true),
//!         Td3Bc(alpha: 2.5, critic: (ensemble: (n: 2), layers: [256, 256])),
//!     ],
//!     order: [ Replace(Actor, with: "bc::clone_behavior") ],
//! )
//! ```
//!
//! A plugin that scenes can name is a struct whose public fields are its settings: it implements [`Settings`] and is
//! registered in a [`SceneRegistry`]. A [`Scene`] is read by reflection, from a file and from overrides such as
//! `Td3Bc.alpha=1.0`; it is read as a whole or refused as a whole, with all [`Problems`] at once, before anything is
//! allocated. Nothing here knows tensors or schedules: edits to the order of steps stay plain data, [`OrderEdit`].
//!
//! The way of a scene through the files: `split` cuts its `text` into values with places; `read` puts them into settings
//! along their types (`setting_type`), `build` makes those that have no default, `leaf` reads the values at the ends, [`Bounds`]
//! limits them and says which have to be given, `choice` reads what is one of an open set; `find` finds a value of a type; `overrides` changes some; `resolve` checks the whole; `document` holds it. `template`, `schema` and
//! `json_schema` print settings, `differences` compares them. `foreign_names` knows what others call them, `nearest` what was
//! misspelled.

mod bounds;
mod build;
mod choice;
mod differences;
mod document;
mod find;
mod foreign_code;
mod foreign_names;
mod json_schema;
mod keywords;
mod leaf;
mod nearest;
mod order;
mod overrides;
mod problem;
mod read;
mod registry;
mod resolve;
mod schema;
mod setting_type;
mod settings;
mod split;
mod template;
#[cfg(test)]
#[path = "stand_in_tests.rs"]
mod test_settings;
mod text;

pub use bounds::Bounds;
pub(crate) use choice::{Choice, Choices, read_settings};
pub use differences::Difference;
pub use document::Scene;
pub(crate) use find::find;
pub use foreign_code::ForeignCode;
pub(crate) use foreign_names::{check_metric, metric as foreign_metric};
pub use keywords::Keywords;
pub(crate) use leaf::quoted;
pub(crate) use nearest::suggestion;
pub(crate) use order::written;
pub use order::{InsertedStep, OrderChange, OrderEdit, OrderName};
pub use problem::{Problem, Problems};
pub(crate) use read::Reader;
pub use registry::{AppSceneExt, RegistryError, SceneEntry, SceneRegistry};
pub(crate) use setting_type::struct_fields;
pub use settings::{AnySettings, FieldProblems, NotAdded, PluginKind, Settings};
pub(crate) use split::{LARGEST, split};
pub(crate) use template::one_line;
pub(crate) use text::{Item, Node, Shape, Source};
