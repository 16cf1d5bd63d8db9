//! What a layer does to each of its values, and the derivative of that.

use bevy_reflect::Reflect;
use serde::{Deserialize, Serialize};

use super::lanes::{Kernel, Lanes, read, write};

/// A function of one value, applied to each output of a layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Reflect, Serialize, Deserialize)]
pub enum Activation {
    /// `x`.
    #[default]
    Identity,
    /// `max(x, 0)`; its derivative at zero is zero.
    Relu,
    /// The hyperbolic tangent, to 3e-7.
    Tanh,
    /// `x` where positive, else `exp(x) - 1` (Clevert et al. 2016, <https://arxiv.org/abs/1511.07289>, alpha 1).
    Elu,
    /// `x` times the normal distribution's cumulative function at `x`, in its exact form (Hendrycks & Gimpel 2016,
    /// <https://arxiv.org/abs/1606.08415>), to 5e-7 of `max(1, |x|)`.
    Gelu,
}

impl Activation {
    /// Whether the derivative is computed from the activation's input; otherwise from its output.
    pub(crate) fn keeps_input(self) -> bool {
        self == Activation::Gelu
    }

    /// The function, one register at a time.
    #[inline(always)]
    fn apply<L: Lanes>(self, lanes: L, x: L::Vector) -> L::Vector {
        match self {
            Activation::Identity => x,
            Activation::Relu => lanes.max(lanes.splat(0.0), x),
            Activation::Tanh => tanh(lanes, x),
            Activation::Elu => {
                lanes.where_positive(x, x, exp_minus_one(lanes, lanes.min(lanes.splat(0.0), x)))
            }
            Activation::Gelu => lanes.mul(x, normal_cumulative(lanes, x)),
        }
    }

    /// The derivative from the kept value (see [`Activation::keeps_input`]), one register at a time.
    #[inline(always)]
    fn derivative<L: Lanes>(self, lanes: L, kept: L::Vector) -> L::Vector {
        let one = lanes.splat(1.0);
        match self {
            Activation::Identity => one,
            Activation::Relu => lanes.where_positive(kept, one, lanes.splat(0.0)),
            Activation::Tanh => lanes.sub(one, lanes.mul(kept, kept)),
            Activation::Elu => lanes.where_positive(kept, one, lanes.add(kept, one)),
            Activation::Gelu => {
                let half_square = lanes.mul(lanes.mul(kept, kept), lanes.splat(-0.5));
                let exponential = lanes.add(exp_minus_one(lanes, half_square), one);
                let density = lanes.mul(exponential, lanes.splat(0.398_942_3));
                lanes.mul_add(kept, density, normal_cumulative(lanes, kept))
            }
        }
    }
}

/// Applies an activation in place.
pub(crate) struct Activate<'a> {
    pub(crate) activation: Activation,
    pub(crate) values: &'a mut [f32],
}

impl Kernel for Activate<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) {
        // The choice is made once, outside of the loop.
        match self.activation {
            Activation::Identity => {}
            Activation::Relu => each(lanes, Activation::Relu, self.values),
            Activation::Tanh => each(lanes, Activation::Tanh, self.values),
            Activation::Elu => each(lanes, Activation::Elu, self.values),
            Activation::Gelu => each(lanes, Activation::Gelu, self.values),
        }
    }
}

#[inline(always)]
fn each<L: Lanes>(lanes: L, activation: Activation, values: &mut [f32]) {
    for at in (0..values.len()).step_by(L::WIDTH) {
        let x = read(lanes, values, at);
        write(lanes, values, at, activation.apply(lanes, x));
    }
}

/// Multiplies a gradient by an activation's derivative, in place.
pub(crate) struct Derive<'a> {
    pub(crate) activation: Activation,
    /// The kept values, as many as there are gradients.
    pub(crate) kept: &'a [f32],
    pub(crate) gradient: &'a mut [f32],
}

impl Kernel for Derive<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) {
        let (kept, gradient) = (self.kept, self.gradient);
        match self.activation {
            Activation::Identity => {}
            Activation::Relu => derive(lanes, Activation::Relu, kept, gradient),
            Activation::Tanh => derive(lanes, Activation::Tanh, kept, gradient),
            Activation::Elu => derive(lanes, Activation::Elu, kept, gradient),
            Activation::Gelu => derive(lanes, Activation::Gelu, kept, gradient),
        }
    }
}

#[inline(always)]
fn derive<L: Lanes>(lanes: L, activation: Activation, kept: &[f32], gradient: &mut [f32]) {
    for at in (0..gradient.len()).step_by(L::WIDTH) {
        let derivative = activation.derivative(lanes, read(lanes, kept, at));
        write(
            lanes,
            gradient,
            at,
            lanes.mul(read(lanes, gradient, at), derivative),
        );
    }
}

/// A polynomial by Horner's rule, the highest coefficient first.
#[inline(always)]
fn polynomial<L: Lanes, const N: usize>(
    lanes: L,
    x: L::Vector,
    coefficients: [f32; N],
) -> L::Vector {
    let mut sum = lanes.splat(coefficients[0]);
    for coefficient in &coefficients[1..] {
        sum = lanes.mul_add(sum, x, lanes.splat(*coefficient));
    }
    sum
}

/// `exp(x) - 1` for `x <= 0`, without cancellation near zero (Cephes' `expf`).
#[inline(always)]
pub(super) fn exp_minus_one<L: Lanes>(lanes: L, x: L::Vector) -> L::Vector {
    // Below this the result is -1 to the last bit, and two to its power still is a normal number.
    let x = lanes.max(lanes.splat(-87.0), x);
    let power = lanes.round(lanes.mul(x, lanes.splat(std::f32::consts::LOG2_E)));
    // ln 2 in two parts, so that the remainder keeps its bits.
    let rest = lanes.mul_add(power, lanes.splat(-0.693_359_4), x);
    let rest = lanes.mul_add(power, lanes.splat(2.121_944_4e-4), rest);
    let series = polynomial(
        lanes,
        rest,
        [
            1.987_569_2e-4,
            1.398_199_9e-3,
            8.333_452e-3,
            4.166_579_6e-2,
            1.666_666_5e-1,
            0.5,
        ],
    );
    let less_one = lanes.mul_add(lanes.mul(rest, rest), series, rest);
    let scale = lanes.power_of_two(power);
    lanes.mul_add(scale, less_one, lanes.sub(scale, lanes.splat(1.0)))
}

/// `1 / (1 + exp(-x))`.
#[inline(always)]
pub(crate) fn sigmoid<L: Lanes>(lanes: L, x: L::Vector) -> L::Vector {
    let half = lanes.splat(0.5);
    lanes.mul_add(tanh(lanes, lanes.mul(x, half)), half, half)
}

/// The hyperbolic tangent as a ratio of two polynomials (Eigen's `ptanh`).
#[inline(always)]
pub(crate) fn tanh<L: Lanes>(lanes: L, x: L::Vector) -> L::Vector {
    const END: f32 = 7.905_311;
    let x = lanes.max(lanes.splat(-END), lanes.min(lanes.splat(END), x));
    let square = lanes.mul(x, x);
    let above = polynomial(
        lanes,
        square,
        [
            -2.760_768_5e-16,
            2.000_188e-13,
            -8.604_672e-11,
            5.122_297_1e-8,
            1.485_722_4e-5,
            6.372_619e-4,
            4.893_524_6e-3,
        ],
    );
    let below = polynomial(
        lanes,
        square,
        [1.198_258_4e-6, 1.185_347e-4, 2.268_434_6e-3, 4.893_525e-3],
    );
    lanes.div(lanes.mul(x, above), below)
}

/// The standard normal distribution's cumulative function, `(1 + erf(x / sqrt 2)) / 2` (Eigen's `perf`).
#[inline(always)]
fn normal_cumulative<L: Lanes>(lanes: L, x: L::Vector) -> L::Vector {
    let x = lanes.mul(x, lanes.splat(std::f32::consts::FRAC_1_SQRT_2));
    let end = lanes.splat(3.99);
    let x = lanes.max(lanes.splat(-4.0), lanes.min(lanes.splat(4.0), x));
    let square = lanes.mul(x, x);
    let above = polynomial(
        lanes,
        square,
        [
            -2.726_142_3e-10,
            2.770_681_4e-8,
            -2.101_024e-6,
            -5.692_506_4e-5,
            -7.349_906_3e-4,
            -2.954_6e-3,
            -1.609_603_4e-2,
        ],
    );
    let below = polynomial(
        lanes,
        square,
        [
            -1.456_607_2e-5,
            -2.133_740_6e-4,
            -1.682_827e-3,
            -7.373_329_2e-3,
            -1.426_473_9e-2,
        ],
    );
    let erf = lanes.div(lanes.mul(x, above), below);
    let inside = lanes.mul_add(erf, lanes.splat(0.5), lanes.splat(0.5));
    // Exactly 0 and 1 where single precision cannot tell: the last bit, times a huge input, would be huge as well.
    let inside = lanes.where_positive(lanes.add(x, end), inside, lanes.splat(0.0));
    lanes.where_positive(lanes.sub(x, end), lanes.splat(1.0), inside)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::cpu::{InstructionSet, reference};

    const ALL: [Activation; 5] = [
        Activation::Identity,
        Activation::Relu,
        Activation::Tanh,
        Activation::Elu,
        Activation::Gelu,
    ];

    fn inputs() -> Vec<f32> {
        let step = if cfg!(miri) { 0.37 } else { 0.001 };
        let ends = [-1e30, -100.0, -1e-4, -1e-8, 0.0, 1e-8, 1e-4, 100.0, 1e30];
        (0..)
            .map(|i| -20.0 + i as f32 * step)
            .take_while(|x| *x < 20.0)
            .chain(ends)
            .collect()
    }

    #[test]
    fn every_activation_and_its_derivative_match_double_precision() {
        for activation in ALL {
            for instructions in InstructionSet::available() {
                let inputs = inputs();
                let mut outputs = inputs.clone();
                instructions.run(Activate {
                    activation,
                    values: &mut outputs,
                });
                let mut slopes = vec![1.0; inputs.len()];
                let kept = if activation.keeps_input() {
                    &inputs
                } else {
                    &outputs
                };
                instructions.run(Derive {
                    activation,
                    kept,
                    gradient: &mut slopes,
                });
                for ((x, y), slope) in inputs.iter().zip(&outputs).zip(&slopes) {
                    let (x, name) = (*x as f64, instructions.name());
                    let want = reference::activate(activation, x);
                    let scale = if activation == Activation::Gelu {
                        x
                    } else {
                        want
                    }
                    .abs()
                    .max(1.0);
                    assert!(
                        (*y as f64 - want).abs() < 5e-7 * scale,
                        "{activation:?} {name} {x}: {y}"
                    );
                    let want = reference::slope(activation, x);
                    assert!(
                        (*slope as f64 - want).abs() < 1.5e-6,
                        "{activation:?}' {name} {x}: {slope} {want}"
                    );
                }
            }
        }
    }

    #[test]
    fn elu_keeps_its_relative_accuracy_near_zero() {
        for instructions in InstructionSet::available() {
            let mut values = [-1e-6, -1e-4, -1e-2];
            instructions.run(Activate {
                activation: Activation::Elu,
                values: &mut values,
            });
            for (x, y) in [-1e-6_f32, -1e-4, -1e-2].into_iter().zip(values) {
                let want = (x as f64).exp_m1();
                assert!((y as f64 / want - 1.0).abs() < 3e-7, "{x}: {y}");
            }
        }
    }

    #[test]
    fn no_activation_hides_a_nan() {
        for activation in ALL {
            for instructions in InstructionSet::available() {
                let mut values = [f32::NAN; 17];
                instructions.run(Activate {
                    activation,
                    values: &mut values,
                });
                assert!(values.iter().all(|value| value.is_nan()), "{activation:?}");
            }
        }
    }
}
