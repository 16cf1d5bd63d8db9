//! Sines and cosines of many small angles at once, to the bit those of the standard library.
//!
//! The standard library asks the C library, one angle after the other. Here a polynomial gives each value with an error far
//! below the last bit, which settles how it must be rounded for almost every angle. Where the value lies so near the middle
//! between two numbers that the C library might round it the other way, the C library is asked. For angles as small as these
//! glibc documents errors of at most 0.518 units in the last place for sines and 0.51 for cosines (its `s_sin.c`): so a value
//! is settled when it is farther from the middle than that allows, and than the polynomial's own error.
//!
//! Elsewhere than on glibc, whose error is known, the C library is asked each time.

/// Angles that are computed together.
pub(super) const LANES: usize = 64;

/// Numbers that are computed together.
pub(super) type Lanes = [f64; LANES];

/// The largest angle that the polynomials are good for, in rad.
const LARGEST: f64 = 0.22;

/// The sine and the cosine of each angle.
#[inline(always)]
pub(super) fn sines_and_cosines(angles: &Lanes) -> (Lanes, Lanes) {
    if cfg!(all(target_os = "linux", target_env = "gnu")) {
        let (mut sines, unsettled) = sines_of(angles);
        settle(&mut sines, &unsettled, angles, f64::sin);
        let (mut cosines, unsettled) = cosines_of(angles);
        settle(&mut cosines, &unsettled, angles, f64::cos);
        (sines, cosines)
    } else {
        (angles.map(f64::sin), angles.map(f64::cos))
    }
}

/// Asks the C library where it is needed. One value in ten is: a jump for each would be guessed wrongly too often, so the next
/// one is found by counting zeros.
#[inline(always)]
fn settle(values: &mut Lanes, unsettled: &[bool; LANES], angles: &Lanes, ask: fn(f64) -> f64) {
    for (group, flags) in unsettled.chunks_exact(8).enumerate() {
        let mut left = u64::from_le_bytes(std::array::from_fn(|i| u8::from(flags[i])));
        while left != 0 {
            let index = group * 8 + left.trailing_zeros() as usize / 8;
            values[index] = ask(angles[index]);
            left &= left - 1;
        }
    }
}

/// How far from a number, in units of its last place, a sine or a cosine may lie and still be rounded to it for certain: half,
/// less glibc's excess over half (0.018 and 0.01) and the polynomial's error (below 0.037 and 0.001).
const SETTLED_SINE: f64 = 0.5 - 0.06;
const SETTLED_COSINE: f64 = 0.5 - 0.02;

/// `first + second` rounded, and whether another rounding is thinkable; `first` is the larger.
#[inline(always)]
fn round(first: f64, second: f64, settled: f64) -> (f64, bool) {
    let sum = first + second;
    let rest = (first - sum) + second;
    // Below a power of two numbers lie twice as dense as above it: its unit is not one, so it is never settled.
    let bits = sum.to_bits();
    let unit = f64::from_bits(bits & EXPONENT) * (f64::EPSILON * settled);
    (sum, (rest.abs() > unit) | (bits & MANTISSA == 0))
}

const EXPONENT: u64 = 0x7ff0_0000_0000_0000;
const MANTISSA: u64 = 0x000f_ffff_ffff_ffff;

/// Also true of what is not a number.
#[inline(always)]
fn too_large(angle: f64) -> bool {
    let small = angle.abs() <= LARGEST;
    !small
}

/// x − x³/6 + x⁵/120 − …: what follows x is less than a hundredth of it, so its own rounding hardly matters.
#[inline(always)]
fn sines_of(angles: &Lanes) -> (Lanes, [bool; LANES]) {
    let (mut sines, mut unsettled) = ([0.0; LANES], [false; LANES]);
    for i in 0..LANES {
        let x = angles[i];
        let x2 = x * x;
        let rest = S7 + x2 * (S9 + x2 * (S11 + x2 * S13));
        let after = x * x2 * (S3 + x2 * (S5 + x2 * rest));
        let (sine, open) = round(x, after, SETTLED_SINE);
        sines[i] = sine;
        unsettled[i] = open | too_large(x);
    }
    (sines, unsettled)
}

/// 1 − x²/2 + x⁴/24 − …, with the rounding of x² carried along: it would be felt in the last place.
#[inline(always)]
fn cosines_of(angles: &Lanes) -> (Lanes, [bool; LANES]) {
    let (mut cosines, mut unsettled) = ([0.0; LANES], [false; LANES]);
    for i in 0..LANES {
        let x = angles[i];
        let x2 = x * x;
        // Dekker's product: what x·x lost in rounding, from halves of x whose products are exact.
        let scaled = x * SPLIT;
        let high = scaled - (scaled - x);
        let low = x - high;
        let lost = ((high * high - x2) + 2.0 * high * low) + low * low;
        let rest = C8 + x2 * (C10 + x2 * C12);
        let after = x2 * x2 * (C4 + x2 * (C6 + x2 * rest)) - 0.5 * lost;
        let half = -0.5 * x2;
        let near = 1.0 + half;
        let left = (1.0 - near) + half;
        let (cosine, open) = round(near, left + after, SETTLED_COSINE);
        cosines[i] = cosine;
        unsettled[i] = open | too_large(x);
    }
    (cosines, unsettled)
}

/// 2²⁷ + 1 cuts a number of 53 bits into two of 26.
const SPLIT: f64 = 134_217_729.0;

// Taylor's coefficients: ± 1 / n!.
const S3: f64 = -1.0 / 6.0;
const S5: f64 = 1.0 / 120.0;
const S7: f64 = -1.0 / 5_040.0;
const S9: f64 = 1.0 / 362_880.0;
const S11: f64 = -1.0 / 39_916_800.0;
const S13: f64 = 1.0 / 6_227_020_800.0;
const C4: f64 = 1.0 / 24.0;
const C6: f64 = -1.0 / 720.0;
const C8: f64 = 1.0 / 40_320.0;
const C10: f64 = -1.0 / 3_628_800.0;
const C12: f64 = 1.0 / 479_001_600.0;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::NumpyRandom;

    fn check(angles: &Lanes) {
        let (sines, cosines) = sines_and_cosines(angles);
        for i in 0..LANES {
            let x = angles[i];
            assert_eq!(sines[i].to_bits(), x.sin().to_bits(), "sin({x:e})");
            assert_eq!(cosines[i].to_bits(), x.cos().to_bits(), "cos({x:e})");
        }
    }

    #[test]
    fn two_million_random_angles_equal_the_standard_library_to_the_bit() {
        let mut random = NumpyRandom::new(3);
        for block in 0..32_000 {
            // Wide and narrow ranges, so that every binary order down to 2^-40 is met.
            let width = 0.3 * 0.5_f64.powi(block % 40);
            check(&std::array::from_fn(|_| random.uniform(-width, width)));
        }
    }

    #[test]
    fn angles_at_the_edges_equal_the_standard_library_to_the_bit() {
        let tiny = f64::MIN_POSITIVE;
        let edges = [
            0.0,
            -0.0,
            tiny,
            -tiny,
            tiny / 4.0,
            1e-300,
            1e-20,
            -1e-9,
            0.22,
            -0.22,
            0.220_000_001,
            0.25,
            0.5,
            1e3,
            -1e300,
            0.125,
            -0.0625,
            0.1,
        ];
        check(&std::array::from_fn(|i| edges[i % edges.len()]));
        for angle in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let (sines, cosines) = sines_and_cosines(&[angle; LANES]);
            assert!(sines.iter().chain(&cosines).all(|it| it.is_nan()));
        }
    }

    #[test]
    fn most_angles_are_settled_without_the_c_library() {
        let mut random = NumpyRandom::new(4);
        let mut asked = 0;
        for _ in 0..1_000 {
            let angles = std::array::from_fn(|_| random.uniform(-0.21, 0.21));
            for unsettled in [sines_of(&angles).1, cosines_of(&angles).1] {
                asked += unsettled.iter().filter(|it| **it).count();
            }
        }
        let share = asked as f64 / 128_000.0;
        assert!((0.06..0.1).contains(&share), "{share}");
    }
}
