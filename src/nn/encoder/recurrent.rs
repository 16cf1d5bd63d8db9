//! Encoders that carry a state from step to step.

use bevy_ecs::prelude::Result;
use bevy_reflect::Reflect;
use bevy_reflect::prelude::ReflectDefault;
use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::steps::{self, Steps};
use super::{Encoder, EncoderSettings};
use crate::memory;
use crate::nn::recurrence::{Cell, Recurrence};
use crate::observation::EncoderInput;
use crate::scene::{Bounds, FieldProblems};

/// Long short-term memory over the steps that `frame_stack` lays side by side (Hochreiter & Schmidhuber 1997,
/// <https://doi.org/10.1162/neco.1997.9.8.1735>, with the forget gate of Gers et al. 2000): `encoder: Lstm(hidden_size: 400)`.
///
/// The state is zero in front of the oldest step, in training and in acting alike.
#[derive(Clone, Debug, PartialEq, Reflect)]
#[reflect(Default)]
pub struct Lstm {
    /// What encodes the observation of each step, in front of the memory. An `Mlp` without hidden layers leaves it as it is.
    pub each: EncoderSettings,
    /// Numbers in the state of a layer, and in the features.
    #[reflect(@Bounds::within(1.0, 16_384.0))]
    pub hidden_size: usize,
    /// Layers, each of which reads the states of the one below.
    #[reflect(@Bounds::within(1.0, 64.0))]
    pub layers: usize,
}

/// Gated recurrent units over the steps that `frame_stack` lays side by side (Cho et al. 2014, <https://arxiv.org/abs/1406.1078>, with
/// the reset gate behind the product, as cuDNN and PyTorch have it): `encoder: Gru(hidden_size: 400)`.
///
/// The state is zero in front of the oldest step, in training and in acting alike.
#[derive(Clone, Debug, PartialEq, Reflect)]
#[reflect(Default)]
pub struct Gru {
    /// What encodes the observation of each step, in front of the memory. An `Mlp` without hidden layers leaves it as it is.
    pub each: EncoderSettings,
    /// Numbers in the state of a layer, and in the features.
    #[reflect(@Bounds::within(1.0, 16_384.0))]
    pub hidden_size: usize,
    /// Layers, each of which reads the states of the one below.
    #[reflect(@Bounds::within(1.0, 64.0))]
    pub layers: usize,
}

impl Default for Lstm {
    /// robomimic's BC-RNN: two layers of 400, and the observations as they are.
    fn default() -> Self {
        Lstm {
            each: steps::as_it_is(),
            hidden_size: 400,
            layers: 2,
        }
    }
}

impl Default for Gru {
    /// As [`Lstm`].
    fn default() -> Self {
        let Lstm {
            each,
            hidden_size,
            layers,
        } = Lstm::default();
        Gru {
            each,
            hidden_size,
            layers,
        }
    }
}

/// The module of an [`Lstm`] or a [`Gru`].
#[derive(Module, Debug)]
pub struct RecurrentModule {
    steps: Steps,
    layers: Vec<Recurrence>,
}

impl RecurrentModule {
    fn new(
        cell: Cell,
        (each, hidden_size, layers): (&EncoderSettings, usize, usize),
        input: &EncoderInput,
        device: &Device,
    ) -> Result<Self> {
        let (steps, features) = Steps::new(each, input, device)?;
        let widths = std::iter::once(features).chain(std::iter::repeat_n(hidden_size, layers - 1));
        let widths: Vec<usize> = widths.collect();
        let parameters = widths
            .iter()
            .map(|width| cell.parameters(*width, hidden_size));
        // The weights, their gradients and two moments.
        let bytes = 16 * parameters.sum::<u64>();
        let what = format!("{layers} recurrent layers of {hidden_size}");
        memory::check(&what, bytes, "lower `hidden_size`")?;
        let layers = widths.iter();
        let layers = layers.map(|width| Recurrence::new(cell, *width, hidden_size, device));
        Ok(RecurrentModule {
            steps,
            layers: layers.collect(),
        })
    }

    /// The states of the last layer at each step, `[batch, steps, hidden_size]`.
    fn states(&self, observation: Tensor<2>) -> Tensor<3> {
        let features = self.steps.features(observation);
        let layers = self.layers.iter();
        layers.fold(features, |below, layer| layer.forward(below))
    }

    fn values_per_row(&self) -> usize {
        let layers = self.layers.iter().map(Recurrence::values_per_step);
        self.steps.values_per_row() + self.steps.count() * layers.sum::<usize>()
    }
}

macro_rules! recurrent {
    ($encoder:ident) => {
        impl Encoder for $encoder {
            type Module = RecurrentModule;

            const HAS_MEMORY: bool = true;

            fn init(&self, input: &EncoderInput, device: &Device) -> Result<RecurrentModule> {
                let settings = (&self.each, self.hidden_size, self.layers);
                RecurrentModule::new(Cell::$encoder, settings, input, device)
            }

            fn check(&self, field: &str, problems: &mut FieldProblems) {
                steps::check_each(&self.each, field, problems);
            }

            fn forward(module: &RecurrentModule, observation: Tensor<2>) -> Tensor<2> {
                steps::last(module.states(observation))
            }

            fn forward_each(module: &RecurrentModule, observation: Tensor<2>) -> Tensor<2> {
                steps::each(module.states(observation))
            }

            fn values_per_row(module: &RecurrentModule) -> usize {
                module.values_per_row()
            }
        }
    };
}

recurrent!(Lstm);
recurrent!(Gru);
