//! Convolutions, forwards and backwards, a block of fields at a time.
//!
//! A convolution is a perceptron's layer on every field of the picture. All fields of a batch are many times its pictures: those that
//! DQN's first layer looks at in 64 pictures of 84x84 pixels in color take 20 MB. So they are never written down as a whole: a block of them is
//! gathered into the cache, multiplied, and forgotten.

use super::{
    Activation, Gradients, InstructionSet, Kernels,
    activation::Derive,
    disjoint::{Disjoint, Strip},
    fields::Fields,
    forward::BLOCK,
    gemm::{Epilogue, Product},
    kernels::share,
    saved::Scratch,
    sums::ColumnSums,
    transpose::Transpose,
};
use std::ops::Range;

/// Numbers of a cache line.
const LINE: usize = 16;

/// A layer's filters, and what they are given.
#[derive(Clone, Copy)]
pub(crate) struct Convolve<'a> {
    pub(crate) fields: Fields,
    /// Whether there are a bias and a rectifier behind the sums, or neither.
    pub(crate) rectified: bool,
    /// The weights `[fields.size(), filters]`, then the bias `[filters]` where there is one.
    pub(crate) parameters: &'a [f32],
    /// `[batch, fields.row()]`.
    pub(crate) pictures: &'a [f32],
}

impl<'a> Convolve<'a> {
    pub(crate) fn filters(&self) -> usize {
        self.parameters.len() / (self.fields.size() + usize::from(self.rectified))
    }

    pub(crate) fn batch(&self) -> usize {
        self.pictures.len() / self.fields.row()
    }

    /// Numbers of the features `[batch, places, filters]`.
    pub(crate) fn out_len(&self) -> usize {
        self.all_fields() * self.filters()
    }

    fn all_fields(&self) -> usize {
        self.batch() * self.fields.places()
    }

    fn weight_and_bias(&self) -> (&'a [f32], &'a [f32]) {
        self.parameters
            .split_at(self.fields.size() * self.filters())
    }

    fn work(&self) -> usize {
        self.out_len() * self.fields.size()
    }

    /// Runs of a field, and so rows of the weight, whose gradients are one task.
    fn runs_of_a_strip(&self) -> usize {
        (BLOCK / self.fields.run()).max(1)
    }

    /// How far the fields of a strip lie apart: an odd number of cache lines, so that not all of them fall onto the same few places of
    /// the cache.
    fn strip_stride(&self) -> usize {
        let lines = (self.runs_of_a_strip() * self.fields.run()).div_ceil(LINE);
        (lines | 1) * LINE
    }

    fn blocks(&self, fields: Range<usize>) -> impl Iterator<Item = Range<usize>> {
        let end = fields.end;
        fields
            .step_by(BLOCK)
            .map(move |first| first..(first + BLOCK).min(end))
    }

    /// Writes the features of a block of fields.
    fn forward(
        &self,
        instructions: InstructionSet,
        block: Range<usize>,
        work: &mut [f32],
        out: &mut [f32],
    ) {
        let (size, filters) = (self.fields.size(), self.filters());
        let (weight, bias) = self.weight_and_bias();
        let runs = 0..self.fields.runs();
        let rows = &mut work[..block.len() * size];
        self.fields.gather(self.pictures, block, runs, rows, size);
        instructions.run(Product {
            a: rows,
            a_row: size,
            a_step: 1,
            inner: size,
            b: weight,
            b_stride: filters,
            out: Strip::of(out, filters),
            epilogue: match self.rectified {
                true => Epilogue::BiasRelu(bias),
                false => Epilogue::Write,
            },
        });
    }

    /// Rows of pictures whose gradients are one task: as many as have a block of fields, so that weights are read once for all of them.
    fn pictures_of_a_task(&self) -> usize {
        (BLOCK / self.fields.places().max(1)).max(1)
    }

    /// Writes the gradient of some rows of pictures, from that of their features in front of a rectifier.
    fn down(
        &self,
        instructions: InstructionSet,
        turned: &[f32],
        linear: &[f32],
        work: &mut [f32],
        d_pictures: &mut [f32],
    ) {
        let (size, filters) = (self.fields.size(), self.filters());
        d_pictures.fill(0.0);
        for block in self.blocks(0..linear.len() / filters) {
            let rows = &mut work[..block.len() * size];
            instructions.run(Product {
                a: &linear[block.start * filters..block.end * filters],
                a_row: filters,
                a_step: 1,
                inner: filters,
                b: turned,
                b_stride: size,
                out: Strip::of(rows, size),
                epilogue: Epilogue::Write,
            });
            self.fields.scatter(block, rows, d_pictures);
        }
    }

    /// Writes the gradient of some runs' rows of the weight, from that of all features in front of a rectifier.
    fn strip(
        &self,
        instructions: InstructionSet,
        runs: Range<usize>,
        linear: &[f32],
        work: &mut [f32],
        d_weight: &mut [f32],
    ) {
        let (filters, stride) = (self.filters(), self.strip_stride());
        for block in self.blocks(0..self.all_fields()) {
            let rows = &mut work[..block.len() * stride];
            let epilogue = if block.start == 0 {
                Epilogue::Write
            } else {
                Epilogue::Add
            };
            self.fields
                .gather(self.pictures, block.clone(), runs.clone(), rows, stride);
            instructions.run(Product {
                a: rows,
                a_row: 1,
                a_step: stride,
                inner: block.len(),
                b: &linear[block.start * filters..block.end * filters],
                b_stride: filters,
                out: Strip::of(d_weight, filters),
                epilogue,
            });
        }
    }
}

impl Kernels {
    /// Writes the features `[batch, places, filters]`.
    pub(crate) fn convolve(&mut self, convolve: Convolve<'_>, out: &mut [f32]) {
        let (fields, filters) = (convolve.all_fields(), convolve.filters());
        assert_eq!(out.len(), convolve.out_len());
        let each = BLOCK * convolve.fields.size();
        let work = self.scratch.rows.at_least(self.workers.threads() * each);
        let (work, out) = (Disjoint::new(work), Disjoint::new(out));
        let instructions = self.instructions;
        let task = |index: usize, worker: usize| {
            let block = index * BLOCK..(index * BLOCK + BLOCK).min(fields);
            // SAFETY: a block of fields belongs to one task, and a worker's memory is its own.
            let (work, out) = unsafe {
                (
                    work.part(worker * each..(worker + 1) * each),
                    out.part(block.start * filters..block.end * filters),
                )
            };
            convolve.forward(instructions, block, work, out);
        };
        let tasks = fields.div_ceil(BLOCK);
        share(&mut self.workers, tasks, convolve.work(), task);
    }

    /// Writes the gradients that are wanted, of the parameters and of the pictures, from `d_out`, that of the features `out`.
    pub(crate) fn convolve_back(
        &mut self,
        convolve: Convolve<'_>,
        out: &[f32],
        d_out: &[f32],
        wanted: Gradients<'_>,
    ) {
        let Convolve { fields, .. } = convolve;
        let (size, filters, work_load) = (fields.size(), convolve.filters(), convolve.work());
        assert!(out.len() == convolve.out_len() && d_out.len() == out.len());
        let each = BLOCK * size.max(convolve.strip_stride());
        let instructions = self.instructions;
        let Scratch {
            transposed,
            linear,
            rows,
            ..
        } = &mut self.scratch;
        let work = Disjoint::new(rows.at_least(self.workers.threads() * each));
        let turned = transposed.at_least(size * filters);
        let d_pictures = wanted.x.map(|d_pictures| {
            assert_eq!(d_pictures.len(), convolve.pictures.len());
            let (weight, _) = convolve.weight_and_bias();
            instructions.run(Transpose {
                from: weight,
                rows: size,
                columns: filters,
                to: Strip::of(turned, size),
            });
            Disjoint::new(d_pictures)
        });
        let turned = &*turned;

        // In front of a rectifier, the gradient is another one than that of what is behind it.
        let linear = linear.at_least(if convolve.rectified { out.len() } else { 0 });
        let to_linear = Disjoint::new(linear);
        let (batch, each_task) = (convolve.batch(), convolve.pictures_of_a_task());
        let of_pictures = |index: usize, worker: usize| {
            let (first, end) = (
                index * each_task,
                (index * each_task + each_task).min(batch),
            );
            let of = |width: usize| first * width..end * width;
            let features = of(fields.places() * filters);
            let gradient = match convolve.rectified {
                true => {
                    // SAFETY: rows of pictures belong to one task.
                    let gradient = unsafe { to_linear.part(features.clone()) };
                    gradient.copy_from_slice(&d_out[features.clone()]);
                    instructions.run(Derive {
                        activation: Activation::Relu,
                        kept: &out[features],
                        gradient,
                    });
                    &*gradient
                }
                false => &d_out[features],
            };
            if let Some(d_pictures) = d_pictures {
                // SAFETY: as above, and a worker's memory is its own.
                let (work, d_pictures) = unsafe {
                    (
                        work.part(worker * each..(worker + 1) * each),
                        d_pictures.part(of(fields.row())),
                    )
                };
                convolve.down(instructions, turned, gradient, work, d_pictures);
            }
        };
        if convolve.rectified || d_pictures.is_some() {
            let tasks = batch.div_ceil(each_task);
            share(&mut self.workers, tasks, work_load, of_pictures);
        }

        let Some(d_parameters) = wanted.params else {
            return;
        };
        if batch == 0 {
            return d_parameters.fill(0.0);
        }
        let linear = if convolve.rectified { &*linear } else { d_out };
        assert_eq!(d_parameters.len(), convolve.parameters.len());
        let (d_weight, d_bias) = d_parameters.split_at_mut(size * filters);
        let d_weight = Disjoint::new(d_weight);
        let of_a_strip = |index: usize, worker: usize| {
            let first = index * convolve.runs_of_a_strip();
            let runs = first..(first + convolve.runs_of_a_strip()).min(fields.runs());
            let each_run = fields.run() * filters;
            // SAFETY: these rows of the weight belong to one task, and a worker's memory is its own.
            let (work, d_weight) = unsafe {
                (
                    work.part(worker * each..(worker + 1) * each),
                    d_weight.part(runs.start * each_run..runs.end * each_run),
                )
            };
            convolve.strip(instructions, runs, linear, work, d_weight);
        };
        let strips = fields.runs().div_ceil(convolve.runs_of_a_strip());
        share(&mut self.workers, strips, work_load, of_a_strip);
        if convolve.rectified {
            instructions.run(ColumnSums {
                values: linear,
                factors: None,
                stride: filters,
                first: 0,
                out: d_bias,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::cpu::reference::Values;

    /// What a layer makes, and its gradients of parameters and pictures, by the definition and in double precision.
    fn reference(convolve: Convolve<'_>, d_out: &[f32]) -> [Vec<f64>; 3] {
        let Convolve {
            fields,
            rectified,
            parameters,
            pictures,
        } = convolve;
        let filters = convolve.filters();
        let [down, across] = fields.count();
        let row = fields.row();
        let batch = pictures.len() / row;
        let mut out = vec![0.0; batch * down * across * filters];
        let mut d_parameters = vec![0.0; parameters.len()];
        let mut d_pictures = vec![0.0; pictures.len()];
        let bias = fields.size() * filters;
        for (at, out) in out.iter_mut().enumerate() {
            let (field, filter) = (at / filters, at % filters);
            let (picture, y, x) = (
                field / (down * across),
                field / across % down,
                field % across,
            );
            // The number of the field, the one of the picture.
            let mut pairs = Vec::new();
            let numbers = fields.kernel * fields.kernel * fields.channels;
            for i in 0..fields.pictures * numbers {
                let (frame, pixel) = (i / numbers, i % numbers / fields.channels);
                let top = y * fields.stride + pixel / fields.kernel;
                let left = x * fields.stride + pixel % fields.kernel;
                let in_picture =
                    |at: usize, size: usize| at.checked_sub(fields.padding).filter(|at| *at < size);
                let (Some(top), Some(left)) = (
                    in_picture(top, fields.height),
                    in_picture(left, fields.width),
                ) else {
                    continue;
                };
                let line = frame * fields.height + top;
                let at = line * fields.width + left;
                pairs.push((
                    i,
                    picture * row + at * fields.channels + i % fields.channels,
                ));
            }
            let weight = |i: usize| i * filters + filter;
            let sum: f64 = pairs
                .iter()
                .map(|&(i, from)| parameters[weight(i)] as f64 * pictures[from] as f64)
                .sum();
            *out = match rectified {
                true => (sum + parameters[bias + filter] as f64).max(0.0),
                false => sum,
            };
            if *out > 0.0 || !rectified {
                let d_out = d_out[at] as f64;
                if rectified {
                    d_parameters[bias + filter] += d_out;
                }
                for (i, from) in pairs {
                    d_parameters[weight(i)] += d_out * pictures[from] as f64;
                    d_pictures[from] += d_out * parameters[weight(i)] as f64;
                }
            }
        }
        [out, d_parameters, d_pictures]
    }

    #[test]
    fn it_is_the_definition_whatever_the_instructions_and_the_threads() {
        let cases = [
            (true, 5, 17, (2, [12, 10], 3, [5, 2, 0])),
            (true, 9, 64, (1, [9, 9], 16, [3, 1, 0])),
            (true, 1, 3, (3, [4, 7], 1, [4, 1, 0])),
            (true, 2, 32, (1, [21, 23], 4, [8, 4, 0])),
            (false, 3, 16, (2, [9, 12], 3, [7, 2, 3])),
            (false, 9, 64, (1, [6, 5], 32, [3, 1, 1])),
            (false, 300, 16, (1, [2, 1], 16, [3, 1, 1])),
            (false, 2, 48, (1, [7, 8], 16, [1, 2, 0])),
            (true, 2, 8, (1, [2, 1], 5, [3, 2, 1])),
        ];
        for (rectified, batch, filters, (pictures, [height, width], channels, sizes)) in cases {
            let [kernel, stride, padding] = sizes;
            let fields = Fields {
                pictures,
                height,
                width,
                channels,
                kernel,
                stride,
                padding,
            };
            let mut values = Values::new(3);
            let parameters = values.normal((fields.size() + usize::from(rectified)) * filters);
            let rows = values.normal(batch * fields.row());
            let d_out = values.normal(batch * fields.places() * filters);
            let convolve = Convolve {
                fields,
                rectified,
                parameters: &parameters,
                pictures: &rows,
            };
            let want = reference(convolve, &d_out);
            for instructions in InstructionSet::available() {
                let mut with_one = None;
                for threads in [1, 3] {
                    let mut kernels = Kernels::with_instructions(threads, *instructions);
                    let mut out = vec![f32::NAN; convolve.out_len()];
                    let mut d_parameters = vec![f32::NAN; parameters.len()];
                    let mut d_rows = vec![f32::NAN; rows.len()];
                    kernels.convolve(convolve, &mut out);
                    kernels.poison();
                    let wanted = Gradients {
                        params: Some(&mut d_parameters),
                        x: Some(&mut d_rows),
                    };
                    kernels.convolve_back(convolve, &out, &d_out, wanted);
                    let got = [out, d_parameters, d_rows];
                    for (got, want) in got.iter().zip(&want) {
                        for (got, want) in got.iter().zip(want) {
                            let close = (*got as f64 - want).abs() < 2e-5 * (1.0 + want.abs());
                            assert!(close, "{} {fields:?}: {got} {want}", instructions.name());
                        }
                    }
                    let bits = got.map(|values| values.into_iter().map(f32::to_bits).collect());
                    let bits: [Vec<u32>; 3] = bits;
                    assert_eq!(*with_one.get_or_insert_with(|| bits.clone()), bits);
                }
            }
        }
    }
}
