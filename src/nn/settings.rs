//! The hidden layers of a perceptron, as a scene chooses them.

use bevy_ecs::prelude::Result;
use bevy_reflect::Reflect;
use bevy_reflect::prelude::ReflectDefault;
use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, LayerNorm, LayerNormConfig, Linear, LinearConfig};
use burn::tensor::{Device, Tensor};

use super::cpu::{Activation, MlpShape};
use super::reference::apply;
use super::trunk::no_pictures;
use super::{Encoder, matrix_product};
use crate::observation::EncoderInput;
use crate::scene::Bounds;

/// A multi-layer perceptron's hidden layers: the encoder `Mlp` of scenes.
///
/// In a scene it is `Mlp(hidden_sizes: [256, 256], activation: Tanh, dropout: 0.1)`; what is left out keeps its default. Wherever a
/// network takes an encoder, a list of widths will do.
///
/// ```
/// use yarak::prelude::*;
///
/// let device = ComputeDevice::cpu().plain();
/// let mut init = Random::<Init>::new(Seed(0));
/// let hidden = MlpSettings { hidden_sizes: vec![64, 64], activation: Activation::Tanh, ..default() };
/// let actor = ActorNetwork::new(hidden, ActorHead::Deterministic, 3, 1, &device, &mut init)?;
/// assert_eq!(actor.trunk().layers().shape().sizes, [3, 64, 64, 1]);
/// let actor = ActorNetwork::new(&[32], ActorHead::Deterministic, 3, 1, &device, &mut init)?;
/// assert_eq!(actor.trunk().layers().shape().sizes, [3, 32, 1]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Reflect)]
#[reflect(Default)]
#[type_path = "yarak::nn"]
#[type_name = "Mlp"]
pub struct MlpSettings {
    /// Widths of the hidden layers.
    #[reflect(@Bounds::within(1.0, 65_536.0))]
    pub hidden_sizes: Vec<usize>,
    /// The activation after each hidden layer.
    pub activation: Activation,
    /// The share of each hidden layer's values that a training step drops.
    #[reflect(@Bounds::at_least(0.0).under(1.0))]
    pub dropout: f32,
    /// Whether hidden layers are normalized, in front of the activation.
    pub layer_norm: bool,
}

impl Default for MlpSettings {
    /// Two hidden layers of 256 with ReLU.
    fn default() -> Self {
        MlpSettings {
            hidden_sizes: vec![256, 256],
            activation: Activation::Relu,
            dropout: 0.0,
            layer_norm: false,
        }
    }
}

impl MlpSettings {
    /// The whole network's shape: `members` networks from `inputs` values to `outputs`.
    pub fn shape(
        &self,
        members: usize,
        inputs: usize,
        outputs: usize,
        output: Activation,
    ) -> MlpShape {
        let mut sizes = vec![inputs];
        sizes.extend(&self.hidden_sizes);
        sizes.push(outputs);
        MlpShape {
            members,
            sizes,
            hidden: self.activation,
            output,
            // PyTorch's.
            layer_norm: self.layer_norm.then_some(1e-5),
        }
    }
}

impl From<&[usize]> for MlpSettings {
    fn from(hidden_sizes: &[usize]) -> Self {
        MlpSettings {
            hidden_sizes: hidden_sizes.to_vec(),
            ..MlpSettings::default()
        }
    }
}

impl From<&Vec<usize>> for MlpSettings {
    fn from(hidden_sizes: &Vec<usize>) -> Self {
        hidden_sizes[..].into()
    }
}

impl<const N: usize> From<&[usize; N]> for MlpSettings {
    fn from(hidden_sizes: &[usize; N]) -> Self {
        hidden_sizes[..].into()
    }
}

/// The hidden layers by themselves, in Burn's operations. A network whose encoder this is does not come here: its hidden layers and its
/// head are one [`Mlp`](super::Mlp).
#[derive(Module, Debug)]
pub struct HiddenLayers {
    linear: Vec<Linear>,
    norm: Vec<LayerNorm>,
    dropout: Dropout,
    #[module(skip)]
    activation: Activation,
}

impl Encoder for MlpSettings {
    type Module = HiddenLayers;

    fn init(&self, input: &EncoderInput, device: &Device) -> Result<HiddenLayers> {
        no_pictures(input)?;
        let sizes = [&[input.width()][..], &self.hidden_sizes].concat();
        let shape = MlpShape {
            sizes: sizes.clone(),
            ..MlpShape::default()
        };
        shape.fits_the_machine()?;
        let linear = sizes.windows(2);
        let linear = linear.map(|pair| LinearConfig::new(pair[0], pair[1]).init(device));
        let norm = self.hidden_sizes.iter().filter(|_| self.layer_norm);
        let norm = norm.map(|width| LayerNormConfig::new(*width).init(device));
        Ok(HiddenLayers {
            linear: linear.collect(),
            norm: norm.collect(),
            dropout: DropoutConfig::new(f64::from(self.dropout)).init(),
            activation: self.activation,
        })
    }

    fn forward(module: &HiddenLayers, observation: Tensor<2>) -> Tensor<2> {
        let mut x = observation;
        for (index, linear) in module.linear.iter().enumerate() {
            x = module.dropout.forward(matrix_product::linear(linear, x));
            if let Some(norm) = module.norm.get(index) {
                x = norm.forward(x);
            }
            x = apply(module.activation, x);
        }
        x
    }

    fn values_per_row(module: &HiddenLayers) -> usize {
        let widths = module.linear.iter().map(|linear| linear.weight.dims()[1]);
        widths.sum()
    }
}
