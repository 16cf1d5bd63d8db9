//! The backward pass of an ensemble, in three rounds of tasks.
//!
//! 1. [`Backward::turn`]: weights are transposed, 128 rows of one a task.
//! 2. [`Backward::rows`]: the gradient goes down through all layers, 128 rows of one member a task.
//! 3. [`Backward::weights`]: gradients of the parameters, 128 rows of one layer's weight of one member a task, or as large a share of
//!    its columns.
//!
//! A sum over the batch lies within one task of the third round, so that its order never depends on the threads.

use super::{
    Activation, Input, InstructionSet, MlpShape, Saved,
    activation::Derive,
    disjoint::{Disjoint, Strip},
    dots::{Dots, FEW, Outer},
    forward::BLOCK,
    gemm::{Epilogue, Product},
    norm::NormalizeBackward,
    saved::{layer_values, row_values},
    sums::{ColumnSums, Scale},
    transpose::Transpose,
    zeros::RightIsSparser,
};
use std::ops::Range;

/// Rows of the batch in one product of the third round: more would push the factors out of the cache.
const INNER: usize = 512;

/// Everything that the tasks read, and where they write.
pub(crate) struct Backward<'a> {
    pub(crate) instructions: InstructionSet,
    pub(crate) shape: &'a MlpShape,
    pub(crate) parameters: &'a [f32],
    pub(crate) input: Input<'a>,
    pub(crate) saved: &'a Saved,
    /// `[members, batch, outputs]`.
    pub(crate) d_out: &'a [f32],
    /// `[members, parameters]`, if wanted.
    pub(crate) d_params: Option<Disjoint<'a>>,
    /// Each member's own `[members, batch, inputs]`, if wanted.
    pub(crate) d_x: Option<Disjoint<'a>>,
    /// Transposed weights, as the parameters.
    pub(crate) transposed: Disjoint<'a>,
    /// The gradients of the layers' linear outputs: those of all rows, laid out as in `Saved`, if `d_params` is
    /// wanted; otherwise two blocks of rows for each worker.
    pub(crate) linear: Disjoint<'a>,
    /// The gradients of the layer normalizations' outputs, if `d_params` is wanted.
    pub(crate) normalized: Disjoint<'a>,
}

/// How many tasks each layer has, and which of them a number means.
struct Tasks<'a> {
    shape: &'a MlpShape,
    strips: fn(&MlpShape, usize) -> usize,
    first: usize,
}

impl Tasks<'_> {
    fn of_member(&self) -> usize {
        (self.first..self.shape.layers())
            .map(|layer| (self.strips)(self.shape, layer))
            .sum()
    }

    fn count(&self) -> usize {
        self.of_member() * self.shape.members
    }

    /// The member, layer and strip. A member's tasks lie together, as its rows do, so that the same thread begins with
    /// both.
    fn locate(&self, index: usize) -> Option<(usize, usize, usize)> {
        let (member, mut index) = (index / self.of_member(), index % self.of_member());
        for layer in self.first..self.shape.layers() {
            let strips = (self.strips)(self.shape, layer);
            if index < strips {
                return Some((member, layer, index));
            }
            index -= strips;
        }
        None
    }
}

impl Backward<'_> {
    /// Layers whose input's gradient is wanted start here.
    fn lowest(&self) -> usize {
        if self.d_x.is_some() { 0 } else { 1 }
    }

    /// The first round's tasks: layers that are not thin at their input need their weight transposed.
    fn turns(&self) -> Tasks<'_> {
        let strips = |shape: &MlpShape, layer: usize| match shape.sizes[layer] {
            0..=FEW => 0,
            rows => rows.div_ceil(BLOCK),
        };
        Tasks {
            shape: self.shape,
            strips,
            first: self.lowest(),
        }
    }

    /// The third round's tasks; a thin layer is one strip.
    fn strips(&self) -> Tasks<'_> {
        Tasks {
            shape: self.shape,
            strips: |shape, layer| match shape.sizes[layer + 1] {
                0..=FEW => 1,
                _ => shape.sizes[layer].div_ceil(BLOCK),
            },
            first: 0,
        }
    }

    /// Tasks of the first round.
    pub(crate) fn turn_tasks(&self) -> usize {
        self.turns().count()
    }

    /// Tasks of the second round.
    pub(crate) fn row_tasks(&self) -> usize {
        self.shape.members * self.input.batch.div_ceil(BLOCK)
    }

    /// Tasks of the third round.
    pub(crate) fn weight_tasks(&self) -> usize {
        self.strips().count()
    }

    /// The memory that a worker needs in `linear` if no parameter's gradient is wanted.
    pub(crate) fn work_len(shape: &MlpShape) -> usize {
        2 * BLOCK * shape.widest()
    }

    /// Transposes a strip of a weight.
    ///
    /// # Safety
    /// No two tasks of this round that run at once may have the same index.
    pub(crate) unsafe fn turn(&self, index: usize) {
        let Some((member, layer, strip)) = self.turns().locate(index) else {
            return;
        };
        let (inputs, outputs) = (self.shape.sizes[layer], self.shape.sizes[layer + 1]);
        let rows = strip * BLOCK..(strip * BLOCK + BLOCK).min(inputs);
        let weight = member * self.shape.parameters() + self.shape.weight(layer).start;
        let from = &self.parameters[weight + rows.start * outputs..weight + rows.end * outputs];
        // SAFETY: these columns of the transpose belong to this task.
        let to = unsafe {
            self.transposed
                .strip(weight + rows.start, outputs, rows.len(), inputs)
        };
        self.instructions.run(Transpose {
            from,
            rows: rows.len(),
            columns: outputs,
            to,
        });
    }

    /// Takes the gradient of one block of rows down through the network.
    ///
    /// # Safety
    /// No two tasks of this round that run at once may have the same index, nor the same worker; the first round is
    /// over.
    pub(crate) unsafe fn rows(&self, index: usize, worker: usize) {
        let (shape, batch) = (self.shape, self.input.batch);
        let blocks = batch.div_ceil(BLOCK);
        let (member, first) = (index / blocks, index % blocks * BLOCK);
        let rows = first..(first + BLOCK).min(batch);
        let last = shape.layers() - 1;
        let place = |layer: usize| {
            if self.d_params.is_some() {
                return row_values(shape, batch, layer, member, &rows);
            }
            let start = worker * Self::work_len(shape) + layer % 2 * BLOCK * shape.widest();
            start..start + rows.len() * shape.sizes[layer + 1]
        };

        let size = shape.outputs();
        // SAFETY: these rows, or the worker's own memory, belong to this task.
        let gradient = unsafe { self.linear.part(place(last)) };
        gradient.copy_from_slice(
            &self.d_out[(member * batch + rows.start) * size..(member * batch + rows.end) * size],
        );
        if shape.output != Activation::Identity {
            let kept = self.saved.kept(last, member, &rows);
            self.instructions.run(Derive {
                activation: shape.output,
                kept,
                gradient,
            });
        }
        for layer in (1..=last).rev() {
            // SAFETY: as above; the two layers' places differ.
            let (above, below) = unsafe {
                (
                    self.linear.part(place(layer)),
                    self.linear.part(place(layer - 1)),
                )
            };
            let kept = self.saved.kept(layer - 1, member, &rows);
            let mask = shape.mask(self.input.dropout, layer - 1, batch, member, &rows);
            let relu = shape.hidden == Activation::Relu && shape.sizes[layer] > FEW;
            // SAFETY: the first round is over.
            unsafe { self.through(layer, member, above, relu.then_some(kept), below) };
            if !relu {
                self.instructions.run(Derive {
                    activation: shape.hidden,
                    kept,
                    gradient: below,
                });
            }
            if let Some(gain) = shape.gain(layer - 1) {
                if self.d_params.is_some() {
                    // SAFETY: these rows belong to this task.
                    let keep = unsafe {
                        self.normalized
                            .part(row_values(shape, batch, layer - 1, member, &rows))
                    };
                    keep.copy_from_slice(below);
                }
                let gain = &self.parameters[member * shape.parameters()..][gain];
                let normal = self.saved.normal(layer - 1, member, &rows);
                let inverse = self.saved.inverse(layer - 1, member, &rows);
                self.instructions.run(NormalizeBackward {
                    normal,
                    inverse,
                    gain,
                    gradient: below,
                });
            }
            if let Some(factors) = mask {
                self.instructions.run(Scale {
                    factors,
                    values: below,
                });
            }
        }
        if let Some(d_x) = self.d_x {
            let start = member * batch * shape.inputs();
            let range = start + rows.start * shape.inputs()..start + rows.end * shape.inputs();
            // SAFETY: as above.
            unsafe { self.through(0, member, self.linear.part(place(0)), None, d_x.part(range)) };
        }
    }

    /// `below = above Wᵀ`, where `kept` is positive if it is given.
    ///
    /// # Safety
    /// The first round is over.
    unsafe fn through(
        &self,
        layer: usize,
        member: usize,
        above: &[f32],
        kept: Option<&[f32]>,
        below: &mut [f32],
    ) {
        let (inner, columns) = (self.shape.sizes[layer + 1], self.shape.sizes[layer]);
        let weight = self.shape.weight(layer);
        let weight = member * self.shape.parameters() + weight.start
            ..member * self.shape.parameters() + weight.end;
        let out = Strip::of(below, columns);
        if columns <= FEW {
            self.instructions.run(Dots {
                a: above,
                b: &self.parameters[weight],
                inner,
                bias: None,
                out,
            });
            return;
        }
        // SAFETY: nobody writes the transposed weights any more.
        let turned = unsafe { self.transposed.read(weight) };
        let epilogue = kept.map_or(Epilogue::Write, Epilogue::WherePositive);
        self.instructions.run(Product {
            a: above,
            a_row: inner,
            a_step: 1,
            inner,
            b: turned,
            b_stride: columns,
            out,
            epilogue,
        });
    }

    /// Computes the gradients of a strip of rows of a weight, and of its share of the layer's vectors.
    ///
    /// # Safety
    /// No two tasks of this round that run at once may have the same index; the second round is over.
    pub(crate) unsafe fn weights(&self, index: usize) {
        let (Some(d_params), Some((member, layer, strip))) =
            (self.d_params, self.strips().locate(index))
        else {
            return;
        };
        let (shape, batch) = (self.shape, self.input.batch);
        let (inputs, outputs) = (shape.sizes[layer], shape.sizes[layer + 1]);
        // Every strip sums some of the columns, in whole registers.
        let strips = (self.strips().strips)(shape, layer);
        let share = outputs.div_ceil(strips).next_multiple_of(16);
        let columns = (strip * share).min(outputs)..((strip + 1) * share).min(outputs);
        let all = 0..batch;
        let source = match layer {
            0 => self.input.of(shape, member, &all),
            _ => self.saved.features(layer - 1).map_or(&[][..], |features| {
                let size = batch * inputs;
                &features[member * size..(member + 1) * size]
            }),
        };
        let range = row_values(shape, batch, layer, member, &all);
        // SAFETY: nobody writes these gradients any more.
        let linear = unsafe { self.linear.read(range.clone()) };
        let place = |range: Range<usize>| {
            let start = member * shape.parameters() + range.start;
            start + columns.start..start + columns.end
        };

        let weight = member * shape.parameters() + shape.weight(layer).start;
        if outputs <= FEW {
            // SAFETY: the layer's gradients belong to this task.
            let out = unsafe { d_params.strip(weight, inputs, outputs, outputs) };
            self.instructions.run(Outer {
                a: source,
                b: linear,
                rows: batch,
                out,
            });
        } else if layer > 0
            && shape.hidden == Activation::Relu
            && self.instructions.run(RightIsSparser {
                left: source,
                right: linear,
                rows: batch,
            })
        {
            // This round reads no transposed weights: their place is the transposed gradients', whose rows are this task's columns.
            // SAFETY: these rows belong to this task.
            let turned = unsafe {
                self.transposed
                    .part(weight + columns.start * inputs..weight + columns.end * inputs)
            };
            let (left, right) = ((linear, outputs, columns.start), (source, inputs));
            self.sum_products(batch, left, right, Strip::of(turned, inputs));
            // SAFETY: these columns of the layer's gradients belong to this task.
            let to =
                unsafe { d_params.strip(weight + columns.start, inputs, columns.len(), outputs) };
            self.instructions.run(Transpose {
                from: turned,
                rows: columns.len(),
                columns: inputs,
                to,
            });
        } else {
            let rows = strip * BLOCK..(strip * BLOCK + BLOCK).min(inputs);
            // SAFETY: these rows of the layer's gradients belong to this task.
            let out = unsafe {
                d_params.strip(weight + rows.start * outputs, rows.len(), outputs, outputs)
            };
            let (left, right) = ((source, inputs, rows.start), (linear, outputs));
            self.sum_products(batch, left, right, out);
        }
        let sums = |values, factors, range| {
            // SAFETY: as above.
            let out = unsafe { d_params.part(place(range)) };
            self.instructions.run(ColumnSums {
                values,
                factors,
                stride: outputs,
                first: columns.start,
                out,
            });
        };
        sums(linear, None, shape.bias(layer));
        if let (Some(gain), Some(offset)) = (shape.gain(layer), shape.offset(layer)) {
            // SAFETY: nobody writes these gradients any more.
            let normalized = unsafe { self.normalized.read(range) };
            sums(
                normalized,
                Some(self.saved.normal(layer, member, &all)),
                gain,
            );
            sums(normalized, None, offset);
        }
    }

    /// `out[r, c] = sum over the batch of left[i, first + r] * right[i, c]`; beside each factor stands how many columns it has.
    fn sum_products(
        &self,
        batch: usize,
        (left, left_columns, first): (&[f32], usize, usize),
        (right, right_columns): (&[f32], usize),
        mut out: Strip<'_>,
    ) {
        for start in (0..batch).step_by(INNER) {
            self.instructions.run(Product {
                a: &left[start * left_columns + first..],
                a_row: 1,
                a_step: left_columns,
                inner: INNER.min(batch - start),
                b: &right[start * right_columns..],
                b_stride: right_columns,
                out: out.reborrow(),
                epilogue: if start == 0 {
                    Epilogue::Write
                } else {
                    Epilogue::Add
                },
            });
        }
    }

    /// How long `linear` must be with `workers` threads.
    pub(crate) fn linear_len(
        shape: &MlpShape,
        batch: usize,
        parameters: bool,
        workers: usize,
    ) -> usize {
        if parameters {
            layer_values(shape, batch, shape.layers() - 1).end
        } else {
            workers * Self::work_len(shape)
        }
    }
}
