//! Sums over rows: gradients of biases, and of what several members read.

use super::lanes::{Kernel, Lanes, read, write};

/// `out[c] = sum over r of values[r, first + c] * factors[r, first + c]` (without `factors`: times one).
pub(crate) struct ColumnSums<'a> {
    /// `[rows, stride]`.
    pub(crate) values: &'a [f32],
    /// `[rows, stride]`.
    pub(crate) factors: Option<&'a [f32]>,
    pub(crate) stride: usize,
    pub(crate) first: usize,
    pub(crate) out: &'a mut [f32],
}

impl Kernel for ColumnSums<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) {
        let columns = self.out.len();
        // Four registers at once: the rows are read in whole cache lines, and the additions overlap.
        for start in (0..columns).step_by(4 * L::WIDTH) {
            let mut sums = [lanes.splat(0.0); 4];
            let width = columns - start;
            for (index, row) in self.values.chunks_exact(self.stride).enumerate() {
                let row = &row[self.first + start..][..width];
                for (v, sum) in sums.iter_mut().enumerate() {
                    let at = v * L::WIDTH;
                    if at >= width {
                        continue;
                    }
                    *sum = match self.factors {
                        None => lanes.add(*sum, read(lanes, row, at)),
                        Some(factors) => {
                            let factors =
                                &factors[index * self.stride + self.first + start..][..width];
                            lanes.mul_add(read(lanes, row, at), read(lanes, factors, at), *sum)
                        }
                    };
                }
            }
            for (v, sum) in sums.into_iter().enumerate() {
                if v * L::WIDTH < width {
                    write(lanes, self.out, start + v * L::WIDTH, sum);
                }
            }
        }
    }
}

/// `out[i] = sum over m of parts[m, i]`, in the order of the members.
pub(crate) struct SumMembers<'a> {
    /// `[members, out]`.
    pub(crate) parts: &'a [f32],
    pub(crate) out: &'a mut [f32],
}

impl Kernel for SumMembers<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) {
        let len = self.out.len();
        for at in (0..len).step_by(L::WIDTH) {
            let mut sum = read(lanes, &self.parts[..len], at);
            for part in self.parts[len..].chunks_exact(len) {
                sum = lanes.add(sum, read(lanes, part, at));
            }
            write(lanes, self.out, at, sum);
        }
    }
}

/// `values[i] *= factors[i]`: a dropout mask.
pub(crate) struct Scale<'a> {
    pub(crate) factors: &'a [f32],
    pub(crate) values: &'a mut [f32],
}

impl Kernel for Scale<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) {
        for at in (0..self.values.len()).step_by(L::WIDTH) {
            let product = lanes.mul(read(lanes, self.values, at), read(lanes, self.factors, at));
            write(lanes, self.values, at, product);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::cpu::{InstructionSet, reference::Values};

    #[test]
    fn columns_are_summed_over_rows_in_every_odd_width() {
        for (rows, stride, first, width) in [
            (1, 1, 0, 1),
            (3, 7, 2, 5),
            (257, 65, 64, 1),
            (9, 131, 64, 64),
        ] {
            let mut values = Values::new(6);
            let (a, b) = (values.normal(rows * stride), values.normal(rows * stride));
            for instructions in InstructionSet::available() {
                for factors in [None, Some(&b[..])] {
                    let mut out = vec![f32::NAN; width];
                    instructions.run(ColumnSums {
                        values: &a,
                        factors,
                        stride,
                        first,
                        out: &mut out,
                    });
                    for (c, got) in out.iter().enumerate() {
                        let at = |row: usize| row * stride + first + c;
                        let term = |row: usize| {
                            a[at(row)] as f64 * factors.map_or(1.0, |b| b[at(row)] as f64)
                        };
                        let want: f64 = (0..rows).map(term).sum();
                        assert!(
                            (*got as f64 - want).abs() < 1e-4,
                            "{}: {got} {want}",
                            instructions.name()
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn members_are_summed_in_their_order() {
        // In any other order the last value would be lost in the first two.
        let parts = [1e8, -1e8, 1.0].map(|value| [value; 19]).concat();
        for instructions in InstructionSet::available() {
            let mut out = [f32::NAN; 19];
            instructions.run(SumMembers {
                parts: &parts,
                out: &mut out,
            });
            assert_eq!(out, [1.0; 19], "{}", instructions.name());
        }
    }
}
