//! Products of matrices in the sizes of reinforcement learning: a few hundred rows, one to a thousand columns.
//!
//! The textbook copies both factors into panels first. With operands that fit the second cache that only costs time on AMD's
//! processors with AVX-512 (measured on Zen 4, 256 x 256 x 256: 116.8 GFLOP/s as they lie, 113.9 with panels, 117.1 at most), and the
//! caller's blocks of 128 rows keep it so up to widths of 1024: there both are read where they lie. Intel's, and those with AVX2 alone,
//! want the right one copied, and a left one that lies transposed (256 x 1000 x 1024 so, in AVX-512 on Intel: 104 GFLOP/s as it lies,
//! 124 copied, and 141 by MKL).
//!
//! Left factors that a rectifier wrote are half zeros; [`zeros`](super::zeros) multiplies those without them.
//!
//! A value of the result is one running sum over the inner dimension in ascending order, whatever tile it falls in:
//! its bits depend on nothing but the factors and the instruction set.

use super::{
    disjoint::Strip,
    lanes::{Kernel, Lanes},
    tuning,
    zeros::{self, CHUNK},
};
use std::{mem::MaybeUninit, ops::Range};

/// What happens to a finished sum on its way to memory.
#[derive(Clone, Copy)]
pub(crate) enum Epilogue<'a> {
    /// It is written.
    Write,
    /// The sum goes on from what is there.
    Add,
    /// The column's bias is added.
    Bias(&'a [f32]),
    /// The column's bias is added, then negative values become zero.
    BiasRelu(&'a [f32]),
    /// It is kept where the activation at the same place is positive, else zero is written: the rectifier's
    /// derivative. The activations are `[rows, columns]`, back to back.
    WherePositive(&'a [f32]),
}

/// `out[r, c] = sum over i of a[r, i] * b[i, c]`, with an epilogue.
pub(crate) struct Product<'a> {
    /// The left factor; its value at row `r`, inner `i` is `a[r * a_row + i * a_step]`, so that it may lie transposed.
    pub(crate) a: &'a [f32],
    pub(crate) a_row: usize,
    pub(crate) a_step: usize,
    /// The length of the sums.
    pub(crate) inner: usize,
    /// The right factor; its value at inner `i`, column `c` is `b[i * b_stride + c]`.
    pub(crate) b: &'a [f32],
    pub(crate) b_stride: usize,
    /// The result, which says how many rows and columns there are.
    pub(crate) out: Strip<'a>,
    pub(crate) epilogue: Epilogue<'a>,
}

impl Kernel for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) {
        let (rows, columns) = (self.out.rows, self.out.columns);
        if rows == 0 || columns == 0 || self.inner == 0 {
            return;
        }
        // The tiles below read through pointers: these lines are what makes that sound.
        assert!(self.a.len() > (rows - 1) * self.a_row + (self.inner - 1) * self.a_step);
        assert!(self.b.len() >= (self.inner - 1) * self.b_stride + columns);
        match self.epilogue {
            Epilogue::Bias(bias) | Epilogue::BiasRelu(bias) => assert!(bias.len() >= columns),
            Epilogue::WherePositive(activations) => assert!(activations.len() >= rows * columns),
            Epilogue::Write | Epilogue::Add => {}
        }
        let mut product = self;
        for first in (0..rows).step_by(CHUNK) {
            let rows = first..(first + CHUNK).min(rows);
            // SAFETY: the rows are the product's own, and the factors are as long as asserted.
            unsafe {
                if zeros::pays(lanes, &product, rows.clone()) {
                    zeros::skip(lanes, &mut product, rows);
                } else {
                    dense(lanes, &mut product, rows);
                }
            }
        }
    }
}

/// Inner places of the right factor that are packed at most.
const PACKED: usize = 448;

/// Inner places that are packed where there are more: a panel of two registers of columns then leaves room in the first cache. To
/// go on with sums that rest in the result costs more than that gives where there is little more than one stretch.
const STRETCH: usize = 256;

/// Values of a right factor that stay in the second cache: one that is larger is packed on every processor.
const NEAR: usize = 1 << 17;

/// Panels below which packing the left factor costs more than it saves.
const PANELS_WORTH_PACKING: usize = 4;

/// Two registers of columns of the right factor, row behind row. It is written before it is read, every time.
#[repr(align(64))]
struct Panel(MaybeUninit<[f32; PACKED * 2 * 16]>);

/// Tiles of the left factor, one behind the other, each inner place by inner place. It is written before it is read, every time.
#[repr(align(64))]
struct Tiles(MaybeUninit<[f32; STRETCH * CHUNK]>);

/// The left factor from a tile's first row on: its value at row `r` of the tile, inner `i` is `start[r * row + i * step]`.
#[derive(Clone, Copy)]
struct Left {
    start: *const f32,
    row: usize,
    step: usize,
}

impl Left {
    /// The same from a row of it on.
    #[inline(always)]
    fn below(self, row: usize) -> Self {
        Left {
            start: self.start.wrapping_add(row * self.row),
            ..self
        }
    }
}

/// The right factor from a tile's first column on: its value at inner `i`, column `c` of the tile is `start[i * stride + c]`.
#[derive(Clone, Copy)]
struct Right {
    start: *const f32,
    stride: usize,
}

/// Where a tile is, and the stretch of the sums that is added to it.
#[derive(Clone, Copy)]
struct Place {
    row: usize,
    column: usize,
    /// The stretch's first inner place; the result holds the sums of those before it.
    first: usize,
    /// Inner places in the stretch.
    inner: usize,
}

/// Some rows of the product, by every value of the left factor.
///
/// # Safety
/// `rows` are not empty, at most [`CHUNK`], and within the product, whose factors are as long as [`Product::run`] asserts.
#[inline(always)]
pub(crate) unsafe fn dense<L: Lanes>(lanes: L, product: &mut Product<'_>, rows: Range<usize>) {
    let columns = product.out.columns;
    let tiling = tuning::tiling::<L>();
    // Tiles of nearly equal height: 14 rows in tiles of at most 8 are 7 and 7, not 8 and 6.
    let tiles = rows.len().div_ceil(tiling.rows);
    let tile_rows = rows.len().div_ceil(tiles);
    let packs =
        (tiling.packs || product.inner * product.b_stride > NEAR) && tiles >= tiling.worth_packing;
    // Where it lies transposed, its columns are a row of it apart, and fall onto the same few places of the cache.
    let packs_left = packs && product.a_step > 1 && columns >= PANELS_WORTH_PACKING * 2 * L::WIDTH;
    let mut panel = Panel(MaybeUninit::uninit());
    let mut room = Tiles(MaybeUninit::uninit());
    let packed = room.0.as_mut_ptr().cast::<f32>();
    // What does not fit comes in stretches, and the sums rest in the result between them, which costs no bit.
    let stretch = match product.inner {
        inner if packs_left || packs && inner > PACKED => STRETCH,
        inner => inner,
    };
    for first in (0..product.inner).step_by(stretch) {
        let inner = stretch.min(product.inner - first);
        // SAFETY: the rows and the stretch are the left factor's; the tiles have room for a chunk of rows of a stretch.
        let left = unsafe {
            let left = Left {
                start: product
                    .a
                    .as_ptr()
                    .add(rows.start * product.a_row + first * product.a_step),
                row: product.a_row,
                step: product.a_step,
            };
            if packs_left {
                for row in (0..rows.len()).step_by(tile_rows) {
                    let height = tile_rows.min(rows.len() - row);
                    pack_left(
                        lanes,
                        left.below(row),
                        height,
                        inner,
                        packed.add(row * inner),
                    );
                }
            }
            left
        };
        for column in (0..columns).step_by(2 * L::WIDTH) {
            let width = columns - column;
            let full = width >= 2 * L::WIDTH;
            // SAFETY: row and column are ones of the right factor; a panel has room for a stretch's rows of two full registers.
            let right = unsafe {
                let right = Right {
                    start: product.b.as_ptr().add(first * product.b_stride + column),
                    stride: product.b_stride,
                };
                if packs && full {
                    pack(lanes, right, inner, panel.0.as_mut_ptr().cast())
                } else {
                    right
                }
            };
            for row in (0..rows.len()).step_by(tile_rows) {
                let height = tile_rows.min(rows.len() - row);
                let left = if packs_left {
                    Left {
                        start: packed.wrapping_add(row * inner),
                        row: 1,
                        step: height,
                    }
                } else {
                    left.below(row)
                };
                let place = Place {
                    row: rows.start + row,
                    column,
                    first,
                    inner,
                };
                // SAFETY: the tile starts inside of the result and is cut to `height` rows and `width` columns of it.
                unsafe {
                    if full {
                        tile_of_height::<L, 2, true>(lanes, product, left, right, place, height);
                    } else if width > L::WIDTH {
                        tile_of_height::<L, 2, false>(lanes, product, left, right, place, height);
                    } else {
                        tile_of_height::<L, 1, false>(lanes, product, left, right, place, height);
                    }
                }
            }
        }
    }
}

/// Copies a tile's rows of a left factor that lies transposed, inner place by inner place.
///
/// # Safety
/// `from` has `height` rows of `inner` places, and `to` room for them.
#[inline(always)]
unsafe fn pack_left<L: Lanes>(lanes: L, from: Left, height: usize, inner: usize, to: *mut f32) {
    for i in 0..inner {
        // SAFETY: the caller's promise.
        unsafe {
            let (from, to) = (from.start.add(i * from.step), to.add(i * height));
            for at in (0..height).step_by(L::WIDTH) {
                let count = L::WIDTH.min(height - at);
                lanes.store_first(to.add(at), count, lanes.load_first(from.add(at), count));
            }
        }
    }
}

/// Copies two full registers of columns, row behind row: where they lie, their rows fall onto the same few places of the cache.
///
/// # Safety
/// `from` has `inner` rows of two registers, and `to` room for them.
#[inline(always)]
unsafe fn pack<L: Lanes>(lanes: L, from: Right, inner: usize, to: *mut f32) -> Right {
    let stride = 2 * L::WIDTH;
    for i in 0..inner {
        // SAFETY: the caller's promise.
        unsafe {
            let (from, to) = (from.start.add(i * from.stride), to.add(i * stride));
            lanes.store(to, lanes.load(from));
            lanes.store(to.add(L::WIDTH), lanes.load(from.add(L::WIDTH)));
        }
    }
    Right { start: to, stride }
}

/// Makes the height a constant, so that the sums live in registers.
///
/// # Safety
/// As for [`tile`], with `height` for its `R`.
#[inline(always)]
unsafe fn tile_of_height<L: Lanes, const V: usize, const FULL: bool>(
    lanes: L,
    product: &mut Product<'_>,
    left: Left,
    right: Right,
    place: Place,
    height: usize,
) {
    macro_rules! tiles {
        ($($rows:literal)*) => {
            match height {
                $($rows if L::ROWS >= $rows => tile::<L, $rows, V, FULL>(lanes, product, left, right, place),)*
                _ => unreachable!("a tile of {height} rows, of at most {}", L::ROWS),
            }
        };
    }
    // SAFETY: the caller's promise; no arm is taller than `height`.
    unsafe { tiles!(1 2 3 4 5 6 7 8 9 10 11 12) }
}

/// Computes `R` rows of `V` registers of columns: the loop that all the time goes into.
///
/// The sums are finished where they are, in registers: a product of 14 inner places would spend half of its time on the way to
/// memory and back.
///
/// # Safety
/// `row + R <= rows` and `column < columns`; with `FULL` also `column + V * WIDTH <= columns`, without it more than
/// `V - 1` registers of columns are left. The stretch is within the product's inner places, `left` has `R` rows of it and `right` as many
/// rows as it. The product's factors are as long as [`Product::run`] asserts.
#[expect(
    clippy::needless_range_loop,
    reason = "loops over indices unroll, and keep the sums in registers; two zipped iterators did not, and cost a tenth of the speed"
)]
#[inline(always)]
unsafe fn tile<L: Lanes, const R: usize, const V: usize, const FULL: bool>(
    lanes: L,
    product: &mut Product<'_>,
    left: Left,
    right: Right,
    place: Place,
) {
    let Place {
        row,
        column,
        first,
        inner,
    } = place;
    // Columns in the last register.
    let count = if FULL {
        L::WIDTH
    } else {
        (product.out.columns - column - (V - 1) * L::WIDTH).min(L::WIDTH)
    };
    let mut sums = [[lanes.splat(0.0); V]; R];
    // SAFETY: rows below R and columns below the tile's width exist in both factors, the result, the bias and the activations, by
    // the caller's promise; the last register is cut to `count` unless the tile is full.
    unsafe {
        if first > 0 || matches!(product.epilogue, Epilogue::Add) {
            for r in 0..R {
                let from = product.out.at(row + r, column);
                for v in 0..V {
                    sums[r][v] = load_columns::<L, V, FULL>(lanes, from, v, count);
                }
            }
        }
        for i in 0..inner {
            let (a, b) = (
                left.start.add(i * left.step),
                right.start.add(i * right.stride),
            );
            let mut factors = [lanes.splat(0.0); V];
            for v in 0..V {
                factors[v] = load_columns::<L, V, FULL>(lanes, b, v, count);
            }
            for r in 0..R {
                let value = lanes.splat(*a.add(r * left.row));
                for v in 0..V {
                    sums[r][v] = lanes.mul_add(value, factors[v], sums[r][v]);
                }
            }
        }
        let ends = first + inner == product.inner;
        match product.epilogue {
            Epilogue::Write | Epilogue::Add => {}
            _ if !ends => {}
            Epilogue::Bias(bias) => {
                add_bias::<L, R, V, FULL>(lanes, &mut sums, &bias[column..], count)
            }
            Epilogue::BiasRelu(bias) => {
                add_bias::<L, R, V, FULL>(lanes, &mut sums, &bias[column..], count);
                for r in 0..R {
                    for v in 0..V {
                        sums[r][v] = lanes.max(lanes.splat(0.0), sums[r][v]);
                    }
                }
            }
            Epilogue::WherePositive(activations) => {
                for r in 0..R {
                    let tests = activations
                        .as_ptr()
                        .add((row + r) * product.out.columns + column);
                    for v in 0..V {
                        let test = load_columns::<L, V, FULL>(lanes, tests, v, count);
                        sums[r][v] = lanes.where_positive(test, sums[r][v], lanes.splat(0.0));
                    }
                }
            }
        }
        for r in 0..R {
            let to = product.out.at(row + r, column);
            for v in 0..V {
                store_columns::<L, V, FULL>(lanes, to, v, count, sums[r][v]);
            }
        }
    }
}

/// Adds the columns' bias to a tile's sums.
///
/// # Safety
/// `bias` has the tile's columns.
#[expect(clippy::needless_range_loop, reason = "as for `tile`")]
#[inline(always)]
unsafe fn add_bias<L: Lanes, const R: usize, const V: usize, const FULL: bool>(
    lanes: L,
    sums: &mut [[L::Vector; V]; R],
    bias: &[f32],
    count: usize,
) {
    for v in 0..V {
        // SAFETY: the caller's promise.
        let bias = unsafe { load_columns::<L, V, FULL>(lanes, bias.as_ptr(), v, count) };
        for r in 0..R {
            sums[r][v] = lanes.add(sums[r][v], bias);
        }
    }
}

/// Writes the `v`-th register of a finished sum to the columns from `place` on, with the product's epilogue.
///
/// # Safety
/// As for [`tile`], of which `place` is a row and the first column.
#[inline(always)]
pub(crate) unsafe fn finish<L: Lanes, const V: usize, const FULL: bool>(
    lanes: L,
    product: &mut Product<'_>,
    (row, column): (usize, usize),
    v: usize,
    count: usize,
    sum: L::Vector,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let sum = match product.epilogue {
            Epilogue::Write | Epilogue::Add => sum,
            Epilogue::Bias(bias) => {
                let bias = bias.as_ptr().add(column);
                lanes.add(sum, load_columns::<L, V, FULL>(lanes, bias, v, count))
            }
            Epilogue::BiasRelu(bias) => {
                let bias = bias.as_ptr().add(column);
                let sum = lanes.add(sum, load_columns::<L, V, FULL>(lanes, bias, v, count));
                lanes.max(lanes.splat(0.0), sum)
            }
            Epilogue::WherePositive(activations) => {
                let test = activations.as_ptr().add(row * product.out.columns + column);
                let test = load_columns::<L, V, FULL>(lanes, test, v, count);
                lanes.where_positive(test, sum, lanes.splat(0.0))
            }
        };
        let to = product.out.at(row, column);
        store_columns::<L, V, FULL>(lanes, to, v, count, sum);
    }
}

/// Writes the `v`-th register of a tile's columns; the last one is cut to `count` unless the tile is full.
///
/// # Safety
/// `to` must be valid for writing the tile's columns.
#[inline(always)]
pub(crate) unsafe fn store_columns<L: Lanes, const V: usize, const FULL: bool>(
    lanes: L,
    to: *mut f32,
    v: usize,
    count: usize,
    value: L::Vector,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let to = to.add(v * L::WIDTH);
        if FULL || v < V - 1 {
            lanes.store(to, value)
        } else {
            lanes.store_first(to, count, value)
        }
    }
}

/// The `v`-th register of a tile's columns; the last one is cut to `count` unless the tile is full.
///
/// # Safety
/// `from` must be valid for reading the tile's columns.
#[inline(always)]
pub(crate) unsafe fn load_columns<L: Lanes, const V: usize, const FULL: bool>(
    lanes: L,
    from: *const f32,
    v: usize,
    count: usize,
) -> L::Vector {
    // SAFETY: the caller's promise.
    unsafe {
        let from = from.add(v * L::WIDTH);
        if FULL || v < V - 1 {
            lanes.load(from)
        } else {
            lanes.load_first(from, count)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::cpu::{InstructionSet, disjoint::Disjoint, reference::Values};

    const SIZES: [usize; 6] = [1, 3, 7, 64, 255, 257];

    /// One product by every instruction set against sums in `f64`.
    fn check(rows: usize, inner: usize, columns: usize, transposed: bool) {
        let mut values = Values::new(7);
        let (a, b) = (values.normal(rows * inner), values.normal(inner * columns));
        let (bias, activations) = (values.normal(columns), values.normal(rows * columns));
        let (a_row, a_step) = if transposed { (1, rows) } else { (inner, 1) };
        for epilogue in [
            Epilogue::Write,
            Epilogue::Add,
            Epilogue::Bias(&bias),
            Epilogue::BiasRelu(&bias),
            Epilogue::WherePositive(&activations),
        ] {
            for instructions in InstructionSet::available() {
                // A wider matrix around the result shows a write to a wrong place.
                let stride = columns + 2;
                let mut out = vec![0.5; rows * stride];
                // SAFETY: nothing else uses `out`.
                let strip = unsafe { Disjoint::new(&mut out).strip(1, rows, columns, stride) };
                let product = Product {
                    a: &a,
                    a_row,
                    a_step,
                    inner,
                    b: &b,
                    b_stride: columns,
                    out: strip,
                    epilogue,
                };
                instructions.run(product);
                for (at, got) in out.iter().enumerate() {
                    let (r, c) = (at / stride, at % stride);
                    if c == 0 || c > columns {
                        assert_eq!(*got, 0.5, "outside of the result at {r}, {c}");
                        continue;
                    }
                    let c = c - 1;
                    let terms = (0..inner)
                        .map(|i| a[r * a_row + i * a_step] as f64 * b[i * columns + c] as f64);
                    let (mut want, mut scale) = (0.0, 1.0);
                    terms.for_each(|term| (want, scale) = (want + term, scale + term.abs()));
                    want = match epilogue {
                        Epilogue::Write => want,
                        Epilogue::Add => want + 0.5,
                        Epilogue::Bias(bias) => want + bias[c] as f64,
                        Epilogue::BiasRelu(bias) => (want + bias[c] as f64).max(0.0),
                        Epilogue::WherePositive(activations)
                            if activations[r * columns + c] > 0.0 =>
                        {
                            want
                        }
                        Epilogue::WherePositive(_) => 0.0,
                    };
                    let name = instructions.name();
                    assert!(
                        (*got as f64 - want).abs() < 1e-6 * scale,
                        "{name} {rows} {inner} {columns}: {got} {want}"
                    );
                }
            }
        }
    }

    #[test]
    fn every_instruction_set_multiplies_every_odd_shape() {
        for (index, rows) in SIZES.into_iter().enumerate() {
            for inner in [SIZES[(index + 1) % 6], SIZES[(index + 4) % 6]] {
                for columns in if cfg!(miri) {
                    vec![3, 9]
                } else {
                    vec![1, 3, 7, 14, 33, 255, 257]
                } {
                    if !cfg!(miri) || rows * inner < 500 {
                        check(rows, inner, columns, false);
                        check(rows, inner, columns, true);
                    }
                }
            }
        }
    }

    #[test]
    #[cfg_attr(miri, ignore)]
    fn the_sizes_of_a_critic_are_right_as_well() {
        check(256, 256, 256, false);
        check(256, 256, 256, true);
        check(256, 14, 256, false);
        check(14, 256, 256, true);
    }

    #[test]
    #[cfg_attr(miri, ignore)]
    fn sums_that_are_longer_than_a_panel_go_on_from_stretch_to_stretch() {
        for transposed in [false, true] {
            check(41, PACKED + STRETCH + 77, 130, transposed);
            check(24, PACKED, 257, transposed);
            check(37, PACKED + 1, 128, transposed);
            // Large enough to be packed on every processor.
            check(130, 2 * STRETCH + 77, 259, transposed);
        }
    }
}
