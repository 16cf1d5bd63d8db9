//! Buffers that outlive a call, so that a training step allocates nothing.

use super::{Activation, KernelError, MlpShape, buffer::Buffer, disjoint::Disjoint};
use std::{ops::Range, sync::atomic::AtomicU64};

/// What a forward pass keeps for its backward pass.
///
/// Reuse one for every step: memory is allocated by the first pass and by larger ones only.
#[derive(Clone, Debug, Default)]
pub struct Saved {
    /// Which pass this is.
    shape: MlpShape,
    batch: usize,
    /// Each layer's output `[members, batch, size]`, layer after layer; for the last one only where its activation's
    /// derivative needs it.
    features: Buffer,
    /// The input of each hidden layer's activation, laid out as `features`, where its derivative needs it.
    inputs: Buffer,
    /// Each hidden layer's normalized values, laid out as `features`, and one over each row's deviation.
    normal: Buffer,
    inverse: Buffer,
}

/// The same buffers, for tasks that write them in parts.
#[derive(Clone, Copy)]
pub(crate) struct Keep<'a> {
    pub(crate) features: Disjoint<'a>,
    pub(crate) inputs: Disjoint<'a>,
    pub(crate) normal: Disjoint<'a>,
    pub(crate) inverse: Disjoint<'a>,
}

impl Saved {
    /// The rows in the last forward pass; 0 before the first.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// A hidden layer's output, behind its activation, in the last forward pass: `[members, batch, sizes[layer + 1]]`.
    /// `None` where there is no such hidden layer.
    pub fn features(&self, layer: usize) -> Option<&[f32]> {
        (self.batch > 0 && layer + 1 < self.shape.layers())
            .then(|| &self.features[layer_values(&self.shape, self.batch, layer)])
    }

    /// Makes room for a pass.
    pub(crate) fn prepare(&mut self, shape: &MlpShape, batch: usize) -> Keep<'_> {
        if self.shape != *shape {
            self.shape.clone_from(shape);
        }
        self.batch = batch;
        let hidden = shape.members * batch * shape.hidden_values();
        let output = if shape.output == Activation::Identity {
            0
        } else {
            shape.members * batch * shape.outputs()
        };
        let normal = if shape.layer_norm.is_some() {
            hidden
        } else {
            0
        };
        let inverse = if shape.layer_norm.is_some() {
            shape.members * batch * (shape.layers() - 1)
        } else {
            0
        };
        let inputs = if shape.hidden.keeps_input() {
            hidden
        } else {
            0
        };
        Keep {
            features: Disjoint::new(self.features.at_least(hidden + output)),
            inputs: Disjoint::new(self.inputs.at_least(inputs)),
            normal: Disjoint::new(self.normal.at_least(normal)),
            inverse: Disjoint::new(self.inverse.at_least(inverse)),
        }
    }

    /// Refuses a backward pass of another shape or batch.
    pub(crate) fn check(&self, shape: &MlpShape, batch: usize) -> Result<(), KernelError> {
        if self.batch == batch && self.shape == *shape {
            Ok(())
        } else {
            Err(KernelError::NotSaved)
        }
    }

    /// What the derivative of a layer's activation is computed from, for some rows of a member.
    pub(crate) fn kept(&self, layer: usize, member: usize, rows: &Range<usize>) -> &[f32] {
        let range = row_values(&self.shape, self.batch, layer, member, rows);
        let hidden = layer + 1 < self.shape.layers();
        if hidden && self.shape.hidden.keeps_input() {
            &self.inputs[range]
        } else {
            &self.features[range]
        }
    }

    /// A hidden layer's normalized values, for some rows of a member.
    pub(crate) fn normal(&self, layer: usize, member: usize, rows: &Range<usize>) -> &[f32] {
        &self.normal[row_values(&self.shape, self.batch, layer, member, rows)]
    }

    /// One over the deviations of some rows of a member.
    pub(crate) fn inverse(&self, layer: usize, member: usize, rows: &Range<usize>) -> &[f32] {
        let start = inverse_start(&self.shape, self.batch, layer, member);
        &self.inverse[start + rows.start..start + rows.end]
    }

    /// All memory set to NaN, so that a read of something unwritten shows.
    #[cfg(test)]
    pub(crate) fn poison(&mut self) {
        for buffer in [
            &mut self.features,
            &mut self.inputs,
            &mut self.normal,
            &mut self.inverse,
        ] {
            buffer.fill(f32::NAN);
        }
    }
}

/// A layer's values for all members within a buffer that holds the layers one after the other.
pub(crate) fn layer_values(shape: &MlpShape, batch: usize, layer: usize) -> Range<usize> {
    let before: usize = shape.sizes[1..=layer].iter().sum();
    let rows = shape.members * batch;
    rows * before..rows * (before + shape.sizes[layer + 1])
}

/// The same for some rows of one member.
pub(crate) fn row_values(
    shape: &MlpShape,
    batch: usize,
    layer: usize,
    member: usize,
    rows: &Range<usize>,
) -> Range<usize> {
    let (start, size) = (
        layer_values(shape, batch, layer).start,
        shape.sizes[layer + 1],
    );
    let first = start + member * batch * size;
    first + rows.start * size..first + rows.end * size
}

/// Where a member's row deviations of a hidden layer start.
pub(crate) fn inverse_start(shape: &MlpShape, batch: usize, layer: usize, member: usize) -> usize {
    (layer * shape.members + member) * batch
}

/// Memory that means nothing between two calls.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    /// Transposed weights, at the places of the weights in the parameters.
    pub(crate) transposed: Buffer,
    /// Gradients of every layer's linear output, as `Saved::features`.
    pub(crate) linear: Buffer,
    /// Gradients of every layer normalization's output, as `Saved::features`.
    pub(crate) normalized: Buffer,
    /// Each member's gradient of a shared input.
    pub(crate) shared: Buffer,
    /// Rows on their way through the layers, for each worker.
    pub(crate) rows: Buffer,
    /// Sums of squares of blocks, as the bits of `f64`.
    pub(crate) squares: Vec<AtomicU64>,
}

impl Scratch {
    /// All memory set to NaN, so that a read of something unwritten shows.
    #[cfg(test)]
    pub(crate) fn poison(&mut self) {
        for buffer in [
            &mut self.transposed,
            &mut self.linear,
            &mut self.normalized,
            &mut self.shared,
            &mut self.rows,
        ] {
            buffer.fill(f32::NAN);
        }
    }
}
