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

/// How the `frame_stack` steps that a recurrent encoder reads move along an episode that is played.
///
/// The last two are robomimic's RNN policies, with and without `open_loop`. Steps that come soon after a reset are as frequent as any
/// others, so each of a window has to be trained, as `Bc(supervise_all_steps: true)` does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Reflect)]
#[reflect(Default)]
pub enum Horizon {
    /// At each step it reads the last `frame_stack` of them. Where the episode began too recently, its first stands for those before it.
    #[default]
    Sliding,
    /// Its state is zero at the beginning of an episode and again after every `frame_stack` steps: it reads those since.
    Resetting,
    /// The same, and what it saw in the first step after a reset is what it sees in all of them.
    OpenLoop,
}

/// Long short-term memory over the steps that `frame_stack` lays side by side (Hochreiter & Schmidhuber 1997,
/// <https://doi.org/10.1162/neco.1997.9.8.1735>, with the forget gate of Gers et al. 2000): `encoder: Lstm(hidden_size: 400)`.
///
/// The state is zero in front of the oldest step, in training and in acting alike; [`Horizon`] says how the steps move along an episode.
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
    /// How the steps that it reads move along an episode.
    pub horizon: Horizon,
}

/// Gated recurrent units over the steps that `frame_stack` lays side by side (Cho et al. 2014, <https://arxiv.org/abs/1406.1078>, with
/// the reset gate behind the product, as cuDNN and PyTorch have it): `encoder: Gru(hidden_size: 400)`.
///
/// The state is zero in front of the oldest step, in training and in acting alike; [`Horizon`] says how the steps move along an episode.
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
    /// How the steps that it reads move along an episode.
    pub horizon: Horizon,
}

impl Default for Lstm {
    /// robomimic's BC-RNN: two layers of 400, and the observations as they are.
    fn default() -> Self {
        Lstm {
            each: steps::as_it_is(),
            hidden_size: 400,
            layers: 2,
            horizon: Horizon::Sliding,
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
            horizon,
        } = Lstm::default();
        Gru {
            each,
            hidden_size,
            layers,
            horizon,
        }
    }
}

/// The module of an [`Lstm`] or a [`Gru`].
#[derive(Module, Debug)]
pub struct RecurrentModule {
    steps: Steps,
    layers: Vec<Recurrence>,
    /// Whether the first step is seen in the place of all others.
    #[module(skip)]
    open_loop: bool,
}

impl RecurrentModule {
    fn new(
        cell: Cell,
        (each, hidden_size, layers, horizon): (&EncoderSettings, usize, usize, Horizon),
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
            open_loop: horizon == Horizon::OpenLoop,
        })
    }

    /// The states of the last layer at each step, `[batch, steps, hidden_size]`.
    fn states(&self, observation: Tensor<2>) -> Tensor<3> {
        let observation = match self.open_loop {
            true => self.steps.first_alone(observation),
            false => observation,
        };
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
                let settings = (&self.each, self.hidden_size, self.layers, self.horizon);
                RecurrentModule::new(Cell::$encoder, settings, input, device)
            }

            fn resets_at_horizon(&self) -> bool {
                self.horizon != Horizon::Sliding
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
