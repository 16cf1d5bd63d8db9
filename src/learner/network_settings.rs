//! What most algorithms ask of each of their networks.

use bevy_reflect::Reflect;

use super::OptimizerSettings;
use crate::nn::{Activation, MlpSettings};
use crate::scene::{Bounds, FieldProblems};

/// How large a network is and how it is trained: a field of an algorithm's settings where it has nothing of its own to add.
///
/// ```
/// use yarak::prelude::*;
///
/// let value = NetworkSettings { layers: vec![64, 64], ..default() };
/// assert_eq!(value.optimizer.learning_rate, Schedule::Constant(3e-4));
/// assert_eq!(value.hidden(), MlpSettings::from(&[64, 64]));
/// ```
#[derive(Clone, Debug, PartialEq, Reflect)]
pub struct NetworkSettings {
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
    /// How it is trained.
    pub optimizer: OptimizerSettings,
}

impl Default for NetworkSettings {
    /// Two hidden layers of 256 with ReLU, Adam with 3e-4: what most papers on control have.
    fn default() -> Self {
        NetworkSettings {
            layers: vec![256, 256],
            activation: Activation::Relu,
            dropout: 0.0,
            layer_norm: false,
            optimizer: OptimizerSettings::default(),
        }
    }
}

impl NetworkSettings {
    /// What the networks' constructors take: the hidden layers.
    pub fn hidden(&self) -> MlpSettings {
        MlpSettings {
            layers: self.layers.clone(),
            activation: self.activation,
            dropout: self.dropout,
            layer_norm: self.layer_norm,
        }
    }

    /// Refuses what contradicts itself, for [`Settings::check`](crate::scene::Settings::check); `field` is where these settings
    /// are, such as `actor`.
    pub fn check(&self, field: &str, problems: &mut FieldProblems) {
        self.optimizer
            .check(&format!("{field}.optimizer"), problems);
    }
}
