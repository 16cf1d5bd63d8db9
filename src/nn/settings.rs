//! The hidden layers of a perceptron, as a scene chooses them.

use bevy_reflect::Reflect;
use bevy_reflect::prelude::ReflectDefault;

use super::cpu::{Activation, MlpShape};
use crate::scene::Bounds;

/// A multi-layer perceptron's hidden layers, without the sizes that the data or the environment knows.
///
/// In a scene it is `Mlp(layers: [256, 256], activation: Tanh, dropout: 0.1)`, or the same without the name; what is left out
/// keeps its default. Wherever a network takes these settings, a list of widths will do.
///
/// ```
/// use yarak::prelude::*;
///
/// let device = ComputeDevice::cpu().plain();
/// let mut init = Random::<Init>::new(Seed(0));
/// let hidden = MlpSettings { layers: vec![64, 64], activation: Activation::Tanh, ..default() };
/// let policy = Policy::new(3, 1, hidden, &device, &mut init);
/// assert_eq!(policy.trunk().shape().sizes, [3, 64, 64, 1]);
/// let policy = Policy::new(3, 1, &[32], &device, &mut init);
/// assert_eq!(policy.trunk().shape().sizes, [3, 32, 1]);
/// ```
#[derive(Clone, Debug, PartialEq, Reflect)]
#[reflect(Default)]
#[type_path = "yarak::nn"]
#[type_name = "Mlp"]
pub struct MlpSettings {
    /// Widths of the hidden layers.
    #[reflect(@Bounds::within(1.0, 65_536.0))]
    pub layers: Vec<usize>,
    /// What stands behind each hidden layer.
    pub activation: Activation,
    /// The share of each hidden layer's values that a training step drops.
    #[reflect(@Bounds::at_least(0.0).under(1.0))]
    pub dropout: f32,
    /// Whether hidden layers are normalised, in front of the activation.
    pub layer_norm: bool,
}

impl Default for MlpSettings {
    /// Two hidden layers of 256 with ReLU.
    fn default() -> Self {
        MlpSettings {
            layers: vec![256, 256],
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
        sizes.extend(&self.layers);
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
    fn from(layers: &[usize]) -> Self {
        MlpSettings {
            layers: layers.to_vec(),
            ..MlpSettings::default()
        }
    }
}

impl From<&Vec<usize>> for MlpSettings {
    fn from(layers: &Vec<usize>) -> Self {
        layers[..].into()
    }
}

impl<const N: usize> From<&[usize; N]> for MlpSettings {
    fn from(layers: &[usize; N]) -> Self {
        layers[..].into()
    }
}

impl From<&MlpSettings> for MlpSettings {
    fn from(settings: &MlpSettings) -> Self {
        settings.clone()
    }
}
