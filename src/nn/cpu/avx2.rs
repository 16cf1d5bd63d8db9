//! AVX2 with FMA: eight `f32` a register, sixteen registers.

use super::lanes::{Kernel, Lanes};
use std::arch::x86_64::*;

/// The proof that this processor has AVX2 and FMA.
#[derive(Clone, Copy)]
pub(crate) struct Avx2(());

impl Avx2 {
    /// Asks the processor.
    pub(crate) fn is_present() -> bool {
        is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("popcnt")
    }

    /// Runs a kernel compiled for AVX2 with FMA.
    ///
    /// # Safety
    /// The processor must have both ([`Avx2::is_present`]).
    #[target_feature(enable = "avx2,fma,bmi1,popcnt")]
    pub(crate) unsafe fn enter<K: Kernel>(kernel: K) -> K::Output {
        kernel.run(Avx2(()))
    }
}

// Calls instructions that a value of this file's type proves present.
macro_rules! instructions {
    ($($call:tt)*) => {
        // SAFETY: an `Avx2` is made only by `enter`, whose caller promised that the processor has AVX2 and FMA;
        // pointers, where the call has any, are valid by the promise of the caller of the surrounding method.
        unsafe { $($call)* }
    };
}

/// Eight set words, then eight clear ones: a window into them selects the lowest lanes.
static FIRST: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];

/// The lowest `count` of eight lanes, as the masked loads want them.
#[inline(always)]
fn first(count: usize) -> *const __m256i {
    FIRST[8 - count..][..8].as_ptr().cast()
}

impl Lanes for Avx2 {
    type Vector = __m256;
    const WIDTH: usize = 8;
    // Twelve sums, two columns and one broadcast of the sixteen registers.
    const ROWS: usize = 6;

    #[inline(always)]
    fn splat(self, value: f32) -> __m256 {
        instructions!(_mm256_set1_ps(value))
    }
    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> __m256 {
        instructions!(_mm256_loadu_ps(from))
    }
    #[inline(always)]
    unsafe fn load_first(self, from: *const f32, count: usize) -> __m256 {
        instructions!(_mm256_maskload_ps(from, _mm256_loadu_si256(first(count))))
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32, value: __m256) {
        instructions!(_mm256_storeu_ps(to, value))
    }
    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, count: usize, value: __m256) {
        instructions!(_mm256_maskstore_ps(
            to,
            _mm256_loadu_si256(first(count)),
            value
        ))
    }
    #[inline(always)]
    fn add(self, a: __m256, b: __m256) -> __m256 {
        instructions!(_mm256_add_ps(a, b))
    }
    #[inline(always)]
    fn sub(self, a: __m256, b: __m256) -> __m256 {
        instructions!(_mm256_sub_ps(a, b))
    }
    #[inline(always)]
    fn mul(self, a: __m256, b: __m256) -> __m256 {
        instructions!(_mm256_mul_ps(a, b))
    }
    #[inline(always)]
    fn div(self, a: __m256, b: __m256) -> __m256 {
        instructions!(_mm256_div_ps(a, b))
    }
    #[inline(always)]
    fn mul_add(self, a: __m256, b: __m256, c: __m256) -> __m256 {
        instructions!(_mm256_fmadd_ps(a, b, c))
    }
    #[inline(always)]
    fn max(self, a: __m256, b: __m256) -> __m256 {
        instructions!(_mm256_max_ps(a, b))
    }
    #[inline(always)]
    fn min(self, a: __m256, b: __m256) -> __m256 {
        instructions!(_mm256_min_ps(a, b))
    }
    #[inline(always)]
    fn sqrt(self, a: __m256) -> __m256 {
        instructions!(_mm256_sqrt_ps(a))
    }
    #[inline(always)]
    fn where_positive(self, test: __m256, yes: __m256, no: __m256) -> __m256 {
        instructions!(_mm256_blendv_ps(
            no,
            yes,
            _mm256_cmp_ps::<_CMP_GT_OQ>(test, _mm256_setzero_ps())
        ))
    }
    #[inline(always)]
    fn nonzero(self, a: __m256) -> u64 {
        instructions!({
            let differ = _mm256_cmp_ps::<_CMP_NEQ_UQ>(a, _mm256_setzero_ps());
            _mm256_movemask_ps(differ) as u64
        })
    }
    #[inline(always)]
    fn round(self, a: __m256) -> __m256 {
        instructions!(_mm256_round_ps::<
            { _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC },
        >(a))
    }
    #[inline(always)]
    fn power_of_two(self, exponent: __m256) -> __m256 {
        instructions!({
            let biased = _mm256_add_epi32(_mm256_cvtps_epi32(exponent), _mm256_set1_epi32(127));
            _mm256_castsi256_ps(_mm256_slli_epi32::<23>(biased))
        })
    }
    #[inline(always)]
    fn sum(self, a: __m256) -> f32 {
        instructions!({
            let four = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps::<1>(a));
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps::<1>(two, two)))
        })
    }
    #[inline(always)]
    unsafe fn transpose(
        self,
        from: *const f32,
        from_stride: usize,
        to: *mut f32,
        to_stride: usize,
    ) {
        instructions!({
            let mut rows = [_mm256_setzero_ps(); 8];
            for (index, row) in rows.iter_mut().enumerate() {
                *row = _mm256_loadu_ps(from.add(index * from_stride));
            }
            // Pairs of rows, then fours: afterwards `fours[4 i + c]` holds, in its half h, column 4 h + c of the rows
            // 4 i .. 4 i + 4.
            let mut pairs = rows;
            for pair in 0..4 {
                pairs[2 * pair] = _mm256_unpacklo_ps(rows[2 * pair], rows[2 * pair + 1]);
                pairs[2 * pair + 1] = _mm256_unpackhi_ps(rows[2 * pair], rows[2 * pair + 1]);
            }
            let mut fours = pairs;
            for four in 0..2 {
                let [a, b, c, d] = [0, 1, 2, 3].map(|row| _mm256_castps_pd(pairs[4 * four + row]));
                fours[4 * four] = _mm256_castpd_ps(_mm256_unpacklo_pd(a, c));
                fours[4 * four + 1] = _mm256_castpd_ps(_mm256_unpackhi_pd(a, c));
                fours[4 * four + 2] = _mm256_castpd_ps(_mm256_unpacklo_pd(b, d));
                fours[4 * four + 3] = _mm256_castpd_ps(_mm256_unpackhi_pd(b, d));
            }
            for column in 0..4 {
                let (upper, lower) = (fours[column], fours[4 + column]);
                let out = |row: usize| to.add((row + column) * to_stride);
                _mm256_storeu_ps(out(0), _mm256_permute2f128_ps::<0x20>(upper, lower));
                _mm256_storeu_ps(out(4), _mm256_permute2f128_ps::<0x31>(upper, lower));
            }
        })
    }
}
