//! The vector registers of one instruction set, behind one trait.
//!
//! Every kernel is written once, generic over [`Lanes`], and compiled once for each instruction set. A value of a type
//! that implements [`Lanes`] is the proof that the running processor has those instructions: [`InstructionSet`] hands
//! one out only after it asked the processor, so arithmetic on lanes is safe to call. Only loads and stores through
//! pointers are not.
//!
//! Everything here must be inlined into the function that enables the instructions (`enter` in each instruction set's
//! file), hence `#[inline(always)]` on every method and on every [`Kernel::run`]. A closure cannot ask for that: one that is not inlined
//! is compiled without the instructions, and calls a function for each of them. So what loops over registers is a
//! method.

use super::portable::Portable;
#[cfg(target_arch = "x86_64")]
use super::{avx2::Avx2, avx512::Avx512};
use crate::subnormals::FlushSubnormals;

/// One register full of `f32`, and what can be done with it.
///
/// Where an operation picks between two operands (`max`, `min`), a NaN in the **second** one is passed on, so that a
/// diverging network shows its NaN and does not hide it behind a rectifier.
pub(crate) trait Lanes: Copy {
    /// The register.
    type Vector: Copy;
    /// How many `f32` a register holds.
    const WIDTH: usize;
    /// How many rows of a product are kept in registers at once, next to two registers of columns.
    const ROWS: usize;

    /// `value` in every lane.
    fn splat(self, value: f32) -> Self::Vector;
    /// Reads `WIDTH` values.
    ///
    /// # Safety
    /// `from` must be valid for reading `WIDTH` values.
    unsafe fn load(self, from: *const f32) -> Self::Vector;
    /// Reads `count <= WIDTH` values; the other lanes are zero and their memory is not touched.
    ///
    /// # Safety
    /// `from` must be valid for reading `count` values.
    unsafe fn load_first(self, from: *const f32, count: usize) -> Self::Vector;
    /// Writes `WIDTH` values.
    ///
    /// # Safety
    /// `to` must be valid for writing `WIDTH` values.
    unsafe fn store(self, to: *mut f32, value: Self::Vector);
    /// Writes the first `count <= WIDTH` lanes and touches nothing behind them.
    ///
    /// # Safety
    /// `to` must be valid for writing `count` values.
    unsafe fn store_first(self, to: *mut f32, count: usize, value: Self::Vector);
    /// `a + b`.
    fn add(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a - b`.
    fn sub(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a * b`.
    fn mul(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a / b`.
    fn div(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a * b + c`, rounded once where the instruction set can.
    fn mul_add(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
    /// The larger of both; `b` where either is NaN.
    fn max(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// The smaller of both; `b` where either is NaN.
    fn min(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// The square root.
    fn sqrt(self, a: Self::Vector) -> Self::Vector;
    /// `yes` where `test > 0`, else `no`.
    fn where_positive(
        self,
        test: Self::Vector,
        yes: Self::Vector,
        no: Self::Vector,
    ) -> Self::Vector;
    /// A bit for each lane, the first one lowest: whether it differs from zero. A NaN does.
    fn nonzero(self, a: Self::Vector) -> u64;
    /// The nearest whole number.
    fn round(self, a: Self::Vector) -> Self::Vector;
    /// Two to the power of a whole number in -126..=127.
    fn power_of_two(self, exponent: Self::Vector) -> Self::Vector;
    /// The sum of all lanes, in a fixed order.
    fn sum(self, a: Self::Vector) -> f32;
    /// Transposes one block of `WIDTH` rows and `WIDTH` columns.
    ///
    /// # Safety
    /// `from` must be valid for reading, and `to` for writing, `WIDTH` rows of `WIDTH` values that lie `from_stride`
    /// and `to_stride` values apart; the two blocks must not overlap.
    unsafe fn transpose(self, from: *const f32, from_stride: usize, to: *mut f32, to_stride: usize);
}

/// Reads the register that starts at `from[at]`; lanes past the slice's end are zero.
#[inline(always)]
pub(crate) fn read<L: Lanes>(lanes: L, from: &[f32], at: usize) -> L::Vector {
    let from = &from[at..];
    // SAFETY: both branches read no more than the slice holds.
    unsafe {
        if from.len() >= L::WIDTH {
            lanes.load(from.as_ptr())
        } else {
            lanes.load_first(from.as_ptr(), from.len())
        }
    }
}

/// Writes the register to `to[at..]`; lanes past the slice's end are dropped.
#[inline(always)]
pub(crate) fn write<L: Lanes>(lanes: L, to: &mut [f32], at: usize, value: L::Vector) {
    let to = &mut to[at..];
    // SAFETY: both branches write no more than the slice holds.
    unsafe {
        if to.len() >= L::WIDTH {
            lanes.store(to.as_mut_ptr(), value)
        } else {
            lanes.store_first(to.as_mut_ptr(), to.len(), value)
        }
    }
}

/// A computation that can be compiled for any instruction set. `run` must be `#[inline(always)]`.
pub(crate) trait Kernel {
    /// What the computation returns; results in memory are written through the kernel's own fields.
    type Output;
    /// Computes.
    fn run<L: Lanes>(self, lanes: L) -> Self::Output;
}

/// Which instructions the kernels use.
///
/// Chosen when the program runs, never when it is compiled. Results of two instruction sets may differ in the last
/// bits (they sum in registers of different widths); each of them alone gives the same bits every time, for any
/// number of threads.
///
/// ```
/// use yarak::nn::cpu::InstructionSet;
/// assert!(InstructionSet::available().contains(&InstructionSet::best()));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InstructionSet(Choice);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Choice {
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    Portable,
}

impl InstructionSet {
    /// The fastest one that this processor has.
    pub fn best() -> Self {
        Self::available()[0]
    }

    /// All that this processor has, the fastest first; the last is the portable one.
    pub fn available() -> &'static [Self] {
        #[cfg(target_arch = "x86_64")]
        {
            const ALL: [InstructionSet; 3] = [
                InstructionSet(Choice::Avx512),
                InstructionSet(Choice::Avx2),
                InstructionSet(Choice::Portable),
            ];
            if cfg!(miri) {
                &ALL[2..]
            } else if Avx512::is_present() && Avx2::is_present() {
                &ALL
            } else if Avx2::is_present() {
                &ALL[1..]
            } else {
                &ALL[2..]
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        &[InstructionSet(Choice::Portable)]
    }

    /// Its name, as in `yarak list devices`.
    pub fn name(self) -> &'static str {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Choice::Avx512 => "AVX-512",
            #[cfg(target_arch = "x86_64")]
            Choice::Avx2 => "AVX2",
            Choice::Portable => "portable",
        }
    }

    /// Runs a kernel with these instructions, with subnormal numbers as zero.
    #[inline]
    pub(crate) fn run<K: Kernel>(self, kernel: K) -> K::Output {
        let _flushed = FlushSubnormals::enter();
        match self.0 {
            // SAFETY: values with this choice come from `available` alone, which asked the processor for it.
            #[cfg(target_arch = "x86_64")]
            Choice::Avx512 => unsafe { Avx512::enter(kernel) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Choice::Avx2 => unsafe { Avx2::enter(kernel) },
            Choice::Portable => kernel.run(Portable),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Everything<'a>(&'a [f32], &'a mut Vec<f32>);

    impl Kernel for Everything<'_> {
        type Output = ();
        #[inline(always)]
        fn run<L: Lanes>(self, lanes: L) {
            let (a, b) = (read(lanes, self.0, 0), lanes.splat(1.5));
            let mut keep = |value: L::Vector| {
                let mut row = vec![f32::NAN; L::WIDTH];
                write(lanes, &mut row, 0, value);
                self.1.extend_from_slice(&row[..3]);
            };
            keep(lanes.add(a, b));
            keep(lanes.sub(a, b));
            keep(lanes.mul(a, b));
            keep(lanes.div(a, b));
            keep(lanes.mul_add(a, b, b));
            keep(lanes.max(b, a));
            keep(lanes.min(b, a));
            keep(lanes.sqrt(lanes.mul(a, a)));
            keep(lanes.where_positive(a, b, lanes.splat(0.0)));
            keep(lanes.round(a));
            keep(lanes.power_of_two(lanes.round(a)));
            self.1.push(lanes.sum(a));
        }
    }

    #[test]
    fn every_instruction_set_does_the_same_arithmetic() {
        for instructions in InstructionSet::available() {
            let mut got = Vec::new();
            instructions.run(Everything(&[-2.0, 0.75, 3.0], &mut got));
            let want = [
                -0.5,
                2.25,
                4.5,
                -3.5,
                -0.75,
                1.5,
                -3.0,
                1.125,
                4.5,
                -2.0 / 1.5,
                0.5,
                2.0,
                -1.5,
                2.625,
                6.0,
                1.5,
                1.5,
                3.0,
                -2.0,
                0.75,
                1.5,
                2.0,
                0.75,
                3.0,
                0.0,
                1.5,
                1.5,
                -2.0,
                1.0,
                3.0,
                0.25,
                2.0,
                8.0,
                1.75,
            ];
            assert_eq!(got, want, "{}", instructions.name());
        }
    }

    struct Picks<'a>(&'a mut [f32; 2]);

    impl Kernel for Picks<'_> {
        type Output = ();
        #[inline(always)]
        fn run<L: Lanes>(self, lanes: L) {
            let (zero, nan) = (lanes.splat(0.0), lanes.splat(f32::NAN));
            write(lanes, &mut self.0[..1], 0, lanes.max(zero, nan));
            write(lanes, &mut self.0[1..], 0, lanes.min(zero, nan));
        }
    }

    #[test]
    fn a_nan_in_the_second_operand_is_passed_on() {
        for instructions in InstructionSet::available() {
            let mut got = [0.0; 2];
            instructions.run(Picks(&mut got));
            assert!(
                got.iter().all(|value| value.is_nan()),
                "{}",
                instructions.name()
            );
        }
    }
}
