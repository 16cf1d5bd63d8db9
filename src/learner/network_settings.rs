//! What most algorithms ask of each of their networks.

use bevy_reflect::Reflect;

use super::OptimizerSettings;
use crate::nn::{EncoderSettings, Layers};
use crate::scene::{Bounds, FieldProblems};

/// What a network is made of and how it is trained: a field of an algorithm's settings where it has nothing of its own to add.
///
/// ```
/// use yarak::prelude::*;
///
/// let value = NetworkSettings { encoder: EncoderSettings::from(&[64, 64]), ..default() };
/// assert_eq!(value.optimizer.learning_rate, Schedule::Constant(3e-4));
/// assert_eq!(value.layers(), Layers::from(&[64, 64]));
/// ```
#[derive(Clone, Debug, PartialEq, Reflect)]
pub struct NetworkSettings {
    /// What the network makes of an observation before its head.
    pub encoder: EncoderSettings,
    /// Widths of the hidden layers behind the encoder, which in a critic also see the action. None: none behind an `Mlp`, and one of 256 behind another encoder.
    #[reflect(@Bounds::within(1.0, 65_536.0))]
    pub head_sizes: Option<Vec<usize>>,
    /// How it is trained.
    pub optimizer: OptimizerSettings,
}

impl Default for NetworkSettings {
    /// Two hidden layers of 256 with ReLU, Adam with 3e-4: what most papers on control have.
    fn default() -> Self {
        NetworkSettings {
            encoder: EncoderSettings::default(),
            head_sizes: None,
            optimizer: OptimizerSettings::default(),
        }
    }
}

impl NetworkSettings {
    /// The encoder, and the layers behind it.
    pub fn layers(&self) -> Layers {
        Layers {
            encoder: self.encoder.clone(),
            head_sizes: self.head_sizes.clone(),
            ..Layers::default()
        }
    }

    /// Refuses what contradicts itself, for [`Settings::check`](crate::scene::Settings::check); `field` is where these settings
    /// are, such as `actor`.
    pub fn check(&self, field: &str, problems: &mut FieldProblems) {
        self.encoder.check(&format!("{field}.encoder"), problems);
        self.optimizer
            .check(&format!("{field}.optimizer"), problems);
    }
}
