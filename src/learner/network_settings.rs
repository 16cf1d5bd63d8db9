//! What most algorithms ask of each of their networks.

use bevy_reflect::Reflect;

use super::{Learner, LearningRate, Optimizer};
use crate::nn::{Activation, MlpSettings};
use crate::scene::Bounds;
use crate::schedule::Window;

/// How large a network is and how it is trained: a field of an algorithm's settings where it has nothing of its own to add.
///
/// ```
/// use yarak::prelude::*;
///
/// let value = NetworkSettings { layers: vec![64, 64], ..default() };
/// assert_eq!(value.learner().learning_rate, LearningRate::Constant(3e-4));
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
    /// The rule that turns gradients into steps.
    pub optimizer: Optimizer,
    /// The learning rate over time.
    pub learning_rate: LearningRate,
    /// Weight decay: in the gradient for Adam, decoupled for AdamW.
    #[reflect(@Bounds::at_least(0.0))]
    pub l2: f32,
    /// The norm that each member's gradient is clipped to. None: not clipped.
    #[reflect(@Bounds::above(0.0))]
    pub max_gradient_norm: Option<f32>,
}

impl Default for NetworkSettings {
    /// Two hidden layers of 256 with ReLU, Adam with 3e-4: what most papers on control have.
    fn default() -> Self {
        NetworkSettings {
            layers: vec![256, 256],
            activation: Activation::Relu,
            dropout: 0.0,
            layer_norm: false,
            optimizer: Optimizer::Adam,
            learning_rate: LearningRate::Constant(3e-4),
            l2: 0.0,
            max_gradient_norm: None,
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

    /// What [`add_learner`](super::AppLearnerExt::add_learner) takes: trained in every epoch.
    pub fn learner(&self) -> Learner {
        Learner {
            optimizer: self.optimizer,
            learning_rate: self.learning_rate.clone(),
            l2: self.l2,
            max_gradient_norm: self.max_gradient_norm,
            window: Window::default(),
        }
    }
}
