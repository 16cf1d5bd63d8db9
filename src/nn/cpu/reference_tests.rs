//! The same mathematics in `f64`, one number at a time: what the tests compare with.

use super::{Activation, Input, MlpShape};
use std::f64::consts::{FRAC_1_SQRT_2, PI};

/// Numbers for tests (SplitMix64).
pub(crate) struct Values(u64);

impl Values {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Roughly normal numbers.
    pub(crate) fn normal(&mut self, len: usize) -> Vec<f32> {
        (0..len)
            .map(|_| ((0..4).map(|_| self.uniform()).sum::<f64>() - 2.0) as f32 * 1.7)
            .collect()
    }

    /// A dropout mask of a rate of one half.
    pub(crate) fn mask(&mut self, len: usize) -> Vec<f32> {
        (0..len)
            .map(|_| if self.uniform() < 0.5 { 0.0 } else { 2.0 })
            .collect()
    }
}

/// The error function: its series near zero, its continued fraction far away.
fn erf(x: f64) -> f64 {
    if x.abs() < 3.0 {
        let (mut term, mut sum) = (x, x);
        for n in 1..200 {
            term *= -x * x / n as f64;
            sum += term / (2 * n + 1) as f64;
        }
        return sum * 2.0 / PI.sqrt();
    }
    let fraction = (1..200)
        .rev()
        .fold(0.0, |rest, n| n as f64 / 2.0 / (x.abs() + rest));
    (1.0 - (-x * x).exp() / PI.sqrt() / (x.abs() + fraction)) * x.signum()
}

pub(crate) fn activate(activation: Activation, x: f64) -> f64 {
    match activation {
        Activation::Identity => x,
        Activation::Relu => x.max(0.0),
        Activation::Tanh => x.tanh(),
        Activation::Elu if x > 0.0 => x,
        Activation::Elu => x.exp_m1(),
        Activation::Gelu => x * 0.5 * (1.0 + erf(x * FRAC_1_SQRT_2)),
    }
}

pub(crate) fn slope(activation: Activation, x: f64) -> f64 {
    match activation {
        Activation::Identity => 1.0,
        Activation::Relu => (x > 0.0) as u8 as f64,
        Activation::Tanh => 1.0 - x.tanh() * x.tanh(),
        Activation::Elu => x.min(0.0).exp(),
        Activation::Gelu => {
            0.5 * (1.0 + erf(x * FRAC_1_SQRT_2)) + x * (-0.5 * x * x).exp() / (2.0 * PI).sqrt()
        }
    }
}

/// One row's way through one member: each layer's values.
struct Row {
    /// `inputs[layer]` is what the layer reads.
    inputs: Vec<Vec<f64>>,
    /// The normalized values and one over the deviation.
    normal: Vec<(Vec<f64>, f64)>,
    /// What the activation reads.
    before: Vec<Vec<f64>>,
}

/// An ensemble's parameters in double precision, with what it reads.
pub(crate) struct Reference<'a> {
    pub(crate) shape: &'a MlpShape,
    pub(crate) params: Vec<f64>,
    pub(crate) x: Vec<f64>,
    pub(crate) batch: usize,
    pub(crate) dropout: Option<&'a [f32]>,
}

/// What [`Reference::backward`] computes.
pub(crate) struct Wanted {
    pub(crate) params: Vec<f64>,
    pub(crate) x: Vec<f64>,
}

impl<'a> Reference<'a> {
    pub(crate) fn new(shape: &'a MlpShape, params: &[f32], input: Input<'a>) -> Self {
        let wide = |values: &[f32]| values.iter().map(|value| *value as f64).collect();
        Self {
            shape,
            params: wide(params),
            x: wide(input.rows),
            batch: input.batch,
            dropout: input.dropout,
        }
    }

    /// Where a member's row of the input starts.
    fn x_at(&self, member: usize, row: usize) -> usize {
        let shared = self.x.len() == self.batch * self.shape.inputs();
        (if shared {
            row
        } else {
            member * self.batch + row
        }) * self.shape.inputs()
    }

    fn mask(&self, layer: usize, member: usize, row: usize, at: usize) -> f64 {
        let before: usize =
            self.shape.sizes[1..=layer].iter().sum::<usize>() * self.shape.members * self.batch;
        let size = self.shape.sizes[layer + 1];
        self.dropout.map_or(1.0, |mask| {
            mask[before + (member * self.batch + row) * size + at] as f64
        })
    }

    fn row(&self, member: usize, row: usize) -> Row {
        let shape = self.shape;
        let params = &self.params[member * shape.parameters()..][..shape.parameters()];
        let mut values = self.x[self.x_at(member, row)..][..shape.inputs()].to_vec();
        let mut kept = Row {
            inputs: vec![],
            normal: vec![],
            before: vec![],
        };
        for layer in 0..shape.layers() {
            let (size, hidden) = (shape.sizes[layer + 1], layer + 1 < shape.layers());
            let (weight, bias) = (&params[shape.weight(layer)], &params[shape.bias(layer)]);
            let linear = |at: usize| {
                let sum: f64 = values
                    .iter()
                    .enumerate()
                    .map(|(i, value)| value * weight[i * size + at])
                    .sum();
                (sum + bias[at])
                    * if hidden {
                        self.mask(layer, member, row, at)
                    } else {
                        1.0
                    }
            };
            let mut z: Vec<f64> = (0..size).map(linear).collect();
            if let (Some(epsilon), Some(gain), Some(offset)) =
                (shape.layer_norm, shape.gain(layer), shape.offset(layer))
            {
                let mean = z.iter().sum::<f64>() / size as f64;
                let variance = z.iter().map(|z| (z - mean).powi(2)).sum::<f64>() / size as f64;
                let inverse = 1.0 / (variance + epsilon as f64).sqrt();
                let normal: Vec<f64> = z.iter().map(|z| (z - mean) * inverse).collect();
                z = (0..size)
                    .map(|at| normal[at] * params[gain.start + at] + params[offset.start + at])
                    .collect();
                kept.normal.push((normal, inverse));
            }
            let activated = z
                .iter()
                .map(|z| activate(shape.activation(layer), *z))
                .collect();
            kept.inputs.push(std::mem::replace(&mut values, activated));
            kept.before.push(z);
        }
        kept.inputs.push(values);
        kept
    }

    /// `[members, batch, outputs]`.
    pub(crate) fn forward(&self) -> Vec<f64> {
        let rows = (0..self.shape.members)
            .flat_map(|member| (0..self.batch).map(move |row| (member, row)));
        rows.flat_map(|(member, row)| self.row(member, row).inputs.pop().unwrap())
            .collect()
    }

    /// A hidden layer's output: `[members, batch, size]`.
    pub(crate) fn features(&self, layer: usize) -> Vec<f64> {
        let rows = (0..self.shape.members)
            .flat_map(|member| (0..self.batch).map(move |row| (member, row)));
        rows.flat_map(|(member, row)| self.row(member, row).inputs.swap_remove(layer + 1))
            .collect()
    }

    pub(crate) fn backward(&self, d_out: &[f32]) -> Wanted {
        let shape = self.shape;
        let mut wanted = Wanted {
            params: vec![0.0; self.params.len()],
            x: vec![0.0; self.x.len()],
        };
        for member in 0..shape.members {
            let start = member * shape.parameters();
            for row in 0..self.batch {
                let kept = self.row(member, row);
                let outputs =
                    &d_out[(member * self.batch + row) * shape.outputs()..][..shape.outputs()];
                let mut d: Vec<f64> = outputs.iter().map(|d| *d as f64).collect();
                for layer in (0..shape.layers()).rev() {
                    let (size, hidden) = (shape.sizes[layer + 1], layer + 1 < shape.layers());
                    for (d, before) in d.iter_mut().zip(&kept.before[layer]) {
                        *d *= slope(shape.activation(layer), *before);
                    }
                    if let (Some(gain), Some(offset)) = (shape.gain(layer), shape.offset(layer)) {
                        let (normal, inverse) = &kept.normal[layer];
                        for at in 0..size {
                            wanted.params[start + gain.start + at] += d[at] * normal[at];
                            wanted.params[start + offset.start + at] += d[at];
                            d[at] *= self.params[start + gain.start + at];
                        }
                        let mean = d.iter().sum::<f64>() / size as f64;
                        let along = d
                            .iter()
                            .zip(normal)
                            .map(|(d, normal)| d * normal)
                            .sum::<f64>()
                            / size as f64;
                        for (d, normal) in d.iter_mut().zip(normal) {
                            *d = (*d - mean - normal * along) * inverse;
                        }
                    }
                    if hidden {
                        (0..size).for_each(|at| d[at] *= self.mask(layer, member, row, at));
                    }
                    let weight = start + shape.weight(layer).start;
                    let bias = start + shape.bias(layer).start;
                    let mut below = vec![0.0; shape.sizes[layer]];
                    for (i, below) in below.iter_mut().enumerate() {
                        for (at, d) in d.iter().enumerate() {
                            wanted.params[weight + i * size + at] += kept.inputs[layer][i] * d;
                            *below += self.params[weight + i * size + at] * d;
                        }
                    }
                    (0..size).for_each(|at| wanted.params[bias + at] += d[at]);
                    d = below;
                }
                let x = self.x_at(member, row);
                wanted.x[x..x + shape.inputs()]
                    .iter_mut()
                    .zip(d)
                    .for_each(|(x, d)| *x += d);
            }
        }
        wanted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Compares the reference's own gradients with central differences.
    fn check(shape: &MlpShape, masked: bool) {
        let (mut values, batch) = (Values::new(5), 3);
        let params = values.normal(shape.members * shape.parameters());
        let x = values.normal(batch * shape.inputs());
        let d_out = values.normal(shape.members * batch * shape.outputs());
        let mask = values.mask(shape.dropout_len(batch));
        let input = Input {
            rows: &x,
            batch,
            dropout: masked.then_some(&mask),
        };
        let mut reference = Reference::new(shape, &params, input);
        let wanted = reference.backward(&d_out);
        let loss = |reference: &Reference<'_>| -> f64 {
            reference
                .forward()
                .iter()
                .zip(&d_out)
                .map(|(out, d)| out * *d as f64)
                .sum()
        };
        const STEP: f64 = 1e-6;
        for at in 0..reference.params.len() + reference.x.len() {
            let parameters = reference.params.len();
            let mut moved = |by: f64| {
                let value = if at < parameters {
                    &mut reference.params[at]
                } else {
                    &mut reference.x[at - parameters]
                };
                *value += by;
            };
            moved(STEP);
            let above = loss(&reference);
            let mut moved = |by: f64| {
                let value = if at < parameters {
                    &mut reference.params[at]
                } else {
                    &mut reference.x[at - parameters]
                };
                *value += by;
            };
            moved(-2.0 * STEP);
            let below = loss(&reference);
            if at < parameters {
                reference.params[at] += STEP
            } else {
                reference.x[at - parameters] += STEP
            }
            let numeric = (above - below) / (2.0 * STEP);
            let exact = if at < parameters {
                wanted.params[at]
            } else {
                wanted.x[at - parameters]
            };
            assert!(
                (numeric - exact).abs() < 1e-5 * (1.0 + exact.abs()),
                "{shape:?} {at}: {numeric} {exact}"
            );
        }
    }

    #[test]
    fn the_reference_itself_agrees_with_finite_differences() {
        let all = [
            Activation::Identity,
            Activation::Relu,
            Activation::Tanh,
            Activation::Elu,
            Activation::Gelu,
        ];
        for (index, hidden) in all.into_iter().enumerate() {
            for layer_norm in [None, Some(1e-5)] {
                for masked in [false, true] {
                    let output = all[(index + 2) % 5];
                    check(
                        &MlpShape {
                            members: 2,
                            sizes: vec![2, 4, 3, 2],
                            hidden,
                            output,
                            layer_norm,
                        },
                        masked,
                    );
                }
            }
        }
    }
}
