//! Plain Rust for every other processor: four `f32` a register, written so that LLVM turns them into whatever vector
//! instructions the target was compiled for (SSE2, NEON).

use super::lanes::Lanes;

/// Needs no proof: every processor can do this.
#[derive(Clone, Copy)]
pub(crate) struct Portable;

/// Fused where the target has the instruction; elsewhere `f32::mul_add` would be a library call for each value.
#[inline(always)]
fn mul_add(a: f32, b: f32, c: f32) -> f32 {
    if cfg!(any(target_feature = "fma", target_arch = "aarch64")) {
        a.mul_add(b, c)
    } else {
        a * b + c
    }
}

#[inline(always)]
fn each(a: [f32; 4], b: [f32; 4], f: impl Fn(f32, f32) -> f32) -> [f32; 4] {
    [f(a[0], b[0]), f(a[1], b[1]), f(a[2], b[2]), f(a[3], b[3])]
}

impl Lanes for Portable {
    type Vector = [f32; 4];
    const WIDTH: usize = 4;
    // Eight sums, two columns and one broadcast fit the sixteen registers of SSE2.
    const ROWS: usize = 4;

    #[inline(always)]
    fn splat(self, value: f32) -> [f32; 4] {
        [value; 4]
    }
    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> [f32; 4] {
        // SAFETY: the caller promises four readable values; unaligned reads ask for no alignment.
        unsafe { from.cast::<[f32; 4]>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn load_first(self, from: *const f32, count: usize) -> [f32; 4] {
        let mut value = [0.0; 4];
        for (lane, value) in value.iter_mut().enumerate().take(count) {
            // SAFETY: the caller promises `count` readable values.
            *value = unsafe { *from.add(lane) };
        }
        value
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32, value: [f32; 4]) {
        // SAFETY: the caller promises four writable values; unaligned writes ask for no alignment.
        unsafe { to.cast::<[f32; 4]>().write_unaligned(value) }
    }
    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, count: usize, value: [f32; 4]) {
        for (lane, value) in value.into_iter().enumerate().take(count) {
            // SAFETY: the caller promises `count` writable values.
            unsafe { *to.add(lane) = value };
        }
    }
    #[inline(always)]
    fn add(self, a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        each(a, b, |a, b| a + b)
    }
    #[inline(always)]
    fn sub(self, a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        each(a, b, |a, b| a - b)
    }
    #[inline(always)]
    fn mul(self, a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        each(a, b, |a, b| a * b)
    }
    #[inline(always)]
    fn div(self, a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        each(a, b, |a, b| a / b)
    }
    #[inline(always)]
    fn mul_add(self, a: [f32; 4], b: [f32; 4], c: [f32; 4]) -> [f32; 4] {
        [
            mul_add(a[0], b[0], c[0]),
            mul_add(a[1], b[1], c[1]),
            mul_add(a[2], b[2], c[2]),
            mul_add(a[3], b[3], c[3]),
        ]
    }
    #[inline(always)]
    fn max(self, a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        // Not `f32::max`, which would drop a NaN.
        each(a, b, |a, b| if a > b { a } else { b })
    }
    #[inline(always)]
    fn min(self, a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        each(a, b, |a, b| if a < b { a } else { b })
    }
    #[inline(always)]
    fn sqrt(self, a: [f32; 4]) -> [f32; 4] {
        a.map(f32::sqrt)
    }
    #[inline(always)]
    fn where_positive(self, test: [f32; 4], yes: [f32; 4], no: [f32; 4]) -> [f32; 4] {
        let pick = |lane: usize| {
            if test[lane] > 0.0 {
                yes[lane]
            } else {
                no[lane]
            }
        };
        [pick(0), pick(1), pick(2), pick(3)]
    }
    #[inline(always)]
    fn nonzero(self, a: [f32; 4]) -> u64 {
        let bit = |lane: usize| u64::from(a[lane] != 0.0) << lane;
        bit(0) | bit(1) | bit(2) | bit(3)
    }
    #[inline(always)]
    fn round(self, a: [f32; 4]) -> [f32; 4] {
        // Adding and taking away 1.5 * 2^23 leaves no room for a fraction; without SSE4.1 `round` is a library call.
        const SHIFT: f32 = 12_582_912.0;
        a.map(|a| (a + SHIFT) - SHIFT)
    }
    #[inline(always)]
    fn power_of_two(self, exponent: [f32; 4]) -> [f32; 4] {
        exponent.map(|exponent| f32::from_bits(((exponent as i32).wrapping_add(127) as u32) << 23))
    }
    #[inline(always)]
    fn sum(self, a: [f32; 4]) -> f32 {
        (a[0] + a[2]) + (a[1] + a[3])
    }
    #[inline(always)]
    unsafe fn transpose(
        self,
        from: *const f32,
        from_stride: usize,
        to: *mut f32,
        to_stride: usize,
    ) {
        for row in 0..4 {
            for column in 0..4 {
                // SAFETY: the caller promises four rows of four values at both places.
                unsafe {
                    *to.add(column * to_stride + row) = *from.add(row * from_stride + column)
                };
            }
        }
    }
}
