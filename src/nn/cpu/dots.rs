//! Products with very few columns: a critic's one value, a small actor's actions.
//!
//! A tile of [`gemm`](super::gemm) would fill one lane of sixteen there. These kernels lay the registers along the
//! long dimension instead.

use super::{
    disjoint::Strip,
    lanes::{Kernel, Lanes},
};

/// Up to this many columns, these kernels are faster than a padded tile.
pub(crate) const FEW: usize = 8;

/// `out[r, c] = bias[c] + sum over i of a[r, i] * b[c, i]`: both factors lie row after row.
pub(crate) struct Dots<'a> {
    pub(crate) a: &'a [f32],
    pub(crate) b: &'a [f32],
    pub(crate) inner: usize,
    pub(crate) bias: Option<&'a [f32]>,
    pub(crate) out: Strip<'a>,
}

impl Kernel for Dots<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(mut self, lanes: L) {
        let (rows, columns) = (self.out.rows, self.out.columns);
        assert!(self.a.len() >= rows * self.inner && self.b.len() >= columns * self.inner);
        let whole = rows - rows % 4;
        for column in 0..columns {
            for row in (0..whole).step_by(4) {
                dots::<L, 4>(lanes, &mut self, row, column);
            }
            for row in whole..rows {
                dots::<L, 1>(lanes, &mut self, row, column);
            }
        }
    }
}

/// `R` dot products with one column at once, so that their latencies overlap.
#[inline(always)]
fn dots<L: Lanes, const R: usize>(lanes: L, dots: &mut Dots<'_>, row: usize, column: usize) {
    let inner = dots.inner;
    let b = &dots.b[column * inner..][..inner];
    let a: [&[f32]; R] = std::array::from_fn(|r| &dots.a[(row + r) * inner..][..inner]);
    let mut sums = [lanes.splat(0.0); R];
    for at in (0..inner).step_by(L::WIDTH) {
        let left = inner - at;
        // SAFETY: every one of these slices holds `inner` values, and `left` is what remains of them.
        unsafe {
            let load = |from: &[f32]| {
                let from = from.as_ptr().add(at);
                if left >= L::WIDTH {
                    lanes.load(from)
                } else {
                    lanes.load_first(from, left)
                }
            };
            let b = load(b);
            for (sum, a) in sums.iter_mut().zip(a) {
                *sum = lanes.mul_add(load(a), b, *sum);
            }
        }
    }
    let bias = dots.bias.map_or(0.0, |bias| bias[column]);
    for (r, sum) in sums.into_iter().enumerate() {
        dots.out.set(row + r, column, lanes.sum(sum) + bias);
    }
}

/// `out[i, c] = sum over r of a[r, i] * b[r, c]`, the weight gradient of a layer with few outputs.
pub(crate) struct Outer<'a> {
    /// `[rows, inner]`, back to back.
    pub(crate) a: &'a [f32],
    /// `[rows, columns]`, back to back.
    pub(crate) b: &'a [f32],
    pub(crate) rows: usize,
    /// `[inner, columns]`.
    pub(crate) out: Strip<'a>,
}

impl Kernel for Outer<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(mut self, lanes: L) {
        let (inner, columns) = (self.out.rows, self.out.columns);
        assert!(self.a.len() >= self.rows * inner && self.b.len() >= self.rows * columns);
        for at in (0..inner).step_by(4 * L::WIDTH) {
            for column in 0..columns {
                let mut sums = [lanes.splat(0.0); 4];
                for row in 0..self.rows {
                    let a = &self.a[row * inner..][..inner];
                    let b = lanes.splat(self.b[row * columns + column]);
                    for (v, sum) in sums.iter_mut().enumerate() {
                        let at = at + v * L::WIDTH;
                        if at < inner {
                            *sum = lanes.mul_add(super::lanes::read(lanes, a, at), b, *sum);
                        }
                    }
                }
                for (v, sum) in sums.into_iter().enumerate() {
                    // Wide enough for a register of any instruction set.
                    let mut values = [0.0; 16];
                    super::lanes::write(lanes, &mut values, 0, sum);
                    let at = at + v * L::WIDTH;
                    for (lane, value) in values
                        .into_iter()
                        .take(L::WIDTH.min(inner.saturating_sub(at)))
                        .enumerate()
                    {
                        self.out.set(at + lane, column, value);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::cpu::{InstructionSet, reference::Values};

    #[test]
    fn few_columns_are_multiplied_in_every_odd_shape() {
        for (rows, inner, columns) in [
            (1, 1, 1),
            (3, 257, 2),
            (257, 3, 3),
            (7, 255, 8),
            (64, 256, 1),
        ] {
            let mut values = Values::new(3);
            let (a, b, bias) = (
                values.normal(rows * inner),
                values.normal(columns * inner),
                values.normal(columns),
            );
            let d = values.normal(rows * columns);
            for instructions in InstructionSet::available() {
                let mut out = vec![f32::NAN; rows * columns];
                let strip = Strip::of(&mut out, columns);
                instructions.run(Dots {
                    a: &a,
                    b: &b,
                    inner,
                    bias: Some(&bias),
                    out: strip,
                });
                for (at, got) in out.iter().enumerate() {
                    let (r, c) = (at / columns, at % columns);
                    let sum: f64 = (0..inner)
                        .map(|i| a[r * inner + i] as f64 * b[c * inner + i] as f64)
                        .sum();
                    assert!(
                        (*got as f64 - sum - bias[c] as f64).abs() < 1e-4,
                        "{}",
                        instructions.name()
                    );
                }
                let mut out = vec![f32::NAN; inner * columns];
                instructions.run(Outer {
                    a: &a,
                    b: &d,
                    rows,
                    out: Strip::of(&mut out, columns),
                });
                for (at, got) in out.iter().enumerate() {
                    let (i, c) = (at / columns, at % columns);
                    let sum: f64 = (0..rows)
                        .map(|r| a[r * inner + i] as f64 * d[r * columns + c] as f64)
                        .sum();
                    assert!((*got as f64 - sum).abs() < 1e-4, "{}", instructions.name());
                }
            }
        }
    }
}
