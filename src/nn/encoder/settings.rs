//! The encoder that a scene chooses.

use std::fmt;

use bevy_reflect::prelude::{ReflectDefault, ReflectFromReflect};
use bevy_reflect::{FromReflect, PartialReflect, Reflect};
use burn::tensor::Device;

use super::erased::{Erased, erase};
use super::steps::StepsError;
use super::{Encoder, InitError, table};
use crate::nn::MlpSettings;
use crate::observation::EncoderInput;
use crate::scene::{Choices, FieldProblems};

/// An encoder with its settings, as a network's setting: `encoder: Mlp(hidden_sizes: [256, 256])`, or another one that is
/// [registered](super::AppEncoderExt).
///
/// ```
/// use yarak::prelude::*;
///
/// let encoder = EncoderSettings::from(&[64, 64]);
/// assert_eq!(encoder.as_mlp().unwrap().hidden_sizes, [64, 64]);
/// assert_eq!(encoder.name(), "Mlp");
/// ```
#[derive(Reflect)]
#[reflect(from_reflect = false)]
#[reflect(Default, FromReflect, @CHOICES)]
pub struct EncoderSettings {
    #[reflect(ignore)]
    chosen: Box<dyn AnyEncoder>,
}

const CHOICES: Choices = Choices {
    noun: "an encoder",
    list: table::choices,
    content: |value| {
        let value: &EncoderSettings = value.try_downcast_ref()?;
        Some(value.chosen.reflected())
    },
    content_mut: |value| {
        let value: &mut EncoderSettings = value.try_downcast_mut()?;
        Some(value.chosen.reflected_mut())
    },
    set: |value, content| match (
        value.try_downcast_mut::<EncoderSettings>(),
        table::chosen(content),
    ) {
        (Some(value), Some(chosen)) => {
            value.chosen = chosen;
            true
        }
        _ => false,
    },
};

impl EncoderSettings {
    /// An encoder of your own, or one of ours.
    pub fn new(encoder: impl Encoder) -> Self {
        EncoderSettings {
            chosen: Box::new(encoder),
        }
    }

    /// Its name in scenes.
    pub fn name(&self) -> &'static str {
        self.chosen.name()
    }

    /// Whether it reads the observations side by side one after the other: [`Encoder::HAS_MEMORY`].
    pub fn has_memory(&self) -> bool {
        self.chosen.has_memory()
    }

    /// Whether it begins anew every `frame_stack` steps where it acts: [`Encoder::resets_at_horizon`].
    pub fn resets_at_horizon(&self) -> bool {
        self.chosen.resets_at_horizon()
    }

    /// Why it cannot begin anew where not every step of a window is trained; `None` where it does not.
    pub(crate) fn refusal_of_resets(&self) -> Option<InitError> {
        self.resets_at_horizon().then(|| InitError::Refused {
            encoder: self.name(),
            why: StepsError::Resets.to_string(),
        })
    }

    /// Why it cannot be shown so many steps side by side; `None` where it can.
    pub(crate) fn refusal_of_steps(&self, steps: usize) -> Option<InitError> {
        let is_refused = self.has_memory() && steps < 2;
        is_refused.then(|| InitError::Refused {
            encoder: self.name(),
            why: StepsError::One.to_string(),
        })
    }

    /// The settings of a multi-layer perceptron; `None` where it is another encoder.
    pub fn as_mlp(&self) -> Option<&MlpSettings> {
        self.chosen.reflected().downcast_ref()
    }

    /// The same, to be changed.
    pub fn as_mlp_mut(&mut self) -> Option<&mut MlpSettings> {
        self.chosen.reflected_mut().downcast_mut()
    }

    /// Gives an `Mlp` other hidden layers, and leaves the rest of it; another encoder becomes such an `Mlp`.
    pub fn set_hidden_sizes(&mut self, hidden_sizes: &[usize]) {
        match self.as_mlp_mut() {
            Some(mlp) => mlp.hidden_sizes = hidden_sizes.to_vec(),
            None => *self = hidden_sizes.into(),
        }
    }

    /// Refuses what contradicts itself, for [`Settings::check`](crate::scene::Settings::check); `field` is where this encoder is, such
    /// as `actor.encoder`.
    pub fn check(&self, field: &str, problems: &mut FieldProblems) {
        self.chosen.refuse_contradictions(field, problems);
    }

    pub(super) fn chosen(&self) -> &dyn AnyEncoder {
        &*self.chosen
    }

    /// The module for such an input.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(super) fn erased(
        &self,
        input: &EncoderInput,
        device: &Device,
    ) -> Result<Box<dyn Erased>, InitError> {
        self.chosen.erased(input, device)
    }

    pub(super) fn from_chosen(chosen: Box<dyn AnyEncoder>) -> Self {
        EncoderSettings { chosen }
    }
}

impl Default for EncoderSettings {
    fn default() -> Self {
        EncoderSettings::new(MlpSettings::default())
    }
}

impl Clone for EncoderSettings {
    fn clone(&self) -> Self {
        EncoderSettings {
            chosen: self.chosen.boxed_clone(),
        }
    }
}

impl fmt::Debug for EncoderSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.chosen.fmt(f)
    }
}

impl PartialEq for EncoderSettings {
    fn eq(&self, other: &Self) -> bool {
        let other = other.chosen.reflected().as_partial_reflect();
        self.chosen.reflected().reflect_partial_eq(other) == Some(true)
    }
}

impl FromReflect for EncoderSettings {
    fn from_reflect(value: &dyn PartialReflect) -> Option<Self> {
        value.try_downcast_ref().cloned()
    }
}

impl<E: Encoder> From<E> for EncoderSettings {
    fn from(encoder: E) -> Self {
        EncoderSettings::new(encoder)
    }
}

impl From<&[usize]> for EncoderSettings {
    fn from(hidden_sizes: &[usize]) -> Self {
        EncoderSettings::new(MlpSettings::from(hidden_sizes))
    }
}

impl From<&Vec<usize>> for EncoderSettings {
    fn from(hidden_sizes: &Vec<usize>) -> Self {
        hidden_sizes[..].into()
    }
}

impl<const N: usize> From<&[usize; N]> for EncoderSettings {
    fn from(hidden_sizes: &[usize; N]) -> Self {
        hidden_sizes[..].into()
    }
}

/// An encoder's settings of any type; implemented for every [`Encoder`].
pub(super) trait AnyEncoder: Send + Sync + fmt::Debug {
    fn name(&self) -> &'static str;
    fn has_memory(&self) -> bool;
    fn resets_at_horizon(&self) -> bool;
    fn refuse_contradictions(&self, field: &str, problems: &mut FieldProblems);
    fn reflected(&self) -> &dyn Reflect;
    fn reflected_mut(&mut self) -> &mut dyn Reflect;
    fn boxed_clone(&self) -> Box<dyn AnyEncoder>;
    /// The module for such an input.
    fn erased(&self, input: &EncoderInput, device: &Device) -> Result<Box<dyn Erased>, InitError>;
}

impl<E: Encoder> AnyEncoder for E {
    fn name(&self) -> &'static str {
        table::name_of::<E>()
    }

    fn has_memory(&self) -> bool {
        E::HAS_MEMORY
    }

    fn resets_at_horizon(&self) -> bool {
        Encoder::resets_at_horizon(self)
    }

    fn refuse_contradictions(&self, field: &str, problems: &mut FieldProblems) {
        self.check(field, problems);
    }

    fn reflected(&self) -> &dyn Reflect {
        self
    }

    fn reflected_mut(&mut self) -> &mut dyn Reflect {
        self
    }

    fn boxed_clone(&self) -> Box<dyn AnyEncoder> {
        Box::new(self.clone())
    }

    fn erased(&self, input: &EncoderInput, device: &Device) -> Result<Box<dyn Erased>, InitError> {
        let module = self.init(input, device);
        let module = module.map_err(|why| InitError::Refused {
            encoder: self.name(),
            why: why.to_string(),
        })?;
        erase::<E>(module)
    }
}
