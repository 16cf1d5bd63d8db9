//! The encoders that scenes can name and policies can be loaded with.
//!
//! They are types, so there is one table for the process: a policy is loaded where there is no app.

use std::any::TypeId;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use bevy_app::App;
use bevy_reflect::{Reflect, TypeInfo, TypeRegistry};

use super::settings::AnyEncoder;
use super::{Cnn, Combined, Encoder, EncoderSettings, Gru, Lstm, ResNet18, Transformer};
use crate::nn::MlpSettings;
use crate::scene::{Choice, RegistryError, SceneRegistry, one_line, read_settings};

/// One of them.
struct Entry {
    name: &'static str,
    id: TypeId,
    info: &'static TypeInfo,
    types: &'static TypeRegistry,
    default: fn() -> Box<dyn Reflect>,
    /// The settings as an encoder, where they are of its type.
    chosen: Choose,
}

type Choose = fn(Box<dyn Reflect>) -> Option<Box<dyn AnyEncoder>>;

fn table() -> MutexGuard<'static, Vec<Entry>> {
    static TABLE: OnceLock<Mutex<Vec<Entry>>> = OnceLock::new();
    let table = TABLE.get_or_init(|| {
        Mutex::new(vec![
            entry::<MlpSettings>(),
            entry::<Cnn>(),
            entry::<ResNet18>(),
            entry::<Combined>(),
            entry::<Lstm>(),
            entry::<Gru>(),
            entry::<Transformer>(),
        ])
    });
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

fn entry<E: Encoder>() -> Entry {
    let mut types = TypeRegistry::new();
    types.register::<E>();
    types.register::<EncoderSettings>();
    Entry {
        name: name_of::<E>(),
        id: TypeId::of::<E>(),
        info: E::type_info(),
        // Once for each type of the process.
        types: Box::leak(Box::new(types)),
        default: || Box::new(E::default()),
        chosen: |settings| {
            let settings = settings.downcast::<E>().ok()?;
            Some(settings)
        },
    }
}

/// What scenes call an encoder.
pub(super) fn name_of<E: Encoder>() -> &'static str {
    E::type_ident().unwrap_or_else(E::short_type_path)
}

/// Lets scenes name the encoder `E` by its type's name, and policies be loaded that have it. Registering a type twice changes
/// nothing.
///
/// ```
/// # use yarak::prelude::*;
/// # use yarak::nn::register_encoder;
/// // In a program that only acts: before `policy::Policy::load`.
/// register_encoder::<MlpSettings>()?;
/// # Ok::<(), yarak::scene::RegistryError>(())
/// ```
///
/// # Errors
/// [`RegistryError::SameName`] where another encoder has the name, [`RegistryError::Unsupported`] where a setting has a type that a
/// scene cannot hold.
pub fn register_encoder<E: Encoder>() -> Result<(), RegistryError> {
    let mut table = table();
    let name = name_of::<E>();
    if let Some(known) = table.iter().find(|known| known.name == name) {
        if known.id == TypeId::of::<E>() {
            return Ok(());
        }
        return Err(RegistryError::SameName {
            name,
            first: known.info.type_path(),
            second: E::type_info().type_path(),
        });
    }
    let entry = entry::<E>();
    SceneRegistry::check_settings(entry.info, name, entry.types)?;
    table.push(entry);
    Ok(())
}

/// Lets an app's scenes name encoders.
pub trait AppEncoderExt {
    /// Lets scenes name the encoder `E` in any network of any algorithm. A refused registration is reported when the next scene is
    /// read.
    fn register_encoder<E: Encoder>(&mut self) -> &mut Self;
}

impl AppEncoderExt for App {
    fn register_encoder<E: Encoder>(&mut self) -> &mut Self {
        if let Err(refused) = register_encoder::<E>() {
            let mut registry = self.world_mut().get_resource_or_init::<SceneRegistry>();
            registry.refuse(refused);
        }
        self
    }
}

/// All of them, for scenes.
pub(super) fn choices() -> Vec<Choice> {
    let choice = |entry: &Entry| Choice {
        info: entry.info,
        default: (entry.default)(),
        types: entry.types,
    };
    table().iter().map(choice).collect()
}

/// Settings as the encoder that they are of; `None` where they are of none.
pub(super) fn chosen(settings: Box<dyn Reflect>) -> Option<Box<dyn AnyEncoder>> {
    let id = (*settings).as_any().type_id();
    let chosen = table().iter().find(|entry| entry.id == id)?.chosen;
    chosen(settings)
}

impl EncoderSettings {
    /// The settings as a scene would give them, without the name: `(width: 64)`.
    pub(crate) fn written(&self) -> String {
        one_line(self.chosen().reflected().as_partial_reflect())
    }

    /// Reads what [`written`](Self::written) has made.
    ///
    /// # Errors
    /// In words, when no encoder is called so, or its settings are others.
    pub(crate) fn read(name: &str, text: &str) -> Result<Self, String> {
        let found = {
            let table = table();
            let entry = table.iter().find(|entry| entry.name == name);
            entry.map(|entry| (entry.default, entry.types, entry.chosen))
        };
        let (default, types, chosen) = found.ok_or_else(|| {
            format!("it has the encoder `{name}`, which this program does not know: call `register_encoder::<{name}>()` before it is loaded")
        })?;
        let mut settings = default();
        read_settings(text, settings.as_partial_reflect_mut(), types).map_err(|problems| {
            format!("its encoder `{name}` has other settings here: {problems}")
        })?;
        let chosen = chosen(settings).ok_or_else(|| format!("`{name}` is no encoder"))?;
        Ok(EncoderSettings::from_chosen(chosen))
    }
}
