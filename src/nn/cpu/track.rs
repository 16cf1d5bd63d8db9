//! Target networks that follow their source.

use super::lanes::{Kernel, Lanes, read, write};

/// `target += tau (source - target)`, one block.
pub(crate) struct Track<'a> {
    pub(crate) tau: f32,
    pub(crate) source: &'a [f32],
    pub(crate) target: &'a mut [f32],
}

impl Kernel for Track<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) {
        let tau = lanes.splat(self.tau);
        for at in (0..self.target.len()).step_by(L::WIDTH) {
            let target = read(lanes, self.target, at);
            let away = lanes.sub(read(lanes, self.source, at), target);
            write(lanes, self.target, at, lanes.mul_add(tau, away, target));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::nn::cpu::{InstructionSet, KernelError, Kernels, reference::Values};

    #[test]
    fn a_target_moves_by_tau_with_any_number_of_threads() {
        for len in if cfg!(miri) {
            vec![1, 37]
        } else {
            vec![1, 7, 257, 200_003]
        } {
            let (start, source) = (Values::new(1).normal(len), Values::new(2).normal(len));
            for instructions in InstructionSet::available() {
                let mut all = Vec::new();
                for threads in [1, 2, 3] {
                    let mut target = start.clone();
                    let mut kernels = Kernels::with_instructions(threads, *instructions);
                    kernels.track(&mut target, &source, 0.005).unwrap();
                    for ((got, from), to) in target.iter().zip(&start).zip(&source) {
                        let want = *from as f64 + 0.005 * (*to as f64 - *from as f64);
                        assert!((*got as f64 - want).abs() < 1e-6, "{}", instructions.name());
                    }
                    all.push(target);
                }
                assert!(
                    all.windows(2).all(|pair| pair[0] == pair[1]),
                    "threads change bits"
                );
            }
        }
    }

    #[test]
    fn a_tau_of_one_copies_and_one_out_of_range_is_refused() {
        let (mut target, source) = ([1e8_f32, 3.0], [0.1, f32::MIN_POSITIVE]);
        let mut kernels = Kernels::new(1);
        kernels.track(&mut target, &source, 1.0).unwrap();
        assert_eq!(target, source);
        for tau in [-0.1, 1.1, f32::NAN] {
            let refused = kernels.track(&mut target, &source, tau);
            assert!(
                matches!(refused, Err(KernelError::Setting { setting: "tau", .. })),
                "{tau}"
            );
        }
        assert!(kernels.track(&mut target, &source[1..], 0.5).is_err());
    }
}
