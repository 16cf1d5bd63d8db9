//! Adam in one pass over flat buffers (Kingma & Ba 2015, <https://arxiv.org/abs/1412.6980>), in PyTorch's form.

use super::{
    KernelError,
    lanes::{Kernel, Lanes, read, write},
};

/// How large parameters are held down.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum WeightDecay {
    /// Not at all.
    #[default]
    None,
    /// This number times the parameter is added to its gradient, behind the clipping: PyTorch's `Adam(weight_decay)`.
    Coupled(f64),
    /// The parameter loses this number times the learning rate of itself before the step (Loshchilov & Hutter 2019,
    /// <https://arxiv.org/abs/1711.05101>): PyTorch's `AdamW`.
    Decoupled(f64),
}

impl WeightDecay {
    /// How much of the parameter is added to its gradient, and what the parameter is multiplied by.
    pub(crate) fn parts(self, rate: f64) -> (f64, f64) {
        match self {
            WeightDecay::None => (0.0, 1.0),
            WeightDecay::Coupled(decay) => (decay, 1.0),
            WeightDecay::Decoupled(decay) => (0.0, 1.0 - rate * decay),
        }
    }
}

/// Adam's settings, with PyTorch's values as default.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adam {
    /// The learning rate, at least 0.
    pub rate: f64,
    /// How much of the first moment stays at each step, in 0..1.
    pub beta_1: f64,
    /// How much of the second moment stays at each step, in 0..1.
    pub beta_2: f64,
    /// Added to the root of the second moment, at least 0.
    pub epsilon: f64,
    /// How large parameters are held down.
    pub weight_decay: WeightDecay,
}

impl Default for Adam {
    fn default() -> Self {
        Self {
            rate: 1e-3,
            beta_1: 0.9,
            beta_2: 0.999,
            epsilon: 1e-8,
            weight_decay: WeightDecay::None,
        }
    }
}

/// What a step changes: all of one length.
#[derive(Debug)]
pub struct AdamState<'a> {
    /// The parameters.
    pub params: &'a mut [f32],
    /// The running mean of the gradients, zero before the first step.
    pub first: &'a mut [f32],
    /// The running mean of their squares, zero before the first step.
    pub second: &'a mut [f32],
}

impl Adam {
    /// Refuses settings that no step can have.
    pub(crate) fn check(&self) -> Result<(), KernelError> {
        let refuse = |setting, value: f64, range| {
            Err(KernelError::Setting {
                setting,
                value: value.to_string(),
                range,
            })
        };
        let not_negative = |value: f64| value.is_finite() && value >= 0.0;
        if !not_negative(self.rate) {
            return refuse("rate", self.rate, "a number of at least 0");
        }
        for (setting, value) in [("beta_1", self.beta_1), ("beta_2", self.beta_2)] {
            if !(0.0..1.0).contains(&value) {
                return refuse(setting, value, "at least 0 and below 1");
            }
        }
        if !not_negative(self.epsilon) {
            return refuse("epsilon", self.epsilon, "a number of at least 0");
        }
        match self.weight_decay {
            WeightDecay::Coupled(decay) | WeightDecay::Decoupled(decay) if !not_negative(decay) => {
                refuse("weight_decay", decay, "a number of at least 0")
            }
            _ => Ok(()),
        }
    }

    /// The numbers of one step, which counts from 1.
    pub(crate) fn constants(&self, step: u64) -> Constants {
        let step = step as f64;
        let (coupled, kept) = self.weight_decay.parts(self.rate);
        Constants {
            stride: (self.rate / (1.0 - self.beta_1.powf(step))) as f32,
            fresh_1: (1.0 - self.beta_1) as f32,
            kept_2: self.beta_2 as f32,
            fresh_2: (1.0 - self.beta_2) as f32,
            unbias_2: (1.0 / (1.0 - self.beta_2.powf(step)).sqrt()) as f32,
            epsilon: self.epsilon as f32,
            coupled: coupled as f32,
            kept: kept as f32,
        }
    }
}

/// What is the same for all parameters in one step.
#[derive(Clone, Copy)]
pub(crate) struct Constants {
    stride: f32,
    fresh_1: f32,
    kept_2: f32,
    fresh_2: f32,
    unbias_2: f32,
    epsilon: f32,
    coupled: f32,
    kept: f32,
}

/// One block of one step.
pub(crate) struct AdamStep<'a> {
    pub(crate) constants: Constants,
    /// The gradient's factor: what clipping makes of it.
    pub(crate) scale: f32,
    pub(crate) gradient: &'a [f32],
    pub(crate) state: AdamState<'a>,
}

impl Kernel for AdamStep<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) {
        let AdamStep {
            constants,
            scale,
            gradient,
            state,
        } = self;
        let AdamState {
            params,
            first,
            second,
        } = state;
        let (scale, coupled, kept) = (
            lanes.splat(scale),
            lanes.splat(constants.coupled),
            lanes.splat(constants.kept),
        );
        let (fresh_1, fresh_2) = (
            lanes.splat(constants.fresh_1),
            lanes.splat(constants.fresh_2),
        );
        let (kept_2, unbias_2) = (
            lanes.splat(constants.kept_2),
            lanes.splat(constants.unbias_2),
        );
        let (epsilon, stride) = (
            lanes.splat(constants.epsilon),
            lanes.splat(-constants.stride),
        );
        for at in (0..params.len()).step_by(L::WIDTH) {
            let p = read(lanes, params, at);
            let g = lanes.mul_add(coupled, p, lanes.mul(read(lanes, gradient, at), scale));
            let m = read(lanes, first, at);
            let m = lanes.mul_add(fresh_1, lanes.sub(g, m), m);
            let v = lanes.mul_add(
                lanes.mul(fresh_2, g),
                g,
                lanes.mul(kept_2, read(lanes, second, at)),
            );
            let below = lanes.mul_add(lanes.sqrt(v), unbias_2, epsilon);
            let p = lanes.mul_add(lanes.div(m, below), stride, lanes.mul(p, kept));
            write(lanes, params, at, p);
            write(lanes, first, at, m);
            write(lanes, second, at, v);
        }
    }
}

/// The sum of the squares of one block.
pub(crate) struct Squares<'a>(pub(crate) &'a [f32]);

impl Kernel for Squares<'_> {
    type Output = f64;

    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) -> f64 {
        let mut total = 0.0;
        // Short runs in single precision, so that their sum keeps its digits.
        for values in self.0.chunks(2048) {
            let mut sums = [lanes.splat(0.0); 4];
            for at in (0..values.len()).step_by(4 * L::WIDTH) {
                for (v, sum) in sums.iter_mut().enumerate() {
                    let at = at + v * L::WIDTH;
                    if at < values.len() {
                        let value = read(lanes, values, at);
                        *sum = lanes.mul_add(value, value, *sum);
                    }
                }
            }
            let sum = lanes.add(lanes.add(sums[0], sums[1]), lanes.add(sums[2], sums[3]));
            total += lanes.sum(sum) as f64;
        }
        total
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::cpu::{InstructionSet, Kernels, flat::BLOCK, reference::Values};

    /// Members of odd sizes, some of them longer than a block.
    fn lengths() -> Vec<(usize, usize)> {
        if cfg!(miri) {
            vec![(1, 1), (2, 7)]
        } else {
            vec![(1, 1), (5, 3), (2, 257), (1, BLOCK), (2, 2 * BLOCK + 9)]
        }
    }

    /// One parameter's step in double precision.
    fn reference(settings: &Adam, step: u64, g: f64, p: &mut f64, m: &mut f64, v: &mut f64) {
        let g = match settings.weight_decay {
            WeightDecay::Coupled(decay) => g + decay * *p,
            _ => g,
        };
        if let WeightDecay::Decoupled(decay) = settings.weight_decay {
            *p -= settings.rate * decay * *p;
        }
        *m = settings.beta_1 * *m + (1.0 - settings.beta_1) * g;
        *v = settings.beta_2 * *v + (1.0 - settings.beta_2) * g * g;
        let m_hat = *m / (1.0 - settings.beta_1.powi(step as i32));
        let v_hat = *v / (1.0 - settings.beta_2.powi(step as i32));
        *p -= settings.rate * m_hat / (v_hat.sqrt() + settings.epsilon);
    }

    #[test]
    fn three_steps_match_pytorchs_formula_with_every_weight_decay() {
        for weight_decay in [
            WeightDecay::None,
            WeightDecay::Coupled(0.1),
            WeightDecay::Decoupled(0.1),
        ] {
            let settings = Adam {
                rate: 1e-2,
                weight_decay,
                ..Adam::default()
            };
            for (members, parameters) in lengths() {
                let len = members * parameters;
                let start = Values::new(2).normal(len);
                let gradients: Vec<Vec<f32>> =
                    (0..3).map(|seed| Values::new(seed).normal(len)).collect();
                let scale = Values::new(9).normal(members);
                let wide: Vec<(f64, f64, f64)> = (0..len)
                    .map(|at| {
                        let (mut p, mut m, mut v) = (start[at] as f64, 0.0, 0.0);
                        for (step, gradient) in (1..).zip(&gradients) {
                            let g = gradient[at] as f64 * scale[at / parameters] as f64;
                            reference(&settings, step, g, &mut p, &mut m, &mut v);
                        }
                        (p, m, v)
                    })
                    .collect();
                for instructions in InstructionSet::available() {
                    let mut bits = Vec::new();
                    for threads in [1, 2, 3] {
                        let mut kernels = Kernels::with_instructions(threads, *instructions);
                        let (mut p, mut m, mut v) = (start.clone(), vec![0.0; len], vec![0.0; len]);
                        for (step, gradient) in (1..).zip(&gradients) {
                            let state = AdamState {
                                params: &mut p,
                                first: &mut m,
                                second: &mut v,
                            };
                            kernels
                                .adam(&settings, step, gradient, Some(&scale), state)
                                .unwrap();
                        }
                        for at in 0..len {
                            let (want_p, want_m, want_v) = wide[at];
                            let near = |got: f32, want: f64| {
                                (got as f64 - want).abs() < 2e-6 * want.abs().max(1.0)
                            };
                            assert!(
                                near(p[at], want_p),
                                "{} {at}: {} {want_p}",
                                instructions.name(),
                                p[at]
                            );
                            assert!(
                                near(m[at], want_m) && near(v[at], want_v),
                                "{} {at}",
                                instructions.name()
                            );
                        }
                        bits.push((p, m, v));
                    }
                    assert!(
                        bits.windows(2).all(|pair| pair[0] == pair[1]),
                        "threads change bits"
                    );
                }
            }
        }
    }

    /// From `torch.optim.Adam([1.0], lr=0.1)` with the gradients 0.5 and -0.25.
    #[test]
    fn two_literal_steps_are_pytorchs() {
        let (mut p, mut m, mut v) = ([1.0], [0.0], [0.0]);
        let mut kernels = Kernels::new(1);
        let settings = Adam {
            rate: 0.1,
            ..Adam::default()
        };
        for (step, gradient) in [(1, 0.5), (2, -0.25)] {
            let state = AdamState {
                params: &mut p,
                first: &mut m,
                second: &mut v,
            };
            kernels
                .adam(&settings, step, &[gradient], None, state)
                .unwrap();
        }
        // m = 0.02, v = 3.1225e-4: 0.9 - 0.1 (0.02 / 0.19) / sqrt(3.1225e-4 / 1.999e-3)
        assert!((p[0] - 0.873_366_1).abs() < 1e-6, "{}", p[0]);
    }

    #[test]
    fn squared_norms_are_each_members_own_and_the_same_for_any_number_of_threads() {
        for (members, parameters) in lengths() {
            let gradient = Values::new(4).normal(members * parameters);
            for instructions in InstructionSet::available() {
                let mut all = Vec::new();
                for threads in [1, 2, 3] {
                    let mut norms = vec![f64::NAN; members];
                    let mut kernels = Kernels::with_instructions(threads, *instructions);
                    kernels.squared_norms(&gradient, &mut norms).unwrap();
                    for (norm, values) in norms.iter().zip(gradient.chunks(parameters)) {
                        let want: f64 = values.iter().map(|value| (*value as f64).powi(2)).sum();
                        assert!(
                            (norm - want).abs() < 1e-6 * want,
                            "{}: {norm} {want}",
                            instructions.name()
                        );
                    }
                    all.push(norms);
                }
                assert!(
                    all.windows(2).all(|pair| pair[0] == pair[1]),
                    "threads change bits"
                );
            }
        }
    }

    /// Whether a product and a sum are rounded once.
    fn fuses(instructions: InstructionSet) -> bool {
        instructions.name() != "portable"
            || cfg!(any(target_feature = "fma", target_arch = "aarch64"))
    }

    #[test]
    #[cfg_attr(miri, ignore)]
    fn a_moment_of_1e_37_without_gradient_is_exactly_zero_within_30_steps() {
        for instructions in InstructionSet::available() {
            for threads in [1, 2] {
                let mut kernels = Kernels::with_instructions(threads, *instructions);
                // Several tasks, so that every thread has some.
                let len = 100_000;
                let (mut params, mut first, mut second) =
                    (vec![0.5; len], vec![1e-37; len], vec![1e-37; len]);
                let mut step =
                    |kernels: &mut Kernels, first: &mut [f32], second: &mut [f32], at| {
                        let state = AdamState {
                            params: &mut params,
                            first,
                            second,
                        };
                        let gradient = vec![0.0; len];
                        kernels.adam(&Adam::default(), at, &gradient, None, state)
                    };
                for at in 1..=20 {
                    step(&mut kernels, &mut first, &mut second, at).unwrap();
                }
                let after_20 = first[0];
                for at in 21..=30 {
                    step(&mut kernels, &mut first, &mut second, at).unwrap();
                }
                let name = instructions.name();
                if fuses(*instructions) {
                    // 1e-37 x 0.9^20 is still a normal number; the 21st step would make it 1.09e-38.
                    assert!((1.2e-38..1.3e-38).contains(&after_20), "{name} {after_20}");
                    assert!(first.iter().all(|m| m.to_bits() == 0), "{name}");
                } else {
                    // A tenth of it is a number of its own there, and counts as zero already: it stays where it is, a normal number.
                    assert!(first.iter().all(|m| *m == 1e-37), "{name} {after_20}");
                    assert!(first[0].is_normal());
                }
            }
        }
    }

    #[test]
    fn settings_out_of_range_are_refused_by_name() {
        let wrong = [
            (
                Adam {
                    rate: -1.0,
                    ..Adam::default()
                },
                "`rate` is -1",
            ),
            (
                Adam {
                    beta_1: 1.0,
                    ..Adam::default()
                },
                "`beta_1` is 1",
            ),
            (
                Adam {
                    beta_2: f64::NAN,
                    ..Adam::default()
                },
                "`beta_2` is NaN",
            ),
            (
                Adam {
                    epsilon: f64::INFINITY,
                    ..Adam::default()
                },
                "`epsilon` is inf",
            ),
            (
                Adam {
                    weight_decay: WeightDecay::Coupled(-0.5),
                    ..Adam::default()
                },
                "`weight_decay` is -0.5",
            ),
        ];
        let mut kernels = Kernels::new(1);
        let mut step = |settings: &Adam, step, gradient: &[f32], scale: Option<&[f32]>| {
            let state = AdamState {
                params: &mut [0.0; 2],
                first: &mut [0.0; 2],
                second: &mut [0.0; 2],
            };
            kernels
                .adam(settings, step, gradient, scale, state)
                .unwrap_err()
                .to_string()
        };
        for (settings, message) in wrong {
            assert!(
                step(&settings, 1, &[0.0; 2], None).contains(message),
                "{message}"
            );
        }
        assert!(step(&Adam::default(), 0, &[0.0; 2], None).contains("`step` is 0"));
        assert!(
            step(&Adam::default(), 1, &[0.0; 3], None)
                .contains("`gradient` has 3 values and needs 2")
        );
        assert!(step(&Adam::default(), 1, &[0.0; 2], Some(&[1.0; 3])).contains("`scale`"));
    }
}
