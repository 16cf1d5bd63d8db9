//! Layer normalization of rows (Ba et al. 2016, <https://arxiv.org/abs/1607.06450>).

use super::{
    Kernels,
    disjoint::Disjoint,
    kernels::share,
    lanes::{Kernel, Lanes, read, write},
    sums::ColumnSums,
};
use std::ops::Range;

/// Rows in a task.
const ROWS: usize = 128;

/// Columns in a task that sums over all rows.
const COLUMNS: usize = 64;

/// The part of a task, of pieces that are at most so long.
fn piece(task: usize, longest: usize, len: usize) -> Range<usize> {
    task * longest..((task + 1) * longest).min(len)
}

impl Kernels {
    /// See [`Normalize`].
    pub(crate) fn normalize(
        &mut self,
        rows: &mut [f32],
        (gain, offset): (&[f32], &[f32]),
        epsilon: f32,
        inverse: &mut [f32],
        out: &mut [f32],
    ) {
        let (width, count, work) = (gain.len(), inverse.len(), rows.len());
        let [rows, inverse, out] = [rows, inverse, out].map(Disjoint::new);
        let instructions = self.instructions;
        share(&mut self.workers, count.div_ceil(ROWS), work, |task, _| {
            let its = piece(task, ROWS, count);
            let values = its.start * width..its.end * width;
            // SAFETY: rows belong to one task, in every buffer.
            let kernel = unsafe {
                Normalize {
                    rows: rows.part(values.clone()),
                    gain,
                    offset,
                    epsilon,
                    inverse: inverse.part(its),
                    out: out.part(values),
                }
            };
            instructions.run(kernel);
        });
    }

    /// See [`NormalizeBackward`].
    pub(crate) fn normalize_back_rows(
        &mut self,
        normal: &[f32],
        inverse: &[f32],
        gain: &[f32],
        gradient: &mut [f32],
    ) {
        let (width, count, work) = (gain.len(), inverse.len(), normal.len());
        let gradient = Disjoint::new(gradient);
        let instructions = self.instructions;
        share(&mut self.workers, count.div_ceil(ROWS), work, |task, _| {
            let its = piece(task, ROWS, count);
            let values = its.start * width..its.end * width;
            instructions.run(NormalizeBackward {
                normal: &normal[values.clone()],
                inverse: &inverse[its],
                gain,
                // SAFETY: rows belong to one task.
                gradient: unsafe { gradient.part(values) },
            });
        });
    }

    /// The gradients of gains and offsets, from that of the output `[rows, width]`.
    pub(crate) fn normalize_back_parameters(
        &mut self,
        normal: &[f32],
        d_out: &[f32],
        d_gain: &mut [f32],
        d_offset: &mut [f32],
    ) {
        let (width, work) = (d_gain.len(), normal.len());
        let [d_gain, d_offset] = [d_gain, d_offset].map(Disjoint::new);
        let instructions = self.instructions;
        let tasks = width.div_ceil(COLUMNS);
        share(&mut self.workers, tasks, work, |task, _| {
            let its = piece(task, COLUMNS, width);
            for (factors, to) in [(Some(normal), d_gain), (None, d_offset)] {
                instructions.run(ColumnSums {
                    values: d_out,
                    factors,
                    stride: width,
                    first: its.start,
                    // SAFETY: columns belong to one task.
                    out: unsafe { to.part(its.clone()) },
                });
            }
        });
    }
}

/// The sum of `value(at)` over a row of `len` values, in a fixed order.
#[inline(always)]
fn total<L: Lanes>(lanes: L, len: usize, value: impl Fn(usize) -> L::Vector) -> f32 {
    let mut sum = lanes.splat(0.0);
    for at in (0..len).step_by(L::WIDTH) {
        sum = lanes.add(sum, value(at));
    }
    lanes.sum(sum)
}

/// One where a row has values, zero behind its end.
#[inline(always)]
fn inside<L: Lanes>(lanes: L, len: usize, at: usize) -> L::Vector {
    const ONES: [f32; 16] = [1.0; 16];
    if len - at >= L::WIDTH {
        lanes.splat(1.0)
    } else {
        read(lanes, &ONES[..len - at], 0)
    }
}

/// Replaces each row `z` by `(z - mean) / deviation`, and writes that scaled and moved to `out`.
pub(crate) struct Normalize<'a> {
    /// `[rows, width]`: linear outputs, which become the normalized ones.
    pub(crate) rows: &'a mut [f32],
    /// `[width]` each.
    pub(crate) gain: &'a [f32],
    pub(crate) offset: &'a [f32],
    /// Added to the variance.
    pub(crate) epsilon: f32,
    /// `[rows]`: one over the deviation, kept for the backward pass.
    pub(crate) inverse: &'a mut [f32],
    /// `[rows, width]`.
    pub(crate) out: &'a mut [f32],
}

impl Kernel for Normalize<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) {
        let width = self.gain.len();
        let rows = self
            .rows
            .chunks_exact_mut(width)
            .zip(self.out.chunks_exact_mut(width));
        for ((row, out), inverse) in rows.zip(self.inverse) {
            let mean = lanes.splat(total(lanes, width, |at| read(lanes, row, at)) / width as f32);
            let squares = total(lanes, width, |at| {
                let away = lanes.mul(
                    lanes.sub(read(lanes, row, at), mean),
                    inside(lanes, width, at),
                );
                lanes.mul(away, away)
            });
            *inverse = 1.0 / (squares / width as f32 + self.epsilon).sqrt();
            let scale = lanes.splat(*inverse);
            for at in (0..width).step_by(L::WIDTH) {
                let normal = lanes.mul(lanes.sub(read(lanes, row, at), mean), scale);
                write(lanes, row, at, normal);
                let moved = lanes.mul_add(
                    normal,
                    read(lanes, self.gain, at),
                    read(lanes, self.offset, at),
                );
                write(lanes, out, at, moved);
            }
        }
    }
}

/// Turns the gradient of [`Normalize`]'s output into that of its input.
pub(crate) struct NormalizeBackward<'a> {
    /// `[rows, width]`: what [`Normalize`] left there.
    pub(crate) normal: &'a [f32],
    /// `[rows]`.
    pub(crate) inverse: &'a [f32],
    /// `[width]`.
    pub(crate) gain: &'a [f32],
    /// `[rows, width]`: in, the gradient of the output; out, that of the input.
    pub(crate) gradient: &'a mut [f32],
}

impl Kernel for NormalizeBackward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) {
        let (width, gain) = (self.gain.len(), self.gain);
        let rows = self
            .gradient
            .chunks_exact_mut(width)
            .zip(self.normal.chunks_exact(width));
        for ((gradient, normal), inverse) in rows.zip(self.inverse) {
            let scaled = |at| lanes.mul(read(lanes, gradient, at), read(lanes, gain, at));
            let mean = total(lanes, width, scaled) / width as f32;
            let along = total(lanes, width, |at| {
                lanes.mul(scaled(at), read(lanes, normal, at))
            }) / width as f32;
            let (mean, along, scale) =
                (lanes.splat(mean), lanes.splat(along), lanes.splat(*inverse));
            for at in (0..width).step_by(L::WIDTH) {
                let scaled = lanes.mul(read(lanes, gradient, at), read(lanes, gain, at));
                let rest = lanes.sub(
                    lanes.sub(scaled, mean),
                    lanes.mul(read(lanes, normal, at), along),
                );
                write(lanes, gradient, at, lanes.mul(rest, scale));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::cpu::InstructionSet;

    #[test]
    fn rows_far_from_zero_are_normalized_as_well() {
        for width in [2, 5, 16, 33] {
            for instructions in InstructionSet::available() {
                let mut rows: Vec<f32> = (0..width).map(|at| 1e4 + at as f32).collect();
                let (gain, offset) = (vec![2.0; width], vec![1.0; width]);
                let (mut inverse, mut out) = ([f32::NAN], vec![f32::NAN; width]);
                instructions.run(Normalize {
                    rows: &mut rows,
                    gain: &gain,
                    offset: &offset,
                    epsilon: 1e-5,
                    inverse: &mut inverse,
                    out: &mut out,
                });
                let deviation = (((width * width - 1) as f64) / 12.0).sqrt();
                for (at, got) in out.iter().enumerate() {
                    let want = (at as f64 - (width - 1) as f64 / 2.0) / deviation * 2.0 + 1.0;
                    assert!((*got as f64 - want).abs() < 3e-3, "{width}: {got} {want}");
                }
            }
        }
    }
}
