//! The product of two matrices and what a layer of a perceptron does with it, in one launch.

use burn_cubecl::cubecl::prelude::*;
use burn_cubecl::tensor::CubeTensor;
use burn_cubecl::{CubeRuntime, cubecl};

use super::contiguous;
use crate::nn::cpu::Activation;

/// A cube computes so many rows and columns of the result, of so many inner places at a time.
const TILE: usize = 32;
/// Places of a row of a tile in shared memory: one more than there are, so that columns lie in different banks.
const PITCH: usize = TILE + 1;
/// Units of a cube in each direction; each computes two rows and two columns, half a tile apart.
const UNITS: usize = 16;

/// What is done with the product.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Then {
    /// It is left as it is.
    Keep,
    /// A bias is added to each column, and the activation taken.
    Activate(Activation),
    /// It is multiplied by the activation's derivative, which is computed from the activation's values.
    Derive(Activation),
    /// It is left as it is, and the second matrix' columns are summed up as well: the gradients of weights and of biases.
    SumColumns,
}

impl Then {
    fn activates(self) -> bool {
        matches!(self, Then::Activate(_))
    }

    fn activation(self) -> Activation {
        match self {
            Then::Activate(activation) | Then::Derive(activation) => activation,
            Then::Keep | Then::SumColumns => Activation::Identity,
        }
    }
}

/// Where a matrix' numbers lie in its buffer: element (r, c) of member m at `start + m * member + r * row + c * column`.
#[derive(Clone, Copy, Debug)]
pub struct Places {
    pub start: usize,
    pub member: usize,
    pub row: usize,
    pub column: usize,
}

impl Places {
    /// The transposed matrix.
    pub fn turned(self) -> Self {
        Places {
            row: self.column,
            column: self.row,
            ..self
        }
    }
}

/// A matrix of each member.
pub struct Matrix<R: CubeRuntime> {
    pub buffer: CubeTensor<R>,
    pub places: Places,
}

impl<R: CubeRuntime> Matrix<R> {
    /// All of a buffer `[.., rows, columns]`, the same for each member where it has no dimension for them.
    pub fn of(tensor: CubeTensor<R>) -> Self {
        let buffer = contiguous(tensor);
        let dims = buffer.meta.shape();
        let [rows, column] = [dims[dims.num_dims() - 2], dims[dims.num_dims() - 1]];
        let has_members = dims.num_dims() > 2 && dims[0] > 1;
        let places = Places {
            start: 0,
            member: if has_members { rows * column } else { 0 },
            row: column,
            column: 1,
        };
        Matrix { buffer, places }
    }

    /// The transposed matrix.
    pub fn turned(self) -> Self {
        Matrix {
            places: self.places.turned(),
            ..self
        }
    }
}

/// How large the product is: `[rows, inner] * [inner, columns]` for each of `members`, or their sum over so many.
pub struct Extent {
    pub rows: usize,
    pub inner: usize,
    pub columns: usize,
    pub members: usize,
    pub summed: usize,
}

/// Writes the product of `a` and `b` into `out`. `beside` has the biases at its start, or the activation's values where `out` lies, and
/// `sums` says where the sums of columns begin in `out`.
pub fn product<R: CubeRuntime>(
    then: Then,
    a: Matrix<R>,
    b: Matrix<R>,
    beside: Matrix<R>,
    out: &CubeTensor<R>,
    (places, sums): (Places, usize),
    extent: &Extent,
) {
    let client = out.client.clone();
    let cubes = |n: usize| n.div_ceil(TILE) as u32;
    let count = CubeCount::Static(
        cubes(extent.columns),
        cubes(extent.rows),
        extent.members as u32,
    );
    product_kernel::launch(
        &client,
        count,
        CubeDim::new_2d(UNITS as u32, UNITS as u32),
        a.buffer.into_buffer_arg(),
        b.buffer.into_buffer_arg(),
        beside.buffer.into_buffer_arg(),
        out.clone().into_buffer_arg(),
        launched(a.places),
        launched(b.places),
        launched(beside.places),
        launched(places),
        sums,
        extent.rows,
        extent.inner,
        extent.columns,
        extent.summed,
        then,
        a.places.column == 1,
        b.places.column == 1,
    );
}

fn launched<R: Runtime>(places: Places) -> StridesLaunch<R> {
    StridesLaunch::new(places.start, places.member, places.row, places.column)
}

/// [`Places`] in a kernel.
#[derive(CubeLaunch, CubeType)]
struct Strides {
    start: usize,
    member: usize,
    row: usize,
    column: usize,
}

#[cube(launch)]
#[allow(clippy::too_many_arguments)]
fn product_kernel(
    a: &[f32],
    b: &[f32],
    beside: &[f32],
    out: &mut [f32],
    a_places: &Strides,
    b_places: &Strides,
    beside_places: &Strides,
    out_places: &Strides,
    sums: usize,
    rows: usize,
    inner: usize,
    columns: usize,
    summed: usize,
    #[comptime] then: Then,
    #[comptime] a_in_rows: bool,
    #[comptime] b_in_rows: bool,
) {
    let mut a_tile = Shared::<[f32]>::new_slice(TILE * PITCH);
    let mut b_tile = Shared::<[f32]>::new_slice(TILE * PITCH);
    let x = UNIT_POS_X as usize;
    let y = UNIT_POS_Y as usize;
    let unit = y * UNITS + x;
    let first_row = CUBE_POS_Y as usize * TILE;
    let first_column = CUBE_POS_X as usize * TILE;
    let member = CUBE_POS_Z as usize;
    let mut near_near = 0.0f32;
    let mut near_far = 0.0f32;
    let mut far_near = 0.0f32;
    let mut far_far = 0.0f32;
    let mut sum_near = 0.0f32;
    let mut sum_far = 0.0f32;
    let tiles = inner.div_ceil(TILE);
    for of in 0..summed {
        let a_start = a_places.start + (member + of) * a_places.member;
        let b_start = b_places.start + (member + of) * b_places.member;
        for tile in 0..tiles {
            let first_inner = tile * TILE;
            #[unroll]
            for part in 0..4usize {
                let place = unit + part * (UNITS * UNITS);
                let slow = place / TILE;
                let fast = place % TILE;
                // Units that follow each other read what lies side by side.
                let a_row = if comptime!(a_in_rows) { slow } else { fast };
                let a_inner = if comptime!(a_in_rows) { fast } else { slow };
                let row = first_row + a_row;
                let column = first_inner + a_inner;
                let mut value = 0.0f32;
                if row < rows && column < inner {
                    value = a[a_start + row * a_places.row + column * a_places.column];
                }
                a_tile[a_row * PITCH + a_inner] = value;
                let b_inner = if comptime!(b_in_rows) { slow } else { fast };
                let b_column = if comptime!(b_in_rows) { fast } else { slow };
                let row = first_inner + b_inner;
                let column = first_column + b_column;
                let mut value = 0.0f32;
                if row < inner && column < columns {
                    value = b[b_start + row * b_places.row + column * b_places.column];
                }
                b_tile[b_inner * PITCH + b_column] = value;
            }
            sync_cube();
            for place in 0..TILE {
                let a_near = a_tile[y * PITCH + place];
                let a_far = a_tile[(y + UNITS) * PITCH + place];
                let b_near = b_tile[place * PITCH + x];
                let b_far = b_tile[place * PITCH + x + UNITS];
                near_near += a_near * b_near;
                near_far += a_near * b_far;
                far_near += a_far * b_near;
                far_far += a_far * b_far;
                if comptime!(then == Then::SumColumns) {
                    sum_near += b_near;
                    sum_far += b_far;
                }
            }
            sync_cube();
        }
    }
    let row = first_row + y;
    let column = first_column + x;
    let out_start = out_places.start + member * out_places.member;
    let beside_start = beside_places.start + member * beside_places.member;
    let at = row * out_places.row + column * out_places.column;
    let far_row = at + UNITS * out_places.row;
    let far_column = UNITS * out_places.column;
    if row < rows && column < columns {
        let other = beside_start + beside_place(at, column, then);
        out[out_start + at] = finished(near_near, beside, other, then);
    }
    if row < rows && column + UNITS < columns {
        let other = beside_start + beside_place(at + far_column, column + UNITS, then);
        out[out_start + at + far_column] = finished(near_far, beside, other, then);
    }
    if row + UNITS < rows && column < columns {
        let other = beside_start + beside_place(far_row, column, then);
        out[out_start + far_row] = finished(far_near, beside, other, then);
    }
    if row + UNITS < rows && column + UNITS < columns {
        let other = beside_start + beside_place(far_row + far_column, column + UNITS, then);
        out[out_start + far_row + far_column] = finished(far_far, beside, other, then);
    }
    if comptime!(then == Then::SumColumns) {
        if first_row + y == 0 {
            let sums = sums + member * out_places.member;
            if column < columns {
                out[sums + column] = sum_near;
            }
            if column + UNITS < columns {
                out[sums + column + UNITS] = sum_far;
            }
        }
    }
}

/// Which of the numbers beside belongs to an element: the bias of its column, or the value in its own place.
#[cube]
fn beside_place(at: usize, column: usize, #[comptime] then: Then) -> usize {
    if comptime!(then.activates()) {
        column
    } else {
        at
    }
}

/// What becomes of an element of the product.
#[cube]
fn finished(value: f32, beside: &[f32], other: usize, #[comptime] then: Then) -> f32 {
    if comptime!(then.activates()) {
        activated(value + beside[other], comptime!(then.activation()))
    } else if comptime!(then.activation() == Activation::Identity) {
        value
    } else {
        value * derivative(beside[other], comptime!(then.activation()))
    }
}

#[cube]
fn activated(x: f32, #[comptime] activation: Activation) -> f32 {
    match comptime!(activation) {
        Activation::Relu => max(x, 0.0f32),
        Activation::Tanh => x.tanh(),
        Activation::Elu => {
            let below = (min(x, 0.0f32)).exp() - 1.0f32;
            select(x > 0.0f32, x, below)
        }
        _ => x,
    }
}

/// From the activation's value.
#[cube]
pub fn derivative(y: f32, #[comptime] activation: Activation) -> f32 {
    match comptime!(activation) {
        Activation::Relu => select(y > 0.0f32, 1.0f32, 0.0f32),
        Activation::Tanh => 1.0f32 - y * y,
        Activation::Elu => select(y > 0.0f32, 1.0f32, y + 1.0f32),
        _ => 1.0f32,
    }
}
