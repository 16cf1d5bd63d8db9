//! NumPy's `x ** 2` on a scalar, which is the C library's `pow` and not `x * x`.
//!
//! The two differ in the last bit for about one argument in a thousand, and a chaotic task such as Acrobot turns that bit
//! into another trajectory. Where Gymnasium writes `numpy.square(x)`, plain `x * x` is the same.

use std::hint::black_box;

/// `x ** 2` of a `numpy.float64`.
pub(super) fn square(x: f64) -> f64 {
    // Hidden from the compiler, which would turn a constant exponent into `x * x`.
    x.powf(black_box(2.0))
}

/// `x ** 2` of a `numpy.float32`.
pub(super) fn square_single(x: f32) -> f32 {
    x.powf(black_box(2.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn square_is_within_one_unit_in_the_last_place() {
        for i in 1..1000 {
            let x = f64::from(i) * 0.013;
            assert!((square(x) - x * x).abs() <= x * x * f64::EPSILON);
            let x = x as f32;
            assert!((square_single(x) - x * x).abs() <= x * x * f32::EPSILON);
        }
    }
}
