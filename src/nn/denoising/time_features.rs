//! The time of a denoising step as a network sees it.

/// The base of the slowest wave, as in Vaswani et al. 2017, <https://arxiv.org/abs/1706.03762>.
const BASE: f64 = 10_000.0;

/// Sines, then cosines of each time, `[times, width]`: the i-th of `width / 2` frequencies is 10,000^(−i / (width / 2 − 1)). Computed on
/// the host, so that a row's features are the same in every batch.
pub(super) fn sinusoids(times: &[f32], width: usize) -> Vec<f32> {
    let half = width / 2;
    let step = BASE.ln() / (half.max(2) - 1) as f64;
    let frequency = |index: usize| (-step * index as f64).exp();
    let of_time = |time: &f32| {
        let angles = (0..half).map(|index| f64::from(*time) * frequency(index));
        let angles: Vec<f64> = angles.collect();
        let sines = angles.iter().map(|angle| angle.sin() as f32);
        let cosines = angles.iter().map(|angle| angle.cos() as f32);
        sines.chain(cosines).collect::<Vec<f32>>()
    };
    times.iter().flat_map(of_time).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_waves_are_those_of_the_paper() {
        let found = sinusoids(&[0.0, 3.0], 4);
        let expected = [
            0.0,
            0.0,
            1.0,
            1.0,
            3.0_f32.sin(),
            3e-4_f32.sin(),
            3.0_f32.cos(),
            3e-4_f32.cos(),
        ];
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-7, "{found} {expected}");
        }
    }
}
