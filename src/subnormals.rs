//! Subnormal numbers count as zero wherever we compute.
//!
//! A rectifier that is never active again gives its weights a gradient of zero. Adam's moment of it then shrinks by 0.9 a step,
//! is subnormal (below 1.2e-38) after some 830 steps, and rounding keeps it from ever becoming zero. Each such number costs an Intel
//! core a hundred cycles or more, so that training would slow down as it goes on. Nothing is learned from them.
//!
//! The mode belongs to a thread. Threads of our own set it once; our schedules, the kernels and [`Policy`](crate::policy::Policy) set
//! it while they run and put back what the app's own thread had. So bits depend neither on the app nor on the number of threads.

use std::marker::PhantomData;

/// Sets the calling thread to take subnormal numbers for zero, as operands and as results, until it is dropped: then the thread
/// has the mode that it had.
///
/// The schedules and the kernels do so by themselves. It is for code of your own that must give the same bits as they do.
/// Processors other than x86-64 and AArch64 are left as they are.
///
/// ```
/// use yarak::subnormals::FlushSubnormals;
/// use std::hint::black_box;
///
/// let tenth = |value: f32| black_box(value) * black_box(0.1);
/// assert!(tenth(2e-38) > 0.0);
/// {
///     let _flushed = FlushSubnormals::enter();
///     assert_eq!(tenth(2e-38), 0.0);
/// }
/// assert!(tenth(2e-38) > 0.0);
/// ```
#[must_use = "the mode is put back where the guard is dropped"]
#[derive(Debug)]
pub struct FlushSubnormals {
    /// What is put back, if the mode was changed.
    before: Option<control::Word>,
    /// The mode is the thread's, and so is the guard.
    thread: PhantomData<*const ()>,
}

impl FlushSubnormals {
    /// Changes the mode of the calling thread. Where it is so already this costs a few cycles.
    #[inline]
    pub fn enter() -> Self {
        let before = control::read();
        let flushing = before | control::FLUSH;
        let changed = flushing != before;
        if changed {
            control::write(flushing);
        }
        FlushSubnormals {
            before: changed.then_some(before),
            thread: PhantomData,
        }
    }

    /// Leaves the mode so until the calling thread ends: for threads of our own.
    pub(crate) fn for_this_thread() {
        std::mem::forget(Self::enter());
    }
}

impl Drop for FlushSubnormals {
    #[inline]
    fn drop(&mut self) {
        if let Some(before) = self.before {
            control::write(before);
        }
    }
}

/// The register that holds the mode: MXCSR.
#[cfg(all(target_arch = "x86_64", not(miri)))]
mod control {
    use std::arch::asm;

    pub(super) type Word = u32;
    /// Flush results to zero (bit 15), denormals are zero (bit 6).
    pub(super) const FLUSH: Word = 1 << 15 | 1 << 6;

    #[inline]
    pub(super) fn read() -> Word {
        let mut word: Word = 0;
        // SAFETY: stores the register, which every x86-64 processor has, to a place of its size.
        unsafe { asm!("stmxcsr [{}]", in(reg) &raw mut word, options(nostack, preserves_flags)) };
        word
    }

    #[inline]
    pub(super) fn write(word: Word) {
        // SAFETY: `word` came from the register, with no bit more than the two above: every x86-64 processor has them, and neither
        // unmasks an exception nor changes how results are rounded. Rust assumes the default mode where it folds constants and moves
        // code: what may differ is whether a subnormal that is known when the program is compiled counts as zero. No access to memory,
        // and no control flow of ours, depends on that. Memory is a clobber, so that stores are not moved across.
        unsafe { asm!("ldmxcsr [{}]", in(reg) &raw const word, options(nostack, preserves_flags)) };
    }
}

/// The register that holds the mode: FPCR.
#[cfg(all(target_arch = "aarch64", not(miri)))]
mod control {
    use std::arch::asm;

    pub(super) type Word = u64;
    /// Flush operands and results to zero (FZ, bit 24).
    pub(super) const FLUSH: Word = 1 << 24;

    #[inline]
    pub(super) fn read() -> Word {
        let word: Word;
        // SAFETY: reads the register, which every AArch64 processor has.
        unsafe { asm!("mrs {}, fpcr", out(reg) word, options(nostack, preserves_flags)) };
        word
    }

    #[inline]
    pub(super) fn write(word: Word) {
        // SAFETY: as for x86-64: `word` came from the register, with no bit more than the one above.
        unsafe { asm!("msr fpcr, {}", in(reg) word, options(nostack, preserves_flags)) };
    }
}

/// No mode that we know of, or none that can be changed.
#[cfg(any(miri, not(any(target_arch = "x86_64", target_arch = "aarch64"))))]
mod control {
    pub(super) type Word = u32;
    pub(super) const FLUSH: Word = 0;

    #[inline]
    pub(super) fn read() -> Word {
        0
    }

    #[inline]
    pub(super) fn write(_word: Word) {}
}

#[cfg(test)]
#[cfg(all(any(target_arch = "x86_64", target_arch = "aarch64"), not(miri)))]
mod tests {
    use std::hint::black_box;

    use super::*;

    fn halves_to_a_subnormal() -> f32 {
        black_box(f32::MIN_POSITIVE) * black_box(0.5)
    }

    #[test]
    fn guards_nest_and_put_back_what_was_there() {
        let before = control::read();
        assert_ne!(halves_to_a_subnormal(), 0.0);
        {
            let _outer = FlushSubnormals::enter();
            {
                let _inner = FlushSubnormals::enter();
                assert_eq!(halves_to_a_subnormal(), 0.0);
            }
            assert_eq!(halves_to_a_subnormal(), 0.0);
        }
        assert_ne!(halves_to_a_subnormal(), 0.0);
        // Flags of what happened are raised on the way; the mode is as it was.
        let mode = |word| word & !0x3f;
        assert_eq!(mode(control::read()), mode(before));
    }

    #[test]
    fn a_panic_puts_the_mode_back() {
        let panic = std::panic::catch_unwind(|| {
            let _flushed = FlushSubnormals::enter();
            panic!("in the middle");
        });
        assert!(panic.is_err());
        assert_ne!(halves_to_a_subnormal(), 0.0);
    }

    #[test]
    fn operands_count_as_zero_too() {
        let _flushed = FlushSubnormals::enter();
        // As bits: a comparison would flush them itself.
        let large = black_box(1e-39_f32) * black_box(1e38);
        assert_eq!(large, 0.0);
    }

    #[test]
    fn a_thread_of_our_own_keeps_the_mode_and_no_other_has_it() {
        let seen = std::thread::spawn(|| {
            FlushSubnormals::for_this_thread();
            halves_to_a_subnormal()
        });
        assert_eq!(seen.join().ok(), Some(0.0));
        assert_ne!(halves_to_a_subnormal(), 0.0);
    }
}
