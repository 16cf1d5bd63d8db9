//! The forward pass of an ensemble.
//!
//! A task takes 128 rows of one member through all layers, so that its values stay in the cache from layer to layer.

use super::{
    Activation, Input, InstructionSet, MlpShape,
    activation::Activate,
    disjoint::{Disjoint, Strip},
    dots::{Dots, FEW},
    gemm::{Epilogue, Product},
    norm::Normalize,
    saved::{Keep, inverse_start, row_values},
    sums::Scale,
    transpose::Transpose,
};
use std::ops::Range;

/// Rows of a task. Part of the shape of the work, never of the number of threads.
pub(crate) const BLOCK: usize = 128;

/// Everything that a task of the pass reads, and where it writes.
pub(crate) struct Forward<'a> {
    pub(crate) instructions: InstructionSet,
    pub(crate) shape: &'a MlpShape,
    pub(crate) parameters: &'a [f32],
    pub(crate) input: Input<'a>,
    /// Where values are kept for the backward pass; `None` in inference.
    pub(crate) keep: Option<Keep<'a>>,
    /// `[members, batch, outputs]`.
    pub(crate) out: Disjoint<'a>,
    /// `[workers, Forward::work_len]`.
    pub(crate) work: Disjoint<'a>,
}

impl Forward<'_> {
    /// How many tasks a pass has.
    pub(crate) fn tasks(shape: &MlpShape, batch: usize) -> usize {
        shape.members * batch.div_ceil(BLOCK)
    }

    /// How much memory a worker needs: three blocks of values, a block's deviations, one thin weight.
    pub(crate) fn work_len(shape: &MlpShape) -> usize {
        3 * BLOCK * shape.widest() + BLOCK + FEW * shape.widest().max(shape.inputs())
    }

    /// Takes one block of rows through the network.
    ///
    /// # Safety
    /// No two tasks that run at once may have the same index, nor the same worker.
    pub(crate) unsafe fn task(&self, index: usize, worker: usize) {
        let (shape, batch) = (self.shape, self.input.batch);
        let blocks = batch.div_ceil(BLOCK);
        let (member, first) = (index / blocks, index % blocks * BLOCK);
        let rows = first..(first + BLOCK).min(batch);
        let parameters = &self.parameters[member * shape.parameters()..][..shape.parameters()];

        let len = Self::work_len(shape);
        // SAFETY: the worker's memory is its own, by the caller's promise.
        let work = unsafe { self.work.part(worker * len..(worker + 1) * len) };
        let (mut values, work) = work.split_at_mut(BLOCK * shape.widest());
        let (mut next, work) = work.split_at_mut(BLOCK * shape.widest());
        let (unscaled, work) = work.split_at_mut(BLOCK * shape.widest());
        let (deviations, thin) = work.split_at_mut(BLOCK);

        let last = shape.layers() - 1;
        for layer in 0..last {
            let range = row_values(shape, batch, layer, member, &rows);
            let (mut normal, mut inverse) =
                (&mut unscaled[..range.len()], &mut deviations[..rows.len()]);
            let mut out = &mut next[..range.len()];
            let mut inputs = None;
            if let Some(keep) = self.keep {
                // SAFETY: a block of rows of a member belongs to one task, in every buffer.
                unsafe {
                    out = keep.features.part(range.clone());
                    if shape.hidden.keeps_input() {
                        inputs = Some(keep.inputs.part(range.clone()));
                    }
                    if shape.layer_norm.is_some() {
                        let start = inverse_start(shape, batch, layer, member);
                        inverse = keep.inverse.part(start + rows.start..start + rows.end);
                        normal = keep.normal.part(range);
                    }
                }
            }

            let mask = shape.mask(self.input.dropout, layer, batch, member, &rows);
            // SAFETY: the layer below is this task's, which is done writing it.
            let source = unsafe { self.source(layer, member, &rows, values) };
            let linear = if shape.layer_norm.is_some() {
                &mut *normal
            } else {
                &mut *out
            };
            let relu =
                mask.is_none() && shape.layer_norm.is_none() && shape.hidden == Activation::Relu;
            self.linear(layer, parameters, source, thin, relu, linear);
            if let Some(factors) = mask {
                self.instructions.run(Scale {
                    factors,
                    values: linear,
                });
            }
            if let (Some(epsilon), Some(gain), Some(offset)) =
                (shape.layer_norm, shape.gain(layer), shape.offset(layer))
            {
                let (gain, offset) = (&parameters[gain], &parameters[offset]);
                self.instructions.run(Normalize {
                    rows: normal,
                    gain,
                    offset,
                    epsilon,
                    inverse,
                    out,
                });
            }
            if let Some(inputs) = inputs {
                inputs.copy_from_slice(out);
            }
            if !relu {
                self.instructions.run(Activate {
                    activation: shape.hidden,
                    values: out,
                });
            }
            std::mem::swap(&mut values, &mut next);
        }

        let (size, range) = (
            shape.outputs(),
            row_values(shape, batch, last, member, &rows),
        );
        let start = member * batch * size;
        // SAFETY: as above.
        let out = unsafe {
            self.out
                .part(start + rows.start * size..start + rows.end * size)
        };
        // SAFETY: as for the hidden layers.
        let source = unsafe { self.source(last, member, &rows, values) };
        self.linear(last, parameters, source, thin, false, out);
        let input = shape.output.keeps_input();
        let keep = |out: &[f32]| {
            if let (Some(keep), true) = (self.keep, shape.output != Activation::Identity) {
                // SAFETY: as above.
                unsafe { keep.features.part(range) }.copy_from_slice(out);
            }
        };
        if input {
            keep(out);
            self.instructions.run(Activate {
                activation: shape.output,
                values: out,
            });
        } else {
            self.instructions.run(Activate {
                activation: shape.output,
                values: out,
            });
            keep(out);
        }
    }

    /// Some rows of a layer's input: the network's own, those kept, or those in `values`.
    ///
    /// # Safety
    /// Nobody may write these rows while the result lives.
    unsafe fn source<'b>(
        &'b self,
        layer: usize,
        member: usize,
        rows: &Range<usize>,
        values: &'b [f32],
    ) -> &'b [f32] {
        match (layer, self.keep) {
            (0, _) => self.input.of(self.shape, member, rows),
            (_, Some(keep)) => {
                let range = row_values(self.shape, self.input.batch, layer - 1, member, rows);
                // SAFETY: the caller's promise.
                unsafe { keep.features.read(range) }
            }
            (_, None) => &values[..rows.len() * self.shape.sizes[layer]],
        }
    }

    /// `out = source W + bias`, with the rectifier if asked for.
    fn linear(
        &self,
        layer: usize,
        parameters: &[f32],
        source: &[f32],
        thin: &mut [f32],
        relu: bool,
        out: &mut [f32],
    ) {
        let (inner, columns) = (self.shape.sizes[layer], self.shape.sizes[layer + 1]);
        let (weight, bias) = (
            &parameters[self.shape.weight(layer)],
            &parameters[self.shape.bias(layer)],
        );
        if columns <= FEW {
            let turned = &mut thin[..inner * columns];
            let to = Strip::of(turned, inner);
            self.instructions.run(Transpose {
                from: weight,
                rows: inner,
                columns,
                to,
            });
            let strip = Strip::of(out, columns);
            self.instructions.run(Dots {
                a: source,
                b: turned,
                inner,
                bias: Some(bias),
                out: strip,
            });
            if relu {
                self.instructions.run(Activate {
                    activation: Activation::Relu,
                    values: out,
                });
            }
        } else {
            self.instructions.run(Product {
                a: source,
                a_row: inner,
                a_step: 1,
                inner,
                b: weight,
                b_stride: columns,
                out: Strip::of(out, columns),
                epilogue: if relu {
                    Epilogue::BiasRelu(bias)
                } else {
                    Epilogue::Bias(bias)
                },
            });
        }
    }
}
