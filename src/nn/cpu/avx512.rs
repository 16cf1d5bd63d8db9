//! AVX-512: sixteen `f32` a register, thirty-two registers.

use super::lanes::{Kernel, Lanes};
use std::arch::x86_64::*;

/// The proof that this processor has AVX-512F.
#[derive(Clone, Copy)]
pub(crate) struct Avx512(());

impl Avx512 {
    /// Asks the processor.
    pub(crate) fn is_present() -> bool {
        is_x86_feature_detected!("avx512f")
    }

    /// Runs a kernel compiled for AVX-512.
    ///
    /// # Safety
    /// The processor must have AVX-512F ([`Avx512::is_present`]).
    #[target_feature(enable = "avx512f,avx2,fma,bmi1,popcnt")]
    pub(crate) unsafe fn enter<K: Kernel>(kernel: K) -> K::Output {
        kernel.run(Avx512(()))
    }
}

// Calls instructions that a value of this file's type proves present.
macro_rules! instructions {
    ($($call:tt)*) => {
        // SAFETY: an `Avx512` is made only by `enter`, whose caller promised that the processor has AVX-512F; pointers,
        // where the call has any, are valid by the promise of the caller of the surrounding method.
        unsafe { $($call)* }
    };
}

/// The lowest `count` of sixteen lanes.
#[inline(always)]
fn first(count: usize) -> __mmask16 {
    debug_assert!(count <= 16);
    ((1u32 << count) - 1) as __mmask16
}

impl Lanes for Avx512 {
    type Vector = __m512;
    const WIDTH: usize = 16;
    // Twenty-four sums, two columns and one broadcast fit the registers. Not every processor is fastest so: see `tuning`.
    const ROWS: usize = 12;

    #[inline(always)]
    fn splat(self, value: f32) -> __m512 {
        instructions!(_mm512_set1_ps(value))
    }
    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> __m512 {
        instructions!(_mm512_loadu_ps(from))
    }
    #[inline(always)]
    unsafe fn load_first(self, from: *const f32, count: usize) -> __m512 {
        instructions!(_mm512_maskz_loadu_ps(first(count), from))
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32, value: __m512) {
        instructions!(_mm512_storeu_ps(to, value))
    }
    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, count: usize, value: __m512) {
        instructions!(_mm512_mask_storeu_ps(to, first(count), value))
    }
    #[inline(always)]
    fn add(self, a: __m512, b: __m512) -> __m512 {
        instructions!(_mm512_add_ps(a, b))
    }
    #[inline(always)]
    fn sub(self, a: __m512, b: __m512) -> __m512 {
        instructions!(_mm512_sub_ps(a, b))
    }
    #[inline(always)]
    fn mul(self, a: __m512, b: __m512) -> __m512 {
        instructions!(_mm512_mul_ps(a, b))
    }
    #[inline(always)]
    fn div(self, a: __m512, b: __m512) -> __m512 {
        instructions!(_mm512_div_ps(a, b))
    }
    #[inline(always)]
    fn mul_add(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        instructions!(_mm512_fmadd_ps(a, b, c))
    }
    #[inline(always)]
    fn max(self, a: __m512, b: __m512) -> __m512 {
        instructions!(_mm512_max_ps(a, b))
    }
    #[inline(always)]
    fn min(self, a: __m512, b: __m512) -> __m512 {
        instructions!(_mm512_min_ps(a, b))
    }
    #[inline(always)]
    fn sqrt(self, a: __m512) -> __m512 {
        instructions!(_mm512_sqrt_ps(a))
    }
    #[inline(always)]
    fn where_positive(self, test: __m512, yes: __m512, no: __m512) -> __m512 {
        instructions!({
            let positive = _mm512_cmp_ps_mask::<_CMP_GT_OQ>(test, _mm512_setzero_ps());
            _mm512_mask_blend_ps(positive, no, yes)
        })
    }
    #[inline(always)]
    fn nonzero(self, a: __m512) -> u64 {
        instructions!(u64::from(_mm512_cmp_ps_mask::<_CMP_NEQ_UQ>(
            a,
            _mm512_setzero_ps()
        )))
    }
    #[inline(always)]
    fn round(self, a: __m512) -> __m512 {
        instructions!(_mm512_roundscale_ps::<
            { _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC },
        >(a))
    }
    #[inline(always)]
    fn power_of_two(self, exponent: __m512) -> __m512 {
        instructions!(_mm512_scalef_ps(_mm512_set1_ps(1.0), exponent))
    }
    #[inline(always)]
    fn sum(self, a: __m512) -> f32 {
        instructions!({
            let upper = _mm256_castpd_ps(_mm512_extractf64x4_pd::<1>(_mm512_castps_pd(a)));
            let eight = _mm256_add_ps(_mm512_castps512_ps256(a), upper);
            let four = _mm_add_ps(
                _mm256_castps256_ps128(eight),
                _mm256_extractf128_ps::<1>(eight),
            );
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
            let mut rows = [_mm512_setzero_ps(); 16];
            for (index, row) in rows.iter_mut().enumerate() {
                *row = _mm512_loadu_ps(from.add(index * from_stride));
            }
            // Pairs of rows, then fours: afterwards `fours[4 i + c]` holds, in its quarter q, column 4 q + c of the
            // rows 4 i .. 4 i + 4.
            let mut pairs = rows;
            for pair in 0..8 {
                pairs[2 * pair] = _mm512_unpacklo_ps(rows[2 * pair], rows[2 * pair + 1]);
                pairs[2 * pair + 1] = _mm512_unpackhi_ps(rows[2 * pair], rows[2 * pair + 1]);
            }
            let mut fours = pairs;
            for four in 0..4 {
                let [a, b, c, d] = [0, 1, 2, 3].map(|row| _mm512_castps_pd(pairs[4 * four + row]));
                fours[4 * four] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, c));
                fours[4 * four + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, c));
                fours[4 * four + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(b, d));
                fours[4 * four + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(b, d));
            }
            for column in 0..4 {
                let [a, b, c, d] = [0, 4, 8, 12].map(|row| fours[row + column]);
                let (even, odd) = (
                    _mm512_shuffle_f32x4::<0x88>(a, b),
                    _mm512_shuffle_f32x4::<0xdd>(a, b),
                );
                let (even_2, odd_2) = (
                    _mm512_shuffle_f32x4::<0x88>(c, d),
                    _mm512_shuffle_f32x4::<0xdd>(c, d),
                );
                let out = |row: usize| to.add((row + column) * to_stride);
                _mm512_storeu_ps(out(0), _mm512_shuffle_f32x4::<0x88>(even, even_2));
                _mm512_storeu_ps(out(4), _mm512_shuffle_f32x4::<0x88>(odd, odd_2));
                _mm512_storeu_ps(out(8), _mm512_shuffle_f32x4::<0xdd>(even, even_2));
                _mm512_storeu_ps(out(12), _mm512_shuffle_f32x4::<0xdd>(odd, odd_2));
            }
        })
    }
}
