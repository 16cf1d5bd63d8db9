//! Gradient descent with momentum, and RMSProp, in one pass over flat buffers and in PyTorch's form.

use super::{
    KernelError, Kernels,
    disjoint::Disjoint,
    error::check_len,
    flat::Cut,
    kernels::share,
    lanes::{Kernel, Lanes, read, write},
};

/// Settings of gradient descent with momentum: b ← momentum · b + g, θ ← θ − rate · b.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sgd {
    /// The learning rate, at least 0.
    pub rate: f64,
    /// How much of the last step's direction stays, in 0..1. With 0 there is no buffer.
    pub momentum: f64,
    /// This number times the parameter is added to its gradient, behind the clipping.
    pub weight_decay: f64,
}

/// Settings of RMSProp: v ← smoothing · v + (1 − smoothing) · g², d = g / (√v + ε); θ ← θ − rate · d, or with momentum
/// b ← momentum · b + d, θ ← θ − rate · b (Tieleman & Hinton 2012, not centered).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RmsProp {
    /// The learning rate, at least 0.
    pub rate: f64,
    /// How much of the mean of the squares stays at each step, in 0..1.
    pub smoothing: f64,
    /// Added to the root of the mean of the squares, at least 0.
    pub epsilon: f64,
    /// How much of the last step's direction stays, in 0..1. With 0 there is no buffer.
    pub momentum: f64,
    /// This number times the parameter is added to its gradient, behind the clipping.
    pub weight_decay: f64,
}

impl Kernels {
    /// One step of gradient descent. `scale`, if given, has one factor for the gradient of each member; `buffer` is the
    /// momentum's, zero before the first step, and `None` without momentum.
    ///
    /// # Errors
    /// If buffers differ in length, a buffer is missing, or a setting is out of its range.
    pub fn sgd(
        &mut self,
        settings: &Sgd,
        gradient: &[f32],
        scale: Option<&[f32]>,
        params: &mut [f32],
        buffer: Option<&mut [f32]>,
    ) -> Result<(), KernelError> {
        at_least_zero("rate", settings.rate)?;
        at_least_zero("weight_decay", settings.weight_decay)?;
        below_one("momentum", settings.momentum)?;
        let len = params.len();
        check_len("gradient", gradient.len(), len, ALIKE)?;
        let mut none = [];
        let buffer = present("buffer", buffer, settings.momentum > 0.0, len, &mut none)?;
        let cut = Cut::new("scale", len, scale.map_or(1, <[f32]>::len))?;
        let instructions = self.instructions;
        let (params, buffer) = (Disjoint::new(params), buffer.map(Disjoint::new));
        share(&mut self.workers, cut.tasks(), 4 * len, |index, _| {
            let (member, range) = cut.task(index);
            // SAFETY: `share` runs each index once, and their ranges do not overlap.
            let (params, buffer) = unsafe {
                (
                    params.part(range.clone()),
                    buffer.map(|buffer| buffer.part(range.clone())),
                )
            };
            instructions.run(SgdStep {
                settings,
                scale: scale.map_or(1.0, |scale| scale[member]),
                gradient: &gradient[range],
                params,
                buffer,
            });
        });
        Ok(())
    }

    /// One step of RMSProp. `squares` is the mean of the squares, `buffer` the momentum's: both zero before the first
    /// step, and `buffer` `None` without momentum.
    ///
    /// # Errors
    /// As [`Kernels::sgd`].
    pub fn rms_prop(
        &mut self,
        settings: &RmsProp,
        gradient: &[f32],
        scale: Option<&[f32]>,
        params: &mut [f32],
        squares: &mut [f32],
        buffer: Option<&mut [f32]>,
    ) -> Result<(), KernelError> {
        at_least_zero("rate", settings.rate)?;
        at_least_zero("epsilon", settings.epsilon)?;
        at_least_zero("weight_decay", settings.weight_decay)?;
        below_one("smoothing", settings.smoothing)?;
        below_one("momentum", settings.momentum)?;
        let len = params.len();
        check_len("gradient", gradient.len(), len, ALIKE)?;
        check_len("squares", squares.len(), len, ALIKE)?;
        let mut none = [];
        let buffer = present("buffer", buffer, settings.momentum > 0.0, len, &mut none)?;
        let cut = Cut::new("scale", len, scale.map_or(1, <[f32]>::len))?;
        let instructions = self.instructions;
        let (params, squares, buffer) = (
            Disjoint::new(params),
            Disjoint::new(squares),
            buffer.map(Disjoint::new),
        );
        // Each value costs as much as some multiplications: a root and a quotient.
        share(&mut self.workers, cut.tasks(), 16 * len, |index, _| {
            let (member, range) = cut.task(index);
            // SAFETY: `share` runs each index once, and their ranges do not overlap.
            let (params, squares, buffer) = unsafe {
                (
                    params.part(range.clone()),
                    squares.part(range.clone()),
                    buffer.map(|buffer| buffer.part(range.clone())),
                )
            };
            instructions.run(RmsPropStep {
                settings,
                scale: scale.map_or(1.0, |scale| scale[member]),
                gradient: &gradient[range],
                params,
                squares,
                buffer,
            });
        });
        Ok(())
    }
}

const ALIKE: &str = "as many as parameters";

fn refused(setting: &'static str, value: f64, range: &'static str) -> Result<(), KernelError> {
    Err(KernelError::Setting {
        setting,
        value: value.to_string(),
        range,
    })
}

fn at_least_zero(setting: &'static str, value: f64) -> Result<(), KernelError> {
    if value.is_finite() && value >= 0.0 {
        return Ok(());
    }
    refused(setting, value, "a number of at least 0")
}

fn below_one(setting: &'static str, value: f64) -> Result<(), KernelError> {
    if (0.0..1.0).contains(&value) {
        return Ok(());
    }
    refused(setting, value, "at least 0 and below 1")
}

/// The buffer where it is needed, of the right length.
fn present<'a>(
    name: &'static str,
    buffer: Option<&'a mut [f32]>,
    needed: bool,
    len: usize,
    none: &'a mut [f32],
) -> Result<Option<&'a mut [f32]>, KernelError> {
    if !needed {
        return Ok(None);
    }
    let buffer = buffer.unwrap_or(none);
    check_len(name, buffer.len(), len, ALIKE)?;
    Ok(Some(buffer))
}

/// One block of one step of gradient descent.
struct SgdStep<'a> {
    settings: &'a Sgd,
    scale: f32,
    gradient: &'a [f32],
    params: &'a mut [f32],
    buffer: Option<&'a mut [f32]>,
}

impl Kernel for SgdStep<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) {
        let (scale, decay) = (
            lanes.splat(self.scale),
            lanes.splat(self.settings.weight_decay as f32),
        );
        let (back, kept) = (
            lanes.splat(-self.settings.rate as f32),
            lanes.splat(self.settings.momentum as f32),
        );
        let mut buffer = self.buffer;
        for at in (0..self.params.len()).step_by(L::WIDTH) {
            let p = read(lanes, self.params, at);
            let g = lanes.mul_add(decay, p, lanes.mul(read(lanes, self.gradient, at), scale));
            let direction = match &mut buffer {
                None => g,
                Some(buffer) => {
                    let b = lanes.mul_add(kept, read(lanes, buffer, at), g);
                    write(lanes, buffer, at, b);
                    b
                }
            };
            write(lanes, self.params, at, lanes.mul_add(direction, back, p));
        }
    }
}

/// One block of one step of RMSProp.
struct RmsPropStep<'a> {
    settings: &'a RmsProp,
    scale: f32,
    gradient: &'a [f32],
    params: &'a mut [f32],
    squares: &'a mut [f32],
    buffer: Option<&'a mut [f32]>,
}

impl Kernel for RmsPropStep<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) {
        let settings = self.settings;
        let (scale, decay) = (
            lanes.splat(self.scale),
            lanes.splat(settings.weight_decay as f32),
        );
        let (kept, fresh) = (
            lanes.splat(settings.smoothing as f32),
            lanes.splat((1.0 - settings.smoothing) as f32),
        );
        let (one, epsilon) = (lanes.splat(1.0), lanes.splat(settings.epsilon as f32));
        let (back, momentum) = (
            lanes.splat(-settings.rate as f32),
            lanes.splat(settings.momentum as f32),
        );
        let mut buffer = self.buffer;
        for at in (0..self.params.len()).step_by(L::WIDTH) {
            let p = read(lanes, self.params, at);
            let g = lanes.mul_add(decay, p, lanes.mul(read(lanes, self.gradient, at), scale));
            let v = lanes.mul_add(
                lanes.mul(fresh, g),
                g,
                lanes.mul(kept, read(lanes, self.squares, at)),
            );
            write(lanes, self.squares, at, v);
            let direction = lanes.div(g, lanes.mul_add(lanes.sqrt(v), one, epsilon));
            let direction = match &mut buffer {
                None => direction,
                Some(buffer) => {
                    let b = lanes.mul_add(momentum, read(lanes, buffer, at), direction);
                    write(lanes, buffer, at, b);
                    b
                }
            };
            write(lanes, self.params, at, lanes.mul_add(direction, back, p));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::cpu::{InstructionSet, flat::BLOCK, reference::Values};

    const STEPS: u64 = 3;

    /// Members of odd sizes, some of them longer than a block.
    fn lengths() -> Vec<(usize, usize)> {
        if cfg!(miri) {
            vec![(1, 1), (2, 7)]
        } else {
            vec![(1, 1), (5, 3), (2, 257), (2, 2 * BLOCK + 9)]
        }
    }

    /// Runs `STEPS` steps by the kernels and by `reference`, which is given g and (θ, v, b) in double precision.
    fn check(
        tolerance: f64,
        step: impl Fn(&mut Kernels, &[f32], &[f32], &mut [f32], &mut [f32], &mut [f32]),
        reference: impl Fn(f64, &mut [f64; 3]),
    ) {
        for (members, parameters) in lengths() {
            let len = members * parameters;
            let start = Values::new(2).normal(len);
            let gradients: Vec<Vec<f32>> = (0..STEPS)
                .map(|seed| Values::new(seed).normal(len))
                .collect();
            let scale = Values::new(9).normal(members);
            let wide: Vec<[f64; 3]> = (0..len)
                .map(|at| {
                    let mut state = [start[at] as f64, 0.0, 0.0];
                    for gradient in &gradients {
                        let g = gradient[at] as f64 * scale[at / parameters] as f64;
                        reference(g, &mut state);
                    }
                    state
                })
                .collect();
            for instructions in InstructionSet::available() {
                let mut bits = Vec::new();
                for threads in [1, 2, 3] {
                    let mut kernels = Kernels::with_instructions(threads, *instructions);
                    let mut state = [start.clone(), vec![0.0; len], vec![0.0; len]];
                    for gradient in &gradients {
                        let [p, v, b] = &mut state;
                        step(&mut kernels, gradient, &scale, p, v, b);
                    }
                    for (at, wide) in wide.iter().enumerate() {
                        for (got, want) in state.iter().zip(wide) {
                            let got = got[at] as f64;
                            assert!(
                                (got - want).abs() < tolerance * want.abs().max(1.0),
                                "{} {at}: {got} {want}",
                                instructions.name(),
                            );
                        }
                    }
                    bits.push(state);
                }
                assert!(bits.windows(2).all(|pair| pair[0] == pair[1]), "threads");
            }
        }
    }

    #[test]
    fn gradient_descent_matches_pytorchs_formula_with_and_without_momentum() {
        for (momentum, weight_decay) in [(0.0, 0.0), (0.9, 0.0), (0.9, 0.1)] {
            let settings = Sgd {
                rate: 0.05,
                momentum,
                weight_decay,
            };
            check(
                4e-6,
                |kernels, gradient, scale, p, _, b| {
                    let b = (momentum > 0.0).then_some(b);
                    kernels.sgd(&settings, gradient, Some(scale), p, b).unwrap();
                },
                |g, [p, _, b]| {
                    let g = g + weight_decay * *p;
                    let direction = if momentum > 0.0 {
                        *b = momentum * *b + g;
                        *b
                    } else {
                        g
                    };
                    *p -= 0.05 * direction;
                },
            );
        }
    }

    #[test]
    fn rms_prop_matches_pytorchs_formula_with_and_without_momentum() {
        for (momentum, weight_decay) in [(0.0, 0.0), (0.5, 0.0), (0.5, 0.1)] {
            let settings = RmsProp {
                rate: 0.01,
                smoothing: 0.9,
                epsilon: 1e-5,
                momentum,
                weight_decay,
            };
            // Where decay and gradient cancel, what is left of them has few digits, and its direction no more.
            let tolerance = if weight_decay > 0.0 { 1e-2 } else { 4e-6 };
            check(
                tolerance,
                |kernels, gradient, scale, p, v, b| {
                    let b = (momentum > 0.0).then_some(b);
                    kernels
                        .rms_prop(&settings, gradient, Some(scale), p, v, b)
                        .unwrap();
                },
                |g, [p, v, b]| {
                    let g = g + weight_decay * *p;
                    *v = 0.9 * *v + 0.1 * g * g;
                    let direction = g / (v.sqrt() + 1e-5);
                    let direction = if momentum > 0.0 {
                        *b = momentum * *b + direction;
                        *b
                    } else {
                        direction
                    };
                    *p -= 0.01 * direction;
                },
            );
        }
    }

    #[test]
    fn settings_out_of_range_and_missing_buffers_are_refused() {
        let (mut kernels, mut p, mut v) = (Kernels::new(1), [0.0; 3], [0.0; 3]);
        let sgd = |rate, momentum| Sgd {
            rate,
            momentum,
            weight_decay: 0.0,
        };
        for wrong in [sgd(-1.0, 0.0), sgd(f64::NAN, 0.0), sgd(0.1, 1.0)] {
            let refused = kernels.sgd(&wrong, &[0.0; 3], None, &mut p, Some(&mut v));
            assert!(matches!(refused, Err(KernelError::Setting { .. })));
        }
        let refused = kernels.sgd(&sgd(0.1, 0.9), &[0.0; 3], None, &mut p, None);
        assert!(matches!(
            refused,
            Err(KernelError::Length {
                buffer: "buffer",
                ..
            })
        ));
        let settings = RmsProp {
            rate: 0.1,
            smoothing: 1.0,
            epsilon: 1e-8,
            momentum: 0.0,
            weight_decay: 0.0,
        };
        let refused = kernels.rms_prop(&settings, &[0.0; 3], None, &mut p, &mut v, None);
        assert!(matches!(refused, Err(KernelError::Setting { .. })));
        assert_eq!(p, [0.0; 3]);
    }
}
