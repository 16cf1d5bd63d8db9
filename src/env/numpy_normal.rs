//! `Generator.standard_normal`: NumPy's ziggurat, draw for draw.
//!
//! The half curve exp(-x²/2) is covered by 256 layers of equal area. A draw picks a layer and a place in it; nearly always that
//! place is under the curve for certain. Else it is on the layer's edge and a second draw decides, or in the tail beyond R.
//!
//! Reference: G. Marsaglia and W. W. Tsang, *The Ziggurat Method for Generating Random Variables* (2000).

use super::numpy_normal_tables::{BELOW, HEIGHT, WIDTH};

/// Where the tail begins.
const R: f64 = 3.654_152_885_361_009;
/// 1 / R, as NumPy has it.
const INVERSE_R: f64 = 0.273_661_237_329_758_3;

/// One draw from N(0, 1); `word` answers with 64 random bits at a time.
pub(super) fn standard_normal(mut word: impl FnMut() -> u64) -> f64 {
    loop {
        let bits = word();
        let layer = (bits & 0xff) as usize;
        let negative = (bits >> 8) & 1 == 1;
        let place = (bits >> 9) & 0x000f_ffff_ffff_ffff;
        let x = place as f64 * f64::from_bits(WIDTH[layer]);
        let x = if negative { -x } else { x };
        if place < BELOW[layer] {
            return x;
        }
        if layer == 0 {
            loop {
                let beyond = -INVERSE_R * (-unit(word())).ln_1p();
                let height = -(-unit(word())).ln_1p();
                if height + height > beyond * beyond {
                    let tail = R + beyond;
                    return if (place >> 8) & 1 == 1 { -tail } else { tail };
                }
            }
        }
        let (above, below) = (
            f64::from_bits(HEIGHT[layer - 1]),
            f64::from_bits(HEIGHT[layer]),
        );
        if (above - below) * unit(word()) + below < (-0.5 * x * x).exp() {
            return x;
        }
    }
}

/// 53 random bits as a number in `[0, 1)`.
pub(super) fn unit(word: u64) -> f64 {
    (word >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_have_equal_areas_and_end_on_the_curve() {
        const AREA: f64 = 0.004_928_673_233_974_655;
        let right = |layer: usize| f64::from_bits(WIDTH[layer]) * (1_u64 << 52) as f64;
        let height = |layer: usize| f64::from_bits(HEIGHT[layer]);
        assert_eq!((right(255), height(0)), (R, 1.0));
        for (layer, below) in BELOW.iter().enumerate().skip(1) {
            let x = right(layer);
            assert!((height(layer) - (-x * x / 2.0).exp()).abs() < 1e-15);
            let area = x * (height(layer - 1) - height(layer));
            assert!((area - AREA).abs() < 1e-13, "layer {layer}: {area}");
            let inner = if layer == 1 { 0.0 } else { right(layer - 1) };
            let share = *below as f64 / (1_u64 << 52) as f64;
            assert!((share - inner / x).abs() < 1e-12, "layer {layer}");
        }
    }
}
