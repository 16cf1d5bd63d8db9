//! Plain code, compiled a second time for wider vector units.

/// Work on many numbers. `run` is to be `#[inline(always)]`, and what it calls as well, or it is compiled for narrow units only.
pub(crate) trait Wide {
    /// Does it.
    fn run(self);
}

/// Does the work with AVX2 where this machine has it. The bits do not depend on it: nothing is fused or reordered.
#[inline]
pub(crate) fn widest(work: impl Wide) {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the machine has AVX2, as was just asked.
        return unsafe { with_avx2(work) };
    }
    work.run();
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn with_avx2(work: impl Wide) {
    work.run();
}
