//! A matrix, turned.

use super::lanes::{Kernel, Lanes};

/// Writes the `[columns, rows]` transpose of the `[rows, columns]` matrix `from` (rows `from_stride` apart) to `to`
/// (rows `to_stride` apart, so that strips of one matrix can be turned by several tasks).
pub(crate) struct Transpose<'a> {
    pub(crate) from: &'a [f32],
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) to: super::disjoint::Strip<'a>,
}

impl Kernel for Transpose<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) {
        let Transpose {
            from,
            rows,
            columns,
            mut to,
        } = self;
        assert!(from.len() >= rows * columns && to.rows == columns && to.columns == rows);
        let (whole_rows, whole_columns) = (rows - rows % L::WIDTH, columns - columns % L::WIDTH);
        for row in (0..whole_rows).step_by(L::WIDTH) {
            for column in (0..whole_columns).step_by(L::WIDTH) {
                // SAFETY: a whole block fits both matrices here, by the assertion and the rounded ends.
                unsafe {
                    let from = from.as_ptr().add(row * columns + column);
                    lanes.transpose(from, columns, to.at(column, row), to.stride);
                }
            }
        }
        for row in 0..rows {
            for column in if row < whole_rows { whole_columns } else { 0 }..columns {
                to.set(column, row, from[row * columns + column]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::cpu::{InstructionSet, disjoint::Strip, reference::Values};

    #[test]
    fn every_shape_is_turned_exactly() {
        for (rows, columns) in [(1, 1), (3, 257), (256, 1), (16, 16), (33, 47), (64, 31)] {
            let from = Values::new(1).normal(rows * columns);
            for instructions in InstructionSet::available() {
                let mut to = vec![f32::NAN; rows * columns];
                instructions.run(Transpose {
                    from: &from,
                    rows,
                    columns,
                    to: Strip::of(&mut to, rows),
                });
                for (at, value) in to.iter().enumerate() {
                    assert_eq!(
                        *value,
                        from[at % rows * columns + at / rows],
                        "{} {rows} {columns}",
                        instructions.name()
                    );
                }
            }
        }
    }
}
