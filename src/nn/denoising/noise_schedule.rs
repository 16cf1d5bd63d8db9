//! How much noise each step of a diffusion has.

use std::f64::consts::FRAC_PI_2;

use burn::tensor::{Tensor, TensorData};

use crate::nn::sides::plain_device;
use crate::transfer::upload;

/// The noise of each diffusion step, from 0: x_t = √ᾱ_t x + √(1 − ᾱ_t) ε (Ho et al. 2020, <https://arxiv.org/abs/2006.11239>).
///
/// ```
/// use yarak::nn::denoising::NoiseSchedule;
///
/// let schedule = NoiseSchedule::squared_cosine(100);
/// assert_eq!(schedule.steps(), 100);
/// assert!(schedule.kept(0) > 0.999 && schedule.kept(99) < 1e-6);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct NoiseSchedule {
    /// ᾱ of each step.
    kept: Vec<f64>,
}

impl NoiseSchedule {
    /// ᾱ falls as a squared cosine (Nichol & Dhariwal 2021, <https://arxiv.org/abs/2102.09672>, equation 17), with β at most 0.999:
    /// `squaredcos_cap_v2` of the diffusers library. `steps` is at least 1.
    pub fn squared_cosine(steps: usize) -> Self {
        let steps = steps.max(1);
        let cosine = |step: usize| {
            let share = (step as f64 / steps as f64 + 0.008) / 1.008;
            (share * FRAC_PI_2).cos().powi(2)
        };
        let mut product = 1.0;
        let kept = (0..steps).map(|step| {
            let beta = (1.0 - cosine(step + 1) / cosine(step)).min(0.999);
            product *= 1.0 - beta;
            product
        });
        NoiseSchedule {
            kept: kept.collect(),
        }
    }

    /// How many steps there are.
    pub fn steps(&self) -> usize {
        self.kept.len()
    }

    /// ᾱ: the share of the variance that is no noise, at a step below [`steps`](Self::steps).
    pub fn kept(&self, step: usize) -> f64 {
        self.kept[step]
    }

    /// ᾱ of the step that is sampled next; behind the last it is 1.
    fn kept_after(&self, step: Option<usize>) -> f64 {
        step.map_or(1.0, |step| self.kept[step])
    }

    /// Actions `[rows, n]` with noise of the same shape, each row as noisy as its diffusion step is.
    pub fn add_noise(&self, actions: Tensor<2>, noise: Tensor<2>, steps: &[usize]) -> Tensor<2> {
        let device = plain_device(&actions.device());
        let column = |of: fn(f64) -> f64| {
            let values = steps.iter().map(|step| of(self.kept[*step]).sqrt() as f32);
            upload::<2>(TensorData::new(values.collect(), [steps.len(), 1]), &device)
        };
        actions * column(|kept| kept) + noise * column(|kept| 1.0 - kept)
    }

    /// One step of DDIM back (Song et al. 2021, <https://arxiv.org/abs/2010.02502>, equation 12 with η = 0): from `noisy` actions of
    /// step `from` to those of step `to`, or to actions without noise where it is `None`, by an estimate of the noise. The actions that
    /// it points to are clipped to [−1, 1].
    pub fn ddim_step(
        &self,
        (from, to): (usize, Option<usize>),
        noisy: Tensor<2>,
        estimate: Tensor<2>,
    ) -> Tensor<2> {
        let actions = self.pointed_to(from, noisy, estimate.clone());
        let kept = self.kept_after(to);
        actions * root(kept) + estimate * root(1.0 - kept)
    }

    /// One step of DDPM back (Ho et al. 2020, equation 7, with the smaller variance): as [`ddim_step`](Self::ddim_step), with fresh
    /// noise, which the last step does without.
    pub fn ddpm_step(
        &self,
        (from, to): (usize, Option<usize>),
        noisy: Tensor<2>,
        estimate: Tensor<2>,
        fresh: impl FnOnce() -> Tensor<2>,
    ) -> Tensor<2> {
        let actions = self.pointed_to(from, noisy.clone(), estimate);
        let (kept, kept_after) = (self.kept[from], self.kept_after(to));
        let alpha = kept / kept_after;
        let noise = 1.0 - kept;
        let of_actions = kept_after.sqrt() * (1.0 - alpha) / noise;
        let of_noisy = alpha.sqrt() * (1.0 - kept_after) / noise;
        let mean = actions * of_actions as f32 + noisy * of_noisy as f32;
        if to.is_none() {
            return mean;
        }
        let variance = (1.0 - kept_after) / noise * (1.0 - alpha);
        mean + fresh() * root(variance.max(1e-20))
    }

    /// The actions that an estimate of the noise points to, clipped to [−1, 1].
    fn pointed_to(&self, step: usize, noisy: Tensor<2>, estimate: Tensor<2>) -> Tensor<2> {
        let kept = self.kept[step];
        let actions = (noisy - estimate * root(1.0 - kept)) / root(kept);
        actions.clamp(-1.0, 1.0)
    }
}

fn root(value: f64) -> f32 {
    value.sqrt() as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::ComputeDevice;

    fn row(values: &[f32]) -> Tensor<2> {
        let device = ComputeDevice::cpu().plain();
        Tensor::<1>::from_floats(values, &device).unsqueeze()
    }

    fn close(found: Tensor<2>, expected: &[f64]) {
        let found: Vec<f32> = found.into_data().into_vec().unwrap();
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert!(
                (f64::from(*found) - expected).abs() < 2e-6,
                "{found} {expected}"
            );
        }
    }

    const NOISY: [f32; 3] = [0.3, -1.2, 0.8];
    const ESTIMATE: [f32; 3] = [0.1, -0.7, 1.5];
    const FRESH: [f32; 3] = [-0.4, 0.9, 0.2];

    // The figures are those of tests/fixtures/offline_family/make_denoising.py, in float64.

    #[test]
    fn the_squared_cosine_is_the_references() {
        let schedule = NoiseSchedule::squared_cosine(100);
        for (step, expected) in [
            (0, 0.999_368_718_401_658_3),
            (1, 0.998_252_486_466_134_6),
            (25, 0.835_620_576_950_887_2),
            (50, 0.478_264_632_945_478_1),
            (75, 0.133_494_810_380_018_8),
            (98, 0.000_242_857_227_935_005_96),
            (99, 2.428_572_279_350_061_5e-7),
        ] {
            assert!((schedule.kept(step) - expected).abs() < 1e-13 * expected.max(1e-3));
        }
    }

    #[test]
    fn a_step_of_ddim_is_the_references() {
        let schedule = NoiseSchedule::squared_cosine(100);
        for (steps, expected) in [
            (
                (60, Some(50)),
                [
                    0.336_122_371_543_677_3,
                    -1.197_185_555_121_731,
                    0.561_089_797_462_310_8,
                ],
            ),
            (
                (60, Some(59)),
                [
                    0.303_955_344_667_751_2,
                    -1.152_122_809_139_984_2,
                    0.776_889_662_809_098_1,
                ],
            ),
            (
                (10, None),
                [0.286_565_569_094_096_1, -1.0, 0.535_328_487_412_702_3],
            ),
        ] {
            close(
                schedule.ddim_step(steps, row(&NOISY), row(&ESTIMATE)),
                &expected,
            );
        }
    }

    #[test]
    fn a_step_of_ddpm_is_the_references() {
        let schedule = NoiseSchedule::squared_cosine(100);
        for (steps, expected) in [
            (
                (60, Some(50)),
                [
                    0.117_857_960_997_379_36,
                    -0.646_996_752_062_580_2,
                    0.364_105_808_504_731_5,
                ],
            ),
            (
                (60, Some(59)),
                [
                    0.219_167_928_201_913_58,
                    -1.000_769_618_927_268_8,
                    0.778_359_117_319_529_4,
                ],
            ),
            (
                (10, None),
                [0.286_565_569_094_096_1, -1.0, 0.535_328_487_412_702_3],
            ),
        ] {
            let fresh = || row(&FRESH);
            close(
                schedule.ddpm_step(steps, row(&NOISY), row(&ESTIMATE), fresh),
                &expected,
            );
        }
    }

    #[test]
    fn noise_is_added_to_each_row_by_its_own_step() {
        let schedule = NoiseSchedule::squared_cosine(100);
        let device = ComputeDevice::cpu().plain();
        let actions = Tensor::from_floats([[1.0], [1.0]], &device);
        let noise = Tensor::from_floats([[0.5], [0.5]], &device);
        let noisy = schedule.add_noise(actions, noise, &[0, 75]);
        let of = |kept: f64| kept.sqrt() + 0.5 * (1.0 - kept).sqrt();
        close(
            noisy,
            &[of(0.999_368_718_401_658_3), of(0.133_494_810_380_018_8)],
        );
    }
}
