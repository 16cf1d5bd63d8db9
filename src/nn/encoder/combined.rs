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
use crate::scene::FieldProblems;

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
    #[error(
        "a policy's state begins anew for all parts at once: give `{0}` its `horizon` around them, as in `{0}(each: Combined(..), horizon: ..)`"
    )]
    Resets(&'static str),
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
            if encoder.resets_at_horizon() {
                return Err(CombinedError::Resets(encoder.name()).into());
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

    fn check(&self, field: &str, problems: &mut FieldProblems) {
        for (index, part) in self.encoders.iter().enumerate() {
            let field = format!("{field}.encoders[{index}].encoder");
            if part.encoder.resets_at_horizon() {
                let error = CombinedError::Resets(part.encoder.name());
                problems.refuse(format!("{field}.horizon"), error.to_string());
            }
            part.encoder.check(&field, problems);
        }
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

    fn values_per_row(module: &CombinedModule) -> usize {
        let encoders = module.encoders.iter();
        encoders.map(|encoder| encoder.0.values_per_row()).sum()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::InitError;
    use crate::observation::{EncoderInput, ObservationParts};
    use crate::prelude::*;

    fn input(frames: usize) -> EncoderInput {
        let vector = |width| Space::from_bounds(&vec![(-1.0, 1.0); width]);
        let space = Space::dict([
            ("camera", Space::picture([20, 20, 3])),
            ("force", vector(2)),
            ("state", vector(3)),
        ]);
        EncoderInput::new(ObservationParts::of_space(&space), frames)
    }

    fn force() -> Combined {
        Combined {
            encoders: vec![PartEncoder {
                part: "force".into(),
                encoder: EncoderSettings::from(&[5]),
            }],
        }
    }

    fn actor(combined: Combined, input: &EncoderInput) -> Result<ActorNetwork, InitError> {
        let init = &mut Random::<Init>::new(Seed(0));
        let device = ComputeDevice::cpu().plain();
        ActorNetwork::new(combined, ActorHead::Deterministic, input, 1, &device, init)
    }

    #[test]
    fn each_part_has_its_own_features_and_the_rest_is_joined_as_it_is() {
        for frames in [1, 2] {
            let input = input(frames);
            let module = force().init(&input, &Device::flex()).unwrap();
            let width = 20 * 20 * 3 + 5;
            let row: Vec<f32> = (0..frames * width).map(|it| it as f32 * 0.01).collect();
            let row = Tensor::from_data(TensorData::new(row, [1, frames * width]), &Device::flex());
            let features = Combined::forward(&module, row.clone());
            // The force's 5, the camera's 256, the states.
            assert_eq!(features.dims(), [1, 5 + 256 + 3 * frames]);
            let rest = features.clone().narrow(1, 5 + 256, 3 * frames);
            let states = input.places("state");
            let states = Tensor::cat(
                states
                    .iter()
                    .map(|it| row.clone().narrow(1, it.start, 3))
                    .collect(),
                1,
            );
            assert_eq!(rest.into_data(), states.into_data());
            // Another force changes its own features alone.
            let places = input.places("force");
            let moved = row.slice_assign(
                [0..1, places[0].clone()],
                Tensor::from_floats([[7.0, -7.0]], &Device::flex()),
            );
            let other = Combined::forward(&module, moved);
            let own = |features: &Tensor<2>| features.clone().narrow(1, 0, 5).into_data();
            let others = |features: &Tensor<2>| {
                let width = features.dims()[1];
                features.clone().narrow(1, 5, width - 5).into_data()
            };
            assert_ne!(own(&features), own(&other));
            assert_eq!(others(&features), others(&other));
        }
    }

    #[test]
    fn parts_that_are_not_there_and_encoders_that_do_not_fit_are_refused_by_name() {
        let named = |part: &str, encoder: EncoderSettings| Combined {
            encoders: vec![PartEncoder {
                part: part.into(),
                encoder,
            }],
        };
        let refused = |combined| actor(combined, &input(1)).unwrap_err().to_string();
        let said = refused(named("wrist", Cnn::default().into()));
        assert!(
            said.contains("no part `wrist`") && said.contains("`camera` u8 [20, 20, 3]"),
            "{said}"
        );
        let said = refused(named("state", Cnn::default().into()));
        assert!(said.contains("`state` [3], which is none ("), "{said}");
        let said = refused(named("camera", EncoderSettings::default()));
        assert!(said.contains("write `encoder: Cnn()`"), "{said}");
        let said = refused(named("state", EncoderSettings::from(&[1 << 20, 1 << 20])));
        assert!(
            said.contains("would take") && said.contains("lower `hidden_sizes`"),
            "{said}"
        );
        let mut twice = force();
        twice.encoders.push(twice.encoders[0].clone());
        assert!(refused(twice).contains("`force` has two encoders"));
        let said = actor(Combined::default(), &input(1)).unwrap();
        assert_eq!(said.trunk().encoder().name(), "Combined");
    }

    #[test]
    fn what_encoders_keep_of_a_row_counts_towards_its_memory() {
        use crate::nn::Network;
        let force = Combined {
            encoders: vec![PartEncoder {
                part: "force".into(),
                encoder: EncoderSettings::from(&[5, 7]),
            }],
        };
        let head = 256;
        // The camera's two convolutions, 16 filters in 4x4 places and 32 in one, and the last layer.
        let camera = 16 * 16 + 32 + 256;
        let actor = actor(force, &input(1)).unwrap();
        assert_eq!(actor.values_per_row(), head + 5 + 7 + camera);
    }

    #[test]
    fn a_perceptron_for_all_parts_is_refused() {
        let init = &mut Random::<Init>::new(Seed(0));
        let device = ComputeDevice::cpu().plain();
        let head = ActorHead::Deterministic;
        let actor = ActorNetwork::new(&[8], head, input(1), 1, &device, init);
        let said = actor.unwrap_err().to_string();
        assert!(
            said.contains("the picture `camera`") && said.contains("`encoder: Combined()`"),
            "{said}"
        );
    }
}
