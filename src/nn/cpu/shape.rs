//! What an ensemble of networks looks like, and where each of its numbers lies.

use super::{Activation, KernelError};
use crate::memory::{self, TooLarge};
use std::ops::Range;

/// An ensemble of multilayer perceptrons of one shape: linear layers with an activation behind each.
///
/// The parameters of all members lie in one buffer `[members, parameters]`. Those of one member are, layer after layer:
/// the weight `[in, out]`, row after row, so that `y = x W + b`; the bias `[out]`; and for a hidden layer with layer
/// normalization its gain `[out]` and its offset `[out]`.
///
/// A hidden layer is Linear, then dropout if a mask is given, then layer normalization if there is one, then the
/// activation: the order of DroQ (<https://arxiv.org/abs/2110.02034>) and RLPD (<https://arxiv.org/abs/2302.02948>).
///
/// ```
/// use yarak::nn::cpu::{Activation, MlpShape};
/// let critic = MlpShape { members: 2, sizes: vec![14, 256, 256, 1], ..MlpShape::default() };
/// assert_eq!(critic.parameters(), 14 * 256 + 256 + 256 * 256 + 256 + 256 + 1);
/// assert_eq!(critic.weight(2), critic.parameters() - 257..critic.parameters() - 1);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct MlpShape {
    /// Networks in the ensemble, at least 1.
    pub members: usize,
    /// Values in the input, in each hidden layer and in the output: at least two numbers, each at least 1.
    pub sizes: Vec<usize>,
    /// Behind each hidden layer.
    pub hidden: Activation,
    /// Behind the last layer.
    pub output: Activation,
    /// Layer normalization of the hidden layers, with this number added to the variance (PyTorch: 1e-5, Flax: 1e-6).
    pub layer_norm: Option<f32>,
}

impl Default for MlpShape {
    /// One network from one value to one, without hidden layers; hidden layers have rectifiers.
    fn default() -> Self {
        Self {
            members: 1,
            sizes: vec![1, 1],
            hidden: Activation::Relu,
            output: Activation::Identity,
            layer_norm: None,
        }
    }
}

impl MlpShape {
    /// Linear layers, the last one included.
    pub fn layers(&self) -> usize {
        self.sizes.len().saturating_sub(1)
    }

    /// Values in the input.
    pub fn inputs(&self) -> usize {
        self.sizes.first().copied().unwrap_or(0)
    }

    /// Values in the output.
    pub fn outputs(&self) -> usize {
        self.sizes.last().copied().unwrap_or(0)
    }

    /// Parameters of one member.
    pub fn parameters(&self) -> usize {
        self.start(self.layers())
    }

    /// Values in a dropout mask for `batch` rows: one for each hidden value of each member.
    pub fn dropout_len(&self, batch: usize) -> usize {
        self.members * batch * self.hidden_values()
    }

    /// Where a layer's weight lies in a member's parameters: `[sizes[layer], sizes[layer + 1]]`.
    ///
    /// # Panics
    /// If there is no such layer.
    pub fn weight(&self, layer: usize) -> Range<usize> {
        let start = self.start(layer);
        start..start + self.sizes[layer] * self.sizes[layer + 1]
    }

    /// Where a layer's bias lies in a member's parameters: `[sizes[layer + 1]]`.
    ///
    /// # Panics
    /// If there is no such layer.
    pub fn bias(&self, layer: usize) -> Range<usize> {
        let start = self.weight(layer).end;
        start..start + self.sizes[layer + 1]
    }

    /// Where a hidden layer's normalization gain lies in a member's parameters, `[sizes[layer + 1]]`; `None` where the
    /// layer is not normalized.
    pub fn gain(&self, layer: usize) -> Option<Range<usize>> {
        (self.layer_norm.is_some() && layer + 1 < self.layers()).then(|| {
            let start = self.bias(layer).end;
            start..start + self.sizes[layer + 1]
        })
    }

    /// Where a hidden layer's normalization offset lies, as [`MlpShape::gain`].
    pub fn offset(&self, layer: usize) -> Option<Range<usize>> {
        self.gain(layer)
            .map(|gain| gain.end..gain.end + self.sizes[layer + 1])
    }

    /// Refuses a shape that no network can have.
    pub(crate) fn check(&self) -> Result<(), KernelError> {
        let broken = |reason| {
            Err(KernelError::Shape {
                reason,
                shape: format!("{self:?}"),
            })
        };
        if self.members == 0 {
            return broken("`members` must be at least 1");
        }
        if self.sizes.len() < 2 || self.sizes.contains(&0) {
            return broken("`sizes` must name the input and the output, and each at least 1");
        }
        if self
            .layer_norm
            .is_some_and(|epsilon| !(epsilon > 0.0 && epsilon.is_finite()))
        {
            return broken("`layer_norm` must be a small positive number, such as 1e-5");
        }
        Ok(())
    }

    /// The activation behind a layer.
    #[cfg(test)]
    pub(crate) fn activation(&self, layer: usize) -> Activation {
        if layer + 1 == self.layers() {
            self.output
        } else {
            self.hidden
        }
    }

    /// Refuses layers for whose weights there is no memory.
    pub(crate) fn fits_the_machine(&self) -> Result<(), TooLarge> {
        let what = format!("the weights of layers of the widths {:?}", self.sizes);
        memory::check(&what, self.bytes(), "lower `hidden_sizes` or `head_sizes`")
    }

    /// Hidden values of all members for one row.
    pub(crate) fn values_per_row(&self) -> usize {
        self.members * self.hidden_values()
    }

    /// The bytes that the parameters of all members take.
    pub(crate) fn bytes(&self) -> u64 {
        let pairs = self
            .sizes
            .windows(2)
            .map(|pair| (pair[0] as u64, pair[1] as u64));
        let parameters = pairs.fold(0_u64, |all, (inputs, outputs)| {
            all.saturating_add(inputs.saturating_add(1).saturating_mul(outputs))
        });
        parameters.saturating_mul(4 * self.members as u64)
    }

    /// Values in all hidden layers of one member for one row.
    pub(crate) fn hidden_values(&self) -> usize {
        self.sizes
            .iter()
            .skip(1)
            .take(self.layers().saturating_sub(1))
            .sum()
    }

    /// The widest layer behind the input.
    pub(crate) fn widest(&self) -> usize {
        self.sizes.iter().skip(1).copied().max().unwrap_or(0)
    }

    /// Multiplications and additions of one member for one row.
    pub(crate) fn work(&self) -> usize {
        self.sizes.windows(2).map(|pair| pair[0] * pair[1]).sum()
    }

    /// The layer's mask within a dropout mask for `batch` rows, at `rows` of `member`.
    pub(crate) fn mask<'a>(
        &self,
        dropout: Option<&'a [f32]>,
        layer: usize,
        batch: usize,
        member: usize,
        rows: &Range<usize>,
    ) -> Option<&'a [f32]> {
        if layer + 1 == self.layers() {
            return None;
        }
        let before: usize = self.sizes[1..=layer].iter().sum();
        let start = (self.members * before + member * self.sizes[layer + 1]) * batch;
        dropout.map(|mask| {
            &mask[start..][rows.start * self.sizes[layer + 1]..rows.end * self.sizes[layer + 1]]
        })
    }

    /// Where a layer's parameters start.
    fn start(&self, layer: usize) -> usize {
        let hidden = if self.layer_norm.is_some() { 3 } else { 1 };
        let values = |index: usize| {
            let vectors = if index + 1 == self.layers() {
                1
            } else {
                hidden
            };
            (self.sizes[index] + vectors) * self.sizes[index + 1]
        };
        (0..layer).map(values).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_of_a_member_lie_back_to_back() {
        let shape = MlpShape {
            sizes: vec![3, 5, 7, 2],
            layer_norm: Some(1e-5),
            ..Default::default()
        };
        let mut end = 0;
        for layer in 0..3 {
            for range in [
                Some(shape.weight(layer)),
                Some(shape.bias(layer)),
                shape.gain(layer),
                shape.offset(layer),
            ]
            .into_iter()
            .flatten()
            {
                assert_eq!(range.start, end);
                end = range.end;
            }
        }
        assert_eq!(end, shape.parameters());
        assert_eq!(shape.gain(2), None);
        assert_eq!(end, 3 * 5 + 15 + 5 * 7 + 21 + 14 + 2);
    }

    #[test]
    fn impossible_shapes_are_refused_with_their_reason() {
        let wrong = [
            MlpShape {
                members: 0,
                ..Default::default()
            },
            MlpShape {
                sizes: vec![3],
                ..Default::default()
            },
            MlpShape {
                sizes: vec![3, 0, 1],
                ..Default::default()
            },
            MlpShape {
                layer_norm: Some(0.0),
                ..Default::default()
            },
            MlpShape {
                layer_norm: Some(f32::NAN),
                ..Default::default()
            },
        ];
        for shape in wrong {
            assert!(shape.check().is_err(), "{shape:?}");
            let _ = (shape.parameters(), shape.inputs(), shape.outputs());
        }
    }
}
