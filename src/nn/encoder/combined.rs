//! The encoder of observations of several parts.

use std::ops::Range;

use bevy_ecs::prelude::Result;
use bevy_reflect::Reflect;
use bevy_reflect::prelude::ReflectDefault;
use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::erased::ErasedModule;
use super::{Cnn, Encoder, EncoderSettings};
use crate::observation::EncoderInput;

/// An encoder for each of the parts that need one; all features, and the parts without an encoder, are joined.
///
/// Parts that are pictures have a [`Cnn`] where nothing else is said, and the other parts are joined as they are.
///
/// ```ron
/// Combined(encoders: [(part: "wrist", encoder: Cnn(features: 64)), (part: "force", encoder: Mlp(hidden_sizes: [32]))])
/// ```
#[derive(Clone, Debug, Default, PartialEq, Reflect)]
#[reflect(Default)]
pub struct Combined {
    /// The encoders, by the names of the parts.
    pub encoders: Vec<PartEncoder>,
}

/// The encoder of a part.
#[derive(Clone, Debug, Default, PartialEq, Reflect)]
#[reflect(Default)]
pub struct PartEncoder {
    /// The part's name, as `yarak data info` prints it.
    pub part: String,
    /// Its encoder.
    pub encoder: EncoderSettings,
}

/// Why encoders cannot be combined.
#[derive(Debug, thiserror::Error)]
enum CombinedError {
    #[error("there is no part `{name}`: the observation is {found}")]
    Unknown { name: String, found: String },
    #[error("the part `{0}` has two encoders: name it once")]
    Twice(String),
}

/// The module of a [`Combined`].
#[derive(Module, Debug)]
pub struct CombinedModule {
    encoders: Vec<ErasedModule>,
    /// Where the numbers of each encoder lie.
    #[module(skip)]
    places: Vec<Vec<Range<usize>>>,
    /// Where those lie that are joined as they are.
    #[module(skip)]
    rest: Vec<Range<usize>>,
}

impl Encoder for Combined {
    type Module = CombinedModule;

    fn init(&self, input: &EncoderInput, device: &Device) -> Result<CombinedModule> {
        let mut chosen: Vec<(String, EncoderSettings)> = Vec::new();
        for PartEncoder { part, encoder } in &self.encoders {
            if input.places(part).is_empty() {
                return Err(CombinedError::Unknown {
                    name: part.clone(),
                    found: input.to_string(),
                }
                .into());
            }
            if chosen.iter().any(|(name, _)| name == part) {
                return Err(CombinedError::Twice(part.clone()).into());
            }
            chosen.push((part.clone(), encoder.clone()));
        }
        for picture in input.pictures() {
            if !chosen.iter().any(|(name, _)| *name == picture) {
                chosen.push((picture, Cnn::default().into()));
            }
        }
        let parts = input.parts().iter().map(|part| &part.name);
        let bare = parts.filter(|name| !chosen.iter().any(|(known, _)| known == *name));
        let rest = bare.flat_map(|name| input.places(name)).collect();
        let places = chosen.iter().map(|(name, _)| input.places(name)).collect();
        let modules = chosen.iter().map(|(name, encoder)| {
            let encoder = encoder.erased(&input.only(&[name]), device)?;
            Ok(ErasedModule(encoder))
        });
        Ok(CombinedModule {
            encoders: modules.collect::<Result<_>>()?,
            places,
            rest,
        })
    }

    fn forward(module: &CombinedModule, observation: Tensor<2>) -> Tensor<2> {
        let encoders = module.encoders.iter().zip(&module.places);
        let mut features: Vec<Tensor<2>> = encoders
            .map(|(encoder, places)| encoder.0.forward(columns(&observation, places)))
            .collect();
        if !module.rest.is_empty() {
            features.push(columns(&observation, &module.rest));
        }
        Tensor::cat(features, 1)
    }
}

/// These columns side by side.
fn columns(rows: &Tensor<2>, places: &[Range<usize>]) -> Tensor<2> {
    let column = |place: &Range<usize>| rows.clone().narrow(1, place.start, place.len());
    match places {
        [place] => column(place),
        places => Tensor::cat(places.iter().map(column).collect(), 1),
    }
}
