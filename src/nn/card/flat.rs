//! Kernels over all numbers of a tensor: a step of Adam, a target that follows, the norm of each member's gradient.
//!
//! Tensors are `[members, n]` and changed in place where nobody else has them.

use burn_cubecl::cubecl::prelude::*;
use burn_cubecl::tensor::CubeTensor;
use burn_cubecl::{CubeBackend, CubeRuntime, cubecl};

use super::product::derivative;
use super::sum::{UNITS, summed};
use super::{contiguous, room};
use crate::nn::cpu::Activation;
use crate::nn::flat::{AdamStep, FlatKernels};

/// Parts in which the squares of a member are summed up.
const PARTS: usize = 64;

/// `[members, n]` of a tensor.
fn extent<R: CubeRuntime>(tensor: &CubeTensor<R>) -> [usize; 2] {
    let shape = tensor.meta.shape();
    [shape[0], shape[1]]
}

/// A tensor that may be written to.
fn own<R: CubeRuntime>(tensor: CubeTensor<R>) -> CubeTensor<R> {
    let tensor = contiguous(tensor);
    match tensor.can_mut() {
        true => tensor,
        false => tensor.copy(),
    }
}

/// Cubes for so many numbers of each member.
fn cubes(n: usize, members: usize) -> CubeCount {
    CubeCount::Static(n.div_ceil(UNITS) as u32, members as u32, 1)
}

impl<R: CubeRuntime> FlatKernels for CubeBackend<R> {
    fn squares(gradient: CubeTensor<R>) -> CubeTensor<R> {
        let gradient = contiguous(gradient);
        let [members, n] = extent(&gradient);
        let squares = room(&gradient, [members, PARTS]);
        squares_kernel::launch(
            &gradient.client.clone(),
            CubeCount::Static(PARTS as u32, members as u32, 1),
            CubeDim::new_1d(UNITS as u32),
            gradient.into_buffer_arg(),
            squares.clone().into_buffer_arg(),
            n,
        );
        squares
    }

    fn adam(
        values: CubeTensor<R>,
        first: CubeTensor<R>,
        second: CubeTensor<R>,
        gradient: CubeTensor<R>,
        squares: CubeTensor<R>,
        step: AdamStep,
    ) -> (CubeTensor<R>, CubeTensor<R>, CubeTensor<R>, CubeTensor<R>) {
        let [values, first, second] = [values, first, second].map(own);
        let (gradient, squares) = (contiguous(gradient), contiguous(squares));
        let [members, n] = extent(&values);
        let [of, parts] = extent(&squares);
        let norms = room(&squares, [of, 1]);
        adam_kernel::launch(
            &values.client.clone(),
            cubes(n, members),
            CubeDim::new_1d(UNITS as u32),
            values.clone().into_buffer_arg(),
            first.clone().into_buffer_arg(),
            second.clone().into_buffer_arg(),
            gradient.into_buffer_arg(),
            squares.into_buffer_arg(),
            norms.clone().into_buffer_arg(),
            n,
            parts,
            AdamNumbersLaunch::new(
                step.rate,
                step.beta_1,
                step.rest_1,
                step.beta_2,
                step.rest_2,
                step.correction_1,
                step.root_correction_2,
                step.epsilon,
                step.coupled,
                step.kept,
                // Nothing is above it.
                step.most.unwrap_or(f32::INFINITY),
            ),
        );
        (values, first, second, norms)
    }

    fn add_up(
        sum: CubeTensor<R>,
        a: CubeTensor<R>,
        b: CubeTensor<R>,
        c: CubeTensor<R>,
        d: CubeTensor<R>,
        e: CubeTensor<R>,
        f: CubeTensor<R>,
        g: CubeTensor<R>,
    ) -> CubeTensor<R> {
        let sum = own(sum);
        let n = sum.meta.num_elements();
        let [a, b, c, d, e, f, g] =
            [a, b, c, d, e, f, g].map(|it| contiguous(it).into_buffer_arg());
        add_up_kernel::launch(
            &sum.client.clone(),
            cubes(n, 1),
            CubeDim::new_1d(UNITS as u32),
            sum.clone().into_buffer_arg(),
            a,
            b,
            c,
            d,
            e,
            f,
            g,
            n,
        );
        sum
    }

    fn track(target: CubeTensor<R>, source: CubeTensor<R>, tau: f32) -> CubeTensor<R> {
        let (target, source) = (own(target), contiguous(source));
        let [members, n] = extent(&target);
        track_kernel::launch(
            &target.client.clone(),
            cubes(members * n, 1),
            CubeDim::new_1d(UNITS as u32),
            target.clone().into_buffer_arg(),
            source.into_buffer_arg(),
            members * n,
            tau,
        );
        target
    }
}

/// The gradient in front of an activation, of the one behind it and the activation's values.
pub(super) fn derive<R: CubeRuntime>(
    d: CubeTensor<R>,
    values: &CubeTensor<R>,
    activation: Activation,
) -> CubeTensor<R> {
    let (d, values) = (own(d), contiguous(values.clone()));
    let n = d.meta.num_elements();
    derive_kernel::launch(
        &d.client.clone(),
        cubes(n, 1),
        CubeDim::new_1d(UNITS as u32),
        d.clone().into_buffer_arg(),
        values.into_buffer_arg(),
        n,
        activation,
    );
    d
}

#[cube(launch)]
fn derive_kernel(d: &mut [f32], values: &[f32], n: usize, #[comptime] activation: Activation) {
    let at = ABSOLUTE_POS;
    if at < n {
        d[at] = d[at] * derivative(values[at], activation);
    }
}

#[cube(launch)]
fn track_kernel(target: &mut [f32], source: &[f32], n: usize, tau: f32) {
    let at = ABSOLUTE_POS;
    if at < n {
        target[at] = target[at] + (source[at] - target[at]) * tau;
    }
}

#[cube(launch)]
#[allow(clippy::too_many_arguments, clippy::many_single_char_names)]
fn add_up_kernel(
    sum: &mut [f32],
    a: &[f32],
    b: &[f32],
    c: &[f32],
    d: &[f32],
    e: &[f32],
    f: &[f32],
    g: &[f32],
    n: usize,
) {
    let at = ABSOLUTE_POS;
    if at < n {
        let near = sum[at] + a[at] + b[at] + c[at];
        sum[at] = near + d[at] + e[at] + f[at] + g[at];
    }
}

#[cube(launch)]
fn squares_kernel(gradient: &[f32], squares: &mut [f32], n: usize) {
    let unit = UNIT_POS as usize;
    let part = CUBE_POS_X as usize;
    let member = CUBE_POS_Y as usize;
    let mut sum = 0.0f32;
    let steps = n.div_ceil(UNITS * PARTS);
    for step in 0..steps {
        let at = (step * PARTS + part) * UNITS + unit;
        if at < n {
            let g = gradient[member * n + at];
            sum += g * g;
        }
    }
    let sum = summed(sum);
    if unit == 0 {
        squares[member * PARTS + part] = sum;
    }
}

/// [`AdamStep`] in a kernel.
#[derive(CubeLaunch, CubeType)]
struct AdamNumbers {
    rate: f32,
    beta_1: f32,
    rest_1: f32,
    beta_2: f32,
    rest_2: f32,
    correction_1: f32,
    root_correction_2: f32,
    epsilon: f32,
    coupled: f32,
    kept: f32,
    most: f32,
}

#[cube(launch)]
#[allow(clippy::too_many_arguments)]
fn adam_kernel(
    values: &mut [f32],
    first: &mut [f32],
    second: &mut [f32],
    gradient: &[f32],
    squares: &[f32],
    norms: &mut [f32],
    n: usize,
    parts: usize,
    numbers: &AdamNumbers,
) {
    let member = CUBE_POS_Y as usize;
    let within = CUBE_POS_X as usize * UNITS + UNIT_POS as usize;
    let mut square = 0.0f32;
    for part in 0..parts {
        square += squares[member * parts + part];
    }
    let norm = square.sqrt();
    if within == 0 {
        norms[member] = norm;
    }
    let mut scale = 1.0f32;
    if norm > numbers.most {
        scale = numbers.most / norm;
    }
    if within < n {
        let at = member * n + within;
        let value = values[at];
        let g = gradient[at] * scale + value * numbers.coupled;
        let m = first[at] * numbers.beta_1 + g * numbers.rest_1;
        let v = second[at] * numbers.beta_2 + g * g * numbers.rest_2;
        first[at] = m;
        second[at] = v;
        let denominator = v.sqrt() / numbers.root_correction_2 + numbers.epsilon;
        let direction = m / denominator / numbers.correction_1;
        values[at] = value * numbers.kept - direction * numbers.rate;
    }
}
