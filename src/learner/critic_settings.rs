//! What the algorithms with an ensemble of critics ask of it.

use bevy_reflect::Reflect;
use burn::tensor::Tensor;

use super::OptimizerSettings;
use crate::nn::{Cost, CriticHead, EncoderSettings, Layers, ValueBounds, losses};
use crate::scene::{Bounds, FieldProblems};

/// The action values Q(s, a): an ensemble of critics, their networks, their loss and how they are trained. It is the `critic` of
/// every algorithm that has such an ensemble.
///
/// ```
/// use yarak::prelude::*;
///
/// let device = ComputeDevice::cpu().plain();
/// let q = Tensor::from_floats([[1.0], [3.0]], &device);
/// let mut critic = CriticSettings::default();
/// assert_eq!(critic.mix(q.clone()).into_scalar::<f32>(), 1.0);
/// critic.ensemble.weight = 0.75;
/// assert_eq!(critic.mix(q).into_scalar::<f32>(), 1.5);
/// ```
#[derive(Clone, Debug, PartialEq, Reflect)]
pub struct CriticSettings {
    /// How many critics there are and how their targets are mixed.
    pub ensemble: EnsembleSettings,
    /// What the network makes of an observation before its head.
    pub encoder: EncoderSettings,
    /// Widths of the hidden layers behind the encoder, which also see the action. None: none behind an `Mlp`, and one of 256 behind another encoder.
    #[reflect(@Bounds::within(1.0, 65_536.0))]
    pub head_sizes: Option<Vec<usize>>,
    /// How they are trained.
    pub optimizer: OptimizerSettings,
    /// Whether the loss is smooth L1 (β = 1) instead of squared.
    pub huber: bool,
    /// The range that values are squashed into by a tanh. None: unbounded.
    pub value_bounds: Option<ValueBounds>,
}

/// An ensemble of critics.
#[derive(Clone, Copy, Debug, PartialEq, Reflect)]
pub struct EnsembleSettings {
    /// How many critics.
    #[reflect(@Bounds::within(1.0, 1_000.0))]
    pub n: usize,
    /// w in the target w · min Q + (1 − w) · max Q.
    #[reflect(@Bounds::within(0.0, 1.0))]
    pub weight: f32,
}

impl Default for CriticSettings {
    /// Two critics, of whose values the least counts, with two hidden layers of 256 and the squared error.
    fn default() -> Self {
        CriticSettings {
            ensemble: EnsembleSettings { n: 2, weight: 1.0 },
            encoder: EncoderSettings::default(),
            head_sizes: None,
            optimizer: OptimizerSettings::default(),
            huber: false,
            value_bounds: None,
        }
    }
}

impl CriticSettings {
    /// The encoder, and the layers behind it.
    pub fn layers(&self) -> Layers {
        Layers {
            encoder: self.encoder.clone(),
            head_sizes: self.head_sizes.clone(),
            ..Layers::default()
        }
    }

    /// The head, for actions of so many elements.
    pub fn head(&self, action: usize) -> CriticHead {
        CriticHead::Continuous {
            action,
            bounds: self.value_bounds,
        }
    }

    /// w · min Q + (1 − w) · max Q over the critics: `[members, batch]` to `[batch]`.
    pub fn mix(&self, q: Tensor<2>) -> Tensor<1> {
        let weight = self.ensemble.weight;
        let min = q.clone().min_dim(0).squeeze_dim::<1>(0);
        if weight == 1.0 {
            return min;
        }
        let max = q.max_dim(0).squeeze_dim::<1>(0);
        min * weight + max * (1.0 - weight)
    }

    /// The loss of each critic, `[members]`, for values `[members, batch]` whose target is `[batch]`. `weight` is what each row
    /// counts, `[batch]`: the batch's.
    pub fn losses(&self, q: Tensor<2>, y: Tensor<1>, weight: Option<Tensor<1>>) -> Tensor<1> {
        self.losses_of(1, q, y, weight)
    }

    /// The same over the rows of each of so many learners of a stack, [`Batch::learners`](crate::data::Batch::learners):
    /// `[learners * members]`.
    pub fn losses_of(
        &self,
        learners: usize,
        q: Tensor<2>,
        y: Tensor<1>,
        weight: Option<Tensor<1>>,
    ) -> Tensor<1> {
        let cost = match self.huber {
            true => losses::SMOOTH_L1,
            false => Cost::Squared,
        };
        losses::mean_cost_of_each(q, y, weight, cost, learners)
    }

    /// Refuses what contradicts itself, for [`Settings::check`](crate::scene::Settings::check); `field` is where these settings
    /// are: `critic`.
    pub fn check(&self, field: &str, problems: &mut FieldProblems) {
        let is_empty = |bounds: ValueBounds| bounds.low >= bounds.high;
        if self.value_bounds.is_some_and(is_empty) {
            problems.refuse(
                format!("{field}.value_bounds"),
                "`low` must be below `high`",
            );
        }
        self.encoder.check(&format!("{field}.encoder"), problems);
        self.optimizer
            .check(&format!("{field}.optimizer"), problems);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::learner::ComputeDevice;

    #[test]
    fn targets_mix_the_least_and_the_greatest_value() {
        let q = Tensor::<2>::from_floats([[1.0], [3.0], [2.0]], &ComputeDevice::cpu().plain());
        let mut critic = CriticSettings::default();
        assert_eq!(critic.mix(q.clone()).into_scalar::<f32>(), 1.0);
        critic.ensemble.weight = 0.75;
        assert_eq!(critic.mix(q).into_scalar::<f32>(), 1.5);
    }

    #[test]
    fn huber_is_smooth_l1() {
        let device = ComputeDevice::cpu().plain();
        let q = Tensor::<2>::from_floats([[0.5, 2.0]], &device);
        let y = Tensor::<1>::zeros([2], &device);
        let mut critic = CriticSettings::default();
        let loss = |critic: &CriticSettings| {
            critic
                .losses(q.clone(), y.clone(), None)
                .into_scalar::<f32>()
        };
        assert_eq!(loss(&critic), 2.125);
        critic.huber = true;
        assert_eq!(loss(&critic), 0.8125);
    }
}
