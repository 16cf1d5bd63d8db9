//! What algorithms ask of each of their networks.

use bevy_reflect::Reflect;
use bevy_reflect::prelude::ReflectDefault;

use super::{Learner, LearningRate, Optimizer};
use crate::nn::{EncoderSettings, Layers, MlpSettings, Weights};
use crate::scene::Bounds;
use crate::schedule::Window;

/// What a network is made of and how it is trained: a field of an algorithm's settings where it has nothing of its own to add.
///
/// ```
/// use yarak::prelude::*;
///
/// let value = NetworkSettings { encoder: EncoderSettings::from(&[64, 64]), ..default() };
/// assert_eq!(value.learner().learning_rate, LearningRate::Constant(3e-4));
/// assert_eq!(value.layers(), Layers::from(&[64, 64]));
/// ```
#[derive(Clone, Debug, PartialEq, Reflect)]
#[reflect(Default)]
pub struct NetworkSettings {
    /// What the network makes of an observation before its head.
    pub encoder: EncoderSettings,
    /// Widths of the hidden layers behind the encoder, which in a critic also see the action. None: none behind an `Mlp`, and one of 256 behind another encoder.
    #[reflect(@Bounds::within(1.0, 65_536.0))]
    pub head_sizes: Option<Vec<usize>>,
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
            encoder: EncoderSettings::new(MlpSettings::default()),
            head_sizes: None,
            optimizer: Optimizer::Adam,
            learning_rate: LearningRate::Constant(3e-4),
            l2: 0.0,
            max_gradient_norm: None,
        }
    }
}

impl NetworkSettings {
    /// What the networks' constructors take.
    pub fn layers(&self) -> Layers {
        Layers {
            encoder: self.encoder.clone(),
            head_sizes: self.head_sizes.clone(),
            weights: Weights::Uniform,
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
